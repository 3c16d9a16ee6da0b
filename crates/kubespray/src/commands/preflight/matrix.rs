//! What hosts find out about each other: ports, packets, names; and the disks of etcd.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use kubespray_diagnostics::Diagnostic;
use kubespray_planner::{
    ClusterShape, MtuWish, NameWish, Packet, PortWish, Tried, addresses_are_no_networks, names_resolve,
    packets_pass, ports_are_open, ports_wanted,
};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Facts, PortState};
use kubespray_spec::Groups;
use kubespray_transport::{Target, Transport};
use kubespray_variables::Variables;

use super::Known;
use crate::fleet;

/// Enough to see the slowest of a hundred.
const SYNCS: u32 = 200;
/// How long a host may take to reach another one, in milliseconds.
const REACH_MS: u64 = 3_000;
/// How long helpers listen: all hosts try all ports meanwhile.
const LISTEN_S: u64 = 60;
/// In a large cluster a host tries so many others: a closed port is closed to more than one.
const MOST_OTHERS: usize = 16;
/// The largest packet of an ordinary network, where the interface is not known.
const ETHERNET: u32 = 1500;

/// All that is asked of hosts about each other.
pub(super) struct Matrix<'a> {
    pub(super) transport: &'a dyn Transport,
    pub(super) ways: &'a [Target],
    pub(super) variables: &'a Variables,
    pub(super) known: &'a BTreeMap<String, Known>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Diagnostic>,
    /// Times of synced writes, by host of etcd.
    pub(super) syncs: BTreeMap<String, Vec<u64>>,
}

impl<'a> Matrix<'a> {
    /// Asks and judges. `networks` are the cluster's own.
    pub(super) fn look(&self, networks: &[(&str, IpNet)]) -> Found {
        let mut found = Found::default();
        let groups = Groups::of(self.variables.inventory());
        let addresses = self.addresses();
        let pairs: Vec<(&str, IpAddr)> = addresses.iter().map(|(host, ip)| (*host, *ip)).collect();
        found.problems.extend(addresses_are_no_networks(&pairs, networks));
        let plugin = self.text(&groups, "kube_network_plugin");
        let shape = self.shape(&groups, &plugin);
        let wishes = ports_wanted(&shape);
        self.ports(&wishes, &addresses, &mut found);
        self.packets(&groups, &plugin, &addresses, &mut found);
        self.names(&groups, &mut found);
        self.disks(&groups, &mut found);
        found
    }

