//! Settings: Audit logs and webhook of the API server; Encryption at rest; who may call the API server:
//! tokens, OpenID Connect, webhooks, authorisation; Admission plugins of the API server and their
//! settings; Certificates of the control plane, their names, life and renewal; the controller manager;
//! the API server and what all of the control plane shares.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::choices::{
    AuditWebhookMode, KubeAsymmetricEncryptionAlgorithm, KubeEncryptionAlgorithm, PodSecurityLevel,
    TlsVersion,
};
use crate::types::{Duration, FromFacts, Json, JsonMap, Secret};

/// Audit logs and webhook of the API server.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Audit {
    /// Enable audit logging.
    pub kubernetes_audit: bool,
    /// Audit log file inside API server.
    pub audit_log_path: String,
    /// Audit log retention in days.
    pub audit_log_maxage: i64,
    /// Audit log files kept.
    pub audit_log_maxbackups: i64,
    /// Audit log size in megabytes.
    pub audit_log_maxsize: i64,
    /// Audit policy file.
    pub audit_policy_file: String,
    /// Volume name of audit logs.
    pub audit_log_name: String,
    /// Host directory of audit logs.
    pub audit_log_hostpath: String,
    /// Mount directory of audit logs.
    pub audit_log_mountpath: String,
    /// Volume name of audit policy.
    pub audit_policy_name: String,
    /// Host directory of audit policy.
    pub audit_policy_hostpath: String,
    /// Mount directory of audit policy.
    pub audit_policy_mountpath: String,
    /// Enable audit webhook.
    pub kubernetes_audit_webhook: bool,
    /// Audit webhook config file.
    pub audit_webhook_config_file: String,
    /// Audit webhook URL.
    pub audit_webhook_server_url: String,
    /// Extra cluster settings of audit webhook.
    pub audit_webhook_server_extra_args: JsonMap,
    /// Audit webhook mode.
    pub audit_webhook_mode: AuditWebhookMode,
    /// Events per webhook batch.
    pub audit_webhook_batch_max_size: i64,
    /// Maximum wait before sending batch.
    pub audit_webhook_batch_max_wait: Duration,
    /// Rules replacing default audit policy.
    pub audit_policy_custom_rules: Option<String>,
}

/// Encryption at rest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Encryption {
    /// Encrypt secrets at rest.
    pub kube_encrypt_secret_data: bool,
    /// Encryption key, generated once.
    pub kube_encrypt_token: Option<Secret>,
    /// Encryption provider.
    pub kube_encryption_algorithm: KubeEncryptionAlgorithm,
    /// Resources encrypted at rest.
    pub kube_encryption_resources: Vec<String>,
}

/// Who may call the API server: tokens, OpenID Connect, webhooks, authorisation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Authentication {
    /// Allow anonymous API requests (needed for health checks).
    pub kube_api_anonymous_auth: Option<bool>,
    /// Delete kubeadm's anonymous cluster-info role binding.
    pub remove_anonymous_access: bool,
    /// Use structured authentication config file.
    pub kube_apiserver_use_authentication_config_file: bool,
    /// API version of authentication config.
    pub kube_apiserver_authentication_config_api_version: String,
    /// Anonymous section of authentication config.
    pub kube_apiserver_authentication_config_anonymous: JsonMap,
    /// JWT authenticators of authentication config.
    pub kube_apiserver_authentication_config_jwt: Vec<Json>,
    /// API server authorization modes, ordered.
    pub authorization_modes: Vec<String>,
    /// Use structured authorization config file.
    pub kube_apiserver_use_authorization_config_file: bool,
    /// API version of authorization config.
    pub kube_apiserver_authorization_config_api_version: String,
    /// Authorizers of authorization config.
    pub kube_apiserver_authorization_config_authorizers: Vec<Json>,
    /// RBAC is active.
    pub rbac_enabled: bool,
    /// Create fresh bootstrap token.
    pub kubeadm_refresh_token: bool,
    /// Static token authentication.
    pub kube_token_auth: bool,
    /// OpenID Connect authentication.
    pub kube_oidc_auth: bool,
    /// Webhook token authentication.
    pub kube_webhook_token_auth: bool,
    /// Skip TLS verification of token webhook.
    pub kube_webhook_token_auth_url_skip_tls_verify: bool,
    /// Webhook authorization.
    pub kube_webhook_authorization: bool,
    /// Skip TLS verification of authorization webhook.
    pub kube_webhook_authorization_url_skip_tls_verify: bool,
    /// Token webhook URL.
    pub kube_webhook_token_auth_url: Option<String>,
    /// Base64 CA of token webhook.
    pub kube_webhook_token_auth_ca_data: Option<String>,
    /// OIDC issuer URL.
    pub kube_oidc_url: Option<String>,
    /// OIDC client id.
    pub kube_oidc_client_id: Option<String>,
    /// OIDC CA file.
    pub kube_oidc_ca_file: Option<String>,
    /// OIDC user claim.
    pub kube_oidc_username_claim: Option<String>,
    /// Prefix for OIDC users.
    pub kube_oidc_username_prefix: Option<String>,
    /// OIDC group claim.
    pub kube_oidc_groups_claim: Option<String>,
    /// Prefix for OIDC groups.
    pub kube_oidc_groups_prefix: Option<String>,
    /// Authorization webhook URL.
    pub kube_webhook_authorization_url: Option<String>,
    /// Base64 OIDC CA certificate.
    pub kube_oidc_ca_cert: Option<String>,
}

