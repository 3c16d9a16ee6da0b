//! What the API server says of itself, nodes, workloads, requests and metrics.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{NodeMust, ObjectMust, ObjectRef, condition_problem};
use serde_json::Value;

use super::Finding;
use crate::HttpResponse;
use crate::failure::last_lines;
use crate::kinds::node_state;
use crate::kubernetes::health::{pods, text};
use crate::kubernetes::{ApiError, Client};

/// CHK-001, CHK-002, CHK-022, CHK-060: ready, of the right version, and with a certificate that is believed.
pub(super) fn server(
    client: &Client<'_>,
    server: Option<&str>,
    version: &str,
) -> Result<Option<Finding>, ApiError> {
    if let Some(finding) = ready(client, server)? {
        return Ok(Some(finding));
    }
    let (told, wanted) = (told_version(client, server)?, format!("v{version}"));
    if told == wanted {
        return Ok(None);
    }
    let told = if told.is_empty() { "nothing".to_owned() } else { told };
    Ok(Some(
        Finding::new(format!("the API server says it is {told} in place of {wanted}")).hint(
            "`kubespray plan cluster` shows what an upgrade would do, or set `kube_version` to what runs",
        ),
    ))
}

/// Why an API server is not ready.
pub(crate) fn ready(client: &Client<'_>, server: Option<&str>) -> Result<Option<Finding>, ApiError> {
    let ready = client.plain(server, "/readyz?verbose")?;
    Ok((ready.status != 200).then(|| not_ready(&ready)))
}

/// The version that an API server tells, such as `v1.36.2`; empty where it tells none.
pub(crate) fn told_version(client: &Client<'_>, server: Option<&str>) -> Result<String, ApiError> {
    let found = client.plain(server, "/version")?;
    let json: Value = serde_json::from_slice(&found.body).unwrap_or_default();
    Ok(text(&json, "/gitVersion").to_owned())
}

fn not_ready(response: &HttpResponse) -> Finding {
    let body = String::from_utf8_lossy(&response.body);
    let failed: Vec<&str> =
        body.lines().filter_map(|line| line.trim().strip_prefix("[-]")?.split_whitespace().next()).collect();
    let problem = match (response.status, failed.as_slice()) {
        (401, _) => "the API server does not know who asks".to_owned(),
        (403, _) => "the API server does not tell this user whether it is ready".to_owned(),
        (status, []) => format!("the API server answers with status {status}"),
        (_, failed) => format!("the API server is not ready: {} failed", failed.join(", ")),
    };
    let hint = if failed.contains(&"etcd") || failed.contains(&"etcd-readiness") {
        "the API server does not reach etcd: see the assertions of etcd"
    } else {
        "look at the log of its pod: `crictl logs` of the container `kube-apiserver` on its host"
    };
    Finding::new(problem).because(last_lines(&body)).hint(hint)
}

/// CHK-004, CHK-024, CHK-062: who is there, ready exactly when the condition says `True`, and takes pods.
pub(super) fn nodes(
    client: &Client<'_>,
    wanted: &BTreeMap<String, NodeMust>,
) -> Result<Option<Finding>, ApiError> {
    let live = client.list("list nodes", &client.collection("v1", "Node")?, &[])?;
    let mut problems = Vec::new();
    let mut hints = BTreeSet::new();
    let mut conditions = Vec::new();
    for (name, must) in wanted {
        let Some(node) = live.iter().find(|node| text(node, "/metadata/name") == name) else {
            problems.push(format!("node `{name}` is not registered"));
            hints.insert(
                "see `journalctl -u kubelet` on the host, or run `kubespray cluster` to join it".to_owned(),
            );
            continue;
        };
        let found = of_node(node, must);
        if !found.is_empty() {
            conditions.extend(conditions_of(name, node));
            hints.extend(found.iter().filter_map(|problem| hint_for(problem)).map(str::to_owned));
        }
        problems.extend(found.into_iter().map(|problem| format!("node `{name}`: {problem}")));
    }
    for name in
        live.iter().map(|node| text(node, "/metadata/name")).filter(|name| !wanted.contains_key(*name))
    {
        problems.push(format!("node `{name}` is not in the inventory"));
        hints.insert(format!("put the host back into the inventory, or `kubectl delete node {name}`"));
    }
    let finding = Finding::of(problems, |many| format!("{many} problems of nodes"));
    Ok(finding.map(|finding| {
        let finding = finding.because(conditions);
        hints.into_iter().fold(finding, Finding::hint)
    }))
}

