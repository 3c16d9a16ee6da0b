//! A system that is upgraded and booted anew, on a real host.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::time::{Duration, Instant};

use kubespray_lab::{Lab, LabOptions};
use rustix::process::Signal;
use support::{has, kubespray, left_out, sh, start, write_inventory};

/// An empty package in a source of the host's own; the version is the first argument.
const OFFER: &str = "
set -e
mkdir -p /srv/repo/hello/DEBIAN && cd /srv/repo
printf 'Package: hello\\nVersion: %s\\nArchitecture: all\\nMaintainer: Sample <root@localhost>\\nDescription: sample\\n' $1 \
    > hello/DEBIAN/control
dpkg-deb --build --root-owner-group hello hello.deb >/dev/null
{ cat hello/DEBIAN/control; echo 'Filename: ./hello.deb'; echo \"Size: $(stat -c %s hello.deb)\"
  echo \"SHA256: $(sha256sum < hello.deb | cut -d' ' -f1)\"; echo; } > Packages
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
rm -f /etc/apt/sources.list.d/*
";

/// A host of a lab boots in seconds, on a busy machine in more of them.
const BOOT: Duration = Duration::from_mins(2);

/// Every boot leaves a line.
const COUNT: &str = "
cat > /etc/systemd/system/count.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo boot >> /srv/boots'
[Install]
WantedBy=multi-user.target
END
systemctl enable -q count.service
";

const DOCUMENT: &str = "
name: systems
steps:
  - name: packages
    hosts: all
    rollout: hosts
    disruption: restart
    notifies: [reboot]
    resource: {system_upgrade: {manager: apt, autoclean: true, lock_timeout_s: 60}}
  - name: reboot
    hosts: all
    rollout: hosts
    disruption: reboot
    resource: {reboot: {undrained: there is no cluster, timeout_s: 120}}
  - name: login
    hosts: all
    rollout: hosts
    resource: {check: {name: the host lets people in, probe: {unit: ssh.service}, timeout_s: 60, interval_ms: 200}}
  - name: behind
    hosts: all
    rollout: hosts
    resource: {file: {path: /srv/behind, mode: '0644', owner: {user: root, group: root}, content: {text: done}}}
rollouts:
  hosts: {hosts: all, max_unavailable: 1}
";

#[test]
fn lab_a_system_is_upgraded_and_booted_once_whoever_is_killed() {
    if left_out() {
        return;
    }
    let lab = Lab::up(&LabOptions { name: "po".into(), hosts: 1 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let host = lab.hosts().into_iter().next().unwrap().name;
    let offer = |version: &str| _ = sh(&lab, &host, &format!("set -- {version}{OFFER}"));
    offer("1.0");
    sh(
        &lab,
        &host,
        &format!("apt-get -q update && apt-get -q -y install hello && ls /var/lib/dpkg >/dev/null; {COUNT}"),
    );
    offer("2.0");
    std::fs::write(folder.join("systems.yaml"), DOCUMENT).unwrap();

    // The plan tells what becomes of which package; lists were not fetched since it was offered.
    let plan = kubespray(folder, &lab, &["plan", "resources", "systems.yaml"]);
    has(&plan, 0, "hello: 1.0 -> 2.0");
    has(&plan, 0, "~ reboot, with the pods of the node: there is no cluster  [reboot]");

    // To be cut off by the boot is no failure; a controller that is killed meanwhile is gone on for.
    let mut run = start(folder, &lab, &["resources", "systems.yaml"]);
    run.until("it is booted anew, as planned");
    run.signal(Signal::KILL);
    run.wait();
    // The only host that keeps the run is the one that boots.
    let began = Instant::now();
    while kubespray(folder, &lab, &["ping"]).code != 0 {
        assert!(began.elapsed() < BOOT, "it does not come back");
        std::thread::sleep(Duration::from_millis(500));
    }
    let resumed = kubespray(folder, &lab, &["runs", "resume"]);
    has(&resumed, 0, "done: 1 host changed");
    assert_eq!(sh(&lab, &host, "cat /srv/behind; dpkg-query -Wf '${Version}' hello"), "done2.0");
    assert_eq!(sh(&lab, &host, "cat /srv/boots"), "boot");

    has(&kubespray(folder, &lab, &["resources", "systems.yaml"]), 0, "Nothing to do: 1 host as wished.");
    assert_eq!(sh(&lab, &host, "cat /srv/boots"), "boot", "nothing is booted for nothing");

    // A controller that lives waits for the host by itself.
    offer("3.0");
    sh(&lab, &host, "rm /srv/behind /var/lib/kubespray/lists-fetched");
    let run = kubespray(folder, &lab, &["resources", "systems.yaml"]);
    has(&run, 0, "done: 1 host changed");
    has(&run, 0, "it is booted anew, as planned");
    assert!(!run.out.contains("failed reboot"), "{}", run.out);
    assert_eq!(sh(&lab, &host, "cat /srv/behind; dpkg-query -Wf '${Version}' hello"), "done3.0");
    assert_eq!(sh(&lab, &host, "cat /srv/boots"), "boot\nboot");
}
