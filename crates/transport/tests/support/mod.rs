//! What the tests share: a helper, a double of `ssh`, and programs put before those of the machine.

#![allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, clippy::new_without_default)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kubespray_resource::wire::{Answer, Ask, Hello, PROTOCOL, Reply, Request, read_frame, write_frame};
use kubespray_transport::{Connection, ConnectionEvent, Disconnect, Ssh, SshOptions, Target, Transport};

/// Set where this test program plays the helper; its value is the helper's digest.
pub const HELPER: &str = "KUBESPRAY_TEST_HELPER";

/// Plays the helper when the environment says so, and then does not return.
#[allow(clippy::exit)]
pub fn play_helper() {
    let Ok(build) = std::env::var(HELPER) else { return };
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let protocol = std::env::var("HELPER_PROTOCOL").map_or(PROTOCOL, |text| text.parse().unwrap());
    let hello = Hello { protocol, build, hostname: "h".into(), boot_id: "b".into() };
    writeln!(output, "{}", hello.line()).unwrap();
    output.flush().unwrap();
    while let Ok(request) = read_frame::<Request>(&mut input) {
        let body = match request.body {
            Ask::Read { limit, .. } => Answer::Text(Some("x".repeat(limit as usize))),
            Ask::Exec { argv, timeout_s } => {
                match argv.first().map(String::as_str) {
                    Some("die") => std::process::exit(9),
                    Some("sleep") => std::thread::sleep(Duration::from_millis(timeout_s)),
                    Some("garbage") => output.write_all(&[255; 64]).unwrap(),
                    _ => {}
                }
                Answer::Exit { status: Some(0), stdout: argv.concat(), stderr: String::new() }
            }
            _ => Answer::Ok,
        };
        write_frame(&mut output, &Reply { id: request.id, body }).unwrap();
    }
    std::process::exit(0);
}

/// A folder with a double of `ssh` that runs the command here, and a helper.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub options: SshOptions,
}

impl Lab {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let helper = path.join("helper");
        write_helper(&helper, "");
        let mut options = SshOptions::new(&helper);
        options.program = path.join("ssh");
        options.folders = vec![text(&path.join("bin"))];
        let lab = Self { folder, options };
        fs::create_dir(lab.path("doubles")).unwrap();
        lab.ssh("sh", "");
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the double of `ssh`: some lines of shell, then the command in a shell.
    pub fn ssh(&self, shell: &str, before: &str) {
        let path = format!("PATH={}:$PATH; export PATH", text(&self.path("doubles")));
        program(
            &self.path("ssh"),
            &format!(
                "echo started >> {}\n{path}\n{before}\nfor word; do :; done\nexec {shell} -c \"$word\"",
                text(&self.path("calls"))
            ),
        );
    }

    /// Puts a program before those of the machine.
    pub fn double(&self, name: &str, script: &str) {
        program(&self.path("doubles").join(name), script);
    }

    pub fn digest(&self) -> String {
        let helper = self.options.helpers.values().next().unwrap();
        kubespray_resource::Digest::of(&fs::read(helper).unwrap()).to_string()
    }

    pub fn installed(&self) -> PathBuf {
        self.path("bin").join(self.digest())
    }

    pub fn connect(&self, target: &Target) -> Session {
        Session::new(&Ssh::new(self.options.clone()), target)
    }

    /// Connects, and expects that it does not come up.
    pub fn refused(&self, target: &Target) -> Disconnect {
        self.connect(target).down()
    }

    /// Connects, pings, closes.
    pub fn works(&self, target: &Target) {
        let mut session = self.connect(target);
        session.up();
        session.ask(1, Ask::Ping);
        assert_eq!(session.reply().id, 1);
        session.connection.close();
        assert_eq!(session.down(), Disconnect::Ended);
    }
}

pub fn target() -> Target {
    Target::new("node1", "10.0.0.1")
}

pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub fn program(path: &Path, script: &str) {
    // Written beside and renamed: a program that is being written cannot be run.
    let beside = path.with_extension("new");
    fs::write(&beside, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// A helper: it runs this very test program, which plays it.
pub fn write_helper(path: &Path, before: &str) {
    let me = text(&std::env::current_exe().unwrap());
    program(
        path,
        &format!(
            "[ \"$*\" = 'node --stdio' ] || exit 3\n{before}\n{HELPER}=${{0##*/}}; export {HELPER}\n\
             exec '{me}' --exact helper_double --nocapture"
        ),
    );
}

/// A connection and its events.
pub struct Session {
    pub connection: Box<dyn Connection>,
    pub events: Receiver<ConnectionEvent>,
}

impl Session {
    pub fn new(transport: &dyn Transport, target: &Target) -> Self {
        let (sender, events) = channel();
        let on_event = Box::new(move |event| drop(sender.send(event)));
        Self { connection: transport.connect(target, on_event), events }
    }

    pub fn event(&self) -> ConnectionEvent {
        self.events.recv_timeout(Duration::from_secs(50)).expect("an event")
    }

    pub fn up(&self) -> Hello {
        match self.event() {
            ConnectionEvent::Up(arrival) => arrival.hello,
            other => panic!("{other:?}"),
        }
    }

    pub fn ask(&mut self, id: u64, body: Ask) {
        self.connection.send(&Request { id, body });
    }

    pub fn reply(&self) -> Reply {
        match self.event() {
            ConnectionEvent::Reply(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// The reason why it is down; it must be the last event.
    pub fn down(&self) -> Disconnect {
        loop {
            match self.event() {
                ConnectionEvent::Down(reason) => {
                    assert!(
                        self.events.recv_timeout(Duration::from_secs(5)).is_err(),
                        "an event after the last"
                    );
                    return reason;
                }
                ConnectionEvent::Reply(_) => {}
                ConnectionEvent::Up(..) => panic!("it came up"),
            }
        }
    }
}

pub fn helpers(entries: &[(&str, &Path)]) -> BTreeMap<String, PathBuf> {
    entries.iter().map(|(arch, path)| ((*arch).to_owned(), (*path).to_owned())).collect()
}

/// Whether these tests can play a root login; says so otherwise.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("left out: this test needs to be root");
    }
    root
}
