//! Settings: etcd.

use indexmap::IndexMap;
use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{EtcdDeployment, EtcdLogLevel, EtcdMetrics};
use crate::types::{Duration, FromFacts, JsonMap, Quantity};

/// etcd.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Etcd {
    /// Etcd data directory.
    pub etcd_data_dir: String,
    /// How etcd is run.
    pub etcd_deployment_type: EtcdDeployment,
    /// Run separate etcd cluster for events.
    pub etcd_events_cluster_enabled: bool,
    /// Hosts running etcd.
    pub etcd_hosts: Vec<String>,
    /// All etcd client URLs, comma separated.
    pub etcd_access_addresses: FromFacts<String>,
    /// All events etcd client URLs.
    pub etcd_events_access_addresses_list: FromFacts<Vec<String>>,
    /// All etcd metrics URLs, comma separated.
    pub etcd_metrics_addresses: FromFacts<String>,
    /// Events etcd URLs, comma separated.
    pub etcd_events_access_addresses: FromFacts<String>,
    /// Events etcd URLs, semicolon separated.
    pub etcd_events_access_addresses_semicolon: FromFacts<String>,
    /// Initial cluster string for etcd.
    pub etcd_peer_addresses: FromFacts<String>,
    /// Initial cluster string for events etcd.
    pub etcd_events_peer_addresses: FromFacts<String>,
    /// Etcd heartbeat interval in milliseconds.
    pub etcd_heartbeat_interval: String,
    /// Etcd election timeout in milliseconds.
    pub etcd_election_timeout: String,
    /// Etcd transactions per snapshot.
    pub etcd_snapshot_count: String,
    /// RSA key size of scripted certificates.
    pub certificates_key_size: i64,
    /// Validity days of scripted certificates.
    pub certificates_duration: i64,
    /// Etcd TLS base directory.
    pub etcd_config_dir: String,
    /// Events etcd data directory.
    pub etcd_events_data_dir: String,
    /// Etcd certificate directory.
    pub etcd_cert_dir: String,
    /// Etcd version.
    pub etcd_version: Version,
    /// Image repository of etcd.
    pub etcd_image_repo: String,
    /// Image tag of etcd.
    pub etcd_image_tag: String,
    /// System user running etcd.
    pub etcd_owner: String,
    /// Set up the etcd cluster (false: certificates only).
    pub etcd_cluster_setup: bool,
    /// Set up the events etcd cluster.
    pub etcd_events_cluster_setup: bool,
    /// Directory for etcd backups.
    pub etcd_backup_prefix: String,
    /// Backups kept; negative keeps all.
    pub etcd_backup_retention_count: i64,
    /// Redistribute etcd certificates every run.
    pub force_etcd_cert_refresh: bool,
    /// Group owning etcd certificates.
    pub etcd_cert_group: String,
    /// Extra DNS names in etcd certificates.
    pub etcd_cert_alt_names: Vec<String>,
    /// Extra addresses in etcd certificates.
    pub etcd_cert_alt_ips: Vec<String>,
    /// Directory for etcd helper scripts.
    pub etcd_script_dir: String,
    /// Etcd metrics detail.
    pub etcd_metrics: EtcdMetrics,
    /// Extra etcd environment variables.
    pub etcd_extra_vars: IndexMap<String, String>,
    /// Memory limit of etcd container (docker mode).
    pub etcd_memory_limit: FromFacts<Quantity>,
    /// Etcd storage quota in bytes.
    pub etcd_quota_backend_bytes: String,
    /// Largest accepted etcd request in bytes.
    pub etcd_max_request_bytes: String,
    /// Block IO weight of etcd container.
    pub etcd_blkio_weight: i64,
    /// Auto compaction retention in hours.
    pub etcd_compaction_retention: String,
    /// Require TLS client certificates.
    pub etcd_secure_client: bool,
    /// Require peer certificates.
    pub etcd_peer_client_auth: bool,
    /// Snapshot files kept.
    pub etcd_max_snapshots: i64,
    /// WAL files kept.
    pub etcd_max_wals: i64,
    /// Retries of etcd checks.
    pub etcd_retries: i64,
    /// Check data corruption at start.
    pub etcd_experimental_initial_corrupt_check: bool,
    /// Export etcd traces.
    pub etcd_experimental_enable_distributed_tracing: bool,
    /// Trace samples per million.
    pub etcd_experimental_distributed_tracing_sample_rate: i64,
    /// Trace collector address.
    pub etcd_experimental_distributed_tracing_address: String,
    /// Service name in etcd traces.
    pub etcd_experimental_distributed_tracing_service_name: String,
    /// Watch progress notification interval.
    pub etcd_experimental_watch_progress_notify_interval: Duration,
    /// Etcd log level.
    pub etcd_log_level: EtcdLogLevel,
    /// Separate etcd metrics port.
    pub etcd_metrics_port: Option<u16>,
    /// CPU limit of etcd container.
    pub etcd_cpu_limit: Option<Quantity>,
    /// TLS cipher suites of etcd.
    pub etcd_tls_cipher_suites: Option<Vec<String>>,
    /// Labels of etcd metrics service.
    pub etcd_metrics_service_labels: Option<JsonMap>,
    /// Etcd metrics listen URLs.
    pub etcd_listen_metrics_urls: Option<String>,
    /// Etcd versions per Kubernetes minor.
    pub etcd_supported_versions: IndexMap<String, String>,
    /// Image digest of etcd (ineffective, see DL-054).
    pub etcd_digest_checksum: Option<String>,
}
