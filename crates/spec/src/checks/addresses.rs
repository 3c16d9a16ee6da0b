//! Addresses and names that hosts must not share. Kubespray checks none of this.

use std::collections::HashMap;
use std::net::IpAddr;

use kubespray_diagnostics::Diagnostic;

use super::networks::Networks;
use super::{Look, Report};

const ADDRESSES: &[&str] = &["ip", "access_ip", "ip6", "access_ip6"];

pub(super) fn check(look: &Look<'_>, networks: &Networks, report: &mut Report) {
    let hosts = look.members.installed();
    for name in ADDRESSES {
        let found: Vec<(Look<'_>, IpAddr)> = hosts
            .iter()
            .filter_map(|host| {
                let look = Look { host, per_host: true, ..*look };
                Some((look, look.address(name)?))
            })
            .collect();
        no_two_hosts_share_an_address(name, &found, report);
        no_node_is_in_a_range_of_the_cluster(name, &found, networks, report);
    }
    no_two_etcd_members_share_a_name(look, report);
}

fn no_two_hosts_share_an_address(name: &str, found: &[(Look<'_>, IpAddr)], report: &mut Report) {
    let mut owners: HashMap<IpAddr, &Look<'_>> = HashMap::new();
    for (look, address) in found {
        let Some(owner) = owners.get(address) else {
            owners.insert(*address, look);
            continue;
        };
        report.add(
            shared(look, owner, "duplicate-address", name, &address.to_string())
                .hint("give each host an address of its own"),
        );
    }
}

/// A router of the cluster would take its packets.
fn no_node_is_in_a_range_of_the_cluster(
    name: &str,
    found: &[(Look<'_>, IpAddr)],
    networks: &Networks,
    report: &mut Report,
) {
    for (look, address) in found {
        for (network_name, network) in networks.iter().filter(|(_, network)| network.contains(address)) {
            let message =
                format!("`{name}` `{address}` of `{}` lies inside `{network_name}` `{network}`", look.host);
            let mut problem = look.error("node-inside-cluster-network", name, message);
            if let Some(origin) = look.origin(network_name) {
                problem = problem.label(origin, "the network is here");
            }
            report.add(
                problem
                    .because("addresses of nodes, pods and services must be told apart")
                    .hint(format!("choose another `{network_name}`")),
            );
        }
    }
}

fn no_two_etcd_members_share_a_name(look: &Look<'_>, report: &mut Report) {
    let mut owners: HashMap<String, Look<'_>> = HashMap::new();
    for host in &look.members.etcd {
        let look = Look { host, per_host: true, ..*look };
        let Some(name) = look.text("etcd_member_name").filter(|name| !name.is_empty()) else { continue };
        match owners.get(&name) {
            None => _ = owners.insert(name, look),
            Some(owner) => report.add(
                shared(&look, owner, "duplicate-etcd-member-name", "etcd_member_name", &name)
                    .hint("give each etcd member a name of its own"),
            ),
        }
    }
}

fn shared(look: &Look<'_>, owner: &Look<'_>, id: &str, name: &str, value: &str) -> Diagnostic {
    let message = format!("`{}` and `{}` have the same `{name}` `{value}`", owner.host, look.host);
    let problem = look.error(id, name, message);
    match owner.origin(name) {
        Some(origin) if look.origin(name).as_ref() != Some(&origin) => {
            problem.label(origin, format!("that of `{}` is here", owner.host))
        }
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{SMALL, ids, outcome, outcome_of};

    fn found(host_b: &str, vars: &str) -> String {
        let hosts = SMALL.replace("{ip: 192.168.0.2}", host_b);
        ids(&outcome_of(&hosts, vars)).join(" ")
    }

    #[test]
    fn addresses_of_their_own() {
        assert_eq!(found("{ip: 192.168.0.1}", ""), "duplicate-address");
        assert_eq!(found("{ip: 192.168.0.3}", ""), "");
        assert_eq!(found("{ip: '{{ nowhere_defined }}'}", ""), "undefined-variable");
        assert_eq!(found("{}", "access_ip: 192.168.0.9"), "duplicate-address");
        assert_eq!(found("{}", "ip: '{{ ansible_default_ipv4.address }}'"), "");
    }

    #[test]
    fn the_other_host_is_told() {
        let hosts = SMALL.replace("192.168.0.2", "192.168.0.1");
        let outcome = outcome_of(&hosts, "");
        let problem = &outcome.diagnostics[0];
        assert_eq!(problem.message, "`b` and `a` have the same `ip` `192.168.0.1`");
        assert_eq!(problem.labels.len(), 2);
    }

    #[test]
    fn nodes_are_outside_of_the_networks_of_the_cluster() {
        assert_eq!(found("{ip: 10.233.0.7}", ""), "node-inside-cluster-network");
        assert_eq!(found("{access_ip: 10.233.64.7}", ""), "node-inside-cluster-network");
        assert_eq!(found("{ip6: 'fd01::1'}", ""), "");
        assert_eq!(
            found("{ip6: 'fd01::1'}", "{ipv6_stack: true, kube_pods_subnet_ipv6: 'fd01::/112'}"),
            "node-inside-cluster-network"
        );
        let both = outcome("{kube_pods_subnet: 192.168.0.0/16}");
        assert_eq!(ids(&both), ["node-inside-cluster-network", "node-inside-cluster-network"]);
    }

    #[test]
    fn names_of_etcd_members() {
        let hosts = "all: {children: {kube_control_plane: {hosts: {a: , b: , c: }}, etcd: {hosts: {a: {etcd_member_name: x}, b: {etcd_member_name: x}, c: }}}}";
        let outcome = outcome_of(hosts, "");
        assert_eq!(ids(&outcome), ["duplicate-etcd-member-name"]);
        // The name of `b` is the default of the second member.
        let hosts = "all: {children: {kube_control_plane: {hosts: {a: , b: , c: }}, etcd: {hosts: {a: {etcd_member_name: etcd2}, b: , c: }}}}";
        assert_eq!(ids(&outcome_of(hosts, "")), ["duplicate-etcd-member-name"]);
        assert!(ids(&outcome_of(&hosts.replace("etcd2", "first"), "")).is_empty());
    }
}
