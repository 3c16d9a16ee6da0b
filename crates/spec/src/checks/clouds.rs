//! Credentials and settings of clouds (VAL-140 to VAL-195).

use kubespray_value::Value;

use super::site::shown;
use super::{Look, Report};

type Required = [(&'static str, &'static str)];

const AZURE: &Required = &[
    ("VAL-140", "azure_csi_tenant_id"),
    ("VAL-141", "azure_csi_subscription_id"),
    ("VAL-142", "azure_csi_aad_client_id"),
    ("VAL-143", "azure_csi_aad_client_secret"),
    ("VAL-144", "azure_csi_resource_group"),
    ("VAL-145", "azure_csi_location"),
    ("VAL-146", "azure_csi_subnet_name"),
    ("VAL-147", "azure_csi_security_group_name"),
    ("VAL-148", "azure_csi_vnet_name"),
    ("VAL-149", "azure_csi_vnet_resource_group"),
];
const VSPHERE_CSI: &Required = &[
    ("VAL-162", "external_vsphere_vcenter_ip"),
    ("VAL-163", "external_vsphere_vcenter_port"),
    ("VAL-164", "external_vsphere_insecure"),
    ("VAL-165", "external_vsphere_user"),
    ("VAL-166", "external_vsphere_password"),
    ("VAL-167", "external_vsphere_datacenter"),
    ("VAL-168", "external_vsphere_kubernetes_cluster_id"),
];
const HUAWEI: &Required = &[
    ("VAL-170", "external_huaweicloud_auth_url"),
    ("VAL-171", "external_huaweicloud_access_key"),
    ("VAL-173", "external_huaweicloud_region"),
    ("VAL-174", "external_huaweicloud_project_id"),
];
const ORACLE_AUTH: &Required = &[
    ("VAL-175", "external_oracle_auth_key"),
    ("VAL-175", "external_oracle_auth_region"),
    ("VAL-175", "external_oracle_auth_tenancy"),
    ("VAL-175", "external_oracle_auth_user"),
    ("VAL-175", "external_oracle_auth_fingerprint"),
];
const ORACLE: &Required = &[
    ("VAL-176", "external_oracle_compartment"),
    ("VAL-176", "external_oracle_vcn"),
    ("VAL-176", "external_oracle_load_balancer_subnet1"),
    ("VAL-176", "external_oracle_load_balancer_subnet2"),
];
const VSPHERE: &Required = &[
    ("VAL-190", "external_vsphere_vcenter_ip"),
    ("VAL-191", "external_vsphere_vcenter_port"),
    ("VAL-192", "external_vsphere_insecure"),
    ("VAL-193", "external_vsphere_user"),
    ("VAL-194", "external_vsphere_password"),
    ("VAL-195", "external_vsphere_datacenter"),
];
/// VAL-151 to VAL-158 in order.
const CINDER: [&str; 8] =
    ["VAL-151", "VAL-152", "VAL-153", "VAL-154", "VAL-155", "VAL-156", "VAL-157", "VAL-158"];
/// VAL-180 to VAL-187 in order.
const OPENSTACK: [&str; 8] =
    ["VAL-180", "VAL-181", "VAL-182", "VAL-183", "VAL-184", "VAL-185", "VAL-186", "VAL-187"];

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    if look.is_true("azure_csi_enabled") {
        val_140_to_150_azure(look, report);
    }
    if look.is_true("cinder_csi_enabled") {
        val_151_to_158_openstack(look, "cinder", &CINDER, "cinder_csi_enabled", report);
    }
    if look.is_true("gcp_pd_csi_enabled") {
        look.required("VAL-159", "gcp_pd_csi_sa_cred_file", "`gcp_pd_csi_enabled` is true", report);
    }
    if look.is_true("upcloud_csi_enabled") {
        val_160_161_upcloud(look, report);
    }
    let controller = look
        .is("cloud_provider", "external")
        .then(|| look.text("external_cloud_provider"))
        .flatten()
        .unwrap_or_default();
    match controller.as_str() {
        "huaweicloud" => val_170_to_174_huawei(look, report),
        "oci" => val_175_176_oracle(look, report),
        "openstack" => {
            val_151_to_158_openstack(
                look,
                "external_openstack",
                &OPENSTACK,
                "external_cloud_provider",
                report,
            );
        }
        "vsphere" => all(look, VSPHERE, "`external_cloud_provider` is `vsphere`", report),
        _ => {}
    }
    if look.is_true("vsphere_csi_enabled") {
        // What the cloud controller needs as well is reported once.
        let shared = |name: &str| controller == "vsphere" && VSPHERE.iter().any(|(_, other)| *other == name);
        for (id, name) in VSPHERE_CSI.iter().filter(|(_, name)| !shared(name)) {
            look.required(id, name, "`vsphere_csi_enabled` is true", report);
        }
    }
}

