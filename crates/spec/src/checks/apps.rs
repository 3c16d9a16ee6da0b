//! kube-vip, MetalLB and the registry.

use super::{Look, Report};

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    if look.is_true("kube_vip_enabled") {
        val_130_kube_vip_gets_strict_arp(look, report);
        val_131_kube_vip_has_one_source(look, report);
    }
    if look.is_true("metallb_enabled") {
        val_132_metallb_gets_strict_arp(look, report);
        val_133_metallb_is_spelt_right(look, report);
    }
    if look.is_true("registry_enabled") {
        look.choice("VAL-134", "registry_service_type", &["ClusterIP", "LoadBalancer", "NodePort"], report);
        val_135_136_137_registry_settings_fit_its_service(look, report);
    }
}

fn lacks_strict_arp(look: &Look<'_>) -> bool {
    look.is("kube_proxy_mode", "ipvs")
        && !look.is_true("kube_proxy_strict_arp")
        && !look.is_true("kube_proxy_remove")
}

fn strict_arp(look: &Look<'_>, id: &str, switch: &str, report: &mut Report) {
    report.add(
        look.error(id, "kube_proxy_strict_arp", format!("`{switch}` needs `kube_proxy_strict_arp: true`"))
            .because("`kube_proxy_mode` is `ipvs`")
            .hint("set `kube_proxy_strict_arp: true`, or another `kube_proxy_mode`"),
    );
}

fn val_130_kube_vip_gets_strict_arp(look: &Look<'_>, report: &mut Report) {
    if look.is_true("kube_vip_arp_enabled") && lacks_strict_arp(look) {
        strict_arp(look, "VAL-130", "kube_vip_arp_enabled", report);
    }
}

fn val_131_kube_vip_has_one_source(look: &Look<'_>, report: &mut Report) {
    let filled = |name: &str| look.text(name).is_some_and(|text| !text.trim().is_empty());
    if look.is_true("kube_vip_bgp_enabled")
        && filled("kube_vip_bgp_sourceip")
        && filled("kube_vip_bgp_sourceif")
    {
        report.add(
            look.error(
                "VAL-131",
                "kube_vip_bgp_sourceif",
                "`kube_vip_bgp_sourceip` and `kube_vip_bgp_sourceif` exclude each other",
            )
            .hint("set one of them only"),
        );
    }
}

fn val_132_metallb_gets_strict_arp(look: &Look<'_>, report: &mut Report) {
    if lacks_strict_arp(look) {
        strict_arp(look, "VAL-132", "metallb_enabled", report);
    }
}

fn val_133_metallb_is_spelt_right(look: &Look<'_>, report: &mut Report) {
    if look.is_set("matallb_auto_assign") {
        report.add(
            look.error(
                "VAL-133",
                "matallb_auto_assign",
                "`matallb_auto_assign` is misspelt and has no effect",
            )
            .hint("set `auto_assign` of a pool in `metallb_config.address_pools`"),
        );
    }
}

fn val_135_136_137_registry_settings_fit_its_service(look: &Look<'_>, report: &mut Report) {
    let Some(kind) = look.text("registry_service_type") else { return };
    for (id, name, wanted) in [
        ("VAL-135", "registry_service_cluster_ip", "ClusterIP"),
        ("VAL-136", "registry_service_loadbalancer_ip", "LoadBalancer"),
        ("VAL-137", "registry_service_nodeport", "NodePort"),
    ] {
        if kind != wanted && !look.is_blank(name) {
            report.add(
                look.error(id, name, format!("`{name}` does not go with `registry_service_type` `{kind}`"))
                    .hint(format!("remove `{name}`, or set `registry_service_type: {wanted}`")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::expect;

    #[test]
    fn strict_arp() {
        expect(&[
            ("{kube_vip_enabled: true, kube_vip_arp_enabled: true, kube_proxy_mode: ipvs}", "VAL-130"),
            (
                "{kube_vip_enabled: true, kube_vip_arp_enabled: true, kube_proxy_mode: ipvs, kube_proxy_strict_arp: true}",
                "",
            ),
            (
                "{kube_vip_enabled: true, kube_vip_arp_enabled: true, kube_proxy_mode: ipvs, kube_proxy_remove: true}",
                "",
            ),
            ("{kube_vip_enabled: true, kube_proxy_mode: ipvs, kube_proxy_strict_arp: false}", ""),
            ("{kube_vip_arp_enabled: true, kube_proxy_mode: ipvs, kube_proxy_strict_arp: false}", ""),
            ("{metallb_enabled: true, kube_proxy_mode: ipvs, kube_proxy_strict_arp: false}", "VAL-132"),
            ("{metallb_enabled: true, kube_proxy_mode: nftables}", ""),
            ("{metallb_enabled: true, kube_proxy_mode: nftables, matallb_auto_assign: false}", "VAL-133"),
        ]);
    }

    #[test]
    fn sources_of_bgp() {
        expect(&[
            (
                "{kube_vip_enabled: true, kube_vip_bgp_enabled: true, kube_vip_bgp_sourceip: 10.1.1.1, kube_vip_bgp_sourceif: eth0}",
                "VAL-131",
            ),
            ("{kube_vip_enabled: true, kube_vip_bgp_enabled: true, kube_vip_bgp_sourceif: eth0}", ""),
            (
                "{kube_vip_enabled: true, kube_vip_bgp_enabled: true, kube_vip_bgp_sourceip: ' ', kube_vip_bgp_sourceif: eth0}",
                "",
            ),
        ]);
    }

    #[test]
    fn services_of_the_registry() {
        expect(&[
            ("registry_enabled: true", ""),
            ("{registry_enabled: true, registry_service_type: Nodeport}", "VAL-134"),
            ("registry_service_type: Nodeport", ""),
            (
                "{registry_enabled: true, registry_service_type: NodePort, registry_service_cluster_ip: 10.233.0.9}",
                "VAL-135",
            ),
            ("{registry_enabled: true, registry_service_cluster_ip: 10.233.0.9}", ""),
            ("{registry_enabled: true, registry_service_loadbalancer_ip: 10.1.1.1}", "VAL-136"),
            ("{registry_enabled: true, registry_service_nodeport: 30000}", "VAL-137"),
            (
                "{registry_enabled: true, registry_service_type: NodePort, registry_service_nodeport: 30000}",
                "",
            ),
        ]);
    }
}
