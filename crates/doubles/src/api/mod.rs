//! An API server: what is asked, by whom, whether it may be, and what becomes of it.

mod admission;
mod auth;
pub(crate) mod kinds;
mod logs;
mod parts;
mod rbac;
pub(crate) mod server;
mod status;
mod watch;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cidr::Cidr;
use crate::net::server::{Answer, Request};
use crate::net::tls::Identity;
use crate::store::{Item, Store};
use crate::{clock, fields, schema, yaml};
use auth::{Authentication, User};
use kinds::Kind;
pub(crate) use parts::selects;
use rbac::Attributes;
use status::Refusal;

/// How often a change is tried again that met another.
const TRIES: usize = 20;

/// A server.
pub(crate) struct Api {
    pub(crate) store: Arc<Store>,
    authentication: Authentication,
    /// The key that signs tokens of service accounts.
    account_key: Option<rcgen::KeyPair>,
    /// `Node`, `RBAC` …
    modes: Vec<String>,
    /// Who it is to kubelets.
    to_kubelets: Option<Identity>,
    /// The networks of services.
    services: Vec<Cidr>,
    version: String,
    /// Roles and bindings as they were a moment ago.
    rbac: rbac::Known,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// `status`, `eviction` …
    pub(crate) part: String,
}

impl Target {
    fn key(&self) -> String {
        self.kind.key(&self.namespace, &self.name)
    }
}

type Result<T> = std::result::Result<T, Refusal>;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// An object as it is told: with its version.
pub(crate) fn told(item: &Item) -> Value {
    with_version(&item.value, item.revision)
}

fn with_version(value: &Value, revision: u64) -> Value {
    let mut out = value.clone();
    if let Some(Value::Object(metadata)) = out.get_mut("metadata") {
        metadata.insert("resourceVersion".into(), revision.to_string().into());
    }
    out
}

