//! Requests to an API server.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use kubespray_resource::{FIELD_MANAGER, ObjectRef};
use serde_json::{Value, json};

use super::error::{ApiError, Status};
use super::kubeconfig::{self, Access, AccessError};
use crate::{Host, HostError, HttpRequest, HttpResponse};

/// How long one request may take. API servers themselves give up after 60 s.
const REQUEST: Duration = Duration::from_secs(65);

/// The same for small questions that are asked again soon.
const PLAIN: Duration = Duration::from_secs(15);

/// Objects of a list that are asked for at once.
const PAGE: usize = 500;

/// Longer lists than so many pages are not read.
const MOST_PAGES: usize = 2000;

/// How often a request is sent again that a busy server refused.
const BUSY_TRIES: u32 = 3;

/// The longest pause between two of them, in seconds, whatever the server says.
const LONGEST_PAUSE_S: u64 = 5;

/// An API server, asked with a kubeconfig of the host.
pub(crate) struct Client<'h> {
    pub(crate) host: &'h dyn Host,
    access: Access,
    /// Kinds by group and version.
    kinds: RefCell<BTreeMap<String, Rc<Vec<Kind>>>>,
    /// Why it did not answer, where one attempt is enough.
    down: Option<RefCell<Option<HostError>>>,
}

/// A kind as the API server serves it.
#[derive(Clone, Debug)]
struct Kind {
    kind: String,
    plural: String,
    namespaced: bool,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delete {
    /// Only the object with this id, not one of the same name that was made later.
    pub(crate) uid: Option<String>,
    /// How long a pod has to end, in seconds.
    pub(crate) grace_s: Option<u64>,
}

impl<'h> Client<'h> {
    /// Reads the kubeconfig; nothing is asked yet.
    pub(crate) fn open(host: &'h dyn Host, kubeconfig: &str) -> Result<Self, ApiError> {
        let access = kubeconfig::read(host, kubeconfig).map_err(|error| match error {
            AccessError::Host(error) => ApiError::Host(error),
            AccessError::Missing => ApiError::NoCluster(kubeconfig.to_owned()),
            AccessError::Bad(why) => ApiError::Kubeconfig { path: kubeconfig.to_owned(), why },
        })?;
        Ok(Self { host, access, kinds: RefCell::default(), down: None })
    }

    /// The same, but a server that does not answer once is not asked again: a look must end soon.
    pub(crate) fn open_for_look(host: &'h dyn Host, kubeconfig: &str) -> Result<Self, ApiError> {
        Ok(Self { down: Some(RefCell::default()), ..Self::open(host, kubeconfig)? })
    }

    /// The same at another API server of the cluster: `https://address:port`.
    pub(crate) fn at(mut self, server: &str) -> Self {
        server.clone_into(&mut self.access.server);
        self
    }

    /// The path of an object.
    pub(crate) fn path(&self, object: &ObjectRef) -> Result<String, ApiError> {
        let kind = self.kind(&object.api_version, &object.kind)?;
        match (&object.namespace, kind.namespaced) {
            (None, true) => Err(ApiError::Wish(format!("{object} names no namespace, which its kind needs"))),
            (Some(_), false) => {
                Err(ApiError::Wish(format!("{object} names a namespace, which its kind has not")))
            }
            (namespace, _) => {
                let folder = folder(&object.api_version, &kind, namespace.as_deref());
                Ok(format!("{folder}/{}", escaped(&object.name)))
            }
        }
    }

    /// The path of all objects of a kind.
    pub(crate) fn collection(&self, api_version: &str, kind: &str) -> Result<String, ApiError> {
        Ok(folder(api_version, &self.kind(api_version, kind)?, None))
    }

