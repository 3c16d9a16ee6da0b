//! Hosts that leave a cluster (`remove-node`; spec LIFE-130 to LIFE-139, OPS-090 to OPS-102, OPS-325).
//!
//! Pods move away first; then those that stay forget the host, so that nobody asks it any more; then its member leaves
//! etcd, the host is wiped, and its node is deleted. A host that is gone for good is forgotten alike, without what only
//! it could do: its node is out of service, which gives its volumes free at once. Who stays learns no more than it must
//! ([`super::difference`]).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kubespray_resource::{
    Assertion, Check, Disruption, Drain, Gate, Needs, NodeState, ObjectAbsent, ObjectRef, Probe, Rollout,
    Step, StepId,
};
use kubespray_spec::{ClusterSpec, HostSpec};

use super::cluster;
use super::difference::difference;
use super::rules::lock_hosts;
use crate::Wishes;
use crate::components::{Chain, Live, PlanningError, Site, control_plane, etcd::leave, reset};

const COMPONENT: &str = "remove-node";

/// Opens when no pod is left on any host that leaves.
const EMPTY: &str = "empty";

/// Opens when all that stay have forgotten those that leave.
const FORGOTTEN: &str = "forgotten";

/// Who cordons, as nodes say it.
const MARK: &str = "remove-node";

/// How often the cluster is asked again, in milliseconds.
const ASKED_AGAIN_MS: u64 = 2_000;

/// How long a node may take to go, in seconds (OPS-095).
const GONE_S: u64 = 60;

/// How long the cluster may take to give a node up behind the time that it grants it, in seconds.
const NOTICED_S: u64 = 60;

/// Says that nothing runs on a node any more: its pods are deleted and its volumes detached without asking it.
const OUT_OF_SERVICE: (&str, &str) = ("node.kubernetes.io/out-of-service:NoExecute", "nodeshutdown");

/// How long it takes at most until volumes of a node that is out of service are free, in seconds: whatever Kubernetes does
/// not detach at once, it does after six minutes.
const DETACHED_S: u64 = 420;

/// Volumes may take as long as a pod's end, this often (OPS-092).
const VOLUMES_TRIES: u64 = 3;

/// How long they may take in any case, in seconds: where each pod says by itself how long its end takes.
const VOLUMES_LEAST_S: u64 = 60;

/// What a removal is about.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// The hosts.
    pub hosts: &'a BTreeSet<String>,
    /// Those of them that are gone for good: nothing is done on them.
    pub dead: &'a BTreeSet<String>,
}

/// What a removal wishes, and what is left.
#[derive(Clone, Debug, Default)]
pub struct Removal {
    /// What is wished.
    pub wishes: Wishes,
    /// What becomes of etcd, where members leave: how many vote, and how many of these may be lost.
    pub etcd: Option<(usize, usize)>,
}

/// What is known of a cluster when nothing is known of some hosts any more.
pub fn forget(live: &Live, hosts: &BTreeSet<String>) -> Live {
    let mut live = live.clone();
    for names in [
        &mut live.control_planes,
        &mut live.super_admins,
        &mut live.nodes,
        &mut live.etcd.members,
        &mut live.etcd_events.members,
        &mut live.etcd_authorities,
        &mut live.authorities,
    ] {
        names.retain(|name| !hosts.contains(name));
    }
    for texts in [
        &mut live.etcd.settings,
        &mut live.etcd_events.settings,
        &mut live.other_kubelets,
        &mut live.unwell,
        &mut live.cluster_ids,
        &mut live.etcd_ids,
    ] {
        texts.retain(|name, _| !hosts.contains(name));
    }
    live.manifests.retain(|name, _| !hosts.contains(name));
    live.before.retain(|name, _| !hosts.contains(name));
    live
}

