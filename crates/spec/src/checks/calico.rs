//! Calico (VAL-060 to VAL-081). VAL-064, VAL-072 and VAL-073 need the cluster that runs.

use kubespray_value::Value;

use super::networks::read_network;
use super::site::shown;
use super::{Look, Report};

const MODES: [&str; 3] = ["Always", "CrossSubnet", "Never"];

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    if !look.is("kube_network_plugin", "calico") {
        return;
    }
    val_060_061_062_names_are_those_of_today(look, report);
    val_063_the_version_is_known(look, report);
    val_065_route_reflectors_have_a_cluster_id(look, report);
    val_067_the_pool_has_a_name(look, report);
    look.choice("VAL-068", "calico_network_backend", &["bird", "vxlan", "none"], report);
    look.choice("VAL-069", "calico_ipip_mode", &MODES, report);
    look.choice("VAL-069", "calico_vxlan_mode", &MODES, report);
    val_070_071_one_encapsulation(look, report);
    val_074_075_the_api_and_typha_need_kdd(look, report);
    val_076_no_ipip_for_ipv6(look, report);
    // VAL-080, VAL-081
    pool_is_inside(look, "VAL-080", "ipv4_stack", "calico_pool_cidr", "kube_pods_subnet", report);
    pool_is_inside(look, "VAL-081", "ipv6_stack", "calico_pool_cidr_ipv6", "kube_pods_subnet_ipv6", report);
}

fn val_060_061_062_names_are_those_of_today(look: &Look<'_>, report: &mut Report) {
    for (id, name, meant) in [
        ("VAL-060", "ipip", "calico_ipip_mode"),
        ("VAL-061", "ipip_mode", "calico_ipip_mode"),
        ("VAL-062", "calcio_ipam_autoallocateblocks", "calico_ipam_autoallocateblocks"),
    ] {
        if look.is_set(name) {
            report.add(
                look.error(id, name, format!("`{name}` has no effect on Calico"))
                    .hint(format!("set `{meant}` instead")),
            );
        }
    }
}

fn val_063_the_version_is_known(look: &Look<'_>, report: &mut Report) {
    let (Some(version), Some(table)) = (look.text("calico_version"), look.value("calico_crds_checksums"))
    else {
        return;
    };
    let by_architecture = table.as_map().into_iter().flat_map(|map| map.values()).filter_map(Value::as_map);
    let known: Vec<String> = by_architecture.flat_map(|map| map.keys()).map(Value::to_text).collect();
    if known.contains(&version) {
        return;
    }
    let problem = look.error(
        "VAL-063",
        "calico_version",
        format!("`calico_version` {} is not supported", shown(&version)),
    );
    let plain = version.trim_start_matches('v');
    report.add(if known.iter().any(|other| other == plain) {
        problem.hint(format!("write `calico_version: {plain}`"))
    } else {
        problem.hint(format!("choose one of {}", known.join(", ")))
    });
}

/// Each route reflector needs one, wherever it is defined.
fn val_065_route_reflectors_have_a_cluster_id(look: &Look<'_>, report: &mut Report) {
    for host in &look.members.calico_rr {
        let look = Look { host, per_host: true, ..*look };
        let Some(id) = look.text("cluster_id") else {
            if !look.is_set("cluster_id") {
                report.add(
                    look.error(
                        "VAL-065",
                        "cluster_id",
                        format!("the route reflector `{host}` has no `cluster_id`"),
                    )
                    .hint("set `cluster_id` to a number in the form of an IPv4 address, such as `1.0.0.1`"),
                );
            }
            continue;
        };
        if id.parse::<std::net::Ipv4Addr>().is_err() {
            report.add(
                look.error(
                    "VAL-065",
                    "cluster_id",
                    format!("`cluster_id` is {}, not in the form of an IPv4 address", shown(&id)),
                )
                .hint("set it to something such as `1.0.0.1`"),
            );
        }
    }
}

