//! What each component puts on hosts: one file for each, and reading it tells everything.
//!
//! A component is a function from what is known ([`Site`]) to steps. It decides everything here, from
//! the specification and facts; nothing is decided when the steps are done.

pub(crate) mod apps;
mod bootstrap;
mod cluster_roles;
pub(crate) mod cni;
mod common_crds;
pub(crate) mod control_plane;
mod dns;
mod downloads;
pub(crate) mod engine;
pub(crate) mod etcd;
pub(crate) mod helm;
mod images;
pub(crate) mod join;
pub(crate) mod kubelet;
mod live;
pub(crate) mod load_balancer;
mod metrics_server;
mod network;
mod ntp;
mod objects;
mod packages;
mod preinstall;
pub(crate) mod reset;
pub(crate) mod resolvers;
pub(crate) mod system_upgrade;
mod toml;
pub(crate) mod unbuilt;
pub(crate) mod verify;
pub(crate) mod window;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{
    Absent, Content, Directory, Download, Facts, File, Mode, Owner, PackageManager, Resource, Running,
    Secrets, Step, StepId, Token, Unit,
};
use kubespray_spec::{ClusterSpec, HostSpec, Settings};

pub use control_plane::order as control_plane_order;
pub(crate) use downloads::download;
pub use live::{Live, LiveEtcd, kept_probes, probes, running_probes};
pub(crate) use load_balancer::with_port;
pub use verify::{ASSERTIONS, Named as NamedAssertion, POD_ASSERTIONS, assertion_of};

/// What is known when an operation is planned.
#[derive(Debug)]
pub struct Site<'a> {
    /// What the cluster is meant to be.
    pub spec: &'a ClusterSpec,
    /// What its hosts are, by name.
    pub facts: &'a BTreeMap<String, Facts>,
    /// What is there already.
    pub live: &'a Live,
}

impl<'a> Site<'a> {
    /// The host that cluster-wide steps run on: the control plane that made the cluster, else the first one that is
    /// live, else the first of all (LIFE-076: a fresh host that is placed first joins the cluster that is there, and
    /// leads it no more when it has joined: what was done in the cluster's name lies where it was done).
    pub(crate) fn leader(&self) -> &str {
        let group = &self.spec.groups.control_plane;
        let live = || group.iter().filter(|name| self.live.control_planes.contains(*name));
        let maker = live().find(|name| self.live.super_admins.contains(*name));
        maker.or(live().next()).or(group.first()).map_or("", String::as_str)
    }

    /// The version of Kubernetes that is wished, such as `1.35.2`.
    pub(crate) fn wished_version(&self) -> String {
        self.spec.kubernetes_version.as_str().trim_start_matches('v').to_owned()
    }

    /// The hosts whose facts are known, in the order of the inventory.
    pub(crate) fn hosts(&'a self) -> impl Iterator<Item = Host<'a>> {
        self.spec.hosts.iter().filter_map(move |spec| {
            let facts = self.facts.get(&spec.name)?;
            Some(Host { site: self, spec, facts })
        })
    }
}

/// Kinds of systems that are prepared in the same way (`ansible_os_family`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Debian,
    RedHat,
    Suse,
    Other,
}

/// A host that steps are made for.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(crate) site: &'a Site<'a>,
    pub(crate) spec: &'a HostSpec,
    pub(crate) facts: &'a Facts,
}

