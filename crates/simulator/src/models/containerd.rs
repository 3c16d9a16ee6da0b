//! containerd, as `crictl` and `ctr` show it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_node::{HostError, Output, Spawn};
use kubespray_resource::{Digest, Mode, whole_reference};
use serde_json::{Value, json};

use super::{failed, is_active, ok};
use crate::SimHost;
use crate::files::Node;
use crate::host::{file, put, text};

const SOCKET: &str = "/run/containerd/containerd.sock";
/// What it has, a reference in each line.
const FOLDER: &str = "/var/lib/containerd";
const IMAGES: &str = "/var/lib/containerd/images";
/// The pods that it has, an id in each line.
const PODS: &str = "/run/containerd/pods";
/// A registry gives an image in about so long.
const PULL_US: u64 = 2_000_000;

/// `/var/run` leads to `/run` on every system.
pub(super) fn is_socket(endpoint: &str) -> bool {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    path == SOCKET || path.strip_prefix("/var") == Some(SOCKET)
}

fn images(host: &SimHost) -> Vec<String> {
    let text = text(&host.inner.borrow(), IMAGES).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn keep(host: &SimHost, reference: &str, cost_us: u64) -> Result<(), HostError> {
    let mut all = images(host);
    let mut inner = host.effect(IMAGES, cost_us)?;
    if !all.iter().any(|is| is == reference) {
        all.push(reference.to_owned());
        all.sort();
    }
    put(&mut inner, FOLDER, Node::Directory, Mode::EXECUTABLE);
    file(&mut inner, IMAGES, &(all.join("\n") + "\n"));
    inner.files.sync();
    Ok(())
}

/// `crictl`, with the flags that helpers give it, else with what its configuration says.
pub(super) fn crictl(host: &SimHost, words: &[&str], spawn: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(20_000)?);
    if let ["completion", "bash"] = words {
        return ok("# bash completion for crictl\n");
    }
    let settings = text(&host.inner.borrow(), "/etc/crictl.yaml").unwrap_or_default();
    let set = |key: &str| super::kubernetes::find(&settings, key).unwrap_or_default();
    let (mut runtime, mut image) = (set("runtime-endpoint"), set("image-endpoint"));
    let mut rest = words;
    while let [flag, value, left @ ..] = rest {
        match *flag {
            "--runtime-endpoint" => (*value).clone_into(&mut runtime),
            "--image-endpoint" => (*value).clone_into(&mut image),
            "--timeout" => {}
            flag if flag.starts_with('-') => {
                return failed(format!("flag provided but not defined: {flag}"));
            }
            _ => break,
        }
        rest = left;
    }
    if !is_socket(&runtime) || !is_socket(&image) || !is_active(&host.inner.borrow(), "containerd.service") {
        return failed(format!(
            "validate CRI v1 image API for endpoint \"{image}\": no such file or directory"
        ));
    }
    match rest {
        ["images", "-o", "json"] => {
            let images: Vec<Value> = images(host).iter().map(|reference| described(reference)).collect();
            ok(json!({ "images": images }).to_string())
        }
        ["inspecti", "--quiet", "-o", "json", reference] => {
            let whole = whole_reference(reference);
            if images(host).contains(&whole) {
                return ok(json!({"status": described(&whole)}).to_string());
            }
            failed(format!("no such image \"{reference}\" present"))
        }
        ["version"] => ok("Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  v2.1.0\n"),
        ["info"] => {
            ok(json!({"status": {"conditions": [{"type": "RuntimeReady", "status": true}]}}).to_string())
        }
        ["pull", reference] => pull(host, reference, spawn),
        ["pods", "--quiet"] => ok(text(&host.inner.borrow(), PODS).unwrap_or_default()),
        ["rmp", "--force", ..] => {
            if is_active(&host.inner.borrow(), "kubelet.service") {
                let what = format!(
                    "`{}`: pods are taken away while the kubelet makes them anew",
                    host.inner.borrow().name
                );
                host.site.borrow_mut().broken.push(("order", what));
            }
            let mut inner = host.effect(PODS, 1_000_000)?;
            file(&mut inner, PODS, "");
            ok("")
        }
        other => failed(format!("No help topic for '{}'", other.join(" "))),
    }
}

