//! What is added to objects, and which are refused although their fields are known.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::Api;
use super::kinds::{Kind, known};
use super::status::Refusal;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Where ports of nodes lie.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

/// Sets a field where there is none.
fn default(object: &mut Value, path: &[&str], value: Value) {
    let mut at = object;
    for key in path {
        if !at.is_object() {
            *at = json!({});
        }
        let Value::Object(map) = at else { return };
        at = map.entry(*key).or_insert(Value::Null);
    }
    if at.is_null() {
        *at = value;
    }
}

/// Problems as field and message.
type Problems = Vec<(String, String)>;

fn template_problems(spec: &Value, path: &str, out: &mut Problems) {
    let mut add = |field: String, message: &str| out.push((format!("{path}.{field}"), message.to_owned()));
    let containers = list(spec, "/containers");
    if containers.is_empty() {
        add("containers".into(), "Required value");
    }
    let mut volumes = BTreeSet::new();
    for (at, volume) in list(spec, "/volumes").iter().enumerate() {
        if !volumes.insert(text(volume, "/name")) {
            add(format!("volumes[{at}].name"), "Duplicate value");
        }
        let sources = volume.as_object().map_or(0, |map| map.keys().filter(|key| *key != "name").count());
        if sources > 1 {
            add(format!("volumes[{at}]"), "may not specify more than 1 volume type");
        }
    }
    let mut names = BTreeSet::new();
    for (group, containers) in [("initContainers", list(spec, "/initContainers")), ("containers", containers)]
    {
        for (at, container) in containers.iter().enumerate() {
            let name = text(container, "/name");
            if name.is_empty() || text(container, "/image").is_empty() {
                add(format!("{group}[{at}]"), "Required value: name and image");
            }
            if !names.insert(name) {
                add(format!("{group}[{at}].name"), "Duplicate value");
            }
            for (mount_at, mount) in list(container, "/volumeMounts").iter().enumerate() {
                if !volumes.contains(text(mount, "/name")) {
                    let message = format!("Not found: \"{}\"", text(mount, "/name"));
                    add(format!("{group}[{at}].volumeMounts[{mount_at}].name"), &message);
                }
                if text(mount, "/mountPath").is_empty() {
                    add(format!("{group}[{at}].volumeMounts[{mount_at}].mountPath"), "Required value");
                }
            }
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let handlers = container.get(probe).and_then(Value::as_object).map(|probe| {
                    ["exec", "httpGet", "tcpSocket", "grpc"]
                        .iter()
                        .filter(|kind| probe.contains_key(**kind))
                        .count()
                });
                if handlers.is_some_and(|handlers| handlers != 1) {
                    add(format!("{group}[{at}].{probe}"), "Required value: must specify a handler type");
                }
            }
        }
    }
}

fn workload_problems(object: &Value, out: &mut Problems) {
    let wanted = object.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let labels = object.pointer("/spec/template/metadata/labels");
    let is_empty = object
        .pointer("/spec/selector")
        .is_none_or(|selector| selector.as_object().is_none_or(serde_json::Map::is_empty));
    if is_empty {
        out.push(("spec.selector".into(), "Required value".into()));
    }
    if wanted
        .into_iter()
        .flatten()
        .any(|(key, value)| labels.and_then(|labels| labels.get(key)) != Some(value))
    {
        out.push((
            "spec.template.metadata.labels".into(),
            "Invalid value: `selector` does not match template `labels`".into(),
        ));
    }
    template_problems(&object["spec"]["template"]["spec"], "spec.template.spec", out);
}

/// Fields that stay as they were made, by kind.
fn fixed(kind: &str) -> &'static [&'static str] {
    match kind {
        "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet" | "Job" => &["spec.selector"],
        "RoleBinding" | "ClusterRoleBinding" => &["roleRef"],
        "PriorityClass" => &["value"],
        "Service" => &["spec.clusterIP"],
        "Pod" => &["spec.nodeName", "spec.hostNetwork", "spec.serviceAccountName", "spec.nodeSelector"],
        "CertificateSigningRequest" => &["spec"],
        "StorageClass" => &["provisioner", "parameters"],
        _ => &[],
    }
}

