//! Which hosts share values: those that agree in everything that the values were made from.

use std::collections::HashSet;
use std::sync::Arc;

use kubespray_value::Value;

use crate::magic::magic;
use crate::site::Variables;

/// Variables that Ansible defines anew for every host and that are cheap to compare.
const SIMPLE: &[&str] =
    &["inventory_hostname", "inventory_hostname_short", "inventory_file", "inventory_dir"];

/// Variables that hold so much of a host that no two hosts agree in them.
const WHOLE: &[&str] = &["ansible_facts", "vars"];

/// The names of all variables that some values were made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    names: HashSet<Arc<str>>,
}

/// What one host has of its own of some [`Reads`]. Hosts with equal fingerprints share every value that
/// was made from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    class: usize,
    own: Vec<(Arc<str>, Value)>,
}

impl Variables {
    /// Runs a function and tells which variables were read meanwhile. `names` count as read even where
    /// nothing defines them. Not for several threads at once.
    pub fn record<T>(&self, names: &[&str], run: impl FnOnce() -> T) -> (T, Reads) {
        let (result, mut read) = self.inner.record(run);
        read.extend(names.iter().map(|name| Arc::from(*name)));
        (result, Reads { names: read })
    }

    /// What a host has of its own of what was read; `None` for a host that does not exist.
    pub fn fingerprint(&self, host: &str, reads: &Reads) -> Option<Fingerprint> {
        let number = self.inner.host_index(host)?;
        let mut own = Vec::new();
        for layer in self.inner.own_layers(number) {
            for (name, definition) in &layer.vars {
                if reads.names.contains(name as &str) {
                    own.push((Arc::from(name as &str), definition.value.clone()));
                }
            }
        }
        for (name, value) in self.inner.facts(number).into_iter().flatten() {
            if let Some(name) = name.as_str().and_then(|name| reads.names.get(name)) {
                own.push((name.clone(), value.clone()));
            }
        }
        for name in SIMPLE {
            if let Some(name) = reads.names.get(*name)
                && let Some(magic) = magic(&self.inner, number, false, name)
            {
                own.push((name.clone(), magic.value));
            }
        }
        for name in WHOLE {
            if let Some(name) = reads.names.get(*name) {
                own.push((name.clone(), Value::str(self.inner.host_name(number))));
            }
        }
        Some(Fingerprint { class: self.inner.class(number), own })
    }
}

impl Reads {
    /// Joins two.
    pub fn extend(&mut self, other: &Self) {
        self.names.extend(other.names.iter().cloned());
    }

    /// Whether a variable was read.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}
