//! What can be switched on in Kubespray and cannot be done here yet.
//!
//! An inventory that asks for it is refused: an application that silently is not there is found too late.

use kubespray_spec::choices::{CloudProvider, ExternalCloud};
use serde_json::Value;

use super::objects::text_of;
use super::{Chain, Family};

/// Switches, and what they would bring.
const SWITCHES: [(&str, &str); 22] = [
    ("argocd_enabled", "Argo CD"),
    ("aws_ebs_csi_enabled", "the CSI driver of AWS EBS"),
    ("azure_csi_enabled", "the CSI driver of Azure disks"),
    ("cert_manager_enabled", "cert-manager"),
    ("cinder_csi_enabled", "the CSI driver of Cinder"),
    ("crun_enabled", "crun"),
    ("csi_snapshot_controller_enabled", "the snapshot controller"),
    ("gcp_pd_csi_enabled", "the CSI driver of GCP disks"),
    ("ingress_alb_enabled", "the ALB ingress controller"),
    ("kubelet_csr_approver_enabled", "the approver of kubelets' certificates"),
    ("local_path_provisioner_enabled", "the local path provisioner"),
    ("local_volume_provisioner_enabled", "the local volume provisioner"),
    ("metallb_enabled", "MetalLB"),
    ("node_feature_discovery_enabled", "node feature discovery"),
    ("nvidia_accelerator_enabled", "drivers of NVIDIA accelerators"),
    ("openstack_lbaas_enabled", "load balancers of OpenStack"),
    ("persistent_volumes_enabled", "storage classes of clouds"),
    ("registry_enabled", "a registry in the cluster"),
    ("scheduler_plugins_enabled", "the scheduler plugins"),
    ("upcloud_csi_enabled", "the CSI driver of UpCloud"),
    ("vsphere_csi_enabled", "the CSI driver of vSphere"),
    ("youki_enabled", "youki"),
];

/// Refuses what is asked for and cannot be done. Each host says what it asks for: switches differ between groups.
pub(crate) fn refuse(chain: &mut Chain<'_>) {
    let host = chain.host;
    chain.begin("apps", "apps");
    let Ok(settings) = serde_json::to_value(host.settings()) else { return };
    for (switch, what) in SWITCHES {
        if is_on(&settings, switch) {
            chain.refuse(
                format!("`{switch}` is on, and {what} cannot be installed yet"),
                format!("set `{switch}: false`, and install it by other means"),
            );
        }
    }
    cloud_controller(chain);
    system(chain);
}

/// APP-071: the kubelets of an external cloud provider wait for its controller; `manual` is one that users bring.
fn cloud_controller(chain: &mut Chain<'_>) {
    let kubernetes = &chain.host.settings().kubernetes;
    let Some(provider) = kubernetes.external_cloud_provider else { return };
    if kubernetes.cloud_provider == Some(CloudProvider::External) && provider != ExternalCloud::Manual {
        let provider = text_of(provider);
        chain.refuse(
            format!(
                "`external_cloud_provider` is `{provider}`, and cloud controllers cannot be installed yet"
            ),
            "set `external_cloud_provider: manual`, and install the controller of the cloud by other means",
        );
    }
}

/// BOOT-035, BOOT-040, BOOT-061, BOOT-072, BOOT-082: what is switched on for some systems only.
fn system(chain: &mut Chain<'_>) {
    let host = chain.host;
    let system = &host.settings().bootstrap;
    let is_centos = host.is_os("centos");
    for (switch, is_on, counts, what) in [
        (
            "centos_fastestmirror_enabled",
            system.centos_fastestmirror_enabled,
            is_centos,
            "the fastest mirror",
        ),
        ("coreos_locksmithd_disable", system.coreos_locksmithd_disable, host.is_os("flatcar"), "locksmithd"),
        ("epel_enabled", system.epel_enabled, host.family() == Family::RedHat, "the repository EPEL"),
        (
            "openeuler_metalink_enabled",
            system.openeuler_metalink_enabled,
            host.is_os("openEuler"),
            "the mirrors of openEuler",
        ),
    ] {
        if is_on && counts {
            chain.refuse(
                format!("`{switch}` is on, and {what} cannot be set yet"),
                format!("set `{switch}: false`, and prepare the host by other means"),
            );
        }
    }
}

/// Whether a switch is on in the part of the settings that has it; parts of what is not wished are not there.
fn is_on(settings: &Value, switch: &str) -> bool {
    let Some(parts) = settings.as_object() else { return false };
    parts.get(switch) == Some(&Value::Bool(true)) || parts.values().any(|part| is_on(part, switch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{SWITCHES, is_on};

    #[test]
    fn switches_are_found_wherever_they_stand() {
        let settings =
            json!({"apps": {"argo": {"argocd_enabled": true}, "registry_enabled": false}, "x": [true]});
        assert!(is_on(&settings, "argocd_enabled"));
        assert!(!is_on(&settings, "registry_enabled") && !is_on(&settings, "crun_enabled"));
        assert!(SWITCHES.is_sorted_by_key(|(switch, _)| *switch));
    }
}
