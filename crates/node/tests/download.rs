//! Downloads from a small server, and archives.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use common::{World, root};
use kubespray_node::Host;
use kubespray_resource::*;

const BYTES: usize = 300_000;

fn content() -> Vec<u8> {
    (0..BYTES).map(|index| (index * 7 % 251) as u8).collect()
}

/// Serves `/ok` with ranges, `/plain` without, `/wrong`, `/cut` (breaks off half-way), `/busy` (503).
struct Server {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            reader.read_line(&mut head).unwrap();
            if head.starts_with("CONNECT ") {
                // As a proxy it leads everywhere to itself.
                seen.lock().unwrap().push(head.trim().to_owned());
                while head.trim() != "" {
                    head.clear();
                    reader.read_line(&mut head).unwrap();
                }
                stream.write_all(b"HTTP/1.1 200 Established\r\n\r\n").unwrap();
                head.clear();
                reader.read_line(&mut head).unwrap();
            }
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let mut from = None;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() == 0 || line.trim().is_empty() {
                    break;
                }
                if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                    from = range.trim().trim_end_matches('-').parse::<usize>().ok();
                }
            }
            seen.lock()
                .unwrap()
                .push(format!("{target} {}", from.map_or("-".into(), |from| from.to_string())));
            let all = content();
            let mut say = |status: &str, extra: &str, bytes: &[u8], length: usize| {
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{extra}Connection: close\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
            };
            match (target.as_str(), from) {
                ("/ok", Some(from)) if from < BYTES => {
                    let range = format!("Content-Range: bytes {from}-{}/{BYTES}\r\n", BYTES - 1);
                    say("206 Partial Content", &range, &all[from..], BYTES - from);
                }
                ("/ok", Some(_)) => say("416 Range Not Satisfiable", "", b"", 0),
                ("/ok" | "/plain", _) => say("200 OK", "", &all, BYTES),
                ("/cut", None) => say("200 OK", "", &all[..BYTES / 2], BYTES),
                ("/cut", Some(_)) => say("503 Service Unavailable", "", b"", 0),
                ("/wrong", _) => say("200 OK", "", b"something else", 14),
                ("/busy", _) => say("503 Service Unavailable", "", b"", 0),
                _ => say("404 Not Found", "", b"", 0),
            }
        }
    });
    Server { base, requests }
}

impl Server {
    fn download(&self, names: &[&str]) -> Download {
        Download {
            path: "/opt/bin/tool".into(),
            urls: names.iter().map(|name| format!("{}/{name}", self.base)).collect(),
            from_controller: false,
            digest: Digest::of(&content()),
            mode: Mode(0o755),
            owner: root(),
            proxy: None,
            no_proxy: String::new(),
            verify_tls: true,
            timeout_s: 5,
            only_as_source: false,
        }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

#[test]
fn a_file_is_fetched_once_and_mended_without_fetching() {
    let (world, server) = (World::new(), serve());
    assert_eq!(world.converge(server.download(&["ok"])).kind, OutcomeKind::Created);
    assert_eq!(fs::read(world.path("/opt/bin/tool")).unwrap(), content());
    world.converge(Download { mode: Mode(0o700), ..server.download(&["ok"]) });
    assert_eq!(server.requests(), ["/ok -"]);
    assert!(!world.path("/opt/bin/tool.part").exists());
}

#[test]
fn what_was_fetched_before_is_taken_up_again() {
    let (world, server) = (World::new(), serve());
    let failure = world.apply(server.download(&["cut"])).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient, "{failure:?}");
    let half = fs::metadata(world.path("/opt/bin/tool.part")).unwrap().len();
    assert_eq!(half, BYTES as u64 / 2);
    world.converge(server.download(&["ok"]));
    assert_eq!(server.requests().last().unwrap(), &format!("/ok {half}"));
}

#[test]
fn a_part_that_cannot_be_continued_or_is_wrong_is_fetched_anew() {
    for (name, part) in [
        ("plain", content()[..1000].to_vec()),
        ("ok", vec![1; 1000]),
        ("ok", vec![1; BYTES + 5]),
        ("ok", content()),
    ] {
        let (world, server) = (World::new(), serve());
        fs::create_dir_all(world.path("/opt/bin")).unwrap();
        fs::write(world.path("/opt/bin/tool.part"), part).unwrap();
        world.converge(server.download(&[name]));
        assert_eq!(fs::read(world.path("/opt/bin/tool")).unwrap(), content());
    }
}

#[test]
fn all_addresses_of_a_name_are_tried() {
    let (world, server) = (World::new(), serve());
    world.state("names", "mirror ::1\nmirror 127.0.0.1\n");
    let port = server.base.rsplit(':').next().unwrap();
    let url = format!("http://mirror:{port}/ok");
    world.converge(Download { urls: vec![url], ..server.download(&["ok"]) });
}

#[test]
fn other_places_are_tried_in_their_order() {
    let (world, server) = (World::new(), serve());
    world.converge(server.download(&["none", "busy", "wrong", "ok"]));
    let names: Vec<String> =
        server.requests().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["/none", "/busy", "/wrong", "/ok"]);
}

