//! The real bootstrap script, run by the shells of this machine behind a double of `ssh`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use kubespray_resource::wire::{Answer, Ask};
use kubespray_transport::{Become, Disconnect, LONGEST_QUEUE, Local, Password, Transport};
use support::{Lab, Session, helpers, is_root, program, target, text, write_helper};

#[test]
fn helper_double() {
    support::play_helper();
}

#[test]
fn uploads_once_and_starts_what_is_there() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    lab.works(&target());
    let old = lab.path("bin").join("0".repeat(64));
    let other = lab.path("bin").join("notes");
    fs::write(&old, "old").unwrap();
    fs::write(&other, "mine").unwrap();
    let before = fs::metadata(lab.installed()).unwrap().modified().unwrap();
    // Without `head` an upload is impossible.
    lab.double("head", "exit 1");
    lab.works(&target());
    assert_eq!(fs::metadata(lab.installed()).unwrap().modified().unwrap(), before);
    assert!(old.exists(), "nothing is removed without an upload");
    fs::remove_file(lab.path("doubles/head")).unwrap();

    // Damaged: uploaded anew, and older helpers go; what is not ours stays.
    fs::write(lab.installed(), "#!/bin/sh\necho damaged\n").unwrap();
    lab.works(&target());
    assert!(!old.exists() && other.exists());
    assert_eq!(fs::read_dir(lab.path("bin")).unwrap().count(), 2);
}

#[test]
fn every_shell_and_every_set_of_tools_will_do() {
    if !is_root() {
        return;
    }
    for shell in ["dash", "bash", "busybox sh", "bash -i", "bash -x"] {
        let words: Vec<&str> = shell.split(' ').collect();
        if Command::new(words[0]).args(&words[1..]).args(["-c", "exit 0"]).output().is_err() {
            eprintln!("left out: there is no `{shell}`");
            continue;
        }
        let lab = Lab::new();
        lab.ssh(shell, "");
        lab.works(&target());
    }
    for missing in [
        &["gzip"][..],
        &["sha256sum"],
        &["sha256sum", "openssl"],
        &["sha256sum", "openssl", "shasum", "cksum", "gzip"],
    ] {
        let lab = Lab::new();
        // A PATH with everything but these.
        let tools = lab.path("tools");
        fs::create_dir(&tools).unwrap();
        for folder in ["/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let name = entry.file_name();
                if !missing.contains(&name.to_str().unwrap()) {
                    drop(std::os::unix::fs::symlink(entry.path(), tools.join(name)));
                }
            }
        }
        // The script adds the usual folders, so the wrapper's shell is one that takes them away.
        let sh = lab.path("sh");
        program(
            &sh,
            &format!(
                "script=$(echo \"$2\" | sed 's|PATH=\"[^;]*;|PATH={};|'); shift 2; exec /bin/sh -c \"$script\" \"$@\"",
                text(&tools)
            ),
        );
        program(
            &lab.path("ssh"),
            &format!(
                "for w; do :; done; w=$(echo \"$w\" | sed 's|exec /bin/sh -c|exec {} -c|g'); exec sh -c \"$w\"",
                text(&sh)
            ),
        );
        lab.works(&target());
        lab.works(&target());
    }
}

#[test]
fn only_a_safe_folder_that_can_execute_is_taken() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new();
    let file = lab.path("file");
    fs::write(&file, "").unwrap();
    let link = lab.path("link");
    std::os::unix::fs::symlink("/tmp", &link).unwrap();
    let open = lab.path("open");
    fs::create_dir(&open).unwrap();
    assert!(Command::new("chmod").arg("0777").arg(&open).status().unwrap().success());
    let strangers = lab.path("strangers");
    fs::create_dir(&strangers).unwrap();
    assert!(Command::new("chown").arg("12345").arg(&strangers).status().unwrap().success());
    let bad = [text(&file.join("x")), text(&link), text(&open), text(&strangers), "/proc/kubespray".into()];
    lab.options.folders = bad.to_vec();
    let Disconnect::NoExecutableFolder { tried } = lab.refused(&target()) else { panic!() };
    let reasons: Vec<&str> = tried.iter().map(|line| line.rsplit_once("` ").unwrap().1).collect();
    let owner = "is not root's alone";
    assert_eq!(reasons, ["cannot be made", "is a symbolic link", owner, owner, "cannot be made"]);

    lab.options.folders.push(text(&lab.path("bin")));
    lab.works(&target());
    assert!(lab.installed().exists());

    // The last resort is removed again.
    lab.options.folders = vec![text(&lab.path("NONCE"))];
    lab.works(&target());
    let left = fs::read_dir(lab.folder.path()).unwrap().flatten();
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with("kubespray-")).count(), 0);
}

