//! etcd, against doubles of `etcdctl` and `etcdutl` that know every argument.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::fs;

use common::{World, root};
use kubespray_node::Host;
use kubespray_resource::*;

const THREE: [&str; 3] = ["ok", "ok", "ok"];

fn url(number: usize, port: u16) -> String {
    format!("https://10.0.0.{number}:{port}")
}

fn client() -> EtcdClient {
    EtcdClient {
        endpoints: (1..=3).map(|number| url(number, 2379)).collect(),
        ca: "/ca.pem".into(),
        certificate: "/admin.pem".into(),
        key: "/admin-key.pem".into(),
        bin_dir: None,
    }
}

/// A cluster of members in these states; `learner` is a learner that is well.
fn cluster(states: &[&str]) -> World {
    let world = World::new();
    fs::create_dir_all(world.dir.path().join("etcd")).unwrap();
    let lines: String = states
        .iter()
        .enumerate()
        .map(|(index, state)| {
            let number = index + 1;
            let (learner, state) = if *state == "learner" { (true, "ok") } else { (false, *state) };
            format!("{number}|etcd{number}|{}|{}|{learner}|{state}\n", url(number, 2380), url(number, 2379))
        })
        .collect();
    world.state("etcd/members", &lines);
    world.state("etcd/database", "etcd database");
    world
}

fn member(number: usize) -> EtcdMember {
    EtcdMember {
        client: client(),
        name: format!("etcd{number}"),
        peer_urls: vec![url(number, 2380)],
        moved_from: Vec::new(),
        learner: false,
        present: true,
        timeout_s: 5,
    }
}

fn changes(world: &World) -> Vec<String> {
    let is_change = |call: &String| call.starts_with("etcdctl member ") && !call.contains(" list ");
    world.calls().into_iter().filter(is_change).collect()
}

#[test]
fn a_member_is_added_as_a_voter_or_as_a_learner() {
    let world = cluster(&THREE);
    world.converge(member(4));
    assert_eq!(changes(&world), ["etcdctl member add etcd4 --peer-urls https://10.0.0.4:2380 -w json"]);
    let world = cluster(&THREE);
    let outcome = world.converge(EtcdMember { learner: true, ..member(4) });
    assert_eq!(outcome.kind, OutcomeKind::Created);
    assert_eq!(
        changes(&world),
        ["etcdctl member add etcd4 --peer-urls https://10.0.0.4:2380 -w json --learner"]
    );
    // One that votes is more than one that learns.
    let world = cluster(&THREE);
    assert_eq!(world.apply(EtcdMember { learner: true, ..member(3) }).unwrap(), Outcome::unchanged());
}

#[test]
fn a_learner_is_promoted_when_it_has_caught_up() {
    let world = cluster(&["ok", "ok", "ok", "learner"]);
    world.state("etcd/behind", "1");
    let outcome = world.converge(member(4));
    assert_eq!(outcome.changes[0].what, "learner");
    assert_eq!(changes(&world), ["etcdctl member promote 4", "etcdctl member promote 4"]);
    let world = cluster(&["ok", "ok", "ok", "learner"]);
    world.state("etcd/behind", "1000");
    let failure = world.apply(EtcdMember { timeout_s: 1, ..member(4) }).unwrap_err();
    assert!(failure.message.contains("has not caught up"), "{failure:?}");
}

#[test]
fn a_member_goes_but_never_the_quorum_with_it() {
    let absent = |number| EtcdMember { present: false, ..member(number) };
    let world = cluster(&["ok", "ok", "dead"]);
    assert_eq!(world.converge(absent(3)).kind, OutcomeKind::Removed);
    let world = cluster(&["ok", "ok", "dead"]);
    let failure = world.apply(absent(2)).unwrap_err();
    assert_eq!(
        failure.message,
        "removing `etcd2` would leave 1 healthy of 2 voting members, and 2 are needed; not well: `etcd3`"
    );
    assert!(failure.evidence[0].contains("does not answer at https://10.0.0.3:2379"), "{failure:?}");
    assert!(world.apply(member(4)).is_err());
    assert!(changes(&world).is_empty());
    // Names may belong to others: the address decides.
    let world = cluster(&THREE);
    let other = EtcdMember { peer_urls: vec![url(9, 2380)], ..absent(2) };
    assert_eq!(world.apply(other).unwrap(), Outcome::unchanged());
    world.converge(EtcdMember { peer_urls: Vec::new(), ..absent(2) });
}

