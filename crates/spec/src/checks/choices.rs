//! Values that must be one of a few, and values that exclude each other.

use std::collections::HashSet;
use std::sync::Arc;

use kubespray_diagnostics::Diagnostic;
use kubespray_value::Value;

use super::site::shown;
use super::{Look, Report};

const REMOVED: &[&str] = &["kubelet_static_pod_path", "eviction_hard_control_plane"];
const BOOLEANS: &[&str] =
    &["download_run_once", "download_always_pull", "helm_enabled", "openstack_lbaas_enabled"];

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    val_003_removed_variables_are_gone(look, report);
    val_005_switches_are_booleans(look, report);
    val_020_the_network_plugin_is_known(look, report);
    val_021_the_dns_mode_is_known(look, report);
    val_022_the_proxy_mode_is_known(look, report);
    val_023_the_maker_of_certificates_is_known(look, report);
    val_024_the_mode_of_resolvers_is_known(look, report);
    val_025_the_deployment_of_etcd_is_known(look, report);
    val_026_docker_runs_etcd_in_docker(look, report);
    val_027_the_container_engine_is_known(look, report);
}

/// What may differ between hosts.
pub(super) fn check_host(look: &Look<'_>, report: &mut Report) {
    val_w01_a_network_is_configured(look, report);
    val_w02_dual_stack_has_new_names(look, report);
    val_010_the_cloud_provider_is_known(look, report);
    val_011_cloud_controller_is_known(look, report);
    val_028_downloads_of_localhost_run_once(look, report);
    val_029_kata_is_not_for_docker(look, report);
    val_030_gvisor_is_for_containerd(look, report);
    val_032_an_external_authority_renews_itself(look, report);
}

/// Whole names count (VAL-003t), on whichever host they are set.
fn val_003_removed_variables_are_gone(look: &Look<'_>, report: &mut Report) {
    let mut seen = HashSet::new();
    let mut found: Vec<Vec<_>> = vec![Vec::new(); REMOVED.len()];
    for host in look.site.inventory.hosts() {
        for layer in look.site.variables.layers(host) {
            if !seen.insert(Arc::as_ptr(&layer)) {
                continue;
            }
            for (name, origins) in REMOVED.iter().zip(&mut found) {
                origins.extend(layer.vars.get(*name).map(|definition| definition.origin.clone()));
            }
        }
    }
    for (name, origins) in REMOVED.iter().zip(found) {
        if let Some(origin) = origins.into_iter().next() {
            report.add(
                Diagnostic::error("VAL-003", format!("`{name}` was removed and has no effect"))
                    .at(origin)
                    .hint(format!("remove `{name}` from the inventory")),
            );
        }
    }
}

fn val_005_switches_are_booleans(look: &Look<'_>, report: &mut Report) {
    for name in BOOLEANS {
        let Some(value) = look.value(name) else { continue };
        if matches!(value, Value::Bool(_)) {
            continue;
        }
        let text = value.to_text();
        report.add(
            look.error("VAL-005", name, format!("`{name}` is {}, not a boolean", shown(&text)))
                .because("Kubespray's conditions take any text that is not empty for true")
                .hint(format!("write `{name}: true` or `{name}: false`, on the command line as JSON: -e '{{\"{name}\": true}}'")),
        );
    }
}

fn val_010_the_cloud_provider_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-010", "cloud_provider", &["", "external"], report);
}

fn val_011_cloud_controller_is_known(look: &Look<'_>, report: &mut Report) {
    if look.is("cloud_provider", "external") {
        let known = ["hcloud", "huaweicloud", "oci", "openstack", "vsphere", "manual"];
        look.choice("VAL-011", "external_cloud_provider", &known, report);
    }
}

fn val_020_the_network_plugin_is_known(look: &Look<'_>, report: &mut Report) {
    let known = [
        "calico",
        "flannel",
        "cloud",
        "cilium",
        "cni",
        "kube-ovn",
        "kube-router",
        "macvlan",
        "custom_cni",
        "none",
    ];
    look.choice("VAL-020", "kube_network_plugin", &known, report);
}

