//! The program kubelet.

mod bootstrap;
mod node;
mod pod;
mod probe;
mod server;
mod sources;
mod volumes;

#[cfg(test)]
pub(crate) use bootstrap::certificate;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::cri::Cri;
use crate::flags::Flags;
use crate::{clock, files, schema, yaml};

const KNOWN: &str = "address allowed-unsafe-sysctls anonymous-auth application-metrics-count-limit authentication-token-webhook \
    authorization-mode bootstrap-kubeconfig cert-dir cgroup-driver cgroup-root client-ca-file cloud-config cloud-provider \
    cluster-dns cluster-domain config config-dir container-log-max-files container-log-max-size container-runtime-endpoint \
    cpu-manager-policy enforce-node-allocatable event-qps eviction-hard eviction-soft exit-on-lock-contention fail-swap-on \
    feature-gates healthz-bind-address healthz-port hostname-override image-credential-provider-bin-dir \
    image-credential-provider-config image-service-endpoint kube-reserved kubeconfig kubelet-cgroups lock-file \
    log-text-split-stream logging-format max-pods node-ip node-labels node-status-update-frequency \
    pod-cidr pod-infra-container-image pod-manifest-path pod-max-pids port protect-kernel-defaults provider-id read-only-port \
    register-node register-with-taints resolv-conf root-dir rotate-certificates rotate-server-certificates \
    runtime-cgroups seccomp-default serialize-image-pulls streaming-connection-idle-timeout system-cgroups system-reserved \
    system-reserved-cgroup tls-cert-file tls-cipher-suites tls-min-version tls-private-key-file topology-manager-policy v v=v \
    version vmodule volume-plugin-dir";

/// How often wishes are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// Where the kubelet keeps what is its own.
pub(crate) const FOLDER: &str = "/var/lib/kubelet";

/// What all parts of a kubelet know.
pub(crate) struct Kubelet {
    pub(crate) name: String,
    pub(crate) ip: String,
    pub(crate) config: Value,
    pub(crate) kubeconfig: String,
    /// How the API server is asked; nothing where there is none.
    client: Mutex<Option<Arc<Client>>>,
    pub(crate) cri: Cri,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) provider: String,
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

impl Kubelet {
    pub(crate) fn client(&self) -> Option<Arc<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the kubeconfig again, when certificates were renewed.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        let client = Client::open(&self.kubeconfig, "kubelet")?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(client));
        Ok(())
    }

    pub(crate) fn number(&self, key: &str, default: u64) -> u64 {
        self.config.get(key).and_then(Value::as_u64).unwrap_or(default)
    }
}

/// Runs until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    // Units pass empty variables as empty words.
    let arguments: Vec<String> = arguments.iter().filter(|argument| !argument.is_empty()).cloned().collect();
    let flags = Flags::parse(&arguments, KNOWN)?;
    if flags.get("version").is_some() {
        crate::say(&format!("Kubernetes {}", crate::version()));
        return Ok(());
    }
    if let Some(word) = flags.words.first() {
        return Err(format!("unknown command {word:?}"));
    }
    let config = configuration(&flags)?;
    check_host(&config)?;
    let name = match flags.text("hostname-override") {
        "" => crate::hostname(),
        name => name.to_lowercase(),
    };
    let socket = match (text(&config, "/containerRuntimeEndpoint"), flags.text("container-runtime-endpoint")) {
        ("", "") => return Err("the container runtime endpoint address was not specified or empty, use --container-runtime-endpoint to set".into()),
        ("", socket) | (socket, _) => socket.to_owned(),
    };
    let cri = Cri::open(&socket)?;
    let (engine, version) = cri
        .version()
        .map_err(|error| format!("validate CRI v1 runtime API for endpoint {socket:?}: {error}"))?;
    crate::told(&format!("{engine} {version} at {socket}"));
    let kubeconfig = flags.text("kubeconfig").to_owned();
    let mut labels = BTreeMap::new();
    for pair in flags.list("node-labels") {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("invalid --node-labels {pair:?}"))?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    let ip = match flags.list("node-ip").first() {
        Some(ip) => ip.clone(),
        None => node::default_address()?,
    };
    if !kubeconfig.is_empty() {
        bootstrap::ensure(&kubeconfig, flags.text("bootstrap-kubeconfig"), &name)?;
        bootstrap::keep(&kubeconfig, &config)?;
        let access = crate::kubeconfig::read(&kubeconfig)?;
        crate::check_user(&access, &format!("system:node:{name}"), "system:nodes")?;
    }
    let kubelet = Arc::new(Kubelet {
        name,
        ip,
        config,
        kubeconfig: kubeconfig.clone(),
        client: Mutex::default(),
        cri,
        labels,
        provider: flags.text("cloud-provider").to_owned(),
    });
    if !kubeconfig.is_empty() {
        kubelet.reopen()?;
    }
    fs::create_dir_all(format!("{FOLDER}/pods")).map_err(|error| format!("{FOLDER}: {error}"))?;
    server::start(&kubelet)?;
    let of_thread = Arc::clone(&kubelet);
    std::thread::spawn(move || node::report(&of_thread));
    let mut sources = sources::Sources::default();
    loop {
        sources.round(&kubelet);
        std::thread::sleep(ROUND);
    }
}