#[test]
fn a_member_moves_only_when_that_is_said() {
    let world = cluster(&THREE);
    let moved = EtcdMember { peer_urls: vec![url(9, 2380)], ..member(2) };
    let failure = world.apply(moved.clone()).unwrap_err();
    assert!(failure.message.contains("is the name of the member at https://10.0.0.2:2380"), "{failure:?}");
    world.converge(EtcdMember { moved_from: vec![url(2, 2380)], ..moved });
    assert_eq!(changes(&world), ["etcdctl member update 2 --peer-urls https://10.0.0.9:2380"]);
}

#[test]
fn what_a_cluster_refuses_is_told_with_a_hint() {
    let world = cluster(&["ok", "ok", "ok", "learner"]);
    let failure = world.apply(EtcdMember { learner: true, ..member(5) }).unwrap_err();
    assert!(failure.hints[0].contains("one at a time"), "{failure:?}");
    assert_eq!(failure.evidence, ["Error: etcdserver: too many learner members in cluster"]);
    // No cluster is no reason not to make a plan.
    let silent = World::new();
    assert_eq!(silent.compare(&member(1).into()).changes[0].what, "cluster");
    let failure = silent.apply(member(1)).unwrap_err();
    assert!(failure.message.contains("context deadline exceeded"), "{failure:?}");
    let bare = EtcdClient { bin_dir: Some("/opt/none".into()), ..client() };
    let state = silent.observe(&EtcdMember { client: bare, ..member(1) }.into()).unwrap();
    let State::EtcdMember(state) = state else { panic!("{state:?}") };
    assert_eq!(state.problem.unwrap(), "no program `/opt/none/etcdctl`");
}

#[test]
fn a_cluster_that_has_just_lost_its_leader_is_waited_for() {
    let world = cluster(&THREE);
    world.state("etcd/leaderless", "");
    let State::EtcdMember(state) = world.observe(&member(1).into()).unwrap() else { panic!() };
    assert_eq!((state.members.len(), state.problem), (3, None));
    let State::EtcdHealth(state) = world.observe(&health(3).into()).unwrap() else { panic!() };
    assert_eq!((state.members.len(), state.problem), (3, None));
}

fn health(count: u32) -> EtcdHealth {
    EtcdHealth {
        client: client(),
        expected: EtcdExpected::Count(count),
        when: None,
        lag: EtcdHealth::LAG,
        timeout_s: 0,
        interval_ms: 10,
    }
}

#[test]
fn a_cluster_is_well_or_it_is_told_who_is_not() {
    assert_eq!(cluster(&THREE).apply(health(3)).unwrap(), Outcome::unchanged());
    assert_eq!(cluster(&["ok", "ok", "ok", "learner"]).apply(health(3)).unwrap(), Outcome::unchanged());
    for (states, expected) in [
        (["ok", "dead", "ok"], "`etcd2` does not answer at https://10.0.0.2:2379: context deadline exceeded"),
        (["ok", "Active Alarm(s): NOSPACE ", "ok"], "`etcd2` is not healthy: Active Alarm(s): NOSPACE"),
        (["ok", "dead", "dead"], "etcdserver: request timed out"),
    ] {
        let failure = cluster(&states).apply(health(3)).unwrap_err();
        assert!(failure.message.contains(expected), "{failure:?}");
    }
    let world = cluster(&THREE);
    world.state("etcd/index.3", "3999");
    let failure = world.apply(health(3)).unwrap_err();
    assert!(failure.message.contains("`etcd3` is 1001 entries of the log behind"), "{failure:?}");
    let failure = cluster(&THREE).apply(health(5)).unwrap_err();
    assert!(failure.message.contains("has 3 voting members in place of 5"), "{failure:?}");
    let unstarted = cluster(&THREE);
    let text = fs::read_to_string(unstarted.dir.path().join("etcd/members")).unwrap();
    unstarted.state("etcd/members", &format!("{text}4||{}||false|dead\n", url(4, 2380)));
    let failure = unstarted.apply(health(4)).unwrap_err();
    assert!(failure.message.contains("`https://10.0.0.4:2380` has not started yet"), "{failure:?}");
}