/// The removal of hosts from a cluster; or why they must not leave. `site` is the cluster with them, `after` the
/// specification without. `manifests` are those of [`cluster`](super::cluster()).
pub fn remove(
    site: &Site<'_>,
    after: &ClusterSpec,
    leaving: Leaving<'_>,
    manifests: &BTreeMap<String, String>,
) -> Result<Removal, Vec<PlanningError>> {
    let gone: Vec<&HostSpec> =
        site.spec.hosts.iter().filter(|host| leaving.hosts.contains(&host.name)).collect();
    let refused = refusals(site, after, &gone);
    if !refused.is_empty() {
        return Err(refused);
    }
    let live = forget(site.live, leaving.hosts);
    let mut facts = site.facts.clone();
    facts.retain(|name, _| !leaving.hosts.contains(name));
    let with = Site { spec: site.spec, facts: &facts, live: &live };
    let without = Site { spec: after, facts: &facts, live: &live };
    let wanted = cluster(&without, manifests)?;
    // Whoever leads now has what is done in the cluster's name from now on.
    let leads =
        if leaving.hosts.contains(site.leader()) { of_leader(&without, &wanted) } else { HashSet::new() };
    let others = difference(wanted, &cluster(&with, manifests)?, |step| leads.contains(&step.id));
    let mut builder = Builder { wishes: others, refusals: Vec::new() };
    builder.build(site, &without, &gone, leaving);
    let Builder { mut wishes, refusals } = builder;
    if !refusals.is_empty() {
        return Err(refusals);
    }
    "remove-node".clone_into(&mut wishes.operation);
    wishes.lock_hosts = lock_hosts(after);
    let turns = Rollout { hosts: vec![without.leader().to_owned()], max_unavailable: 1, canaries: 0 };
    wishes.policy.rollouts.insert(COMPONENT.into(), turns);
    Ok(Removal { wishes, etcd: leave::tolerance(site, &gone) })
}

/// The steps that only the leader has: no other control plane has the like.
fn of_leader(site: &Site<'_>, wishes: &Wishes) -> HashSet<StepId> {
    let leader = site.leader();
    let name = |step: &Step| step.id.as_str().split_once('/').map(|(_, name)| name.to_owned());
    let planes = &site.spec.groups.control_plane;
    let is_other = |step: &&Step| step.host != leader && planes.contains(&step.host);
    let others: HashSet<Option<String>> = wishes.steps.iter().filter(is_other).map(name).collect();
    let own = wishes.steps.iter().filter(|step| step.host == leader && !others.contains(&name(step)));
    own.map(|step| step.id.clone()).collect()
}

/// What a cluster must not lose.
fn refusals(site: &Site<'_>, after: &ClusterSpec, gone: &[&HostSpec]) -> Vec<PlanningError> {
    let Some(first) = gone.first() else { return Vec::new() };
    let refusal = |host: &str, message: String, hint: String| PlanningError {
        host: host.to_owned(),
        component: COMPONENT.into(),
        message,
        hint,
    };
    let mut out = Vec::new();
    let is_live = |name: &&String| site.live.control_planes.contains(*name);
    let planes = after.groups.control_plane.iter();
    let leaves = gone.iter().find(|host| host.roles.control_plane && is_live(&&host.name));
    match (leaves, planes.clone().find(is_live)) {
        (Some(host), None) => out.push(refusal(
            &host.name,
            "it is the last control plane of the cluster".into(),
            "add another one first with `kubespray scale`; `kubespray reset` takes the whole cluster away"
                .into(),
        )),
        (None, None) => out.push(refusal(
            &first.name,
            "no control plane that stays answers, and only one can forget a node".into(),
            "bring a control plane up".into(),
        )),
        _ => {}
    }
    if let Some((message, hint)) = leave::why_not(site, gone) {
        let host = gone.iter().find(|host| host.roles.etcd).unwrap_or(first);
        out.push(refusal(&host.name, message, hint));
    }
    let keys = &site.live.etcd_authorities;
    let holder = gone.iter().find(|host| keys.contains(&host.name));
    if let Some(holder) = holder.filter(|_| !after.hosts.iter().any(|host| keys.contains(&host.name))) {
        out.push(refusal(
            &holder.name,
            "it has the only key of etcd's certificate authority that is known".into(),
            "`kubespray cluster` gives copies of it to the other members".into(),
        ));
    }
    out
}

