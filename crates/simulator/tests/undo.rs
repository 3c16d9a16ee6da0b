//! The way back of upgrades of imagined clusters, whatever dies on it.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_SEED=17` one alone, `KUBESPRAY_EVERY_ACT=1` kills at every act.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other tests need the rest")]
#[path = "common/operations.rs"]
mod operations;

use std::collections::BTreeMap;

use kubespray_controller::{Ending, Options, Report};
use kubespray_resource::{NodeListed, Nodes, NodesState, State};
use kubespray_simulator::{Random, World};
use operations::*;

/// A worker whose kubelet is given a configuration that it does not take.
const BROKEN: &str = "
all:
  hosts: {a: , b: , c: , d: {kubelet_config_extra_args: {kind: Nonsense}}, e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: , e: }}
    etcd: {hosts: {a: , b: , c: }}
";

const OLD: &str = "1.36.2";
const NEW: &str = "1.36.3";
const RUN: &str = "20260101-000001-r";

fn operation(inventory: &'static str, version: &str, asked: Intent) -> Operation {
    let vars = format!("kube_version: '{version}'\ndrain_grace_period: 5\n");
    Operation::new(inventory, "custom_cni", &vars).asked(asked)
}

fn done(operation: &Operation, world: &mut World, name: &str) {
    let (report, _) = operation.run(world, name);
    assert_eq!(report.ending, Ending::Done, "{name}: {:#?}", report.failures);
    assert_eq!(world.violations(), [], "{name}");
    world.go_for(SETTLED_MS);
}