fn all(look: &Look<'_>, required: &Required, why: &str, report: &mut Report) {
    for (id, name) in required {
        look.required(id, name, why, report);
    }
}

fn val_140_to_150_azure(look: &Look<'_>, report: &mut Report) {
    all(look, AZURE, "`azure_csi_enabled` is true", report);
    let name = "azure_csi_use_instance_metadata";
    let Some(value) = look.value(name) else { return };
    if !matches!(value, Value::Bool(_)) {
        report.add(
            look.error("VAL-150", name, format!("`{name}` is {}, not a boolean", shown(&value.to_text())))
                .hint(format!("write `{name}: true` or `{name}: false` without quotes")),
        );
    }
}

/// The rules of Cinder and of the cloud controller, which differ in the prefix of the names alone
/// (VAL-180 to VAL-187).
fn val_151_to_158_openstack(
    look: &Look<'_>,
    prefix: &str,
    [url, login, key_id, key_secret, password, region, tenant, domain]: &[&str; 8],
    switch: &str,
    report: &mut Report,
) {
    let name = |part: &str| format!("{prefix}_{part}");
    let blank = |part: &str| look.is_blank(&name(part));
    let why = format!("`{switch}` asks for OpenStack");
    let key = !blank("application_credential_name");
    look.required(url, &name("auth_url"), &why, report);
    look.required(region, &name("region"), &why, report);
    if key {
        let why = format!("`{}` is set", name("application_credential_name"));
        look.required(key_id, &name("application_credential_id"), &why, report);
        look.required(key_secret, &name("application_credential_secret"), &why, report);
        return;
    }
    if blank("username") {
        one_of(look, login, &name("username"), &name("application_credential_name"), &why, report);
    } else if blank("application_credential_secret") {
        look.required(password, &name("password"), &format!("`{}` is set", name("username")), report);
    }
    for (id, by_id, by_name) in
        [(tenant, name("tenant_id"), name("tenant_name")), (domain, name("domain_id"), name("domain_name"))]
    {
        one_of(look, id, &by_id, &by_name, &why, report);
    }
}

fn one_of(look: &Look<'_>, id: &str, first: &str, second: &str, why: &str, report: &mut Report) {
    if look.is_blank(first) && look.is_blank(second) {
        report.add(
            look.error(id, first, format!("neither `{first}` nor `{second}` is set"))
                .because(why)
                .hint("set one of them"),
        );
    }
}

fn val_160_161_upcloud(look: &Look<'_>, report: &mut Report) {
    if look.is_blank("upcloud_username") {
        let why = "the environment variable `UPCLOUD_USERNAME` is not set either";
        look.required("VAL-160", "upcloud_username", why, report);
    } else {
        let why = "the environment variable `UPCLOUD_PASSWORD` is not set either";
        look.required("VAL-161", "upcloud_password", why, report);
    }
}

fn val_170_to_174_huawei(look: &Look<'_>, report: &mut Report) {
    all(look, HUAWEI, "`external_cloud_provider` is `huaweicloud`", report);
    if !look.is_blank("external_huaweicloud_access_key") {
        let why = "`external_huaweicloud_access_key` is set";
        look.required("VAL-172", "external_huaweicloud_secret_key", why, report);
    }
}

