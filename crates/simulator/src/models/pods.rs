//! What controllers and kubelets do by themselves as time passes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::store::{Key, Store, key_of, set, words};

/// A pod is ready so long after it was made.
const READY_US: u64 = 3_000_000;

/// A node and whether its kubelet is there.
#[derive(Clone, Debug)]
pub(super) struct Kubelet {
    pub(super) node: String,
    pub(super) version: String,
    pub(super) address: String,
    pub(super) is_control_plane: bool,
    /// With these it registers.
    pub(super) taints: Vec<Value>,
    /// The host has a pod network by itself.
    pub(super) has_network: bool,
    /// It reaches the API server.
    pub(super) is_there: bool,
}

/// Brings nodes and pods to where they are now.
pub(super) fn pass(store: &mut Store, kubelets: &[Kubelet], now: u64) {
    let gone: Vec<Key> =
        store.ending_us.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
    gone.iter().for_each(|key| store.remove(key));
    for kubelet in kubelets {
        node(store, kubelet, now);
    }
    detach(store);
    for kind in ["DaemonSet", "Deployment", "StatefulSet"] {
        let workloads: Vec<Value> = store.of_kind(kind).cloned().collect();
        for workload in workloads {
            pods_of(store, kind, workload, now);
        }
    }
}

/// A node whose kubelet has not been heard of for long.
pub(super) fn silent_node(store: &mut Store, name: &str, now: u64) {
    let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {}});
    set(&mut node, &["status"], status_of(false, false, "", ""));
    store.save(node, now);
}

fn status_of(is_there: bool, has_network: bool, address: &str, version: &str) -> Value {
    let (ready, reason, message) = match (is_there, has_network) {
        (true, true) => ("True", "KubeletReady", "kubelet is posting ready status"),
        (true, false) => ("False", "KubeletNotReady", "cni plugin not initialized"),
        (false, _) => ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
    };
    json!({
        "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": message}],
        "addresses": [{"type": "InternalIP", "address": address}],
        "nodeInfo": {"kubeletVersion": version},
    })
}

fn node(store: &mut Store, kubelet: &Kubelet, now: u64) {
    let before = store.get("v1", "Node", "", &kubelet.node).cloned();
    if before.is_none() && !kubelet.is_there {
        return;
    }
    let mut next = before.clone().unwrap_or_else(|| {
        let mut labels = json!({"kubernetes.io/hostname": kubelet.node, "kubernetes.io/os": "linux"});
        let mut spec = json!({});
        if kubelet.is_control_plane {
            set(&mut labels, &["node-role.kubernetes.io/control-plane"], "".into());
        }
        if !kubelet.taints.is_empty() {
            set(&mut spec, &["taints"], json!(kubelet.taints));
        }
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": kubelet.node, "labels": labels}, "spec": spec})
    });
    let has_network = kubelet.has_network || brings_network(store, &kubelet.node);
    let status = status_of(kubelet.is_there, has_network, &kubelet.address, &kubelet.version);
    set(&mut next, &["status"], status);
    if before.as_ref() != Some(&next) {
        store.save(next, now);
    }
}

/// Volumes leave nodes that are out of service; of others their kubelets would have to let go first.
fn detach(store: &mut Store) {
    let is_gone = |node: &Value| {
        let taints = node.pointer("/spec/taints").and_then(Value::as_array);
        let is_told = |taint| words(taint, "/key") == "node.kubernetes.io/out-of-service";
        taints.is_some_and(|taints| taints.iter().any(is_told))
    };
    let gone: BTreeSet<&str> = store
        .of_kind("Node")
        .filter(|node| is_gone(node))
        .map(|node| words(node, "/metadata/name"))
        .collect();
    let attached = store.of_kind("VolumeAttachment");
    let free: Vec<Key> =
        attached.filter(|volume| gone.contains(words(volume, "/spec/nodeName"))).map(key_of).collect();
    free.iter().for_each(|key| store.remove(key));
}

pub(super) fn is_ready(node: &Value) -> bool {
    words(node, "/status/conditions/0/status") == "True"
}

/// Whether a pod that runs on a node puts a network there.
fn brings_network(store: &Store, node: &str) -> bool {
    let is_network = |volume: &Value| words(volume, "/hostPath/path") == "/etc/cni/net.d";
    store.of_kind("Pod").any(|pod| {
        let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
        words(pod, "/spec/nodeName") == node
            && words(pod, "/status/conditions/0/status") == "True"
            && volumes.is_some_and(|volumes| volumes.iter().any(is_network))
    })
}

fn is_tolerated(taint: &Value, pod: &Value) -> bool {
    let tolerations = pod.pointer("/spec/tolerations").and_then(Value::as_array);
    tolerations.into_iter().flatten().any(|toleration| {
        let of = |pointer: &str| words(toleration, pointer);
        let is_same = |pointer: &str| of(pointer).is_empty() || of(pointer) == words(taint, pointer);
        let exists = of("/operator") == "Exists";
        is_same("/effect")
            && (if of("/key").is_empty() { exists } else { is_same("/key") })
            && (exists || of("/value") == words(taint, "/value"))
    })
}

