//! Kubeconfigs, read strictly and written as kubeadm writes them.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::net::tls::Identity;
use crate::{files, yaml};

/// Where an API server is and who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) server: String,
    pub(crate) identity: Identity,
    pub(crate) token: Option<String>,
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn named<'c>(config: &'c Value, list: &str, entry: &str, name: &str) -> Option<&'c Value> {
    let items = config.get(list).and_then(Value::as_array)?;
    items.iter().find(|item| text(item, "name") == Some(name))?.get(entry)
}

fn bytes(entry: Option<&Value>, key: &str, folder: &Path) -> Result<Option<Vec<u8>>, String> {
    let Some(entry) = entry else { return Ok(None) };
    if let Some(data) = text(entry, &format!("{key}-data")) {
        return STANDARD.decode(data).map(Some).map_err(|_| format!("{key}-data is no base64"));
    }
    let Some(path) = text(entry, key) else { return Ok(None) };
    let path = folder.join(path);
    fs::read(&path).map(Some).map_err(|error| format!("unable to read {key} {}: {error}", path.display()))
}

/// Reads a kubeconfig; its context may have no user.
pub(crate) fn read(path: &str) -> Result<Access, String> {
    let told = |error: String| format!("{path}: {error}");
    let content = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    parse(&content, Path::new(path).parent().unwrap_or(Path::new("/"))).map_err(told)
}

pub(crate) fn parse(content: &str, folder: &Path) -> Result<Access, String> {
    let config = yaml::read(content)?;
    if text(&config, "kind") != Some("Config") || text(&config, "apiVersion") != Some("v1") {
        return Err("no kubeconfig".into());
    }
    const KNOWN: [&str; 8] = [
        "apiVersion",
        "kind",
        "clusters",
        "contexts",
        "current-context",
        "users",
        "preferences",
        "extensions",
    ];
    if let Some(key) = config
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key)
        .find(|key| !KNOWN.contains(&key.as_str()))
    {
        return Err(format!("unknown field \"{key}\""));
    }
    let current = text(&config, "current-context").ok_or("no current-context")?;
    let context =
        named(&config, "contexts", "context", current).ok_or_else(|| format!("no context {current}"))?;
    let cluster = text(context, "cluster").and_then(|name| named(&config, "clusters", "cluster", name));
    let cluster = cluster.ok_or_else(|| format!("the context {current} names no cluster"))?;
    let user = text(context, "user").and_then(|name| named(&config, "users", "user", name));
    let pair = match (bytes(user, "client-certificate", folder)?, bytes(user, "client-key", folder)?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("a certificate without a key, or the other way round".into()),
    };
    let token =
        match (user.and_then(|user| text(user, "token")), user.and_then(|user| text(user, "tokenFile"))) {
            (Some(token), _) => Some(token.to_owned()),
            (None, Some(file)) => {
                Some(fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?.trim().to_owned())
            }
            (None, None) => None,
        };
    let authority = bytes(Some(cluster), "certificate-authority", folder)?;
    if authority.is_none() && cluster["insecure-skip-tls-verify"] != true {
        return Err("no certificate authority".into());
    }
    let server = text(cluster, "server").ok_or("no server")?.trim_end_matches('/').to_owned();
    Ok(Access { server, identity: Identity { authority, pair }, token })
}

/// Who is written into a kubeconfig.
pub(crate) enum User<'a> {
    /// Certificate and key in PEM.
    Pair(&'a str, &'a str),
    /// A file with both.
    File(&'a str),
    Token(&'a str),
}

/// A kubeconfig in kubeadm's form.
pub(crate) fn document(cluster: &str, server: &str, authority: &str, user: &str, who: &User<'_>) -> String {
    let who = match who {
        User::Pair(certificate, key) => {
            json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)})
        }
        User::File(path) => json!({"client-certificate": path, "client-key": path}),
        User::Token(token) => json!({"token": token}),
    };
    let context = format!("{user}@{cluster}");
    yaml::write_sorted(&json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {},
        "clusters": [{"name": cluster, "cluster": {"certificate-authority-data": STANDARD.encode(authority), "server": server}}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
        "current-context": context,
        "users": [{"name": user, "user": who}],
    }))
}

/// Writes one for root alone.
pub(crate) fn write(path: impl Into<PathBuf>, text: &str) -> Result<(), String> {
    files::write(&path.into(), text.as_bytes(), 0o600)
}
