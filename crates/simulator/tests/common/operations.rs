//! Whole operations over imagined hosts, ready to be disturbed.
//!
//! `KUBESPRAY_SEEDS=1000` tries more, `KUBESPRAY_SEED=17` one alone; `KUBESPRAY_EVERY_ACT=1` kills controllers before
//! every act instead of some.

#[allow(dead_code, reason = "tests of the planner need the rest")]
#[path = "../../../planner/tests/support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Instant;

use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::components::{
    Live, PlanningError, Site, engine_secrets, kept_probes, probes, running_probes,
};
use kubespray_planner::operations::{
    Leaving, Newcomers, UpgradeOptions, cluster, remove, reset, scale, undo, upgrade,
};
use kubespray_planner::{Wishes, lint, plan};
use kubespray_resource::{
    Authority, CertificateRequest, Check, CheckState, Event, Facts, KeyAlgorithm, NodeListed, Nodes,
    NodesState, Object, Plan, Probe, Resource, Secrets, State, Step,
};
use kubespray_simulator::{Fault, Random, Sample, World};
use kubespray_spec::ClusterSpec;
use serde_json::{Value, json};
use support::spec;

/// Three hosts that are everything.
pub const ALL: &str = "
all:
  hosts: {a: , b: , c: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {a: , b: , c: }}
    etcd: {hosts: {a: , b: , c: }}
";

/// A control plane, a member of etcd that is nothing else, two workers.
pub const APART: &str = "
all:
  hosts: {a: , b: , c: , d: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {c: , d: }}
    etcd: {hosts: {b: }}
";

/// One host that is everything.
pub const ONE: &str = "
all:
  hosts: {a: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {a: }}
    etcd: {hosts: {a: }}
";

/// Three control planes with etcd, two workers.
pub const FIVE: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: , e: }}
    etcd: {hosts: {a: , b: , c: }}
";

pub const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

pub const MANIFEST: &str = "bridge.yml";

/// A network plugin of users, whose pods put a network on their nodes.
pub const BRIDGE: &str = "
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

/// What is asked of a cluster.
#[derive(Clone)]
pub enum Intent {
    Cluster,
    /// The hosts that it has not, with the inventory without them.
    Scale {
        without: &'static str,
    },
    /// Hosts leave, some of them dead, with the inventory without them.
    Remove {
        hosts: Vec<&'static str>,
        dead: Vec<&'static str>,
        without: &'static str,
    },
    /// The version that the variables name.
    Upgrade,
    /// Nothing of the cluster stays.
    Reset,
    /// What the last run replaced on these hosts is put back.
    Undo {
        hosts: Vec<&'static str>,
    },
}

/// What is wished of hosts, however they are.
pub struct Operation {
    pub inventory: &'static str,
    pub vars: String,
    /// What is asked of the cluster.
    pub asked: Intent,
    /// How upgrades go.
    pub upgrading: UpgradeOptions,
    /// The specification for facts of hosts: to make it takes longer than a run.
    pub specs: RefCell<BTreeMap<String, Rc<ClusterSpec>>>,
    /// What the last look for a way back left as it is, by host, and why.
    pub stays: RefCell<Vec<(String, String)>>,
}

impl Operation {
    pub fn new(inventory: &'static str, network: &str, vars: &str) -> Self {
        let manifests = if network == "custom_cni" {
            format!("custom_cni_manifests: [{MANIFEST}]\n")
        } else {
            String::new()
        };
        let vars = format!("kube_network_plugin: {network}\n{manifests}{vars}");
        let (asked, upgrading) = (Intent::Cluster, UpgradeOptions::default());
        Self { inventory, vars, asked, upgrading, specs: RefCell::default(), stays: RefCell::default() }
    }

    pub fn world(&self, seed: u64) -> World {
        let count = self.inventory.lines().nth(2).unwrap().matches(':').count() - 1;
        World::new(&NAMES[..count], seed)
    }

    /// The same inventory, and something else asked of its cluster.
    pub fn asked(self, asked: Intent) -> Self {
        Self { asked, ..self }
    }