impl Api {
    /// Fills in what users leave out, and refuses what cannot be.
    pub(super) fn admit(&self, kind: &Kind, live: Option<&Value>, object: &mut Value) -> Result<(), Refusal> {
        let name = text(object, "/metadata/name").to_owned();
        match kind.kind.as_str() {
            "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" => workload_defaults(kind, object),
            "Pod" => self.pod_defaults(live, object)?,
            "Service" => self.service_defaults(live, object)?,
            "Secret" => secret_defaults(object)?,
            "Namespace" => {
                default(object, &["spec", "finalizers"], json!(["kubernetes"]));
                default(object, &["status", "phase"], "Active".into());
                default(object, &["metadata", "labels", "kubernetes.io/metadata.name"], name.as_str().into());
            }
            _ => {}
        }
        let mut problems = Problems::new();
        match kind.kind.as_str() {
            "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" => {
                workload_problems(object, &mut problems);
            }
            "Pod" => template_problems(&object["spec"], "spec", &mut problems),
            "Service"
                if list(object, "/spec/ports").is_empty() && text(object, "/spec/clusterIP") != "None" =>
            {
                problems.push(("spec.ports".into(), "Required value".into()));
            }
            "CertificateSigningRequest" if text(object, "/spec/signerName").is_empty() => {
                problems.push(("spec.signerName".into(), "Required value".into()));
            }
            "ConfigMap" | "Secret"
                if live.is_some_and(|live| live["immutable"] == true && live["data"] != object["data"]) =>
            {
                problems
                    .push(("data".into(), "Forbidden: field is immutable when `immutable` is set".into()));
            }
            "CustomResourceDefinition" => {
                let expected =
                    format!("{}.{}", text(object, "/spec/names/plural"), text(object, "/spec/group"));
                if name != expected {
                    problems.push(("metadata.name".into(), format!("Invalid value: must be {expected}")));
                }
            }
            _ => {}
        }
        for field in fixed(&kind.kind) {
            let pointer = format!("/{}", field.replace('.', "/"));
            let Some(live) = live else { break };
            let before = live.pointer(&pointer).filter(|value| !value.is_null());
            let is_same = before == object.pointer(&pointer).filter(|value| !value.is_null());
            if !is_same && before.is_some() {
                problems.push(((*field).to_owned(), "Invalid value: field is immutable".into()));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Refusal::invalid(&kind.qualified(), &name, &problems)) }
    }