fn val_021_the_dns_mode_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-021", "dns_mode", &["coredns", "coredns_dual", "manual", "none"], report);
}

fn val_022_the_proxy_mode_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-022", "kube_proxy_mode", &["iptables", "ipvs", "nftables"], report);
}

fn val_023_the_maker_of_certificates_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-023", "cert_management", &["script", "none"], report);
}

fn val_024_the_mode_of_resolvers_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-024", "resolvconf_mode", &["docker_dns", "host_resolvconf", "none"], report);
}

fn val_025_the_deployment_of_etcd_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-025", "etcd_deployment_type", &["host", "docker", "kubeadm"], report);
}

fn val_027_the_container_engine_is_known(look: &Look<'_>, report: &mut Report) {
    look.choice("VAL-027", "container_manager", &["docker", "crio", "containerd"], report);
}

fn val_026_docker_runs_etcd_in_docker(look: &Look<'_>, report: &mut Report) {
    let Some(engine) = look.text("container_manager") else { return };
    if look.is("etcd_deployment_type", "docker") && engine != "docker" {
        report.add(
            look.error(
                "VAL-026",
                "etcd_deployment_type",
                format!("`etcd_deployment_type` is `docker`, but `container_manager` is {}", shown(&engine)),
            )
            .hint("set `etcd_deployment_type: host`, or `container_manager: docker`"),
        );
    }
}

fn val_w01_a_network_is_configured(look: &Look<'_>, report: &mut Report) {
    if look.is("kube_network_plugin", "none") {
        report.add(
            look.warning(
                "VAL-W01",
                "kube_network_plugin",
                "`kube_network_plugin` is `none`: no network is set up",
            )
            .because("nodes become ready only when a network exists")
            .hint("install one yourself before the cluster is used"),
        );
    }
}

fn val_w02_dual_stack_has_new_names(look: &Look<'_>, report: &mut Report) {
    if look.is_set("enable_dual_stack_networks") {
        report.add(
            look.warning(
                "VAL-W02",
                "enable_dual_stack_networks",
                "`enable_dual_stack_networks` is deprecated",
            )
            .hint("set `ipv4_stack` and `ipv6_stack` instead"),
        );
    }
}

fn val_028_downloads_of_localhost_run_once(look: &Look<'_>, report: &mut Report) {
    if look.is_true("download_localhost") && !look.is_true("download_run_once") {
        report.add(
            look.error("VAL-028", "download_localhost", "`download_localhost` needs `download_run_once`")
                .hint("set `download_run_once: true`, or `download_localhost: false`"),
        );
    }
}

fn val_029_kata_is_not_for_docker(look: &Look<'_>, report: &mut Report) {
    if look.is_true("kata_containers_enabled") && look.is("container_manager", "docker") {
        report.add(
            look.error(
                "VAL-029",
                "kata_containers_enabled",
                "`kata_containers_enabled` does not go with `container_manager` `docker`",
            )
            .hint("set `container_manager` to `containerd` or `crio`"),
        );
    }
}

fn val_030_gvisor_is_for_containerd(look: &Look<'_>, report: &mut Report) {
    let Some(engine) = look.text("container_manager") else { return };
    if look.is_true("gvisor_enabled") && engine != "containerd" {
        let message = format!("`gvisor_enabled` does not go with `container_manager` {}", shown(&engine));
        report.add(
            look.error("VAL-030", "gvisor_enabled", message).hint("set `container_manager: containerd`"),
        );
    }
}

