//! Every kind: it changes what differs, a second time nothing, and a change that does not stay is a failure.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use common::{World, root};
use kubespray_node::Host;
use kubespray_resource::*;

fn file(path: &str, text: &str) -> File {
    File {
        path: path.into(),
        content: Content::Text(text.into()),
        mode: Mode(0o640),
        owner: root(),
        keep_content: false,
    }
}

#[test]
fn a_file_is_written_with_mode_and_then_left_alone() {
    let world = World::new();
    assert_eq!(world.converge(file("/etc/a", "one\n")).kind, OutcomeKind::Created);
    assert_eq!(fs::metadata(world.path("/etc/a")).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(world.converge(file("/etc/a", "two\n")).kind, OutcomeKind::Updated);
    assert_eq!(world.get("/etc/a"), "two\n");
    fs::set_permissions(world.path("/etc/a"), fs::Permissions::from_mode(0o666)).unwrap();
    let outcome = world.converge(file("/etc/a", "two\n"));
    assert_eq!(outcome.changes[0].what, "mode");
    assert_eq!(fs::read_dir(world.path("/etc")).unwrap().count(), 4, "no temporary file is left");
}

#[test]
fn a_leftover_of_a_crashed_write_is_replaced() {
    let world = World::new();
    world.put("/etc/.a.kubespray-new", "half");
    world.converge(file("/etc/a", "whole\n"));
    assert!(!world.path("/etc/.a.kubespray-new").exists());
}

#[test]
fn a_file_in_place_of_a_link_replaces_the_link_and_not_its_target() {
    let world = World::new();
    world.put("/etc/target", "keep");
    symlink("target", world.path("/etc/a")).unwrap();
    world.converge(file("/etc/a", "new"));
    assert_eq!((world.get("/etc/target").as_str(), world.get("/etc/a").as_str()), ("keep", "new"));
}

#[test]
fn a_folder_in_the_way_of_a_file_is_an_error() {
    let world = World::new();
    fs::create_dir(world.path("/etc/a")).unwrap();
    assert_eq!(world.apply(file("/etc/a", "")).unwrap_err().class, ErrorClass::Wish);
}

#[test]
fn a_kept_file_keeps_its_bytes_and_a_copy_is_made_of_what_it_should_be() {
    let world = World::new();
    world.put("/etc/a", "mine");
    world.converge(File { keep_content: true, ..file("/etc/a", "theirs") });
    assert_eq!(world.get("/etc/a"), "mine");
    let copy = |bytes: &[u8]| Content::CopyOf { path: "/etc/a".into(), digest: Digest::of(bytes) };
    world.converge(File { content: copy(b"mine"), ..file("/etc/b", "") });
    assert_eq!(world.get("/etc/b"), "mine");
    let wrong = File { content: copy(b"other"), ..file("/etc/b", "") };
    assert!(world.apply(wrong).unwrap_err().message.contains("not what it should be"));
}

#[test]
fn folders_are_made_with_those_above_them_and_links_to_folders_count() {
    let world = World::new();
    let folder = |path: &str| Directory { path: path.into(), mode: Mode(0o750), owner: root() };
    world.converge(folder("/opt/a/b"));
    assert_eq!(fs::metadata(world.path("/opt/a")).unwrap().permissions().mode() & 0o777, 0o755);
    symlink("a", world.path("/opt/link")).unwrap();
    world.converge(folder("/opt/link"));
    assert!(fs::symlink_metadata(world.path("/opt/link")).unwrap().is_symlink());
    world.put("/opt/file", "");
    assert_eq!(world.apply(folder("/opt/file")).unwrap_err().class, ErrorClass::Wish);
}

#[test]
fn a_link_is_made_in_place_of_a_file() {
    let world = World::new();
    world.put("/etc/a", "");
    let link = Link { path: "/etc/a".into(), target: "/etc/b".into() };
    assert_eq!(world.converge(link).kind, OutcomeKind::Updated);
    assert_eq!(fs::read_link(world.path("/etc/a")).unwrap().to_str(), Some("/etc/b"));
}

#[test]
fn what_must_be_absent_goes_but_nothing_behind_its_links() {
    let world = World::new();
    world.put("/keep/file", "");
    world.put("/gone/a/b", "");
    symlink(world.path("/keep"), world.path("/gone/a/link")).unwrap();
    let absent = |path: &str, recursive| Absent { path: path.into(), recursive };
    assert!(world.apply(absent("/gone", false)).unwrap_err().message.contains("not empty"));
    assert_eq!(world.converge(absent("/gone", true)).kind, OutcomeKind::Removed);
    assert!(world.path("/keep/file").exists());
    symlink(world.path("/keep"), world.path("/link")).unwrap();
    world.converge(absent("/link", true));
    assert!(world.path("/keep/file").exists());
    for path in ["/", "//", "/etc/../..", "etc"] {
        let wish = Absent { path: path.into(), recursive: true };
        if world.observe(&wish.clone().into()).unwrap() != State::Absent(AbsentState { kind: None }) {
            assert_eq!(world.apply(wish).unwrap_err().class, ErrorClass::Wish, "{path}");
        }
    }
    assert!(world.path("/etc/passwd").exists());
}

#[test]
fn blocks_and_lines_change_their_part_only() {
    let world = World::new();
    world.put("/etc/hosts", "127.0.0.1 localhost\n");
    fs::set_permissions(world.path("/etc/hosts"), fs::Permissions::from_mode(0o604)).unwrap();
    let block = |text: Option<&str>| Block {
        path: "/etc/hosts".into(),
        begin: "# begin".into(),
        end: "# end".into(),
        text: text.map(str::to_owned),
        keep: false,
        on_top: false,
        replaces: Vec::new(),
        mode: Mode::PUBLIC,
        owner: root(),
    };
    world.converge(block(Some("10.0.0.1 n1")));
    assert_eq!(world.get("/etc/hosts"), "127.0.0.1 localhost\n# begin\n10.0.0.1 n1\n# end\n");
    assert_eq!(fs::metadata(world.path("/etc/hosts")).unwrap().permissions().mode() & 0o777, 0o604);
    world.converge(block(None));
    assert_eq!(world.get("/etc/hosts"), "127.0.0.1 localhost\n");
    let line = Line { path: "/etc/new/conf".into(), starts_with: "a=".into(), line: Some("a=1".into()) };
    world.converge(line);
    assert_eq!(world.get("/etc/new/conf"), "a=1\n");
}

#[test]
fn a_part_of_a_linked_file_is_written_where_the_link_leads() {
    let world = World::new();
    world.put("/run/conf", "x\n");
    symlink("../run/conf", world.path("/etc/conf")).unwrap();
    world.converge(Line { path: "/etc/conf".into(), starts_with: "a=".into(), line: Some("a=1".into()) });
    assert!(fs::symlink_metadata(world.path("/etc/conf")).unwrap().is_symlink());
    assert_eq!(world.get("/run/conf"), "x\na=1\n");
}

fn packages(manager: PackageManager, wishes: &[(&str, PackageWish)], held: &[&str]) -> Packages {
    Packages {
        manager,
        wishes: wishes.iter().map(|(name, wish)| ((*name).to_owned(), wish.clone())).collect(),
        held: held.iter().map(|name| (*name).to_owned()).collect(),
        lock_timeout_s: 5,
    }
}

#[test]
fn packages_are_installed_held_upgraded_and_removed_by_every_manager() {
    use PackageWish::{Absent, Installed, Version};
    for manager in [PackageManager::Apt, PackageManager::Dnf, PackageManager::Zypper] {
        let world = World::new();
        world.state("lists/socat", "1.7-1\n");
        world.state("lists/containerd", "1.0-1\n");
        world.state("packages/old", "3\n");
        let version = |text: &str| Version(text.into());
        let wish = packages(
            manager,
            &[("socat", Installed), ("containerd", version("1.0-1")), ("old", Absent)],
            &["containerd"],
        );
        world.converge(wish);
        world.state("lists/containerd", "2.0-1\n");
        let outcome = world.converge(packages(manager, &[("containerd", version("2.0-1"))], &["containerd"]));
        assert_eq!(outcome.changes.len(), 1, "{manager}: {outcome:?}");
        let failure = world.apply(packages(manager, &[("nothing", Installed)], &[])).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Wish, "{manager}: {failure:?}");
        assert!(!failure.evidence.is_empty());
    }
}