/// `nerdctl`, which only tells its completion.
pub(super) fn nerdctl(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(20_000)?);
    match words {
        ["completion", "bash"] => ok("# bash completion for nerdctl\n"),
        other => failed(format!("unknown subcommand {other:?} for \"nerdctl\"")),
    }
}

/// A kubelet that begins has the engine make pods.
pub(super) fn make_pods(host: &SimHost) {
    let mut inner = host.inner.borrow_mut();
    put(&mut inner, "/run/containerd", Node::Directory, Mode::EXECUTABLE);
    file(&mut inner, PODS, "7a1d\n90fe\n");
    let mounts = text(&inner, "/proc/self/mounts").unwrap_or_default();
    let mount = "/var/lib/kubelet/pods/7a1d/volumes/token";
    if !mounts.contains(mount) {
        file(&mut inner, "/proc/self/mounts", &format!("{mounts}tmpfs {mount} tmpfs rw 0 0\n"));
    }
}

/// The sandboxes of a static pod go, and its kubelet makes new ones.
pub(super) fn restart(host: &SimHost, pod: &str) -> Result<Output, HostError> {
    if !is_active(&host.inner.borrow(), "containerd.service") {
        return failed("validate CRI v1 runtime API: no such file or directory");
    }
    drop(host.effect(pod, 1_000_000)?);
    if pod == "kube-apiserver" {
        super::kubernetes::begin_api(host, true);
    }
    ok("")
}

fn described(reference: &str) -> Value {
    let digest = Digest::of(reference.as_bytes());
    let id = format!("sha256:{}", digest.as_str());
    let (mut tags, mut digests) = (Vec::new(), Vec::new());
    if reference.contains('@') {
        digests.push(reference);
    } else {
        tags.push(reference);
    }
    json!({"id": id, "repoTags": tags, "repoDigests": digests, "size": "9"})
}

fn pull(host: &SimHost, reference: &str, spawn: &Spawn) -> Result<Output, HostError> {
    let whole = whole_reference(reference);
    let registry = whole.split('/').next().unwrap_or_default();
    let auth = match (spawn.environment.get("CRICTL_CREDS"), spawn.environment.get("CRICTL_AUTH")) {
        (Some(plain), _) => Some(plain.clone()),
        (None, Some(encoded)) => {
            STANDARD.decode(encoded).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        }
        (None, None) => None,
    };
    let why = {
        let (inner, site) = (host.inner.borrow(), host.site.borrow());
        if inner.mirror_down {
            Some(format!("failed to do request: Head \"https://{registry}/v2/\": dial tcp: i/o timeout"))
        } else if inner.disk_full {
            Some("write /var/lib/containerd: no space left on device".to_owned())
        } else if site.registry.credentials.get(registry).is_some_and(|wanted| Some(wanted) != auth.as_ref())
        {
            Some("failed to authorize: failed to fetch oauth token: 401 Unauthorized".to_owned())
        } else if site.registry.images.as_ref().is_some_and(|images| !images.contains(&whole)) {
            Some(format!("failed to resolve reference \"{whole}\": {whole}: not found"))
        } else {
            None
        }
    };
    if let Some(why) = why {
        return failed(format!(
            "rpc error: code = Unknown desc = failed to pull and unpack image \"{whole}\": {why}"
        ));
    }
    keep(host, &whole, PULL_US)?;
    ok(format!("Image is up to date for {whole}\n"))
}

/// `ctr images import`. An archive holds the references that its lines name.
pub(super) fn ctr(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(20_000)?);
    let ["--address", socket, "--namespace", "k8s.io", "images", "import", path] = words else {
        return failed(format!("ctr: incorrect usage: {words:?}"));
    };
    if !is_socket(socket) {
        return failed(format!("ctr: cannot access socket {socket}: no such file or directory"));
    }
    let inner = host.inner.borrow();
    if !is_active(&inner, "containerd.service") {
        return failed(format!("ctr: cannot access socket {SOCKET}: no such file or directory"));
    }
    let Some(archive) = text(&inner, path) else {
        return failed(format!("ctr: open {path}: no such file or directory"));
    };
    drop(inner);
    for reference in archive.lines().filter(|line| !line.is_empty()) {
        keep(host, &whole_reference(reference), 500_000)?;
    }
    ok("")
}
