//! The kubelet, what it runs of a control plane, and which of these answer.

use kubespray_node::{HostError, Output, Spawn};
use serde_json::{Value, json};

use super::etcd::{answering, has_quorum, running};
use super::pods::{Kubelet, pass};
use super::{Viewer, address, at, failed, is_active, now_us, ok};
use crate::SimHost;
use crate::host::{Inner, text};

pub(super) const API_MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const PROXY_MANIFESTS: [&str; 2] =
    ["/etc/kubernetes/manifests/nginx-proxy.yml", "/etc/kubernetes/manifests/haproxy.yml"];
/// What kubeadm writes last for the kubelet.
const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// An API server answers so long after it was begun.
const API_START_US: u64 = 4_000_000;
/// Where the container engine looks for networks.
const NETWORKS: &str = "/etc/cni/net.d";
const PROXY_SETTINGS: [&str; 2] = ["/etc/nginx/nginx.conf", "/etc/haproxy/haproxy.cfg"];

/// Whether static pods of the host run.
pub(super) fn runs_kubelet(inner: &Inner) -> bool {
    is_active(inner, "kubelet.service")
        && is_active(inner, "containerd.service")
        && inner.files.get(KUBELET_CONFIG).is_some()
}

/// Whether its API server answers at a moment.
pub(super) fn runs_control_plane(inner: &Inner, now: u64) -> bool {
    runs_kubelet(inner) && inner.files.get(API_MANIFEST).is_some() && !is_api_away(inner, now)
}

fn is_api_away(inner: &Inner, now: u64) -> bool {
    let (from, until) = inner.api_away_us;
    (from..until).contains(&now)
}

/// The API server of a host begins, or begins anew: told where that of another one is away just then for the same
/// reason, for then nobody may be left to answer.
pub(super) fn begin_api(host: &SimHost, is_anew: bool) {
    let now = now_us(&host.inner.borrow());
    let hosts = host.site.borrow().hosts();
    let own = host.inner.borrow().name.clone();
    let is_away = |other: &Inner| {
        other.name != own && other.files.get(API_MANIFEST).is_some() && is_api_away(other, now)
    };
    let away =
        hosts.iter().map(|other| other.borrow()).find(|other| is_away(other)).map(|other| other.name.clone());
    if let Some(away) = away.filter(|_| is_anew) {
        let what = format!("the API server of `{own}` was stopped while that of `{away}` was not back");
        host.site.borrow_mut().broken.push(("control-planes", what));
    }
    host.inner.borrow_mut().api_away_us = (now, now + API_START_US);
}

/// `kubelet`, which only tells its version.
pub(super) fn kubelet(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(30_000)?);
    match words {
        ["--version"] => ok(format!("Kubernetes {}\n", version_of(&host.inner.borrow(), "kubelet"))),
        other => failed(format!("this model runs no kubelet with {other:?}")),
    }
}

/// A kubelet that begins is what its program is then.
pub(crate) fn kubelet_begins(inner: &mut Inner) {
    let version = version_of(inner, "kubelet");
    if let Some(unit) = inner.units.get_mut("kubelet.service") {
        unit.version = version;
    }
}

/// The version of a kubelet that was begun.
fn kubelet_version(inner: &Inner) -> String {
    let version = inner.units.get("kubelet.service").map(|unit| unit.version.clone());
    version.filter(|version| !version.is_empty()).unwrap_or_else(|| version_of(inner, "kubelet"))
}

/// A kubelet must not be newer than any API server, which must not be two minor versions apart (OPS-005): told where
/// one is.
pub(super) fn check_skew(host: &SimHost) {
    let hosts = host.site.borrow().hosts();
    let own = host.inner.borrow().name.clone();
    let server = |inner: &Inner| {
        let manifest = text(inner, API_MANIFEST)?;
        let image = find(&manifest, "image")?;
        Some(image.rsplit_once(':')?.1.to_owned())
    };
    let mut broken = Vec::new();
    let kubelet = kubelet_version(&host.inner.borrow());
    let of_own = server(&host.inner.borrow());
    for other in hosts.iter().map(|other| other.borrow()) {
        let Some(found) = server(&other) else { continue };
        if is_active(&host.inner.borrow(), "kubelet.service") && is_newer(&kubelet, &found) {
            broken.push(format!(
                "the kubelet of `{own}` is {kubelet}, and the API server of `{}` is {found}",
                other.name
            ));
        }
        if let Some(of_own) = &of_own
            && minor(of_own).abs_diff(minor(&found)) > 1
        {
            broken.push(format!("the API servers of `{own}` and `{}` are {of_own} and {found}", other.name));
        }
    }
    host.site.borrow_mut().broken.extend(broken.into_iter().map(|what| ("skew", what)));
}

fn minor(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|part| part.parse().ok()).unwrap_or(0)
}

