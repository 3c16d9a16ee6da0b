//! Settings: Kube-OVN.

use std::net::IpAddr;

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{KubeOvnNetworkType, KubeOvnPodNicType, KubeOvnTunnelType};
use crate::types::{Cidr, FromFacts, Quantity};

/// Kube-OVN.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct KubeOvn {
    /// Version of Kube-OVN.
    pub kube_ovn_version: Version,
    /// Version of Kube-OVN dpdk.
    pub kube_ovn_dpdk_version: Version,
    /// Image repository of Kube-OVN container.
    pub kube_ovn_container_image_repo: String,
    /// Image tag of Kube-OVN container.
    pub kube_ovn_container_image_tag: String,
    /// Image repository of Kube-OVN vpc container.
    pub kube_ovn_vpc_container_image_repo: String,
    /// Image tag of Kube-OVN vpc container.
    pub kube_ovn_vpc_container_image_tag: String,
    /// Image repository of Kube-OVN dpdk container.
    pub kube_ovn_dpdk_container_image_repo: String,
    /// Image tag of Kube-OVN dpdk container.
    pub kube_ovn_dpdk_container_image_tag: String,
    /// CPU request of Kube-OVN db.
    pub kube_ovn_db_cpu_request: Quantity,
    /// Memory request of Kube-OVN db.
    pub kube_ovn_db_memory_request: Quantity,
    /// CPU limit of Kube-OVN db.
    pub kube_ovn_db_cpu_limit: Quantity,
    /// Memory limit of Kube-OVN db.
    pub kube_ovn_db_memory_limit: Quantity,
    /// CPU request of Kube-OVN node.
    pub kube_ovn_node_cpu_request: Quantity,
    /// Memory request of Kube-OVN node.
    pub kube_ovn_node_memory_request: Quantity,
    /// CPU limit of Kube-OVN node.
    pub kube_ovn_node_cpu_limit: Quantity,
    /// Memory limit of Kube-OVN node.
    pub kube_ovn_node_memory_limit: Quantity,
    /// CPU request of Kube-OVN CNI server.
    pub kube_ovn_cni_server_cpu_request: Quantity,
    /// Memory request of Kube-OVN CNI server.
    pub kube_ovn_cni_server_memory_request: Quantity,
    /// CPU limit of Kube-OVN CNI server.
    pub kube_ovn_cni_server_cpu_limit: Quantity,
    /// Memory limit of Kube-OVN CNI server.
    pub kube_ovn_cni_server_memory_limit: Quantity,
    /// CPU request of Kube-OVN controller.
    pub kube_ovn_controller_cpu_request: Quantity,
    /// Memory request of Kube-OVN controller.
    pub kube_ovn_controller_memory_request: Quantity,
    /// CPU limit of Kube-OVN controller.
    pub kube_ovn_controller_cpu_limit: Quantity,
    /// Memory limit of Kube-OVN controller.
    pub kube_ovn_controller_memory_limit: Quantity,
    /// CPU request of Kube-OVN pinger.
    pub kube_ovn_pinger_cpu_request: Quantity,
    /// Memory request of Kube-OVN pinger.
    pub kube_ovn_pinger_memory_request: Quantity,
    /// CPU limit of Kube-OVN pinger.
    pub kube_ovn_pinger_cpu_limit: Quantity,
    /// Memory limit of Kube-OVN pinger.
    pub kube_ovn_pinger_memory_limit: Quantity,
    /// Memory request of Kube-OVN monitor.
    pub kube_ovn_monitor_memory_request: Quantity,
    /// CPU request of Kube-OVN monitor.
    pub kube_ovn_monitor_cpu_request: Quantity,
    /// Memory limit of Kube-OVN monitor.
    pub kube_ovn_monitor_memory_limit: Quantity,
    /// CPU limit of Kube-OVN monitor.
    pub kube_ovn_monitor_cpu_limit: Quantity,
    /// CPU request of Kube-OVN dpdk node.
    pub kube_ovn_dpdk_node_cpu_request: Quantity,
    /// Memory request of Kube-OVN dpdk node.
    pub kube_ovn_dpdk_node_memory_request: Quantity,
    /// CPU limit of Kube-OVN dpdk node.
    pub kube_ovn_dpdk_node_cpu_limit: Quantity,
    /// Memory limit of Kube-OVN dpdk node.
    pub kube_ovn_dpdk_node_memory_limit: Quantity,
    /// Hosts running ovn-central.
    pub kube_ovn_central_hosts: Vec<String>,
    /// Ovn-central replicas.
    pub kube_ovn_central_replics: i64,
    /// Kube-ovn controller replicas.
    pub kube_ovn_controller_replics: i64,
    /// Addresses of ovn-central hosts.
    pub kube_ovn_central_ips: FromFacts<String>,
    /// Cluster interconnection.
    pub kube_ovn_ic_enable: bool,
    /// Automatic interconnection routes.
    pub kube_ovn_ic_autoroute: bool,
    /// Interconnection database host.
    pub kube_ovn_ic_dbhost: String,
    /// Interconnection zone.
    pub kube_ovn_ic_zone: String,
    /// Network type.
    pub kube_ovn_network_type: KubeOvnNetworkType,
    /// Tunnel type.
    pub kube_ovn_tunnel_type: KubeOvnTunnelType,
    /// Hardware offload.
    pub kube_ovn_hw_offload: bool,
    /// Traffic mirroring.
    pub kube_ovn_traffic_mirror: bool,
    /// External IPv4 address for connectivity check.
    pub kube_ovn_external_address: IpAddr,
    /// External IPv6 address for connectivity check.
    pub kube_ovn_external_address_ipv6: IpAddr,
    /// External addresses for enabled stacks.
    pub kube_ovn_external_address_merged: String,
    /// External name for DNS check.
    pub kube_ovn_external_dns: String,
    /// Check default gateway.
    pub kube_ovn_default_gateway_check: bool,
    /// Use logical gateway.
    pub kube_ovn_default_logical_gateway: bool,
    /// Underlay to overlay interconnection.
    pub kube_ovn_u2o_interconnection: bool,
    /// IPv4 join network.
    pub kube_ovn_node_switch_cidr: Cidr,
    /// IPv6 join network.
    pub kube_ovn_node_switch_cidr_ipv6: Cidr,
    /// Join networks for enabled stacks.
    pub kube_ovn_node_switch_cidr_merged: String,
    /// Default VLAN id.
    pub kube_ovn_default_vlan_id: i64,
    /// Pod interface type.
    pub kube_ovn_pod_nic_type: KubeOvnPodNicType,
    /// OVN load balancer.
    pub kube_ovn_enable_lb: bool,
    /// Network policies.
    pub kube_ovn_enable_np: bool,
    /// External VPC support.
    pub kube_ovn_enable_external_vpc: bool,
    /// Tunnel checksums.
    pub kube_ovn_encap_checksum: bool,
    /// TLS between OVN components.
    pub kube_ovn_enable_ssl: bool,
    /// DPDK data path.
    pub kube_ovn_dpdk_enabled: bool,
    /// DPDK tunnel interface.
    pub kube_ovn_dpdk_tunnel_iface: String,
    /// Bind OVN databases to local address.
    pub kube_ovn_bind_local_ip_enabled: bool,
    /// Elastic IP and SNAT support.
    pub kube_ovn_eip_snat_enabled: bool,
    /// Rewrite destination MAC on DNAT.
    pub kube_ovn_ls_dnat_mod_dl_dst: bool,
    /// Keep addresses of virtual machines.
    pub kube_ovn_keep_vm_ip: bool,
    /// CNI config file prefix.
    pub kube_ovn_cni_config_priority: String,
    /// Interface for container network.
    pub kube_ovn_iface: Option<String>,
    /// Pod MTU.
    pub kube_ovn_mtu: Option<i64>,
    /// Default VLAN interface.
    pub kube_ovn_default_interface_name: Option<String>,
    /// Gateway of default subnet.
    pub kube_ovn_default_gateway: Option<String>,
    /// Addresses excluded from allocation.
    pub kube_ovn_default_exclude_ips: Option<String>,
    /// Image digest of Kube-OVN (ineffective, see DL-054).
    pub kube_ovn_digest_checksum: Option<String>,
}
