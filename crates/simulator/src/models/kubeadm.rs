//! kubeadm: the files it leaves and the order in which it does, each phase cut off by whatever kills it. The etcd of a
//! cluster is always one that stands on its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_node::{HostError, Output, Spawn};
use kubespray_resource::{Digest, Mode};
use serde_json::json;

use super::etcd::running;
use super::kubernetes::{self, API_MANIFEST, find, runs_control_plane, runs_kubelet, version_of};
use super::{Viewer, address, failed, has_socket, is_installed, ok};
use crate::SimHost;
use crate::files::Node;
use crate::host::{file, put, text};

const FOLDER: &str = "/etc/kubernetes";
const SOCKET: &str = "/run/containerd/containerd.sock";
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// What all control planes of a cluster have in common.
const SHARED: [&str; 6] =
    ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"];
/// What each makes for itself.
const OWN: [&str; 6] = [
    "apiserver.crt",
    "apiserver.key",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "front-proxy-client.crt",
    "front-proxy-client.key",
];
const DAY_US: u64 = 86_400_000_000;
const TWO_HOURS_US: u64 = 7_200_000_000;
/// kubeadm waits for an API server for about so long.
const PATIENCE_US: u64 = 240_000_000;

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
        ("", _) => String::new(),
        (path, None) => {
            return failed(format!("unable to read config from \"{path}\": no such file or directory"));
        }
        (_, Some(config)) if config.contains("apiVersion: kubeadm.k8s.io/v1beta4") => config,
        _ => return failed("error: no kind and apiVersion of kubeadm.k8s.io/v1beta4"),
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
        ["init", "phase", "upload-certs"] if asked.upload => work.upload(),
        ["init", "phase", "control-plane", "all"] => match work.manifests(&work.version()) {
            Ok(()) => ok(""),
            Err(error) => Err(error),
        },
        other => failed(format!("invalid subcommand {other:?}")),
    }
}

fn phase(name: &str, why: &str) -> Result<Output, HostError> {
    failed(format!("error: error execution phase {name}: {why}\n"))
}

struct Work<'a> {
    host: &'a SimHost,
    asked: &'a Asked,
    config: &'a str,
}

