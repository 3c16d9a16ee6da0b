//! The way back of upgrades of imagined clusters, whatever dies on it.
//!
//! `KUBESPRAY_SEEDS=1000` tries more, `KUBESPRAY_SEED=17` one alone, `KUBESPRAY_EVERY_ACT=1` kills at every act.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::format_push_string,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other tests need the rest")]
#[path = "common/operations.rs"]
mod operations;

use kubespray_controller::{Ending, Report};
use kubespray_simulator::World;
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

/// What is put back is of the new version: what there is of the old one is known to hosts alone.
fn undo_of(hosts: &[&'static str]) -> Operation {
    operation(FIVE, NEW, Intent::Undo { hosts: hosts.to_vec() })
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
    assert!(undo.wanted(&mut world).wishes.steps.iter().all(|step| step.host == "d"));
    assert_eq!(undo.stays.borrow().as_slice(), []);
    undo.succeed(&mut world, "20260101-000002-u");
    nodes_are(&mut world, [NEW, NEW, NEW, OLD, OLD], "back");
    assert_eq!(undo.left(&mut world), Vec::<String>::new(), "a second time changes nothing");
    let upgrade = operation(FIVE, NEW, Intent::Upgrade);
    upgrade.succeed(&mut world, "20260101-000003-r");
    nodes_are(&mut world, [NEW; 5], "forth");
    assert_eq!(upgrade.left(&mut world), Vec::<String>::new());
}

#[test]
fn a_patch_goes_back_everywhere_in_the_opposite_order() {
    let mut world = made(&operation(FIVE, OLD, Intent::Cluster));
    let upgrade = operation(FIVE, NEW, Intent::Upgrade);
    upgrade.succeed(&mut world, RUN);
    assert_eq!(api_servers(&world), [NEW; 3]);
    // One API server alone would be older than kubelets.
    let alone = undo_of(&["a"]);
    alone.wanted(&mut world);
    let stays = "the API server stays: kubelets must not be newer than 1.36.2, and these would be: `b`, `c`, `d`, `e`; undo them as well";
    assert_eq!(*alone.stays.borrow(), [("a".to_owned(), stays.to_owned())]);
    let undo = undo_of(&NAMES);
    undo.succeed(&mut world, "20260101-000002-u");
    nodes_are(&mut world, [OLD; 5], "back");
    assert_eq!(undo.stays.borrow().as_slice(), []);
    assert_eq!(api_servers(&world), [OLD; 3]);
    assert_eq!(undo.left(&mut world), Vec::<String>::new(), "a second time changes nothing");
    upgrade.succeed(&mut world, "20260101-000003-r");
    nodes_are(&mut world, [NEW; 5], "forth");
    assert_eq!(api_servers(&world), [NEW; 3]);
}

#[test]
fn api_servers_of_a_newer_minor_version_stay() {
    let mut world = made(&operation(FIVE, "1.35.2", Intent::Cluster));
    operation(FIVE, OLD, Intent::Upgrade).succeed(&mut world, RUN);
    let undo = operation(FIVE, OLD, Intent::Undo { hosts: NAMES.to_vec() });
    undo.succeed(&mut world, "20260101-000002-u");
    nodes_are(&mut world, ["1.35.2"; 5], "back");
    assert_eq!(api_servers(&world), [OLD; 3]);
    operation(FIVE, OLD, Intent::Upgrade).succeed(&mut world, "20260101-000003-r");
    nodes_are(&mut world, [OLD; 5], "forth");
}

#[test]
fn what_nobody_kept_cannot_go_back() {
    let mut world = made(&operation(FIVE, OLD, Intent::Cluster));
    assert_eq!(
        undo_of(&["d"]).refusals(&mut world),
        [
            "`d`, undo: nothing is kept of what any run replaced; `kubespray upgrade-cluster` keeps what it replaces, of its last two runs"
        ]
    );
}

#[test]
fn a_worker_goes_back_whatever_happens() {
    let case = Case::of(failed().0, undo_of(&["d"]));
    let proof = |mut world: World| nodes_are(&mut world, [NEW, NEW, NEW, OLD, OLD], "back");
    case.kills(4, proof);
    each_seed(2, |seed| {
        proof(case.kill_helper(seed));
        proof(case.disturb(seed));
    });
}

#[test]
fn all_of_a_patch_goes_back_whatever_happens() {
    let mut world = made(&operation(FIVE, OLD, Intent::Cluster));
    operation(FIVE, NEW, Intent::Upgrade).succeed(&mut world, RUN);
    let case = Case::of(world, undo_of(&NAMES));
    let proof = |mut world: World| nodes_are(&mut world, [OLD; 5], "back");
    case.kills(2, proof);
    each_seed(1, |seed| proof(case.disturb(seed)));
}
