//! Cilium and network plugins that users bring. VAL-085 needs the kernel of hosts and VAL-082 a run.

use kubespray_catalog::Version;

use super::site::shown;
use super::versions::not_a_version;
use super::{Look, Report};

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    if look.is("kube_network_plugin", "cilium") || look.is_true("cilium_deploy_additionally") {
        val_083_ipsec_has_a_key(look, report);
        val_084_the_old_switch_means_ipsec(look, report);
        look.choice("VAL-086", "cilium_identity_allocation_mode", &["crd", "kvstore"], report);
        val_087_the_cluster_has_a_number(look, report);
        if look.is_true("cilium_encryption_enabled") {
            look.choice("VAL-088", "cilium_encryption_type", &["ipsec", "wireguard"], report);
        }
        val_089_cilium_is_new_enough(look, report);
        val_090_the_buffer_is_a_power_of_two_less_one(look, report);
        val_091_the_gateway_api_is_old_enough(look, report);
    }
    if look.is("kube_network_plugin", "custom_cni") {
        val_092_a_plugin_has_manifests(look, report);
    }
}

fn val_083_ipsec_has_a_key(look: &Look<'_>, report: &mut Report) {
    if look.is_true("cilium_encryption_enabled")
        && look.is("cilium_encryption_type", "ipsec")
        && look.is("cilium_tunnel_mode", "vxlan")
        && !look.is_set("cilium_ipsec_key")
    {
        report.add(
            look.error(
                "VAL-083",
                "cilium_encryption_enabled",
                "`cilium_encryption_enabled` needs `cilium_ipsec_key`",
            )
            .because("`cilium_encryption_type` is `ipsec`")
            .hint("set `cilium_ipsec_key`, or `cilium_encryption_type: wireguard`"),
        );
    }
}

fn val_084_the_old_switch_means_ipsec(look: &Look<'_>, report: &mut Report) {
    let Some(kind) = look.text("cilium_encryption_type") else { return };
    if look.is_true("cilium_ipsec_enabled") && kind != "ipsec" {
        report.add(
            look.error(
                "VAL-084",
                "cilium_ipsec_enabled",
                format!("`cilium_ipsec_enabled` does not go with `cilium_encryption_type` {}", shown(&kind)),
            )
            .hint("remove `cilium_ipsec_enabled`, or set `cilium_encryption_type: ipsec`"),
        );
    }
}

fn val_087_the_cluster_has_a_number(look: &Look<'_>, report: &mut Report) {
    let Some(text) = look.text("cilium_cluster_id") else { return };
    if !look.integer("cilium_cluster_id").is_some_and(|id| (0..=255).contains(&id)) {
        report.add(
            look.error("VAL-087", "cilium_cluster_id", format!("`cilium_cluster_id` is {}", shown(&text)))
                .hint("set it to a number from 0 to 255"),
        );
    }
}

fn val_089_cilium_is_new_enough(look: &Look<'_>, report: &mut Report) {
    let (Some(text), Some(minimum)) =
        (look.text("cilium_version"), look.version("cilium_min_version_required"))
    else {
        return;
    };
    match text.parse::<Version>() {
        Err(_) => report.add(not_a_version(look, "VAL-089", "cilium_version", &text)),
        Ok(version) if version < minimum => report.add(
            look.error(
                "VAL-089",
                "cilium_version",
                format!("`cilium_version` `{text}` is older than `{minimum}`"),
            )
            .hint(format!("set `cilium_version` to `{minimum}` or newer")),
        ),
        Ok(_) => {}
    }
}

fn val_090_the_buffer_is_a_power_of_two_less_one(look: &Look<'_>, report: &mut Report) {
    let name = "cilium_hubble_event_buffer_capacity";
    let Some(text) = look.text(name) else { return };
    let fits = |size: i64| (1..=65_535).contains(&size) && (size + 1) & size == 0;
    if !look.integer(name).is_some_and(fits) {
        report.add(
            look.error("VAL-090", name, format!("`{name}` is {}", shown(&text)))
                .hint("set it to a power of two less one, from 1 to 65535, such as `4095`"),
        );
    }
}

