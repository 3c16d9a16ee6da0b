//! How things come from elsewhere: proxies, mirrors of registries, credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_spec::parts::{MirrorHost, RegistryMirror};
use kubespray_spec::{ClusterSpec, Secret};
use serde::Deserialize;
use serde_json::Value;

use crate::Problem;

/// How things come from elsewhere.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The proxy for `http`.
    pub http_proxy: Option<String>,
    /// The proxy for `https`.
    pub https_proxy: Option<String>,
    /// What is reached without a proxy, as environments write it.
    pub no_proxy: String,
    /// Whether certificates of servers are checked.
    pub verify_tls: bool,
    /// How often something is tried before it is given up; at least once.
    pub attempts: u32,
    /// How long to wait before the second attempt; twice as long before each further one.
    pub pause: Duration,
    /// How long a server may say nothing.
    pub timeout: Duration,
    /// Mirrors by registry, to be asked before it in this order.
    pub mirrors: BTreeMap<String, Vec<Mirror>>,
    /// User and password in base64, by registry.
    pub credentials: BTreeMap<String, Secret>,
    /// Registries that speak HTTP without TLS.
    pub plain_http: BTreeSet<String>,
}

/// A server that is asked instead of a registry.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Its URL.
    pub url: String,
    /// Whether the path of the URL is whole, without `/v2`.
    pub override_path: bool,
    /// Whether its certificate is checked.
    pub verify_tls: bool,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            http_proxy: None,
            https_proxy: None,
            no_proxy: String::new(),
            verify_tls: true,
            // As `download_retries` and `retry_stagger` are by default, the latter in steps.
            attempts: 4,
            pause: Duration::from_secs(1),
            timeout: Duration::from_mins(1),
            mirrors: BTreeMap::new(),
            credentials: BTreeMap::new(),
            plain_http: BTreeSet::new(),
        }
    }
}

impl Transfer {
    /// As a cluster says: its proxies, its mirrors and credentials of the engine (CRI-037, CRI-059, CRI-062).
    pub fn of(spec: &ClusterSpec) -> Self {
        let settings = &spec.settings;
        let mut transfer = Self {
            http_proxy: settings.proxy.http_proxy.clone().filter(|proxy| !proxy.is_empty()),
            https_proxy: settings.proxy.https_proxy.clone().filter(|proxy| !proxy.is_empty()),
            no_proxy: spec.no_proxy.as_ref().and_then(|list| list.known()).cloned().unwrap_or_default(),
            verify_tls: settings.downloads.download_validate_certs,
            attempts: u32::try_from(settings.downloads.download_retries).unwrap_or(1).clamp(1, 100),
            ..Self::default()
        };
        if let Some(containerd) = &settings.containerd {
            for registry in &containerd.containerd_registries_mirrors {
                transfer.mirrors.insert(registry.prefix.clone(), mirrors(registry));
            }
            transfer.add_credentials(containerd.containerd_registry_auth.expose());
        }
        if let Some(crio) = &settings.crio {
            transfer.add_credentials(crio.crio_registry_auth.expose());
        }
        transfer
    }

    /// Lets variables of the environment count more than the cluster's proxies: the bundle is made elsewhere.
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| {
            let value = variable(name).or_else(|| variable(&name.to_uppercase()));
            value.filter(|value| !value.is_empty())
        };
        let (http, https) = (get("http_proxy"), get("https_proxy"));
        if http.is_some() || https.is_some() {
            (self.http_proxy, self.https_proxy) = (http, https);
            self.no_proxy = get("no_proxy").unwrap_or_default();
        }
        self
    }

    /// Takes the credentials that `docker login` keeps in a folder, for registries without others. A folder
    /// without them is none.
    pub fn with_docker_config(mut self, folder: &Path) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            auth: String,
        }
        let path: PathBuf = folder.join("config.json");
        let Ok(bytes) = std::fs::read(&path) else { return Ok(self) };
        let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(format!("`{}` is no configuration of Docker: {error}", path.display()))
        })?;
        for (name, entry) in config.auths {
            if !entry.auth.is_empty() {
                let auth = Secret::new(entry.auth);
                self.credentials.entry(registry_of(&name)).or_insert(auth);
            }
        }
        Ok(self)
    }

    fn add_credentials(&mut self, entries: &[Value]) {
        for entry in entries {
            let text = |key: &str| match entry.get(key) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            };
            let Some(registry) = text("registry") else { continue };
            let pair = || Some(STANDARD.encode(format!("{}:{}", text("username")?, text("password")?)));
            if let Some(auth) = pair().or_else(|| text("auth")) {
                self.credentials.insert(registry_of(&registry), Secret::new(auth));
            }
        }
    }

    /// The proxy for a URL.
    pub(crate) fn proxy(&self, url: &str) -> Option<&str> {
        let proxy = if url.starts_with("https:") { &self.https_proxy } else { &self.http_proxy };
        proxy.as_deref().filter(|_| !kubespray_node::is_direct(url, &self.no_proxy))
    }
}

