//! The loop on a connection.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::io::{BufRead, BufReader, Write, pipe};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{World, step};
use kubespray_node::{Ended, LinuxHost, serve};
use kubespray_resource::wire::{
    Answer, Ask, CHUNK, CHUNKS_ON_THE_WAY, Hello, Reply, Request, read_frame, write_frame,
};
use kubespray_resource::{Command, Digest, Download, ErrorClass, Guard, Mode, Owner};

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

fn bytes() -> Vec<u8> {
    (0..CHUNK * 6 + 500_000).map(|index| (index * 7 % 251) as u8).collect()
}

fn download(whole: &[u8]) -> Download {
    Download {
        path: "/opt/cache/tool".into(),
        urls: Vec::new(),
        from_controller: true,
        digest: Digest::of(whole),
        mode: Mode(0o755),
        owner: Owner::root(),
        proxy: None,
        no_proxy: String::new(),
        verify_tls: true,
        timeout_s: 5,
        only_as_source: false,
    }
}

/// What a controller that keeps these bytes says to a [`Answer::Want`].
fn piece(whole: &[u8], digest: Digest, offset: u64) -> Ask {
    let from = (offset as usize).min(whole.len());
    let to = (from + CHUNK as usize).min(whole.len());
    Ask::Bytes { digest, offset, bytes: STANDARD.encode(&whole[from..to]), last: to == whole.len() }
}

/// Asks for the download and gives at most so many pieces. Gives offsets that were asked for, how many waited at
/// most, and the end of the step.
fn give(client: &mut Client, wish: Download, whole: &[u8], most: usize) -> (Vec<u64>, usize, Option<Answer>) {
    client.ask(1, Ask::Apply(Box::new(step(wish, &[]))));
    assert!(matches!(client.answer().body, Answer::Started(_)));
    let (mut offsets, mut wants, mut on_the_way) = (Vec::new(), std::collections::VecDeque::new(), 0);
    loop {
        let reply = client.answer();
        assert_eq!(reply.id, 1);
        let Answer::Want { digest, offset } = reply.body else {
            return (offsets, on_the_way, Some(reply.body));
        };
        offsets.push(offset);
        wants.push_back((digest, offset));
        // Slow at first, to see how far the helper asks ahead.
        if offsets.len() == 1 || offsets.len() > CHUNKS_ON_THE_WAY as usize || offset as usize > whole.len() {
            on_the_way = on_the_way.max(wants.len());
            while let Some((digest, offset)) = wants.pop_front() {
                if offsets.len() > most {
                    return (offsets, on_the_way, None);
                }
                client.ask(1, piece(whole, digest, offset));
            }
        }
    }
}

#[test]
fn a_file_comes_from_the_controller_in_pieces() {
    let world = World::new();
    let mut client = start(&world);
    let whole = bytes();
    let (offsets, on_the_way, answer) = give(&mut client, download(&whole), &whole, usize::MAX);
    assert!(matches!(answer, Some(Answer::Applied(_, Ok(_)))), "{answer:?}");
    assert_eq!(std::fs::read(world.path("/opt/cache/tool")).unwrap(), whole);
    assert!(offsets.iter().enumerate().all(|(index, offset)| *offset == index as u64 * CHUNK), "{offsets:?}");
    assert_eq!(on_the_way, CHUNKS_ON_THE_WAY as usize);
    // A small file costs one question.
    let small = Download { path: "/opt/cache/small".into(), ..download(b"small") };
    let (offsets, ..) = give(&mut client, small, b"small", usize::MAX);
    assert_eq!(offsets, [0]);
}

