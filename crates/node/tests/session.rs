//! The protocol: order, crash safety, locks, records.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::fs;

use common::{World, applied, ask, root, step};
use kubespray_node::{Host, Session};
use kubespray_resource::wire::{Answer, Ask, Holder};
use kubespray_resource::*;

fn file(path: &str, text: &str) -> File {
    File {
        path: path.into(),
        content: Content::Text(text.into()),
        mode: Mode::PUBLIC,
        owner: root(),
        keep_content: false,
    }
}

fn apply(session: &mut Session, world: &World, wish: wire::Apply) -> Result<Outcome, Failure> {
    applied(ask(session, &world.host, Ask::Apply(Box::new(wish))))
}

fn journal(session: &mut Session, world: &World) -> Vec<(String, Option<bool>)> {
    match ask(session, &world.host, Ask::Journal { run: "run-1".into() }).remove(0) {
        Answer::Journal(entries) => {
            entries.into_iter().map(|entry| (entry.step.0, entry.ended.map(|ended| ended.is_ok()))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn unit() -> Unit {
    Unit {
        name: "a.service".into(),
        enabled: None,
        running: Some(Running::Started),
        masked: None,
        may_be_missing: false,
    }
}

#[test]
fn a_step_is_started_applied_and_written_down_before_and_after() {
    let world = World::new();
    let mut session = Session::new("b");
    let wish = step(file("/etc/a", "1"), &[]);
    let answers = ask(&mut session, &world.host, Ask::Apply(Box::new(wish.clone())));
    assert!(matches!(answers[0], Answer::Started(_)));
    assert_eq!(applied(answers).unwrap().kind, OutcomeKind::Created);
    assert_eq!(apply(&mut session, &world, wish).unwrap(), Outcome::unchanged());
    let name = "n1/test/file /etc/a".to_owned();
    let entries = journal(&mut session, &world);
    assert_eq!(entries, [(name.clone(), None), (name.clone(), Some(true)), (name, Some(true))]);
}

#[test]
fn a_change_asks_for_a_restart_that_survives_a_crash() {
    let world = World::new();
    world.unit("a.service", "active", "enabled");
    let token = "unit:a.service";
    apply(&mut Session::new("b"), &world, step(file("/etc/a", "1"), &[token])).unwrap();
    assert_eq!(world.pending(), [token]);
    // Another helper, after a crash: the file is as wished, the restart is still due.
    let mut session = Session::new("b");
    assert_eq!(
        apply(&mut session, &world, step(file("/etc/a", "1"), &[token])).unwrap(),
        Outcome::unchanged()
    );
    let outcome = apply(&mut session, &world, step(unit(), &[])).unwrap();
    assert_eq!(outcome.changes[0].what, "restart");
    assert!(world.pending().is_empty());
    assert_eq!(apply(&mut session, &world, step(unit(), &[])).unwrap(), Outcome::unchanged());
}

#[test]
fn an_unchanged_step_asks_for_no_restart_and_a_failed_one_does() {
    let world = World::new();
    world.put("/etc/a", "1");
    let mut session = Session::new("b");
    let mut same = file("/etc/a", "1");
    same.mode = world.host.metadata("/etc/a").unwrap().unwrap().mode;
    apply(&mut session, &world, step(same, &["unit:a.service"])).unwrap();
    assert!(world.pending().is_empty());
    fs::create_dir(world.path("/etc/b")).unwrap();
    apply(&mut session, &world, step(file("/etc/b", "1"), &["unit:a.service"])).unwrap_err();
    assert_eq!(world.pending(), ["unit:a.service"]);
}

#[test]
fn after_a_failure_later_steps_are_refused_until_told_to_go_on() {
    let world = World::new();
    let mut session = Session::new("b");
    fs::create_dir(world.path("/etc/b")).unwrap();
    apply(&mut session, &world, step(file("/etc/b", "1"), &[])).unwrap_err();
    let refused = apply(&mut session, &world, step(file("/etc/a", "1"), &[])).unwrap_err();
    assert_eq!(refused.class, ErrorClass::Cancelled);
    assert_eq!(refused.message, "an earlier step failed");
    assert!(!world.path("/etc/a").exists());
    assert_eq!(ask(&mut session, &world.host, Ask::GoOn), [Answer::Ok]);
    apply(&mut session, &world, step(file("/etc/a", "1"), &[])).unwrap();
    assert_eq!(journal(&mut session, &world).len(), 4, "refused steps are not written down");
}

#[test]
fn a_torn_journal_is_read_and_continued() {
    let world = World::new();
    apply(&mut Session::new("b"), &world, step(file("/etc/a", "1"), &[])).unwrap();
    let path = world.path("/var/lib/kubespray/journal/run-1.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    let mut session = Session::new("b");
    assert_eq!(journal(&mut session, &world).len(), 1);
    apply(&mut session, &world, step(file("/etc/b", "1"), &[])).unwrap();
    assert_eq!(journal(&mut session, &world).len(), 3);
}

fn holder(run: &str) -> Holder {
    Holder { run: run.into(), owner: "me@desk".into(), operation: "cluster".into(), since_ms: 1 }
}

#[test]
fn one_run_holds_the_lock_and_others_apply_nothing() {
    let world = World::new();
    let mut session = Session::new("b");
    let mut say = |body| ask(&mut session, &world.host, body).remove(0);
    assert_eq!(say(Ask::Lock(holder("run-2"))), Answer::Held(None));
    assert_eq!(say(Ask::Lock(holder("run-2"))), Answer::Held(None), "the holder may take it again");
    assert_eq!(say(Ask::Lock(holder("run-1"))), Answer::Held(Some(holder("run-2"))));
    let refused = apply(&mut session, &world, step(file("/etc/a", "1"), &[])).unwrap_err();
    assert!(refused.message.contains("me@desk") && refused.message.contains("run-2"), "{refused}");
    let mut say = |body| ask(&mut session, &world.host, body).remove(0);
    assert_eq!(say(Ask::Unlock { run: "run-1".into() }), Answer::Ok);
    assert_eq!(say(Ask::LockHolder), Answer::Held(Some(holder("run-2"))));
    assert_eq!(say(Ask::BreakLock), Answer::Ok);
    assert_eq!(say(Ask::Lock(holder("run-1"))), Answer::Held(None));
    apply(&mut session, &world, step(file("/etc/a", "1"), &[])).unwrap();
    let mut say = |body| ask(&mut session, &world.host, body).remove(0);
    assert_eq!(say(Ask::Unlock { run: "run-1".into() }), Answer::Ok);
    assert_eq!(say(Ask::LockHolder), Answer::Held(None));
}

#[test]
fn a_cancelled_helper_applies_nothing_more() {
    let world = World::new();
    let mut session = Session::new("b");
    world.host.cancelled().store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = apply(&mut session, &world, step(file("/etc/a", "1"), &[])).unwrap_err();
    assert_eq!(refused.class, ErrorClass::Cancelled);
    assert!(!world.path("/etc/a").exists());
}

#[test]
fn secrets_reach_the_host_and_no_answer() {
    let world = World::new();
    let mut session = Session::new("b");
    let command = Command {
        argv: vec!["tool".into(), "complain".into()],
        environment: Default::default(),
        stdin: Some("{secret:password}".into()),
        guards: vec![Guard::Creates("/tmp/x".into())],
        timeout_s: 5,
    };
    let mut wish = step(command.clone(), &[]);
    wish.secrets.insert("password", "hunter2222");
    let failure = apply(&mut session, &world, wish).unwrap_err();
    assert_eq!(failure.evidence, ["refused: ***"]);
    assert!(!world.get("/var/lib/kubespray/journal/run-1.jsonl").contains("hunter2222"));
    ask(&mut session, &world.host, Ask::GoOn);
    let argv = ["tool", "keep", "/tmp/x"].map(str::to_owned).to_vec();
    let mut wish = step(Command { argv, ..command }, &[]);
    wish.secrets.insert("password", "hunter2222");
    apply(&mut session, &world, wish).unwrap();
    assert_eq!(world.get("/tmp/x"), "hunter2222");
}

#[test]
fn records_of_runs_are_kept_and_the_latest_is_found() {
    let world = World::new();
    let mut session = Session::new("b");
    let mut say = |body| ask(&mut session, &world.host, body).remove(0);
    assert_eq!(say(Ask::LoadRun { run: None }), Answer::Record(None));
    for run in ["b", "a"] {
        say(Ask::StoreRun { run: run.into(), record: format!("record of {run}") });
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(say(Ask::LoadRun { run: None }), Answer::Record(Some("record of a".into())));
    assert_eq!(say(Ask::LoadRun { run: Some("b".into()) }), Answer::Record(Some("record of b".into())));
    let bad = say(Ask::LoadRun { run: Some("../lock".into()) });
    assert!(matches!(bad, Answer::Failed(failure) if failure.class == ErrorClass::Wish));
}

#[test]
fn small_questions_are_answered() {
    let world = World::new();
    world.put("/etc/a", "text");
    fs::write(world.path("/etc/bytes"), [0xff, 0]).unwrap();
    let mut session = Session::new("b");
    assert_eq!(session.hello(&world.host).unwrap().hostname, "n1");
    let mut say = |body| ask(&mut session, &world.host, body).remove(0);
    let read = |path: &str, limit| Ask::Read { path: path.into(), limit };
    assert_eq!(say(read("/etc/a", 10)), Answer::Text(Some("text".into())));
    assert_eq!(say(read("/etc/a", 3)), Answer::Text(None));
    assert_eq!(say(read("/etc/bytes", 10)), Answer::Text(None));
    assert_eq!(say(read("/etc/none", 10)), Answer::Text(None));
    match say(Ask::Exec { argv: vec!["tool".into(), "fail".into(), "x".into()], timeout_s: 5 }) {
        Answer::Exit { status, stderr, .. } => assert_eq!((status, stderr.as_str()), (Some(3), "x\n")),
        other => panic!("{other:?}"),
    }
    match say(Ask::Fsync { path: "/var/lib/etcd".into(), count: 5 }) {
        Answer::Synced(times) => assert!(times.len() == 5 && times.is_sorted()),
        other => panic!("{other:?}"),
    }
    assert!(!world.path("/var/lib/etcd").exists());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().to_string();
    match say(Ask::Reach { addresses: vec![open.clone(), "127.0.0.1:1".into()], timeout_ms: 500 }) {
        Answer::Reached(found) => assert!(found[&open].is_ok() && found["127.0.0.1:1"].is_err()),
        other => panic!("{other:?}"),
    }
    say(Ask::Lock(holder("r")));
    let binary = format!("/opt/kubespray/{}", "a".repeat(64));
    world.put(&binary, "");
    world.put("/run/kubespray/theirs", "");
    assert_eq!(say(Ask::Clean), Answer::Ok);
    assert!(!world.path("/opt/kubespray").exists() && world.path("/run/kubespray/theirs").exists());
    assert!(!world.path("/var/lib/kubespray").exists());
    assert_eq!(say(Ask::Lock(holder("r"))), Answer::Held(None), "all is made anew when it is needed");
}

#[test]
fn five_hundred_unchanged_resources_are_observed_in_200_ms() {
    let world = World::new();
    let mut items: Vec<(StepId, Resource)> = Vec::new();
    for index in 0..250 {
        let path = format!("/etc/files/{index}");
        world.put(&path, &format!("{index}").repeat(500));
        // Umask aside, as `fs::write` makes it.
        let mode = world.host.metadata(&path).unwrap().unwrap().mode;
        items.push(("f".into(), File { mode, ..file(&path, &format!("{index}").repeat(500)) }.into()));
    }
    for index in 0..50 {
        let name = format!("u{index}.service");
        world.unit(&name, "active", "enabled");
        items.push(("u".into(), Unit { name, ..unit() }.into()));
        world.put(&format!("/proc/sys/net/ipv4/p{index}"), "1\n");
        let key = format!("net.ipv4.p{index}");
        let file = "/etc/sysctl.d/x.conf".to_owned();
        items.push((
            "s".into(),
            Sysctl { key, value: "1".into(), file, may_be_missing: false, at_least: false }.into(),
        ));
        world.state(&format!("packages/p{index}"), "1\n");
        let wishes = [(format!("p{index}"), PackageWish::Installed)].into();
        let manager = PackageManager::Apt;
        items.push(("p".into(), Packages { manager, wishes, held: vec![], lock_timeout_s: 1 }.into()));
        let module = Module { name: format!("m{index}"), file: None, may_be_missing: true };
        items.push(("m".into(), module.into()));
        items.push(("g".into(), Group { name: "root".into(), gid: None, system: false }.into()));
    }
    let keys: String = (0..50).map(|index| format!("net.ipv4.p{index}=1\n")).collect();
    world.put("/etc/sysctl.d/x.conf", &keys);
    assert_eq!(items.len(), 500);
    let mut session = Session::new("b");
    let ask_all =
        |session: &mut Session| ask(session, &world.host, Ask::Observe { items: items.clone() }).remove(0);
    ask_all(&mut session);
    world.forget_calls();
    let answer = ask_all(&mut session);
    let calls = world.calls();
    assert_eq!(calls.len(), 2, "one program for all units, one for all packages: {calls:#?}");
    let Answer::Observed(observed) = answer else { panic!("{answer:?}") };
    for ((_, resource), (_, state)) in items.iter().zip(&observed) {
        let state = state.as_ref().unwrap();
        let comparison = resource.compare(state, &Secrets::default()).unwrap();
        assert!(comparison.is_same(), "{comparison:?}");
    }
    // The best of several: other tests run at the same time.
    let best = (0..8).map(|_| {
        let began = std::time::Instant::now();
        ask_all(&mut session);
        began.elapsed()
    });
    let best = best.min().unwrap();
    assert!(best.as_millis() < 200, "took {best:?}");
}
