//! A host in memory.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use kubespray_node::{Fetch, Host, HostError, HttpRequest, HttpResponse, Metadata, Output, Spawn};
use kubespray_resource::wire::Apply;
use kubespray_resource::{
    Address, Digest, Facts, FileSystem, Interface, Mode, OperatingSystem, Owner, PathKind,
};

use crate::boot::boot;
use crate::files::{Entry, Files, Node};
use crate::models::{self, Site};

/// Where the helper keeps its own things.
pub(crate) const BASE: &str = "/var/lib/kubespray";

/// A synced write on a good disk.
const WRITE_US: u64 = 800;
/// A look at a file.
const LOOK_US: u64 = 3;
/// A server gives a file in about so long.
const SERVER_US: u64 = 400_000;

/// What systemd knows of a unit while the host is on.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnitNow {
    pub(crate) active: bool,
    pub(crate) loaded: Option<Digest>,
    /// The number of the effect with which it was started last.
    pub(crate) started_at: u64,
    /// What its program was when it was started, where that matters.
    pub(crate) version: String,
}

/// What happens to a host instead of one of its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trap {
    pub(crate) before_effect: u64,
    /// The power goes; else only the helper dies.
    pub(crate) power: bool,
    /// The host boots anew because it was told to.
    pub(crate) reboot: bool,
}

/// The step that a helper is applying.
#[derive(Clone, Debug)]
pub(crate) struct Applying {
    pub(crate) step: String,
    journal: String,
    pub(crate) is_journalled: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Inner {
    pub(crate) name: String,
    pub(crate) number: u16,
    /// Where it is on the network, if its number does not say it.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) files: Files,
    /// Durable: packages and their versions, holds, enabled and masked units.
    pub(crate) packages: BTreeMap<String, String>,
    pub(crate) held: BTreeSet<String>,
    /// Newer versions that the mirror has of packages, and whether they ask for a reboot.
    pub(crate) offered: BTreeMap<String, (String, bool)>,
    pub(crate) enabled: BTreeSet<String>,
    pub(crate) masked: BTreeSet<String>,
    /// Lost when the host goes off.
    pub(crate) units: BTreeMap<String, UnitNow>,
    /// How often units were started, but for boots.
    pub(crate) starts: u64,
    pub(crate) boots: u64,
    pub(crate) clock_us: u64,
    pub(crate) skew_ms: i64,
    pub(crate) spent_us: u64,
    pub(crate) effects: u64,
    pub(crate) trap: Option<Trap>,
    /// The helper at work has run into the trap.
    pub(crate) is_caught: bool,
    pub(crate) is_cancelled: bool,
    pub(crate) disk_full: bool,
    pub(crate) disk_factor: u64,
    pub(crate) mirror_down: bool,
    pub(crate) applying: Option<Applying>,
    /// Effects that no journal told of before.
    pub(crate) unannounced: Vec<String>,
    /// It is off before this moment.
    pub(crate) off_until_us: u64,
    /// Nothing gets through to it.
    pub(crate) is_cut: bool,
    /// From when to when its API server is away, because it begins anew.
    pub(crate) api_away_us: (u64, u64),
    /// When it went off or was cut last.
    pub(crate) away_since_us: u64,
    /// Waiting gives way to others: a helper that waits is stopped, and goes on later from its beginning.
    pub(crate) gives_way: bool,
    /// How long it wants to wait, in microseconds.
    pub(crate) waits_us: Option<u64>,
}

/// A host in memory: files, packages, units, modules, kernel parameters, users. Everything that changes it is
/// counted as an effect, and it can die before any of them.
#[derive(Debug)]
pub struct SimHost {
    pub(crate) inner: Rc<RefCell<Inner>>,
    pub(crate) site: Rc<RefCell<Site>>,
}

impl SimHost {
    /// A freshly installed Debian host. `number` makes its addresses.
    pub fn new(name: &str, number: u16) -> Self {
        let mut inner = Inner { name: name.to_owned(), number, disk_factor: 1, boots: 1, ..Inner::default() };
        for folder in FOLDERS {
            put(&mut inner, folder, Node::Directory, Mode::EXECUTABLE);
        }
        for (path, text) in FILES {
            file(&mut inner, path, text);
        }
        file(&mut inner, "/etc/hostname", &format!("{name}\n"));
        boot(&mut inner);
        Self::of(inner)
    }

