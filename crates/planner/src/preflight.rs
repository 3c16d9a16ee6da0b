//! What must hold of hosts together before anything is done to them.
//!
//! What must hold of each host alone is in `kubespray_spec::checks::node`; [`node_facts`] makes its input.

use std::collections::BTreeMap;

use ipnet::IpNet;
use kubespray_diagnostics::Diagnostic;
use kubespray_resource::{Facts, Interface};
use kubespray_spec::checks::node::NodeFacts;

/// Clocks further apart than this make logs and leases hard to follow (CHK-075).
const CLOCKS_APART_MS: i64 = 500;

/// Clocks further apart than this are an error. etcd itself complains from 1 s on. The bound is ours: certificates
/// are made on one host and used on the next within seconds, and a third of a leader's lease of Kubernetes (15 s)
/// is lost.
const CLOCKS_BROKEN_MS: i64 = 5_000;

/// 99 of 100 synced writes should take less: etcd's own advice for its log.
const SYNC_SLOW_US: u64 = 10_000;

/// At this, a heartbeat of etcd (100 ms) is missed by the disk alone and leaders change.
const SYNC_BROKEN_US: u64 = 100_000;

/// kubelet begins to remove images when a disk is 85 % full.
const FREE_PERCENT: u64 = 15;

/// Where images, containers and etcd live.
const DATA: &str = "/var/lib";

/// Interfaces that a cluster made: their addresses lie in its networks, as they must.
const OF_CLUSTERS: [&str; 12] = [
    "cni",
    "flannel",
    "cali",
    "tunl",
    "vxlan.calico",
    "vxlan-v6.calico",
    "wireguard.cali",
    "kube-ipvs",
    "nodelocaldns",
    "cilium",
    "lxc",
    "kube-bridge",
];

/// What was seen of one host.
#[derive(Clone, Copy, Debug)]
pub struct HostSeen<'a> {
    /// Its name.
    pub host: &'a str,
    /// What it says of itself.
    pub facts: &'a Facts,
    /// The controller's clock half-way between question and answer, in milliseconds since 1970.
    pub asked_ms: u64,
    /// The time between question and answer, in milliseconds: the clock is known no better than half of it.
    pub round_trip_ms: u64,
    /// Times of small synced writes in microseconds, ordered; of etcd hosts.
    pub syncs_us: Option<&'a [u64]>,
}