/// The registry of a key in lists of credentials: Docker's own is called by the URL of a service that is long gone.
fn registry_of(key: &str) -> String {
    let name = key.trim_start_matches("https://").trim_start_matches("http://");
    let name = name.split('/').next().unwrap_or_default();
    match name {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

/// Mirrors that may be pulled from, and then the server that is named in place of the registry.
fn mirrors(registry: &RegistryMirror) -> Vec<Mirror> {
    let may_pull = |host: &&MirrorHost| match &host.capabilities {
        Value::Array(list) => list.iter().any(|may| may == "pull"),
        Value::String(may) => may == "pull",
        _ => true,
    };
    let mut out: Vec<Mirror> = registry
        .mirrors
        .iter()
        .filter(may_pull)
        .map(|host| Mirror {
            url: host.host.clone(),
            override_path: host.override_path.unwrap_or(false),
            verify_tls: !host.skip_verify,
            headers: headers(host),
        })
        .collect();
    let of_itself = |server: &str| registry_of(server) == registry.prefix;
    if let Some(server) = registry.server.as_deref().filter(|server| !of_itself(server)) {
        let url = server.to_owned();
        out.push(Mirror { url, override_path: false, verify_tls: true, headers: Vec::new() });
    }
    out
}

fn headers(host: &MirrorHost) -> Vec<(String, Secret)> {
    let Some(header) = &host.header else { return Vec::new() };
    let mut out = Vec::new();
    for (name, value) in header.expose() {
        let values = match value {
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        };
        out.extend(values.into_iter().map(|value| (name.clone(), Secret::new(value.to_owned()))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_docker_are_found_under_the_names_of_registries() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}, "r.lan:5000": {"auth": "Yzpk"}, "x": {}}}"#;
        std::fs::write(folder.path().join("config.json"), text).unwrap();
        let transfer = Transfer::default().with_docker_config(folder.path()).unwrap();
        let found: Vec<_> =
            transfer.credentials.iter().map(|(name, auth)| (name.as_str(), auth.expose().as_str())).collect();
        assert_eq!(found, [("docker.io", "YTpi"), ("r.lan:5000", "Yzpk")]);
        assert!(!format!("{transfer:?}").contains("YTpi"));
        std::fs::write(folder.path().join("config.json"), "[").unwrap();
        assert!(Transfer::default().with_docker_config(folder.path()).is_err());
    }

    #[test]
    fn proxies_of_the_environment_count_more() {
        let inventory = Transfer {
            https_proxy: Some("http://inventory".into()),
            no_proxy: "a.lan".into(),
            ..Transfer::default()
        };
        let kept = inventory.clone().with_environment(|_| None);
        assert_eq!(kept.proxy("https://b.lan/x"), Some("http://inventory"));
        assert_eq!(kept.proxy("https://a.lan/x"), None);
        let set = |name: &str| (name == "HTTPS_PROXY").then(|| "http://mine".to_owned());
        let mine = inventory.with_environment(set);
        assert_eq!(mine.proxy("https://a.lan/x"), Some("http://mine"));
        assert_eq!(mine.proxy("http://b.lan/x"), None);
    }
}
