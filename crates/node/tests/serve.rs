//! The loop on a connection.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::io::{BufRead, BufReader, Write, pipe};
use std::time::{Duration, Instant};

use common::{World, step};
use kubespray_node::{Ended, LinuxHost, serve};
use kubespray_resource::wire::{Answer, Ask, Hello, Reply, Request, read_frame, write_frame};
use kubespray_resource::{Command, ErrorClass, Guard};

struct Client {
    input: Option<std::io::PipeWriter>,
    output: BufReader<std::io::PipeReader>,
    helper: std::thread::JoinHandle<Ended>,
}

fn start(world: &World) -> Client {
    let (stdin, input) = pipe().unwrap();
    let (output, stdout) = pipe().unwrap();
    let host = LinuxHost::at(world.path("/"), vec![world.dir.path().join("bin")]);
    let helper = std::thread::spawn(move || serve(host, "digest", stdin, stdout));
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let hello = Hello::parse(&line).unwrap();
    assert_eq!((hello.build.as_str(), hello.boot_id.as_str()), ("digest", "b00t"));
    Client { input: Some(input), output, helper }
}

impl Client {
    fn ask(&mut self, id: u64, body: Ask) {
        write_frame(self.input.as_mut().unwrap(), &Request { id, body }).unwrap();
    }

    /// The next answer that is no heartbeat.
    fn answer(&mut self) -> Reply {
        loop {
            let reply: Reply = read_frame(&mut self.output).unwrap();
            if !matches!(reply.body, Answer::Heartbeat { .. }) {
                return reply;
            }
        }
    }
}

fn slow(seconds: &str) -> Ask {
    let command = Command {
        argv: ["tool", "sleep", seconds].map(str::to_owned).to_vec(),
        environment: Default::default(),
        stdin: None,
        guards: vec![Guard::OnlyIf(["tool", "is", "/tmp"].map(str::to_owned).to_vec())],
        timeout_s: 30,
    };
    Ask::Apply(Box::new(step(command, &[])))
}

#[test]
fn pings_are_answered_while_a_step_runs_and_a_cancel_stops_what_is_queued() {
    let world = World::new();
    let mut client = start(&world);
    client.ask(1, slow("1"));
    assert!(matches!(client.answer().body, Answer::Started(_)));
    let began = Instant::now();
    client.ask(2, Ask::Ping);
    assert_eq!(client.answer(), Reply { id: 2, body: Answer::Ok });
    assert!(began.elapsed() < Duration::from_millis(500));
    client.ask(3, slow("1"));
    client.ask(4, Ask::Cancel);
    assert_eq!(client.answer().id, 4);
    let done = client.answer();
    assert!(
        matches!(done, Reply { id: 1, body: Answer::Applied(_, Ok(_)) }),
        "the step under way ends: {done:?}"
    );
    match client.answer() {
        Reply { id: 3, body: Answer::Applied(_, Err(failure)) } => {
            assert_eq!(failure.class, ErrorClass::Cancelled);
        }
        other => panic!("{other:?}"),
    }
    client.ask(5, Ask::GoOn);
    client.ask(6, slow("0"));
    assert_eq!(client.answer().id, 5);
    assert!(matches!(client.answer().body, Answer::Started(_)));
    assert!(matches!(client.answer(), Reply { id: 6, body: Answer::Applied(_, Ok(_)) }));
}

#[test]
fn the_helper_tells_that_it_lives_and_what_it_does() {
    let world = World::new();
    let mut client = start(&world);
    client.ask(1, slow("3"));
    assert!(matches!(client.answer().body, Answer::Started(_)));
    let reply: Reply = read_frame(&mut client.output).unwrap();
    assert!(matches!(reply.body, Answer::Heartbeat { doing: Some(_) }), "{reply:?}");
}

#[test]
fn the_end_of_the_connection_ends_the_helper_after_its_step() {
    let world = World::new();
    let mut client = start(&world);
    client.ask(1, slow("1"));
    client.ask(2, slow("30"));
    assert!(matches!(client.answer().body, Answer::Started(_)));
    client.input = None;
    let began = Instant::now();
    assert_eq!(client.helper.join().unwrap(), Ended::Closed);
    assert!(began.elapsed() < Duration::from_secs(8));
    let journal = world.get("/var/lib/kubespray/journal/run-1.jsonl");
    assert_eq!(journal.lines().count(), 2, "begun and ended: {journal}");
}

#[test]
fn noise_ends_the_helper_with_a_word() {
    let world = World::new();
    let mut client = start(&world);
    client.input.as_mut().unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(matches!(client.helper.join().unwrap(), Ended::Broken(_)));
}

#[test]
fn a_reader_that_is_gone_ends_the_helper() {
    let world = World::new();
    let mut client = start(&world);
    drop(client.output);
    let mut input = client.input.take().unwrap();
    for id in 0..3 {
        let _ = write_frame(&mut input, &Request { id, body: Ask::Ping });
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.helper.join().unwrap(), Ended::Closed);
}

#[test]
fn a_newer_helper_waits_for_the_step_of_an_older_one_and_takes_the_host_over() {
    let world = World::new();
    let (mut older, mut newer) = (start(&world), start(&world));
    older.ask(1, slow("1"));
    assert!(matches!(older.answer().body, Answer::Started(_)));
    let began = Instant::now();
    // What it already has, the older one does not begin any more.
    older.ask(2, slow("0"));
    newer.ask(1, slow("0"));
    assert!(matches!(newer.answer().body, Answer::Started(_)));
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    assert!(matches!(newer.answer().body, Answer::Applied(_, Ok(_))));
    assert!(matches!(older.answer().body, Answer::Applied(_, Ok(_))), "what is under way is ended");
    match older.answer().body {
        Answer::Applied(_, Err(failure)) => {
            assert_eq!(failure.message, "a newer connection works on this host");
        }
        other => panic!("{other:?}"),
    }
}
