//! `kubeadm join`.

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::certs::{self, FOLDER};
use super::config::{Config, text, texts};
use super::{authority_path, check_phase, ignored, is_skipped, manifests, objects, preflight};
use crate::client::{Client, path};
use crate::flags::Flags;
use crate::kubeconfig::{self, Access, User};
use crate::net::tls::Identity;
use crate::{files, pki};

/// Where the cluster is.
struct Discovered {
    server: String,
    /// Its authority in PEM.
    authority: String,
}

pub(crate) fn join(flags: &Flags) -> Result<(), String> {
    let config = Config::read(flags.required("config")?)?;
    if config.join.is_null() {
        return Err("no JoinConfiguration found in the config".into());
    }
    if !config.init.is_null() || !config.cluster.is_null() {
        return Err(
            "unexpected InitConfiguration or ClusterConfiguration in the configuration of join".into()
        );
    }
    for phase in config.skipped().iter().chain(&flags.list("skip-phases")) {
        check_phase(phase)?;
    }
    let ignored = ignored(flags, &config);
    let is_control_plane = config.join.get("controlPlane").is_some();
    crate::say("[preflight] Running pre-flight checks");
    // Of the cluster's version nothing is known yet.
    let mut checked = config.clone();
    checked.cluster = serde_json::json!({"kubernetesVersion": crate::version()});
    if !is_skipped(flags, &config, "preflight") {
        preflight::join(&checked, &ignored)?;
    }
    let token = text(&config.join, "/discovery/tlsBootstrapToken").to_owned();
    let found = discover(&config).map_err(|error| {
        format!("error execution phase preflight: couldn't validate the identity of the API Server: {error}")
    })?;
    let identity = Identity { authority: Some(found.authority.clone().into_bytes()), pair: None };
    let access = Access { server: found.server.clone(), identity, token: Some(token.clone()) };
    let client = Client::new(&access, "kubeadm")?;
    let fetched = objects::fetch(&client).map_err(|error| {
        format!("error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: {error}")
    })?;
    let config = Config { cluster: fetched.cluster, kubelet: fetched.kubelet, ..config };
    // A joining host trusts what it was given, so its address in kubeconfigs is where it was discovered.
    if is_control_plane {
        prepare(flags, &config, &client, &ignored)
            .map_err(|error| super::within("control-plane-prepare", error))?;
    } else {
        files::write(Path::new(authority_path(&config)), found.authority.as_bytes(), 0o644)?;
    }
    start(&config, &found, &token, &client).map_err(|error| super::within("kubelet-start", error))?;
    if is_control_plane {
        super::wait_for_control_plane(&config).map_err(|error| super::within("wait-control-plane", error))?;
        let client = super::administrator()?;
        if !is_skipped(flags, &config, "control-plane-join/mark-control-plane")
            && !is_skipped(flags, &config, "control-plane-join")
        {
            objects::mark(&client, &config)?;
        }
        super::annotate_node(&client, &config)?;
        crate::say("\nThis node has joined the cluster and a new control plane instance was created.");
    } else {
        crate::say("\nThis node has joined the cluster.");
    }
    Ok(())
}

fn discover(config: &Config) -> Result<Discovered, String> {
    let longest = config.timeout("discovery", 300);
    let deadline = Instant::now() + longest;
    loop {
        let result = match config.join.pointer("/discovery/file") {
            Some(file) => by_file(text(file, "/kubeConfigPath")),
            None => by_token(&config.join["discovery"]["bootstrapToken"]),
        };
        match result {
            Err(error) if Instant::now() < deadline && !error.contains("x509") => {
                crate::told(&format!("discovery: {error}"));
                std::thread::sleep(Duration::from_secs(1));
            }
            other => return other,
        }
    }
}

/// From a kubeconfig: the address there, and whom to believe.
fn by_file(path: &str) -> Result<Discovered, String> {
    let access = kubeconfig::read(path)?;
    let authority = access.identity.authority.clone().ok_or("the file names no certificate authority")?;
    let client = Client::new(&Access { token: None, ..access.clone() }, "kubeadm")?;
    // What the cluster says of itself counts, where it may be read.
    let (status, _) = client.raw("GET", "/version", "", None)?;
    if status != 200 && status != 401 && status != 403 {
        return Err(format!("{}: status {status}", access.server));
    }
    let authority = String::from_utf8(authority).map_err(|_| "the certificate authority is no PEM")?;
    Ok(Discovered { server: access.server, authority })
}

