//! The driver over connections that are scripted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kubespray_controller::{Ending, Files, Options, Report, Run, Signal, drive};
use kubespray_resource::wire::{Answer, Ask, Hello, Holder, PROTOCOL, Reply, Request};
use kubespray_resource::{
    Comparison, Content, ErrorClass, Event, EventKind, Failure, File, Mode, Outcome, OutcomeKind, Owner,
    PLAN_SCHEMA_VERSION, Plan, PlannedStep, Policy, Resource, Secrets, Step, Swap,
};
use kubespray_transport::{
    Arrival, Connection, ConnectionEvent, Disconnect, HelperFrom, HostKey, OnEvent, Root, Target, Transport,
};

/// Who hears what happens on a connection.
type Events = Arc<Mutex<OnEvent>>;
/// Host, number of the connection to it, request: what comes back.
type Script = dyn Fn(&str, usize, &Request) -> Vec<ConnectionEvent> + Send + Sync;

/// Answers requests as its script says, and keeps what was asked.
struct Scripted {
    script: Arc<Script>,
    log: Arc<Mutex<Vec<String>>>,
    connections: Mutex<HashMap<String, Vec<Events>>>,
}

struct Fake {
    host: String,
    number: usize,
    script: Arc<Script>,
    log: Arc<Mutex<Vec<String>>>,
    events: Events,
}

impl Scripted {
    fn new(script: impl Fn(&str, usize, &Request) -> Vec<ConnectionEvent> + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), log: Arc::default(), connections: Mutex::default() }
    }
}

fn tell(events: &Events, event: ConnectionEvent) {
    events.lock().unwrap()(event);
}

impl Transport for Scripted {
    fn connect(&self, target: &Target, on_event: OnEvent) -> Box<dyn Connection> {
        let events: Events = Arc::new(Mutex::new(on_event));
        let host = target.host.clone();
        let mut connections = self.connections.lock().unwrap();
        let known = connections.entry(host.clone()).or_default();
        known.push(Arc::clone(&events));
        let number = known.len();
        self.log.lock().unwrap().push(format!("connect {host}"));
        let hello =
            Hello { protocol: PROTOCOL, build: "b".into(), hostname: host.clone(), boot_id: "boot".into() };
        let arrival = Arrival {
            hello,
            took: Duration::ZERO,
            helper: HelperFrom::Host,
            root: Root::Login,
            host_key: HostKey::Known,
        };
        tell(&events, ConnectionEvent::Up(arrival));
        Box::new(Fake { host, number, script: Arc::clone(&self.script), log: Arc::clone(&self.log), events })
    }
}

impl Connection for Fake {
    fn send(&mut self, request: &Request) {
        let word = match &request.body {
            Ask::Apply(apply) => format!("apply {}", apply.step),
            other => format!("{} {other:?}", self.host),
        };
        self.log.lock().unwrap().push(word);
        for event in (self.script)(&self.host, self.number, request) {
            tell(&self.events, event);
        }
    }

    fn close(&mut self) {
        self.log.lock().unwrap().push(format!("close {}", self.host));
        tell(&self.events, ConnectionEvent::Down(Disconnect::Ended));
    }
}

fn planned(id: &str, resource: Resource) -> PlannedStep {
    let mut seen = Comparison::default();
    seen.add("file", None, Some("new".into()));
    let step = Step { id: id.into(), ..Step::new(id.split('/').next().unwrap(), "c", "p", "x", resource) };
    PlannedStep { step, seen, changes: true, diff: None }
}

fn plan(steps: &[&str]) -> Plan {
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: "test".into(),
        cluster: "c".into(),
        lock_hosts: Vec::new(),
        steps: steps.iter().map(|id| planned(id, Swap {}.into())).collect(),
        gates: BTreeMap::new(),
        policy: Policy::default(),
    }
}

fn reply(request: &Request, body: Answer) -> ConnectionEvent {
    ConnectionEvent::Reply(Reply { id: request.id, body })
}

/// All goes well.
fn well(request: &Request) -> Vec<ConnectionEvent> {
    let Ask::Apply(apply) = &request.body else { return vec![reply(request, Answer::Ok)] };
    let outcome = Outcome { kind: OutcomeKind::Updated, ..Outcome::unchanged() };
    vec![
        reply(request, Answer::Started(apply.step.clone())),
        reply(request, Answer::Applied(apply.step.clone(), Ok(outcome))),
    ]
}

fn run(
    plan: Plan,
    targets: &[&str],
    transport: &Scripted,
    signals: Receiver<Signal>,
) -> (Report, Vec<Event>) {
    let holder = Holder { run: "r".into(), owner: "me@here".into(), operation: "test".into(), since_ms: 0 };
    let (mut run, first) = Run::new(plan, holder, Secrets::default(), Options::default(), 0).unwrap();
    let targets = targets.iter().map(|host| ((*host).to_owned(), Target::new(*host, *host))).collect();
    let mut events = Vec::new();
    let report =
        drive(&mut run, first, transport, &targets, &Files::new("/nonexistent"), signals, &mut |event| {
            events.push(event);
        });
    (report.unwrap(), events)
}

fn nobody() -> Receiver<Signal> {
    channel().1
}

#[test]
fn steps_are_sent_in_their_order_and_connections_are_closed() {
    let transport = Scripted::new(|_, _, request| well(request));
    let (report, events) = run(plan(&["a/c/1", "a/c/2"]), &["a"], &transport, nobody());
    assert_eq!(report.ending, Ending::Done);
    assert_eq!((report.recap.len(), report.recap[0].changed), (1, 2));
    assert_eq!(*transport.log.lock().unwrap(), ["connect a", "apply a/c/1", "apply a/c/2", "close a"]);
    assert!(matches!(events.first().unwrap().kind, EventKind::RunStarted { .. }));
    assert!(matches!(events.last().unwrap().kind, EventKind::RunFinished { done: true, .. }));
}