    fn pod_defaults(&self, live: Option<&Value>, pod: &mut Value) -> Result<(), Refusal> {
        template_defaults(&mut pod["spec"]);
        let is_mirror = pod
            .pointer("/metadata/annotations")
            .is_some_and(|all| all.get("kubernetes.io/config.mirror").is_some());
        default(pod, &["status", "phase"], "Pending".into());
        if live.is_some() || is_mirror {
            return Ok(());
        }
        let class = text(pod, "/spec/priorityClassName").to_owned();
        if !class.is_empty() {
            let value = match class.as_str() {
                "system-node-critical" => json!(2_000_001_000),
                "system-cluster-critical" => json!(2_000_000_000),
                other => {
                    let kind = known("PriorityClass").map(|kind| kind.key("", other)).unwrap_or_default();
                    let found = self.store.get(&kind).map_err(Refusal::store)?;
                    let Some(found) = found else {
                        return Err(Refusal::forbidden(format!(
                            "no PriorityClass with name {other} was found"
                        )));
                    };
                    found.value["value"].clone()
                }
            };
            default(pod, &["spec", "priority"], value);
        }
        let namespace = text(pod, "/metadata/namespace").to_owned();
        default(pod, &["spec", "serviceAccountName"], "default".into());
        let account = text(pod, "/spec/serviceAccountName").to_owned();
        let key = known("ServiceAccount").map(|kind| kind.key(&namespace, &account)).unwrap_or_default();
        let Some(found) = self.store.get(&key).map_err(Refusal::store)? else {
            return Err(Refusal::forbidden(format!(
                "error looking up service account {namespace}/{account}: serviceaccount \"{account}\" not found"
            )));
        };
        let mounts = |value: &Value| value.get("automountServiceAccountToken").and_then(Value::as_bool);
        if mounts(&pod["spec"]).or_else(|| mounts(&found.value)).unwrap_or(true) {
            mount_token(&mut pod["spec"]);
        }
        let spec = &mut pod["spec"];
        let tolerations = list(spec, "/tolerations").to_vec();
        let tolerates = |key: &str| {
            tolerations.iter().any(|one| {
                (one["key"] == key || one.get("key").is_none_or(Value::is_null))
                    && (one["effect"] == "NoExecute" || one.get("effect").is_none())
            })
        };
        let mut all = tolerations.clone();
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            if !tolerates(key) {
                all.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
            }
        }
        spec["tolerations"] = all.into();
        Ok(())
    }

    fn service_defaults(&self, live: Option<&Value>, service: &mut Value) -> Result<(), Refusal> {
        default(service, &["spec", "type"], "ClusterIP".into());
        default(service, &["spec", "sessionAffinity"], "None".into());
        default(service, &["spec", "internalTrafficPolicy"], "Cluster".into());
        if let Some(Value::Array(ports)) = service.pointer_mut("/spec/ports") {
            for port in ports {
                default(port, &["protocol"], "TCP".into());
                let number = port["port"].clone();
                default(port, &["targetPort"], number);
            }
        }
        if text(service, "/spec/type") == "ExternalName" {
            return Ok(());
        }
        if let Some(address) = live.and_then(|live| live.pointer("/spec/clusterIP")) {
            default(service, &["spec", "clusterIP"], address.clone());
        }
        let wished = text(service, "/spec/clusterIP").to_owned();
        if wished != "None" {
            let name = text(service, "/metadata/name").to_owned();
            let of_this = (text(service, "/metadata/namespace").to_owned(), name.clone());
            let address = self.service_address(&wished, &of_this)?;
            service["spec"]["clusterIP"] = address.as_str().into();
        }
        let address = service["spec"]["clusterIP"].clone();
        default(service, &["spec", "clusterIPs"], json!([address]));
        if ["NodePort", "LoadBalancer"].contains(&text(service, "/spec/type")) {
            self.node_ports(live, service)?;
        }
        Ok(())
    }

    /// Ports that name no port of nodes keep the one that they have, or get a free one.
    fn node_ports(&self, live: Option<&Value>, service: &mut Value) -> Result<(), Refusal> {
        let ports_of = |service: &Value| {
            service.pointer("/spec/ports").and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let folder = known("Service").map(|kind| kind.folder()).unwrap_or_default();
        let (items, _) = self.store.list(&folder).map_err(Refusal::store)?;
        let mut taken: BTreeSet<u64> = items
            .iter()
            .flat_map(|item| ports_of(&item.value))
            .chain(ports_of(service))
            .filter_map(|port| port["nodePort"].as_u64())
            .collect();
        let before = live.map(ports_of).unwrap_or_default();
        if let Some(Value::Array(ports)) = service.pointer_mut("/spec/ports") {
            for port in ports.iter_mut().filter(|port| port["nodePort"].as_u64().is_none()) {
                let own = before.iter().find(|one| one["name"] == port["name"]);
                let kept = own.and_then(|own| own["nodePort"].as_u64());
                let number = kept.or_else(|| NODE_PORTS.into_iter().find(|number| !taken.contains(number)));
                taken.extend(number);
                port["nodePort"] = json!(number);
            }
        }
        Ok(())
    }

    fn service_address(&self, wished: &str, of: &(String, String)) -> Result<String, Refusal> {
        let folder = known("Service").map(|kind| kind.folder()).unwrap_or_default();
        let (items, _) = self.store.list(&folder).map_err(Refusal::store)?;
        let others = items.iter().filter(|item| {
            (text(&item.value, "/metadata/namespace"), text(&item.value, "/metadata/name")) != (&of.0, &of.1)
        });
        let taken: BTreeSet<&str> = others.map(|item| text(&item.value, "/spec/clusterIP")).collect();
        let problem = |message: String| {
            Err(Refusal::invalid("services", &of.1, &[("spec.clusterIPs[0]".into(), message)]))
        };
        if !wished.is_empty() {
            let address = wished.parse::<IpAddr>().ok();
            if !address.is_some_and(|address| self.services.iter().any(|range| range.contains(address))) {
                return problem(format!(
                    "Invalid value: \"{wished}\": the provided IP is not in the valid range"
                ));
            }
            if taken.contains(wished) {
                return problem(format!("Invalid value: \"{wished}\": provided IP is already allocated"));
            }
            return Ok(wished.to_owned());
        }
        let Some(range) = self.services.first() else { return problem("no range of addresses".into()) };
        // The first ones are given by hand: the API server's and that of DNS.
        let free = (16..4096).filter_map(|at| range.address(at)).map(|address| address.to_string());
        match free.into_iter().find(|address| !taken.contains(address.as_str())) {
            Some(address) => Ok(address),
            None => problem("the range of addresses is full".into()),
        }
    }
}

