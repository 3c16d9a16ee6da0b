//! What hosts found out about each other: ports, packets, names, clocks.
//!
//! Questions come from [`ports_wanted`] and its like, answers from the helpers; everything here only judges.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use kubespray_diagnostics::Diagnostic;
use kubespray_resource::{PacketSize, PortState, PortUser};

/// Names of hosts in one message; the others are counted.
const SHOWN: usize = 3;

/// What of a cluster decides which host must reach which port of which.
#[derive(Clone, Debug, Default)]
pub struct ClusterShape<'a> {
    /// Hosts of `etcd`; where etcd is managed by kubeadm, the control planes.
    pub etcd: Vec<&'a str>,
    /// Hosts of `kube_control_plane`.
    pub control_planes: Vec<&'a str>,
    /// Hosts of `k8s_cluster`.
    pub cluster: Vec<&'a str>,
    /// `kube_apiserver_port`.
    pub api_port: u16,
    /// `etcd_events_cluster_enabled`.
    pub etcd_events: bool,
    /// `kube_network_plugin`.
    pub plugin: &'a str,
    /// Whether calico routes by BGP: `calico_network_backend` is `bird`.
    pub calico_bgp: bool,
    /// `calico_bgp_listen_port`.
    pub calico_bgp_port: u16,
    /// Whether calico keeps its data in etcd: `calico_datastore` is `etcd`.
    pub calico_in_etcd: bool,
    /// `typha_enabled`.
    pub typha: bool,
    /// `cilium_enable_hubble`.
    pub hubble: bool,
}

/// A port that some hosts must reach at others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortWish<'a> {
    /// The port.
    pub port: u16,
    /// Who listens there.
    pub to: Vec<&'a str>,
    /// Who connects.
    pub from: Vec<&'a str>,
    /// What it is for, for people.
    pub what: &'static str,
    /// Processes that may listen there already, by the beginnings of their names.
    pub owners: &'static [&'static str],
    /// Whether the cluster needs it; else a part of it.
    pub needed: bool,
}

/// The ports of a cluster (INV section 7, ETCD-012, ETCD-013, NET-030, NET-042, NET-144). TCP only: whether UDP
/// passes cannot be told without a service that answers.
pub fn ports_wanted<'a>(shape: &ClusterShape<'a>) -> Vec<PortWish<'a>> {
    let mut out = Vec::new();
    let mut add = |port, to: &[&'a str], from: &[&'a str], what, owners, needed| {
        let from: Vec<&str> = from.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if !to.is_empty() && from.iter().any(|host| to.iter().any(|other| other != host)) {
            out.push(PortWish { port, to: to.to_vec(), from, what, owners, needed });
        }
    };
    let all = shape.cluster.as_slice();
    let mut clients: Vec<&str> = shape.etcd.iter().chain(&shape.control_planes).copied().collect();
    if shape.plugin == "calico" && shape.calico_in_etcd {
        clients.extend(all);
    }
    add(2379, &shape.etcd, &clients, "clients of etcd", &["etcd"], true);
    add(2380, &shape.etcd, &shape.etcd, "members of etcd", &["etcd"], true);
    if shape.etcd_events {
        let clients: Vec<&str> = shape.etcd.iter().chain(&shape.control_planes).copied().collect();
        add(2383, &shape.etcd, &clients, "clients of etcd for events", &["etcd"], true);
        add(2382, &shape.etcd, &shape.etcd, "members of etcd for events", &["etcd"], true);
    }
    let api: &[&str] = &["kube-apiserver"];
    add(shape.api_port, &shape.control_planes, all, "the API server", api, true);
    add(10_250, all, &shape.control_planes, "kubelet", &["kubelet"], true);
    match shape.plugin {
        "calico" | "canal" => {
            if shape.plugin == "calico" && shape.calico_bgp {
                add(shape.calico_bgp_port, all, all, "BGP of calico", &["bird", "calico"], true);
            }
            if shape.typha {
                add(5473, all, all, "typha of calico", &["calico-typha"], true);
            }
        }
        "cilium" => {
            add(4240, all, all, "health checks of cilium", &["cilium"], false);
            if shape.hubble {
                add(4244, all, all, "hubble of cilium", &["cilium"], false);
            }
        }
        "kube-router" => add(179, all, all, "BGP of kube-router", &["kube-router"], true),
        "kube-ovn" => {
            let owners: &[&str] = &["ovsdb-server", "ovn"];
            add(6641, &shape.control_planes, all, "the northbound database of kube-ovn", owners, true);
            add(6642, &shape.control_planes, all, "the southbound database of kube-ovn", owners, true);
        }
        _ => {}
    }
    out
}