#[test]
fn lists_are_fetched_when_sources_changed_or_a_package_is_unknown() {
    let world = World::new();
    world.state("mirror/new", "1\n");
    world.converge(packages(PackageManager::Apt, &[("new", PackageWish::Installed)], &[]));
    assert_eq!(world.calls().iter().filter(|call| call.contains(" update ")).count(), 1);

    for manager in [PackageManager::Apt, PackageManager::Dnf, PackageManager::Zypper] {
        let world = World::new();
        world.state("mirror/new", "1\n");
        world.put(&format!("/var/lib/kubespray/pending/lists:{manager}"), "");
        world.converge(packages(manager, &[("new", PackageWish::Installed)], &[]));
        assert!(world.pending().is_empty(), "{manager}");
    }
}

#[test]
fn a_lock_that_others_hold_passes_by_itself() {
    let world = World::new();
    world.state("lists/socat", "1\n");
    world.state("fail/apt-get", "100\nE: Could not get lock /var/lib/dpkg/lock-frontend\n");
    let wish = packages(PackageManager::Apt, &[("socat", PackageWish::Installed)], &[]);
    let failure = world.apply(wish).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
    assert!(failure.evidence[0].contains("Could not get lock"));
}

fn unit(name: &str) -> Unit {
    Unit {
        name: name.into(),
        enabled: Some(true),
        running: Some(Running::Started),
        masked: None,
        may_be_missing: false,
    }
}

