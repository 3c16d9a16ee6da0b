//! Kubernetes objects as steps, and the parts that they have in common.
//!
//! Objects are applied through the API server from the host of cluster-wide steps, each as a step of its own. No
//! manifests are left on hosts (APP-007, NET-031): what is there is compared with what is wished by the API server
//! itself, and objects of an enabled component that are not wished any more go (APP-009).

use kubespray_resource::{
    Check, Digest, Object, ObjectKind, ObjectMust, ObjectRef, Probe, Prune, Resource, Step, StepId,
};
use kubespray_spec::{Json, JsonMap, Quantity};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Chain, Host, Site};

/// Where everything of ours is.
pub(crate) const NAMESPACE: &str = "kube-system";

/// The name of steps that open gates.
pub(crate) const READY: &str = "ready";

/// How long pods may take to be there: slow registries are no failure.
const ROLLOUT_S: u64 = 600;

/// How often to look.
const LOOK_MS: u64 = 2000;

/// How long objects may take to go.
const DELETE_S: u64 = 120;

/// Deeper parts of what users give are left as they are; manifests that deep are refused later.
const DEEPEST: usize = 100;

/// The kubeconfig of cluster-wide steps.
pub(crate) fn kubeconfig(host: &Host<'_>) -> String {
    format!("{}/admin.conf", host.settings().kubernetes.kube_config_dir)
}

/// The program for what is applied from files.
pub(crate) fn kubectl(host: &Host<'_>) -> String {
    format!("{}/kubectl", host.settings().kubernetes.bin_dir)
}

/// Applies an object; fields that are null are left out.
pub(crate) fn apply<'c>(chain: &'c mut Chain<'_>, manifest: Value) -> &'c mut Step {
    let mut manifest = manifest;
    drop_nulls(&mut manifest, 0);
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = step_name(text("/kind"), text("/metadata/name"));
    let (kubeconfig, component) = (kubeconfig(&chain.host), chain.component.to_owned());
    chain.add(name, Object { kubeconfig, component, manifest, force: true })
}

fn step_name(kind: &str, name: &str) -> String {
    format!("{}-{}", kind.to_lowercase(), name.replace('/', "-"))
}

/// Removes objects of the component of some kinds, as `(apiVersion, kind)`, that are not among those applied so far.
/// Kinds that hold what would be lost, such as pools of addresses, are never to be named.
pub(crate) fn prune(chain: &mut Chain<'_>, kinds: &[(&str, &str)]) {
    let component = chain.component;
    let is_of_kinds =
        |object: &ObjectRef| kinds.contains(&(object.api_version.as_str(), object.kind.as_str()));
    let wished = chain.steps.iter().filter_map(|step| match &step.resource {
        Resource::Object(object) if object.component == component => object.reference().ok(),
        _ => None,
    });
    let keep = wished.filter(is_of_kinds).collect();
    let kinds = kinds.iter().map(|(api_version, kind)| ObjectKind {
        api_version: (*api_version).to_owned(),
        kind: (*kind).to_owned(),
    });
    let (kubeconfig, component) = (kubeconfig(&chain.host), component.to_owned());
    let prune = Prune { kubeconfig, component, kinds: kinds.collect(), keep, timeout_s: DELETE_S };
    chain.add("prune", prune);
}

/// Waits until the pods of a `Deployment` or `DaemonSet` are there. Pods of hosts that are known to be down are
/// not waited for.
pub(crate) fn rolled_out(chain: &mut Chain<'_>, kind: &str, name: &str) {
    rolled_out_as(chain, &format!("rolled-out-{}", step_name(kind, name)), kind, name);
}

/// The same, as a step of another name.
pub(crate) fn rolled_out_as(chain: &mut Chain<'_>, step: &str, kind: &str, name: &str) {
    let missing = if kind == "DaemonSet" { absent_nodes(chain.host.site) } else { 0 };
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: kind.to_owned(),
        namespace: Some(NAMESPACE.into()),
        name: name.to_owned(),
    };
    let title = format!("{object} is there with all its pods");
    let check = check_object(chain, title, object, ObjectMust::RolledOut { missing }, ROLLOUT_S);
    chain.add(step, check);
}

/// The step of the leader that opens a gate, where there is something to wait for.
pub(crate) fn opener(site: &Site<'_>, component: &str, waits: impl Fn(&Host<'_>) -> bool) -> Option<StepId> {
    let leader = site.hosts().find(|host| host.spec.name == site.leader()).filter(waits)?;
    Some(StepId(format!("{}/{component}/{READY}", leader.spec.name)))
}

