//! Whether pods run, and whether their logs can be read.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Namespaces, condition_problem};
use serde_json::Value;

use super::{Finding, MOST_LINES};
use crate::HostError;
use crate::failure::last_lines;
use crate::kubernetes::client::escaped;
use crate::kubernetes::health::{pod_line, text};
use crate::kubernetes::{ApiError, Client};

/// Of so many pods the end of their log is told.
const MOST_LOGS: usize = 3;

/// So many lines of it.
const LOG_LINES: usize = 4;

/// Where all pods are ours: only their logs are told.
const SYSTEM: &str = "kube-system";

/// CHK-005, CHK-006, CHK-063, CHK-065: all run and are ready, or are done. Those that are ending are left out.
pub(super) fn run(
    client: &Client<'_>,
    of: &Namespaces,
    expected: &BTreeSet<String>,
) -> Result<Option<Finding>, ApiError> {
    let live = client.list("list pods", &client.collection("v1", "Pod")?, &[])?;
    let ours: Vec<&Value> = live.iter().filter(|pod| of.contains(text(pod, "/metadata/namespace"))).collect();
    let there: BTreeSet<&str> = ours.iter().map(|pod| text(pod, "/metadata/name")).collect();
    let missing = expected.iter().filter(|name| !there.contains(name.as_str()));
    let mut problems: Vec<String> = missing.map(|name| format!("pod `{name}` is not there")).collect();
    let has_missing = !problems.is_empty();
    let mut logs = Vec::new();
    for pod in ours {
        let Some(why) = problem_of(pod) else { continue };
        if logs.len() < MOST_LOGS && text(pod, "/metadata/namespace") == SYSTEM {
            logs.push(log_of(client, pod)?);
        }
        let namespace = text(pod, "/metadata/namespace");
        problems.push(format!("{namespace}: {}", pod_line(pod, why)));
    }
    let count = problems.len();
    let Some(finding) = Finding::of(problems, |many| format!("{many} pods do not run")) else {
        return Ok(None);
    };
    // A long list must not leave out what the pods themselves say.
    let mut finding = finding;
    let lines: usize = logs.iter().map(Vec::len).sum();
    finding.evidence.truncate(MOST_LINES.saturating_sub(lines));
    let finding = finding.because(logs.into_iter().flatten());
    Ok(Some(if has_missing {
        finding.hint("a static pod that is missing has a manifest that the kubelet refuses: see `journalctl -u kubelet`")
    } else if count == 1 {
        finding.hint("`kubectl describe` the pod: its events say what it waits for")
    } else {
        finding.hint("`kubectl describe` the pods: their events say what they wait for; many on one node mean the node")
    }))
}

/// Why a pod is not as it should be.
fn problem_of(pod: &Value) -> Option<String> {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    match text(pod, "/status/phase") {
        "Succeeded" => None,
        "Running" => condition_problem(pod, "Ready"),
        phase => {
            let (reason, message) = (text(pod, "/status/reason"), text(pod, "/status/message"));
            let scheduled = condition_problem(pod, "PodScheduled");
            let why = match (phase, reason) {
                ("Pending", "") => scheduled.unwrap_or_default(),
                _ => format!("{reason} {message}"),
            };
            Some(format!("it is {phase}: {why}").trim_end_matches([':', ' ']).to_owned())
        }
    }
}

/// The end of the log of the container that is not ready; that of its last try, where it starts over and over.
fn log_of(client: &Client<'_>, pod: &Value) -> Result<Vec<String>, ApiError> {
    let statuses = |field: &str| {
        let list = pod.pointer(&format!("/status/{field}")).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let all = [statuses("initContainerStatuses"), statuses("containerStatuses")].concat();
    let is_done = |status: &Value| text(status, "/state/terminated/reason") == "Completed";
    let broken = all
        .iter()
        .find(|status| status.get("ready").and_then(Value::as_bool) != Some(true) && !is_done(status));
    let Some(status) = broken else { return Ok(Vec::new()) };
    let container = text(status, "/name");
    let previous = if status.pointer("/lastState/terminated").is_some() { "&previous=true" } else { "" };
    let path = log_path(pod, container, LOG_LINES) + previous;
    let name = text(pod, "/metadata/name");
    let lines = match client.plain(None, &path) {
        Ok(response) if response.status == 200 => last_lines(&String::from_utf8_lossy(&response.body)),
        Err(error @ (HostError::Gone | HostError::Cancelled)) => return Err(error.into()),
        // Why there is no log is not what is wrong.
        _ => Vec::new(),
    };
    Ok(lines.into_iter().map(|line| format!("log of `{name}`: {line}")).collect())
}

fn log_path(pod: &Value, container: &str, lines: usize) -> String {
    let part = |pointer| escaped(text(pod, pointer));
    format!(
        "/api/v1/namespaces/{}/pods/{}/log?container={}&tailLines={lines}&limitBytes=2000",
        part("/metadata/namespace"),
        part("/metadata/name"),
        escaped(container)
    )
}

/// CHK-033, CHK-070: the API server reaches the kubelet of each node. Nodes without a pod that runs are left out.
pub(super) fn logs(client: &Client<'_>, nodes: &BTreeSet<String>) -> Result<Option<Finding>, ApiError> {
    let live = client.list("list pods", &client.collection("v1", "Pod")?, &[])?;
    let mut of_nodes: BTreeMap<&str, (&Value, &str)> = BTreeMap::new();
    for pod in live.iter().filter(|pod| text(pod, "/metadata/namespace") == SYSTEM) {
        let node = text(pod, "/spec/nodeName");
        let statuses = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
        let running = statuses.into_iter().flatten().find(|one| one.pointer("/state/running").is_some());
        if let Some(container) = running.filter(|_| nodes.contains(node)) {
            of_nodes.entry(node).or_insert((pod, text(container, "/name")));
        }
    }
    let mut problems = Vec::new();
    for (node, (pod, container)) in of_nodes {
        let response = client.plain(None, &log_path(pod, container, 1))?;
        if response.status == 200 {
            continue;
        }
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let name = text(pod, "/metadata/name");
        let why = text(&body, "/message");
        problems
            .push(format!("`{node}`: the log of `{name}` cannot be read: status {} {why}", response.status));
    }
    let finding = Finding::of(problems, |many| format!("logs of pods on {many} nodes cannot be read"));
    Ok(finding.map(|finding| {
        finding.hint("the API server must reach the kubelet at port 10250 of the node, and trust its certificate: a firewall, a proxy without this address in `no_proxy`, or a request for a serving certificate that waits")
    }))
}
