//! Labels, taints and schedulability of Kubernetes nodes.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{
    CORDONED_BY_ANNOTATION, Failure, LABELS_ANNOTATION, NodePresent, NodeSeen, NodeState, ObjectRef,
    TAINTS_ANNOTATION,
};
use serde_json::{Map, Value, json};

use crate::kubernetes::{ApiError, Client};
use crate::{Host, View};

/// Nodes are changed by others all the time.
const TRIES: usize = 5;

/// What the node is like.
pub(crate) fn observe(view: &View<'_>, wish: &NodeState) -> Result<NodeSeen, Failure> {
    let client = view.clients.get(view.host, &wish.kubeconfig);
    match client.and_then(|client| read(&client, &wish.name)) {
        Ok(Some(node)) => Ok(NodeSeen::Present(Box::new(present(&node)))),
        Ok(None) => Ok(NodeSeen::Unknown(no_node(&wish.name))),
        Err(error) => error.unknown().map(NodeSeen::Unknown).ok_or_else(|| error.into()),
    }
}

/// Changes what differs, and nothing that others changed meanwhile.
pub(crate) fn apply(host: &dyn Host, wish: &NodeState) -> Result<(), Failure> {
    let client = Client::open(host, &wish.kubeconfig)?;
    let mut left = TRIES;
    loop {
        let Some(node) = read(&client, &wish.name)? else {
            return Err(Failure::new(kubespray_resource::ErrorClass::Transient, no_node(&wish.name))
                .hint("its kubelet registers it when it reaches the API server; look at the kubelet's journal there"));
        };
        let Some(patch) = patch(wish, &node) else { return Ok(()) };
        left -= 1;
        match client.merge(&format!("change Node {}", wish.name), &path(&wish.name), &patch) {
            Err(error) if error.code() == Some(409) && left > 0 => {}
            other => return other.map(drop).map_err(Failure::from),
        }
    }
}

fn no_node(name: &str) -> String {
    format!("the cluster has no node `{name}`")
}

/// The node's object.
pub(crate) fn read(client: &Client<'_>, name: &str) -> Result<Option<Value>, ApiError> {
    let object =
        ObjectRef { api_version: "v1".into(), kind: "Node".into(), namespace: None, name: name.to_owned() };
    client.get(&format!("read {object}"), &path(name))
}

/// Node names are DNS names, which need no escapes.
fn path(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "-.".contains(*c);
    format!("/api/v1/nodes/{}", name.chars().filter(plain).collect::<String>())
}

/// What we look at of a node.
pub(crate) fn present(node: &Value) -> NodePresent {
    let map = |pointer: &str| -> BTreeMap<String, String> {
        let map = node.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
    };
    let annotations = map("/metadata/annotations");
    let names = |annotation: &str| -> BTreeSet<String> {
        let text = annotations.get(annotation).map_or("", String::as_str);
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    NodePresent {
        labels: map("/metadata/labels"),
        taints: taints(node).iter().filter_map(key_and_value).collect(),
        unschedulable: node.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or_default(),
        cordoned_by: annotations.get(CORDONED_BY_ANNOTATION).cloned(),
        our_labels: names(LABELS_ANNOTATION),
        our_taints: names(TAINTS_ANNOTATION),
    }
}

fn taints(node: &Value) -> &[Value] {
    node.pointer("/spec/taints").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A taint as `KEY:EFFECT`, and its value.
fn key_and_value(taint: &Value) -> Option<(String, String)> {
    let text = |key: &str| taint.get(key).and_then(Value::as_str);
    Some((format!("{}:{}", text("key")?, text("effect")?), text("value").unwrap_or_default().to_owned()))
}

/// The patch that makes the node as wished; nothing where it is. Taints are one list to the API server: those of
/// others are kept as they are, and the version of the node makes sure that none was added meanwhile.
fn patch(wish: &NodeState, node: &Value) -> Option<Value> {
    let seen = present(node);
    let change = wish.change(&seen);
    let mut metadata = Map::new();
    let mut annotations = Map::new();
    let mut spec = Map::new();
    if !change.labels.is_empty() {
        metadata.insert("labels".into(), json!(change.labels));
    }
    for (name, entries) in [(LABELS_ANNOTATION, &change.our_labels), (TAINTS_ANNOTATION, &change.our_taints)]
    {
        if let Some(entries) = entries {
            let text = entries.iter().cloned().collect::<Vec<_>>().join(",");
            annotations.insert(name.into(), if text.is_empty() { Value::Null } else { text.into() });
        }
    }
    if !change.taints.is_empty() {
        let others = taints(node)
            .iter()
            .filter(|taint| key_and_value(taint).is_none_or(|(key, _)| !change.taints.contains_key(&key)));
        let mut next: Vec<Value> = others.cloned().collect();
        for (name, value) in &change.taints {
            if let (Some(value), Some((key, effect))) = (value, name.rsplit_once(':')) {
                let mut taint = json!({"key": key, "effect": effect});
                if let (false, Some(map)) = (value.is_empty(), taint.as_object_mut()) {
                    map.insert("value".into(), value.as_str().into());
                }
                next.push(taint);
            }
        }
        spec.insert("taints".into(), next.into());
    }
    if let Some(unschedulable) = change.unschedulable {
        spec.insert("unschedulable".into(), unschedulable.into());
        match (unschedulable, &wish.mark) {
            (true, Some(mark)) => _ = annotations.insert(CORDONED_BY_ANNOTATION.into(), mark.as_str().into()),
            (true, None) => {}
            (false, _) => _ = annotations.insert(CORDONED_BY_ANNOTATION.into(), Value::Null),
        }
    }
    if metadata.is_empty() && annotations.is_empty() && spec.is_empty() {
        return None;
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), annotations.into());
    }
    if let Some(version) = node.pointer("/metadata/resourceVersion") {
        metadata.insert("resourceVersion".into(), version.clone());
    }
    let mut patch = json!({ "metadata": metadata });
    if let (false, Some(map)) = (spec.is_empty(), patch.as_object_mut()) {
        map.insert("spec".into(), spec.into());
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_of_others_stay() {
        let node = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"taints": [
                {"key": "theirs", "effect": "NoExecute", "timeAdded": "t"},
                {"key": "old", "effect": "NoSchedule", "value": "x"},
            ]},
        });
        let taints = BTreeMap::from([
            ("old:NoSchedule".into(), None),
            ("new:NoSchedule".into(), Some("v".into())),
            ("bare:NoExecute".into(), Some(String::new())),
        ]);
        let wish = NodeState { taints, ..NodeState::default() };
        let expected = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"taints": [
                {"key": "theirs", "effect": "NoExecute", "timeAdded": "t"},
                {"key": "bare", "effect": "NoExecute"},
                {"key": "new", "effect": "NoSchedule", "value": "v"},
            ]},
        });
        assert_eq!(patch(&wish, &node), Some(expected));
    }
}