fn val_032_an_external_authority_renews_itself(look: &Look<'_>, report: &mut Report) {
    if look.is_true("kube_external_ca_mode") && look.is_true("auto_renew_certificates") {
        report.add(
            look.error(
                "VAL-032",
                "auto_renew_certificates",
                "`auto_renew_certificates` does not go with `kube_external_ca_mode`",
            )
            .because(
                "the key of the authority is not in the cluster, so nothing there can renew certificates",
            )
            .hint("set `auto_renew_certificates: false`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{SMALL, expect, ids, outcome, outcome_of};

    #[test]
    fn every_choice_is_checked() {
        expect(&[
            ("kube_network_plugin: flannel", ""),
            ("kube_network_plugin: kube-router", ""),
            ("kube_network_plugin: calcio", "VAL-020"),
            ("kube_network_plugin: weave", "VAL-020"),
            ("dns_mode: none", ""),
            ("dns_mode: bind", "VAL-021"),
            ("kube_proxy_mode: nftables", ""),
            ("kube_proxy_mode: userspace", "VAL-022"),
            ("cert_management: none", ""),
            ("cert_management: vault", "VAL-023"),
            ("resolvconf_mode: none", ""),
            ("resolvconf_mode: ''", "VAL-024"),
            ("etcd_deployment_type: kubeadm", ""),
            ("etcd_deployment_type: rkt", "VAL-025"),
            ("container_manager: crio", ""),
            ("container_manager: cri-o", "VAL-027"),
            ("cloud_provider: ''", ""),
            ("cloud_provider: aws", "VAL-010"),
            ("{cloud_provider: external, external_cloud_provider: manual}", ""),
            ("{cloud_provider: external, external_cloud_provider: aws}", "VAL-011"),
            ("cloud_provider: external", "VAL-011"),
            ("external_cloud_provider: aws", ""),
        ]);
    }

    #[test]
    fn values_that_exclude_each_other() {
        expect(&[
            ("{etcd_deployment_type: docker, container_manager: docker}", ""),
            ("etcd_deployment_type: docker", "VAL-026"),
            ("{download_localhost: true, download_run_once: true}", ""),
            ("download_localhost: true", "VAL-028"),
            ("kata_containers_enabled: true", ""),
            ("{kata_containers_enabled: true, container_manager: docker}", "VAL-029"),
            ("gvisor_enabled: true", ""),
            ("{gvisor_enabled: true, container_manager: crio}", "VAL-030"),
            ("auto_renew_certificates: true", ""),
            ("{auto_renew_certificates: true, kube_external_ca_mode: true}", "VAL-032"),
        ]);
    }

    #[test]
    fn booleans_are_no_texts() {
        expect(&[
            ("helm_enabled: true", ""),
            ("helm_enabled: 'true'", "VAL-005"),
            ("download_run_once: 'false'", "VAL-005"),
            ("download_always_pull: 1", "VAL-005"),
            ("openstack_lbaas_enabled: '{{ not helm_enabled }}'", ""),
        ]);
    }

    #[test]
    fn warnings() {
        expect(&[("kube_network_plugin: none", "VAL-W01"), ("enable_dual_stack_networks: false", "VAL-W02")]);
    }

    #[test]
    fn removed_names_match_whole() {
        expect(&[
            ("kubelet_static_pod_path: /x", "VAL-003"),
            ("kubelet_static_pod_path_of_ours: /x", ""),
            ("my_eviction_hard_control_plane: {}", ""),
            ("{eviction_hard_control_plane: {}, kubelet_static_pod_path: /x}", "VAL-003 VAL-003"),
        ]);
    }

    #[test]
    fn the_place_and_the_near_value_are_told() {
        let outcome = outcome("kube_version: 1.36.4\nkube_network_plugin: calcio\n");
        let problem = &outcome.diagnostics[0];
        assert_eq!(problem.message, "`kube_network_plugin` is `calcio`, which is not supported");
        assert_eq!(problem.hints, ["did you mean `calico`?"]);
        assert_eq!(problem.span().unwrap().line(), 2);
    }

    #[test]
    fn a_host_of_its_own_is_found() {
        let hosts = SMALL.replace("b: {", "b: {gvisor_enabled: true, container_manager: crio, ");
        let outcome = outcome_of(&hosts, "");
        assert_eq!(ids(&outcome), ["VAL-030"]);
        assert_eq!(outcome.diagnostics[0].host.as_deref(), Some("b"));
    }

    #[test]
    fn what_cannot_be_evaluated_is_told_once() {
        let outcome = outcome("container_manager: '{{ engine_of_ours }}'");
        assert_eq!(ids(&outcome), ["undefined-variable"]);
    }
}