#[test]
fn failures_say_whether_trying_again_may_help() {
    let class = |names: &[&str]| {
        let (world, server) = (World::new(), serve());
        let failure = world.apply(server.download(names)).unwrap_err();
        assert_eq!(failure.evidence.len(), names.len());
        assert!(!world.path("/opt/bin/tool").exists(), "a wrong file is never put at the path");
        failure.class
    };
    assert_eq!(class(&["wrong"]), ErrorClass::Wish);
    assert_eq!(class(&["wrong", "busy"]), ErrorClass::Transient);
    assert_eq!(class(&["none"]), ErrorClass::Host);
    let world = World::new();
    let nobody = Download { urls: vec!["http://127.0.0.1:1/x".into()], ..serve().download(&[]) };
    assert_eq!(world.apply(nobody).unwrap_err().class, ErrorClass::Transient);
}

#[test]
fn a_proxy_is_used_but_not_for_hosts_that_need_none() {
    let (world, server) = (World::new(), serve());
    let by_proxy = Download {
        urls: vec!["http://far.example/ok".into()],
        proxy: Some(server.base.clone()),
        ..server.download(&[])
    };
    world.converge(by_proxy.clone());
    assert!(server.requests()[0].starts_with("CONNECT far.example:80 "), "{:?}", server.requests());
    let world = World::new();
    let direct = Download { no_proxy: "far.example".into(), timeout_s: 1, ..by_proxy };
    assert!(world.apply(direct).is_err());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_file_url_is_copied() {
    let world = World::new();
    fs::create_dir_all(world.path("/srv")).unwrap();
    fs::write(world.path("/srv/x"), content()).unwrap();
    world.converge(Download { urls: vec!["file:///srv/x".into()], ..serve().download(&[]) });
}

fn tar_of(files: &[(&str, &[u8])], compressed: bool) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    let plain = builder.into_inner().unwrap();
    if !compressed {
        return plain;
    }
    let mut out = Vec::new();
    flate2::read::GzEncoder::new(plain.as_slice(), flate2::Compression::fast())
        .read_to_end(&mut out)
        .unwrap();
    out
}

fn archive(bytes: &[u8], members: &[(&str, &str)]) -> Archive {
    Archive {
        path: "/opt/a.tgz".into(),
        digest: Digest::of(bytes),
        members: members
            .iter()
            .map(|(name, path)| Member { name: (*name).into(), path: (*path).into(), mode: Mode(0o755) })
            .collect(),
        owner: root(),
    }
}

#[test]
fn members_are_taken_once_from_an_archive_that_may_then_go() {
    for compressed in [false, true] {
        let world = World::new();
        let bytes = tar_of(&[("./bin/runc", b"runc"), ("bin/ctr", b"ctr"), ("doc", b"-")], compressed);
        fs::create_dir_all(world.path("/opt")).unwrap();
        fs::write(world.path("/opt/a.tgz"), &bytes).unwrap();
        let wish = archive(&bytes, &[("bin/runc", "/usr/bin/runc"), ("bin/ctr", "/usr/bin/ctr")]);
        world.converge(wish.clone());
        assert_eq!(world.get("/usr/bin/runc"), "runc");
        fs::remove_file(world.path("/opt/a.tgz")).unwrap();
        assert_eq!(world.apply(wish.clone()).unwrap(), Outcome::unchanged());
        fs::write(world.path("/usr/bin/ctr"), "drifted").unwrap();
        assert!(world.apply(wish.clone()).unwrap_err().message.contains("is not there"));
        fs::write(world.path("/opt/a.tgz"), &bytes).unwrap();
        let outcome = world.converge(wish);
        assert_eq!(outcome.changes.len(), 1);
        assert_eq!(outcome.changes[0].what, "/usr/bin/ctr");
    }
}

