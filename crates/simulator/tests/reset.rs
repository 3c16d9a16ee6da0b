//! `reset` over imagined hosts: what is left of a cluster, whole or half-made, and whatever dies on the way.
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

use std::collections::{BTreeMap, BTreeSet};

use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::components::{Live, Site, engine_secrets, probes};
use kubespray_planner::{Wishes, lint, operations, plan};
use kubespray_resource::{Authority, CertificateRequest, KeyAlgorithm, Plan, Resource, Secrets};
use kubespray_simulator::{Fault, Random, World};
use support::spec;

/// Two hosts that are everything, one that is only a member of etcd, a worker.
const FOUR: &str = "
all:
  hosts: {a: , b: , c: , d: }
  children:
    kube_control_plane: {hosts: {a: , b: }}
    kube_node: {hosts: {a: , b: , d: }}
    etcd: {hosts: {a: , b: , c: }}
";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const VARS: &str = "kube_network_plugin: none\nadditional_sysctl: [{name: vm.swappiness, value: 5}]\n";

#[derive(Clone, Copy, PartialEq)]
enum Do {
    Cluster,
    Reset,
}

fn wanted(world: &mut World, what: Do) -> (Wishes, Secrets) {
    let facts = world.facts();
    let spec = spec(FOUR, VARS, &facts);
    let asked = spec.hosts.iter().map(|host| (host.name.clone(), probes(host))).collect();
    let live = Live::of(&spec, &world.states(asked));
    let site = Site { spec: &spec, facts: &facts, live: &live };
    let mut secrets = engine_secrets(&spec);
    let mut wishes = if what == Do::Reset {
        let all = NAMES.map(str::to_owned).into();
        operations::reset(&site, &all, &BTreeSet::new()).unwrap().wishes
    } else {
        secrets.insert("generated/kubeadm_token", "abcdef.0123456789abcdef");
        secrets.insert("generated/kubeadm_certificate_key", "0123456789abcdef".repeat(4));
        operations::cluster(&site, &BTreeMap::new()).unwrap()
    };
    world.imagine_downloads(&mut wishes);
    for step in &mut wishes.steps {
        match &mut step.resource {
            Resource::Authority(Authority { key, .. })
            | Resource::CertificateRequest(CertificateRequest { key, .. }) => {
                key.algorithm = KeyAlgorithm::EcdsaP256;
            }
            Resource::Certificate(certificate) => certificate.key.algorithm = KeyAlgorithm::EcdsaP256,
            _ => {}
        }
    }
    (wishes, secrets)
}

fn planned(world: &mut World, what: Do) -> (Plan, Secrets) {
    let (wishes, secrets) = wanted(world, what);
    let seen = world.observe(&wishes, &secrets);
    let plan = plan(wishes, &seen, &secrets).unwrap();
    assert_eq!(lint(&plan, &secrets), []);
    (plan, secrets)
}

fn run(world: &mut World, what: Do, name: &str) -> Report {
    let (plan, secrets) = planned(world, what);
    world.run(plan, name, &secrets, Options::default()).unwrap().0.unwrap()
}

fn left(world: &mut World) -> Vec<String> {
    planned(world, Do::Reset).0.changes().map(|planned| planned.step.id.to_string()).collect()
}

/// Everything on hosts, running or not, but for the kernel's modules: a loaded one stays until the next boot.
fn portrait(world: &World) -> BTreeSet<String> {
    let all = world.hosts().flat_map(|(name, host)| {
        host.portrait().into_iter().map(move |(what, how)| format!("{name}: {what}: {how}"))
    });
    const NOT: [&str; 2] = ["/proc/modules", "/proc/sys/net/bridge"];
    all.filter(|line| !NOT.iter().any(|not| line.contains(not))).collect()
}

fn differences(world: &World, end: &BTreeSet<String>) -> Vec<String> {
    portrait(world).symmetric_difference(end).cloned().collect()
}

/// A cluster, what was there before it, and the run that takes it away.
struct Case {
    before: BTreeSet<String>,
    cluster: World,
    plan: Plan,
    secrets: Secrets,
}

impl Case {
    fn new() -> Self {
        let mut world = World::new(NAMES, 3);
        let before = portrait(&world);
        let report = run(&mut world, Do::Cluster, "cluster");
        assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
        world.go_for(30_000);
        let (plan, secrets) = planned(&mut world, Do::Reset);
        Self { before, cluster: world, plan, secrets }
    }

