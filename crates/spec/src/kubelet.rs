//! Settings: the kubelet and the node around it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::choices::{
    CgroupDriver, KubeletCpuManagerPolicy, KubeletSwapBehavior, KubeletTopologyManagerPolicy,
    KubeletTopologyManagerScope,
};
use crate::types::{Duration, FromFacts, JsonMap, Quantity};

/// The kubelet and the node around it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Kubelet {
    /// Kubelet refuses to start on cgroup v1.
    pub kubelet_fail_cgroup_v1: bool,
    /// Refuse swap; also disables swap on hosts.
    pub kubelet_fail_swap_on: bool,
    /// How pods may use swap when allowed.
    pub kubelet_swap_behavior: KubeletSwapBehavior,
    /// Systemd slice for kubelet and engine when reserved.
    pub kube_reserved_cgroups_for_service_slice: String,
    /// Total graceful node shutdown time.
    pub kubelet_shutdown_grace_period: Duration,
    /// Part of shutdown time reserved for critical pods.
    pub kubelet_shutdown_grace_period_critical_pods: Duration,
    /// Kubelet accepts bearer tokens via token review.
    pub kubelet_authentication_token_webhook: bool,
    /// Kubelet delegates authorization to API server.
    pub kubelet_authorization_mode_webhook: bool,
    /// Rotate kubelet client certificate.
    pub kubelet_rotate_certificates: bool,
    /// Request kubelet server certificates; enables CSR approver.
    pub kubelet_rotate_server_certificates: bool,
    /// Kubelet fails on wrong kernel tunables; sets them.
    pub kubelet_protect_kernel_defaults: bool,
    /// Kubelet feature gates.
    pub kubelet_feature_gates: Vec<String>,
    /// Kubelet event creation rate; zero means unlimited.
    pub kubelet_event_record_qps: i64,
    /// Resolv.conf used by kubelet.
    pub kube_resolv_conf: String,
    /// Allocatable enforcement levels, comma-joined: pods, kube-reserved, system-reserved.
    pub kubelet_enforce_node_allocatable: String,
    /// Slice of Kubernetes services.
    pub kube_service_cgroups: String,
    /// Runtime cgroup path (systemd).
    pub kubelet_runtime_cgroups: String,
    /// Kubelet cgroup path (systemd).
    pub kubelet_kubelet_cgroups: String,
    /// Runtime cgroup path (cgroupfs).
    pub kubelet_runtime_cgroups_cgroupfs: String,
    /// Kubelet cgroup path (cgroupfs).
    pub kubelet_kubelet_cgroups_cgroupfs: String,
    /// Restrict kubelet unit network access.
    pub kubelet_systemd_hardening: bool,
    /// Extra units wanted by kubelet.
    pub kubelet_systemd_wants_dependencies: Vec<String>,
    /// All node addresses, blank separated.
    pub kube_node_addresses: FromFacts<String>,
    /// Addresses allowed to reach hardened kubelet.
    pub kubelet_secure_addresses: FromFacts<String>,
    /// Run kubelet and engine in own slice.
    pub kube_reserved: bool,
    /// Cgroup of Kubernetes reservation.
    pub kube_reserved_cgroups: String,
    /// Memory reserved for Kubernetes.
    pub kube_memory_reserved: Quantity,
    /// CPU reserved for Kubernetes.
    pub kube_cpu_reserved: Quantity,
    /// Ephemeral storage reserved for Kubernetes.
    pub kube_ephemeral_storage_reserved: Quantity,
    /// Process ids reserved for Kubernetes.
    pub kube_pid_reserved: String,
    /// Reserve resources for system daemons.
    pub system_reserved: bool,
    /// Slice of system daemons.
    pub system_reserved_cgroups_for_service_slice: String,
    /// Cgroup of system reservation.
    pub system_reserved_cgroups: String,
    /// Memory reserved for system.
    pub system_memory_reserved: Quantity,
    /// CPU reserved for system.
    pub system_cpu_reserved: Quantity,
    /// Ephemeral storage reserved for system.
    pub system_ephemeral_storage_reserved: Quantity,
    /// Process ids reserved for system.
    pub system_pid_reserved: i64,
    /// Hard eviction thresholds.
    pub eviction_hard: JsonMap,
    /// Node status update interval.
    pub kubelet_status_update_frequency: Duration,
    /// Pods per node.
    pub kubelet_max_pods: i64,
    /// Processes per pod; -1 unlimited.
    pub kubelet_pod_pids_limit: i64,
    /// Extra kubelet configuration keys.
    pub kubelet_config_extra_args: JsonMap,
    /// Extra kubelet keys with cgroupfs driver.
    pub kubelet_config_extra_args_cgroupfs: JsonMap,
    /// Log files per container.
    pub kubelet_logfiles_max_nr: i64,
    /// Log file size before rotation.
    pub kubelet_logfiles_max_size: String,
    /// Extra kubelet flags (deprecated).
    pub kubelet_custom_flags: Vec<String>,
    /// Unauthenticated kubelet port; 0 disables.
    pub kube_read_only_port: u16,
    /// Kubelet health port.
    pub kubelet_healthz_port: u16,
    /// Kubelet health address.
    pub kubelet_healthz_bind_address: IpAddr,
    /// Kubelet tracing.
    pub kubelet_tracing: bool,
    /// Kubelet trace endpoint.
    pub kubelet_tracing_endpoint: String,
    /// Kubelet trace samples per million.
    pub kubelet_tracing_sampling_rate_per_million: i64,
    /// Parallel image pulls per node.
    pub kubelet_max_parallel_image_pulls: i64,
    /// Directory for generated Windows patches.
    pub kubernetes_user_manifests_path: FromFacts<String>,
    /// OS label key selecting kube-proxy nodes.
    pub kube_proxy_nodeselector: String,
    /// Kubelet cgroup driver override.
    pub kubelet_cgroup_driver: Option<CgroupDriver>,
    /// Topology manager policy.
    pub kubelet_topology_manager_policy: Option<KubeletTopologyManagerPolicy>,
    /// Topology manager scope.
    pub kubelet_topology_manager_scope: Option<KubeletTopologyManagerScope>,
    /// CPU manager policy.
    pub kubelet_cpu_manager_policy: Option<KubeletCpuManagerPolicy>,
    /// CPU manager options.
    pub kubelet_cpu_manager_policy_options: Option<JsonMap>,
    /// Idle timeout of streaming connections.
    pub kubelet_streaming_connection_idle_timeout: Option<Duration>,
    /// Disk usage starting image cleanup.
    pub kubelet_image_gc_high_threshold: Option<i64>,
    /// Disk usage stopping image cleanup.
    pub kubelet_image_gc_low_threshold: Option<i64>,
    /// Kubelet maintains iptables chains.
    pub kubelet_make_iptables_util_chains: Option<bool>,
    /// Use default seccomp profile.
    pub kubelet_seccomp_default: Option<bool>,
}
