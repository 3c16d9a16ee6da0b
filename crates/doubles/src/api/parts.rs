//! Parts of objects that are not written like objects: evictions, bindings, tokens, approvals, reviews.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::auth::User;
use super::kinds::{Kind, known};
use super::rbac::{Attributes, node_of};
use super::status::Refusal;
use super::{Api, Result, TRIES, Target, text};
use crate::net::server::Request;
use crate::{pki, schema};

const CLIENT_OF_KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const SERVER_OF_KUBELET: &str = "kubernetes.io/kubelet-serving";

/// Who asks stands in a request for a certificate, and what is asked must be what its signer signs.
pub(super) fn complete_request(user: &User, object: &mut Value) -> Result<()> {
    let refused = |why: &str| {
        Refusal::invalid(
            "certificatesigningrequests.certificates.k8s.io",
            "",
            &[("spec.request".into(), why.into())],
        )
    };
    let pem = STANDARD.decode(text(object, "/spec/request")).map_err(|_| refused("no base64"))?;
    let pem = String::from_utf8(pem).map_err(|_| refused("no PEM"))?;
    let asked = pki::requested(&pem).map_err(|error| refused(&error))?;
    let usages: BTreeSet<&str> = object
        .pointer("/spec/usages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let is_node = asked.name.starts_with("system:node:") && asked.organisations == ["system:nodes"];
    let others = |allowed: &[&str]| usages.iter().any(|usage| !allowed.contains(usage));
    match text(object, "/spec/signerName") {
        CLIENT_OF_KUBELET => {
            if !is_node || !asked.names.is_empty() {
                return Err(refused("no request for the certificate of a kubelet as a client"));
            }
            if !usages.contains("client auth")
                || others(&["client auth", "digital signature", "key encipherment"])
            {
                return Err(refused("usages that are not those of clients"));
            }
        }
        SERVER_OF_KUBELET => {
            if !is_node || asked.names.is_empty() || user.name != asked.name {
                return Err(refused("no request for the certificate of a kubelet as a server, by itself"));
            }
            if !usages.contains("server auth")
                || others(&["server auth", "digital signature", "key encipherment"])
            {
                return Err(refused("usages that are not those of servers"));
            }
        }
        CLIENT => {}
        other => return Err(refused(&format!("unknown signer {other}"))),
    }
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        spec.insert("username".into(), user.name.as_str().into());
        spec.insert("groups".into(), json!(user.groups));
    }
    Ok(())
}