fn val_175_176_oracle(look: &Look<'_>, report: &mut Report) {
    let why = "`external_cloud_provider` is `oci`";
    if !look.is_true("external_oracle_auth_use_instance_principals") {
        all(look, ORACLE_AUTH, why, report);
    }
    all(look, ORACLE, why, report);
    look.choice(
        "VAL-176",
        "external_oracle_load_balancer_security_list_management_mode",
        &["All", "Frontend", "None"],
        report,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{expect, ids, outcome};

    /// The variables with a value, to be put behind others of a map.
    fn filled<'a>(
        required: impl IntoIterator<Item = &'a (&'static str, &'static str)>,
        value: &str,
    ) -> String {
        required.into_iter().map(|(_, name)| [", ", name, ": ", value].concat()).collect()
    }

    /// With a switch alone every variable is missing; with all of them set nothing is.
    fn all_required(switch: &str, required: &Required) {
        let found = ids(&outcome(&format!("{{{switch}}}")));
        let filled_all = filled(required, "x");
        expect(&[(&format!("{{{switch}{filled_all}}}"), "")]);
        for (id, name) in required {
            let others = filled(required.iter().filter(|(_, other)| other != name), "x");
            expect(&[(&format!("{{{switch}{others}, {name}: ''}}"), id)]);
            // Where a default exists, only an empty value is missing.
            let has_default = outcome(&format!("{{{switch}{others}}}")).diagnostics.is_empty();
            assert!(has_default || found.contains(&(*id).to_owned()), "{id}");
        }
    }

    #[test]
    fn azure() {
        all_required("azure_csi_enabled: true", AZURE);
        let filled = filled(AZURE, "x");
        expect(&[(
            &format!("{{azure_csi_enabled: true, azure_csi_use_instance_metadata: 'yes'{filled}}}"),
            "VAL-150",
        )]);
    }

    #[test]
    fn openstack() {
        for (prefix, switch, ids) in [
            ("cinder", "cinder_csi_enabled: true", &CINDER),
            (
                "external_openstack",
                "cloud_provider: external, external_cloud_provider: openstack",
                &OPENSTACK,
            ),
        ] {
            let [url, login, key_id, key_secret, password, region, tenant, domain] = ids;
            let check = |parts: &str, expected: &str| {
                let vars: String =
                    parts.split_whitespace().map(|part| [", ", prefix, "_", part, ": x"].concat()).collect();
                expect(&[(&format!("{{{switch}{vars}}}"), expected)]);
            };
            check("auth_url region username password tenant_id domain_name", "");
            check("auth_url region username password tenant_name domain_id", "");
            check("region username password tenant_id domain_id", url);
            check("auth_url region tenant_id domain_id", login);
            check("auth_url region username tenant_id domain_id", password);
            check("auth_url username password tenant_id domain_id", region);
            check("auth_url region username password domain_id", tenant);
            check("auth_url region username password tenant_id", domain);
            let key = "auth_url region application_credential_name";
            check(&format!("{key} application_credential_id application_credential_secret"), "");
            check(&format!("{key} application_credential_secret"), key_id);
            check(&format!("{key} application_credential_id"), key_secret);
        }
    }

    #[test]
    fn google_and_upcloud() {
        expect(&[
            ("gcp_pd_csi_enabled: true", "VAL-159"),
            ("{gcp_pd_csi_enabled: true, gcp_pd_csi_sa_cred_file: /x}", ""),
            ("upcloud_csi_enabled: true", "VAL-160"),
            ("{upcloud_csi_enabled: true, upcloud_username: u}", "VAL-161"),
            ("{upcloud_csi_enabled: true, upcloud_username: u, upcloud_password: p}", ""),
        ]);
    }

    #[test]
    fn vsphere() {
        all_required("vsphere_csi_enabled: true", VSPHERE_CSI);
        all_required("cloud_provider: external, external_cloud_provider: vsphere", VSPHERE);
        let filled = filled(VSPHERE, "''");
        let both = outcome(&format!(
            "{{vsphere_csi_enabled: true, cloud_provider: external, external_cloud_provider: vsphere, external_vsphere_kubernetes_cluster_id: ''{filled}}}"
        ));
        assert_eq!(ids(&both), ["VAL-190", "VAL-191", "VAL-192", "VAL-193", "VAL-194", "VAL-195", "VAL-168"]);
    }

    #[test]
    fn huawei() {
        let switch = "cloud_provider: external, external_cloud_provider: huaweicloud";
        expect(&[
            (&format!("{{{switch}}}"), "VAL-170 VAL-171 VAL-173 VAL-174"),
            (
                &format!(
                    "{{{switch}, external_huaweicloud_auth_url: x, external_huaweicloud_access_key: x, external_huaweicloud_region: x, external_huaweicloud_project_id: x}}"
                ),
                "VAL-172",
            ),
            (
                &format!(
                    "{{{switch}, external_huaweicloud_auth_url: x, external_huaweicloud_access_key: x, external_huaweicloud_secret_key: x, external_huaweicloud_region: x, external_huaweicloud_project_id: x}}"
                ),
                "",
            ),
        ]);
    }

    #[test]
    fn oracle() {
        let switch = "cloud_provider: external, external_cloud_provider: oci";
        let (auth, rest) = (filled(ORACLE_AUTH, "x"), filled(ORACLE, "x"));
        let mode = "external_oracle_load_balancer_security_list_management_mode";
        expect(&[
            (&format!("{{{switch}{auth}{rest}}}"), ""),
            (&format!("{{{switch}, external_oracle_auth_use_instance_principals: true{rest}}}"), ""),
            (&format!("{{{switch}{rest}}}"), "VAL-175 VAL-175 VAL-175 VAL-175 VAL-175"),
            (&format!("{{{switch}{auth}}}"), "VAL-176 VAL-176 VAL-176 VAL-176"),
            (&format!("{{{switch}{auth}{rest}, {mode}: all}}"), "VAL-176"),
        ]);
    }
}
