//! Settings: HTTP proxies of hosts and container engine.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// HTTP proxies of hosts and container engine.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Proxy {
    /// Proxy environment variables.
    pub proxy_env_defaults: IndexMap<String, String>,
    /// Proxy environment including CA file.
    pub proxy_env: IndexMap<String, String>,
    /// Environment that clears all proxies.
    pub proxy_disable_env: IndexMap<String, String>,
    /// Extra proxy exclusions, comma separated.
    pub additional_no_proxy: Option<String>,
    /// Extra proxy exclusions split into list.
    pub additional_no_proxy_list: Vec<String>,
    /// Leave workers out of proxy exclusions.
    pub no_proxy_exclude_workers: bool,
    /// HTTP proxy URL.
    pub http_proxy: Option<String>,
    /// HTTPS proxy URL.
    pub https_proxy: Option<String>,
    /// CA file for intercepting proxy.
    pub https_proxy_cert_file: Option<String>,
    /// Hosts reached without proxy; computed from the cluster's addresses and names when a proxy is set and
    /// this is not.
    pub no_proxy: Option<String>,
}
