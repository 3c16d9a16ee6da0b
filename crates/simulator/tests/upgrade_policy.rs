//! What an upgrade may be asked for beyond a version: windows of groups, what becomes of nodes that cannot be drained,
//! upgrades of the system.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other tests need the rest")]
#[path = "common/operations.rs"]
mod common;

use common::{ADMIN, Intent, Operation, SETTLED_MS, are_ready, made};
use kubespray_controller::{Ending, Options};
use kubespray_planner::operations::{UpgradeOptions, worker_windows};
use kubespray_planner::{Wishes, plan};
use kubespray_resource::{Event, EventKind, Object, Secrets, Step};
use kubespray_simulator::World;
use serde_json::{Value, json};

/// A control plane, two workers, and two with other hardware.
const GROUPS: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: , c: , d: , e: }}
    etcd: {hosts: {a: }}
";

fn cluster(inventory: &'static str, version: &str) -> Operation {
    Operation::new(inventory, "custom_cni", &format!("kube_version: '{version}'\n"))
}

fn upgrade(inventory: &'static str, vars: &str, how: UpgradeOptions) -> Operation {
    let vars = format!("kube_version: '1.36.3'\n{vars}");
    Operation::new(inventory, "custom_cni", &vars).asked(Intent::Upgrade(how))
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

/// A deployment of one pod that must stay.
fn held_pod() -> Vec<Value> {
    let labels = json!({"app": "web"});
    vec![
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}}),
    ]
}

fn put_objects(world: &mut World, manifests: Vec<Value>) {
    let object = |(number, manifest)| {
        let object = Object { kubeconfig: ADMIN.into(), component: "test".into(), manifest, force: true };
        Step::new("a", "test", "test", &format!("object-{number}"), object)
    };
    let steps = manifests.into_iter().enumerate().map(object).collect();
    let wishes = Wishes { lock_hosts: vec!["a".into()], steps, ..Wishes::default() };
    let seen = world.observe(&wishes, &Secrets::default());
    let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
    let report = world.run(plan, "objects", &Secrets::default(), Options::default()).unwrap().0.unwrap();
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    world.go_for(SETTLED_MS);
}

#[test]
fn a_node_that_cannot_be_drained_is_upgraded_all_the_same_where_that_is_wished() {
    let mut before = made(&cluster(GROUPS, "1.36.2"));
    put_objects(&mut before, held_pod());
    let short = "drain_timeout: 20s\ndrain_retries: 0\ndrain_grace_period: 5\n";
    for (vars, is_done) in [
        ("", false),
        ("upgrade_node_fail_if_drain_fails: false", true),
        ("upgrade_node_fail_if_drain_fails: false\nupgrade_node_uncordon_after_drain_failure: false", true),
    ] {
        let mut world = before.copy(1);
        let operation = upgrade(GROUPS, &format!("{short}{vars}"), UpgradeOptions::default());
        let (report, _) = operation.run(&mut world, "upgrade");
        assert_eq!(report.ending == Ending::Done, is_done, "{vars}: {:#?}", report.failures);
        assert_eq!(world.violations(), []);
        if !is_done {
            assert!(report.failures[0].failure.message.contains("not drained"), "{:#?}", report.failures);
            continue;
        }
        let told: Vec<_> = report.shortfalls.iter().map(|told| told.failure.message.as_str()).collect();
        assert!(matches!(told.as_slice(), [told] if told.contains("not drained after 20 s")), "{told:?}");
        let host = &report.shortfalls[0].host;
        let step = report.shortfalls[0].step.as_ref().unwrap();
        assert_eq!(step.as_str(), format!("{host}/pre-upgrade/away"));
        assert!(report.cordoned.is_empty(), "{:?}", report.cordoned);
        world.go_for(SETTLED_MS);
        assert_eq!(are_ready(&mut world, "a", &["a", "b", "c", "d", "e"]), Ok(()));
        assert_eq!(operation.left(&mut world), Vec::<String>::new());
    }
}
