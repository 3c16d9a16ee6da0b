//! Settings: Cilium.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{
    CiliumEncryptionType, CiliumIdentityAllocationMode, CiliumLoadbalancerMode, CiliumMonitorAggregation,
    CiliumTunnelMode,
};
use crate::types::{Cidr, Json, JsonMap, Quantity, Secret};

/// Cilium.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Cilium {
    /// Deploy Cilium alongside another network plugin.
    pub cilium_deploy_additionally: bool,
    /// Where Cilium stores identities.
    pub cilium_identity_allocation_mode: CiliumIdentityAllocationMode,
    /// Cilium IP address management mode.
    pub cilium_ipam_mode: String,
    /// Version of cilium.
    pub cilium_version: Version,
    /// Version of cilium cli.
    pub cilium_cli_version: Version,
    /// Enable Hubble observability.
    pub cilium_enable_hubble: bool,
    /// Image repository of cilium.
    pub cilium_image_repo: String,
    /// Image tag of cilium.
    pub cilium_image_tag: String,
    /// Image repository of cilium operator.
    pub cilium_operator_image_repo: String,
    /// Image tag of cilium operator.
    pub cilium_operator_image_tag: String,
    /// Image repository of cilium hubble relay.
    pub cilium_hubble_relay_image_repo: String,
    /// Image tag of cilium hubble relay.
    pub cilium_hubble_relay_image_tag: String,
    /// Image repository of cilium certgen.
    pub cilium_certgen_image_repo: String,
    /// Image tag of cilium certgen.
    pub cilium_certgen_image_tag: String,
    /// Image repository of cilium hubble ui.
    pub cilium_hubble_ui_image_repo: String,
    /// Image tag of cilium hubble ui.
    pub cilium_hubble_ui_image_tag: String,
    /// Image repository of cilium hubble ui backend.
    pub cilium_hubble_ui_backend_image_repo: String,
    /// Image tag of cilium hubble ui backend.
    pub cilium_hubble_ui_backend_image_tag: String,
    /// Image repository of cilium envoy.
    pub cilium_envoy_image_repo: String,
    /// Image tag of cilium envoy.
    pub cilium_envoy_image_tag: String,
    /// Lowest accepted Cilium version.
    pub cilium_min_version_required: Version,
    /// Cilium debug logs.
    pub cilium_debug: bool,
    /// Cilium MTU; 0 detects.
    pub cilium_mtu: String,
    /// Cilium IPv4.
    pub cilium_enable_ipv4: bool,
    /// Cilium IPv6.
    pub cilium_enable_ipv6: bool,
    /// Cilium layer-2 announcements.
    pub cilium_l2announcements: bool,
    /// Cilium agent health port.
    pub cilium_agent_health_port: String,
    /// Cilium etcd certificate directory.
    pub cilium_cert_dir: String,
    /// Memory limit of cilium.
    pub cilium_memory_limit: Quantity,
    /// CPU limit of cilium.
    pub cilium_cpu_limit: Quantity,
    /// Memory request of cilium.
    pub cilium_memory_requests: Quantity,
    /// CPU request of cilium.
    pub cilium_cpu_requests: Quantity,
    /// Overlay protocol.
    pub cilium_tunnel_mode: CiliumTunnelMode,
    /// Load balancing mode.
    pub cilium_loadbalancer_mode: CiliumLoadbalancerMode,
    /// LoadBalancer IP pools.
    pub cilium_loadbalancer_ip_pools: Vec<Json>,
    /// Cilium metrics.
    pub cilium_enable_prometheus: bool,
    /// HostPort support.
    pub cilium_enable_portmap: bool,
    /// Monitor aggregation level.
    pub cilium_monitor_aggregation: CiliumMonitorAggregation,
    /// Replace kube-proxy; the old word strict counts as true.
    pub cilium_kube_proxy_replacement: bool,
    /// Preallocate eBPF maps.
    pub cilium_preallocate_bpf_maps: bool,
    /// Install direct routes between nodes.
    pub cilium_auto_direct_node_routes: bool,
    /// IPv4 range routed natively.
    pub cilium_native_routing_cidr: Option<String>,
    /// IPv6 range routed natively.
    pub cilium_native_routing_cidr_ipv6: Option<String>,
    /// Transparent encryption.
    pub cilium_encryption_enabled: bool,
    /// Encryption method.
    pub cilium_encryption_type: CiliumEncryptionType,
    /// Encrypt node-to-node traffic (wireguard).
    pub cilium_encryption_node_encryption: bool,
    /// Bandwidth manager.
    pub cilium_enable_bandwidth_manager: bool,
    /// BBR congestion control for pods.
    pub cilium_enable_bandwidth_manager_bbr: bool,
    /// IP masquerade agent.
    pub cilium_ip_masq_agent_enable: bool,
    /// Ranges never masqueraded.
    pub cilium_non_masquerade_cidrs: Vec<String>,
    /// Masquerade IPv4 link-local.
    pub cilium_masq_link_local: bool,
    /// Masquerade IPv6 link-local.
    pub cilium_masq_link_local_ipv6: bool,
    /// Hubble web interface.
    pub cilium_enable_hubble_ui: bool,
    /// Hubble metric names.
    pub cilium_hubble_metrics: Vec<String>,
    /// Hubble export files kept.
    pub cilium_hubble_export_file_max_backups: String,
    /// Hubble export file size.
    pub cilium_hubble_export_file_max_size_mb: String,
    /// Dynamic Hubble flow export.
    pub cilium_hubble_export_dynamic_enabled: bool,
    /// Dynamic Hubble export rules.
    pub cilium_hubble_export_dynamic_config_content: Vec<Json>,
    /// DNS suffix for Hubble peers.
    pub cilium_hubble_peer_service_cluster_domain: String,
    /// Cilium Gateway API support.
    pub cilium_gateway_api_enabled: bool,
    /// Extra agent arguments.
    pub cilium_agent_extra_args: Vec<String>,
    /// Extra agent volumes.
    pub cilium_agent_extra_volumes: Vec<Json>,
    /// Extra agent volume mounts.
    pub cilium_agent_extra_volume_mounts: Vec<Json>,
    /// Replicas of cilium operator.
    pub cilium_operator_replicas: i64,
    /// Extra Cilium config map keys.
    pub cilium_config_extra_vars: JsonMap,
    /// Extra operator volumes.
    pub cilium_operator_extra_volumes: Vec<Json>,
    /// Extra operator volume mounts.
    pub cilium_operator_extra_volume_mounts: Vec<Json>,
    /// Extra operator arguments.
    pub cilium_operator_extra_args: Vec<String>,
    /// Tolerations of Cilium operator.
    pub cilium_operator_tolerations: Vec<Json>,
    /// Cluster id in mesh.
    pub cilium_cluster_id: i64,
    /// Cluster name in mesh.
    pub cilium_cluster_name: String,
    /// Take over the CNI config directory.
    pub cilium_cni_exclusive: bool,
    /// Cilium CNI log file.
    pub cilium_cni_log_file: String,
    /// Mount cgroup2 automatically.
    pub cilium_cgroup_auto_mount: bool,
    /// Cgroup2 mount point.
    pub cilium_cgroup_host_root: String,
    /// Memory share for eBPF maps.
    pub cilium_bpf_map_dynamic_size_ratio: String,
    /// Masquerade IPv4 egress.
    pub cilium_enable_ipv4_masquerade: bool,
    /// Masquerade IPv6 egress.
    pub cilium_enable_ipv6_masquerade: bool,
    /// Masquerade in eBPF.
    pub cilium_enable_bpf_masquerade: bool,
    /// Route through host stack.
    pub cilium_enable_host_legacy_routing: bool,
    /// BGP control plane.
    pub cilium_enable_bgp_control_plane: bool,
    /// BGP cluster configurations.
    pub cilium_bgp_cluster_configs: Vec<Json>,
    /// BGP peer configurations.
    pub cilium_bgp_peer_configs: Vec<Json>,
    /// BGP advertisements.
    pub cilium_bgp_advertisements: Vec<Json>,
    /// BGP per-node overrides.
    pub cilium_bgp_node_config_overrides: Vec<Json>,
    /// Legacy BGP peering policies.
    pub cilium_bgp_peering_policies: Vec<Json>,
    /// Retries waiting for Cilium.
    pub cilium_rolling_restart_wait_retries_count: i64,
    /// Delay between Cilium waits.
    pub cilium_rolling_restart_wait_retries_delay_seconds: i64,
    /// Agent metrics port.
    pub cilium_agent_scrape_port: String,
    /// Operator metrics port.
    pub cilium_operator_scrape_port: String,
    /// Hubble metrics port.
    pub cilium_hubble_scrape_port: String,
    /// Host firewall.
    pub cilium_enable_host_firewall: bool,
    /// Policies audit only.
    pub cilium_policy_audit_mode: bool,
    /// Extra flags of cilium installer.
    pub cilium_install_extra_flags: Option<String>,
    /// Extra Cilium helm values.
    pub cilium_extra_values: JsonMap,
    /// Hubble event buffer size.
    pub cilium_hubble_event_buffer_capacity: Option<i64>,
    /// Transparent DNS proxy mode.
    pub cilium_dns_proxy_enable_transparent_mode: Option<bool>,
    /// Cilium IPv4 pod range.
    pub cilium_pool_cidr: Option<Cidr>,
    /// Cilium IPv6 pod range.
    pub cilium_pool_cidr_ipv6: Option<Cidr>,
    /// Per-node IPv4 prefix length.
    pub cilium_pool_mask_size: Option<String>,
    /// Per-node IPv6 prefix length.
    pub cilium_pool_mask_size_ipv6: Option<String>,
    /// Key for Cilium ipsec encryption.
    pub cilium_ipsec_key: Option<Secret>,
    /// Legacy Cilium ipsec switch.
    pub cilium_ipsec_enabled: Option<bool>,
    /// Image digest of cilium certgen (ineffective, see DL-054).
    pub cilium_certgen_digest_checksum: Option<String>,
    /// Image digest of cilium (ineffective, see DL-054).
    pub cilium_digest_checksum: Option<String>,
    /// Image digest of cilium envoy (ineffective, see DL-054).
    pub cilium_envoy_digest_checksum: Option<String>,
    /// Image digest of cilium hubble relay (ineffective, see DL-054).
    pub cilium_hubble_relay_digest_checksum: Option<String>,
    /// Image digest of cilium hubble ui backend (ineffective, see DL-054).
    pub cilium_hubble_ui_backend_digest_checksum: Option<String>,
    /// Image digest of cilium hubble ui (ineffective, see DL-054).
    pub cilium_hubble_ui_digest_checksum: Option<String>,
    /// Image digest of cilium operator (ineffective, see DL-054).
    pub cilium_operator_digest_checksum: Option<String>,
}
