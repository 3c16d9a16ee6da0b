//! An API server's answers: discovery, server-side apply, lists, merge patches, deletion, evictions with budgets.

use std::collections::BTreeMap;

use kubespray_node::{HostError, HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::store::{Key, Store, key_of, set, words};
use super::{fields, kubeadm, kubernetes};
use crate::SimHost;

/// Group and version, kind, plural, whether it is in namespaces.
const KINDS: [(&str, &str, &str, bool); 29] = [
    ("v1", "Namespace", "namespaces", false),
    ("v1", "Node", "nodes", false),
    ("v1", "Pod", "pods", true),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "ServiceAccount", "serviceaccounts", true),
    ("v1", "PersistentVolume", "persistentvolumes", false),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("apps/v1", "StatefulSet", "statefulsets", true),
    ("batch/v1", "Job", "jobs", true),
    ("batch/v1", "CronJob", "cronjobs", true),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", false),
    ("storage.k8s.io/v1", "StorageClass", "storageclasses", false),
    ("storage.k8s.io/v1", "CSIDriver", "csidrivers", false),
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", false),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses", false),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", false),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("coordination.k8s.io/v1", "Lease", "leases", true),
];

/// Whether API servers know a kind by themselves.
pub(crate) fn is_built_in(api_version: &str, kind: &str) -> bool {
    KINDS.iter().any(|(of, known, ..)| *of == api_version && *known == kind)
}

/// Fields at the top of any of these.
const TOP: [&str; 28] = [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "data",
    "binaryData",
    "stringData",
    "type",
    "immutable",
    "rules",
    "roleRef",
    "subjects",
    "aggregationRule",
    "value",
    "globalDefault",
    "description",
    "preemptionPolicy",
    "provisioner",
    "parameters",
    "reclaimPolicy",
    "volumeBindingMode",
    "allowVolumeExpansion",
    "mountOptions",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "secrets",
    "allowedTopologies",
    "webhooks",
];

/// A pod that ends is gone after so long at most.
const LONGEST_GRACE_S: u64 = 5;

type Answer = (u16, Value);

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    content_type: String,
    body: Value,
    now: u64,
}

