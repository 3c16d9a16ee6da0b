//! Kill at every step: whatever dies and wherever, going on leads to the same end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{HOSTS, Portrait, differences, planned, portrait, resume, small, undisturbed};
use kubespray_controller::{Ending, Options};
use kubespray_simulator::{Fault, Sample, World};

/// Every step is tried with as few resources as have every kind.
const RESOURCES: usize = 40;

struct Case {
    sample: Sample,
    end: Portrait,
}

impl Case {
    fn new() -> Self {
        let sample = small(RESOURCES);
        let end = undisturbed(&sample, &HOSTS);
        Self { sample, end }
    }

    /// After a run to its end, and taking it up where it did not get there, all is as it should be.
    fn settles(&self, world: &mut World, what: &str) {
        resume(world, &self.sample, what);
        assert_eq!(world.violations(), [], "{what}");
        assert_eq!(world.stale_units(&self.sample.wishes), Vec::<String>::new(), "{what}");
        assert_eq!(differences(&portrait(world), &self.end), Vec::<String>::new(), "{what}");
        let plan = planned(world, &self.sample);
        let left: Vec<&str> = plan.changes().map(|planned| planned.step.id.as_str()).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

#[test]
fn the_controller_is_killed_before_each_of_its_acts() {
    let case = Case::new();
    let mut act = 1;
    loop {
        let mut world = World::new(HOSTS, 3);
        let plan = planned(&mut world, &case.sample);
        let holder = world.holder("r", "sample");
        let operator = world.begin(plan, holder, &case.sample.secrets, Options::default()).unwrap();
        world.kill_before_act(operator, act);
        world.go();
        if world.report(operator).is_some() {
            break;
        }
        case.settles(&mut world, &format!("act {act}"));
        act += 1;
    }
    assert!(act > 300, "{act}");
}

/// The effects of each host in a run without faults.
fn effects(case: &Case) -> Vec<(String, u64)> {
    let mut world = World::new(HOSTS, 3);
    let before: Vec<u64> = world.hosts().map(|(_, host)| host.effects()).collect();
    let plan = planned(&mut world, &case.sample);
    world.run(plan, "r", &case.sample.secrets, Options::default()).unwrap();
    world
        .hosts()
        .zip(before)
        .map(|((name, host), before)| (name.to_owned(), host.effects() - before))
        .collect()
}

fn each_effect(fault: impl Fn(&str, u64) -> Fault, seconds: u64) {
    let case = Case::new();
    for (host, count) in effects(&case) {
        assert!(count > 100, "{count}");
        for effect in 1..=count {
            let what = format!("effect {effect} of {host}");
            let mut world = World::new(HOSTS, 3);
            let plan = planned(&mut world, &case.sample);
            world.befall(fault(&host, effect));
            let began = world.now_ms();
            let (report, _) = world.run(plan, "r", &case.sample.secrets, Options::default()).unwrap();
            let report = report.unwrap();
            assert_eq!(report.ending, Ending::Done, "{what}: {:?}", report.failures);
            assert!(report.locked.is_empty(), "{what}");
            assert!(world.now_ms() - began < seconds * 1000, "{what}: {} ms", world.now_ms() - began);
            case.settles(&mut world, &what);
        }
    }
}

#[test]
fn the_helper_is_killed_before_each_of_its_effects() {
    each_effect(|host, effect| Fault::KillHelper { host: host.to_owned(), before_effect: effect }, 60);
}

#[test]
fn the_power_goes_before_each_effect() {
    let fault = |host: &str, effect| Fault::PowerLoss {
        host: host.to_owned(),
        before_effect: effect,
        off_ms: 40_000,
    };
    each_effect(fault, 180);
}
