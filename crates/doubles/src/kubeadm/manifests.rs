//! Static pods of the control plane.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::certs::FOLDER;
use super::config::{Config, text, with_port};
use crate::{fields, files, schema, yaml};

pub(crate) const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// A volume of a path of the host: name, path there, path in the pod, whether it cannot be written, its type.
type Mount = (String, String, String, bool, String);

fn flags_of(config: &Config, component: &str) -> BTreeMap<String, Vec<String>> {
    let folder = config.certificates();
    let file = |name: &str| format!("{folder}/{name}");
    let etcd = |key: &str| text(&config.cluster, &format!("/etcd/external/{key}")).to_owned();
    let domain = config.domain();
    let endpoints = super::config::texts(&config.cluster, "/etcd/external/endpoints").join(",");
    let conf = |name: &str| format!("{FOLDER}/{name}.conf");
    let base: Vec<(&str, String)> = match component {
        "kube-apiserver" => vec![
            ("advertise-address", config.address().into()),
            ("allow-privileged", "true".into()),
            ("authorization-mode", "Node,RBAC".into()),
            ("client-ca-file", file("ca.crt")),
            ("enable-admission-plugins", "NodeRestriction".into()),
            ("enable-bootstrap-token-auth", "true".into()),
            ("etcd-cafile", etcd("caFile")),
            ("etcd-certfile", etcd("certFile")),
            ("etcd-keyfile", etcd("keyFile")),
            ("etcd-servers", endpoints),
            ("kubelet-client-certificate", file("apiserver-kubelet-client.crt")),
            ("kubelet-client-key", file("apiserver-kubelet-client.key")),
            ("kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname".into()),
            ("proxy-client-cert-file", file("front-proxy-client.crt")),
            ("proxy-client-key-file", file("front-proxy-client.key")),
            ("requestheader-allowed-names", "front-proxy-client".into()),
            ("requestheader-client-ca-file", file("front-proxy-ca.crt")),
            ("requestheader-extra-headers-prefix", "X-Remote-Extra-".into()),
            ("requestheader-group-headers", "X-Remote-Group".into()),
            ("requestheader-username-headers", "X-Remote-User".into()),
            ("secure-port", config.port().to_string()),
            ("service-account-issuer", format!("https://kubernetes.default.svc.{domain}")),
            ("service-account-key-file", file("sa.pub")),
            ("service-account-signing-key-file", file("sa.key")),
            ("service-cluster-ip-range", config.services().into()),
            ("tls-cert-file", file("apiserver.crt")),
            ("tls-private-key-file", file("apiserver.key")),
        ],
        "kube-controller-manager" => {
            let mut flags = vec![
                ("authentication-kubeconfig", conf("controller-manager")),
                ("authorization-kubeconfig", conf("controller-manager")),
                ("bind-address", "127.0.0.1".into()),
                ("client-ca-file", file("ca.crt")),
                ("cluster-name", config.cluster_name().into()),
                ("cluster-signing-cert-file", file("ca.crt")),
                ("cluster-signing-key-file", file("ca.key")),
                ("controllers", "*,bootstrapsigner,tokencleaner".into()),
                ("kubeconfig", conf("controller-manager")),
                ("leader-elect", "true".into()),
                ("requestheader-client-ca-file", file("front-proxy-ca.crt")),
                ("root-ca-file", file("ca.crt")),
                ("service-account-private-key-file", file("sa.key")),
                ("use-service-account-credentials", "true".into()),
            ];
            let pods = text(&config.cluster, "/networking/podSubnet");
            if !pods.is_empty() {
                flags.push(("allocate-node-cidrs", "true".into()));
                flags.push(("cluster-cidr", pods.into()));
                flags.push(("service-cluster-ip-range", config.services().into()));
            }
            flags
        }
        _ => vec![
            ("authentication-kubeconfig", conf("scheduler")),
            ("authorization-kubeconfig", conf("scheduler")),
            ("bind-address", "127.0.0.1".into()),
            ("kubeconfig", conf("scheduler")),
            ("leader-elect", "true".into()),
        ],
    };
    let mut out: BTreeMap<String, Vec<String>> =
        base.into_iter().map(|(name, value)| (name.to_owned(), vec![value])).collect();
    let mut own: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for arg in config
        .cluster
        .pointer(&format!("/{}/extraArgs", part(component)))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        own.entry(text(arg, "/name").to_owned()).or_default().push(text(arg, "/value").to_owned());
    }
    if own.contains_key("authorization-config") {
        out.remove("authorization-mode");
    }
    out.extend(own);
    out
}

