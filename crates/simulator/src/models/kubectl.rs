//! `kubectl`, as far as steps use it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_node::{Host as _, HostError, HttpIdentity, HttpRequest, HttpResponse, Output, Spawn};
use serde_json::Value;

use super::documents::{self, Kubeconfig};
use super::store::words;
use super::{failed, ok};
use crate::SimHost;
use crate::host::text;

#[derive(Default)]
struct Asked {
    words: Vec<String>,
    kubeconfig: String,
    server: Option<String>,
    namespace: Option<String>,
    files: Vec<String>,
    raw: Option<String>,
    is_server_side: bool,
    force: bool,
    manager: Option<String>,
    passes_over_missing: bool,
}

fn parse(words: &[&str]) -> Result<Asked, String> {
    let (mut out, mut at) = (Asked::default(), words.iter());
    while let Some(word) = at.next() {
        let (flag, given) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => (flag, Some(value.to_owned())),
            _ => (*word, None),
        };
        let mut value = || {
            let next = given.clone().or_else(|| at.next().map(|value| (*value).to_owned()));
            next.ok_or(format!("error: flag needs an argument: {flag}"))
        };
        match flag {
            "--kubeconfig" => out.kubeconfig = value()?,
            "--server" => out.server = Some(value()?),
            "--namespace" => out.namespace = Some(value()?),
            "--filename" => out.files.push(value()?),
            "--raw" => out.raw = Some(value()?),
            "--field-manager" => out.manager = Some(value()?),
            "--tls-server-name" | "--request-timeout" => drop(value()?),
            "--server-side" => out.is_server_side = true,
            "--force-conflicts" => out.force = true,
            "--ignore-not-found" => out.passes_over_missing = true,
            flag if flag.starts_with('-') => return Err(format!("error: unknown flag: {flag}")),
            word => out.words.push(word.to_owned()),
        }
    }
    Ok(out)
}

/// Who asks an API server, and where it is.
struct Server<'a> {
    host: &'a SimHost,
    url: String,
    identity: HttpIdentity,
}

impl Server<'_> {
    fn ask(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<String>,
    ) -> Result<HttpResponse, HostError> {
        self.host.http(&HttpRequest {
            method,
            url: &format!("{}{path}", self.url),
            content_type,
            body: body.map(String::into_bytes),
            identity: &self.identity,
            timeout: Duration::from_mins(1),
        })
    }
}

/// What an API server says, or its words about why not.
fn told(answer: Result<HttpResponse, HostError>) -> Result<(u16, String), Result<Output, HostError>> {
    match answer {
        Ok(answer) => {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            Ok((answer.status, body))
        }
        Err(HostError::Gone) => Err(Err(HostError::Gone)),
        Err(error) => Err(failed(format!("The connection to the server was refused: {error}"))),
    }
}

/// `kubectl`.
pub(super) fn kubectl(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(60_000)?);
    let asked = match parse(words) {
        Ok(asked) => asked,
        Err(why) => return failed(why),
    };
    let words: Vec<&str> = asked.words.iter().map(String::as_str).collect();
    if let ["completion", "bash"] = words.as_slice() {
        return ok("# bash completion for kubectl\n");
    }
    let Some(found) = text(&host.inner.borrow(), &asked.kubeconfig) else {
        return failed(format!("error: stat {}: no such file or directory", asked.kubeconfig));
    };
    let kubeconfig = match Kubeconfig::read(&found) {
        Ok(kubeconfig) => kubeconfig,
        Err(why) => return failed(format!("error: error loading config file: {why}")),
    };
    let plain = |text: &str| {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let identity = HttpIdentity {
        authorities: plain(&kubeconfig.authority),
        certificate: Some(plain(&kubeconfig.certificate)),
        key: Some(plain(&kubeconfig.key)),
        ..HttpIdentity::default()
    };
    let server = Server { host, url: asked.server.clone().unwrap_or(kubeconfig.server), identity };
    match (words.as_slice(), &asked.raw) {
        (["get"], Some(path)) => match told(server.ask("GET", path, "", None)) {
            Ok((200, body)) => ok(body.trim_matches('"')),
            Ok((_, body)) => failed(format!("Error from server: {body}")),
            Err(result) => result,
        },
        (["delete", "rolebinding", name], _) => {
            let namespace = asked.namespace.as_deref().unwrap_or("default");
            let path =
                format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}");
            match told(server.ask("DELETE", &path, "application/json", Some("{}".into()))) {
                Ok((200, _)) => ok(format!("rolebinding.rbac.authorization.k8s.io \"{name}\" deleted\n")),
                Ok((404, _)) if asked.passes_over_missing => ok(""),
                Ok((_, body)) => failed(format!("Error from server: {body}")),
                Err(result) => result,
            }
        }
        (["apply"], _) if asked.is_server_side && !asked.files.is_empty() => apply(&server, &asked),
        (other, _) => failed(format!("error: unknown command {other:?}")),
    }
}

