//! A cluster of real hosts where everything that can goes wrong: one clear error each, and on to the end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use kubespray_lab::{LOCKED_PASSWORD, Lab, LabOptions, Supply};
use rustix::process::Signal;
use support::site::Programs;
use support::{Run, Running, has, kubespray, left_out, sh, site, start, write_inventory};

/// One disk of its own for what runs fetch and keep and for what the engine keeps.
const SMALL_DISK: &str = "set -e; mkdir -p /mnt/disk; mount -t tmpfs -o size=1500m tmpfs /mnt/disk
for folder in /var/lib/kubespray /var/lib/containerd /tmp; do
    mkdir -p $folder /mnt/disk$folder; chmod --reference=$folder /mnt/disk$folder
    mount --bind /mnt/disk$folder $folder
done";

/// A package as somebody installs it by hand.
const XFSPROGS: &str = "set -e; mkdir -p /root/p/DEBIAN; cd /root
printf 'Package: xfsprogs\\nVersion: 1\\nArchitecture: all\\nMaintainer: lab <lab@lab>\\nDescription: empty\\n' > p/DEBIAN/control
dpkg-deb --build p p.deb; dpkg -i p.deb";

struct Site<'s> {
    lab: &'s Lab,
    folder: &'s Path,
}

impl Site<'_> {
    fn run(&self, words: &[&str]) -> Run {
        let password = format!("ansible_become_password={LOCKED_PASSWORD}");
        kubespray(self.folder, self.lab, &[words, &["-e", &password]].concat())
    }

    fn start(&self, words: &[&str]) -> Running {
        let password = format!("ansible_become_password={LOCKED_PASSWORD}");
        start(self.folder, self.lab, &[words, &["-e", &password]].concat())
    }

    fn sh(&self, host: &str, script: &str) -> String {
        sh(self.lab, host, script)
    }

    fn everywhere(&self, script: &str) {
        for host in self.lab.hosts() {
            self.sh(&host.name, script);
        }
    }
}

/// A run that failed in one place, and says what, why, what to do, and how to go on.
fn fails(run: &Run, step: &str, why: &str, advice: &str) {
    has(run, 1, &format!("failed: {step}"));
    has(run, 1, why);
    has(run, 1, &format!("-> {advice}"));
    has(run, 1, "to go on: kubespray runs resume ");
    assert_eq!(run.out.matches("\nfailed: ").count(), 1, "{}", run.out);
    assert!(!run.out.contains(LOCKED_PASSWORD) && !run.err.contains(LOCKED_PASSWORD));
}

#[test]
fn lab_every_fault_is_one_clear_error_and_the_cluster_is_finished() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "ffault".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "locked");
    let server = site::served(&lab, &supply, folder);
    let address = server.address();
    let cluster = Site { lab: &lab, folder };
    let began = Instant::now();
    let tell = |what: &str| eprintln!("{what}: {:?}", began.elapsed());

    // A wrong password of sudo is said once for all hosts, and nothing is there of us.
    let wrong = kubespray(folder, &lab, &["cluster", "-e", "ansible_become_password=wrong"]);
    has(&wrong, 1, "ffault1: sudo does not accept the password");
    has(&wrong, 1, "the same on ffault2 and ffault3");
    has(&wrong, 1, "check the password given with `-K`");
    assert_eq!(wrong.err.matches("error[").count(), 1, "{}", wrong.err);
    cluster.everywhere("test ! -e /etc/kubernetes && test ! -e /var/lib/kubespray/journal");
    tell("wrong password");

    // A package that no source has; no host comes further, so that the next faults find their steps undone.
    cluster.everywhere("dpkg --purge --force-depends xfsprogs && mv /etc/apt/sources.list /root/");
    cluster.sh("ffault1", SMALL_DISK);
    let run = cluster.run(&["cluster", "-e", "download_retries=2"]);
    fails(
        &run,
        "system-packages/packages on ffault",
        "apt does not know one of: xfsprogs",
        "look at the sources in /etc/apt",
    );
    cluster.everywhere(XFSPROGS);
    tell("missing package");

    // The mirror is down.
    drop(server);
    let run = cluster.run(&["runs", "resume"]);
    has(&run, 1, "could not be fetched from anywhere");
    has(&run, 1, &format!("http://{address}/"));
    has(&run, 1, "onnection refused");
    has(&run, 1, "-> check that the host reaches the URLs");
    let server = site::served_again(folder, address);
    tell("mirror down");

    // A file that is not the one that was wished. A run keeps its plan, so another is made with the right checksum.
    let checksum = format!("runc_binary_checksum=sha256:{}", "ab".repeat(32));
    let run = cluster.run(&["cluster", "-e", &checksum]);
    has(&run, 1, "failed: ");
    has(&run, 1, &format!("in place of {}", "ab".repeat(32)));
    has(&run, 1, "-> the checksum in the variables does not belong to what the URLs give");
    assert_eq!(run.out.matches("\nfailed: ").count(), 1, "{}", run.out);
    cluster.sh("ffault1", "test ! -e /usr/local/bin/runc");
    tell("wrong checksum");

    // A disk is full in mid-run. What is freed includes files that were fetched and not used yet.
    let mut run = cluster.start(&["cluster"]);
    run.until("ffault1: changed containerd/containerd.service");
    cluster.sh("ffault1", "cat /dev/zero > /mnt/disk/fill || true");
    let run = run.wait();
    has(&run, 1, "failed: ffault1/");
    has(&run, 1, "no space");
    has(&run, 1, "-> free some space");
    has(&run, 1, "to go on: kubespray runs resume ");
    cluster.sh("ffault1", "rm -r /mnt/disk/fill /tmp/releases");
    tell("full disk");

    // Another program has a port of etcd.
    cluster.sh("ffault2", "systemd-run --unit=squatter socat TCP-LISTEN:2379,fork,reuseaddr /dev/null");
    let run = cluster.run(&["runs", "resume"]);
    fails(&run, "ffault2/etcd/running", "another program has a port that it needs", "`ss -ltnp`");
    has(&run, 1, ":2379: bind: address already in use");
    cluster.sh("ffault2", "systemctl stop squatter");
    tell("port taken");

    // A host is cut off in mid-run, and the operator stops.
    let mut run = cluster.start(&["runs", "resume"]);
    run.until("ffault1: changed control-plane/init");
    lab.partition("ffault3").unwrap();
    run.until("ffault3: no connection");
    run.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(500));
    lab.heal("ffault3").unwrap();
    let run = run.wait();
    has(&run, 1, "failed: ffault3\n");
    has(&run, 1, "`ffault3` has not answered for ");
    has(&run, 1, "-> bring it back, then go on");
    has(&run, 1, "to go on: kubespray runs resume ");
    tell("partition");

    has(&cluster.run(&["runs", "resume"]), 0, "done: 3 hosts changed");
    has(&cluster.run(&["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    has(&cluster.run(&["verify"]), 0, "the cluster works: ");
    tell("all is well");
    drop(server);
}
