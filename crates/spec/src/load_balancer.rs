//! Settings: how hosts and users reach the API servers; kube-vip.

use std::net::IpAddr;

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{KubeVipDnsMode, KubeVipLbFwdmethod, LoadBalancerType};
use crate::parts::ExternalLoadBalancer;
use crate::types::{Duration, Json, Quantity, Secret};

/// How hosts and users reach the API servers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LoadBalancer {
    /// Config directory of local nginx API proxy.
    pub nginx_config_dir: String,
    /// Config directory of local haproxy API proxy.
    pub haproxy_config_dir: String,
    /// Run local API proxy on workers.
    pub loadbalancer_apiserver_localhost: bool,
    /// Local API proxy implementation.
    pub loadbalancer_apiserver_type: LoadBalancerType,
    /// DNS name or address of API load balancer.
    pub apiserver_loadbalancer_domain_name: Option<String>,
    /// Image repository of nginx.
    pub nginx_image_repo: String,
    /// Image tag of nginx.
    pub nginx_image_tag: String,
    /// Image repository of haproxy.
    pub haproxy_image_repo: String,
    /// Image tag of haproxy.
    pub haproxy_image_tag: String,
    /// Memory request of local API proxy.
    pub loadbalancer_apiserver_memory_requests: Quantity,
    /// CPU request of local API proxy.
    pub loadbalancer_apiserver_cpu_requests: Quantity,
    /// Keepalive timeout of local API proxy.
    pub loadbalancer_apiserver_keepalive_timeout: Duration,
    /// Pod name of local API proxy.
    pub loadbalancer_apiserver_pod_name: String,
    /// Port of the local API balancer; the API server's own port when not set.
    pub loadbalancer_apiserver_port: Option<u16>,
    /// Health port of the local API balancer; no health check when not set.
    pub loadbalancer_apiserver_healthcheck_port: Option<u16>,
    /// External API load balancer address and port.
    pub loadbalancer_apiserver: Option<ExternalLoadBalancer>,
    /// Image digest of haproxy (ineffective, see DL-054).
    pub haproxy_digest_checksum: Option<String>,
    /// Image digest of nginx (ineffective, see DL-054).
    pub nginx_digest_checksum: Option<String>,
}

/// kube-vip.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct KubeVip {
    /// Deploy kube-vip static pod on control planes.
    pub kube_vip_enabled: bool,
    /// Kube-vip IPVS forwarding method.
    pub kube_vip_lb_fwdmethod: KubeVipLbFwdmethod,
    /// Virtual IP handled by kube-vip.
    pub kube_vip_address: Option<IpAddr>,
    /// Version of kube-vip.
    pub kube_vip_version: Version,
    /// Image repository of kube-vip.
    pub kube_vip_image_repo: String,
    /// Image tag of kube-vip.
    pub kube_vip_image_tag: String,
    /// Kube-vip ARP mode.
    pub kube_vip_arp_enabled: bool,
    /// Interface for virtual IP.
    pub kube_vip_interface: Option<String>,
    /// Interface for service addresses.
    pub kube_vip_services_interface: Option<String>,
    /// Prefix length of virtual IP.
    pub kube_vip_cidr: i64,
    /// How kube-vip uses DNS answers.
    pub kube_vip_dns_mode: KubeVipDnsMode,
    /// Kube-vip serves control plane VIP.
    pub kube_vip_controlplane_enabled: bool,
    /// Kube-vip dynamic DNS.
    pub kube_vip_ddns_enabled: bool,
    /// Kube-vip detects control plane.
    pub kube_vip_cp_detect: bool,
    /// Kube-vip serves LoadBalancer services.
    pub kube_vip_services_enabled: bool,
    /// Kube-vip leader election.
    pub kube_vip_leader_election_enabled: bool,
    /// Kube-vip BGP mode.
    pub kube_vip_bgp_enabled: bool,
    /// Kube-vip BGP router id.
    pub kube_vip_bgp_routerid: Option<String>,
    /// Kube-vip local AS number.
    pub kube_vip_local_as: i64,
    /// Kube-vip BGP peer address.
    pub kube_vip_bgp_peeraddress: Option<IpAddr>,
    /// Kube-vip BGP peer password.
    pub kube_vip_bgp_peerpass: Option<Secret>,
    /// Kube-vip BGP peer AS.
    pub kube_vip_bgp_peeras: i64,
    /// Kube-vip BGP peer list.
    pub kube_vip_bgppeers: Option<Secret<Vec<Json>>>,
    /// Leader election per service.
    #[serde(rename = "kube_vip_enableServicesElection")]
    pub kube_vip_enable_services_election: bool,
    /// Kube-vip IPVS load balancing.
    pub kube_vip_lb_enable: bool,
    /// Lease name for control plane.
    pub kube_vip_leasename: String,
    /// Lease name for services.
    pub kube_vip_svc_leasename: String,
    /// Lease duration seconds.
    pub kube_vip_leaseduration: i64,
    /// Lease renew deadline seconds.
    pub kube_vip_renewdeadline: i64,
    /// Lease retry seconds.
    pub kube_vip_retryperiod: i64,
    /// Label node holding the VIP.
    pub kube_vip_enable_node_labeling: bool,
    /// BGP source address (exclusive with interface).
    pub kube_vip_bgp_sourceip: Option<IpAddr>,
    /// BGP source interface (exclusive with address).
    pub kube_vip_bgp_sourceif: Option<String>,
    /// Kube-vip metrics.
    pub kube_vip_metrics_enabled: bool,
    /// Kube-vip metrics port.
    pub kube_vip_metrics_port: u16,
    /// Image digest of kube-vip (ineffective, see DL-054).
    pub kube_vip_digest_checksum: Option<String>,
}