#[test]
fn a_cluster_is_waited_for() {
    let world = cluster(&["ok", "dead", "ok"]);
    let members = world.dir.path().join("etcd/members");
    let mended = fs::read_to_string(&members).unwrap().replace("dead", "ok");
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        fs::write(members, mended).unwrap();
    });
    world.apply(EtcdHealth { timeout_s: 20, ..health(3) }).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_cluster_may_be_looked_at_only_before_a_restart() {
    let world = cluster(&["ok", "ok", "dead"]);
    let token = Token::restart_of("etcd.service");
    let expected = EtcdExpected::Without("etcd1".into());
    let wish = EtcdHealth { when: Some(token.clone()), expected, ..health(3) };
    assert_eq!(Resource::from(wish.clone()).awaits(), Some(token));
    assert_eq!(world.apply(wish.clone()).unwrap(), Outcome::unchanged());
    world.put("/var/lib/kubespray/pending/unit:etcd.service", "");
    let failure = world.apply(wish.clone()).unwrap_err();
    assert!(failure.message.contains("`etcd3` does not answer"), "{failure:?}");
    let other = EtcdHealth { expected: EtcdExpected::Without("etcd3".into()), ..wish };
    assert_eq!(world.apply(other).unwrap(), Outcome::unchanged());
}

fn snapshot(name: &str) -> EtcdSnapshot {
    EtcdSnapshot {
        client: client(),
        path: format!("/var/backups/etcd-{name}/snapshot.db"),
        when: None,
        keep: Some(EtcdKeep { folder: "/var/backups".into(), prefix: "etcd-".into(), count: 2 }),
        timeout_s: 60,
    }
}

