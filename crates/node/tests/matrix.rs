//! What hosts find out about each other.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use common::{World, ask};
use kubespray_node::Session;
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::*;

fn say(world: &World, body: Ask) -> Answer {
    ask(&mut Session::new("b"), &world.host, body).remove(0)
}

fn listen(world: &World, ports: &[u16], seconds: u64) -> BTreeMap<u16, PortState> {
    match say(world, Ask::Listen { ports: ports.to_vec(), seconds }) {
        Answer::Listening(states) => states,
        other => panic!("{other:?}"),
    }
}

/// A port that nobody uses, and another.
fn free() -> (u16, u16) {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (one, two) = (port(), port());
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

fn connects(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn ports_are_listened_at_for_a_moment() {
    let world = World::new();
    let (one, two) = free();
    let states = listen(&world, &[one, two, one], 60);
    assert_eq!(states, [(one, PortState::Listening), (two, PortState::Listening)].into());
    for _ in 0..300 {
        assert!(connects(one) && connects(two));
    }
    assert_eq!(listen(&world, &[two], 60), [(two, PortState::Listening)].into());
    assert!(!connects(one) && connects(two));
    assert!(listen(&world, &[], 60).is_empty());
    assert!(!connects(two));
    listen(&world, &[one], 1);
    std::thread::sleep(Duration::from_millis(1_300));
    assert!(!connects(one));
    listen(&world, &[one], 60);
    drop(world);
    assert!(!connects(one));
}

#[test]
fn ports_in_use_are_told_with_who_uses_them() {
    let world = World::new();
    let line = |address: &str, port: u16, inode| {
        format!("   0: {address}:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1 0\n")
    };
    let v4 = line("0100007F", 2379, 11) + &line("0100000A", 2379, 12) + &line("00000000", 80, 99);
    world.put("/proc/net/tcp", &format!("head\n{v4}"));
    world.put("/proc/net/tcp6", &format!("head\n{}", line(&"0".repeat(32), 10250, 13)));
    for (pid, name, group, inode) in
        [(7, "etcd", "/system.slice/etcd.service", 11), (8, "kubelet", "/system.slice/kubelet.service", 13)]
    {
        world.put(&format!("/proc/{pid}/comm"), &format!("{name}\n"));
        world.put(&format!("/proc/{pid}/cgroup"), &format!("0::{group}\n"));
        world.put(&format!("/proc/{pid}/fd/none"), "");
        let target = format!("socket:[{inode}]");
        std::os::unix::fs::symlink(target, world.path(&format!("/proc/{pid}/fd/3"))).unwrap();
    }
    let states = listen(&world, &[2379, 10250, 80], 1);
    let used = |address: &str, by: Option<(u32, &str)>| PortState::Used {
        address: address.parse().unwrap(),
        by: by.map(|(pid, name)| PortUser {
            pid,
            process: name.into(),
            unit: Some(format!("{name}.service")),
        }),
    };
    assert_eq!(states[&2379], used("127.0.0.1", Some((7, "etcd"))));
    assert_eq!(states[&10250], used("::", Some((8, "kubelet"))));
    assert_eq!(states[&80], used("0.0.0.0", None));
    // One that the host's own list does not know.
    let held = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = held.local_addr().unwrap().port();
    assert!(matches!(&listen(&world, &[port], 1)[&port], PortState::Refused(why) if why.contains("in use")));
}

#[test]
fn the_largest_packet_is_found_with_few_pings() {
    let address: IpAddr = "10.0.0.2".parse().unwrap();
    let packets = |path: &str, address: IpAddr, largest| {
        let world = World::new();
        world.state("path", path);
        let answer = say(&world, Ask::Packets { addresses: vec![address, address], largest });
        match answer {
            Answer::Packets(mut found) => (found.remove(&address).unwrap(), world.calls().len()),
            other => panic!("{other:?}"),
        }
    };
    use PacketSize::{Bytes, NotMeasured};
    for (path, address, largest, expected, pings) in [
        ("9000", address, 1500, Bytes(1500), 2),
        ("1450 named", address, 1500, Bytes(1450), 5),
        ("1450 silent", address, 1500, Bytes(1450), 10),
        ("1280", "fd00::2".parse().unwrap(), 1500, Bytes(1280), 10),
        ("8951 silent", address, 9000, Bytes(8951), 16),
        ("1400", address, 500, Bytes(1280), 2),
    ] {
        let (found, calls) = packets(path, address, largest);
        assert_eq!(found, expected, "{path}");
        assert!(calls <= pings, "{path}: {calls} pings");
    }
    let (found, _) = packets("0 silent", address, 1500);
    assert!(matches!(&found, NotMeasured(why) if why.contains("no echo of 1280 bytes")), "{found:?}");
    let world = World::new();
    world.state("fail/ping", "2\nping: invalid option -- 'M'\n");
    let answer = say(&world, Ask::Packets { addresses: vec![address], largest: 1500 });
    assert_eq!(
        answer,
        Answer::Packets([(address, NotMeasured("ping: invalid option -- 'M'".into()))].into())
    );
    std::fs::remove_file(world.dir.path().join("bin/ping")).unwrap();
    let answer = say(&world, Ask::Packets { addresses: vec![address], largest: 1500 });
    assert_eq!(answer, Answer::Packets([(address, NotMeasured("no program `ping`".into()))].into()));
}

#[test]
fn names_are_resolved_as_the_host_does() {
    let world = World::new();
    world.state("names", "api.lan 10.0.0.9\napi.lan 10.0.0.10\nv6.lan fd00::1\n");
    let names = ["api.lan", "v6.lan", "none.lan", "-x", ""].map(str::to_owned).to_vec();
    let Answer::Resolved(found) = say(&world, Ask::Resolve { names }) else { panic!("no names") };
    let all = |addresses: &[&str]| Ok(addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>());
    assert_eq!(found["api.lan"], all(&["10.0.0.9", "10.0.0.10"]));
    assert_eq!(found["v6.lan"], all(&["fd00::1"]));
    assert_eq!(found["none.lan"], Err("the host knows no address of it".to_owned()));
    assert_eq!(found["-x"], Err("that is no name of a host".to_owned()));
    assert_eq!(found[""], found["-x"]);
}

#[test]
fn the_clock_is_told() {
    let world = World::new();
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let (before, answer, after) = (now(), say(&world, Ask::Clock), now());
    assert!(matches!(answer, Answer::Clock(ms) if (before..=after).contains(&ms)));
}
