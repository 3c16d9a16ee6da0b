//! An operation of 300 resources of all kinds on each of three real hosts.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kubespray_lab::{Lab, LabOptions};
use kubespray_simulator::{Reach, sample};
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use support::{has, kubespray, left_out, sh, start, write_inventory};

/// A second run over three hosts takes less, connections included; a debug build on a busy machine gets more time.
const SECOND_RUN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 6_000 } else { 1_500 });

/// A tiny package from a source of the host's own, for hosts without a mirror.
const PACKAGE: &str = "
set -e
mkdir -p /srv/repo/hello/DEBIAN && cd /srv/repo
printf 'Package: hello\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: Sample <root@localhost>\\nDescription: sample\\n' \
    > hello/DEBIAN/control
dpkg-deb --build --root-owner-group hello hello.deb >/dev/null
{ cat hello/DEBIAN/control; echo 'Filename: ./hello.deb'; echo \"Size: $(stat -c %s hello.deb)\"
  echo \"SHA256: $(sha256sum < hello.deb | cut -d' ' -f1)\"; echo; } > Packages
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
rm -f /etc/apt/sources.list.d/*
";

/// The sample as a document: its hosts wish the same, but for their names.
fn document(hosts: &[&str]) -> String {
    let sample = sample(hosts, 300, Reach::All);
    let mut known = BTreeSet::new();
    let mut steps: Vec<Json> = Vec::new();
    for step in &sample.wishes.steps {
        let name = step.id.as_str().split_once('/').unwrap().1.to_owned();
        let is_own = name.ends_with("/hostname");
        if !is_own && !known.insert(name.clone()) {
            continue;
        }
        steps.push(json!({
            "name": if is_own { format!("{name}-{}", step.host) } else { name },
            "hosts": if is_own { &step.host } else { "all" },
            "component": step.component,
            "phase": step.phase,
            "resource": step.resource,
            "gates": step.gates,
            "notifies": step.notifies,
            "disruption": step.disruption,
            "rollout": step.rollout,
        }));
    }
    let gate = |step: &str, needs: &str| json!({"step": step, "needs": needs});
    let document = json!({
        "name": "sample",
        "steps": steps,
        "rollouts": {"member": {"hosts": "all"}, "worker": {"hosts": "all", "max_unavailable": 2, "canaries": 1}},
        "gates": {"most-members": gate("member/check", "majority"), "all-workers": gate("worker/check", "all")},
    });
    // Hosts of a lab share the kernel, which can load no modules: one that is built in.
    document
        .to_string()
        .replace("{secret:sample-", "{secret:sample_")
        .replace("\"name\":\"dummy\"", "\"name\":\"overlay\"")
}

#[test]
fn lab_three_hundred_resources_of_all_kinds() {
    if left_out() {
        return;
    }
    let lab = Lab::up(&LabOptions { name: "sample".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let names: Vec<String> = lab.hosts().into_iter().map(|host| host.name).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let text = document(&hosts);
    let kinds: BTreeSet<String> = serde_json::from_str::<Json>(&text).unwrap()["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["resource"].as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    assert!(kinds.len() >= 20, "{kinds:?}");
    std::fs::write(folder.join("sample.json"), text).unwrap();
    for host in &hosts {
        sh(&lab, host, PACKAGE);
    }
    let secrets = ["-e", "sample_token=s3cr3t-t0k3n", "-e", "sample_password=c0rr3ct-h0rs3"];
    let with = |arguments: &[&str]| kubespray(folder, &lab, &[arguments, &secrets].concat());

    // A run that is killed at many points, the first time it runs.
    let kills: u64 = std::env::var("KUBESPRAY_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let mut run = start(folder, &lab, &[&["resources", "sample.json"][..], &secrets].concat());
    run.until("created ");
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(61 * (kill * kill) % 700));
        run.signal(Signal::KILL);
        run.wait();
        run = start(folder, &lab, &[&["runs", "resume"][..], &secrets].concat());
        if !run.said_before_its_end("going on with resources") {
            break;
        }
    }
    has(&run.wait(), 0, "done");

    // Nothing is left to do, and that is found quickly.
    let began = Instant::now();
    let second = with(&["resources", "sample.json"]);
    let took = began.elapsed();
    eprintln!("a second run of 3 x 300 resources: {} ms", took.as_millis());
    has(&second, 0, "Nothing to do: 3 hosts as wished.");
    assert!(took < SECOND_RUN, "{took:?}");
    let mut pictures = BTreeSet::new();
    for host in &hosts {
        pictures.insert(sh(
            &lab,
            host,
            "cd /opt/sample && find . -type f | sort | xargs sha256sum | sha256sum",
        ));
        assert_eq!(
            sh(&lab, host, "cat /opt/sample/done; dpkg-query -Wf '${Version}' hello"),
            "s3cr3t-t0k3n1.0"
        );
    }
    assert_eq!(pictures.len(), 1, "all hosts end alike");

    // One file, one service and one kernel parameter are changed behind our back; just they are mended.
    let mut spoil = String::new();
    let _ = write!(spoil, "echo spoilt >> /opt/sample/etc/input.conf; systemctl stop sample-worker; ");
    let _ = write!(spoil, "sysctl -qw net.ipv4.tcp_keepalive_time=60");
    sh(&lab, hosts[1], &spoil);
    let plan = with(&["plan", "resources", "sample.json", "--detailed-exitcode"]);
    has(&plan, 2, "on 1 of 3 hosts");
    has(&plan, 2, "-spoilt");
    has(&with(&["resources", "sample.json"]), 0, "done: 1 host changed");
    has(&with(&["plan", "resources", "sample.json", "--detailed-exitcode"]), 0, "Nothing to do");
    let shown = kubespray(folder, &lab, &["runs", "show", "--output", "json"]);
    assert!(!shown.out.contains("s3cr3t") && !shown.out.contains("c0rr3ct"));
}
