//! kubeadm: the files it leaves and the order in which it does, each phase cut off by whatever kills it. The etcd of a
//! cluster is always one that stands on its own.

mod checks;
mod files;

use kubespray_node::{HostError, Output, Spawn};
use kubespray_resource::Digest;
use serde_json::{Value, json};

use super::documents::{Configuration, Kubeconfig};
use super::kubernetes::{self, runs_control_plane, version_of};
use super::pods::is_ready;
use super::store::Store;
use super::{Viewer, address, failed, ok};
use crate::SimHost;
use crate::host::text;

/// The document with what all hosts of a cluster have in common.
const CLUSTER: &str = "ClusterConfiguration";

const FOLDER: &str = "/etc/kubernetes";
const SOCKET: &str = "/run/containerd/containerd.sock";
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// What all control planes of a cluster have in common.
const SHARED: [&str; 6] =
    ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"];
/// What each makes for itself.
const OWN: [&str; 3] = ["apiserver", "apiserver-kubelet-client", "front-proxy-client"];
const DAY_US: u64 = 86_400_000_000;
const TWO_HOURS_US: u64 = 7_200_000_000;
/// kubeadm waits for an API server for about so long, and looks every so often.
const PATIENCE_US: u64 = 240_000_000;
const LOOK_US: u64 = 3_000_000;

/// What was asked of kubeadm.
#[derive(Default)]
struct Asked {
    words: Vec<String>,
    config: String,
    ignored: Vec<String>,
    skipped: Vec<String>,
    upload: bool,
    force: bool,
    certificates: Option<String>,
}

/// A certificate of kubeadm for a user, by an authority.
fn client(user: &str, authority: &str) -> String {
    format!("client {user} by {}", Digest::of(authority.trim().as_bytes()))
}

/// Whether an authority has made a client's certificate.
pub(super) fn is_client_of(certificate: &str, authority: &str) -> bool {
    let by = Digest::of(authority.trim().as_bytes()).to_string();
    certificate.starts_with("client ") && certificate.ends_with(&by)
}

fn parse(words: &[&str]) -> Result<Asked, String> {
    let (mut out, mut at) = (Asked::default(), words.iter());
    while let Some(word) = at.next() {
        let mut value =
            || at.next().map(|value| (*value).to_owned()).ok_or(format!("flag needs an argument: {word}"));
        let list = |text: String| text.split(',').map(str::to_owned).collect();
        match *word {
            "--config" => out.config = value()?,
            "--ignore-preflight-errors" => out.ignored = list(value()?),
            "--skip-phases" => out.skipped = list(value()?),
            "--upload-certs" => out.upload = true,
            "--force" => out.force = true,
            "--yes" => {}
            "--cert-dir" => out.certificates = Some(value()?),
            "--cri-socket" if value()? == format!("unix://{SOCKET}") => {}
            "--kubeconfig" | "--ttl" | "--description" | "-o" => drop(value()?),
            flag if flag.starts_with('-') => return Err(format!("unknown flag: {flag}")),
            word => out.words.push(word.to_owned()),
        }
    }
    Ok(out)
}

/// `kubeadm`.
pub(super) fn kubeadm(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(50_000)?);
    let asked = match parse(words) {
        Ok(asked) => asked,
        Err(why) => {
            return failed(format!(
                "{why}\nTo see the stack trace of this error execute with --v=5 or higher"
            ));
        }
    };
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    let config = match (asked.config.as_str(), text(&host.inner.borrow(), &asked.config)) {
        ("", _) => Configuration::default(),
        (path, None) => {
            return failed(format!("unable to read config from \"{path}\": no such file or directory"));
        }
        (_, Some(config)) => match Configuration::read(&config) {
            Ok(config) => config,
            Err(why) => return failed(format!("error: {why}")),
        },
    };
    let work = Work { host, asked: &asked, config: &config };
    match words.as_slice() {
        ["version"] => ok(version_of(&host.inner.borrow(), "kubeadm") + "\n"),
        ["init"] => work.init(),
        ["join"] => work.join(),
        ["upgrade", "apply", version] => work.upgrade(Some(version)),
        ["upgrade", "node"] => work.upgrade(None),
        ["reset"] => work.reset(),
        ["token", "create", token] => work.token(token),
        ["init", "phase", rest @ ..] => work.phase(rest),
        ["join", "phase", "control-plane-join", "all"] => work.finish_join(),
        other => failed(format!("invalid subcommand {other:?}")),
    }
}