/// From the document that the cluster shows to everybody, which the token has signed.
fn by_token(discovery: &Value) -> Result<Discovered, String> {
    let server = format!("https://{}", text(discovery, "/apiServerEndpoint"));
    let client = Client::new(&Access { server: server.clone(), ..Access::default() }, "kubeadm")?;
    let found = client.get(&path("v1", "configmaps", "kube-public", "cluster-info"))?;
    let found = found.ok_or("configmaps \"cluster-info\" not found")?;
    let content = text(&found, "/data/kubeconfig");
    let token = text(discovery, "/token");
    let (id, _) = token.split_once('.').ok_or("a token without a point")?;
    let signature = found["data"].get(format!("jws-kubeconfig-{id}")).and_then(Value::as_str);
    let signature = signature.ok_or_else(|| {
        format!("could not find a JWS signature in the cluster-info ConfigMap for token ID {id:?}")
    })?;
    if signature != crate::controller::jws(content, token) {
        return Err(format!(
            "failed to verify JWS signature of received cluster info object, can't trust this API Server: {id}"
        ));
    }
    let document = crate::yaml::read(content)?;
    let authority = text(&document, "/clusters/0/cluster/certificate-authority-data");
    let authority = STANDARD
        .decode(authority)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or("no authority")?;
    let hashes = texts(discovery, "/caCertHashes");
    if !hashes.is_empty() && !hashes.contains(&pki::authority_hash(&authority)?) {
        return Err(
            "x509: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys are pinned"
                .into(),
        );
    }
    Ok(Discovered { server, authority })
}

/// Everything of a control plane that must be there before its kubelet starts.
fn prepare(flags: &Flags, config: &Config, client: &Client, ignored: &[String]) -> Result<(), String> {
    if text(&config.cluster, "/controlPlaneEndpoint").is_empty() {
        return Err("unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address".into());
    }
    let cluster = text(&config.cluster, "/kubernetesVersion");
    let own = crate::version();
    if preflight::minor(cluster).map(|(_, minor)| minor) > preflight::minor(&own).map(|(_, minor)| minor) {
        return Err(format!("the cluster is of version {cluster}, this kubeadm of version {own}"));
    }
    preflight::join_control_plane(config, ignored)?;
    let key = text(&config.join, "/controlPlane/certificateKey");
    if !key.is_empty() && !is_skipped(flags, config, "control-plane-prepare/download-certs") {
        objects::download_certs(client, config, key)?;
    }
    let folder = config.certificates();
    for name in ["ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key"] {
        if !files::is_there(&format!("{folder}/{name}")) {
            return Err(format!(
                "failure loading certificate: couldn't load the file {folder}/{name}: no such file or directory"
            ));
        }
    }
    certs::certs(config, "all")?;
    certs::kubeconfigs(config, &["admin.conf", "controller-manager.conf", "scheduler.conf"])?;
    manifests::write(config, &manifests::COMPONENTS)
}

/// Starts the kubelet, which asks for its certificate with the token, and waits for that.
fn start(config: &Config, found: &Discovered, token: &str, client: &Client) -> Result<(), String> {
    if token.is_empty() {
        return Err("no token for TLS bootstrap".into());
    }
    let node = config.node();
    if let Some(node_there) = client.get(&path("v1", "nodes", "", &node))?
        && super::config::texts(&node_there, "/status/none").is_empty()
        && node_there
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    {
        return Err(format!(
            "a Node with name {node:?} and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node"
        ));
    }
    let bootstrap = format!("{FOLDER}/bootstrap-kubelet.conf");
    let content = kubeconfig::document(
        config.cluster_name(),
        &found.server,
        &found.authority,
        "tls-bootstrap-token-user",
        &User::Token(token),
    );
    kubeconfig::write(&bootstrap, &content)?;
    super::kubelet_start(config)?;
    super::wait_for_kubelet(config)?;
    crate::say("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap");
    super::wait("the TLS bootstrap of the kubelet", config.timeout("tlsBootstrap", 300), || {
        kubeconfig::read(&format!("{FOLDER}/kubelet.conf")).map(drop)
    })?;
    std::fs::remove_file(&bootstrap).map_err(|error| format!("{bootstrap}: {error}"))
}