#[test]
fn a_folder_without_execution_is_passed_over() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new();
    let Some(_mount) = Tmpfs::new(&lab, "noexec,size=1m") else { return };
    lab.options.folders = vec![text(&lab.path("mount"))];
    let Disconnect::NoExecutableFolder { tried } = lab.refused(&target()) else { panic!() };
    assert!(tried[0].ends_with("cannot execute programs"), "{tried:?}");
    lab.options.folders.push(text(&lab.path("bin")));
    lab.works(&target());
}

#[test]
fn a_full_disk_is_named() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new();
    let Some(_mount) = Tmpfs::new(&lab, "size=64k") else { return };
    lab.options.folders = vec![text(&lab.path("mount"))];
    let helper = lab.path("helper");
    let padding = format!("# {}\n", "x".repeat(200_000));
    write_helper(&helper, &padding);
    let refused = lab.refused(&target());
    assert!(matches!(refused, Disconnect::NoSpace { free_kib: Some(_), need_kib: 196 }), "{refused:?}");
    // `df` that is wrong: the write fails.
    lab.double("df", "exit 1");
    let refused = lab.refused(&target());
    assert_eq!(refused, Disconnect::NoSpace { free_kib: None, need_kib: 196 });
    assert_eq!(fs::read_dir(lab.path("mount")).unwrap().count(), 0, "nothing is left behind");
    // Not even room for the probe.
    let _ = fs::write(lab.path("mount/fill"), vec![0; 100_000]);
    assert_eq!(lab.refused(&target()), Disconnect::NoSpace { free_kib: None, need_kib: 196 });
}

/// A small file system of its own, unmounted when dropped.
struct Tmpfs(String);

