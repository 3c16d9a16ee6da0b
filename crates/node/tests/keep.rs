//! What a run replaces is kept before it does: once, with modes and owners, and never in place of the first copy.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::mortal::Mortal;
use common::{World, applied, ask, step};
use kubespray_node::Session;
use kubespray_resource::wire::{Apply, Ask};
use kubespray_resource::{
    Absent, Content, Digest, Failure, File, KEPT, KEPT_INDEX, Keep, Kept, KeptAs, KeptLine, KeptPart, Link,
    Mode, Outcome, Owner, PutBack, Resource, RunId,
};

fn file(path: &str, text: &str) -> File {
    let content = Content::Text(text.into());
    File { path: path.into(), content, mode: Mode::PUBLIC, owner: common::root(), keep_content: false }
}

fn keeping(run: &str, resource: impl Into<Resource>, paths: &[&str]) -> Apply {
    let paths = paths.iter().map(ToString::to_string).collect();
    let keep = Keep { paths, part: KeptPart::Node, back: None };
    Apply { run: RunId(run.into()), keep: Some(keep), ..step(resource, &["unit:x.service"]) }
}

fn apply(session: &mut Session, world: &World, step: Apply) -> Result<Outcome, Failure> {
    applied(ask(session, &world.host, Ask::Apply(Box::new(step))))
}

fn replace(session: &mut Session, world: &World, run: &str, path: &str, text: &str) {
    apply(session, world, keeping(run, file(path, text), &[path])).unwrap();
}

fn kept(world: &World) -> Vec<Kept> {
    let lines = KeptLine::read(&world.get(KEPT_INDEX)).into_iter();
    lines
        .filter_map(|line| match line {
            KeptLine::Was(kept) => Some(kept),
            KeptLine::Left { .. } => None,
        })
        .collect()
}

