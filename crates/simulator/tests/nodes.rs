//! Hosts that come to a cluster and leave it (`scale`, `remove-node`), whatever dies on the way.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_SEED=17` one alone, `KUBESPRAY_EVERY_ACT=1` kills at every act.
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

use std::collections::{BTreeMap, BTreeSet};

use kubespray_controller::Ending;
use kubespray_planner::operations::Newcomers;
use kubespray_resource::{Assertion, Check, Probe, State};
use kubespray_simulator::World;
use operations::*;
use serde_json::{Value, json};

/// `FIVE` before two control planes came, one of them to the first place, and a worker.
const SMALL: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {b: }}
    kube_node: {hosts: {d: }}
    etcd: {hosts: {b: }}
";

/// `FIVE` without its first control plane and its last worker.
const LESS: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {b: , c: }}
    kube_node: {hosts: {d: }}
    etcd: {hosts: {b: , c: }}
";

/// `FIVE` without its first worker.
const WITHOUT_D: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {e: }}
    etcd: {hosts: {a: , b: , c: }}
";

/// `FIVE`, whose workers are members of etcd too.
const MEMBERS: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: , e: }}
    etcd: {hosts: {a: , b: , c: , d: , e: }}
";

/// `MEMBERS` without those.
const PLANES: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {}}
    etcd: {hosts: {a: , b: , c: }}
";

/// Addresses as imagined hosts have them: of a dead host nobody else knows it. Pods of a node that is deleted stay in
/// the model, so there are none that anything waits for.
const KNOWN: &str =
    "ip: \"10.1.0.{{ ['a', 'b', 'c', 'd', 'e'].index(inventory_hostname) }}\"\ndns_mode: none\n";

fn grown() -> Case {
    let case = Case::new(
        Some(&Operation::new(SMALL, "custom_cni", "")),
        Operation::new(FIVE, "custom_cni", "").asked(Intent::Scale { without: SMALL }),
    );
    let touched: BTreeSet<&str> = case.plan.changes().map(|planned| planned.step.host.as_str()).collect();
    assert_eq!(touched.into_iter().collect::<Vec<_>>(), NAMES);
    let of_worker = case.plan.changes().filter(|planned| planned.step.host == "d");
    let of_worker: Vec<&str> = of_worker.map(|planned| planned.step.id.as_str()).collect();
    assert_eq!(of_worker, ["d/nginx/configuration", "d/nginx/pod"], "who stays learns what it must");
    case
}

