//! Pods of Deployments, DaemonSets and Jobs; budgets; endpoints; what nobody owns any more.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Manager, condition, list, put_status, text};
use crate::api::selects;
use crate::client::path;
use crate::controller::nodes::tolerates;
use crate::scheduler::fits_node;
use crate::{clock, pki};

const APPS: &str = "apps/v1";
const HASH: &str = "pod-template-hash";

/// A workload whose pods are made: kind, version, plural.
const WORKLOADS: [(&str, &str, &str); 3] =
    [("Deployment", APPS, "deployments"), ("DaemonSet", APPS, "daemonsets"), ("Job", "batch/v1", "jobs")];

fn hash(template: &Value) -> String {
    let digest = Sha256::digest(template.to_string());
    pki::hex(&digest).chars().take(10).collect()
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready") == "True" && pod.pointer("/metadata/deletionTimestamp").is_none()
}

fn is_over(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))
}

fn number(value: &Value, pointer: &str, default: i64) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
}

/// A number, or a share of a whole.
fn part(value: Option<&Value>, of: i64, rounds_up: bool, default: i64) -> i64 {
    match value {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(default),
        Some(Value::String(text)) => match text.trim_end_matches('%').parse::<i64>() {
            Ok(percent) if rounds_up => (of * percent + 99) / 100,
            Ok(percent) => of * percent / 100,
            Err(_) => default,
        },
        _ => default,
    }
}

impl Manager {
    pub(super) fn workloads(&self) -> Result<(), String> {
        let pods = self.client.list("/api/v1/pods")?;
        let nodes = self.client.list("/api/v1/nodes")?;
        for (kind, api_version, plural) in WORKLOADS {
            for mut workload in self.client.list(&path(api_version, plural, "", ""))? {
                if workload.pointer("/metadata/deletionTimestamp").is_some() {
                    continue;
                }
                workload["apiVersion"] = api_version.into();
                workload["kind"] = kind.into();
                let uid = text(&workload, "/metadata/uid");
                let own: Vec<&Value> = pods
                    .iter()
                    .filter(|pod| {
                        list(pod, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid)
                    })
                    .collect();
                let result = match kind {
                    "Deployment" => self.deployment(&workload, &own),
                    "DaemonSet" => self.daemon_set(&workload, &own, &nodes),
                    _ => self.job(&workload, &own),
                };
                if let Err(error) = result {
                    return Err(format!("{kind} {}: {error}", text(&workload, "/metadata/name")));
                }
            }
        }
        Ok(())
    }

