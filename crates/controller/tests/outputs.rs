//! What a step gives reaches the steps that take it, also in a run that is taken up again.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use kubespray_controller::{Ending, Input, Options, Output, Run};
use kubespray_resource::wire::{Answer, Apply, Ask, Hello, Holder, JournalEntry, PROTOCOL, Reply};
use kubespray_resource::*;

const REQUEST: &str = "leaf/etcd/request";
const SIGNATURE: &str = "holder/etcd/signature";
const COPY: &str = "leaf/etcd/copy";

fn step(id: &str, resource: impl Into<Resource>, after: &[&str]) -> PlannedStep {
    let step = Step {
        id: id.into(),
        after: after.iter().map(|id| StepId::from(*id)).collect(),
        ..Step::new(id.split('/').next().unwrap(), "etcd", "etcd", "x", resource)
    };
    PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
}

/// A request on one host, its signature on another, and the result on the first.
fn plan() -> Plan {
    let (path, mode, owner) = ("/etc/key.pem".to_owned(), Mode::PRIVATE, Owner::root());
    let key = KeyFile { path, algorithm: KeyAlgorithm::EcdsaP256, mode, owner };
    let subject = Subject::named("n1");
    let request = CertificateRequest { key, subject: subject.clone(), names: Default::default() };
    let signature = Signature {
        ca_certificate_path: "/etc/ca.pem".into(),
        ca_key_path: "/etc/ca-key.pem".into(),
        request: Content::Output(REQUEST.into()),
        subject,
        names: Default::default(),
        usages: Default::default(),
        days: 1,
    };
    let copy = File {
        path: "/etc/n1.pem".into(),
        content: Content::Output(SIGNATURE.into()),
        mode: Mode::PUBLIC,
        owner: Owner::root(),
        keep_content: false,
    };
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: "cluster".into(),
        cluster: "c".into(),
        lock_hosts: Vec::new(),
        steps: vec![
            step(SIGNATURE, signature, &[REQUEST]),
            step(REQUEST, request, &[]),
            step(COPY, copy, &[SIGNATURE]),
        ],
        gates: BTreeMap::new(),
        policy: Policy::default(),
    }
}

/// The same on one host, whose chain says the order.
fn plan_of_one_host() -> Plan {
    let mut plan = plan();
    plan.steps.swap(0, 1);
    for planned in &mut plan.steps {
        planned.step.host = "leaf".into();
        planned.step.after.clear();
    }
    plan
}

/// Helpers that do every step at once.
struct Helpers {
    journals: BTreeMap<String, Vec<JournalEntry>>,
    applied: Vec<Apply>,
    told: Vec<Event>,
    ending: Option<Ending>,
}

impl Helpers {
    fn new() -> Self {
        Self { journals: BTreeMap::new(), applied: Vec::new(), told: Vec::new(), ending: None }
    }

    fn outcome(step: &StepId) -> Outcome {
        let output = (step.as_str() != COPY).then(|| format!("text of {step}"));
        Outcome { kind: OutcomeKind::Created, output, ..Outcome::unchanged() }
    }

    fn answer(&mut self, host: &str, ask: Ask) -> Answer {
        match ask {
            Ask::Apply(apply) => {
                let step = apply.step.clone();
                self.applied.push(*apply);
                Answer::Applied(step.clone(), Ok(Self::outcome(&step)))
            }
            Ask::Journal { .. } => Answer::Journal(self.journals.get(host).cloned().unwrap_or_default()),
            _ => Answer::Ok,
        }
    }

    fn run(&mut self, plan: Plan, options: Options) {
        let run = RunId::from("r");
        let holder = Holder { run, owner: "me".into(), operation: "cluster".into(), since_ms: 1 };
        let (mut run, first) = Run::new(plan, holder, Secrets::default(), options, 1).unwrap();
        let mut open = std::collections::VecDeque::from(first);
        while let Some(output) = open.pop_front() {
            let input = match output {
                Output::Connect { host } => {
                    let (build, boot_id) = ("b".to_owned(), "i".to_owned());
                    let hello = Hello { protocol: PROTOCOL, build, hostname: host.clone(), boot_id };
                    Input::Up { host, hello }
                }
                Output::Send { host, request } => {
                    let body = self.answer(&host, request.body);
                    Input::Reply { host, reply: Reply { id: request.id, body } }
                }
                Output::Tell(event) => {
                    self.told.push(event);
                    continue;
                }
                Output::Finished(report) => {
                    self.ending = Some(report.ending);
                    continue;
                }
                Output::Close { .. } | Output::WakeAt { .. } => continue,
            };
            open.extend(run.handle(2, input));
        }
        assert_eq!(self.ending, Some(Ending::Done));
    }

    fn inputs(&self) -> Vec<(&str, Vec<(&str, &str)>)> {
        self.applied
            .iter()
            .map(|apply| {
                let inputs = apply.inputs.iter().map(|(id, text)| (id.as_str(), text.as_str()));
                (apply.step.as_str(), inputs.collect())
            })
            .collect()
    }
}

#[test]
fn outputs_travel_from_host_to_host() {
    let mut helpers = Helpers::new();
    helpers.run(plan(), Options::default());
    let expected = [
        (REQUEST, vec![]),
        (SIGNATURE, vec![(REQUEST, "text of leaf/etcd/request")]),
        (COPY, vec![(SIGNATURE, "text of holder/etcd/signature")]),
    ];
    assert_eq!(helpers.inputs(), expected);
    assert!(!format!("{:?}", helpers.told).contains("text of"), "events tell what happened, not the texts");
}

#[test]
fn outputs_come_back_before_the_same_host_takes_them() {
    let mut helpers = Helpers::new();
    helpers.run(plan_of_one_host(), Options::default());
    let expected = [
        (REQUEST, vec![]),
        (SIGNATURE, vec![(REQUEST, "text of leaf/etcd/request")]),
        (COPY, vec![(SIGNATURE, "text of holder/etcd/signature")]),
    ];
    assert_eq!(helpers.inputs(), expected);
}

#[test]
fn a_run_that_is_taken_up_has_the_outputs_of_its_earlier_part() {
    let mut helpers = Helpers::new();
    for (host, step) in [("leaf", REQUEST), ("holder", SIGNATURE)] {
        let step = StepId::from(step);
        let ended = Some(Ok(Helpers::outcome(&step)));
        helpers.journals.insert(host.into(), vec![JournalEntry { step, at_ms: 1, ended }]);
    }
    helpers.run(plan(), Options { resume: true });
    assert_eq!(helpers.inputs(), [(COPY, vec![(SIGNATURE, "text of holder/etcd/signature")])]);
}
