//! What hosts and API servers say of how they are, for `kubespray status`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEnd {
    /// Its last moment, in seconds since 1970.
    pub not_after: i64,
    /// Whole days that it lasts by the host's clock; below zero when it is over.
    pub in_days: i64,
}

/// What an API server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiServerStatus {
    /// Its version, such as `1.36.2`; nothing where it does not say.
    pub version: Option<String>,
    /// Why it is not ready; nothing when it is.
    pub problem: Option<String>,
}

/// Nodes, and the components of control planes that run as pods, as an API server lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesStatus {
    /// All nodes, by name.
    pub nodes: Vec<NodeStatus>,
    /// API servers, controller managers, schedulers, by name and node.
    pub components: Vec<ComponentStatus>,
}

/// A node of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// What its labels `node-role.kubernetes.io/…` say.
    pub roles: BTreeSet<String>,
    /// Why it is not ready; nothing when it is.
    pub problem: Option<String>,
    /// The version of its kubelet, such as `1.36.2`.
    pub kubelet: String,
    /// Its container engine and the version, such as `containerd://2.1.4`.
    pub engine: String,
    /// Why it takes no new pods; nothing when it does.
    pub cordon: Option<Cordon>,
}

/// A node that takes no new pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cordon {
    /// Which of our runs did it, by the annotation `kubespray.rs/cordoned-by`; nothing where somebody else did.
    pub by: Option<String>,
    /// Since when, as the API server writes it: `2026-11-21T09:12:00Z`.
    pub since: Option<String>,
}

/// A component of a control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Which: `kube-scheduler`.
    pub name: String,
    /// The node on which it runs.
    pub node: String,
    /// The version by the tag of its image, such as `1.36.2`; empty where the image has none.
    pub version: String,
    /// Why it is not ready; nothing when it is.
    pub problem: Option<String>,
}
