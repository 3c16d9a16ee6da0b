//! Settings: Helm on the control plane; the registry inside of the cluster; metrics-server; cert-
//! manager; Node feature discovery; the device plugin for GPUs; Argo CD; the ingress controller of AWS;
//! the approver of kubelet certificates; Gateway API; the kinds of the Prometheus operator; MetalLB.

mod storage;

pub use storage::*;

use std::net::IpAddr;

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{GatewayApiChannel, NvidiaGpuFlavor, RegistryServiceType};
use crate::types::{Duration, Json, JsonMap, Quantity, Secret};

/// Helm on the control plane.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Helm {
    /// Install helm.
    pub helm_enabled: bool,
    /// Version of helm.
    pub helm_version: Version,
}

/// The registry inside of the cluster.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Registry {
    /// Deploy in-cluster registry.
    pub registry_enabled: bool,
    /// Version of registry.
    pub registry_version: Version,
    /// Image repository of registry.
    pub registry_image_repo: String,
    /// Image tag of registry.
    pub registry_image_tag: String,
    /// Namespace of registry.
    pub registry_namespace: String,
    /// Storage class of registry; empty means ephemeral.
    pub registry_storage_class: Option<String>,
    /// Access mode of registry volume.
    pub registry_storage_access_mode: String,
    /// Registry volume size.
    pub registry_disk_size: String,
    /// Registry port.
    pub registry_port: u16,
    /// Registry replicas.
    pub registry_replica_count: i64,
    /// Registry service type.
    pub registry_service_type: RegistryServiceType,
    /// Fixed cluster IP of registry.
    pub registry_service_cluster_ip: Option<IpAddr>,
    /// Load balancer address of registry.
    pub registry_service_loadbalancer_ip: Option<IpAddr>,
    /// Annotations of registry service.
    pub registry_service_annotations: JsonMap,
    /// Node port of registry.
    pub registry_service_nodeport: Option<String>,
    /// TLS secret of registry.
    pub registry_tls_secret: Option<String>,
    /// Htpasswd content for registry.
    pub registry_htpasswd: Option<Secret>,
    /// Registry configuration document.
    pub registry_config: JsonMap,
    /// Annotations of registry ingress.
    pub registry_ingress_annotations: JsonMap,
    /// Host name of registry ingress.
    pub registry_ingress_host: Option<String>,
    /// TLS secret of registry ingress.
    pub registry_ingress_tls_secret: Option<String>,
    /// Image digest of registry (ineffective, see DL-054).
    pub registry_digest_checksum: Option<String>,
}

/// metrics-server.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct MetricsServer {
    /// Deploy metrics-server.
    pub metrics_server_enabled: bool,
    /// Version of metrics-server.
    pub metrics_server_version: Version,
    /// Image repository of metrics-server.
    pub metrics_server_image_repo: String,
    /// Image tag of metrics-server.
    pub metrics_server_image_tag: String,
    /// Metrics-server port.
    pub metrics_server_container_port: u16,
    /// Skip kubelet TLS verification.
    pub metrics_server_kubelet_insecure_tls: bool,
    /// Kubelet address type order.
    pub metrics_server_kubelet_preferred_address_types: String,
    /// Scrape interval.
    pub metrics_server_metric_resolution: Duration,
    /// CPU limit of metrics-server.
    pub metrics_server_limits_cpu: Quantity,
    /// Memory limit of metrics-server.
    pub metrics_server_limits_memory: Quantity,
    /// CPU request of metrics-server.
    pub metrics_server_requests_cpu: Quantity,
    /// Memory request of metrics-server.
    pub metrics_server_requests_memory: Quantity,
    /// Run metrics-server on host network.
    pub metrics_server_host_network: bool,
    /// Replicas of metrics-server.
    pub metrics_server_replicas: i64,
    /// Tolerations of metrics-server.
    pub metrics_server_extra_tolerations: Vec<Json>,
    /// Affinity of metrics-server.
    pub metrics_server_extra_affinity: JsonMap,
    /// Node selector of metrics-server.
    pub metrics_server_nodeselector: JsonMap,
    /// Image digest of metrics-server (ineffective, see DL-054).
    pub metrics_server_digest_checksum: Option<String>,
}

