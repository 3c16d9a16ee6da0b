//! Settings: how files and images come to hosts.

mod sources;

pub use sources::*;

use serde::{Deserialize, Serialize};

use crate::choices::ImageTool;
use crate::types::FromFacts;

/// How files and images come to hosts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Downloads {
    /// Download and unpack directory on nodes.
    pub local_release_dir: String,
    /// Upper bound of random retry delay in seconds.
    pub retry_stagger: i64,
    /// Cache directory on operator machine.
    pub download_cache_dir: String,
    /// Show output that may contain secrets.
    pub unsafe_show_logs: bool,
    /// Keep image archives on nodes after loading.
    pub download_keep_remote_cache: bool,
    /// Use operator-machine cache to feed nodes.
    pub download_force_cache: bool,
    /// Skip the download phase.
    pub skip_downloads: bool,
    /// Do not pre-pull kubeadm images.
    pub skip_kubeadm_images: bool,
    /// Download once and distribute to nodes.
    pub download_run_once: bool,
    /// Gzip level for saved docker images.
    pub download_compress: i64,
    /// Pre-pull container images.
    pub download_container: bool,
    /// Download on operator machine (needs run_once).
    pub download_localhost: bool,
    /// Always pull images even if present.
    pub download_always_pull: bool,
    /// Verify TLS of download URLs.
    pub download_validate_certs: bool,
    /// Host performing run-once downloads.
    pub download_delegate: String,
    /// Retries for files and images.
    pub download_retries: i64,
    /// Image tool on nodes.
    pub image_command_tool: ImageTool,
    /// Image tool on operator machine.
    pub image_command_tool_on_localhost: ImageTool,
    /// Selected pull command on nodes.
    pub image_pull_command: String,
    /// Selected listing command on nodes.
    pub image_info_command: String,
    /// Selected pull command on operator machine.
    pub image_pull_command_on_localhost: String,
    /// Selected listing command on operator machine.
    pub image_info_command_on_localhost: String,
    /// Architecture of images and binaries.
    pub image_arch: FromFacts<String>,
    /// Registry for registry.k8s.io images.
    pub kube_image_repo: String,
    /// Registry for Docker Hub images.
    pub docker_image_repo: String,
    /// Registry for quay.io images.
    pub quay_image_repo: String,
    /// Registry for ghcr.io images.
    pub github_image_repo: String,
    /// Base URL for GitHub downloads.
    pub github_url: String,
    /// Base URL for Kubernetes binaries.
    pub dl_k8s_io_url: String,
    /// Base URL for Google storage downloads.
    pub storage_googleapis_url: String,
    /// Base URL for helm downloads.
    pub get_helm_url: String,
}
