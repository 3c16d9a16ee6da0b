//! What the helper needs of the machine that it runs on.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::time::Duration;

use kubespray_resource::{Digest, Facts, Mode, Owner, PathKind, PortState, Trial};
use serde::{Deserialize, Serialize};

/// A host. Everything that the helper does to the world goes through here, so that a simulated host can
/// stand in, fail at any call, and tell what was done.
///
/// Paths are absolute. Calls may fail with [`HostError`]; after [`HostError::Gone`] the helper is dead and must
/// not try anything else.
pub trait Host {
    /// What is at a path; the link itself, not what it leads to. `None` where nothing is.
    fn metadata(&self, path: &str) -> Result<Option<Metadata>, HostError>;

    /// The bytes of a file, links followed; `None` where nothing is.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, HostError>;

    /// Opens a file to read it piece by piece, links followed; `None` where nothing is.
    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>, HostError> {
        Ok(self.read(path)?.map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read>))
    }

    /// What changes with a file, links not followed; `None` where no file is.
    fn stamp(&self, path: &str) -> Result<Option<Stamp>, HostError> {
        let is = self.metadata(path)?.filter(|is| is.kind == PathKind::File);
        Ok(is.map(|is| Stamp {
            size: is.size,
            modified_ns: is.modified_ns,
            changed_ns: is.modified_ns,
            device: 0,
            inode: 0,
        }))
    }

    /// The digest of a file, links followed; `None` where nothing is.
    fn digest(&self, path: &str) -> Result<Option<Digest>, HostError>;

    /// Where a link leads.
    fn read_link(&self, path: &str) -> Result<Option<String>, HostError>;

    /// The names in a folder, ordered; none where there is no folder.
    fn list(&self, path: &str) -> Result<Vec<String>, HostError>;

    /// Puts a file at a path at once: written beside, synced, renamed, its folder synced. A link at the path
    /// is replaced, not followed. Its folder must exist.
    fn write(&self, path: &str, bytes: &[u8], mode: Mode, owner: &Owner) -> Result<(), HostError>;

    /// As [`Host::write`], with bytes that are read piece by piece. An error of the reader is told as one of
    /// writing.
    fn write_from(
        &self,
        path: &str,
        from: &mut dyn Read,
        mode: Mode,
        owner: &Owner,
    ) -> Result<(), HostError> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|error| HostError::Refused {
            what: format!("write `{path}`"),
            why: error.to_string(),
        })?;
        self.write(path, &bytes, mode, owner)
    }

    /// Cuts a file at an offset (made with mode 0600 where it is missing; a link is never followed) and adds
    /// bytes there; synced when they are the `last`.
    fn write_part(&self, path: &str, offset: u64, bytes: &[u8], last: bool) -> Result<(), HostError> {
        let _ = last;
        let mut whole = self.read(path)?.unwrap_or_default();
        whole.resize(usize::try_from(offset).unwrap_or(usize::MAX), 0);
        whole.extend_from_slice(bytes);
        self.write(path, &whole, Mode::PRIVATE, &Owner::root())
    }

    /// Writes into a file that exists, without rename: for `/proc` and `/sys`.
    fn write_in_place(&self, path: &str, bytes: &[u8]) -> Result<(), HostError>;

    /// Adds bytes to the end of a file (made with mode 0600) and syncs it.
    fn append(&self, path: &str, bytes: &[u8]) -> Result<(), HostError>;

    /// Adds bytes to the end of a file that is there, on the disk only with the next [`Host::append`] to it.
    fn note(&self, path: &str, bytes: &[u8]) -> Result<(), HostError>;

    /// Makes a file that must not exist yet, synced; `false` when it exists.
    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<bool, HostError>;

    /// Makes a folder; its parent must exist. Not an error when it exists.
    fn make_dir(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError>;

    /// Makes a link at once, in place of a file or link.
    fn make_link(&self, path: &str, target: &str) -> Result<(), HostError>;

    /// Sets mode and owner, synced.
    fn set_attributes(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError>;

    /// Moves a file at once.
    fn rename(&self, from: &str, to: &str) -> Result<(), HostError>;

    /// Removes a file, a link or an empty folder; with `recursive` a folder with all in it, but nothing on
    /// another file system. Not an error when nothing is there.
    fn remove(&self, path: &str, recursive: bool) -> Result<(), HostError>;

    /// Runs a program to its end.
    fn run(&self, spawn: &Spawn) -> Result<Output, HostError>;

    /// Connects to `address:port` and closes again.
    fn connect(&self, address: &str, timeout: Duration) -> Result<Duration, HostError>;

    /// Listens at ports of all addresses for some time while the host does other things, and says who uses those
    /// that are taken. What was listened at before is let go.
    fn listen(&self, ports: &[u16], time: Duration) -> Result<BTreeMap<u16, PortState>, HostError> {
        let _ = time;
        Ok(ports.iter().map(|port| (*port, PortState::Refused("this host cannot listen".into()))).collect())
    }

    /// Connects to a socket at a path and closes again.
    fn connect_socket(&self, path: &str) -> Result<(), HostError>;

    /// Fetches a URL into a file, from `offset` on where the server can; the file is truncated where it
    /// cannot. `part` belongs to one download: whoever calls checks the digest afterwards.
    fn fetch(&self, fetch: &Fetch<'_>) -> Result<(), HostError>;

    /// Asks a server for something and gives its answer, whatever its status. Redirects are not followed.
    /// Hosts without any server say that it cannot be reached.
    fn http(&self, request: &HttpRequest<'_>) -> Result<HttpResponse, HostError> {
        Err(HostError::Unreachable {
            what: format!("{} `{}`", request.method, request.url),
            why: "nothing listens there".into(),
        })
    }

    /// Sends a datagram to `address:port` and gives the first one that comes back from there. Hosts without a network
    /// say that nothing listens.
    fn exchange(&self, address: &str, datagram: &[u8], timeout: Duration) -> Result<Vec<u8>, HostError> {
        let _ = (datagram, timeout);
        Err(HostError::Unreachable { what: format!("ask `{address}`"), why: "nothing listens there".into() })
    }

    /// Tries what the network leads to, all at once, from the host itself or from within the network of one of its
    /// pods: for each why it failed. A pod that is not there is an error.
    fn try_network(&self, pod: Option<&str>, trials: &[Trial]) -> Result<Vec<Option<String>>, HostError> {
        let _ = trials;
        Err(no_pods(pod.unwrap_or_default()))
    }

    /// Listens within the network of a pod for some time while the host does other things. Whoever connects gets many
    /// bytes, datagrams come back. What was listened at in pods before is let go.
    fn listen_in_pod(&self, pod: &str, port: u16, time: Duration) -> Result<(), HostError> {
        let _ = (port, time);
        Err(no_pods(pod))
    }

    /// Bytes of a file that the controller keeps, from an offset on. Waits as long as something comes within the
    /// timeout. A host that no controller is connected to gets none.
    fn supply(&self, digest: &Digest, offset: u64, timeout: Duration) -> Result<Chunk, HostError> {
        let _ = (offset, timeout);
        Err(HostError::Refused {
            what: format!("ask the controller for `{digest}`"),
            why: "none is connected".into(),
        })
    }

    /// What the host is.
    fn facts(&self) -> Result<Facts, HostError>;

    /// The id of this boot.
    fn boot_id(&self) -> Result<String, HostError>;

    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;

    /// Microseconds of a clock that only goes forward, to measure short times.
    fn monotonic_us(&self) -> u64 {
        self.now_ms().saturating_mul(1000)
    }

    /// Waits.
    fn sleep(&self, time: Duration) -> Result<(), HostError>;

    /// Whether the controller wants the helper to stop at the next safe moment.
    fn is_cancelled(&self) -> bool;
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: PathKind,
    /// Permission bits.
    pub mode: Mode,
    /// Owner by names; by numbers where they have none.
    pub owner: Owner,
    /// Bytes.
    pub size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// What changes with a file, whatever is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Time of the last change of its bytes, in nanoseconds since 1970. Anyone may set it.
    pub modified_ns: i128,
    /// Time of the last change of anything, in nanoseconds since 1970. Nobody can set it.
    pub changed_ns: i128,
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The bytes; none where the file ends before them.
    pub bytes: Vec<u8>,
    /// Whether the file ends with them.
    pub last: bool,
}

/// A program to run, without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spawn {
    /// Program and arguments. A program without a slash is looked up in a fixed list of folders.
    pub argv: Vec<String>,
    /// Environment beyond a small fixed one (`PATH`, `HOME=/root`, `LC_ALL=C.UTF-8`).
    pub environment: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Option<String>,
    /// How long it may take; then it and its children are killed.
    pub timeout: Duration,
}

impl Spawn {
    /// A program with a minute's time.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            stdin: None,
            timeout: Duration::from_mins(1),
        }
    }
}