#[test]
fn a_unit_is_enabled_started_stopped_and_masked() {
    let world = World::new();
    world.unit("a.service", "inactive", "disabled");
    world.converge(unit("a.service"));
    let stopped = Unit {
        enabled: Some(false),
        running: Some(Running::Stopped),
        masked: Some(true),
        ..unit("a.service")
    };
    world.converge(stopped);
    world.converge(Unit { masked: Some(false), ..unit("a.service") });
}

#[test]
fn a_new_unit_file_is_loaded_first_and_a_missing_unit_is_named() {
    let world = World::new();
    world.put("/etc/systemd/system/new.service", "[Service]\n");
    world.converge(unit("new.service"));
    assert!(world.apply(unit("none.service")).unwrap_err().message.contains("no unit `none.service`"));
    let gone = Unit {
        running: Some(Running::Stopped),
        enabled: Some(false),
        may_be_missing: true,
        ..unit("none.service")
    };
    assert_eq!(world.apply(gone).unwrap(), Outcome::unchanged());
}

#[test]
fn a_unit_restarts_once_when_an_input_changed() {
    let world = World::new();
    world.unit("a.service", "active", "enabled");
    world.put("/var/lib/kubespray/pending/unit:a.service", "");
    world.forget_calls();
    assert_eq!(world.converge(unit("a.service")).changes[0].what, "restart");
    assert_eq!(world.calls().iter().filter(|call| call.contains("restart --")).count(), 1);
    assert!(world.pending().is_empty());
}

#[test]
fn a_unit_that_fails_tells_its_journal_and_stays_to_be_restarted() {
    for when in ["at once", "later"] {
        let world = World::new();
        world.unit("a.service", "failed", "enabled");
        world.state("dies/a.service", when);
        let failure = world.apply(unit("a.service")).unwrap_err();
        assert!(failure.evidence.iter().any(|line| line.contains("address already in use")), "{failure:?}");
        assert!(failure.hints.iter().any(|hint| hint.contains("journalctl")));
    }
}

