//! What an upgrade may be asked for beyond a version: windows of groups, what becomes of nodes that cannot be drained,
//! upgrades of the system.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_EVERY_ACT=1` kills the controller at every act while a host boots.
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

use kubespray_controller::Ending;
use kubespray_planner::operations::{UpgradeOptions, worker_windows};
use kubespray_resource::{Event, EventKind, OutcomeKind};
use kubespray_simulator::{Fault, Random, World};
use operations::*;

/// A control plane, two workers, and two with other hardware.
const GROUPS: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: , c: , d: , e: }}
    etcd: {hosts: {a: }}
";

/// A control plane and two workers.
const THREE: &str = "
all:
  hosts: {a: , b: , c: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: , c: }}
    etcd: {hosts: {a: }}
";

fn cluster(inventory: &'static str, version: &str) -> Operation {
    Operation::new(inventory, "custom_cni", &format!("kube_version: '{version}'\n"))
}

fn upgrade(inventory: &'static str, vars: &str, how: UpgradeOptions) -> Operation {
    let vars = format!("kube_version: '1.36.3'\n{vars}");
    let operation = Operation::new(inventory, "custom_cni", &vars).asked(Intent::Upgrade);
    Operation { upgrading: how, ..operation }
}

/// Steps with one of some names, as they were begun and ended: `a away`, `a back.`.
fn order(events: &[Event], names: &[&str]) -> Vec<String> {
    let told = events.iter().filter_map(|event| {
        let (step, end) = match &event.kind {
            EventKind::StepStarted { step, .. } => (step, ""),
            EventKind::StepDone { step, .. } => (step, "."),
            _ => return None,
        };
        let mut parts = step.as_str().split('/');
        let (host, name) = (parts.next()?, parts.next_back()?);
        names.contains(&name).then(|| format!("{host} {name}{end}"))
    });
    told.collect()
}

#[test]
fn groups_slide_in_windows_of_their_own_behind_one_worker_of_all() {
    let members = |group: &str| {
        let hosts = match group {
            "kube_control_plane" => "a",
            "kube_node" => "b c d e",
            "gpu" => "d e",
            _ => return None,
        };
        Some(hosts.split(' ').map(str::to_owned).collect())
    };
    let asked = ["2".parse().unwrap(), "gpu=1%".parse().unwrap()];
    let how = worker_windows(&asked, &members).unwrap();
    let mut world = made(&cluster(GROUPS, "1.36.2"));
    let operation = upgrade(GROUPS, "", how);
    let (report, events) = operation.run(&mut world, "upgrade");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    assert_eq!(world.violations(), []);
    let order = order(&events, &["away", "back"]);
    let place = |what: &str| order.iter().position(|step| step == what).unwrap();
    // One worker of all goes ahead, then one of each window; the second of the group only behind the first.
    let first_back = place("b back.");
    assert!(["c", "d", "e"].iter().all(|host| first_back < place(&format!("{host} away"))), "{order:?}");
    assert!(place("c away") < place("d back."), "both windows are open: {order:?}");
    assert!(place("d back.") < place("e away"), "{order:?}");
    world.go_for(SETTLED_MS);
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
}

#[test]
fn a_node_that_cannot_be_drained_is_upgraded_all_the_same_where_that_is_wished() {
    let mut world = made(&cluster(THREE, "1.36.2"));
    put_objects(&mut world, "workload", workload(1, 1));
    // It is kept cordoned, so that it can be seen that it is given back.
    let vars = "drain_timeout: 5s\ndrain_retries: 0\ndrain_grace_period: 1\nupgrade_node_fail_if_drain_fails: false\n\
                upgrade_node_uncordon_after_drain_failure: false";
    let operation = upgrade(THREE, vars, UpgradeOptions::default());
    let (report, events) = operation.run(&mut world, "upgrade");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    assert_eq!(world.violations(), []);
    let told: Vec<_> = report.shortfalls.iter().map(|told| told.failure.message.as_str()).collect();
    assert!(matches!(told.as_slice(), [told] if told.contains("not drained after 5 s")), "{told:?}");
    let host = &report.shortfalls[0].host;
    let step = report.shortfalls[0].step.as_ref().unwrap();
    assert_eq!(step.as_str(), format!("{host}/pre-upgrade/away"));
    assert!(report.cordoned.is_empty(), "{:?}", report.cordoned);
    let gave_back = events.iter().any(|event| match &event.kind {
        EventKind::StepDone { step, outcome, .. } => {
            step.as_str() == format!("{host}/post-upgrade/back") && outcome.kind == OutcomeKind::Updated
        }
        _ => false,
    });
    assert!(gave_back);
    world.go_for(SETTLED_MS);
    assert_eq!(are_ready(&mut world, "a", &["a", "b", "c"]), Ok(()));
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
}