    fn of(inner: Inner) -> Self {
        let host = Self { inner: Rc::new(RefCell::new(inner)), site: Rc::default() };
        host.site.borrow_mut().attach(&host);
        host
    }

    /// Puts it beside others.
    pub(crate) fn move_to(&mut self, site: &Rc<RefCell<Site>>) {
        self.site = Rc::clone(site);
        site.borrow_mut().attach(self);
    }

    /// A host that is as this one but for its name. What both have in common takes memory once.
    pub(crate) fn copy(&self, name: &str, number: u16) -> Self {
        let inner = Inner { name: name.to_owned(), number, ..self.inner.borrow().clone() };
        Self::of(inner)
    }

    /// How many effects there were so far.
    pub fn effects(&self) -> u64 {
        self.inner.borrow().effects
    }

    /// How often units were started or restarted since the host was made, but for those of boots.
    pub fn starts(&self) -> u64 {
        self.inner.borrow().starts
    }

    /// A text on the host; nothing where there is none.
    pub fn text(&self, path: &str) -> Option<String> {
        text(&self.inner.borrow(), path)
    }

    /// Puts a text on the host behind everybody's back.
    pub fn put_text(&self, path: &str, text: &str) {
        let mut inner = self.inner.borrow_mut();
        file(&mut inner, path, text);
        inner.files.sync();
    }

    /// All that a run can change, as readable lines by name. What helpers keep for themselves is left out.
    pub fn portrait(&self) -> BTreeMap<String, String> {
        let inner = self.inner.borrow();
        let mut out = BTreeMap::new();
        for (path, entry) in inner.files.all().filter(|(path, _)| !is_own(path)) {
            let what = match &entry.node {
                Node::File(bytes) => Digest::of(bytes).to_string(),
                Node::Directory => "folder".to_owned(),
                Node::Link(target) => format!("-> {target}"),
            };
            out.insert(path.clone(), format!("{} {} {what}", entry.mode, entry.owner));
        }
        out.extend(inner.packages.iter().map(|(name, version)| (format!("package {name}"), version.clone())));
        out.extend(inner.held.iter().map(|name| (format!("held {name}"), String::new())));
        out.extend(inner.enabled.iter().map(|name| (format!("enabled {name}"), String::new())));
        out.extend(inner.masked.iter().map(|name| (format!("masked {name}"), String::new())));
        let active = inner.units.iter().filter(|(_, unit)| unit.active);
        out.extend(active.map(|(name, _)| (format!("active {name}"), String::new())));
        out
    }

    /// All texts that helpers keep on the host, by path.
    pub fn kept_by_helpers(&self) -> BTreeMap<String, String> {
        let inner = self.inner.borrow();
        let own = inner.files.below(BASE).into_iter();
        own.filter_map(|path| text(&inner, &path).map(|text| (path, text))).collect()
    }

    /// Whether a unit was started after a file was changed last.
    pub(crate) fn is_started_since(&self, unit: &str, path: &str) -> bool {
        let inner = self.inner.borrow();
        let changed = inner.files.get(path).map_or(0, |entry| entry.changed_at);
        inner.units.get(unit).is_some_and(|unit| unit.active && unit.started_at > changed)
    }

    /// A helper begins to work at this time.
    pub(crate) fn begin(&self, now_us: u64, is_cancelled: bool, apply: Option<&Apply>) {
        let mut inner = self.inner.borrow_mut();
        inner.clock_us = now_us;
        inner.spent_us = 0;
        inner.is_cancelled = is_cancelled;
        inner.is_caught = false;
        inner.gives_way = false;
        inner.waits_us = None;
        inner.applying = apply.map(|apply| Applying {
            step: apply.step.to_string(),
            journal: format!("{BASE}/journal/{}.jsonl", apply.run),
            is_journalled: false,
        });
    }

    /// The trap that the helper at work has run into, which is gone with that.
    pub(crate) fn caught(&self) -> Option<Trap> {
        let mut inner = self.inner.borrow_mut();
        std::mem::take(&mut inner.is_caught).then(|| inner.trap.take()).flatten()
    }

