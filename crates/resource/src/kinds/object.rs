//! Kubernetes objects, by server-side apply.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::content::fill;
use crate::{Change, Comparison, Content, Digest, MissingSecret, Secrets, outline};

/// The label of every object of ours.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY_LABEL`], and the field manager under which we apply.
pub const FIELD_MANAGER: &str = "kubespray";

/// The annotation that says which part of the product an object belongs to.
pub const COMPONENT_ANNOTATION: &str = "kubespray.rs/component";

/// Deeper manifests are refused; Kubernetes' own objects stay far below.
const DEEPEST_MANIFEST: usize = 100;

/// What stands in place of a secret whose value is not known or must not be shown.
const HIDDEN: &str = "***";

/// A Kubernetes object. We own the fields that the manifest names and no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The kubeconfig on the host through which the API server is reached.
    pub kubeconfig: String,
    /// Which part of the product it belongs to; kept in an annotation, for [`crate::Prune`].
    pub component: String,
    /// The manifest, with `{secret:NAME}` in texts where secrets go. Texts of a `Secret` go into `stringData`.
    pub manifest: Value,
    /// Whether fields that others own are taken from them; otherwise a conflict is a failure. An object without data
    /// of its own, such as a `Deployment`, is then also made anew where a field differs that cannot change.
    #[serde(default)]
    pub force: bool,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Group and version, such as `apps/v1`; `v1` of the core.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The namespace; nothing where the kind has none.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What the API server has of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectState {
    /// Nobody can say yet, and why: there is no cluster, it does not answer, or it does not know the kind.
    Unknown(String),
    /// There is no such object.
    Absent,
    /// It is there.
    Present(Box<ObjectSeen>),
}

/// How an object differs from what the server would make of the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSeen {
    /// Values that would change, by path.
    pub changes: Vec<Change>,
    /// Whether applying would change which fields are ours.
    pub ownership: bool,
    /// Fields that others own and that would change: `.spec.replicas` belongs to `someone`.
    pub conflicts: Vec<String>,
    /// Digests of the values at the places of secrets; nothing where no value is there.
    pub secrets: BTreeMap<String, Digest>,
    /// Finalizers, where the object is being deleted.
    pub deleting: Option<Vec<String>>,
    /// What cannot change while the object exists, in the words of the server. The other differences are not known
    /// then.
    #[serde(default)]
    pub fixed: Vec<String>,
    /// The object as text, where it would change. Secrets are hidden.
    pub before: String,
    /// The same after applying.
    pub after: String,
}

