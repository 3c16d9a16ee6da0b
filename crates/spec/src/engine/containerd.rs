//! Settings: containerd.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{ContainerdDebugFormat, ContainerdDebugLevel, ContainerdTracingProtocol};
use crate::parts::RegistryMirror;
use crate::types::{Duration, Json, JsonMap, Secret};

/// containerd.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Containerd {
    /// Directory holding containerd binaries.
    pub containerd_bin_dir: String,
    /// Use systemd cgroup driver for containerd runc.
    pub containerd_use_systemd_cgroup: bool,
    /// Use statically linked containerd build.
    pub containerd_static_binary: bool,
    /// Containerd root directory.
    pub containerd_storage_dir: String,
    /// Containerd state directory.
    pub containerd_state_dir: String,
    /// Containerd unit drop-in directory.
    pub containerd_systemd_dir: String,
    /// Containerd configuration directory.
    pub containerd_cfg_dir: String,
    /// Command listing containerd images.
    pub nerdctl_image_info_command: String,
    /// Command pulling images with nerdctl.
    pub nerdctl_image_pull_command: String,
    /// Version of containerd.
    pub containerd_version: Version,
    /// Version of nerdctl.
    pub nerdctl_version: Version,
    /// Containerd oom_score config value.
    pub containerd_oom_score: i64,
    /// Default runtime handler name.
    pub containerd_default_runtime: String,
    /// Snapshotter of containerd: overlayfs, native, zfs, btrfs or that of a proxy plugin.
    pub containerd_snapshotter: String,
    /// Definition of runc runtime.
    pub containerd_runc_runtime: JsonMap,
    /// Extra runtime definitions.
    pub containerd_additional_runtimes: Vec<Json>,
    /// Open file limit inside containers.
    pub containerd_base_runtime_spec_rlimit_nofile: i64,
    /// Patch merged into default OCI spec.
    pub containerd_default_base_runtime_spec_patch: JsonMap,
    /// Drop compressed layers after unpack (before 2.1).
    pub containerd_discard_unpacked_layers: bool,
    /// Maximum gRPC receive size in bytes.
    pub containerd_grpc_max_recv_message_size: i64,
    /// Maximum gRPC send size in bytes.
    pub containerd_grpc_max_send_message_size: i64,
    /// Debug socket address.
    pub containerd_debug_address: Option<String>,
    /// Log level.
    pub containerd_debug_level: ContainerdDebugLevel,
    /// Log format.
    pub containerd_debug_format: Option<ContainerdDebugFormat>,
    /// Debug socket user id.
    pub containerd_debug_uid: i64,
    /// Debug socket group id.
    pub containerd_debug_gid: i64,
    /// Metrics listen address.
    pub containerd_metrics_address: Option<String>,
    /// Expose gRPC latency histograms.
    pub containerd_metrics_grpc_histogram: bool,
    /// Registry mirrors rendered as hosts.toml.
    pub containerd_registries_mirrors: Vec<RegistryMirror>,
    /// Maximum container log line length.
    pub containerd_max_container_log_line_size: i64,
    /// Let containers bind ports below 1024.
    pub containerd_enable_unprivileged_ports: bool,
    /// Let containers open ICMP sockets.
    pub containerd_enable_unprivileged_icmp: bool,
    /// Enable SELinux labelling in containerd.
    pub containerd_enable_selinux: bool,
    /// Disable AppArmor in containerd.
    pub containerd_disable_apparmor: bool,
    /// Tolerate missing hugetlb cgroup controller.
    pub containerd_tolerate_missing_hugetlb_controller: bool,
    /// Ignore hugetlb cgroup controller.
    pub containerd_disable_hugetlb_controller: bool,
    /// Abort pulls without progress after this time.
    pub containerd_image_pull_progress_timeout: Duration,
    /// Literal text inserted into config.toml.
    pub containerd_extra_args: Option<String>,
    /// Extra keys for CRI runtime plugin (2.x).
    pub containerd_extra_runtime_args: JsonMap,
    /// Registry credentials (effective only before 2.0).
    pub containerd_registry_auth: Secret<Vec<Json>>,
    /// Unit LimitNPROC.
    pub containerd_limit_proc_num: String,
    /// Unit LimitCORE.
    pub containerd_limit_core: String,
    /// Unit LimitNOFILE.
    pub containerd_limit_open_file_num: i64,
    /// Unit LimitMEMLOCK.
    pub containerd_limit_mem_lock: String,
    /// Enable container device interface.
    pub enable_cdi: bool,
    /// Export containerd traces.
    pub containerd_tracing_enabled: bool,
    /// Trace collector endpoint.
    pub containerd_tracing_endpoint: String,
    /// Trace protocol.
    pub containerd_tracing_protocol: ContainerdTracingProtocol,
    /// Trace sampling ratio.
    pub containerd_tracing_sampling_ratio: f64,
    /// Service name in traces.
    pub containerd_tracing_service_name: String,
    /// Snapshotter used by nerdctl.
    pub nerdctl_snapshotter: Option<String>,
    /// Lowest containerd version accepted.
    pub containerd_min_version_required: Version,
}
