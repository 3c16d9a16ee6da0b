//! Why a connection is over.

/// Why a connection is over. Texts hold no passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disconnect {
    /// Nobody listens on the port.
    #[error("the host refuses connections")]
    Refused,
    /// The network knows no way to the host.
    #[error("there is no route to the host")]
    Unreachable,
    /// The name has no address.
    #[error("the host's name cannot be resolved")]
    Unresolved,
    /// Nothing came in time.
    #[error("nothing came within {seconds} s while {doing}")]
    TimedOut {
        /// What was waited for.
        doing: &'static str,
        /// How long, in seconds.
        seconds: u64,
        /// What the host said before.
        evidence: Vec<String>,
    },
    /// sshd hangs up before the login: too many handshakes at once (`MaxStartups`), or a deny list.
    #[error("sshd hung up before the login")]
    HungUp {
        /// What ssh said.
        evidence: Vec<String>,
    },
    /// The host shows another key than the known one.
    #[error("the host's key is not the known one{}", at(line.as_deref()))]
    HostKeyChanged {
        /// File and line of the known key.
        line: Option<String>,
    },
    /// The host's key is not known.
    #[error("the host's key is not known")]
    HostKeyUnknown,
    /// The host does not accept keys or password.
    #[error("the host does not accept the login")]
    AuthenticationFailed {
        /// What ssh said.
        evidence: Vec<String>,
    },
    /// The jump host does not forward connections.
    #[error("the jump host forbids forwarding")]
    ForwardingForbidden,
    /// ssh itself cannot work.
    #[error("`ssh` cannot be used: {reason}")]
    SshUnusable {
        /// Why.
        reason: String,
    },
    /// What the target says is impossible.
    #[error("the way to the host is wrong: {reason}")]
    BadTarget {
        /// Why.
        reason: String,
    },
    /// sudo asks for a password and none was given.
    #[error("sudo needs a password")]
    SudoNeedsPassword,
    /// sudo does not accept the password.
    #[error("sudo does not accept the password")]
    SudoWrongPassword,
    /// There is no sudo.
    #[error("the host has no sudo")]
    SudoMissing,
    /// The user may not use sudo, or not for a shell as root.
    #[error("the user may not become root with sudo")]
    NotInSudoers,
    /// sudo wants a terminal.
    #[error("sudo wants a terminal (`requiretty`)")]
    RequiresTty,
    /// The login is not root, and sudo is switched off.
    #[error("the login is not root (uid {uid}) and sudo is off")]
    NotRoot {
        /// The user's id.
        uid: String,
    },
    /// There is no helper for the host's processor.
    #[error("the host is `{host}` and there is no helper for it, only for {}", list(have))]
    WrongArchitecture {
        /// What `uname -m` says.
        host: String,
        /// What there are helpers for.
        have: Vec<String>,
    },
    /// No folder can hold and execute the helper.
    #[error("no folder can hold and execute the helper")]
    NoExecutableFolder {
        /// The folders and what is wrong with each.
        tried: Vec<String>,
    },
    /// The helper does not fit.
    #[error("the host has no space for the helper{}", sizes(*free_kib, *need_kib))]
    NoSpace {
        /// Free, in KiB, where known.
        free_kib: Option<u64>,
        /// Needed, in KiB.
        need_kib: u64,
    },
    /// The login runs no POSIX shell.
    #[error("the login gives no POSIX shell")]
    NoShell {
        /// What came instead.
        evidence: Vec<String>,
    },
    /// The helper could not be brought to the host.
    #[error("the upload of the helper failed: {reason}")]
    UploadFailed {
        /// Why.
        reason: String,
        /// What the host said.
        evidence: Vec<String>,
    },
    /// The program for uploads cannot be read on this machine.
    #[error("the helper cannot be read here: {reason}")]
    HelperUnreadable {
        /// Why.
        reason: String,
    },
    /// The helper is another one than was sent.
    #[error("the helper speaks protocol {protocol} and is build `{build}`, wanted were {wanted}")]
    HelperIncompatible {
        /// Its protocol.
        protocol: u32,
        /// Its build.
        build: String,
        /// What was wanted.
        wanted: String,
    },
    /// The connection broke.
    #[error("the connection is lost: {reason}")]
    Lost {
        /// What was noticed.
        reason: String,
        /// What ssh and the host said.
        evidence: Vec<String>,
    },
    /// It was closed from here.
    #[error("the connection was closed")]
    Ended,
}