    fn addresses(&self) -> BTreeMap<&'a str, IpAddr> {
        let address = |way: &'a Target| {
            let found = self.variables.get(&way.host, "main_access_ip").ok()?.to_text();
            Some((way.host.as_str(), found.parse().ok()?))
        };
        self.ways.iter().filter_map(address).collect()
    }

    /// A variable as the first control plane has it; empty where it has no value.
    fn text(&self, groups: &Groups, name: &str) -> String {
        let Some(host) = groups.control_plane.first() else { return String::new() };
        self.variables.get(host, name).map(|value| value.to_text()).unwrap_or_default()
    }

    fn is_true(&self, groups: &Groups, name: &str) -> bool {
        ["true", "yes", "1"].contains(&self.text(groups, name).to_lowercase().as_str())
    }

    fn shape<'s>(&self, groups: &'s Groups, plugin: &'s str) -> ClusterShape<'s> {
        let all = |hosts: &'s [String]| hosts.iter().map(String::as_str).collect::<Vec<_>>();
        let mut cluster = all(&groups.control_plane);
        for host in groups.workers.iter().chain(&groups.route_reflectors) {
            if !cluster.contains(&host.as_str()) {
                cluster.push(host);
            }
        }
        let port = |name: &str, otherwise| self.text(groups, name).parse().unwrap_or(otherwise);
        let by_kubeadm = self.text(groups, "etcd_deployment_type") == "kubeadm";
        ClusterShape {
            etcd: all(if by_kubeadm { &groups.control_plane } else { &groups.etcd }),
            control_planes: all(&groups.control_plane),
            cluster,
            api_port: port("kube_apiserver_port", 6443),
            etcd_events: self.is_true(groups, "etcd_events_cluster_enabled"),
            plugin,
            calico_bgp: self.text(groups, "calico_network_backend") == "bird",
            calico_bgp_port: port("calico_bgp_listen_port", 179),
            calico_in_etcd: self.text(groups, "calico_datastore") == "etcd",
            typha: self.is_true(groups, "typha_enabled"),
            hubble: self.is_true(groups, "cilium_enable_hubble"),
        }
    }

    /// Asks every host, and collects what fits.
    fn ask<T>(
        &self,
        found: &mut Found,
        asks: impl Fn(&str) -> Vec<Ask>,
        take: impl Fn(Answer) -> Option<T>,
    ) -> BTreeMap<String, Vec<T>> {
        let mut out = BTreeMap::new();
        let ways: Vec<Target> = self.ways.iter().filter(|way| !asks(&way.host).is_empty()).cloned().collect();
        for (host, result) in fleet::ask(self.transport, &ways, asks) {
            match result {
                Ok(answered) => {
                    let answers = answered.answers.into_iter().filter_map(|(answer, ..)| match answer {
                        Answer::Failed(_) => {
                            found.problems.push(fleet::unexpected(&host, &answer));
                            None
                        }
                        answer => take(answer),
                    });
                    out.insert(host.clone(), answers.collect());
                }
                Err(why) => found.problems.push(fleet::problem(&host, &why)),
            }
        }
        out
    }

    /// Helpers listen everywhere, then everybody tries.
    fn ports(&self, wishes: &[PortWish<'_>], addresses: &BTreeMap<&str, IpAddr>, found: &mut Found) {
        let of_host = |host: &str| {
            wishes.iter().filter(|wish| wish.to.contains(&host)).map(|wish| wish.port).collect::<Vec<u16>>()
        };
        let listening = self.ask(
            found,
            |host| vec![Ask::Listen { ports: of_host(host), seconds: LISTEN_S }],
            |answer| match answer {
                Answer::Listening(ports) => Some(ports),
                _ => None,
            },
        );
        let mut wanted: BTreeMap<&str, Vec<(SocketAddr, &str, u16)>> = BTreeMap::new();
        for wish in wishes {
            for (from, to) in wish.pairs(MOST_OTHERS) {
                if let Some(ip) = addresses.get(to) {
                    wanted.entry(from).or_default().push((SocketAddr::new(*ip, wish.port), to, wish.port));
                }
            }
        }
        let reached = self.ask(
            found,
            |host| {
                let addresses =
                    wanted.get(host).into_iter().flatten().map(|(at, ..)| at.to_string()).collect();
                vec![Ask::Reach { addresses, timeout_ms: REACH_MS }]
            },
            |answer| match answer {
                Answer::Reached(reached) => Some(reached),
                _ => None,
            },
        );
        self.ask(found, |_| vec![Ask::Listen { ports: Vec::new(), seconds: 0 }], |_| Some(()));
        let listening: BTreeMap<&str, BTreeMap<u16, PortState>> = listening
            .iter()
            .filter_map(|(host, answers)| Some((host.as_str(), answers.first()?.clone())))
            .collect();
        let tried: Vec<Tried<'_>> = wanted
            .iter()
            .flat_map(|(from, ways)| {
                let answers = reached.get(*from).and_then(|answers| answers.first());
                ways.iter().filter_map(move |(at, to, port)| {
                    let result = answers?.get(&at.to_string())?.clone();
                    Some(Tried { from, to, port: *port, result })
                })
            })
            .collect();
        found.problems.extend(ports_are_open(wishes, &listening, &tried));
    }

    /// Each host tries those that follow it.
    fn packets(&self, groups: &Groups, plugin: &str, addresses: &BTreeMap<&str, IpAddr>, found: &mut Found) {
        let Some(wish) = self.mtu(groups, plugin) else { return };
        let hosts: Vec<&str> = addresses.keys().copied().collect();
        let everyone =
            PortWish { port: 0, to: hosts.clone(), from: hosts, what: "", owners: &[], needed: true };
        let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (from, to) in everyone.pairs(MOST_OTHERS) {
            others.entry(from).or_default().push(to);
        }
        let mtu = |host: &str| {
            let facts = self.known.get(host).map(|known| &known.facts);
            facts.zip(addresses.get(host)).and_then(|(facts, ip)| mtu_of(facts, ip)).unwrap_or(ETHERNET)
        };
        let sizes = self.ask(
            found,
            |host| {
                let to = others.get(host).into_iter().flatten();
                let addresses: Vec<IpAddr> = to.filter_map(|to| addresses.get(to).copied()).collect();
                if addresses.is_empty() {
                    return Vec::new();
                }
                vec![Ask::Packets { addresses, largest: mtu(host) }]
            },
            |answer| match answer {
                Answer::Packets(sizes) => Some(sizes),
                _ => None,
            },
        );
        let packets: Vec<Packet<'_>> = sizes
            .iter()
            .flat_map(|(from, answers)| {
                let sizes = answers.first();
                let to = others.get(from.as_str()).into_iter().flatten();
                to.filter_map(move |to| {
                    let size = sizes?.get(addresses.get(to)?)?.clone();
                    Some(Packet { from, to, interface_mtu: mtu(from), size })
                })
            })
            .collect();
        found.problems.extend(packets_pass(wish, &packets));
    }

    /// What the network plugin needs of packets; nothing where the project does not know it (OPS-255).
    fn mtu(&self, groups: &Groups, plugin: &str) -> Option<MtuWish<'static>> {
        let is = |name: &str, value: &str| self.text(groups, name) == value;
        let (variable, headers) = match plugin {
            "calico" if self.is_true(groups, "calico_wireguard_enabled") => ("calico_mtu", 60),
            "calico" if !is("calico_vxlan_mode", "Never") => ("calico_mtu", 50),
            "calico" if !is("calico_ipip_mode", "Never") => ("calico_mtu", 20),
            "calico" => ("calico_mtu", 0),
            "cilium" if is("cilium_tunnel_mode", "disabled") => ("cilium_mtu", 0),
            "cilium" => ("cilium_mtu", 50),
            "kube-ovn" => ("kube_ovn_mtu", 100),
            _ => return None,
        };
        let pod_mtu = self.text(groups, variable).parse().ok().filter(|mtu| *mtu > 0);
        Some(MtuWish { variable, pod_mtu, headers })
    }

    /// The name under which the API server is reached, where the site has one.
    fn names(&self, groups: &Groups, found: &mut Found) {
        let name = self.text(groups, "apiserver_loadbalancer_domain_name");
        let Some(host) = groups.control_plane.first() else { return };
        let has_balancer = self
            .variables
            .get(host, "loadbalancer_apiserver")
            .is_ok_and(|value| value.as_map().is_some_and(|map| map.get("address").is_some()));
        if name.is_empty() || !has_balancer {
            return;
        }
        let answers = self.ask(
            found,
            |_| vec![Ask::Resolve { names: vec![name.clone()] }],
            |answer| match answer {
                Answer::Resolved(names) => Some(names),
                _ => None,
            },
        );
        let answers = answers
            .iter()
            .filter_map(|(host, answers)| Some((host.as_str(), answers.first()?.clone())))
            .collect();
        let wish = NameWish { name: &name, what: "the load balancer of the API servers", is_same: true };
        found.problems.extend(names_resolve(&[wish], &answers));
    }

    fn disks(&self, groups: &Groups, found: &mut Found) {
        let asks = |host: &str| {
            if !groups.etcd.iter().any(|member| member == host) {
                return Vec::new();
            }
            let Ok(folder) = self.variables.get(host, "etcd_data_dir") else { return Vec::new() };
            let path = format!("{}-kubespray-preflight", folder.to_text());
            vec![Ask::Fsync { path, count: SYNCS }]
        };
        let times = self.ask(found, asks, |answer| match answer {
            Answer::Synced(times) => Some(times),
            _ => None,
        });
        for (host, answers) in times {
            found.syncs.extend(answers.into_iter().next().map(|times| (host, times)));
        }
    }
}

/// The packet size of the interface that has an address; of that of the default route where none has it.
fn mtu_of(facts: &Facts, ip: &IpAddr) -> Option<u32> {
    let has = |address: &IpAddr| {
        let of = |interface: &&kubespray_resource::Interface| {
            interface.addresses.iter().any(|known| known.address == *address)
        };
        facts.interfaces.iter().find(of).map(|interface| interface.mtu)
    };
    let default = facts.default_ipv4.as_ref().or(facts.default_ipv6.as_ref());
    has(ip).or_else(|| has(&default?.address))
}
