//! Settings: the scheduler; the out-of-tree scheduler plugins.

use std::net::IpAddr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::types::{Duration, Json, JsonMap};

/// The scheduler.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Scheduler {
    /// Scheduler feature gates.
    pub kube_scheduler_feature_gates: Vec<String>,
    /// Extra scheduler flags.
    pub kube_kubeadm_scheduler_extra_args: JsonMap,
    /// Scheduler bind address.
    pub kube_scheduler_bind_address: IpAddr,
    /// Extra scheduler client connection options.
    pub kube_scheduler_client_conn_extra_opts: JsonMap,
    /// Extra scheduler configuration.
    pub kube_scheduler_config_extra_opts: JsonMap,
    /// Scheduler extenders.
    pub kube_scheduler_extenders: Vec<Json>,
    /// Extra scheduler leader election options.
    pub kube_scheduler_leader_elect_extra_opts: JsonMap,
    /// Scheduler lease duration.
    pub kube_scheduler_leader_elect_lease_duration: Duration,
    /// Scheduler lease renew deadline.
    pub kube_scheduler_leader_elect_renew_deadline: Duration,
    /// Scheduler profiles.
    pub kube_scheduler_profiles: Vec<Json>,
    /// Extra scheduler pod volumes.
    pub scheduler_extra_volumes: JsonMap,
}

/// The out-of-tree scheduler plugins.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct SchedulerPlugins {
    /// Deploy scheduler-plugins as second scheduler.
    pub scheduler_plugins_enabled: bool,
    /// Scheduler-plugins versions per Kubernetes minor.
    pub scheduler_plugins_supported_versions: IndexMap<String, String>,
    /// Version of scheduler plugins.
    pub scheduler_plugins_version: String,
    /// Image repository of scheduler plugins controller.
    pub scheduler_plugins_controller_image_repo: String,
    /// Image tag of scheduler plugins controller.
    pub scheduler_plugins_controller_image_tag: String,
    /// Image repository of scheduler plugins scheduler.
    pub scheduler_plugins_scheduler_image_repo: String,
    /// Image tag of scheduler plugins scheduler.
    pub scheduler_plugins_scheduler_image_tag: String,
    /// Namespace of scheduler plugins.
    pub scheduler_plugins_namespace: String,
    /// Replicas of scheduler plugins controller.
    pub scheduler_plugins_controller_replicas: i64,
    /// Replicas of scheduler plugins scheduler.
    pub scheduler_plugins_scheduler_replicas: i64,
    /// Leader election for second scheduler.
    pub scheduler_plugins_scheduler_leader_elect: bool,
    /// Scheduler plugins enabled.
    pub scheduler_plugins_enabled_plugins: Vec<String>,
    /// Scheduler plugins disabled.
    pub scheduler_plugins_disabled_plugins: Vec<String>,
    /// Scheduler plugin arguments.
    pub scheduler_plugins_plugin_config: Vec<Json>,
}
