//! The program kubeadm.

mod certs;
mod config;
mod join;
mod manifests;
mod objects;
mod preflight;
#[cfg(test)]
mod tests;
mod upgrade;

pub(crate) use preflight::minor;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::flags::Flags;
use crate::kubeconfig;
use crate::{files, version, yaml};
use certs::FOLDER;
use config::{Config, text};

const KNOWN: &str = "config ignore-preflight-errors skip-phases upload-certs patches cert-dir cri-socket force f=force yes y=yes output o=output \
    certificate-key dry-run kubeconfig token ttl description print-join-command v rootfs kubernetes-version image-repository \
    certificate-renewal etcd-upgrade node-name ca-cert-path cleanup-tmp-dir allow-missing-template-keys";

/// The phases of `init` in their order.
const INIT: [&str; 13] = [
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    "addon",
];

/// Phases that may be skipped beside those of [`INIT`].
const PARTS: [&str; 16] = [
    "addon/coredns",
    "addon/kube-proxy",
    "show-join-command",
    "certs/ca",
    "certs/sa",
    "kubeconfig/admin",
    "control-plane/all",
    "control-plane-prepare",
    "control-plane-prepare/download-certs",
    "control-plane-prepare/certs",
    "etcd-join",
    "control-plane-join",
    "control-plane-join/etcd",
    "control-plane-join/mark-control-plane",
    "kubelet-wait-bootstrap",
    "post-upgrade",
];

/// Runs one command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, KNOWN)?;
    let words: Vec<&str> = flags.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["version"] => tell_version(&flags),
        ["init"] => init(&flags),
        ["init", "phase", phase @ ..] => init_phase(&flags, phase),
        ["join"] => join::join(&flags),
        ["reset"] => reset(&flags),
        ["upgrade", "apply", wished @ ..] => upgrade::apply(&flags, wished.first().copied()),
        ["upgrade", "node"] => upgrade::node(&flags),
        ["upgrade", "plan", ..] => upgrade::plan(&flags),
        ["certs", "check-expiration"] => certs::check_expiration(certificates(&flags)),
        ["certs", "renew", "all"] => certs::renew(certificates(&flags), Duration::from_hours(8760)),
        ["certs", "certificate-key"] => {
            crate::say(&certificate_key()?);
            Ok(())
        }
        ["config", "validate"] => Config::read(flags.required("config")?).map(|_| crate::say("ok")),
        ["config", "images", what @ ("list" | "pull")] => images(&flags, what),
        ["token", "create", ..] => token(&flags, words.get(2).copied()),
        ["token", "list"] => tokens(&flags),
        [] => Err("a command is missing".into()),
        other => Err(format!("unknown command {:?} for \"kubeadm\"", other.join(" "))),
    }
}

fn certificates(flags: &Flags) -> &str {
    flags.get("cert-dir").unwrap_or("/etc/kubernetes/pki")
}

fn certificate_key() -> Result<String, String> {
    crate::random_bytes::<32>().map(|bytes| crate::pki::hex(&bytes))
}

fn tell_version(flags: &Flags) -> Result<(), String> {
    let own = version();
    match flags.text("output") {
        "short" => crate::say(&own),
        "json" => {
            let (major, minor) = preflight::minor(&own).unwrap_or((1, 0));
            crate::say(&json!({"clientVersion": {"major": major.to_string(), "minor": minor.to_string(), "gitVersion": own}}).to_string());
        }
        "" => crate::say(&format!("kubeadm version: &version.Info{{GitVersion:\"{own}\"}}")),
        other => return Err(format!("invalid output format: {other}")),
    }
    Ok(())
}