    fn begin(&self, world: &mut World) -> usize {
        let holder = world.holder("r", "reset");
        world.begin(self.plan.clone(), holder, &self.secrets, Options::default()).unwrap()
    }

    /// Whatever run was left is taken up with nothing but the hosts; then nothing is left of the cluster.
    fn settles(&self, world: &mut World, what: &str) {
        for _ in 0..4 {
            if world.lock_holders().is_empty() {
                break;
            }
            let Some(record) = world.record(None) else {
                world.break_locks();
                break;
            };
            let options = Options { resume: true };
            let operator = world.begin(record.plan, record.holder, &self.secrets, options).unwrap();
            world.go();
            let report = world.report(operator).unwrap();
            assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        }
        if !left(world).is_empty() {
            let report = run(world, Do::Reset, "again");
            assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        }
        assert_eq!(left(world), Vec::<String>::new(), "{what}");
        assert_eq!(differences(world, &self.before), Vec::<String>::new(), "{what}");
        assert_eq!(world.violations(), [], "{what}");
    }
}

#[test]
fn hosts_are_what_they_were_and_can_be_a_cluster_again() {
    let case = Case::new();
    let mut world = case.cluster.copy(3);
    let operator = case.begin(&mut world);
    world.go();
    let report = world.report(operator).unwrap();
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    case.settles(&mut world, "whole");
    let report = run(&mut world, Do::Cluster, "second");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    world.go_for(30_000);
    let report = run(&mut world, Do::Reset, "second-reset");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    case.settles(&mut world, "twice");
}

/// The run that makes a cluster is killed at some of its acts, and the half of a cluster is taken away.
#[test]
fn a_half_made_cluster_goes_like_a_whole_one() {
    let case = Case::new();
    for act in (5..800).step_by(53) {
        let mut world = World::new(NAMES, 3);
        let (plan, secrets) = planned(&mut world, Do::Cluster);
        let holder = world.holder("r", "cluster");
        let operator = world.begin(plan, holder, &secrets, Options::default()).unwrap();
        world.kill_before_act(operator, act);
        world.go();
        world.break_locks();
        case.settles(&mut world, &format!("killed before act {act}"));
    }
}

#[test]
fn the_controller_is_killed_before_each_act() {
    let case = Case::new();
    let mut act = 1;
    loop {
        let mut world = case.cluster.copy(3);
        let operator = case.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        if world.report(operator).is_some() {
            break;
        }
        case.settles(&mut world, &format!("act {act}"));
        act += 7;
    }
    assert!(act > 200, "{act}");
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("KUBESPRAY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("KUBESPRAY_SEEDS").unwrap_or(24)).collect(),
    }
}

#[test]
fn helpers_die_and_the_power_goes() {
    let case = Case::new();
    let mut world = case.cluster.copy(3);
    let were: Vec<u64> = world.hosts().map(|(_, host)| host.effects()).collect();
    case.begin(&mut world);
    world.go();
    let effects: Vec<u64> = world.hosts().zip(were).map(|((_, host), was)| host.effects() - was).collect();
    assert!(effects.iter().all(|count| *count > 40), "{effects:?}");
    for seed in seeds() {
        let mut random = Random::new(seed, "reset");
        let at = random.below(NAMES.len() as u64) as usize;
        let (host, before_effect) = (NAMES[at].to_owned(), 1 + random.below(effects[at]));
        let what = format!("seed {seed}: effect {before_effect} of {host}");
        let mut world = case.cluster.copy(seed);
        world.befall(if random.below(2) == 0 {
            Fault::KillHelper { host, before_effect }
        } else {
            Fault::PowerLoss { host, before_effect, off_ms: 40_000 }
        });
        case.begin(&mut world);
        world.go();
        case.settles(&mut world, &what);
    }
}

/// A record of what was there is no place for what somebody keeps to himself.
#[test]
fn nothing_secret_is_remembered() {
    let case = Case::new();
    for (name, host) in case.cluster.hosts() {
        let kept = host.kept_by_helpers();
        let record = kept.iter().find(|(path, _)| path.ends_with("/before.jsonl"));
        let (_, text) = record.unwrap_or_else(|| panic!("`{name}` remembers nothing"));
        assert!(text.contains("/swapfile none swap"), "{text}");
        for secret in ["PRIVATE KEY", "abcdef.0123456789abcdef", "client-key-data"] {
            assert!(!text.contains(secret), "`{name}` remembers {secret}");
        }
        assert!(text.len() < 64_000, "{}", text.len());
    }
}
