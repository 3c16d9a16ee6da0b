//! What kubeadm keeps in the cluster.

use std::collections::BTreeMap;

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::config::{Config, text};
use crate::client::{Client, path};
use crate::{clock, files, kubeconfig, yaml};

pub(crate) const RBAC: &str = "rbac.authorization.k8s.io/v1";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
pub(crate) const TOKEN_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

fn cluster_role_binding(client: &Client, name: &str, role: &str, group: &str) -> Result<(), String> {
    let object = json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}]});
    Ok(client.ensure(RBAC, "clusterrolebindings", &object)?)
}

/// A role that reads one object, for some groups and users.
fn reader(
    client: &Client,
    namespace: &str,
    name: &str,
    resource: &str,
    object: &str,
    subjects: &[(&str, &str)],
) -> Result<(), String> {
    let role = json!({"apiVersion": RBAC, "kind": "Role", "metadata": {"name": name, "namespace": namespace},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [resource], "resourceNames": [object]}]});
    client.ensure(RBAC, "roles", &role)?;
    let subjects: Vec<Value> = subjects
        .iter()
        .map(|(kind, name)| json!({"apiGroup": RBAC_GROUP, "kind": kind, "name": name}))
        .collect();
    let binding = json!({"apiVersion": RBAC, "kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name}, "subjects": subjects});
    Ok(client.ensure(RBAC, "rolebindings", &binding)?)
}

fn config_map(client: &Client, namespace: &str, name: &str, data: &Value) -> Result<(), String> {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data});
    Ok(client.ensure("v1", "configmaps", &object)?)
}

/// Administrators of kubeadm's kubeconfigs.
pub(crate) fn administrators(client: &Client) -> Result<(), String> {
    cluster_role_binding(client, "kubeadm:cluster-admins", "cluster-admin", "kubeadm:cluster-admins")
}

/// `upload-config all`.
pub(crate) fn upload_config(client: &Client, config: &Config, which: &str) -> Result<(), String> {
    let nodes: &[(&str, &str)] = &[("Group", TOKEN_GROUP), ("Group", "system:nodes")];
    if ["all", "kubeadm"].contains(&which) {
        crate::say(
            "[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace",
        );
        let kept = yaml::write_sorted(&config.kept());
        config_map(client, "kube-system", "kubeadm-config", &json!({"ClusterConfiguration": kept}))?;
        reader(client, "kube-system", "kubeadm:nodes-kubeadm-config", "configmaps", "kubeadm-config", nodes)?;
    }
    if ["all", "kubelet"].contains(&which) {
        crate::say(
            "[kubelet] Creating a ConfigMap \"kubelet-config\" in namespace kube-system with the configuration for the kubelets in the cluster",
        );
        config_map(
            client,
            "kube-system",
            "kubelet-config",
            &json!({"kubelet": yaml::write_sorted(&kubelet(config))}),
        )?;
        reader(client, "kube-system", "kubeadm:kubelet-config", "configmaps", "kubelet-config", nodes)?;
    }
    Ok(())
}

/// The kubelet's configuration with kubeadm's defaults.
pub(crate) fn kubelet(config: &Config) -> Value {
    let mut out = json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": format!("{}/ca.crt", config.certificates())}},
        "authorization": {"mode": "Webhook"}, "cgroupDriver": "systemd", "clusterDomain": config.domain(),
        "containerRuntimeEndpoint": config.socket(), "healthzBindAddress": "127.0.0.1", "healthzPort": 10248,
        "rotateCertificates": true, "staticPodPath": "/etc/kubernetes/manifests"});
    if let (Value::Object(out), Value::Object(own)) = (&mut out, &config.kubelet) {
        out.extend(own.clone());
    }
    out
}