impl<'a> Host<'a> {
    pub(crate) fn settings(&self) -> &'a Settings {
        &self.spec.settings
    }

    /// PRE-030: UnionTech counts as Red Hat.
    pub(crate) fn family(&self) -> Family {
        match self.facts.os.family() {
            "Debian" => Family::Debian,
            "RedHat" | "UnionTech" | "UniontechOS" => Family::RedHat,
            "Suse" => Family::Suse,
            _ => Family::Other,
        }
    }

    /// `debian`, `ubuntu`, `rocky` …
    pub(crate) fn is_os(&self, id: &str) -> bool {
        self.facts.os.id == id
    }

    /// Whether the system is an image that packages cannot be installed into in the usual way.
    pub(crate) fn is_image_based(&self) -> bool {
        self.is_os("flatcar") || self.facts.has_path("/run/ostree-booted")
    }

    /// Whether it is in `k8s_cluster`, and not only an etcd member.
    pub(crate) fn is_node(&self) -> bool {
        let roles = self.spec.roles;
        roles.control_plane || roles.worker || roles.route_reflector
    }

    /// Whether it is a node already.
    pub(crate) fn is_live_node(&self) -> bool {
        self.site.live.nodes.contains(&self.spec.name)
    }

    /// Whether it is a control plane already.
    pub(crate) fn is_live_control_plane(&self) -> bool {
        self.site.live.control_planes.contains(&self.spec.name)
    }

    /// Whether it keeps what it was before steps change it: one that was made by others is none that was before.
    fn remembers(&self) -> bool {
        let (live, name) = (self.site.live, &self.spec.name);
        live.before.contains_key(name) || !live.is_anything(name)
    }

    pub(crate) fn package_manager(&self) -> Option<PackageManager> {
        match self.family() {
            Family::Debian => Some(PackageManager::Apt),
            Family::RedHat => Some(PackageManager::Dnf),
            Family::Suse => Some(PackageManager::Zypper),
            Family::Other => None,
        }
    }
}

/// What a host gets before a container engine.
pub(crate) fn begin(chain: &mut Chain<'_>) {
    bootstrap::wish(chain);
    preinstall::wish(chain);
    // The late pass of the same plan says how a node's are to be.
    if !chain.host.is_live_node() {
        resolvers::wish(chain, resolvers::Pass::Early);
    }
    ntp::wish(chain);
}

/// Why what is wished of a host cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}`, {component}: {message}; {hint}")]
pub struct PlanningError {
    /// The host.
    pub host: String,
    /// The component that needs it.
    pub component: String,
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: String,
}

/// The container engine, and everything that is fetched before a cluster is touched.
pub(crate) fn equip(chain: &mut Chain<'_>) {
    engine::wish(chain);
    prefetch(chain);
}

/// All files and images, with the engine that is there.
pub(crate) fn prefetch(chain: &mut Chain<'_>) {
    downloads::wish(chain);
    images::wish(chain);
}

/// The secrets that steps of these components name, as they stand in files.
pub fn engine_secrets(spec: &ClusterSpec) -> Secrets {
    let mut secrets = Secrets::default();
    for host in &spec.hosts {
        engine::secrets(host, &mut secrets);
    }
    secrets
}

/// The steps of one host, in their order.
pub(crate) struct Chain<'a> {
    pub(crate) host: Host<'a>,
    phase: &'static str,
    component: &'static str,
    steps: Vec<Step>,
    /// What components did already and need not do twice.
    done: BTreeSet<(&'static str, String)>,
    refusals: Vec<PlanningError>,
    /// What needs no remembering, on hosts that remember what they were.
    own: Option<reset::Own>,
    /// What is given in place of a step that was refused.
    refused: Option<Step>,
    /// The gates that all further steps wait for.
    barriers: Vec<String>,
}

impl<'a> Chain<'a> {
    pub(crate) fn new(host: Host<'a>) -> Self {
        Self {
            host,
            phase: "",
            component: "",
            steps: Vec::new(),
            done: BTreeSet::new(),
            refusals: Vec::new(),
            own: host.remembers().then(|| reset::Own::of(&host)),
            refused: None,
            barriers: Vec::new(),
        }
    }

    /// What the following steps belong to. The phase is the tag of Kubespray's play, the component that of its
    /// role, so that `--tags` mean the same.
    pub(crate) fn begin(&mut self, phase: &'static str, component: &'static str) {
        self.phase = phase;
        self.component = component;
    }