#[test]
fn a_file_that_was_cut_off_goes_on_where_it_stopped() {
    let world = World::new();
    let whole = bytes();
    let mut client = start(&world);
    let (.., answer) = give(&mut client, download(&whole), &whole, 6);
    assert!(answer.is_none());
    client.input = None;
    assert_eq!(client.helper.join().unwrap(), Ended::Closed);
    let part = world.path("/opt/cache/tool.part");
    let there = std::fs::metadata(&part).unwrap().len();
    assert!(there >= CHUNK, "{there}");
    let (offsets, _, answer) = give(&mut start(&world), download(&whole), &whole, usize::MAX);
    assert_eq!(offsets[0], there);
    assert!(matches!(answer, Some(Answer::Applied(_, Ok(_)))), "{answer:?}");
    // A part that is not the beginning of the file: once more from its beginning.
    std::fs::remove_file(world.path("/opt/cache/tool")).unwrap();
    std::fs::write(&part, vec![1; 1000]).unwrap();
    let (offsets, _, answer) = give(&mut start(&world), download(&whole), &whole, usize::MAX);
    assert!(offsets[0] == 1000 && offsets.contains(&0), "{offsets:?}");
    assert!(matches!(answer, Some(Answer::Applied(_, Ok(_)))), "{answer:?}");
    assert_eq!(std::fs::read(world.path("/opt/cache/tool")).unwrap(), whole);
}

#[test]
fn what_the_controller_gives_is_checked() {
    let world = World::new();
    let mut client = start(&world);
    let mut failure = |wish: Download, answer: fn(Digest, u64) -> Ask| {
        client.ask(1, Ask::Apply(Box::new(step(wish, &[]))));
        assert!(matches!(client.answer().body, Answer::Started(_)));
        let reply = client.answer();
        let reply = match reply.body {
            Answer::Want { digest, offset } => {
                client.ask(1, answer(digest, offset));
                client.answer()
            }
            _ => reply,
        };
        client.ask(2, Ask::GoOn);
        assert_eq!(client.answer().id, 2);
        match reply.body {
            Answer::Applied(_, Err(failure)) => format!("{:?} {:?}", failure.class, failure.evidence),
            other => panic!("{other:?}"),
        }
    };
    let wish = || download(b"right");
    let none = |digest, _| Ask::NoBytes { digest, why: "the cache has no such file".into() };
    let said = failure(wish(), none);
    assert!(said.starts_with("Host") && said.contains("the cache has no such file"), "{said}");
    let said = failure(wish(), |digest, offset| piece(b"wrong", digest, offset));
    assert!(said.starts_with("Wish") && said.contains("the controller gave"), "{said}");
    let garbage = |digest, offset| Ask::Bytes { digest, offset, bytes: "?".into(), last: true };
    assert!(failure(wish(), garbage).contains("no base64"));
    let short = |digest, offset| Ask::Bytes { digest, offset, bytes: "AAAA".into(), last: false };
    assert!(failure(wish(), short).contains("3 bytes in place of"));
    let other = |digest: Digest, offset| piece(b"right", digest, offset + 1);
    let said = failure(Download { timeout_s: 1, ..wish() }, other);
    assert!(said.starts_with("Transient") && said.contains("took longer than 1 s"), "{said}");
    // Places that were named too are tried afterwards.
    world.put("/srv/right", "right");
    let both = Download { urls: vec!["file:///srv/right".into()], ..wish() };
    client.ask(1, Ask::Apply(Box::new(step(both, &[]))));
    client.answer();
    let Answer::Want { digest, .. } = client.answer().body else { panic!("nothing is wanted") };
    client.ask(1, none(digest, 0));
    assert!(matches!(client.answer().body, Answer::Applied(_, Ok(_))));
    // Bytes that nobody asked for are passed over.
    client.ask(9, piece(b"right", Digest::of(b"right"), 0));
    client.ask(3, Ask::Facts);
    assert_eq!(client.answer().id, 3);
}

#[test]
fn a_wait_for_bytes_is_cut_short() {
    let world = World::new();
    let mut client = start(&world);
    client.ask(1, Ask::Apply(Box::new(step(Download { timeout_s: 60, ..download(b"x") }, &[]))));
    client.answer();
    assert!(matches!(client.answer().body, Answer::Want { .. }));
    client.ask(2, Ask::Cancel);
    let began = Instant::now();
    assert_eq!(client.answer().id, 2);
    match client.answer().body {
        Answer::Applied(_, Err(failure)) => assert_eq!(failure.class, ErrorClass::Cancelled),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(5));
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
