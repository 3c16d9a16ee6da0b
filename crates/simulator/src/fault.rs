//! What can go wrong.

use serde::Deserialize;

use crate::World;
use crate::host::Trap;
use crate::network::{NOTICED_US, SILENCE_US};

/// Something that goes wrong, or comes right again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// All connections to a host break; new ones can be made.
    Reset {
        /// The host.
        host: String,
        /// Whether the helpers notice at once. Else they go on with what they have for a minute.
        is_noticed: bool,
    },
    /// The helper is killed right before an effect of the host, counted from now on; 1 is the next one.
    KillHelper {
        /// The host.
        host: String,
        /// Which effect.
        before_effect: u64,
    },
    /// The host loses its power right before an effect, counted from now on, and boots again. What was not
    /// synced is lost.
    PowerLoss {
        /// The host.
        host: String,
        /// Which effect.
        before_effect: u64,
        /// How long it takes until it answers again; `u64::MAX` for never.
        off_ms: u64,
    },
    /// The host loses its power now. (`off` is a boolean in YAML.)
    #[serde(rename = "power_off")]
    Off {
        /// The host.
        host: String,
        /// How long it takes until it answers again; `u64::MAX` for never.
        off_ms: u64,
    },
    /// Nothing gets through to these hosts, or through again.
    Cut {
        /// The hosts.
        hosts: Vec<String>,
        /// Whether it is cut.
        is_cut: bool,
    },
    /// The disk has no space, or has space again.
    DiskFull {
        /// The host.
        host: String,
        /// Whether it is full.
        is_full: bool,
    },
    /// Writing takes so many times as long as it should; 1 is as it should be.
    SlowDisk {
        /// The host.
        host: String,
        /// How many times.
        factor: u64,
    },
    /// Mirrors do not answer and downloads break off, or work again.
    MirrorDown {
        /// The host.
        host: String,
        /// Whether they are down.
        is_down: bool,
    },
    /// The next uploads of the helper break off.
    BadUploads {
        /// The host.
        host: String,
        /// How many.
        count: u32,
    },
    /// The clock is wrong by so many milliseconds.
    ClockSkew {
        /// The host.
        host: String,
        /// Positive where it is ahead.
        ms: i64,
    },
}

impl World {
    /// Makes a fault happen now. Hosts that are not there are passed over.
    pub fn befall(&mut self, fault: Fault) {
        match fault {
            Fault::Reset { host, is_noticed } => {
                if let Some(at) = self.index.get(&host).copied() {
                    self.links_break(at, 0, if is_noticed { 0 } else { SILENCE_US });
                }
            }
            Fault::KillHelper { host, before_effect } => {
                self.set_trap(&host, before_effect, false, 0);
            }
            Fault::PowerLoss { host, before_effect, off_ms } => {
                self.set_trap(&host, before_effect, true, off_ms.saturating_mul(1000));
            }
            Fault::Off { host, off_ms } => {
                let Some(at) = self.index.get(&host).copied() else { return };
                if let Some(machine) = self.machines.get_mut(at) {
                    machine.boot_us = off_ms.saturating_mul(1000);
                }
                self.power_fails(at, 0);
            }
            Fault::Cut { hosts, is_cut } => {
                for host in hosts {
                    let Some(at) = self.index.get(&host).copied() else { continue };
                    if let Some(machine) = self.machines.get_mut(at) {
                        machine.is_cut = is_cut;
                        machine.tell_host(self.now_us);
                    }
                    if is_cut {
                        self.links_break(at, NOTICED_US, SILENCE_US);
                    }
                }
            }
            Fault::DiskFull { host, is_full } => self.on_host(&host, |inner| inner.disk_full = is_full),
            Fault::SlowDisk { host, factor } => self.on_host(&host, |inner| inner.disk_factor = factor),
            Fault::MirrorDown { host, is_down } => self.on_host(&host, |inner| inner.mirror_down = is_down),
            Fault::ClockSkew { host, ms } => self.on_host(&host, |inner| inner.skew_ms = ms),
            Fault::BadUploads { host, count } => {
                let at = self.index.get(&host).copied();
                if let Some(machine) = at.and_then(|at| self.machines.get_mut(at)) {
                    machine.bad_uploads = count;
                }
            }
        }
    }

    /// All faults end: what is off is on, what is cut is whole, what was set to come does not.
    pub fn heal(&mut self) {
        for machine in &mut self.machines {
            machine.on_at_us = machine.on_at_us.min(self.now_us);
            machine.is_cut = false;
            machine.bad_uploads = 0;
            machine.tell_host(self.now_us);
            let mut inner = machine.host.inner.borrow_mut();
            inner.trap = None;
            inner.disk_full = false;
            inner.disk_factor = 1;
            inner.mirror_down = false;
            inner.skew_ms = 0;
        }
    }

    fn set_trap(&mut self, host: &str, before_effect: u64, power: bool, boot_us: u64) {
        let at = self.index.get(host).copied();
        let Some(machine) = at.and_then(|at| self.machines.get_mut(at)) else { return };
        if power {
            machine.boot_us = boot_us;
        }
        let mut inner = machine.host.inner.borrow_mut();
        inner.trap =
            Some(Trap { before_effect: inner.effects.saturating_add(before_effect), power, reboot: false });
    }

    fn on_host(&self, host: &str, change: impl FnOnce(&mut crate::host::Inner)) {
        let machine = self.index.get(host).and_then(|at| self.machines.get(*at));
        if let Some(machine) = machine {
            change(&mut machine.host.inner.borrow_mut());
        }
    }
}
