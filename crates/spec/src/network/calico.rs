//! Settings: Calico.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{
    CalicoBpfServiceMode, CalicoDatastore, CalicoFelixChaininsertmode, CalicoIpipModeIpv6,
    CalicoIptablesBackend, CalicoLoglevel, CalicoNetworkBackend, EncapsulationMode, Toggle,
};
use crate::types::{Cidr, Duration, FromFacts, Json, JsonMap, Quantity};

/// Calico.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Calico {
    /// Route reflectors exist in inventory.
    pub peer_with_calico_rr: bool,
    /// Calico data store type.
    pub calico_datastore: CalicoDatastore,
    /// Deploy Calico Typha.
    pub typha_enabled: bool,
    /// Deploy Calico API server.
    pub calico_apiserver_enabled: bool,
    /// Version of calico.
    pub calico_version: Version,
    /// Version of calico ctl.
    pub calico_ctl_version: Version,
    /// Version of calico CNI.
    pub calico_cni_version: Version,
    /// Version of calico policy.
    pub calico_policy_version: Version,
    /// Version of calico typha.
    pub calico_typha_version: Version,
    /// Version of calico apiserver.
    pub calico_apiserver_version: Version,
    /// Image repository of calico node.
    pub calico_node_image_repo: String,
    /// Image tag of calico node.
    pub calico_node_image_tag: String,
    /// Image repository of calico CNI.
    pub calico_cni_image_repo: String,
    /// Image tag of calico CNI.
    pub calico_cni_image_tag: String,
    /// Image repository of calico policy.
    pub calico_policy_image_repo: String,
    /// Image tag of calico policy.
    pub calico_policy_image_tag: String,
    /// Image repository of calico typha.
    pub calico_typha_image_repo: String,
    /// Image tag of calico typha.
    pub calico_typha_image_tag: String,
    /// Image repository of calico apiserver.
    pub calico_apiserver_image_repo: String,
    /// Image tag of calico apiserver.
    pub calico_apiserver_image_tag: String,
    /// CPU limit of calico policy controller.
    pub calico_policy_controller_cpu_limit: Quantity,
    /// Memory limit of calico policy controller.
    pub calico_policy_controller_memory_limit: Quantity,
    /// CPU request of calico policy controller.
    pub calico_policy_controller_cpu_requests: Quantity,
    /// Memory request of calico policy controller.
    pub calico_policy_controller_memory_requests: Quantity,
    /// Node selector line of Calico kube-controllers.
    pub calico_policy_controller_deployment_nodeselector: String,
    /// Log level of Calico kube-controllers.
    pub calico_policy_controller_log_level: String,
    /// Calico etcd certificate directory.
    pub calico_cert_dir: String,
    /// Calico global BGP AS number.
    pub global_as_num: String,
    /// Name of Calico CNI network.
    pub calico_cni_name: String,
    /// Masquerade IPv4 pod traffic leaving cluster.
    pub nat_outgoing: bool,
    /// Masquerade IPv6 pod traffic leaving cluster.
    pub nat_outgoing_ipv6: bool,
    /// Default Calico pool name.
    pub calico_pool_name: String,
    /// Pool IP-in-IP environment value.
    pub calico_ipv4pool_ipip: String,
    /// IP-in-IP mode.
    pub calico_ipip_mode: EncapsulationMode,
    /// VXLAN mode.
    pub calico_vxlan_mode: EncapsulationMode,
    /// IPv4 block prefix length.
    pub calico_pool_blocksize: i64,
    /// IPv6 IP-in-IP mode.
    pub calico_ipip_mode_ipv6: CalicoIpipModeIpv6,
    /// IPv6 VXLAN mode.
    pub calico_vxlan_mode_ipv6: EncapsulationMode,
    /// IPv6 block prefix length.
    pub calico_pool_blocksize_ipv6: i64,
    /// Calico backend.
    pub calico_network_backend: CalicoNetworkBackend,
    /// External IP ranges advertised by BGP.
    pub calico_advertise_service_external_ips: Vec<String>,
    /// LoadBalancer ranges advertised by BGP.
    pub calico_advertise_service_loadbalancer_ips: Vec<String>,
    /// Calico eBPF data plane.
    pub calico_bpf_enabled: bool,
    /// EBPF log level.
    pub calico_bpf_log_level: Option<String>,
    /// EBPF service mode.
    pub calico_bpf_service_mode: CalicoBpfServiceMode,
    /// Calico floating IPs.
    pub calico_felix_floating_ips: Toggle,
    /// Memory limit of calico node.
    pub calico_node_memory_limit: Quantity,
    /// CPU limit of calico node.
    pub calico_node_cpu_limit: Quantity,
    /// Memory request of calico node.
    pub calico_node_memory_requests: Quantity,
    /// CPU request of calico node.
    pub calico_node_cpu_requests: Quantity,
    /// Rule insertion mode.
    pub calico_felix_chaininsertmode: CalicoFelixChaininsertmode,
    /// Node selector line of Calico daemonset.
    pub calico_ds_nodeselector: String,
    /// Calico VXLAN identifier.
    pub calico_vxlan_vni: i64,
    /// Calico VXLAN port.
    pub calico_vxlan_port: u16,
    /// Felix metrics endpoint.
    pub calico_felix_prometheusmetricsenabled: bool,
    /// Felix metrics port.
    pub calico_felix_prometheusmetricsport: u16,
    /// Felix Go metrics.
    pub calico_felix_prometheusgometricsenabled: bool,
    /// Felix process metrics.
    pub calico_felix_prometheusprocessmetricsenabled: bool,
    /// Calico node log level.
    pub calico_loglevel: CalicoLoglevel,
    /// Calico startup log level.
    pub calico_node_startup_loglevel: String,
    /// Calico CNI log file; false disables.
    pub calico_cni_log_file_path: String,
    /// Report usage upstream.
    pub calico_usage_reporting: bool,
    /// Ignore loose reverse path filter.
    pub calico_node_ignorelooserpf: bool,
    /// Felix health address.
    pub calico_healthhost: String,
    /// Wait for iptables lock seconds.
    pub calico_iptables_lock_timeout_secs: i64,
    /// Iptables backend of Calico.
    pub calico_iptables_backend: CalicoIptablesBackend,
    /// Calico nftables mode.
    pub calico_nftable_mode: Toggle,
    /// Encrypt Calico traffic with WireGuard.
    pub calico_wireguard_enabled: bool,
    /// Packages for WireGuard.
    pub calico_wireguard_packages: Vec<String>,
    /// Repository for WireGuard packages.
    pub calico_wireguard_repo: FromFacts<String>,
    /// Typha metrics.
    pub typha_prometheusmetricsenabled: bool,
    /// Typha metrics port.
    pub typha_prometheusmetricsport: u16,
    /// Replicas of typha.
    pub typha_replicas: i64,
    /// Typha minimum connection limit.
    pub typha_max_connections_lower_limit: i64,
    /// TLS between Typha and nodes.
    pub typha_secure: bool,
    /// Feature switches in CNI config.
    pub calico_feature_control: JsonMap,
    /// Calico BGP port.
    pub calico_bgp_listen_port: u16,
    /// Felix status reporting interval.
    pub calico_felix_reporting_interval: Duration,
    /// Felix log severity.
    pub calico_felix_log_severity_screen: String,
    /// Allow forwarding inside containers.
    pub calico_allow_ip_forwarding: bool,
    /// Strict block affinity.
    pub calico_ipam_strictaffinity: bool,
    /// Allocate blocks automatically.
    pub calico_ipam_autoallocateblocks: bool,
    /// Blocks per host; 0 unlimited.
    pub calico_ipam_maxblocksperhost: i64,
    /// Use host-local IPAM.
    pub calico_ipam_host_local: bool,
    /// Override Felix feature detection.
    pub calico_feature_detect_override: Option<String>,
    /// Wait for Calico kubeconfig in seconds.
    pub calico_kubeconfig_wait_timeout: i64,
    /// Peer nodes with datacenter routers.
    pub peer_with_router: Option<bool>,
    /// IPv4 pool range inside kube_pods_subnet.
    pub calico_pool_cidr: Option<Cidr>,
    /// IPv6 pool range inside kube_pods_subnet_ipv6.
    pub calico_pool_cidr_ipv6: Option<Cidr>,
    /// Do not set global AS number.
    pub calico_no_global_as_num: Option<bool>,
    /// Calico MTU.
    pub calico_mtu: Option<i64>,
    /// Workload interface MTU.
    pub calico_veth_mtu: Option<i64>,
    /// Advertise cluster IPs by BGP.
    pub calico_advertise_cluster_ips: Option<bool>,
    /// IPv4 address detection method.
    pub calico_ip_auto_method: Option<String>,
    /// IPv6 address detection method.
    pub calico_ip6_auto_method: Option<String>,
    /// Interfaces used for MTU detection.
    pub calico_felix_mtu_iface_pattern: Option<String>,
    /// Use default route source address.
    pub calico_use_default_route_src_ipaddr: Option<bool>,
    /// Liveness probe timeout seconds.
    pub calico_node_livenessprobe_timeout: Option<i64>,
    /// Readiness probe timeout seconds.
    pub calico_node_readinessprobe_timeout: Option<i64>,
    /// Tolerations of policy controller.
    pub policy_controller_extra_tolerations: Option<Vec<Json>>,
    /// Extra environment of calico-node.
    pub calico_node_extra_envs: Option<JsonMap>,
    /// Felix endpoint-to-host action.
    pub calico_endpoint_to_host_action: Option<String>,
    /// Lowest Calico version upgradable.
    pub calico_min_version_required: Version,
    /// Image digest of calico apiserver (ineffective, see DL-054).
    pub calico_apiserver_digest_checksum: Option<String>,
    /// Image digest of calico CNI (ineffective, see DL-054).
    pub calico_cni_digest_checksum: Option<String>,
    /// Image digest of calico node (ineffective, see DL-054).
    pub calico_node_digest_checksum: Option<String>,
    /// Image digest of calico policy (ineffective, see DL-054).
    pub calico_policy_digest_checksum: Option<String>,
    /// Image digest of calico typha (ineffective, see DL-054).
    pub calico_typha_digest_checksum: Option<String>,
}
