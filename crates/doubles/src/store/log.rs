//! What changed of late, for those who watch.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Older changes are forgotten.
const MOST: usize = 4096;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// A change.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) key: String,
    pub(crate) change: Change,
    /// The object; of a deletion the last one.
    pub(crate) value: Value,
    pub(crate) before: Option<Value>,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Event>,
    /// Changes behind this one are known; nothing before the log begins.
    since: Option<u64>,
}

/// The changes.
#[derive(Default)]
pub(crate) struct Log {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Log {
    /// Begins anew behind a revision.
    pub(crate) fn begin(&self, since: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.events.clear();
        inner.since = Some(since);
        self.changed.notify_all();
    }

    pub(crate) fn add(&self, event: Event) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.events.push_back(event);
        while inner.events.len() > MOST {
            let last = inner.events.pop_front();
            inner.since = last.map(|event| event.revision);
        }
        self.changed.notify_all();
    }

    /// Changes behind a revision below a path, and the revision up to which that is all. Waits so long for the first
    /// one. Nothing where that is too long ago.
    pub(crate) fn behind(&self, revision: u64, prefix: &str, longest: Duration) -> Option<(Vec<Event>, u64)> {
        let deadline = Instant::now() + longest;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if inner.since.is_none_or(|since| since > revision) && inner.since.is_some() {
                return None;
            }
            let new = inner.events.iter().rev().take_while(|event| event.revision > revision);
            let mut found: Vec<Event> = new.filter(|event| event.key.starts_with(prefix)).cloned().collect();
            found.reverse();
            let left = deadline.saturating_duration_since(Instant::now());
            if !found.is_empty() || left.is_zero() {
                let last = inner.events.back().map_or(revision, |event| event.revision.max(revision));
                return Some((found, last));
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn wait_until_begun(&self, longest: Duration) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(inner, longest, |inner| inner.since.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.since.is_some()
    }
}
