//! Settings: Version, networks, folders and users of the whole cluster.

use std::net::IpAddr;

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{CertManagement, CloudProvider, ExternalCloud, ImagePullPolicy};
use crate::types::FromFacts;

/// Version, networks, folders and users of the whole cluster.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Kubernetes {
    /// Ping access address during host checks.
    pub ping_access_ip: bool,
    /// Host is Fedora CoreOS (detected automatically).
    pub is_fedora_coreos: bool,
    /// Kubernetes version to install, without leading v; must be listed in the checksum tables.
    pub kube_version: Version,
    /// Lowest Kubernetes version accepted.
    pub kube_version_min_required: Version,
    /// Skip most pre-flight assertions.
    pub ignore_assert_errors: bool,
    /// Directory for installed binaries (Flatcar forces /opt/bin).
    pub bin_dir: String,
    /// Cluster name, default DNS domain.
    pub cluster_name: String,
    /// Kubernetes configuration directory.
    pub kube_config_dir: String,
    /// Directory for helper scripts.
    pub kube_script_dir: String,
    /// Static pod manifest directory.
    pub kube_manifest_dir: String,
    /// Kubernetes certificate directory.
    pub kube_cert_dir: String,
    /// Kubeadm certificate path linked to kube_cert_dir.
    pub kube_cert_compat_dir: String,
    /// Directory for static token files.
    pub kube_token_dir: String,
    /// Owner of Kubernetes directories; root required by cilium.
    pub kube_owner: String,
    /// Group owning certificates.
    pub kube_cert_group: String,
    /// CA is managed outside; skip certificate tasks.
    pub kube_external_ca_mode: bool,
    /// Verbosity of Kubernetes components.
    pub kube_log_level: i64,
    /// Cloud provider mode.
    pub cloud_provider: Option<CloudProvider>,
    /// External cloud controller to deploy.
    pub external_cloud_provider: Option<ExternalCloud>,
    /// Generate certificates or expect them provided.
    pub cert_management: CertManagement,
    /// Directory for generated secrets on operator machine.
    pub credentials_dir: String,
    /// ImagePullPolicy of deployed workloads.
    pub k8s_image_pull_policy: ImagePullPolicy,
    /// OS certificate directories mounted into components.
    pub ssl_ca_dirs: FromFacts<Vec<String>>,
    /// Name of first control plane host.
    pub first_kube_control_plane: String,
    /// Access address of first control plane.
    pub first_kube_control_plane_address: FromFacts<IpAddr>,
    /// Image architecture of host.
    pub host_architecture: FromFacts<String>,
    /// Namespace for system resources.
    pub k8s_namespace: String,
    /// Continue on unknown distributions.
    pub allow_unsupported_distribution_setup: Option<bool>,
    /// Kubernetes minor release, e.g. 1.36.
    pub kube_major_version: String,
    /// Following Kubernetes minor release.
    pub kube_major_next_version: String,
    /// Minor number of the following Kubernetes release.
    pub kube_next: i64,
}