fn val_091_the_gateway_api_is_old_enough(look: &Look<'_>, report: &mut Report) {
    if !look.is_true("cilium_gateway_api_enabled") || !look.is_true("gateway_api_enabled") {
        return;
    }
    let (Some(cilium), Some(api)) = (look.version("cilium_version"), look.version("gateway_api_version"))
    else {
        return;
    };
    let at_least = |version: &Version, minimum: &str| minimum.parse::<Version>().is_ok_and(|m| *version >= m);
    if !at_least(&cilium, "1.20.0") && at_least(&api, "1.5.0") && look.is("gateway_api_channel", "standard") {
        report.add(
            look.error(
                "VAL-091",
                "gateway_api_version",
                format!("`gateway_api_version` `{api}` does not go with `cilium_version` `{cilium}`"),
            )
            .because("Cilium before 1.20 needs kinds that the standard channel no longer has")
            .hint("set `gateway_api_version: 1.4.1`, or `gateway_api_channel: experimental`"),
        );
    }
}

fn val_092_a_plugin_has_manifests(look: &Look<'_>, report: &mut Report) {
    if look.is_blank("custom_cni_chart_release_name") && look.is_blank("custom_cni_manifests") {
        report.add(
            look.error("VAL-092", "custom_cni_manifests", "`custom_cni_manifests` is empty")
                .because("`kube_network_plugin` is `custom_cni`")
                .hint("list manifests in `custom_cni_manifests`, or set `custom_cni_chart_release_name`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::expect;

    /// Checks with Cilium, and that the same settings mean nothing without it.
    fn with_cilium(cases: &[(&str, &str)]) {
        for (vars, expected) in cases {
            expect(&[
                (&format!("{{kube_network_plugin: cilium, {vars}}}"), expected),
                (&format!("{{cilium_deploy_additionally: true, {vars}}}"), expected),
                (&format!("{{{vars}}}"), ""),
            ]);
        }
    }

    #[test]
    fn settings() {
        with_cilium(&[
            ("cilium_encryption_enabled: true", "VAL-083"),
            ("cilium_encryption_enabled: true, cilium_ipsec_key: k", ""),
            ("cilium_encryption_enabled: true, cilium_tunnel_mode: geneve", ""),
            ("cilium_ipsec_enabled: true, cilium_encryption_type: wireguard", "VAL-084"),
            ("cilium_ipsec_enabled: true", ""),
            ("cilium_identity_allocation_mode: crds", "VAL-086"),
            ("cilium_cluster_id: 0", ""),
            ("cilium_cluster_id: 256", "VAL-087"),
            ("cilium_cluster_id: x", "VAL-087"),
            ("cilium_encryption_enabled: true, cilium_encryption_type: tls", "VAL-088"),
            ("cilium_encryption_type: tls", ""),
            ("cilium_version: 1.15.0", ""),
            ("cilium_version: 1.14.9", "VAL-089"),
            ("cilium_version: new", "VAL-089"),
            ("cilium_hubble_event_buffer_capacity: '4095'", ""),
            ("cilium_hubble_event_buffer_capacity: 4096", "VAL-090"),
            ("cilium_hubble_event_buffer_capacity: 131071", "VAL-090"),
            ("cilium_hubble_event_buffer_capacity: 0", "VAL-090"),
            (
                "cilium_version: 1.19.1, cilium_gateway_api_enabled: true, gateway_api_enabled: true, gateway_api_version: 1.5.0",
                "VAL-091",
            ),
            (
                "cilium_version: 1.19.1, cilium_gateway_api_enabled: true, gateway_api_enabled: true, gateway_api_version: 1.4.1",
                "",
            ),
            (
                "cilium_version: 1.20.0, cilium_gateway_api_enabled: true, gateway_api_enabled: true, gateway_api_version: 1.5.0",
                "",
            ),
            (
                "cilium_version: 1.19.1, cilium_gateway_api_enabled: true, gateway_api_enabled: true, gateway_api_version: 1.5.0, gateway_api_channel: experimental",
                "",
            ),
        ]);
    }

    #[test]
    fn plugins_of_users() {
        expect(&[
            ("kube_network_plugin: custom_cni", "VAL-092"),
            ("{kube_network_plugin: custom_cni, custom_cni_manifests: [a.yaml]}", ""),
            ("{kube_network_plugin: custom_cni, custom_cni_chart_release_name: x}", ""),
        ]);
    }
}
