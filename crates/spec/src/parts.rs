//! Structured values of single variables.

use serde::{Deserialize, Serialize};

use crate::types::{JsonMap, Secret};

/// The load balancer in front of the API servers that users provide (INV-150 to INV-153).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ExternalLoadBalancer {
    /// Its address or name.
    #[serde(default)]
    pub address: Option<String>,
    /// Its port; the API server's own where it is not set.
    #[serde(default)]
    pub port: Option<u16>,
}

/// What containerd asks instead of a registry (CRI-037).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct RegistryMirror {
    /// The registry, which is a folder name, too.
    pub prefix: String,
    /// The server of last resort; `https://` and the registry where it is not set.
    #[serde(default)]
    pub server: Option<String>,
    /// Servers to ask, first one first.
    #[serde(default)]
    pub mirrors: Vec<MirrorHost>,
}

/// One server that stands in for a registry.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct MirrorHost {
    /// Its URL.
    pub host: String,
    /// What it may do: `pull`, `resolve`, `push`; one of them, or a list.
    #[serde(default)]
    pub capabilities: serde_json::Value,
    /// Whether any certificate will do.
    #[serde(default)]
    pub skip_verify: bool,
    /// Whether the path of the URL replaces that of the registry's interface.
    #[serde(default)]
    pub override_path: Option<bool>,
    /// Certificate authorities.
    #[serde(default)]
    pub ca: Option<serde_json::Value>,
    /// Client certificates.
    #[serde(default)]
    pub client: Option<serde_json::Value>,
    /// Headers of every request; they may hold credentials.
    #[serde(default)]
    pub header: Option<Secret<JsonMap>>,
}

/// A kernel setting.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sysctl {
    /// Its name, such as `vm.max_map_count`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A user of the operating system.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct User {
    /// The name.
    pub name: String,
    /// The full name.
    #[serde(default)]
    pub comment: Option<String>,
    /// Whether a home folder is made.
    #[serde(default)]
    pub create_home: Option<bool>,
    /// Whether it is an account of the system.
    #[serde(default)]
    pub system: Option<bool>,
    /// The login shell.
    #[serde(default)]
    pub shell: Option<String>,
    /// The main group.
    #[serde(default)]
    pub group: Option<String>,
    /// The home folder.
    #[serde(default)]
    pub home: Option<String>,
}
