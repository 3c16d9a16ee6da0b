//! The pods of a node: which have to go, and how they are made to.

use std::collections::BTreeMap;
use std::time::Duration;

use kubespray_resource::{Drain, DrainPod, ErrorClass, Failure};
use serde_json::Value;

use super::{ApiError, Client, Delete};
use crate::HostError;

/// How often to look whether pods are gone, and to try again those that a budget holds.
const LOOK: Duration = Duration::from_secs(1);

/// A pod that a budget holds is tried again after this, as `kubectl` does it; in milliseconds.
const AGAIN_MS: u64 = 5000;

/// More pods are not asked for one by one what is in their way.
const MOST_FORECASTS: usize = 250;

/// How pods go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// By eviction: budgets are asked.
    Evict,
    /// By deletion: nobody is asked.
    Delete,
}

/// A pod that has to go.
#[derive(Clone, Debug)]
struct Going {
    pod: DrainPod,
    uid: Option<String>,
    /// Whether the wish forbids that it goes.
    is_forbidden: bool,
}

/// The pods that have to go, each with what is in its way: what the wish does not allow, or what the server says
/// to a trial eviction.
pub(crate) fn forecast(client: &Client<'_>, wish: &Drain) -> Result<Vec<DrainPod>, ApiError> {
    let mut out = Vec::new();
    for (index, mut going) in pods(client, wish)?.into_iter().enumerate() {
        if going.pod.obstacle.is_none() && !going.pod.ending && index < MOST_FORECASTS {
            let how = Delete { uid: going.uid, grace_s: wish.grace_s };
            match client.evict(&going.pod.namespace, &going.pod.name, &how, true) {
                Ok(()) => {}
                Err(error) if [Some(404), Some(409)].contains(&error.code()) => {}
                Err(error) if error.code().is_some() => going.pod.obstacle = Some(obstacle(error)),
                Err(error) => return Err(error),
            }
        }
        out.push(going.pod);
    }
    Ok(out)
}