/// Everything that is wrong between hosts, and with their disks.
///
/// `networks` are the cluster's own, with the variables that set them.
pub fn preflight(hosts: &[HostSeen<'_>], networks: &[(&str, IpNet)]) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    out.extend(clocks_agree(hosts));
    hosts_are_no_copies(hosts, &mut out);
    packets_have_one_size(hosts, &mut out);
    for seen in hosts {
        no_network_is_used_twice(seen, networks, &mut out);
        etcd_has_a_fast_disk(seen, &mut out);
        disks_have_room(seen, &mut out);
    }
    out
}

/// The input of the checks of one host.
pub fn node_facts(facts: &Facts) -> NodeFacts {
    NodeFacts {
        service_manager: Some(facts.service_manager.clone()),
        distribution: Some(facts.os.distribution().to_owned()),
        os_family: Some(facts.os.family().to_owned()),
        memory_mb: Some(facts.memory_mb),
        kernel: Some(facts.kernel.clone()),
        addresses: Some(facts.addresses().map(|address| address.address).collect()),
        cgroup_file_system: Some(facts.cgroup_fs.clone()),
        reaches_access_address: None,
        resolv_conf: facts.resolv_conf.clone(),
    }
}

/// What is wrong with the clocks of hosts; nothing where doubt explains the difference.
pub fn clocks_agree(hosts: &[HostSeen<'_>]) -> Option<Diagnostic> {
    let offset = |seen: &HostSeen<'_>| seen.facts.clock_ms as i64 - seen.asked_ms as i64;
    let last = hosts.iter().min_by_key(|seen| offset(seen))?;
    let first = hosts.iter().max_by_key(|seen| offset(seen))?;
    let doubt = (first.round_trip_ms / 2 + last.round_trip_ms / 2) as i64;
    let apart = offset(first) - offset(last) - doubt;
    let shown = |ms: i64| if ms < 10_000 { format!("{ms} ms") } else { format!("{} s", ms / 1_000) };
    let message = format!(
        "the clock of `{}` is at least {} ahead of that of `{}`",
        first.host,
        shown(apart),
        last.host
    );
    let hint = "let all hosts follow the same time servers: `ntp_enabled: true`, or your own service; `date` on both \
                tells which one is wrong";
    if apart >= CLOCKS_BROKEN_MS {
        let problem = Diagnostic::error("clock", message);
        Some(problem.because("certificates made on one host are not valid yet on the other").hint(hint))
    } else if apart >= CLOCKS_APART_MS {
        Some(Diagnostic::warning("clock", message).hint(hint))
    } else {
        None
    }
}

/// Machines that were copied share what must be their own.
fn hosts_are_no_copies(hosts: &[HostSeen<'_>], out: &mut Vec<Diagnostic>) {
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut cards: BTreeMap<&str, &str> = BTreeMap::new();
    for seen in hosts {
        if let Some(other) = twin(&mut ids, &seen.facts.machine_id, seen.host) {
            out.push(
                Diagnostic::error(
                    "machine-id",
                    format!("`{other}` and `{}` have the same `/etc/machine-id`", seen.host),
                )
                .on_host(seen.host)
                .because("addresses by DHCP and some network plugins are told apart by it")
                .hint("on one of them: remove the file, run `systemd-machine-id-setup`, reboot"),
            );
        }
        if let Some(other) = twin(&mut names, &seen.facts.hostname, seen.host) {
            out.push(
                Diagnostic::warning(
                    "hostname",
                    format!("`{other}` and `{}` both call themselves `{}`", seen.host, seen.facts.hostname),
                )
                .on_host(seen.host)
                .because(
                    "with `override_system_hostname: true` each gets the name that it has in the inventory",
                )
                .hint("leave that setting on, or give each host a name of its own"),
            );
        }
        if let Some(card) = main_interface(seen.facts)
            && let Some(other) = twin(&mut cards, &card.mac, seen.host)
        {
            out.push(
                Diagnostic::error(
                    "mac",
                    format!("`{other}` and `{}` have the hardware address `{}`", seen.host, card.mac),
                )
                .on_host(seen.host)
                .hint("give each machine a network card of its own"),
            );
        }
    }
}

/// The host that had this value before.
fn twin<'a>(known: &mut BTreeMap<&'a str, &'a str>, value: &'a str, host: &'a str) -> Option<&'a str> {
    if value.is_empty() || value == "00:00:00:00:00:00" {
        return None;
    }
    match known.get(value) {
        Some(other) => Some(other),
        None => {
            known.insert(value, host);
            None
        }
    }
}

fn main_interface(facts: &Facts) -> Option<&Interface> {
    let route = facts.default_ipv4.as_ref().or(facts.default_ipv6.as_ref())?;
    facts.interfaces.iter().find(|interface| interface.name == route.interface)
}

fn packets_have_one_size(hosts: &[HostSeen<'_>], out: &mut Vec<Diagnostic>) {
    let mut sizes: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for seen in hosts {
        if let Some(interface) = main_interface(seen.facts) {
            sizes.entry(interface.mtu).or_default().push(seen.host);
        }
    }
    if sizes.len() < 2 {
        return;
    }
    let mut problem = Diagnostic::warning("mtu", "hosts send packets of different sizes".to_owned());
    for (size, names) in &sizes {
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        problem = problem.because(format!("{size} bytes: `{}`{more}", names.first().unwrap_or(&"")));
    }
    out.push(problem.hint("set the same MTU on all, or one for the network plugin that fits the smallest"));
}

fn no_network_is_used_twice(seen: &HostSeen<'_>, networks: &[(&str, IpNet)], out: &mut Vec<Diagnostic>) {
    for interface in &seen.facts.interfaces {
        if OF_CLUSTERS.iter().any(|prefix| interface.name.starts_with(prefix)) {
            continue;
        }
        for address in &interface.addresses {
            let Ok(used) = IpNet::new(address.address, address.prefix) else { continue };
            for (name, network) in networks {
                if used.contains(network) || network.contains(&used) {
                    out.push(
                        Diagnostic::error(
                            "network-in-use",
                            format!(
                                "`{}` of `{}` is in `{}`, which overlaps `{name}` `{network}`",
                                interface.name,
                                seen.host,
                                used.trunc()
                            ),
                        )
                        .on_host(seen.host)
                        .because("packets of the cluster would leave through that interface")
                        .hint(format!("choose another `{name}`, or another network for the interface")),
                    );
                }
            }
        }
    }
}

fn etcd_has_a_fast_disk(seen: &HostSeen<'_>, out: &mut Vec<Diagnostic>) {
    let Some(syncs) = seen.syncs_us.filter(|syncs| !syncs.is_empty()) else { return };
    let at = (syncs.len() * 99).div_ceil(100) - 1;
    let slowest = syncs.get(at).copied().unwrap_or_default();
    let message = format!(
        "of 100 synced writes on `{}`, 99 take up to {}.{} ms",
        seen.host,
        slowest / 1_000,
        slowest % 1_000 / 100
    );
    let hint = "put etcd's data (`etcd_data_dir`) on an SSD of its own";
    if slowest >= SYNC_BROKEN_US {
        out.push(
            Diagnostic::error("etcd-disk", message)
                .on_host(seen.host)
                .because("etcd misses heartbeats at 100 ms and changes its leader")
                .hint(hint),
        );
    } else if slowest >= SYNC_SLOW_US {
        out.push(
            Diagnostic::warning("etcd-disk", message)
                .on_host(seen.host)
                .because("etcd wants less than 10 ms")
                .hint(hint),
        );
    }
}

fn disks_have_room(seen: &HostSeen<'_>, out: &mut Vec<Diagnostic>) {
    let holds = |path: &str| path == "/" || DATA == path || DATA.starts_with(&format!("{path}/"));
    let disk =
        seen.facts.file_systems.iter().filter(|disk| holds(&disk.path)).max_by_key(|disk| disk.path.len());
    let Some(disk) = disk.filter(|disk| disk.size > 0) else { return };
    let percent = u128::from(disk.free) * 100 / u128::from(disk.size);
    if percent < u128::from(FREE_PERCENT) {
        out.push(
            Diagnostic::warning(
                "disk-space",
                format!("`{}` of `{}` is {} % full", disk.path, seen.host, 100 - percent),
            )
            .on_host(seen.host)
            .because(format!("`{DATA}` is there, and kubelet removes images and evicts pods above 85 %"))
            .hint("free some space, or mount a larger disk"),
        );
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Address, FileSystem};

    use super::*;

    fn facts(number: u8) -> Facts {
        let address = Address {
            address: format!("192.168.0.{number}").parse().unwrap(),
            prefix: 24,
            interface: "eth0".into(),
            gateway: None,
        };
        Facts {
            hostname: format!("n{number}"),
            machine_id: format!("id{number}"),
            clock_ms: 1_000_000,
            interfaces: vec![Interface {
                name: "eth0".into(),
                mac: format!("02:00:00:00:00:0{number}"),
                mtu: 1500,
                up: true,
                addresses: vec![address.clone()],
            }],
            default_ipv4: Some(address),
            ..Facts::default()
        }
    }

    fn found(change: impl FnOnce(&mut Facts), syncs: Option<&[u64]>) -> String {
        let (one, mut two) = (facts(1), facts(2));
        change(&mut two);
        let seen = |host, facts, syncs_us| HostSeen {
            host,
            facts,
            asked_ms: 1_000_000,
            round_trip_ms: 100,
            syncs_us,
        };
        let networks = [
            ("kube_pods_subnet", "10.233.64.0/18".parse().unwrap()),
            ("kube_service_addresses", "10.233.0.0/18".parse().unwrap()),
        ];
        let problems = preflight(&[seen("a", &one, None), seen("b", &two, syncs)], &networks);
        for problem in &problems {
            assert!(!problem.hints.is_empty(), "{problem:?}");
        }
        let shown =
            |problem: &Diagnostic| format!("{}{}", if problem.is_error() { "" } else { "?" }, problem.id);
        problems.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn good_hosts_pass() {
        assert_eq!(found(|_| {}, Some(&[500; 100])), "");
    }

    #[test]
    fn clocks() {
        // What the round trips leave in doubt is no reproach.
        assert_eq!(found(|facts| facts.clock_ms += 550, None), "");
        assert_eq!(found(|facts| facts.clock_ms += 700, None), "?clock");
        assert_eq!(found(|facts| facts.clock_ms -= 5_000, None), "?clock");
        assert_eq!(found(|facts| facts.clock_ms -= 5_200, None), "clock");
    }

    #[test]
    fn copies() {
        assert_eq!(found(|facts| facts.machine_id = "id1".into(), None), "machine-id");
        assert_eq!(found(|facts| facts.hostname = "n1".into(), None), "?hostname");
        assert_eq!(found(|facts| facts.interfaces[0].mac = "02:00:00:00:00:01".into(), None), "mac");
    }

    #[test]
    fn packets_and_networks() {
        assert_eq!(found(|facts| facts.interfaces[0].mtu = 9000, None), "?mtu");
        let second = |name: &str, address: &str, prefix: u8| {
            let address =
                Address { address: address.parse().unwrap(), prefix, interface: name.into(), gateway: None };
            Interface { name: name.into(), mac: String::new(), mtu: 1500, up: true, addresses: vec![address] }
        };
        for (name, address, prefix, expected) in [
            ("eth1", "10.233.70.1", 24, "network-in-use"),
            ("eth1", "10.0.0.1", 8, "network-in-use network-in-use"),
            ("eth1", "10.10.0.1", 16, ""),
            ("cali123", "10.233.70.1", 32, ""),
            ("eth1", "fd00::1", 64, ""),
        ] {
            let interface = second(name, address, prefix);
            assert_eq!(found(|facts| facts.interfaces.push(interface), None), expected, "{address}");
        }
    }

    #[test]
    fn disks() {
        let mut syncs = vec![1_000; 99];
        syncs.push(500_000);
        assert_eq!(found(|_| {}, Some(&syncs)), "", "one of a hundred may be slow");
        assert_eq!(found(|_| {}, Some(&[12_000; 10])), "?etcd-disk");
        assert_eq!(found(|_| {}, Some(&[150_000])), "etcd-disk");
        let disk = |path: &str, free| FileSystem {
            path: path.into(),
            source: "/dev/x".into(),
            fstype: "ext4".into(),
            options: String::new(),
            size: 100,
            free,
        };
        assert_eq!(
            found(|facts| facts.file_systems = vec![disk("/", 50), disk("/var", 14)], None),
            "?disk-space"
        );
        assert_eq!(found(|facts| facts.file_systems = vec![disk("/", 5), disk("/var/lib", 50)], None), "");
        assert_eq!(found(|facts| facts.file_systems = vec![disk("/", 50), disk("/va", 1)], None), "");
    }

    #[test]
    fn facts_become_the_input_of_the_checks_of_one_host() {
        let facts = node_facts(&Facts { memory_mb: 900, ..facts(1) });
        assert_eq!(facts.memory_mb, Some(900));
        assert_eq!(facts.addresses.unwrap().len(), 1);
    }
}
