//! Hosts keep what they had, and are given it back; what a cluster leaves goes, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::{World, applied, ask, step};
use kubespray_node::Session;
use kubespray_resource::wire::{Apply, Ask};
use kubespray_resource::{
    BEFORE, Before, Block, Content, Directory, File, Gone, Line, Mode, Owner, PackageManager, PackageWish,
    Packages, PutBack, Resource, Sysctl,
};

fn remembered(session: &mut Session, world: &World, resource: impl Into<Resource>) {
    let apply = Apply { remember: true, ..step(resource, &[]) };
    applied(ask(session, &world.host, Ask::Apply(Box::new(apply)))).unwrap();
}

fn put_back(world: &World) -> Vec<Resource> {
    Before::put_back(&Before::read(&world.get(BEFORE))).wishes
}

fn line(path: &str, text: &str) -> Line {
    let starts_with = text.split('=').next().unwrap().to_owned();
    Line { path: path.into(), starts_with, line: Some(text.into()) }
}

fn file(path: &str, text: &str) -> File {
    let content = Content::Text(text.into());
    File { path: path.into(), content, mode: Mode::PUBLIC, owner: Owner::root(), keep_content: false }
}

#[test]
fn a_host_gets_back_what_it_had_and_keeps_what_others_did() {
    let world = World::new();
    world.put("/etc/resolv.conf", "search home\nnameserver 10.0.0.1\n");
    world.put("/etc/apt/apt.conf", "a=1\nb=1\n");
    world.put("/etc/motd", "hello\n");
    world.put("/proc/sys/net/ipv4/ip_forward", "0\n");
    let mut session = Session::new("build");
    let block = Block {
        path: "/etc/resolv.conf".into(),
        begin: "# begin".into(),
        end: "# end".into(),
        text: Some("nameserver 10.233.0.10".into()),
        keep: false,
        on_top: true,
        replaces: vec!["search".into(), "nameserver".into()],
        mode: Mode::PUBLIC,
        owner: Owner::root(),
    };
    remembered(&mut session, &world, block);
    remembered(&mut session, &world, line("/etc/apt/apt.conf", "a=2"));
    remembered(&mut session, &world, file("/etc/motd", "ours\n"));
    let sysctl = Sysctl {
        key: "net.ipv4.ip_forward".into(),
        value: "1".into(),
        file: "/etc/sysctl.d/99-sysctl.conf".into(),
        may_be_missing: false,
        at_least: false,
    };
    remembered(&mut session, &world, sysctl);
    let folder = Directory { path: "/opt/ours/deep".into(), mode: Mode::EXECUTABLE, owner: Owner::root() };
    remembered(&mut session, &world, folder);
    // Others change the file; the next change of ours takes that along.
    world.put("/etc/apt/apt.conf", "a=2\nb=1\ntheirs=1\n");
    let mut session = Session::new("build");
    remembered(&mut session, &world, line("/etc/apt/apt.conf", "a=3"));
    remembered(&mut session, &world, file("/etc/motd", "ours again\n"));

    for wish in put_back(&world) {
        let wish = match wish {
            Resource::Gone(Gone::Folder { path, .. }) => {
                Gone::Folder { path, but: vec!["deep".into()] }.into()
            }
            other => other,
        };
        world.apply(wish).unwrap();
    }
    assert_eq!(world.get("/etc/resolv.conf"), "search home\nnameserver 10.0.0.1\n");
    assert_eq!(world.get("/etc/apt/apt.conf"), "a=1\nb=1\ntheirs=1\n");
    assert_eq!(world.get("/etc/motd"), "hello\n");
    assert_eq!(world.get("/proc/sys/net/ipv4/ip_forward").trim(), "0");
    assert!(!world.path("/etc/sysctl.d/99-sysctl.conf").exists() && !world.path("/opt/ours").exists());
}

#[test]
fn what_may_be_secret_is_not_kept_and_a_torn_line_spoils_nothing() {
    let world = World::new();
    world.put("/etc/secret", "key=hunter2\n");
    std::fs::set_permissions(world.path("/etc/secret"), std::fs::Permissions::from_mode(0o640)).unwrap();
    world.put(BEFORE, "{\"wish\":{\"abs");
    let mut session = Session::new("build");
    remembered(&mut session, &world, file("/etc/secret", "ours\n"));
    remembered(&mut session, &world, file("/etc/new", "ours\n"));
    let kept = world.get(BEFORE);
    assert!(!kept.contains("hunter2"), "{kept}");
    let back = Before::put_back(&Before::read(&kept));
    assert_eq!(back.wishes.len(), 1, "{back:?}");
    assert_eq!(back.lost, ["path /etc/secret: not all may read it, so it may be a secret"]);
}

#[test]
fn packages_that_came_go_again_but_for_those_that_others_need() {
    let world = World::new();
    world.state("packages/base", "1\n");
    let mut session = Session::new("build");
    let wishes = ["ours", "library"].map(|name| (name.to_owned(), PackageWish::Installed)).into();
    let packages = Packages { manager: PackageManager::Apt, wishes, held: Vec::new(), lock_timeout_s: 1 };
    world.state("lists/ours", "1\n");
    world.state("lists/library", "1\n");
    remembered(&mut session, &world, packages);
    world.state("packages/theirs", "1\n");
    std::fs::create_dir(world.dir.path().join("needed")).unwrap();
    world.state("needed/library", "theirs\n");
    let back = put_back(&world);
    let names = ["library", "ours"].map(str::to_owned).to_vec();
    assert_eq!(back, [Gone::Packages { manager: PackageManager::Apt, names }.into()]);
    world.converge(back[0].clone());
    let left = |name: &str| world.dir.path().join("packages").join(name).exists();
    assert!(left("base") && left("theirs") && left("library") && !left("ours"));
}

