//! Clusters of real hosts with real programs, from an air-gapped site.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::time::Instant;

use kubespray_lab::{LOCKED_PASSWORD, Lab, LabOptions, Supply};
use support::{has, kubespray, left_out, sh, site, write_inventory};

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

#[test]
fn lab_a_cluster_is_made_once() {
    let Some(programs) = site::programs().filter(|_| !left_out()) else { return };
    let supply = Supply::make(&programs).unwrap();
    let lab = Lab::up(&LabOptions { name: "cluster".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "locked");
    let _server = site::served(&lab, &supply, folder);
    let password = format!("ansible_become_password={LOCKED_PASSWORD}");
    let cluster = |what: &[&str]| kubespray(folder, &lab, &[what, &["-e", &password]].concat());

    let began = Instant::now();
    let first = cluster(&["cluster"]);
    eprintln!("a cluster of three bare hosts: {:?}", began.elapsed());
    has(&first, 0, "done: 3 hosts changed");
    assert!(!first.out.contains(LOCKED_PASSWORD) && !first.err.contains(LOCKED_PASSWORD));
    let nodes = sh(&lab, "cluster1", &format!("{KUBECTL} get nodes --no-headers"));
    assert_eq!(
        nodes.lines().filter(|node| node.split_whitespace().nth(1) == Some("Ready")).count(),
        3,
        "{nodes}"
    );
    // Names of the cluster, through the pods of one host, from all others.
    for host in lab.hosts() {
        let found = sh(&lab, &host.name, "getent hosts kubernetes.default.svc.cluster.local");
        assert!(found.starts_with("10.233.0.1 "), "{}: {found}", host.name);
    }

    let began = Instant::now();
    has(&cluster(&["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    eprintln!("a second run: {:?}", began.elapsed());
}
