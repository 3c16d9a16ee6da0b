//! Hosts over the system's `ssh`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::arguments::ssh_arguments;
use crate::askpass::{ASKPASS_FILE, hand_over};
use crate::helpers::Helpers;
use crate::session::{self, Recipe, Start};
use crate::{Connection, Disconnect, Handshakes, OnEvent, Target, Transport, bootstrap};

/// Where a helper may be put, best first. `NONCE` differs in each connection; such a folder is removed after.
pub const FOLDERS: [&str; 5] =
    ["/var/lib/kubespray/bin", "/usr/local/lib/kubespray", "/opt/kubespray", "/run/kubespray", "/tmp/NONCE"];

/// Which keys of hosts are accepted. Arguments of the inventory may say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// Known ones only: of the operator, and of a file where given.
    Strict {
        /// A known_hosts file of the cluster.
        file: Option<PathBuf>,
    },
    /// Also new ones, which are recorded in the file (else the operator's); never changed ones.
    AcceptNew {
        /// A known_hosts file of the cluster.
        file: Option<PathBuf>,
    },
}

/// What is common to all connections.
#[derive(Clone, Debug)]
pub struct SshOptions {
    /// The `ssh` program.
    pub program: PathBuf,
    /// What answers ssh's question for a password: a binary that calls [`crate::answer_askpass`] when
    /// [`ASKPASS_FILE`] is in its environment.
    pub askpass: PathBuf,
    /// The binaries of this program by architecture, as `uname -m` names it.
    pub helpers: BTreeMap<String, PathBuf>,
    /// Which keys of hosts are accepted.
    pub host_keys: HostKeys,
    /// How long ssh tries to connect, in whole seconds.
    pub connect_timeout: Duration,
    /// Where a helper may be put, best first ([`FOLDERS`]); without blanks.
    pub folders: Vec<String>,
    /// How many log in at once.
    pub handshakes: Handshakes,
}

impl SshOptions {
    /// The usual, for a binary that is both helper for hosts like this machine and answers ssh's questions.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let binary = binary.into();
        Self {
            program: "ssh".into(),
            askpass: binary.clone(),
            helpers: BTreeMap::from([(std::env::consts::ARCH.to_owned(), binary)]),
            host_keys: HostKeys::Strict { file: None },
            connect_timeout: Duration::from_secs(10),
            folders: FOLDERS.map(str::to_owned).to_vec(),
            handshakes: Handshakes::default(),
        }
    }

    /// The same for the running program.
    pub fn of_this_program() -> std::io::Result<Self> {
        std::env::current_exe().map(Self::new)
    }
}

/// Reaches hosts over `ssh`. Helpers are read and compressed once for all connections.
#[derive(Debug)]
pub struct Ssh {
    options: SshOptions,
    helpers: Arc<Helpers>,
}

impl Ssh {
    /// Takes its options. Raises this process's limit of open files as far as is allowed: each connection takes
    /// four.
    pub fn new(options: SshOptions) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let helpers = Arc::new(Helpers::new(options.helpers.clone()));
        Self { options, helpers }
    }
}

impl Transport for Ssh {
    fn connect(&self, target: &Target, on_event: OnEvent) -> Box<dyn Connection> {
        let (options, helpers) = (self.options.clone(), Arc::clone(&self.helpers));
        let handshakes = Some(self.options.handshakes.clone());
        session::connect(target.clone(), on_event, handshakes, move |target| {
            recipe(target, &options, helpers)
        })
    }
}

fn recipe(target: &Target, options: &SshOptions, helpers: Arc<Helpers>) -> Result<Recipe, Disconnect> {
    let nonce = bootstrap::nonce();
    let loaded = helpers.all()?;
    let digests =
        loaded.iter().map(|(arch, helper)| format!("{arch}:{}", helper.digest)).collect::<Vec<_>>().join(" ");
    let mut command = Command::new(&options.program);
    command.args(ssh_arguments(target, options)?);
    command.arg(bootstrap::command(&nonce, &target.r#become, &digests, &options.folders));
    // Complaints are told apart by their texts.
    command.env("LC_ALL", "C");
    let askpass = match &target.password {
        Some(password) => {
            let file = hand_over(&target.address, password).map_err(|error| Disconnect::SshUnusable {
                reason: format!("the password cannot be handed to it: {error}"),
            })?;
            command.env("SSH_ASKPASS", &options.askpass).env("SSH_ASKPASS_REQUIRE", "force");
            command.env(ASKPASS_FILE, file.path());
            if std::env::var_os("DISPLAY").is_none() {
                // Without it ssh before 8.4 asks nobody.
                command.env("DISPLAY", ":0");
            }
            Some(file)
        }
        None => None,
    };
    let connect_timeout_s = options.connect_timeout.as_secs().max(1);
    Ok(Recipe { command, nonce, start: Start::Bootstrap(helpers), connect_timeout_s, askpass })
}
