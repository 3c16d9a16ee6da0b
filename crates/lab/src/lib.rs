//! Real Linux test hosts on one machine, without virtual machines: systemd in containers with a network, a disk and
//! cgroups of their own, reached over real SSH. Facts are those of the specification of test hosts (`HOST-001` on).
//!
//! A [`Lab`] is a few hosts on one bridge. Its state is on disk, so another process can open it, and a lab that a
//! killed process left is cleared away by the next of the same name.

mod base;
mod cgroup;
mod command;
mod files;
mod machine;
mod missing;
mod network;
mod state;
mod supply;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use files::{at, make_folder, read, write};
use state::{HostState, State};

pub use supply::{NETWORK_MANIFEST, Site, Supply, SupplyFile, SupplyImage};

/// The password that `sudo` asks the user `locked` for.
pub const LOCKED_PASSWORD: &str = "locked-password";

/// How long a host may take from power to a running systemd.
const BOOT_TIME: Duration = Duration::from_secs(90);

/// More would not fit into a lab's addresses, which begin at 11.
const MOST_HOSTS: u8 = 200;

/// Why there is no lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A name that cannot be part of names of links, folders and hosts.
    #[error(
        "`{name}` is not a name of a lab: 1 to 20 lower-case letters, digits and `-`, beginning with a letter"
    )]
    Name {
        /// The name that was asked for.
        name: String,
    },
    /// More hosts than a lab has addresses, or none.
    #[error("a lab has 1 to {MOST_HOSTS} hosts, not {hosts}")]
    TooMany {
        /// The number that was asked for.
        hosts: u8,
    },
    /// Another process has a lab of this name.
    #[error("the lab `{name}` is in use by another process")]
    InUse {
        /// Its name.
        name: String,
    },
    /// No lab of this name is up.
    #[error("there is no lab `{name}`")]
    NoLab {
        /// The name that was asked for.
        name: String,
    },
    /// The lab has no such host.
    #[error("the lab has no host `{host}`")]
    NoHost {
        /// The name that was asked for.
        host: String,
    },
    /// Every private range is in use.
    #[error("no range of addresses is free on this machine")]
    NoFreeRange,
    /// The kernel cannot slow a network, or not as was asked.
    #[error("this kernel cannot delay or lose packets: {problem}")]
    NoNetem {
        /// What `tc` said.
        problem: String,
    },
    /// A file of the lab.
    #[error("`{}`: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A command of the machine.
    #[error("`{command}`: {problem}")]
    Command {
        /// The command with its arguments.
        command: String,
        /// How it ended and what it said.
        problem: String,
    },
    /// A program that a supply is made of.
    #[error("there is no program `{program}` in the folders of programs")]
    NoProgram {
        /// Its name.
        program: String,
    },
    /// The host did not come up in time.
    #[error("`{host}` did not boot: {last}; the end of its console:\n{console}")]
    DoesNotBoot {
        /// The host.
        host: String,
        /// What the last try to reach it gave.
        last: String,
        /// The last lines of its console.
        console: String,
    },
    /// Processes that stay after SIGKILL.
    #[error("processes of `{host}` do not end: {processes:?}")]
    DoesNotEnd {
        /// The host.
        host: String,
        /// Their ids.
        processes: Vec<i32>,
    },
}

/// What a lab shall be.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Labs of different names live beside each other; hosts are called by it and a number from 1 on.
    pub name: String,
    /// How many hosts.
    pub hosts: u8,
}

/// One host of a lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, known to all hosts of the lab and to [`Lab::ssh_config`].
    pub name: String,
    /// Its only address, reachable from this machine and from the other hosts.
    pub address: Ipv4Addr,
}

/// Running hosts. They end when this is dropped, unless [`Lab::keep`] was called or it was opened with
/// [`Lab::open`].
#[derive(Debug)]
pub struct Lab {
    state: State,
    folder: PathBuf,
    keep: bool,
    /// Held so that no other process makes or clears the lab of this name.
    _lock: Option<File>,
}

impl Lab {
    /// Why this machine cannot have test hosts, in one sentence, or nothing when it can.
    pub fn missing() -> Option<String> {
        missing::missing()
    }