fn no_pods(pod: &str) -> HostError {
    HostError::Refused { what: format!("enter the pod `{pod}`"), why: "this host has none".into() }
}

/// What a program left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; nothing when a signal ended it.
    pub status: Option<i32>,
    /// What it printed. Only the end of very long outputs is kept.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.status == Some(0)
    }
}

/// Something to fetch.
#[derive(Clone, Debug)]
pub struct Fetch<'a> {
    /// `http`, `https` or `file`.
    pub url: &'a str,
    /// The file that is written.
    pub to: &'a str,
    /// Bytes that are there already.
    pub offset: u64,
    /// The proxy, if any.
    pub proxy: Option<&'a str>,
    /// Whether certificates are checked.
    pub verify_tls: bool,
    /// How long it may go without a byte.
    pub timeout: Duration,
}

/// A request to a server.
#[derive(Clone, Debug)]
pub struct HttpRequest<'a> {
    /// `GET`, `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: &'a str,
    /// `https://` or `http://`, with path and query.
    pub url: &'a str,
    /// The type of the body.
    pub content_type: &'a str,
    /// The body, if any.
    pub body: Option<Vec<u8>>,
    /// Who asks, and whom is believed.
    pub identity: &'a HttpIdentity,
    /// How long it may take altogether.
    pub timeout: Duration,
}