/// Hosts leave, some of them dead.
fn shrunk(dead: &[&'static str]) -> Case {
    let leaves = Intent::Remove { hosts: vec!["a", "e"], dead: dead.to_vec(), without: LESS };
    Case::new(
        Some(&Operation::new(FIVE, "custom_cni", KNOWN)),
        Operation::new(FIVE, "custom_cni", KNOWN).asked(leaves),
    )
}

#[test]
fn the_controller_is_killed_while_a_cluster_grows() {
    grown().kills(8, drop);
}

#[test]
fn helpers_are_killed_while_a_cluster_grows() {
    let case = grown();
    each_seed(4, |seed| drop(case.kill_helper(seed)));
}

#[test]
fn a_cluster_grows_whatever_happens() {
    let case = grown();
    each_seed(4, |seed| drop(case.disturb(seed)));
}

#[test]
fn the_controller_is_killed_while_hosts_leave() {
    shrunk(&[]).kills(8, drop);
}

#[test]
fn hosts_leave_whatever_happens() {
    let case = shrunk(&[]);
    each_seed(4, |seed| drop(case.disturb(seed)));
}

#[test]
fn the_controller_is_killed_while_dead_hosts_are_forgotten() {
    shrunk(&["a", "e"]).kills(8, drop);
}

#[test]
fn who_is_left_works_without_those_that_left() {
    for dead in [&[][..], &["a"], &["a", "e"]] {
        let mut world = shrunk(dead).after();
        // Pods of a host that died are made anew elsewhere.
        world.go_for(10 * SETTLED_MS);
        assert_eq!(are_ready(&mut world, "b", &["b", "c", "d"]), Ok(()), "{dead:?}");
        for left in ["a", "e"] {
            let why = are_ready(&mut world, "b", &[left]).unwrap_err();
            assert!(why.contains("it is not there"), "{dead:?}: {why}");
        }
        for host in ["b", "c"] {
            let manifest = world.host(host).unwrap().text("/etc/kubernetes/manifests/kube-apiserver.yaml");
            assert_eq!(manifest.unwrap().matches(":2379").count(), 2, "{dead:?}: {host} asks who stays");
        }
        // The cluster is what an inventory without them says: nothing is left to be done but by the way.
        let operation = Operation::new(LESS, "custom_cni", KNOWN);
        if dead.contains(&"a") {
            // Nobody knew that it led: who leads now gets what a leader has.
            let (report, _) = operation.run(&mut world, "later");
            assert_eq!(report.ending, Ending::Done, "{dead:?}: {:#?}", report.failures);
            world.go_for(10 * SETTLED_MS);
        }
        let left = operation.left(&mut world);
        assert_eq!(left, Vec::<String>::new(), "{dead:?}");
    }
}

#[test]
fn who_is_new_is_told_by_those_that_know_the_cluster() {
    let first = Operation::new(SMALL, "custom_cni", "");
    let mut world = made(&first);
    let new = Operation::new(FIVE, "custom_cni", "").newcomers(&mut world);
    let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    let Newcomers { control_planes, members, workers } = new;
    assert_eq!(
        (names(&control_planes), names(&members), names(&workers)),
        ("a c".into(), "a c".into(), "e".into())
    );
}

#[test]
fn a_host_that_cannot_be_emptied_stays_unless_that_is_no_matter() {
    let vars = format!("{KNOWN}drain_timeout: 5s\ndrain_grace_period: 1\n");
    let mut world = made(&Operation::new(FIVE, "custom_cni", &vars));
    put_objects(&mut world, "workload", workload(1, 1));
    let leaves = |vars: &str| {
        let asked = Intent::Remove { hosts: vec!["d"], dead: Vec::new(), without: WITHOUT_D };
        Operation::new(FIVE, "custom_cni", vars).asked(asked)
    };
    let was = portrait(&world);
    let (report, _) = leaves(&vars).run(&mut world, "leaves");
    assert_eq!(report.ending, Ending::Failed);
    let told = &report.failures[0];
    assert_eq!(told.step.as_ref().map(ToString::to_string).as_deref(), Some("a/pre-remove/drain-d"));
    assert!(told.failure.message.contains("not drained after 5 s"), "{told:?}");
    let stays = node(&mut world, "d");
    assert!(stays.ready && !stays.unschedulable && stays.cordoned_by.is_none(), "{stays:?}");
    assert_eq!(differences(&world, &was), Vec::<String>::new(), "nothing else is done");
    leaves(&format!("{vars}allow_ungraceful_removal: true\n")).succeed(&mut world, "leaves-all-the-same");
    let why = are_ready(&mut world, "a", &["d"]).unwrap_err();
    assert!(why.contains("it is not there"), "{why}");
    assert!(world.host("d").unwrap().text("/etc/kubernetes/kubelet-config.yaml").is_none());
}

/// A volume that a node has.
fn attached(node: &str) -> Vec<Value> {
    vec![json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "csi-1"},
        "spec": {"attacher": "csi.example", "nodeName": node, "source": {"persistentVolumeName": "pv-1"}},
    })]
}

