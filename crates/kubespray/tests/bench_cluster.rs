//! Where the time of a first install goes, and how long a run takes that finds nothing to do: `scripts/bench-cluster`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use kubespray_lab::{Lab, LabOptions, Supply};
use serde_json::Value as Json;
use support::site::Programs;
use support::{has, json, kubespray, left_out, site, write_inventory};

const HOSTS: u8 = 3;

/// What a run that changes nothing may take.
const NO_CHANGE: Duration = Duration::from_secs(3);

/// What all that is not bytes, Kubernetes itself or waiting for it may take of a first install.
const OURS_PERCENT: f64 = 10.0;

/// Steps of ours that are named.
const MOST: usize = 8;

/// What is done with time, in the order of the table.
const PARTS: [&str; 4] = ["bytes", "services", "waiting", "ours"];

/// What a step of this kind of resource does with its time.
fn part_of(kind: &str) -> &'static str {
    match kind {
        "download" | "image" => "bytes",
        // kubeadm, etcd and everything else that systemd starts.
        "kubeadm" | "unit" | "etcd_member" | "etcd_snapshot" => "services",
        "check" | "etcd_health" => "waiting",
        _ => "ours",
    }
}

/// Seconds by part, on average over hosts, and the whole; what is ours by step.
struct Install {
    parts: BTreeMap<&'static str, f64>,
    whole: f64,
    ours: BTreeMap<String, f64>,
}

/// Installs, and tells the time of each step by what the run itself says. What no step of a host takes is waiting for
/// steps of others.
fn install(lab: &Lab, folder: &Path) -> Install {
    let plan = json(&kubespray(folder, lab, &["plan", "cluster", "--output", "json"]));
    let steps = plan["steps"].as_array().unwrap().iter();
    let kinds: BTreeMap<&str, &str> = steps
        .map(|step| {
            let kind = step["resource"].as_object().and_then(|resource| resource.keys().next()).unwrap();
            (step["id"].as_str().unwrap(), kind.as_str())
        })
        .collect();
    let began = Instant::now();
    let run = kubespray(folder, lab, &["cluster", "--no-verify", "--output", "json"]);
    let whole = began.elapsed().as_secs_f64();
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let mut parts: BTreeMap<&str, f64> = PARTS.into_iter().map(|part| (part, 0.0)).collect();
    let mut ours: BTreeMap<String, f64> = BTreeMap::new();
    let (mut first_ms, mut last_ms, mut busy) = (None, 0, 0.0);
    for line in run.out.lines() {
        let event: Json = serde_json::from_str(line).unwrap();
        let Some(at_ms) = event["at_ms"].as_u64() else { continue };
        first_ms.get_or_insert(at_ms);
        last_ms = last_ms.max(at_ms);
        if event["event"] == "step_done" {
            let step = event["step"].as_str().unwrap();
            let part = part_of(kinds[step]);
            let seconds = event["took_ms"].as_f64().unwrap() / 1000.0 / f64::from(HOSTS);
            *parts.get_mut(part).unwrap() += seconds;
            busy += seconds;
            if part == "ours" {
                let name = step.split_once('/').map_or(step, |(_, name)| name);
                *ours.entry(name.to_owned()).or_default() += seconds;
            }
        }
    }
    let run_s = (last_ms - first_ms.unwrap()) as f64 / 1000.0;
    *parts.get_mut("waiting").unwrap() += (run_s - busy).max(0.0);
    // Inventory, connections, facts, plan, report.
    *parts.get_mut("ours").unwrap() += whole - run_s;
    ours.insert("before and after the run".into(), whole - run_s);
    Install { parts, whole, ours }
}

#[test]
#[ignore = "it measures: scripts/bench-cluster"]
fn bench_a_first_install_and_a_run_without_changes() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let mut installs = Vec::new();
    let mut no_change = Duration::MAX;
    for warm in [false, true] {
        let lab = Lab::up(&LabOptions { name: "bench".into(), hosts: HOSTS }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_inventory(&lab, folder, "lab");
        let _server = site::served(&lab, &supply, folder);
        if warm {
            let tags = "bootstrap_os,preinstall,container-engine,download";
            has(&kubespray(folder, &lab, &["cluster", "--tags", tags]), 0, "done: 3 hosts changed");
        }
        installs.push(install(&lab, folder));
        for _ in 0..3 {
            let began = Instant::now();
            has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
            no_change = no_change.min(began.elapsed());
        }
    }
    let [cold, warm] = &installs[..] else { panic!("two installs") };
    println!("{:24}{:>10}{:>10}", "first install, seconds", "cold", "warm");
    for part in PARTS {
        println!("{part:24}{:>10.1}{:>10.1}", cold.parts[part], warm.parts[part]);
    }
    println!("{:24}{:>10.1}{:>10.1}", "whole", cold.whole, warm.whole);
    let share = |install: &Install| install.parts["ours"] / install.whole * 100.0;
    println!("{:24}{:>9.1}%{:>9.1}%", "ours, of the whole", share(cold), share(warm));
    println!("a run without changes: {:.2} s", no_change.as_secs_f64());
    println!(
        "wanted on an idle machine: ours below {OURS_PERCENT} %, a run without changes within {NO_CHANGE:?}"
    );
    println!("most of ours, cold:");
    let mut ours: Vec<_> = cold.ours.iter().collect();
    ours.sort_by(|one, other| other.1.total_cmp(one.1));
    for (step, seconds) in ours.iter().take(MOST) {
        println!("  {step:38}{seconds:>8.1}");
    }
}