    fn kind(&self, api_version: &str, kind: &str) -> Result<Kind, ApiError> {
        let unknown = || ApiError::NoKind { api_version: api_version.to_owned(), kind: kind.to_owned() };
        let known = self.kinds.borrow().get(api_version).cloned();
        let kinds = match known {
            Some(kinds) => kinds,
            None => {
                let asked = format!("list the kinds of `{api_version}`");
                let found = self.get(&asked, &root(api_version))?.ok_or_else(unknown)?;
                let kinds = Rc::new(kinds_of(&found));
                self.kinds.borrow_mut().insert(api_version.to_owned(), Rc::clone(&kinds));
                kinds
            }
        };
        kinds.iter().find(|found| found.kind == kind).cloned().ok_or_else(unknown)
    }

    /// An object; nothing where there is none.
    pub(crate) fn get(&self, asked: &str, path: &str) -> Result<Option<Value>, ApiError> {
        match self.ask(asked, "GET", path, "", None) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whatever a path of this API server, or of another one of the same cluster, answers: not only JSON.
    pub(crate) fn plain(&self, server: Option<&str>, path: &str) -> Result<HttpResponse, HostError> {
        let url = format!("{}{path}", server.unwrap_or(&self.access.server));
        self.host.http(&HttpRequest {
            method: "GET",
            url: &url,
            content_type: "",
            body: None,
            identity: &self.access.identity,
            timeout: PLAIN,
        })
    }

    /// All objects of a collection that a query such as `labelSelector=…` selects. A list that changed too much
    /// while it was read is read once more.
    pub(crate) fn list(
        &self,
        asked: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, ApiError> {
        match self.pages(asked, path, query) {
            Err(error) if error.code() == Some(410) => self.pages(asked, path, query),
            other => other,
        }
    }

    fn pages(&self, asked: &str, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, ApiError> {
        let mut out = Vec::new();
        let mut from = String::new();
        for _ in 0..MOST_PAGES {
            let mut url = format!("{path}?limit={PAGE}");
            for (key, value) in query.iter().copied().chain([("continue", from.as_str())]) {
                if !value.is_empty() {
                    url.extend(["&", key, "=", &escaped(value)]);
                }
            }
            let mut page = self.ask(asked, "GET", &url, "", None)?;
            if let Some(Value::Array(items)) = page.get_mut("items") {
                out.append(items);
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(next) if !next.is_empty() => next.clone_into(&mut from),
                _ => return Ok(out),
            }
        }
        Err(ApiError::Garbage(format!("{asked}: the list does not end")))
    }

    /// Server-side apply: the object as it is afterwards, or would be. Unknown fields are refused.
    pub(crate) fn apply(
        &self,
        asked: &str,
        path: &str,
        manifest: &Value,
        force: bool,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        let url =
            format!("{path}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict&force={force}{dry_run}");
        self.ask(asked, "PATCH", &url, "application/apply-patch+yaml", Some(manifest))
    }

    /// Changes some fields of an object. With `metadata.resourceVersion` in the patch it fails where others
    /// changed the object meanwhile.
    pub(crate) fn merge(&self, asked: &str, path: &str, patch: &Value) -> Result<Value, ApiError> {
        let url = format!("{path}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict");
        self.ask(asked, "PATCH", &url, "application/merge-patch+json", Some(patch))
    }

    /// Deletes an object with what depends on it, in the background; `false` where there is none, or another of
    /// the same name.
    pub(crate) fn delete(&self, asked: &str, path: &str, how: &Delete) -> Result<bool, ApiError> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let (Some(uid), Some(map)) = (&how.uid, options.as_object_mut()) {
            map.insert("preconditions".into(), json!({ "uid": uid }));
        }
        if let (Some(grace), Some(map)) = (how.grace_s, options.as_object_mut()) {
            map.insert("gracePeriodSeconds".into(), grace.into());
        }
        match self.ask(asked, "DELETE", path, "application/json", Some(&options)) {
            Ok(_) => Ok(true),
            // A conflict is that of the precondition.
            Err(error) if [Some(404), Some(409)].contains(&error.code()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Evicts a pod, or asks whether it could be. Budgets refuse with 429, which is not tried again here.
    pub(crate) fn evict(
        &self,
        namespace: &str,
        name: &str,
        how: &Delete,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        let mut options = serde_json::Map::new();
        if let Some(grace) = how.grace_s {
            options.insert("gracePeriodSeconds".into(), grace.into());
        }
        if let Some(uid) = &how.uid {
            options.insert("preconditions".into(), json!({ "uid": uid }));
        }
        if dry_run {
            options.insert("dryRun".into(), json!(["All"]));
        }
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": options,
        });
        let query = if dry_run { "?dryRun=All" } else { "" };
        let path =
            format!("/api/v1/namespaces/{}/pods/{}/eviction{query}", escaped(namespace), escaped(name));
        let asked = format!("evict Pod {namespace}/{name}");
        self.once(&asked, "POST", &path, "application/json", Some(&eviction)).map(drop)
    }

    /// One request, tried again a few times where the server is busy.
    fn ask(
        &self,
        asked: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        for _ in 1..BUSY_TRIES {
            match self.once(asked, method, path, content_type, body) {
                Err(ApiError::Refused(status)) if status.code == 429 => {
                    let pause = status.retry_after_s.unwrap_or(1).min(LONGEST_PAUSE_S);
                    self.host.sleep(Duration::from_secs(pause))?;
                }
                other => return other,
            }
        }
        self.once(asked, method, path, content_type, body)
    }

    fn once(
        &self,
        asked: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        if let Some(error) = self.down.as_ref().and_then(|down| down.borrow().clone()) {
            return Err(error.into());
        }
        let url = format!("{}{path}", self.access.server);
        let response = self.host.http(&HttpRequest {
            method,
            url: &url,
            content_type,
            body: body.map(|body| body.to_string().into_bytes()),
            identity: &self.access.identity,
            timeout: REQUEST,
        });
        let response = response.inspect_err(|error| {
            if let (Some(down), HostError::Unreachable { .. } | HostError::Timeout { .. }) =
                (&self.down, error)
            {
                *down.borrow_mut() = Some(error.clone());
            }
        })?;
        read(asked, &response).map_err(|error| self.with_expiry(error))
    }

    /// API servers do not tell that a certificate has expired; we can.
    fn with_expiry(&self, mut error: ApiError) -> ApiError {
        if let (ApiError::Refused(status), Some(pem)) = (&mut error, &self.access.identity.certificate)
            && status.code == 401
        {
            status.expired = super::expiry::expired(pem, self.host.now_ms());
        }
        error
    }
}

fn folder(api_version: &str, kind: &Kind, namespace: Option<&str>) -> String {
    let root = root(api_version);
    match namespace {
        Some(namespace) => format!("{root}/namespaces/{}/{}", escaped(namespace), kind.plural),
        None => format!("{root}/{}", kind.plural),
    }
}

fn read(asked: &str, response: &HttpResponse) -> Result<Value, ApiError> {
    if !(200..300).contains(&response.status) {
        return Err(ApiError::Refused(Box::new(Status::read(asked, response))));
    }
    serde_json::from_slice(&response.body)
        .map_err(|_| ApiError::Garbage(format!("{asked}: the API server does not answer in JSON")))
}

/// Where a group and version is served; the core has no group.
fn root(api_version: &str) -> String {
    match api_version.split_once('/') {
        None => format!("/api/{}", escaped(api_version)),
        Some((group, version)) => format!("/apis/{}/{}", escaped(group), escaped(version)),
    }
}

fn kinds_of(list: &Value) -> Vec<Kind> {
    let resources = list.get("resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    resources
        .iter()
        .filter_map(|resource| {
            let plural = resource.get("name")?.as_str()?;
            // `deployments/scale` and the like are parts of objects.
            (!plural.contains('/')).then_some(Kind {
                kind: resource.get("kind")?.as_str()?.to_owned(),
                plural: plural.to_owned(),
                namespaced: resource.get("namespaced")?.as_bool()?,
            })
        })
        .collect()
}

/// A text in a path or query. Colons stay: names of roles have them.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
    out
}
