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
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Instant;

use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::components::{Live, PlanningError, Site, engine_secrets, probes, running_probes};
use kubespray_planner::operations::{UpgradeOptions, cluster, upgrade};
use kubespray_planner::{Wishes, lint, plan};
use kubespray_resource::{
    Authority, CertificateRequest, Disruption, Facts, KeyAlgorithm, NodeSeen, NodeState, Object, Plan,
    Resource, Secrets, State, Step,
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
fn node(world: &mut World, asked: &str, name: &str) -> kubespray_resource::NodePresent {
    let look = NodeState { kubeconfig: ADMIN.into(), name: name.into(), ..NodeState::default() };
    let items = BTreeMap::from([(asked.to_owned(), vec![("a/test/node".into(), look.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::NodeState(NodeSeen::Present(node)))) => *node,
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
            assert_eq!(node.kubelet_version, format!("v{to}"), "{what}: {name}");
            assert!(node.ready && !node.unschedulable && node.cordoned_by.is_none(), "{what}: {node:?}");
        }
        assert_eq!(upgrade.left(&mut world), Vec::<String>::new(), "{what}");
        let cluster = Operation::new(Kind::Cluster, inventory, to, "");
        assert_eq!(cluster.left(&mut world), Vec::<String>::new(), "{what}");
    }
}
