//! Settings: kubeadm.

use serde::{Deserialize, Serialize};

use crate::types::{Duration, Json, JsonMap, Secret};

/// kubeadm.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Kubeadm {
    /// Validate rendered kubeadm configs with kubeadm.
    pub kubeadm_config_validate_enabled: bool,
    /// Time limit for initialising first control plane.
    pub kubeadm_init_timeout: Duration,
    /// Base list of skipped kubeadm init phases.
    pub kubeadm_init_phases_skip_default: Vec<String>,
    /// Kubeadm init phases skipped, plugin dependent.
    pub kubeadm_init_phases_skip: Vec<String>,
    /// Base list of skipped kubeadm join phases.
    pub kubeadm_join_phases_skip_default: Vec<String>,
    /// Kubeadm join phases skipped.
    pub kubeadm_join_phases_skip: Vec<String>,
    /// Base list of skipped kubeadm upgrade-node phases.
    pub kubeadm_upgrade_node_phases_skip_default: Vec<String>,
    /// Skipped kubeadm upgrade-node phases on secondary control planes.
    pub kubeadm_upgrade_node_phases_skip: Vec<String>,
    /// Kubeadm feature gates.
    pub kubeadm_feature_gates: Vec<String>,
    /// Kubeadm image entries (filled at run time).
    pub kubeadm_images: JsonMap,
    /// Registry for kubeadm control plane images.
    pub kubeadm_image_repo: String,
    /// Kubeadm join timeout.
    pub kubeadm_join_timeout: Duration,
    /// Directory for kubeadm patches.
    pub kubeadm_patches_dir: String,
    /// Patches applied by kubeadm.
    pub kubeadm_patches: Vec<Json>,
    /// Kubeadm preflight errors ignored.
    pub kubeadm_ignore_preflight_errors: Vec<String>,
    /// Key encrypting uploaded certificates.
    pub kubeadm_certificate_key: Option<Secret>,
    /// Fixed kubeadm bootstrap token.
    pub kubeadm_token: Option<Secret>,
    /// API host name used when joining.
    pub kubeadm_config_api_fqdn: Option<String>,
}