fn images(flags: &Flags, what: &str) -> Result<(), String> {
    let mut config = match flags.get("config") {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    for (flag, key) in [("kubernetes-version", "kubernetesVersion"), ("image-repository", "imageRepository")]
    {
        if let Some(value) = flags.get(flag) {
            config.cluster[key] = value.into();
        }
    }
    if what == "pull" {
        return preflight::pull(&config);
    }
    let images = preflight::images(&config);
    match flags.text("output") {
        "json" => crate::say(&json!({"kind": "Images", "images": images}).to_string()),
        _ => images.iter().for_each(|image| crate::say(image)),
    }
    Ok(())
}

/// The configuration of `init` with what flags say.
fn read(flags: &Flags) -> Result<Config, String> {
    let config = Config::read(flags.required("config")?)?.for_init()?;
    for phase in config.skipped().iter().chain(&flags.list("skip-phases")) {
        check_phase(phase)?;
    }
    Ok(config)
}

fn check_phase(phase: &str) -> Result<(), String> {
    if INIT.contains(&phase) || PARTS.contains(&phase) {
        Ok(())
    } else {
        Err(format!("invalid phase name: {phase}"))
    }
}

fn is_skipped(flags: &Flags, config: &Config, phase: &str) -> bool {
    flags.list("skip-phases").iter().chain(&config.skipped()).any(|skipped| skipped == phase)
}

fn ignored(flags: &Flags, config: &Config) -> Vec<String> {
    [flags.list("ignore-preflight-errors"), config.ignored()].concat()
}

/// Where the authority of the cluster is kept by who joins.
fn authority_path(config: &Config) -> &str {
    match text(&config.join, "/caCertPath") {
        "" => "/etc/kubernetes/pki/ca.crt",
        path => path,
    }
}

fn init(flags: &Flags) -> Result<(), String> {
    let config = read(flags)?;
    crate::say(&format!("[init] Using Kubernetes version: {}", config.kubernetes_version()));
    for phase in INIT {
        if is_skipped(flags, &config, phase) {
            continue;
        }
        if phase == "upload-certs" && !flags.is("upload-certs") {
            crate::say("[upload-certs] Skipping phase. Please see --upload-certs");
            continue;
        }
        let words = [phase, "all"];
        let words = if ["certs", "kubeconfig", "control-plane", "upload-config", "addon"].contains(&phase) {
            &words[..]
        } else {
            &words[..1]
        };
        do_phase(flags, &config, words).map_err(|error| within(phase, error))?;
    }
    crate::say("\nYour Kubernetes control-plane has initialized successfully!");
    Ok(())
}

fn within(phase: &str, error: String) -> String {
    if error.starts_with("error execution phase") {
        error
    } else {
        format!("error execution phase {phase}: {error}")
    }
}

fn init_phase(flags: &Flags, words: &[&str]) -> Result<(), String> {
    let config = read(flags)?;
    let phase = words.first().ok_or("a phase is missing")?;
    if *phase == "upload-certs" && !flags.is("upload-certs") {
        crate::say("[upload-certs] Skipping phase. Please see --upload-certs");
        return Ok(());
    }
    do_phase(flags, &config, words).map_err(|error| within(phase, error))
}

/// The client of the administrator; the first one of a cluster first gives the others their rights.
fn administrator() -> Result<Client, String> {
    objects::open(&format!("{FOLDER}/admin.conf"))
}

fn do_phase(flags: &Flags, config: &Config, words: &[&str]) -> Result<(), String> {
    match words {
        ["preflight"] => {
            crate::say("[preflight] Running pre-flight checks");
            preflight::init(config, &ignored(flags, config))
        }
        ["certs", which] => certs::certs(config, which),
        ["kubeconfig", "all"] => certs::kubeconfigs(
            config,
            &["admin.conf", "super-admin.conf", "kubelet.conf", "controller-manager.conf", "scheduler.conf"],
        ),
        ["kubeconfig", which] => certs::kubeconfigs(config, &[&format!("{which}.conf")]),
        ["etcd"] | ["etcd", "local"] => certs::check_etcd(config),
        ["control-plane", "all"] => manifests::write(config, &manifests::COMPONENTS),
        ["control-plane", "apiserver"] => manifests::write(config, &["kube-apiserver"]),
        ["control-plane", "controller-manager"] => manifests::write(config, &["kube-controller-manager"]),
        ["control-plane", "scheduler"] => manifests::write(config, &["kube-scheduler"]),
        ["kubelet-start"] => kubelet_start(config),
        ["wait-control-plane"] => {
            wait_for_kubelet(config)?;
            wait_for_control_plane(config)?;
            objects::administrators(&objects::open(&format!("{FOLDER}/super-admin.conf"))?)
        }
        ["upload-config", which] => {
            let client = administrator()?;
            objects::upload_config(&client, config, which)?;
            if *which == "all" { annotate_node(&client, config) } else { Ok(()) }
        }
        ["upload-certs"] => {
            let key = match (flags.text("certificate-key"), text(&config.init, "/certificateKey")) {
                ("", "") => certificate_key()?,
                ("", key) | (key, _) => key.to_owned(),
            };
            objects::upload_certs(&administrator()?, config, &key)
        }
        ["mark-control-plane"] => objects::mark(&administrator()?, config),
        ["bootstrap-token"] => {
            let authority = files::read(&format!("{}/ca.crt", config.certificates()))?;
            objects::bootstrap_token(&administrator()?, config, &config.server(), &authority)
        }
        ["kubelet-finalize"] | ["kubelet-finalize", "all"] => finalize(config),
        ["addon", which] => addon(flags, config, which),
        ["show-join-command"] => Ok(()),
        other => Err(format!("unknown phase {:?}", other.join(" "))),
    }
}

fn addon(flags: &Flags, config: &Config, which: &str) -> Result<(), String> {
    let wants = |name: &str| [name, "all"].contains(&which);
    if wants("coredns")
        && config.cluster.pointer("/dns/disabled") != Some(&Value::Bool(true))
        && !is_skipped(flags, config, "addon/coredns")
    {
        return Err("CoreDNS is not deployed by this double: skip the phase addon/coredns".into());
    }
    if wants("kube-proxy")
        && config.cluster.pointer("/proxy/disabled") != Some(&Value::Bool(true))
        && !is_skipped(flags, config, "addon/kube-proxy")
    {
        objects::proxy(&administrator()?, config)?;
    }
    Ok(())
}

/// Tells the node's socket, as upgrades need it.
fn annotate_node(client: &Client, config: &Config) -> Result<(), String> {
    let at = crate::client::path("v1", "nodes", "", &config.node());
    let patch =
        json!({"metadata": {"annotations": {"kubeadm.alpha.kubernetes.io/cri-socket": config.socket()}}});
    for _ in 0..120 {
        match client.merge(&at, &patch) {
            Err(error) if error.code == 404 => std::thread::sleep(Duration::from_millis(500)),
            other => return other.map(drop).map_err(Into::into),
        }
    }
    Err(format!("node {:?} did not register", config.node()))
}

/// The kubelet's own certificate takes the place of the one that kubeadm made.
fn finalize(config: &Config) -> Result<(), String> {
    const CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
    let target = format!("{FOLDER}/kubelet.conf");
    if objects::kubelet(config)["rotateCertificates"] != true || !files::is_there(CURRENT) {
        return Ok(());
    }
    let authority = files::read(&format!("{}/ca.crt", config.certificates()))?;
    let user = format!("system:node:{}", config.node());
    let text = kubeconfig::document(
        config.cluster_name(),
        &config.server(),
        &authority,
        &user,
        &kubeconfig::User::File(CURRENT),
    );
    kubeconfig::write(&target, &text)?;
    systemctl(&["restart", "kubelet"])
}

fn systemctl(words: &[&str]) -> Result<(), String> {
    let output =
        Command::new("systemctl").args(words).output().map_err(|error| format!("systemctl: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("systemctl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Writes what belongs to the kubelet and starts it.
fn kubelet_start(config: &Config) -> Result<(), String> {
    _ = systemctl(&["stop", "kubelet"]);
    write_kubelet(config)?;
    crate::say("[kubelet-start] Starting the kubelet");
    systemctl(&["daemon-reload"])?;
    systemctl(&["restart", "kubelet"])
}

fn write_kubelet(config: &Config) -> Result<(), String> {
    let mut arguments = vec![format!("--container-runtime-endpoint={}", config.socket())];
    for arg in config.registration().get("kubeletExtraArgs").and_then(Value::as_array).into_iter().flatten() {
        arguments.push(format!("--{}={}", text(arg, "/name"), text(arg, "/value")));
    }
    let text = format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", arguments.join(" "));
    files::write(Path::new("/var/lib/kubelet/kubeadm-flags.env"), text.as_bytes(), 0o644)?;
    let mut document = objects::kubelet(config);
    manifests::patch(config.patches(), "kubeletconfiguration", &mut document)?;
    crate::say("[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"");
    files::write(Path::new("/var/lib/kubelet/config.yaml"), yaml::write_sorted(&document).as_bytes(), 0o644)
}

/// Waits until something is true.
fn wait(
    what: &str,
    longest: Duration,
    mut is_true: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let deadline = Instant::now() + longest;
    loop {
        match is_true() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(format!("{what} is not healthy after {}s: {error}", longest.as_secs()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(500)),
        }
    }
}

fn http(url: &str, path: &str) -> Result<(), String> {
    let http = crate::net::client::Http::new(&[url.to_owned()], &crate::net::tls::Identity::default())?;
    let response = http.request("GET", path, &[], None, Duration::from_secs(5))?;
    if response.status == 200 { Ok(()) } else { Err(format!("{url}{path}: {}", response.status)) }
}

fn wait_for_kubelet(config: &Config) -> Result<(), String> {
    crate::say("[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:10248/healthz");
    let longest = config.timeout("kubeletHealthCheck", 240);
    wait("the kubelet", longest, || http("http://127.0.0.1:10248", "/healthz"))
}

fn wait_for_control_plane(config: &Config) -> Result<(), String> {
    crate::say("[control-plane-check] Waiting for healthy control plane components");
    let longest = config.timeout("controlPlaneComponentHealthCheck", 240);
    wait("kube-apiserver", longest, || http(&config.local_server(), "/livez"))?;
    wait("kube-controller-manager", longest, || http("https://127.0.0.1:10257", "/healthz"))?;
    wait("kube-scheduler", longest, || http("https://127.0.0.1:10259", "/livez"))
}

fn reset(flags: &Flags) -> Result<(), String> {
    if !flags.is("force") {
        return Err("aborted reset operation: --force is needed where nobody can be asked".into());
    }
    let folder = certificates(flags);
    crate::say("[reset] Stopping the kubelet service");
    _ = systemctl(&["stop", "kubelet"]);
    let socket = flags.get("cri-socket").unwrap_or("unix:///var/run/containerd/containerd.sock");
    match crate::cri::Cri::open(socket) {
        Ok(cri) => {
            for sandbox in cri.sandboxes()? {
                cri.remove_sandbox(&sandbox.id)?;
            }
        }
        Err(error) => crate::warn(&format!("[reset] Failed to remove containers: {error}")),
    }
    unmount("/var/lib/kubelet");
    for name in [
        "admin.conf",
        "super-admin.conf",
        "kubelet.conf",
        "bootstrap-kubelet.conf",
        "controller-manager.conf",
        "scheduler.conf",
    ] {
        _ = std::fs::remove_file(format!("{FOLDER}/{name}"));
    }
    for folder in [&format!("{FOLDER}/manifests"), folder, "/var/lib/kubelet"] {
        crate::say(&format!("[reset] Deleting contents of directory: {folder}"));
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            _ = if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
    }
    Ok(())
}

fn unmount(folder: &str) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    for line in mounts.lines().rev() {
        if let Some(path) =
            line.split_whitespace().nth(1).filter(|path| path.starts_with(&format!("{folder}/")))
        {
            _ = Command::new("umount").arg(path).output();
        }
    }
}

fn access(flags: &Flags) -> Result<Client, String> {
    objects::open(flags.get("kubeconfig").unwrap_or("/etc/kubernetes/admin.conf"))
}

fn token(flags: &Flags, wished: Option<&str>) -> Result<(), String> {
    let made = format!("{}.{}", crate::random(6), crate::random(16));
    let token = wished.unwrap_or(&made);
    if !config::is_token(token) {
        return Err(format!(
            "the bootstrap token {token:?} was not of the form \"\\\\A([a-z0-9]{{6}})\\\\.([a-z0-9]{{16}})\\\\z\""
        ));
    }
    let client = access(flags)?;
    objects::put_token(
        &client,
        &json!({"token": token, "ttl": flags.get("ttl").unwrap_or("24h")}),
        flags.text("description"),
    )?;
    if flags.is("print-join-command") {
        let config = objects::fetch(&client)?;
        let pem = files::read(&format!("{}/ca.crt", config.certificates()))?;
        let hash = crate::pki::authority_hash(&pem)?;
        let server = config.server();
        crate::say(&format!(
            "kubeadm join {} --token {token} --discovery-token-ca-cert-hash {hash}",
            server.trim_start_matches("https://")
        ));
    } else {
        crate::say(token);
    }
    Ok(())
}

fn tokens(flags: &Flags) -> Result<(), String> {
    let all = access(flags)?.list(
        "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken",
    )?;
    for secret in all {
        crate::say(text(&secret, "/metadata/name").trim_start_matches("bootstrap-token-"));
    }
    Ok(())
}

/// Lets hosts join with a token.
#[cfg(test)]
pub(crate) fn let_join(client: &Client, token: &str, server: &str, authority: &str) -> Result<(), String> {
    let init = json!({"bootstrapTokens": [{"token": token, "ttl": "1h"}]});
    objects::bootstrap_token(client, &Config { init, ..Config::default() }, server, authority)
}
