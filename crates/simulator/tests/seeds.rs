//! Mixed faults chosen by seeds. `KUBESPRAY_SEEDS=1000` tries more, `KUBESPRAY_SEED=17` one alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Portrait, converged, differences, next_version, planned, portrait, resume, run, undisturbed};
use kubespray_controller::{Ending, Options, Report};
use kubespray_simulator::{Fault, Random, Reach, Sample, World, sample};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Runs are over within about so many milliseconds where nothing goes wrong.
const RUN_MS: u64 = 3_500;

struct Known {
    first: Sample,
    next: Sample,
    /// Hosts that are as the first wishes.
    converged: World,
    /// The same by the next.
    end: Portrait,
    /// What comes of the next on fresh hosts.
    fresh_end: Portrait,
}

fn known(hosts: usize) -> Known {
    let first = sample(&NAMES[..hosts], 45, Reach::All);
    let next = next_version(&first);
    let converged = converged(&first, &NAMES[..hosts]);
    let mut world = converged.copy(0);
    run(&mut world, &next, "undisturbed");
    let fresh_end = undisturbed(&next, &NAMES[..hosts]);
    Known { first, next, converged, end: portrait(&world), fresh_end }
}

fn fault(random: &mut Random, hosts: &[&str]) -> Fault {
    let host = hosts[random.below(hosts.len() as u64) as usize].to_owned();
    let off_ms = [20_000, 60_000, 300_000, 3_600_000][random.below(4) as usize];
    match random.below(13) {
        0 => Fault::Reset { host, is_noticed: random.below(2) == 0 },
        1 | 2 => Fault::KillHelper { host, before_effect: 1 + random.below(60) },
        3 | 4 => Fault::PowerLoss { host, before_effect: 1 + random.below(60), off_ms },
        5 => Fault::Off { host, off_ms },
        6 => Fault::Off { host, off_ms: u64::MAX },
        7 => {
            let hosts = hosts.iter().filter(|_| random.below(2) == 0).map(|host| (*host).to_owned());
            Fault::Cut { hosts: hosts.collect(), is_cut: true }
        }
        8 => Fault::DiskFull { host, is_full: true },
        9 => Fault::SlowDisk { host, factor: 1 + random.below(200) },
        10 => Fault::MirrorDown { host, is_down: true },
        11 => Fault::BadUploads { host, count: 1 + random.below(4) as u32 },
        _ => Fault::ClockSkew { host, ms: random.below(7_200_000) as i64 - 3_600_000 },
    }
}

/// What ends a fault that does not end by itself.
fn end_of(fault: &Fault) -> Option<Fault> {
    Some(match fault {
        Fault::Cut { hosts, .. } => Fault::Cut { hosts: hosts.clone(), is_cut: false },
        Fault::DiskFull { host, .. } => Fault::DiskFull { host: host.clone(), is_full: false },
        Fault::MirrorDown { host, .. } => Fault::MirrorDown { host: host.clone(), is_down: false },
        _ => return None,
    })
}

/// A failure must tell of a fault that there was.
fn is_true(report: &Report, faults: &[Fault]) -> Result<(), String> {
    match &report.ending {
        Ending::Done => return Ok(()),
        Ending::Failed if report.failures.is_empty() => return Err("it failed without a reason".into()),
        Ending::Failed => {}
        Ending::NoLock(why) => {
            let is_true = faults.iter().any(|fault| {
                matches!(
                    fault,
                    Fault::Off { .. }
                        | Fault::Cut { .. }
                        | Fault::PowerLoss { .. }
                        | Fault::BadUploads { .. }
                )
            });
            return if is_true { Ok(()) } else { Err(format!("no lock: {why}")) };
        }
        other => return Err(format!("{other:?}")),
    }
    let is_away = |text: &str| text.contains("cannot be reached") || text.contains("has not answered");
    for failure in &report.failures {
        let text = format!("{} {}", failure.failure.message, failure.failure.evidence.join(" "));
        let about = &failure.host;
        let is_true = faults.iter().any(|fault| match fault {
            Fault::PowerLoss { host, .. } | Fault::Off { host, .. } => host == about && is_away(&text),
            Fault::Cut { hosts, .. } => hosts.contains(about) && is_away(&text),
            Fault::DiskFull { host, .. } => host == about && text.contains("space"),
            Fault::MirrorDown { host, .. } => {
                host == about && (text.contains("Failed to fetch") || text.contains("could not be fetched"))
            }
            _ => false,
        });
        if !is_true {
            return Err(format!("`{about}`: {text}"));
        }
    }
    Ok(())
}