    pub fn spec(&self, inventory: &'static str, facts: &BTreeMap<String, Facts>) -> Rc<ClusterSpec> {
        let same =
            |facts: &Facts| Facts { clock_ms: 0, boot_id: String::new(), uptime_s: 0, ..facts.clone() };
        let key = format!("{inventory} {:?}", facts.values().map(same).collect::<Vec<_>>());
        let made = || Rc::new(spec(inventory, &self.vars, facts));
        Rc::clone(self.specs.borrow_mut().entry(key).or_insert_with(made))
    }

    /// What is wished of hosts as they are now, or why it is refused.
    pub fn wished(&self, world: &mut World) -> Result<Sample, Vec<PlanningError>> {
        let facts = world.facts();
        let spec = self.spec(self.inventory, &facts);
        let asked = spec.hosts.iter().map(|host| (host.name.clone(), probes(host))).collect();
        let mut live = Live::of(&spec, &world.states(asked));
        if matches!(self.asked, Intent::Upgrade | Intent::Undo { .. }) {
            for ask in [running_probes, kept_probes] {
                let asked = ask(&Site { spec: &spec, facts: &facts, live: &live });
                live.learn(&world.states(asked));
            }
        }
        let manifests = BTreeMap::from([(MANIFEST.to_owned(), BRIDGE.to_owned())]);
        let site = Site { spec: &spec, facts: &facts, live: &live };
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let mut wishes = match &self.asked {
            Intent::Cluster => cluster(&site, &manifests)?,
            Intent::Scale { without } => {
                let new = Newcomers::of(&spec, &live);
                let before = self.spec(without, &facts);
                let before = Site { spec: &before, facts: &facts, live: &live };
                scale(&site, &before, &new, &manifests)?
            }
            Intent::Remove { hosts, dead, without } => {
                let (hosts, dead) = (set(hosts), set(dead));
                let after = self.spec(without, &facts);
                let leaving = Leaving { hosts: &hosts, dead: &dead };
                remove(&site, &after, leaving, &manifests)?.wishes
            }
            Intent::Upgrade => upgrade(&site, &manifests, &self.upgrading)?,
            Intent::Reset => {
                let all = spec.hosts.iter().map(|host| host.name.clone()).collect();
                reset(&site, &all, &BTreeSet::new())?.wishes
            }
            Intent::Undo { hosts } => {
                let undo = undo(&site, None, &set(hosts))?;
                self.stays.replace(undo.left);
                undo.wishes
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

    pub fn wanted(&self, world: &mut World) -> Sample {
        self.wished(world).unwrap()
    }

    /// The messages with which it is refused.
    pub fn refusals(&self, world: &mut World) -> Vec<String> {
        match self.wished(world) {
            Ok(_) => Vec::new(),
            Err(refusals) => refusals.iter().map(ToString::to_string).collect(),
        }
    }

    pub fn plan(&self, world: &mut World) -> (Plan, Sample) {
        let wanted = self.wanted(world);
        let seen = world.observe(&wanted.wishes, &wanted.secrets);
        let plan = plan(wanted.wishes.clone(), &seen, &wanted.secrets).unwrap();
        assert_eq!(lint(&plan, &wanted.secrets), []);
        (plan, wanted)
    }

    pub fn run(&self, world: &mut World, name: &str) -> (Report, Vec<Event>) {
        let (plan, wanted) = self.plan(world);
        let (report, events) = world.run(plan, name, &wanted.secrets, Options::default()).unwrap();
        (report.unwrap(), events)
    }

    /// Runs it to its end, with nothing broken on the way.
    pub fn succeed(&self, world: &mut World, name: &str) {
        let (report, _) = self.run(world, name);
        assert_eq!(report.ending, Ending::Done, "{name}: {:#?}", report.failures);
        assert_eq!(world.violations(), [], "{name}");
        world.go_for(SETTLED_MS);
    }

    /// Hosts that are dead lose their power for good. A copy of a world has them back.
    pub fn lose(&self, world: &mut World) {
        let Intent::Remove { dead, .. } = &self.asked else { return };
        for host in dead {
            world.befall(Fault::Off { host: (*host).to_owned(), off_ms: u64::MAX });
        }
        world.go_for(SETTLED_MS);
    }

    /// The hosts that the cluster has not.
    pub fn newcomers(&self, world: &mut World) -> Newcomers {
        let facts = world.facts();
        let spec = self.spec(self.inventory, &facts);
        let asked = spec.hosts.iter().map(|host| (host.name.clone(), probes(host))).collect();
        Newcomers::of(&spec, &Live::of(&spec, &world.states(asked)))
    }

    /// What a look finds to be done.
    pub fn left(&self, world: &mut World) -> Vec<String> {
        let (plan, _) = self.plan(world);
        plan.changes().map(|planned| format!("{} {:?}", planned.step.id, planned.seen.changes)).collect()
    }
}

/// Keys of RSA take long to be made.
pub fn small_key(resource: &mut Resource) {
    match resource {
        Resource::Authority(Authority { key, .. })
        | Resource::CertificateRequest(CertificateRequest { key, .. }) => {
            key.algorithm = KeyAlgorithm::EcdsaP256;
        }
        Resource::Certificate(certificate) => certificate.key.algorithm = KeyAlgorithm::EcdsaP256,
        _ => {}
    }
}

/// Pods that have begun have all become ready after so long.
pub const SETTLED_MS: u64 = 30_000;

pub const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// Whether these nodes are ready, as a control plane tells it.
pub fn are_ready(world: &mut World, asked: &str, nodes: &[&str]) -> Result<(), String> {
    let nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
    let probe = Probe::NodesReady { kubeconfig: ADMIN.into(), nodes };
    let check = Check { name: "ready".into(), probe, timeout_s: 1, interval_ms: 100 };
    let items = BTreeMap::from([(asked.to_owned(), vec![("a/test/ready".into(), check.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::Check(CheckState { problem: None, .. }))) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The files, units and packages of all hosts. Of what holds keys or is made with them, and of who was there when a
/// member of etcd began, only that it is there. A module of the kernel stays until the next boot.
pub fn portrait(world: &World) -> BTreeSet<String> {
    const VARIES: [&str; 3] = ["/etc/kubernetes/ssl/", "/etc/ssl/etcd/ssl/", "/etc/etcd.env"];
    const STAYS: [&str; 2] = ["/proc/modules", "/proc/sys/net/bridge"];
    let mut out = BTreeSet::new();
    for (name, host) in world.hosts() {
        for (what, how) in host.portrait() {
            if STAYS.iter().any(|stays| what.starts_with(stays)) {
                continue;
            }
            let text = host.text(&what).unwrap_or_default();
            let varies = VARIES.iter().any(|path| what.starts_with(path))
                || text.contains("BEGIN CERTIFICATE")
                || text.contains("certificate-authority-data");
            let how = if what.starts_with("/proc/") {
                // In the order in which things came; pods that a power loss ended have mounted nothing yet.
                let lines = text.lines().filter(|line| !line.contains("/var/lib/kubelet/pods/"));
                lines.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("; ")
            } else if varies {
                how.split(' ').next().unwrap_or_default().to_owned()
            } else {
                how
            };
            out.insert(format!("{name}: {what}: {how}"));
        }
    }
    out
}

pub fn differences(world: &World, end: &BTreeSet<String>) -> Vec<String> {
    portrait(world).symmetric_difference(end).cloned().collect()
}

/// Runs some steps of nobody's, without any turns.
pub fn run_steps(world: &mut World, name: &str, steps: Vec<Step>) -> Report {
    let wishes = Wishes { lock_hosts: vec!["a".into()], steps, ..Wishes::default() };
    let seen = world.observe(&wishes, &Secrets::default());
    let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
    world.run(plan, name, &Secrets::default(), Options::default()).unwrap().0.unwrap()
}

/// A node as the cluster tells it.
pub fn node(world: &mut World, name: &str) -> NodeListed {
    let look = Nodes { kubeconfig: ADMIN.into() };
    let items = BTreeMap::from([("a".to_owned(), vec![("a/test/node".into(), look.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::Nodes(NodesState::Listed(mut nodes)))) => nodes.remove(name).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Gives objects to the cluster, and waits for their pods.
pub fn put_objects(world: &mut World, name: &str, manifests: Vec<Value>) {
    let object = |(number, manifest)| {
        let object = Object { kubeconfig: ADMIN.into(), component: "test".into(), manifest, force: true };
        Step::new("a", "test", "test", &format!("object-{number}"), object)
    };
    let report = run_steps(world, name, manifests.into_iter().enumerate().map(object).collect());
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    world.go_for(SETTLED_MS);
}

/// A deployment of some pods of which so many must stay.
pub fn workload(replicas: u64, least: u64) -> Vec<Value> {
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

/// A run of an operation, ready to be disturbed in many ways.
pub struct Case {
    pub operation: Operation,
    pub before: World,
    pub plan: Plan,
    pub wanted: Sample,
    /// How many acts its controller does.
    pub acts: u64,
    /// How long it takes, in milliseconds.
    pub took_ms: u64,
    pub end: BTreeSet<String>,
    /// How many effects it has on each host.
    pub effects: Vec<(String, u64)>,
}

impl Case {
    /// `first` made what is there before, if anything.
    pub fn new(first: Option<&Operation>, operation: Operation) -> Self {
        let mut before = operation.world(3);
        if let Some(first) = first {
            first.succeed(&mut before, "before");
        }
        Self::of(before, operation)
    }

    /// A run over hosts as they are.
    pub fn of(mut before: World, operation: Operation) -> Self {
        operation.lose(&mut before);
        let (plan, wanted) = operation.plan(&mut before);
        assert!(!plan.is_empty());
        let mut world = before.copy(3);
        operation.lose(&mut world);
        let holder = world.holder("r", "cluster");
        let began = world.now_ms();
        let operator = world.begin(plan.clone(), holder, &wanted.secrets, Options::default()).unwrap();
        world.go();
        let report = world.report(operator).unwrap();
        assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
        assert_eq!(world.violations(), []);
        let took_ms = world.now_ms() - began;
        let (acts, end) = (world.acts(operator), portrait(&world));
        let hosts = world.hosts().zip(before.hosts());
        let effects = hosts.map(|((name, host), (_, was))| (name.to_owned(), host.effects() - was.effects()));
        let effects = effects.filter(|(_, count)| *count > 0).collect();
        Self { operation, before, plan, wanted, acts, took_ms, end, effects }
    }

    pub fn begin(&self, world: &mut World) -> usize {
        let holder = world.holder("r", "cluster");
        world.begin(self.plan.clone(), holder, &self.wanted.secrets, Options::default()).unwrap()
    }

    /// The hosts before it.
    pub fn world(&self, seed: u64) -> World {
        let mut world = self.before.copy(seed);
        self.operation.lose(&mut world);
        world
    }

    /// The hosts when it is done.
    pub fn after(&self) -> World {
        let mut world = self.world(3);
        self.begin(&mut world);
        world.go();
        assert_eq!(world.violations(), []);
        world
    }

    /// Takes up, with nothing but the hosts, whatever run was left, then runs what is still to be done, until nothing
    /// is. The hosts are then as if nothing had happened on the way.
    pub fn settle(&self, world: &mut World, what: &str) {
        for _ in 0..4 {
            if world.lock_holders().is_empty() {
                break;
            }
            let Some(record) = world.record(None) else {
                // Nobody can have begun: the record is kept before the first step.
                world.break_locks();
                break;
            };
            let secrets = &self.wanted.secrets;
            let operator =
                world.begin(record.plan, record.holder, secrets, Options { resume: true }).unwrap();
            world.go();
            let report = world.report(operator).unwrap();
            assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        }
        assert!(world.lock_holders().is_empty(), "{what}");
        world.go_for(SETTLED_MS);
        let (report, _) = self.operation.run(world, "again");
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        world.go_for(SETTLED_MS);
        assert_eq!(self.operation.left(world), Vec::<String>::new(), "{what}");
        assert_eq!(world.violations(), [], "{what}");
        // What a boot empties is there or not, by whether there was one.
        let is_kept =
            |line: &String| !["/run/", "/tmp/"].iter().any(|folder| line.contains(&format!(": {folder}")));
        let differences: Vec<String> = differences(world, &self.end).into_iter().filter(is_kept).collect();
        assert_eq!(differences, Vec::<String>::new(), "{what}");
    }

    /// The controller is killed before an act; somebody goes on.
    pub fn kill(&self, act: u64) -> World {
        let mut world = self.world(3);
        let operator = self.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        self.settle(&mut world, &format!("act {act} of {}", self.acts));
        world
    }

    /// The controller is killed before an act, and nobody takes the run up: the next one begins anew.
    pub fn abandon(&self, act: u64) -> World {
        let mut world = self.world(3);
        let operator = self.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        world.break_locks();
        self.settle(&mut world, &format!("given up at act {act} of {}", self.acts));
        world
    }

    /// The helper of a host is killed before an effect; the run goes on by itself.
    pub fn kill_helper(&self, seed: u64) -> World {
        let mut random = Random::new(seed, "helpers");
        let (host, count) = self.effects[random.below(self.effects.len() as u64) as usize].clone();
        let before_effect = 1 + random.below(count);
        let what = format!("seed {seed}: effect {before_effect} of {host}");
        let mut world = self.world(seed);
        world.befall(Fault::KillHelper { host, before_effect });
        let operator = self.begin(&mut world);
        world.go();
        let report = world.report(operator).unwrap();
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        self.settle(&mut world, &what);
        world
    }

    /// Things go wrong by chance.
    pub fn disturb(&self, seed: u64) -> World {
        let mut random = Random::new(seed, "operation");
        let mut world = self.world(seed);
        for _ in 0..=random.below(3) {
            let (host, effects) = self.effects[random.below(self.effects.len() as u64) as usize].clone();
            let before_effect = 1 + random.below(effects);
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
        self.settle(&mut world, &format!("seed {seed}"));
        world
    }

    /// Two operators begin within a moment: one works, the other is told whose run it is, and nothing is broken.
    pub fn two_operators(&self) {
        for after_ms in [0, 300, self.took_ms / 2] {
            let mut world = self.world(3);
            let begin = |run: &str, world: &mut World| {
                let holder = world.holder(run, &self.plan.operation);
                world.begin(self.plan.clone(), holder, &self.wanted.secrets, Options::default()).unwrap()
            };
            let first = begin("first", &mut world);
            world.go_for(after_ms);
            let second = begin("second", &mut world);
            world.go();
            let mut endings = [first, second].map(|operator| world.report(operator).unwrap().ending.clone());
            endings.sort_by_key(|ending| *ending != Ending::Done);
            let [Ending::Done, Ending::Refused(holders)] = &endings else {
                panic!("{after_ms}: {endings:?}");
            };
            assert_eq!(holders.first().unwrap().1.operation, self.plan.operation);
            self.settle(&mut world, &format!("two operators, {after_ms} ms apart"));
        }
    }

    /// Kills the controller before so many acts; before each one with `KUBESPRAY_EVERY_ACT=1`. `proof` is asked of the
    /// hosts after each.
    pub fn kills(&self, default: u64, proof: impl Fn(World)) {
        let began = Instant::now();
        let acts: Vec<u64> = if number("KUBESPRAY_EVERY_ACT").is_some() {
            (1..=self.acts).collect()
        } else {
            seeds(default).map(|seed| 1 + Random::new(seed, "kills").below(self.acts)).collect()
        };
        acts.iter().for_each(|act| proof(self.kill(*act)));
        tell(&format!("kills at {} of {} acts", acts.len(), self.acts), began);
    }
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok())
}

pub fn seeds(default: u64) -> std::ops::Range<u64> {
    match number("KUBESPRAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KUBESPRAY_SEEDS").unwrap_or(default),
    }
}

/// Does something for each seed.
pub fn each_seed(default: u64, one: impl Fn(u64)) {
    let (began, seeds) = (Instant::now(), seeds(default));
    let count = seeds.end - seeds.start;
    seeds.for_each(one);
    tell(&format!("{count} seeds"), began);
}

fn tell(what: &str, began: Instant) {
    eprintln!("{what} in {:.1} minutes", began.elapsed().as_secs_f64() / 60.0);
}

/// Hosts with a cluster as it is wished.
pub fn made(operation: &Operation) -> World {
    let mut world = operation.world(1);
    operation.succeed(&mut world, "first");
    world
}