/// cert-manager.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct CertManager {
    /// Deploy cert-manager.
    pub cert_manager_enabled: bool,
    /// Version of cert-manager.
    pub cert_manager_version: Version,
    /// Image repository of cert-manager controller.
    pub cert_manager_controller_image_repo: String,
    /// Image tag of cert-manager controller.
    pub cert_manager_controller_image_tag: String,
    /// Image repository of cert-manager cainjector.
    pub cert_manager_cainjector_image_repo: String,
    /// Image tag of cert-manager cainjector.
    pub cert_manager_cainjector_image_tag: String,
    /// Image repository of cert-manager webhook.
    pub cert_manager_webhook_image_repo: String,
    /// Image tag of cert-manager webhook.
    pub cert_manager_webhook_image_tag: String,
    /// Namespace of cert-manager.
    pub cert_manager_namespace: String,
    /// Tolerations of cert-manager.
    pub cert_manager_tolerations: Vec<Json>,
    /// Affinity of cert-manager.
    pub cert_manager_affinity: JsonMap,
    /// Node selector of cert-manager.
    pub cert_manager_nodeselector: JsonMap,
    /// DNS policy of cert-manager pods.
    pub cert_manager_dns_policy: String,
    /// DNS config of cert-manager pods.
    pub cert_manager_dns_config: JsonMap,
    /// Extra arguments of cert-manager controller.
    pub cert_manager_controller_extra_args: Vec<String>,
    /// HTTP proxy for cert-manager.
    pub cert_manager_http_proxy: String,
    /// HTTPS proxy for cert-manager.
    pub cert_manager_https_proxy: String,
    /// Proxy exclusions for cert-manager.
    pub cert_manager_no_proxy: String,
    /// Namespace for cert-manager leader election.
    pub cert_manager_leader_election_namespace: String,
    /// PEM CA trusted by cert-manager.
    pub cert_manager_trusted_internal_ca: Option<String>,
    /// Image digest of cert-manager cainjector (ineffective, see DL-054).
    pub cert_manager_cainjector_digest_checksum: Option<String>,
    /// Image digest of cert-manager controller (ineffective, see DL-054).
    pub cert_manager_controller_digest_checksum: Option<String>,
    /// Image digest of cert-manager webhook (ineffective, see DL-054).
    pub cert_manager_webhook_digest_checksum: Option<String>,
}

/// Node feature discovery.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct NodeFeatureDiscovery {
    /// Version of node feature discovery.
    pub node_feature_discovery_version: Version,
    /// Image repository of node feature discovery.
    pub node_feature_discovery_image_repo: String,
    /// Image tag of node feature discovery.
    pub node_feature_discovery_image_tag: String,
    /// Deploy Node Feature Discovery.
    pub node_feature_discovery_enabled: bool,
    /// Namespace of node feature discovery.
    pub node_feature_discovery_namespace: String,
    /// Use NodeFeature API objects.
    pub node_feature_discovery_enable_nodefeature_api: bool,
    /// Replicas of node feature discovery gc.
    pub node_feature_discovery_gc_replicas: i64,
    /// Garbage collection interval.
    pub node_feature_discovery_gc_interval: Duration,
    /// Service account of NFD garbage collector.
    pub node_feature_discovery_gc_sa_name: String,
    /// Create garbage collector service account.
    pub node_feature_discovery_gc_sa_create: bool,
    /// Replicas of node feature discovery master.
    pub node_feature_discovery_master_replicas: i64,
    /// Enable NodeFeatureRule controller.
    pub node_feature_discovery_master_crd_controller: Option<bool>,
    /// NFD instance name.
    pub node_feature_discovery_master_instance: Option<String>,
    /// NFD master configuration.
    pub node_feature_discovery_master_config: Option<JsonMap>,
    /// Service account of NFD worker.
    pub node_feature_discovery_worker_sa_name: String,
    /// Create NFD worker service account.
    pub node_feature_discovery_worker_sa_create: bool,
    /// NFD worker configuration.
    pub node_feature_discovery_worker_config: Option<JsonMap>,
    /// Tolerations of node feature discovery worker.
    pub node_feature_discovery_worker_tolerations: Option<Vec<Json>>,
}

/// The device plugin for GPUs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct NvidiaGpu {
    /// Install NVIDIA GPU support.
    pub nvidia_accelerator_enabled: bool,
    /// NVIDIA driver version.
    pub nvidia_driver_version: Version,
    /// Download base for Tesla drivers.
    pub nvidia_gpu_tesla_base_url: String,
    /// Download base for GTX drivers.
    pub nvidia_gpu_gtx_base_url: String,
    /// GPU driver family.
    pub nvidia_gpu_flavor: NvidiaGpuFlavor,
    /// Driver path appended to base URL.
    pub nvidia_url_end: String,
    /// Selected driver installer image.
    pub nvidia_driver_install_container: bool,
    /// Driver installer image for Ubuntu.
    pub nvidia_driver_install_ubuntu_container: String,
    /// OS supports driver installation (set automatically).
    pub nvidia_driver_install_supported: bool,
    /// GPU device plugin image.
    pub nvidia_gpu_device_plugin_container: String,
    /// Hosts with GPUs, labelled and tainted.
    pub nvidia_gpu_nodes: Vec<String>,
    /// Memory of GPU device plugin.
    pub nvidia_gpu_device_plugin_memory: String,
}