impl<'a> PortWish<'a> {
    /// Who tries whom. In a large cluster nobody tries more than `most` others; each host tries those that follow
    /// it, so that each is tried by equally many.
    pub fn pairs(&self, most: usize) -> Vec<(&'a str, &'a str)> {
        let mut out = Vec::new();
        for (index, from) in self.from.iter().enumerate() {
            let start = self.to.iter().position(|to| to == from).map_or(index, |at| at + 1);
            let others = self.to.iter().cycle().skip(start % self.to.len().max(1)).take(self.to.len());
            out.extend(others.filter(|to| *to != from).take(most).map(|to| (*from, *to)));
        }
        out
    }

    fn is_owner(&self, user: &PortUser) -> bool {
        self.owners.iter().any(|owner| user.process.starts_with(owner))
    }
}

/// What came of one host that tried a port of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried<'a> {
    /// Who tried.
    pub from: &'a str,
    /// Whom.
    pub to: &'a str,
    /// The port.
    pub port: u16,
    /// Milliseconds, or why not.
    pub result: Result<u64, String>,
}

/// Judges ports: who else uses them, and who does not reach them although somebody listens.
pub fn ports_are_open(
    wishes: &[PortWish<'_>],
    listening: &BTreeMap<&str, BTreeMap<u16, PortState>>,
    tried: &[Tried<'_>],
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for wish in wishes {
        let state = |host: &str| listening.get(host).and_then(|ports| ports.get(&wish.port));
        let mut answers = BTreeSet::new();
        for host in &wish.to {
            match state(host) {
                Some(PortState::Listening) => _ = answers.insert(*host),
                Some(PortState::Used { by: Some(user), .. }) if wish.is_owner(user) => {
                    answers.insert(*host);
                }
                Some(PortState::Used { address, by }) => {
                    let who = by.as_ref().map_or_else(|| "somebody".to_owned(), ToString::to_string);
                    out.push(
                        Diagnostic::error(
                            "port-in-use",
                            format!("port {} of `{host}`, for {}, is used by {who}", wish.port, wish.what),
                        )
                        .on_host(*host)
                        .because(format!("it listens at `{address}`"))
                        .hint("stop it, or let it listen at another port"),
                    );
                }
                Some(PortState::Refused(why)) => out.push(
                    Diagnostic::warning(
                        "port-not-tried",
                        format!("port {} of `{host}`, for {}, was not tried: {why}", wish.port, wish.what),
                    )
                    .on_host(*host)
                    .hint("look at `ss -ltnp` there"),
                ),
                None => {}
            }
        }
        let ways: Vec<&Tried<'_>> = tried
            .iter()
            .filter(|way| way.port == wish.port && answers.contains(way.to) && wish.from.contains(&way.from))
            .collect();
        let closed: Vec<&&Tried<'_>> = ways.iter().filter(|way| way.result.is_err()).collect();
        let Some(first) = closed.first() else { continue };
        let message = format!(
            "port {}, for {}, is closed on {} of {} ways between hosts",
            wish.port,
            wish.what,
            closed.len(),
            ways.len()
        );
        let mut problem = if wish.needed {
            Diagnostic::error("port-closed", message)
        } else {
            Diagnostic::warning("port-closed", message)
        };
        if closed.iter().all(|way| way.to == first.to) {
            problem = problem.on_host(first.to);
        }
        for way in closed.iter().take(SHOWN) {
            let why = way.result.as_ref().err().map_or("", String::as_str);
            problem = problem.because(format!("`{}` to `{}`: {why}", way.from, way.to));
        }
        out.push(problem.hint(format!(
            "let firewalls and security groups pass TCP {} to {}",
            wish.port,
            some(&closed.iter().map(|way| way.to).collect())
        )));
    }
    out
}

/// A few names, and how many more.
fn some(names: &BTreeSet<&str>) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the network plugin needs of packets between hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtuWish<'a> {
    /// The variable that sets the size of packets of pods: `calico_mtu`, `cilium_mtu`, `kube_ovn_mtu`.
    pub variable: &'a str,
    /// That size; nothing where the plugin takes that of the host's interface less its own headers.
    pub pod_mtu: Option<u32>,
    /// Bytes of headers that the plugin adds: 60 with WireGuard, 50 with VXLAN, 20 with IP in IP (OPS-255).
    pub headers: u32,
}

/// What was found of packets from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Who sent.
    pub from: &'a str,
    /// To whom.
    pub to: &'a str,
    /// The MTU of the sender's interface, in bytes.
    pub interface_mtu: u32,
    /// The largest packet that arrived in one piece.
    pub size: PacketSize,
}

