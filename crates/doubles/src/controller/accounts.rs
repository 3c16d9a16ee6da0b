//! Certificates, service accounts, tokens and namespaces.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Manager, condition, list, text};
use crate::client::path;
use crate::pki::{self, Leaf};
use crate::{clock, pki::requested};

const CSR: &str = "certificates.k8s.io/v1";
const PLURAL: &str = "certificatesigningrequests";

impl Manager {
    /// Approves what kubeadm's bindings allow and signs what is approved.
    pub(super) fn requests(&self) -> Result<(), String> {
        for request in self.client.list(&path(CSR, PLURAL, "", ""))? {
            let name = text(&request, "/metadata/name");
            if !text(&request, "/status/certificate").is_empty() || condition(&request, "Denied") == "True" {
                continue;
            }
            let mut request = request.clone();
            request["apiVersion"] = CSR.into();
            request["kind"] = "CertificateSigningRequest".into();
            if condition(&request, "Approved") == "True" {
                self.sign(name, &request)?;
            } else if self.may_approve(&request)? {
                request["status"]["conditions"] = json!([{"type": "Approved", "status": "True", "reason": "AutoApproved",
                    "message": "Auto approving kubelet client certificate after SubjectAccessReview.", "lastUpdateTime": clock::now()}]);
                self.client.update(&format!("{}/approval", path(CSR, PLURAL, "", name)), &request)?;
            }
        }
        Ok(())
    }

