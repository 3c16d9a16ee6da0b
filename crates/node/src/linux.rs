//! A real host.

mod background;
mod datagram;
mod facts;
mod fetch;
mod files;
mod http;
mod names;
mod network;
mod pods;
mod ports;
mod process;
mod remove;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use kubespray_resource::{Digest, Facts, Mode, Owner, PortState, Trial};

use background::Background;

use crate::supply::Supply;
use crate::{Chunk, Fetch, Host, HostError, HttpRequest, HttpResponse, Metadata, Output, Spawn, Stamp};

/// Where programs are looked up: the folders of root's own `PATH`, whatever sudo made of it.
const FOLDERS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The host that this program runs on.
#[derive(Debug)]
pub struct LinuxHost {
    root: PathBuf,
    folders: Vec<PathBuf>,
    cancelled: Arc<AtomicBool>,
    started: Instant,
    roots: fetch::Roots,
    agents: http::Agents,
    supply: Option<Mutex<Supply>>,
    listeners: Mutex<Background>,
    in_pod: Mutex<Background>,
}

impl Default for LinuxHost {
    fn default() -> Self {
        Self::new()
    }
}

impl LinuxHost {
    /// The host itself.
    pub fn new() -> Self {
        Self::at(PathBuf::from("/"), FOLDERS.iter().map(PathBuf::from).collect())
    }

    /// A host whose paths lie below a folder and whose programs are in given folders, for tests.
    pub fn at(root: PathBuf, folders: Vec<PathBuf>) -> Self {
        Self {
            root,
            folders,
            cancelled: Arc::default(),
            started: Instant::now(),
            roots: fetch::Roots::default(),
            agents: http::Agents::default(),
            supply: None,
            listeners: Mutex::default(),
            in_pod: Mutex::default(),
        }
    }

    /// What [`Host::is_cancelled`] tells; set by whoever hears that the controller wants to stop.
    pub fn cancelled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    /// Lets the host ask the controller that it is connected to for files.
    pub(crate) fn supply_by(&mut self, supply: Supply) {
        self.supply = Some(Mutex::new(supply));
    }

