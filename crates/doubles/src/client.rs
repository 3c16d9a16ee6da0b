//! A client of API servers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kubeconfig::{self, Access};
use crate::net::client::Http;
use crate::net::escaped;

const TIMEOUT: Duration = Duration::from_secs(30);

/// What did not work.
#[derive(Debug)]
pub(crate) struct ApiError {
    /// 0 where no server answered.
    pub(crate) code: u16,
    pub(crate) message: String,
}

impl From<ApiError> for String {
    fn from(error: ApiError) -> Self {
        error.message
    }
}

pub(crate) type Result<T> = std::result::Result<T, ApiError>;

/// Somebody who asks an API server.
pub(crate) struct Client {
    http: Http,
    token: Option<String>,
    agent: String,
}

/// The path of an object or, without a name, of a collection: `path("apps/v1", "deployments", "ns", "name")`.
pub(crate) fn path(api_version: &str, plural: &str, namespace: &str, name: &str) -> String {
    let mut out = if api_version.contains('/') {
        format!("/apis/{api_version}")
    } else {
        format!("/api/{api_version}")
    };
    if !namespace.is_empty() {
        out.extend(["/namespaces/", &escaped(namespace)]);
    }
    out.extend(["/", plural]);
    if !name.is_empty() {
        out.extend(["/", &escaped(name)]);
    }
    out
}

impl Client {
    pub(crate) fn new(access: &Access, agent: &str) -> std::result::Result<Self, String> {
        Self::with_name(access, agent, None)
    }

    /// Expects another name in the server's certificate.
    pub(crate) fn with_name(
        access: &Access,
        agent: &str,
        name: Option<&str>,
    ) -> std::result::Result<Self, String> {
        let http = Http::new(std::slice::from_ref(&access.server), &access.identity)?.named(name);
        Ok(Self { http, token: access.token.clone(), agent: agent.to_owned() })
    }

    pub(crate) fn open(kubeconfig: &str, agent: &str) -> std::result::Result<Self, String> {
        Self::new(&kubeconfig::read(kubeconfig)?, agent)
    }

    /// Asks and tells the body as it is.
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<&[u8]>,
    ) -> Result<(u16, Vec<u8>)> {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("User-Agent", self.agent.as_str())];
        if !kind.is_empty() {
            headers.push(("Content-Type", kind));
        }
        headers.extend(bearer.as_ref().map(|bearer| ("Authorization", bearer.as_str())));
        let response = self.http.request(method, path, &headers, body, TIMEOUT);
        let response = response.map_err(|message| ApiError { code: 0, message })?;
        Ok((response.status, response.body))
    }

    fn ask(&self, method: &str, path: &str, kind: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(|body| body.to_string().into_bytes());
        let (status, answer) = self.raw(method, path, kind, body.as_deref())?;
        let value: Value = serde_json::from_slice(&answer)
            .unwrap_or_else(|_| json!({"message": String::from_utf8_lossy(&answer).trim()}));
        if (200..300).contains(&status) {
            return Ok(value);
        }
        let message = value.get("message").and_then(Value::as_str).unwrap_or("the server gave no reason");
        Err(ApiError { code: status, message: message.to_owned() })
    }

    /// An object; nothing where there is none.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>> {
        match self.ask("GET", path, "", None) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All objects of a collection.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut answer = self.ask("GET", path, "", None)?;
        match answer.get_mut("items") {
            Some(Value::Array(items)) => Ok(std::mem::take(items)),
            _ => Err(ApiError { code: 0, message: format!("{path} is no list") }),
        }
    }

    pub(crate) fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.ask("POST", path, "application/json", Some(object))
    }

    pub(crate) fn update(&self, path: &str, object: &Value) -> Result<Value> {
        self.ask("PUT", path, "application/json", Some(object))
    }

    pub(crate) fn merge(&self, path: &str, patch: &Value) -> Result<Value> {
        self.ask("PATCH", path, "application/merge-patch+json", Some(patch))
    }

    /// Server-side apply with force.
    pub(crate) fn apply(&self, path: &str, object: &Value, manager: &str, force: bool) -> Result<Value> {
        let path = format!("{path}?fieldManager={}&force={force}&fieldValidation=Strict", escaped(manager));
        self.ask("PATCH", &path, "application/apply-patch+yaml", Some(object))
    }

    /// Deletes; `false` where there is none.
    pub(crate) fn delete(&self, path: &str, options: &Value) -> Result<bool> {
        match self.ask("DELETE", path, "application/json", Some(options)) {
            Ok(_) => Ok(true),
            Err(error) if error.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the object, or writes it over the one that is there.
    pub(crate) fn ensure(&self, api_version: &str, plural: &str, object: &Value) -> Result<()> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        match self.create(&path(api_version, plural, namespace, ""), object) {
            Err(error) if error.code == 409 => {
                self.update(&path(api_version, plural, namespace, name), object).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Makes the object where there is none.
    pub(crate) fn make(&self, api_version: &str, plural: &str, object: &Value) -> Result<()> {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        match self.create(&path(api_version, plural, namespace, ""), object) {
            Err(error) if error.code == 409 => Ok(()),
            other => other.map(drop),
        }
    }
}