    fn make_pod(&self, workload: &Value, hash: &str, node: Option<&str>) -> Result<(), String> {
        let namespace = text(workload, "/metadata/namespace");
        let name = text(workload, "/metadata/name");
        let template = &workload["spec"]["template"];
        let mut metadata = template.get("metadata").cloned().unwrap_or_else(|| json!({}));
        metadata["generateName"] =
            format!("{name}-{}", if node.is_some() { String::new() } else { format!("{hash}-") }).into();
        metadata["namespace"] = namespace.into();
        metadata["labels"][HASH] = hash.into();
        metadata["ownerReferences"] = json!([{"apiVersion": workload["apiVersion"], "kind": workload["kind"], "name": name,
            "uid": workload["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}]);
        let mut spec = template["spec"].clone();
        if let Some(node) = node {
            spec["nodeName"] = node.into();
            // Pods of every node bear what is wrong with it.
            let mut tolerations = list(&spec, "/tolerations").to_vec();
            for (key, effect) in DAEMONS {
                tolerations.push(json!({"key": key, "operator": "Exists", "effect": effect}));
            }
            spec["tolerations"] = tolerations.into();
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
        Ok(self.client.create(&path("v1", "pods", namespace, ""), &pod).map(drop)?)
    }

    fn delete_pod(&self, pod: &Value) -> Result<(), String> {
        let at = path("v1", "pods", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        Ok(self.client.delete(&at, &json!({})).map(drop)?)
    }

    fn deployment(&self, workload: &Value, own: &[&Value]) -> Result<(), String> {
        let hash = hash(&workload["spec"]["template"]);
        let replicas = number(workload, "/spec/replicas", 1);
        let alive: Vec<&&Value> = own
            .iter()
            .filter(|pod| pod.pointer("/metadata/deletionTimestamp").is_none() && !is_over(pod))
            .collect();
        let (new, old): (Vec<&&Value>, Vec<&&Value>) =
            alive.iter().copied().partition(|pod| text(pod, &format!("/metadata/labels/{HASH}")) == hash);
        for pod in own.iter().filter(|pod| is_over(pod)) {
            self.delete_pod(pod)?;
        }
        let ready = |pods: &[&&Value]| {
            i64::try_from(pods.iter().filter(|pod| is_ready(pod)).count()).unwrap_or_default()
        };
        let count = |pods: &[&&Value]| i64::try_from(pods.len()).unwrap_or_default();
        let is_recreate = text(workload, "/spec/strategy/type") == "Recreate";
        let of_update = |key: &str| workload.pointer(&format!("/spec/strategy/rollingUpdate/{key}"));
        let surge = part(of_update("maxSurge"), replicas, true, part(Some(&json!("25%")), replicas, true, 1));
        let unavailable =
            part(of_update("maxUnavailable"), replicas, false, part(Some(&json!("25%")), replicas, false, 0));
        let (surge, unavailable) = if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) };
        let room = if is_recreate {
            if old.is_empty() { replicas - count(&new) } else { 0 }
        } else {
            (replicas + surge - count(&alive)).min(replicas - count(&new))
        };
        for _ in 0..room.max(0) {
            self.make_pod(workload, &hash, None)?;
        }
        let mut spare =
            if is_recreate { count(&old) } else { ready(&new) + ready(&old) - (replicas - unavailable) };
        for pod in old {
            if !is_ready(pod) || spare > 0 {
                spare -= i64::from(is_ready(pod));
                self.delete_pod(pod)?;
            }
        }
        for pod in new.iter().skip(usize::try_from(replicas).unwrap_or_default()) {
            self.delete_pod(pod)?;
        }
        let available = ready(&alive);
        let is_available = available >= replicas - unavailable;
        let mut conditions = json!([{"type": "Available", "status": if is_available { "True" } else { "False" },
            "reason": if is_available { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" }}]);
        if let Some(all) = conditions.as_array_mut() {
            all.push(json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}));
        }
        let status = json!({"observedGeneration": number(workload, "/metadata/generation", 1), "replicas": count(&alive),
            "updatedReplicas": count(&new), "readyReplicas": available, "availableReplicas": available,
            "unavailableReplicas": (replicas - available).max(0), "conditions": conditions});
        self.status(workload, "deployments", &status)
    }

    fn status(&self, workload: &Value, plural: &str, status: &Value) -> Result<(), String> {
        let api_version = text(workload, "/apiVersion");
        let at = path(
            api_version,
            plural,
            text(workload, "/metadata/namespace"),
            text(workload, "/metadata/name"),
        );
        put_status(&self.client, &at, workload, status)
    }

    fn daemon_set(&self, workload: &Value, own: &[&Value], nodes: &[Value]) -> Result<(), String> {
        let hash = hash(&workload["spec"]["template"]);
        let probe = json!({"metadata": {}, "spec": workload["spec"]["template"]["spec"]});
        let bears = |node: &Value| {
            list(node, "/spec/taints").iter().all(|taint| {
                DAEMONS.iter().any(|(key, effect)| taint["key"] == *key && taint["effect"] == *effect)
                    || taint["effect"] == "PreferNoSchedule"
                    || tolerates(&probe, taint).is_some()
            })
        };
        let wanted: BTreeSet<&str> = nodes
            .iter()
            .filter(|node| bears(node) && fits_node(&probe, node))
            .map(|node| text(node, "/metadata/name"))
            .collect();
        let mut by_node: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for pod in own {
            by_node.entry(text(pod, "/spec/nodeName")).or_default().push(pod);
        }
        for (node, pods) in &by_node {
            for (at, pod) in pods.iter().enumerate() {
                let is_going = pod.pointer("/metadata/deletionTimestamp").is_some();
                if !is_going && (at > 0 || !wanted.contains(node) || is_over(pod)) {
                    self.delete_pod(pod)?;
                }
            }
        }
        for node in wanted.iter().filter(|node| !by_node.contains_key(**node)) {
            self.make_pod(workload, &hash, Some(node))?;
        }
        let is_new = |pod: &Value| text(pod, &format!("/metadata/labels/{HASH}")) == hash;
        let on_wanted: Vec<&&Value> =
            own.iter().filter(|pod| wanted.contains(text(pod, "/spec/nodeName"))).collect();
        let size = i64::try_from(wanted.len()).unwrap_or_default();
        let ready = i64::try_from(on_wanted.iter().filter(|pod| is_ready(pod)).count()).unwrap_or_default();
        let allowed =
            part(workload.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable"), size, true, 1).max(1);
        if text(workload, "/spec/updateStrategy/type") != "OnDelete" {
            let mut spare = allowed - (size - ready);
            for pod in on_wanted
                .iter()
                .filter(|pod| !is_new(pod) && pod.pointer("/metadata/deletionTimestamp").is_none())
            {
                if !is_ready(pod) || spare > 0 {
                    spare -= i64::from(is_ready(pod));
                    self.delete_pod(pod)?;
                }
            }
        }
        let count = |holds: &dyn Fn(&Value) -> bool| on_wanted.iter().filter(|pod| holds(pod)).count();
        let status = json!({"observedGeneration": number(workload, "/metadata/generation", 1), "desiredNumberScheduled": size,
            "currentNumberScheduled": on_wanted.len(), "numberMisscheduled": own.len() - on_wanted.len(),
            "updatedNumberScheduled": count(&is_new), "numberReady": ready, "numberAvailable": ready,
            "numberUnavailable": (size - ready).max(0)});
        self.status(workload, "daemonsets", &status)
    }

    fn job(&self, workload: &Value, own: &[&Value]) -> Result<(), String> {
        let count = |phase: &str| own.iter().filter(|pod| text(pod, "/status/phase") == phase).count();
        let (succeeded, failed) = (count("Succeeded"), count("Failed"));
        let active = own.len() - succeeded - failed;
        let most = usize::try_from(number(workload, "/spec/backoffLimit", 6)).unwrap_or(6);
        if succeeded == 0 && active == 0 && failed <= most {
            self.make_pod(workload, &hash(&workload["spec"]["template"]), None)?;
        }
        let mut status = json!({"active": active, "succeeded": succeeded, "failed": failed});
        if succeeded > 0 {
            status["conditions"] = json!([{"type": "Complete", "status": "True"}]);
        } else if failed > most {
            status["conditions"] =
                json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]);
        }
        self.status(workload, "jobs", &status)
    }

    /// How many pods of each budget may go.
    pub(super) fn budgets(&self) -> Result<(), String> {
        let budgets = self.client.list(&path("policy/v1", "poddisruptionbudgets", "", ""))?;
        if budgets.is_empty() {
            return Ok(());
        }
        let pods = self.client.list("/api/v1/pods")?;
        for mut budget in budgets {
            budget["apiVersion"] = "policy/v1".into();
            budget["kind"] = "PodDisruptionBudget".into();
            let namespace = text(&budget, "/metadata/namespace").to_owned();
            let own: Vec<&Value> = pods
                .iter()
                .filter(|pod| {
                    text(pod, "/metadata/namespace") == namespace
                        && selects(&budget["spec"]["selector"], pod)
                        && !is_over(pod)
                })
                .collect();
            let expected = i64::try_from(own.len()).unwrap_or_default();
            let healthy = i64::try_from(own.iter().filter(|pod| is_ready(pod)).count()).unwrap_or_default();
            let desired = match budget.pointer("/spec/maxUnavailable") {
                Some(most) => expected - part(Some(most), expected, true, 0),
                None => part(budget.pointer("/spec/minAvailable"), expected, true, 1),
            };
            let status = json!({"observedGeneration": number(&budget, "/metadata/generation", 1), "expectedPods": expected,
                "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": (healthy - desired).max(0)});
            let at = path("policy/v1", "poddisruptionbudgets", &namespace, text(&budget, "/metadata/name"));
            put_status(&self.client, &at, &budget, &status)?;
        }
        Ok(())
    }

    /// Addresses of the pods that services select.
    pub(super) fn endpoints(&self) -> Result<(), String> {
        let services = self.client.list("/api/v1/services")?;
        let pods = self.client.list("/api/v1/pods")?;
        let there = self.client.list("/api/v1/endpoints")?;
        for service in services.iter().filter(|service| service.pointer("/spec/selector").is_some()) {
            let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
            let selector = json!({"matchLabels": service["spec"]["selector"]});
            let mut addresses = Vec::new();
            let mut waiting = Vec::new();
            for pod in pods
                .iter()
                .filter(|pod| text(pod, "/metadata/namespace") == namespace && selects(&selector, pod))
            {
                let ip = text(pod, "/status/podIP");
                if ip.is_empty() || is_over(pod) {
                    continue;
                }
                let address = json!({"ip": ip, "nodeName": pod["spec"]["nodeName"],
                    "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": namespace, "uid": pod["metadata"]["uid"]}});
                if is_ready(pod) { addresses.push(address) } else { waiting.push(address) }
            }
            let ports: Vec<Value> = list(service, "/spec/ports")
                .iter()
                .map(|port| {
                    let target = port
                        .get("targetPort")
                        .and_then(Value::as_i64)
                        .or_else(|| port.get("port").and_then(Value::as_i64));
                    let mut out = json!({"port": target, "protocol": port["protocol"]});
                    if let Some(name) = port.get("name") {
                        out["name"] = name.clone();
                    }
                    out
                })
                .collect();
            let mut subset = json!({"ports": ports});
            for (key, list) in [("addresses", addresses), ("notReadyAddresses", waiting)] {
                if !list.is_empty() {
                    subset[key] = list.into();
                }
            }
            let subsets =
                if subset.as_object().is_some_and(|map| map.len() > 1) { json!([subset]) } else { json!([]) };
            let live = there.iter().find(|one| {
                text(one, "/metadata/namespace") == namespace && text(one, "/metadata/name") == name
            });
            if live.is_none_or(|live| live["subsets"] != subsets) {
                let object = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": namespace}, "subsets": subsets});
                self.client.ensure("v1", "endpoints", &object)?;
            }
        }
        Ok(())
    }

    /// Pods whose owners are gone, and leases and endpoints of what is gone.
    pub(super) fn garbage(&self) -> Result<(), String> {
        let mut owners = BTreeSet::new();
        for (_, api_version, plural) in WORKLOADS {
            let all = self.client.list(&path(api_version, plural, "", ""))?;
            owners.extend(all.iter().map(|one| text(one, "/metadata/uid").to_owned()));
        }
        let of_workload = |owner: &Value| WORKLOADS.iter().any(|(kind, ..)| owner["kind"] == *kind);
        for pod in self.client.list("/api/v1/pods")? {
            let is_gone = |owner: &Value| of_workload(owner) && !owners.contains(text(owner, "/uid"));
            if pod.pointer("/metadata/deletionTimestamp").is_none()
                && list(&pod, "/metadata/ownerReferences").iter().any(is_gone)
            {
                self.delete_pod(&pod)?;
            }
        }
        let nodes: BTreeSet<String> = self
            .client
            .list("/api/v1/nodes")?
            .iter()
            .map(|node| text(node, "/metadata/name").to_owned())
            .collect();
        for lease in self.client.list(&path("coordination.k8s.io/v1", "leases", "kube-node-lease", ""))? {
            let name = text(&lease, "/metadata/name");
            let made = clock::seconds(text(&lease, "/spec/renewTime")).unwrap_or_default();
            if !nodes.contains(name) && made + self.grace_s < clock::now_s() {
                self.client
                    .delete(&path("coordination.k8s.io/v1", "leases", "kube-node-lease", name), &json!({}))?;
            }
        }
        Ok(())
    }
}

/// What pods of every node bear.
const DAEMONS: [(&str, &str); 3] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
