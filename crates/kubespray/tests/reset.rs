//! Hosts of the lab before a cluster and after it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubespray_lab::{Lab, LabOptions, Supply};
use rustix::process::Signal;
use support::site::Programs;
use support::{Run, command, ended, has, kubespray, left_out, sh, site, start, write_groups};

/// What is on a host, a line for each thing. Left out is what changes by itself and what programs of the system write
/// about what was done: logs and caches, the mode that containerd gives to the disk which the lab mounts for it, what
/// systemd and packages keep (timers, old copies of lists), and the copies that `useradd` makes of what it changes.
const PORTRAIT: &str = r#"
set -e
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /var/log \
    -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /var/lib/sudo \
    -o -path /var/lib/containerd -o -path '/etc/*-' -o -path /etc/.pwd.lock -o -path /etc/ld.so.cache -o -path '/home/*/.*' \) -prune -o \
    -printf 'path %p %y %M %u:%g %l\n'
find /etc /root /usr/local /opt /var/backups /srv -xdev -type f ! -path '/etc/*-' ! -path /etc/ld.so.cache \
    -exec sha256sum {} + | sed 's/^/digest /'
systemctl list-unit-files --no-legend --no-pager | awk '{print "unit file", $1, $2}'
systemctl list-units --type=service,mount,swap,slice --no-legend --no-pager --plain |
    awk '$1 !~ /^(user|session|run-user)/ && $4 != "exited" {print "unit", $1, $3, $4}'
dpkg-query -W -f 'package ${Package} ${Version} ${Status}\n'
ip -o link | awk '{print "link", $2}' | sed 's/@.*//'
ip route | sed 's/^/route /'; ip -6 route show proto static | sed 's/^/route /'
nft list ruleset | sed -n 's/^\(table .*foreign.*\)/\1/p'
iptables-save | grep -v '^[#:]' | sort -u | sed 's/^/rule /'
nft list table inet foreign | sed 's/counter packets [0-9]* bytes [0-9]*/counter/;s/^/nft /'
awk '$2 !~ /^.run.(user|netns)/ {print "mount", $2, $3}' /proc/mounts
for key in net.ipv4.ip_forward fs.inotify.max_user_instances vm.overcommit_memory kernel.panic kernel.panic_on_oops; do
    echo value $key $(sysctl -n $key)
done
cat /proc/swaps; hostname; cat /etc/resolv.conf
"#;

/// What is foreign to a cluster, and stays.
const FOREIGN: &str = "
set -e
iptables -N FOREIGN
iptables -A FOREIGN -p tcp --dport 9 -j DROP
iptables -A INPUT -m comment --comment 'KUBE-like words of somebody' -j FOREIGN
nft add table inet foreign
nft 'add chain inet foreign input { type filter hook input priority 10; }'
nft add rule inet foreign input tcp dport 7 counter drop
ip link add foreign0 type bridge
ip route add 192.0.2.0/24 dev lo
mkdir -p /etc/nginx/conf.d /var/backups /srv/data
echo mine > /etc/nginx/conf.d/mine.conf
echo mine > /var/backups/mine
echo '192.0.2.7 mine' >> /etc/hosts
";

fn portraits(lab: &Lab) -> BTreeMap<String, Vec<String>> {
    let of = |host: &str| sh(lab, host, PORTRAIT).lines().map(str::to_owned).collect::<Vec<_>>();
    lab.hosts().iter().map(|host| (host.name.clone(), of(&host.name))).collect()
}

/// Lines that one of two portraits has and the other one has not.
fn differences(before: &BTreeMap<String, Vec<String>>, after: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut out = Vec::new();
    for (host, before) in before {
        let after = &after[host];
        out.extend(
            before.iter().filter(|line| !after.contains(line)).map(|line| format!("{host}: - {line}")),
        );
        out.extend(
            after.iter().filter(|line| !before.contains(line)).map(|line| format!("{host}: + {line}")),
        );
    }
    out
}

