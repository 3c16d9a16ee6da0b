//! Health checks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Assertion, Comparison, ObjectRef};

/// Something that must be true of a host, and is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked, for people: `etcd answers`.
    pub name: String,
    /// How.
    pub probe: Probe,
    /// How long it may take to become true, in seconds.
    pub timeout_s: u64,
    /// How long to wait between two looks, in milliseconds.
    pub interval_ms: u64,
}

/// How something is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// `address:port` takes a connection.
    Tcp(String),
    /// A socket at a path takes a connection.
    Socket(String),
    /// A path exists.
    Path(String),
    /// A unit is active.
    Unit(String),
    /// A command succeeds and prints a text.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// What its output must hold.
        prints: String,
    },
    /// A Kubernetes object is as it must be.
    Object {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The object.
        object: ObjectRef,
        /// How it must be.
        must: ObjectMust,
    },
    /// Kubernetes nodes are there and ready.
    NodesReady {
        /// The kubeconfig on the host.
        kubeconfig: String,
        /// The names of the nodes.
        nodes: Vec<String>,
    },
    /// Something is true of the cluster.
    Cluster(Assertion),
}

/// How a Kubernetes object must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectMust {
    /// A `Deployment` or `DaemonSet` has pods of its latest template wherever it wants some, and they are available.
    RolledOut {
        /// How many may be missing, such as those of hosts that are known to be down.
        missing: u64,
    },
    /// A condition of its status is true.
    Condition(String),
    /// Fields, by JSON pointer, have these values; an object that is not there has no other ones.
    Keep(BTreeMap<String, Value>),
    /// A `Node` is ready, and its kubelet is of this version, such as `1.35.2` (OPS-059).
    NodeAt(String),
}

impl ObjectMust {
    /// Why the object, or nothing where it is not there, is not as it must be.
    pub fn problem(&self, live: Option<&Value>) -> Option<String> {
        let Some(live) = live else {
            return match self {
                Self::Keep(_) => None,
                _ => Some("it is not there".into()),
            };
        };
        match self {
            Self::RolledOut { missing } => rollout_problem(live, *missing),
            Self::Condition(name) => condition_problem(live, name),
            Self::NodeAt(version) => node_problem(live, version),
            Self::Keep(fields) => fields.iter().find_map(|(pointer, wanted)| {
                let found = live.pointer(pointer)?;
                let field = pointer.replace('/', ".");
                (found != wanted).then(|| format!("`{field}` is {found} and cannot become {wanted}"))
            }),
        }
    }
}

/// Why a condition of an object's status is not true.
pub fn condition_problem(live: &Value, name: &str) -> Option<String> {
    let text = |one: &Value, key: &str| one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|one| text(one, "type") == name);
    match found {
        None => Some(format!("it does not say yet whether it is `{name}`")),
        Some(condition) if text(condition, "status") == "True" => None,
        Some(condition) => match text(condition, "message").as_str() {
            "" => Some(format!("it is not `{name}`")),
            message => Some(format!("it is not `{name}`: {message}")),
        },
    }
}

fn node_problem(live: &Value, version: &str) -> Option<String> {
    let found = live.pointer("/status/nodeInfo/kubeletVersion").and_then(Value::as_str).unwrap_or_default();
    if found.strip_prefix('v').unwrap_or(found) != version {
        return Some(format!("its kubelet is of version `{found}` and not yet `v{version}`"));
    }
    condition_problem(live, "Ready")
}

fn rollout_problem(live: &Value, missing: u64) -> Option<String> {
    let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_u64);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    if status("observedGeneration") < number("/metadata/generation").unwrap_or(0) {
        return Some("its latest template has not been seen yet".into());
    }
    let kind = live.get("kind").and_then(Value::as_str).unwrap_or_default();
    let (wanted, updated, available) = match kind {
        "DaemonSet" => {
            (status("desiredNumberScheduled"), status("updatedNumberScheduled"), status("numberAvailable"))
        }
        "Deployment" => {
            (number("/spec/replicas").unwrap_or(1), status("updatedReplicas"), status("availableReplicas"))
        }
        _ => return Some(format!("a `{kind}` has no pods that could be counted")),
    };
    let enough = wanted.saturating_sub(missing);
    if updated < enough {
        return Some(format!("{updated} of {wanted} pods have the latest template"));
    }
    (available < enough).then(|| format!("{available} of {wanted} pods are available"))
}

