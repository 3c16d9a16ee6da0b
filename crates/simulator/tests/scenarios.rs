//! What operators and hosts do to a run, one thing at a time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;

use common::{HOSTS, differences, planned, portrait, resume, run, small, undisturbed};
use kubespray_controller::{Ending, Options, Report};
use kubespray_planner::{Selection, Wishes, select};
use kubespray_resource::{ErrorClass, Event, EventKind, Secrets, Step, Sysctl};
use kubespray_simulator::{Fault, Reach, Sample, World, sample};

/// Runs a sample whose policy was changed, with faults that come after so many milliseconds.
fn run_with(sample: &Sample, faults: &[(u64, Fault)]) -> (World, Report, Vec<Event>) {
    let hosts: BTreeSet<&str> = sample.wishes.steps.iter().map(|step| step.host.as_str()).collect();
    let mut world = World::new(hosts, 5);
    let plan = planned(&mut world, sample);
    for (ms, fault) in faults {
        world.fault_in(*ms, fault.clone());
    }
    let (report, events) = world.run(plan, "r", &sample.secrets, Options::default()).unwrap();
    assert_eq!(world.violations(), []);
    (world, report.unwrap(), events)
}

fn disk_full(host: &str) -> Fault {
    Fault::DiskFull { host: host.into(), is_full: true }
}

fn went_down(events: &[Event], name: &str) -> bool {
    events.iter().any(|event| matches!(&event.kind, EventKind::HostDown { host, .. } if host == name))
}

fn skipped<'a>(events: &'a [Event], name: &str) -> Vec<(&'a str, &'a str)> {
    let skipped = events.iter().filter_map(|event| match &event.kind {
        EventKind::StepSkipped { step, host, why } if host == name => Some((step.as_str(), why.as_str())),
        _ => None,
    });
    skipped.collect()
}

#[test]
fn of_two_operators_one_works() {
    let sample = small(40);
    for after_ms in [0, 1, 50, 300, 301, 302, 305, 400, 1_000, 2_000] {
        let mut world = World::new(HOSTS, after_ms);
        let plan = planned(&mut world, &sample);
        let first = world.holder("first", "cluster");
        let first = world.begin(plan.clone(), first, &sample.secrets, Options::default()).unwrap();
        world.go_for(after_ms);
        let second = world.holder("second", "cluster");
        let second = world.begin(plan, second, &sample.secrets, Options::default()).unwrap();
        world.go();
        let endings = [first, second].map(|operator| world.report(operator).unwrap().ending.clone());
        assert_eq!(
            endings.iter().filter(|ending| **ending == Ending::Done).count(),
            1,
            "{after_ms}: {endings:?}"
        );
        let refused = endings.iter().find_map(|ending| match ending {
            Ending::Refused(holders) => holders.first(),
            _ => None,
        });
        let (_, holder) = refused.unwrap_or_else(|| panic!("{after_ms}: {endings:?}"));
        assert_eq!((holder.operation.as_str(), holder.owner.as_str()), ("cluster", "operator@desk"));
        assert_eq!(world.violations(), []);
        assert!(world.lock_holders().is_empty());
        // Who was refused may come afterwards.
        assert_eq!(run(&mut world, &sample, "third").0.ending, Ending::Done);
    }
}

/// A helper that has not noticed that its connection is lost goes on with what it was sent. Others may work only when it
/// is stopped, or has ended by itself where its host cannot be reached.
#[test]
fn locks_are_kept_until_no_helper_goes_on_by_itself() {
    let sample = small(40);
    let mut waited = 0;
    for (at_ms, can_be_reached) in (400..2_000).step_by(100).flat_map(|at| [(at, true), (at, false)]) {
        let mut world = World::new(HOSTS, 5);
        let plan = planned(&mut world, &sample);
        let holder = world.holder("first", "cluster");
        let first = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.fault_in(at_ms, Fault::Reset { host: "b".into(), is_noticed: false });
        world.fault_in(at_ms + 10, Fault::DiskFull { host: "a".into(), is_full: true });
        if !can_be_reached {
            world.fault_in(at_ms + 20, Fault::Cut { hosts: vec!["b".into()], is_cut: true });
        }
        world.go();
        assert_eq!(world.report(first).unwrap().ending, Ending::Failed, "{at_ms} {can_be_reached}");
        assert_eq!(world.violations(), [], "{at_ms} {can_be_reached}");
        // Who waits is told for what.
        let events = world.events(first);
        let told = events.iter().find_map(|event| match &event.kind {
            EventKind::Settling { host, for_ms } if host == "b" => Some((event.at_ms, *for_ms)),
            _ => None,
        });
        if let Some((from_ms, for_ms)) = told.filter(|_| !can_be_reached) {
            let took_ms = events.last().unwrap().at_ms - from_ms;
            assert!(took_ms >= for_ms, "{at_ms}: it took {took_ms} ms in place of {for_ms}");
            waited += 1;
        }
    }
    assert!(waited > 5, "it was waited {waited} times");
}

