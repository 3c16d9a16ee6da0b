//! `reset` over imagined hosts: what is left of a cluster, whole or half-made, and whatever dies on the way.
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

use std::collections::BTreeSet;

use operations::*;

/// Two hosts that are everything, one that is only a member of etcd, a worker.
const FOUR: &str = "
all:
  hosts: {a: , b: , c: , d: }
  children:
    kube_control_plane: {hosts: {a: , b: }}
    kube_node: {hosts: {a: , b: , d: }}
    etcd: {hosts: {a: , b: , c: }}
";
const SYSCTL: &str = "additional_sysctl: [{name: vm.swappiness, value: 5}]\n";

fn cluster() -> Operation {
    Operation::new(FOUR, "none", SYSCTL)
}

/// The run that takes a cluster away, and what was there before the cluster.
fn case() -> (Case, BTreeSet<String>) {
    let mut world = cluster().world(3);
    let before = portrait(&world);
    cluster().succeed(&mut world, "cluster");
    let case = Case::of(world, cluster().asked(Intent::Reset));
    (case, before)
}

#[test]
fn hosts_are_what_they_were_and_can_be_a_cluster_again() {
    let (case, before) = case();
    let mut world = case.after();
    for (name, host) in world.hosts() {
        assert_eq!(host.text("/proc/self/mounts").unwrap().lines().count(), 1, "{name}");
    }
    assert_eq!(differences(&world, &before), Vec::<String>::new());
    assert_eq!(case.operation.left(&mut world), Vec::<String>::new());
    cluster().succeed(&mut world, "second");
    case.operation.succeed(&mut world, "second-reset");
    assert_eq!(differences(&world, &before), Vec::<String>::new(), "twice");
}

/// The run that makes a cluster is killed at some of its acts, and the half of a cluster is taken away.
#[test]
fn a_half_made_cluster_goes_like_a_whole_one() {
    let (case, _) = case();
    let made = Case::new(None, cluster());
    for act in (5..made.acts).step_by(53) {
        let mut world = made.world(3);
        let operator = made.begin(&mut world);
        world.kill_before_act(operator, act);
        world.go();
        world.break_locks();
        case.settle(&mut world, &format!("killed before act {act}"));
    }
}

#[test]
fn the_controller_is_killed_while_a_cluster_is_taken_away() {
    case().0.kills(24, drop);
}

#[test]
fn helpers_are_killed_while_a_cluster_is_taken_away() {
    let (case, _) = case();
    each_seed(12, |seed| drop(case.kill_helper(seed)));
}

#[test]
fn a_cluster_is_taken_away_whatever_happens() {
    let (case, _) = case();
    each_seed(12, |seed| drop(case.disturb(seed)));
}

#[test]
fn two_operators_who_take_a_cluster_away_do_not_meet() {
    case().0.two_operators();
}

/// A record of what was there is no place for what somebody keeps to himself.
#[test]
fn nothing_secret_is_remembered() {
    let (case, _) = case();
    for (name, host) in case.before.hosts() {
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
