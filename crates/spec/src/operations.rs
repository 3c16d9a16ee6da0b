//! Settings: Upgrades and drains; Removal of nodes; Reset and recovery; Runs in general and files for
//! the operator.

use serde::{Deserialize, Serialize};

use crate::choices::SystemUpgradeReboot;
use crate::types::Duration;

/// Upgrades and drains.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Upgrade {
    /// Upgrade OS packages during cluster upgrade.
    pub system_upgrade: bool,
    /// Reboot policy after OS upgrade.
    pub system_upgrade_reboot: SystemUpgradeReboot,
    /// Clean package cache and orphans after OS upgrade.
    pub system_upgrade_autoclean: bool,
    /// Wait for Cilium before uncordon.
    pub upgrade_post_cilium_wait_timeout: Duration,
    /// Ask before uncordoning.
    pub upgrade_node_post_upgrade_confirm: bool,
    /// Pause before uncordoning.
    pub upgrade_node_post_upgrade_pause_seconds: i64,
    /// Label selector limiting drained pods.
    pub drain_pod_selector: Option<String>,
    /// Drain nodes during upgrade.
    pub drain_nodes: bool,
    /// Second drain without eviction API.
    pub drain_fallback_enabled: bool,
    /// Grace period of fallback drain.
    pub drain_fallback_grace_period: i64,
    /// Timeout of fallback drain.
    pub drain_fallback_timeout: Duration,
    /// Tries of fallback drain.
    pub drain_fallback_retries: i64,
    /// Delay between fallback drains.
    pub drain_fallback_retry_delay_seconds: i64,
    /// Cordon even without drain.
    pub upgrade_node_always_cordon: bool,
    /// Uncordon when drain failed.
    pub upgrade_node_uncordon_after_drain_failure: bool,
    /// Stop upgrade when drain failed.
    pub upgrade_node_fail_if_drain_fails: bool,
    /// Ask before upgrading each node.
    pub upgrade_node_confirm: bool,
    /// Pause before upgrading node.
    pub upgrade_node_pause_seconds: i64,
    /// Hook task files after node upgrade.
    pub post_upgrade_hooks: Option<Vec<String>>,
}

/// Removal of nodes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct RemoveNode {
    /// Retries deleting node object.
    pub delete_node_retries: i64,
    /// Delay between node deletion tries.
    pub delete_node_delay_seconds: i64,
    /// Continue removal when drain fails.
    pub allow_ungraceful_removal: bool,
    /// Drain grace period seconds.
    pub drain_grace_period: i64,
    /// Drain timeout.
    pub drain_timeout: Duration,
    /// Drain tries.
    pub drain_retries: i64,
    /// Delay between drain tries.
    pub drain_retry_delay_seconds: i64,
    /// Reset nodes during removal.
    pub reset_nodes: Option<bool>,
    /// Host(s) to remove (extra variable).
    pub node: Option<String>,
}

/// Reset and recovery.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Reset {
    /// Flush iptables on reset.
    pub flush_iptables: bool,
    /// Restart networking on reset.
    pub reset_restart_network: bool,
    /// Grace period stopping containers on reset.
    pub cri_stop_containers_grace_period: i64,
    /// Pre-confirm cluster reset.
    pub reset_confirmation: Option<bool>,
    /// Local snapshot file for quorum recovery.
    pub etcd_snapshot: Option<String>,
}

/// Runs in general and files for the operator.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Operations {
    /// Copy admin kubeconfig to operator machine.
    pub kubeconfig_localhost: bool,
    /// Copy kubectl to operator machine.
    pub kubectl_localhost: bool,
    /// Use ansible_host in exported kubeconfig.
    pub kubeconfig_localhost_ansible_host: bool,
    /// Directory for exported kubeconfig and kubectl.
    pub artifacts_dir: String,
    /// Stop all hosts on first failure.
    pub any_errors_fatal: Option<bool>,
    /// Batch size of worker upgrades.
    pub serial: Option<String>,
    /// Skip confirmation prompts.
    pub skip_confirmation: Option<bool>,
}
