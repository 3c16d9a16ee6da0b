//! Settings: Macvlan; a network plugin that users bring; Multus.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::types::{JsonMap, Secret};

/// Macvlan.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Macvlan {
    /// Parent interface for macvlan.
    pub macvlan_interface: String,
    /// Masquerade on default interface.
    pub enable_nat_default_gateway: bool,
}

/// A network plugin that users bring.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct CustomCni {
    /// Manifests of custom network plugin.
    pub custom_cni_manifests: Vec<String>,
    /// Namespace of custom CNI chart.
    pub custom_cni_chart_namespace: String,
    /// Helm release of custom plugin.
    pub custom_cni_chart_release_name: Option<String>,
    /// Helm repository name of custom plugin.
    pub custom_cni_chart_repository_name: Option<String>,
    /// Helm repository URL of custom plugin.
    pub custom_cni_chart_repository_url: Option<String>,
    /// Helm chart of custom plugin.
    pub custom_cni_chart_ref: Option<String>,
    /// Helm chart version of custom plugin.
    pub custom_cni_chart_version: Option<String>,
    /// Helm values of custom plugin.
    pub custom_cni_chart_values: JsonMap,
    /// Helm repository user.
    pub custom_cni_chart_repository_username: Option<String>,
    /// Helm repository password.
    pub custom_cni_chart_repository_password: Option<Secret>,
}

/// Multus.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Multus {
    /// Version of multus.
    pub multus_version: Version,
    /// Image repository of multus.
    pub multus_image_repo: String,
    /// Image tag of multus.
    pub multus_image_tag: String,
    /// Multus config mode.
    pub multus_conf_file: String,
    /// CNI config directory on host.
    pub multus_cni_conf_dir_host: String,
    /// CNI binary directory on host.
    pub multus_cni_bin_dir_host: String,
    /// Runtime directory on host.
    pub multus_cni_run_dir_host: String,
    /// CNI config directory in pod.
    pub multus_cni_conf_dir: String,
    /// CNI binary directory in pod.
    pub multus_cni_bin_dir: String,
    /// Runtime directory in pod.
    pub multus_cni_run_dir: String,
    /// Multus kubeconfig on host.
    pub multus_kubeconfig_file_host: String,
    /// Restrict networks to own namespace.
    pub multus_namespace_isolation: bool,
    /// Image digest of multus (ineffective, see DL-054).
    pub multus_digest_checksum: Option<String>,
}
