//! What tests of the simulator share.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;

use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::{lint, plan};
use kubespray_resource::{Content, Event, Plan, Resource, Secrets};
use kubespray_simulator::{Reach, Sample, World, sample};

pub const HOSTS: [&str; 3] = ["a", "b", "c"];

/// What all runs of a sample end in: by host, what is on it.
pub type Portrait = BTreeMap<String, BTreeMap<String, String>>;

pub fn planned(world: &mut World, sample: &Sample) -> Plan {
    let seen = world.observe(&sample.wishes, &sample.secrets);
    let plan = plan(sample.wishes.clone(), &seen, &sample.secrets).unwrap();
    assert_eq!(lint(&plan, &sample.secrets), []);
    plan
}

pub fn portrait(world: &World) -> Portrait {
    world.hosts().map(|(name, host)| (name.to_owned(), host.portrait())).collect()
}

/// The same operation with other contents of the files that units and commands are made from.
pub fn next_version(sample: &Sample) -> Sample {
    let mut next = sample.clone();
    for step in &mut next.wishes.steps {
        let Resource::File(file) = &mut step.resource else { continue };
        let is_input = file.path.starts_with("/opt/sample/etc/") || file.path.starts_with("/etc/systemd/");
        if let Content::Text(text) | Content::Secret(text) = &mut file.content
            && is_input
        {
            text.push_str("# version 2\n");
        }
    }
    next
}

/// Hosts that are as a sample wishes.
pub fn converged(sample: &Sample, hosts: &[&str]) -> World {
    let mut world = World::new(hosts, 0);
    let (report, _) = run(&mut world, sample, "before");
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    assert_eq!(world.violations(), []);
    world
}

/// What differs between two ends.
pub fn differences(is: &Portrait, should: &Portrait) -> Vec<String> {
    let mut out = Vec::new();
    for (host, should) in should {
        let is = &is[host];
        let names: std::collections::BTreeSet<&String> = is.keys().chain(should.keys()).collect();
        let differs = names.into_iter().filter(|name| is.get(*name) != should.get(*name));
        out.extend(
            differs.map(|name| format!("{host}: {name}: {:?} for {:?}", is.get(name), should.get(name))),
        );
    }
    out
}

/// Runs to the end and gives what is told.
pub fn run(world: &mut World, sample: &Sample, name: &str) -> (Report, Vec<Event>) {
    let plan = planned(world, sample);
    let (report, events) = world.run(plan, name, &sample.secrets, Options::default()).unwrap();
    (report.unwrap(), events)
}

/// What a sample ends in when nothing goes wrong.
pub fn undisturbed(sample: &Sample, hosts: &[&str]) -> Portrait {
    portrait(&converged(sample, hosts))
}

pub fn small(resources: usize) -> Sample {
    sample(&HOSTS, resources, Reach::All)
}

pub fn secrets(sample: &Sample) -> &Secrets {
    &sample.secrets
}

/// Takes up, with nothing but the hosts, whatever run was left, until nothing is left of it; then runs what is still
/// to be done. The end is that nothing is.
pub fn resume(world: &mut World, sample: &Sample, what: &str) {
    for _ in 0..4 {
        if world.lock_holders().is_empty() {
            break;
        }
        let Some(record) = world.record(None) else {
            // Nobody can have begun: the record is kept before the first step.
            world.break_locks();
            break;
        };
        let options = Options { resume: true };
        let operator = world.begin(record.plan, record.holder, &sample.secrets, options).unwrap();
        world.go();
        let report = world.report(operator).unwrap();
        assert_eq!(report.ending, Ending::Done, "{what}: {:?}", report.failures);
    }
    assert!(world.lock_holders().is_empty(), "{what}");
    let plan = planned(world, sample);
    if plan.is_empty() {
        return;
    }
    let (report, _) = world.run(plan, "again", &sample.secrets, Options::default()).unwrap();
    let report = report.unwrap();
    assert_eq!(report.ending, Ending::Done, "{what}: {:?}", report.failures);
    let plan = planned(world, sample);
    let left: Vec<&str> = plan.changes().map(|planned| planned.step.id.as_str()).collect();
    assert!(left.is_empty(), "{what}: {left:?}");
}
