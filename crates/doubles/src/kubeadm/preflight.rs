//! What must be true before kubeadm begins.

use std::net::TcpListener;
use std::process::Command;

use super::certs;
use super::config::{Config, texts};
use crate::cri::Cri;
use crate::net::tls::Identity;
use crate::store::Etcd;
use crate::{files, version};

/// Failed checks by name.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    failed: Vec<(String, String)>,
}

/// Major and minor number.
pub(crate) fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().trim_start_matches('v').split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The whole version as numbers.
pub(crate) fn numbers(version: &str) -> Vec<u32> {
    let core = version.trim().trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    core.split('.').filter_map(|number| number.parse().ok()).collect()
}

impl Checks {
    fn add(&mut self, name: impl Into<String>, result: Result<(), String>) {
        if let Err(error) = result {
            self.failed.push((name.into(), error));
        }
    }

    /// Fails unless all that failed is ignored.
    pub(crate) fn end(self, ignored: &[String]) -> Result<(), String> {
        let is_ignored =
            |name: &str| ignored.iter().any(|one| one == "all" || one.eq_ignore_ascii_case(name));
        let (bearable, failed): (Vec<_>, Vec<_>) =
            self.failed.into_iter().partition(|(name, _)| is_ignored(name));
        for (name, message) in bearable {
            crate::warn(&format!("\t[WARNING {name}]: {message}"));
        }
        if failed.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> =
            failed.iter().map(|(name, message)| format!("\t[ERROR {name}]: {message}\n")).collect();
        Err(format!(
            "error execution phase preflight: [preflight] Some fatal errors occurred:\n{}[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`",
            lines.concat()
        ))
    }

    fn port(&mut self, port: u16) {
        let free = TcpListener::bind(("0.0.0.0", port)).map(drop);
        self.add(format!("Port-{port}"), free.map_err(|_| format!("Port {port} is in use")));
    }

    fn absent(&mut self, path: &str) {
        let result = if files::is_there(path) { Err(format!("{path} already exists")) } else { Ok(()) };
        self.add(format!("FileAvailable-{}", path.replace('/', "-")), result);
    }

    fn empty(&mut self, path: &str) {
        let is_empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
            || !files::is_there(path);
        let result = if is_empty { Ok(()) } else { Err(format!("{path} is not empty")) };
        self.add(format!("DirAvailable-{}", path.replace('/', "-")), result);
    }

    /// What init and join have in common.
    fn host(&mut self, config: &Config) {
        self.add(
            "IsPrivilegedUser",
            if rustix::process::geteuid().is_root() {
                Ok(())
            } else {
                Err("user is not running as root".into())
            },
        );
        self.add(
            "CRI",
            Cri::open(config.socket()).and_then(|cri| {
                cri.version()
                    .map_err(|error| format!("could not connect to the container runtime: {error}"))
                    .map(drop)
            }),
        );
        let forwards = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
        let result = if forwards.trim() == "1" {
            Ok(())
        } else {
            Err("/proc/sys/net/ipv4/ip_forward contents are not set to 1".into())
        };
        self.add("FileContent--proc-sys-net-ipv4-ip_forward", result);
        for program in ["mount", "umount", "ip", "nsenter"] {
            let found = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .iter()
                .any(|folder| files::is_there(&format!("{folder}/{program}")));
            let result = if found { Ok(()) } else { Err(format!("{program} not found in system path")) };
            self.add(format!("FileExisting-{program}"), result);
        }
        self.add("KubeletVersion", kubelet(config));
        self.add("KubernetesVersion", kubernetes(config));
        self.port(10250);
    }
}