/// Makes all pods go and waits until they are gone, for so many seconds. Pods go at the same time; a budget holds
/// only the pods that it is about.
pub(crate) fn empty(
    client: &Client<'_>,
    wish: &Drain,
    means: Means,
    grace_s: Option<u64>,
    timeout_s: u64,
) -> Result<(), Failure> {
    let host = client.host;
    let deadline = host.now_ms().saturating_add(timeout_s.saturating_mul(1000));
    let mut asked: BTreeMap<Option<String>, Asked> = BTreeMap::new();
    loop {
        let left = match pods(client, wish) {
            // API servers restart while nodes are drained.
            Err(error) if error.may_pass() && host.now_ms() < deadline => {
                host.sleep(LOOK)?;
                continue;
            }
            other => other?,
        };
        let forbidden: Vec<&DrainPod> =
            left.iter().filter(|going| going.is_forbidden).map(|going| &going.pod).collect();
        if !forbidden.is_empty() {
            return Err(refused(wish, &forbidden));
        }
        if left.is_empty() {
            return Ok(());
        }
        for going in &left {
            if host.is_cancelled() {
                return Err(HostError::Cancelled.into());
            }
            let asked = asked.entry(going.uid.clone()).or_default();
            if going.pod.ending || asked.is_going || host.now_ms() < asked.not_before_ms {
                continue;
            }
            let how = Delete { uid: going.uid.clone(), grace_s };
            match go(client, &going.pod, &how, means) {
                Ok(()) => *asked = Asked { is_going: true, ..Asked::default() },
                // Budgets, and what servers say while they restart; also a pod with two budgets, which is 500.
                Err(error) if error.may_pass() => {
                    let pause_ms =
                        error.retry_after_s().map_or(AGAIN_MS, |seconds| seconds.saturating_mul(1000));
                    asked.not_before_ms = host.now_ms().saturating_add(pause_ms);
                    asked.obstacle = Some(obstacle(error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        if host.now_ms() >= deadline {
            return Err(too_long(wish, means, timeout_s, left, &asked));
        }
        host.sleep(LOOK)?;
    }
}

/// What became of asking a pod to go.
#[derive(Clone, Debug, Default)]
struct Asked {
    is_going: bool,
    not_before_ms: u64,
    obstacle: Option<String>,
}

fn go(client: &Client<'_>, pod: &DrainPod, how: &Delete, means: Means) -> Result<(), ApiError> {
    let result = match means {
        Means::Evict => client.evict(&pod.namespace, &pod.name, how, false),
        Means::Delete => {
            let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
            let asked = format!("delete Pod {}/{}", pod.namespace, pod.name);
            client.delete(&asked, &path, how).map(drop)
        }
    };
    match result {
        // It is gone, or another pod of its name is there.
        Err(error) if [Some(404), Some(409)].contains(&error.code()) => Ok(()),
        other => other,
    }
}

/// What is in a pod's way.
fn obstacle(error: ApiError) -> String {
    let status = match error {
        ApiError::Refused(status) => status,
        other => return Failure::from(other).message,
    };
    let budgets = status.budgets();
    if budgets.is_empty() { status.message } else { budgets.join(", ") }
}

fn refused(wish: &Drain, pods: &[&DrainPod]) -> Failure {
    let message = format!("node `{}` cannot be drained: {} pods must not go", wish.node, pods.len());
    let mut failure = Failure::new(ErrorClass::Wish, message);
    failure.evidence = pods.iter().map(ToString::to_string).collect();
    failure.hint("allow it in the drain's settings, or move these pods by hand")
}

fn too_long(
    wish: &Drain,
    means: Means,
    timeout_s: u64,
    left: Vec<Going>,
    asked: &BTreeMap<Option<String>, Asked>,
) -> Failure {
    let mut is_held = false;
    let lines: Vec<String> = left
        .into_iter()
        .map(|mut going| {
            let asked = asked.get(&going.uid);
            if going.pod.obstacle.is_none() && !going.pod.ending {
                going.pod.obstacle = asked.and_then(|asked| asked.obstacle.clone());
                is_held |= going.pod.obstacle.is_some();
            }
            going.pod.to_string()
        })
        .collect();
    let how = match means {
        Means::Evict => "evicted",
        Means::Delete => "deleted",
    };
    let message = format!(
        "node `{}` is not drained after {timeout_s} s: {} pods are not {how}",
        wish.node,
        lines.len()
    );
    let mut failure = Failure::new(ErrorClass::Host, message);
    failure.evidence = lines;
    if is_held {
        failure.hint("add replicas, or change the disruption budgets that are named, so that a pod may go")
    } else {
        failure
            .hint("pods that do not end: a long grace period, finalizers, or a kubelet that does not answer")
    }
}

/// The pods of the node that have to go. Static pods (mirrors) and, where wished, pods of DaemonSets stay.
fn pods(client: &Client<'_>, wish: &Drain) -> Result<Vec<Going>, ApiError> {
    let on_node = format!("spec.nodeName={}", wish.node);
    let query = [
        ("fieldSelector", on_node.as_str()),
        ("labelSelector", wish.pod_selector.as_deref().unwrap_or_default()),
    ];
    let asked = format!("list the pods of node `{}`", wish.node);
    let found = client.list(&asked, "/api/v1/pods", &query)?;
    Ok(found.iter().filter_map(|pod| going(pod, wish)).collect())
}

fn going(pod: &Value, wish: &Drain) -> Option<Going> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str);
    let annotations = pod.pointer("/metadata/annotations");
    if annotations.is_some_and(|annotations| annotations.get("kubernetes.io/config.mirror").is_some()) {
        return None;
    }
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let owner = owners.and_then(|owners| {
        owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
    });
    let owner_text = |key: &str| owner.and_then(|owner| owner.get(key)).and_then(Value::as_str);
    let is_finished = matches!(text("/status/phase"), Some("Succeeded" | "Failed"));
    let is_of_daemon_set = owner_text("kind") == Some("DaemonSet");
    if is_of_daemon_set && wish.ignore_daemonsets && !is_finished {
        return None;
    }
    let ending = pod.pointer("/metadata/deletionTimestamp").is_some();
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    let keeps_data =
        volumes.is_some_and(|volumes| volumes.iter().any(|volume| volume.get("emptyDir").is_some()));
    let obstacle = if is_finished || ending {
        None
    } else if is_of_daemon_set {
        Some("its DaemonSet would make it anew on this node")
    } else if owner.is_none() && !wish.force {
        Some("nothing makes it anew elsewhere")
    } else if keeps_data && !wish.delete_empty_dir {
        Some("data in its `emptyDir` volumes would be lost")
    } else {
        None
    };
    Some(Going {
        pod: DrainPod {
            namespace: text("/metadata/namespace")?.to_owned(),
            name: text("/metadata/name")?.to_owned(),
            owner: owner_text("kind").zip(owner_text("name")).map(|(kind, name)| format!("{kind} {name}")),
            ending,
            obstacle: obstacle.map(str::to_owned),
        },
        uid: text("/metadata/uid").map(str::to_owned),
        is_forbidden: obstacle.is_some(),
    })
}
