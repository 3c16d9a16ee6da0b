//! How runs end that are taken up, that hosts are missing of, or that never began.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};

use kubespray_controller::{Ending, Input, Options, Output, Report, Run};
use kubespray_resource::wire::{Answer, Ask, Hello, Holder, JournalEntry, PROTOCOL, Reply};
use kubespray_resource::*;

const SOURCE: &str = "/tmp/releases/x.tar.gz";

fn step(id: &str, resource: impl Into<Resource>) -> PlannedStep {
    let step =
        Step { id: id.into(), ..Step::new(id.split('/').next().unwrap(), "c", "download", "x", resource) };
    PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
}

fn plan(steps: Vec<PlannedStep>, lock_hosts: &[&str]) -> Plan {
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: "cluster".into(),
        cluster: "c".into(),
        lock_hosts: lock_hosts.iter().map(|host| (*host).to_owned()).collect(),
        steps,
        gates: BTreeMap::new(),
        policy: Policy::default(),
    }
}

/// An archive that is fetched only for a program to be taken from it.
fn fetched_and_taken() -> Vec<PlannedStep> {
    let (digest, owner) = (Digest::of(b"x"), Owner::root());
    let fetch = Download {
        path: SOURCE.into(),
        urls: vec!["http://mirror/x.tar.gz".into()],
        from_controller: false,
        digest: digest.clone(),
        mode: Mode::PUBLIC,
        owner: owner.clone(),
        proxy: None,
        no_proxy: String::new(),
        verify_tls: true,
        timeout_s: 1,
        only_as_source: true,
    };
    let take = Archive { path: SOURCE.into(), digest, members: Vec::new(), owner };
    vec![step("a/x/fetch", fetch), step("a/x/take", take)]
}

/// Hosts that answer each request as is said; a host in `away` never comes up.
struct World {
    answer: fn(&str, &Ask) -> Answer,
    away: &'static str,
    applied: Vec<String>,
}

impl World {
    fn run(&mut self, plan: Plan, resume: bool) -> Report {
        let holder = Holder { run: "r".into(), owner: "me".into(), operation: "cluster".into(), since_ms: 1 };
        let (mut run, first) = Run::new(plan, holder, Secrets::default(), Options { resume }, 1).unwrap();
        let (mut open, mut now) = (VecDeque::from(first), 1);
        let mut wake = None;
        loop {
            let Some(output) = open.pop_front() else {
                now = wake.take().unwrap();
                open.extend(run.handle(now, Input::Tick));
                continue;
            };
            let input = match output {
                Output::Connect { host } if host == self.away => {
                    Input::Down { host, transient: true, why: "there is no route to the host".into() }
                }
                Output::Connect { host } => {
                    let (build, boot_id) = ("b".to_owned(), "i".to_owned());
                    let hello = Hello { protocol: PROTOCOL, build, hostname: host.clone(), boot_id };
                    Input::Up { host, hello }
                }
                Output::Send { host, request } => {
                    if let Ask::Apply(apply) = &request.body {
                        self.applied.push(apply.step.to_string());
                    }
                    let body = (self.answer)(&host, &request.body);
                    Input::Reply { host, reply: Reply { id: request.id, body } }
                }
                Output::WakeAt { ms } => {
                    wake = Some(ms);
                    continue;
                }
                Output::Finished(report) => return *report,
                Output::Tell(_) | Output::Close { .. } => continue,
            };
            open.extend(run.handle(now, input));
        }
    }
}

fn created() -> Outcome {
    Outcome { kind: OutcomeKind::Created, ..Outcome::unchanged() }
}

fn done(step: &str) -> JournalEntry {
    JournalEntry { step: step.into(), at_ms: 1, ended: Some(Ok(created())) }
}

