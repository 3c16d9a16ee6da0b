//! Upgrades of imagined clusters: made in one version, raised to another, disturbed on the way.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_SEED=17` one alone; `KUBESPRAY_ALL=1` kills the controller before every
//! act instead of some.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::format_push_string,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "tests of the planner need the rest")]
#[path = "../../planner/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::components::{Live, PlanningError, Site, engine_secrets, probes, running_probes};
use kubespray_planner::operations::{UpgradeOptions, cluster, upgrade};
use kubespray_planner::{Wishes, blocked_pods, lint, plan};
use kubespray_resource::{
    Authority, CertificateRequest, Command, EventKind, Facts, KeyAlgorithm, NodeListed, NodeState, Nodes,
    NodesState, Object, Plan, Resource, Secrets, State, Step,
};
use kubespray_simulator::{Fault, Random, Sample, World};
use kubespray_spec::ClusterSpec;
use serde_json::{Value, json};
use support::spec;

/// Three control planes with etcd, two workers.
const FIVE: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: , e: }}
    etcd: {hosts: {a: , b: , c: }}
";

/// A control plane, a member of etcd that is nothing else, two workers.
const APART: &str = "
all:
  hosts: {a: , b: , c: , d: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {c: , d: }}
    etcd: {hosts: {b: }}
";

/// One host that is everything.
const ONE: &str = "
all:
  hosts: {a: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {a: }}
    etcd: {hosts: {a: }}
";

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

const MANIFEST: &str = "bridge.yml";

/// A network plugin of users, whose pods put a network on their nodes.
const BRIDGE: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: bridge, namespace: kube-system}
spec:
  selector: {matchLabels: {app: bridge}}
  template:
    metadata: {labels: {app: bridge}}
    spec:
      hostNetwork: true
      tolerations: [{operator: Exists}]
      containers: [{name: bridge, image: 'registry.example/bridge:1'}]
      volumes: [{name: networks, hostPath: {path: /etc/cni/net.d}}]
";

const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// Pods that have begun have all become ready after so long.
const SETTLED_MS: u64 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cluster,
    Upgrade,
}

/// What is wished of hosts, however they are.
struct Operation {
    kind: Kind,
    inventory: &'static str,
    vars: String,
    /// The specification for facts of hosts: to make it takes longer than a run.
    specs: RefCell<BTreeMap<String, Rc<ClusterSpec>>>,
}

impl Operation {
    fn new(kind: Kind, inventory: &'static str, version: &str, vars: &str) -> Self {
        let vars = format!(
            "kube_version: '{version}'\nkube_network_plugin: custom_cni\ncustom_cni_manifests: [{MANIFEST}]\n{vars}"
        );
        Self { kind, inventory, vars, specs: RefCell::default() }
    }

    fn spec(&self, facts: &BTreeMap<String, Facts>) -> Rc<ClusterSpec> {
        let same =
            |facts: &Facts| Facts { clock_ms: 0, boot_id: String::new(), uptime_s: 0, ..facts.clone() };
        let key = format!("{:?}", facts.values().map(same).collect::<Vec<_>>());
        let made = || Rc::new(spec(self.inventory, &self.vars, facts));
        Rc::clone(self.specs.borrow_mut().entry(key).or_insert_with(made))
    }

    fn wanted(&self, world: &mut World) -> Result<Sample, Vec<PlanningError>> {
        let facts = world.facts();
        let spec = self.spec(&facts);
        let asked = spec.hosts.iter().map(|host| (host.name.clone(), probes(host))).collect();
        let mut live = Live::of(&spec, &world.states(asked));
        let manifests = BTreeMap::from([(MANIFEST.to_owned(), BRIDGE.to_owned())]);
        let mut wishes = match self.kind {
            Kind::Cluster => cluster(&Site { spec: &spec, facts: &facts, live: &live }, &manifests)?,
            Kind::Upgrade => {
                let asked = running_probes(&Site { spec: &spec, facts: &facts, live: &live });
                live.learn(&world.states(asked));
                let site = Site { spec: &spec, facts: &facts, live: &live };
                upgrade(&site, &manifests, &UpgradeOptions::default())?
            }
        };
        world.imagine_downloads(&mut wishes);
        for step in &mut wishes.steps {
            small_key(&mut step.resource);
        }
        let mut secrets = engine_secrets(&spec);
        secrets.insert("generated/kubeadm_token", "abcdef.0123456789abcdef");
        secrets.insert("generated/kubeadm_certificate_key", "0123456789abcdef".repeat(4));
        Ok(Sample { wishes, secrets })
    }