#[test]
fn a_kernel_parameter_is_set_and_kept() {
    let world = World::new();
    world.put("/proc/sys/net/ipv4/ip_forward", "0\n");
    world.put("/etc/sysctl.d/99.conf", "# ours\nnet.ipv4.ip_forward = 0\nvm.x=1\n");
    let wish = |key: &str| Sysctl {
        key: key.into(),
        value: "1".into(),
        file: "/etc/sysctl.d/99.conf".into(),
        may_be_missing: false,
        at_least: false,
    };
    assert_eq!(world.converge(wish("net.ipv4.ip_forward")).changes.len(), 2);
    assert_eq!(world.get("/proc/sys/net/ipv4/ip_forward"), "1\n");
    assert_eq!(world.get("/etc/sysctl.d/99.conf"), "# ours\nvm.x=1\nnet.ipv4.ip_forward=1\n");
    assert!(world.apply(wish("net.none")).unwrap_err().message.contains("no parameter"));
    assert_eq!(world.apply(wish("../../etc/x")).unwrap_err().class, ErrorClass::Wish);
    assert_eq!(
        world.apply(Sysctl { may_be_missing: true, ..wish("net.none") }).unwrap(),
        Outcome::unchanged()
    );
    let at_least =
        |value: &str| Sysctl { at_least: true, value: value.into(), ..wish("net.ipv4.ip_forward") };
    assert_eq!(world.apply(at_least("0")).unwrap(), Outcome::unchanged(), "more is as good");
    world.converge(at_least("5"));
    assert_eq!(world.get("/proc/sys/net/ipv4/ip_forward"), "5\n");
}

#[test]
fn a_module_is_loaded_and_kept_and_one_without_effect_is_told() {
    let world = World::new();
    let module = |name: &str| Module {
        name: name.into(),
        file: Some(format!("/etc/modules-load.d/{name}.conf")),
        may_be_missing: false,
    };
    world.converge(module("br-netfilter"));
    assert_eq!(world.get("/etc/modules-load.d/br-netfilter.conf"), "br-netfilter\n");
    world.put("/lib/modules/6.1.0/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n");
    let built_in = Module { file: None, ..module("overlay") };
    assert_eq!(world.apply(built_in).unwrap(), Outcome::unchanged());
    let missing = Module { may_be_missing: true, ..module("ip_vs") };
    assert_eq!(world.apply(missing).unwrap(), Outcome::unchanged());
    world.state("no-effect", "");
    let failure = world.apply(module("ip_vs")).unwrap_err();
    assert!(failure.message.contains("`loaded` is still false"), "{failure}");
}

#[test]
fn users_and_groups_are_made_and_changed() {
    let world = World::new();
    let group = |name: &str, gid| Group { name: name.into(), gid, system: true };
    assert_eq!(world.converge(group("kube-cert", None)).kind, OutcomeKind::Created);
    world.converge(group("etcd", Some(450)));
    world.converge(group("etcd", Some(451)));
    let user = User {
        name: "etcd".into(),
        uid: None,
        group: None,
        groups: vec!["kube-cert".into()],
        home: Some("/var/lib/etcd".into()),
        create_home: false,
        shell: Some("/sbin/nologin".into()),
        comment: None,
        system: true,
    };
    assert_eq!(world.converge(user.clone()).kind, OutcomeKind::Created);
    world.converge(User { shell: Some("/bin/false".into()), ..user.clone() });
    world.converge(group("extra", Some(452)));
    world.converge(User { groups: vec!["extra".into()], shell: Some("/bin/false".into()), ..user });
    let plain = User {
        name: "kube".into(),
        uid: None,
        group: None,
        groups: vec![],
        home: None,
        create_home: true,
        shell: None,
        comment: None,
        system: false,
    };
    world.converge(plain);
}

