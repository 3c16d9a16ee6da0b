//! Settings: Docker; the CRI of Docker.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{CgroupDriver, DockerMountFlags};
use crate::types::{FromFacts, Json, JsonMap};

/// Docker.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Docker {
    /// Directory holding docker binaries.
    pub docker_bin_dir: String,
    /// Docker daemon DNS options.
    pub docker_dns_options: Vec<String>,
    /// Search domains given to docker daemon.
    pub docker_dns_search_domains: Vec<String>,
    /// Fail when more than three docker DNS servers.
    pub docker_dns_servers_strict: bool,
    /// Docker data root.
    pub docker_daemon_graph: String,
    /// Let docker manage iptables (string boolean).
    pub docker_iptables_enabled: bool,
    /// Docker log options string.
    pub docker_log_opts: String,
    /// Registries docker may use without TLS.
    pub docker_insecure_registries: Vec<String>,
    /// Docker registry mirrors.
    pub docker_registry_mirrors: Vec<Json>,
    /// Docker plugins to install.
    pub docker_plugins: Vec<String>,
    /// Command pulling images with docker.
    pub docker_image_pull_command: String,
    /// Command listing docker images.
    pub docker_image_info_command: String,
    /// Containerd.io package used with Docker; a key of the package table of the distribution.
    pub docker_containerd_version: Version,
    /// OS package name of containerd.
    pub containerd_package: String,
    /// Directory of yum repository files.
    pub yum_repo_dir: String,
    /// Docker engine package; a key of the package table of the distribution.
    pub docker_version: String,
    /// Docker CLI package; a key of the package table of the distribution.
    pub docker_cli_version: String,
    /// Docker packages and repositories for OS.
    pub docker_package_info: JsonMap,
    /// Docker repository key URL and ids.
    pub docker_repo_key_info: Option<JsonMap>,
    /// Docker apt repository lines.
    pub docker_repo_info: JsonMap,
    /// Docker cgroup driver.
    pub docker_cgroup_driver: CgroupDriver,
    /// Kill orphaned containers after docker start.
    pub docker_orphan_clean_up: bool,
    /// Old docker packages removed on RedHat family.
    pub docker_remove_packages_yum: Vec<String>,
    /// Conflicting podman packages removed.
    pub podman_remove_packages_yum: Vec<String>,
    /// Old docker packages removed on Debian family.
    pub docker_remove_packages_apt: Vec<String>,
    /// Docker repository URL on Fedora.
    pub docker_fedora_repo_base_url: FromFacts<String>,
    /// Docker repository key on Fedora.
    pub docker_fedora_repo_gpgkey: String,
    /// Docker repository URL on RHEL-like systems.
    pub docker_rh_repo_base_url: FromFacts<String>,
    /// Docker repository key on RHEL-like systems.
    pub docker_rh_repo_gpgkey: String,
    /// Docker repository URL on Ubuntu.
    pub docker_ubuntu_repo_base_url: String,
    /// Docker repository key URL on Ubuntu.
    pub docker_ubuntu_repo_gpgkey: String,
    /// Docker repository key id on Ubuntu.
    pub docker_ubuntu_repo_repokey: String,
    /// Docker repository URL on Debian.
    pub docker_debian_repo_base_url: String,
    /// Docker repository key URL on Debian.
    pub docker_debian_repo_gpgkey: String,
    /// Docker repository key id on Debian.
    pub docker_debian_repo_repokey: String,
    /// Keep downloaded docker packages.
    pub docker_rpm_keepcache: Option<i64>,
    /// Docker storage driver options.
    pub docker_storage_options: Option<String>,
    /// Mount propagation of docker unit.
    pub docker_mount_flags: Option<DockerMountFlags>,
    /// Extra docker daemon options.
    pub docker_options: Option<String>,
    /// Keyring file for docker repository key.
    pub docker_repo_key_keyring: Option<String>,
}

/// The CRI of Docker.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct CriDockerd {
    /// Version of cri-dockerd.
    pub cri_dockerd_version: Version,
    /// Cri-dockerd log level.
    pub cri_dockerd_log_level: String,
}