impl Api {
    /// Answers a request.
    pub(crate) fn answer(self: &Arc<Self>, request: &Request) -> Answer {
        match self.try_answer(request) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Json(refusal.code, refusal.to_json()),
        }
    }

    fn try_answer(self: &Arc<Self>, request: &Request) -> Result<Answer> {
        let user = self.authenticate(request)?;
        let path = request.path.trim_end_matches('/');
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let root = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                Some((String::new(), (*version).to_owned(), rest))
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                Some(((*group).to_owned(), (*version).to_owned(), rest))
            }
            _ => None,
        };
        let Some((group, version, rest)) = root else {
            let verb = request.method.to_lowercase();
            self.authorize(&user, &Attributes { verb: &verb, target: None, path: &request.path })?;
            return self.other(path);
        };
        let target = self.target(&group, &version, rest)?;
        let is_watch = ["true", "1"].contains(&request.query("watch"));
        let verb = match (request.method.as_str(), target.name.is_empty()) {
            ("GET", _) if is_watch => "watch",
            ("GET", true) => "list",
            ("GET", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            _ => {
                return Err(Refusal::new(
                    405,
                    "MethodNotAllowed",
                    "the server does not allow this method on the requested resource",
                ));
            }
        };
        self.authorize(&user, &Attributes { verb, target: Some(&target), path })?;
        let is_log = verb == "get" && target.part == "log" && target.kind.kind == "Pod";
        Self::checked_query(request, if is_log { &logs::QUERY } else { &[] })?;
        if is_log {
            return self.log(request, &target);
        }
        if verb == "watch" {
            return self.watch(request, &target);
        }
        let (code, value) = match verb {
            "list" => self.list(request, &target)?,
            "get" if target.part.is_empty() || target.part == "status" => {
                let item = self.item(&target)?;
                (200, told(&item))
            }
            "create" => self.create(request, &user, &target)?,
            "update" | "patch" => self.change(request, &user, &target)?,
            "delete" => self.delete(request, &user, &target)?,
            "deletecollection" => self.delete_all(request, &target)?,
            _ => return Err(Refusal::no_path()),
        };
        Ok(Answer::Json(code, value))
    }

    /// Queries that nobody knows are mistakes.
    fn checked_query(request: &Request, also: &[&str]) -> Result<()> {
        const KNOWN: [&str; 17] = [
            "allowWatchBookmarks",
            "continue",
            "dryRun",
            "fieldManager",
            "fieldSelector",
            "fieldValidation",
            "force",
            "gracePeriodSeconds",
            "labelSelector",
            "limit",
            "orphanDependents",
            "pretty",
            "propagationPolicy",
            "resourceVersion",
            "resourceVersionMatch",
            "timeoutSeconds",
            "watch",
        ];
        let is_unknown = |key: &&String| !KNOWN.contains(&key.as_str()) && !also.contains(&key.as_str());
        match request.query.keys().find(is_unknown) {
            Some(key) => Err(Refusal::bad(format!("unknown query parameter \"{key}\""))),
            None if !["", "All"].contains(&request.query("dryRun")) => Err(Refusal::bad("invalid dryRun")),
            None => Ok(()),
        }
    }

    fn other(&self, path: &str) -> Result<Answer> {
        let all = || self.kinds();
        Ok(match path {
            "/version" => {
                let mut numbers = self.version.trim_start_matches('v').split('.');
                let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
                Answer::Json(
                    200,
                    json!({"major": major, "minor": minor, "gitVersion": self.version, "platform": "linux/amd64",
                    "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "double"}),
                )
            }
            "/healthz" | "/livez" | "/readyz" | "/readyz/etcd" | "/livez/etcd" => {
                match self.store.is_well() {
                    Ok(()) => Answer::Text(200, "ok".into()),
                    Err(error) => {
                        crate::told(&format!("not well: {error}"));
                        Answer::Text(500, "[-]etcd failed: reason withheld\nhealthz check failed".into())
                    }
                }
            }
            "/livez/ping" | "/healthz/ping" | "/readyz/ping" => Answer::Text(200, "ok".into()),
            "/api" => Answer::Json(200, json!({"kind": "APIVersions", "versions": ["v1"]})),
            "/apis" => {
                let mut groups: Vec<Value> = Vec::new();
                for kind in all()?.iter().filter(|kind| !kind.group.is_empty()) {
                    let version = json!({"groupVersion": kind.api_version(), "version": kind.version});
                    match groups.iter_mut().find(|group| group["name"] == kind.group[..]) {
                        Some(group) => {
                            if let Some(versions) =
                                group["versions"].as_array_mut().filter(|all| !all.contains(&version))
                            {
                                versions.push(version);
                            }
                        }
                        None => groups.push(
                            json!({"name": kind.group, "versions": [version], "preferredVersion": version}),
                        ),
                    }
                }
                Answer::Json(200, json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            _ => {
                let api_version = path.strip_prefix("/apis/").or_else(|| path.strip_prefix("/api/"));
                let found = match api_version {
                    Some(api_version) => kinds::discovery(api_version, &all()?),
                    None => None,
                };
                Answer::Json(200, found.ok_or_else(Refusal::no_path)?)
            }
        })
    }

    /// All kinds that are served now.
    fn kinds(&self) -> Result<Vec<Kind>> {
        let mut out: Vec<Kind> = kinds::builtin().collect();
        let folder = kinds::known("CustomResourceDefinition").map(|kind| kind.folder()).unwrap_or_default();
        let (items, _) = self.store.list(&folder).map_err(Refusal::store)?;
        out.extend(items.iter().flat_map(|item| kinds::defined(&item.value)));
        Ok(out)
    }

    fn kind(&self, group: &str, version: &str, plural: &str) -> Result<Kind> {
        let is_it = |kind: &Kind| kind.group == group && kind.version == version && kind.plural == plural;
        if let Some(kind) = kinds::builtin().find(is_it) {
            return Ok(kind);
        }
        self.kinds()?.into_iter().find(is_it).ok_or_else(Refusal::no_path)
    }

    fn target(&self, group: &str, version: &str, rest: &[&str]) -> Result<Target> {
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..]
                if !rest.is_empty() && !["status", "finalize"].contains(&rest[0]) =>
            {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let (plural, name, part) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, part] => (*plural, *name, *part),
            _ => return Err(Refusal::no_path()),
        };
        let kind = self.kind(group, version, plural)?;
        if !namespace.is_empty() && !kind.namespaced
            || kind.namespaced && namespace.is_empty() && !name.is_empty()
        {
            return Err(Refusal::no_path());
        }
        Ok(Target { kind, namespace: namespace.to_owned(), name: name.to_owned(), part: part.to_owned() })
    }

    fn item(&self, target: &Target) -> Result<Item> {
        let found = self.store.get(&target.key()).map_err(Refusal::store)?;
        found.ok_or_else(|| Refusal::missing(&target.kind.qualified(), &target.name))
    }

    fn list(&self, request: &Request, target: &Target) -> Result<(u16, Value)> {
        let folder = watch::folder(target);
        let selector = watch::Selector::read(request, &target.kind)?;
        let (items, revision) = self.store.list(&folder).map_err(Refusal::store)?;
        let behind = request.query("continue");
        let limit =
            request.query("limit").parse::<usize>().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut found =
            items.iter().filter(|item| item.key.as_str() > behind && selector.selects(&item.value));
        let page: Vec<&Item> = found.by_ref().take(limit).collect();
        let rest = found.next().is_some();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let (true, Some(last)) = (rest, page.last()) {
            metadata["continue"] = last.key.as_str().into();
        }
        let items: Vec<Value> = page
            .into_iter()
            .map(|item| {
                let mut out = told(item);
                if let Value::Object(map) = &mut out {
                    map.retain(|key, _| key != "kind" && key != "apiVersion");
                }
                out
            })
            .collect();
        Ok((
            200,
            json!({"kind": format!("{}List", target.kind.kind), "apiVersion": target.kind.api_version(),
            "metadata": metadata, "items": items}),
        ))
    }

    /// The object in a request's body, whose fields are all known.
    fn body(request: &Request, kind: &Kind) -> Result<Value> {
        let text = std::str::from_utf8(&request.body).map_err(|_| Refusal::bad("the body is no text"))?;
        let value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) if request.header("content-type").contains("yaml") => {
                yaml::read(text).map_err(|error| Refusal::bad(format!("error decoding YAML: {error}")))?
            }
            Err(error) => return Err(Refusal::bad(format!("the body is no JSON: {error}"))),
        };
        let found = (crate::api::text(&value, "/apiVersion"), crate::api::text(&value, "/kind"));
        if found != (kind.api_version().as_str(), kind.kind.as_str()) {
            let (api_version, name) = found;
            return Err(Refusal::bad(format!(
                "the object provided is unrecognized: {api_version}/{name} where {}/{} is expected",
                kind.api_version(),
                kind.kind
            )));
        }
        if !kind.is_custom {
            let problems = schema::object_problems(&kind.kind, &value);
            if !problems.is_empty() {
                return Err(Refusal::bad(format!("strict decoding error: {}", problems.join(", "))));
            }
        }
        Ok(value)
    }

    fn manager(request: &Request) -> String {
        let named = request.query("fieldManager");
        if !named.is_empty() {
            return named.to_owned();
        }
        let agent = request.header("user-agent").split('/').next().unwrap_or_default();
        if agent.is_empty() { "unknown".into() } else { agent.to_owned() }
    }

    fn create(&self, request: &Request, user: &User, target: &Target) -> Result<(u16, Value)> {
        if !target.part.is_empty() {
            return self.create_part(request, user, target);
        }
        let kind = &target.kind;
        if let Some(answer) = self.review(request, user, kind)? {
            return Ok((201, answer));
        }
        let mut object = Self::body(request, kind)?;
        if let Value::Object(map) = &mut object
            && !matches!(kind.kind.as_str(), "Node" | "Pod" | "CustomResourceDefinition")
        {
            map.remove("status");
        }
        let wished = text(&object, "/metadata/namespace").to_owned();
        if kind.namespaced && !wished.is_empty() && wished != target.namespace {
            return Err(Refusal::bad(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let prefix = text(&object, "/metadata/generateName").to_owned();
        if text(&object, "/metadata/name").is_empty() && !prefix.is_empty() {
            object["metadata"]["name"] = format!("{prefix}{}", crate::random(5)).into();
        }
        if !text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(Refusal::bad("resourceVersion should not be set on objects to be created"));
        }
        let name = text(&object, "/metadata/name").to_owned();
        let target = Target { name: name.clone(), ..target.clone() };
        self.complete(user, &target, &mut object)?;
        fields::note_update(None, &mut object, &Self::manager(request));
        self.admit(kind, None, &mut object)?;
        if request.query("dryRun") == "All" {
            return Ok((201, object));
        }
        match self.store.put(&target.key(), &object, 0).map_err(Refusal::store)? {
            Some(revision) => Ok((201, with_version(&object, revision))),
            None => Err(Refusal::new(
                409,
                "AlreadyExists",
                format!("{} \"{name}\" already exists", kind.qualified()),
            )),
        }
    }

    /// What only the server writes in a new object, after looking whether it may be.
    fn complete(&self, user: &User, target: &Target, object: &mut Value) -> Result<()> {
        let kind = &target.kind;
        let is_name = |name: &str| {
            let is_rbac = kind.group == "rbac.authorization.k8s.io";
            !name.is_empty()
                && name.len() <= 253
                && name.chars().all(|c| {
                    c.is_ascii_lowercase()
                        || c.is_ascii_digit()
                        || "-.".contains(c)
                        || is_rbac && !"/%".contains(c)
                })
        };
        if !is_name(&target.name) {
            let problem = ("metadata.name".to_owned(), format!("Invalid value: \"{}\"", target.name));
            return Err(Refusal::invalid(&kind.qualified(), &target.name, &[problem]));
        }
        Self::restrict_node(user, kind, object)?;
        if kind.namespaced {
            let key =
                kinds::known("Namespace").map(|kind| kind.key("", &target.namespace)).unwrap_or_default();
            let found = self.store.get(&key).map_err(Refusal::store)?;
            let found = found.ok_or_else(|| Refusal::missing("namespaces", &target.namespace))?;
            if found.value.pointer("/metadata/deletionTimestamp").is_some() {
                let why = format!(
                    "unable to create new content in namespace {} because it is being terminated",
                    target.namespace
                );
                return Err(Refusal::forbidden(why));
            }
        }
        if kind.kind == "CertificateSigningRequest" {
            parts::complete_request(user, object)?;
        }
        let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
            return Err(Refusal::bad("an object without metadata"));
        };
        if kind.namespaced {
            metadata.insert("namespace".into(), target.namespace.as_str().into());
        } else {
            metadata.shift_remove("namespace");
        }
        metadata.insert("uid".into(), crate::uid().into());
        metadata.insert("creationTimestamp".into(), clock::now().into());
        metadata.insert("generation".into(), 1.into());
        if kind.kind == "CustomResourceDefinition" {
            let names = object["spec"]["names"].clone();
            object["status"] = json!({"acceptedNames": names, "conditions": [
                {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts"},
                {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}]});
        }
        Ok(())
    }

    fn change(&self, request: &Request, user: &User, target: &Target) -> Result<(u16, Value)> {
        if target.name.is_empty() {
            return Err(Refusal::no_path());
        }
        if !["", "status", "approval", "finalize"].contains(&target.part.as_str()) {
            return Err(Refusal::no_path());
        }
        for _ in 0..TRIES {
            if let Some(answer) = self.change_once(request, user, target)? {
                return Ok(answer);
            }
        }
        Err(Refusal::conflict(&target.kind.qualified(), &target.name, "it changes too often"))
    }

    /// Nothing where somebody changed the object meanwhile and the request does not mind.
    fn change_once(&self, request: &Request, user: &User, target: &Target) -> Result<Option<(u16, Value)>> {
        let kind = &target.kind;
        let live = self.store.get(&target.key()).map_err(Refusal::store)?;
        let content = request.header("content-type").split(';').next().unwrap_or_default();
        let manager = Self::manager(request);
        let is_apply = request.method == "PATCH" && content == "application/apply-patch+yaml";
        if live.is_none() && !(is_apply && target.part.is_empty()) {
            return Err(Refusal::missing(&kind.qualified(), &target.name));
        }
        let before = live.as_ref().map(|item| &item.value);
        let conflict = |why: &str| Refusal::conflict(&kind.qualified(), &target.name, why);
        let modified =
            "the object has been modified; please apply your changes to the latest version and try again";
        let mut expected = String::new();
        let mut next = if is_apply {
            if request.query("fieldManager").is_empty() {
                return Err(Refusal::bad(
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                ));
            }
            let manifest = Self::body(request, kind)?;
            Self::checked_manifest(target, &manifest)?;
            let applied = fields::apply(before, &manifest, &manager, request.query("force") == "true");
            applied.map_err(|conflicts| apply_conflict(kind, &conflicts))?
        } else {
            let mut next = match (request.method.as_str(), content) {
                ("PUT", _) => Self::body(request, kind)?,
                (_, "application/merge-patch+json" | "application/strategic-merge-patch+json") => {
                    let patch: Value = serde_json::from_slice(&request.body)
                        .map_err(|error| Refusal::bad(error.to_string()))?;
                    let strategic = content.contains("strategic");
                    if strategic && kind.is_custom {
                        return Err(Refusal::new(
                            415,
                            "UnsupportedMediaType",
                            "strategic merge patches are not for custom resources",
                        ));
                    }
                    let mut next = before.cloned().unwrap_or_default();
                    text(&patch, "/metadata/resourceVersion").clone_into(&mut expected);
                    fields::merge_into(&mut next, &patch, strategic);
                    let problems =
                        if kind.is_custom { Vec::new() } else { schema::object_problems(&kind.kind, &next) };
                    if !problems.is_empty() {
                        return Err(Refusal::bad(format!("strict decoding error: {}", problems.join(", "))));
                    }
                    next
                }
                _ => {
                    return Err(Refusal::new(
                        415,
                        "UnsupportedMediaType",
                        format!("the media type {content:?} is not supported"),
                    ));
                }
            };
            if request.method == "PUT" {
                text(&next, "/metadata/resourceVersion").clone_into(&mut expected);
            }
            if let Some(Value::Object(metadata)) = next.get_mut("metadata") {
                metadata.shift_remove("resourceVersion");
            }
            if text(&next, "/metadata/name") != target.name {
                return Err(Refusal::bad("the name of the object does not match the name on the URL"));
            }
            next
        };
        let revision = live.as_ref().map_or(0, |item| item.revision);
        if !expected.is_empty() && expected != revision.to_string() {
            return Err(conflict(modified));
        }
        if let Some(before) = before {
            Self::restrict_node(user, kind, before)?;
            let uid = text(&next, "/metadata/uid");
            if !uid.is_empty() && uid != text(before, "/metadata/uid") {
                return Err(conflict("Precondition failed: UID in precondition does not match"));
            }
            keep(before, &mut next, &target.part, kind)?;
            if !is_apply && target.part.is_empty() {
                fields::note_update(Some(before), &mut next, &manager);
            }
            if target.part == "approval" {
                parts::check_approval(before, &next)?;
            }
            if before["spec"] != next["spec"] && target.part.is_empty() {
                let generation = before.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(1);
                next["metadata"]["generation"] = (generation + 1).into();
            }
        } else {
            self.complete(user, target, &mut next)?;
        }
        if target.part.is_empty() {
            self.admit(kind, before, &mut next)?;
        }
        let code = if live.is_some() { 200 } else { 201 };
        // What changes nothing makes no new version.
        if request.query("dryRun") == "All" || before == Some(&next) {
            return Ok(Some((code, with_version(&next, revision))));
        }
        if next.pointer("/metadata/deletionTimestamp").is_some()
            && finalizers(&next).is_empty()
            && kind.kind != "Pod"
        {
            let gone = self.store.delete(&target.key(), revision).map_err(Refusal::store)?;
            return Ok(gone.map(|_| (code, next)));
        }
        match self.store.put(&target.key(), &next, revision).map_err(Refusal::store)? {
            Some(revision) => Ok(Some((code, with_version(&next, revision)))),
            None if expected.is_empty() => Ok(None),
            None => Err(conflict(modified)),
        }
    }

    fn checked_manifest(target: &Target, manifest: &Value) -> Result<()> {
        let namespace = text(manifest, "/metadata/namespace");
        if text(manifest, "/metadata/name") != target.name
            || !["", target.namespace.as_str()].contains(&namespace)
        {
            return Err(Refusal::bad("the name or namespace of the object does not match those on the URL"));
        }
        if manifest
            .pointer("/metadata/managedFields")
            .is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()))
        {
            return Err(Refusal::bad("metadata.managedFields must be nil"));
        }
        Ok(())
    }

    fn delete(&self, request: &Request, user: &User, target: &Target) -> Result<(u16, Value)> {
        if !target.part.is_empty() {
            return Err(Refusal::no_path());
        }
        let mut options = if request.body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(&request.body).map_err(|error| Refusal::bad(error.to_string()))?
        };
        let problems = schema::document_problems("DeleteOptions", &options);
        if !problems.is_empty() {
            return Err(Refusal::bad(format!("strict decoding error: {}", problems.join(", "))));
        }
        if let Ok(grace) = request.query("gracePeriodSeconds").parse::<i64>() {
            options["gracePeriodSeconds"] = grace.into();
        }
        let item = self.item(target)?;
        Self::restrict_node(user, &target.kind, &item.value)?;
        let dry_run = request.query("dryRun") == "All" || options.get("dryRun").is_some();
        self.end(target, &options, dry_run)
    }

    /// Begins the end of an object.
    fn end(&self, target: &Target, options: &Value, dry_run: bool) -> Result<(u16, Value)> {
        for _ in 0..TRIES {
            let item = self.item(target)?;
            let uid = text(options, "/preconditions/uid");
            if !uid.is_empty() && uid != text(&item.value, "/metadata/uid") {
                let why = "Precondition failed: the UID in the precondition does not match the UID in record";
                return Err(Refusal::conflict(&target.kind.qualified(), &target.name, why));
            }
            if dry_run {
                return Ok((200, told(&item)));
            }
            let mut next = item.value.clone();
            let asked = options.get("gracePeriodSeconds").and_then(Value::as_i64);
            let grace = asked
                .or_else(|| next.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64))
                .unwrap_or(30);
            let runs = target.kind.kind == "Pod"
                && grace > 0
                && !text(&next, "/spec/nodeName").is_empty()
                && !["Succeeded", "Failed"].contains(&text(&next, "/status/phase"));
            let waits = runs || !finalizers(&next).is_empty() || target.kind.kind == "Namespace";
            if !waits {
                if self.store.delete(&item.key, item.revision).map_err(Refusal::store)?.is_some() {
                    return Ok((
                        200,
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                    ));
                }
                continue;
            }
            if next.pointer("/metadata/deletionTimestamp").is_none() {
                next["metadata"]["deletionTimestamp"] =
                    clock::text(clock::now_s() + if runs { grace } else { 0 }).into();
                if runs {
                    next["metadata"]["deletionGracePeriodSeconds"] = grace.into();
                }
                if target.kind.kind == "Namespace" {
                    next["status"]["phase"] = "Terminating".into();
                }
            }
            if next == item.value {
                return Ok((200, told(&item)));
            }
            if let Some(revision) = self.store.put(&item.key, &next, item.revision).map_err(Refusal::store)? {
                return Ok((200, with_version(&next, revision)));
            }
        }
        Err(Refusal::conflict(&target.kind.qualified(), &target.name, "it changes too often"))
    }

    fn delete_all(&self, request: &Request, target: &Target) -> Result<(u16, Value)> {
        let selector = watch::Selector::read(request, &target.kind)?;
        let (items, _) = self.store.list(&watch::folder(target)).map_err(Refusal::store)?;
        for item in items.iter().filter(|item| selector.selects(&item.value)) {
            let one = Target {
                namespace: text(&item.value, "/metadata/namespace").to_owned(),
                name: text(&item.value, "/metadata/name").to_owned(),
                ..target.clone()
            };
            self.end(&one, &json!({}), false)?;
        }
        Ok((200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})))
    }
}