/// An approval adds conditions and nothing else.
pub(super) fn check_approval(before: &Value, next: &Value) -> Result<()> {
    let conditions =
        next.pointer("/status/conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let known = |condition: &Value| ["Approved", "Denied", "Failed"].contains(&text(condition, "/type"));
    if !conditions.iter().all(known)
        || before.pointer("/status/certificate") != next.pointer("/status/certificate")
    {
        return Err(Refusal::bad("an approval that is none"));
    }
    Ok(())
}

fn object_of(request: &Request, kind: &str, api_version: &str) -> Result<Value> {
    let value: Value =
        serde_json::from_slice(&request.body).map_err(|error| Refusal::bad(error.to_string()))?;
    if (text(&value, "/kind"), text(&value, "/apiVersion")) != (kind, api_version) {
        return Err(Refusal::bad(format!("no {kind} of {api_version}")));
    }
    let problems = schema::object_problems(kind, &value);
    if problems.is_empty() {
        Ok(value)
    } else {
        Err(Refusal::bad(format!("strict decoding error: {}", problems.join(", "))))
    }
}

impl Api {
    pub(super) fn create_part(
        &self,
        request: &Request,
        user: &User,
        target: &Target,
    ) -> Result<(u16, Value)> {
        match (target.kind.kind.as_str(), target.part.as_str()) {
            ("Pod", "eviction") => self.evict(request, target),
            ("Pod", "binding") => self.bind(request, target),
            ("ServiceAccount", "token") => {
                let asked = object_of(request, "TokenRequest", "authentication.k8s.io/v1")?;
                let account = self.item(target)?.value;
                if let Some(node) = node_of(user) {
                    self.check_pod_of_token(node, target, &asked)?;
                }
                Ok((201, self.account_token(&account, &asked)?))
            }
            _ => Err(Refusal::no_path()),
        }
    }

    /// A node gets tokens of accounts of its own pods only.
    fn check_pod_of_token(&self, node: &str, target: &Target, asked: &Value) -> Result<()> {
        let pod = text(asked, "/spec/boundObjectRef/name");
        let key = known("Pod").map(|kind| kind.key(&target.namespace, pod)).unwrap_or_default();
        let pod = self.store.get(&key).map_err(Refusal::store)?;
        let is_own = pod.is_some_and(|pod| {
            text(&pod.value, "/spec/nodeName") == node
                && text(&pod.value, "/spec/serviceAccountName") == target.name
        });
        if is_own {
            Ok(())
        } else {
            Err(Refusal::forbidden(format!(
                "node \"{node}\" requested a token not bound to a pod of its own"
            )))
        }
    }

    fn evict(&self, request: &Request, target: &Target) -> Result<(u16, Value)> {
        let eviction = object_of(request, "Eviction", "policy/v1")?;
        if text(&eviction, "/metadata/name") != target.name {
            return Err(Refusal::bad("name in URL does not match name in Eviction object"));
        }
        let options = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
        let dry_run = request.query("dryRun") == "All" || options.get("dryRun").is_some();
        let pod = self.item(target)?.value;
        let is_ready = pod
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True");
        if is_ready && pod.pointer("/metadata/deletionTimestamp").is_none() {
            self.use_budget(&pod, target, dry_run)?;
        }
        let (_, answer) = self.end(target, &options, dry_run)?;
        Ok((201, if dry_run { eviction } else { answer }))
    }

    fn use_budget(&self, pod: &Value, target: &Target, dry_run: bool) -> Result<()> {
        let folder = known("PodDisruptionBudget").map(|kind| kind.folder()).unwrap_or_default();
        for _ in 0..TRIES {
            let (items, _) =
                self.store.list(&format!("{folder}{}/", target.namespace)).map_err(Refusal::store)?;
            let mut budgets = items.iter().filter(|item| selects(&item.value["spec"]["selector"], pod));
            let Some(budget) = budgets.next() else { return Ok(()) };
            if budgets.next().is_some() {
                let message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(Refusal::new(500, "InternalError", message));
            }
            let allowed = budget
                .value
                .pointer("/status/disruptionsAllowed")
                .and_then(Value::as_i64)
                .unwrap_or_default();
            if allowed < 1 {
                let number = |key: &str| {
                    budget
                        .value
                        .pointer(&format!("/status/{key}"))
                        .and_then(Value::as_i64)
                        .unwrap_or_default()
                };
                let cause = format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    text(&budget.value, "/metadata/name"),
                    number("desiredHealthy"),
                    number("currentHealthy")
                );
                let message = "Cannot evict pod as it would violate the pod's disruption budget.";
                let causes = json!([{"reason": "DisruptionBudget", "message": cause}]);
                return Err(Refusal::new(429, "TooManyRequests", message).causes(causes));
            }
            if dry_run {
                return Ok(());
            }
            let mut next = budget.value.clone();
            next["status"]["disruptionsAllowed"] = (allowed - 1).into();
            if self.store.put(&budget.key, &next, budget.revision).map_err(Refusal::store)?.is_some() {
                return Ok(());
            }
        }
        Err(Refusal::new(429, "TooManyRequests", "the budget changes too often"))
    }

    fn bind(&self, request: &Request, target: &Target) -> Result<(u16, Value)> {
        let binding = object_of(request, "Binding", "v1")?;
        let node = text(&binding, "/target/name");
        for _ in 0..TRIES {
            let item = self.item(target)?;
            let mut next = item.value.clone();
            if !text(&next, "/spec/nodeName").is_empty() {
                return Err(Refusal::conflict("pods", &target.name, "pod is already assigned to a node"));
            }
            next["spec"]["nodeName"] = node.into();
            next["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": crate::clock::now()}]);
            if self.store.put(&item.key, &next, item.revision).map_err(Refusal::store)?.is_some() {
                return Ok((
                    201,
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                ));
            }
        }
        Err(Refusal::conflict("pods", &target.name, "it changes too often"))
    }

    /// Questions that are asked by making an object that is kept nowhere.
    pub(super) fn review(&self, request: &Request, user: &User, kind: &Kind) -> Result<Option<Value>> {
        let name = kind.kind.as_str();
        if !["TokenReview", "SubjectAccessReview", "SelfSubjectAccessReview"].contains(&name) {
            return Ok(None);
        }
        let mut asked = object_of(request, name, &kind.api_version())?;
        if name == "TokenReview" {
            asked["status"] = match self.of_token(text(&asked, "/spec/token")) {
                Ok(user) => {
                    json!({"authenticated": true, "user": {"username": user.name, "groups": user.groups, "uid": user.uid}})
                }
                Err(error) => json!({"authenticated": false, "error": error}),
            };
            return Ok(Some(asked));
        }
        let who = if name == "SelfSubjectAccessReview" {
            user.clone()
        } else {
            let groups = asked.pointer("/spec/groups").and_then(Value::as_array).into_iter().flatten();
            User {
                name: text(&asked, "/spec/user").to_owned(),
                groups: groups.filter_map(|group| group.as_str().map(str::to_owned)).collect(),
                uid: String::new(),
            }
        };
        let of = |key: &str| text(&asked, &format!("/spec/resourceAttributes/{key}")).to_owned();
        let allowed = if asked.pointer("/spec/resourceAttributes").is_some() {
            let kind = Kind {
                group: of("group"),
                version: of("version"),
                kind: String::new(),
                plural: of("resource"),
                namespaced: true,
                is_custom: false,
            };
            let target =
                Target { kind, namespace: of("namespace"), name: of("name"), part: of("subresource") };
            self.authorize(&who, &Attributes { verb: &of("verb"), target: Some(&target), path: "" }).is_ok()
        } else {
            let of = |key: &str| text(&asked, &format!("/spec/nonResourceAttributes/{key}")).to_owned();
            self.authorize(&who, &Attributes { verb: &of("verb"), target: None, path: &of("path") }).is_ok()
        };
        asked["status"] = json!({"allowed": allowed});
        Ok(Some(asked))
    }
}

/// Whether a selector of an object selects another.
pub(crate) fn selects(selector: &Value, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    let pairs = selector.get("matchLabels").and_then(Value::as_object);
    let terms = selector.get("matchExpressions").and_then(Value::as_array);
    pairs.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && terms.into_iter().flatten().all(|term| {
            let found = labels.get(text(term, "/key"));
            let is_in = || {
                term["values"]
                    .as_array()
                    .is_some_and(|values| found.is_some_and(|found| values.contains(found)))
            };
            match text(term, "/operator") {
                "In" => is_in(),
                "NotIn" => !is_in(),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}
