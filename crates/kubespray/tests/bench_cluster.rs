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

/// What a run that changes nothing, and a look at the cluster, may take.
const NO_CHANGE: Duration = Duration::from_secs(3);

/// What all that is not bytes, Kubernetes itself or waiting for it may take of a first install.
const OURS_PERCENT: f64 = 10.0;

/// Steps of ours that are named.
const MOST: usize = 12;

/// Steps of the longest way that are named, in seconds.
const LONG_S: f64 = 0.5;

/// Inventory, connections, facts, plan, report.
const AROUND: &str = "before and after the run";

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

/// Steps of one host that follow each other sooner than this have nothing between them but the way there and back.
const NEXT_MS: u64 = 250;

/// Seconds by part, on average over hosts and along the longest way, and the whole; what is ours by step.
struct Install {
    parts: BTreeMap<&'static str, f64>,
    longest_way: BTreeMap<&'static str, f64>,
    whole: f64,
    /// On average over hosts.
    ours: BTreeMap<String, f64>,
    /// Along the longest way.
    ours_on_it: BTreeMap<String, f64>,
    /// Steps that take long on the longest way, in their order: when each began, how long it took there.
    long: Vec<(String, f64, f64)>,
}

/// A step that is done, with its times since the run began.
struct Done {
    host: String,
    name: String,
    part: &'static str,
    began_ms: u64,
    ended_ms: u64,
}

/// The steps that the end of a run waited for: from the last one back, each time to the step before it on its host, or,
/// where its host was waiting, to the one of any host that ended last before it. A step that waits for others goes on
/// with what of another host ended last meanwhile: sooner it could not be over. Seconds of each step on that way, and of
/// what lies between them.
fn longest_way(done: &[Done]) -> (Vec<(&Done, f64)>, f64) {
    let (mut way, mut between) = (Vec::new(), 0.0);
    let mut at = done.iter().max_by_key(|step| step.ended_ms);
    let mut until = at.map_or(0, |step| step.ended_ms);
    while let Some(step) = at {
        let meanwhile = |other: &&Done| {
            other.host != step.host && other.ended_ms <= until && other.ended_ms > step.began_ms
        };
        let awaited = done.iter().filter(meanwhile).max_by_key(|other| other.ended_ms);
        if let Some(awaited) = awaited.filter(|_| step.part == "waiting") {
            way.push((step, (until - awaited.ended_ms) as f64 / 1000.0));
            (until, at) = (awaited.ended_ms, Some(awaited));
            continue;
        }
        let began = step.began_ms.min(until);
        way.push((step, (until.min(step.ended_ms) - began) as f64 / 1000.0));
        let before = || done.iter().filter(|other| other.ended_ms <= began && other.began_ms < began);
        let own = before().filter(|other| other.host == step.host).max_by_key(|other| other.ended_ms);
        let next = match own.filter(|own| began - own.ended_ms <= NEXT_MS) {
            Some(own) => Some(own),
            None => before().max_by_key(|other| other.ended_ms),
        };
        between += (began - next.map_or(0, |next| next.ended_ms)) as f64 / 1000.0;
        (until, at) = (next.map_or(0, |next| next.ended_ms), next);
    }
    (way, between)
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
    let mut done: Vec<Done> = Vec::new();
    for line in run.out.lines() {
        let event: Json = serde_json::from_str(line).unwrap();
        let Some(at_ms) = event["at_ms"].as_u64() else { continue };
        let began_ms = *first_ms.get_or_insert(at_ms);
        last_ms = last_ms.max(at_ms);
        if event["event"] == "step_done" {
            let step = event["step"].as_str().unwrap();
            let part = part_of(kinds[step]);
            let took_ms = event["took_ms"].as_u64().unwrap();
            let seconds = took_ms as f64 / 1000.0 / f64::from(HOSTS);
            *parts.get_mut(part).unwrap() += seconds;
            busy += seconds;
            let name = step.split_once('/').map_or(step, |(_, name)| name).to_owned();
            if part == "ours" {
                *ours.entry(name.clone()).or_default() += seconds;
            }
            let ended_ms = at_ms - began_ms;
            let host = event["host"].as_str().unwrap().to_owned();
            done.push(Done { host, name, part, began_ms: ended_ms.saturating_sub(took_ms), ended_ms });
        }
    }
    let run_s = (last_ms - first_ms.unwrap()) as f64 / 1000.0;
    *parts.get_mut("waiting").unwrap() += (run_s - busy).max(0.0);
    // Inventory, connections, facts, plan, report.
    *parts.get_mut("ours").unwrap() += whole - run_s;
    ours.insert(AROUND.into(), whole - run_s);
    let mut way: BTreeMap<&str, f64> = PARTS.into_iter().map(|part| (part, 0.0)).collect();
    let mut ours_on_it = BTreeMap::from([(AROUND.to_owned(), whole - run_s)]);
    let (steps, between) = longest_way(&done);
    let long = steps.iter().rev().filter(|(_, seconds)| *seconds >= LONG_S).map(|(step, seconds)| {
        (format!("{}/{}", step.host, step.name), step.began_ms as f64 / 1000.0, *seconds)
    });
    let long = long.collect();
    for (step, seconds) in steps {
        *way.get_mut(step.part).unwrap() += seconds;
        if step.part == "ours" {
            *ours_on_it.entry(step.name.clone()).or_default() += seconds;
        }
    }
    *way.get_mut("waiting").unwrap() += between;
    *way.get_mut("ours").unwrap() += whole - run_s;
    Install { parts, longest_way: way, whole, ours, ours_on_it, long }
}

