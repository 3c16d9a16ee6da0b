//! `kubespray verify` over a real host that has no cluster yet.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;

use kubespray_lab::{Lab, LabOptions};
use support::{has, json, kubespray, left_out, sh, write_inventory};

#[test]
fn lab_a_bare_host_fails_with_reasons_and_stays_as_it_is() {
    if left_out() {
        return;
    }
    let lab = Lab::up(&LabOptions { name: "verify".into(), hosts: 1 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let name = lab.hosts()[0].name.clone();
    let picture =
        || sh(&lab, &name, "find /etc /usr/local /var/lib/kubespray -newer /proc/1/cmdline -type f | sort");
    let with = |arguments: &[&str]| kubespray(folder, &lab, &[&["verify"], arguments].concat());

    let some = with(&["host-answers", "CHK-075"]);
    has(&some, 0, "the cluster works: 2 assertions, 0 failed");
    has(&some, 0, "the host answers (1 of 1)");
    let before = picture();

    let all = with(&["--wait", "0", "--output", "json"]);
    assert_eq!(all.code, 1, "{}{}", all.out, all.err);
    let told = json(&all);
    let mut verdicts: BTreeMap<String, (bool, String)> = BTreeMap::new();
    for verdict in told["assertions"].as_array().unwrap() {
        let text = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        let holds = verdict["holds"].as_bool().unwrap();
        assert_eq!(holds, text("problem").is_empty(), "{verdict}");
        assert!(text("ids").starts_with("CHK-") && !text("what").is_empty(), "{verdict}");
        verdicts.insert(text("name"), (holds, text("problem")));
    }
    assert_eq!(
        told["failed"].as_u64().unwrap() as usize,
        verdicts.values().filter(|(holds, _)| !holds).count()
    );
    assert!(verdicts["host-answers"].0 && verdicts["clocks"].0);
    let held: Vec<&String> = verdicts.iter().filter(|(_, (holds, _))| *holds).map(|(name, _)| name).collect();
    assert_eq!(held, ["clocks", "host-answers"], "nothing else can hold on a bare host");
    for (name, part) in [
        ("nodes", "there is no cluster yet: no `/etc/kubernetes/admin.conf`"),
        ("kubelet", "`kubelet.service` is inactive"),
        ("certificates", "/etc/kubernetes/admin.conf` is not there"),
        ("programs", "no program `/usr/local/bin/"),
        ("drift", "`kubespray cluster` would do "),
    ] {
        assert!(verdicts[name].1.contains(part), "{name}: {}", verdicts[name].1);
    }

    let one_reason = with(&["nodes", "requests", "--wait", "0"]);
    has(&one_reason, 1, "the cluster does not work: 2 assertions, 2 failed");
    has(&one_reason, 1, "it also fails `requests`: no request for a certificate waits or was denied");
    assert_eq!(one_reason.err.matches("there is no cluster yet").count(), 1, "{}", one_reason.err);

    // What is not true yet is waited for, no longer than it may take.
    let waited = with(&["kubelet", "--wait", "1"]);
    has(&waited, 1, "waiting for what is not true yet: kubelet");
    has(&waited, 1, "the cluster does not work: 1 assertion, 1 failed");
    assert_eq!(picture(), before, "nothing is changed");
}