    fn plan(&self, world: &mut World) -> (Plan, Sample) {
        let wanted = self.wanted(world).unwrap();
        let seen = world.observe(&wanted.wishes, &wanted.secrets);
        let plan = plan(wanted.wishes.clone(), &seen, &wanted.secrets).unwrap();
        assert_eq!(lint(&plan, &wanted.secrets), []);
        (plan, wanted)
    }

    fn run(&self, world: &mut World, name: &str) -> Report {
        let (plan, wanted) = self.plan(world);
        let (report, _) = world.run(plan, name, &wanted.secrets, Options::default()).unwrap();
        report.unwrap()
    }

    /// Runs it to its end, with nothing broken on the way.
    fn succeed(&self, world: &mut World, name: &str) {
        let report = self.run(world, name);
        assert_eq!(report.ending, Ending::Done, "{name}: {:#?}", report.failures);
        assert_eq!(world.violations(), [], "{name}");
        world.go_for(SETTLED_MS);
    }

    /// What a look finds to be done.
    fn left(&self, world: &mut World) -> Vec<String> {
        let (plan, _) = self.plan(world);
        plan.changes().map(|planned| format!("{} {:?}", planned.step.id, planned.seen.changes)).collect()
    }

    /// The messages with which it is refused.
    fn refusals(&self, world: &mut World) -> Vec<String> {
        match self.wanted(world) {
            Ok(_) => Vec::new(),
            Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Keys of RSA take long to be made.
fn small_key(resource: &mut Resource) {
    match resource {
        Resource::Authority(Authority { key, .. })
        | Resource::CertificateRequest(CertificateRequest { key, .. }) => {
            key.algorithm = KeyAlgorithm::EcdsaP256;
        }
        Resource::Certificate(certificate) => certificate.key.algorithm = KeyAlgorithm::EcdsaP256,
        _ => {}
    }
}

fn world_of(inventory: &str) -> World {
    let count = inventory.lines().nth(2).unwrap().matches(':').count() - 1;
    World::new(&NAMES[..count], 1)
}

/// Hosts with a cluster of a version.
fn made(inventory: &'static str, version: &str) -> World {
    let mut world = world_of(inventory);
    Operation::new(Kind::Cluster, inventory, version, "").succeed(&mut world, "made");
    world
}

/// A node as the cluster tells it.
fn node(world: &mut World, asked: &str, name: &str) -> NodeListed {
    let look = Nodes { kubeconfig: ADMIN.into() };
    let items = BTreeMap::from([(asked.to_owned(), vec![("a/test/node".into(), look.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::Nodes(NodesState::Listed(mut nodes)))) => nodes.remove(name).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Runs some steps of nobody's.
fn run_steps(world: &mut World, name: &str, steps: Vec<Step>) {
    let wishes = Wishes { lock_hosts: vec!["a".into()], steps, ..Wishes::default() };
    let seen = world.observe(&wishes, &Secrets::default());
    let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
    let report = world.run(plan, name, &Secrets::default(), Options::default()).unwrap().0.unwrap();
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
}

fn apply(world: &mut World, name: &str, manifests: Vec<Value>) {
    let object = |(number, manifest)| {
        let object = Object { kubeconfig: ADMIN.into(), component: "test".into(), manifest, force: true };
        Step::new("a", "test", "test", &format!("object-{number}"), object)
    };
    run_steps(world, name, manifests.into_iter().enumerate().map(object).collect());
    world.go_for(SETTLED_MS);
}

fn cordon(world: &mut World, name: &str) {
    let state = NodeState {
        kubeconfig: ADMIN.into(),
        name: name.into(),
        unschedulable: Some(true),
        ..NodeState::default()
    };
    run_steps(world, &format!("cordon-{name}"), vec![Step::new("a", "test", "test", "cordon", state)]);
}

/// A deployment of some pods of which so many must stay.
fn workload(replicas: u64, least: u64) -> Vec<Value> {
    let labels = json!({"app": "web"});
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": least, "selector": {"matchLabels": labels}}}),
    ]
}

const OLD: &str = "1.34.3";
const NEW: &str = "1.35.2";

#[test]
fn clusters_are_raised_by_a_minor_or_a_patch_and_a_second_run_finds_nothing_to_do() {
    for (inventory, from, to, nodes) in [
        (FIVE, OLD, NEW, &["a", "b", "c", "d", "e"][..]),
        (FIVE, "1.36.2", "1.36.3", &["a", "b", "c", "d", "e"]),
        (APART, OLD, NEW, &["a", "c", "d"]),
        (ONE, OLD, NEW, &["a"]),
    ] {
        let what = format!("{from} to {to} on {inventory}");
        let mut world = made(inventory, from);
        let upgrade = Operation::new(Kind::Upgrade, inventory, to, "");
        upgrade.succeed(&mut world, "upgrade");
        for name in nodes {
            let node = node(&mut world, "a", name);
            assert_eq!(node.kubelet, format!("v{to}"), "{what}: {name}");
            assert!(node.ready && !node.unschedulable && node.cordoned_by.is_none(), "{what}: {node:?}");
        }
        assert_eq!(upgrade.left(&mut world), Vec::<String>::new(), "{what}");
        let cluster = Operation::new(Kind::Cluster, inventory, to, "");
        assert_eq!(cluster.left(&mut world), Vec::<String>::new(), "{what}");
    }
}

/// The steps that a run began, in their order.
fn begun(world: &World, operator: usize) -> Vec<String> {
    let events = world.events(operator).iter();
    events
        .filter_map(|event| match &event.kind {
            EventKind::StepStarted { step, .. } => Some(step.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn nothing_is_beside_what_it_does_not_fit() {
    let mut world = made(FIVE, OLD);
    let (plan, wanted) = Operation::new(Kind::Upgrade, FIVE, NEW, "").plan(&mut world);
    let holder = world.holder("r", "upgrade-cluster");
    let operator = world.begin(plan, holder, &wanted.secrets, Options::default()).unwrap();
    world.go();
    assert_eq!(world.report(operator).unwrap().ending, Ending::Done);
    let begun = begun(&world, operator);
    let places = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        begun.iter().enumerate().filter(|(_, step)| is(step)).map(|(at, _)| at).collect()
    };
    let all = |end: &str| {
        let found = places(&|step| step.ends_with(end));
        (found.first().copied().unwrap(), found.last().copied().unwrap())
    };
    let fetched = places(&|step| step.contains("/download/")).last().copied().unwrap();
    let order = [
        (fetched, fetched),
        all("/etcd/snapshot-before-upgrade"),
        all("/etcd/running"),
        all("/control-plane/upgrade"),
        all("/kube-proxy/pods"),
    ];
    assert!(order.windows(2).all(|pair| pair[0].1 <= pair[1].0 || pair[0].0 < pair[1].0), "{order:?}");
    let (_, members) = all("/etcd/running");
    let (servers_from, servers) = all("/control-plane/upgrade");
    assert!(fetched < all("/etcd/running").0 && members < servers_from, "{begun:#?}");
    let (proxy, _) = all("/kube-proxy/pods");
    assert!(servers < proxy && proxy < all("/kubelet/install-kubelet").0, "{begun:#?}");
    // Who leads goes first; each node is emptied, changed and given back before the next; a worker goes ahead.
    let of = |end: &str| -> Vec<&str> {
        let found = begun.iter().filter(|step| step.ends_with(end));
        found.map(|step| step.split('/').next().unwrap()).collect()
    };
    assert_eq!(of("/control-plane/upgrade"), ["a", "b", "c"]);
    let turns: Vec<&String> = begun
        .iter()
        .filter(|step| {
            ["/pre-upgrade/away", "/kubelet/kubelet.service", "/post-upgrade/back"]
                .iter()
                .any(|end| step.ends_with(end))
        })
        .collect();
    let expected: Vec<String> = NAMES
        .iter()
        .flat_map(|name| {
            ["pre-upgrade/away", "kubelet/kubelet.service", "post-upgrade/back"]
                .map(|step| format!("{name}/{step}"))
        })
        .collect();
    assert_eq!(turns, expected.iter().collect::<Vec<_>>());
}

#[test]
fn pods_move_and_nodes_that_others_cordoned_stay_as_they_are() {
    let mut world = made(FIVE, OLD);
    apply(&mut world, "workload", workload(2, 1));
    cordon(&mut world, "e");
    Operation::new(Kind::Upgrade, FIVE, NEW, "drain_grace_period: 5").succeed(&mut world, "upgrade");
    for (name, is_cordoned) in [("d", false), ("e", true)] {
        let node = node(&mut world, "a", name);
        assert_eq!(
            (node.kubelet.as_str(), node.unschedulable, node.cordoned_by),
            ("v1.35.2", is_cordoned, None),
            "{name}"
        );
    }
}

#[test]
fn what_an_upgrade_must_not_do_is_refused() {
    let before = made(FIVE, OLD);
    let refusals = |to: &str, disturb: &dyn Fn(&mut World)| {
        let mut world = before.copy(1);
        disturb(&mut world);
        Operation::new(Kind::Upgrade, FIVE, to, "").refusals(&mut world)
    };
    let nothing = |_: &mut World| {};
    let found = refusals("1.36.2", &nothing);
    assert_eq!(
        found.first().unwrap(),
        "`a`, upgrade: `kube-apiserver` is 1.34.3, and 1.36.2 is wished: no minor version may be left out; go 1.34 -> 1.35 -> 1.36, with one `kubespray upgrade-cluster -e kube_version=…` each"
    );
    assert_eq!(found.len(), 3, "{found:?}");
    let found = refusals("1.34.1", &nothing);
    assert_eq!(
        found.first().unwrap(),
        "`a`, upgrade: `kube-apiserver` is 1.34.3, and 1.34.1 is wished: Kubernetes cannot go back; set `kube_version` to 1.34.3 or newer"
    );
    assert_eq!(found.len(), 5, "{found:?}");
    let off = |world: &mut World| {
        world.befall(Fault::Off { host: "b".into(), off_ms: u64::MAX });
        world.go_for(SETTLED_MS);
    };
    let found = refusals(NEW, &off);
    let repair = "repair this one first, or remove it with `kubespray remove-node`";
    assert_eq!(
        found[0],
        format!(
            "`b`, upgrade: it is a control plane and does not answer; an upgrade takes one control plane away at a time: {repair}"
        )
    );
    // Without its facts nobody knows which host it is of.
    assert!(found[1].starts_with("`a`, upgrade: the member `etcd2` of etcd is not well: "), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[1].ends_with(&format!("an upgrade takes one member away at a time: {repair}")),
        "{found:?}"
    );
    let stopped = |world: &mut World| {
        let stop = ["systemctl", "stop", "--", "kubelet.service"].map(str::to_owned).to_vec();
        let command = Command {
            argv: stop,
            environment: BTreeMap::new(),
            stdin: None,
            guards: Vec::new(),
            timeout_s: 60,
        };
        run_steps(world, "stop", vec![Step::new("c", "test", "test", "stop", command)]);
    };
    let found = refusals(NEW, &stopped);
    assert!(found[0].starts_with("`c`, upgrade: its API server is not well: "), "{found:?}");
    // Another version is not put under running pods in passing.
    let found = Operation::new(Kind::Cluster, FIVE, NEW, "").refusals(&mut before.copy(1));
    assert_eq!(
        found,
        [
            "`a`, upgrade: `kube-apiserver` is 1.34.3, and 1.35.2 is wished (the same with 4 more hosts): other versions are not put under running pods; `kubespray upgrade-cluster` goes from one version to another; to keep the one that runs, set `kube_version` to it"
        ]
    );
    let found = Operation::new(Kind::Upgrade, FIVE, NEW, "").refusals(&mut world_of(FIVE));
    assert_eq!(
        found,
        [
            "`a`, upgrade: there is no cluster yet that could be upgraded; `kubespray cluster` makes one of the wished version"
        ]
    );
    let ansible =
        Operation::new(Kind::Upgrade, FIVE, NEW, "post_upgrade_hooks: [x.yml]").refusals(&mut before.copy(1));
    assert!(ansible[0].contains("`post_upgrade_hooks` names tasks of Ansible"), "{ansible:?}");
}

#[test]
fn hosts_that_are_no_nodes_yet_are_refused() {
    const FOUR: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: }}
    etcd: {hosts: {a: , b: , c: }}
";
    let mut world = made(FOUR, OLD);
    let found = Operation::new(Kind::Upgrade, FIVE, NEW, "").refusals(&mut world);
    assert_eq!(
        found,
        [
            "`e`, upgrade: it is no node of the cluster yet, and an upgrade adds none; add it with `kubespray scale -e kube_version=1.34.3` before, or take it out of the inventory until the upgrade is done"
        ]
    );
}

#[test]
fn budgets_that_hold_a_pod_are_told_before_anything_moves() {
    let mut world = made(FIVE, OLD);
    apply(&mut world, "workload", workload(1, 1));
    for (vars, expected) in [
        ("", &["d: default/web-0 of ReplicaSet web: disruption budget `web`"][..]),
        ("drain_fallback_enabled: true", &[]),
        ("upgrade_node_fail_if_drain_fails: false", &[]),
        ("drain_nodes: false", &[]),
    ] {
        let operation = Operation::new(Kind::Upgrade, FIVE, NEW, vars);
        let wanted = operation.wanted(&mut world).unwrap();
        let seen = world.observe(&wanted.wishes, &wanted.secrets);
        let plan = plan(wanted.wishes, &seen, &wanted.secrets).unwrap();
        let blocked = blocked_pods(&plan, &seen);
        let told: Vec<String> = blocked.iter().map(|pod| format!("{}: {}", pod.host, pod.pod)).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        assert!(
            told.iter()
                .zip(expected)
                .all(|(told, expected)| told.contains("web-0") && told.starts_with(&expected[..3])),
            "{told:?}"
        );
        let shown = plan
            .changes()
            .any(|planned| planned.diff.as_deref().is_some_and(|diff| diff.contains("default/web-0")));
        assert_eq!(shown, !vars.starts_with("drain_nodes"), "the plan names the pods that move");
    }
}

#[test]
fn turns_may_be_held_for_a_while() {
    let mut world = made(FIVE, "1.36.2");
    let vars = "{upgrade_node_pause_seconds: 600, upgrade_node_post_upgrade_pause_seconds: 300}";
    let vars = vars.trim_matches(['{', '}']).replace(", ", "\n");
    let operation = Operation::new(Kind::Upgrade, FIVE, "1.36.3", &vars);
    let (plan, wanted) = operation.plan(&mut world);
    let holder = world.holder("r", "upgrade-cluster");
    let began = world.now_ms();
    let operator = world.begin(plan, holder, &wanted.secrets, Options::default()).unwrap();
    world.go();
    assert_eq!(world.report(operator).unwrap().ending, Ending::Done);
    let held = world.events(operator).iter().filter(|event| matches!(event.kind, EventKind::Held { .. }));
    assert_eq!(held.count(), 10);
    assert!(world.now_ms() - began > 5 * 900_000);
}

/// An upgrade, ready to be disturbed in many ways.
struct Case {
    operation: Operation,
    before: World,
    plan: Plan,
    wanted: Sample,
    /// How many acts its controller does.
    acts: u64,
    /// How long it takes, in milliseconds.
    took_ms: u64,
    /// How many effects it has on each host.
    effects: Vec<(String, u64)>,
}

impl Case {
    fn new(from: &str, to: &str) -> Self {
        let mut before = made(FIVE, from);
        apply(&mut before, "workload", workload(2, 1));
        let operation = Operation::new(Kind::Upgrade, FIVE, to, "drain_grace_period: 5");
        let (plan, wanted) = operation.plan(&mut before);
        let mut world = before.copy(3);
        let holder = world.holder("r", "upgrade-cluster");
        let began = world.now_ms();
        let operator = world.begin(plan.clone(), holder, &wanted.secrets, Options::default()).unwrap();
        world.go();
        assert_eq!(world.report(operator).unwrap().ending, Ending::Done);
        assert_eq!(world.violations(), []);
        let (took_ms, acts) = (world.now_ms() - began, world.acts(operator));
        let hosts = world.hosts().zip(before.hosts());
        let effects = hosts.map(|((name, host), (_, was))| (name.to_owned(), host.effects() - was.effects()));
        let effects = effects.collect();
        Self { operation, before, plan, wanted, acts, took_ms, effects }
    }

    fn begin(&self, world: &mut World) -> usize {
        let holder = world.holder("r", "upgrade-cluster");
        world.begin(self.plan.clone(), holder, &self.wanted.secrets, Options::default()).unwrap()
    }

    /// Takes up what was left, with nothing but the hosts, then does what is still to be done, until all nodes are of
    /// the new version and take pods.
    fn finish(&self, world: &mut World, what: &str) {
        for _ in 0..4 {
            if world.lock_holders().is_empty() {
                break;
            }
            let Some(record) = world.record(None) else {
                world.break_locks();
                break;
            };
            let secrets = self.wanted.secrets.clone();
            let operator =
                world.begin(record.plan, record.holder, &secrets, Options { resume: true }).unwrap();
            world.go();
            let report = world.report(operator).unwrap();
            assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        }
        assert!(world.lock_holders().is_empty(), "{what}");
        world.go_for(SETTLED_MS);
        let report = self.operation.run(world, "again");
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        world.go_for(SETTLED_MS);
        assert_eq!(self.operation.left(world), Vec::<String>::new(), "{what}");
        assert_eq!(world.violations(), [], "{what}");
        for name in NAMES {
            let node = node(world, "a", name);
            assert!(
                node.ready && !node.unschedulable && node.cordoned_by.is_none(),
                "{what}: {name} {node:?}"
            );
        }
    }

    /// The controller is killed before an act; somebody goes on.
    fn kill(&self, act: u64) {
        let mut world = self.before.copy(3);
        let operator = self.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        self.finish(&mut world, &format!("act {act} of {}", self.acts));
    }

    /// The controller is killed before an act, and nobody takes the run up: the next one begins anew.
    fn abandon(&self, act: u64) {
        let mut world = self.before.copy(3);
        let operator = self.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        world.break_locks();
        self.finish(&mut world, &format!("abandoned at act {act} of {}", self.acts));
    }

    /// Things go wrong by chance.
    fn disturb(&self, seed: u64) {
        let mut random = Random::new(seed, "upgrade");
        let mut world = self.before.copy(seed);
        for _ in 0..=random.below(3) {
            let (host, effects) = self.effects[random.below(self.effects.len() as u64) as usize].clone();
            let before_effect = 1 + random.below(effects.max(1));
            let off_ms = 30_000 + random.below(600_000);
            let fault = match random.below(8) {
                0 => Fault::Reset { host, is_noticed: random.below(2) == 0 },
                1 => Fault::KillHelper { host, before_effect },
                2 => Fault::PowerLoss { host, before_effect, off_ms },
                3 => Fault::Off { host, off_ms },
                4 => Fault::MirrorDown { host, is_down: true },
                5 => Fault::DiskFull { host, is_full: true },
                6 => Fault::SlowDisk { host, factor: 1 + random.below(200) },
                _ => Fault::Cut { hosts: vec![host], is_cut: true },
            };
            world.fault_in(random.below(self.took_ms), fault);
        }
        let operator = self.begin(&mut world);
        if random.below(3) == 0 {
            world.kill_before_act(operator, 1 + random.below(self.acts));
        }
        world.go();
        world.heal();
        world.go_for(900_000);
        self.finish(&mut world, &format!("seed {seed}"));
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok())
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    match number("KUBESPRAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KUBESPRAY_SEEDS").unwrap_or(default),
    }
}

/// Does something for each seed, and says how long that took.
fn each_seed(what: &str, one: impl Fn(u64)) {
    let (began, seeds) = (Instant::now(), seeds(2));
    let count = seeds.end - seeds.start;
    seeds.for_each(one);
    eprintln!("{what}: {count} seeds in {:.1} minutes", began.elapsed().as_secs_f64() / 60.0);
}

#[test]
fn the_controller_is_killed_during_an_upgrade() {
    let case = Case::new(OLD, NEW);
    if number("KUBESPRAY_ALL").is_some() {
        (1..=case.acts).for_each(|act| case.kill(act));
        return;
    }
    each_seed("killed controllers", |seed| {
        let act = 1 + Random::new(seed, "kills").below(case.acts);
        case.kill(act);
    });
}

#[test]
fn an_upgrade_that_was_given_up_is_finished_by_the_next() {
    let case = Case::new(OLD, NEW);
    each_seed("given up", |seed| {
        let act = 1 + Random::new(seed, "abandoned").below(case.acts);
        case.abandon(act);
    });
}

#[test]
fn a_cluster_is_upgraded_whatever_happens() {
    let case = Case::new("1.36.2", "1.36.3");
    each_seed("faults", |seed| case.disturb(seed));
}