/// Judges whether packets of pods arrive: between hosts whose network takes less than their interfaces, large ones
/// vanish without a word.
pub fn packets_pass(wish: MtuWish<'_>, found: &[Packet<'_>]) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut not_measured: BTreeMap<&str, Vec<&Packet<'_>>> = BTreeMap::new();
    let mut too_small: BTreeMap<(u32, u32), Vec<&Packet<'_>>> = BTreeMap::new();
    for packet in found {
        match &packet.size {
            PacketSize::NotMeasured(why) => not_measured.entry(why).or_default().push(packet),
            PacketSize::Bytes(bytes) => {
                let needed =
                    wish.pod_mtu.map_or(packet.interface_mtu, |mtu| mtu.saturating_add(wish.headers));
                if *bytes < needed {
                    too_small.entry((*bytes, needed)).or_default().push(packet);
                }
            }
        }
    }
    for ((bytes, needed), packets) in too_small {
        let Some(first) = packets.first() else { continue };
        let fits = bytes.saturating_sub(wish.headers);
        let why = match wish.pod_mtu {
            Some(mtu) => format!("`{}` is {mtu}, and the plugin adds {} bytes", wish.variable, wish.headers),
            None => {
                format!("`{}` is not set: the plugin takes the {needed} of the interface", wish.variable)
            }
        };
        out.push(
            Diagnostic::error(
                "packet-size",
                format!(
                    "packets of {needed} bytes do not pass on {} of {} ways between hosts, such as `{}` to `{}`",
                    packets.len(),
                    found.len(),
                    first.from,
                    first.to
                ),
            )
            .because(format!("{bytes} bytes do"))
            .because(why)
            .hint(format!("set `{}` to {fits} or less, or let the network pass larger packets", wish.variable)),
        );
    }
    for (why, packets) in not_measured {
        let hosts: BTreeSet<&str> = packets.iter().map(|packet| packet.from).collect();
        out.push(
            Diagnostic::note(
                "packet-size-unknown",
                format!(
                    "the size of packets was not measured on {} ways from {}",
                    packets.len(),
                    some(&hosts)
                ),
            )
            .because(why)
            .hint("install `ping` of iputils, and let echoes of ICMP pass, to have it measured"),
        );
    }
    out
}

/// A name that hosts must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameWish<'a> {
    /// The name.
    pub name: &'a str,
    /// What it is for, for people.
    pub what: &'a str,
    /// Whether all hosts must find the same addresses. Names of large services differ from place to place.
    pub is_same: bool,
}

