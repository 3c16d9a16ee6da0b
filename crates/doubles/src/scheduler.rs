//! The program kube-scheduler.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::selects;
use crate::client::{Client, path};
use crate::controller::nodes::tolerates;
use crate::controller::serve_health;
use crate::flags::{COMMON, Flags};
use crate::leader::Leader;
use crate::{clock, files, kubeconfig, schema, yaml};

const KNOWN: &str = "config pod-max-in-unschedulable-pods-duration write-config-to requestheader-allowed-names \
    requestheader-extra-headers-prefix requestheader-group-headers requestheader-username-headers";

const FILES: [&str; 4] = ["config", "kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"];

const ROUND: Duration = Duration::from_millis(500);

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Runs until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, &format!("{COMMON} {KNOWN}"))?;
    if flags.is("version") {
        crate::say(&format!("Kubernetes {}", crate::version()));
        return Ok(());
    }
    flags.check(&FILES, &["leader-elect-lease-duration", "leader-elect-renew-deadline"])?;
    let mut path = flags.text("kubeconfig").to_owned();
    let mut lasts =
        flags.get("leader-elect-lease-duration").and_then(clock::duration).unwrap_or(Duration::from_secs(15));
    if let Some(config) = flags.get("config") {
        let document = yaml::read(&files::read(config)?).map_err(|error| format!("{config}: {error}"))?;
        if (text(&document, "/kind"), text(&document, "/apiVersion"))
            != ("KubeSchedulerConfiguration", "kubescheduler.config.k8s.io/v1")
        {
            return Err(format!("{config}: no KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1"));
        }
        let problems = schema::document_problems("KubeSchedulerConfiguration", &document);
        if !problems.is_empty() {
            return Err(format!("{config}: strict decoding error: {}", problems.join(", ")));
        }
        // What stands in the file counts, as in the real one.
        let own = text(&document, "/clientConnection/kubeconfig");
        if !own.is_empty() {
            own.clone_into(&mut path);
        }
        lasts = clock::duration(text(&document, "/leaderElection/leaseDuration")).unwrap_or(lasts);
    }
    let access = kubeconfig::read(&path)?;
    crate::check_user(&access, "system:kube-scheduler", "")?;
    let client = Client::new(&access, "kube-scheduler")?;
    serve_health(&flags, "kube-scheduler", 10259)?;
    let mut leader = Leader::new("kube-scheduler", lasts);
    let mut last = String::new();
    loop {
        if leader.holds(&client)? {
            let problem = round(&client).err().unwrap_or_default();
            if !problem.is_empty() && problem != last {
                crate::told(&problem);
            }
            last = problem;
        }
        std::thread::sleep(ROUND);
    }
}

pub(crate) fn round(client: &Client) -> Result<(), String> {
    let waiting = client.list("/api/v1/pods?fieldSelector=spec.nodeName%3D")?;
    let waits = |pod: &&Value| {
        pod.pointer("/metadata/deletionTimestamp").is_none()
            && text(pod, "/spec/schedulerName") == "default-scheduler"
            && !["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
    };
    let waiting: Vec<&Value> = waiting.iter().filter(waits).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let nodes = client.list("/api/v1/nodes")?;
    let pods = client.list("/api/v1/pods")?;
    let mut load: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in &pods {
        *load.entry(text(pod, "/spec/nodeName")).or_default() += 1;
    }
    let mut bound: Vec<(Value, String)> = Vec::new();
    for pod in waiting {
        let all = || {
            pods.iter()
                .map(|pod| (pod, text(pod, "/spec/nodeName")))
                .chain(bound.iter().map(|(pod, node)| (pod, node.as_str())))
        };
        let fitting = nodes
            .iter()
            .filter(|node| may_be_on(pod, node) && !is_kept_away(pod, text(node, "/metadata/name"), all()));
        let best = fitting.min_by_key(|node| {
            let name = text(node, "/metadata/name");
            let alike = all().filter(|(other, on)| {
                *on == name && other["metadata"]["ownerReferences"] == pod["metadata"]["ownerReferences"]
            });
            (alike.count(), load.get(name).copied().unwrap_or_default(), name.to_owned())
        });
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let at = path("v1", "pods", namespace, name);
        match best {
            Some(node) => {
                let node = text(node, "/metadata/name");
                let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
                match client.create(&format!("{at}/binding"), &binding) {
                    Err(error) if ![404, 409].contains(&error.code) => return Err(error.into()),
                    _ => {}
                }
                *load
                    .entry(text(
                        nodes.iter().find(|one| text(one, "/metadata/name") == node).unwrap_or(&Value::Null),
                        "/metadata/name",
                    ))
                    .or_default() += 1;
                bound.push((pod.clone(), node.to_owned()));
            }
            None if text(pod, "/status/conditions/0/reason") != "Unschedulable" => {
                let message = format!("0/{} nodes are available", nodes.len());
                let conditions = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                    "lastTransitionTime": clock::now()}]);
                client.merge(&format!("{at}/status"), &json!({"status": {"conditions": conditions}}))?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Whether a node takes the pod.
fn may_be_on(pod: &Value, node: &Value) -> bool {
    let is_ready =
        list(node, "/status/conditions").iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
    let bears = list(node, "/spec/taints")
        .iter()
        .filter(|taint| taint["effect"] != "PreferNoSchedule")
        .all(|taint| tolerates(pod, taint).is_some());
    let is_open = node.pointer("/spec/unschedulable") != Some(&Value::Bool(true))
        || tolerates(pod, &json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}))
            .is_some();
    is_ready && bears && is_open && fits_node(pod, node)
}

/// Whether the labels of a node are those that the pod wants.
pub(crate) fn fits_node(pod: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selector = pod.pointer("/spec/nodeSelector").and_then(Value::as_object);
    if selector.into_iter().flatten().any(|(key, value)| labels.get(key) != Some(value)) {
        return false;
    }
    let terms = list(
        pod,
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms",
    );
    terms.is_empty()
        || terms.iter().any(|term| {
            let by_labels = selects(&json!({"matchExpressions": term["matchExpressions"]}), node);
            let by_fields = list(term, "/matchFields").iter().all(|field| {
                field["key"] == "metadata.name"
                    && field["values"]
                        .as_array()
                        .is_some_and(|names| names.contains(&node["metadata"]["name"]))
            });
            by_labels && by_fields
        })
}

/// Whether pods of the node are those that the pod must not be with.
fn is_kept_away<'a>(pod: &Value, node: &str, mut others: impl Iterator<Item = (&'a Value, &'a str)>) -> bool {
    let terms = list(pod, "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    others.any(|(other, on)| {
        on == node
            && terms.iter().any(|term| {
                term["topologyKey"] == "kubernetes.io/hostname"
                    && other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                    && selects(&term["labelSelector"], other)
            })
    })
}
