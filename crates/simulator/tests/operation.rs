//! The whole operation `cluster` over imagined hosts: made, looked at again, disturbed.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_SEED=17` one alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
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

use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::components::{Live, Site, engine_secrets, probes};
use kubespray_planner::operations::cluster;
use kubespray_planner::{Wishes, lint, plan};
use kubespray_resource::{
    Authority, CertificateRequest, Check, CheckState, Command, Disruption, Drain, Event, Facts, KeyAlgorithm,
    NodeState, Plan, Probe, Resource, Secrets, State, Step,
};
use kubespray_simulator::{Fault, Random, Sample, World};
use kubespray_spec::ClusterSpec;
use support::spec;

/// Three hosts that are everything.
const ALL: &str = "
all:
  hosts: {a: , b: , c: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {a: , b: , c: }}
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

/// Three control planes with etcd, two workers.
const FIVE: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: , e: }}
    etcd: {hosts: {a: , b: , c: }}
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

/// What is wished of hosts, however they are.
struct Operation {
    inventory: &'static str,
    vars: String,
    /// The specification for facts of hosts: to make it takes longer than a run.
    specs: RefCell<BTreeMap<String, Rc<ClusterSpec>>>,
}

impl Operation {
    fn new(inventory: &'static str, network: &str, vars: &str) -> Self {
        let manifests = if network == "custom_cni" {
            format!("custom_cni_manifests: [{MANIFEST}]\n")
        } else {
            String::new()
        };
        let vars = format!("kube_network_plugin: {network}\n{manifests}{vars}");
        Self { inventory, vars, specs: RefCell::default() }
    }

    fn world(&self, seed: u64) -> World {
        let count = self.inventory.lines().nth(2).unwrap().matches(':').count() - 1;
        World::new(&NAMES[..count], seed)
    }

    fn spec(&self, facts: &BTreeMap<String, Facts>) -> Rc<ClusterSpec> {
        let same =
            |facts: &Facts| Facts { clock_ms: 0, boot_id: String::new(), uptime_s: 0, ..facts.clone() };
        let key = format!("{:?}", facts.values().map(same).collect::<Vec<_>>());
        let made = || Rc::new(spec(self.inventory, &self.vars, facts));
        Rc::clone(self.specs.borrow_mut().entry(key).or_insert_with(made))
    }

    /// What is wished of hosts as they are now.
    fn wanted(&self, world: &mut World) -> Sample {
        let facts = world.facts();
        let spec = self.spec(&facts);
        let asked = spec.hosts.iter().map(|host| (host.name.clone(), probes(host))).collect();
        let live = Live::of(&spec, &world.states(asked));
        let manifests = BTreeMap::from([(MANIFEST.to_owned(), BRIDGE.to_owned())]);
        let mut wishes = cluster(&Site { spec: &spec, facts: &facts, live: &live }, &manifests).unwrap();
        world.imagine_downloads(&mut wishes);
        for step in &mut wishes.steps {
            small_key(&mut step.resource);
        }
        let mut secrets = engine_secrets(&spec);
        secrets.insert("generated/kubeadm_token", "abcdef.0123456789abcdef");
        secrets.insert("generated/kubeadm_certificate_key", "0123456789abcdef".repeat(4));
        Sample { wishes, secrets }
    }

    fn plan(&self, world: &mut World) -> (Plan, Sample) {
        let wanted = self.wanted(world);
        let seen = world.observe(&wanted.wishes, &wanted.secrets);
        let plan = plan(wanted.wishes.clone(), &seen, &wanted.secrets).unwrap();
        assert_eq!(lint(&plan, &wanted.secrets), []);
        (plan, wanted)
    }

    fn run(&self, world: &mut World, name: &str) -> (Report, Vec<Event>) {
        let (plan, wanted) = self.plan(world);
        let (report, events) = world.run(plan, name, &wanted.secrets, Options::default()).unwrap();
        (report.unwrap(), events)
    }

