//! From one version of Kubernetes to another (`upgrade-cluster`; spec OPS-001 to OPS-059, OPS-323, LIFE-110 to LIFE-121,
//! LIFE-170 to LIFE-179).
//!
//! No version is ever beside one that it does not fit: all files and images are there before anything is disturbed;
//! etcd comes before the API servers, all of these before any kube-proxy, and that before any kubelet. Control planes
//! and members of etcd go one at a time, workers behind one that goes ahead.

use std::collections::BTreeMap;

use kubespray_resource::{Gate, Needs, Rollout, StepId, Versions};

use super::keep;
use super::rules::{WORKERS, gates, lock_hosts, policy, wait_for_dns};
use super::upgrade_checks::refusals;
use super::upgrade_windows::{Turns, UpgradeOptions};
use crate::Wishes;
use crate::components::{
    Chain, Host, PlanningError, Site, apps, begin, cni, control_plane, control_plane_order, engine, etcd,
    join, kubelet, load_balancer, prefetch, resolvers, system_upgrade, unbuilt, window,
};

/// The turns of control planes as nodes: their kubelets and engines. Their API servers have turns of their own before.
pub(super) const CONTROL_PLANE_NODES: &str = "control-plane-nodes";

/// What is passed by all hosts together: each opens when all that open it are done, in this order.
const PREFETCHED: &str = "prefetched";
const SNAPSHOT: &str = "snapshot";
const SETTLED: &str = "etcd-settled";
const API_SERVERS: &str = "api-servers";
const KUBE_PROXY: &str = "kube-proxy";
const CONTROL_PLANES: &str = "control-plane-nodes";
const POD_NETWORK: &str = "pod-network";
const CANARY: &str = "canary";
const NODES: &str = "nodes";

/// What an upgrade wishes of all hosts whose facts are known; or everything that forbids it. [`Site::live`] must hold
/// the answers to [`running_probes`](crate::components::running_probes). `manifests` are those of
/// [`cluster`](super::cluster()).
pub fn upgrade(
    site: &Site<'_>,
    manifests: &BTreeMap<String, String>,
    options: &UpgradeOptions,
) -> Result<Wishes, Vec<PlanningError>> {
    let refused = refusals(site);
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut policy = policy(site);
    policy.rollouts.remove("engine");
    let alone: Vec<&str> =
        site.hosts().filter(|host| goes_alone(host)).map(|host| host.spec.name.as_str()).collect();
    let mut workers = policy.rollouts.remove(WORKERS);
    workers.iter_mut().for_each(|rollout| rollout.hosts.retain(|name| !alone.contains(&name.as_str())));
    let turns = Turns::of(options, workers, &|host| site.facts.contains_key(host));
    let (mut steps, mut refusals, mut openers) = (Vec::new(), Vec::new(), Openers::default());
    for host in site.hosts() {
        let (own, refused) = chain(host, manifests, &turns, &mut openers).finish();
        steps.extend(own);
        refusals.extend(refused);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut gates = gates(site, &steps);
    gates.extend(apps::gates(site));
    gates.extend(openers.0);
    wait_for_dns(&gates, &mut steps);
    for step in &mut steps {
        step.gates.retain(|gate| gates.contains_key(gate));
    }
    let control_planes = control_plane_order(site);
    let others = alone.into_iter().filter(|name| !control_planes.contains(name));
    let order = control_planes.iter().copied().chain(others);
    let order: Vec<String> = order.map(str::to_owned).collect();
    policy
        .rollouts
        .insert(CONTROL_PLANE_NODES.into(), Rollout { hosts: order, max_unavailable: 1, canaries: 0 });
    policy.rollouts.extend(turns.rollouts);
    policy.versions = versions(site);
    Ok(Wishes {
        operation: "upgrade-cluster".into(),
        cluster: site.spec.name.clone(),
        lock_hosts: lock_hosts(site.spec),
        gates,
        policy,
        steps,
    })
}

/// Gates with the steps that open them.
#[derive(Default)]
pub(super) struct Openers(pub(super) BTreeMap<String, Gate>);

impl Openers {
    /// The gate opens only when all that the host has so far is done.
    pub(super) fn add(&mut self, gate: &str, step: Option<StepId>) {
        let Some(step) = step else { return };
        let gate =
            self.0.entry(gate.to_owned()).or_insert_with(|| Gate { steps: Vec::new(), needs: Needs::All });
        gate.steps.push(step);
    }
}

/// The way of one host.
fn chain<'a>(
    host: Host<'a>,
    manifests: &BTreeMap<String, String>,
    turns: &Turns,
    openers: &mut Openers,
) -> Chain<'a> {
    let mut chain = Chain::new(host);
    let is_leader = host.spec.name == host.site.leader();
    let is_control_plane = host.spec.roles.control_plane;
    unbuilt::refuse(&mut chain);
    begin(&mut chain);
    prefetch(&mut chain);
    openers.add(PREFETCHED, chain.last());
    chain.barrier(PREFETCHED);
    if is_raised(host.site) && takes_snapshot(&host) {
        etcd::snapshot(&mut chain);
        openers.add(SNAPSHOT, chain.last());
    }
    chain.barrier(SNAPSHOT);
    etcd::wish(&mut chain);
    etcd::trust(&mut chain);
    if host.spec.roles.etcd {
        openers.add(SETTLED, chain.last());
    }
    if !host.is_node() {
        engine::wish(&mut chain);
        return chain;
    }
    chain.barrier(SETTLED);
    if is_control_plane {
        let from = chain.len();
        kubelet::kubeadm(&mut chain);
        control_plane::wish(&mut chain);
        keep::api_server(&mut chain, from);
        openers.add(API_SERVERS, chain.last());
    }
    chain.barrier(API_SERVERS);
    if is_leader {
        control_plane::kube_proxy(&mut chain);
        control_plane::kube_proxy_wait(&mut chain);
        openers.add(KUBE_PROXY, chain.last());
    }
    chain.barrier(KUBE_PROXY);
    let goes_alone = goes_alone(&host);
    if goes_alone {
        node(&mut chain, CONTROL_PLANE_NODES);
        openers.add(CONTROL_PLANES, chain.last());
    }
    chain.barrier(CONTROL_PLANES);
    if is_leader {
        apps::network(&mut chain, manifests);
        openers.add(POD_NETWORK, chain.last());
    }
    chain.barrier(POD_NETWORK);
    if !is_leader {
        apps::network(&mut chain, manifests);
    }
    if !goes_alone {
        let name = &host.spec.name;
        if turns.waits(name) {
            chain.barrier(CANARY);
        }
        node(&mut chain, turns.rollout_of(name));
        openers.add(NODES, chain.last());
        if turns.is_canary(name) {
            openers.add(CANARY, chain.last());
        }
    }
    if is_leader {
        chain.barrier(NODES);
        apps::others(&mut chain);
        join::nodes(&mut chain);
    }
    resolvers::wish(&mut chain, resolvers::Pass::Late);
    chain
}