    /// Makes and boots a lab. What an earlier lab of this name left is cleared away first. The first lab on a
    /// machine makes the base root, which takes minutes and Debian's packages.
    pub fn up(options: &LabOptions) -> Result<Lab, LabError> {
        let name = &options.name;
        check_name(name)?;
        if !(1..=MOST_HOSTS).contains(&options.hosts) {
            return Err(LabError::TooMany { hosts: options.hosts });
        }
        let folder = labs().join(name);
        make_folder(&labs(), 0o755)?;
        let lock = lock_name(name)?;
        let whole = open_lock(&home().join("lock"))?;
        whole.lock().map_err(at(&home()))?;
        clear(&folder)?;
        let base = base::base_root(&home(), &whole)?;
        make_folder(&folder, 0o700)?;
        let taken: Vec<_> = State::all(&labs()).iter().map(State::range).collect();
        let state = State::new(name, options.hosts, network::free_range(&taken)?, base, &folder)?;
        state.save(&folder)?;
        drop(whole);
        let lab = Lab { state, folder, keep: false, _lock: Some(lock) };
        lab.make()?;
        Ok(lab)
    }

    /// A lab that is up, made by this or another process. Dropping it leaves it up.
    pub fn open(name: &str) -> Result<Lab, LabError> {
        check_name(name)?;
        let folder = labs().join(name);
        if !folder.join("state.json").exists() {
            return Err(LabError::NoLab { name: name.to_owned() });
        }
        Ok(Lab { state: State::load(&folder)?, folder, keep: true, _lock: None })
    }

    /// The names of all labs that are up, or that a killed process left.
    pub fn list() -> Vec<String> {
        State::all(&labs()).into_iter().map(|state| state.name).collect()
    }

    /// Clears away the lab of this name, also what is left of one that was not made to the end.
    pub fn clear(name: &str) -> Result<(), LabError> {
        check_name(name)?;
        let _lock = lock_name(name)?;
        clear(&labs().join(name))
    }

    fn make(&self) -> Result<(), LabError> {
        network::make(&self.state)?;
        machine::make_key(&self.key(), "lab")?;
        let public = read(&self.key().with_extension("pub"))?;
        let (mut known, mut config) = (Vec::new(), Vec::new());
        for host in &self.state.hosts {
            machine::make_disk(&self.state, host, &public)?;
            let host_key = read(&host.root.join("etc/ssh/ssh_host_ed25519_key.pub"))?;
            known.push(format!("{},{} {host_key}", host.name, host.address));
            config.push(format!("Host {}\n    HostName {}\n", host.name, host.address));
        }
        config.push(format!(
            "Host *\n    User lab\n    IdentityFile {}\n    IdentitiesOnly yes\n    UserKnownHostsFile {}\n    \
             GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n    ConnectTimeout 5\n",
            self.key().display(),
            self.known_hosts().display()
        ));
        write(&self.known_hosts(), &known.concat(), 0o600)?;
        write(&self.ssh_config(), &config.concat(), 0o600)?;
        for host in &self.state.hosts {
            machine::start(self.state.layout, host)?;
        }
        self.state.hosts.iter().try_for_each(|host| self.wait_until_ready(host))
    }

