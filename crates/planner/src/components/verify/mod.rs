//! What must be true of a cluster that works (spec CHK-001 to CHK-077): one named step for each assertion.
//!
//! Nothing is changed by them, but for those that need pods of their own ([`pods`]), which are asked for by themselves.
//! `docs/guides/verify.md` says what is not asserted, and why. Differences: nodes are ready exactly when the
//! condition says `True` (CHK-004), certificates of API servers are verified (CHK-001), pods that are done are fine
//! (CHK-006), and no request for a certificate is approved (CHK-008).

mod etcd;
mod host;
pub(crate) mod pods;
mod whole;

pub(super) use host::reachable;
pub use pods::POD_ASSERTIONS;

use std::collections::BTreeMap;

use kubespray_resource::{Assertion, Check, Probe, Step};

use super::{Chain, Host, PlanningError, Site, apps};

/// What steps of assertions belong to.
const COMPONENT: &str = "verify";

/// An assertion, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The end of the names of its steps, `HOST/verify/NAME`; what ends in `-` begins several.
    pub name: &'static str,
    /// The ids of what it asserts.
    pub ids: &'static str,
    /// What must be true.
    pub what: &'static str,
}

/// All assertions that a host can answer, in the order in which they are told.
pub const ASSERTIONS: [Named; 31] = [
    named("engine", "CHK-040", "the service of the container engine runs"),
    named("engine-answers", "CHK-040", "the container engine answers as kubelets ask it"),
    named("programs", "CHK-002, CHK-076", "programs are of the versions of the configuration"),
    named("etcd-service", "CHK-020", "the service of etcd runs"),
    named("etcd-members", "CHK-020, CHK-021, CHK-061", "members are those of the inventory and well"),
    named("etcd-events-service", "CHK-020", "the service of etcd for events runs"),
    named(
        "etcd-events-members",
        "CHK-020, CHK-021, CHK-061",
        "members for events are those of the inventory and well",
    ),
    named("etcd-certificates", "CHK-072", "certificates of etcd are good for a while"),
    named("certificates", "CHK-072", "certificates of Kubernetes are good for a while"),
    named("secrets-encrypted", "CHK-073", "secrets are encrypted in etcd"),
    named("kubelet", "CHK-025", "the service of the kubelet runs"),
    named("kubelet-answers", "CHK-025", "the kubelet says that it is well"),
    named("proxy-answers", "CHK-025", "the local load balancer says that it is well"),
    named(
        "api-answers",
        "CHK-001, CHK-002, CHK-022, CHK-060",
        "the API server of the host is ready and of the version",
    ),
    named("scheduler-answers", "CHK-023", "the scheduler says that it is well"),
    named("controller-manager-answers", "CHK-023", "the controller manager says that it is well"),
    named("api-of-kubelet", "CHK-060", "the kubelet's way leads to an API server"),
    named("api-through-proxy", "CHK-060", "the local load balancer leads to an API server"),
    named("api-through-load-balancer", "CHK-060", "the external load balancer leads to an API server"),
    named("api-through-service", "CHK-068", "the service address of the API server leads to one"),
    named("dns-cache", "CHK-036, CHK-066", "the DNS cache of the node knows names of the cluster"),
    named(
        "dns-service",
        "CHK-036, CHK-066, CHK-068",
        "the service of the cluster's DNS knows names of the cluster",
    ),
    named(
        "dns-service-second",
        "CHK-036, CHK-066, CHK-068",
        "the second service of DNS knows names of the cluster",
    ),
    named("dns-of-host", "CHK-066", "the host itself resolves names of the cluster"),
    named("nodes", "CHK-004, CHK-024, CHK-062", "nodes are those of the inventory, ready and schedulable"),
    named("requests", "CHK-007, CHK-008, CHK-074", "no request for a certificate waits or was denied"),
    named(
        "workload-",
        "CHK-064, CHK-076",
        "pods of a component are there, available and of the right images",
    ),
    named(
        "system-pods",
        "CHK-005, CHK-006, CHK-063, CHK-065",
        "pods of the system and static pods run and are ready",
    ),
    named("pods", "CHK-005, CHK-006, CHK-065", "all other pods run and are ready, or are done"),
    named("metrics", "CHK-030", "metrics of all nodes are there"),
    named("pod-logs", "CHK-033, CHK-070", "the API server gets logs of pods from every node"),
];