    /// Adds a step; what it waits for and notifies is added to what is returned.
    pub(crate) fn add(&mut self, name: impl AsRef<str>, resource: impl Into<Resource>) -> &mut Step {
        let mut step = Step::new(&self.host.spec.name, self.component, self.phase, name.as_ref(), resource);
        step.remember = self.own.as_ref().is_some_and(|own| reset::is_remembered(own, &step.resource));
        step.gates.clone_from(&self.barriers);
        let at = self.steps.len();
        self.steps.push(step);
        &mut self.steps[at]
    }

    /// The last step so far: when it is done, all are.
    pub(crate) fn last(&self) -> Option<StepId> {
        self.steps.last().map(|step| step.id.clone())
    }

    /// How many steps there are so far.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Makes all further steps wait for a gate, too: which of them will do something is not known yet.
    pub(crate) fn barrier(&mut self, gate: &str) {
        self.barriers.push(gate.to_owned());
    }

    /// Makes all steps from some number on one turn of a rollout.
    pub(crate) fn turn(&mut self, from: usize, rollout: &str) {
        for step in self.steps.iter_mut().skip(from) {
            step.rollout = Some(rollout.to_owned());
        }
    }

    /// Says that something cannot be planned. An operation with refusals must not run.
    pub(crate) fn refuse(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        let (host, component) = (self.host.spec.name.clone(), self.component.to_owned());
        let refusal = PlanningError { host, component, message: message.into(), hint: hint.into() };
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }

    /// A step that is in no plan, for callers of what was refused.
    pub(crate) fn refused_step(&mut self) -> &mut Step {
        let (host, absent) = (&self.host.spec.name, Absent { path: "/".into(), recursive: false });
        self.refused.get_or_insert_with(|| Step::new(host, "refused", "refused", "refused", absent))
    }

    /// Whether the component did not ask this before, for what it needs once however often it says so.
    pub(crate) fn is_first(&mut self, what: &str) -> bool {
        self.done.insert((self.component, what.to_owned()))
    }

    /// The steps so far.
    pub(crate) fn steps(&mut self) -> &mut [Step] {
        &mut self.steps
    }

    /// The downloads so far.
    pub(crate) fn downloads(&mut self) -> impl Iterator<Item = &mut Download> {
        self.steps.iter_mut().filter_map(|step| match &mut step.resource {
            Resource::Download(wish) => Some(wish),
            _ => None,
        })
    }

    /// The steps, and why they must not run.
    pub(crate) fn finish(self) -> (Vec<Step>, Vec<PlanningError>) {
        (self.steps, self.refusals)
    }
}

/// A step that makes a unit restart when it changes something.
pub(crate) fn restarts(step: &mut Step, unit: &str) {
    step.notifies.push(Token::restart_of(unit));
}

/// A text that all may read.
pub(crate) fn file(path: impl Into<String>, text: impl Into<String>) -> File {
    File {
        path: path.into(),
        content: Content::Text(text.into()),
        mode: Mode::PUBLIC,
        owner: Owner::root(),
        keep_content: false,
    }
}

/// A folder of root's.
pub(crate) fn directory(path: impl Into<String>, mode: Mode) -> Directory {
    Directory { path: path.into(), mode, owner: Owner::root() }
}

/// A service that runs; whether it starts with the host is left alone.
pub(crate) fn running(name: &str) -> Unit {
    Unit {
        name: name.to_owned(),
        enabled: None,
        running: Some(Running::Started),
        masked: None,
        may_be_missing: false,
    }
}

/// A service that runs and starts with the host.
pub(crate) fn enabled(name: &str) -> Unit {
    Unit { enabled: Some(true), ..running(name) }
}

/// A path as part of a step's name.
pub(crate) fn in_name(path: &str) -> String {
    path.trim_matches('/').replace('/', "-")
}