    /// Only certificates of kubelets as clients, and only of those who may have them.
    fn may_approve(&self, request: &Value) -> Result<bool, String> {
        if text(request, "/spec/signerName") != "kubernetes.io/kube-apiserver-client-kubelet" {
            return Ok(false);
        }
        let asked = requested(&pem(request)?)?;
        let user = text(request, "/spec/username");
        let part = if user == asked.name { "selfnodeclient" } else { "nodeclient" };
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
            "spec": {"user": user, "groups": request["spec"]["groups"], "resourceAttributes": {"group": "certificates.k8s.io",
                "version": "v1", "resource": PLURAL, "subresource": part, "verb": "create"}}});
        let answer =
            self.client.create(&path("authorization.k8s.io/v1", "subjectaccessreviews", "", ""), &review)?;
        Ok(answer.pointer("/status/allowed") == Some(&Value::Bool(true)))
    }

    fn sign(&self, name: &str, request: &Value) -> Result<(), String> {
        let content = pem(request)?;
        let usages: Vec<&str> = list(request, "/spec/usages").iter().filter_map(Value::as_str).collect();
        let asked = requested(&content)?;
        let leaf = Leaf {
            server: usages.contains(&"server auth"),
            client: usages.contains(&"client auth"),
            lasts: self.signing,
            ..asked
        };
        let certificate = self.authority.sign_request(&leaf, &content)?;
        pki::first(&certificate)?;
        let mut next = request.clone();
        next["status"]["certificate"] = STANDARD.encode(certificate).into();
        self.client.update(&format!("{}/status", path(CSR, PLURAL, "", name)), &next)?;
        Ok(())
    }

    /// Every namespace has its default account and the authority of the cluster.
    pub(super) fn accounts(&self) -> Result<(), String> {
        let namespaces = self.client.list("/api/v1/namespaces")?;
        let accounts = self.client.list("/api/v1/serviceaccounts")?;
        let maps = self.client.list("/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt")?;
        let of = |all: &[Value], name: &str| -> BTreeSet<String> {
            let named = all.iter().filter(|one| text(one, "/metadata/name") == name);
            named.map(|one| text(one, "/metadata/namespace").to_owned()).collect()
        };
        let (has_account, has_map) = (of(&accounts, "default"), of(&maps, "kube-root-ca.crt"));
        for namespace in namespaces.iter().filter(|one| one.pointer("/metadata/deletionTimestamp").is_none())
        {
            let namespace = text(namespace, "/metadata/name");
            if !has_account.contains(namespace) {
                let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
                self.client.make("v1", "serviceaccounts", &account)?;
            }
            if !has_map.contains(namespace) {
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
                    "data": {"ca.crt": self.root}});
                self.client.make("v1", "configmaps", &map)?;
            }
        }
        Ok(())
    }

    fn bootstrap_tokens(&self) -> Result<Vec<Value>, String> {
        let at =
            "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken";
        Ok(self.client.list(at)?)
    }

    /// Signs the document that hosts which join read, with every token.
    pub(super) fn signer(&self) -> Result<(), String> {
        let at = path("v1", "configmaps", "kube-public", "cluster-info");
        let Some(info) = self.client.get(&at)? else { return Ok(()) };
        let content = text(&info, "/data/kubeconfig");
        let mut data = json!({});
        for secret in self.bootstrap_tokens()? {
            if data_of(&secret, "usage-bootstrap-signing") == "true" && !is_over(&secret) {
                let (id, token) = (data_of(&secret, "token-id"), data_of(&secret, "token-secret"));
                data[format!("jws-kubeconfig-{id}")] = super::jws(content, &format!("{id}.{token}")).into();
            }
        }
        for key in info["data"].as_object().into_iter().flatten().map(|(key, _)| key) {
            if key.starts_with("jws-kubeconfig-") && data.get(key).is_none() {
                data[key] = Value::Null;
            }
        }
        let changes = data
            .as_object()
            .into_iter()
            .flatten()
            .any(|(key, value)| info["data"].get(key).unwrap_or(&Value::Null) != value);
        if changes {
            self.client.merge(&at, &json!({"data": data}))?;
        }
        Ok(())
    }

    /// Deletes tokens that are over, and certificates that were kept for hosts that join.
    pub(super) fn tokens(&self) -> Result<(), String> {
        for secret in self.bootstrap_tokens()?.iter().filter(|secret| is_over(secret)) {
            self.client
                .delete(&path("v1", "secrets", "kube-system", text(secret, "/metadata/name")), &json!({}))?;
        }
        let at = path("v1", "secrets", "kube-system", "kubeadm-certs");
        if let Some(secret) = self.client.get(&at)?
            && clock::seconds(text(&secret, "/metadata/annotations/double~1expiration"))
                .is_none_or(|ends| ends < clock::now_s())
        {
            self.client.delete(&at, &json!({}))?;
        }
        Ok(())
    }

    /// Empties namespaces that end, and lets them go.
    pub(super) fn namespaces(&self) -> Result<(), String> {
        let all = self.client.list("/api/v1/namespaces")?;
        for namespace in all.iter().filter(|one| one.pointer("/metadata/deletionTimestamp").is_some()) {
            let name = text(namespace, "/metadata/name");
            let mut left = 0;
            for (api_version, plural) in NAMESPACED {
                let folder = path(api_version, plural, name, "");
                let objects = self.client.list(&folder)?;
                left += objects.len();
                for object in objects {
                    self.client.delete(
                        &path(api_version, plural, name, text(&object, "/metadata/name")),
                        &json!({}),
                    )?;
                }
            }
            if left == 0 {
                let mut next = namespace.clone();
                next["apiVersion"] = "v1".into();
                next["kind"] = "Namespace".into();
                next["spec"]["finalizers"] = json!([]);
                self.client.update(&format!("{}/finalize", path("v1", "namespaces", "", name)), &next)?;
            }
        }
        Ok(())
    }
}

/// What is in namespaces, workloads before their pods.
const NAMESPACED: [(&str, &str); 14] = [
    ("apps/v1", "deployments"),
    ("apps/v1", "daemonsets"),
    ("batch/v1", "jobs"),
    ("v1", "pods"),
    ("v1", "configmaps"),
    ("v1", "secrets"),
    ("v1", "services"),
    ("v1", "serviceaccounts"),
    ("v1", "endpoints"),
    ("policy/v1", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io/v1", "roles"),
    ("rbac.authorization.k8s.io/v1", "rolebindings"),
    ("coordination.k8s.io/v1", "leases"),
    ("networking.k8s.io/v1", "networkpolicies"),
];

fn pem(request: &Value) -> Result<String, String> {
    let bytes = STANDARD.decode(text(request, "/spec/request")).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn data_of(secret: &Value, key: &str) -> String {
    let value = secret["data"].get(key).and_then(Value::as_str).unwrap_or_default();
    String::from_utf8(STANDARD.decode(value).unwrap_or_default()).unwrap_or_default()
}

fn is_over(secret: &Value) -> bool {
    let ends = data_of(secret, "expiration");
    !ends.is_empty() && clock::seconds(&ends).is_none_or(|ends| ends <= clock::now_s())
}