impl Tmpfs {
    fn new(lab: &Lab, options: &str) -> Option<Self> {
        let path = lab.path("mount");
        fs::create_dir(&path).unwrap();
        let options = format!("mode=0700,{options}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(text(&path)));
        }
        eprintln!("left out: nothing can be mounted here");
        None
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn noise_is_skipped_and_kept_as_evidence() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    lab.ssh("sh", "printf 'Welcome\\033[0m\\nLast login: KUBESPRAY-NODE {}\\nno line end'; echo banner >&2");
    write_helper(&lab.path("helper"), "printf 'rc file\\nmore '");
    lab.works(&target());

    lab.ssh("sh", "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done");
    let Disconnect::Lost { reason, evidence } = lab.refused(&target()) else { panic!() };
    assert_eq!(reason, "the login prints without end");
    assert!(evidence.len() > 1 && evidence.len() <= 20);

    lab.ssh("sh", "echo This account is currently not available.; exit 1");
    let evidence = vec!["This account is currently not available.".to_owned()];
    assert_eq!(lab.refused(&target()), Disconnect::NoShell { evidence });
}

/// The login is no root, and sudo is this script.
fn with_sudo(script: &str) -> Lab {
    let lab = Lab::new();
    // In the wrapper it is a user, below sudo it is root.
    lab.double("id", "if [ -n \"$DOUBLE_ROOT\" ]; then echo 0; else echo 1000; fi");
    lab.double("sudo", script);
    lab
}

/// Does what sudo does with `-S`: asks up to three times, with a lecture.
const ASKING: &str = r#"[ "$1 $2" = "-S -p" ] || { echo "sudo: a password is required" >&2; exit 1; }
prompt=$3; shift 4
echo "We trust you have received the usual lecture" >&2
for try in 1 2 3; do
  printf %s "$prompt" >&2
  read -r word || { echo >&2; echo "sudo: no password was provided" >&2; exit 1; }
  [ "$word" = "ri ght" ] && { DOUBLE_ROOT=1; export DOUBLE_ROOT; exec "$@"; }
  echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2; exit 1"#;

fn with_password(word: &str) -> kubespray_transport::Target {
    let mut target = target();
    target.r#become = Become { enabled: true, password: Some(Password::new(word)) };
    target
}

#[test]
fn sudo_in_all_its_moods() {
    if !is_root() {
        return;
    }
    let free = "[ \"$1\" = -n ] && shift; [ \"$1\" = -S ] && shift 3; shift; DOUBLE_ROOT=1; export DOUBLE_ROOT; exec \"$@\"";
    with_sudo(free).works(&target());
    // A password that nobody asks for is not sent.
    with_sudo(free).works(&with_password("not needed"));
    with_sudo(ASKING).works(&with_password("ri ght"));
    assert_eq!(with_sudo(ASKING).refused(&target()), Disconnect::SudoNeedsPassword);

    let lab = with_sudo(ASKING);
    let began = Instant::now();
    let refused = lab.refused(&with_password("wr0ng-s3cret"));
    assert_eq!(refused, Disconnect::SudoWrongPassword);
    assert!(began.elapsed() < Duration::from_secs(20));

    for (script, expected) in [
        ("echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1", Disconnect::RequiresTty),
        ("echo 'bob is not in the sudoers file.' >&2; exit 1", Disconnect::NotInSudoers),
        ("echo 'sudo: command not found' >&2; exit 127", Disconnect::SudoMissing),
    ] {
        assert_eq!(with_sudo(script).refused(&target()), expected);
        assert_eq!(with_sudo(script).refused(&with_password("x")), expected);
    }
    let mut off = target();
    off.r#become.enabled = false;
    assert_eq!(with_sudo(free).refused(&off), Disconnect::NotRoot { uid: "1000".into() });
}

#[test]
fn the_password_is_in_no_argument_and_no_message() {
    if !is_root() {
        return;
    }
    // A sudo that tells everything it knows and fails.
    let lab = with_sudo(
        "printf %s \"$3\" >&2; read -r word; echo \"got $word\"; echo \"$@\" >> \"$0.log\"; env >> \"$0.log\"; exec sleep 0",
    );
    let refused = lab.refused(&with_password("s3cret-word"));
    assert_eq!(refused, Disconnect::SudoWrongPassword);
    let lab = with_sudo(
        "printf %s \"$3\" >&2; read -r word; echo \"got $word\"; echo \"$@\" > \"$0.log\"; env >> \"$0.log\"; while :; do echo \"$word\"; done",
    );
    let refused = lab.refused(&with_password("s3cret-word"));
    let shown = format!("{refused:?} {refused}");
    assert!(shown.contains("***") && !shown.contains("s3cret"), "{shown}");
    let log = fs::read_to_string(lab.path("doubles/sudo.log")).unwrap();
    assert!(log.contains("-S -p") && !log.contains("s3cret"), "{log}");
}

#[test]
fn another_processor_needs_another_helper() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new();
    lab.double("uname", "echo riscv64");
    let have = vec![std::env::consts::ARCH.to_owned()];
    let refused = lab.refused(&target());
    assert_eq!(refused, Disconnect::WrongArchitecture { host: "riscv64".into(), have });
    assert!(
        refused.to_string().contains("`riscv64`") && refused.to_string().contains(std::env::consts::ARCH)
    );
    let (one, two) = (lab.path("helper"), lab.path("helper-riscv"));
    write_helper(&two, "# another");
    lab.options.helpers = helpers(&[(std::env::consts::ARCH, &one), ("riscv64", &two)]);
    lab.works(&target());
    assert!(
        !lab.installed().exists()
            || lab.digest() != kubespray_resource::Digest::of(&fs::read(&one).unwrap()).to_string()
    );
}

