//! Nodes without pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Comparison, NodeState};

/// A cordoned node whose pods have moved away. Pods of the host itself (static ones) stay, as do finished
/// deletions of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The kubeconfig on the host that does it; this should not be the drained node itself.
    pub kubeconfig: String,
    /// The node's name in the cluster.
    pub node: String,
    /// Who drains, kept in an annotation of the node. See [`crate::NodeState::mark`].
    #[serde(default)]
    pub mark: Option<String>,
    /// How long a pod has to end, in seconds; nothing leaves it to each pod.
    pub grace_s: Option<u64>,
    /// How long all may take, in seconds.
    pub timeout_s: u64,
    /// Whether pods of DaemonSets stay; else they are in the way.
    pub ignore_daemonsets: bool,
    /// Whether pods go whose `emptyDir` data is lost by that; else they are in the way.
    pub delete_empty_dir: bool,
    /// Whether pods go that nothing makes anew; else they are in the way.
    pub force: bool,
    /// A selector of labels: other pods stay.
    #[serde(default)]
    pub pod_selector: Option<String>,
    /// Whether pods that could not be evicted in time are deleted, which asks no budget (OPS-016).
    #[serde(default)]
    pub fallback: Option<DrainFallback>,
    /// Whether a node that this drain cordoned takes pods again when the drain fails (OPS-017).
    #[serde(default)]
    pub uncordon_on_failure: bool,
    /// Whether the host goes on when the drain fails, with the pods that are left; that it did is told (OPS-017).
    #[serde(default)]
    pub may_fail: bool,
}

/// A second attempt that deletes pods in place of evicting them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainFallback {
    /// How long a pod has to end, in seconds; nothing leaves it to each pod.
    pub grace_s: Option<u64>,
    /// How long all may take, in seconds.
    pub timeout_s: u64,
}

/// What a node has of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainState {
    /// Nobody can say: there is no cluster, or it does not answer.
    Unknown(String),
    /// There is no such node, so nothing is on it.
    NoNode,
    /// The node.
    Node {
        /// Whether it takes no new pods.
        unschedulable: bool,
        /// The pods that have to go.
        pods: Vec<DrainPod>,
    },
}

/// A pod that has to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What makes it anew, such as `ReplicaSet web-5d`; nothing where nothing does.
    pub owner: Option<String>,
    /// Whether it is ending already.
    pub ending: bool,
    /// Why it would not go now: a budget, or what the wish does not allow.
    pub obstacle: Option<String>,
}

impl fmt::Display for DrainPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)?;
        match &self.owner {
            Some(owner) => write!(f, " of {owner}")?,
            None => f.write_str(" of nobody")?,
        }
        if self.ending {
            f.write_str(", ending")?;
        }
        match &self.obstacle {
            Some(obstacle) => write!(f, ": {obstacle}"),
            None => Ok(()),
        }
    }
}

impl DrainState {
    /// The pods that have to go, one on a line, with what is in their way.
    pub fn forecast(&self) -> Option<String> {
        match self {
            Self::Node { pods, .. } if !pods.is_empty() => {
                Some(pods.iter().map(|pod| format!("-{pod}\n")).collect::<Vec<_>>().concat())
            }
            _ => None,
        }
    }
}

impl Drain {
    /// The node cordoned, or uncordoned: the first step of a drain, and what takes it back.
    pub fn cordon(&self, unschedulable: bool) -> NodeState {
        NodeState {
            kubeconfig: self.kubeconfig.clone(),
            name: self.node.clone(),
            unschedulable: Some(unschedulable),
            mark: self.mark.clone(),
            ..NodeState::default()
        }
    }

    /// What is left to do. Pods come and go, so they are no differences one by one: [`DrainState::forecast`]
    /// names them.
    pub fn compare(&self, state: &DrainState) -> Comparison {
        let mut out = Comparison::default();
        match state {
            DrainState::NoNode => {}
            DrainState::Unknown(why) => out.add("node", Some(why.clone()), Some("drained".into())),
            DrainState::Node { unschedulable, pods } => {
                out.field("unschedulable", unschedulable, &true);
                if !pods.is_empty() {
                    out.add("pods", Some("some".into()), None);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_drained_when_it_is_cordoned_and_empty() {
        let wish = Drain {
            kubeconfig: "/k".into(),
            node: "n".into(),
            mark: None,
            grace_s: None,
            timeout_s: 1,
            ignore_daemonsets: true,
            delete_empty_dir: true,
            force: true,
            pod_selector: None,
            fallback: None,
            uncordon_on_failure: true,
            may_fail: false,
        };
        let pod = DrainPod {
            namespace: "default".into(),
            name: "web".into(),
            owner: Some("ReplicaSet web".into()),
            ending: false,
            obstacle: Some("the disruption budget `web` needs 1 healthy pod".into()),
        };
        for (state, differences) in [
            (DrainState::NoNode, 0),
            (DrainState::Unknown("down".into()), 1),
            (DrainState::Node { unschedulable: true, pods: Vec::new() }, 0),
            (DrainState::Node { unschedulable: false, pods: Vec::new() }, 1),
            (DrainState::Node { unschedulable: true, pods: vec![pod.clone()] }, 1),
        ] {
            assert_eq!(wish.compare(&state).changes.len(), differences, "{state:?}");
        }
        let two = DrainState::Node { unschedulable: true, pods: vec![pod.clone(), pod.clone()] };
        assert_eq!(wish.compare(&two).changes.len(), 1, "pods come and go");
        assert_eq!(two.forecast().map(|text| text.lines().count()), Some(2));
        assert_eq!(
            pod.to_string(),
            "default/web of ReplicaSet web: the disruption budget `web` needs 1 healthy pod"
        );
    }
}
