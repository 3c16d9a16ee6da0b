//! The real `ssh` against a real `sshd` on loopback, with configuration, keys and user of its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kubespray_resource::wire::Ask;
use kubespray_transport::{Bastion, Disconnect, HostKeys, Target};
use support::{Lab, is_root, target, text};

#[test]
fn helper_double() {
    support::play_helper();
}

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const SSHD: &str = "/usr/sbin/sshd";

fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).output();
    assert!(made.unwrap().status.success());
}

/// A lab whose `ssh` is the real one, without the configuration of whoever runs the tests.
fn lab() -> Option<Lab> {
    if !is_root() {
        return None;
    }
    if !Path::new(SSHD).exists() {
        eprintln!("left out: there is no {SSHD}");
        return None;
    }
    // Where sshd wants to lock itself in.
    drop(fs::create_dir_all("/run/sshd"));
    let mut lab = Lab::new();
    lab.options.program = "ssh".into();
    lab.options.host_keys = HostKeys::Strict { file: Some(lab.path("known")) };
    keygen(&lab.path("key"));
    keygen(&lab.path("host"));
    Some(lab)
}

fn server(lab: &Lab, more: &str) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {host}\nAuthorizedKeysFile {key}\nPidFile none\nUsePAM no\n\
         StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n{more}\n",
        host = text(&lab.path("host")),
        key = text(&lab.path("key.pub")),
    );
    let file = lab.path(&format!("sshd_config_{port}"));
    fs::write(&file, config).unwrap();
    let log = fs::File::create(lab.path(&format!("sshd_log_{port}"))).unwrap();
    let child =
        Command::new(SSHD).args(["-D", "-e", "-f"]).arg(&file).stderr(log).stdout(Stdio::null()).spawn();
    let server = Server { child: child.unwrap(), port };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| stream.read(&mut [0]).is_ok()) {
            return server;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("sshd does not answer: {}", fs::read_to_string(lab.path(&format!("sshd_log_{port}"))).unwrap());
}

fn at(lab: &Lab, port: u16) -> Target {
    let mut target = target();
    target.address = "127.0.0.1".into();
    target.port = Some(port);
    target.user = Some("root".into());
    target.key_file = Some(lab.path("key"));
    target.common_args =
        ["-F", "none", "-o", "IdentityAgent=none", "-o", "IdentitiesOnly=yes"].map(str::to_owned).into();
    target
}

fn know(lab: &Lab, port: u16, key: &str) {
    let key = fs::read_to_string(lab.path(key)).unwrap();
    fs::write(lab.path("known"), format!("[127.0.0.1]:{port} {key}")).unwrap();
}

#[test]
fn keys_of_hosts_are_verified() {
    let Some(mut lab) = lab() else { return };
    let server = server(&lab, "Banner /etc/os-release");
    let target = at(&lab, server.port);

    assert_eq!(lab.refused(&target), Disconnect::HostKeyUnknown);
    know(&lab, server.port, "host.pub");
    lab.works(&target);

    keygen(&lab.path("other"));
    know(&lab, server.port, "other.pub");
    let line = Some(format!("{}:1", text(&lab.path("known"))));
    assert_eq!(lab.refused(&target), Disconnect::HostKeyChanged { line: line.clone() });

    // A changed key stays refused; a new one is recorded.
    lab.options.host_keys = HostKeys::AcceptNew { file: Some(lab.path("known")) };
    assert_eq!(lab.refused(&target), Disconnect::HostKeyChanged { line });
    fs::remove_file(lab.path("known")).unwrap();
    lab.works(&target);
    let known = fs::read_to_string(lab.path("known")).unwrap();
    let key = fs::read_to_string(lab.path("host.pub")).unwrap();
    assert!(known.contains(key.split(' ').nth(1).unwrap()), "{known}");
    lab.options.host_keys = HostKeys::Strict { file: Some(lab.path("known")) };
    lab.works(&target);
}

#[test]
fn what_goes_wrong_is_named() {
    let Some(lab) = lab() else { return };
    let server = server(&lab, "");
    know(&lab, server.port, "host.pub");
    let good = at(&lab, server.port);

    let mut stranger = good.clone();
    keygen(&lab.path("stranger"));
    stranger.key_file = Some(lab.path("stranger"));
    let Disconnect::AuthenticationFailed { evidence } = lab.refused(&stranger) else { panic!() };
    assert!(evidence.last().unwrap().contains("Permission denied (publickey)"), "{evidence:?}");

    let mut closed = good.clone();
    closed.port = Some(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    assert_eq!(lab.refused(&closed), Disconnect::Refused);

    let mut nowhere = good.clone();
    nowhere.address = "no-such-host.invalid".into();
    let refused = lab.refused(&nowhere);
    // Without name servers it cannot be known whether the name exists.
    assert!(matches!(refused, Disconnect::Unresolved | Disconnect::Lost { .. }), "{refused:?}");

    let mut odd = good.clone();
    odd.common_args.extend(["-o".to_owned(), "NoSuchOption=1".to_owned()]);
    let refused = lab.refused(&odd);
    assert!(matches!(refused, Disconnect::SshUnusable { .. }), "{refused:?}");

    // Something that accepts and says nothing.
    let mut lab = lab;
    lab.options.connect_timeout = Duration::from_secs(1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut mute = good.clone();
    mute.port = Some(silent.local_addr().unwrap().port());
    let refused = lab.refused(&mute);
    assert!(matches!(refused, Disconnect::TimedOut { seconds: 1, .. }), "{refused:?}");

    // The server goes away under a running helper.
    let session = lab.connect(&good);
    session.up();
    let children = format!("/proc/{0}/task/{0}/children", server.child.id());
    for pid in fs::read_to_string(children).unwrap_or_default().split_whitespace() {
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
    }
    let refused = session.down();
    assert!(matches!(refused, Disconnect::Lost { .. }), "{refused:?}");
}

#[test]
fn a_jump_host_is_passed() {
    let Some(lab) = lab() else { return };
    let server = server(&lab, "");
    let mut target = at(&lab, server.port);
    // The jump needs the same key and the same known hosts: it gets both.
    target.bastion =
        Some(Bastion { address: "127.0.0.1".into(), port: Some(server.port), user: Some("root".into()) });
    assert_eq!(lab.refused(&target), Disconnect::HostKeyUnknown);
    know(&lab, server.port, "host.pub");
    lab.works(&target);
    // Behind it nobody listens.
    target.port = Some(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
    assert_eq!(lab.refused(&target), Disconnect::Refused);
}

#[test]
fn sshd_is_not_overrun() {
    let Some(lab) = lab() else { return };
    // It drops the ninth unfinished login for sure.
    let server = server(&lab, "MaxStartups 9:100:9\nMaxSessions 100");
    know(&lab, server.port, "host.pub");
    let ssh = kubespray_transport::Ssh::new(lab.options.clone());
    let sessions: Vec<_> = (0..30).map(|_| support::Session::new(&ssh, &at(&lab, server.port))).collect();
    for session in &sessions {
        session.up();
    }
    for mut session in sessions {
        session.ask(7, Ask::Ping);
        assert_eq!(session.reply().id, 7);
    }
}