/// Why a volume is not free.
fn volume(world: &mut World, node: &str) -> Option<String> {
    let probe = Probe::Cluster(Assertion::NoVolumes { kubeconfig: ADMIN.into(), node: node.into() });
    let check = Check { name: "volumes".into(), probe, timeout_s: 0, interval_ms: 0 };
    let items = BTreeMap::from([("a".to_owned(), vec![("a/test/volumes".into(), check.into())])]);
    match world.states(items).into_values().next() {
        Some(Ok(State::Check(seen))) => seen.problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn volumes_of_a_dead_host_are_free_when_it_is_forgotten() {
    let leaves = || {
        let asked = Intent::Remove { hosts: vec!["d"], dead: vec!["d"], without: WITHOUT_D };
        Operation::new(FIVE, "custom_cni", KNOWN).asked(asked)
    };
    let mut world = made(&Operation::new(FIVE, "custom_cni", KNOWN));
    put_objects(&mut world, "volume", attached("d"));
    // Who answers no helper and reports all the same may write to its volumes.
    let was = portrait(&world);
    let (report, _) = leaves().run(&mut world, "leaves");
    assert_eq!(report.ending, Ending::Failed);
    let told = &report.failures[0];
    assert_eq!(told.step.as_ref().map(ToString::to_string).as_deref(), Some("a/pre-remove/lost-d"));
    assert!(told.failure.message.contains("still reports to the cluster"), "{told:?}");
    assert_eq!(differences(&world, &was), Vec::<String>::new(), "nothing else is done");
    assert!(volume(&mut world, "d").is_some());

    leaves().lose(&mut world);
    leaves().succeed(&mut world, "leaves-dead");
    let why = are_ready(&mut world, "a", &["d"]).unwrap_err();
    assert!(why.contains("it is not there"), "{why}");
    assert_eq!(volume(&mut world, "d"), None);
}

#[test]
fn volumes_of_a_dead_host_are_nobodys_matter_where_that_is_wished() {
    let vars = format!("{KNOWN}allow_ungraceful_removal: true\n");
    let asked = Intent::Remove { hosts: vec!["d"], dead: vec!["d"], without: WITHOUT_D };
    let leaves = Operation::new(FIVE, "custom_cni", &vars).asked(asked);
    let mut world = made(&Operation::new(FIVE, "custom_cni", KNOWN));
    put_objects(&mut world, "volume", attached("d"));
    leaves.lose(&mut world);
    leaves.succeed(&mut world, "leaves");
    assert!(volume(&mut world, "d").is_some(), "who asks for that looks after it");
}

#[test]
fn a_host_is_not_wiped_where_that_is_wished() {
    let mut world = made(&Operation::new(FIVE, "custom_cni", KNOWN));
    let mut touched = |vars: &str| -> BTreeSet<String> {
        let asked = Intent::Remove { hosts: vec!["d"], dead: Vec::new(), without: WITHOUT_D };
        let leaves = Operation::new(FIVE, "custom_cni", &format!("{KNOWN}{vars}")).asked(asked);
        let (plan, _) = leaves.plan(&mut world);
        assert!(plan.changes().any(|planned| planned.step.id.as_str() == "a/post-remove/node-d"));
        plan.changes().map(|planned| planned.step.host.clone()).collect()
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(touched(""), names(&["a", "d"]));
    assert_eq!(touched("reset_nodes: false\n"), names(&["a"]));
}

#[test]
fn three_members_become_five_and_three_again() {
    let mut world = made(&Operation::new(FIVE, "custom_cni", KNOWN));
    let members = |world: &World| -> Vec<usize> {
        let path = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        let of = |name: &str| world.host(name).unwrap().text(path).unwrap().matches(":2379").count();
        ["a", "b", "c"].map(of).to_vec()
    };
    let five = Operation::new(MEMBERS, "custom_cni", KNOWN);
    assert_eq!(five.newcomers(&mut world).members.into_iter().collect::<Vec<_>>(), ["d", "e"]);
    five.asked(Intent::Scale { without: FIVE }).succeed(&mut world, "five");
    assert_eq!(members(&world), [5; 3]);
    let five = Operation::new(MEMBERS, "custom_cni", KNOWN);
    assert_eq!(five.left(&mut world), Vec::<String>::new());
    five.asked(Intent::Remove { hosts: vec!["d", "e"], dead: Vec::new(), without: PLANES })
        .succeed(&mut world, "three");
    assert_eq!(members(&world), [3; 3]);
    assert_eq!(are_ready(&mut world, "a", &["a", "b", "c"]), Ok(()));
    let three = Operation::new(PLANES, "custom_cni", KNOWN);
    assert_eq!(three.left(&mut world), Vec::<String>::new());
}

#[test]
fn two_operators_who_let_hosts_in_do_not_meet() {
    grown().two_operators();
}

#[test]
fn two_operators_who_let_hosts_go_do_not_meet() {
    shrunk(&[]).two_operators();
}