#[test]
fn a_lock_of_the_dead_stays_until_it_is_broken() {
    let sample = small(40);
    let mut world = World::new(HOSTS, 1);
    let plan = planned(&mut world, &sample);
    let holder = world.holder("first", "cluster");
    let first = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
    world.kill_before_act(first, 120);
    world.go();
    assert!(world.report(first).is_none());
    assert_eq!(world.lock_holders().len(), 3);
    let (report, _) = run(&mut world, &sample, "second");
    assert!(matches!(&report.ending, Ending::Refused(holders) if holders[0].1.run.as_str() == "first"));
    world.break_locks();
    let (report, _) = run(&mut world, &sample, "third");
    assert_eq!(report.ending, Ending::Done);
    assert_eq!(differences(&portrait(&world), &undisturbed(&sample, &HOSTS)), Vec::<String>::new());
}

#[test]
fn a_run_that_is_taken_up_while_it_lives_goes_on_with_the_newer() {
    let sample = small(60);
    let end = undisturbed(&sample, &HOSTS);
    let mut superseded = 0;
    for ms in (400..2_600).step_by(50) {
        let mut world = World::new(HOSTS, ms);
        let plan = planned(&mut world, &sample);
        let holder = world.holder("r", "cluster");
        let first = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.go_for(ms);
        let Some(record) = world.record(Some(&"r".into())) else { continue };
        let options = Options { resume: true };
        let second = world.begin(record.plan, record.holder, &sample.secrets, options).unwrap();
        world.go();
        let report = world.report(first).unwrap().clone();
        assert_eq!(world.report(second).unwrap().ending, Ending::Done, "{ms}");
        if report.ending != Ending::Done {
            superseded += 1;
            assert_eq!(report.ending, Ending::Failed, "{ms}");
            let failure = &report.failures[0].failure;
            assert_eq!(failure.message, "a newer connection works on this host", "{ms}");
        }
        assert_eq!(world.violations(), [], "{ms}");
        assert!(world.lock_holders().is_empty(), "{ms}");
        assert_eq!(differences(&portrait(&world), &end), Vec::<String>::new(), "{ms}");
    }
    assert!(superseded > 20, "{superseded}");
}

#[test]
fn a_run_whose_lock_was_broken_stops_where_it_meets_the_other() {
    let mut sample = small(60);
    sample.wishes.policy.failure_budget = 2;
    let mut world = World::new(HOSTS, 1);
    let plan = planned(&mut world, &sample);
    let holder = world.holder("first", "cluster");
    let first = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
    world.go_for(1_000);
    world.break_locks();
    let plan = planned(&mut world, &sample);
    let holder = world.holder("second", "cluster");
    let second = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
    world.go();
    assert_eq!(world.report(second).unwrap().ending, Ending::Done);
    let report = world.report(first).unwrap();
    assert_eq!(report.ending, Ending::Failed);
    let message = &report.failures[0].failure.message;
    assert!(message.contains("second") || message.contains("newer connection"), "{message}");
    assert!(world.lock_holders().is_empty());
}