/// Admission plugins of the API server and their settings.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Admission {
    /// Admission plugins enabled additionally.
    pub kube_apiserver_enable_admission_plugins: Vec<String>,
    /// Use admission configuration files.
    pub kube_apiserver_admission_control_config_file: bool,
    /// EventRateLimit entries.
    pub kube_apiserver_admission_event_rate_limits: JsonMap,
    /// Apply default Pod Security settings.
    pub kube_pod_security_use_default: bool,
    /// Enforced Pod Security level.
    pub kube_pod_security_default_enforce: PodSecurityLevel,
    /// Version of enforced Pod Security level.
    pub kube_pod_security_default_enforce_version: String,
    /// Audited Pod Security level.
    pub kube_pod_security_default_audit: PodSecurityLevel,
    /// Version of audited Pod Security level.
    pub kube_pod_security_default_audit_version: String,
    /// Warned Pod Security level.
    pub kube_pod_security_default_warn: PodSecurityLevel,
    /// Version of warned Pod Security level.
    pub kube_pod_security_default_warn_version: String,
    /// Users exempt from Pod Security.
    pub kube_pod_security_exemptions_usernames: Vec<String>,
    /// Runtime classes exempt from Pod Security.
    pub kube_pod_security_exemptions_runtime_class_names: Vec<String>,
    /// Namespaces exempt from Pod Security.
    pub kube_pod_security_exemptions_namespaces: Vec<String>,
    /// Resources needing a quota by default.
    pub kube_resource_quota_limited_resources: Vec<Json>,
    /// Admission plugins disabled.
    pub kube_apiserver_disable_admission_plugins: Vec<String>,
    /// Default selector of PodNodeSelector plugin.
    pub kube_apiserver_admission_plugins_podnodeselector_default_node_selector: Option<String>,
}

/// Certificates of the control plane, their names, life and renewal.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Certificates {
    /// Certificate for API health probes.
    pub kube_apiserver_client_cert: String,
    /// Etcd CA file name for clients.
    pub kube_etcd_cacert_file: String,
    /// Renew control plane certificates monthly.
    pub auto_renew_certificates: bool,
    /// Timer calendar for certificate renewal.
    pub auto_renew_certificates_systemd_calendar: String,
    /// Renew certificates during upgrade.
    pub kubeadm_upgrade_auto_cert_renewal: bool,
    /// Extra API certificate names.
    pub supplementary_addresses_in_ssl_keys: Vec<String>,
    /// Validity of leaf certificates.
    pub kube_cert_validity_period: Duration,
    /// Validity of CA certificates.
    pub kube_ca_cert_validity_period: Duration,
    /// Minimum TLS version.
    pub tls_min_version: Option<TlsVersion>,
    /// TLS cipher suites.
    pub tls_cipher_suites: Option<Vec<String>>,
}

