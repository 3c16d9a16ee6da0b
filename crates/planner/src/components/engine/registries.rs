//! Registries that containerd asks: mirrors and credentials (CRI-037, CRI-059, CRI-062, `hosts.toml`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::{Content, File, Mode, Secrets};
use kubespray_spec::engine::Containerd;
use kubespray_spec::parts::{MirrorHost, RegistryMirror};
use kubespray_spec::{HostSpec, JsonMap};
use serde_json::{Map, Value, json};

use super::super::{Chain, directory, file, in_name, toml};

/// Values of headers that are shorter hold no secret, and would be found in innocent texts.
const SHORTEST_SECRET: usize = 8;

/// The secrets that files of the engine name, with their values as they stand in these files.
pub(crate) fn secrets(host: &HostSpec, secrets: &mut Secrets) {
    let Some(containerd) = &host.settings.containerd else { return };
    for (registry, credentials) in credentials(containerd) {
        secrets.insert(credentials_name(&host.name, registry), credentials);
    }
    for registry in &containerd.containerd_registries_mirrors {
        for (at, mirror) in registry.mirrors.iter().enumerate() {
            for header in headers(&host.name, registry, at, mirror) {
                if header.is_secret {
                    secrets.insert(header.secret, header.value);
                }
            }
        }
    }
}

fn credentials_name(host: &str, registry: &str) -> String {
    format!("{host}/containerd_registry_auth/{registry}")
}

/// Registries with what opens them: user and password in base64, as they go over the wire. A registry that is named
/// twice keeps the last ones.
fn credentials(containerd: &Containerd) -> Vec<(&str, String)> {
    let entries = containerd.containerd_registry_auth.expose();
    let entry = |entry: &'_ Value| -> Option<(String, String)> {
        let text = |key: &str| entry.get(key).and_then(scalar);
        let both = || Some(STANDARD.encode(format!("{}:{}", text("username")?, text("password")?)));
        Some((text("registry")?, both().or_else(|| text("auth"))?))
    };
    let named = entries.iter().filter_map(|value| {
        let registry = value.get("registry").and_then(Value::as_str)?;
        Some((registry, entry(value)?.1))
    });
    named.collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `registry.configs` of the engine: credentials by registry, as names of secrets. Versions from 2.0 on still read
/// them, though Kubespray does not write them there (CRI-062).
pub(super) fn credentials_table(host: &str, containerd: &Containerd) -> Map<String, Value> {
    let names = credentials(containerd).into_iter().map(|(registry, _)| {
        let secret = format!("{{secret:{}}}", credentials_name(host, registry));
        (registry.to_owned(), json!({"auth": {"auth": secret}}))
    });
    names.collect()
}

/// A value of a header of requests to a mirror.
struct Header {
    name: String,
    /// As it stands between quotes.
    value: String,
    secret: String,
    is_secret: bool,
}

fn headers(host: &str, registry: &RegistryMirror, at: usize, mirror: &MirrorHost) -> Vec<Header> {
    let empty = JsonMap::default();
    let map = mirror.header.as_ref().map_or(&empty, |header| header.expose());
    let mut out = Vec::new();
    for (name, value) in map {
        for (number, value) in texts(value).into_iter().enumerate() {
            let prefix = &registry.prefix;
            let secret = format!("{host}/containerd_registries_mirrors/{prefix}/{at}/{name}/{number}");
            let is_secret = value.len() >= SHORTEST_SECRET;
            out.push(Header { name: name.clone(), value: toml::escaped(&value), secret, is_secret });
        }
    }
    out
}

/// A text, or a list of texts, as a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar).collect(),
        other => scalar(other).into_iter().collect(),
    }
}

/// CRI-037: read when images are pulled, so nothing restarts.
pub(super) fn wish(chain: &mut Chain<'_>, containerd: &Containerd) {
    let host = chain.host;
    let folder = format!("{}/certs.d", containerd.containerd_cfg_dir);
    chain.add("certs-d", directory(&folder, Mode::EXECUTABLE));
    for registry in &containerd.containerd_registries_mirrors {
        let prefix = &registry.prefix;
        if prefix.is_empty() || prefix.contains('/') || prefix.starts_with('.') {
            chain.refuse(
                format!("`{prefix}` in `containerd_registries_mirrors` is no registry"),
                "write its host, and its port where it has one, without a scheme or a path",
            );
            continue;
        }
        let name = in_name(prefix);
        chain.add(
            format!("registry-folder-{name}"),
            directory(format!("{folder}/{prefix}"), Mode::EXECUTABLE),
        );
        let (text, has_secrets) = hosts_toml(&host.spec.name, registry);
        let content = if has_secrets { Content::Secret(text) } else { Content::Text(text) };
        let file = file(format!("{folder}/{prefix}/hosts.toml"), "");
        chain.add(format!("registry-{name}"), File { content, mode: Mode(0o640), ..file });
    }
}

/// The text of `hosts.toml`, and whether it names secrets.
fn hosts_toml(host: &str, registry: &RegistryMirror) -> (String, bool) {
    let server = registry.server.clone().unwrap_or_else(|| format!("https://{}", registry.prefix));
    let mut mirrors = Map::new();
    let mut has_secrets = false;
    for (at, mirror) in registry.mirrors.iter().enumerate() {
        let mut table = Map::new();
        table.insert("capabilities".into(), json!(texts(&mirror.capabilities)));
        // Where anything of TLS is said, containerd speaks TLS first, to plain HTTP too.
        if !mirror.host.starts_with("http://") {
            table.insert("skip_verify".into(), mirror.skip_verify.into());
        }
        table.insert("override_path".into(), mirror.override_path.unwrap_or(false).into());
        if let Some(ca) = &mirror.ca {
            table.insert("ca".into(), json!(texts(ca)));
        }
        if let Some(client) = &mirror.client {
            table.insert("client".into(), client.clone());
        }
        let mut by_name: Map<String, Value> = Map::new();
        for header in headers(host, registry, at, mirror) {
            has_secrets |= header.is_secret;
            let value = if header.is_secret {
                json!(format!("{{secret:{}}}", header.secret))
            } else {
                json!(header.value)
            };
            let values = by_name.entry(header.name).or_insert_with(|| json!([]));
            if let Some(values) = values.as_array_mut() {
                values.push(value);
            }
        }
        if !by_name.is_empty() {
            table.insert("header".into(), by_name.into());
        }
        mirrors.insert(mirror.host.clone(), table.into());
    }
    let mut document = Map::new();
    document.insert("server".into(), server.into());
    document.insert("host".into(), mirrors.into());
    (toml::document(&document), has_secrets)
}
