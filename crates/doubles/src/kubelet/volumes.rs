//! What is mounted into containers.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{FOLDER, Kubelet, list, text};
use crate::client::path;
use crate::files;

/// The folder of a pod.
pub(super) fn folder(pod: &Value) -> String {
    format!("{FOLDER}/pods/{}", text(pod, "/metadata/uid"))
}

/// Makes the volume and tells its path on this host.
pub(super) fn make(kubelet: &Kubelet, pod: &Value, volume: &Value) -> Result<String, String> {
    let name = text(volume, "/name");
    let own = |kind: &str| format!("{}/volumes/kubernetes.io~{kind}/{name}", folder(pod));
    let told = |path: &str, error: std::io::Error| format!("volume {name:?}: {path}: {error}");
    if let Some(source) = volume.get("hostPath") {
        let path = text(source, "/path");
        host_path(path, text(source, "/type"))
            .map_err(|error| format!("MountVolume.SetUp failed for volume {name:?}: {error}"))?;
        return Ok(path.to_owned());
    }
    let (kind, entries) = if volume.get("emptyDir").is_some() {
        ("empty-dir", Vec::new())
    } else if let Some(source) = volume.get("configMap") {
        ("configmap", object(kubelet, pod, "configmaps", text(source, "/name"), source)?)
    } else if let Some(source) = volume.get("secret") {
        ("secret", object(kubelet, pod, "secrets", text(source, "/secretName"), source)?)
    } else if volume.get("projected").is_some() {
        let mut entries = Vec::new();
        for source in list(volume, "/projected/sources") {
            entries.extend(projected(kubelet, pod, source)?);
        }
        ("projected", entries)
    } else if volume.get("downwardAPI").is_some() {
        ("downward-api", downward(kubelet, pod, list(volume, "/downwardAPI/items")))
    } else {
        return Err(format!("volume {name:?} is of a kind that this double does not know"));
    };
    let target = own(kind);
    fs::create_dir_all(&target).map_err(|error| told(&target, error))?;
    for (file, bytes, mode) in entries {
        if file.split('/').any(|part| part == "..") {
            return Err(format!("volume {name:?}: {file:?} leads out of it"));
        }
        let at = format!("{target}/{file}");
        if fs::read(&at).ok().as_deref() != Some(bytes.as_slice()) {
            files::write(Path::new(&at), &bytes, mode)?;
        }
    }
    Ok(target)
}

fn host_path(path: &str, kind: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{path}: {error}");
    let there = fs::metadata(path);
    match (kind, &there) {
        ("DirectoryOrCreate", Err(_)) => fs::create_dir_all(path).map_err(told),
        ("FileOrCreate", Err(_)) => fs::File::create(path)
            .map_err(|error| format!("hostPath type check failed: {path} is not a file: {error}"))
            .map(drop),
        ("Directory" | "DirectoryOrCreate", Ok(found)) if !found.is_dir() => {
            Err(format!("hostPath type check failed: {path} is not a directory"))
        }
        ("File" | "FileOrCreate", Ok(found)) if !found.is_file() => {
            Err(format!("hostPath type check failed: {path} is not a file"))
        }
        ("Directory" | "File" | "Socket", Err(_)) => {
            Err(format!("hostPath type check failed: {path} is not there"))
        }
        // An engine makes a folder of what is not there.
        _ => Ok(()),
    }
}

type Entries = Vec<(String, Vec<u8>, u32)>;