/// What a probe found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// Why it is not true; nothing when it is.
    pub problem: Option<String>,
    /// What was seen of it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What helps, most likely.
    #[serde(default)]
    pub hints: Vec<String>,
}

impl Check {
    /// Whether it is true.
    pub fn compare(&self, state: &CheckState) -> Comparison {
        let mut out = Comparison::default();
        if let Some(problem) = &state.problem {
            out.add(&self.name, Some(problem.clone()), Some("true".into()));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rollouts_are_done_when_enough_pods_of_the_latest_template_are_available() {
        let set = |seen: u64, updated: u64, available: u64| {
            json!({"kind": "DaemonSet", "metadata": {"generation": 2}, "status": {
                "observedGeneration": seen, "desiredNumberScheduled": 3,
                "updatedNumberScheduled": updated, "numberAvailable": available,
            }})
        };
        let problem = |live: &Value, missing| ObjectMust::RolledOut { missing }.problem(Some(live));
        for (live, missing, expected) in [
            (set(2, 3, 3), 0, None),
            (set(1, 3, 3), 0, Some("its latest template has not been seen yet")),
            (set(2, 2, 3), 0, Some("2 of 3 pods have the latest template")),
            (set(2, 3, 2), 0, Some("2 of 3 pods are available")),
            (set(2, 2, 2), 1, None),
            (set(2, 2, 1), 1, Some("1 of 3 pods are available")),
        ] {
            assert_eq!(problem(&live, missing).as_deref(), expected, "{live}");
        }
        let deployment = |spec: Value, available: u64| {
            json!({"kind": "Deployment", "spec": spec, "status": {
                "updatedReplicas": available, "availableReplicas": available,
            }})
        };
        assert_eq!(problem(&deployment(json!({}), 1), 0), None, "one replica is the default");
        assert!(problem(&deployment(json!({"replicas": 2}), 1), 0).is_some());
        assert_eq!(problem(&deployment(json!({"replicas": 0}), 0), 0), None);
        assert!(problem(&json!({"kind": "ConfigMap"}), 0).is_some());
        assert!(ObjectMust::RolledOut { missing: 9 }.problem(None).is_some());
    }

    #[test]
    fn conditions_and_fields() {
        let ready = ObjectMust::Condition("Ready".into());
        let node = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status, "message": "no network"}]}});
        assert_eq!(ready.problem(Some(&node("True"))), None);
        assert_eq!(ready.problem(Some(&node("False"))).unwrap(), "it is not `Ready`: no network");
        assert!(ready.problem(Some(&json!({}))).is_some() && ready.problem(None).is_some());
        let at = |version: &str, status: &str| {
            let mut node = node(status);
            node["status"]["nodeInfo"] = json!({"kubeletVersion": version});
            ObjectMust::NodeAt("1.36.3".into()).problem(Some(&node))
        };
        assert_eq!(at("v1.36.3", "True"), None);
        assert_eq!(
            at("v1.36.2", "True").unwrap(),
            "its kubelet is of version `v1.36.2` and not yet `v1.36.3`"
        );
        assert_eq!(at("v1.36.3", "False").unwrap(), "it is not `Ready`: no network");
        let keep = ObjectMust::Keep([("/spec/blockSize".to_owned(), json!(26))].into());
        assert_eq!(keep.problem(None), None);
        assert_eq!(keep.problem(Some(&json!({"spec": {}}))), None);
        assert_eq!(keep.problem(Some(&json!({"spec": {"blockSize": 26}}))), None);
        let problem = keep.problem(Some(&json!({"spec": {"blockSize": 24}}))).unwrap();
        assert_eq!(problem, "`.spec.blockSize` is 24 and cannot become 26");
    }
}