fn write_two(lab: &Lab, folder: &Path) {
    write_groups(lab, folder, "lab", [&["rs1"], &["rs1"], &["rs1", "rs2"]]);
}

/// A command whose question is answered.
fn answered(folder: &Path, lab: &Lab, arguments: &[&str], answer: &str) -> Run {
    let mut command = command(folder, lab, arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    ended(child.wait_with_output().unwrap())
}

/// The id that a plan prints.
fn id(plan: &Run) -> String {
    let (_, rest) = plan.out.split_once(", id ").unwrap_or_else(|| panic!("{}{}", plan.out, plan.err));
    rest.split(':').next().unwrap().to_owned()
}

#[test]
fn lab_hosts_are_what_they_were_before_a_cluster() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "rs".into(), hosts: 2 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_two(&lab, folder);
    let _server = site::served(&lab, &supply, folder);
    for host in lab.hosts() {
        sh(&lab, &host.name, FOREIGN);
    }
    let before = portraits(&lab);
    let run = |arguments: &[&str]| kubespray(folder, &lab, arguments);

    // Half of a cluster, whose maker is gone and holds the lock.
    let mut making = start(folder, &lab, &["cluster"]);
    making.until("etcd/running");
    sleep(Duration::from_millis(300));
    making.signal(Signal::KILL);
    making.wait();
    let refused = run(&["reset", "--yes", "--cluster-id", "none"]);
    has(&refused, 1, "works on the cluster: cluster, run `");
    has(&refused, 1, "and `--break-lock` gives it up");
    has(&run(&["reset", "--yes", "--cluster-id", "none", "--break-lock"]), 0, "done: 2 hosts changed");
    assert_eq!(differences(&before, &portraits(&lab)), Vec::<String>::new());

    has(&run(&["cluster"]), 0, "the cluster works: ");
    let plan = run(&["plan", "reset"]);
    has(&plan, 0, "cluster `cluster.local`, id ");
    let id = id(&plan);
    assert_eq!(id.len(), 64, "{id}");
    has(
        &run(&["reset", "--yes", "--cluster-id", "0123456789abcdef0"]),
        1,
        &format!("wrong cluster: `--cluster-id` is `0123456789abcdef0`, that of the hosts is `{id}`"),
    );
    let other = answered(folder, &lab, &["reset"], "other\n");
    has(&other, 1, "it was not confirmed: `other` was typed, not `cluster.local`");
    has(&other, 1, "  kube-system: ");
    has(
        &run(&["reset", "--limit", "rs1", "--yes", "--cluster-id", &id]),
        1,
        "the last control plane of a cluster that has other nodes would be gone",
    );
    has(
        &run(&["reset", "--limit", "rs1", "--yes", "--cluster-id", &id]),
        1,
        "etcd would be left with 0 of 1 members, and needs 1",
    );
    let authority = "/etc/kubernetes/ssl/ca.crt";
    let foreign = format!(
        "cp {authority} /root/ca && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other -keyout /dev/null -out {authority}"
    );
    sh(&lab, "rs2", &foreign);
    has(
        &run(&["reset", "--yes", "--cluster-id", &id]),
        1,
        "wrong cluster: the certificate authority of the host is `",
    );
    sh(&lab, "rs2", &format!("mv /root/ca {authority}"));

    // What users change meanwhile stays.
    sh(&lab, "rs2", "echo '192.0.2.8 later' >> /etc/hosts");
    let began = Instant::now();
    has(&answered(folder, &lab, &["reset"], "cluster.local\n"), 0, "done: 2 hosts changed");
    eprintln!("reset of two hosts: {:?}", began.elapsed());
    sh(&lab, "rs2", "grep -q '192.0.2.8 later' /etc/hosts && sed -i '/192.0.2.8/d' /etc/hosts");
    assert_eq!(differences(&before, &portraits(&lab)), Vec::<String>::new());
    has(&run(&["reset", "--yes", "--cluster-id", "none"]), 0, "Nothing to do: 2 hosts as wished.");
    has(&run(&["cluster"]), 0, "the cluster works: ");
}