fn history(seed: u64, known: &BTreeMap<usize, Known>) -> Result<(), String> {
    let mut random = Random::new(seed, "faults");
    let count = 3 + random.below(3) as usize;
    let hosts = &NAMES[..count];
    let known = &known[&count];
    let sample = &known.next;
    let (mut world, end) = match random.below(2) {
        0 => (World::new(hosts, seed), &known.fresh_end),
        _ => (known.converged.copy(seed), &known.end),
    };
    if random.below(10) == 0 {
        // Somebody else was at work with older wishes and died.
        let plan = planned(&mut world, &known.first);
        let holder = world.holder("older", "sample");
        let operator = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.kill_before_act(operator, 1 + random.below(300));
        world.go();
        resume(&mut world, &known.first, &format!("seed {seed}, older"));
    }
    let mut plan = planned(&mut world, sample);
    plan.policy.failure_budget = random.below(3) as usize;
    let mut faults = Vec::new();
    let (mut next, mut resumed) = (Some((plan, world.holder("r", "sample"))), false);
    for _ in 0..=random.below(3) {
        let Some((plan, holder)) = next.take() else { break };
        for _ in 0..random.below(5) {
            let fault = fault(&mut random, hosts);
            let at = random.below(RUN_MS);
            if let Some(end) = end_of(&fault).filter(|_| random.below(2) == 0) {
                world.fault_in(at + random.below(30_000), end);
            }
            world.fault_in(at, fault.clone());
            faults.push(fault);
        }
        let options = Options { resume: resumed };
        let operator = world.begin(plan.clone(), holder.clone(), &sample.secrets, options).unwrap();
        if random.below(2) == 0 {
            world.kill_before_act(operator, 1 + random.below(600));
        }
        world.go();
        match world.report(operator) {
            Some(report) => is_true(report, &faults)?,
            None => resumed = true,
        }
        // The next one goes on with the same plan, at once or later.
        if world.report(operator).is_none_or(|report| report.ending != Ending::Done) {
            resumed = true;
            next = Some((plan, holder));
        }
        world.go_for(random.below(100_000));
    }
    world.heal();
    resume(&mut world, sample, &format!("seed {seed}"));
    if let Some(violation) = world.violations().first() {
        return Err(format!("{violation:?}"));
    }
    if let Some(stale) = world.stale_units(&sample.wishes).first() {
        return Err(stale.clone());
    }
    if let Some(difference) = differences(&portrait(&world), end).first() {
        return Err(difference.clone());
    }
    Ok(())
}

#[test]
fn whatever_happens_the_end_is_the_same() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("KUBESPRAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("KUBESPRAY_SEEDS").unwrap_or(200),
    };
    let known: BTreeMap<usize, Known> = (3..=5).map(|hosts| (hosts, known(hosts))).collect();
    let mut wrong = Vec::new();
    for seed in seeds {
        let told = catch_unwind(AssertUnwindSafe(|| history(seed, &known)));
        match told {
            Ok(Ok(())) => {}
            Ok(Err(why)) => wrong.push(format!("seed {seed}: {why}")),
            Err(_) => wrong.push(format!("seed {seed}: a panic, see above")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