impl Work<'_> {
    fn is_there(&self, path: &str) -> bool {
        self.host.inner.borrow().files.get(path).is_some()
    }

    fn certificates(&self) -> String {
        find(self.config, "certificatesDir").unwrap_or_else(|| format!("{FOLDER}/pki"))
    }

    fn version(&self) -> String {
        let version = find(self.config, "kubernetesVersion");
        version.unwrap_or_else(|| version_of(&self.host.inner.borrow(), "kubeadm"))
    }

    /// One effect: files at once. What is there is left alone, but for those that are always written.
    fn write(&self, files: &[(String, String)], over: bool) -> Result<(), HostError> {
        for (path, text) in files {
            if !over && self.is_there(path) {
                continue;
            }
            let mut inner = self.host.effect(path, 30_000)?;
            if inner.disk_full {
                return Err(HostError::Refused {
                    what: format!("`{path}`"),
                    why: "no space left on device".into(),
                });
            }
            let mut folder = String::new();
            for part in path.trim_start_matches('/').split('/') {
                if !folder.is_empty() && inner.files.get(&folder).is_none() {
                    put(&mut inner, &folder, Node::Directory, Mode::EXECUTABLE);
                }
                folder = format!("{folder}/{part}");
            }
            file(&mut inner, path, text);
            inner.files.sync();
        }
        Ok(())
    }

    /// Checks that failed; nothing where none did.
    fn checks(&self, is_control_plane: bool) -> Option<Result<Output, HostError>> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, why: String| found.push((name.to_owned(), why));
        if !has_socket(self.host, SOCKET) {
            add("CRI", "container runtime is not running".into());
        }
        let inner = self.host.inner.borrow();
        for program in ["kubelet", "crictl"] {
            if !is_installed(&inner, program) {
                add(&format!("FileExisting-{program}"), format!("{program} not found in system path"));
            }
        }
        if text(&inner, "/proc/swaps").unwrap_or_default().lines().count() > 1 {
            add("Swap", "swap is supported for cgroup v2 only".into());
        }
        if text(&inner, "/proc/sys/net/ipv4/ip_forward").is_none_or(|text| text.trim() != "1") {
            add(
                "FileContent--proc-sys-net-ipv4-ip_forward",
                "/proc/sys/net/ipv4/ip_forward contents are not set to 1".into(),
            );
        }
        if runs_kubelet(&inner) {
            add("Port-10250", "Port 10250 is in use".into());
        }
        if inner.files.get("/etc/kubernetes/kubelet.conf").is_some() {
            add(
                "FileAvailable--etc-kubernetes-kubelet.conf",
                "/etc/kubernetes/kubelet.conf already exists".into(),
            );
        }
        for component in COMPONENTS {
            let path = format!("{FOLDER}/manifests/{component}.yaml");
            if is_control_plane && inner.files.get(&path).is_some() {
                add(&format!("FileAvailable-{}", path.replace('/', "-")), format!("{path} already exists"));
            }
        }
        if is_control_plane && (version_of(&inner, "kubeadm") < self.version()) {
            add(
                "KubernetesVersion",
                "this version of kubeadm is older than the version that is wished".into(),
            );
        }
        let is_ignored =
            |name: &str| self.asked.ignored.iter().any(|of| of == "all" || of.eq_ignore_ascii_case(name));
        found.retain(|(name, _)| !is_ignored(name));
        if found.is_empty() {
            return None;
        }
        let lines =
            found.iter().map(|(name, why)| format!("\t[ERROR {name}]: {why}\n")).collect::<Vec<_>>().concat();
        Some(failed(format!(
            "[preflight] Some fatal errors occurred:\n{lines}error: error execution phase preflight: [preflight] Some fatal errors occurred\n"
        )))
    }

    /// The cluster of etcd that the configuration names, with what is wrong with it.
    fn etcd(&self) -> Result<u64, String> {
        for key in ["caFile", "certFile", "keyFile"] {
            let path = find(self.config, key).ok_or("this model knows only an external etcd")?;
            if !self.is_there(&path) {
                return Err(format!("[ERROR ExternalEtcdClientCertificates]: {path} doesn't exist"));
            }
        }
        let urls = self.etcd_urls();
        let all = running(&mut self.host.site.borrow_mut());
        let member = all.iter().find(|member| member.client_urls.iter().any(|url| urls.contains(url)));
        member
            .map(|member| member.cluster)
            .ok_or_else(|| "[ERROR ExternalEtcdVersion]: connection refused".into())
    }

    fn etcd_urls(&self) -> Vec<String> {
        let behind = self.config.lines().skip_while(|line| line.trim() != "endpoints:").skip(1);
        let items = behind.map_while(|line| line.trim().strip_prefix("- "));
        items.map(|url| url.trim_matches(['"', '\'']).to_owned()).collect()
    }

    fn manifests(&self, version: &str) -> Result<(), HostError> {
        let folder = self.certificates();
        let old = text(&self.host.inner.borrow(), API_MANIFEST).unwrap_or_default();
        let urls = match self.etcd_urls() {
            urls if urls.is_empty() => find(&old, "--etcd-servers").unwrap_or_default(),
            urls => urls.join(","),
        };
        let authority = find(&old, "--client-ca-file").filter(|_| self.config.is_empty());
        let authority = authority.unwrap_or_else(|| format!("{folder}/ca.crt"));
        let repository = find(self.config, "imageRepository").unwrap_or_else(|| "registry.k8s.io".into());
        let files = COMPONENTS.map(|name| {
            let mut text =
                format!("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n    - {name}\n");
            if name == "kube-apiserver" {
                text.extend([format!("    - --etcd-servers={urls}\n    - --client-ca-file={authority}\n")]);
            }
            text.extend([format!("    image: {repository}/{name}:{version}\n")]);
            (format!("{FOLDER}/manifests/{name}.yaml"), text)
        });
        self.write(&files, true)
    }

    fn kubeconfigs(&self, names: &[&str], server: &str) -> Result<(), HostError> {
        let authority = text(&self.host.inner.borrow(), &format!("{}/ca.crt", self.certificates()));
        let authority = authority.unwrap_or_default();
        let data = |text: &str| STANDARD.encode(text);
        for name in names {
            let certificate = data(&client(name, &authority));
            let text = format!(
                "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: {name}\n  name: {name}@kubernetes\ncurrent-context: {name}@kubernetes\nusers:\n- name: {name}\n  user:\n    client-certificate-data: {certificate}\n    client-key-data: {}\n",
                data(&authority),
                data("a key"),
            );
            self.write(&[(format!("{FOLDER}/{name}.conf"), text)], false)?;
        }
        Ok(())
    }

    fn kubelet(&self) -> Result<(), HostError> {
        let folder = "/var/lib/kubelet";
        self.write(
            &[
                (format!("{folder}/kubeadm-flags.env"), "KUBELET_KUBEADM_ARGS=\"\"\n".into()),
                (format!("{folder}/config.yaml"), "kind: KubeletConfiguration\n".into()),
            ],
            true,
        )?;
        let mut inner = self.host.effect("kubelet.service", 500_000)?;
        let is_unit = crate::programs::unit_text(&inner, "kubelet.service");
        let now = inner.effects;
        let unit = inner.units.entry("kubelet.service".into()).or_default();
        if is_unit.is_some() && !unit.active {
            unit.active = true;
            unit.loaded = is_unit;
            unit.started_at = now;
        }
        Ok(())
    }

    fn endpoint(&self) -> String {
        let own = || format!("{}:6443", address(&self.host.inner.borrow()));
        format!("https://{}", find(self.config, "controlPlaneEndpoint").unwrap_or_else(own))
    }

    /// Waits for an API server.
    fn server(&self, url: &str) -> Result<Result<kubernetes::Server, String>, HostError> {
        let Some((_, name, port, _)) = kubernetes::split(url) else {
            return Ok(Err(format!("{url} is no URL")));
        };
        let found = kubernetes::server(self.host, &name, port);
        drop(self.host.alive(if found.is_ok() { 3_000_000 } else { PATIENCE_US })?);
        Ok(found)
    }

    fn now(&self) -> u64 {
        Viewer::of(&self.host.inner.borrow()).now
    }

    fn init(&self) -> Result<Output, HostError> {
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
        self.write(&OWN.iter().map(|file| made(file)).collect::<Vec<_>>(), false)?;
        let own = format!("https://{}:6443", address(&self.host.inner.borrow()));
        self.kubeconfigs(&["admin", "super-admin", "kubelet"], &self.endpoint())?;
        self.kubeconfigs(&["controller-manager", "scheduler"], &own)?;
        self.manifests(&self.version())?;
        self.kubelet()?;
        match self.server(&own)? {
            Ok(server) if server.cluster == cluster => {}
            Ok(_) => return phase("wait-control-plane", "another etcd"),
            Err(why) => return phase("wait-control-plane", &why),
        }
        drop(self.host.effect("upload-config", 500_000)?);
        let now = self.now();
        let authority = text(&self.host.inner.borrow(), &format!("{folder}/ca.crt")).unwrap_or_default();
        let mut site = self.host.site.borrow_mut();
        let Some(state) = site.clusters.get_mut(&cluster) else { return phase("upload-config", "no etcd") };
        let store = &mut state.store;
        if !store.authority.is_empty() && store.authority != authority {
            return phase("upload-config", "this etcd holds a cluster of another authority");
        }
        store.authority = authority;
        store.kubernetes_version = self.version();
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            if store.get("v1", "Namespace", "", name).is_none() {
                store.save(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}), now);
            }
        }
        if let Some(token) = find(self.config, "token") {
            store.tokens.insert(token, now + DAY_US);
        }
        drop(site);
        if self.asked.upload {
            self.upload()?;
        }
        ok("Your Kubernetes control-plane has initialized successfully!\n")
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
        let Some(cluster) = self.own_cluster() else { return phase("upload-certs", "connection refused") };
        let Some(key) = find(self.config, "certificateKey") else { return phase("upload-certs", "no key") };
        drop(self.host.effect("upload-certs", 50_000)?);
        let (now, folder) = (self.now(), self.certificates());
        let texts = SHARED
            .map(|file| (file.to_owned(), text(&self.host.inner.borrow(), &format!("{folder}/{file}"))));
        if let Some(state) = self.host.site.borrow_mut().clusters.get_mut(&cluster) {
            state.store.uploaded.insert(key, now + TWO_HOURS_US);
            state.store.certificates =
                texts.into_iter().filter_map(|(file, text)| Some((file, text?))).collect();
        }
        ok("")
    }

    fn join(&self) -> Result<Output, HostError> {
        let is_plane = self.config.lines().any(|line| line.starts_with("controlPlane:"));
        if let Some(refused) = self.checks(is_plane) {
            return refused;
        }
        let at = find(self.config, "apiServerEndpoint").unwrap_or_default();
        let server = match self.server(&format!("https://{at}"))? {
            Ok(server) => server,
            Err(why) => {
                return phase(
                    "preflight",
                    &format!("couldn't validate the identity of the API Server: {why}"),
                );
            }
        };
        let now = self.now();
        let Some(state) =
            self.host.site.borrow().clusters.get(&server.cluster).map(|state| state.store.clone())
        else {
            return phase("preflight", "etcdserver: no leader");
        };
        let token = find(self.config, "token").unwrap_or_default();
        if state.tokens.get(&token).is_none_or(|until| *until <= now) {
            return phase(
                "preflight",
                "couldn't validate the identity of the API Server: could not find a JWS signature for the token",
            );
        }
        let folder = self.certificates();
        let shared: Vec<_> = state
            .certificates
            .iter()
            .map(|(file, text)| (format!("{folder}/{file}"), text.clone()))
            .collect();
        if is_plane {
            let key = find(self.config, "certificateKey").unwrap_or_default();
            let is_good = state.uploaded.get(&key).is_some_and(|until| *until > now);
            let has_all = SHARED.iter().all(|file| self.is_there(&format!("{folder}/{file}")));
            if !is_good && !has_all {
                return phase(
                    "control-plane-prepare/download-certs",
                    "secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace",
                );
            }
            self.write(&shared, false)?;
            let name = self.host.inner.borrow().name.clone();
            let own: Vec<_> =
                OWN.iter().map(|file| (format!("{folder}/{file}"), format!("{file} of {name}\n"))).collect();
            self.write(&own, false)?;
            let own = format!("https://{}:6443", address(&self.host.inner.borrow()));
            self.kubeconfigs(&["admin"], &format!("https://{at}"))?;
            self.kubeconfigs(&["controller-manager", "scheduler"], &own)?;
            // What the cluster keeps of its configuration names its etcd.
            let manifest = self.manifest_of_cluster(server.cluster);
            for component in COMPONENTS {
                let mut text = manifest.replace("kube-apiserver", component);
                if component != "kube-apiserver" {
                    text = text
                        .lines()
                        .filter(|line| !line.contains("- --"))
                        .flat_map(|line| [line, "\n"])
                        .collect();
                }
                self.write(&[(format!("{FOLDER}/manifests/{component}.yaml"), text)], true)?;
            }
        } else {
            self.write(&[(format!("{folder}/ca.crt"), state.authority.clone())], false)?;
        }
        self.kubelet()?;
        self.kubeconfigs(&["kubelet"], &format!("https://{at}"))?;
        drop(self.host.alive(3_000_000)?);
        if is_plane && self.own_cluster() != Some(server.cluster) {
            return phase("control-plane-join", "the API server of this host does not answer");
        }
        ok("This node has joined the cluster\n")
    }

    fn manifest_of_cluster(&self, cluster: u64) -> String {
        let found = kubernetes::kubelets(self.host, cluster)
            .into_iter()
            .find(|node| node.is_control_plane && node.is_there);
        let hosts = self.host.site.borrow().hosts();
        let host = found.and_then(|node| hosts.into_iter().find(|host| host.borrow().name == node.node));
        host.and_then(|host| text(&host.borrow(), API_MANIFEST)).unwrap_or_default()
    }

    fn upgrade(&self, version: Option<&str>) -> Result<Output, HostError> {
        if !runs_control_plane(&self.host.inner.borrow()) && version.is_some() {
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
        if version_of(&self.host.inner.borrow(), "kubeadm") < wanted {
            return failed(format!("[upgrade/version] FATAL: kubeadm is older than {wanted}"));
        }
        self.manifests(&wanted)?;
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