/// The kubelet must not be newer than the control plane, nor three minor versions older.
fn kubelet(config: &Config) -> Result<(), String> {
    let output = Command::new("kubelet").arg("--version").output();
    let output = output.map_err(|error| format!("couldn't get kubelet version: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.trim().trim_start_matches("Kubernetes ");
    let wanted = config.kubernetes_version();
    let (Some(kubelet), Some(cluster)) = (minor(found), minor(&wanted)) else {
        return Err(format!("couldn't get kubelet version: {text:?}"));
    };
    if kubelet.1 > cluster.1 {
        return Err(format!(
            "the kubelet version is higher than the control plane version. This is not a supported version skew and may lead to a malfunctional cluster. Kubelet version: {found:?} Control plane version: {wanted:?}"
        ));
    }
    if kubelet.1 + 3 < cluster.1 {
        return Err(format!(
            "Kubelet version {found:?} is lower than kubeadm can support. Please upgrade kubelet"
        ));
    }
    Ok(())
}

/// kubeadm makes clusters of its own minor version and the one before.
fn kubernetes(config: &Config) -> Result<(), String> {
    let (own, wanted) = (version(), config.kubernetes_version());
    let (Some(ours), Some(theirs)) = (minor(&own), minor(&wanted)) else {
        return Err(format!("couldn't parse Kubernetes version {wanted:?}"));
    };
    if theirs.1 > ours.1 || theirs.1 + 1 < ours.1 || ours.0 != theirs.0 {
        return Err(format!(
            "this version of kubeadm only supports deploying clusters with the control plane version of its own minor version or the one before. Current version: {wanted}, kubeadm version: {own}"
        ));
    }
    Ok(())
}

/// Before `kubeadm init`.
pub(crate) fn init(config: &Config, ignored: &[String]) -> Result<(), String> {
    let mut checks = Checks::default();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let result = if cpus < 2 {
        Err(format!("the number of available CPUs {cpus} is less than the required 2"))
    } else {
        Ok(())
    };
    checks.add("NumCPU", result);
    checks.port(u16::try_from(config.port()).unwrap_or(6443));
    checks.port(10259);
    checks.port(10257);
    for component in super::manifests::COMPONENTS {
        checks.absent(&format!("{}/manifests/{component}.yaml", certs::FOLDER));
    }
    checks.host(config);
    checks.add("ExternalEtcdClientCertificates", certs::check_etcd(config));
    checks.add("ExternalEtcdVersion", etcd(config));
    checks.end(ignored)?;
    pull(config)
}

/// Before `kubeadm join`.
pub(crate) fn join(config: &Config, ignored: &[String]) -> Result<(), String> {
    let mut checks = Checks::default();
    checks.empty(&format!("{}/manifests", certs::FOLDER));
    checks.absent(&format!("{}/kubelet.conf", certs::FOLDER));
    checks.absent(&format!("{}/bootstrap-kubelet.conf", certs::FOLDER));
    if config.join.get("controlPlane").is_none() {
        checks.absent(super::authority_path(config));
    }
    checks.host(config);
    checks.end(ignored)
}

/// Before a control plane is made beside others.
pub(crate) fn join_control_plane(config: &Config, ignored: &[String]) -> Result<(), String> {
    let mut checks = Checks::default();
    checks.port(u16::try_from(config.port()).unwrap_or(6443));
    checks.port(10259);
    checks.port(10257);
    checks.add("KubernetesVersion", kubernetes(config));
    checks.add("KubeletVersion", kubelet(config));
    checks.add("ExternalEtcdVersion", etcd_without_client(config));
    checks.end(ignored)?;
    pull(config)
}

/// The oldest etcd that a version of Kubernetes is made for.
fn oldest_etcd(kubernetes: &str) -> [u32; 3] {
    if minor(kubernetes).is_some_and(|(_, minor)| minor >= 36) { [3, 5, 24] } else { [3, 5, 11] }
}

fn client(config: &Config) -> Result<Etcd, String> {
    let read = |key: &str| {
        let path = super::config::text(&config.cluster, &format!("/etcd/external/{key}"));
        files::read(path).map(String::into_bytes)
    };
    let identity =
        Identity { authority: Some(read("caFile")?), pair: Some((read("certFile")?, read("keyFile")?)) };
    Etcd::new(&texts(&config.cluster, "/etcd/external/endpoints"), &identity)
}

fn etcd(config: &Config) -> Result<(), String> {
    let client = client(config)?;
    client.get("/registry/health").map_err(|error| format!("couldn't reach etcd: {error}"))?;
    let found = client.version()?;
    let oldest = oldest_etcd(&config.kubernetes_version());
    if numbers(&found).as_slice() < oldest.as_slice() {
        let oldest = oldest.map(|number| number.to_string()).join(".");
        return Err(format!(
            "this version of kubeadm only supports external etcd version >= {oldest}. Current version: {found}"
        ));
    }
    Ok(())
}

/// On a host whose certificates for etcd are still to come nothing can be asked.
fn etcd_without_client(config: &Config) -> Result<(), String> {
    let path = super::config::text(&config.cluster, "/etcd/external/certFile");
    if files::is_there(path) { etcd(config) } else { Ok(()) }
}

/// The images of a control plane.
pub(crate) fn images(config: &Config) -> Vec<String> {
    let mut out: Vec<String> =
        super::manifests::COMPONENTS.iter().map(|component| config.image(component)).collect();
    out.push(config.image("kube-proxy"));
    out.push(config.pause());
    out
}

/// Pulls what is missing, as the policy says.
pub(crate) fn pull(config: &Config) -> Result<(), String> {
    let policy = match super::config::text(config.registration(), "/imagePullPolicy") {
        "" => "IfNotPresent",
        policy => policy,
    };
    if policy == "Never" {
        return Ok(());
    }
    crate::say("[preflight] Pulling images required for setting up a Kubernetes cluster");
    let cri = Cri::open(config.socket())?;
    let mut checks = Checks::default();
    for image in images(config) {
        if policy == "IfNotPresent" && cri.has_image(&image)? {
            continue;
        }
        checks.add(
            "ImagePull",
            cri.pull(&image, None)
                .map(drop)
                .map_err(|error| format!("failed to pull image {image}: {error}")),
        );
    }
    checks.end(&config.ignored())
}