struct Builder {
    wishes: Wishes,
    refusals: Vec<PlanningError>,
}

impl Builder {
    fn build(&mut self, site: &Site<'_>, after: &Site<'_>, gone: &[&HostSpec], leaving: Leaving<'_>) {
        let Some(leader) = after.hosts().find(|host| host.spec.name == after.leader()) else { return };
        let is_dead = |host: &HostSpec| leaving.dead.contains(&host.name);
        let is_listed = |host: &HostSpec| {
            site.live.listed.as_ref().is_none_or(|nodes| nodes.contains_key(&host.node_name))
        };
        // All that is done for them in the name of the cluster.
        let mut before = Chain::new(leader);
        before.begin("pre-remove", "pre-remove");
        for host in gone.iter().filter(|host| is_node(host) && is_listed(host)) {
            if is_dead(host) { give_up(&mut before, host) } else { empty(&mut before, host) }
        }
        let (before, refused) = before.finish();
        self.refusals.extend(refused);
        let empties: Vec<StepId> = before.iter().map(|step| step.id.clone()).collect();
        let learners = &mut self.wishes.steps;
        let forgets: Vec<StepId> = learners.iter().map(|step| step.id.clone()).collect();
        if !empties.is_empty() {
            learners.iter_mut().for_each(|step| step.gates.push(EMPTY.into()));
        }
        let mut gates: Vec<String> = Vec::new();
        for (gate, steps) in [(EMPTY, empties), (FORGOTTEN, forgets)] {
            if !steps.is_empty() {
                gates.push(gate.to_owned());
                self.wishes.gates.insert(gate.to_owned(), Gate { steps, needs: Needs::All });
            }
        }
        let mut members = Vec::new();
        let actor = leave::actor(after);
        if let Some(actor) = after.hosts().find(|host| Some(host.spec.name.as_str()) == actor) {
            let mut chain = Chain::new(actor);
            leave::wish(&mut chain, gone);
            members = self.take(chain);
            members.iter_mut().for_each(|step| step.gates.clone_from(&gates));
        }
        let left: Vec<StepId> = members.iter().map(|step| step.id.clone()).collect();
        let mut wiped: BTreeMap<&str, StepId> = BTreeMap::new();
        let mut wipes = Vec::new();
        for host in site.hosts().filter(|host| gone.iter().any(|of| of.name == host.spec.name)) {
            if is_dead(host.spec) || !host.settings().remove_node.reset_nodes.unwrap_or(true) {
                continue;
            }
            let mut chain = Chain::new(host);
            reset::wish(&mut chain);
            let mut steps = self.take(chain);
            // All of them: nothing is waited for by a step that has nothing to do.
            for step in &mut steps {
                step.gates.clone_from(&gates);
                step.after.extend(left.clone());
            }
            wiped.extend(steps.last().map(|step| (host.spec.name.as_str(), step.id.clone())));
            // What the host was is no news to it.
            wipes.extend(steps.into_iter().map(|step| Step { remember: false, ..step }));
        }
        let mut last = Chain::new(leader);
        last.begin("post-remove", "post-remove");
        for host in gone.iter().filter(|host| is_node(host)) {
            let object = ObjectRef {
                api_version: "v1".into(),
                kind: "Node".into(),
                namespace: None,
                name: host.node_name.clone(),
            };
            let absent = ObjectAbsent {
                kubeconfig: control_plane::admin(&leader),
                object,
                only_ours: false,
                timeout_s: GONE_S,
            };
            let step = last.add(format!("node-{}", host.name), absent);
            step.after.extend(wiped.get(host.name.as_str()).cloned());
            step.gates.clone_from(&gates);
        }
        let last = self.take(last);
        let others = std::mem::take(&mut self.wishes.steps);
        self.wishes.steps =
            before.into_iter().chain(others).chain(members).chain(wipes).chain(last).collect();
    }