/// Why the kubelet of a host would end at once.
pub(super) fn kubelet_problem(inner: &Inner) -> Option<String> {
    let settings = text(inner, "/etc/kubernetes/kubelet.env").unwrap_or_default();
    let flag = |name: &str| {
        let rest = settings.split_once(name)?.1;
        rest.split(|end: char| end == '"' || end.is_whitespace()).next().map(str::to_owned)
    };
    let path = flag("--config=").unwrap_or_else(|| KUBELET_CONFIG.to_owned());
    let Some(found) = text(inner, &path) else {
        return Some(format!(
            "failed to load kubelet config file, path: {path}, error: no such file or directory"
        ));
    };
    let document = match super::documents::read(&found) {
        Ok(documents) => documents.into_iter().next().unwrap_or_default(),
        Err(why) => return Some(format!("failed to load kubelet config file, path: {path}, error: {why}")),
    };
    if super::store::words(&document, "/kind") != "KubeletConfiguration" {
        return Some(format!(
            "failed to load kubelet config file, path: {path}, error: no kind KubeletConfiguration"
        ));
    }
    let authority = super::store::words(&document, "/authentication/x509/clientCAFile");
    if !authority.is_empty() && text(inner, authority).is_none() {
        return Some(format!("unable to load client CA file {authority}: no such file or directory"));
    }
    let bears_swap = document.get("failSwapOn").and_then(Value::as_bool) == Some(false);
    if !bears_swap && text(inner, "/proc/swaps").unwrap_or_default().lines().count() > 1 {
        return Some("running with swap on is not supported, please disable swap!".into());
    }
    let is_there = |path: Option<String>| path.is_some_and(|path| text(inner, &path).is_some());
    let has_credential = is_there(flag("--kubeconfig=")) || is_there(flag("--bootstrap-kubeconfig="));
    (settings.contains("--kubeconfig=") && !has_credential)
        .then(|| "unable to load bootstrap kubeconfig: stat: no such file or directory".into())
}

/// Whether a proxy to the control planes runs at 127.0.0.1:6443.
pub(super) fn runs_proxy(inner: &Inner) -> bool {
    runs_kubelet(inner) && PROXY_MANIFESTS.iter().any(|path| inner.files.get(path).is_some())
}

/// The name under which the kubelet of a host registers it.
pub(super) fn node_name(inner: &Inner) -> String {
    let settings = text(inner, "/etc/kubernetes/kubelet.env").unwrap_or_default();
    let name = settings.split_once("--hostname-override=").map(|(_, rest)| {
        rest.split(|end: char| end == '"' || end.is_whitespace()).next().unwrap_or_default().to_owned()
    });
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| inner.name.clone())
}

/// What the kubelet registers its host with: taints, each as `key=value:effect`.
fn register_taints(inner: &Inner) -> Vec<Value> {
    let flags = text(inner, "/var/lib/kubelet/kubeadm-flags.env").unwrap_or_default();
    let list = flags.split_once("--register-with-taints=").map_or("", |(_, rest)| rest);
    let list = list.split(['"', ' ', '\n']).next().unwrap_or_default();
    let taint = |text: &str| {
        let (pair, effect) = text.rsplit_once(':')?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut taint = json!({"key": key, "effect": effect});
        if !value.is_empty() {
            super::store::set(&mut taint, &["value"], value.into());
        }
        Some(taint)
    };
    list.split(',').filter_map(taint).collect()
}

/// The value behind `KEY:` or `KEY=` in a text.
pub(super) fn find(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("- ");
        let value = line.strip_prefix(key)?.strip_prefix([':', '='])?.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    })
}

/// An API server that answers.
pub(super) struct Server {
    pub(super) cluster: u64,
    /// The authority by which it believes clients.
    pub(super) authority: String,
}

/// The API server that answers at an address of a host, directly or through its proxy; else why none does.
pub(super) fn server(host: &SimHost, target: &str, port: u16) -> Result<Server, String> {
    let refused = || "connection refused".to_owned();
    if port != 6443 {
        return Err(refused());
    }
    let found = at(host, target).ok_or_else(|| "no route to host".to_owned())?;
    let now = now_us(&host.inner.borrow());
    let own = plane(&found.borrow(), now);
    if let Some(plane) = own {
        return of_control_plane(host, plane?);
    }
    if !runs_proxy(&found.borrow()) {
        return Err(refused());
    }
    let settings: Vec<String> =
        PROXY_SETTINGS.iter().filter_map(|path| text(&found.borrow(), path)).collect();
    let upstreams = settings.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let mut words =
            line.split_whitespace().filter(|word| word.ends_with(":6443") || word.ends_with(":6443;"));
        words.next().map(|word| word.trim_end_matches(';').trim_end_matches(":6443").to_owned())
    });
    let mut why = refused();
    for upstream in upstreams.filter(|name| !name.starts_with("127.") && !name.contains('*')) {
        let found = at(host, &upstream).and_then(|found| plane(&found.borrow(), now));
        match found.map(|plane| of_control_plane(host, plane?)) {
            Some(Ok(server)) => return Ok(server),
            Some(Err(error)) => why = error,
            None => {}
        }
    }
    Err(why)
}

