//! Upgrades of all packages, and reboots.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use common::World;
use kubespray_node::Session;
use kubespray_resource::wire::{Answer, Apply, Ask, Request};
use kubespray_resource::{
    ErrorClass, Outcome, PackageManager, Reboot, Resource, Secrets, SystemUpgrade, Token,
};

const MANAGERS: [PackageManager; 3] = [PackageManager::Apt, PackageManager::Dnf, PackageManager::Zypper];

fn upgrade(manager: PackageManager) -> SystemUpgrade {
    SystemUpgrade { manager, autoclean: true, lock_timeout_s: 5 }
}

fn reboot(only_if_required: bool) -> Reboot {
    Reboot { only_if_required, undrained: None, timeout_s: 2 }
}

#[test]
fn all_packages_are_upgraded_but_those_that_are_held() {
    for manager in MANAGERS {
        let world = World::new();
        for (name, there, offered) in [("bash", "5.1", "5.2"), ("held", "1", "2"), ("same", "3", "3")] {
            world.state(&format!("packages/{name}"), &format!("{there}\n"));
            world.state(&format!("mirror/{name}"), &format!("{offered}\n"));
        }
        world.state("held/held", "");
        let seen = world.compare(&upgrade(manager).into());
        let told: Vec<_> =
            seen.changes.iter().map(|c| (c.what.as_str(), c.from.as_deref(), c.to.as_deref())).collect();
        assert_eq!(told, [("bash", Some("5.1"), Some("5.2"))], "{manager}");
        world.converge(upgrade(manager));
        let installed =
            |name: &str| std::fs::read_to_string(world.dir.path().join("packages").join(name)).unwrap();
        assert_eq!((installed("bash").trim(), installed("held").trim()), ("5.2", "1"), "{manager}");
        let fetches = world
            .calls()
            .iter()
            .filter(|c| c.contains(" update -o") || c.contains("makecache") || c.contains("refresh"))
            .count();
        assert_eq!(fetches, 1, "{manager}: lists stay new for a while: {:?}", world.calls());
        // Other sources were added since.
        world.state("mirror/bash", "5.3\n");
        world.put(&format!("/var/lib/kubespray/pending/lists:{manager}"), "");
        assert_eq!(world.compare(&upgrade(manager).into()).changes.len(), 1, "{manager}");
        assert!(world.pending().is_empty(), "{manager}");
    }
}

#[test]
fn an_upgrade_that_was_cut_off_is_finished_first_and_one_that_fails_is_explained() {
    let world = World::new();
    world.state("packages/bash", "5.1\n");
    world.state("mirror/bash", "5.2\n");
    world.state("interrupted", "");
    world.converge(upgrade(PackageManager::Apt));
    assert_eq!(world.calls().iter().filter(|call| call.contains("--configure -a")).count(), 1);

    let world = World::new();
    world.state("fail/apt-get", "100\nE: Could not get lock /var/lib/dpkg/lock-frontend\n");
    let failure = world.apply(upgrade(PackageManager::Apt)).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient, "{failure:?}");
    assert!(failure.message.contains("another program holds the lock of apt"), "{failure:?}");
}

/// Applies a step as a helper does, with the tokens that it leaves.
fn step(world: &World, resource: impl Into<Resource>, notifies: &[Token]) -> Outcome {
    let mut session = Session::new("build");
    let apply = Apply {
        run: "r".into(),
        step: "n1/x/y".into(),
        resource: resource.into(),
        notifies: notifies.to_vec(),
        secrets: Secrets::default(),
        inputs: std::collections::BTreeMap::new(),
        remember: false,
        awaited: false,
        keep: None,
    };
    let mut ended = None;
    session.answer(&world.host, Request { id: 1, body: Ask::Apply(Box::new(apply)) }, &mut |reply| {
        if let Answer::Applied(_, result) = reply.body {
            ended = Some(result.unwrap());
        }
    });
    ended.unwrap()
}

#[test]
fn a_host_is_booted_once_for_what_asks_for_it() {
    let world = World::new();
    world.state("packages/bash", "5.1\n");
    world.state("mirror/bash", "5.2\n");
    assert!(world.compare(&reboot(false).into()).is_same(), "nobody asks");
    step(&world, upgrade(PackageManager::Apt), &[Token::reboot()]);
    assert!(world.compare(&reboot(true).into()).is_same(), "the system does not ask");
    assert_eq!(world.compare(&reboot(false).into()).changes.len(), 1);
    world.converge(reboot(false));
    let boots = || world.calls().iter().filter(|call| *call == "systemctl reboot").count();
    assert_eq!(boots(), 1);
    // Another boot than ours answers as well, however long the token is there.
    step(&world, upgrade(PackageManager::Apt), &[Token::reboot()]);
    assert!(world.compare(&reboot(false).into()).is_same(), "nothing was upgraded");
    // What was upgraded since that boot asks for another one.
    world.state("lists/bash", "5.3\n");
    step(&world, upgrade(PackageManager::Apt), &[Token::reboot()]);
    assert_eq!(world.compare(&reboot(false).into()).changes.len(), 1);
    world.converge(reboot(false));
    assert_eq!(boots(), 2);
    // The system asks itself.
    world.put("/run/reboot-required", "*** System restart required ***\n");
    world.converge(reboot(true));
    assert_eq!(boots(), 3);
}

#[test]
fn a_host_that_does_not_go_down_is_told_and_one_that_goes_down_already_is_waited_for() {
    let world = World::new();
    world.put("/run/reboot-required", "");
    world.state("stays-up", "");
    let failure = world.apply(reboot(true)).unwrap_err();
    assert_eq!(failure.message, "the host did not go down within 2 s of `systemctl reboot`");
    assert!(failure.hints[0].contains("systemctl list-jobs"));
    // An earlier helper began it: systemd refuses to begin it again, and that is no failure by itself.
    let world = World::new();
    world.put("/run/reboot-required", "");
    world.state("goes-down", "");
    let failure = world.apply(reboot(true)).unwrap_err();
    assert!(failure.message.contains("did not go down within 2 s"), "{failure:?}");
    world.state("fail/systemctl", "1\nFailed to connect to bus\n");
    let failure = world.apply(reboot(true)).unwrap_err();
    assert!(failure.message.contains("`systemctl reboot` ended with status 1"), "{failure:?}");
}