/// The controller manager.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ControllerManager {
    /// Controller-manager feature gates.
    pub kube_controller_feature_gates: Vec<String>,
    /// Controller-manager bind address.
    pub kube_controller_manager_bind_address: IpAddr,
    /// Controller-manager lease duration.
    pub kube_controller_manager_leader_elect_lease_duration: Duration,
    /// Controller-manager renew deadline.
    pub kube_controller_manager_leader_elect_renew_deadline: Duration,
    /// Controller-manager allocates node pod ranges.
    pub kube_controller_manager_allocate_node_cidrs: bool,
    /// Time before node is unhealthy.
    pub kube_controller_node_monitor_grace_period: Duration,
    /// Node status check interval.
    pub kube_controller_node_monitor_period: Duration,
    /// Terminated pods kept.
    pub kube_controller_terminated_pod_gc_threshold: i64,
    /// Extra controller-manager flags.
    pub kube_kubeadm_controller_extra_args: JsonMap,
    /// Extra controller-manager pod volumes.
    pub controller_manager_extra_volumes: JsonMap,
}

/// The API server and what all of the control plane shares.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ApiServer {
    /// Kubectl command line with admin kubeconfig.
    pub kubectl: String,
    /// API service address inside cluster.
    pub kube_apiserver_ip: IpAddr,
    /// API server listen address.
    pub kube_apiserver_bind_address: IpAddr,
    /// API server secure port.
    pub kube_apiserver_port: u16,
    /// Route aggregated API requests to endpoint addresses.
    pub kube_api_aggregator_routing: bool,
    /// Enable profiling endpoints of control plane components.
    pub kube_profiling: bool,
    /// Feature gates for all components, key=value.
    pub kube_feature_gates: Vec<String>,
    /// API server feature gates.
    pub kube_apiserver_feature_gates: Vec<String>,
    /// API URL valid from anywhere in cluster.
    pub kube_apiserver_global_endpoint: FromFacts<String>,
    /// API URL used by this host.
    pub kube_apiserver_endpoint: FromFacts<String>,
    /// Key for API health probes.
    pub kube_apiserver_client_key: String,
    /// Run is an upgrade (role parameter).
    pub upgrade_cluster_setup: bool,
    /// Tries (5 s) for new control planes becoming Ready.
    pub control_plane_node_become_ready_tries: i64,
    /// NodePort range.
    pub kube_apiserver_node_port_range: String,
    /// API server storage backend.
    pub kube_apiserver_storage_backend: String,
    /// API server etcd compaction interval.
    pub kube_apiserver_etcd_compaction_interval: Duration,
    /// Verify service account tokens exist.
    pub kube_apiserver_service_account_lookup: bool,
    /// Retries of control plane health checks.
    pub control_plane_health_retries: i64,
    /// Time limit of kubeadm discovery on control planes (Kubespray gives joining workers 60s).
    pub discovery_timeout: Duration,
    /// Scale kubeadm CoreDNS to zero when unused.
    pub kubeadm_scale_down_coredns_enabled: bool,
    /// API request timeout.
    pub kube_apiserver_request_timeout: Duration,
    /// Default not-ready toleration seconds.
    pub kube_apiserver_pod_eviction_not_ready_timeout_seconds: String,
    /// Default unreachable toleration seconds.
    pub kube_apiserver_pod_eviction_unreachable_timeout_seconds: String,
    /// API groups switched on or off.
    pub kube_api_runtime_config: Vec<String>,
    /// Kubelet address type order.
    pub kubelet_preferred_address_types: String,
    /// Extra API server flags.
    pub kube_kubeadm_apiserver_extra_args: JsonMap,
    /// Extra API server pod volumes.
    pub apiserver_extra_volumes: JsonMap,
    /// Path to existing key in encryption config.
    pub secrets_encryption_query: String,
    /// Event retention.
    pub event_ttl_duration: Duration,
    /// API server tracing.
    pub kube_apiserver_tracing: bool,
    /// API server trace endpoint.
    pub kube_apiserver_tracing_endpoint: String,
    /// API server trace samples per million.
    pub kube_apiserver_tracing_sampling_rate_per_million: i64,
    /// Join with discovery file.
    pub kubeadm_use_file_discovery: bool,
    /// Kubeadm pulls images one by one.
    pub kubeadm_image_pull_serial: bool,
    /// Key algorithm of cluster certificates.
    pub kube_asymmetric_encryption_algorithm: KubeAsymmetricEncryptionAlgorithm,
    /// Shell alias for kubectl.
    pub kubectl_alias: Option<String>,
}
