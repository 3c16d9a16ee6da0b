//! Nodes: their networks, whether they are alive, and what that means for pods.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Manager, condition, list, put_status, text};
use crate::client::path;
use crate::clock;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

fn delete_now() -> Value {
    json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})
}

/// Whether a pod bears a taint; for how long, where it bears `NoExecute` only for a time.
pub(crate) fn tolerates(pod: &Value, taint: &Value) -> Option<Option<i64>> {
    list(pod, "/spec/tolerations").iter().find_map(|one| {
        let has_key = one.get("key").is_none_or(|key| key.is_null() || *key == taint["key"]);
        let has_effect = one
            .get("effect")
            .is_none_or(|effect| effect.is_null() || effect == "" || *effect == taint["effect"]);
        let is_exists = one["operator"] == "Exists";
        let has_value = is_exists || text(one, "/value") == text(taint, "/value") && one.get("key").is_some();
        (has_key && has_effect && has_value).then(|| one.get("tolerationSeconds").and_then(Value::as_i64))
    })
}

impl Manager {
    /// Every node gets its part of the networks of pods.
    pub(super) fn networks(&self) -> Result<(), String> {
        if self.pods.is_empty() {
            return Ok(());
        }
        let nodes = self.client.list("/api/v1/nodes")?;
        let mut taken: BTreeSet<String> = nodes
            .iter()
            .flat_map(|node| {
                list(node, "/spec/podCIDRs").iter().filter_map(|range| range.as_str().map(str::to_owned))
            })
            .collect();
        for node in nodes.iter().filter(|node| text(node, "/spec/podCIDR").is_empty()) {
            let mut own = Vec::new();
            for (range, mask) in &self.pods {
                let free = (0u128..65_536).map_while(|at| range.part(*mask, at)).map(|part| part.to_string());
                let free = free
                    .into_iter()
                    .find(|part| !taken.contains(part))
                    .ok_or("CIDR allocation failed; there are no remaining CIDRs left")?;
                taken.insert(free.clone());
                own.push(free);
            }
            let at = path("v1", "nodes", "", text(node, "/metadata/name"));
            let patch = json!({"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
                "spec": {"podCIDR": own.first(), "podCIDRs": own}});
            match self.client.merge(&at, &patch) {
                Err(error) if error.code != 409 => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Nodes whose leases are stale are unknown; taints say what is wrong; pods leave nodes that are gone.
    pub(super) fn lifecycle(&self) -> Result<(), String> {
        let nodes = self.client.list("/api/v1/nodes")?;
        let leases = self.client.list(&path("coordination.k8s.io/v1", "leases", "kube-node-lease", ""))?;
        let renewed: BTreeMap<&str, i64> = leases
            .iter()
            .filter_map(|lease| {
                Some((text(lease, "/metadata/name"), clock::seconds(text(lease, "/spec/renewTime"))?))
            })
            .collect();
        for node in &nodes {
            let name = text(node, "/metadata/name");
            let made = clock::seconds(text(node, "/metadata/creationTimestamp")).unwrap_or_default();
            let last = renewed.get(name).copied().unwrap_or(made);
            let mut node = node.clone();
            node["apiVersion"] = "v1".into();
            node["kind"] = "Node".into();
            if last + self.grace_s < clock::now_s() {
                self.is_lost(&node)?;
            }
            self.taint(&node)?;
        }
        let names: BTreeSet<&str> = nodes.iter().map(|node| text(node, "/metadata/name")).collect();
        for pod in self.client.list("/api/v1/pods")? {
            let node = text(&pod, "/spec/nodeName");
            let at = path("v1", "pods", text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
            if !node.is_empty() && !names.contains(node) {
                self.client.delete(&at, &delete_now())?;
                continue;
            }
            let Some(node) = nodes.iter().find(|found| text(found, "/metadata/name") == node) else {
                continue;
            };
            let is_ending = pod.pointer("/metadata/deletionTimestamp").is_some();
            if is_ending && is_out_of_service(node) && condition(node, "Ready") != "True" {
                // Nobody is there who could end it.
                self.client.delete(&at, &delete_now())?;
            } else if !is_ending && must_leave(&pod, node) {
                self.client.delete(&at, &json!({}))?;
            }
        }
        Ok(())
    }

    fn is_lost(&self, node: &Value) -> Result<(), String> {
        if condition(node, "Ready") == "Unknown" {
            return Ok(());
        }
        let mut status = node["status"].clone();
        let mut conditions = list(node, "/status/conditions").to_vec();
        conditions.retain(|one| one["type"] != "Ready");
        conditions.push(json!({"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastTransitionTime": clock::now(), "lastHeartbeatTime": clock::now()}));
        status["conditions"] = conditions.into();
        let at = path("v1", "nodes", "", text(node, "/metadata/name"));
        put_status(&self.client, &at, node, &status)?;
        let on_node = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", text(node, "/metadata/name"));
        for pod in self.client.list(&on_node)? {
            let mut pod = pod.clone();
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            let mut status = pod["status"].clone();
            for one in
                status["conditions"].as_array_mut().into_iter().flatten().filter(|one| one["type"] == "Ready")
            {
                one["status"] = "False".into();
            }
            let at = path("v1", "pods", text(&pod, "/metadata/namespace"), text(&pod, "/metadata/name"));
            put_status(&self.client, &at, &pod, &status)?;
        }
        Ok(())
    }

    fn taint(&self, node: &Value) -> Result<(), String> {
        let key = match condition(node, "Ready") {
            "True" => "",
            "Unknown" => UNREACHABLE,
            _ => NOT_READY,
        };
        let before = list(node, "/spec/taints");
        let ours = |taint: &Value| [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&text(taint, "/key"));
        let mut wanted = Vec::new();
        if !key.is_empty() {
            wanted.push((key, "NoSchedule"));
            wanted.push((key, "NoExecute"));
        }
        if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
            wanted.push((UNSCHEDULABLE, "NoSchedule"));
        }
        let mut after: Vec<Value> = before.iter().filter(|taint| !ours(taint)).cloned().collect();
        for (key, effect) in wanted {
            let there = before.iter().find(|taint| taint["key"] == key && taint["effect"] == effect);
            after.push(
                there
                    .cloned()
                    .unwrap_or_else(|| json!({"key": key, "effect": effect, "timeAdded": clock::now()})),
            );
        }
        let is_same = before.len() == after.len() && before.iter().all(|taint| after.contains(taint));
        if is_same {
            return Ok(());
        }
        let patch = json!({"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"taints": after}});
        match self.client.merge(&path("v1", "nodes", "", text(node, "/metadata/name")), &patch) {
            Err(error) if error.code != 409 && error.code != 404 => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether somebody said that nothing runs there any more.
pub(super) fn is_out_of_service(node: &Value) -> bool {
    list(node, "/spec/taints")
        .iter()
        .any(|taint| taint["key"] == OUT_OF_SERVICE && taint["effect"] == "NoExecute")
}

/// Whether a pod has been on a node that it does not bear for longer than it bears it.
fn must_leave(pod: &Value, node: &Value) -> bool {
    if pod
        .pointer("/metadata/annotations")
        .is_some_and(|all| all.get("kubernetes.io/config.mirror").is_some())
    {
        return false;
    }
    list(node, "/spec/taints").iter().filter(|taint| taint["effect"] == "NoExecute").any(|taint| {
        match tolerates(pod, taint) {
            None => true,
            Some(None) => false,
            Some(Some(seconds)) => {
                let since = clock::seconds(text(taint, "/timeAdded")).unwrap_or_else(clock::now_s);
                since + seconds < clock::now_s()
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_bear_taints_or_leave() {
        let node = json!({"spec": {"taints": [{"key": NOT_READY, "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"}]}});
        let pod = |tolerations: Value| json!({"spec": {"tolerations": tolerations}});
        for (tolerations, leaves) in [
            (json!([]), true),
            (json!([{"operator": "Exists"}]), false),
            (json!([{"key": NOT_READY, "operator": "Exists", "effect": "NoExecute"}]), false),
            (
                json!([{"key": NOT_READY, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
                true,
            ),
            (json!([{"key": NOT_READY, "operator": "Exists", "effect": "NoSchedule"}]), true),
            (json!([{"key": NOT_READY, "operator": "Equal", "value": ""}]), false),
        ] {
            assert_eq!(must_leave(&pod(tolerations.clone()), &node), leaves, "{tolerations}");
        }
    }
}
