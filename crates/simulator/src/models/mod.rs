//! What runs on hosts and speaks to other hosts: a container engine, etcd, Kubernetes. What these things keep on disk
//! is files of their hosts; what a quorum of etcd agreed on is the [`Site`]'s.

mod api;
mod certificates;
mod containerd;
mod documents;
mod etcd;
mod etcdctl;
mod fields;
mod kubeadm;
mod kubectl;
mod kubernetes;
mod pods;
mod shell;
mod store;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::{Rc, Weak};

use kubespray_node::{HostError, Output, Spawn};

use crate::SimHost;
use crate::host::{Inner, text};
use crate::mirror::Mirror;

pub(crate) use api::{http, is_built_in};
pub(crate) use etcd::{Cluster, may_stop};
pub(crate) use kubernetes::kubelet_begins;

/// Where images are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// The references that exist; all where nothing is said.
    pub(crate) images: Option<BTreeSet<String>>,
    /// By registry: `user:password` that it asks for.
    pub(crate) credentials: BTreeMap<String, String>,
}

/// What hosts of a world have in common.
#[derive(Debug, Default)]
pub(crate) struct Site {
    peers: Vec<Weak<RefCell<Inner>>>,
    /// Clusters of etcd by their ids, with what they keep.
    pub(crate) clusters: BTreeMap<u64, Cluster>,
    pub(crate) registry: Registry,
    pub(crate) mirror: Mirror,
    /// Rules that runs broke, and how.
    pub(crate) broken: Vec<(&'static str, String)>,
}

impl Site {
    pub(crate) fn attach(&mut self, host: &SimHost) {
        self.peers.push(Rc::downgrade(&host.inner));
    }

    /// The same for other hosts, which are not attached yet.
    pub(crate) fn copy_to(&self, other: &mut Self) {
        other.clusters.clone_from(&self.clusters);
        other.registry.clone_from(&self.registry);
        other.mirror.clone_from(&self.mirror);
    }

    /// Clusters know these nodes from now on, of whose kubelets they have not heard for long.
    pub(crate) fn add_silent_nodes(&mut self, names: &[String], now_us: u64) {
        for cluster in self.clusters.values_mut() {
            names.iter().for_each(|name| pods::silent_node(&mut cluster.store, name, now_us));
        }
    }

    /// Whether anything here waits for other hosts.
    pub(crate) fn is_used(&self) -> bool {
        !self.clusters.is_empty()
    }