/// Argo CD.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ArgoCd {
    /// Deploy Argo CD.
    pub argocd_enabled: bool,
    /// Argo CD version (Kubespray's own role installs 2.14.5 unless it is set).
    pub argocd_version: Version,
    /// Version of yq.
    pub yq_version: Version,
    /// Namespace of argocd.
    pub argocd_namespace: String,
    /// Initial Argo CD admin password.
    pub argocd_admin_password: Option<Secret>,
}

/// The ingress controller of AWS.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct AlbIngress {
    /// Deploy AWS ALB ingress controller.
    pub ingress_alb_enabled: bool,
    /// Image repository of alb ingress.
    pub alb_ingress_image_repo: String,
    /// Image tag of alb ingress.
    pub alb_ingress_image_tag: String,
    /// Namespace of alb ingress controller.
    pub alb_ingress_controller_namespace: String,
    /// AWS region of ALB controller.
    pub alb_ingress_aws_region: String,
    /// Log AWS API calls (string boolean).
    pub alb_ingress_aws_debug: bool,
    /// Image digest of ingress alb controller (ineffective, see DL-054).
    pub ingress_alb_controller_digest_checksum: Option<String>,
}

/// The approver of kubelet certificates.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct KubeletCsrApprover {
    /// Deploy kubelet CSR approver.
    pub kubelet_csr_approver_enabled: bool,
    /// Namespace of kubelet csr approver.
    pub kubelet_csr_approver_namespace: String,
    /// Helm repository name of CSR approver.
    pub kubelet_csr_approver_repository_name: String,
    /// Helm repository URL of CSR approver.
    pub kubelet_csr_approver_repository_url: String,
    /// Helm chart of CSR approver.
    pub kubelet_csr_approver_chart_ref: String,
    /// Version of kubelet csr approver chart.
    pub kubelet_csr_approver_chart_version: Version,
    /// Helm values of CSR approver.
    pub kubelet_csr_approver_values: JsonMap,
}

/// Gateway API.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct GatewayApi {
    /// Install Gateway API CRDs.
    pub gateway_api_enabled: bool,
    /// Version of gateway api.
    pub gateway_api_version: Version,
    /// Gateway API CRD release channel.
    pub gateway_api_channel: GatewayApiChannel,
}

/// The kinds of the Prometheus operator.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PrometheusOperatorCrds {
    /// Install prometheus-operator CRDs.
    pub prometheus_operator_crds_enabled: bool,
    /// Version of prometheus operator crds.
    pub prometheus_operator_crds_version: Version,
}

/// MetalLB.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Metallb {
    /// Deploy MetalLB.
    pub metallb_enabled: bool,
    /// Deploy MetalLB speaker daemonset.
    pub metallb_speaker_enabled: bool,
    /// Image repository of metallb speaker.
    pub metallb_speaker_image_repo: String,
    /// Image repository of metallb controller.
    pub metallb_controller_image_repo: String,
    /// Version of metallb.
    pub metallb_version: Version,
    /// Image tag of metallb.
    pub metallb_image_tag: String,
    /// MetalLB log level.
    pub metallb_log_level: String,
    /// Namespace of metallb.
    pub metallb_namespace: String,
    /// MetalLB metrics port.
    pub metallb_port: String,
    /// MetalLB memberlist port.
    pub metallb_memberlist_port: String,
    /// Node selector of metallb speaker.
    pub metallb_speaker_nodeselector: JsonMap,
    /// Node selector of metallb controller.
    pub metallb_controller_nodeselector: JsonMap,
    /// Tolerations of metallb speaker.
    pub metallb_speaker_tolerations: Vec<Json>,
    /// Load balancer class handled by MetalLB.
    pub metallb_loadbalancer_class: Option<String>,
    /// MetalLB pools, layer2 and BGP settings.
    pub metallb_config: Option<JsonMap>,
    /// Image digest of metallb controller (ineffective, see DL-054).
    pub metallb_controller_digest_checksum: Option<String>,
    /// Image digest of metallb speaker (ineffective, see DL-054).
    pub metallb_speaker_digest_checksum: Option<String>,
}