/// Judges names: unknown ones, and such that lead some hosts elsewhere. `found` is by host and name.
pub fn names_resolve(
    wishes: &[NameWish<'_>],
    found: &BTreeMap<&str, BTreeMap<String, Result<Vec<IpAddr>, String>>>,
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for wish in wishes {
        let answers: Vec<(&str, &Result<Vec<IpAddr>, String>)> =
            found.iter().filter_map(|(host, names)| Some((*host, names.get(wish.name)?))).collect();
        let unknown: BTreeSet<&str> =
            answers.iter().filter(|(_, answer)| answer.is_err()).map(|(host, _)| *host).collect();
        let mut why: BTreeSet<&str> = BTreeSet::new();
        why.extend(answers.iter().filter_map(|(_, answer)| answer.as_ref().err()).map(String::as_str));
        if !unknown.is_empty() {
            let mut problem = Diagnostic::error(
                "name-unknown",
                format!("`{}`, {}, is unknown to {}", wish.name, wish.what, some(&unknown)),
            );
            if let (1, Some(host)) = (unknown.len(), unknown.first()) {
                problem = problem.on_host(*host);
            }
            problem = why.iter().take(SHOWN).fold(problem, |problem, why| problem.because(*why));
            out.push(problem.hint("check the hosts' name servers and search domains in `/etc/resolv.conf`"));
        }
        let mut groups: BTreeMap<BTreeSet<IpAddr>, BTreeSet<&str>> = BTreeMap::new();
        for (host, answer) in answers {
            if let Ok(addresses) = answer {
                groups.entry(addresses.iter().copied().collect()).or_default().insert(host);
            }
        }
        if wish.is_same && groups.len() > 1 {
            let mut problem = Diagnostic::warning(
                "name-differs",
                format!("`{}`, {}, leads hosts to different addresses", wish.name, wish.what),
            );
            for (addresses, hosts) in &groups {
                let addresses: Vec<String> = addresses.iter().map(|a| format!("`{a}`")).collect();
                problem = problem.because(format!("{} on {}", addresses.join(", "), some(hosts)));
            }
            out.push(
                problem.hint("give all hosts the same name servers, and look for old lines in `/etc/hosts`"),
            );
        }
    }
    out
}

/// Judges addresses by which hosts reach each other: one in a network of the cluster is never reached. The host's
/// interfaces are judged by [`crate::preflight`]; `access_ip` may be an address that no interface has.
pub fn addresses_are_no_networks(
    addresses: &[(&str, IpAddr)],
    networks: &[(&str, IpNet)],
) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (host, address) in addresses {
        for (name, network) in networks.iter().filter(|(_, network)| network.contains(address)) {
            out.push(
                Diagnostic::error(
                    "address-in-network",
                    format!("`{host}` is reached at `{address}`, which is in `{name}` `{network}`"),
                )
                .on_host(*host)
                .because("packets to it would go to pods or services")
                .hint(format!("choose another `{name}`, or another address for the host")),
            );
        }
    }
    for (index, (name, network)) in networks.iter().enumerate() {
        for (other, second) in networks.iter().skip(index + 1) {
            if network.contains(second) || second.contains(network) {
                out.push(
                    Diagnostic::error(
                        "networks-overlap",
                        format!("`{name}` `{network}` and `{other}` `{second}` overlap"),
                    )
                    .hint(format!("choose another `{other}`")),
                );
            }
        }
    }
    out
}

/// One look at a host's clock, by times of the controller and the host, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSample {
    /// When the controller asked.
    pub asked_ms: u64,
    /// When the answer came.
    pub answered_ms: u64,
    /// What the host said.
    pub host_ms: u64,
}

impl ClockSample {
    /// The time between question and answer.
    pub fn round_trip_ms(self) -> u64 {
        self.answered_ms.saturating_sub(self.asked_ms)
    }

    /// The controller's clock half-way between question and answer.
    pub fn halfway_ms(self) -> u64 {
        self.asked_ms.saturating_add(self.round_trip_ms() / 2)
    }

    /// How far the host is ahead of the controller, within half a round trip.
    pub fn ahead_ms(self) -> i64 {
        self.host_ms as i64 - self.halfway_ms() as i64
    }
}