#[test]
fn a_host_gets_its_name_also_without_hostnamed() {
    for fails in [false, true] {
        let world = World::new();
        if fails {
            world.state("fail/hostnamectl", "1\nCould not activate remote peer\n");
        }
        world.converge(Hostname { name: "node-7".into() });
        assert_eq!(world.get("/etc/hostname").trim(), "node-7");
    }
    let world = World::new();
    assert_eq!(world.apply(Hostname { name: "a b".into() }).unwrap_err().class, ErrorClass::Wish);
}

#[test]
fn all_swap_goes_now_and_at_the_next_boot() {
    let world = World::new();
    world.put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n");
    world.put("/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n# /x none swap\n/dev/sda2 none swap sw 0 0\n");
    world.put("/usr/lib/systemd/zram-generator.conf", "[zram0]\n");
    let outcome = world.converge(Swap {});
    assert_eq!(outcome.changes.len(), 4, "{outcome:?}");
    assert_eq!(world.get("/etc/fstab"), "/dev/sda1 / ext4 defaults 0 1\n# /x none swap\n");

    let world = World::new();
    world.put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n");
    world.state("no-effect", "");
    assert!(world.apply(Swap {}).unwrap_err().message.contains("/dev/sda2"));
}

#[test]
fn a_file_system_is_mounted_kept_and_changed() {
    let world = World::new();
    let mount = Mount {
        source: "tmpfs".into(),
        path: "/mnt/x".into(),
        fstype: "tmpfs".into(),
        options: "size=1m".into(),
        kept: true,
    };
    world.converge(mount.clone());
    assert_eq!(world.get("/etc/fstab"), "tmpfs /mnt/x tmpfs size=1m 0 0\n");
    world.converge(Mount { kept: false, fstype: "ramfs".into(), ..mount });
    assert_eq!(world.get("/etc/fstab"), "");
}

#[test]
fn selinux_is_set_now_and_for_the_next_boot() {
    let world = World::new();
    assert_eq!(world.apply(Selinux { mode: SelinuxMode::Permissive }).unwrap(), Outcome::unchanged());
    world.put("/sys/fs/selinux/enforce", "1");
    world.put("/etc/selinux/config", "# SELINUX= says\nSELINUX=enforcing\nSELINUXTYPE=targeted\n");
    world.converge(Selinux { mode: SelinuxMode::Permissive });
    assert_eq!(
        world.get("/etc/selinux/config"),
        "# SELINUX= says\nSELINUX=permissive\nSELINUXTYPE=targeted\n"
    );
}

fn command(argv: &[&str], guards: Vec<Guard>) -> Command {
    Command {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        environment: Default::default(),
        stdin: None,
        guards,
        timeout_s: 5,
    }
}

#[test]
fn a_command_runs_until_its_guard_says_that_it_is_done() {
    let world = World::new();
    world.converge(command(&["tool", "make", "/tmp/a"], vec![Guard::Creates("/tmp/a".into())]));
    let argv = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    world
        .converge(command(&["tool", "make", "/tmp/b"], vec![Guard::Unless(argv(&["tool", "is", "/tmp/b"]))]));
    let only_if = vec![Guard::OnlyIf(argv(&["tool", "is", "/tmp/none"]))];
    assert_eq!(world.apply(command(&["tool", "make", "/tmp/c"], only_if)).unwrap(), Outcome::unchanged());
    world.put("/var/lib/kubespray/pending/reload:x", "");
    world.converge(command(&["tool", "say", "hi"], vec![Guard::Pending("reload:x".into())]));
    let lies = command(&["tool", "say", "done"], vec![Guard::Creates("/tmp/never".into())]);
    assert!(world.apply(lies).unwrap_err().message.contains("nothing says that it is done"));
}

