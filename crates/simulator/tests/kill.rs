//! Kill at every step: whatever dies and wherever, going on leads to the same end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{
    HOSTS, Portrait, converged, differences, next_version, planned, portrait, resume, run, small, undisturbed,
};
use kubespray_controller::{Ending, Options};
use kubespray_simulator::{Fault, Sample, World};

/// Every step is tried with as few resources as have every kind.
const RESOURCES: usize = 40;

struct Case {
    sample: Sample,
    /// What there is before.
    before: World,
    end: Portrait,
}

impl Case {
    /// Hosts on which nothing is yet.
    fn fresh() -> Self {
        let sample = small(RESOURCES);
        let end = undisturbed(&sample, &HOSTS);
        Self { sample, before: World::new(HOSTS, 3), end }
    }

    /// Hosts with running services whose inputs change.
    fn next() -> Self {
        let first = small(RESOURCES);
        let before = converged(&first, &HOSTS);
        let sample = next_version(&first);
        let mut world = before.copy(0);
        run(&mut world, &sample, "undisturbed");
        Self { sample, before, end: portrait(&world) }
    }

    fn world(&self) -> World {
        self.before.copy(3)
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

fn each_act(case: &Case, at_least: u64) {
    let mut act = 1;
    loop {
        let mut world = case.world();
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
    assert!(act > at_least, "{act}");
}

#[test]
fn the_controller_is_killed_before_each_of_its_acts() {
    each_act(&Case::fresh(), 300);
}

#[test]
fn the_controller_is_killed_before_each_act_of_a_change() {
    each_act(&Case::next(), 80);
}

/// The effects of each host in a run without faults.
fn effects(case: &Case) -> Vec<(String, u64)> {
    let mut world = case.world();
    let before: Vec<u64> = world.hosts().map(|(_, host)| host.effects()).collect();
    let plan = planned(&mut world, &case.sample);
    world.run(plan, "r", &case.sample.secrets, Options::default()).unwrap();
    world
        .hosts()
        .zip(before)
        .map(|((name, host), before)| (name.to_owned(), host.effects() - before))
        .collect()
}

fn each_effect(case: &Case, at_least: u64, fault: impl Fn(&str, u64) -> Fault, seconds: u64) {
    for (host, count) in effects(case) {
        assert!(count > at_least, "{count}");
        for effect in 1..=count {
            let what = format!("effect {effect} of {host}");
            let mut world = case.world();
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

fn kill(host: &str, effect: u64) -> Fault {
    Fault::KillHelper { host: host.to_owned(), before_effect: effect }
}

fn power(host: &str, effect: u64) -> Fault {
    Fault::PowerLoss { host: host.to_owned(), before_effect: effect, off_ms: 40_000 }
}

#[test]
fn the_helper_is_killed_before_each_of_its_effects() {
    each_effect(&Case::fresh(), 100, kill, 60);
}

#[test]
fn the_helper_is_killed_before_each_effect_of_a_change() {
    each_effect(&Case::next(), 30, kill, 60);
}

#[test]
fn the_power_goes_before_each_effect() {
    each_effect(&Case::fresh(), 100, power, 180);
}

#[test]
fn the_power_goes_before_each_effect_of_a_change() {
    each_effect(&Case::next(), 30, power, 180);
}