#[test]
#[ignore = "it measures: scripts/bench-cluster"]
fn bench_a_first_install_and_a_run_without_changes() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let mut installs = Vec::new();
    let (mut no_change, mut status) = (Duration::MAX, [Duration::MAX; 2]);
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
        for one_is_gone in [false, true] {
            if one_is_gone {
                lab.kill("bench3").unwrap();
            }
            for _ in 0..3 {
                let began = Instant::now();
                let said = kubespray(folder, &lab, &["status"]);
                // Pods that a rollout disturbed may still be on their way.
                assert!([0, 1].contains(&said.code), "{}{}", said.out, said.err);
                let least = &mut status[usize::from(one_is_gone)];
                *least = began.elapsed().min(*least);
            }
        }
    }
    let [cold, warm] = &installs[..] else { panic!("two installs") };
    println!(
        "{:28}{:>10}{:>10}{:>14}{:>10}",
        "first install, seconds", "cold", "warm", "longest: cold", "warm"
    );
    for part in PARTS {
        let of = |install: &Install| (install.parts[part], install.longest_way[part]);
        let ((cold, cold_way), (warm, warm_way)) = (of(cold), of(warm));
        println!("{part:28}{cold:>10.1}{warm:>10.1}{cold_way:>14.1}{warm_way:>10.1}");
    }
    println!("{:28}{:>10.1}{:>10.1}", "whole", cold.whole, warm.whole);
    let share = |install: &Install| install.parts["ours"] / install.whole * 100.0;
    let share_of_way = |install: &Install| install.longest_way["ours"] / install.whole * 100.0;
    println!(
        "{:28}{:>9.1}%{:>9.1}%{:>13.1}%{:>9.1}%",
        "ours, of the whole",
        share(cold),
        share(warm),
        share_of_way(cold),
        share_of_way(warm)
    );
    println!("a run without changes: {:.2} s", no_change.as_secs_f64());
    let [well, one_gone] = status.map(|took| took.as_secs_f64());
    println!("`status`: {well:.2} s; {one_gone:.2} s with a host that is gone");
    println!(
        "wanted on an idle machine: ours below {OURS_PERCENT} %, a run without changes and `status` within {NO_CHANGE:?}"
    );
    for (title, ours) in [
        ("on average over hosts, cold", &cold.ours),
        ("on average over hosts, warm", &warm.ours),
        ("along the longest way, cold", &cold.ours_on_it),
    ] {
        println!("most of ours, {title}:");
        let mut ours: Vec<_> = ours.iter().collect();
        ours.sort_by(|one, other| other.1.total_cmp(one.1));
        for (step, seconds) in ours.iter().take(MOST) {
            println!("  {step:50}{seconds:>8.2}");
        }
        let rest: f64 = ours.iter().skip(MOST).map(|(_, seconds)| **seconds).sum();
        println!("  {:50}{rest:>8.2}", format!("{} others", ours.len().saturating_sub(MOST)));
    }
    println!("the longest way, cold:");
    for (step, began, seconds) in &cold.long {
        println!("  {began:>6.1} s  {step:60}{seconds:>6.1}");
    }
}

#[test]
fn a_wait_leads_to_what_it_waited_for() {
    let done = |host: &str, name: &str, part, began_ms, ended_ms| Done {
        host: host.into(),
        name: name.into(),
        part,
        began_ms,
        ended_ms,
    };
    let done = [
        done("a", "init", "services", 500, 1500),
        done("b", "join", "services", 2000, 8000),
        done("a", "trust", "ours", 1500, 3000),
        done("a", "ready", "waiting", 3000, 9000),
    ];
    let (way, between) = longest_way(&done);
    let way: Vec<(&str, f64)> = way.iter().map(|(step, seconds)| (step.name.as_str(), *seconds)).collect();
    assert_eq!((way, between), (vec![("ready", 1.0), ("join", 6.0), ("init", 1.0)], 1.0));
}
