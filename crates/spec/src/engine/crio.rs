//! Settings: CRI-O.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{CgroupDriver, CrioLogLevel};
use crate::types::{Duration, FromFacts, Json, JsonMap, Secret};

/// CRI-O.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Crio {
    /// Register bundled runc with CRI-O.
    pub runc_enabled: bool,
    /// Registries CRI-O may use without TLS.
    pub crio_insecure_registries: Vec<String>,
    /// Version of skopeo.
    pub skopeo_version: Version,
    /// Version of CRI-O.
    pub crio_version: Version,
    /// CRI-O cgroup manager.
    pub crio_cgroup_manager: CgroupDriver,
    /// Path of conmon.
    pub crio_conmon: String,
    /// Default CRI-O runtime.
    pub crio_default_runtime: String,
    /// Directory of CRI-O helper binaries.
    pub crio_libexec_dir: String,
    /// Remove all pods to switch runtime.
    pub crio_runtime_switch: bool,
    /// Expose CRI-O metrics.
    pub crio_enable_metrics: bool,
    /// CRI-O log level.
    pub crio_log_level: CrioLogLevel,
    /// CRI-O metrics port.
    pub crio_metrics_port: String,
    /// Pause image reference.
    pub crio_pause_image: String,
    /// Registries with mirrors for CRI-O.
    pub crio_registries: Vec<Json>,
    /// Registry credentials for CRI-O.
    pub crio_registry_auth: Secret<Vec<Json>>,
    /// Default seccomp profile path.
    pub crio_seccomp_profile: Option<String>,
    /// SELinux pod separation.
    pub crio_selinux: bool,
    /// Signature policy path.
    pub crio_signature_policy: FromFacts<String>,
    /// Abort pulls without progress after this time.
    pub crio_pull_progress_timeout: Duration,
    /// Streaming server port.
    pub crio_stream_port: String,
    /// CRI-O storage root.
    pub crio_root: String,
    /// OCI runtimes registered with CRI-O.
    pub crio_runtimes: Vec<Json>,
    /// Kata runtime entries added when enabled.
    pub kata_runtimes: Vec<Json>,
    /// Runc runtime entry.
    pub runc_runtime: JsonMap,
    /// Youki runtime entry.
    pub youki_runtime: JsonMap,
    /// Reserve sub-ids for user namespaces.
    pub crio_remap_enable: bool,
    /// User name in subuid/subgid.
    pub crio_remap_user: String,
    /// First subordinate uid.
    pub crio_subuid_start: i64,
    /// Number of subordinate uids.
    pub crio_subuid_length: i64,
    /// First subordinate gid.
    pub crio_subgid_start: i64,
    /// Number of subordinate gids.
    pub crio_subgid_length: i64,
    /// Enable checkpoint/restore support.
    pub crio_criu_support_enabled: bool,
    /// Default container capabilities.
    pub crio_default_capabilities: Vec<String>,
    /// Extra default mounts (RedHat family).
    pub crio_additional_mounts: Vec<Json>,
    /// Legacy CRI-O package repository host.
    pub crio_download_base: Option<String>,
    /// Legacy CRI-O package repository URL.
    pub crio_download_crio: Option<String>,
    /// CRI-O storage driver override.
    pub crio_storage_driver: Option<String>,
    /// Directory of the runtimes that come with CRI-O.
    pub crio_runtime_bin_dir: String,
}
