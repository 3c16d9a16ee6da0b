//! The catalogue: every variable that exists, with type, default, allowed values and one line of
//! documentation. The data files in `data/` are its source; `data/README.md` tells their format.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use kubespray_diagnostics::{Source, Span, did_you_mean};
use kubespray_value::{Map, Value};

/// Data files by name, with what they hold.
static FILES: &[(&str, &str)] = &[
    ("addons", include_str!("../data/addons.yaml")),
    ("ansible", include_str!("../data/ansible.yaml")),
    ("calico", include_str!("../data/calico.yaml")),
    ("cilium", include_str!("../data/cilium.yaml")),
    ("cloud-storage", include_str!("../data/cloud-storage.yaml")),
    ("clouds", include_str!("../data/clouds.yaml")),
    ("container-engine", include_str!("../data/container-engine.yaml")),
    ("containerd", include_str!("../data/containerd.yaml")),
    ("control-plane", include_str!("../data/control-plane.yaml")),
    ("core", include_str!("../data/core.yaml")),
    ("cri-o", include_str!("../data/cri-o.yaml")),
    ("dns", include_str!("../data/dns.yaml")),
    ("docker", include_str!("../data/docker.yaml")),
    ("download", include_str!("../data/download.yaml")),
    ("etcd", include_str!("../data/etcd.yaml")),
    ("flannel", include_str!("../data/flannel.yaml")),
    ("hosts", include_str!("../data/hosts.yaml")),
    ("kube-ovn", include_str!("../data/kube-ovn.yaml")),
    ("kube-proxy", include_str!("../data/kube-proxy.yaml")),
    ("kube-router", include_str!("../data/kube-router.yaml")),
    ("kubeadm", include_str!("../data/kubeadm.yaml")),
    ("load-balancer", include_str!("../data/load-balancer.yaml")),
    ("network", include_str!("../data/network.yaml")),
    ("node", include_str!("../data/node.yaml")),
    ("operating-system", include_str!("../data/operating-system.yaml")),
    ("operations", include_str!("../data/operations.yaml")),
    ("other-networks", include_str!("../data/other-networks.yaml")),
    ("proxy", include_str!("../data/proxy.yaml")),
    ("scheduler", include_str!("../data/scheduler.yaml")),
    ("storage", include_str!("../data/storage.yaml")),
];

const REMOVED: &str = include_str!("../data/removed.yaml");

/// The type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// An integer.
    Int,
    /// A number.
    Float,
    /// A text.
    String,
    /// One of a few texts.
    Enum,
    /// A list.
    List,
    /// A map.
    Map,
    /// A path on a host or on the operator's machine.
    Path,
    /// A URL.
    Url,
    /// An address.
    Ip,
    /// A network.
    Cidr,
    /// A TCP or UDP port.
    Port,
    /// A duration such as `300s`.
    Duration,
    /// A version such as `1.34.2`.
    Version,
}

impl Kind {
    const ALL: [(&'static str, Self); 14] = [
        ("bool", Self::Bool),
        ("int", Self::Int),
        ("float", Self::Float),
        ("string", Self::String),
        ("enum", Self::Enum),
        ("list", Self::List),
        ("map", Self::Map),
        ("path", Self::Path),
        ("url", Self::Url),
        ("ip", Self::Ip),
        ("cidr", Self::Cidr),
        ("port", Self::Port),
        ("duration", Self::Duration),
        ("version", Self::Version),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// The word of the catalogue.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Who may set a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Users.
    User,
    /// Computed; overridden only knowingly.
    Derived,
    /// Accepted, but read by nothing.
    Unused,
    /// Read only by other values of sample files.
    Helper,
}

/// Where the value comes from when nobody sets it.
#[derive(Clone, Debug)]
pub enum Default {
    /// A value, which may hold templates.
    Value(Value),
    /// Nowhere: it counts only when set.
    Unset,
    /// A secret made at install time; the text says which.
    Generated(String),
    /// Known only while a run goes on, or computed by the program; the text says from what.
    Runtime(String),
    /// A table that the component catalog supplies.
    Catalog,
}

/// A variable that exists.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub kind: Kind,
    /// Whose setting it is.
    pub component: String,
    /// Who sets it.
    pub scope: Scope,
    /// One line of documentation.
    pub doc: String,
    /// Its default.
    pub default: Default,
    /// The only values it may have; empty where any is allowed.
    pub allowed: Vec<Value>,
    /// Lowest and highest value.
    pub range: Option<(Value, Value)>,
    /// A sample value.
    pub example: Option<Value>,
    /// What is assumed where it is read without being set.
    pub fallback: Option<Value>,
    /// The environment variable that the default reads.
    pub environment: Option<String>,
    /// Whether its value must never be printed.
    pub secret: bool,
    /// Whether null is a value of it.
    pub nullable: bool,
    /// Whether the default reads facts of the host.
    pub from_facts: bool,
    /// The data file and line of the entry.
    pub origin: Span,
}

/// A name that means nothing any more.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The name.
    pub name: String,
    /// What to set instead.
    pub replacement: Option<String>,
    /// The first Kubespray release without it.
    pub since: Option<String>,
    /// What became of it.
    pub message: String,
    /// Whether it still works.
    pub deprecated: bool,
}

/// All variables that exist.
#[derive(Debug)]
pub struct Catalogue {
    entries: IndexMap<Arc<str>, Entry>,
    removed: BTreeMap<String, Removed>,
}