    fn take(&mut self, chain: Chain<'_>) -> Vec<Step> {
        let (steps, refused) = chain.finish();
        self.refusals.extend(refused);
        steps
    }
}

/// OPS-091, OPS-092: pods and volumes of a host move elsewhere.
fn empty(chain: &mut Chain<'_>, host: &HostSpec) {
    let settings = &host.settings.remove_node;
    let grace_s = u64::try_from(settings.drain_grace_period).ok();
    let drain = Drain {
        kubeconfig: control_plane::admin(&chain.host),
        node: host.node_name.clone(),
        mark: Some(MARK.into()),
        grace_s,
        timeout_s: settings.drain_timeout.length().as_secs(),
        ignore_daemonsets: true,
        delete_empty_dir: true,
        force: true,
        pod_selector: None,
        fallback: None,
        uncordon_on_failure: true,
        may_fail: false,
    };
    if settings.allow_ungraceful_removal {
        // Nobody waits for its pods: they are made anew elsewhere when its node is gone.
        takes_turn(chain.add(format!("cordon-{}", host.name), drain.cordon(true)));
        return;
    }
    takes_turn(chain.add(format!("drain-{}", host.name), drain));
    no_volumes(chain, host, VOLUMES_LEAST_S);
}

/// PAIN-049: pods and volumes of a dead host are given free, once its kubelet is silent.
fn give_up(chain: &mut Chain<'_>, host: &HostSpec) {
    if host.settings.remove_node.allow_ungraceful_removal {
        return;
    }
    let (kubeconfig, node) = (control_plane::admin(&chain.host), host.node_name.clone());
    let granted = &chain.host.settings().controller_manager.kube_controller_node_monitor_grace_period;
    let check = Check {
        name: format!("the kubelet of `{node}` does not report any more"),
        probe: Probe::Cluster(Assertion::Lost { kubeconfig: kubeconfig.clone(), node: node.clone() }),
        timeout_s: granted.length().as_secs().saturating_add(NOTICED_S),
        interval_ms: ASKED_AGAIN_MS,
    };
    chain.add(format!("lost-{}", host.name), check);
    let (taint, value) = OUT_OF_SERVICE;
    let taints = BTreeMap::from([(taint.to_owned(), Some(value.to_owned()))]);
    let state = NodeState { kubeconfig, name: node, taints, ..NodeState::default() };
    chain.add(format!("out-of-service-{}", host.name), state);
    no_volumes(chain, host, DETACHED_S);
}

/// OPS-092: a volume that is still attached could not be used elsewhere. They are waited for at least so many seconds.
fn no_volumes(chain: &mut Chain<'_>, host: &HostSpec, least_s: u64) {
    let (kubeconfig, node) = (control_plane::admin(&chain.host), host.node_name.clone());
    let grace_s = u64::try_from(host.settings.remove_node.drain_grace_period).unwrap_or_default();
    let check = Check {
        name: format!("no volume is attached to `{node}`"),
        probe: Probe::Cluster(Assertion::NoVolumes { kubeconfig, node }),
        timeout_s: grace_s.saturating_mul(VOLUMES_TRIES).max(least_s),
        interval_ms: ASKED_AGAIN_MS,
    };
    chain.add(format!("volumes-{}", host.name), check);
}

/// One host after the other is emptied, so that the others take their pods.
fn takes_turn(step: &mut Step) {
    step.disruption = Disruption::Drain;
    step.rollout = Some(COMPONENT.into());
}

fn is_node(host: &HostSpec) -> bool {
    let roles = host.roles;
    roles.control_plane || roles.worker || roles.route_reflector
}