    fn wait_until_ready(&self, host: &HostState) -> Result<(), LabError> {
        let until = Instant::now() + BOOT_TIME;
        loop {
            let output = self.exec(&host.name, &["systemctl", "is-system-running", "--wait"])?;
            let said = String::from_utf8_lossy(&output.stdout);
            // Degraded: a unit that cannot work in such a host failed, all else is up.
            if ["running", "degraded"].contains(&said.trim()) {
                return Ok(());
            }
            if Instant::now() > until || !machine::is_running(host) {
                let console = read(&host.root.with_file_name("console.log")).unwrap_or_default();
                let lines: Vec<&str> = console.lines().rev().take(20).collect();
                let console = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
                let last = format!("{}{}", said, String::from_utf8_lossy(&output.stderr)).trim().to_owned();
                return Err(LabError::DoesNotBoot { host: host.name.clone(), last, console });
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// All hosts, in order.
    pub fn hosts(&self) -> Vec<Host> {
        let host = |host: &HostState| Host { name: host.name.clone(), address: host.address };
        self.state.hosts.iter().map(host).collect()
    }

    /// The address of this machine as the hosts reach it, and all of the network that they do reach.
    pub fn gateway(&self) -> Ipv4Addr {
        self.state.gateway
    }

    /// A configuration for `ssh -F`: every host by its name, user `lab`, verified host keys.
    pub fn ssh_config(&self) -> PathBuf {
        self.folder.join("ssh_config")
    }

    /// The hosts' keys, by name and address.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.join("known_hosts")
    }

    /// The private key of the users `lab` (sudo without a password) and `locked` (with [`LOCKED_PASSWORD`]).
    pub fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// Pulls the host's network cable.
    pub fn partition(&self, host: &str) -> Result<(), LabError> {
        network::plug(self.host(host)?, false)
    }

    /// Plugs it in again.
    pub fn heal(&self, host: &str) -> Result<(), LabError> {
        network::plug(self.host(host)?, true)
    }

    /// Makes all that the host receives late, and loses some of it; zero of both ends that.
    /// [`LabError::NoNetem`] where the kernel cannot.
    pub fn delay(&self, host: &str, milliseconds: u32, loss_percent: u8) -> Result<(), LabError> {
        network::delay(self.host(host)?, milliseconds, loss_percent)
    }

    /// Power loss: every process of the host ends at once. Its disk stays.
    pub fn kill(&self, host: &str) -> Result<(), LabError> {
        machine::kill(self.host(host)?)
    }

    /// Starts a host that was killed or shut down, and waits until it is ready.
    pub fn boot(&self, host: &str) -> Result<(), LabError> {
        let host = self.host(host)?;
        if !machine::is_running(host) {
            machine::start(self.state.layout, host)?;
        }
        self.wait_until_ready(host)
    }

    /// Shuts the host down cleanly and boots it.
    pub fn reboot(&self, host: &str) -> Result<(), LabError> {
        machine::shut_down(self.host(host)?)?;
        self.boot(host)
    }

    /// Whether the host has a process.
    pub fn is_running(&self, host: &str) -> Result<bool, LabError> {
        self.host(host).map(machine::is_running)
    }

    /// Runs a command on a host over SSH as `lab`; each argument arrives as one. An exit status of 255 is one of
    /// SSH itself.
    pub fn exec<S: AsRef<str>>(&self, host: &str, command: &[S]) -> Result<Output, LabError> {
        self.host(host)?;
        let words: Vec<String> = command.iter().map(|word| quoted(word.as_ref())).collect();
        Command::new("ssh")
            .args([OsStr::new("-F"), self.ssh_config().as_os_str()])
            .args(["-o", "BatchMode=yes", host, "--", &words.join(" ")])
            .stdin(Stdio::null())
            .output()
            .map_err(at(Path::new("ssh")))
    }

    /// Leaves the lab up when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Ends the hosts and removes everything but the base root.
    pub fn down(mut self) -> Result<(), LabError> {
        self.keep = true;
        clear(&self.folder)
    }

    fn host(&self, name: &str) -> Result<&HostState, LabError> {
        let found = self.state.hosts.iter().find(|host| host.name == name);
        found.ok_or_else(|| LabError::NoHost { host: name.to_owned() })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.keep {
            // Nobody could act on an error here; the next lab of this name clears the rest.
            let _ = clear(&self.folder);
        }
    }
}

/// Where base root and labs are.
fn home() -> PathBuf {
    std::env::var_os("KUBESPRAY_LAB_DIR")
        .map_or_else(|| PathBuf::from("/var/lib/kubespray-lab"), PathBuf::from)
}

fn labs() -> PathBuf {
    home().join("labs")
}

fn check_name(name: &str) -> Result<(), LabError> {
    let fits = name.len() <= 20
        && name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    if fits { Ok(()) } else { Err(LabError::Name { name: name.to_owned() }) }
}

fn open_lock(path: &Path) -> Result<File, LabError> {
    File::options().read(true).append(true).create(true).open(path).map_err(at(path))
}

fn lock_name(name: &str) -> Result<File, LabError> {
    make_folder(&labs(), 0o755)?;
    let lock = open_lock(&labs().join(format!("{name}.lock")))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(_) => Err(LabError::InUse { name: name.to_owned() }),
    }
}

/// Ends and removes the lab in `folder`, whatever there is of it.
fn clear(folder: &Path) -> Result<(), LabError> {
    if let Ok(state) = State::load(folder) {
        for host in &state.hosts {
            machine::kill(host)?;
            machine::unmount(host);
            cgroup::remove(host);
        }
        network::remove(&state);
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(at(folder))?;
    }
    Ok(())
}

/// `word` as one word of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
