//! Plans: what a run will do, as a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Comparison, Step, StepId};

/// The version of a stored plan; others are refused.
pub const PLAN_SCHEMA_VERSION: u32 = 1;

/// A step, and what was seen of its resource when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// How the host differed from the wish.
    pub seen: Comparison,
    /// Whether the step will do something: its host differs, or an input of it will change.
    pub changes: bool,
    /// A unified diff of a text, where there is one to show.
    #[serde(default)]
    pub diff: Option<String>,
}

/// How many of a gate's steps must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// One.
    Any,
    /// More than half.
    Majority,
    /// All.
    All,
}

/// A named condition of the cluster that steps wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// The steps that open it.
    pub steps: Vec<StepId>,
    /// How many of them.
    pub needs: Needs,
}

/// How hosts take turns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The hosts in the order of their turns.
    pub hosts: Vec<String>,
    /// How many may be out of service at once; at least 1.
    pub max_unavailable: usize,
    /// How many go first, before any other.
    #[serde(default)]
    pub canaries: usize,
}

/// The rules of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many connections are being made at once.
    pub forks: usize,
    /// How many hosts may fail before no further one is begun.
    pub failure_budget: usize,
    /// Attempts of a step whose failure may pass by itself.
    pub attempts: u32,
    /// Rollouts by name.
    #[serde(default)]
    pub rollouts: BTreeMap<String, Rollout>,
    /// What of Kubernetes ran when the plan was made, by host: no plan may bring versions together that do not fit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, Versions>,
    /// Whether what runs may become older.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_back: bool,
}

/// What of Kubernetes runs on a host; each as `1.35.2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Its API server.
    #[serde(default)]
    pub api_server: Option<String>,
    /// Its kubelet.
    #[serde(default)]
    pub kubelet: Option<String>,
}

impl Default for Policy {
    /// `forks` stays below ten unauthenticated connections, where sshd begins to drop some (`MaxStartups`
    /// 10:30:100), also when all go through one jump host. Three attempts outlast a mirror's hiccup.
    fn default() -> Self {
        Self {
            forks: 8,
            failure_budget: 0,
            attempts: 3,
            rollouts: BTreeMap::new(),
            versions: BTreeMap::new(),
            goes_back: false,
        }
    }
}

/// What a run will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The operation, such as `cluster`.
    pub operation: String,
    /// The cluster's name.
    pub cluster: String,
    /// The hosts whose locks a run must hold, and that keep its record; ordered by name.
    pub lock_hosts: Vec<String>,
    /// The steps. Those of one host happen in this order.
    pub steps: Vec<PlannedStep>,
    /// Gates by name.
    #[serde(default)]
    pub gates: BTreeMap<String, Gate>,
    /// The rules.
    pub policy: Policy,
}

impl Plan {
    /// The steps that will do something.
    pub fn changes(&self) -> impl Iterator<Item = &PlannedStep> {
        self.steps.iter().filter(|step| step.changes)
    }

    /// Whether a run would do nothing.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// The hosts of all steps, in the order of first appearance.
    pub fn hosts(&self) -> Vec<&str> {
        let mut hosts: Vec<&str> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for step in &self.steps {
            if known.insert(step.step.host.as_str()) {
                hosts.push(&step.step.host);
            }
        }
        hosts
    }
}