#[test]
fn a_stop_ends_what_is_under_way_and_gives_the_locks_back() {
    let sample = small(60);
    let end = undisturbed(&sample, &HOSTS);
    for ms in (0..8_000).step_by(97) {
        let mut world = World::new(HOSTS, 1);
        let plan = planned(&mut world, &sample);
        let holder = world.holder("r", "cluster");
        let operator = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.stop_in(operator, ms);
        world.go();
        let report = world.report(operator).unwrap().clone();
        if report.ending == Ending::Done {
            break;
        }
        assert_eq!(report.ending, Ending::Stopped, "{ms}");
        // What nobody has begun cannot be gone on with, and need not be.
        let is_begun =
            |host: &kubespray_simulator::SimHost| host.text("/var/lib/kubespray/journal/r.jsonl").is_some();
        match report.go_on.as_deref() {
            None => assert!(!world.hosts().any(|(_, host)| is_begun(host)), "{ms}"),
            Some(how) => assert_eq!(how, "kubespray runs resume r"),
        }
        assert!(report.locked.is_empty() && world.lock_holders().is_empty(), "{ms}");
        assert!(report.failures.is_empty(), "{ms}: {:?}", report.failures);
        // No step is left half done: what was journalled as begun has an end.
        for (name, host) in world.hosts() {
            let journal = host.text("/var/lib/kubespray/journal/r.jsonl").unwrap_or_default();
            let (begun, ended): (Vec<&str>, Vec<&str>) =
                journal.lines().partition(|line| line.contains("\"ended\":null"));
            let ended = ended.iter().filter(|line| !line.contains("\"unchanged\"")).count();
            assert_eq!(begun.len(), ended, "{ms}: {name}");
        }
        let run = kubespray_resource::RunId::from("r");
        if let Some(record) = world.record(Some(&run)) {
            let options = Options { resume: true };
            let again = world.begin(record.plan, record.holder, &sample.secrets, options).unwrap();
            world.go();
            assert_eq!(world.report(again).unwrap().ending, Ending::Done, "{ms}");
        }
        resume(&mut world, &sample, "stopped");
        assert_eq!(world.violations(), [], "{ms}");
        assert_eq!(differences(&portrait(&world), &end), Vec::<String>::new(), "{ms}");
    }
}

#[test]
fn a_lock_host_that_is_away_at_the_end_is_waited_for_but_not_for_ever() {
    let sample = small(40);
    // Seconds until it is back, of a second Ctrl-C, and at most until the end; whose locks stay. Who does not want to
    // wait until no helper can go on by itself gives none back.
    for (back, again, end, stays) in [
        (50, None, 90, &[][..]),
        (3_600, None, 150, &["a"]),
        (3_600, Some(25), 26, &["a", "b", "c"]),
        (3_600, Some(90), 91, &["a"]),
    ] {
        let mut world = World::new(HOSTS, 1);
        let plan = planned(&mut world, &sample);
        let holder = world.holder("r", "cluster");
        let began = world.now_ms();
        let operator = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.fault_in(1_000, Fault::Off { host: "a".into(), off_ms: back * 1_000 });
        world.stop_in(operator, 20_000);
        if let Some(again) = again {
            world.stop_in(operator, again * 1_000);
        }
        world.go();
        let report = world.report(operator).unwrap().clone();
        assert_eq!(report.ending, Ending::Stopped);
        let took = world.events(operator).last().unwrap().at_ms - began;
        assert!(took < end * 1_000, "{took} ms");
        assert_eq!(report.locked, stays);
        world.heal();
        assert_eq!(world.lock_holders().len(), stays.len());
    }
}

#[test]
fn one_failed_host_stops_all_or_only_what_needs_it() {
    for (budget, goes_on) in [(0, false), (1, true)] {
        let mut sample = small(40);
        sample.wishes.policy.failure_budget = budget;
        let (_, report, events) = run_with(&sample, &[(350, disk_full("c"))]);
        assert_eq!(report.ending, Ending::Failed);
        let failure = report.failures.first().unwrap();
        assert_eq!((failure.host.as_str(), failure.failure.class), ("c", ErrorClass::Host));
        assert!(failure.failure.message.contains("no space left on device"), "{}", failure.failure);
        let done = |step: &str| {
            events.iter().any(
                |event| matches!(&event.kind, EventKind::StepDone { step: id, .. } if id.as_str() == step),
            )
        };
        // Two members are most of three; all workers they are not.
        assert_eq!(done("b/worker/check"), goes_on, "budget {budget}");
        assert!(!done("b/finish/done"));
        let left = skipped(&events, "b");
        let needs_it = |why: &str| why.starts_with("the gate `all-workers` cannot open");
        let is_told = |why: &str| needs_it(why) || !goes_on && why == "too many hosts failed";
        assert!(left.iter().all(|(_, why)| is_told(why)), "{left:?}");
        assert!(!left.is_empty());
    }
}

#[test]
fn what_may_pass_is_tried_again_with_longer_pauses() {
    let sample = small(40);
    let down = |is_down| Fault::MirrorDown { host: "b".into(), is_down };
    let retries = |events: &[Event]| -> Vec<Option<u64>> {
        let retries = events.iter().filter_map(|event| match &event.kind {
            EventKind::StepFailed { retry_in_ms, .. } => Some(*retry_in_ms),
            _ => None,
        });
        retries.collect()
    };
    let (_, report, events) = run_with(&sample, &[(0, down(true)), (5_000, down(false))]);
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    assert_eq!(retries(&events), [Some(2_000), Some(4_000)]);
    let (_, report, events) = run_with(&sample, &[(0, down(true))]);
    assert_eq!(report.ending, Ending::Failed);
    assert_eq!(retries(&events), [Some(2_000), Some(4_000), None]);
    assert_eq!(report.failures[0].failure.class, ErrorClass::Transient);
    assert_eq!(report.go_on.as_deref(), Some("kubespray runs resume r"));
}