/// Nodes that take the pods of a template now.
fn nodes(store: &Store, is_daemon: bool, template: &Value) -> Vec<String> {
    let takes = |node: &&Value| -> bool {
        let is_open = node.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true);
        let taints = node.pointer("/spec/taints").and_then(Value::as_array);
        let mut taints = taints.into_iter().flatten();
        let selector = template.pointer("/spec/nodeSelector").and_then(Value::as_object);
        let has_label = |(key, value): (&String, &Value)| {
            node.pointer("/metadata/labels").and_then(|labels| labels.get(key)) == Some(value)
        };
        (is_daemon || (is_open && is_ready(node)))
            && selector.is_none_or(|selector| selector.iter().all(has_label))
            && taints
                .all(|taint| words(taint, "/effect") == "PreferNoSchedule" || is_tolerated(taint, template))
    };
    store.of_kind("Node").filter(takes).map(|node| words(node, "/metadata/name").to_owned()).collect()
}

fn pods_of(store: &mut Store, kind: &str, workload: Value, now: u64) {
    let is_daemon = kind == "DaemonSet";
    let (name, namespace) = (words(&workload, "/metadata/name"), words(&workload, "/metadata/namespace"));
    let template = workload.pointer("/spec/template").cloned().unwrap_or_default();
    let nodes = nodes(store, is_daemon, &template);
    let replicas = workload.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let wanted: Vec<(String, String)> = if is_daemon {
        nodes.iter().map(|node| (format!("{name}-{node}"), node.clone())).collect()
    } else {
        (0..replicas.min(100))
            .filter_map(|number| {
                // Members of a set of nodes change; those that run stay where they are.
                let at = usize::try_from(number).unwrap_or(0) % nodes.len().max(1);
                Some((format!("{name}-{number}"), nodes.get(at)?.clone()))
            })
            .collect()
    };
    for (pod, node) in &wanted {
        if store.get("v1", "Pod", namespace, pod).is_some() {
            continue;
        }
        let mut metadata = workload.pointer("/spec/template/metadata").cloned().unwrap_or_else(|| json!({}));
        set(&mut metadata, &["name"], pod.clone().into());
        set(&mut metadata, &["namespace"], namespace.into());
        // A Deployment owns its pods by a ReplicaSet.
        let owner = if kind == "Deployment" { "ReplicaSet" } else { kind };
        let owner = json!([{"apiVersion": "apps/v1", "kind": owner, "name": name, "controller": true, "uid": words(&workload, "/metadata/uid")}]);
        set(&mut metadata, &["ownerReferences"], owner);
        let mut spec = workload.pointer("/spec/template/spec").cloned().unwrap_or_else(|| json!({}));
        set(&mut spec, &["nodeName"], node.clone().into());
        let made = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}});
        store.save(made, now);
    }
    let names: BTreeSet<&String> = wanted.iter().map(|(pod, _)| pod).collect();
    let selected = |key: &&Key| key.1 == "Pod" && key.2 == namespace && names.contains(&key.3);
    let keys: Vec<Key> = store.objects.keys().filter(selected).cloned().collect();
    let mut ready = 0_usize;
    // Only what uses the network of its node runs on one without another.
    let is_host_network = template.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
    let with_network: BTreeSet<String> = store
        .of_kind("Node")
        .filter(|node| is_host_network || is_ready(node))
        .map(|node| words(node, "/metadata/name").to_owned())
        .collect();
    for key in keys {
        let node = store.objects.get(&key).map_or("", |pod| words(pod, "/spec/nodeName"));
        let is_ready = with_network.contains(node)
            && store.changed_us.get(&key).is_some_and(|made| made + READY_US <= now)
            && !store.ending_us.contains_key(&key);
        ready += usize::from(is_ready);
        if let Some(pod) = store.objects.get_mut(&key) {
            let state = if is_ready { "True" } else { "False" };
            set(pod, &["status", "conditions"], json!([{"type": "Ready", "status": state}]));
        }
    }
    let changed = store.changed_us.get(&key_of(&workload)).copied().unwrap_or(now);
    let ready = if changed + READY_US <= now { ready } else { 0 };
    let generation = workload.pointer("/metadata/generation").cloned().unwrap_or(json!(1));
    let status = if is_daemon {
        json!({"observedGeneration": generation, "desiredNumberScheduled": nodes.len(),
            "currentNumberScheduled": nodes.len(), "updatedNumberScheduled": ready, "numberReady": ready,
            "numberAvailable": ready, "numberUnavailable": nodes.len().saturating_sub(ready)})
    } else {
        json!({"observedGeneration": generation, "replicas": wanted.len(), "updatedReplicas": ready,
            "readyReplicas": ready, "availableReplicas": ready,
            "conditions": [{"type": "Available", "status": if ready as u64 >= replicas {"True"} else {"False"}}]})
    };
    if let Some(object) = store.objects.get_mut(&key_of(&workload)) {
        set(object, &["status"], status);
    }
}
