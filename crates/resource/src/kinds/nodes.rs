//! Which nodes a cluster has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// The nodes of a cluster, to be known before anything is wished of them. It wishes nothing itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// The kubeconfig on the host that asks.
    pub kubeconfig: String,
}

/// The nodes that an API server lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodesState {
    /// Nobody can say: there is no cluster, or it does not answer.
    Unknown(String),
    /// The nodes by name.
    Listed(BTreeMap<String, NodeListed>),
}

/// A node as the API server knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeListed {
    /// Whether its kubelet says that it is ready, and said so lately.
    pub ready: bool,
    /// Whether it takes no new pods.
    pub unschedulable: bool,
    /// Which of our runs cordoned it.
    pub cordoned_by: Option<String>,
    /// The version of its kubelet, such as `v1.36.2`.
    pub kubelet: String,
    /// Its taints as `KEY:EFFECT`.
    #[serde(default)]
    pub taints: BTreeSet<String>,
}

impl Nodes {
    /// Never anything: there is nothing to make true.
    pub fn compare(&self, _: &NodesState) -> Comparison {
        Comparison::default()
    }
}
