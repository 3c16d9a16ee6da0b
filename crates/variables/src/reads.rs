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
                // Hosts of which no facts are known have them in common.
                let is_same = &**name == "ansible_facts" && self.inner.facts(number).is_none();
                let whose = if is_same { Value::None } else { Value::str(self.inner.host_name(number)) };
                own.push((name.clone(), whose));
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use kubespray_filters::SystemWorld;
    use kubespray_inventory::Inventory;
    use kubespray_value::Map;

    use super::*;
    use crate::{Options, UnknownFacts};

    fn site() -> Variables {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts.yaml");
        let text = "all: {vars: {own: '{{ ip }}', same: '{{ dns_domain }}', arch: '{{ ansible_architecture }}', \
                    os: '{{ ansible_facts.os_family }}', name: '{{ inventory_hostname }}'}, \
                    hosts: {a: {ip: 1}, b: {ip: 2}, c: {ip: 1}, d: {dns_domain: x}}}";
        std::fs::write(&path, text).unwrap();
        let source = path.to_string_lossy().into_owned();
        let inventory = Inventory::load(&[source], &kubespray_inventory::Options::default()).unwrap();
        let facts = |arch: &str| Map::from_iter([(Value::str("ansible_architecture"), Value::str(arch))]);
        Variables::new(
            Arc::new(inventory),
            Options {
                world: Arc::new(SystemWorld::new(Vec::new(), false)),
                facts: BTreeMap::from([("a".to_owned(), facts("x86_64")), ("b".to_owned(), facts("x86_64"))]),
                tables: HashMap::new(),
                sources: Vec::new(),
                playbook_dir: String::new(),
                unknown_facts: UnknownFacts::Pending,
            },
        )
    }

    #[test]
    fn hosts_agree_where_all_that_was_read_is_the_same() {
        let site = site();
        for (name, agree, differ) in [
            ("own", "c", "b"),
            ("same", "b", "d"),
            ("arch", "b", "c"),
            ("nowhere", "b", ""),
            ("name", "", "b"),
            ("os", "", "b"),
        ] {
            // A value that is cached already is read no less.
            for _ in 0..2 {
                let (_, reads) = site.record(&[name], || site.get("a", name).is_ok());
                let fingerprint = |host: &str| site.fingerprint(host, &reads);
                assert!(agree.is_empty() || fingerprint("a") == fingerprint(agree), "{name}");
                assert!(differ.is_empty() || fingerprint("a") != fingerprint(differ), "{name}");
            }
        }
        let (_, reads) = site.record(&["os"], || site.get("c", "os").is_ok());
        assert_eq!(site.fingerprint("c", &reads), site.fingerprint("d", &reads), "both have no facts");
    }
}
