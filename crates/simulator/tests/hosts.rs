//! What imagined hosts remember and forget.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::time::Duration;

use kubespray_node::{Host, HostError, Session, Spawn};
use kubespray_resource::wire::{Answer, Apply, Ask, Request};
use kubespray_resource::{Content, File, Mode, Owner, Secrets, StepId};
use kubespray_simulator::{Fault, World};

fn off(world: &mut World) {
    world.befall(Fault::Off { host: "a".into(), off_ms: 0 });
}

#[test]
fn a_power_loss_takes_what_was_not_synced() {
    let mut world = World::new(["a"], 0);
    let host = world.host("a").unwrap();
    host.write("/etc/kept", b"x", Mode::PUBLIC, &Owner::root()).unwrap();
    host.set_attributes("/etc/kept", Mode::PRIVATE, &Owner::root()).unwrap();
    host.note("/etc/kept", b"y").unwrap();
    assert_eq!(host.text("/etc/kept").as_deref(), Some("xy"));
    let boot = host.boot_id().unwrap();
    off(&mut world);
    let host = world.host("a").unwrap();
    assert_eq!(host.text("/etc/kept").as_deref(), Some("x"));
    assert_eq!(host.metadata("/etc/kept").unwrap().unwrap().mode, Mode::PRIVATE);
    assert_ne!(host.boot_id().unwrap(), boot);
    // A later sync keeps it.
    host.note("/etc/kept", b"y").unwrap();
    host.append("/etc/kept", b"z").unwrap();
    off(&mut world);
    let host = world.host("a").unwrap();
    assert_eq!(host.text("/etc/kept").as_deref(), Some("xyz"));
}

#[test]
fn parameters_live_in_memory_and_come_back_from_their_files() {
    let mut world = World::new(["a"], 0);
    let (live, kept) = ("/proc/sys/vm/swappiness", "/etc/sysctl.d/99-x.conf");
    world.host("a").unwrap().write_in_place(live, b"7\n").unwrap();
    off(&mut world);
    let host = world.host("a").unwrap();
    assert_eq!(host.text(live).as_deref(), Some("0\n"));
    host.write(kept, b"vm.swappiness=7\n", Mode::PUBLIC, &Owner::root()).unwrap();
    off(&mut world);
    assert_eq!(world.host("a").unwrap().text(live).as_deref(), Some("7\n"));
}

#[test]
fn a_full_disk_and_an_unknown_program_are_told() {
    let mut world = World::new(["a"], 0);
    world.befall(Fault::DiskFull { host: "a".into(), is_full: true });
    let host = world.host("a").unwrap();
    let told = host.append("/etc/x", b"x").unwrap_err().to_string();
    assert!(told.contains("no space left on device"), "{told}");
    assert_eq!(host.run(&Spawn::new(["kubeadm"])), Err(HostError::NoProgram("kubeadm".into())));
    assert!(host.connect("10.0.0.1:22", Duration::from_secs(1)).is_err());
}

#[test]
fn facts_are_those_of_a_debian_host() {
    let mut world = World::new(["a", "b"], 0);
    let facts = world.facts();
    assert_eq!(facts["a"].os.family(), "Debian");
    assert_ne!(facts["a"].default_ipv4, facts["b"].default_ipv4);
    assert_ne!(facts["a"].machine_id, facts["b"].machine_id);
}

#[test]
fn a_power_loss_takes_the_end_of_a_file_but_not_where_others_wait_for_it() {
    for (awaited, ends) in [(false, 1), (true, 2)] {
        let mut world = World::new(["a"], 0);
        let host = world.host("a").unwrap();
        let mut session = Session::new("build");
        for number in 0..2 {
            let wish = File {
                path: format!("/etc/x{number}"),
                content: Content::Text("x\n".into()),
                mode: Mode::PUBLIC,
                owner: Owner::root(),
                keep_content: false,
            };
            let apply = Apply {
                run: "r".into(),
                step: StepId::from(format!("a/c/{number}")),
                resource: wish.into(),
                notifies: Vec::new(),
                secrets: Secrets::default(),
                inputs: std::collections::BTreeMap::new(),
                remember: false,
                awaited,
                keep: None,
            };
            let mut done = false;
            session.answer(host, Request { id: 1, body: Ask::Apply(Box::new(apply)) }, &mut |reply| {
                done |= matches!(reply.body, Answer::Applied(_, Ok(_)));
            });
            assert!(done);
        }
        off(&mut world);
        let host = world.host("a").unwrap();
        assert_eq!(host.text("/etc/x1").as_deref(), Some("x\n"));
        let journal = host.text("/var/lib/kubespray/journal/r.jsonl").unwrap();
        assert_eq!(journal.matches("\"Ok\"").count(), ends, "{journal}");
    }
}
