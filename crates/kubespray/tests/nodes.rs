//! Hosts that come to a cluster of real hosts and leave it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use kubespray_lab::{Lab, LabOptions, Supply};
use support::site::{Programs, choose, serving};
use support::workload::{self, Asking};
use support::{Run, has, kubespray, left_out, sh, write_groups};

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";
const ETCDCTL: &str = "/usr/local/bin/etcdctl.sh";

/// The names of nodes that are ready, as a control plane lists them.
fn ready(lab: &Lab, host: &str) -> Vec<String> {
    let nodes = sh(lab, host, &format!("{KUBECTL} get nodes --no-headers"));
    let words = nodes.lines().map(|node| node.split_whitespace().collect::<Vec<_>>());
    let mut names: Vec<String> =
        words.filter(|node| node.get(1) == Some(&"Ready")).map(|node| node[0].to_owned()).collect();
    names.sort();
    names
}

/// An inventory of some of the lab's hosts, in this order; control planes hold etcd, and all are workers.
fn write(lab: &Lab, folder: &Path, planes: &[&str], workers: &[&str]) {
    write_groups(lab, folder, "lab", [planes, planes, &[planes, workers].concat()]);
}

#[test]
fn lab_hosts_come_and_leave_the_first_one_and_a_dead_one_too() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "nodes".into(), hosts: 4 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // The server's settings lie beside the inventory.
    write(&lab, folder, &["nodes1", "nodes2", "nodes3"], &[]);
    let (_server, site) = serving(&lab, &[&supply], folder);
    choose(&site, &supply, folder);
    let timed = |what: &str, arguments: &[&str]| -> Run {
        let began = Instant::now();
        let run = kubespray(folder, &lab, arguments);
        eprintln!("{what}: {:?}", began.elapsed());
        run
    };
    has(&timed("a cluster of three", &["cluster", "--no-verify"]), 0, "done: 3 hosts changed");

    // Who stays throughout is asked for the workload all the time.
    let stays: Vec<Ipv4Addr> = lab.hosts().iter().skip(1).take(2).map(|host| host.address).collect();
    workload::begin(&lab, "nodes1", &site.registry, &stays);
    let reachable = |what: &str, asking: Asking| {
        let (asked, failed) = asking.end();
        eprintln!("{what}: {asked} requests, {} failed: {failed:#?}", failed.len());
        assert!(asked > 0 && failed.is_empty(), "{what}: {failed:#?}");
    };
    let asking = Asking::begin(stays.clone());

    // A worker: it and the control plane that lets it in.
    write(&lab, folder, &["nodes1", "nodes2", "nodes3"], &["nodes4"]);
    has(&timed("a worker more", &["scale"]), 0, "done: 2 hosts changed");
    assert_eq!(ready(&lab, "nodes1"), ["nodes1", "nodes2", "nodes3", "nodes4"]);
    has(&kubespray(folder, &lab, &["scale"]), 0, "Nothing to do");

    // The first control plane, which leads, goes for good, and comes back as another one.
    let authority = sh(&lab, "nodes2", "sha256sum < /etc/kubernetes/ssl/ca.crt");
    let removed = timed("the first control plane less", &["remove-node", "nodes1", "--yes"]);
    has(&removed, 0, "take `nodes1` out of the inventory now");
    has(&removed, 0, "etcd keeps 2 members, of which 0 may be lost");
    assert_eq!(ready(&lab, "nodes2"), ["nodes2", "nodes3", "nodes4"]);
    assert_eq!(sh(&lab, "nodes2", &format!("{ETCDCTL} member list | grep -c started")), "2");
    sh(
        &lab,
        "nodes1",
        // The folder of etcd's data is a file system of its own in a lab, and stays without anything in it.
        "for path in /etc/kubernetes /var/lib/etcd/* /usr/local/bin/kubelet /var/lib/kubespray; do \
         if [ -e $path ]; then find $path >&2; exit 1; fi; done",
    );
    sh(&lab, "nodes4", "! grep -q 'server '$(getent hosts nodes1 | cut -d' ' -f1)':' /etc/nginx/nginx.conf");
    has(&kubespray(folder, &lab, &["remove-node", "nodes1", "--yes"]), 0, "Nothing to do");
    has(&timed("the first control plane anew", &["scale"]), 0, "done: 4 hosts changed");
    assert_eq!(ready(&lab, "nodes1"), ["nodes1", "nodes2", "nodes3", "nodes4"]);
    assert_eq!(sh(&lab, "nodes1", "sha256sum < /etc/kubernetes/ssl/ca.crt"), authority, "it joined");
    assert_eq!(sh(&lab, "nodes2", &format!("{ETCDCTL} member list | grep -c started")), "3");

    reachable("a worker more, the first control plane less and anew", asking);

    // A worker dies for good, and with it, unannounced, what ran there. What it had is free before its node is gone.
    workload::attach(&lab, "nodes1", &site.registry, "nodes4");
    lab.kill("nodes4").unwrap();
    has(&kubespray(folder, &lab, &["remove-node", "nodes4", "--yes"]), 1, "remove-node nodes4 --dead");
    has(
        &timed("a dead worker less", &["remove-node", "nodes4", "--dead", "--yes"]),
        0,
        "done: 1 host changed",
    );
    assert_eq!(ready(&lab, "nodes1"), ["nodes1", "nodes2", "nodes3"]);
    assert_eq!(workload::attached(&lab, "nodes1"), "");
    workload::answers(&stays);
    let asking = Asking::begin(stays);

    // What is left is what the inventory without it says.
    write(&lab, folder, &["nodes1", "nodes2", "nodes3"], &[]);
    // Who is first leads again, now that the one that made the cluster is gone: it gets what a leader has.
    has(&kubespray(folder, &lab, &["cluster"]), 0, "done: 1 host changed");
    has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    has(&kubespray(folder, &lab, &["verify"]), 0, "the cluster works: ");
    reachable("without the dead one", asking);

    // What would cost the quorum is refused, and nothing is changed. Those that are left first choose who leads.
    let address = lab.hosts().iter().find(|host| host.name == "nodes3").unwrap().address;
    let lead = format!(
        "members=$({ETCDCTL} member list); {ETCDCTL} --endpoints $(echo \"$members\" | cut -d, -f5 | xargs | tr ' ' ,) \
         move-leader $(echo \"$members\" | grep {address} | cut -d, -f1)"
    );
    sh(&lab, "nodes1", &lead);
    lab.kill("nodes3").unwrap();
    let refused = kubespray(folder, &lab, &["remove-node", "nodes2", "--yes"]);
    has(&refused, 1, "etcd would lose its quorum");
}