/// The answer to a request of a host's helper.
pub(crate) fn http(host: &SimHost, request: &HttpRequest<'_>) -> Result<HttpResponse, HostError> {
    let unreachable = |why: &str| HostError::Unreachable {
        what: format!("{} `{}`", request.method, request.url),
        why: why.to_owned(),
    };
    drop(host.alive(3_000)?);
    let Some((_, name, port, rest)) = kubernetes::split(request.url) else {
        return Err(unreachable("no URL"));
    };
    if port == super::KUBELET_HEALTH {
        if !super::connects(host, &format!("{name}:{port}")) {
            return Err(unreachable("connection refused"));
        }
        return Ok(HttpResponse { status: 200, retry_after_s: None, body: b"ok".to_vec() });
    }
    let server = kubernetes::server(host, &name, port).map_err(|why| unreachable(&why))?;
    let identity = request.identity;
    if !identity.insecure && identity.authorities.trim() != server.authority.trim() {
        return Err(unreachable("invalid peer certificate: UnknownIssuer"));
    }
    let is_known =
        identity.certificate.as_ref().is_some_and(|text| kubeadm::is_client_of(text, &server.authority));
    let (path, query) = rest.split_once('?').unwrap_or((&rest, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let asked = Asked {
        method: request.method.to_owned(),
        path: unescaped(path),
        query: pairs.map(|(key, value)| (key.to_owned(), unescaped(value))).collect(),
        content_type: request.content_type.to_owned(),
        body: request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default(),
        now: super::Viewer::of(&host.inner.borrow()).now,
    };
    if asked.method != "GET" && !asked.query.contains_key("dryRun") {
        drop(host.effect("the API server", 5_000)?);
    }
    kubernetes::let_pass(host, server.cluster);
    let mut site = host.site.borrow_mut();
    let (status, body) = match site.clusters.get_mut(&server.cluster) {
        _ if !is_known => refusal(401, "Unauthorized", "Unauthorized", json!([])),
        // Each tells its own.
        Some(_) if asked.path == "/version" => (200, json!({"gitVersion": server.version})),
        Some(cluster) => {
            cluster.store.answer(&asked).unwrap_or_else(|why| refusal(400, "BadRequest", &why, json!([])))
        }
        None => refusal(500, "InternalError", "etcdserver: no leader", json!([])),
    };
    let retry_after_s = (status == 429).then_some(1);
    Ok(HttpResponse { status, retry_after_s, body: body.to_string().into_bytes() })
}

fn unescaped(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits: String = bytes.by_ref().take(2).map(char::from).collect();
            out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn refusal(code: u16, reason: &str, message: &str, causes: Value) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": {"causes": causes}});
    (code, body)
}

fn missing(kind: &str, name: &str) -> Answer {
    refusal(404, "NotFound", &format!("{kind} \"{name}\" not found"), json!([]))
}

impl Store {
    /// Kinds that are served: ours, and those of definitions.
    fn kinds(&self, api_version: &str) -> Vec<(String, String, bool)> {
        let ours = KINDS.iter().filter(|(of, ..)| *of == api_version);
        let mut out: Vec<_> = ours
            .map(|(_, kind, plural, inside)| ((*kind).to_owned(), (*plural).to_owned(), *inside))
            .collect();
        for definition in self.of_kind("CustomResourceDefinition") {
            let group = words(definition, "/spec/group");
            let versions =
                definition.pointer("/spec/versions").and_then(Value::as_array).cloned().unwrap_or_default();
            if versions.iter().any(|version| format!("{group}/{}", words(version, "/name")) == api_version) {
                let get = |pointer| words(definition, pointer).to_owned();
                out.push((
                    get("/spec/names/kind"),
                    get("/spec/names/plural"),
                    get("/spec/scope") == "Namespaced",
                ));
            }
        }
        out
    }

    /// An error is something that nobody should ask.
    fn answer(&mut self, asked: &Asked) -> Result<Answer, String> {
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let (api_version, rest) = match parts.as_slice() {
            ["healthz" | "livez" | "readyz", ..] => return Ok((200, json!("ok"))),
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return Err("no such path".into()),
        };
        let kinds = self.kinds(&api_version);
        let no_kind =
            || refusal(404, "NotFound", "the server could not find the requested resource", json!([]));
        if rest.is_empty() {
            if kinds.is_empty() {
                return Ok(no_kind());
            }
            let resources: Vec<Value> = kinds
                .iter()
                .map(|(kind, plural, inside)| json!({"name": plural, "kind": kind, "namespaced": inside}))
                .collect();
            return Ok((200, json!({"kind": "APIResourceList", "resources": resources})));
        }
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, rest) = rest.split_first().ok_or("no such path")?;
        let Some((kind, _, inside)) = kinds.iter().find(|(_, found, _)| found == plural) else {
            return Ok(no_kind());
        };
        if !rest.is_empty() && *inside == namespace.is_empty() {
            return Err("a namespace that is missing, or too many".into());
        }
        let key = |name: &str| (api_version.clone(), kind.clone(), namespace.to_owned(), name.to_owned());
        match (asked.method.as_str(), rest) {
            ("GET", []) => Ok(self.list(asked, &api_version, kind)),
            ("GET", [name]) => {
                let found = self.objects.get(&key(name)).cloned();
                Ok(found.map_or_else(|| missing(kind, name), |object| (200, established(object))))
            }
            ("PATCH", [name]) if asked.content_type == "application/apply-patch+yaml" => {
                self.apply(asked, &key(name))
            }
            ("PATCH", [name]) if asked.content_type == "application/merge-patch+json" => {
                self.merge(asked, &key(name))
            }
            ("DELETE", [name]) => Ok(self.end(&key(name), &asked.body, asked.now)),
            ("POST", [name, "eviction"]) if kind == "Pod" => self.evict(asked, &key(name)),
            _ => Err("no such method".into()),
        }
    }

    fn list(&self, asked: &Asked, api_version: &str, kind: &str) -> Answer {
        let query = |key: &str| asked.query.get(key).cloned().unwrap_or_default();
        let (labels, field) = (query("labelSelector"), query("fieldSelector"));
        let is_selected = |object: &Value| {
            let own = object.pointer("/metadata/labels");
            let has = |pair: &str| match pair.split_once('=') {
                Some((key, value)) => own.and_then(|own| own.get(key)).and_then(Value::as_str) == Some(value),
                None => own.is_some_and(|own| own.get(pair).is_some()),
            };
            let node = field.strip_prefix("spec.nodeName=");
            labels.split(',').filter(|pair| !pair.is_empty()).all(has)
                && node.is_none_or(|node| words(object, "/spec/nodeName") == node)
        };
        let found = self
            .objects
            .iter()
            .filter(|(key, object)| key.0 == api_version && key.1 == kind && is_selected(object));
        let items: Vec<Value> = found
            .map(|(_, object)| {
                let mut object = object.clone();
                if let Some(map) = object.as_object_mut() {
                    map.retain(|key, _| key != "kind" && key != "apiVersion");
                }
                object
            })
            .collect();
        (200, json!({"kind": format!("{kind}List"), "metadata": {}, "items": items}))
    }

    fn apply(&mut self, asked: &Asked, key: &Key) -> Result<Answer, String> {
        let get = |key: &str| asked.query.get(key).map(String::as_str);
        let manager = get("fieldManager").ok_or("apply without a field manager")?;
        if get("fieldValidation") != Some("Strict") {
            return Err("fields are not checked strictly".into());
        }
        let manifest = &asked.body;
        if key_of(manifest) != *key {
            return Err(format!("the manifest is of {:?}", key_of(manifest)));
        }
        let top = manifest.as_object().ok_or("no object")?;
        let is_ours = is_built_in(&key.0, &key.1);
        if let Some(field) = top.keys().find(|field| is_ours && !TOP.contains(&field.as_str())) {
            let message = format!("strict decoding error: unknown field \"{field}\"");
            return Ok(refusal(400, "BadRequest", &message, json!([])));
        }
        if !key.2.is_empty() && !self.namespaces().contains(&key.2) {
            return Ok(missing("namespaces", &key.2));
        }
        let live = self.objects.get(key).cloned();
        match fields::apply(live.as_ref(), manifest, manager, get("force") == Some("true")) {
            Err(conflicts) => {
                let causes: Vec<Value> = conflicts
                    .iter()
                    .map(|(field, manager)| {
                        json!({"reason": "FieldManagerConflict", "field": field, "message": format!("conflict with \"{manager}\"")})
                    })
                    .collect();
                Ok(refusal(409, "Conflict", "Apply failed with conflicts", causes.into()))
            }
            Ok(next) if get("dryRun").is_some() || live.as_ref() == Some(&next) => Ok((200, next)),
            Ok(next) => Ok((if live.is_none() { 201 } else { 200 }, self.save(next, asked.now))),
        }
    }

    fn merge(&mut self, asked: &Asked, key: &Key) -> Result<Answer, String> {
        let manager = asked.query.get("fieldManager").ok_or("a patch without a field manager")?;
        let Some(live) = self.objects.get(key).cloned() else { return Ok(missing(&key.1, &key.3)) };
        let mut patch = asked.body.clone();
        let metadata = patch.get_mut("metadata").and_then(Value::as_object_mut);
        let expected = metadata.and_then(|metadata| metadata.remove("resourceVersion"));
        if expected.is_some_and(|version| Some(&version) != live.pointer("/metadata/resourceVersion")) {
            return Ok(refusal(409, "Conflict", "the object has been modified", json!([])));
        }
        Ok((200, self.save(fields::merge(&live, &patch, manager), asked.now)))
    }

    /// Begins the end of an object.
    fn end(&mut self, key: &Key, options: &Value, now: u64) -> Answer {
        let Some(mut live) = self.objects.get(key).cloned() else { return missing(&key.1, &key.3) };
        let uid = words(options, "/preconditions/uid");
        if !uid.is_empty() && uid != words(&live, "/metadata/uid") {
            return refusal(409, "Conflict", "the UID in the precondition does not match", json!([]));
        }
        if key.1 != "Pod" {
            self.remove(key);
            return (200, json!({"kind": "Status", "status": "Success"}));
        }
        let grace =
            options.get("gracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30).min(LONGEST_GRACE_S);
        self.ending_us.entry(key.clone()).or_insert(now + grace * 1_000_000);
        set(&mut live, &["metadata", "deletionTimestamp"], "2027-01-01T00:00:00Z".into());
        (200, self.save(live, now))
    }

    fn evict(&mut self, asked: &Asked, key: &Key) -> Result<Answer, String> {
        let body = &asked.body;
        if words(body, "/apiVersion") != "policy/v1" || words(body, "/metadata/name") != key.3 {
            return Err("no Eviction of this pod".into());
        }
        let Some(pod) = self.objects.get(key).cloned() else { return Ok(missing("Pod", &key.3)) };
        let of = |budget: &Value, pod: &Value| {
            let wanted = budget.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
            let has = |(label, value): (&String, &Value)| {
                pod.pointer("/metadata/labels").and_then(|labels| labels.get(label)) == Some(value)
            };
            words(budget, "/metadata/namespace") == key.2
                && wanted.is_some_and(|wanted| wanted.iter().all(has))
        };
        let found = self.of_kind("PodDisruptionBudget").find(|budget| of(budget, &pod));
        if let Some(budget) = found {
            let own: Vec<&Value> = self.of_kind("Pod").filter(|pod| of(budget, pod)).collect();
            let is_well = |pod: &&&Value| {
                words(pod, "/status/conditions/0/status") == "True"
                    && !self.ending_us.contains_key(&key_of(pod))
            };
            let well = own.iter().filter(is_well).count() as u64;
            let least = budget.pointer("/spec/minAvailable").and_then(Value::as_u64);
            let most = budget.pointer("/spec/maxUnavailable").and_then(Value::as_u64);
            let needed = least.or(most.map(|most| (own.len() as u64).saturating_sub(most))).unwrap_or(0);
            if well <= needed {
                let cause = format!(
                    "The disruption budget {} needs {needed} healthy pods and has {well} currently",
                    words(budget, "/metadata/name")
                );
                let causes = json!([{"reason": "DisruptionBudget", "message": cause}]);
                let message = "Cannot evict pod as it would violate the pod's disruption budget.";
                return Ok(refusal(429, "TooManyRequests", message, causes));
            }
        }
        if asked.query.contains_key("dryRun") {
            return Ok((201, body.clone()));
        }
        let options = body.get("deleteOptions").cloned().unwrap_or_default();
        let (code, answer) = self.end(key, &options, asked.now);
        Ok((if code == 200 { 201 } else { code }, answer))
    }
}

/// Definitions are served as soon as they are there.
fn established(mut object: Value) -> Value {
    if words(&object, "/kind") == "CustomResourceDefinition" {
        set(&mut object, &["status", "conditions"], json!([{"type": "Established", "status": "True"}]));
    }
    object
}