const fn named(name: &'static str, ids: &'static str, what: &'static str) -> Named {
    Named { name, ids, what }
}

/// What a step is of.
pub fn assertion_of(step: &Step) -> Option<&'static Named> {
    let own = step.id.as_str().strip_prefix(&format!("{}/{COMPONENT}/", step.host))?;
    ASSERTIONS
        .iter()
        .chain(&POD_ASSERTIONS)
        .find(|named| own == named.name || (named.name.ends_with('-') && own.starts_with(named.name)))
}

/// How long something may take to become true, and how often it is looked, in seconds.
#[derive(Clone, Copy, Debug)]
struct Patience {
    timeout_s: u64,
    interval_s: u64,
}

/// What happens on one host, or is only asked.
const SOON: Patience = Patience { timeout_s: 60, interval_s: 5 };

/// What pods take part in: images may still be on their way (CHK-004, CHK-005: 30 times 10 s).
const LATER: Patience = Patience { timeout_s: 300, interval_s: 10 };

/// What nobody waits for: it does not change by itself.
const NOW: Patience = Patience { timeout_s: 0, interval_s: 1 };

/// The assertions that apply to the hosts whose facts are known. What is asked of the whole cluster is asked from the
/// first control plane that is known. `manifests` are those of the operation `cluster`.
pub(crate) fn steps(
    site: &Site<'_>,
    manifests: &BTreeMap<String, String>,
) -> Result<Vec<Step>, Vec<PlanningError>> {
    let asks = asks(site).map(|host| host.spec.name.as_str());
    let applications = applications(site, manifests)?;
    let mut steps = Vec::new();
    for host in site.hosts() {
        let mut chain = of_host(host);
        if asks == Some(host.spec.name.as_str()) {
            whole::wish(&mut chain, &applications);
        }
        steps.extend(chain.finish().0);
    }
    Ok(steps)
}

/// The first control plane that is known.
fn asks<'a>(site: &'a Site<'a>) -> Option<Host<'a>> {
    let is_control_plane = |host: &Host<'_>| host.spec.roles.control_plane;
    let of_leader = site.hosts().find(|host| host.spec.name == site.leader());
    of_leader.or_else(|| site.hosts().find(is_control_plane))
}

fn of_component(host: Host<'_>) -> Chain<'_> {
    let mut chain = Chain::new(host);
    chain.begin(COMPONENT, COMPONENT);
    chain
}

/// What a host finds out of itself.
pub(crate) fn of_host(host: Host<'_>) -> Chain<'_> {
    let mut chain = of_component(host);
    host::wish(&mut chain);
    etcd::wish(&mut chain);
    chain
}

/// What the cluster runs, whose workloads must be well.
fn applications(
    site: &Site<'_>,
    manifests: &BTreeMap<String, String>,
) -> Result<Vec<Step>, Vec<PlanningError>> {
    let (mut steps, mut refusals) = (Vec::new(), Vec::new());
    for host in site.hosts().filter(Host::is_node) {
        let mut chain = Chain::new(host);
        apps::wish(&mut chain, manifests);
        let (own, refused) = chain.finish();
        steps.extend(own);
        refusals.extend(refused);
    }
    if refusals.is_empty() { Ok(steps) } else { Err(refusals) }
}

/// Adds a step for what must be true.
fn assert(chain: &mut Chain<'_>, name: &str, patience: Patience, what: Assertion) {
    probe(chain, name, patience, Probe::Cluster(what));
}

/// The same for what checks know already.
fn probe(chain: &mut Chain<'_>, name: &str, patience: Patience, probe: Probe) {
    let Patience { timeout_s, interval_s } = patience;
    let step = chain.add(name, kubespray_resource::Swap {});
    let title = assertion_of(step).map_or(name, |named| named.what);
    let interval_ms = interval_s * 1000;
    let check = Check { name: title.to_owned(), probe, timeout_s, interval_ms };
    step.resource = check.into();
}