#[test]
fn a_node_that_cannot_be_drained_ends_the_upgrade_and_takes_pods_again() {
    let mut world = made(&cluster(THREE, "1.36.2"));
    put_objects(&mut world, "workload", workload(1, 1));
    let vars = "drain_timeout: 5s\ndrain_retries: 0\ndrain_grace_period: 1";
    let (report, _) = upgrade(THREE, vars, UpgradeOptions::default()).run(&mut world, "upgrade");
    assert_eq!(report.ending, Ending::Failed);
    assert_eq!(world.violations(), []);
    let told = &report.failures[0];
    assert!(told.failure.message.contains("not drained after 5 s"), "{told:?}");
    assert!(report.cordoned.is_empty() && report.shortfalls.is_empty(), "{report:?}");
    let held = node(&mut world, &told.host);
    assert!(held.ready && !held.unschedulable && held.cordoned_by.is_none(), "{held:?}");
    assert_eq!(held.kubelet, "v1.36.2", "nothing is put under pods that stay");
}

/// A cluster whose control plane and first worker have a newer package each that needs a reboot, and whose second worker
/// has one that needs none.
fn outdated() -> World {
    let mut world = made(&cluster(THREE, "1.36.2"));
    for (host, needs_reboot) in [("a", true), ("b", true), ("c", false)] {
        world.offer_package(host, "curl", "2.0-1", needs_reboot);
    }
    world
}

/// How often hosts were booted since they were made.
fn boots(world: &World) -> Vec<u64> {
    ["a", "b", "c"].map(|host| world.boots(host) - 1).to_vec()
}

#[test]
fn systems_are_upgraded_and_booted_in_the_turns_of_their_nodes() {
    let before = outdated();
    for (policy, expected) in [("on-upgrade", [1, 1, 0]), ("always", [1, 1, 1]), ("never", [0, 0, 0])] {
        let mut world = before.copy(1);
        let vars = format!("system_upgrade: true\nsystem_upgrade_reboot: {policy}");
        let operation = upgrade(THREE, &vars, UpgradeOptions::default());
        let (report, events) = operation.run(&mut world, policy);
        assert_eq!(report.ending, Ending::Done, "{policy}: {:#?}", report.failures);
        assert_eq!(world.violations(), [], "{policy}");
        assert_eq!(boots(&world), expected, "{policy}");
        let failed = events.iter().filter(|event| matches!(event.kind, EventKind::StepFailed { .. }));
        assert_eq!(failed.count(), 0, "{policy}: to be cut off by the reboot is no failure");
        // Drained before, and everything else of the node behind; what the folder for downloads lost came again.
        let names = ["away", "packages", "reboot", "install-kubelet", "back"];
        for host in ["a", "b", "c"] {
            let order = order(&events, &names);
            let ended =
                order.iter().filter_map(|step| step.strip_prefix(&format!("{host} "))?.strip_suffix('.'));
            let wanted = names.iter().filter(|name| **name != "reboot" || policy != "never");
            assert_eq!(ended.collect::<Vec<_>>(), wanted.copied().collect::<Vec<_>>(), "{policy}: {host}");
        }
        world.go_for(SETTLED_MS);
        assert_eq!(are_ready(&mut world, "a", &["a", "b", "c"]), Ok(()), "{policy}");
        assert_eq!(operation.left(&mut world), Vec::<String>::new(), "{policy}");
    }
}

#[test]
fn a_plan_tells_packages_and_boots_and_nothing_is_done_for_a_system_that_is_new() {
    let mut world = outdated();
    let vars = "system_upgrade: true\nkube_version: '1.36.2'";
    let operation = Operation::new(THREE, "custom_cni", vars).asked(Intent::Upgrade);
    let (plan, _) = operation.plan(&mut world);
    let told = |host: &str| -> Vec<String> {
        let of_host = plan.changes().filter(|planned| planned.step.host == host);
        let mut titles: Vec<String> = of_host.map(|planned| planned.step.resource.title()).collect();
        titles.dedup();
        titles
    };
    assert_eq!(
        told("b"),
        [
            "drain b",
            "packages of the system",
            "reboot if the system asks for it",
            "check containerd answers",
            "check the kubelet is well",
            "check node `b` is ready with version 1.36.2",
            "node b"
        ]
    );
    let seen =
        plan.changes().find(|planned| planned.step.id.as_str() == "b/system-upgrade/packages").unwrap();
    let change = &seen.seen.changes[0];
    assert_eq!(
        (change.what.as_str(), change.from.as_deref(), change.to.as_deref()),
        ("curl", Some("1.0-1"), Some("2.0-1"))
    );
    // One that keeps data of etcd and serves the API proves both before its turn goes on.
    let proofs = ["check the API server of this host is well", "etcd_health https://127.0.0.1:2379"];
    assert!(proofs.iter().all(|proof| told("a").iter().any(|title| title == proof)), "{:?}", told("a"));
    let (report, _) = operation.run(&mut world, "upgrade");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    world.go_for(SETTLED_MS);
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
}

