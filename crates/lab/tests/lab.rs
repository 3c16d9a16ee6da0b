//! A lab of three real hosts. Left out, with the reason, where a machine cannot have one; a failure there when
//! `KUBESPRAY_REQUIRE_LAB` is 1.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use kubespray_lab::{LOCKED_PASSWORD, Lab, LabError, LabOptions};

/// Whether tests with hosts are left out here.
fn left_out() -> bool {
    let Some(reason) = Lab::missing() else { return false };
    assert!(std::env::var_os("KUBESPRAY_REQUIRE_LAB").is_none_or(|value| value != "1"), "{reason}");
    eprintln!("left out: {reason}");
    true
}

fn up(name: &str, hosts: u8) -> Lab {
    Lab::up(&LabOptions { name: name.to_owned(), hosts }).unwrap()
}

/// What a command that must succeed prints.
fn output(lab: &Lab, host: &str, command: &str) -> String {
    let output = lab.exec(host, &["sh", "-c", command]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} on {host}: {} {said}", output.status);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn succeeds(lab: &Lab, host: &str, command: &str) -> bool {
    lab.exec(host, &["sh", "-c", command]).unwrap().status.success()
}

fn of_machine(program: &str, arguments: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(arguments).output().unwrap().stdout).unwrap()
}

/// Everything on the machine that carries the name of a lab or its bridge.
fn traces(name: &str, bridge: &str) -> Vec<String> {
    let mut found = Vec::new();
    let host = format!("kubespray-lab-{name}.");
    let folder = format!("/labs/{name}/");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let everything = [
        ("mount", mounts),
        ("namespace", of_machine("ip", &["netns"])),
        ("link", of_machine("ip", &["-o", "link"])),
        ("rule", of_machine("ip", &["rule"])),
        ("cgroup", of_machine("find", &["/sys/fs/cgroup", "-name", &format!("{host}*")])),
        ("process", of_machine("ps", &["-ww", "-e", "-o", "args"])),
    ];
    for (kind, text) in everything {
        let ours =
            text.lines().filter(|line| [&host, &folder, bridge].iter().any(|word| line.contains(*word)));
        found.extend(ours.filter(|line| !line.contains("find /sys")).map(|line| format!("{kind}: {line}")));
    }
    found
}

/// The lab's bridge, as the machine's routes name it.
fn bridge(lab: &Lab) -> String {
    let route = of_machine("ip", &["-o", "route", "get", &lab.hosts()[0].address.to_string()]);
    route.split_whitespace().skip_while(|word| *word != "dev").nth(1).unwrap().to_owned()
}

#[test]
fn three_hosts() {
    if left_out() {
        return;
    }
    let start = Instant::now();
    let lab = up("three", 3);
    eprintln!("three hosts were ready after {:?}", start.elapsed());
    let names: Vec<String> = lab.hosts().into_iter().map(|host| host.name).collect();
    assert_eq!(names, ["three1", "three2", "three3"]);

    for (host, other) in [("three1", "three2"), ("three2", "three3"), ("three3", "three1")] {
        assert_eq!(output(&lab, host, "hostname"), host);
        assert!(!succeeds(&lab, host, "command -v python3 || command -v python"), "{host} has Python");
        assert_eq!(output(&lab, host, "systemctl is-system-running"), "running");
        let transient = "sudo systemd-run --quiet --wait --pipe sh -c 'echo from a unit'";
        assert_eq!(output(&lab, host, transient), "from a unit");
        assert!(succeeds(&lab, host, &format!("sudo ping -c 1 -W 2 {other}")), "{host} reaches {other}");
        assert_eq!(output(&lab, host, "findmnt -n -o PROPAGATION /"), "shared");
        assert!(succeeds(&lab, host, "sudo modprobe no_such_module"));
    }
    arguments_arrive_as_they_are(&lab);
    host_keys_are_verified(&lab);
    sudo_may_ask_for_a_password(&lab);
    the_machine_keeps_its_settings(&lab);
    nothing_goes_outside(&lab);
    cgroups_are_apart(&lab);
    a_cable_can_be_pulled(&lab);
    power_can_be_lost(&lab);

    let bridge = bridge(&lab);
    assert!(traces("three", &bridge).len() > 10, "{:?}", traces("three", &bridge));
    lab.down().unwrap();
    assert_eq!(traces("three", &bridge), Vec::<String>::new());
    assert!(!Lab::list().contains(&"three".to_owned()));
}

