//! Networks of pods and services.

use std::net::IpAddr;

use ipnet::IpNet;
use kubespray_diagnostics::Diagnostic;

use super::site::shown;
use super::{Look, Report};

/// One family of addresses and its variables.
struct Family {
    switch: &'static str,
    services: &'static str,
    pods: &'static str,
    node_prefix: &'static str,
    bits: u8,
    example: &'static str,
    ids: [&'static str; 4],
}

const FAMILIES: [Family; 2] = [
    Family {
        switch: "ipv4_stack",
        services: "kube_service_addresses",
        pods: "kube_pods_subnet",
        node_prefix: "kube_network_node_prefix",
        bits: 32,
        example: "10.233.0.0/18",
        ids: ["VAL-012", "VAL-013", "VAL-014", "VAL-015"],
    },
    Family {
        switch: "ipv6_stack",
        services: "kube_service_addresses_ipv6",
        pods: "kube_pods_subnet_ipv6",
        node_prefix: "kube_network_node_prefix_ipv6",
        bits: 128,
        example: "fd85:ee78:d8a6:8607::1000/116",
        ids: ["VAL-016", "VAL-017", "VAL-018", "VAL-019"],
    },
];

/// The networks of the cluster that could be read, each with its variable.
pub(super) type Networks = Vec<(&'static str, IpNet)>;

pub(super) fn check(look: &Look<'_>, report: &mut Report) -> Networks {
    let mut networks = Networks::new();
    for family in &FAMILIES {
        if !look.is_true(family.switch) {
            continue;
        }
        let services = val_012_016_services_have_a_network(look, family, report);
        let pods = val_013_017_pods_have_a_network(look, family, report);
        if let (Some(services), Some(pods)) = (services, pods) {
            val_014_018_pods_and_services_are_apart(look, family, services, pods, report);
        }
        if let Some(pods) = pods {
            val_015_019_every_node_gets_a_range(look, family, pods, report);
        }
        networks.extend(services.map(|network| (family.services, network)));
        networks.extend(pods.map(|network| (family.pods, network)));
    }
    networks
}

/// What may differ between hosts.
pub(super) fn check_host(look: &Look<'_>, report: &mut Report) {
    val_009_every_pod_gets_an_address(look, report);
}

/// Reads a network as it should be written. Kubespray lets IPv4 networks with host bits pass (VAL-013t).
pub(super) fn read_network(
    look: &Look<'_>,
    id: &str,
    name: &str,
    example: &str,
) -> Option<Result<IpNet, Diagnostic>> {
    let text = look.text(name)?;
    let Ok(network) = text.trim().parse::<IpNet>() else {
        let problem = look.error(id, name, format!("`{name}` is {}, which is no network", shown(&text)));
        return Some(Err(match text.trim().parse::<IpAddr>() {
            Ok(_) => problem.hint(format!("add the length of its prefix, such as `{example}`")),
            Err(_) => {
                problem.hint(format!("write an address and the length of a prefix, such as `{example}`"))
            }
        }));
    };
    if network.trunc() != network {
        return Some(Err(look
            .error(id, name, format!("`{name}` `{network}` is an address in a network, not a network"))
            .hint(format!("write `{name}: {}`", network.trunc()))));
    }
    Some(Ok(network))
}

fn val_012_016_services_have_a_network(
    look: &Look<'_>,
    family: &Family,
    report: &mut Report,
) -> Option<IpNet> {
    let [id, ..] = family.ids;
    is_a_network(look, id, family.services, family, report)
}

fn val_013_017_pods_have_a_network(look: &Look<'_>, family: &Family, report: &mut Report) -> Option<IpNet> {
    let [_, id, ..] = family.ids;
    is_a_network(look, id, family.pods, family, report)
}

fn is_a_network(
    look: &Look<'_>,
    id: &str,
    name: &str,
    family: &Family,
    report: &mut Report,
) -> Option<IpNet> {
    match read_network(look, id, name, family.example)? {
        Err(problem) => {
            report.add(problem);
            None
        }
        Ok(network) if network.max_prefix_len() != family.bits => {
            let version = if family.bits == 32 { "IPv4" } else { "IPv6" };
            report.add(
                look.error(id, name, format!("`{name}` `{network}` is no {version} network"))
                    .because(format!("`{}` is true", family.switch))
                    .hint(format!(
                        "set a network such as `{}`, or `{}: false`",
                        family.example, family.switch
                    )),
            );
            None
        }
        Ok(network) => Some(network),
    }
}

/// Both directions, unlike Kubespray (VAL-014t).
fn val_014_018_pods_and_services_are_apart(
    look: &Look<'_>,
    family: &Family,
    services: IpNet,
    pods: IpNet,
    report: &mut Report,
) {
    if !overlap(&services, &pods) {
        return;
    }
    let [_, _, id, _] = family.ids;
    let mut problem = look.error(
        id,
        family.pods,
        format!("`{}` `{pods}` overlaps `{}` `{services}`", family.pods, family.services),
    );
    if let Some(origin) = look.origin(family.services) {
        problem = problem.label(origin, "services are here");
    }
    report.add(problem.hint("choose networks that share no address"));
}

fn val_015_019_every_node_gets_a_range(look: &Look<'_>, family: &Family, pods: IpNet, report: &mut Report) {
    if look.is("kube_network_plugin", "calico") {
        return;
    }
    let Some(prefix) = look.integer(family.node_prefix) else { return };
    let [_, _, _, id] = family.ids;
    let name = family.node_prefix;
    let nodes = look.members.k8s_cluster.len();
    let pods_prefix = i64::from(pods.prefix_len());
    if prefix < pods_prefix || prefix > i64::from(family.bits) {
        report.add(
            look.error(id, name, format!("`{name}` is `{prefix}`, but `{}` is `{pods}`", family.pods))
                .because("each node gets a part of the network of pods")
                .hint(format!("set `{name}` to a number from {pods_prefix} to {}", family.bits)),
        );
        return;
    }
    let bits = u32::try_from(prefix - pods_prefix).unwrap_or(0);
    let ranges = 1_usize.checked_shl(bits).unwrap_or(usize::MAX);
    if ranges < nodes {
        report.add(
            look.error(
                id,
                name,
                format!("`{}` `{pods}` holds {ranges} ranges of `/{prefix}` for {nodes} nodes", family.pods),
            )
            .because(format!("`{name}` is `{prefix}`"))
            .hint(format!("make `{}` larger, or `{name}` larger", family.pods)),
        );
    }
}

fn val_009_every_pod_gets_an_address(look: &Look<'_>, report: &mut Report) {
    if !look.is_in_cluster() || !look.is_true("ipv4_stack") {
        return;
    }
    let Some(plugin) = look.text("kube_network_plugin") else { return };
    if ["calico", "none"].contains(&plugin.as_str()) {
        return;
    }
    let (Some(pods), Some(prefix)) =
        (look.integer("kubelet_max_pods"), look.integer("kube_network_node_prefix"))
    else {
        return;
    };
    // Other prefixes are refused by VAL-015.
    let Some(bits) = 32_i64.checked_sub(prefix).filter(|bits| (0..=32).contains(bits)) else { return };
    let addresses = (1_i64 << bits) - 2;
    if pods > addresses {
        report.add(
            look.error(
                "VAL-009",
                "kubelet_max_pods",
                format!(
                    "`kubelet_max_pods` is `{pods}`, but a node has {} addresses for pods",
                    addresses.max(0)
                ),
            )
            .because(format!("`kube_network_node_prefix` is `{prefix}`"))
            .hint("lower `kubelet_max_pods`, or lower `kube_network_node_prefix`"),
        );
    }
}

/// Whether two networks share an address.
pub(super) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{expect, outcome};

    const V6: &str = "ipv6_stack: true\n";

    #[test]
    fn networks_of_ipv4() {
        expect(&[
            ("kube_service_addresses: 10.96.0.0/12", ""),
            ("kube_service_addresses: 10.96.0.0", "VAL-012"),
            ("kube_service_addresses: a net", "VAL-012"),
            ("kube_service_addresses: 10.233.0.5/18", "VAL-012"),
            ("kube_service_addresses: fd00::/112", "VAL-012"),
            ("kube_pods_subnet: 10.244.0.0/16", ""),
            ("kube_pods_subnet: 10.233.64.0/33", "VAL-013"),
            ("kube_pods_subnet: 10.233.64.1/18", "VAL-013"),
            ("kube_pods_subnet: ''", "VAL-013"),
        ]);
        assert_eq!(
            outcome("kube_service_addresses: 10.233.0.5/18").diagnostics[0].hints,
            ["write `kube_service_addresses: 10.233.0.0/18`"]
        );
    }

    #[test]
    fn overlap_in_either_direction() {
        expect(&[
            ("{kube_service_addresses: 10.0.0.0/8, kube_pods_subnet: 10.1.0.0/16}", "VAL-014"),
            ("{kube_service_addresses: 10.1.0.0/16, kube_pods_subnet: 10.0.0.0/8}", "VAL-014"),
            ("{kube_service_addresses: 10.0.0.0/16, kube_pods_subnet: 10.0.0.0/16}", "VAL-014"),
            ("{kube_service_addresses: 10.0.0.0/16, kube_pods_subnet: 10.1.0.0/16}", ""),
        ]);
    }

    #[test]
    fn networks_of_ipv6() {
        let cases = [
            ("", ""),
            ("kube_service_addresses_ipv6: nonsense", "VAL-016"),
            ("kube_service_addresses_ipv6: fd00::1/112", "VAL-016"),
            ("kube_pods_subnet_ipv6: 10.0.0.0/8", "VAL-017"),
            ("{kube_service_addresses_ipv6: 'fd00::/64', kube_pods_subnet_ipv6: 'fd00::/48'}", "VAL-018"),
            ("{kube_service_addresses_ipv6: 'fd00::/48', kube_pods_subnet_ipv6: 'fd00::/64'}", "VAL-018"),
        ];
        for (vars, expected) in cases {
            let vars = if let Some(inner) = vars.strip_prefix('{') {
                format!("{{ipv6_stack: true, {inner}")
            } else {
                format!("{V6}{vars}")
            };
            expect(&[(&vars, expected)]);
        }
        expect(&[("kube_service_addresses_ipv6: nonsense", "")]);
    }

    #[test]
    fn ranges_of_nodes() {
        let v6 = "{kube_network_plugin: flannel, ipv6_stack: true, kube_pods_subnet_ipv6: 'fd00::/112', kube_service_addresses_ipv6: 'fd01::/112'";
        expect(&[
            ("{kube_network_plugin: flannel, kube_pods_subnet: 10.1.0.0/23}", ""),
            ("{kube_network_plugin: flannel, kube_pods_subnet: 10.1.0.0/24}", "VAL-015"),
            ("{kube_network_plugin: calico, kube_pods_subnet: 10.1.0.0/24}", ""),
            ("{kube_network_plugin: flannel, kube_network_node_prefix: 17}", "VAL-015"),
            ("{kube_network_plugin: flannel, kube_network_node_prefix: '33'}", "VAL-015"),
            (&format!("{v6}, kube_network_node_prefix_ipv6: 113}}"), ""),
            (&format!("{v6}, kube_network_node_prefix_ipv6: 112}}"), "VAL-019"),
            (&format!("{v6}, kube_network_node_prefix_ipv6: 64}}"), "VAL-019"),
        ]);
    }

    #[test]
    fn addresses_of_pods() {
        expect(&[
            ("{kube_network_plugin: flannel, kubelet_max_pods: 254}", ""),
            ("{kube_network_plugin: flannel, kubelet_max_pods: 255}", "VAL-009"),
            ("{kube_network_plugin: calico, kubelet_max_pods: 500}", ""),
            (
                "{kube_network_plugin: flannel, kubelet_max_pods: 110, kube_network_node_prefix: 32}",
                "VAL-009",
            ),
        ]);
    }
}