    /// What a look finds to be done.
    fn left(&self, world: &mut World) -> Vec<String> {
        let (plan, _) = self.plan(world);
        plan.changes().map(|planned| format!("{} {:?}", planned.step.id, planned.seen.changes)).collect()
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

/// Pods that have begun have all become ready after so long.
const SETTLED_MS: u64 = 30_000;

const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// Whether these nodes are ready, as a control plane tells it.
fn are_ready(world: &mut World, asked: &str, nodes: &[&str]) -> Result<(), String> {
    let nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
    let probe = Probe::NodesReady { kubeconfig: ADMIN.into(), nodes };
    let check = Check { name: "ready".into(), probe, timeout_s: 1, interval_ms: 100 };
    let items = BTreeMap::from([(asked.to_owned(), vec![("a/test/ready".into(), check.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::Check(CheckState { problem: None, .. }))) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn clusters_are_made_and_a_second_run_finds_nothing_to_do() {
    for (inventory, network, nodes, vars) in [
        (ALL, "custom_cni", &["a", "b", "c"][..], ""),
        (ALL, "none", &[], ""),
        (APART, "custom_cni", &["a", "c", "d"], ""),
        (APART, "calico", &["a", "c", "d"], ""),
        (FIVE, "calico", &["a", "b", "c", "d", "e"], ""),
        (FIVE, "none", &[], "metrics_server_enabled: true"),
    ] {
        let what = format!("{network} {vars} on {inventory}");
        let operation = Operation::new(inventory, network, vars);
        let mut world = operation.world(1);
        let (report, _) = operation.run(&mut world, "first");
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        assert_eq!(world.violations(), [], "{what}");
        world.go_for(SETTLED_MS);
        assert_eq!(are_ready(&mut world, "a", nodes), Ok(()), "{what}");
        let is_alone = are_ready(&mut world, "a", &["a"]).is_err();
        assert_eq!(is_alone, network == "none", "{what}: only what has a network is ready");
        let starts: Vec<u64> = world.hosts().map(|(_, host)| host.starts()).collect();
        assert_eq!(operation.left(&mut world), Vec::<String>::new(), "{what}");
        let (report, _) = operation.run(&mut world, "second");
        assert_eq!((report.ending, report.recap.iter().map(|host| host.changed).sum()), (Ending::Done, 0));
        assert_eq!(world.hosts().map(|(_, host)| host.starts()).collect::<Vec<_>>(), starts);
        assert!(world.lock_holders().is_empty());
    }
}

/// The files, units and packages of all hosts. Of what holds keys or is made with them, and of who was there when a
/// member of etcd began, only that it is there.
fn portrait(world: &World) -> BTreeSet<String> {
    const VARIES: [&str; 3] = ["/etc/kubernetes/ssl/", "/etc/ssl/etcd/ssl/", "/etc/etcd.env"];
    let mut out = BTreeSet::new();
    for (name, host) in world.hosts() {
        for (what, how) in host.portrait().into_iter().filter(|(what, _)| !what.starts_with("/proc/")) {
            let text = host.text(&what).unwrap_or_default();
            let varies = VARIES.iter().any(|path| what.starts_with(path))
                || text.contains("BEGIN CERTIFICATE")
                || text.contains("certificate-authority-data");
            let how = if varies { how.split(' ').next().unwrap_or_default() } else { &how };
            out.insert(format!("{name}: {what}: {how}"));
        }
    }
    out
}

fn differences(world: &World, end: &BTreeSet<String>) -> Vec<String> {
    portrait(world).symmetric_difference(end).cloned().collect()
}

/// Takes up, with nothing but the hosts, whatever run was left, then runs what is still to be done, until nothing is.
fn go_on(operation: &Operation, world: &mut World, what: &str) {
    for _ in 0..4 {
        if world.lock_holders().is_empty() {
            break;
        }
        let Some(record) = world.record(None) else {
            // Nobody can have begun: the record is kept before the first step.
            world.break_locks();
            break;
        };
        let secrets = operation.wanted(world).secrets;
        let operator = world.begin(record.plan, record.holder, &secrets, Options { resume: true }).unwrap();
        world.go();
        let report = world.report(operator).unwrap();
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
    }
    assert!(world.lock_holders().is_empty(), "{what}");
    world.go_for(SETTLED_MS);
    let (report, _) = operation.run(world, "again");
    assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
    world.go_for(SETTLED_MS);
    assert_eq!(operation.left(world), Vec::<String>::new(), "{what}");
    assert_eq!(world.violations(), [], "{what}");
}

/// A run of an operation, ready to be disturbed in many ways.
struct Case {
    operation: Operation,
    before: World,
    plan: Plan,
    wanted: Sample,
    /// How many acts its controller does.
    acts: u64,
    /// How long it takes, in milliseconds.
    took_ms: u64,
    end: BTreeSet<String>,
    /// How many effects it has on each host.
    effects: Vec<(String, u64)>,
}

impl Case {
    /// `first` made what is there before, if anything.
    fn new(first: Option<&Operation>, operation: Operation) -> Self {
        let mut before = operation.world(3);
        if let Some(first) = first {
            let (report, _) = first.run(&mut before, "before");
            assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
            before.go_for(SETTLED_MS);
        }
        let (plan, wanted) = operation.plan(&mut before);
        assert!(!plan.is_empty());
        let mut world = before.copy(3);
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
        let effects = effects.collect();
        Self { operation, before, plan, wanted, acts, took_ms, end, effects }
    }

    fn begin(&self, world: &mut World) -> usize {
        let holder = world.holder("r", "cluster");
        world.begin(self.plan.clone(), holder, &self.wanted.secrets, Options::default()).unwrap()
    }

    /// The controller is killed before an act; somebody goes on.
    fn kill(&self, act: u64) {
        let what = format!("act {act} of {}", self.acts);
        let mut world = self.before.copy(3);
        let operator = self.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        go_on(&self.operation, &mut world, &what);
        assert_eq!(differences(&world, &self.end), Vec::<String>::new(), "{what}");
    }

    /// The helper of a host is killed before an effect; the run goes on by itself.
    fn kill_helper(&self, seed: u64) {
        let mut random = Random::new(seed, "helpers");
        let (host, count) = self.effects[random.below(self.effects.len() as u64) as usize].clone();
        let before_effect = 1 + random.below(count);
        let what = format!("effect {before_effect} of {host}");
        let mut world = self.before.copy(seed);
        world.befall(Fault::KillHelper { host, before_effect });
        let operator = self.begin(&mut world);
        world.go();
        let report = world.report(operator).unwrap();
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        go_on(&self.operation, &mut world, &what);
        assert_eq!(differences(&world, &self.end), Vec::<String>::new(), "{what}");
    }

    /// Things go wrong by chance.
    fn disturb(&self, seed: u64) {
        let mut random = Random::new(seed, "operation");
        let mut world = self.before.copy(seed);
        let hosts: Vec<String> = world.hosts().map(|(name, _)| name.to_owned()).collect();
        for _ in 0..=random.below(3) {
            let host = hosts[random.below(hosts.len() as u64) as usize].clone();
            let before_effect = 1 + random.below(400);
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
        let what = format!("seed {seed}");
        go_on(&self.operation, &mut world, &what);
        assert_eq!(differences(&world, &self.end), Vec::<String>::new(), "{what}");
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

/// Settings of everything that restarts.
const OTHER: &str = "
etcd_heartbeat_interval: 300
kubelet_max_pods: 90
kube_apiserver_request_timeout: 2m0s
containerd_max_container_log_line_size: 20000
";

fn fresh() -> Case {
    Case::new(None, Operation::new(ALL, "custom_cni", ""))
}

fn changed() -> Case {
    let first = Operation::new(ALL, "custom_cni", "");
    let case = Case::new(Some(&first), Operation::new(ALL, "custom_cni", OTHER));
    let of_members = case.plan.changes().filter(|planned| planned.step.disruption == Disruption::Quorum);
    let rollouts: BTreeSet<_> = of_members.map(|planned| planned.step.rollout.clone().unwrap()).collect();
    assert_eq!(rollouts.into_iter().collect::<Vec<_>>(), ["control-plane", "etcd"]);
    case
}

fn kill_by_seeds(case: &Case) {
    for seed in seeds(8) {
        let mut random = Random::new(seed, "kills");
        case.kill(1 + random.below(case.acts));
    }
}

#[test]
fn the_controller_is_killed_while_a_cluster_is_made() {
    kill_by_seeds(&fresh());
}

#[test]
fn the_controller_is_killed_while_a_cluster_is_changed() {
    kill_by_seeds(&changed());
}

#[test]
fn helpers_are_killed_while_a_cluster_is_made() {
    let case = fresh();
    seeds(8).for_each(|seed| case.kill_helper(seed));
}

#[test]
fn a_cluster_is_made_whatever_happens() {
    let case = fresh();
    seeds(8).for_each(|seed| case.disturb(seed));
}

#[test]
fn a_cluster_is_changed_whatever_happens() {
    let case = changed();
    seeds(8).for_each(|seed| case.disturb(seed));
}

/// Hosts with a cluster as it is wished.
fn made(operation: &Operation) -> World {
    let mut world = operation.world(1);
    let (report, _) = operation.run(&mut world, "first");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    world.go_for(SETTLED_MS);
    world
}

/// Runs some steps of nobody's, without any turns.
fn run_wishes(world: &mut World, name: &str, steps: Vec<Step>) -> Report {
    let wishes = Wishes { lock_hosts: vec!["a".into()], steps, ..Wishes::default() };
    let seen = world.observe(&wishes, &Secrets::default());
    let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
    world.run(plan, name, &Secrets::default(), Options::default()).unwrap().0.unwrap()
}

fn command(host: &str, argv: &[&str]) -> Step {
    let command = Command {
        argv: argv.iter().map(ToString::to_string).collect(),
        environment: BTreeMap::new(),
        stdin: None,
        guards: Vec::new(),
        timeout_s: 60,
    };
    Step::new(host, "test", "test", "step", command)
}

fn rules(world: &World) -> Vec<&'static str> {
    world.violations().iter().map(|violation| violation.rule).collect()
}

#[test]
fn who_stops_what_the_cluster_cannot_spare_is_seen() {
    let operation = Operation::new(ALL, "custom_cni", "");
    let stop = ["systemctl", "stop", "--", "etcd.service"];
    let begin_anew = [
        "/bin/sh",
        "-c",
        "for pod in $(crictl pods --namespace kube-system --name '^kube-apiserver-' --quiet); do true; done",
    ];
    let before = made(&operation);
    for (argv, hosts, expected) in [
        (&stop[..], &["a"][..], &[][..]),
        (&stop, &["a", "b"], &["etcd-quorum"]),
        (&begin_anew, &["a"], &[]),
        (&begin_anew, &["a", "b"], &["control-planes"]),
    ] {
        let mut world = before.copy(1);
        let report = run_wishes(&mut world, "bad", hosts.iter().map(|host| command(host, argv)).collect());
        assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
        assert_eq!(rules(&world), expected, "{argv:?} {hosts:?}");
    }
}

#[test]
fn a_run_without_an_end_is_seen() {
    let mut world = World::new(["a"], 1);
    let probe = Probe::Path("/nowhere".into());
    let check = Check { name: "x".into(), probe, timeout_s: 72 * 3600, interval_ms: 60_000 };
    let wishes = Wishes { steps: vec![Step::new("a", "test", "test", "wait", check)], ..Wishes::default() };
    let seen = world.observe(&wishes, &Secrets::default());
    let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
    let holder = world.holder("r", "test");
    world.begin(plan, holder, &Secrets::default(), Options::default()).unwrap();
    world.go();
    assert_eq!(rules(&world), ["ends"]);
}

#[test]
fn a_cluster_grows_even_by_a_host_that_is_placed_first() {
    const ONE: &str = "
all:
  hosts: {a: , b: , c: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {a: }}
    etcd: {hosts: {a: }}
";
    const THREE: &str = "
all:
  hosts: {c: , b: , a: }
  children:
    kube_control_plane: {hosts: {c: , b: , a: }}
    kube_node: {hosts: {a: , b: , c: }}
    etcd: {hosts: {c: , b: , a: }}
";
    let mut world = made(&Operation::new(ONE, "custom_cni", ""));
    let authority = |world: &World, host: &str| world.host(host).unwrap().text("/etc/kubernetes/ssl/ca.crt");
    let before = authority(&world, "a");
    let operation = Operation::new(THREE, "custom_cni", "");
    let (report, _) = operation.run(&mut world, "grow");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    assert_eq!(world.violations(), []);
    world.go_for(SETTLED_MS);
    assert_eq!(are_ready(&mut world, "a", &["a", "b", "c"]), Ok(()));
    assert_eq!((authority(&world, "c"), authority(&world, "b")), (before.clone(), before));
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
}

#[test]
fn a_node_is_drained_and_given_back() {
    let operation = Operation::new(ALL, "custom_cni", "");
    let mut world = made(&operation);
    let drain = Drain {
        kubeconfig: ADMIN.into(),
        node: "b".into(),
        mark: Some("upgrade".into()),
        grace_s: Some(10),
        timeout_s: 300,
        ignore_daemonsets: true,
        delete_empty_dir: true,
        force: false,
        pod_selector: None,
        fallback: None,
        uncordon_on_failure: true,
    };
    let open = NodeState {
        kubeconfig: ADMIN.into(),
        name: "b".into(),
        unschedulable: Some(false),
        mark: Some("upgrade".into()),
        ..NodeState::default()
    };
    for (name, resource) in [("drain", Resource::from(drain)), ("open", open.into())] {
        let report = run_wishes(&mut world, name, vec![Step::new("a", "test", "test", name, resource)]);
        assert_eq!(
            (report.ending, report.recap[0].changed),
            (Ending::Done, 1),
            "{name}: {:?}",
            report.failures
        );
    }
    // Pods that were drained begin elsewhere.
    world.go_for(SETTLED_MS);
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
    assert_eq!(world.violations(), []);
}

#[test]
fn any_control_plane_may_be_away() {
    let operation = Operation::new(FIVE, "custom_cni", "");
    let before = made(&operation);
    for (away, asked) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let mut world = before.copy(1);
        world.befall(Fault::Off { host: away.into(), off_ms: u64::MAX });
        world.go_for(SETTLED_MS);
        let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != away).collect();
        assert_eq!(are_ready(&mut world, asked, &others), Ok(()), "{away}");
        assert!(are_ready(&mut world, asked, &[away]).is_err());
    }
}

#[test]
fn a_changed_variable_changes_what_it_must() {
    const MIRROR: &str = "containerd_registries_mirrors:
  - {prefix: docker.io, mirrors: [{host: 'https://mirror.example', capabilities: [pull]}]}
";
    let before = made(&Operation::new(ALL, "custom_cni", ""));
    // What changes on every host, and what more on the one that leads.
    for (vars, of_all, of_leader) in [
        ("additional_sysctl: [{name: vm.swappiness, value: 10}]", "preinstall/sysctl-vm.swappiness", ""),
        (
            "kubelet_max_pods: 90",
            "kubelet/configuration kubelet/kubelet.service kubelet/well kubelet/running kubelet/running-well control-plane/ready",
            "",
        ),
        (
            "kube_apiserver_request_timeout: 2m0s",
            "control-plane/kubeadm-config control-plane/manifests kubelet/running-well control-plane/ready",
            "control-plane/upload-config",
        ),
        (
            "supplementary_addresses_in_ssl_keys: [api.example]",
            "control-plane/kubeadm-config control-plane/certificate-names control-plane/manifests kubelet/running-well control-plane/ready",
            "control-plane/upload-config",
        ),
        (
            "etcd_heartbeat_interval: 300",
            "etcd/settings etcd/running-others-healthy etcd/snapshot etcd/running etcd/healthy",
            "",
        ),
        (MIRROR, "containerd/registry-docker.io", ""),
        (
            "coredns_default_zone_cache_block: cache 60",
            "",
            "coredns/configmap-coredns coredns/deployment-coredns dns/ready",
        ),
    ] {
        let mut world = before.copy(1);
        let (plan, _) = Operation::new(ALL, "custom_cni", vars).plan(&mut world);
        let of = |host: &str| -> Vec<String> {
            let ids = plan.changes().map(|planned| planned.step.id.as_str());
            ids.filter_map(|id| Some(id.split_once('/').filter(|(of, _)| *of == host)?.1.to_owned()))
                .collect()
        };
        let all = of("b");
        assert_eq!((all.join(" "), of("c")), (of_all.to_owned(), all.clone()), "{vars}");
        let more: Vec<String> = of("a").into_iter().filter(|step| !all.contains(step)).collect();
        assert_eq!(more.join(" "), of_leader, "{vars}");
    }
}