/// The part of the cluster's configuration that a component has.
fn part(component: &str) -> &'static str {
    match component {
        "kube-apiserver" => "apiServer",
        "kube-controller-manager" => "controllerManager",
        _ => "scheduler",
    }
}

fn mounts(config: &Config, component: &str) -> Vec<Mount> {
    let mut out: Vec<Mount> = Vec::new();
    let mut add = |name: &str, path: &str, kind: &str| {
        out.push((name.into(), path.into(), path.into(), true, kind.into()));
    };
    let conf = |name: &str| format!("{FOLDER}/{name}.conf");
    match component {
        "kube-scheduler" => add("kubeconfig", &conf("scheduler"), "FileOrCreate"),
        _ => {
            add("k8s-certs", config.certificates(), "DirectoryOrCreate");
            add("ca-certs", "/etc/ssl/certs", "DirectoryOrCreate");
            for path in
                ["/etc/ca-certificates", "/usr/local/share/ca-certificates", "/usr/share/ca-certificates"]
            {
                if Path::new(path).is_dir() {
                    add(&path.trim_matches('/').replace('/', "-"), path, "DirectoryOrCreate");
                }
            }
        }
    }
    if component == "kube-controller-manager" {
        add("kubeconfig", &conf("controller-manager"), "FileOrCreate");
        add("flexvolume-dir", "/usr/libexec/kubernetes/kubelet-plugins/volume/exec", "DirectoryOrCreate");
    }
    if component == "kube-apiserver" {
        let mut known = Vec::new();
        for key in ["caFile", "certFile", "keyFile"] {
            let file = text(&config.cluster, &format!("/etcd/external/{key}"));
            let folder = Path::new(file)
                .parent()
                .map(|folder| folder.to_string_lossy().into_owned())
                .unwrap_or_default();
            if !folder.is_empty() && !known.contains(&folder) {
                add(&format!("etcd-certs-{}", known.len()), &folder, "DirectoryOrCreate");
                known.push(folder);
            }
        }
    }
    let extra =
        config.cluster.pointer(&format!("/{}/extraVolumes", part(component))).and_then(Value::as_array);
    for volume in extra.into_iter().flatten() {
        let name = text(volume, "/name").to_owned();
        out.retain(|known| known.0 != name);
        let read_only = volume["readOnly"].as_bool().unwrap_or_default();
        out.push((
            name,
            text(volume, "/hostPath").into(),
            text(volume, "/mountPath").into(),
            read_only,
            text(volume, "/pathType").into(),
        ));
    }
    out.sort();
    out
}