#[test]
fn a_helper_of_another_version_is_refused() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    lab.ssh("sh", "HELPER_PROTOCOL=99; export HELPER_PROTOCOL");
    let refused = lab.refused(&target());
    assert!(matches!(refused, Disconnect::HelperIncompatible { protocol: 99, .. }), "{refused:?}");

    let lab = Lab::new();
    write_helper(&lab.path("helper"), "echo no such library >&2; exit 127");
    let Disconnect::Lost { reason, evidence } = lab.refused(&target()) else { panic!() };
    assert_eq!(reason, "the host ended it before the helper said hello (exit status 127)");
    assert_eq!(evidence.last().unwrap(), "no such library");
}

#[test]
fn an_upload_that_is_cut_leaves_no_helper() {
    if !is_root() {
        return;
    }
    for tools in ["head", "gzip"] {
        let lab = Lab::new();
        lab.double("head", "exec /usr/bin/head -c 100");
        if tools == "gzip" {
            // The bytes arrive, but others.
            lab.double("head", "exec cat >/dev/null & echo");
            lab.double("gzip", "echo other bytes");
        }
        let refused = lab.refused(&target());
        assert!(matches!(refused, Disconnect::UploadFailed { .. }), "{refused:?}");
        assert!(refused.is_transient());
        assert_eq!(fs::read_dir(lab.path("bin")).unwrap().count(), 0);
    }
}

#[test]
fn large_frames_and_many_requests_pass() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let mut session = lab.connect(&target());
    let large = "y".repeat(8 << 20);
    session.ask(1, Ask::Exec { argv: vec![large.clone()], timeout_s: 0 });
    session.ask(2, Ask::Read { path: "/".into(), limit: 16 << 20 });
    session.up();
    assert!(matches!(session.reply().body, Answer::Exit { stdout, .. } if stdout == large));
    assert!(matches!(session.reply().body, Answer::Text(Some(text)) if text.len() == 16 << 20));

    // More than the queue and the pipes hold while the helper is busy.
    session.ask(3, Ask::Exec { argv: vec!["sleep".into()], timeout_s: 300 });
    let began = Instant::now();
    let padding = "z".repeat(2000);
    for id in 4..4 + 2 * LONGEST_QUEUE as u64 {
        session.ask(id, Ask::Read { path: padding.clone(), limit: 3 });
    }
    assert!(began.elapsed() > Duration::from_millis(200), "a full queue must hold its caller");
    session.connection.close();
    for id in 3..4 + 2 * LONGEST_QUEUE as u64 {
        assert_eq!(session.reply().id, id, "closing must not lose what was asked");
    }
    assert_eq!(session.down(), Disconnect::Ended);
}

#[test]
fn ends_are_noticed_and_told() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let mut session = lab.connect(&target());
    session.up();
    session.ask(1, Ask::Exec { argv: vec!["die".into()], timeout_s: 0 });
    let Disconnect::Lost { reason, .. } = session.down() else { panic!() };
    assert_eq!(reason, "the helper ended (exit status 9)");
    // Requests to a connection that is down neither block nor fail.
    for id in 0..2 * LONGEST_QUEUE as u64 {
        session.ask(id, Ask::Ping);
    }

    let mut session = lab.connect(&target());
    session.up();
    session.ask(1, Ask::Exec { argv: vec!["garbage".into()], timeout_s: 0 });
    let Disconnect::Lost { reason, .. } = session.down() else { panic!() };
    assert!(reason.starts_with("the host sent what is no message"), "{reason}");

    // The child is killed.
    lab.ssh("sh", &format!("echo $$ > {}", text(&lab.path("pid"))));
    let session = lab.connect(&target());
    session.up();
    let pid = fs::read_to_string(lab.path("pid")).unwrap();
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    let Disconnect::Lost { reason, .. } = session.down() else { panic!() };
    assert_eq!(reason, "the helper ended (killed)");

    // Dropped or closed while the login hangs: the child goes too.
    lab.ssh("sh", &format!("echo $$ > {}; sleep 100", text(&lab.path("pid"))));
    fs::remove_file(lab.path("pid")).unwrap();
    let mut session = lab.connect(&target());
    while fs::read_to_string(lab.path("pid")).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    session.connection.close();
    assert_eq!(session.down(), Disconnect::Ended);
    let pid = fs::read_to_string(lab.path("pid")).unwrap();
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap());
}