#[test]
fn a_host_without_a_target_fails_at_once() {
    let transport = Scripted::new(|_, _, request| well(request));
    let (report, _) = run(plan(&["a/c/1"]), &["b"], &transport, nobody());
    assert_eq!(report.ending, Ending::Failed);
    let failure = &report.failures[0].failure;
    assert_eq!(failure.message, "`a` cannot be reached: nothing says how it is reached");
    assert!(transport.log.lock().unwrap().is_empty());
}

#[test]
fn what_an_old_connection_still_says_is_not_heard() {
    // The first connection breaks in the middle of the step; the second is asked what the first had done.
    let old: Arc<Mutex<Option<Request>>> = Arc::default();
    let kept = Arc::clone(&old);
    let transport = Arc::new(Scripted::new(move |_, number, request| match (&request.body, number) {
        (Ask::Apply(_), 1) => {
            *kept.lock().unwrap() = Some(request.clone());
            let evidence = Vec::new();
            vec![ConnectionEvent::Down(Disconnect::Lost { reason: "cut".into(), evidence })]
        }
        (Ask::Journal { .. }, _) => vec![reply(request, Answer::Journal(Vec::new()))],
        (Ask::Apply(_), _) => Vec::new(),
        _ => well(request),
    }));
    let theirs = Arc::clone(&transport);
    let second = std::thread::spawn(move || {
        // Once the second connection has its step, the first one tells of failure and of its end again.
        let last = std::time::Instant::now() + Duration::from_secs(20);
        while theirs.log.lock().unwrap().iter().filter(|word| word.starts_with("apply")).count() < 2 {
            assert!(std::time::Instant::now() < last, "the step is not sent again");
            std::thread::sleep(Duration::from_millis(10));
        }
        let connections = theirs.connections.lock().unwrap()["a"].clone();
        let request = old.lock().unwrap().clone().unwrap();
        let failed = Answer::Applied("a/c/1".into(), Err(Failure::of_host("too late")));
        tell(&connections[0], reply(&request, failed));
        tell(&connections[0], ConnectionEvent::Down(Disconnect::Ended));
        std::thread::sleep(Duration::from_millis(100));
        // The numbers of requests go on: connect, apply, journal, apply.
        for id in 1..=3 {
            let apply = Request { id, ..request.clone() };
            for event in well(&apply) {
                tell(&connections[1], event);
            }
        }
    });
    let (report, events) = run(plan(&["a/c/1"]), &["a"], &transport, nobody());
    second.join().unwrap();
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    let downs = events.iter().filter(|event| matches!(event.kind, EventKind::HostDown { .. })).count();
    assert_eq!(downs, 1);
    let log = transport.log.lock().unwrap();
    assert_eq!(log.iter().filter(|word| *word == "connect a").count(), 2);
}

#[test]
fn a_signal_stops_after_the_step_under_way() {
    let (signal, signals) = channel();
    let transport = Scripted::new(move |_, _, request| match &request.body {
        Ask::Apply(apply) if apply.step.as_str() == "a/c/1" => {
            signal.send(Signal::Stop).unwrap();
            vec![reply(request, Answer::Started(apply.step.clone()))]
        }
        Ask::Apply(_) => Vec::new(),
        // The helper ends what it does, and refuses the rest.
        Ask::Cancel => {
            let done = Outcome { kind: OutcomeKind::Updated, ..Outcome::unchanged() };
            let refused = Failure::new(ErrorClass::Cancelled, "the run was stopped");
            let answer = |id, body| ConnectionEvent::Reply(Reply { id, body });
            vec![
                reply(request, Answer::Ok),
                answer(1, Answer::Applied("a/c/1".into(), Ok(done))),
                answer(2, Answer::Applied("a/c/2".into(), Err(refused))),
            ]
        }
        _ => well(request),
    });
    let (report, events) = run(plan(&["a/c/1", "a/c/2"]), &["a"], &transport, signals);
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!((report.recap[0].changed, report.recap[0].skipped, report.recap[0].failed), (1, 1, 0));
    assert_eq!(report.go_on.as_deref(), Some("kubespray runs resume r"));
    assert!(events.iter().any(|event| event.kind == EventKind::Stopping));
}

#[test]
fn a_secret_that_nobody_gave_fails_the_step_that_needs_it() {
    let file = File {
        path: "/etc/x".into(),
        content: Content::Secret("{secret:missing}".into()),
        mode: Mode::PRIVATE,
        owner: Owner::root(),
        keep_content: false,
    };
    let mut plan = plan(&["a/c/1"]);
    plan.steps.push(planned("a/c/2", file.into()));
    let transport = Scripted::new(|_, _, request| well(request));
    let (report, _) = run(plan, &["a"], &transport, nobody());
    assert_eq!(report.ending, Ending::Failed);
    assert_eq!(report.failures[0].failure.message, "secret `missing` is not known");
    assert!(!transport.log.lock().unwrap().contains(&"apply a/c/2".to_owned()));
}

#[test]
fn a_helper_that_answers_nonsense_fails_its_host() {
    let transport = Scripted::new(|_, _, request| match &request.body {
        Ask::Apply(_) => vec![reply(request, Answer::Record(None))],
        _ => well(request),
    });
    let (report, _) = run(plan(&["a/c/1"]), &["a"], &transport, nobody());
    assert_eq!(report.ending, Ending::Failed);
    assert_eq!(report.failures[0].failure.message, "the helper answered what was not asked");
}