#[test]
fn only_what_is_wanted_is_done() {
    let sample = small(40);
    let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    type Wanted = fn(&str, &str) -> bool;
    let cases: [(Selection, Wanted); 3] = [
        (Selection { hosts: Some(strings(&["b"])), ..Selection::default() }, |host, _| host == "b"),
        (Selection { tags: strings(&["folders", "files"]), ..Selection::default() }, |_, component| {
            component == "folders" || component == "files"
        }),
        (Selection { skip_tags: strings(&["packages", "host"]), ..Selection::default() }, |_, component| {
            component != "packages" && component != "host"
        }),
    ];
    for (selection, is_wanted) in cases {
        let mut world = World::new(HOSTS, 1);
        let plan = planned(&mut world, &sample);
        let wanted = plan.changes().filter(|planned| is_wanted(&planned.step.host, &planned.step.component));
        let wanted: BTreeSet<String> = wanted.map(|planned| planned.step.id.to_string()).collect();
        let wishes = select(sample.wishes.clone(), &selection);
        let (report, events) = run(&mut world, &Sample { wishes, secrets: sample.secrets.clone() }, "r");
        assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
        let done: BTreeSet<String> = events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::StepDone { step, .. } => Some(step.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(done, wanted, "{selection:?}");
        assert_eq!(world.violations(), []);
        assert!(world.lock_holders().is_empty());
    }
}

#[test]
fn a_host_that_boots_is_waited_for() {
    let sample = small(60);
    let end = undisturbed(&sample, &HOSTS);
    for ms in [400, 700, 1_500, 2_000, 2_200] {
        let off = Fault::Off { host: "b".into(), off_ms: 120_000 };
        let (world, report, events) = run_with(&sample, &[(ms, off)]);
        assert_eq!(report.ending, Ending::Done, "{ms}: {:?}", report.failures);
        assert!(went_down(&events, "b"), "{ms}");
        assert_eq!(differences(&portrait(&world), &end), Vec::<String>::new(), "{ms}");
    }
}

#[test]
fn a_host_that_stays_away_blocks_only_what_needs_it() {
    let hosts = ["a", "b", "c", "d", "e"];
    for host in ["c", "e"] {
        let mut sample = sample(&hosts, 40, Reach::All);
        sample.wishes.policy.failure_budget = 1;
        let off = Fault::Off { host: host.into(), off_ms: u64::MAX };
        let (mut world, report, events) = run_with(&sample, &[(450, off)]);
        assert_eq!(report.ending, Ending::Failed);
        assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
        assert_eq!(report.failures[0].host, host);
        assert!(report.failures[0].failure.message.starts_with(&format!("`{host}` cannot be reached")));
        for other in hosts.iter().filter(|other| **other != host) {
            let left = skipped(&events, other);
            let needs_it = |(step, _): &(&str, &str)| step.contains("/finish/");
            assert!(left.iter().all(needs_it), "{other}: {left:?}");
        }
        // The lock that it took with it is told of.
        assert_eq!(report.locked, if host == "c" { vec!["c".to_owned()] } else { Vec::new() });
        world.heal();
        resume(&mut world, &sample, host);
        assert_eq!(differences(&portrait(&world), &undisturbed(&sample, &hosts)), Vec::<String>::new());
        assert_eq!(world.violations(), []);
    }
}

#[test]
fn a_canary_that_fails_keeps_all_others_waiting() {
    let mut sample = small(40);
    sample.wishes.policy.failure_budget = 3;
    // The first host is the canary of the workers. Its last steps find no space.
    let first = sample.wishes.steps.iter_mut().find(|step| step.id.as_str() == "a/worker/config").unwrap();
    let kubespray_resource::Resource::File(file) = &mut first.resource else { panic!("a file") };
    file.path = "/no/such/folder/file".into();
    let (world, report, events) = run_with(&sample, &[]);
    assert_eq!(report.ending, Ending::Failed);
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    for host in ["b", "c"] {
        let left = skipped(&events, host);
        assert!(left.iter().any(|(step, _)| step.contains("/worker/unit-file")), "{left:?}");
        let is = portrait(&world);
        assert!(!is[host].contains_key("/etc/systemd/system/sample-worker.service"));
        assert!(is[host].contains_key("active sample-member.service"));
    }
}

#[test]
fn most_lock_hosts_must_answer() {
    let sample = small(40);
    let cut = |hosts: &[&str]| Fault::Cut {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        is_cut: true,
    };
    let mut world = World::new(HOSTS, 1);
    let plan = planned(&mut world, &sample);
    world.befall(cut(&["a", "b"]));
    let (report, _) = world.run(plan.clone(), "r", &sample.secrets, Options::default()).unwrap();
    let report = report.unwrap();
    assert_eq!(report.ending, Ending::Failed);
    let failed: Vec<&str> = report.failures.iter().map(|failure| failure.host.as_str()).collect();
    assert_eq!(failed, ["b", "a"], "who does not answer, and what fails by it");
    assert!(world.lock_holders().is_empty() && world.hosts().all(|(_, host)| host.starts() == 0));
    // Two of three are enough; the third is reported.
    world.heal();
    world.befall(cut(&["b"]));
    let mut plan = plan;
    plan.policy.failure_budget = 1;
    let (report, _) = world.run(plan, "s", &sample.secrets, Options::default()).unwrap();
    let report = report.unwrap();
    assert_eq!((report.ending, report.failures[0].host.as_str()), (Ending::Failed, "b"));
    world.heal();
    resume(&mut world, &sample, "cut");
    assert_eq!(world.violations(), []);
}

#[test]
fn small_troubles_change_nothing() {
    let sample = small(60);
    let end = undisturbed(&sample, &HOSTS);
    let host = || "b".to_owned();
    for fault in [
        Fault::ClockSkew { host: host(), ms: -7_200_000 },
        Fault::ClockSkew { host: host(), ms: 7_200_000 },
        Fault::SlowDisk { host: host(), factor: 100 },
        Fault::BadUploads { host: host(), count: 3 },
        Fault::Reset { host: host(), is_noticed: true },
        Fault::Reset { host: host(), is_noticed: false },
        Fault::Cut { hosts: vec![host()], is_cut: false },
    ] {
        for ms in [0, 400, 700, 1_000, 1_500, 1_900, 2_200] {
            let (world, report, _) = run_with(&sample, &[(ms, fault.clone())]);
            assert_eq!(report.ending, Ending::Done, "{fault:?}: {:?}", report.failures);
            assert_eq!(differences(&portrait(&world), &end), Vec::<String>::new(), "{fault:?}");
        }
    }
}

#[test]
fn drift_is_found_and_mended() {
    let sample = small(60);
    let mut world = World::new(HOSTS, 1);
    run(&mut world, &sample, "first");
    let end = portrait(&world);
    let starts: Vec<u64> = world.hosts().map(|(_, host)| host.starts()).collect();
    world.host("b").unwrap().put_text("/opt/sample/etc/sample-worker.conf", "drift\n");
    let plan = planned(&mut world, &sample);
    let changes: Vec<&str> = plan.changes().map(|planned| planned.step.id.as_str()).collect();
    assert_eq!(changes, ["b/worker/config", "b/worker/unit", "b/worker/check"]);
    let (report, _) = run(&mut world, &sample, "second");
    assert_eq!(report.ending, Ending::Done);
    assert_eq!(differences(&portrait(&world), &end), Vec::<String>::new());
    let restarted: Vec<u64> = world.hosts().map(|(_, host)| host.starts()).collect();
    assert_eq!(restarted, [starts[0], starts[1] + 1, starts[2]]);
    assert_eq!(world.stale_units(&sample.wishes), Vec::<String>::new());
}

/// A kernel parameter that is large enough is left alone, and what set it may have died before it was kept.
#[test]
fn a_value_that_a_dead_helper_set_is_kept_too() {
    const FILE: &str = "/etc/sysctl.d/99-sysctl.conf";
    let wish = Sysctl {
        key: "fs.inotify.max_user_instances".into(),
        value: "8192".into(),
        file: FILE.into(),
        may_be_missing: false,
        at_least: true,
    };
    for before_effect in 1..8 {
        let mut world = World::new(["a"], 1);
        let steps = vec![Step::new("a", "test", "test", "parameter", wish.clone())];
        let wishes = Wishes { lock_hosts: vec!["a".into()], steps, ..Wishes::default() };
        let sample = Sample { wishes, secrets: Secrets::default() };
        world.befall(Fault::KillHelper { host: "a".into(), before_effect });
        assert_eq!(run(&mut world, &sample, "first").0.ending, Ending::Done, "{before_effect}");
        let kept = world.host("a").unwrap().text(FILE).unwrap_or_default();
        assert!(kept.contains("fs.inotify.max_user_instances=8192\n"), "{before_effect}: {kept}");
    }
}