/// A check of an object.
pub(crate) fn check_object(
    chain: &Chain<'_>,
    name: impl Into<String>,
    object: ObjectRef,
    must: ObjectMust,
    timeout_s: u64,
) -> Check {
    let kubeconfig = kubeconfig(&chain.host);
    let probe = Probe::Object { kubeconfig, object, must };
    Check { name: name.into(), probe, timeout_s, interval_ms: LOOK_MS }
}

/// A check that nodes are ready.
pub(crate) fn nodes_ready(chain: &Chain<'_>, nodes: Vec<String>) -> Check {
    let probe = Probe::NodesReady { kubeconfig: kubeconfig(&chain.host), nodes };
    Check { name: "all nodes are ready".into(), probe, timeout_s: ROLLOUT_S, interval_ms: LOOK_MS }
}

/// How many hosts that are meant to be nodes cannot be reached.
fn absent_nodes(site: &Site<'_>) -> u64 {
    let is_node = |roles: kubespray_spec::Roles| roles.control_plane || roles.worker || roles.route_reflector;
    let hosts = site.spec.hosts.iter().filter(|host| is_node(host.roles));
    hosts.filter(|host| !site.facts.contains_key(&host.name)).count() as u64
}

/// Whether pods that need the pod network can run at the end: with plugins that users bring later they cannot.
pub(crate) fn has_pod_network(host: &Host<'_>) -> bool {
    use kubespray_spec::choices::NetworkPlugin;
    !matches!(host.settings().network.kube_network_plugin, NetworkPlugin::Cni | NetworkPlugin::None)
}

/// The image of a container: by digest where users set one.
pub(crate) fn image(host: &Host<'_>, name: &str, repository: &str, tag: &str) -> String {
    match host.spec.artefacts.images.get(name) {
        Some(image) => image.reference.clone(),
        None => format!("{repository}:{tag}"),
    }
}

/// `imagePullPolicy` of all containers.
pub(crate) fn pull_policy(host: &Host<'_>) -> Value {
    word(host.settings().kubernetes.k8s_image_pull_policy)
}

/// A choice as it is written in variables.
pub(crate) fn word(choice: impl Serialize) -> Value {
    serde_json::to_value(choice).unwrap_or_default()
}

/// A choice as text.
pub(crate) fn text_of(choice: impl Serialize) -> String {
    word(choice).as_str().map(str::to_owned).unwrap_or_default()
}

/// Name, namespace and labels.
pub(crate) fn metadata(name: &str, labels: Value) -> Value {
    json!({"name": name, "namespace": NAMESPACE, "labels": labels})
}

/// A `ServiceAccount`.
pub(crate) fn service_account(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": NAMESPACE},
    })
}

/// A `ConfigMap`.
pub(crate) fn config_map(name: &str, data: Map<String, Value>) -> Value {
    let data = if data.is_empty() { Value::Null } else { data.into() };
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": data,
    })
}

/// Of the data of `ConfigMap`s, as an annotation of pods: with another one they are made anew (APP-028).
pub(crate) fn checksum<'d>(data: impl IntoIterator<Item = &'d Map<String, Value>>) -> String {
    let all: Vec<Value> = data.into_iter().cloned().map(Value::Object).collect();
    Digest::of(Value::Array(all).to_string().as_bytes()).as_str().to_owned()
}

/// A rule of a role: groups, resources, verbs, separated by spaces; `core` is the group without a name.
pub(crate) fn rule(groups: &str, resources: &str, verbs: &str) -> Value {
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let groups: Vec<String> =
        words(groups).into_iter().map(|group| if group == "core" { String::new() } else { group }).collect();
    json!({"apiGroups": groups, "resources": words(resources), "verbs": words(verbs)})
}

/// A `ClusterRole`.
pub(crate) fn cluster_role(name: &str, rules: Vec<Value>) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    })
}

/// A `ClusterRoleBinding` for somebody.
pub(crate) fn cluster_role_binding(name: &str, role: &str, subject: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

/// A `ServiceAccount` that may do something.
pub(crate) fn account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE})
}

