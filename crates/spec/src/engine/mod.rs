//! Settings: what is the same for all container engines.

mod containerd;
mod crio;
mod docker;
mod runtimes;

pub use containerd::*;
pub use crio::*;
pub use docker::*;
pub use runtimes::*;

use indexmap::IndexMap;
use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::ContainerManager;

/// What is the same for all container engines.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Engine {
    /// Install container engine on this host.
    pub deploy_container_engine: bool,
    /// Container engine.
    pub container_manager: ContainerManager,
    /// Enable Node Resource Interface plugins.
    pub nri_enabled: bool,
    /// Engine on operator machine for local image download.
    pub container_manager_on_localhost: ContainerManager,
    /// CRI endpoint URL.
    pub cri_socket: String,
    /// Command listing images through crictl.
    pub crictl_image_info_command: String,
    /// Command pulling images with crictl.
    pub crictl_image_pull_command: String,
    /// Version of pause.
    pub pod_infra_version: Version,
    /// Version of crictl.
    pub crictl_version: Version,
    /// Image repository of pause.
    pub pod_infra_image_repo: String,
    /// Image tag of pause.
    pub pod_infra_image_tag: String,
    /// Pause versions per Kubernetes minor.
    pub pod_infra_supported_versions: IndexMap<String, String>,
    /// Image digest of pause (ineffective, see DL-054).
    pub pod_infra_digest_checksum: Option<String>,
}
