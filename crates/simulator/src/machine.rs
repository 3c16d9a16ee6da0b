//! A host in the world: whether it is on, how far away it is, whether somebody works on it.

use crate::SimHost;

/// A host and how it can be reached.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) host: SimHost,
    /// The way there takes so many microseconds.
    pub(crate) latency_us: u64,
    /// It is off before this moment.
    pub(crate) on_at_us: u64,
    /// The network to it is cut.
    pub(crate) is_cut: bool,
    /// How many uploads of the helper will break off.
    pub(crate) bad_uploads: u32,
    /// A step is under way until then: the next helper waits for it.
    pub(crate) applying_until_us: u64,
    /// The newest connection over which a step was begun.
    pub(crate) newest_link: u64,
    /// How often it lost its power.
    pub(crate) power_losses: u64,
    /// How long it takes to boot, in microseconds.
    pub(crate) boot_us: u64,
    /// Since when a step waits for others.
    pub(crate) waits_since_us: Option<u64>,
}

impl Machine {
    pub(crate) fn new(name: &str, host: SimHost, latency_us: u64) -> Self {
        Self {
            name: name.to_owned(),
            host,
            latency_us,
            on_at_us: 0,
            is_cut: false,
            bad_uploads: 0,
            applying_until_us: 0,
            newest_link: 0,
            power_losses: 0,
            boot_us: 0,
            waits_since_us: None,
        }
    }

    /// Lets the host know how it can be reached.
    pub(crate) fn tell_host(&self, now_us: u64) {
        let mut inner = self.host.inner.borrow_mut();
        let was_away = inner.is_cut || inner.off_until_us > now_us;
        inner.is_cut = self.is_cut;
        inner.off_until_us = self.on_at_us;
        if !was_away {
            inner.away_since_us = now_us;
        }
    }

    pub(crate) fn is_reachable(&self, now_us: u64) -> bool {
        !self.is_cut && self.on_at_us <= now_us
    }
}