#[test]
fn snapshots_are_verified_and_only_so_many_are_kept() {
    let world = cluster(&["dead", "ok", "ok"]);
    world.put("/var/backups/etcd-notes.txt/readme", "not a snapshot");
    for name in ["1", "2", "3"] {
        world.converge(snapshot(name));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(world.host.list("/var/backups").unwrap(), ["etcd-2", "etcd-3", "etcd-notes.txt"]);
    assert_eq!(world.get("/var/backups/etcd-3/snapshot.db"), "etcd database");
    assert_eq!(world.host.list("/var/backups/etcd-3").unwrap(), ["snapshot.db"]);
    let is = world.host.metadata("/var/backups/etcd-3").unwrap().unwrap();
    assert_eq!(is.mode, Mode(0o700));
    let is = world.host.metadata("/var/backups/etcd-3/snapshot.db").unwrap().unwrap();
    assert_eq!(is.mode, Mode(0o600));
}

#[test]
fn a_snapshot_may_be_made_only_before_a_restart() {
    let world = cluster(&THREE);
    let token = Token::restart_of("etcd.service");
    let wish = EtcdSnapshot { when: Some(token.clone()), ..snapshot("1") };
    assert_eq!(Resource::from(wish.clone()).awaits(), Some(token));
    assert_eq!(world.apply(wish.clone()).unwrap(), Outcome::unchanged());
    world.put("/var/lib/kubespray/pending/unit:etcd.service", "");
    world.converge(wish);
    assert!(!world.pending().is_empty(), "the restart is still to come");
}

#[test]
fn a_snapshot_that_is_damaged_is_no_snapshot() {
    let world = cluster(&THREE);
    world.state("etcd/database", "rubbish");
    let failure = world.apply(snapshot("1")).unwrap_err();
    assert!(failure.evidence.iter().any(|line| line.contains("integrity")), "{failure:?}");
    assert!(world.host.list("/var/backups/etcd-1").unwrap().is_empty());
    world.state("etcd/database", "etcd good");
    world.put("/var/backups/etcd-1/snapshot.db", "torn");
    let outcome = world.converge(snapshot("1"));
    assert!(outcome.changes[0].from.as_ref().unwrap().contains("status 1"), "{outcome:?}");
    let nobody = cluster(&["dead", "ok", "ok"]);
    let one = EtcdClient { endpoints: vec![url(1, 2379)], ..client() };
    let failure = nobody.apply(EtcdSnapshot { client: one, ..snapshot("1") }).unwrap_err();
    assert_eq!(failure.message, "no member of etcd gave a snapshot");
    assert_eq!(failure.evidence, ["https://10.0.0.1:2379: context deadline exceeded"]);
    assert!(!nobody.calls().iter().any(|call| call.contains("save")), "nobody waits for the dead");
}

fn restore(id: &str) -> EtcdRestore {
    EtcdRestore {
        bin_dir: None,
        id: id.into(),
        snapshot: "/tmp/snapshot.db".into(),
        digest: Some(Digest::of(b"etcd one")),
        is_copied_db: false,
        data_dir: "/var/lib/etcd".into(),
        owner: root(),
        name: "etcd1".into(),
        initial_cluster: vec![("etcd1".into(), url(1, 2380))],
        token: "k8s_etcd".into(),
        peer_urls: vec![url(1, 2380)],
        bump_revision: None,
        replaces: false,
        timeout_s: 60,
    }
}

#[test]
fn data_are_restored_once_and_never_overwritten() {
    let world = World::new();
    world.put("/tmp/snapshot.db", "etcd one");
    assert_eq!(world.converge(restore("a")).kind, OutcomeKind::Created);
    assert_eq!(
        world.get("/var/lib/etcd/member/snap/db"),
        "etcd oneetcd1 etcd1=https://10.0.0.1:2380 k8s_etcd https://10.0.0.1:2380  \n"
    );
    assert!(!world.path("/var/lib/etcd/.kubespray-restore").exists());
    let is = world.host.metadata("/var/lib/etcd/member/wal/0.wal").unwrap().unwrap();
    assert_eq!(is.mode, Mode(0o600));

    let failure = world.apply(restore("b")).unwrap_err();
    assert!(failure.message.contains("restored as `a`"), "{failure:?}");
    let again =
        EtcdRestore { replaces: true, bump_revision: Some(1_000), is_copied_db: true, ..restore("b") };
    assert_eq!(world.converge(again).kind, OutcomeKind::Updated);
    assert!(world.get("/var/lib/etcd/member/snap/db").ends_with(" 1000 1\n"));
    assert!(world.get("/var/lib/etcd/.before-b/snap/db").starts_with("etcd one"));

    // Data of a running member are no longer those of a restore.
    fs::remove_file(world.path("/var/lib/etcd/member/.kubespray-restored")).unwrap();
    world.converge(EtcdRestore { replaces: true, ..restore("b") });
    assert!(world.path("/var/lib/etcd/.before-b-2/snap/db").exists());
}

#[test]
fn a_restore_that_cannot_be_leaves_the_data_alone() {
    for (wish, snapshot, expected) in [
        (restore("a"), None, "there is no snapshot at"),
        (restore("a"), Some("etcd two"), "is not what it should be"),
        (EtcdRestore { digest: None, ..restore("a") }, Some("noise"), "no whole snapshot"),
        (EtcdRestore { name: "etcd9".into(), ..restore("a") }, Some("etcd one"), "ended with status 1"),
        (EtcdRestore { id: "../a".into(), ..restore("a") }, Some("etcd one"), "no name of a restore"),
        (EtcdRestore { data_dir: "/".into(), ..restore("a") }, Some("etcd one"), "no data folder"),
    ] {
        let world = World::new();
        world.put("/var/lib/etcd/member/snap/db", "precious");
        if let Some(text) = snapshot {
            world.put("/tmp/snapshot.db", text);
        }
        let failure = world.apply(EtcdRestore { replaces: true, ..wish }).unwrap_err();
        assert!(failure.message.contains(expected), "{failure:?}");
        assert_eq!(world.get("/var/lib/etcd/member/snap/db"), "precious");
        assert!(!world.path("/var/lib/etcd/.kubespray-restore").exists());
    }
}