fn arguments_arrive_as_they_are(lab: &Lab) {
    let words = ["printf", "%s|", "a b", "it's", "$HOME", "", "*"];
    let output = lab.exec("three1", &words).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a b|it's|$HOME||*|");
}

fn host_keys_are_verified(lab: &Lab) {
    let known = fs::read_to_string(lab.known_hosts()).unwrap();
    assert_eq!(known.lines().count(), 3);
    // The second host answers with its own key where the first one's is expected.
    let address = format!("HostName={}", lab.hosts()[1].address);
    let output = Command::new("ssh")
        .arg("-F")
        .arg(lab.ssh_config())
        .args(["-o", "BatchMode=yes", "-o", "HostKeyAlias=three1", "-o", &address, "three1", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Host key verification failed"));
}

fn sudo_may_ask_for_a_password(lab: &Lab) {
    let locked = |command: &str| {
        let config = lab.ssh_config();
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(config).args(["-o", "BatchMode=yes", "-l", "locked", "three1", command]);
        ssh.output().unwrap()
    };
    assert!(!locked("sudo -n true").status.success());
    let with_password = locked(&format!("echo {LOCKED_PASSWORD} | sudo -S -p '' id -u"));
    assert_eq!(String::from_utf8_lossy(&with_password.stdout).trim(), "0");
    assert_eq!(output(lab, "three1", "sudo -n id -u"), "0");
}

/// Asks the machine's routing what it would do with a packet of the host, if it forwarded such packets at all.
fn nothing_goes_outside(lab: &Lab) {
    let (host, bridge) = (lab.hosts()[0].address.to_string(), bridge(lab));
    fs::write(format!("/proc/sys/net/ipv4/conf/{bridge}/forwarding"), "1").unwrap();
    let words = ["route", "get", "198.51.100.1", "from", &host, "iif", &bridge];
    let output = Command::new("ip").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("Permission denied"), "{said}");
}

fn the_machine_keeps_its_settings(lab: &Lab) {
    for (setting, value) in
        [("kernel/pid_max", "54321"), ("vm/overcommit_memory", "1"), ("fs/inotify/max_user_watches", "54321")]
    {
        let path = format!("/proc/sys/{setting}");
        let before = fs::read_to_string(&path).unwrap();
        let of_other = output(lab, "three2", &format!("cat {path}"));
        output(lab, "three1", &format!("sudo sysctl -w {setting}={value}"));
        assert_eq!(output(lab, "three1", &format!("cat {path}")), value);
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert_eq!(output(lab, "three2", &format!("cat {path}")), of_other);
    }
    // Settings of the network are the host's own, and real.
    let forward = "/proc/sys/net/ipv4/conf/all/rp_filter";
    let before = fs::read_to_string(forward).unwrap();
    output(lab, "three1", &format!("echo 2 | sudo tee {forward}"));
    assert_eq!(output(lab, "three1", &format!("cat {forward}")), "2");
    assert_eq!(fs::read_to_string(forward).unwrap(), before);
}

fn cgroups_are_apart(lab: &Lab) {
    // The hierarchy of processes there is on every machine.
    let pids = "d=/sys/fs/cgroup/pids; [ -d $d ] || d=/sys/fs/cgroup";
    output(lab, "three1", &format!("{pids}; sudo mkdir $d/kubepods"));
    assert!(succeeds(lab, "three1", &format!("{pids}; test -f $d/kubepods/cgroup.procs")));
    assert!(!succeeds(lab, "three2", &format!("{pids}; test -d $d/kubepods")));
}

fn a_cable_can_be_pulled(lab: &Lab) {
    lab.partition("three2").unwrap();
    assert_eq!(lab.exec("three2", &["true"]).unwrap().status.code(), Some(255));
    assert!(!succeeds(lab, "three1", "sudo ping -c 1 -W 1 three2"));
    assert!(lab.is_running("three2").unwrap());
    lab.heal("three2").unwrap();
    assert!(succeeds(lab, "three1", "sudo ping -c 3 -W 2 three2"));
    assert_eq!(output(lab, "three2", "hostname"), "three2");

    match lab.delay("three2", 200, 0) {
        Ok(()) => {
            let start = Instant::now();
            output(lab, "three2", "true");
            assert!(start.elapsed() > Duration::from_millis(400));
            lab.delay("three2", 0, 0).unwrap();
        }
        Err(LabError::NoNetem { problem }) => eprintln!("left out: delays ({})", problem.trim()),
        Err(error) => panic!("{error}"),
    }
    assert!(matches!(lab.partition("three9"), Err(LabError::NoHost { .. })));
}

fn power_can_be_lost(lab: &Lab) {
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    output(lab, "three3", "echo kept | sudo tee /etc/kept /var/lib/etcd/kept && sync");
    let first = output(lab, "three3", boot_id);
    for _ in 0..3 {
        lab.kill("three3").unwrap();
        assert!(!lab.is_running("three3").unwrap());
        assert_eq!(lab.exec("three3", &["true"]).unwrap().status.code(), Some(255));
        lab.boot("three3").unwrap();
        assert_eq!(output(lab, "three3", "cat /etc/kept /var/lib/etcd/kept"), "kept\nkept");
    }
    let second = output(lab, "three3", boot_id);
    assert_ne!(first, second);
    lab.reboot("three3").unwrap();
    let third = output(lab, "three3", boot_id);
    assert_ne!(second, third);

    // A host that reboots itself comes back by itself.
    let _ = lab.exec("three3", &["sudo", "systemctl", "reboot"]).unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let output = lab.exec("three3", &["cat", "/proc/sys/kernel/random/boot_id"]).unwrap();
        if output.status.success() && String::from_utf8_lossy(&output.stdout).trim() != third {
            break;
        }
        assert!(Instant::now() < until, "three3 does not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(output(lab, "three3", "cat /etc/kept"), "kept");
}

#[test]
fn labs_live_beside_each_other_and_leftovers_are_cleared() {
    if left_out() {
        return;
    }
    let one = up("one", 1);
    let mut two = up("two", 1);
    assert_ne!(bridge(&one), bridge(&two));
    assert_eq!(output(&one, "one1", "hostname"), "one1");
    let busy = Lab::up(&LabOptions { name: "one".to_owned(), hosts: 1 });
    assert!(matches!(busy, Err(LabError::InUse { .. })));

    // A process that was killed leaves its lab up; another can use it, and the next of this name replaces it.
    output(&two, "two1", "echo old | sudo tee /etc/old");
    two.keep();
    drop(two);
    let opened = Lab::open("two").unwrap();
    assert_eq!(output(&opened, "two1", "cat /etc/old"), "old");
    let two = up("two", 1);
    assert!(!succeeds(&two, "two1", "test -e /etc/old"));

    let bridges = [bridge(&one), bridge(&two)];
    drop(two);
    assert_eq!(output(&one, "one1", "hostname"), "one1", "the end of one lab is not that of another");
    assert_eq!(traces("two", &bridges[1]), Vec::<String>::new());
    drop(one);
    assert_eq!(traces("one", &bridges[0]), Vec::<String>::new());
    assert!(matches!(Lab::open("two"), Err(LabError::NoLab { .. })));
}

#[test]
fn names_and_numbers_are_checked() {
    for name in ["", "Upper", "1st", "a.b", "a/b", "../x", "a name", "a-name-that-is-much-too-long"] {
        let lab = Lab::up(&LabOptions { name: name.to_owned(), hosts: 1 });
        assert!(matches!(lab, Err(LabError::Name { .. })), "{name}");
        assert!(matches!(Lab::open(name), Err(LabError::Name { .. })), "{name}");
    }
    for hosts in [0, 201, 255] {
        let lab = Lab::up(&LabOptions { name: "lab".to_owned(), hosts });
        assert!(matches!(lab, Err(LabError::TooMany { .. })), "{hosts}");
    }
}
