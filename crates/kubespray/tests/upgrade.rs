//! Upgrades of real hosts, with a workload that must stay reachable.
//!
//! With `KUBESPRAY_LAB_UPGRADES` (folders of real programs, one for each version, with `:` between them) it goes over
//! these versions; else doubles go over a minor version and a patch.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::net::Ipv4Addr;
use std::time::Instant;

use kubespray_lab::{Lab, LabOptions, Supply};
use serde_json::Value as Json;
use support::site::{Programs, choose, serving};
use support::workload::{self, Asking};
use support::{Run, has, kubespray, left_out, sh, write_inventory};

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

/// Names and versions of all nodes that are ready and take pods.
fn nodes(lab: &Lab, host: &str) -> Vec<String> {
    let text = sh(lab, host, &format!("{KUBECTL} get nodes -o json"));
    let list: Json = serde_json::from_str(&text).unwrap();
    let is_open = |node: &&Json| {
        let conditions = node["status"]["conditions"].as_array().unwrap().iter();
        let is_ready = conditions.clone().any(|one| one["type"] == "Ready" && one["status"] == "True");
        is_ready && node["spec"]["unschedulable"] != true
    };
    let mut out: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(is_open)
        .map(|node| {
            let text = |pointer: &str| node.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
            format!("{} {}", text("/metadata/name"), text("/status/nodeInfo/kubeletVersion"))
        })
        .collect();
    out.sort();
    out
}

/// From when to when kube-proxy was replaced, in milliseconds since 1970. Its double passes connections on itself, so
/// that ports of nodes are away while its pod is made anew; the real one leaves its rules in the kernel.
fn proxies_replaced(run: &Run) -> (u64, u64) {
    let events: Vec<Json> = run.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let at = |event: &str, end: &str| {
        let is = |one: &&Json| {
            one["event"] == event && one["step"].as_str().is_some_and(|step| step.ends_with(end))
        };
        events.iter().find(is).and_then(|one| one["at_ms"].as_u64()).unwrap_or_default()
    };
    (at("step_started", "kube-proxy/pods"), at("step_done", "kube-proxy/rolled-out-daemonset-kube-proxy"))
}

#[test]
fn lab_a_cluster_is_raised_under_a_workload() {
    if left_out() {
        return;
    }
    let programs = Programs::in_turn(&["v1.35.4", "v1.36.2", "v1.36.3"]);
    let is_doubled = programs.iter().all(|programs| matches!(programs, Programs::Doubles(_)));
    let supplies: Vec<Supply> =
        programs.iter().map(|programs| Supply::make(&programs.folders()).unwrap()).collect();
    let lab = Lab::up(&LabOptions { name: "uplab".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let (_server, site) = serving(&lab, &supplies.iter().collect::<Vec<_>>(), folder);
    choose(&site, &supplies[0], folder);
    has(&kubespray(folder, &lab, &["cluster"]), 0, "done: 3 hosts changed");

    let first = &lab.hosts()[0].name;
    let addresses: Vec<Ipv4Addr> = lab.hosts().iter().map(|host| host.address).collect();
    workload::begin(&lab, first, &site.registry, &addresses);

    for supply in &supplies[1..] {
        choose(&site, supply, folder);
        let version = supply.version("kubelet").unwrap();
        // Nobody puts another version under running pods by mistake.
        has(
            &kubespray(folder, &lab, &["cluster"]),
            1,
            "`kubespray upgrade-cluster` goes from one version to another",
        );
        let plan = kubespray(folder, &lab, &["plan", "upgrade-cluster"]);
        has(&plan, 0, "drain: uplab1, uplab2 and uplab3");
        let asking = Asking::begin(addresses.clone());
        let began = Instant::now();
        let run = kubespray(folder, &lab, &["upgrade-cluster", "--output", "json"]);
        let took = began.elapsed();
        let (asked, failed) = asking.end();
        eprintln!("to {version}: {took:?}, {asked} requests, {} failed: {failed:#?}", failed.len());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        let expected: Vec<String> =
            lab.hosts().iter().map(|host| format!("{} v{version}", host.name)).collect();
        assert_eq!(nodes(&lab, first), expected);
        let (from, until) = if is_doubled { proxies_replaced(&run) } else { (0, 0) };
        let outside: Vec<_> = failed.iter().filter(|(at, _)| *at + 500 < from || *at > until).collect();
        assert!(outside.is_empty(), "outside of {from} to {until}: {outside:#?}");
        has(&kubespray(folder, &lab, &["upgrade-cluster"]), 0, "Nothing to do: 3 hosts as wished.");
        has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    }
    // Back is no way.
    choose(&site, &supplies[0], folder);
    has(&kubespray(folder, &lab, &["upgrade-cluster"]), 1, "Kubernetes cannot go back");
}