/// Who asks a server, and whom it is believed to be.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HttpIdentity {
    /// Certificates of authorities in PEM; the server's certificate must come from one of them.
    pub authorities: String,
    /// Our certificate, with those above it, in PEM.
    pub certificate: Option<String>,
    /// Its key in PEM.
    pub key: Option<String>,
    /// A bearer token.
    pub token: Option<String>,
    /// Whether the server's certificate is not checked.
    pub insecure: bool,
}

impl std::fmt::Debug for HttpIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpIdentity")
            .field("certificate", &self.certificate.is_some())
            .field("token", &self.token.is_some())
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

/// The answer of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// After how many seconds the server wants to be asked again (`Retry-After`).
    pub retry_after_s: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a host did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The host refuses: no space, no permission, a folder in the way.
    #[error("{what}: {why}")]
    Refused {
        /// What was tried, with the path or program.
        what: String,
        /// The system's words.
        why: String,
    },
    /// A program is not there.
    #[error("no program `{0}`")]
    NoProgram(String),
    /// A program or connection took too long.
    #[error("{what} took longer than {seconds} s")]
    Timeout {
        /// What was tried.
        what: String,
        /// The limit.
        seconds: u64,
    },
    /// The other side cannot be reached, or answers with an error that may pass.
    #[error("{what}: {why}")]
    Unreachable {
        /// What was tried.
        what: String,
        /// Why not.
        why: String,
    },
    /// The controller wants the helper to stop.
    #[error("stopped on request")]
    Cancelled,
    /// The helper is dead (simulated hosts only).
    #[error("the helper is dead")]
    Gone,
}