#[test]
fn a_command_runs_again_where_flags_were_changed_by_hand() {
    let world = World::new();
    let flags = ManifestFlags { set: ["a=1".to_owned()].into(), ..ManifestFlags::default() };
    let flags = Guard::Flags([("/m/pod.yaml".to_owned(), flags)].into());
    let wish = || command(&["tool", "say", "made"], vec![Guard::Pending("reload:x".into()), flags.clone()]);
    world.put("/m/pod.yaml", "    - --a=1\n");
    assert_eq!(world.apply(wish()).unwrap(), Outcome::unchanged());
    world.put("/m/pod.yaml", "    - --a=2\n");
    // Whoever makes the manifest knows its flags best: that they still differ is no failure.
    let changes = world.apply(wish()).unwrap().changes;
    let told: Vec<_> =
        changes.iter().map(|one| (one.what.as_str(), one.from.as_deref(), one.to.as_deref())).collect();
    assert_eq!(told, [("--a in pod.yaml", Some("2"), Some("1"))]);
}

#[test]
fn a_command_that_fails_or_hangs_says_so() {
    let world = World::new();
    let guard = || vec![Guard::Creates("/tmp/never".into())];
    let failure = world.apply(command(&["tool", "fail", "broken", "pipe"], guard())).unwrap_err();
    assert_eq!((failure.class, failure.evidence), (ErrorClass::Host, vec!["broken pipe".to_owned()]));
    let began = std::time::Instant::now();
    let slow = Command { timeout_s: 1, ..command(&["tool", "sleep", "30"], guard()) };
    assert_eq!(world.apply(slow).unwrap_err().class, ErrorClass::Transient);
    assert!(began.elapsed().as_secs() < 5);
    let none = world.apply(command(&["no-such-program"], guard())).unwrap_err();
    assert_eq!((none.class, none.message.as_str()), (ErrorClass::Host, "no program `no-such-program`"));
}

#[test]
fn only_the_end_of_a_long_output_is_kept() {
    let world = World::new();
    let output = world.host.run(&kubespray_node::Spawn::new(["tool", "long"])).unwrap();
    assert!(output.is_success());
    assert_eq!(output.stdout.len(), 256 << 10);
    assert!(output.stdout.ends_with("end\n"));
}

#[test]
fn a_check_waits_until_it_is_true_and_tells_why_it_is_not() {
    let world = World::new();
    let check = |probe, timeout_s| Check { name: "it answers".into(), probe, timeout_s, interval_ms: 20 };
    let path = world.path("/tmp/late");
    let maker = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        fs::write(path, "").unwrap();
    });
    assert!(!world.apply(check(Probe::Path("/tmp/late".into()), 10)).unwrap().changes.is_empty());
    maker.join().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(world.apply(check(Probe::Tcp(address), 0)).unwrap(), Outcome::unchanged());
    world.unit("a.service", "failed", "enabled");
    let failure = world.apply(check(Probe::Unit("a.service".into()), 0)).unwrap_err();
    assert!(failure.message.contains("`a.service` is failed"), "{failure}");
    assert!(failure.evidence.iter().any(|line| line.contains("already in use")));
    let prints =
        Probe::Command { argv: vec!["tool".into(), "say".into(), "no".into()], prints: "yes".into() };
    let failure = world.apply(check(prints, 0)).unwrap_err();
    assert!(failure.message.contains("does not print `yes`"));
    assert_eq!(failure.evidence, ["no"]);
}

#[test]
fn the_facts_of_this_machine_are_there() {
    let facts = kubespray_node::LinuxHost::new().facts().unwrap();
    assert!(facts.cpus > 0 && facts.memory_mb > 0 && !facts.kernel.is_empty(), "{facts:?}");
    assert!(facts.interfaces.iter().any(|interface| interface.name == "lo"));
    assert!(facts.file_systems.iter().any(|fs| fs.path == "/" && fs.size > 0));
}