fn apply(server: &Server<'_>, asked: &Asked) -> Result<Output, HostError> {
    let mut out = String::new();
    for path in &asked.files {
        let Some(found) = text(&server.host.inner.borrow(), path) else {
            return failed(format!("error: the path \"{path}\" does not exist"));
        };
        let documents = match documents::read(&found) {
            Ok(documents) => documents,
            Err(why) => return failed(format!("error: error parsing {path}: {why}")),
        };
        for mut manifest in documents.into_iter().filter(|document| !document.is_null()) {
            let kind = words(&manifest, "/kind").to_owned();
            let (plural, inside) = match resource(server, &manifest) {
                Ok(found) => found,
                Err(result) => return result,
            };
            if inside && words(&manifest, "/metadata/namespace").is_empty() {
                let namespace = asked.namespace.clone().unwrap_or_else(|| "default".into());
                super::store::set(&mut manifest, &["metadata", "namespace"], namespace.into());
            }
            let version = words(&manifest, "/apiVersion");
            let root = if version.contains('/') { "apis" } else { "api" };
            let place = if inside {
                format!("namespaces/{}/", words(&manifest, "/metadata/namespace"))
            } else {
                String::new()
            };
            let name = words(&manifest, "/metadata/name");
            let manager = asked.manager.as_deref().unwrap_or("kubectl");
            let url = format!(
                "/{root}/{version}/{place}{plural}/{name}?fieldManager={manager}&force={}&fieldValidation=Strict",
                asked.force
            );
            let body = Some(manifest.to_string());
            match told(server.ask("PATCH", &url, "application/apply-patch+yaml", body)) {
                Ok((200 | 201, _)) => out.extend([&kind, "/", name, " serverside-applied\n"]),
                Ok((_, body)) => return failed(format!("Error from server: {body}")),
                Err(result) => return result,
            }
        }
    }
    ok(out)
}

/// The name of a kind in URLs, and whether it is in namespaces.
fn resource(server: &Server<'_>, manifest: &Value) -> Result<(String, bool), Result<Output, HostError>> {
    let (version, kind) = (words(manifest, "/apiVersion"), words(manifest, "/kind"));
    let root = if version.contains('/') { "apis" } else { "api" };
    let (_, body) = told(server.ask("GET", &format!("/{root}/{version}"), "", None))?;
    let list: Value = serde_json::from_str(&body).unwrap_or_default();
    let kinds = list.get("resources").and_then(Value::as_array).cloned().unwrap_or_default();
    let found = kinds.iter().find(|found| words(found, "/kind") == kind).map(|found| {
        let inside = found.get("namespaced").and_then(Value::as_bool).unwrap_or(false);
        (words(found, "/name").to_owned(), inside)
    });
    found.ok_or_else(|| {
        failed(format!(
            "error: resource mapping not found: no matches for kind \"{kind}\" in version \"{version}\""
        ))
    })
}