#[test]
fn without_ssh_or_helper_it_says_so() {
    let mut lab = Lab::new();
    lab.options.helpers = helpers(&[("x86_64", &lab.path("nothing"))]);
    assert!(matches!(lab.refused(&target()), Disconnect::HelperUnreadable { .. }));
    let mut lab = Lab::new();
    lab.options.program = lab.path("nothing");
    assert!(matches!(lab.refused(&target()), Disconnect::SshUnusable { .. }));
    let mut odd = target();
    odd.address = "-oProxyCommand=reboot".into();
    assert!(matches!(lab.refused(&odd), Disconnect::BadTarget { .. }));
}

#[test]
fn a_hundred_hosts_at_once() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let ssh = kubespray_transport::Ssh::new(lab.options.clone());
    let (sender, events) = std::sync::mpsc::channel();
    let mut connections: Vec<_> = (0..100)
        .map(|number| {
            let mut target = target();
            target.host = format!("node{number}");
            let (sender, host) = (sender.clone(), target.host.clone());
            ssh.connect(&target, Box::new(move |event| drop(sender.send((host.clone(), event)))))
        })
        .collect();
    drop(sender);
    let mut up = std::collections::BTreeSet::new();
    while up.len() < 100 {
        let (host, event) = events.recv_timeout(Duration::from_secs(100)).unwrap();
        assert!(matches!(event, kubespray_transport::ConnectionEvent::Up(..)), "{host}: {event:?}");
        up.insert(host);
    }
    connections.iter_mut().for_each(|connection| connection.close());
    assert_eq!(
        events
            .iter()
            .filter(|(_, event)| matches!(
                event,
                kubespray_transport::ConnectionEvent::Down(Disconnect::Ended)
            ))
            .count(),
        100
    );
}

#[test]
fn this_machine_is_a_host_too() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let mut session = Session::new(&Local::new(lab.path("helper")), &target());
    session.up();
    session.ask(1, Ask::Ping);
    assert_eq!(session.reply().body, Answer::Ok);
    session.connection.close();
    assert_eq!(session.down(), Disconnect::Ended);
    let session = Session::new(&Local::new("/bin/false"), &target());
    assert!(matches!(session.down(), Disconnect::Lost { .. }));
}

#[test]
fn the_password_of_the_login_goes_by_a_private_file() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new();
    // What our binary does: the file's name is in the environment, the password is not.
    lab.options.askpass = lab.path("askpass");
    program(&lab.path("askpass"), "tail -n 1 \"$KUBESPRAY_ASKPASS_FILE\"");
    let log = text(&lab.path("log"));
    let before = format!(
        "env > {log}; echo \"$@\" >> {log}; ls -l \"$KUBESPRAY_ASKPASS_FILE\" >> {log}\n\
         [ \"$SSH_ASKPASS_REQUIRE\" = force ] || exit 255\n\
         [ \"$($SSH_ASKPASS prompt)\" = 'log in' ] || {{ echo 'Permission denied (password).' >&2; exit 255; }}"
    );
    lab.ssh("sh", &before);
    let mut target = target();
    target.password = Some(Password::new("log in"));
    let mut session = lab.connect(&target);
    session.up();
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.contains("log in"), "{log}");
    assert!(log.contains("-rw------- ") && log.contains("BatchMode=no"), "{log}");
    let file = log.lines().find_map(|line| line.strip_prefix("KUBESPRAY_ASKPASS_FILE=")).unwrap();
    assert!(!fs::exists(file).unwrap(), "the file goes after the login");
    session.connection.close();
    assert_eq!(session.down(), Disconnect::Ended);

    target.password = Some(Password::new("wrong"));
    assert!(matches!(lab.refused(&target), Disconnect::AuthenticationFailed { .. }));
}