fn finalizers(object: &Value) -> Vec<String> {
    let names =
        |pointer: &str| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let of_spec = if text(object, "/kind") == "Namespace" { names("/spec/finalizers") } else { Vec::new() };
    [names("/metadata/finalizers"), of_spec]
        .concat()
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// What a change of one part must not change: everything else. A part that the object has not got is refused.
fn keep(before: &Value, next: &mut Value, part: &str, kind: &Kind) -> Result<()> {
    for key in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        let Some(Value::Object(metadata)) = next.get_mut("metadata") else {
            return Err(Refusal::bad("an object without metadata"));
        };
        match before.pointer(&format!("/metadata/{key}")) {
            Some(value) => _ = metadata.insert(key.into(), value.clone()),
            None => _ = metadata.shift_remove(key),
        }
    }
    let Value::Object(map) = next else { return Err(Refusal::bad("no object")) };
    let take = |map: &mut serde_json::Map<String, Value>, key: &str| match before.get(key) {
        Some(value) => _ = map.insert(key.into(), value.clone()),
        None => _ = map.shift_remove(key),
    };
    match part {
        "" => {
            if !kind.is_custom || before.get("status").is_some() {
                take(map, "status");
            }
            if let Some(managed) = before.pointer("/metadata/managedFields")
                && let Some(Value::Object(metadata)) = map.get_mut("metadata")
                && !metadata.contains_key("managedFields")
            {
                metadata.insert("managedFields".into(), managed.clone());
            }
        }
        "finalize" => {
            for key in ["metadata", "status"] {
                take(map, key);
            }
        }
        _ => {
            let keys: Vec<String> = map.keys().filter(|key| *key != "status").cloned().collect();
            for key in keys {
                take(map, &key);
            }
        }
    }
    Ok(())
}

fn apply_conflict(kind: &Kind, conflicts: &[(String, String)]) -> Refusal {
    let causes: Vec<Value> = conflicts
        .iter()
        .map(|(field, manager)| {
            json!({"reason": "FieldManagerConflict", "field": field,
                "message": format!("conflict with \"{manager}\" using {}", kind.api_version())})
        })
        .collect();
    let told: Vec<String> =
        conflicts.iter().map(|(field, manager)| format!("conflict with \"{manager}\": {field}")).collect();
    let message = format!("Apply failed with {} conflicts: {}", conflicts.len(), told.join(", "));
    Refusal::new(409, "Conflict", message).causes(causes.into())
}
