//! A strict double of an API server: TLS with client certificates, discovery, server-side apply with owners of
//! fields, lists in pages, deletion with finalizers, evictions with budgets. What no real one would be asked is a
//! violation, which fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};

use crate::fields::{self, Fields};

const SERVER: &[u8] = include_bytes!("../certificates/kubernetes/server.crt");
const KEY: &[u8] = include_bytes!("../certificates/kubernetes/server.key");
const ADMIN: &[u8] = include_bytes!("../certificates/kubernetes/admin.crt");

/// Group and version, kind, plural, whether it is in namespaces, and the fields it has beside its metadata.
const KINDS: [(&str, &str, &str, bool, &[&str]); 12] = [
    ("v1", "Namespace", "namespaces", false, &["spec"]),
    ("v1", "Node", "nodes", false, &["spec"]),
    ("v1", "Pod", "pods", true, &["spec"]),
    ("v1", "Service", "services", true, &["spec"]),
    ("v1", "ConfigMap", "configmaps", true, &["data", "binaryData", "immutable"]),
    ("v1", "Secret", "secrets", true, &["data", "stringData", "type", "immutable"]),
    ("apps/v1", "Deployment", "deployments", true, &["spec"]),
    ("certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", false, &["spec"]),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true, &["spec"]),
    ("storage.k8s.io/v1", "VolumeAttachment", "volumeattachments", false, &["spec"]),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false, &["spec"]),
    ("example.org/v1", "Thing", "things", true, &["spec"]),
];

type Key = (String, String, String, String);

#[derive(Default)]
pub struct Store {
    objects: BTreeMap<Key, Value>,
    version: u64,
    next_uid: u64,
    /// Kinds that are not served (their CRD is missing).
    pub unserved: BTreeSet<String>,
    /// Method and path of every request.
    pub requests: Vec<String>,
    pub violations: Vec<String>,
    /// Statuses that the next requests get, whatever they ask.
    pub answers: Vec<(u16, &'static str)>,
    /// So many changes by patch meet an object that others changed meanwhile.
    pub conflicts: u32,
    /// The next page that goes on is refused: the list changed too much.
    pub is_expired: bool,
    /// What is answered at a path, whoever asks: texts that are no objects.
    pub plain: BTreeMap<String, (u16, String)>,
    /// Connections are closed without an answer.
    pub is_down: bool,
    /// Objects of a page.
    pub page: usize,
    /// After so many lists a pod that is ending is gone.
    pub lists_until_gone: u32,
    /// After so many refused evictions budgets allow one.
    pub refusals_until_allowed: u32,
    ending: BTreeMap<Key, u32>,
}

pub struct ApiServer {
    pub url: String,
    store: Arc<Mutex<Store>>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.store().violations, [""; 0], "the API server double was asked what nobody asks");
        }
    }
}

impl ApiServer {
    pub fn start() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificate = CertificateDer::from_pem_slice(SERVER).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyClient(provider)))
            .with_single_cert(vec![certificate], PrivateKeyDer::from_pem_slice(KEY).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let store =
            Store { page: 500, lists_until_gone: 2, refusals_until_allowed: u32::MAX, ..Store::default() };
        let store = Arc::new(Mutex::new(store));
        let server = Self { url, store: Arc::clone(&store) };
        for name in ["default", "kube-system"] {
            server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, store) = (Arc::clone(&config), Arc::clone(&store));
                std::thread::spawn(move || serve(stream, config, &store));
            }
        });
        server
    }

    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object there as somebody else's.
    pub fn put(&self, object: Value) {
        let mut store = self.store();
        let key = key_of(&object);
        let manager = json!([{"manager": "someone", "operation": "Update", "apiVersion": object["apiVersion"],
            "fieldsV1": Fields::of(&object).to_json()}]);
        let mut object = object;
        object["metadata"]["managedFields"] = manager;
        store.save(key, object);
    }

    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = (api_version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        self.store().objects.get(&key).cloned()
    }

    /// Changes an object as `kubectl edit` does it.
    pub fn edit(&self, api_version: &str, kind: &str, namespace: &str, name: &str, patch: Value) {
        let key = (api_version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        let mut store = self.store();
        let live = store.objects[&key].clone();
        let next = fields::merge(&live, &patch, "kubectl-edit");
        store.save(key, next);
    }

    pub fn remove(&self, api_version: &str, kind: &str, namespace: &str, name: &str) {
        let key = (api_version.to_owned(), kind.to_owned(), namespace.to_owned(), name.to_owned());
        self.store().objects.remove(&key);
    }

    pub fn shared(&self) -> Arc<Mutex<Store>> {
        Arc::clone(&self.store)
    }

    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.store().requests)
    }
}

