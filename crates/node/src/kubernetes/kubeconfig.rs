//! Kubeconfigs, as far as kubeadm and people write them for clusters like ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::flat_yaml;
use crate::{Host, HttpIdentity, paths};

/// Where an API server is and who asks it.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `https://address:port`, without a slash at its end.
    pub(crate) server: String,
    /// Who asks.
    pub(crate) identity: HttpIdentity,
}

/// Why there is no access.
#[derive(Debug)]
pub(crate) enum AccessError {
    /// The host could not be asked.
    Host(crate::HostError),
    /// There is no such file.
    Missing,
    /// It is not understood.
    Bad(String),
}

impl From<crate::HostError> for AccessError {
    fn from(error: crate::HostError) -> Self {
        Self::Host(error)
    }
}

/// Entries that would change who asks, or how, and that we do not know how to honour.
const UNKNOWN_USER: [&str; 6] = ["exec", "auth-provider", "username", "password", "tokenFile", "as"];
const UNKNOWN_CLUSTER: [&str; 2] = ["proxy-url", "tls-server-name"];

/// Reads a kubeconfig and the files that it names.
pub(crate) fn read(host: &dyn Host, path: &str) -> Result<Access, AccessError> {
    let bytes = host.read(path)?.ok_or(AccessError::Missing)?;
    let text = String::from_utf8(bytes).map_err(|_| AccessError::Bad("it is no text".into()))?;
    let config = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text)
            .map_err(|error| AccessError::Bad(format!("line {}: no JSON", error.line())))?
    } else {
        flat_yaml::parse(&text).map_err(AccessError::Bad)?
    };
    let bad = |why: &str| AccessError::Bad(why.to_owned());
    let context_name =
        text_of(&config, "current-context").ok_or_else(|| bad("it has no `current-context`"))?;
    let context = named(&config, "contexts", "context", &context_name)?;
    let name = |key: &str| {
        text_of(context, key).ok_or_else(|| bad(&format!("the context `{context_name}` names no {key}")))
    };
    let cluster = named(&config, "clusters", "cluster", &name("cluster")?)?;
    let user = named(&config, "users", "user", &name("user")?)?;
    for (entry, unknown) in [(cluster, &UNKNOWN_CLUSTER[..]), (user, &UNKNOWN_USER[..])] {
        if let Some(key) = unknown.iter().find(|key| entry.get(**key).is_some()) {
            return Err(bad(&format!("`{key}` is not supported")));
        }
    }
    let server = text_of(cluster, "server").ok_or_else(|| bad("its cluster has no `server`"))?;
    if !server.starts_with("https://") && !server.starts_with("http://") {
        return Err(bad("its `server` is no URL"));
    }
    let pem = |entry: &Value, key: &str| inline_or_file(host, path, entry, key);
    Ok(Access {
        server: server.trim_end_matches('/').to_owned(),
        identity: HttpIdentity {
            authorities: pem(cluster, "certificate-authority")?.unwrap_or_default(),
            certificate: pem(user, "client-certificate")?,
            key: pem(user, "client-key")?,
            token: text_of(user, "token"),
            insecure: text_of(cluster, "insecure-skip-tls-verify").as_deref() == Some("true"),
        },
    })
}

/// `KEY-data` in base64, or the file that `KEY` names.
fn inline_or_file(
    host: &dyn Host,
    kubeconfig: &str,
    entry: &Value,
    key: &str,
) -> Result<Option<String>, AccessError> {
    let bytes = if let Some(data) = text_of(entry, &format!("{key}-data")) {
        STANDARD.decode(data).map_err(|_| AccessError::Bad(format!("`{key}-data` is no base64")))?
    } else if let Some(file) = text_of(entry, key) {
        let file = if file.starts_with('/') { file } else { format!("{}/{file}", paths::parent(kubeconfig)) };
        host.read(&file)?
            .ok_or_else(|| AccessError::Bad(format!("`{file}`, which it names, is not there")))?
    } else {
        return Ok(None);
    };
    String::from_utf8(bytes).map(Some).map_err(|_| AccessError::Bad(format!("`{key}` is no PEM")))
}

fn named<'c>(config: &'c Value, list: &str, entry: &str, name: &str) -> Result<&'c Value, AccessError> {
    let items = config.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .find(|item| text_of(item, "name").as_deref() == Some(name))
        .and_then(|item| item.get(entry))
        .ok_or_else(|| AccessError::Bad(format!("it has no {entry} `{name}`")))
}

/// A text that is not empty; JSON may have `true` where our reader has texts only.
fn text_of(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}