/// A static pod.
pub(crate) fn manifest(config: &Config, component: &str) -> Result<Value, String> {
    let flags = flags_of(config, component);
    let mut command = vec![component.to_owned()];
    for (name, values) in &flags {
        command.extend(values.iter().map(|value| format!("--{name}={value}")));
    }
    let first = |name: &str| flags.get(name).and_then(|values| values.first()).map(String::as_str);
    let (port, ready) = match component {
        "kube-apiserver" => (config.port(), "/livez"),
        "kube-controller-manager" => (10257, "/healthz"),
        _ => (10259, "/livez"),
    };
    let bound = first("bind-address").unwrap_or(if component == "kube-apiserver" { "" } else { "127.0.0.1" });
    let host = match bound {
        "0.0.0.0" | "::" | "" if component == "kube-apiserver" => config.address(),
        "0.0.0.0" | "::" | "" => "127.0.0.1",
        address => address,
    };
    let probe = |path: &str, failures: u64| {
        json!({"failureThreshold": failures, "periodSeconds": 10, "timeoutSeconds": 15,
        "httpGet": {"host": host, "path": path, "port": port, "scheme": "HTTPS"}})
    };
    let cpu = match component {
        "kube-apiserver" => "250m",
        "kube-controller-manager" => "200m",
        _ => "100m",
    };
    let mounts = mounts(config, component);
    let volume_mounts: Vec<Value> = mounts
        .iter()
        .map(|(name, _, path, read_only, _)| {
            let mut out = json!({"name": name, "mountPath": path});
            if *read_only {
                out["readOnly"] = true.into();
            }
            out
        })
        .collect();
    let volumes: Vec<Value> = mounts
        .iter()
        .map(|(name, path, _, _, kind)| json!({"name": name, "hostPath": {"path": path, "type": kind}}))
        .collect();
    let mut container = json!({
        "name": component,
        "image": config.image(component),
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": {"requests": {"cpu": cpu}},
        "livenessProbe": probe(ready, 8),
        "startupProbe": probe(ready, 24),
        "volumeMounts": volume_mounts,
    });
    if component == "kube-apiserver" {
        container["readinessProbe"] = json!({"failureThreshold": 3, "periodSeconds": 1, "timeoutSeconds": 15,
            "httpGet": {"host": host, "path": "/readyz", "port": port, "scheme": "HTTPS"}});
    }
    let environment = config.cluster.pointer(&format!("/{}/extraEnvs", part(component)));
    if let Some(environment) = environment {
        container["env"] = environment.clone();
    }
    let mut metadata = json!({"name": component, "namespace": "kube-system", "labels": {"component": component, "tier": "control-plane"}});
    if component == "kube-apiserver" {
        metadata["annotations"] = json!({"kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint": with_port(config.address(), config.port())});
    }
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [container], "hostNetwork": true, "priority": 2_000_001_000, "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}, "volumes": volumes}});
    patch(config.patches(), component, &mut pod)?;
    Ok(pod)
}

/// Applies the patches of a folder, whose files are called `TARGET[SUFFIX][+TYPE].yaml`.
pub(crate) fn patch(folder: &str, target: &str, object: &mut Value) -> Result<(), String> {
    if folder.is_empty() {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(|error| format!("open {folder}: {error}"))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    for name in names {
        let Some((stem, "yaml" | "json")) = name.rsplit_once('.') else { continue };
        let (own, kind) = stem.split_once('+').unwrap_or((stem, "strategic"));
        const KNOWN: [&str; 7] = [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "etcd",
            "kubeletconfiguration",
            "corednsdeployment",
            "kubelet",
        ];
        if !KNOWN.iter().any(|known| own.starts_with(known)) {
            return Err(format!("unknown patch target in {name:?}"));
        }
        if !own.starts_with(target) {
            continue;
        }
        for document in yaml::read_all(&files::read(&format!("{folder}/{name}"))?)? {
            match kind {
                "strategic" => fields::merge_into(object, &document, true),
                "merge" => fields::merge_into(object, &document, false),
                other => return Err(format!("patches of type {other:?} are not known to this double")),
            }
        }
    }
    Ok(())
}

/// Writes manifests.
pub(crate) fn write(config: &Config, which: &[&str]) -> Result<(), String> {
    crate::say(&format!("[control-plane] Using manifest folder \"{FOLDER}/manifests\""));
    for component in which {
        let pod = manifest(config, component)?;
        let problems = schema::object_problems("Pod", &pod);
        if !problems.is_empty() {
            return Err(format!("static Pod manifest for {component}: {}", problems.join(", ")));
        }
        crate::say(&format!("[control-plane] Creating static Pod manifest for {component:?}"));
        let path = format!("{FOLDER}/manifests/{component}.yaml");
        files::write(Path::new(&path), yaml::write_sorted(&pod).as_bytes(), 0o600)?;
    }
    Ok(())
}
