//! Kill at every step: whatever dies and wherever, going on leads to the same end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{
    HOSTS, Portrait, converged, differences, next_version, planned, portrait, resume, run, small, undisturbed,
};
use kubespray_controller::{Ending, Options};
use kubespray_resource::Plan;
use kubespray_simulator::{Fault, Sample, World};

/// Every step is tried with as few resources as have every kind.
const RESOURCES: usize = 40;

struct Case {
    sample: Sample,
    /// What there is before.
    before: World,
    plan: Plan,
    end: Portrait,
}

impl Case {
    /// Hosts on which nothing is yet.
    fn fresh() -> Self {
        let sample = small(RESOURCES);
        let end = undisturbed(&sample, &HOSTS);
        let mut before = World::new(HOSTS, 3);
        let plan = planned(&mut before, &sample);
        Self { sample, before, plan, end }
    }

    /// Hosts with running services whose inputs change.
    fn next() -> Self {
        let first = small(RESOURCES);
        let mut before = converged(&first, &HOSTS);
        let sample = next_version(&first);
        let plan = planned(&mut before, &sample);
        let mut world = before.copy(0);
        run(&mut world, &sample, "undisturbed");
        Self { sample, before, plan, end: portrait(&world) }
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
    }
}

/// Every so-many-th act, from one on.
fn each_act(case: &Case, from: u64, step: u64, at_least: u64) {
    let mut act = from;
    loop {
        let mut world = case.world();
        let plan = case.plan.clone();
        let holder = world.holder("r", "sample");
        let operator = world.begin(plan, holder, &case.sample.secrets, Options::default()).unwrap();
        world.kill_before_act(operator, act);
        world.go();
        if world.report(operator).is_some() {
            break;
        }
        case.settles(&mut world, &format!("act {act}"));
        act += step;
    }
    assert!(act > at_least, "{act}");
}

#[test]
fn the_controller_is_killed_before_each_act_of_a_change() {
    each_act(&Case::next(), 1, 1, 80);
}

/// The effects of each host in a run without faults.
fn effects(case: &Case) -> Vec<(String, u64)> {
    let mut world = case.world();
    let before: Vec<u64> = world.hosts().map(|(_, host)| host.effects()).collect();
    let plan = case.plan.clone();
    world.run(plan, "r", &case.sample.secrets, Options::default()).unwrap();
    world
        .hosts()
        .zip(before)
        .map(|((name, host), before)| (name.to_owned(), host.effects() - before))
        .collect()
}

/// Every effect of these hosts.
fn each_effect(case: &Case, hosts: &[&str], at_least: u64, fault: impl Fn(&str, u64) -> Fault, seconds: u64) {
    for (host, count) in effects(case) {
        if !hosts.contains(&host.as_str()) {
            continue;
        }
        assert!(count > at_least, "{count}");
        for effect in 1..=count {
            let what = format!("effect {effect} of {host}");
            let mut world = case.world();
            let plan = case.plan.clone();
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
fn the_helper_is_killed_before_each_effect_of_a_change() {
    each_effect(&Case::next(), &HOSTS, 30, kill, 60);
}

#[test]
fn the_power_goes_before_each_effect_of_a_change() {
    each_effect(&Case::next(), &HOSTS, 30, power, 180);
}

/// Fresh hosts have more to be done, so that these are parted into tests that run beside each other.
macro_rules! on_fresh_hosts {
    ($($part:literal $host:literal $controller:ident $helper:ident $power:ident,)*) => {$(
        #[test]
        fn $controller() {
            each_act(&Case::fresh(), $part, 3, 300);
        }

        #[test]
        fn $helper() {
            each_effect(&Case::fresh(), &[$host], 100, kill, 60);
        }

        #[test]
        fn $power() {
            each_effect(&Case::fresh(), &[$host], 100, power, 180);
        }
    )*};
}

on_fresh_hosts! {
    1 "a" the_controller_is_killed_1 the_helper_is_killed_on_a the_power_goes_on_a,
    2 "b" the_controller_is_killed_2 the_helper_is_killed_on_b the_power_goes_on_b,
    3 "c" the_controller_is_killed_3 the_helper_is_killed_on_c the_power_goes_on_c,
}