/// What an API server runs with.
struct Plane {
    /// Of etcd, with commas.
    urls: String,
    /// Of its clients.
    authority: String,
    from: Viewer,
}

/// The API server of a host, or why it ends at once; nothing where there is none.
fn plane(inner: &Inner, now: u64) -> Option<Result<Plane, String>> {
    if !runs_control_plane(inner, now) {
        return None;
    }
    let manifest = text(inner, API_MANIFEST).unwrap_or_default();
    let urls = find(&manifest, "--etcd-servers").unwrap_or_default();
    let authority = find(&manifest, "--client-ca-file").and_then(|path| text(inner, &path));
    for flag in ["--etcd-cafile", "--etcd-certfile", "--etcd-keyfile", "--tls-cert-file"] {
        if let Some(path) = find(&manifest, flag).filter(|path| text(inner, path).is_none()) {
            return Some(Err(format!("the API server exits: open {path}: no such file or directory")));
        }
    }
    let plane = authority.map(|authority| Plane { urls, authority, from: Viewer::of(inner) });
    Some(plane.ok_or_else(|| "the API server has no authority".to_owned()))
}

/// An API server needs a quorum of the etcd that its manifest names.
fn of_control_plane(host: &SimHost, plane: Plane) -> Result<Server, String> {
    let Plane { urls, authority, mut from } = plane;
    // It looks from where it is, at the time of who asks.
    from.now = Viewer::of(&host.inner.borrow()).now;
    let mut site = host.site.borrow_mut();
    let all = running(&mut site);
    let member =
        all.iter().find(|member| member.client_urls.iter().any(|url| urls.split(',').any(|of| of == url)));
    let cluster = member.map(|member| member.cluster).ok_or("etcd does not answer")?;
    let up = answering(&mut site, cluster, from);
    if !has_quorum(&site, cluster, &up) {
        return Err("etcdserver: request timed out".into());
    }
    Ok(Server { cluster, authority })
}

/// Kubelets of all hosts, each with whether it reaches this cluster's API servers.
pub(super) fn kubelets(host: &SimHost, cluster: u64) -> Vec<Kubelet> {
    let hosts = host.site.borrow().hosts();
    let now = Viewer::of(&host.inner.borrow()).now;
    let mut out = Vec::new();
    for other in hosts {
        let (mut kubelet, url) = {
            let inner = other.borrow();
            let Some(kubeconfig) = text(&inner, "/etc/kubernetes/kubelet.conf") else { continue };
            let kubelet = Kubelet {
                node: node_name(&inner),
                version: kubelet_version(&inner),
                taints: register_taints(&inner),
                has_network: inner.files.below(NETWORKS).iter().any(|path| path.contains(".conf")),
                address: address(&inner).to_string(),
                is_control_plane: inner.files.get(API_MANIFEST).is_some(),
                is_there: false,
            };
            let is_on = inner.off_until_us <= now && !inner.is_cut && runs_kubelet(&inner);
            (kubelet, is_on.then(|| find(&kubeconfig, "server").unwrap_or_default()))
        };
        // It asks from its own host, at this moment.
        let asks = SimHost { inner: other, site: std::rc::Rc::clone(&host.site) };
        if let Some((_, name, port, _)) = url.as_deref().and_then(split) {
            kubelet.is_there = server(&asks, &name, port).is_ok_and(|server| server.cluster == cluster);
        }
        out.push(kubelet);
    }
    out
}

/// Time has passed for the objects of a cluster.
pub(super) fn let_pass(host: &SimHost, cluster: u64) {
    let kubelets = kubelets(host, cluster);
    let now = Viewer::of(&host.inner.borrow()).now;
    if let Some(state) = host.site.borrow_mut().clusters.get_mut(&cluster) {
        pass(&mut state.store, &kubelets, now);
    }
}

/// The version that a program's file says, as `v1.35.2`; of the simulated programs these are texts.
pub(super) fn version_of(inner: &Inner, program: &str) -> String {
    let found =
        ["/usr/local/bin", "/usr/bin"].iter().find_map(|folder| text(inner, &format!("{folder}/{program}")));
    let found = found.unwrap_or_default();
    let word = found.split_whitespace().find(|word| word.starts_with("v1."));
    word.unwrap_or("v1.35.0").to_owned()
}

/// Whether one version such as `v1.35.10` is newer than another.
pub(super) fn is_newer(one: &str, other: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        text.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect()
    };
    numbers(one) > numbers(other)
}

/// Scheme, name, port and the rest of a URL.
pub(super) fn split(url: &str) -> Option<(String, String, u16, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (name, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
    Some((scheme.to_owned(), name.to_owned(), port.parse().ok()?, path.to_owned()))
}