impl Object {
    /// Which object the manifest describes, or what is wrong with it.
    pub fn reference(&self) -> Result<ObjectRef, String> {
        let text = |pointer: &str| self.manifest.pointer(pointer).and_then(Value::as_str);
        let need = |pointer: &str| {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            text(pointer)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| format!("the manifest has no `{field}`"))
        };
        if is_deeper(&self.manifest, DEEPEST_MANIFEST) {
            return Err(format!("the manifest is nested deeper than {DEEPEST_MANIFEST} levels"));
        }
        let kind = need("/kind")?;
        if kind.ends_with("List") && self.manifest.get("items").is_some() {
            return Err(format!("the manifest is a `{kind}`; every object needs a step of its own"));
        }
        Ok(ObjectRef {
            api_version: need("/apiVersion")?,
            kind,
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: need("/metadata/name")?,
        })
    }

    /// The manifest as it is sent, with its secrets and our label and annotation.
    pub fn filled(&self, secrets: &Secrets) -> Result<Value, MissingSecret> {
        let mut out = self.manifest.clone();
        for (path, template) in self.secret_places() {
            let value = fill(&template, secrets)?;
            if let Some(place) = find_mut(&mut out, &path) {
                *place = Value::String(value);
            }
        }
        Ok(self.finished(out))
    }

    /// The manifest with what `live` has at the places of secrets: the server can be asked what else differs
    /// without anybody telling it a secret.
    pub fn filled_from(&self, live: &Value) -> Value {
        let mut out = self.manifest.clone();
        for (path, _) in self.secret_places() {
            let value = live_text(live, &path).unwrap_or_else(|| HIDDEN.to_owned());
            if let Some(place) = find_mut(&mut out, &path) {
                *place = Value::String(value);
            }
        }
        self.finished(out)
    }

    /// The digests of what `live` has at the places of secrets, by path.
    pub fn secret_digests(&self, live: &Value) -> BTreeMap<String, Digest> {
        let places = self.secret_places().into_iter();
        places
            .filter_map(|(path, _)| Some((shown(&path), Digest::of(live_text(live, &path)?.as_bytes()))))
            .collect()
    }

    /// Hides all secret values of an object that the server gave.
    pub fn hide(&self, live: &mut Value) {
        for (path, _) in self.secret_places() {
            let path = in_data(&path);
            if let Some(place) = find_mut(live, hidden_part(&path)) {
                *place = HIDDEN.into();
            }
        }
        if is_secret(live)
            && let Some(Value::Object(data)) = live.get_mut("data")
        {
            data.values_mut().for_each(|value| *value = HIDDEN.into());
        }
    }

    /// Whether the value at a path, as [`ObjectSeen::changes`] names them, may be or hold a secret.
    pub fn hides(&self, path: &str) -> bool {
        let is_of_secret = is_secret(&self.manifest) && path.starts_with(".data");
        is_of_secret
            || self.secret_places().iter().any(|(place, _)| {
                let place = shown(hidden_part(place));
                place.starts_with(path) || path.starts_with(&place)
            })
    }

    /// How the object differs.
    pub fn compare(&self, state: &ObjectState, secrets: &Secrets) -> Result<Comparison, MissingSecret> {
        let mut out = Comparison::default();
        let seen = match state {
            ObjectState::Unknown(why) => {
                out.add("object", None, Some(format!("as wished; {why}")));
                return Ok(out);
            }
            ObjectState::Absent => {
                out.add("object", None, Some("as wished".into()));
                return Ok(out);
            }
            ObjectState::Present(seen) => seen,
        };
        if seen.deleting.is_some() {
            out.add("object", Some("being deleted".into()), Some("as wished".into()));
        }
        for field in &seen.fixed {
            out.add("object", Some(field.clone()), Some("made anew".into()));
        }
        out.changes.extend(seen.changes.iter().cloned());
        for (path, template) in self.secret_places() {
            let wanted = Digest::of(fill(&template, secrets)?.as_bytes());
            let path = shown(&path);
            let is_listed = out.changes.iter().any(|change| change.what == path);
            if seen.secrets.get(&path) != Some(&wanted) && !is_listed {
                out.add(&path, None, None);
            }
        }
        if seen.ownership && out.is_same() {
            out.add("owner of fields", None, Some(FIELD_MANAGER.into()));
        }
        if !self.force {
            seen.conflicts.iter().for_each(|conflict| out.add("conflict", Some(conflict.clone()), None));
        }
        Ok(out)
    }

    /// The names of the secrets in the manifest.
    pub fn secret_names(&self) -> Vec<String> {
        let templates = self.secret_places().into_iter().map(|(_, template)| Content::Secret(template));
        templates
            .flat_map(|content| content.secret_names().into_iter().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The manifest as text, with the names of secrets.
    pub fn text(&self) -> String {
        outline(&self.finished(self.manifest.clone()))
    }

    /// Texts in which a secret goes, with their places.
    fn secret_places(&self) -> Vec<(Vec<Part>, String)> {
        let mut out = Vec::new();
        collect(&self.manifest, &mut Vec::new(), &mut out);
        out
    }

    fn finished(&self, mut manifest: Value) -> Value {
        if is_secret(&manifest)
            && let Some(Value::Object(texts)) =
                manifest.as_object_mut().and_then(|map| map.remove("stringData"))
            && let Some(data) = entry(&mut manifest, "data")
        {
            for (key, value) in texts {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                data.insert(key, STANDARD.encode(text).into());
            }
        }
        for (field, key, value) in [
            ("labels", MANAGED_BY_LABEL, FIELD_MANAGER),
            ("annotations", COMPONENT_ANNOTATION, self.component.as_str()),
        ] {
            let map = entry(&mut manifest, "metadata")
                .map(|metadata| metadata.entry(field).or_insert_with(|| json!({})))
                .and_then(Value::as_object_mut);
            if let Some(map) = map {
                map.insert(key.to_owned(), value.into());
            }
        }
        manifest
    }
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    /// An element of a list, and its `name` where it has one: servers may keep lists in another order.
    Element(usize, Option<String>),
}

/// The part of a path that must not be shown: all of a list whose elements have no names, for who knows in
/// which order they are.
fn hidden_part(path: &[Part]) -> &[Part] {
    let end = path.iter().position(|part| matches!(part, Part::Element(_, None))).unwrap_or(path.len());
    path.get(..end).unwrap_or(path)
}

fn shown(path: &[Part]) -> String {
    let is_plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    in_data(path)
        .iter()
        .map(|part| match part {
            Part::Key(key) if is_plain(key) => format!(".{key}"),
            Part::Key(key) => format!("[{key}]"),
            Part::Element(_, Some(name)) => format!("[{name}]"),
            Part::Element(index, None) => format!("[{index}]"),
        })
        .collect()
}

fn collect(value: &Value, path: &mut Vec<Part>, out: &mut Vec<(Vec<Part>, String)>) {
    if path.len() > DEEPEST_MANIFEST {
        return;
    }
    match value {
        Value::String(text) if text.contains("{secret:") => out.push((path.clone(), text.clone())),
        Value::Object(map) => {
            for (key, value) in map {
                path.push(Part::Key(key.clone()));
                collect(value, path, out);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str).map(str::to_owned);
                path.push(Part::Element(index, name));
                collect(item, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

fn find_mut<'v>(value: &'v mut Value, path: &[Part]) -> Option<&'v mut Value> {
    let mut at = value;
    for part in path {
        at = match part {
            Part::Key(key) => at.get_mut(key.as_str())?,
            Part::Element(index, None) => at.get_mut(*index)?,
            Part::Element(_, Some(name)) => at
                .as_array_mut()?
                .iter_mut()
                .find(|item| item.get("name").and_then(Value::as_str) == Some(name))?,
        };
    }
    Some(at)
}

/// The text that an object of the server has at a place of the manifest.
fn live_text(live: &Value, path: &[Part]) -> Option<String> {
    let moved = in_data(path);
    let mut at = live;
    for part in &moved {
        at = match part {
            Part::Key(key) => at.get(key.as_str())?,
            Part::Element(index, None) => at.get(*index)?,
            Part::Element(_, Some(name)) => {
                at.as_array()?.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))?
            }
        };
    }
    let text = at.as_str()?;
    if moved == path {
        return Some(text.to_owned());
    }
    STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// `stringData` of a Secret is kept as `data`.
fn in_data(path: &[Part]) -> Vec<Part> {
    let mut out = path.to_vec();
    if let Some(Part::Key(key)) = out.first_mut()
        && key == "stringData"
    {
        "data".clone_into(key);
    }
    out
}

fn is_secret(manifest: &Value) -> bool {
    manifest.get("kind").and_then(Value::as_str) == Some("Secret")
        && manifest.get("apiVersion").and_then(Value::as_str) == Some("v1")
}

/// The map at a key, made where there is none; nothing where the manifest is no map.
fn entry<'v>(manifest: &'v mut Value, key: &str) -> Option<&'v mut Map<String, Value>> {
    let place = manifest.as_object_mut()?.entry(key).or_insert(Value::Null);
    if !place.is_object() {
        *place = json!({});
    }
    place.as_object_mut()
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Object(map) => map.values().any(|value| is_deeper(value, below)),
        Value::Array(items) => items.iter().any(|item| is_deeper(item, below)),
        _ => false,
    }
}

