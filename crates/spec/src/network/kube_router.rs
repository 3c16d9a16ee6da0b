//! Settings: kube-router.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

/// kube-router.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct KubeRouter {
    /// Version of kube-router.
    pub kube_router_version: Version,
    /// Image repository of kube-router.
    pub kube_router_image_repo: String,
    /// Image tag of kube-router.
    pub kube_router_image_tag: String,
    /// Pod routing by BGP.
    pub kube_router_run_router: bool,
    /// Network policies.
    pub kube_router_run_firewall: bool,
    /// Replace kube-proxy.
    pub kube_router_run_service_proxy: bool,
    /// Advertise cluster IPs.
    pub kube_router_advertise_cluster_ip: bool,
    /// Advertise external IPs.
    pub kube_router_advertise_external_ip: bool,
    /// Advertise LoadBalancer IPs.
    pub kube_router_advertise_loadbalancer_ip: bool,
    /// BGP graceful restart.
    pub kube_router_bgp_graceful_restart: bool,
    /// Direct server return support.
    pub kube_router_enable_dsr: bool,
    /// Extra kube-router arguments.
    pub kube_router_extra_args: Vec<String>,
    /// Cluster AS number.
    pub kube_router_cluster_asn: Option<i64>,
    /// Peer AS numbers.
    pub kube_router_peer_router_asns: Option<String>,
    /// Peer addresses.
    pub kube_router_peer_router_ips: Option<String>,
    /// Peer ports.
    pub kube_router_peer_router_ports: Option<String>,
    /// Hairpin mode.
    pub kube_router_support_hairpin_mode: bool,
    /// DNS policy of kube-router pods.
    pub kube_router_dns_policy: String,
    /// Annotations for control plane nodes.
    pub kube_router_annotations_master: Vec<String>,
    /// Annotations for worker nodes.
    pub kube_router_annotations_node: Vec<String>,
    /// Annotations for all nodes.
    pub kube_router_annotations_all: Vec<String>,
    /// Kube-router metrics.
    pub kube_router_enable_metrics: bool,
    /// Metrics path.
    pub kube_router_metrics_path: String,
    /// Metrics port.
    pub kube_router_metrics_port: u16,
    /// Image digest of kube-router (ineffective, see DL-054).
    pub kube_router_digest_checksum: Option<String>,
}