/// The sample that tells most: that of the shortest round trip.
pub fn best_clock(samples: &[ClockSample]) -> Option<ClockSample> {
    samples.iter().copied().min_by_key(|sample| sample.round_trip_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(plugin: &str) -> ClusterShape<'_> {
        ClusterShape {
            etcd: vec!["a", "b", "c"],
            control_planes: vec!["a", "b"],
            cluster: vec!["a", "b", "w"],
            api_port: 6443,
            plugin,
            calico_bgp: true,
            calico_bgp_port: 179,
            ..ClusterShape::default()
        }
    }

    fn shown(problems: &[Diagnostic]) -> String {
        let mark = |problem: &Diagnostic| match problem.severity {
            kubespray_diagnostics::Severity::Error => "",
            kubespray_diagnostics::Severity::Warning => "?",
            kubespray_diagnostics::Severity::Note => "-",
        };
        for problem in problems {
            assert!(!problem.hints.is_empty(), "{problem:?}");
        }
        problems.iter().map(|p| format!("{}{}", mark(p), p.id)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ports_follow_the_shape_of_the_cluster() {
        let ports =
            |shape: &ClusterShape<'_>| -> Vec<u16> { ports_wanted(shape).iter().map(|w| w.port).collect() };
        for (plugin, more) in [
            ("calico", vec![179]),
            ("cilium", vec![4240]),
            ("flannel", vec![]),
            ("kube-router", vec![179]),
            ("kube-ovn", vec![6641, 6642]),
            ("none", vec![]),
        ] {
            assert_eq!(ports(&shape(plugin)), [vec![2379, 2380, 6443, 10250], more].concat(), "{plugin}");
        }
        let events = ClusterShape { etcd_events: true, hubble: true, ..shape("cilium") };
        assert_eq!(ports(&events), [2379, 2380, 2383, 2382, 6443, 10250, 4240, 4244]);
        let typha = ClusterShape { typha: true, calico_bgp: false, calico_in_etcd: true, ..shape("calico") };
        let wishes = ports_wanted(&typha);
        assert_eq!(wishes[0].from, ["a", "b", "c", "w"]);
        assert_eq!(wishes.last().unwrap().port, 5473);
        let single = ClusterShape {
            etcd: vec!["a"],
            control_planes: vec!["a"],
            cluster: vec!["a"],
            ..shape("calico")
        };
        assert!(ports(&single).is_empty(), "a host reaches itself");
    }

    #[test]
    fn everybody_is_tried_by_equally_many() {
        let hosts: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
        let all: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let wish = |from: &[&'static str], to: &[&'static str]| PortWish {
            port: 1,
            to: to.to_vec(),
            from: from.to_vec(),
            what: "",
            owners: &[],
            needed: true,
        };
        assert_eq!(wish(&["a", "b"], &["a", "b"]).pairs(9), [("a", "b"), ("b", "a")]);
        assert_eq!(wish(&["x"], &["a", "b"]).pairs(1), [("x", "a")]);
        assert!(wish(&["x"], &[]).pairs(9).is_empty());
        let large = PortWish { port: 1, to: all.clone(), from: all, what: "", owners: &[], needed: true };
        assert_eq!(large.pairs(usize::MAX).len(), 50 * 49);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (from, to) in large.pairs(5) {
            assert_ne!(from, to);
            *counts.entry(to).or_default() += 1;
        }
        assert!(counts.len() == 50 && counts.values().all(|count| *count == 5), "{counts:?}");
    }

    fn used(process: &str) -> PortState {
        let by = PortUser { pid: 7, process: process.into(), unit: None };
        PortState::Used { address: "0.0.0.0".parse().unwrap(), by: Some(by) }
    }

    #[test]
    fn ports_that_are_used_or_closed_are_told() {
        let wishes = ports_wanted(&shape("cilium"));
        let judge = |port: u16, state: PortState, result: Result<u64, String>| {
            let listening = [("b", [(port, state)].into())].into();
            let tried: Vec<Tried<'_>> = ["a", "w", "stranger"]
                .iter()
                .map(|from| Tried { from, to: "b", port, result: result.clone() })
                .collect();
            ports_are_open(&wishes, &listening, &tried)
        };
        let closed = || Err("took longer than 3 s".to_owned());
        for (port, state, result, expected) in [
            (2379, PortState::Listening, Ok(1), ""),
            (2379, PortState::Listening, closed(), "port-closed"),
            (2379, used("etcd"), Ok(1), ""),
            (2379, used("etcd"), closed(), "port-closed"),
            (2379, used("nginx"), closed(), "port-in-use"),
            (6443, used("kube-apiserver"), Ok(1), ""),
            (6443, used("haproxy"), Ok(1), "port-in-use"),
            (10_250, PortState::Refused("not permitted".into()), closed(), "?port-not-tried"),
            (4240, PortState::Listening, closed(), "?port-closed"),
            (9999, PortState::Listening, closed(), ""),
        ] {
            assert_eq!(shown(&judge(port, state.clone(), result)), expected, "{port} {state:?}");
        }
        let problem = judge(2380, PortState::Listening, closed()).remove(0);
        assert_eq!(problem.message, "port 2380, for members of etcd, is closed on 1 of 1 ways between hosts");
        assert_eq!(problem.notes, ["`a` to `b`: took longer than 3 s"]);
        assert_eq!(problem.host.as_deref(), Some("b"));
        let problem = judge(2379, used("nginx"), closed()).remove(0);
        assert!(problem.message.ends_with("is used by `nginx` (process 7)"), "{}", problem.message);
    }

    #[test]
    fn packets_of_pods_must_pass() {
        let packet = |size| Packet { from: "a", to: "b", interface_mtu: 1500, size };
        let wish = |pod_mtu| MtuWish { variable: "calico_mtu", pod_mtu, headers: 50 };
        for (pod_mtu, size, expected) in [
            (None, PacketSize::Bytes(1500), ""),
            (None, PacketSize::Bytes(1450), "packet-size"),
            (Some(1400), PacketSize::Bytes(1450), ""),
            (Some(1401), PacketSize::Bytes(1450), "packet-size"),
            (Some(8950), PacketSize::Bytes(1500), "packet-size"),
            (None, PacketSize::NotMeasured("no program `ping`".into()), "-packet-size-unknown"),
        ] {
            assert_eq!(shown(&packets_pass(wish(pod_mtu), &[packet(size)])), expected, "{pod_mtu:?}");
        }
        let problem = packets_pass(wish(None), &[packet(PacketSize::Bytes(1450))]).remove(0);
        assert_eq!(
            problem.hints,
            ["set `calico_mtu` to 1400 or less, or let the network pass larger packets"]
        );
    }

    #[test]
    fn names_must_be_known_and_some_must_be_the_same() {
        let addresses = |text: &str| -> Result<Vec<IpAddr>, String> {
            if text.is_empty() {
                return Err("the host knows no address of it".into());
            }
            Ok(text.split(' ').map(|address| address.parse().unwrap()).collect())
        };
        let wish = |is_same| [NameWish { name: "api.lan", what: "the API's name", is_same }];
        for (a, b, is_same, expected) in [
            ("10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1", true, ""),
            ("10.0.0.1", "10.0.0.2", true, "?name-differs"),
            ("10.0.0.1", "10.0.0.2", false, ""),
            ("10.0.0.1", "", true, "name-unknown"),
            ("", "", false, "name-unknown"),
        ] {
            let found = [
                ("a", [("api.lan".to_owned(), addresses(a))].into()),
                ("b", [("api.lan".to_owned(), addresses(b))].into()),
                ("c", BTreeMap::new()),
            ]
            .into();
            assert_eq!(shown(&names_resolve(&wish(is_same), &found)), expected, "{a} / {b}");
        }
    }

    #[test]
    fn addresses_and_networks_are_apart() {
        let networks = [
            ("kube_pods_subnet", "10.233.64.0/18".parse().unwrap()),
            ("kube_service_addresses", "10.233.0.0/18".parse().unwrap()),
        ];
        let at = |address: &str| [("a", address.parse().unwrap())];
        assert_eq!(shown(&addresses_are_no_networks(&at("192.168.0.1"), &networks)), "");
        assert_eq!(shown(&addresses_are_no_networks(&at("10.233.64.1"), &networks)), "address-in-network");
        let wide = [networks[0], ("kube_service_addresses", "10.233.0.0/16".parse().unwrap())];
        assert_eq!(shown(&addresses_are_no_networks(&at("192.168.0.1"), &wide)), "networks-overlap");
    }

    #[test]
    fn the_shortest_round_trip_tells_most_of_a_clock() {
        let sample = |asked_ms, answered_ms, host_ms| ClockSample { asked_ms, answered_ms, host_ms };
        let best = best_clock(&[sample(0, 900, 5_000), sample(1_000, 1_020, 6_010)]).unwrap();
        assert_eq!((best.round_trip_ms(), best.halfway_ms(), best.ahead_ms()), (20, 1_010, 5_000));
        assert_eq!(best_clock(&[]), None);
        assert_eq!(sample(1_000, 500, 900).ahead_ms(), -100, "a controller whose clock was set back");
    }
}