impl Catalogue {
    /// The catalogue of this build.
    pub fn get() -> &'static Self {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(Self::read)
    }

    /// The entry of a name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All entries, in the order of the data files.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What became of a name that existed once.
    pub fn removed(&self, name: &str) -> Option<&Removed> {
        self.removed.get(name)
    }

    /// All names that existed once.
    pub fn all_removed(&self) -> impl Iterator<Item = &Removed> {
        self.removed.values()
    }

    /// The name that an unknown one was most likely meant to be.
    pub fn suggest(&self, name: &str) -> Option<&str> {
        did_you_mean(name, self.entries.values().filter(|e| e.scope != Scope::Unused).map(|e| &*e.name))
    }

    /// Reads the data files. They are part of the program and a test reads them strictly, so what
    /// does not fit is left out here instead of failing a user's command.
    fn read() -> Self {
        let mut entries = IndexMap::new();
        for (file, text) in FILES {
            let source = Source::without_text(format!("defaults/{file}.yaml"));
            for (item, span) in items(text, &source, "variables") {
                if let Ok(entry) = entry(&item, span) {
                    entries.insert(entry.name.clone(), entry);
                }
            }
        }
        let source = Source::without_text("defaults/removed.yaml");
        let removed = items(REMOVED, &source, "removed")
            .into_iter()
            .filter_map(|(item, _)| removed(&item))
            .map(|removed| (removed.name.clone(), removed))
            .collect();
        Self { entries, removed }
    }
}

/// The maps of the list under a key, each with its place.
fn items(text: &str, source: &Arc<Source>, key: &str) -> Vec<(Map, Span)> {
    let Some(root) = kubespray_yaml::parse(text, source).ok().and_then(|document| document.root) else {
        return Vec::new();
    };
    let kubespray_yaml::Children::Map(children) = &root.children else { return Vec::new() };
    let Some((_, list)) = children.get(key) else { return Vec::new() };
    let kubespray_yaml::Children::List(nodes) = &list.children else { return Vec::new() };
    nodes.iter().filter_map(|node| Some((node.value.as_map()?.clone(), node.span.clone()))).collect()
}

fn entry(map: &Map, origin: Span) -> Result<Entry, String> {
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    let required = |key: &str| text(key).ok_or_else(|| format!("{origin}: `{key}` is missing"));
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    let name: Arc<str> = required("name")?.into();
    let kind = required("type")?;
    let scope = match required("scope")?.as_str() {
        "user" => Scope::User,
        "derived" => Scope::Derived,
        "unused" => Scope::Unused,
        "helper" => Scope::Helper,
        other => return Err(format!("{origin}: unknown scope `{other}`")),
    };
    let mut defaults = Vec::new();
    for (key, value) in map {
        match key.as_str() {
            Some("default") => defaults.push(Default::Value(value.clone())),
            Some("unset") => defaults.push(Default::Unset),
            Some("generated") => defaults.push(Default::Generated(value.to_text())),
            Some("runtime") => defaults.push(Default::Runtime(value.to_text())),
            Some("catalog") => defaults.push(Default::Catalog),
            Some(
                "name" | "type" | "component" | "scope" | "doc" | "fallback" | "example" | "allowed"
                | "range" | "from_facts" | "environment" | "secret" | "nullable",
            ) => {}
            _ => return Err(format!("{origin}: unknown key {}", key.repr())),
        }
    }
    let [default] =
        <[Default; 1]>::try_from(defaults).map_err(|_| format!("{origin}: `{name}` needs one default"))?;
    let range = match map.get("range").and_then(Value::as_sequence) {
        Some([low, high]) => Some((low.clone(), high.clone())),
        Some(_) => return Err(format!("{origin}: a range has two ends")),
        None => None,
    };
    Ok(Entry {
        kind: Kind::parse(&kind).ok_or_else(|| format!("{origin}: unknown type `{kind}`"))?,
        component: required("component")?,
        scope,
        doc: required("doc")?,
        default,
        allowed: map.get("allowed").and_then(Value::as_sequence).unwrap_or_default().to_vec(),
        range,
        example: map.get("example").cloned(),
        fallback: map.get("fallback").cloned(),
        environment: text("environment"),
        secret: flag("secret"),
        nullable: flag("nullable"),
        from_facts: flag("from_facts"),
        name,
        origin,
    })
}

fn removed(map: &Map) -> Option<Removed> {
    let text = |key: &str| map.get(key).filter(|value| !value.is_none()).map(Value::to_text);
    Some(Removed {
        name: text("name")?,
        replacement: text("use"),
        since: text("since"),
        message: text("message").unwrap_or_default(),
        deprecated: map.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_file_is_read_whole() {
        let mut count = 0;
        for (file, text) in FILES {
            let source = Source::new(format!("data/{file}.yaml"), *text);
            let document = kubespray_yaml::parse(text, &source).unwrap();
            assert!(document.warnings.is_empty(), "{:?}", document.warnings);
            let found = items(text, &source, "variables");
            assert!(!found.is_empty(), "{file}");
            for (item, span) in found {
                entry(&item, span).unwrap();
                count += 1;
            }
        }
        assert_eq!(count, Catalogue::get().entries.len(), "a name stands twice");
        assert!(count > 1_771);
        assert!(Catalogue::get().removed.len() > 300);
    }

    #[test]
    fn every_file_of_the_folder_is_part_of_the_build() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.extension().is_some_and(|ending| ending == "yaml") && name != "removed" {
                assert!(FILES.iter().any(|(known, _)| *known == name), "{name} is not embedded");
            }
        }
    }

    #[test]
    fn suggests_names_that_are_read() {
        let catalogue = Catalogue::get();
        assert_eq!(catalogue.suggest("kube_netwrok_plugin"), Some("kube_network_plugin"));
        assert_eq!(catalogue.suggest("company_rack_row"), None);
    }
}