/// The entries of an object, all or those that are named.
fn object(
    kubelet: &Kubelet,
    pod: &Value,
    plural: &str,
    name: &str,
    source: &Value,
) -> Result<Entries, String> {
    let namespace = text(pod, "/metadata/namespace");
    let client = kubelet.client().ok_or("no API server")?;
    let found = client.get(&path("v1", plural, namespace, name))?;
    let is_optional = source["optional"] == true;
    let Some(found) = found else {
        return if is_optional {
            Ok(Vec::new())
        } else {
            Err(format!("{} \"{name}\" not found", plural.trim_end_matches('s')))
        };
    };
    let mode = |value: &Value, default: u32| {
        value.as_u64().and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default)
    };
    let default = mode(&source["defaultMode"], 0o644);
    let bytes = |key: &str| -> Option<Vec<u8>> {
        let value = found["data"].get(key).and_then(Value::as_str);
        let binary = found["binaryData"].get(key).and_then(Value::as_str);
        match (value, binary, plural) {
            (Some(value), _, "secrets") | (None, Some(value), _) => STANDARD.decode(value).ok(),
            (Some(value), ..) => Some(value.as_bytes().to_vec()),
            (None, None, _) => None,
        }
    };
    let items = list(source, "/items");
    if items.is_empty() {
        let keys = ["data", "binaryData"]
            .iter()
            .flat_map(|part| found[*part].as_object().into_iter().flatten().map(|(key, _)| key));
        return Ok(keys.filter_map(|key| Some((key.clone(), bytes(key)?, default))).collect());
    }
    let mut out = Vec::new();
    for item in items {
        let key = text(item, "/key");
        match bytes(key) {
            Some(bytes) => out.push((text(item, "/path").to_owned(), bytes, mode(&item["mode"], default))),
            None if is_optional => {}
            None => return Err(format!("{name:?} references non-existent key: {key}")),
        }
    }
    Ok(out)
}

fn projected(kubelet: &Kubelet, pod: &Value, source: &Value) -> Result<Entries, String> {
    if let Some(source) = source.get("configMap") {
        return object(kubelet, pod, "configmaps", text(source, "/name"), source);
    }
    if let Some(source) = source.get("secret") {
        return object(kubelet, pod, "secrets", text(source, "/name"), source);
    }
    if let Some(source) = source.get("downwardAPI") {
        return Ok(downward(kubelet, pod, list(source, "/items")));
    }
    let Some(token) = source.get("serviceAccountToken") else {
        return Err("a projected volume of an unknown kind".into());
    };
    let client = kubelet.client().ok_or("no API server")?;
    let (namespace, account) = (text(pod, "/metadata/namespace"), text(pod, "/spec/serviceAccountName"));
    let mut spec = json!({"expirationSeconds": token.get("expirationSeconds").cloned().unwrap_or(3600.into()),
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}});
    if let Some(audience) = token.get("audience") {
        spec["audiences"] = json!([audience]);
    }
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec});
    let answer =
        client.create(&format!("{}/token", path("v1", "serviceaccounts", namespace, account)), &request)?;
    Ok(vec![(text(token, "/path").to_owned(), text(&answer, "/status/token").as_bytes().to_vec(), 0o644)])
}

fn downward(kubelet: &Kubelet, pod: &Value, items: &[Value]) -> Entries {
    items
        .iter()
        .map(|item| {
            let value = field(kubelet, pod, text(item, "/fieldRef/fieldPath"), "");
            (text(item, "/path").to_owned(), value.into_bytes(), 0o644)
        })
        .collect()
}

/// A field of a pod as its containers are told it.
pub(super) fn field(kubelet: &Kubelet, pod: &Value, path: &str, ip: &str) -> String {
    let entry = |of: &str| {
        let key = path.split(['[', ']']).nth(1).unwrap_or_default().trim_matches('\'');
        pod["metadata"][of].get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    match path {
        "spec.nodeName" => kubelet.name.clone(),
        "status.hostIP" => kubelet.ip.clone(),
        "status.podIP" | "status.podIPs" => ip.to_owned(),
        path if path.starts_with("metadata.labels[") => entry("labels"),
        path if path.starts_with("metadata.annotations[") => entry("annotations"),
        path => text(pod, &format!("/{}", path.replace('.', "/"))).to_owned(),
    }
}