fn at(line: Option<&str>) -> String {
    line.map(|line| format!(" in `{line}`")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn sizes(free: Option<u64>, need: u64) -> String {
    free.map(|free| format!(": {free} KiB free, {need} KiB needed")).unwrap_or_default()
}

impl Disconnect {
    /// What to do next; nothing where there is nothing to do.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Refused => "is sshd running, and is `ansible_port` right?",
            Self::Unreachable => "check `ansible_host`, routes and firewalls",
            Self::Unresolved => "set `ansible_host` to an address",
            Self::TimedOut { .. } => "is the host on, and does a firewall drop packets? try `ssh` by hand",
            Self::HungUp { .. } => {
                "lower the number of handshakes at once, or raise `MaxStartups` in the host's sshd_config"
            }
            Self::HostKeyChanged { .. } => {
                "if the host was installed anew, remove the old key with `ssh-keygen -R`; if not, somebody may be listening"
            }
            Self::HostKeyUnknown => {
                "connect once by hand and compare the fingerprint, add the key to known_hosts, or allow new keys to be accepted"
            }
            Self::AuthenticationFailed { .. } => {
                "check `ansible_user` and `ansible_ssh_private_key_file`, load the key into the agent, or give a password"
            }
            Self::ForwardingForbidden => "set `AllowTcpForwarding yes` in the jump host's sshd_config",
            Self::SshUnusable { .. } => "install the OpenSSH client and check its configuration",
            Self::BadTarget { .. } => "correct the connection variables of the host",
            Self::SudoNeedsPassword => {
                "give the password with `-K` or `ansible_become_password`, or allow NOPASSWD"
            }
            Self::SudoWrongPassword => "check the password given with `-K` or `ansible_become_password`",
            Self::SudoMissing => "install sudo on the host, or log in as root",
            Self::NotInSudoers => "allow the user to run everything as root in /etc/sudoers.d",
            Self::RequiresTty => "add `Defaults:USER !requiretty` to /etc/sudoers.d on the host",
            Self::NotRoot { .. } => "set `ansible_become: true`, or log in as root",
            Self::WrongArchitecture { .. } => "name a binary of this program for the host's processor",
            Self::NoExecutableFolder { .. } => {
                "remount one of the folders without `noexec`, or make it root's own"
            }
            Self::NoSpace { .. } => "free some space on the host",
            Self::NoShell { .. } => "give the user a login shell such as /bin/bash",
            Self::UploadFailed { .. } => "try again; if it stays, look at the host's messages above",
            Self::HelperUnreadable { .. } => "check that the file exists and may be read",
            Self::HelperIncompatible { .. } => "try again: the helper is then uploaded anew",
            Self::Lost { .. } => "try again: the run goes on where it stopped",
            Self::Ended => return None,
        })
    }

    /// Whether trying again without changing anything can help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::Unreachable
                | Self::TimedOut { .. }
                | Self::HungUp { .. }
                | Self::UploadFailed { .. }
                | Self::Lost { .. }
        )
    }

    /// What ssh and the host said, line by line, where that tells more than the message.
    pub fn evidence(&self) -> &[String] {
        match self {
            Self::TimedOut { evidence, .. }
            | Self::HungUp { evidence }
            | Self::AuthenticationFailed { evidence }
            | Self::NoShell { evidence }
            | Self::UploadFailed { evidence, .. }
            | Self::Lost { evidence, .. } => evidence,
            Self::NoExecutableFolder { tried } => tried,
            _ => &[],
        }
    }
}
