//! What can be switched on in Kubespray and cannot be done here yet.
//!
//! An inventory that asks for it is refused: an application that silently is not there is found too late.

use serde_json::Value;

use super::Chain;

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

/// Refuses what is asked for and cannot be done; said once, by the leader.
pub(crate) fn refuse(chain: &mut Chain<'_>) {
    let host = chain.host;
    if host.spec.name != host.site.leader() {
        return;
    }
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