/// An object that must not be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectAbsent {
    /// The kubeconfig on the host. Where it is missing there is no cluster, and no object.
    pub kubeconfig: String,
    /// Which object.
    pub object: ObjectRef,
    /// Whether only an object with our label is removed; one of others counts as gone.
    pub only_ours: bool,
    /// How long it may take to go, in seconds.
    pub timeout_s: u64,
}

/// What is there of an object that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectAbsentState {
    /// Nobody can say: the API server does not answer.
    Unknown(String),
    /// Nothing.
    Absent,
    /// It is there.
    Present {
        /// Whether it has our label.
        ours: bool,
    },
}

impl ObjectAbsent {
    /// Whether it is there.
    pub fn compare(&self, state: &ObjectAbsentState) -> Comparison {
        let mut out = Comparison::default();
        match state {
            ObjectAbsentState::Absent => {}
            ObjectAbsentState::Present { ours } if self.only_ours && !ours => {}
            ObjectAbsentState::Present { .. } => out.add("object", Some("there".into()), None),
            ObjectAbsentState::Unknown(why) => out.add("object", Some(why.clone()), None),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(manifest: Value) -> Object {
        Object { kubeconfig: "/k".into(), component: "dns".into(), manifest, force: false }
    }

    fn secret() -> Object {
        object(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "namespace": "n", "labels": {"a": "b"}},
            "stringData": {"password": "{secret:p}", "user": "me"},
        }))
    }

    #[test]
    fn manifests_say_what_they_are() {
        assert_eq!(secret().reference().unwrap().to_string(), "Secret n/s");
        for (manifest, problem) in [
            (json!({}), "no `kind`"),
            (json!({"kind": "X"}), "no `apiVersion`"),
            (json!({"kind": "X", "apiVersion": "v1"}), "no `metadata.name`"),
            (json!({"kind": "PodList", "apiVersion": "v1", "items": []}), "a step of its own"),
        ] {
            let error = object(manifest).reference().unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        let mut deep = json!("{secret:p}");
        for _ in 0..200 {
            deep = json!([deep]);
        }
        assert!(object(deep.clone()).reference().unwrap_err().contains("deeper"));
        assert!(object(deep).secret_names().is_empty());
    }

    #[test]
    fn secrets_texts_become_data_and_objects_are_marked_as_ours() {
        let mut secrets = Secrets::default();
        secrets.insert("p", "hunter22");
        let filled = secret().filled(&secrets).unwrap();
        assert_eq!(filled["data"], json!({"password": "aHVudGVyMjI=", "user": "bWU="}));
        assert!(filled.get("stringData").is_none());
        assert_eq!(filled["metadata"]["labels"], json!({"a": "b", MANAGED_BY_LABEL: "kubespray"}));
        assert_eq!(filled["metadata"]["annotations"], json!({COMPONENT_ANNOTATION: "dns"}));
        assert_eq!(secret().secret_names(), ["p"]);
        assert!(secret().filled(&Secrets::default()).is_err());
    }

    #[test]
    fn secrets_are_compared_by_digest_and_hidden() {
        let live =
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"password": "aHVudGVyMjI=", "x": "eA=="}});
        let wish = secret();
        assert_eq!(wish.filled_from(&live)["data"]["password"], "aHVudGVyMjI=");
        let seen = ObjectSeen { secrets: wish.secret_digests(&live), ..ObjectSeen::default() };
        let compare = |value: &str| {
            let mut secrets = Secrets::default();
            secrets.insert("p", value);
            wish.compare(&ObjectState::Present(Box::new(seen.clone())), &secrets).unwrap().changes
        };
        assert!(compare("hunter22").is_empty());
        assert_eq!(compare("other"), [Change { what: ".data.password".into(), from: None, to: None }]);
        let mut hidden = live;
        wish.hide(&mut hidden);
        assert_eq!(hidden["data"], json!({"password": "***", "x": "***"}));
    }

    #[test]
    fn secrets_in_lists_are_found_by_name() {
        let wish = object(json!({"env": [{"name": "A", "value": "{secret:a}"}], "args": ["--x={secret:b}"]}));
        let live =
            json!({"env": [{"name": "Z", "value": "z"}, {"name": "A", "value": "1"}], "args": ["--x=2"]});
        let digests = wish.secret_digests(&live);
        let paths: Vec<_> = digests.keys().map(String::as_str).collect();
        assert_eq!(paths, [".args[0]", ".env[A].value"]);
        assert_eq!(digests[".env[A].value"], Digest::of(b"1"));
        assert_eq!(wish.filled_from(&live)["env"][0]["value"], "1");
        assert_eq!(wish.filled_from(&json!({}))["args"], json!(["***"]));
        for (path, hidden) in
            [(".args", true), (".args[1]", true), (".env", true), (".env[A].value", true), (".env[Z]", false)]
        {
            assert_eq!(wish.hides(path), hidden, "{path}");
        }
        let mut hidden = live;
        wish.hide(&mut hidden);
        let expected =
            json!({"env": [{"name": "Z", "value": "z"}, {"name": "A", "value": "***"}], "args": "***"});
        assert_eq!(hidden, expected);
    }

    #[test]
    fn what_was_seen_counts() {
        let wish = object(json!({}));
        let differs = |wish: &Object, state: &ObjectState| {
            let compared = wish.compare(state, &Secrets::default()).unwrap();
            compared.changes.into_iter().map(|change| change.what).collect::<Vec<_>>()
        };
        let present = |seen| ObjectState::Present(Box::new(seen));
        assert_eq!(differs(&wish, &ObjectState::Absent), ["object"]);
        assert_eq!(differs(&wish, &ObjectState::Unknown("no cluster".into())), ["object"]);
        assert!(differs(&wish, &present(ObjectSeen::default())).is_empty());
        let owned = present(ObjectSeen { ownership: true, ..ObjectSeen::default() });
        assert_eq!(differs(&wish, &owned), ["owner of fields"]);
        let conflict = present(ObjectSeen { conflicts: vec!["x".into()], ..ObjectSeen::default() });
        assert_eq!(differs(&wish, &conflict), ["conflict"]);
        assert!(differs(&Object { force: true, ..wish.clone() }, &conflict).is_empty());
        let fixed = present(ObjectSeen { fixed: vec!["spec.selector".into()], ..ObjectSeen::default() });
        assert_eq!(differs(&wish, &fixed), ["object"]);
        let deleting = present(ObjectSeen { deleting: Some(Vec::new()), ..ObjectSeen::default() });
        assert_eq!(differs(&wish, &deleting), ["object"]);
    }

    #[test]
    fn objects_of_others_may_stay() {
        let mut absent = ObjectAbsent {
            kubeconfig: "/k".into(),
            object: object(json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n"}}))
                .reference()
                .unwrap(),
            only_ours: true,
            timeout_s: 1,
        };
        assert!(absent.compare(&ObjectAbsentState::Absent).is_same());
        assert!(absent.compare(&ObjectAbsentState::Present { ours: false }).is_same());
        assert!(!absent.compare(&ObjectAbsentState::Present { ours: true }).is_same());
        absent.only_ours = false;
        assert!(!absent.compare(&ObjectAbsentState::Present { ours: false }).is_same());
        assert!(!absent.compare(&ObjectAbsentState::Unknown("down".into())).is_same());
    }
}