fn phase(name: &str, why: &str) -> Result<Output, HostError> {
    failed(format!("error: error execution phase {name}: {why}\n"))
}

struct Work<'a> {
    host: &'a SimHost,
    asked: &'a Asked,
    config: &'a Configuration,
}

impl Work<'_> {
    fn is_there(&self, path: &str) -> bool {
        self.host.inner.borrow().files.get(path).is_some()
    }

    /// The folder of certificates.
    fn certificates(&self) -> String {
        let of_cluster = self.config.text(CLUSTER, "/certificatesDir");
        // Who joins is told where the authority's certificate goes; everything else of a control plane lies beside it.
        let of_join = self.config.text("JoinConfiguration", "/caCertPath");
        let of_join = of_join.and_then(|path| Some(path.rsplit_once('/')?.0.to_owned()));
        of_cluster.or(of_join).unwrap_or_else(|| format!("{FOLDER}/pki"))
    }

    fn version(&self) -> String {
        let version = self.config.text(CLUSTER, "/kubernetesVersion");
        version.unwrap_or_else(|| version_of(&self.host.inner.borrow(), "kubeadm"))
    }

    fn endpoint(&self) -> String {
        let own = || format!("{}:6443", address(&self.host.inner.borrow()));
        format!("https://{}", self.config.text(CLUSTER, "/controlPlaneEndpoint").unwrap_or_else(own))
    }

    fn skips(&self, name: &str) -> bool {
        self.asked.skipped.iter().any(|phase| phase == name)
    }

    /// Waits for an API server.
    fn server(&self, url: &str) -> Result<Result<kubernetes::Server, String>, HostError> {
        let Some((_, name, port, _)) = kubernetes::split(url) else {
            return Ok(Err(format!("{url} is no URL")));
        };
        let mut found = kubernetes::server(self.host, &name, port);
        for _ in 0..PATIENCE_US / LOOK_US {
            drop(self.host.alive(LOOK_US)?);
            if found.is_ok() {
                break;
            }
            found = kubernetes::server(self.host, &name, port);
        }
        Ok(found)
    }

    fn now(&self) -> u64 {
        Viewer::of(&self.host.inner.borrow()).now
    }

    /// A phase of `init` alone.
    fn phase(&self, words: &[&str]) -> Result<Output, HostError> {
        match words {
            ["control-plane", "all"] => self.manifests(self.config, &self.version())?,
            ["certs", "apiserver"] => self.server_certificate(self.config)?,
            ["upload-config", "all"] => {
                return self.in_store("upload-config", |store, work| work.keep(store));
            }
            ["upload-certs"] if self.asked.upload => return self.upload(),
            ["upload-certs"] => {}
            ["bootstrap-token"] => {
                return self.in_store("bootstrap-token", |store, work| work.let_join(store));
            }
            other => return failed(format!("invalid subcommand init phase {other:?}")),
        }
        ok("")
    }

    fn init(&self) -> Result<Output, HostError> {
        if !self.config.has(CLUSTER) || !self.config.has("InitConfiguration") {
            return failed("error: no InitConfiguration or ClusterConfiguration kind was found");
        }
        if let Some(refused) = self.checks(true) {
            return refused;
        }
        let cluster = match self.etcd() {
            Ok(cluster) => cluster,
            Err(why) => {
                return phase("preflight", &format!("[preflight] Some fatal errors occurred:\n\t{why}"));
            }
        };
        let folder = self.certificates();
        let fresh = self.host.inner.borrow().effects;
        let name = self.host.inner.borrow().name.clone();
        let made = |file: &str| (format!("{folder}/{file}"), format!("{file} of {name} {fresh}\n"));
        self.write(&SHARED.iter().map(|file| made(file)).collect::<Vec<_>>(), false)?;
        if let Err(why) = self.own_certificates(self.config)? {
            return phase("certs", &why);
        }
        let own = format!("https://{}:6443", address(&self.host.inner.borrow()));
        self.kubeconfigs(&["admin", "super-admin", "kubelet"], &self.endpoint())?;
        self.kubeconfigs(&["controller-manager", "scheduler"], &own)?;
        self.manifests(self.config, &self.version())?;
        if let Err(why) = self.kubelet(true)? {
            return phase("kubelet-start", &why);
        }
        match self.server(&own)? {
            Ok(server) if server.cluster == cluster => {}
            Ok(_) => return phase("wait-control-plane", "another etcd"),
            Err(why) => return phase("wait-control-plane", &why),
        }
        let kept = self.in_store("upload-config", |store, work| {
            work.keep(store)?;
            work.let_join(store)?;
            work.addons(store);
            Ok(())
        })?;
        if !kept.is_success() {
            return Ok(kept);
        }
        if self.asked.upload {
            self.upload()?;
        }
        ok("Your Kubernetes control-plane has initialized successfully!\n")
    }

    /// Changes what the API server of this host keeps.
    fn in_store(
        &self,
        name: &str,
        change: impl FnOnce(&mut Store, &Self) -> Result<(), String>,
    ) -> Result<Output, HostError> {
        let Some(cluster) = self.own_cluster() else { return phase(name, "connection refused") };
        drop(self.host.effect(name, 200_000)?);
        let mut site = self.host.site.borrow_mut();
        let Some(state) = site.clusters.get_mut(&cluster) else { return phase(name, "no etcd") };
        match change(&mut state.store, self) {
            Ok(()) => ok(""),
            Err(why) => phase(name, &why),
        }
    }

    /// The configuration, for those that join.
    fn keep(&self, store: &mut Store) -> Result<(), String> {
        let authority = text(&self.host.inner.borrow(), &format!("{}/ca.crt", self.certificates()));
        let authority = authority.unwrap_or_default();
        if !store.authority.is_empty() && store.authority != authority {
            return Err("this etcd holds a cluster of another authority".into());
        }
        let now = self.now();
        store.authority = authority;
        store.kubernetes_version = self.version();
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            add(store, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), now);
        }
        let Some(document) = self.config.document(CLUSTER) else {
            return Err("no ClusterConfiguration".into());
        };
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kubeadm-config", "namespace": "kube-system"},
            "data": {CLUSTER: document.to_string()}});
        store.save(map, now);
        Ok(())
    }

    /// Bootstrap tokens of the configuration, and that everybody may see whom to trust.
    fn let_join(&self, store: &mut Store) -> Result<(), String> {
        let now = self.now();
        let tokens = self.config.at("InitConfiguration", "/bootstrapTokens").and_then(Value::as_array);
        for token in tokens.into_iter().flatten() {
            let text = super::store::words(token, "/token");
            if text.split_once('.').is_none_or(|(id, secret)| (id.len(), secret.len()) != (6, 16)) {
                return Err(format!(
                    "the bootstrap token {text:?} is not of the form \"\\A([a-z0-9]{{6}})\\.([a-z0-9]{{16}})\\z\""
                ));
            }
            store.tokens.insert(text.to_owned(), now + DAY_US);
        }
        let rbac = "rbac.authorization.k8s.io";
        let name = "kubeadm:bootstrap-signer-clusterinfo";
        add(
            store,
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
                "metadata": {"name": name, "namespace": "kube-public"},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": "system:anonymous"}]}),
            now,
        );
        Ok(())
    }

    /// DNS and kube-proxy, as kubeadm deploys them.
    fn addons(&self, store: &mut Store) {
        let now = self.now();
        let own = |kind: &str, version: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}});
        let pods = |name: &str, host_network: bool| {
            let labels = json!({"k8s-app": name});
            json!({"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "hostNetwork": host_network, "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": name, "image": name}]}}})
        };
        let mut workload = |kind: &str, name: &str, spec: Value| {
            let mut object = own(kind, "apps/v1", name);
            super::store::set(&mut object, &["spec"], spec);
            add(store, object, now);
        };
        if !self.skips("addon/kube-proxy") {
            workload("DaemonSet", "kube-proxy", pods("kube-proxy", true));
            add(store, own("ConfigMap", "v1", "kube-proxy"), now);
        }
        let is_disabled = self.config.at(CLUSTER, "/dns/disabled").and_then(Value::as_bool) == Some(true);
        if !self.skips("addon/coredns") && !is_disabled {
            let mut workload = own("Deployment", "apps/v1", "coredns");
            super::store::set(&mut workload, &["spec"], pods("coredns", false));
            add(store, workload, now);
        }
    }

    /// The cluster whose API server this control plane itself runs.
    fn own_cluster(&self) -> Option<u64> {
        let own = address(&self.host.inner.borrow()).to_string();
        kubernetes::server(self.host, &own, 6443).ok().map(|server| server.cluster)
    }

    fn token(&self, token: &str) -> Result<Output, HostError> {
        let Some(cluster) = self.own_cluster() else { return failed("error: connection refused") };
        drop(self.host.effect("token", 50_000)?);
        let now = self.now();
        if let Some(state) = self.host.site.borrow_mut().clusters.get_mut(&cluster) {
            state.store.tokens.insert(token.to_owned(), now + DAY_US);
        }
        ok(format!("{token}\n"))
    }

    fn upload(&self) -> Result<Output, HostError> {
        let Some(key) = self.config.text("InitConfiguration", "/certificateKey") else {
            return phase("upload-certs", "no key");
        };
        if key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return phase("upload-certs", "the certificate key is no 32 bytes in hexadecimal");
        }
        self.in_store("upload-certs", |store, work| {
            let folder = work.certificates();
            let texts = SHARED
                .map(|file| (file.to_owned(), text(&work.host.inner.borrow(), &format!("{folder}/{file}"))));
            store.uploaded.insert(key, work.now() + TWO_HOURS_US);
            store.certificates = texts.into_iter().filter_map(|(file, text)| Some((file, text?))).collect();
            Ok(())
        })
    }

    /// Where one that joins finds the cluster, whom it believes, and its token; or why it does not say so.
    fn discovery(&self) -> Result<(String, Option<String>, String), String> {
        let get = |pointer: &str| self.config.text("JoinConfiguration", &format!("/discovery/{pointer}"));
        let token = get("tlsBootstrapToken").or_else(|| get("bootstrapToken/token"));
        let token = token.ok_or("discovery.tlsBootstrapToken: Invalid value: \"\"")?;
        if let Some(endpoint) = get("bootstrapToken/apiServerEndpoint") {
            return Ok((format!("https://{endpoint}"), None, token));
        }
        let path = get("file/kubeConfigPath").ok_or("discovery: Invalid value: \"\"")?;
        let inner = self.host.inner.borrow();
        let found = text(&inner, &path).ok_or(format!("open {path}: no such file or directory"))?;
        let kubeconfig = Kubeconfig::read(&found)?;
        let authority = text(&inner, &kubeconfig.authority_file);
        let authority = authority.ok_or(format!("unable to read {}", kubeconfig.authority_file))?;
        Ok((kubeconfig.server, Some(authority), token))
    }

    fn join(&self) -> Result<Output, HostError> {
        let is_plane = self.config.at("JoinConfiguration", "/controlPlane").is_some();
        if let Some(refused) = self.checks(is_plane) {
            return refused;
        }
        let invalid = |why: &str| {
            phase("preflight", &format!("couldn't validate the identity of the API Server: {why}"))
        };
        let (url, authority, token) = match self.discovery() {
            Ok(found) => found,
            Err(why) => return invalid(&why),
        };
        let server = match self.server(&url)? {
            Ok(server) => server,
            Err(why) => return invalid(&why),
        };
        kubernetes::let_pass(self.host, server.cluster);
        let now = self.now();
        let Some(state) =
            self.host.site.borrow().clusters.get(&server.cluster).map(|state| state.store.clone())
        else {
            return phase("preflight", "etcdserver: no leader");
        };
        if authority.is_some_and(|authority| authority.trim() != state.authority.trim()) {
            return invalid("x509: certificate signed by unknown authority");
        }
        if state.tokens.get(&token).is_none_or(|until| *until <= now) {
            return invalid("could not find a JWS signature for the token");
        }
        let Some(config) = of_cluster(&state) else {
            return phase("preflight", "unable to fetch the kubeadm-config ConfigMap");
        };
        let folder = self.certificates();
        if is_plane {
            let key =
                self.config.text("JoinConfiguration", "/controlPlane/certificateKey").unwrap_or_default();
            let is_good = state.uploaded.get(&key).is_some_and(|until| *until > now);
            let has_all = SHARED.iter().all(|file| self.is_there(&format!("{folder}/{file}")));
            if !is_good && !has_all {
                return phase(
                    "control-plane-prepare/download-certs",
                    "secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace",
                );
            }
            let shared: Vec<_> = state
                .certificates
                .iter()
                .map(|(file, text)| (format!("{folder}/{file}"), text.clone()))
                .collect();
            self.write(&shared, false)?;
            if let Err(why) = self.own_certificates(&config)? {
                return phase("control-plane-prepare/certs", &why);
            }
            let own = format!("https://{}:6443", address(&self.host.inner.borrow()));
            self.kubeconfigs(&["admin"], &url)?;
            self.kubeconfigs(&["controller-manager", "scheduler"], &own)?;
            self.manifests(&config, &state.kubernetes_version)?;
        } else {
            self.write(&[(format!("{folder}/ca.crt"), state.authority.clone())], false)?;
        }
        let node = kubernetes::node_name(&self.host.inner.borrow());
        if state.get("v1", "Node", "", &node).is_some_and(is_ready) {
            let why = format!("a Node with name {node:?} and status \"Ready\" already exists in the cluster");
            return phase("kubelet-start", &why);
        }
        self.kubeconfigs(&["kubelet"], &url)?;
        if let Err(why) = self.kubelet(is_plane)? {
            return phase("kubelet-start", &why);
        }
        if is_plane {
            return self.finish_join();
        }
        ok("This node has joined the cluster\n")
    }

    /// The last phase of a control plane that joins.
    fn finish_join(&self) -> Result<Output, HostError> {
        let own = format!("https://{}:6443", address(&self.host.inner.borrow()));
        match self.server(&own)? {
            Ok(_) => ok("This node has joined the cluster and a new control plane instance was created\n"),
            Err(why) => phase("control-plane-join", &why),
        }
    }

    fn upgrade(&self, version: Option<&str>) -> Result<Output, HostError> {
        if !runs_control_plane(&self.host.inner.borrow(), self.now()) && version.is_some() {
            return phase("preflight", "this host is no control plane that runs");
        }
        let Some(cluster) = self.own_cluster() else { return phase("preflight", "connection refused") };
        let found = self
            .host
            .site
            .borrow()
            .clusters
            .get(&cluster)
            .map(|state| state.store.kubernetes_version.clone());
        let found = found.unwrap_or_default();
        let wanted = version.map_or_else(|| found.clone(), str::to_owned);
        let minor =
            |text: &str| text.split('.').nth(1).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
        if minor(&wanted) > minor(&found) + 1 || minor(&wanted) < minor(&found) {
            return failed(format!(
                "[upgrade/version] FATAL: the --version argument is invalid: {wanted} after {found}"
            ));
        }
        if kubernetes::is_newer(&wanted, &version_of(&self.host.inner.borrow(), "kubeadm")) {
            return failed(format!("[upgrade/version] FATAL: kubeadm is older than {wanted}"));
        }
        let config =
            self.host.site.borrow().clusters.get(&cluster).and_then(|state| of_cluster(&state.store));
        let config = config.unwrap_or_else(|| self.config.clone());
        self.manifests(&config, &wanted)?;
        drop(self.host.alive(10_000_000)?);
        if let Some(state) = self.host.site.borrow_mut().clusters.get_mut(&cluster) {
            state.store.kubernetes_version.clone_from(&wanted);
        }
        ok("SUCCESS!\n")
    }

    fn reset(&self) -> Result<Output, HostError> {
        if !self.asked.force {
            return failed("error: aborted reset operation");
        }
        let folder = self.asked.certificates.clone().unwrap_or_else(|| format!("{FOLDER}/pki"));
        let mut inner = self.host.effect(FOLDER, 2_000_000)?;
        if let Some(unit) = inner.units.get_mut("kubelet.service") {
            unit.active = false;
        }
        let folders = [format!("{FOLDER}/manifests"), folder, "/var/lib/kubelet".to_owned()];
        let mut gone: Vec<String> = folders.iter().flat_map(|folder| inner.files.below(folder)).collect();
        let names =
            ["admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler"];
        gone.extend(names.iter().map(|name| format!("{FOLDER}/{name}.conf")));
        for path in gone.iter().filter(|path| inner.files.get(path).is_some()).cloned().collect::<Vec<_>>() {
            inner.files.put(&path, None);
        }
        inner.files.sync();
        ok("")
    }
}

/// The configuration that a cluster keeps.
fn of_cluster(store: &Store) -> Option<Configuration> {
    let map = store.get("v1", "ConfigMap", "kube-system", "kubeadm-config")?;
    Configuration::read(super::store::words(map, &format!("/data/{CLUSTER}"))).ok()
}

/// An object that is only made where it is not there.
fn add(store: &mut Store, object: Value, now: u64) {
    let (version, kind, namespace, name) = super::store::key_of(&object);
    if store.get(&version, &kind, &namespace, &name).is_none() {
        store.save(object, now);
    }
}

fn etcd_urls(config: &Configuration) -> Vec<String> {
    let urls = config.at(CLUSTER, "/etcd/external/endpoints").and_then(Value::as_array);
    urls.into_iter().flatten().filter_map(|url| Some(url.as_str()?.to_owned())).collect()
}
