//! A host that dies at an effect of one's choice, with a clock that can be set forward.

use std::cell::Cell;
use std::time::Duration;

use kubespray_node::{Fetch, Host, HostError, LinuxHost, Metadata, Output, Spawn};
use kubespray_resource::{Digest, Facts, Mode, Owner};

pub struct Mortal<'h> {
    pub host: &'h LinuxHost,
    /// Effects that it still has.
    pub left: Cell<usize>,
    pub ahead_hours: Cell<u64>,
}

impl<'h> Mortal<'h> {
    pub fn new(host: &'h LinuxHost) -> Self {
        Self { host, left: Cell::new(usize::MAX), ahead_hours: Cell::new(0) }
    }

    fn alive(&self) -> Result<(), HostError> {
        if self.left.get() == 0 { Err(HostError::Gone) } else { Ok(()) }
    }

    fn effect(&self) -> Result<(), HostError> {
        self.alive()?;
        self.left.set(self.left.get() - 1);
        Ok(())
    }
}

impl Host for Mortal<'_> {
    fn metadata(&self, path: &str) -> Result<Option<Metadata>, HostError> {
        self.alive()?;
        self.host.metadata(path)
    }
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, HostError> {
        self.alive()?;
        self.host.read(path)
    }
    fn digest(&self, path: &str) -> Result<Option<Digest>, HostError> {
        self.alive()?;
        self.host.digest(path)
    }
    fn read_link(&self, path: &str) -> Result<Option<String>, HostError> {
        self.alive()?;
        self.host.read_link(path)
    }
    fn list(&self, path: &str) -> Result<Vec<String>, HostError> {
        self.alive()?;
        self.host.list(path)
    }
    fn write(&self, path: &str, bytes: &[u8], mode: Mode, owner: &Owner) -> Result<(), HostError> {
        self.effect()?;
        self.host.write(path, bytes, mode, owner)
    }
    fn write_in_place(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        self.effect()?;
        self.host.write_in_place(path, bytes)
    }
    fn append(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        self.effect()?;
        self.host.append(path, bytes)
    }
    fn note(&self, path: &str, bytes: &[u8]) -> Result<(), HostError> {
        self.effect()?;
        self.host.note(path, bytes)
    }
    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<bool, HostError> {
        self.effect()?;
        self.host.create_new(path, bytes)
    }
    fn make_dir(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError> {
        self.effect()?;
        self.host.make_dir(path, mode, owner)
    }
    fn make_link(&self, path: &str, target: &str) -> Result<(), HostError> {
        self.effect()?;
        self.host.make_link(path, target)
    }
    fn set_attributes(&self, path: &str, mode: Mode, owner: &Owner) -> Result<(), HostError> {
        self.effect()?;
        self.host.set_attributes(path, mode, owner)
    }
    fn rename(&self, from: &str, to: &str) -> Result<(), HostError> {
        self.effect()?;
        self.host.rename(from, to)
    }
    fn remove(&self, path: &str, recursive: bool) -> Result<(), HostError> {
        self.effect()?;
        self.host.remove(path, recursive)
    }
    fn run(&self, spawn: &Spawn) -> Result<Output, HostError> {
        self.effect()?;
        self.host.run(spawn)
    }
    fn connect(&self, address: &str, timeout: Duration) -> Result<Duration, HostError> {
        self.host.connect(address, timeout)
    }
    fn connect_socket(&self, path: &str) -> Result<(), HostError> {
        self.host.connect_socket(path)
    }
    fn fetch(&self, fetch: &Fetch<'_>) -> Result<(), HostError> {
        self.effect()?;
        self.host.fetch(fetch)
    }
    fn facts(&self) -> Result<Facts, HostError> {
        self.host.facts()
    }
    fn boot_id(&self) -> Result<String, HostError> {
        self.host.boot_id()
    }
    fn now_ms(&self) -> u64 {
        self.host.now_ms() + self.ahead_hours.get() * 3_600_000
    }
    fn sleep(&self, time: Duration) -> Result<(), HostError> {
        self.host.sleep(time)
    }
    fn is_cancelled(&self) -> bool {
        self.host.is_cancelled()
    }
}
