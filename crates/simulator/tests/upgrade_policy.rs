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

use common::{Intent, Operation, SETTLED_MS, made};
use kubespray_controller::Ending;
use kubespray_planner::operations::{UpgradeOptions, worker_windows};
use kubespray_resource::{Event, EventKind};

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