#[test]
fn another_archive_or_a_missing_member_is_told() {
    let world = World::new();
    let bytes = tar_of(&[("a", b"1")], true);
    fs::create_dir_all(world.path("/opt")).unwrap();
    fs::write(world.path("/opt/a.tgz"), &bytes).unwrap();
    let other = archive(b"other", &[("a", "/usr/bin/a")]);
    assert!(world.apply(other).unwrap_err().message.contains("not what it should be"));
    let failure = world.apply(archive(&bytes, &[("b", "/usr/bin/b")])).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Wish);
    assert!(failure.message.contains("no file `b`"));
    fs::write(world.path("/opt/a.tgz"), b"noise").unwrap();
    assert_eq!(world.apply(archive(b"noise", &[("a", "/a")])).unwrap_err().class, ErrorClass::Wish);
}

#[test]
fn a_member_may_go_to_several_places_and_a_torn_archive_is_told() {
    let world = World::new();
    let noise: Vec<u8> =
        (0..200_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let bytes = tar_of(&[("a", &noise)], true);
    fs::create_dir_all(world.path("/opt")).unwrap();
    fs::write(world.path("/opt/a.tgz"), &bytes).unwrap();
    world.converge(archive(&bytes, &[("a", "/usr/bin/a"), ("a", "/usr/bin/b")]));
    assert_eq!(fs::read(world.path("/usr/bin/b")).unwrap(), noise);
    let torn = &bytes[..bytes.len() / 2];
    fs::write(world.path("/opt/a.tgz"), torn).unwrap();
    let failure = world.apply(archive(torn, &[("a", "/usr/bin/c")])).unwrap_err();
    assert!(failure.class == ErrorClass::Wish && failure.message.contains("is no archive"), "{failure:?}");
    assert!(!world.path("/usr/bin/c").exists());
}

/// What the helper remembers of digests.
const DIGESTS: &str = "/var/lib/kubespray/digests.json";

#[test]
fn a_large_file_is_read_once_until_it_changes() {
    let world = World::new();
    let (old, new) = (vec![1; 2 << 20], vec![2; 2 << 20]);
    fs::create_dir_all(world.path("/opt/bin")).unwrap();
    fs::write(world.path("/opt/bin/tool"), &old).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let wish = |bytes: &[u8]| {
        let mode = world.host.metadata("/opt/bin/tool").unwrap().unwrap().mode;
        Resource::from(Download { digest: Digest::of(bytes), mode, ..serve().download(&["ok"]) })
    };
    let look = |bytes: &[u8]| {
        let items = [(StepId("s".into()), wish(bytes))];
        let state = kubespray_node::observe_all(&world.host, &items).remove(0).1.unwrap();
        wish(bytes).compare(&state, &Secrets::default()).unwrap().is_same()
    };
    assert!(look(&old));
    // What was remembered is believed: here it is a lie.
    let lie = world.get(DIGESTS).replace(Digest::of(&old).as_str(), Digest::of(&new).as_str());
    world.put(DIGESTS, &lie);
    assert!(look(&new) && !look(&old));
    // Not beyond a change, even where size and time of the file are as before.
    let times = fs::metadata(world.path("/opt/bin/tool")).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(world.path("/opt/bin/tool")).unwrap();
    file.set_modified(times).unwrap();
    assert!(look(&old) && !look(&new));
    // Nor where it cannot be read.
    world.put(DIGESTS, "noise");
    assert!(look(&old));
    // A link is followed each time.
    fs::write(world.path("/opt/other"), &new).unwrap();
    fs::remove_file(world.path("/opt/bin/tool")).unwrap();
    std::os::unix::fs::symlink("../other", world.path("/opt/bin/tool")).unwrap();
    assert_eq!(world.host.stamp("/opt/bin/tool").unwrap(), None);
}

#[test]
fn what_is_remembered_of_digests_is_bounded_and_small_files_are_no_part_of_it() {
    let world = World::new();
    world.put("/opt/small", "small");
    fs::write(world.path("/opt/large"), vec![1; 1 << 20]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let entry = |at: usize| {
        format!(
            "\"/old/{at}\":{{\"stamp\":{{\"size\":1,\"modified_ns\":1,\"changed_ns\":1,\"device\":1,\"inode\":1}},\
             \"digest\":\"{}\",\"at_ms\":{at}}}",
            Digest::of(b"")
        )
    };
    world.put(DIGESTS, &format!("{{{}}}", (0..600).map(entry).collect::<Vec<_>>().join(",")));
    for path in ["/opt/small", "/opt/large"] {
        let wish = Download { path: path.into(), ..serve().download(&["ok"]) };
        kubespray_node::observe_all(&world.host, &[("s".into(), wish.into())]);
    }
    let kept = world.get(DIGESTS);
    assert_eq!(kept.matches("\"at_ms\"").count(), 500);
    assert!(kept.contains("/opt/large") && !kept.contains("/opt/small"));
    assert!(kept.contains("\"/old/599\"") && !kept.contains("\"/old/100\""));
}
