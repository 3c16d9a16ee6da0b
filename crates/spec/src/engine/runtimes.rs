//! Settings: runc; crun; youki; gVisor; Kata Containers.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::KataContainersVirtioFsCache;
use crate::types::FromFacts;

/// runc.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Runc {
    /// Version of runc.
    pub runc_version: Version,
    /// Directory of runc binary.
    pub runc_bin_dir: String,
    /// OS package name of runc to remove.
    pub runc_package_name: String,
}

/// crun.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Crun {
    /// Place crun binary on nodes.
    pub crun_enabled: bool,
    /// Version of crun.
    pub crun_version: Version,
}

/// youki.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Youki {
    /// Install youki runtime (CRI-O only).
    pub youki_enabled: bool,
    /// Version of youki.
    pub youki_version: Version,
    /// Directory of youki binary.
    pub youki_bin_dir: String,
}

/// gVisor.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Gvisor {
    /// Install gVisor as additional runtime (containerd only).
    pub gvisor_enabled: bool,
    /// Version of gVisor.
    pub gvisor_version: Version,
}

/// Kata Containers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Kata {
    /// Install Kata as additional runtime.
    pub kata_containers_enabled: bool,
    /// Version of kata containers.
    pub kata_containers_version: Version,
    /// Kata installation directory.
    pub kata_containers_dir: String,
    /// Kata configuration directory.
    pub kata_containers_config_dir: String,
    /// Directory of Kata shim wrapper.
    pub kata_containers_containerd_bin_dir: String,
    /// Memory of each Kata VM in MiB.
    pub kata_containers_qemu_default_memory: FromFacts<i64>,
    /// Kata debug output.
    pub kata_containers_qemu_debug: bool,
    /// Put all Kata processes in one cgroup.
    pub kata_containers_qemu_sandbox_cgroup_only: bool,
    /// Preallocate VM memory.
    pub kata_containers_qemu_enable_mem_prealloc: bool,
    /// Virtio-fs cache mode.
    pub kata_containers_virtio_fs_cache: KataContainersVirtioFsCache,
    /// Declare pod overhead for Kata.
    pub kata_containers_qemu_overhead: bool,
    /// CPU overhead of Kata pods.
    pub kata_containers_qemu_overhead_fixed_cpu: String,
    /// Memory overhead of Kata pods.
    pub kata_containers_qemu_overhead_fixed_memory: String,
}