/// What is put back is of the new version: what there is of the old one is known to hosts alone.
fn undo_of(hosts: &[&'static str]) -> Operation {
    operation(FIVE, NEW, Intent::Undo { hosts: hosts.to_vec() })
}

fn node(world: &mut World, name: &str) -> NodeListed {
    let look = Nodes { kubeconfig: ADMIN.into() };
    let items = BTreeMap::from([("a".to_owned(), vec![("a/test/node".into(), look.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::Nodes(NodesState::Listed(mut nodes)))) => nodes.remove(name).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// All nodes are well and take pods; their kubelets are of these versions.
fn nodes_are(world: &mut World, versions: [&str; 5], what: &str) {
    for (name, version) in NAMES.iter().zip(versions) {
        let node = node(world, name);
        assert_eq!(node.kubelet, format!("v{version}"), "{what}: {name}");
        assert!(node.ready && !node.unschedulable && node.cordoned_by.is_none(), "{what}: {name} {node:?}");
    }
}

/// The versions of API servers, by their manifests.
fn api_servers(world: &World) -> Vec<String> {
    let of = |name: &&str| {
        let text = world.host(name).unwrap().text("/etc/kubernetes/manifests/kube-apiserver.yaml").unwrap();
        let (_, rest) = text.split_once("kube-apiserver:v").unwrap();
        rest.split(['"', '\n', '\'', ' ']).next().unwrap().to_owned()
    };
    NAMES[..3].iter().map(of).collect()
}

/// A cluster whose upgrade failed in the window of the first worker.
fn failed() -> (World, Report) {
    let mut world = made(&operation(FIVE, OLD, Intent::Cluster));
    let (report, _) = operation(BROKEN, NEW, Intent::Upgrade).run(&mut world, RUN);
    assert_eq!(report.ending, Ending::Failed);
    world.go_for(SETTLED_MS);
    (world, report)
}

#[test]
fn a_worker_that_failed_in_its_window_goes_back_and_the_upgrade_goes_forth_again() {
    let (mut world, report) = failed();
    let undo = report.undo.unwrap();
    assert_eq!(undo.hosts, ["d"]);
    assert_eq!(undo.command, format!("kubespray runs undo {RUN} --limit d"));
    let broken = node(&mut world, "d");
    assert!(broken.unschedulable && !broken.ready, "{broken:?}");
    let undo = undo_of(&["d"]);
    let found = undo.undo(&mut world).unwrap();
    assert_eq!((found.run.as_str(), found.left.as_slice()), (RUN, &[][..]));
    assert!(found.wishes.steps.iter().all(|step| step.host == "d"));
    done(&undo, &mut world, "20260101-000002-u");
    nodes_are(&mut world, [NEW, NEW, NEW, OLD, OLD], "back");
    assert_eq!(undo.left(&mut world), Vec::<String>::new(), "a second time changes nothing");
    let upgrade = operation(FIVE, NEW, Intent::Upgrade);
    done(&upgrade, &mut world, "20260101-000003-r");
    nodes_are(&mut world, [NEW; 5], "forth");
    assert_eq!(upgrade.left(&mut world), Vec::<String>::new());
}

#[test]
fn a_patch_goes_back_everywhere_in_the_opposite_order() {
    let mut world = made(&operation(FIVE, OLD, Intent::Cluster));
    let upgrade = operation(FIVE, NEW, Intent::Upgrade);
    done(&upgrade, &mut world, RUN);
    assert_eq!(api_servers(&world), [NEW; 3]);
    // One API server alone would be older than kubelets.
    let left = undo_of(&["a"]).undo(&mut world).unwrap().left;
    let stays = "the API server stays: kubelets must not be newer than 1.36.2, and these would be: `b`, `c`, `d`, `e`; undo them as well";
    assert_eq!(left, [("a".to_owned(), stays.to_owned())]);
    let undo = undo_of(&NAMES);
    assert_eq!(undo.undo(&mut world).unwrap().left, []);
    done(&undo, &mut world, "20260101-000002-u");
    nodes_are(&mut world, [OLD; 5], "back");
    assert_eq!(api_servers(&world), [OLD; 3]);
    assert_eq!(undo.left(&mut world), Vec::<String>::new(), "a second time changes nothing");
    done(&upgrade, &mut world, "20260101-000003-r");
    nodes_are(&mut world, [NEW; 5], "forth");
    assert_eq!(api_servers(&world), [NEW; 3]);
}

#[test]
fn api_servers_of_a_newer_minor_version_stay() {
    let mut world = made(&operation(FIVE, "1.35.2", Intent::Cluster));
    done(&operation(FIVE, OLD, Intent::Upgrade), &mut world, RUN);
    let undo = operation(FIVE, OLD, Intent::Undo { hosts: NAMES.to_vec() });
    done(&undo, &mut world, "20260101-000002-u");
    nodes_are(&mut world, ["1.35.2"; 5], "back");
    assert_eq!(api_servers(&world), [OLD; 3]);
    done(&operation(FIVE, OLD, Intent::Upgrade), &mut world, "20260101-000003-r");
    nodes_are(&mut world, [OLD; 5], "forth");
}

#[test]
fn what_nobody_kept_cannot_go_back() {
    let mut world = made(&operation(FIVE, OLD, Intent::Cluster));
    let refusals = undo_of(&["d"]).undo(&mut world).unwrap_err();
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "`d`, undo: nothing is kept of what any run replaced; `kubespray upgrade-cluster` keeps what it replaces, of its last two runs"
        ]
    );
}

#[test]
fn the_controller_is_killed_on_the_way_back() {
    let (before, _) = failed();
    let undo = undo_of(&["d"]);
    let (plan, wanted) = undo.plan(&mut before.copy(3));
    let begin = |world: &mut World| {
        let holder = world.holder("20260101-000002-u", "undo");
        world.begin(plan.clone(), holder, &wanted.secrets, Options::default()).unwrap()
    };
    let mut world = before.copy(3);
    let operator = begin(&mut world);
    world.go();
    let acts = world.acts(operator);
    let kill = |act: u64| {
        let mut world = before.copy(3);
        let operator = begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        go_on(&undo, &mut world, &format!("act {act} of {acts}"));
        nodes_are(&mut world, [NEW, NEW, NEW, OLD, OLD], &format!("act {act} of {acts}"));
    };
    if number("KUBESPRAY_EVERY_ACT").is_some() {
        return (1..=acts).for_each(kill);
    }
    for seed in seeds(6) {
        kill(1 + Random::new(seed, "undo").below(acts));
    }
}
