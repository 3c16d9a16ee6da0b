//! Runs in which nothing goes wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{HOSTS, planned, portrait, run, small};
use kubespray_controller::Ending;
use kubespray_simulator::World;

#[test]
fn the_first_run_changes_and_the_second_finds_nothing_to_do() {
    let sample = small(300);
    let mut world = World::new(HOSTS, 1);
    let (report, events) = run(&mut world, &sample, "first");
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    assert_eq!(world.violations(), []);
    assert!(events.len() > 1_500, "{}", events.len());
    let starts: Vec<u64> = world.hosts().map(|(_, host)| host.starts()).collect();
    assert_eq!(starts, [2, 2, 2]);
    let before = portrait(&world);
    let plan = planned(&mut world, &sample);
    let left: Vec<&str> = plan.changes().map(|planned| planned.step.id.as_str()).collect();
    assert!(left.is_empty(), "{left:?}");
    let (report, _) = run(&mut world, &sample, "second");
    assert_eq!(report.ending, Ending::Done);
    assert_eq!(portrait(&world), before);
    assert!(world.lock_holders().is_empty());
}

#[test]
fn one_seed_gives_one_history() {
    let history = |seed| {
        let sample = small(60);
        let mut world = World::new(HOSTS, seed);
        let (report, events) = run(&mut world, &sample, "r");
        format!("{report:?}{}", serde_json::to_string(&events).unwrap())
    };
    assert_eq!(history(7), history(7));
    assert_ne!(history(7), history(8));
}