fn of_node(node: &Value, must: &NodeMust) -> Vec<String> {
    let mut problems: Vec<String> = condition_problem(node, "Ready").into_iter().collect();
    if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        problems.push("it is cordoned".into());
    }
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    for key in taints.into_iter().flatten().map(|taint| text(taint, "/key")) {
        let is_told = ["unschedulable", "not-ready", "unreachable"].iter().any(|end| key.ends_with(end));
        let is_of_state = ["node.kubernetes.io/", "node.cloudprovider.kubernetes.io/"];
        if is_of_state.iter().any(|start| key.starts_with(start)) && !is_told {
            problems.push(format!("it has the taint `{key}`"));
        }
    }
    let (version, wanted) = (text(node, "/status/nodeInfo/kubeletVersion"), format!("v{}", must.version));
    if version != wanted {
        problems.push(format!("its kubelet is {version} in place of {wanted}"));
    }
    let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
    let internal: Vec<&str> = addresses
        .into_iter()
        .flatten()
        .filter(|address| text(address, "/type") == "InternalIP")
        .map(|address| text(address, "/address"))
        .collect();
    if let Some(address) = &must.address
        && !internal.iter().any(|found| found.parse().is_ok_and(|found: std::net::IpAddr| found == *address))
    {
        problems.push(format!("its internal address is {} in place of {address}", internal.join(", ")));
    }
    problems
}

/// Conditions that are not as those of a node that works.
fn conditions_of(name: &str, node: &Value) -> Vec<String> {
    let all = node.pointer("/status/conditions").and_then(Value::as_array);
    let broken = all.into_iter().flatten().filter(|condition| {
        let is_ready = text(condition, "/type") == "Ready";
        text(condition, "/status") != if is_ready { "True" } else { "False" }
    });
    broken
        .map(|condition| {
            let part = |pointer| text(condition, pointer);
            let line = format!(
                "`{name}`: {}={} {}: {}",
                part("/type"),
                part("/status"),
                part("/reason"),
                part("/message")
            );
            line.trim_end_matches([':', ' ']).to_owned()
        })
        .collect()
}

fn hint_for(problem: &str) -> Option<&'static str> {
    let lower = problem.to_lowercase();
    [
        ("cni", "the network plugin does not run there: see its pods in `kube-system`"),
        ("networkplugin", "the network plugin does not run there: see its pods in `kube-system`"),
        ("stopped posting", "the host is down, its kubelet does not run, or it does not reach an API server"),
        ("container runtime", "the container engine does not answer: see its unit on the host"),
        ("is cordoned", "`kubectl uncordon` it when its maintenance is over"),
        ("its kubelet is", "run `kubespray cluster`, or the upgrade that was cut off, on this host"),
        ("disk", "free disk space on the host"),
    ]
    .into_iter()
    .find_map(|(words, hint)| lower.contains(words).then_some(hint))
}

/// CHK-064, CHK-076: rolled out at its latest generation, with the images that are wished.
pub(super) fn workload(
    client: &Client<'_>,
    object: &ObjectRef,
    missing: u64,
    images: &BTreeMap<String, String>,
) -> Result<Option<Finding>, ApiError> {
    let live = client.get(&format!("read {object}"), &client.path(object)?)?;
    if let Some(problem) = (ObjectMust::RolledOut { missing }).problem(live.as_ref()) {
        let hint = match &live {
            None => "run `kubespray cluster`: it makes what is missing",
            Some(_) => {
                "`kubectl describe` its pods; images that cannot be pulled and full nodes are the usual reasons"
            }
        };
        let lines = live.as_ref().and_then(|live| pods(client, live).ok()).unwrap_or_default();
        return Ok(Some(Finding::new(format!("{object}: {problem}")).because(lines).hint(hint)));
    }
    let live = live.unwrap_or_default();
    let list = |kind: &str| {
        let containers = live.pointer(&format!("/spec/template/spec/{kind}")).and_then(Value::as_array);
        containers.cloned().unwrap_or_default()
    };
    let containers = [list("initContainers"), list("containers")].concat();
    let differs = images.iter().filter_map(|(name, image)| {
        let found = containers.iter().find(|container| text(container, "/name") == name)?;
        let found = text(found, "/image");
        (found != image).then(|| format!("{object}: `{name}` is of `{found}` in place of `{image}`"))
    });
    let finding = Finding::of(differs.collect(), |many| format!("{many} images differ"));
    Ok(finding
        .map(|finding| finding.hint("run `kubespray cluster`; `kubespray plan cluster` shows it first")))
}