    /// The power goes: what was not synced is lost. The host is booted when it comes back.
    pub(crate) fn lose_power(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.files.forget();
        inner.boots += 1;
        boot(&mut inner);
    }

    pub(crate) fn alive(&self, cost_us: u64) -> Result<std::cell::RefMut<'_, Inner>, HostError> {
        let mut inner = self.inner.borrow_mut();
        if inner.is_caught {
            return Err(HostError::Gone);
        }
        inner.spent_us += cost_us;
        Ok(inner)
    }

    /// The world is about to be changed.
    pub(crate) fn effect(&self, path: &str, cost_us: u64) -> Result<std::cell::RefMut<'_, Inner>, HostError> {
        let mut inner = self.alive(0)?;
        inner.spent_us += cost_us * inner.disk_factor;
        inner.effects += 1;
        if inner.trap.is_some_and(|trap| trap.before_effect <= inner.effects) {
            inner.is_caught = true;
            return Err(HostError::Gone);
        }
        if let Some(applying) = inner.applying.as_ref().filter(|applying| !applying.is_journalled)
            && !is_own(path)
        {
            let told = format!("`{}` changed `{path}`", applying.step);
            inner.unannounced.push(told);
        }
        Ok(inner)
    }

    /// The host goes down in order, with the helper that asked for it.
    fn reboot(&self) -> Result<Output, HostError> {
        drop(self.alive(0)?);
        for unit in ["kubelet.service", "etcd.service", "etcd-events.service"] {
            models::may_stop(self, unit);
        }
        let mut inner = self.effect("systemctl", 20_000)?;
        inner.files.sync();
        inner.trap = Some(Trap { before_effect: 0, power: true, reboot: true });
        inner.is_caught = true;
        Err(HostError::Gone)
    }

    fn write_effect(&self, path: &str) -> Result<std::cell::RefMut<'_, Inner>, HostError> {
        let inner = self.effect(path, WRITE_US)?;
        if inner.disk_full {
            return Err(refused(path, "no space left on device"));
        }
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        if !parent.is_empty() && parent != "/" && inner.files.get(parent).is_none() {
            return Err(refused(path, "no such file or directory"));
        }
        Ok(inner)
    }
}

/// Folders of a fresh host.
const FOLDERS: [&str; 28] = [
    "/etc",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/sysctl.d",
    "/etc/modules-load.d",
    "/opt",
    "/proc",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib/systemd",
    "/usr/lib/systemd/system",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/local/share",
    "/usr/local/share/ca-certificates",
    "/usr/sbin",
    "/etc/ssl",
    "/var",
    "/var/lib",
    "/var/log",
    "/run",
    "/srv",
    "/home",
    "/tmp",
    "/root",
    "/mnt",
];

/// The kernel's modules.
const MODULES: &str = "kernel/br_netfilter.ko:\nkernel/overlay.ko:\nkernel/dummy.ko:\nkernel/ip_vs.ko:\nkernel/ip_vs_rr.ko:\n\
    kernel/ip_vs_wrr.ko:\nkernel/ip_vs_sh.ko:\nkernel/nf_conntrack.ko:\nkernel/nf_tables.ko:\n";

/// Files of a fresh host.
const FILES: [(&str, &str); 7] = [
    ("/swapfile", ""),
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
    ("/etc/group", "root:x:0:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n"),
    ("/etc/fstab", "/dev/vda1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n"),
    ("/etc/resolv.conf", "nameserver 192.0.2.53\n"),
    ("/lib/modules/6.12.0/modules.dep", MODULES),
];

fn is_own(path: &str) -> bool {
    path.starts_with(BASE)
}

fn refused(path: &str, why: &str) -> HostError {
    HostError::Refused { what: format!("`{path}`"), why: why.to_owned() }
}

pub(crate) fn put(inner: &mut Inner, path: &str, node: Node, mode: Mode) {
    let modified_ns = i128::from(inner.clock_us + inner.spent_us) * 1_000 + i128::from(inner.effects);
    let changed_at = inner.effects;
    inner.files.put(path, Some(Entry { node, mode, owner: Owner::root(), modified_ns, changed_at }));
}

pub(crate) fn file(inner: &mut Inner, path: &str, text: &str) {
    put(inner, path, Node::File(Rc::new(text.as_bytes().to_vec())), Mode::PUBLIC);
}

