//! Resources placed in a plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Keep, Resource, StepId, Token};

/// What a change costs the workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disruption {
    /// Nothing.
    #[default]
    None,
    /// A service of the host restarts; pods keep running.
    Restart,
    /// Pods move away.
    Drain,
    /// The host reboots.
    Reboot,
    /// One member less while it lasts: etcd or a control plane.
    Quorum,
}

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Drain => "drain",
            Self::Reboot => "reboot",
            Self::Quorum => "quorum",
        })
    }
}

/// A part of Kubernetes whose version others depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The API server of a control plane, and what runs beside it.
    ApiServer,
    /// The kubelet of a node.
    Kubelet,
    /// The proxies of all nodes.
    KubeProxy,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiServer => "API server",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        })
    }
}

/// That a part of Kubernetes is of a version behind a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The part: of the step's host, or of all nodes.
    pub part: Part,
    /// The version, such as `1.35.2`.
    pub to: String,
}

/// What is waited for before a step is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// So many seconds pass.
    Pause(u64),
    /// Somebody says yes to this.
    Confirm(String),
}

/// A resource placed in a plan. The steps of one host happen in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `host/component/what`.
    pub id: StepId,
    /// Where it happens.
    pub host: String,
    /// Which part of the product it belongs to, such as `containerd`: what `--tags` names.
    pub component: String,
    /// The part of the run, for reports: `bootstrap`, `etcd`, `join` …
    pub phase: String,
    /// The wish.
    pub resource: Resource,
    /// Steps of other hosts that must be done before.
    #[serde(default)]
    pub after: Vec<StepId>,
    /// Gates of the plan that must be open before.
    #[serde(default)]
    pub gates: Vec<String>,
    /// What must happen later because this changed: restarts of units, commands.
    #[serde(default)]
    pub notifies: Vec<Token>,
    /// What it costs.
    #[serde(default)]
    pub disruption: Disruption,
    /// The rollout whose window the host must be in.
    #[serde(default)]
    pub rollout: Option<String>,
    /// Whether the host keeps what it had before, for a reset.
    #[serde(default)]
    pub remember: bool,
    /// What it replaces and may have to be put back: the host keeps a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Which part of Kubernetes is of which version when it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raises: Option<Raise>,
    /// What is waited for right before it, when its host has its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}

impl Step {
    /// A step called `HOST/COMPONENT/NAME` that waits for nothing and disrupts nothing.
    pub fn new(host: &str, component: &str, phase: &str, name: &str, resource: impl Into<Resource>) -> Self {
        Self {
            id: StepId(format!("{host}/{component}/{name}")),
            host: host.to_owned(),
            component: component.to_owned(),
            phase: phase.to_owned(),
            resource: resource.into(),
            after: Vec::new(),
            gates: Vec::new(),
            notifies: Vec::new(),
            disruption: Disruption::None,
            rollout: None,
            remember: false,
            keep: None,
            raises: None,
            hold: None,
        }
    }
}