/// Takes every client certificate, as real ones do: who it is, is asked later.
#[derive(Debug)]
struct AnyClient(Arc<rustls::crypto::CryptoProvider>);

impl rustls::server::danger::ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &[]
    }
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, rustls::Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    content_type: String,
    token: String,
    body: Vec<u8>,
}

type Answer = (u16, Value);

fn serve(stream: TcpStream, config: Arc<rustls::ServerConfig>, store: &Mutex<Store>) {
    let connection = rustls::ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
    while let Some(asked) = read(&mut stream) {
        let is_admin = stream.get_ref().conn.peer_certificates().is_some_and(|certificates| {
            certificates.first() == Some(&CertificateDer::from_pem_slice(ADMIN).unwrap())
        });
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.is_down {
            return;
        }
        let line = format!("{} {}", asked.method, asked.path);
        store.requests.push(line.clone());
        let (status, body) = if !is_admin && asked.token != "Bearer good-token" {
            status(401, "Unauthorized", "Unauthorized", json!([]))
        } else if let Some((status, text)) = store.plain.get(&asked.path).filter(|_| asked.method == "GET") {
            (*status, Value::String(text.clone()))
        } else if store.answers.is_empty() {
            store.answer(&asked).unwrap_or_else(|problem| {
                store.violations.push(format!("{line}: {problem}"));
                status(400, "BadRequest", &problem, json!([]))
            })
        } else {
            let (code, message) = store.answers.remove(0);
            status(code, "Scripted", message, json!([]))
        };
        drop(store);
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let retry = if status == 429 { "Retry-After: 1\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{retry}Content-Length: {}\r\n\r\n",
            text.len()
        );
        let out = stream.get_mut();
        if out.write_all((head + &text).as_bytes()).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn read(stream: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, url) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(key, value)| (key.to_owned(), unescaped(value))).collect();
    let mut asked = Asked {
        method,
        path: unescaped(path),
        query,
        content_type: String::new(),
        token: String::new(),
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-type" => asked.content_type = value.trim().to_owned(),
            "authorization" => asked.token = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits: String = bytes.by_ref().take(2).map(char::from).collect();
            out.push(u8::from_str_radix(&digits, 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}

fn status(code: u16, reason: &str, message: &str, causes: Value) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": {"causes": causes}});
    (code, body)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn key_of(object: &Value) -> Key {
    let get = |pointer| text(object, pointer).to_owned();
    (get("/apiVersion"), get("/kind"), get("/metadata/namespace"), get("/metadata/name"))
}

impl Store {
    fn save(&mut self, key: Key, mut object: Value) -> Value {
        let is_new = !self.objects.contains_key(&key);
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = self.version.to_string().into();
        if is_new {
            self.next_uid += 1;
            metadata["uid"] = format!("uid-{}", self.next_uid).into();
            metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        self.objects.insert(key, object.clone());
        object
    }

    /// An error is something that nobody should ask.
    fn answer(&mut self, asked: &Asked) -> Result<Answer, String> {
        let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
        let (api_version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return Err("no such path".into()),
        };
        let served: Vec<_> = KINDS
            .iter()
            .filter(|(found, kind, ..)| *found == api_version && !self.unserved.contains(*kind))
            .collect();
        let no_group =
            || status(404, "NotFound", "the server could not find the requested resource", json!([]));
        if rest.is_empty() {
            self.allow(asked, "GET", &[], "")?;
            if served.is_empty() {
                return Ok(no_group());
            }
            let mut resources: Vec<Value> = served
                .iter()
                .map(|(_, kind, plural, namespaced, _)| {
                    json!({"name": plural, "kind": kind, "namespaced": namespaced})
                })
                .collect();
            resources.push(json!({"name": "pods/eviction", "kind": "Eviction", "namespaced": true}));
            return Ok((200, json!({"kind": "APIResourceList", "resources": resources})));
        }
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, rest) = rest.split_first().ok_or("no such path")?;
        let Some((_, kind, _, namespaced, known)) = served.iter().find(|(_, _, found, ..)| found == plural)
        else {
            return Ok(no_group());
        };
        let key =
            |name: &str| (api_version.clone(), (*kind).to_owned(), namespace.to_owned(), name.to_owned());
        match (asked.method.as_str(), rest) {
            ("GET", []) => self.list(asked, &api_version, kind),
            (_, [_]) if *namespaced && namespace.is_empty() => Err("an object without its namespace".into()),
            ("GET", [name]) => {
                self.allow(asked, "GET", &[], "")?;
                let found = self.objects.get(&key(name)).cloned();
                // A definition is served at the second look after it was made.
                if *kind == "CustomResourceDefinition" && found.is_some() {
                    let status = json!({"conditions": [{"type": "Established", "status": "True"}]});
                    self.objects.get_mut(&key(name)).unwrap()["status"] = status;
                    self.unserved.remove("Thing");
                }
                Ok(found.map_or_else(|| missing(kind, name), |object| (200, object)))
            }
            ("PATCH", [name]) if asked.content_type == "application/apply-patch+yaml" => {
                self.apply(asked, key(name), known)
            }
            ("PATCH", [name]) => self.merge(asked, key(name)),
            ("DELETE", [name]) => self.delete(asked, &key(name)),
            ("POST", [name, "eviction"]) if *kind == "Pod" => self.evict(asked, &key(name)),
            _ => Err("no such method".into()),
        }
    }

    fn allow(&self, asked: &Asked, method: &str, query: &[&str], content_type: &str) -> Result<(), String> {
        if asked.method != method {
            return Err(format!("{} in place of {method}", asked.method));
        }
        if let Some(key) = asked.query.keys().find(|key| !query.contains(&key.as_str())) {
            return Err(format!("query `{key}`"));
        }
        if asked.content_type != content_type {
            return Err(format!("content type `{}`", asked.content_type));
        }
        Ok(())
    }

    fn list(&mut self, asked: &Asked, api_version: &str, kind: &str) -> Result<Answer, String> {
        self.allow(asked, "GET", &["limit", "continue", "labelSelector", "fieldSelector"], "")?;
        if kind == "Pod" {
            self.let_pods_end();
        }
        let query = |key: &str| asked.query.get(key).cloned().unwrap_or_default();
        let labels = query("labelSelector");
        let node = match query("fieldSelector") {
            text if text.is_empty() => None,
            text => Some(text.strip_prefix("spec.nodeName=").ok_or("an unknown field selector")?.to_owned()),
        };
        let found: Vec<Value> = self
            .objects
            .iter()
            .filter(|(key, object)| {
                key.0 == api_version
                    && key.1 == kind
                    && node.as_ref().is_none_or(|node| text(object, "/spec/nodeName") == node)
                    && labels.split(',').filter(|pair| !pair.is_empty()).all(|pair| {
                        let (label, value) = pair.split_once('=').unwrap_or((pair, ""));
                        object["metadata"]["labels"][label].as_str() == Some(value)
                    })
            })
            .map(|(_, object)| {
                let mut object = object.clone();
                object.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
                object
            })
            .collect();
        if !query("continue").is_empty() && std::mem::take(&mut self.is_expired) {
            let message = "The provided continue parameter is too old";
            return Ok(status(410, "Expired", message, json!([])));
        }
        let from: usize = query("continue").parse().unwrap_or_default();
        let limit = query("limit").parse::<usize>().map_err(|_| "a list without a limit")?.min(self.page);
        let items: Vec<Value> = found.iter().skip(from).take(limit).cloned().collect();
        let mut metadata = Map::new();
        if from + items.len() < found.len() {
            metadata.insert("continue".into(), (from + items.len()).to_string().into());
        }
        Ok((200, json!({"kind": format!("{kind}List"), "metadata": metadata, "items": items})))
    }

    fn let_pods_end(&mut self) {
        for (key, left) in &mut self.ending {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.objects.remove(key);
            }
        }
        self.ending.retain(|_, left| *left > 0);
    }

    fn apply(&mut self, asked: &Asked, key: Key, known: &[&str]) -> Result<Answer, String> {
        let query = ["fieldManager", "fieldValidation", "force", "dryRun"];
        self.allow(asked, "PATCH", &query, "application/apply-patch+yaml")?;
        let get = |key: &str| asked.query.get(key).map(String::as_str);
        let manager = get("fieldManager").ok_or("apply without a field manager")?.to_owned();
        if get("fieldValidation") != Some("Strict") {
            return Err("fields are not checked strictly".into());
        }
        let dry_run = match get("dryRun") {
            None => false,
            Some("All") => true,
            Some(_) => return Err("an unknown dry run".into()),
        };
        let manifest: Value = serde_json::from_slice(&asked.body).map_err(|error| error.to_string())?;
        if key_of(&manifest) != key {
            return Err(format!("the manifest is of {:?}", key_of(&manifest)));
        }
        if manifest.pointer("/metadata/managedFields").is_some() {
            return Err("a manifest with managed fields".into());
        }
        let fields: Vec<&String> = manifest.as_object().unwrap().keys().collect();
        if let Some(field) = fields.iter().find(|field| {
            !["apiVersion", "kind", "metadata"].contains(&field.as_str()) && !known.contains(&field.as_str())
        }) {
            let message = format!("strict decoding error: unknown field \"{field}\"");
            return Ok(status(400, "BadRequest", &message, json!([])));
        }
        if !key.2.is_empty() && !self.has_namespace(&key.2) {
            return Ok(status(404, "NotFound", &format!("namespaces \"{}\" not found", key.2), json!([])));
        }
        if key.1 == "Secret" {
            for (name, value) in manifest["data"].as_object().into_iter().flatten() {
                use base64::Engine as _;
                let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or("?"));
                if bytes.is_err() {
                    return Ok(status(400, "BadRequest", &format!("data.{name}: illegal base64"), json!([])));
                }
            }
        }
        let live = self.objects.get(&key).cloned();
        let force = get("force") == Some("true");
        match fields::apply(live.as_ref(), &manifest, &manager, force) {
            Err(conflicts) => {
                let causes: Vec<Value> = conflicts
                    .iter()
                    .map(|(field, manager)| {
                        json!({"reason": "FieldManagerConflict", "field": field,
                            "message": format!("conflict with \"{manager}\" using {}", key.0)})
                    })
                    .collect();
                let message = format!("Apply failed with {} conflicts", causes.len());
                Ok(status(409, "Conflict", &message, causes.into()))
            }
            Ok(mut next) => {
                if key.1 == "Deployment" && next.pointer("/spec/revisionHistoryLimit").is_none() {
                    next["spec"]["revisionHistoryLimit"] = 10.into();
                }
                let selector = |object: &Value| object.pointer("/spec/selector").cloned();
                if key.1 == "Deployment"
                    && live.as_ref().is_some_and(|live| selector(live) != selector(&next))
                {
                    let message = "Invalid value: {}: field is immutable";
                    let cause =
                        json!({"reason": "FieldValueInvalid", "field": "spec.selector", "message": message});
                    let message = format!("Deployment.apps \"{}\" is invalid", key.3);
                    return Ok(status(422, "Invalid", &message, json!([cause])));
                }
                // What changes nothing makes no new version.
                if dry_run || live.as_ref() == Some(&next) {
                    return Ok((200, next));
                }
                Ok((if live.is_none() { 201 } else { 200 }, self.save(key, next)))
            }
        }
    }

    fn has_namespace(&self, name: &str) -> bool {
        let key = ("v1".to_owned(), "Namespace".to_owned(), String::new(), name.to_owned());
        self.objects.contains_key(&key)
    }

    fn merge(&mut self, asked: &Asked, key: Key) -> Result<Answer, String> {
        self.allow(asked, "PATCH", &["fieldManager", "fieldValidation"], "application/merge-patch+json")?;
        let manager = asked.query.get("fieldManager").ok_or("a patch without a field manager")?.clone();
        let Some(live) = self.objects.get(&key).cloned() else { return Ok(missing(&key.1, &key.3)) };
        let mut patch: Value = serde_json::from_slice(&asked.body).map_err(|error| error.to_string())?;
        let expected =
            patch["metadata"].as_object_mut().and_then(|metadata| metadata.remove("resourceVersion"));
        if self.conflicts > 0 && expected.is_some() {
            self.conflicts -= 1;
            return Ok(status(409, "Conflict", "the object has been modified", json!([])));
        }
        if expected.is_some_and(|version| version != live["metadata"]["resourceVersion"]) {
            return Ok(status(409, "Conflict", "the object has been modified", json!([])));
        }
        let next = fields::merge(&live, &patch, &manager);
        Ok((200, self.save(key, next)))
    }

    fn delete(&mut self, asked: &Asked, key: &Key) -> Result<Answer, String> {
        self.allow(asked, "DELETE", &[], "application/json")?;
        let options: Value = serde_json::from_slice(&asked.body).map_err(|error| error.to_string())?;
        if options["kind"] != "DeleteOptions" || options["propagationPolicy"] != "Background" {
            return Err("no DeleteOptions".into());
        }
        self.end(key, &options)
    }

    /// Begins the end of an object.
    fn end(&mut self, key: &Key, options: &Value) -> Result<Answer, String> {
        let Some(live) = self.objects.get(key).cloned() else { return Ok(missing(&key.1, &key.3)) };
        let uid = text(options, "/preconditions/uid");
        if !uid.is_empty() && uid != text(&live, "/metadata/uid") {
            return Ok(status(409, "Conflict", "the UID in the precondition does not match", json!([])));
        }
        let has_finalizers = live["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if !has_finalizers && key.1 != "Pod" {
            self.objects.remove(key);
            return Ok((200, json!({"kind": "Status", "status": "Success"})));
        }
        let mut next = live;
        next["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let grace = options.get("gracePeriodSeconds").cloned().unwrap_or(30.into());
        next["metadata"]["deletionGracePeriodSeconds"] = grace;
        if !has_finalizers {
            self.ending.entry(key.clone()).or_insert(self.lists_until_gone);
        }
        Ok((200, self.save(key.clone(), next)))
    }

    fn evict(&mut self, asked: &Asked, key: &Key) -> Result<Answer, String> {
        self.allow(asked, "POST", &["dryRun"], "application/json")?;
        let body: Value = serde_json::from_slice(&asked.body).map_err(|error| error.to_string())?;
        if body["apiVersion"] != "policy/v1"
            || body["kind"] != "Eviction"
            || body["metadata"]["name"] != key.3[..]
        {
            return Err("no Eviction of this pod".into());
        }
        let options = &body["deleteOptions"];
        let dry_run = asked.query.contains_key("dryRun");
        if dry_run != options.get("dryRun").is_some() {
            return Err("dry run in one of both places only".into());
        }
        let Some(pod) = self.objects.get(key).cloned() else { return Ok(missing("Pod", &key.3)) };
        let budgets: Vec<Key> = self
            .objects
            .iter()
            .filter(|(found, budget)| {
                let wanted = budget.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
                found.1 == "PodDisruptionBudget"
                    && found.2 == key.2
                    && wanted.is_some_and(|wanted| {
                        wanted.iter().all(|(label, value)| &pod["metadata"]["labels"][label] == value)
                    })
            })
            .map(|(key, _)| key.clone())
            .collect();
        if budgets.len() > 1 {
            let message = "This pod has more than one PodDisruptionBudget";
            return Ok(status(500, "InternalError", message, json!([])));
        }
        if let Some(budget_key) = budgets.first() {
            let budget = self.objects.get_mut(budget_key).unwrap();
            let allowed = budget["status"]["disruptionsAllowed"].as_u64().unwrap_or_default();
            if allowed == 0 {
                if !dry_run {
                    self.refusals_until_allowed = self.refusals_until_allowed.saturating_sub(1);
                    if self.refusals_until_allowed == 0 {
                        budget["status"]["disruptionsAllowed"] = 1.into();
                    }
                }
                let cause = format!(
                    "The disruption budget {} needs 1 healthy pods and has 1 currently",
                    budget_key.3
                );
                let message = "Cannot evict pod as it would violate the pod's disruption budget.";
                let causes = json!([{"reason": "DisruptionBudget", "message": cause}]);
                return Ok(status(429, "TooManyRequests", message, causes));
            }
            if !dry_run {
                budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
            }
        }
        if dry_run {
            return Ok((201, body));
        }
        let (code, answer) = self.end(key, options)?;
        Ok((if code == 200 { 201 } else { code }, answer))
    }
}

fn missing(kind: &str, name: &str) -> Answer {
    status(404, "NotFound", &format!("{kind} \"{name}\" not found"), json!([]))
}