fn val_067_the_pool_has_a_name(look: &Look<'_>, report: &mut Report) {
    let name = match look.text("calico_pool_name") {
        Some(name) => name,
        None if look.is_set("calico_pool_name") => return,
        None => String::new(),
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !(2..=63).contains(&name.len()) || !name.chars().all(fine) {
        report.add(
            look.error(
                "VAL-067",
                "calico_pool_name",
                format!("`calico_pool_name` is {}, which is no name of a pool", shown(&name)),
            )
            .hint("use 2 to 63 letters, digits, `-`, `_` and `.`"),
        );
    }
}

/// VAL-070 and VAL-071 find the same pairs; one problem tells it.
fn val_070_071_one_encapsulation(look: &Look<'_>, report: &mut Report) {
    let on = |name: &str| look.text(name).filter(|mode| mode == "Always" || mode == "CrossSubnet");
    if let (Some(ipip), Some(vxlan)) = (on("calico_ipip_mode"), on("calico_vxlan_mode")) {
        report.add(
            look.error(
                "VAL-070",
                "calico_ipip_mode",
                format!("`calico_ipip_mode` is `{ipip}` and `calico_vxlan_mode` is `{vxlan}`"),
            )
            .because("Calico encapsulates in one way")
            .hint("set one of them to `Never`"),
        );
    }
}

fn val_074_075_the_api_and_typha_need_kdd(look: &Look<'_>, report: &mut Report) {
    let Some(store) = look.text("calico_datastore") else { return };
    for (id, name) in [("VAL-074", "calico_apiserver_enabled"), ("VAL-075", "typha_enabled")] {
        if store != "kdd" && look.is_true(name) {
            report.add(
                look.error(
                    id,
                    name,
                    format!("`{name}` does not go with `calico_datastore` {}", shown(&store)),
                )
                .hint(format!("set `calico_datastore: kdd`, or `{name}: false`")),
            );
        }
    }
}

fn val_076_no_ipip_for_ipv6(look: &Look<'_>, report: &mut Report) {
    if look.is_true("ipv6_stack") {
        look.choice("VAL-076", "calico_ipip_mode_ipv6", &["Never"], report);
    }
}

fn pool_is_inside(
    look: &Look<'_>,
    id: &str,
    stack: &str,
    pool_name: &str,
    pods_name: &str,
    report: &mut Report,
) {
    if !look.is_set(pool_name) || !look.is_true(stack) {
        return;
    }
    let pool = match read_network(look, id, pool_name, "10.233.64.0/20") {
        Some(Ok(pool)) => pool,
        Some(Err(problem)) => return report.add(problem),
        None => return,
    };
    // The network of pods itself was checked before.
    let Some(Ok(pods)) = read_network(look, id, pods_name, "") else { return };
    if !pods.contains(&pool) {
        report.add(
            look.error(id, pool_name, format!("`{pool_name}` `{pool}` is not inside `{pods_name}` `{pods}`"))
                .hint(format!("choose a part of `{pods_name}`, or remove `{pool_name}`")),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{SMALL, expect, ids, outcome_of};

    #[test]
    fn settings() {
        expect(&[
            ("ipip: true", "VAL-060"),
            ("{ipip: true, kube_network_plugin: flannel}", ""),
            ("ipip_mode: Always", "VAL-061"),
            ("calcio_ipam_autoallocateblocks: true", "VAL-062"),
            ("calico_version: 3.31.7", ""),
            ("calico_version: 3.1.0", "VAL-063"),
            ("calico_version: v3.31.7", "VAL-063"),
            ("calico_pool_name: a.b_c-D", ""),
            ("calico_pool_name: a", "VAL-067"),
            ("calico_pool_name: a b", "VAL-067"),
            ("calico_network_backend: bird", ""),
            ("calico_network_backend: birds", "VAL-068"),
            ("calico_ipip_mode: always", "VAL-069"),
            ("calico_vxlan_mode: 'Off'", "VAL-069"),
            ("{calico_ipip_mode: Always, calico_vxlan_mode: CrossSubnet}", "VAL-070"),
            ("{calico_ipip_mode: Always, calico_vxlan_mode: Never}", ""),
            ("{calico_apiserver_enabled: true, calico_datastore: etcd}", "VAL-074"),
            ("calico_apiserver_enabled: true", ""),
            ("{typha_enabled: true, calico_datastore: etcd}", "VAL-075"),
            ("typha_enabled: true", ""),
            ("{ipv6_stack: true, calico_ipip_mode_ipv6: Always}", "VAL-076"),
            ("calico_ipip_mode_ipv6: Always", ""),
            ("{ignore_assert_errors: true, typha_enabled: true, calico_datastore: etcd}", "ignored-checks"),
        ]);
    }

    #[test]
    fn pools() {
        expect(&[
            ("calico_pool_cidr: 10.233.64.0/20", ""),
            ("calico_pool_cidr: 10.233.64.0/18", ""),
            ("calico_pool_cidr: 10.234.0.0/20", "VAL-080"),
            ("calico_pool_cidr: nonsense", "VAL-080"),
            ("calico_pool_cidr_ipv6: 'fd99::/112'", ""),
            ("{ipv6_stack: true, calico_pool_cidr_ipv6: 'fd99::/112'}", "VAL-081"),
            (
                "{ipv6_stack: true, kube_pods_subnet_ipv6: 'fd99::/96', calico_pool_cidr_ipv6: 'fd99::/112'}",
                "",
            ),
        ]);
    }

    #[test]
    fn route_reflectors() {
        let hosts = format!("{SMALL}    calico_rr: {{hosts: {{r: {{ip: 192.168.0.9}}}}}}\n");
        assert_eq!(ids(&outcome_of(&hosts, "")), ["VAL-065"]);
        assert_eq!(ids(&outcome_of(&hosts, "cluster_id: 7")), ["VAL-065"]);
        assert!(ids(&outcome_of(&hosts, "cluster_id: 1.0.0.1")).is_empty());
    }
}
