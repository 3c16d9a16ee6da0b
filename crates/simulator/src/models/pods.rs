//! What controllers and kubelets do by themselves as time passes.

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
    for kind in ["DaemonSet", "Deployment", "StatefulSet"] {
        for workload in store.of_kind(kind) {
            pods_of(store, kind, workload, now);
        }
    }
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
            let taint = json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"});
            set(&mut spec, &["taints"], json!([taint]));
        }
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": kubelet.node, "labels": labels}, "spec": spec})
    });
    let ready = if kubelet.is_there { "True" } else { "Unknown" };
    let status = json!({
        "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletReady", "message": ""}],
        "addresses": [{"type": "InternalIP", "address": kubelet.address}],
        "nodeInfo": {"kubeletVersion": kubelet.version},
    });
    set(&mut next, &["status"], status);
    if before.as_ref() != Some(&next) {
        store.save(next, now);
    }
}

/// Nodes that take pods now.
fn nodes(store: &Store, is_daemon: bool) -> Vec<String> {
    let takes = |node: &&Value| {
        let is_open = node.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true);
        is_daemon || (is_open && words(node, "/status/conditions/0/status") == "True")
    };
    store.of_kind("Node").iter().filter(takes).map(|node| words(node, "/metadata/name").to_owned()).collect()
}

fn pods_of(store: &mut Store, kind: &str, workload: Value, now: u64) {
    let is_daemon = kind == "DaemonSet";
    let (name, namespace) = (words(&workload, "/metadata/name"), words(&workload, "/metadata/namespace"));
    let nodes = nodes(store, is_daemon);
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
    let selected =
        |key: &&Key| key.1 == "Pod" && key.2 == namespace && wanted.iter().any(|(pod, _)| *pod == key.3);
    let keys: Vec<Key> = store.objects.keys().filter(selected).cloned().collect();
    let mut ready = 0_usize;
    for key in keys {
        let is_ready = store.changed_us.get(&key).is_some_and(|made| made + READY_US <= now)
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
