//! A thousand hosts. How time and memory grow is measured by the benchmark `scale`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::time::{Duration, Instant};

use common::{planned, run};
use kubespray_controller::{Ending, Options};
use kubespray_resource::OutcomeKind;
use kubespray_simulator::{Reach, World, sample};

/// Without optimisation and beside other tests; a loop over all hosts for each host would take far longer.
const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn a_thousand_hosts_are_looked_at_and_mended() {
    let names: Vec<String> = (0..1_000).map(|number| format!("node{number:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&names[..1], 1);
    let (report, _) = run(&mut world, &sample(&names[..1], 40, Reach::Small), "first");
    assert_eq!(report.ending, Ending::Done);
    let mut world = World::of_copies(world.host(names[0]).unwrap(), &names, 1);
    let began = Instant::now();
    let all = sample(&names, 40, Reach::Small);
    let plan = planned(&mut world, &all);
    assert_eq!((plan.steps.len(), plan.is_empty()), (40_000, true));
    let (report, _) = world.run(plan, "second", &all.secrets, Options::default()).unwrap();
    assert_eq!(report.unwrap().ending, Ending::Done);
    // One file of each is mended, and the unit that reads it restarts, at most two thirds at a time.
    for name in &names {
        world.host(name).unwrap().put_text("/opt/sample/etc/sample-worker.conf", "drift\n");
    }
    let (report, events) = run(&mut world, &all, "third");
    assert_eq!((report.ending, world.violations()), (Ending::Done, &[][..]));
    let done = events.iter().filter(|event| match &event.kind {
        kubespray_resource::EventKind::StepDone { outcome, .. } => outcome.kind == OutcomeKind::Updated,
        _ => false,
    });
    assert_eq!(done.count(), 2_000);
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}