fn text(world: &World, kept: &Kept) -> String {
    match &kept.was {
        KeptAs::File { copy, digest, .. } => {
            let text = world.get(copy);
            assert_eq!(Digest::of(text.as_bytes()), *digest);
            text
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_copy_of_a_run_stays_and_no_secret_becomes_readable() {
    let world = World::new();
    world.put("/etc/kubelet.env", "old\n");
    fs::set_permissions(world.path("/etc/kubelet.env"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut session = Session::new("build");
    replace(&mut session, &world, "r1", "/etc/kubelet.env", "new\n");
    replace(&mut session, &world, "r1", "/etc/kubelet.env", "newer\n");
    // Another helper, in the same run.
    replace(&mut Session::new("build"), &world, "r1", "/etc/kubelet.env", "newest\n");
    let all = kept(&world);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(text(&world, &all[0]), "old\n");
    assert_eq!(all[0].notifies, ["unit:x.service".into()]);
    let mode = |path: &str| fs::metadata(world.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(KEPT), 0o700);
    assert_eq!(mode(KEPT_INDEX), 0o600);
    let KeptAs::File { copy, mode: was, .. } = &all[0].was else { panic!("{all:?}") };
    assert_eq!((mode(copy), *was), (0o600, Mode(0o600)));
}

#[test]
fn what_does_not_differ_is_not_kept() {
    let world = World::new();
    world.put("/etc/x", "same\n");
    fs::set_permissions(world.path("/etc/x"), fs::Permissions::from_mode(0o644)).unwrap();
    replace(&mut Session::new("build"), &world, "r1", "/etc/x", "same\n");
    assert!(!world.path(KEPT).exists());
}

#[test]
fn a_torn_line_and_a_lost_line_lose_nothing() {
    let world = World::new();
    world.put("/etc/x", "old\n");
    // A helper died behind the copy, before or within the line that says so.
    for torn in ["", "{\"was\":{\"run\":\"r1\",\"pa"] {
        let _ = fs::remove_dir_all(world.path(KEPT));
        world.put("/etc/x", "old\n");
        world.put(&format!("{KEPT}/r1.d/0"), "half a co");
        world.put(KEPT_INDEX, torn);
        replace(&mut Session::new("build"), &world, "r1", "/etc/x", "new\n");
        let all = kept(&world);
        assert_eq!(all.len(), 1, "{torn}: {all:?}");
        assert_eq!(text(&world, &all[0]), "old\n", "{torn}");
    }
}

#[test]
fn the_copies_of_two_runs_stay() {
    let world = World::new();
    world.put("/etc/x", "0\n");
    let mut session = Session::new("build");
    for (run, new) in [("r1", "1\n"), ("r2", "2\n"), ("r3", "3\n")] {
        replace(&mut session, &world, run, "/etc/x", new);
    }
    let all = kept(&world);
    let found: Vec<_> = all.iter().map(|kept| (kept.run.as_str(), text(&world, kept))).collect();
    assert_eq!(found, [("r2", "1\n".to_owned()), ("r3", "2\n".to_owned())]);
    let mut names: Vec<String> = fs::read_dir(world.path(KEPT))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["index.jsonl", "r2.d", "r3.d"]);
}

#[test]
fn links_and_nothing_are_kept_as_such_and_what_came_goes_again_while_it_is_ours() {
    let world = World::new();
    world.put("/etc/target", "t\n");
    let mut session = Session::new("build");
    apply(
        &mut session,
        &world,
        keeping("r1", Link { path: "/etc/l".into(), target: "/etc/target".into() }, &["/etc/l"]),
    )
    .unwrap();
    apply(
        &mut session,
        &world,
        keeping("r1", Absent { path: "/etc/target".into(), recursive: false }, &["/etc/target"]),
    )
    .unwrap();
    replace(&mut session, &world, "r2", "/etc/l", "a file now\n");
    replace(&mut session, &world, "r2", "/etc/new", "ours\n");
    let all = kept(&world);
    assert_eq!(all[0].was, KeptAs::Nothing);
    assert_eq!(text(&world, &all[1]), "t\n");
    assert_eq!(all[2].was, KeptAs::Link { target: "/etc/target".into() });
    assert_eq!(all[3].was, KeptAs::Nothing);
    let left = KeptLine::read(&world.get(KEPT_INDEX)).pop().unwrap();
    let KeptLine::Left { path, digest, run } = left else { panic!("{left:?}") };
    assert_eq!((path.as_str(), run.as_str()), ("/etc/new", "r2"));
    let nothing = PutBack::Nothing { path: path.clone(), left: digest };
    world.converge(nothing.clone());
    assert!(!world.path(&path).exists());
    world.put(&path, "somebody else's\n");
    assert!(world.compare(&nothing.into()).is_same());
}

#[test]
fn what_cannot_be_kept_is_not_replaced() {
    let world = World::new();
    world.put("/etc/x", "old\n");
    // Where the folder of the run has to be, nothing can be written.
    world.put(&format!("{KEPT}/r1.d"), "in the way\n");
    world.put(KEPT_INDEX, "");
    let mut session = Session::new("build");
    replace(&mut session, &world, "r1", "/etc/other", "something\n");
    let folder = format!("{KEPT}/r1.d");
    fs::remove_dir_all(world.path(&folder)).unwrap();
    world.put(&folder, "in the way\n");
    let failure =
        apply(&mut session, &world, keeping("r1", file("/etc/x", "new\n"), &["/etc/x"])).unwrap_err();
    assert!(
        failure
            .message
            .starts_with("`/etc/x` cannot be kept before it is replaced, so nothing was changed: "),
        "{failure:?}"
    );
    assert_eq!(world.get("/etc/x"), "old\n");
}

#[test]
fn owners_are_kept() {
    let world = World::new();
    world.put("/etc/x", "old\n");
    replace(&mut Session::new("build"), &world, "r1", "/etc/x", "new\n");
    let all = kept(&world);
    let KeptAs::File { owner, .. } = &all[0].was else { panic!("{all:?}") };
    assert_eq!(*owner, Owner::root());
}

/// A helper dies at each of its effects, and another one does the step again.
#[test]
fn whenever_a_helper_dies_the_first_copy_is_what_was_there() {
    for effects in 0.. {
        let world = World::new();
        world.put("/etc/x", "old\n");
        let mortal = Mortal::new(&world.host);
        mortal.left.set(effects);
        let wish = || keeping("r1", file("/etc/x", "new\n"), &["/etc/x", "/etc/nothing"]);
        ask(&mut Session::new("build"), &mortal, Ask::Apply(Box::new(wish())));
        let died = mortal.left.get() == 0;
        let mut session = Session::new("build");
        apply(&mut session, &world, wish()).unwrap();
        let all = kept(&world);
        assert_eq!(all.len(), 2, "{effects}: {all:?}");
        assert_eq!(text(&world, &all[0]), "old\n", "{effects}");
        assert_eq!((&all[1].was, world.get("/etc/x").as_str()), (&KeptAs::Nothing, "new\n"), "{effects}");
        if !died {
            assert!(effects > 6, "{effects}");
            break;
        }
    }
}