/// OPS-092: volumes of a node that goes must be free for another one.
pub(super) fn no_volumes(client: &Client<'_>, node: &str) -> Result<Option<Finding>, ApiError> {
    const KIND: (&str, &str) = ("storage.k8s.io/v1", "VolumeAttachment");
    let live = match client.collection(KIND.0, KIND.1) {
        // A cluster that knows no such thing has none.
        Err(ApiError::NoKind { .. }) => return Ok(None),
        path => client.list("list volumes", &path?, &[])?,
    };
    let of_node = live.iter().filter(|volume| text(volume, "/spec/nodeName") == node);
    let problems: Vec<String> = of_node
        .map(|volume| {
            let (name, by) =
                (text(volume, "/spec/source/persistentVolumeName"), text(volume, "/spec/attacher"));
            format!("the volume `{name}` is attached to `{node}` by `{by}`")
        })
        .collect();
    let finding = Finding::of(problems, |many| format!("{many} volumes"));
    Ok(finding.map(|finding| {
        finding.hint("its driver detaches it when no pod uses it; look at the driver's pods, or set `allow_ungraceful_removal: true`")
    }))
}

/// PAIN-049: whoever still reports may still write to its volumes. A node that nobody knows is lost as well.
pub(super) fn lost(client: &Client<'_>, node: &str) -> Result<Option<Finding>, ApiError> {
    let Some(found) = node_state::read(client, node)? else { return Ok(None) };
    let conditions = found.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| text(condition, "/type") == "Ready");
    if ready.is_none_or(|ready| text(ready, "/status") == "Unknown") {
        return Ok(None);
    }
    Ok(Some(
        Finding::new(format!(
            "the kubelet of `{node}` still reports to the cluster, so its host is not gone"
        ))
        .because(conditions_of(node, &found))
        .hint("switch the host off: what runs there would go on writing to volumes that others get")
        .hint("`allow_ungraceful_removal: true` asks neither for that nor for volumes"),
    ))
}

/// CHK-007, CHK-008, CHK-074: none waits, none was denied. None is approved here: who asks must be looked at.
pub(super) fn requests(client: &Client<'_>) -> Result<Option<Finding>, ApiError> {
    const KIND: (&str, &str) = ("certificates.k8s.io/v1", "CertificateSigningRequest");
    let live = client.list("list requests for certificates", &client.collection(KIND.0, KIND.1)?, &[])?;
    let mut waits = false;
    let problems: Vec<String> = live
        .iter()
        .filter_map(|request| {
            let conditions = request.pointer("/status/conditions").and_then(Value::as_array);
            let is = |kind: &str| {
                conditions.into_iter().flatten().find(|condition| text(condition, "/type") == kind)
            };
            let why = match (is("Denied"), is("Failed"), is("Approved")) {
                (Some(denied), ..) => format!("was denied: {}", text(denied, "/message")),
                (None, Some(failed), _) => format!("failed: {}", text(failed, "/message")),
                (None, None, Some(_)) => return None,
                (None, None, None) => {
                    waits = true;
                    "waits".to_owned()
                }
            };
            let (name, who) = (text(request, "/metadata/name"), text(request, "/spec/username"));
            Some(format!("the request `{name}` of `{who}` {why}").trim_end_matches([':', ' ']).to_owned())
        })
        .collect();
    let finding = Finding::of(problems, |many| format!("{many} requests for certificates"));
    Ok(finding.map(|finding| {
        if waits {
            finding.hint("look who asks and for what (`kubectl describe csr`), then `kubectl certificate approve`; an approver that is enabled may not run")
        } else {
            finding.hint("the names and addresses asked for must be those of the node; delete the request, and the kubelet asks again")
        }
    }))
}

/// CHK-030: what `kubectl top nodes` shows.
pub(super) fn metrics(client: &Client<'_>, nodes: &BTreeSet<String>) -> Result<Option<Finding>, ApiError> {
    const HINT: &str = "see the log of `metrics-server` in `kube-system`: it asks each kubelet at port 10250";
    let Some(list) = client.get("read metrics of nodes", "/apis/metrics.k8s.io/v1beta1/nodes")? else {
        return Ok(Some(Finding::new("the API server serves no metrics").hint(HINT)));
    };
    let items = list.get("items").and_then(Value::as_array);
    let found: BTreeSet<&str> =
        items.into_iter().flatten().map(|item| text(item, "/metadata/name")).collect();
    let missing = nodes.iter().filter(|name| !found.contains(name.as_str()));
    let problems = missing.map(|name| format!("there are no metrics of node `{name}`")).collect();
    let finding = Finding::of(problems, |many| format!("{many} nodes have no metrics"));
    Ok(finding.map(|finding| finding.hint(HINT)))
}
