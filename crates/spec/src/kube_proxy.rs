//! Settings: kube-proxy.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::choices::{KubeProxyScheduler, ProxyMode};
use crate::types::Duration;

/// kube-proxy.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct KubeProxy {
    /// Kube-proxy backend.
    pub kube_proxy_mode: ProxyMode,
    /// Skip deploying kube-proxy entirely.
    pub kube_proxy_remove: bool,
    /// CIDRs whose addresses serve NodePorts; empty means all.
    pub kube_proxy_nodeport_addresses: Vec<String>,
    /// Kube-proxy feature gates.
    pub kube_proxy_feature_gates: Vec<String>,
    /// Kube-proxy bind address.
    pub kube_proxy_bind_address: IpAddr,
    /// Kube-proxy Accept header.
    pub kube_proxy_client_accept_content_types: Option<String>,
    /// Kube-proxy client burst.
    pub kube_proxy_client_burst: i64,
    /// Kube-proxy request content type.
    pub kube_proxy_client_content_type: String,
    /// Kube-proxy kubeconfig path.
    pub kube_proxy_client_kubeconfig: Option<String>,
    /// Kube-proxy client rate.
    pub kube_proxy_client_qps: i64,
    /// Kube-proxy config refresh interval.
    pub kube_proxy_config_sync_period: Duration,
    /// Conntrack entries per core.
    pub kube_proxy_conntrack_max_per_core: i64,
    /// Minimum conntrack entries.
    pub kube_proxy_conntrack_min: i64,
    /// Conntrack close-wait timeout.
    pub kube_proxy_conntrack_tcp_close_wait_timeout: Duration,
    /// Conntrack established timeout.
    pub kube_proxy_conntrack_tcp_established_timeout: Duration,
    /// Kube-proxy profiling endpoint.
    pub kube_proxy_enable_profiling: bool,
    /// Kube-proxy health address and port.
    pub kube_proxy_healthz_bind_address: String,
    /// Masquerade all service traffic.
    pub kube_proxy_masquerade_all: bool,
    /// Packet mark bit for masquerade.
    pub kube_proxy_masquerade_bit: i64,
    /// Minimum rule refresh interval.
    pub kube_proxy_min_sync_period: Duration,
    /// Maximum rule refresh interval.
    pub kube_proxy_sync_period: Duration,
    /// CIDRs left alone by IPVS cleanup.
    pub kube_proxy_exclude_cidrs: Vec<String>,
    /// IPVS scheduler.
    pub kube_proxy_scheduler: KubeProxyScheduler,
    /// Strict ARP for IPVS (MetalLB, kube-vip).
    pub kube_proxy_strict_arp: bool,
    /// IPVS TCP idle timeout.
    pub kube_proxy_tcp_timeout: Duration,
    /// IPVS TCP FIN timeout.
    pub kube_proxy_tcp_fin_timeout: Duration,
    /// IPVS UDP timeout.
    pub kube_proxy_udp_timeout: Duration,
    /// Kube-proxy metrics address and port.
    pub kube_proxy_metrics_bind_address: String,
    /// Kube-proxy OOM score adjustment.
    pub kube_proxy_oom_score_adj: i64,
    /// Host ports kube-proxy may use.
    pub kube_proxy_port_range: Option<String>,
    /// Kernel modules loaded for IPVS.
    pub kube_proxy_ipvs_modules: Vec<String>,
    /// Legacy single NodePort CIDR.
    pub kube_proxy_nodeport_addresses_cidr: Option<String>,
    /// Kube-proxy is deployed by kubeadm.
    pub kube_proxy_deployed: bool,
}