/// Whether an API server is to have another version: what newer ones write, older ones may not read.
pub(super) fn is_raised(site: &Site<'_>) -> bool {
    let wished = site.wished_version();
    let versions = site.live.manifests.values().flat_map(BTreeMap::values);
    versions.into_iter().any(|version| version.trim_start_matches('v') != wished)
}

/// The member that keeps the snapshot: the first in the order of restarts, which does not lead.
fn takes_snapshot(host: &Host<'_>) -> bool {
    let members = etcd::turns(host.site);
    members.iter().find(|name| host.site.facts.contains_key(*name)) == Some(&host.spec.name)
}

/// Whether no other node may be out of service with it: a control plane, and a member of etcd that may be booted anew.
fn goes_alone(host: &Host<'_>) -> bool {
    let roles = host.spec.roles;
    roles.control_plane || host.is_node() && roles.etcd && system_upgrade::may_reboot(host)
}

/// A node in its turn: emptied, changed, proven, given back.
fn node(chain: &mut Chain<'_>, rollout: &str) {
    let from = chain.len();
    window::open(chain);
    system_upgrade::wish(chain);
    engine::wish(chain);
    cni::wish(chain);
    load_balancer::wish(chain);
    kubelet::wish(chain);
    join::wish(chain);
    window::close(chain);
    chain.turn(from, rollout);
    keep::node(chain, from);
}

/// What runs now.
pub(super) fn versions(site: &Site<'_>) -> BTreeMap<String, Versions> {
    let plain = |version: &String| version.trim_start_matches('v').to_owned();
    let of = |host: &kubespray_spec::HostSpec| {
        let manifests = site.live.manifests.get(&host.name);
        let node = site.live.node(host);
        Versions {
            api_server: manifests.and_then(|versions| versions.get("kube-apiserver")).map(plain),
            kubelet: node.map(|node| plain(&node.kubelet)).filter(|version| !version.is_empty()),
        }
    };
    let known = site.spec.hosts.iter().map(|host| (host.name.clone(), of(host)));
    known.filter(|(_, versions)| *versions != Versions::default()).collect()
}