/// The configuration of a file, checked.
fn configuration(flags: &Flags) -> Result<Value, String> {
    let path = flags.get("config").ok_or("this double wants --config")?;
    let told = |error: String| format!("failed to load kubelet config file, path: {path}, error: {error}");
    let document = yaml::read(&files::read(path).map_err(told)?).map_err(told)?;
    if (text(&document, "/kind"), text(&document, "/apiVersion"))
        != ("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1")
    {
        return Err(told("no KubeletConfiguration of kubelet.config.k8s.io/v1beta1".into()));
    }
    let problems = schema::document_problems("KubeletConfiguration", &document);
    if !problems.is_empty() {
        return Err(told(format!("strict decoding error: {}", problems.join(", "))));
    }
    check_values(&document).map_err(told)?;
    Ok(document)
}

fn check_values(document: &Value) -> Result<(), String> {
    let invalid = |key: &str| format!("invalid configuration: {key}: {}", document[key]);
    for key in [
        "nodeStatusUpdateFrequency",
        "syncFrequency",
        "streamingConnectionIdleTimeout",
        "shutdownGracePeriod",
        "shutdownGracePeriodCriticalPods",
        "fileCheckFrequency",
        "cpuManagerReconcilePeriod",
    ] {
        if document.get(key).is_some_and(|value| value.as_str().and_then(clock::duration).is_none()) {
            return Err(invalid(key));
        }
    }
    for (key, known) in [
        ("cgroupDriver", &["systemd", "cgroupfs"][..]),
        ("cpuManagerPolicy", &["none", "static"]),
        ("topologyManagerPolicy", &["none", "best-effort", "restricted", "single-numa-node"]),
        ("topologyManagerScope", &["container", "pod"]),
        ("tlsMinVersion", &["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"]),
    ] {
        if document.get(key).and_then(Value::as_str).is_some_and(|value| !known.contains(&value)) {
            return Err(invalid(key));
        }
    }
    let levels = [
        "none",
        "pods",
        "system-reserved",
        "kube-reserved",
        "system-reserved-compressible",
        "kube-reserved-compressible",
    ];
    for level in list(document, "/enforceNodeAllocatable").iter().filter_map(Value::as_str) {
        if !levels.contains(&level) {
            return Err(invalid("enforceNodeAllocatable"));
        }
        for (name, key) in
            [("system-reserved", "systemReservedCgroup"), ("kube-reserved", "kubeReservedCgroup")]
        {
            if level == name && text(document, &format!("/{key}")).is_empty() {
                return Err(format!(
                    "invalid configuration: {key} must be specified when {name:?} is in enforceNodeAllocatable"
                ));
            }
        }
    }
    let (high, low) =
        (document.get("imageGCHighThresholdPercent"), document.get("imageGCLowThresholdPercent"));
    if let (Some(high), Some(low)) = (high.and_then(Value::as_u64), low.and_then(Value::as_u64))
        && (high <= low || high > 100)
    {
        return Err(invalid("imageGCHighThresholdPercent"));
    }
    for key in ["maxPods", "podPidsLimit", "maxParallelImagePulls"] {
        if document.get(key).and_then(Value::as_i64).is_some_and(|value| value < -1 || value == 0) {
            return Err(invalid(key));
        }
    }
    for (key, _) in document["featureGates"].as_object().into_iter().flatten() {
        crate::check_gate(&format!("{key}=true"))?;
    }
    let period = |key: &str| clock::duration(text(document, &format!("/{key}"))).unwrap_or_default();
    if period("shutdownGracePeriodCriticalPods") > period("shutdownGracePeriod") {
        return Err(invalid("shutdownGracePeriodCriticalPods"));
    }
    Ok(())
}

/// What a host must be.
fn check_host(config: &Value) -> Result<(), String> {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    if config.get("failSwapOn") != Some(&Value::Bool(false))
        && swaps.lines().filter(|line| !line.trim().is_empty()).count() > 1
    {
        return Err(format!(
            "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false: {swaps}"
        ));
    }
    let is_second_version = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let is_new = crate::kubeadm::minor(&crate::version()).is_some_and(|(_, minor)| minor >= 35);
    let fails = config.get("failCgroupV1").and_then(Value::as_bool).unwrap_or(is_new);
    if !is_second_version && fails {
        return Err("kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release".into());
    }
    let authority = text(config, "/authentication/x509/clientCAFile");
    if !authority.is_empty() {
        crate::pki::Facts::read(authority)
            .map_err(|error| format!("unable to load client CA file {authority}: {error}"))?;
    }
    Ok(())
}
