//! The data files as values.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use indexmap::IndexMap;
use kubespray_diagnostics::Source;
use kubespray_value::{Map, Value};

use crate::Version;

const VERSIONS: &str = include_str!("../data/versions.yaml");

/// A component with a checksum table.
#[derive(Clone, Debug)]
pub struct Component {
    /// The variable that holds the table, such as `kubelet_checksums`.
    pub variable: String,
    /// The variable that holds the version in use.
    pub version_variable: Option<String>,
    /// How the digests are made, such as `sha256`.
    pub algorithm: String,
    /// Versions, newest first, with the digest per architecture.
    pub versions: IndexMap<String, BTreeMap<String, String>>,
}

/// What goes with one Kubernetes minor version.
#[derive(Clone, Debug)]
pub struct Minor {
    /// Kubernetes versions, newest first.
    pub kubernetes: Vec<Version>,
    /// The versions of components that follow Kubernetes, by component.
    pub components: BTreeMap<String, String>,
}

/// All components.
#[derive(Debug)]
pub struct Catalog {
    components: IndexMap<String, Component>,
    minors: IndexMap<String, Minor>,
    minimum_versions: BTreeMap<String, String>,
}

impl Catalog {
    /// The catalog of this build.
    pub fn get() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(Self::read)
    }

    /// A component that is downloaded as a file.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.get(name)
    }

    /// All components with checksums.
    pub fn components(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.components.iter().map(|(name, component)| (name.as_str(), component))
    }

    /// Kubernetes minor versions, newest first.
    pub fn minors(&self) -> impl Iterator<Item = (&str, &Minor)> {
        self.minors.iter().map(|(name, minor)| (name.as_str(), minor))
    }

    /// The lowest version of a component that is accepted.
    pub fn minimum(&self, name: &str) -> Option<Version> {
        self.minimum_versions.get(name)?.parse().ok()
    }

    /// The checksum tables under the names of their variables, as templates and users see them:
    /// architecture, version, `algorithm:digest`.
    pub fn tables(&self) -> HashMap<String, Value> {
        let mut tables = HashMap::new();
        for component in self.components.values() {
            let mut by_architecture: IndexMap<&str, Map> = IndexMap::new();
            for (version, digests) in &component.versions {
                for (architecture, digest) in digests {
                    by_architecture.entry(architecture).or_default().insert(
                        Value::str(version.as_str()),
                        Value::from(format!("{}:{digest}", component.algorithm)),
                    );
                }
            }
            let table =
                by_architecture.into_iter().map(|(name, map)| (Value::str(name), Value::map(map))).collect();
            tables.insert(component.variable.clone(), Value::map(table));
        }
        tables
    }

    /// Reads the data file. It is part of the program and tests read it strictly, so this cannot fail.
    fn read() -> Self {
        let source = Source::without_text("catalog/versions.yaml");
        let root = kubespray_yaml::parse(VERSIONS, &source).ok().and_then(|document| document.root);
        let root = root.map_or(Value::None, |root| root.value.clone());
        let part = |key: &str| {
            root.as_map().and_then(|map| map.get(key)).and_then(Value::as_map).cloned().unwrap_or_default()
        };
        let named =
            |map: Map| map.into_iter().filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value)));
        let components =
            named(part("components")).filter_map(|(name, value)| Some((name, component(value.as_map()?)?)));
        let minors =
            named(part("per_minor")).filter_map(|(name, value)| Some((name, minor(value.as_map()?)?)));
        Self {
            components: components.collect(),
            minors: minors.collect(),
            minimum_versions: named(part("minimum_versions"))
                .map(|(name, value)| (name, value.to_text()))
                .collect(),
        }
    }
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn component(map: &Map) -> Option<Component> {
    let mut versions = IndexMap::new();
    for (version, digests) in map.get("versions")?.as_map()? {
        let digests =
            digests.as_map()?.iter().map(|(name, digest)| (name.to_text(), digest.to_text())).collect();
        versions.insert(version.to_text(), digests);
    }
    Some(Component {
        variable: text(map, "variable")?,
        version_variable: text(map, "version_variable"),
        algorithm: text(map, "digest_algorithm").unwrap_or_else(|| "sha256".into()),
        versions,
    })
}

fn minor(map: &Map) -> Option<Minor> {
    let kubernetes = map.get("kubernetes_versions")?.as_sequence()?;
    Some(Minor {
        kubernetes: kubernetes.iter().filter_map(|version| version.to_text().parse().ok()).collect(),
        components: map
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned())))
            .filter(|(key, _)| !key.starts_with("kubernetes"))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_read_with_all_its_digests() {
        let catalog = Catalog::get();
        assert!(catalog.components().count() >= 27);
        for (name, component) in catalog.components() {
            assert!(!component.versions.is_empty(), "{name}");
            let length = if component.algorithm == "sha512" { 128 } else { 64 };
            for (version, digests) in &component.versions {
                assert!(!digests.is_empty(), "{name} {version}");
                for digest in digests.values() {
                    assert_eq!(digest.len(), length, "{name} {version}");
                    assert!(digest.chars().all(|c| c.is_ascii_hexdigit()), "{name} {version}");
                }
            }
        }
    }

    #[test]
    fn minors_agree_with_the_tables() {
        let kubelet = Catalog::get().component("kubelet").unwrap();
        let listed: Vec<String> = Catalog::get()
            .minors()
            .flat_map(|(_, minor)| &minor.kubernetes)
            .map(ToString::to_string)
            .collect();
        assert_eq!(listed, kubelet.versions.keys().cloned().collect::<Vec<_>>());
        for (name, minor) in Catalog::get().minors() {
            for component in ["etcd", "crictl", "crio"] {
                let version = &minor.components[component];
                assert!(
                    Catalog::get().component(component).unwrap().versions.contains_key(version),
                    "{name} {component}"
                );
            }
        }
    }

    #[test]
    fn tables_have_the_shape_that_users_override() {
        let tables = Catalog::get().tables();
        let table = tables["kubelet_checksums"].as_map().unwrap();
        let newest = table["amd64"].as_map().unwrap().get_index(0).unwrap();
        assert_eq!(newest.0.as_str(), Some("1.36.4"));
        assert!(newest.1.as_str().unwrap().starts_with("sha256:"));
    }
}