/// Marks this host as a control plane.
pub(crate) fn mark(client: &Client, config: &Config) -> Result<(), String> {
    let node = config.node();
    crate::say(&format!("[mark-control-plane] Marking the node {node} as control-plane"));
    let at = path("v1", "nodes", "", &node);
    let taints = match config.registration().get("taints") {
        Some(taints) => taints.clone(),
        None => json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]),
    };
    for _ in 0..60 {
        let Some(live) = client.get(&at).ok().flatten() else {
            std::thread::sleep(std::time::Duration::from_millis(500));
            continue;
        };
        let mut all = live.pointer("/spec/taints").and_then(Value::as_array).cloned().unwrap_or_default();
        for taint in taints.as_array().into_iter().flatten() {
            if !all.iter().any(|known| known["key"] == taint["key"] && known["effect"] == taint["effect"]) {
                all.push(taint.clone());
            }
        }
        let patch = json!({"metadata": {"resourceVersion": live["metadata"]["resourceVersion"], "labels": {
                "node-role.kubernetes.io/control-plane": "", "node.kubernetes.io/exclude-from-external-load-balancers": ""}},
            "spec": {"taints": all}});
        match client.merge(&at, &patch) {
            Err(error) if error.code == 409 => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
    Err(format!("error execution phase mark-control-plane: node {node:?} is not registered"))
}

/// Bootstrap tokens, and what they are allowed.
pub(crate) fn bootstrap_token(
    client: &Client,
    config: &Config,
    server: &str,
    authority: &str,
) -> Result<(), String> {
    let tokens = config.init.pointer("/bootstrapTokens").and_then(Value::as_array).cloned();
    let tokens = tokens.unwrap_or_else(|| {
        let letters = |length| crate::random(length);
        vec![json!({"token": format!("{}.{}", letters(6), letters(16))})]
    });
    for token in &tokens {
        put_token(client, token, "")?;
    }
    rules(client)?;
    let info = yaml::write_sorted(
        &json!({"apiVersion": "v1", "kind": "Config", "preferences": {}, "contexts": [], "users": [], "current-context": "",
        "clusters": [{"name": "", "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(authority)}}]}),
    );
    crate::say("[bootstrap-token] Creating the \"cluster-info\" ConfigMap in the \"kube-public\" namespace");
    let at = path("v1", "configmaps", "kube-public", "cluster-info");
    if client.get(&at)?.is_some() {
        client.merge(&at, &json!({"data": {"kubeconfig": info}}))?;
    } else {
        config_map(client, "kube-public", "cluster-info", &json!({"kubeconfig": info}))?;
    }
    reader(
        client,
        "kube-public",
        "kubeadm:bootstrap-signer-clusterinfo",
        "configmaps",
        "cluster-info",
        &[("User", "system:anonymous")],
    )
}

fn rules(client: &Client) -> Result<(), String> {
    let role = json!({"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "kubeadm:get-nodes"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]}]});
    client.ensure(RBAC, "clusterroles", &role)?;
    for (name, role, group) in [
        ("kubeadm:get-nodes", "kubeadm:get-nodes", TOKEN_GROUP),
        ("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", TOKEN_GROUP),
        (
            "kubeadm:node-autoapprove-bootstrap",
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            TOKEN_GROUP,
        ),
        (
            "kubeadm:node-autoapprove-certificate-rotation",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            "system:nodes",
        ),
    ] {
        cluster_role_binding(client, name, role, group)?;
    }
    Ok(())
}

/// Keeps a token in the cluster. `usage` is another one than joining.
pub(crate) fn put_token(client: &Client, token: &Value, description: &str) -> Result<(), String> {
    let (id, secret) = text(token, "/token").split_once('.').ok_or("a token without a point")?;
    let lasts = match text(token, "/ttl") {
        "" => 86_400,
        ttl => {
            i64::try_from(clock::duration(ttl).ok_or("ttl: invalid duration")?.as_secs()).unwrap_or(86_400)
        }
    };
    let description =
        if text(token, "/description").is_empty() { description } else { text(token, "/description") };
    let mut data = BTreeMap::from([
        ("token-id", id.to_owned()),
        ("token-secret", secret.to_owned()),
        ("usage-bootstrap-authentication", "true".to_owned()),
        ("usage-bootstrap-signing", "true".to_owned()),
        ("auth-extra-groups", TOKEN_GROUP.to_owned()),
        ("description", description.to_owned()),
    ]);
    if lasts > 0 {
        data.insert("expiration", clock::text(clock::now_s() + lasts));
    }
    let data: BTreeMap<&str, String> =
        data.into_iter().map(|(key, value)| (key, STANDARD.encode(value))).collect();
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"}, "data": data});
    Ok(client.ensure("v1", "secrets", &object)?)
}

/// Files that control planes share, with the names of their entries.
fn shared(config: &Config) -> Vec<(String, String, u32)> {
    let folder = config.certificates();
    let mut out: Vec<(String, String, u32)> =
        ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"]
            .iter()
            .map(|name| {
                (
                    (*name).to_owned(),
                    format!("{folder}/{name}"),
                    if name.ends_with("crt") { 0o644 } else { 0o600 },
                )
            })
            .collect();
    for (name, key) in [
        ("external-etcd-ca.crt", "caFile"),
        ("external-etcd.crt", "certFile"),
        ("external-etcd.key", "keyFile"),
    ] {
        let path = text(&config.cluster, &format!("/etcd/external/{key}"));
        if !path.is_empty() {
            out.push((name.to_owned(), path.to_owned(), 0o600));
        }
    }
    out
}

fn cipher(key: &str, nonce: &[u8]) -> Result<(Ctr128BE<Aes256>, Hmac<Sha256>), String> {
    let bytes: Vec<u8> = (0..key.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(key.get(at..at + 2)?, 16).ok())
        .collect();
    let cipher = Ctr128BE::<Aes256>::new_from_slices(&bytes, nonce)
        .map_err(|_| "the certificate key is not 32 bytes")?;
    let mac = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|_| "the certificate key is not 32 bytes")?;
    Ok((cipher, mac))
}

/// `upload-certs`: what control planes share, encrypted.
pub(crate) fn upload_certs(client: &Client, config: &Config, key: &str) -> Result<(), String> {
    crate::say(
        "[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace",
    );
    let mut data = BTreeMap::new();
    for (name, path, _) in shared(config) {
        let text = match std::fs::read(&path) {
            Ok(mut bytes) => {
                let nonce = crate::random_bytes::<16>()?;
                let (mut cipher, mut mac) = cipher(key, &nonce)?;
                cipher.apply_keystream(&mut bytes);
                let sealed = [nonce.as_slice(), &bytes].concat();
                mac.update(&sealed);
                STANDARD.encode([sealed.as_slice(), &mac.finalize().into_bytes()].concat())
            }
            // As the real one does: who joins passes over it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{path}: {error}")),
        };
        data.insert(name, text);
    }
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "kubeadm-certs", "namespace": "kube-system",
            "annotations": {"double/expiration": clock::text(clock::now_s() + 7200)}}, "data": data});
    client.ensure("v1", "secrets", &object)?;
    reader(
        client,
        "kube-system",
        "kubeadm:kubeadm-certs",
        "secrets",
        "kubeadm-certs",
        &[("Group", TOKEN_GROUP)],
    )?;
    crate::say(&format!("[upload-certs] Using certificate key:\n{key}"));
    Ok(())
}

/// Brings what control planes share to this host.
pub(crate) fn download_certs(client: &Client, config: &Config, key: &str) -> Result<(), String> {
    crate::say(
        "[download-certs] Downloading the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace",
    );
    let found = client.get(&path("v1", "secrets", "kube-system", "kubeadm-certs"))?;
    let found = found.ok_or(
        "error execution phase control-plane-prepare/download-certs: secrets \"kubeadm-certs\" not found",
    )?;
    let ends = clock::seconds(text(&found, "/metadata/annotations/double~1expiration")).unwrap_or_default();
    if ends < clock::now_s() {
        return Err("error execution phase control-plane-prepare/download-certs: Secret \"kubeadm-certs\" was not found in the \"kube-system\" Namespace. This Secret might have expired".into());
    }
    for (name, path, mode) in shared(config) {
        let Some(text) = found["data"].get(&name).and_then(Value::as_str) else {
            return Err(format!(
                "the Secret does not include the required certificate or key - name: {name}, path: {path}"
            ));
        };
        if text.is_empty() {
            continue;
        }
        let sealed = STANDARD.decode(text).map_err(|error| error.to_string())?;
        let refused = || {
            format!(
                "error decoding secret data with provided key: {name}: cipher: message authentication failed"
            )
        };
        let (sealed, tag) = sealed.split_at_checked(sealed.len().saturating_sub(32)).ok_or_else(refused)?;
        let (nonce, bytes) = sealed.split_at_checked(16).ok_or_else(refused)?;
        let (mut cipher, mut mac) = cipher(key, nonce)?;
        mac.update(sealed);
        mac.verify_slice(tag).map_err(|_| refused())?;
        let mut bytes = bytes.to_vec();
        cipher.apply_keystream(&mut bytes);
        files::write(std::path::Path::new(&path), &bytes, mode)?;
    }
    Ok(())
}

/// `addon kube-proxy`.
pub(crate) fn proxy(client: &Client, config: &Config) -> Result<(), String> {
    let mut document = json!({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "bindAddress": "0.0.0.0", "clusterCIDR": text(&config.cluster, "/networking/podSubnet"),
        "clientConnection": {"kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf"}});
    if let (Value::Object(out), Value::Object(own)) = (&mut document, &config.proxy) {
        out.extend(own.clone());
    }
    const TOKENS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let access = json!({"apiVersion": "v1", "kind": "Config",
        "clusters": [{"name": "default", "cluster": {"certificate-authority": format!("{TOKENS}/ca.crt"), "server": config.server()}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "namespace": "default", "user": "default"}}],
        "current-context": "default", "users": [{"name": "default", "user": {"tokenFile": format!("{TOKENS}/token")}}]});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "kube-proxy", "namespace": "kube-system"}});
    client.make("v1", "serviceaccounts", &account)?;
    let labels = json!({"app": "kube-proxy"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": labels},
        "data": {"config.conf": yaml::write_sorted(&document), "kubeconfig.conf": yaml::write_sorted(&access)}});
    client.ensure("v1", "configmaps", &map)?;
    let binding = json!({"apiVersion": RBAC, "kind": "ClusterRoleBinding", "metadata": {"name": "kubeadm:node-proxier"},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "system:node-proxier"},
        "subjects": [{"kind": "ServiceAccount", "name": "kube-proxy", "namespace": "kube-system"}]});
    client.ensure(RBAC, "clusterrolebindings", &binding)?;
    reader(client, "kube-system", "kube-proxy", "configmaps", "kube-proxy", &[("Group", TOKEN_GROUP)])?;
    let selector = json!({"k8s-app": "kube-proxy"});
    let container = json!({"name": "kube-proxy", "image": config.image("kube-proxy"), "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"],
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {"privileged": true},
        "volumeMounts": [{"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"},
            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
            {"name": "lib-modules", "mountPath": "/lib/modules", "readOnly": true}]});
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": selector},
        "spec": {"selector": {"matchLabels": selector}, "updateStrategy": {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": selector}, "spec": {"containers": [container], "hostNetwork": true,
                "nodeSelector": {"kubernetes.io/os": "linux"}, "priorityClassName": "system-node-critical",
                "serviceAccountName": "kube-proxy", "tolerations": [{"operator": "Exists"}],
                "volumes": [{"name": "kube-proxy", "configMap": {"name": "kube-proxy"}},
                    {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
                    {"name": "lib-modules", "hostPath": {"path": "/lib/modules", "type": ""}}]}}}});
    client.ensure("apps/v1", "daemonsets", &set)?;
    crate::say("[addons] Applied essential addon: kube-proxy");
    Ok(())
}

/// What the cluster keeps of its configuration, for who joins or is raised.
pub(crate) fn fetch(client: &Client) -> Result<Config, String> {
    let at = path("v1", "configmaps", "kube-system", "kubeadm-config");
    let found = client.get(&at)?.ok_or("configmaps \"kubeadm-config\" not found")?;
    let mut out = Config::parse(text(&found, "/data/ClusterConfiguration"))?;
    let at = path("v1", "configmaps", "kube-system", "kubelet-config");
    let found = client.get(&at)?.ok_or("configmaps \"kubelet-config\" not found")?;
    out.kubelet = Config::parse(text(&found, "/data/kubelet"))?.kubelet;
    Ok(out)
}

/// Opens a kubeconfig for kubeadm.
pub(crate) fn open(path: &str) -> Result<Client, String> {
    Client::new(&kubeconfig::read(path)?, "kubeadm")
}
