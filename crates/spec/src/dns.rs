//! Settings: CoreDNS, node-local DNS and the resolvers of hosts.

use std::net::IpAddr;

use indexmap::IndexMap;
use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{DnsMode, ResolvconfMode};
use crate::types::{Json, JsonMap, Quantity};

/// CoreDNS, node-local DNS and the resolvers of hosts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Dns {
    /// Resolv.conf ndots option for host and docker DNS.
    pub ndots: i64,
    /// Cluster DNS deployment mode.
    pub dns_mode: DnsMode,
    /// Deploy DNS proportional autoscaler.
    pub enable_dns_autoscaler: bool,
    /// Upstream resolvers for CoreDNS and resolved fallback.
    pub upstream_dns_servers: Vec<String>,
    /// Deploy node-local DNS cache.
    pub enable_nodelocaldns: bool,
    /// Deploy second node-local DNS daemonset for high availability.
    pub enable_nodelocaldns_secondary: bool,
    /// Link-local address of node-local DNS.
    pub nodelocaldns_ip: IpAddr,
    /// Health port of node-local DNS.
    pub nodelocaldns_health_port: i64,
    /// Health port of secondary node-local DNS.
    pub nodelocaldns_second_health_port: i64,
    /// Bind node-local DNS metrics to host address.
    pub nodelocaldns_bind_metrics_host_ip: bool,
    /// Survival delay of secondary during simultaneous updates.
    pub nodelocaldns_secondary_skew_seconds: i64,
    /// Cluster DNS address(es) in manual mode, comma separated.
    pub manual_dns_server: Option<String>,
    /// How host DNS is configured.
    pub resolvconf_mode: ResolvconfMode,
    /// Primary cluster DNS service address.
    pub skydns_server: IpAddr,
    /// Secondary cluster DNS service address.
    pub skydns_server_secondary: IpAddr,
    /// Cluster DNS domain.
    pub dns_domain: String,
    /// Additional DNS search domains on hosts.
    pub searchdomains: Vec<String>,
    /// DNS server list per DNS mode.
    pub kube_dns_servers: IndexMap<String, Vec<String>>,
    /// Cluster DNS servers for selected mode.
    pub dns_servers: Vec<String>,
    /// Enable CoreDNS k8s_external plugin.
    pub enable_coredns_k8s_external: bool,
    /// Zone served by k8s_external plugin.
    pub coredns_k8s_external_zone: String,
    /// Use pod names for CoreDNS endpoint records.
    pub enable_coredns_k8s_endpoint_pod_names: bool,
    /// CoreDNS versions per Kubernetes minor.
    pub coredns_supported_versions: IndexMap<String, String>,
    /// Version of coredns.
    pub coredns_version: Version,
    /// Image repository of coredns.
    pub coredns_image_repo: String,
    /// Image tag of coredns.
    pub coredns_image_tag: String,
    /// Version of nodelocaldns.
    pub nodelocaldns_version: Version,
    /// Image repository of nodelocaldns.
    pub nodelocaldns_image_repo: String,
    /// Image tag of nodelocaldns.
    pub nodelocaldns_image_tag: String,
    /// Version of dnsautoscaler.
    pub dnsautoscaler_version: Version,
    /// Image repository of dnsautoscaler.
    pub dnsautoscaler_image_repo: String,
    /// Image tag of dnsautoscaler.
    pub dnsautoscaler_image_tag: String,
    /// Memory limit of dns.
    pub dns_memory_limit: Quantity,
    /// CPU request of dns.
    pub dns_cpu_requests: Quantity,
    /// Memory request of dns.
    pub dns_memory_requests: Quantity,
    /// Minimum DNS replicas.
    pub dns_min_replicas: i64,
    /// Nodes per DNS replica for autoscaler.
    pub dns_nodes_per_replica: i64,
    /// Cores per DNS replica for autoscaler.
    pub dns_cores_per_replica: i64,
    /// Autoscaler keeps at least two replicas.
    pub dns_prevent_single_point_failure: bool,
    /// Answer reverse lookups in CoreDNS.
    pub enable_coredns_reverse_dns_lookups: bool,
    /// CoreDNS service name.
    pub coredns_svc_name: String,
    /// Name suffix of second CoreDNS stack.
    pub coredns_ordinal_suffix: Option<String>,
    /// Affinity of CoreDNS pods.
    pub coredns_affinity: JsonMap,
    /// Node selector line of CoreDNS.
    pub coredns_deployment_nodeselector: String,
    /// Cache block of default CoreDNS zone.
    pub coredns_default_zone_cache_block: String,
    /// Create disruption budget for CoreDNS.
    pub coredns_pod_disruption_budget: bool,
    /// CoreDNS replicas without autoscaler.
    pub coredns_replicas: i64,
    /// Maximum unavailable CoreDNS pods.
    pub coredns_pod_disruption_budget_max_unavailable: String,
    /// Apply CoreDNS manifests.
    pub deploy_coredns: bool,
    /// Former DNS domains still answered.
    pub old_dns_domains: Vec<String>,
    /// CPU request of nodelocaldns.
    pub nodelocaldns_cpu_requests: Quantity,
    /// Memory limit of nodelocaldns.
    pub nodelocaldns_memory_limit: Quantity,
    /// Memory request of nodelocaldns.
    pub nodelocaldns_memory_requests: Quantity,
    /// Node selector line of node-local DNS.
    pub nodelocaldns_ds_nodeselector: String,
    /// Metrics port of node-local DNS.
    pub nodelocaldns_prometheus_port: u16,
    /// Metrics port of secondary node-local DNS.
    pub nodelocaldns_secondary_prometheus_port: u16,
    /// CPU request of dns autoscaler.
    pub dns_autoscaler_cpu_requests: Quantity,
    /// Memory request of dns autoscaler.
    pub dns_autoscaler_memory_requests: Quantity,
    /// Node selector line of DNS autoscaler.
    pub dns_autoscaler_deployment_nodeselector: String,
    /// Affinity of dns autoscaler.
    pub dns_autoscaler_affinity: JsonMap,
    /// External zones of node-local DNS.
    pub nodelocaldns_external_zones: Option<Vec<Json>>,
    /// Extra options of DNS forward blocks.
    pub dns_upstream_forward_extra_opts: Option<JsonMap>,
    /// Extra options of CoreDNS kubernetes plugin.
    pub coredns_kubernetes_extra_opts: Option<Vec<String>>,
    /// Extra domains of CoreDNS kubernetes plugin.
    pub coredns_kubernetes_extra_domains: Option<String>,
    /// CPU limit of dns.
    pub dns_cpu_limit: Option<Quantity>,
    /// Tolerations of dns.
    pub dns_extra_tolerations: Option<Vec<Json>>,
    /// Extra CoreDNS configuration text.
    pub coredns_additional_configs: Option<String>,
    /// CoreDNS rewrite block text.
    pub coredns_rewrite_block: Option<String>,
    /// Extra CoreDNS errors plugin lines.
    pub coredns_additional_error_config: Option<String>,
    /// Extra node-local DNS configuration text.
    pub nodelocaldns_additional_configs: Option<String>,
    /// Tolerations of dns autoscaler.
    pub dns_autoscaler_extra_tolerations: Option<Vec<Json>>,
    /// Hosts file entries served by cluster DNS.
    pub dns_etchosts: Option<String>,
    /// External zones of CoreDNS.
    pub coredns_external_zones: Option<Vec<Json>>,
    /// Image digest of coredns (ineffective, see DL-054).
    pub coredns_digest_checksum: Option<String>,
    /// Image digest of dnsautoscaler (ineffective, see DL-054).
    pub dnsautoscaler_digest_checksum: Option<String>,
    /// Image digest of nodelocaldns (ineffective, see DL-054).
    pub nodelocaldns_digest_checksum: Option<String>,
}