/// Whether a step was begun, and whether it was done.
fn progress(world: &World, operator: usize, id: &str) -> (bool, bool) {
    let events = world.events(operator).iter();
    events.fold((false, false), |(begun, done), event| match &event.kind {
        EventKind::StepStarted { step, .. } if step.as_str() == id => (true, done),
        EventKind::StepDone { step, .. } if step.as_str() == id => (begun, true),
        _ => (begun, done),
    })
}

/// An upgrade whose first worker is booted, the acts of its controller at which that begins and ends, and after how many
/// milliseconds it begins.
fn with_boot() -> (Case, std::ops::RangeInclusive<u64>, u64) {
    let case = Case::of(outdated(), upgrade(THREE, "system_upgrade: true", UpgradeOptions::default()));
    let mut world = case.world(3);
    let began = world.now_ms();
    let operator = case.begin(&mut world);
    let mut until = |reached: &dyn Fn((bool, bool)) -> bool| {
        while !reached(progress(&world, operator, "b/system-upgrade/reboot")) {
            world.go_for(100);
            assert!(world.now_ms() - began < 24 * 3_600_000, "it is never booted");
        }
        (world.acts(operator), world.now_ms() - began)
    };
    let (first, after_ms) = until(&|(begun, _)| begun);
    let (last, _) = until(&|(_, done)| done);
    (case, first - 1..=last + 1, after_ms)
}

#[test]
fn the_controller_is_killed_while_a_host_boots() {
    let (case, acts, _) = with_boot();
    let all: Vec<u64> = acts.collect();
    let chosen = |seed| all[Random::new(seed, "boots").below(all.len() as u64) as usize];
    let some = match number("KUBESPRAY_EVERY_ACT") {
        Some(_) => all.clone(),
        None => seeds(4).map(chosen).collect(),
    };
    for act in some {
        let world = case.kill(act);
        assert_eq!(boots(&world), [1, 1, 0], "act {act}: once each");
    }
}

#[test]
fn a_host_that_does_not_come_back_is_told_with_what_to_do() {
    let (case, _, after_ms) = with_boot();
    let mut world = case.world(3);
    let operator = case.begin(&mut world);
    world.fault_in(after_ms + 5_000, Fault::Off { host: "b".into(), off_ms: u64::MAX });
    world.go();
    let report = world.report(operator).unwrap().clone();
    assert_eq!(report.ending, Ending::Failed);
    let told = &report.failures[0];
    assert_eq!(told.step.as_ref().map(ToString::to_string).as_deref(), Some("b/system-upgrade/reboot"));
    assert!(told.failure.message.starts_with("`b` was booted anew and did not come back: "), "{told:?}");
    assert!(told.failure.hints.iter().any(|hint| hint.contains("look at its console")), "{told:?}");
    assert_eq!(report.cordoned, ["b"]);
    world.heal();
    world.go_for(60_000);
    case.settle(&mut world, "it is back");
    assert_eq!(are_ready(&mut world, "a", &["a", "b", "c"]), Ok(()));
}

/// Members of etcd that are workers.
const MEMBERS: &str = "
all:
  hosts: {a: , b: , c: , d: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: , c: , d: }}
    etcd: {hosts: {b: , c: , d: }}
";

#[test]
fn members_of_etcd_that_are_workers_are_booted_one_at_a_time() {
    let mut world = made(&cluster(MEMBERS, "1.36.2"));
    for host in ["b", "c", "d"] {
        world.offer_package(host, "curl", "2.0-1", true);
    }
    let all = UpgradeOptions { max_unavailable: "100%".parse().ok(), ..UpgradeOptions::default() };
    let operation = upgrade(MEMBERS, "system_upgrade: true", all);
    let (plan, _) = operation.plan(&mut world);
    let alone = &plan.policy.rollouts["control-plane-nodes"];
    assert_eq!((alone.hosts.concat().as_str(), alone.max_unavailable), ("abcd", 1));
    let (report, _) = operation.run(&mut world, "upgrade");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    assert_eq!(world.violations(), []);
    assert!(["b", "c", "d"].iter().all(|host| world.boots(host) == 2));
    world.go_for(SETTLED_MS);
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
}