pub(crate) fn text(inner: &Inner, path: &str) -> Option<String> {
    match &inner.files.follow(path)?.node {
        Node::File(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

impl Host for SimHost {
    fn metadata(&self, path: &str) -> Result<Option<Metadata>, HostError> {
        let inner = self.alive(LOOK_US)?;
        Ok(inner.files.get(path).map(|entry| Metadata {
            kind: entry.kind(),
            mode: entry.mode,
            owner: entry.owner.clone(),
            size: match &entry.node {
                Node::File(bytes) => bytes.len() as u64,
                _ => 0,
            },
            modified_ns: entry.modified_ns,
        }))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, HostError> {
        let inner = self.alive(LOOK_US)?;
        Ok(inner.files.follow(path).and_then(|entry| match &entry.node {
            Node::File(bytes) => Some(bytes.to_vec()),
            _ => None,
        }))
    }

    fn digest(&self, path: &str) -> Result<Option<Digest>, HostError> {
        Ok(self.read(path)?.map(|bytes| Digest::of(&bytes)))
    }

    fn read_link(&self, path: &str) -> Result<Option<String>, HostError> {
        let inner = self.alive(LOOK_US)?;
        Ok(inner.files.get(path).and_then(|entry| match &entry.node {
            Node::Link(target) => Some(target.clone()),
            _ => None,
        }))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, HostError> {
        let inner = self.alive(LOOK_US)?;
        let start = path.trim_end_matches('/').len() + 1;
        let below = inner.files.below(path).into_iter();
        Ok(below
            .filter_map(|path| path.get(start..).filter(|name| !name.contains('/')).map(str::to_owned))
            .collect())
    }

    fn write(&self, path: &str, bytes: &[u8], mode: Mode, owner: &Owner) -> Result<(), HostError> {
        let mut inner = self.write_effect(path)?;
        if inner.files.get(path).is_some_and(|entry| entry.kind() == PathKind::Directory) {
            return Err(refused(path, "is a directory"));
        }
        let before = (path == models::API_MANIFEST).then(|| text(&inner, path));
        put(&mut inner, path, Node::File(Rc::new(bytes.to_vec())), mode);
        inner.files.edit(path, |entry| entry.owner = owner.clone());
        inner.files.sync();
        drop(inner);
        if let Some(before) = before {
            models::manifest_written(self, before.as_deref());
        }
        Ok(())
    }

    fn write_in_place(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        let mut inner = self.effect(path, LOOK_US)?;
        if inner.files.get(path).is_none() {
            return Err(refused(path, "no such file or directory"));
        }
        put(&mut inner, path, Node::File(Rc::new(bytes.to_vec())), Mode::PUBLIC);
        Ok(())
    }

    fn append(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        let result = self.write_effect(path);
        let mut inner = match result {
            Ok(inner) => inner,
            Err(error) => {
                let mut inner = self.inner.borrow_mut();
                if inner.is_caught && inner.trap.is_some_and(|trap| trap.power) {
                    // The power went in the middle of it.
                    inner.files.append(path, bytes.get(..bytes.len() / 2).unwrap_or_default());
                }
                return Err(error);
            }
        };
        if inner.files.get(path).is_none() {
            put(&mut inner, path, Node::File(Rc::default()), Mode::PRIVATE);
        }
        inner.files.append(path, bytes);
        inner.files.sync();
        if let Some(applying) = inner.applying.as_mut().filter(|applying| applying.journal == path) {
            applying.is_journalled |= String::from_utf8_lossy(bytes).contains(&applying.step);
        }
        Ok(())
    }

    fn note(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        let mut inner = self.write_effect(path)?;
        if !inner.files.note(path, bytes) {
            return Err(refused(path, "no such file or directory"));
        }
        Ok(())
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<bool, HostError> {
        if self.metadata(path)?.is_some() {
            return Ok(false);
        }
        self.write(path, bytes, Mode::PRIVATE, &Owner::root())?;
        Ok(true)
    }

    fn make_dir(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError> {
        let mut inner = self.write_effect(path)?;
        if inner.files.get(path).is_none() {
            put(&mut inner, path, Node::Directory, mode);
            inner.files.edit(path, |entry| entry.owner = owner.clone());
            inner.files.sync();
        }
        Ok(())
    }

    fn make_link(&self, path: &str, target: &str) -> Result<(), HostError> {
        let mut inner = self.write_effect(path)?;
        put(&mut inner, path, Node::Link(target.to_owned()), Mode(0o777));
        inner.files.sync();
        Ok(())
    }

    fn set_attributes(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError> {
        let mut inner = self.effect(path, LOOK_US)?;
        let is_there = inner.files.edit(path, |entry| {
            entry.mode = mode;
            entry.owner = owner.clone();
        });
        inner.files.sync();
        if is_there { Ok(()) } else { Err(refused(path, "no such file or directory")) }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        let mut inner = self.effect(to, WRITE_US)?;
        let Some(mut entry) = inner.files.get(from).cloned() else {
            return Err(refused(from, "no such file or directory"));
        };
        entry.changed_at = inner.effects;
        inner.files.put(from, None);
        inner.files.put(to, Some(entry));
        inner.files.sync();
        Ok(())
    }

    fn remove(&self, path: &str, recursive: bool) -> Result<(), HostError> {
        let mut inner = self.effect(path, LOOK_US)?;
        let below = inner.files.below(path);
        if !below.is_empty() && !recursive {
            return Err(refused(path, "directory not empty"));
        }
        for path in below.iter().map(String::as_str).chain([path]) {
            if inner.files.get(path).is_some() {
                inner.files.put(path, None);
            }
        }
        inner.files.sync();
        Ok(())
    }

    fn run(&self, spawn: &Spawn) -> Result<Output, HostError> {
        if let Some(output) = models::run(self, spawn) {
            return output;
        }
        let words: Vec<&str> = spawn.argv.iter().map(String::as_str).collect();
        if let ["systemctl", "stop" | "restart", "--", unit] = words.as_slice() {
            drop(self.alive(0)?);
            models::may_stop(self, unit);
        }
        if words == ["systemctl", "reboot"] {
            return self.reboot();
        }
        let changes = crate::programs::changes(&words);
        let program = words.first().copied().unwrap_or_default();
        let mut inner = if changes { self.effect(program, 20_000)? } else { self.alive(4_000)? };
        let output = crate::programs::run(&mut inner, &words, spawn.stdin.as_deref().unwrap_or_default())?;
        drop(inner);
        if let ["systemctl", "start" | "restart", "--", unit] = words.as_slice()
            && output.is_success()
            && let Err(why) = models::started(self, unit)
        {
            if let Some(unit) = self.inner.borrow_mut().units.get_mut(*unit) {
                unit.active = false;
            }
            let stderr = format!("Job for {unit} failed: {why}\n");
            return Ok(Output { status: Some(1), stdout: String::new(), stderr });
        }
        Ok(output)
    }

    fn connect(&self, address: &str, _: Duration) -> Result<Duration, HostError> {
        self.alive(1_000)?;
        if models::connects(self, address) {
            return Ok(Duration::from_millis(1));
        }
        Err(HostError::Unreachable { what: format!("`{address}`"), why: "connection refused".into() })
    }

    fn connect_socket(&self, path: &str) -> Result<(), HostError> {
        self.alive(LOOK_US)?;
        if models::has_socket(self, path) {
            return Ok(());
        }
        Err(HostError::Unreachable { what: format!("`{path}`"), why: "connection refused".into() })
    }

    /// Files of the host, and those that [`crate::World::imagine_downloads`] serves. While the mirror is down, half of what is
    /// asked for comes.
    fn fetch(&self, fetch: &Fetch<'_>) -> Result<(), HostError> {
        let mut inner = self.write_effect(fetch.to)?;
        let unreachable =
            |why: &str| HostError::Unreachable { what: format!("`{}`", fetch.url), why: why.to_owned() };
        let bytes = match fetch.url.strip_prefix("file://") {
            Some(path) => inner.files.follow(path).and_then(|entry| match &entry.node {
                Node::File(bytes) => Some(Rc::clone(bytes)),
                _ => None,
            }),
            None => {
                inner.spent_us += SERVER_US;
                self.site.borrow().mirror.get(fetch.url)
            }
        };
        let Some(bytes) = bytes else { return Err(unreachable("no route to host")) };
        let offset = (fetch.offset as usize).min(bytes.len());
        let end = if inner.mirror_down { offset + (bytes.len() - offset) / 2 } else { bytes.len() };
        inner.spent_us += (end - offset) as u64 / 100;
        let old = match inner.files.get(fetch.to).map(|entry| entry.node.clone()) {
            Some(Node::File(old)) => old.get(..offset).unwrap_or_default().to_vec(),
            _ => Vec::new(),
        };
        let new = [old.as_slice(), bytes.get(offset..end).unwrap_or_default()].concat();
        put(&mut inner, fetch.to, Node::File(Rc::new(new)), Mode::PRIVATE);
        if inner.mirror_down { Err(unreachable("connection reset by peer")) } else { Ok(()) }
    }

    fn facts(&self) -> Result<Facts, HostError> {
        let inner = self.alive(5_000)?;
        Ok(facts(&inner))
    }

    fn boot_id(&self) -> Result<String, HostError> {
        let inner = self.alive(LOOK_US)?;
        Ok(boot_id(&inner))
    }

    fn now_ms(&self) -> u64 {
        let inner = self.inner.borrow();
        ((inner.clock_us + inner.spent_us) / 1000).saturating_add_signed(inner.skew_ms)
    }

    fn monotonic_us(&self) -> u64 {
        let inner = self.inner.borrow();
        inner.clock_us + inner.spent_us
    }

    fn http(&self, request: &HttpRequest<'_>) -> Result<HttpResponse, HostError> {
        models::http(self, request)
    }

    fn sleep(&self, time: Duration) -> Result<(), HostError> {
        if self.inner.borrow().gives_way && !self.is_cancelled() {
            let mut inner = self.alive(0)?;
            inner.waits_us = Some(time.as_micros() as u64);
            // All that is tried from here on fails as for a dead helper.
            inner.is_caught = true;
            return Err(HostError::Gone);
        }
        self.alive(time.as_micros() as u64)?;
        if self.is_cancelled() { Err(HostError::Cancelled) } else { Ok(()) }
    }

    fn is_cancelled(&self) -> bool {
        self.inner.borrow().is_cancelled
    }
}

fn boot_id(inner: &Inner) -> String {
    format!("{}-{}", inner.name, inner.boots)
}

/// A small virtual machine of a cloud.
fn facts(inner: &Inner) -> Facts {
    let [high, low] = inner.number.to_be_bytes();
    let interface = "eth0".to_owned();
    let gateway = Some(Ipv4Addr::new(10, 0, 0, 1).into());
    let address = models::address(inner).into();
    let address = Address { address, prefix: 8, interface: interface.clone(), gateway };
    Facts {
        hostname: inner.name.clone(),
        fqdn: inner.name.clone(),
        os: OperatingSystem {
            id: "debian".into(),
            like: Vec::new(),
            name: "Debian GNU/Linux".into(),
            version: "12".into(),
            codename: "bookworm".into(),
            variant: String::new(),
        },
        kernel: "6.12.0".into(),
        architecture: "x86_64".into(),
        cpus: 4,
        memory_mb: 8_192,
        service_manager: "systemd".into(),
        systemd_version: Some(252),
        interfaces: vec![Interface {
            name: interface,
            mac: format!("52:54:00:00:{high:02x}:{low:02x}"),
            mtu: 1_500,
            up: true,
            addresses: vec![address.clone()],
        }],
        default_ipv4: Some(address),
        file_systems: vec![FileSystem {
            path: "/".into(),
            source: "/dev/vda1".into(),
            fstype: "ext4".into(),
            options: "rw".into(),
            size: 100 << 30,
            free: if inner.disk_full { 0 } else { 80 << 30 },
        }],
        cgroup_fs: Some("cgroup2fs".into()),
        resolv_conf: text(inner, "/etc/resolv.conf"),
        selinux: "disabled".into(),
        machine_id: Digest::of(inner.name.as_bytes()).as_str().get(..32).unwrap_or_default().to_owned(),
        virtualization: "kvm".into(),
        clock_ms: (inner.clock_us / 1000).saturating_add_signed(inner.skew_ms),
        uptime_s: 3_600,
        boot_id: boot_id(inner),
        ..Facts::default()
    }
}