    pub(crate) fn hosts(&self) -> Vec<Rc<RefCell<Inner>>> {
        self.peers.iter().filter_map(Weak::upgrade).collect()
    }
}

/// A program that is modelled here; nothing where it is not. Programs are looked for where they are installed.
pub(crate) fn run(host: &SimHost, spawn: &Spawn) -> Option<Result<Output, HostError>> {
    let words: Vec<&str> = spawn.argv.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first()?;
    let model = match program.rsplit('/').next()? {
        "sh" => return Some(shell::sh(host, rest, spawn)),
        "crictl" => containerd::crictl,
        "ctr" => containerd::ctr,
        "nerdctl" => containerd::nerdctl,
        "etcdctl" => etcdctl::etcdctl,
        "etcdutl" => etcdctl::etcdutl,
        "kubeadm" => kubeadm::kubeadm,
        "kubectl" => kubectl::kubectl,
        "kubelet" => kubernetes::kubelet,
        _ => return None,
    };
    if !is_installed(&host.inner.borrow(), program) {
        return Some(Err(HostError::NoProgram((*program).to_owned())));
    }
    Some(model(host, rest, spawn))
}

/// What units do when they were started; `false` where they end at once.
pub(crate) fn started(host: &SimHost, unit: &str) -> Result<(), String> {
    match unit {
        "etcd.service" | "etcd-events.service" => etcd::started(host, unit),
        "containerd.service" => programs_there(host, &["containerd", "runc"]),
        "kubelet.service" => {
            programs_there(host, &["kubelet"])?;
            kubernetes::kubelet_problem(&host.inner.borrow()).map_or(Ok(()), Err)?;
            containerd::make_pods(host);
            kubelet_begins(&mut host.inner.borrow_mut());
            kubernetes::check_skew(host);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn programs_there(host: &SimHost, names: &[&str]) -> Result<(), String> {
    let inner = host.inner.borrow();
    match names.iter().find(|name| !is_installed(&inner, name)) {
        Some(name) => Err(format!("{name}: no such file or directory")),
        None => Ok(()),
    }
}

fn is_installed(inner: &Inner, program: &str) -> bool {
    let is_there = |path: &str| inner.files.get(path).is_some();
    if program.contains('/') {
        return is_there(program);
    }
    ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"]
        .iter()
        .any(|folder| is_there(&format!("{folder}/{program}")))
}

pub(crate) fn now_us(inner: &Inner) -> u64 {
    inner.clock_us + inner.spent_us
}

fn is_active(inner: &Inner, unit: &str) -> bool {
    inner.units.get(unit).is_some_and(|unit| unit.active)
}

pub(crate) fn address(inner: &Inner) -> Ipv4Addr {
    let [high, low] = inner.number.to_be_bytes();
    inner.address.unwrap_or(Ipv4Addr::new(10, 1, high, low))
}

/// Who looks at other hosts, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) number: u16,
    pub(crate) now: u64,
    is_cut: bool,
}

impl Viewer {
    pub(crate) fn of(inner: &Inner) -> Self {
        Self { number: inner.number, now: now_us(inner), is_cut: inner.is_cut }
    }

    /// Whether its packets get to a host.
    fn reaches(self, to: &Inner) -> bool {
        self.number == to.number || (!self.is_cut && !to.is_cut && to.off_until_us <= self.now)
    }
}

/// Where a kubelet says whether it is well.
pub(crate) const KUBELET_HEALTH: u16 = 10248;

/// Whether something listens at a port of a host.
fn listens(inner: &Inner, port: u16, now: u64) -> bool {
    match port {
        22 => true,
        2379 | 2380 => is_active(inner, "etcd.service"),
        2383 | 2382 => is_active(inner, "etcd-events.service"),
        6443 => kubernetes::runs_control_plane(inner, now) || kubernetes::runs_proxy(inner),
        10250 | KUBELET_HEALTH => kubernetes::runs_kubelet(inner),
        _ => false,
    }
}

/// Whether `address:port` takes connections of a host.
pub(crate) fn connects(host: &SimHost, target: &str) -> bool {
    let Some((name, port)) = target.rsplit_once(':') else { return false };
    let Ok(port) = port.parse() else { return false };
    let now = now_us(&host.inner.borrow());
    at(host, name).is_some_and(|to| listens(&to.borrow(), port, now))
}

/// Whether a socket takes connections.
pub(crate) fn has_socket(host: &SimHost, path: &str) -> bool {
    containerd::is_socket(path) && is_active(&host.inner.borrow(), "containerd.service")
}

/// The host with an address or name, where another one reaches it.
fn at(host: &SimHost, name: &str) -> Option<Rc<RefCell<Inner>>> {
    let name = name.trim_matches(['[', ']']);
    if name == "localhost" || name.starts_with("127.") {
        return Some(Rc::clone(&host.inner));
    }
    let from = Viewer::of(&host.inner.borrow());
    let known = text(&host.inner.borrow(), "/etc/hosts").unwrap_or_default();
    let by_name = known.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        words.any(|word| word == name).then(|| address.to_owned())
    });
    let wanted = by_name.unwrap_or_else(|| name.to_owned());
    host.site.borrow().hosts().into_iter().find(|other| {
        let other = other.borrow();
        (address(&other).to_string() == wanted || other.name == wanted) && from.reaches(&other)
    })
}

fn ok(stdout: impl Into<String>) -> Result<Output, HostError> {
    Ok(Output { status: Some(0), stdout: stdout.into(), stderr: String::new() })
}

fn failed(stderr: impl Into<String>) -> Result<Output, HostError> {
    Ok(Output { status: Some(1), stdout: String::new(), stderr: stderr.into() })
}