#[test]
fn rules_of_others_stay_as_they_are() {
    let world = World::new();
    let foreign = "*filter\n:INPUT DROP [0:0]\n:FOREIGN - [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n";
    let rest = "-A INPUT -m comment --comment \"about KUBE-\" -j FOREIGN\n-A FOREIGN -j RETURN\nCOMMIT\n";
    let own = ":KUBE-A - [0:0]\n:KUBE-B - [0:0]\n-A INPUT -j KUBE-A\n-A KUBE-A -j KUBE-B\n";
    world.state("rules", &format!("{foreign}{own}{rest}"));
    let wish = Gone::Filters {
        chains: vec!["KUBE-".into()],
        comments: Vec::new(),
        tables: vec!["kube-proxy".into()],
        sets: vec!["KUBE-".into()],
    };
    world.converge(wish);
    let rules = std::fs::read_to_string(world.dir.path().join("rules")).unwrap();
    assert_eq!(rules, format!("{foreign}{rest}"));
}

const IP: &str = r#"#!/bin/sh
. "${0%/*}/lib.sh"
only 5 "$@"
[ "$1 $2 $3 $4" = "-o link show master" ] || refuse "$*"
[ -f "$base/ports/$5" ] && cat "$base/ports/$5"
exit 0
"#;

#[test]
fn bridges_that_others_use_stay() {
    let world = World::new();
    let lines =
        ["eth0", "cali12", "br-pods", "br-home", "cni0", "foreign0"].map(|name| format!("  {name}: 0 0\n"));
    world.put("/proc/self/net/dev", &format!("Inter-| Receive\n face |bytes\n{}", lines.concat()));
    std::fs::create_dir(world.dir.path().join("ports")).unwrap();
    // Other tests have hosts without this program.
    world.state("bin/ip", IP);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.dir.path().join("bin/ip"), executable).unwrap();
    world.state("ports/br-pods", "7: veth1@if2: <BROADCAST>\n");
    world.state("ports/br-home", "2: eth0: <BROADCAST>\n8: veth2@if2: <BROADCAST>\n");
    let plugin = |bridge: &str| format!("{{\"plugins\":[{{\"type\":\"bridge\",\"bridge\":\"{bridge}\"}}]}}");
    world.put("/etc/cni/net.d/10-pods.conflist", &plugin("br-pods"));
    world.put("/etc/cni/net.d/20-home.conflist", &plugin("br-home"));
    world.put("/etc/cni/net.d/30-broken.conf", "{");
    let wish: Resource = Gone::Interfaces {
        names: vec!["cni0".into()],
        prefixes: vec!["cali".into()],
        configurations: "/etc/cni/net.d".into(),
    }
    .into();
    let found: Vec<String> =
        world.compare(&wish).changes.into_iter().map(|change| change.from.unwrap()).collect();
    assert_eq!(found, ["cali12", "br-pods", "cni0"]);
}

#[test]
fn an_engine_that_is_broken_or_gone_has_no_pods_to_wait_for() {
    const BROKEN: &str = "#!/bin/sh\necho 'connect: no such file or directory' >&2\nexit 1\n";
    const WORKING: &str = "#!/bin/sh\necho 0123abcd\n";
    let world = World::new();
    let path = world.dir.path().join("bin/pods-of-engine");
    let pods = || -> Vec<String> {
        let gone = Gone::Pods {
            crictl: "pods-of-engine".into(),
            endpoint: "unix:///run/containerd/containerd.sock".into(),
            grace_s: 0,
        };
        world.compare(&gone.into()).changes.into_iter().filter_map(|change| change.from).collect()
    };
    assert_eq!(pods(), Vec::<String>::new(), "there is no program to ask");
    for (program, found) in [(BROKEN, &[][..]), (WORKING, &["0123abcd"])] {
        world.state("bin/pods-of-engine", program);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(pods(), found);
    }
}

#[test]
fn folders_go_when_nothing_of_others_is_in_them() {
    let world = World::new();
    world.put("/etc/nginx/nginx.conf", "ours\n");
    let folder = |but: &[&str]| Gone::Folder {
        path: "/etc/nginx".into(),
        but: but.iter().map(ToString::to_string).collect(),
    };
    assert!(!world.compare(&folder(&["nginx.conf"]).into()).is_same(), "it goes behind its file");
    world.put("/etc/nginx/conf.d/mine", "theirs\n");
    assert!(world.compare(&folder(&["nginx.conf"]).into()).is_same());
    world.put("/var/lib/disk/a/b", "x\n");
    world.converge(Gone::Tree { path: "/var/lib/disk".into(), keep_root: true });
    assert!(world.path("/var/lib/disk").exists() && !world.path("/var/lib/disk/a").exists());
    world.converge(Gone::Tree { path: "/var/lib/disk".into(), keep_root: false });
    assert!(!world.path("/var/lib/disk").exists());
    assert!(world.compare(&PutBack::Sysctl { key: "net.none".into(), value: "1".into() }.into()).is_same());
}
