//! Settings: Flannel.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::FlannelBackendType;
use crate::types::Quantity;

/// Flannel.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Flannel {
    /// Version of flannel.
    pub flannel_version: Version,
    /// Flannel CNI plugin image version.
    pub flannel_cni_version: Version,
    /// Image repository of flannel.
    pub flannel_image_repo: String,
    /// Image tag of flannel.
    pub flannel_image_tag: String,
    /// Image repository of flannel init.
    pub flannel_init_image_repo: String,
    /// Image tag of flannel init.
    pub flannel_init_image_tag: String,
    /// Flannel backend.
    pub flannel_backend_type: FlannelBackendType,
    /// Flannel VXLAN identifier.
    pub flannel_vxlan_vni: i64,
    /// Flannel VXLAN port.
    pub flannel_vxlan_port: u16,
    /// Direct routes within a subnet.
    pub flannel_vxlan_direct_routing: bool,
    /// Memory limit of flannel.
    pub flannel_memory_limit: Quantity,
    /// CPU limit of flannel.
    pub flannel_cpu_limit: Quantity,
    /// Memory request of flannel.
    pub flannel_memory_requests: Quantity,
    /// CPU request of flannel.
    pub flannel_cpu_requests: Quantity,
    /// Interface used by flannel.
    pub flannel_interface: Option<String>,
    /// Interface pattern for flannel.
    pub flannel_interface_regexp: Option<String>,
    /// Image digest of flannel (ineffective, see DL-054).
    pub flannel_digest_checksum: Option<String>,
    /// Image digest of flannel init (ineffective, see DL-054).
    pub flannel_init_digest_checksum: Option<String>,
}
