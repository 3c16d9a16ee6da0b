//! Whether objects and nodes are well.

use kubespray_resource::{ObjectMust, ObjectRef, condition_problem};
use serde_json::Value;

use super::{ApiError, Client};

/// How many pods are told of.
const MOST_PODS: usize = 10;

/// What is wrong, with evidence.
pub(crate) type Problem = Option<(String, Vec<String>)>;

/// One look at an object.
pub(crate) fn object(
    client: &Client<'_>,
    object: &ObjectRef,
    must: &ObjectMust,
) -> Result<Problem, ApiError> {
    let live = client.get(&format!("read {object}"), &client.path(object)?)?;
    let Some(problem) = must.problem(live.as_ref()) else { return Ok(None) };
    let evidence = match (&live, must) {
        // What cannot be told must not hide what is wrong.
        (Some(live), ObjectMust::RolledOut { .. }) => pods(client, live).unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Some((format!("{object}: {problem}"), evidence)))
}

/// One look at nodes.
pub(crate) fn nodes(client: &Client<'_>, names: &[String]) -> Result<Problem, ApiError> {
    let live = client.list("list nodes", &client.collection("v1", "Node")?, &[])?;
    let problems: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let node = live.iter().find(|node| text(node, "/metadata/name") == name);
            let problem = match node {
                None => "it is not there".to_owned(),
                Some(node) => condition_problem(node, "Ready")?,
            };
            Some(format!("`{name}`: {problem}"))
        })
        .collect();
    let Some(first) = problems.first() else { return Ok(None) };
    let told = match problems.len() {
        1 => format!("node {first}"),
        many => format!("{many} of {} nodes are not ready; {first}", names.len()),
    };
    Ok(Some((told, problems.into_iter().take(MOST_PODS).collect())))
}

/// Why pods of a workload are not ready.
pub(crate) fn pods(client: &Client<'_>, live: &Value) -> Result<Vec<String>, ApiError> {
    let labels = live.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let labels =
        labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let selector = labels.collect::<Vec<_>>().join(",");
    if selector.is_empty() {
        return Ok(Vec::new());
    }
    let found =
        client.list("list pods", &client.collection("v1", "Pod")?, &[("labelSelector", &selector)])?;
    let namespace = text(live, "/metadata/namespace");
    let of_it = found.iter().filter(|pod| text(pod, "/metadata/namespace") == namespace);
    let broken = of_it.filter_map(|pod| condition_problem(pod, "Ready").map(|why| (pod, why)));
    Ok(broken.take(MOST_PODS).map(|(pod, why)| pod_line(pod, why)).collect())
}

/// A pod that is not as it should be, in one line.
pub(crate) fn pod_line(pod: &Value, why: String) -> String {
    let statuses = |field: &str| {
        let list = pod.pointer(&format!("/status/{field}")).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let all = [statuses("initContainerStatuses"), statuses("containerStatuses")].concat();
    let waiting = all.iter().find_map(|status| {
        let (reason, message) =
            (text(status, "/state/waiting/reason"), text(status, "/state/waiting/message"));
        // Containers that wait for others of their pod have nothing to tell.
        let is_telling = !reason.is_empty() && reason != "PodInitializing";
        is_telling.then(|| format!("`{}`: {reason} {message}", text(status, "/name")).trim_end().to_owned())
    });
    let (name, node) = (text(pod, "/metadata/name"), text(pod, "/spec/nodeName"));
    let place = if node.is_empty() { "no node".to_owned() } else { format!("`{node}`") };
    format!("pod `{name}` on {place}: {}", waiting.unwrap_or(why))
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