    /// Waits until no other helper of this host applies a step. The lock ends with what is given.
    pub(crate) fn lock_steps(&self) -> Result<File, HostError> {
        /// How soon the end of the other's step, or a wish to stop, is seen.
        const NAP: Duration = Duration::from_millis(100);
        let path = crate::paths::STEPS;
        crate::paths::ensure(self, crate::paths::BASE)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(self.path(path));
        let file = file.map_err(refused("open", path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if self.is_cancelled() => return Err(HostError::Cancelled),
                Err(TryLockError::WouldBlock) => std::thread::sleep(NAP),
                Err(TryLockError::Error(error)) => return Err(refused("lock", path)(error)),
            }
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn read_text(&self, path: &str) -> Option<String> {
        fs::read(self.path(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The error of a call, with what was tried.
fn refused(verb: &str, path: &str) -> impl Fn(io::Error) -> HostError {
    let what = format!("{verb} `{path}`");
    move |error| HostError::Refused { what: what.clone(), why: words(&error) }
}

/// The system's words without their number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

/// What is not there is no error.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Host for LinuxHost {
    fn metadata(&self, path: &str) -> Result<Option<Metadata>, HostError> {
        if_there(files::metadata(&self.root, &self.path(path))).map_err(refused("look at", path))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, HostError> {
        if_there(fs::read(self.path(path))).map_err(refused("read", path))
    }

    fn open(&self, path: &str) -> Result<Option<Box<dyn Read + '_>>, HostError> {
        let file = if_there(fs::File::open(self.path(path))).map_err(refused("read", path))?;
        Ok(file.map(|file| Box::new(file) as Box<dyn Read>))
    }

    fn stamp(&self, path: &str) -> Result<Option<Stamp>, HostError> {
        Ok(if_there(files::stamp(&self.path(path))).map_err(refused("look at", path))?.flatten())
    }

    fn digest(&self, path: &str) -> Result<Option<Digest>, HostError> {
        if_there(files::digest(&self.path(path))).map_err(refused("read", path))
    }

    fn read_link(&self, path: &str) -> Result<Option<String>, HostError> {
        let target = match fs::read_link(self.path(path)) {
            // Something else than a link is there.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
            other => if_there(other).map_err(refused("read the link", path))?,
        };
        Ok(target.map(|target| target.to_string_lossy().into_owned()))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, HostError> {
        files::list(&self.path(path)).map_err(refused("list", path))
    }

    fn write(&self, path: &str, bytes: &[u8], mode: Mode, owner: &Owner) -> Result<(), HostError> {
        let (uid, gid) = self.owner(owner)?;
        files::write(&self.path(path), bytes, mode, uid, gid).map_err(refused("write", path))
    }

    fn write_from(
        &self,
        path: &str,
        from: &mut dyn Read,
        mode: Mode,
        owner: &Owner,
    ) -> Result<(), HostError> {
        let (uid, gid) = self.owner(owner)?;
        files::write(&self.path(path), from, mode, uid, gid).map_err(refused("write", path))
    }

    fn write_part(&self, path: &str, offset: u64, bytes: &[u8], last: bool) -> Result<(), HostError> {
        files::write_part(&self.path(path), offset, bytes, last).map_err(refused("write", path))
    }

    fn write_in_place(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        files::write_in_place(&self.path(path), bytes).map_err(refused("write to", path))
    }

    fn append(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        files::append(&self.path(path), bytes).map_err(refused("append to", path))
    }

    fn note(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        files::note(&self.path(path), bytes).map_err(refused("append to", path))
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<bool, HostError> {
        files::create_new(&self.path(path), bytes).map_err(refused("make", path))
    }

    fn make_dir(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError> {
        let (uid, gid) = self.owner(owner)?;
        files::make_dir(&self.path(path), mode, uid, gid).map_err(refused("make the folder", path))
    }

    fn make_link(&self, path: &str, target: &str) -> Result<(), HostError> {
        files::make_link(&self.path(path), target).map_err(refused("make the link", path))
    }

    fn set_attributes(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError> {
        let (uid, gid) = self.owner(owner)?;
        files::set_attributes(&self.path(path), mode, uid, gid)
            .map_err(refused("set mode and owner of", path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        files::rename(&self.path(from), &self.path(to)).map_err(refused("move to", to))
    }

    fn remove(&self, path: &str, recursive: bool) -> Result<(), HostError> {
        let real = self.path(path);
        let result = if recursive { remove::remove_all(&real) } else { files::remove_one(&real) };
        result.map_err(refused("remove", path))
    }

    fn run(&self, spawn: &Spawn) -> Result<Output, HostError> {
        process::run(&self.root, &self.folders, spawn)
    }

    fn connect(&self, address: &str, timeout: Duration) -> Result<Duration, HostError> {
        let what = format!("connect to `{address}`");
        let unreachable =
            |error: io::Error| HostError::Unreachable { what: what.clone(), why: words(&error) };
        let began = Instant::now();
        let addresses: Vec<SocketAddr> = match address.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                let (name, port) = address.rsplit_once(':').unwrap_or((address, ""));
                let port = port.parse().map_err(|_| HostError::Refused {
                    what: what.clone(),
                    why: "that is no `address:port`".into(),
                })?;
                self.addresses(name)?.into_iter().map(|address| SocketAddr::new(address, port)).collect()
            }
        };
        let mut last = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout.max(Duration::from_millis(1))) {
                Ok(_) => return Ok(began.elapsed()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(
            || HostError::Unreachable { what: what.clone(), why: "it has no address".into() },
            unreachable,
        ))
    }

    fn listen(&self, ports: &[u16], time: Duration) -> Result<BTreeMap<u16, PortState>, HostError> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ports::listen(&mut listeners, &self.root, ports, time))
    }

    fn try_network(&self, pod: Option<&str>, trials: &[Trial]) -> Result<Vec<Option<String>>, HostError> {
        pods::try_network(&self.root, pod, trials)
    }

    fn listen_in_pod(&self, pod: &str, port: u16, time: Duration) -> Result<(), HostError> {
        let mut listening = self.in_pod.lock().unwrap_or_else(PoisonError::into_inner);
        pods::listen(&mut listening, &self.root, pod, port, time)
    }

    fn connect_socket(&self, path: &str) -> Result<(), HostError> {
        UnixStream::connect(self.path(path)).map(drop).map_err(|error| HostError::Unreachable {
            what: format!("connect to `{path}`"),
            why: words(&error),
        })
    }

    fn fetch(&self, fetch: &Fetch<'_>) -> Result<(), HostError> {
        fetch::fetch(self, fetch)
    }

    fn http(&self, request: &HttpRequest<'_>) -> Result<HttpResponse, HostError> {
        http::ask(self, request)
    }

    fn exchange(&self, address: &str, datagram: &[u8], timeout: Duration) -> Result<Vec<u8>, HostError> {
        datagram::exchange(address, datagram, timeout)
    }

    fn supply(&self, digest: &Digest, offset: u64, timeout: Duration) -> Result<Chunk, HostError> {
        match &self.supply {
            Some(supply) => {
                let mut supply = supply.lock().unwrap_or_else(PoisonError::into_inner);
                supply.chunk(digest, offset, timeout, &self.cancelled)
            }
            None => Err(HostError::Refused {
                what: format!("ask the controller for `{digest}`"),
                why: "none is connected".into(),
            }),
        }
    }

    fn facts(&self) -> Result<Facts, HostError> {
        facts::gather(self)
    }

    fn boot_id(&self) -> Result<String, HostError> {
        let path = "/proc/sys/kernel/random/boot_id";
        fs::read_to_string(self.path(path)).map(|text| text.trim().to_owned()).map_err(refused("read", path))
    }

    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
    }

    fn monotonic_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn sleep(&self, time: Duration) -> Result<(), HostError> {
        /// How soon a wish to stop is heard.
        const NAP: Duration = Duration::from_millis(100);
        let end = Instant::now() + time;
        loop {
            if self.is_cancelled() {
                return Err(HostError::Cancelled);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }
}

impl LinuxHost {
    fn owner(&self, owner: &Owner) -> Result<(u32, u32), HostError> {
        let names = names::Names::read(&self.root);
        let unknown = |kind: &str, name: &str| HostError::Refused {
            what: format!("look up the {kind} `{name}`"),
            why: "the host has none".into(),
        };
        Ok((
            names.uid(&owner.user).ok_or_else(|| unknown("user", &owner.user))?,
            names.gid(&owner.group).ok_or_else(|| unknown("group", &owner.group))?,
        ))
    }

    /// The addresses of a name as the host resolves it, the best first: `getent` knows its name services, which a
    /// static binary cannot load. Whoever connects tries all: `localhost` is `::1` first, where a proxy may not listen.
    fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, HostError> {
        let plain = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = plain.parse() {
            return Ok(vec![address]);
        }
        let nobody = || HostError::Unreachable {
            what: format!("look up `{name}`"),
            why: "the host knows no address of it".into(),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(nobody());
        }
        let spawn = Spawn { timeout: Duration::from_secs(30), ..Spawn::new(["getent", "ahosts", name]) };
        let mut found: Vec<IpAddr> = match self.run(&spawn) {
            Ok(output) => {
                let words = output.stdout.lines().filter_map(|line| line.split_whitespace().next());
                words.filter_map(|word| word.parse().ok()).collect()
            }
            Err(HostError::NoProgram(_)) => {
                let known = (name, 0).to_socket_addrs().into_iter().flatten();
                known.map(|address| address.ip()).collect()
            }
            Err(error) => return Err(error),
        };
        // Each stands there once for each kind of socket.
        found.dedup();
        if found.is_empty() { Err(nobody()) } else { Ok(found) }
    }
}

/// Opens a folder to sync it: only then a rename in it outlasts a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
