//! Settings: what is the same for all network plugins.

mod calico;
mod cilium;
mod flannel;
mod kube_ovn;
mod kube_router;
mod other;

pub use calico::*;
pub use cilium::*;
pub use flannel::*;
pub use kube_ovn::*;
pub use kube_router::*;
pub use other::*;

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::NetworkPlugin;
use crate::types::{Cidr, Cidrs};

/// What is the same for all network plugins.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Network {
    /// Pod network plugin.
    pub kube_network_plugin: NetworkPlugin,
    /// Additionally deploy Multus.
    pub kube_network_plugin_multus: bool,
    /// IPv4 service network.
    pub kube_service_addresses: Cidr,
    /// IPv4 pod network.
    pub kube_pods_subnet: Cidr,
    /// Prefix length of per-node IPv4 pod range.
    pub kube_network_node_prefix: i64,
    /// Enable IPv4 networking.
    pub ipv4_stack: bool,
    /// Enable IPv6 networking.
    pub ipv6_stack: bool,
    /// IPv6 service network.
    pub kube_service_addresses_ipv6: Cidr,
    /// IPv6 pod network.
    pub kube_pods_subnet_ipv6: Cidr,
    /// Prefix length of per-node IPv6 pod range.
    pub kube_network_node_prefix_ipv6: i64,
    /// Deploy network policy controller where applicable.
    pub enable_network_policy: bool,
    /// Deprecated alias for enabling IPv6 stack.
    pub enable_dual_stack_networks: Option<bool>,
    /// Service networks of enabled stacks.
    pub kube_service_subnets: Cidrs,
    /// Pod networks of enabled stacks.
    pub kube_pods_subnets: Cidrs,
    /// Version of CNI.
    pub cni_version: Version,
    /// Owner of CNI binaries.
    pub cni_bin_owner: String,
}