#[test]
fn what_was_fetched_is_looked_at_again_where_nothing_was_made_of_it_yet() {
    let half = |_: &str, ask: &Ask| match ask {
        Ask::Apply(apply) => Answer::Applied(apply.step.clone(), Ok(created())),
        Ask::Journal { .. } => Answer::Journal(vec![done("a/x/fetch")]),
        _ => Answer::Ok,
    };
    let mut world = World { answer: half, away: "", applied: Vec::new() };
    assert_eq!(world.run(plan(fetched_and_taken(), &[]), true).ending, Ending::Done);
    assert_eq!(world.applied, ["a/x/fetch", "a/x/take"]);

    let whole = |_: &str, ask: &Ask| match ask {
        Ask::Journal { .. } => Answer::Journal(vec![done("a/x/fetch"), done("a/x/take")]),
        _ => Answer::Ok,
    };
    let mut world = World { answer: whole, away: "", applied: Vec::new() };
    assert_eq!(world.run(plan(fetched_and_taken(), &[]), true).ending, Ending::Done);
    assert!(world.applied.is_empty(), "{:?}", world.applied);
}

#[test]
fn who_is_away_is_told_before_what_failed_because_of_it() {
    let answer = |_: &str, ask: &Ask| match ask {
        Ask::Apply(apply) => {
            Answer::Applied(apply.step.clone(), Err(Failure::of_host("not all nodes are ready")))
        }
        _ => Answer::Ok,
    };
    let mut world = World { answer, away: "b", applied: Vec::new() };
    let report = world.run(plan(vec![step("b/x/swap", Swap {}), step("a/x/ready", Swap {})], &[]), false);
    assert_eq!(report.ending, Ending::Failed);
    let told: Vec<(&str, &str)> = report
        .failures
        .iter()
        .map(|failure| (failure.host.as_str(), failure.failure.message.as_str()))
        .collect();
    let away = "`b` has not answered for 0 s: there is no route to the host";
    assert_eq!(told, [("b", away), ("a", "not all nodes are ready")]);
    assert!(report.go_on.is_some());
}

#[test]
fn a_run_that_nobody_keeps_is_not_gone_on_with() {
    let answer = |_: &str, ask: &Ask| match ask {
        Ask::Lock(_) => Answer::Failed(Failure::of_host("make the lock: no space left on device")),
        _ => Answer::Ok,
    };
    let mut world = World { answer, away: "", applied: Vec::new() };
    let report = world.run(plan(vec![step("a/x/swap", Swap {})], &["a"]), false);
    assert_eq!((&report.ending, &report.go_on), (&Ending::Failed, &None));
    assert!(world.applied.is_empty());
}

/// The command that puts back is told for hosts that failed behind what they keep, and for no others.
#[test]
fn a_failure_tells_the_way_back_where_something_was_kept() {
    let answer = |_: &str, ask: &Ask| match ask {
        Ask::Apply(apply) if apply.step.as_str().ends_with("/fails") => {
            Answer::Applied(apply.step.clone(), Err(Failure::of_host("it is not well")))
        }
        Ask::Apply(apply) => Answer::Applied(apply.step.clone(), Ok(created())),
        _ => Answer::Ok,
    };
    let replaces = |id: &str| {
        let mut planned = step(id, Swap {});
        let keep = Keep { paths: vec!["/x".into()], part: KeptPart::Node, back: None };
        planned.step.keep = Some(keep);
        planned
    };
    for (steps, expected) in [
        (vec![replaces("a/x/file"), step("a/x/fails", Swap {})], Some("a")),
        (vec![step("a/x/fails", Swap {}), replaces("a/x/file")], None),
        (vec![step("a/x/file", Swap {}), step("a/x/fails", Swap {})], None),
        (vec![replaces("a/x/file"), step("b/x/fails", Swap {})], None),
        (
            vec![
                replaces("a/x/file"),
                step("a/x/fails", Swap {}),
                replaces("b/x/file"),
                step("b/x/fails", Swap {}),
            ],
            Some("a,b"),
        ),
    ] {
        let mut plan = plan(steps, &[]);
        plan.policy.failure_budget = 5;
        let mut world = World { answer, away: "", applied: Vec::new() };
        let report = world.run(plan, false);
        let told = report.undo.map(|undo| undo.command);
        let expected = expected.map(|hosts| format!("kubespray runs undo {} --limit {hosts}", report.run));
        assert_eq!(told, expected);
    }
}
