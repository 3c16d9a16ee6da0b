//! Where objects are: in memory, or in the real etcd, so that API servers of several hosts serve the same cluster.

mod etcd;
mod log;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

pub(crate) use etcd::Etcd;
pub(crate) use log::{Change, Event, Log};

/// An object as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) value: Value,
    /// When it was changed last.
    pub(crate) revision: u64,
}

/// All objects, by paths such as `/registry/core/pods/kube-system/name`.
pub(crate) struct Store {
    backend: Backend,
    pub(crate) log: Arc<Log>,
}

enum Backend {
    Memory(Mutex<Memory>),
    Etcd(Arc<Etcd>),
}

#[derive(Default)]
struct Memory {
    items: BTreeMap<String, Item>,
    revision: u64,
}

impl Store {
    pub(crate) fn memory() -> Self {
        let log = Arc::new(Log::default());
        log.begin(0);
        Self { backend: Backend::Memory(Mutex::default()), log }
    }

    /// Objects in etcd; changes by others are followed from now on.
    pub(crate) fn etcd(etcd: Etcd) -> Self {
        let (etcd, log) = (Arc::new(etcd), Arc::new(Log::default()));
        let (of_thread, log_of_thread) = (Arc::clone(&etcd), Arc::clone(&log));
        std::thread::spawn(move || of_thread.follow(&log_of_thread));
        Self { backend: Backend::Etcd(etcd), log }
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Item>, String> {
        match &self.backend {
            Backend::Memory(memory) => {
                Ok(memory.lock().unwrap_or_else(PoisonError::into_inner).items.get(key).cloned())
            }
            Backend::Etcd(etcd) => etcd.get(key),
        }
    }

    /// All below a path, and the revision at which that is so.
    pub(crate) fn list(&self, prefix: &str) -> Result<(Vec<Item>, u64), String> {
        match &self.backend {
            Backend::Memory(memory) => {
                let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let found =
                    memory.items.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
                Ok((found.map(|(_, item)| item.clone()).collect(), memory.revision))
            }
            Backend::Etcd(etcd) => etcd.list(prefix),
        }
    }

    /// Writes where nothing changed since `expected` (0: where nothing is); nothing where something did.
    pub(crate) fn put(&self, key: &str, value: &Value, expected: u64) -> Result<Option<u64>, String> {
        match &self.backend {
            Backend::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let before = memory.items.get(key).cloned();
                if before.as_ref().map_or(0, |item| item.revision) != expected {
                    return Ok(None);
                }
                memory.revision += 1;
                let revision = memory.revision;
                memory
                    .items
                    .insert(key.to_owned(), Item { key: key.to_owned(), value: value.clone(), revision });
                let change = if before.is_some() { Change::Modified } else { Change::Added };
                let before = before.map(|item| item.value);
                self.log.add(Event { revision, key: key.to_owned(), change, value: value.clone(), before });
                Ok(Some(revision))
            }
            Backend::Etcd(etcd) => etcd.put(key, value, expected),
        }
    }

    /// Deletes what did not change since `expected`.
    pub(crate) fn delete(&self, key: &str, expected: u64) -> Result<Option<u64>, String> {
        match &self.backend {
            Backend::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(before) = memory.items.get(key).filter(|item| item.revision == expected).cloned()
                else {
                    return Ok(None);
                };
                memory.items.remove(key);
                memory.revision += 1;
                let revision = memory.revision;
                self.log.add(Event {
                    revision,
                    key: key.to_owned(),
                    change: Change::Deleted,
                    value: before.value,
                    before: None,
                });
                Ok(Some(revision))
            }
            Backend::Etcd(etcd) => etcd.delete(key, expected),
        }
    }

    /// Whether the store answers.
    pub(crate) fn is_well(&self) -> Result<(), String> {
        match &self.backend {
            Backend::Memory(_) => Ok(()),
            Backend::Etcd(etcd) => etcd.get("/registry/health").map(drop),
        }
    }

    /// Waits until the log has begun.
    pub(crate) fn wait_until_followed(&self, longest: Duration) -> bool {
        self.log.wait_until_begun(longest)
    }
}
