//! Steps that wait for time or for somebody before they are done, and nodes that a run leaves cordoned.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use kubespray_controller::{Ending, Input, Options, Output, Report, Run};
use kubespray_resource::wire::{Answer, Ask, Hello, Holder, PROTOCOL, Reply};
use kubespray_resource::*;

fn state(unschedulable: bool) -> NodeState {
    NodeState {
        name: "a".into(),
        unschedulable: Some(unschedulable),
        mark: Some("m".into()),
        ..NodeState::default()
    }
}

/// A node is cordoned, something happens, it is given back.
fn plan(before: Option<Hold>, behind: Option<Hold>) -> Plan {
    let step = |name: &str, resource: Resource, hold: Option<Hold>| {
        let step = Step {
            rollout: Some("r".into()),
            disruption: Disruption::Drain,
            hold,
            ..Step::new("a", "c", "p", name, resource)
        };
        PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
    };
    let rollout = Rollout { hosts: vec!["a".into()], max_unavailable: 1, canaries: 0 };
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: "upgrade-cluster".into(),
        cluster: "c".into(),
        lock_hosts: Vec::new(),
        steps: vec![
            step("away", state(true).into(), before),
            step("work", Swap {}.into(), None),
            step("back", state(false).into(), behind),
        ],
        gates: BTreeMap::new(),
        policy: Policy { rollouts: [("r".to_owned(), rollout)].into(), ..Policy::default() },
    }
}

/// A run whose host does every step at once but those that fail.
struct World {
    run: Run,
    now: u64,
    fails: &'static str,
    applied: Vec<String>,
    held: Vec<(String, u64)>,
    wake: Option<u64>,
    report: Option<Report>,
}

impl World {
    fn begin(plan: Plan, fails: &'static str) -> Self {
        let holder =
            Holder { run: "r".into(), owner: "me".into(), operation: "upgrade-cluster".into(), since_ms: 1 };
        let (run, first) = Run::new(plan, holder, Secrets::default(), Options::default(), 1).unwrap();
        let (applied, held) = (Vec::new(), Vec::new());
        let mut world = Self { run, now: 1, fails, applied, held, wake: None, report: None };
        world.perform(first);
        world
    }

    fn input(&mut self, input: Input) {
        let outputs = self.run.handle(self.now, input);
        self.perform(outputs);
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Connect { host } => {
                    let (build, boot_id) = ("b".to_owned(), "i".to_owned());
                    let hello = Hello { protocol: PROTOCOL, build, hostname: host.clone(), boot_id };
                    self.input(Input::Up { host, hello });
                }
                Output::Send { host, request } => {
                    let body = match request.body {
                        Ask::Apply(apply) => {
                            let name = apply.step.as_str().rsplit('/').next().unwrap().to_owned();
                            let result = if name == self.fails {
                                Err(Failure::of_host("no"))
                            } else {
                                Ok(Outcome { kind: OutcomeKind::Updated, ..Outcome::unchanged() })
                            };
                            self.applied.push(name);
                            Answer::Applied(apply.step, result)
                        }
                        _ => Answer::Ok,
                    };
                    self.input(Input::Reply { host, reply: Reply { id: request.id, body } });
                }
                Output::WakeAt { ms } => self.wake = Some(ms),
                Output::Tell(event) => {
                    if let EventKind::Held { step, .. } = event.kind {
                        self.held.push((step.to_string(), self.now));
                    }
                }
                Output::Finished(report) => self.report = Some(*report),
                Output::Close { .. } => {}
            }
        }
    }
}

#[test]
fn a_pause_lasts_as_long_as_it_says() {
    let mut world = World::begin(plan(Some(Hold::Pause(60)), Some(Hold::Pause(30))), "");
    assert!(world.applied.is_empty() && world.report.is_none());
    assert_eq!(world.wake, Some(60_001));
    world.now = 30_000;
    world.input(Input::Tick);
    assert!(world.applied.is_empty());
    world.now = 60_001;
    world.input(Input::Tick);
    assert_eq!(world.applied, ["away", "work"]);
    assert_eq!(world.held, [("a/c/away".to_owned(), 1), ("a/c/back".to_owned(), 60_001)]);
    world.now = 90_001;
    world.input(Input::Tick);
    assert_eq!(world.report.unwrap().ending, Ending::Done);
}

#[test]
fn somebody_says_yes_to_the_step_that_waits() {
    let confirm = || Some(Hold::Confirm("go on".into()));
    let mut world = World::begin(plan(confirm(), confirm()), "");
    world.input(Input::Confirm { step: "a/c/back".into() });
    assert!(world.applied.is_empty(), "that one does not wait yet");
    world.input(Input::Confirm { step: "a/c/away".into() });
    assert_eq!(world.applied, ["away", "work"]);
    world.now = 1_000_000;
    world.input(Input::Tick);
    assert!(world.report.is_none());
    world.input(Input::Confirm { step: "a/c/back".into() });
    assert_eq!(world.report.unwrap().ending, Ending::Done);
}

#[test]
fn who_stops_a_run_that_waits_is_told_what_stays_cordoned() {
    let mut world = World::begin(plan(None, Some(Hold::Confirm("go on".into()))), "");
    assert!(world.report.is_none());
    world.input(Input::Stop);
    let report = world.report.unwrap();
    assert_eq!((report.ending, report.cordoned), (Ending::Stopped, vec!["a".to_owned()]));
    assert_eq!(report.go_on.as_deref(), Some("kubespray runs resume r"));
}

#[test]
fn what_failed_between_leaves_the_node_cordoned_and_says_so() {
    for (fails, cordoned) in [("work", &["a"][..]), ("", &[])] {
        let report = World::begin(plan(None, None), fails).report.unwrap();
        assert_eq!(report.cordoned, cordoned);
    }
}