fn secret_defaults(secret: &mut Value) -> Result<(), Refusal> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    default(secret, &["type"], "Opaque".into());
    let texts = secret.as_object_mut().and_then(|map| map.remove("stringData"));
    for (key, value) in texts.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
        default(secret, &["data"], json!({}));
        secret["data"][key] = encoded.into();
    }
    for (key, value) in secret["data"].as_object().into_iter().flatten() {
        if STANDARD.decode(value.as_str().unwrap_or("?")).is_err() {
            return Err(Refusal::bad(format!("illegal base64 data in data.{key}")));
        }
    }
    Ok(())
}

fn template_defaults(spec: &mut Value) {
    default(spec, &["restartPolicy"], "Always".into());
    default(spec, &["dnsPolicy"], "ClusterFirst".into());
    default(spec, &["terminationGracePeriodSeconds"], 30.into());
    default(spec, &["schedulerName"], "default-scheduler".into());
    for group in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(group) else { continue };
        for container in containers {
            let is_latest = text(container, "/image").ends_with(":latest");
            default(
                container,
                &["imagePullPolicy"],
                if is_latest { "Always" } else { "IfNotPresent" }.into(),
            );
            if let Some(Value::Array(ports)) = container.get_mut("ports") {
                ports.iter_mut().for_each(|port| default(port, &["protocol"], "TCP".into()));
            }
        }
    }
}

fn workload_defaults(kind: &Kind, object: &mut Value) {
    template_defaults(&mut object["spec"]["template"]["spec"]);
    default(object, &["spec", "revisionHistoryLimit"], 10.into());
    if kind.kind == "DaemonSet" {
        default(object, &["spec", "updateStrategy", "type"], "RollingUpdate".into());
    } else {
        default(object, &["spec", "replicas"], 1.into());
    }
    if kind.kind == "Deployment" {
        default(object, &["spec", "strategy", "type"], "RollingUpdate".into());
        default(object, &["spec", "progressDeadlineSeconds"], 600.into());
    }
}

/// The token of the pod's account, where pods expect it.
fn mount_token(spec: &mut Value) {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    const NAME: &str = "kube-api-access";
    let volume = json!({"name": NAME, "projected": {"sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}});
    default(spec, &["volumes"], json!([]));
    if let Some(Value::Array(volumes)) = spec.get_mut("volumes") {
        volumes.push(volume);
    }
    for group in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(group) else { continue };
        for container in containers {
            if list(container, "/volumeMounts").iter().any(|mount| mount["mountPath"] == PATH) {
                continue;
            }
            default(container, &["volumeMounts"], json!([]));
            if let Some(Value::Array(mounts)) = container.get_mut("volumeMounts") {
                mounts.push(json!({"name": NAME, "readOnly": true, "mountPath": PATH}));
            }
        }
    }
}