/// A user or group that may do something.
pub(crate) fn subject(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

/// A variable of a container.
pub(crate) fn env(name: &str, value: impl ToString) -> Value {
    json!({"name": name, "value": value.to_string()})
}

/// A variable of a container that is a field of its pod.
pub(crate) fn env_field(name: &str, field: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}})
}

/// A variable of a container that is a key of a `ConfigMap`.
pub(crate) fn env_key(name: &str, map: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": map, "key": key}}})
}

/// A path of the host as a volume; `kind` such as `DirectoryOrCreate` may be empty.
pub(crate) fn host_path(name: &str, path: &str, kind: &str) -> Value {
    let kind = (!kind.is_empty()).then_some(kind);
    json!({"name": name, "hostPath": {"path": path, "type": kind}})
}

/// Where a volume is in a container.
pub(crate) fn mount(name: &str, path: &str, read_only: bool) -> Value {
    json!({"name": name, "mountPath": path, "readOnly": read_only.then_some(true)})
}

/// `limits` and `requests`; what is nothing is left out.
pub(crate) fn resources(limits: [Option<&Quantity>; 2], requests: [Option<&Quantity>; 2]) -> Value {
    let part = |[cpu, memory]: [Option<&Quantity>; 2]| -> Value {
        let text = |amount: Option<&Quantity>| amount.map(|amount| amount.as_str().to_owned());
        match (cpu, memory) {
            (None, None) => Value::Null,
            _ => json!({"cpu": text(cpu), "memory": text(memory)}),
        }
    };
    json!({"limits": part(limits), "requests": part(requests)})
}

/// The toleration of control planes, and those that users add.
pub(crate) fn tolerations(extra: Option<&Vec<Json>>) -> Vec<Value> {
    let mut all = vec![json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"})];
    all.extend(extra.into_iter().flatten().cloned());
    all
}

/// Pods run on every node, whatever it is tainted with.
pub(crate) fn tolerate_all() -> Value {
    json!([{"effect": "NoSchedule", "operator": "Exists"}, {"effect": "NoExecute", "operator": "Exists"}])
}

/// Lines such as `kubernetes.io/os: linux` as labels of nodes; nothing where there are none.
pub(crate) fn node_selector(lines: &str) -> Value {
    let pairs = lines.lines().filter_map(|line| line.split_once(':'));
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let labels: Map<String, Value> =
        pairs.map(|(key, value)| (unquoted(key), unquoted(value).into())).collect();
    if labels.is_empty() { Value::Null } else { labels.into() }
}

/// A table that users give; nothing where it is empty.
pub(crate) fn table(map: &JsonMap) -> Value {
    if map.is_empty() {
        return Value::Null;
    }
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>().into()
}

/// A probe over HTTP.
pub(crate) fn http_probe(path: &str, port: impl Into<Value>, host: Option<&str>) -> Value {
    json!({"httpGet": {"path": path, "port": port.into(), "host": host, "scheme": "HTTP"}})
}

/// Adds the fields of another value to it.
pub(crate) fn with(mut value: Value, more: Value) -> Value {
    if let (Some(map), Value::Object(more)) = (value.as_object_mut(), more) {
        map.extend(more);
    }
    value
}

/// How many pods of a `DaemonSet` may be away at once: as many as hosts are upgraded at once (NET-487, APP-530).
pub(crate) fn max_unavailable(host: &Host<'_>) -> Value {
    let serial = host.settings().operations.serial.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let serial = serial.unwrap_or("20%");
    serial.parse::<u64>().map_or_else(|_| serial.into(), Value::from)
}

fn drop_nulls(value: &mut Value, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(|value| drop_nulls(value, depth + 1));
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(|item| drop_nulls(item, depth + 1));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_lines() {
        assert_eq!(node_selector("kubernetes.io/os: linux"), json!({"kubernetes.io/os": "linux"}));
        assert_eq!(node_selector("a: \"true\"\nb: 'x'\n"), json!({"a": "true", "b": "x"}));
        assert_eq!(node_selector(""), Value::Null);
    }

    #[test]
    fn nulls_are_left_out() {
        let mut value = json!({"a": null, "b": [null, {"c": null, "d": 1}], "e": {}});
        drop_nulls(&mut value, 0);
        assert_eq!(value, json!({"b": [{"d": 1}], "e": {}}));
    }

    #[test]
    fn rules_name_the_core_group_by_nothing() {
        let expected = json!({"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get", "list"]});
        assert_eq!(rule("core apps", "pods", "get list"), expected);
    }
}
