//! Who owns which fields of an object, as API servers keep it: enough of server-side apply for our manifests.
//! Lists whose elements have names are merged by them, all others are one value.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A way to a value: `f:KEY` or `k:{"name":"NAME"}`.
type Path = Vec<String>;

/// Ways to all values of an owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(BTreeSet<Path>);

/// Names and what the server writes belong to nobody.
const OF_NOBODY: [&str; 9] = [
    "name",
    "namespace",
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

impl Fields {
    pub fn of(object: &Value) -> Self {
        let mut out = BTreeSet::new();
        for (key, value) in object.as_object().unwrap() {
            match key.as_str() {
                "apiVersion" | "kind" | "status" => {}
                "metadata" => {
                    for (key, value) in value.as_object().unwrap() {
                        if !OF_NOBODY.contains(&key.as_str()) {
                            collect(value, vec!["f:metadata".into(), format!("f:{key}")], &mut out);
                        }
                    }
                }
                _ => collect(value, vec![format!("f:{key}")], &mut out),
            }
        }
        Self(out)
    }

    pub fn to_json(&self) -> Value {
        let mut out = json!({});
        for path in &self.0 {
            let mut at = &mut out;
            for part in path {
                at = at.as_object_mut().unwrap().entry(part.clone()).or_insert(json!({}));
            }
        }
        out
    }

    fn from_json(value: &Value) -> Self {
        fn walk(value: &Value, path: &Path, out: &mut BTreeSet<Path>) {
            let map = value.as_object().unwrap();
            if map.is_empty() && !path.is_empty() {
                out.insert(path.clone());
            }
            for (key, value) in map {
                let mut path = path.clone();
                path.push(key.clone());
                walk(value, &path, out);
            }
        }
        let mut out = BTreeSet::new();
        walk(value, &Vec::new(), &mut out);
        Self(out)
    }
}

fn collect(value: &Value, path: Path, out: &mut BTreeSet<Path>) {
    let with = |part: String| {
        let mut path = path.clone();
        path.push(part);
        path
    };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| collect(value, with(format!("f:{key}")), out));
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(|item| item.get("name").is_some()) => {
            items.iter().for_each(|item| collect(item, with(json!({"name": item["name"]}).to_string()), out));
        }
        _ => {
            out.insert(path);
        }
    }
}

fn find<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |at, part| match part.strip_prefix("f:") {
        Some(key) => at.get(key),
        None => {
            let named: Value = serde_json::from_str(part).unwrap();
            at.as_array()?.iter().find(|item| item["name"] == named["name"])
        }
    })
}

fn put(object: &mut Value, path: &[String], value: Option<&Value>) {
    let Some((part, rest)) = path.split_first() else {
        *object = value.cloned().unwrap_or_default();
        return;
    };
    if let Some(key) = part.strip_prefix("f:") {
        if !object.is_object() {
            *object = json!({});
        }
        let map = object.as_object_mut().unwrap();
        if rest.is_empty() && value.is_none() {
            map.remove(key);
        } else if value.is_some() || map.contains_key(key) {
            put(map.entry(key).or_insert(Value::Null), rest, value);
        }
        return;
    }
    let named: Value = serde_json::from_str(part).unwrap();
    if !object.is_array() {
        *object = json!([]);
    }
    let items = object.as_array_mut().unwrap();
    match items.iter().position(|item| item["name"] == named["name"]) {
        Some(at) => put(&mut items[at], rest, value),
        None if value.is_some() => {
            items.push(named);
            let last = items.len() - 1;
            put(&mut items[last], rest, value);
        }
        None => {}
    }
}

fn shown(path: &[String]) -> String {
    path.iter()
        .map(|part| part.strip_prefix("f:").map_or_else(|| format!("[{part}]"), |key| format!(".{key}")))
        .collect()
}

fn owners(object: &Value) -> Vec<Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The object after an apply; or the conflicts as field and manager.
pub fn apply(
    live: Option<&Value>,
    manifest: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Vec<(String, String)>> {
    let wanted = Fields::of(manifest);
    let mut next = live.cloned().unwrap_or_else(|| {
        let mut base =
            json!({"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": {}});
        for key in ["name", "namespace"] {
            if let Some(value) = manifest["metadata"].get(key) {
                base["metadata"][key] = value.clone();
            }
        }
        base
    });
    let mut conflicts = Vec::new();
    let mut entries = Vec::new();
    let mut before = Fields::default();
    let mut of_others = BTreeSet::new();
    for mut entry in owners(&next) {
        let fields = Fields::from_json(&entry["fieldsV1"]);
        if entry["manager"] == manager && entry["operation"] == "Apply" {
            before = fields;
            continue;
        }
        let taken: BTreeSet<Path> = fields
            .0
            .iter()
            .filter(|path| wanted.0.contains(*path) && find(&next, path) != find(manifest, path))
            .cloned()
            .collect();
        let name = entry["manager"].as_str().unwrap().to_owned();
        conflicts.extend(taken.iter().map(|path| (shown(path), name.clone())));
        let left = Fields(fields.0.difference(&taken).cloned().collect());
        of_others.extend(left.0.iter().cloned());
        if !left.0.is_empty() {
            entry["fieldsV1"] = left.to_json();
            entries.push(entry);
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    for path in before.0.difference(&wanted.0).filter(|path| !of_others.contains(*path)) {
        put(&mut next, path, None);
    }
    for path in &wanted.0 {
        put(&mut next, path, find(manifest, path));
    }
    entries.push(json!({"manager": manager, "operation": "Apply", "apiVersion": manifest["apiVersion"],
        "fieldsType": "FieldsV1", "fieldsV1": wanted.to_json()}));
    next["metadata"]["managedFields"] = entries.into();
    Ok(next)
}

/// The object after a merge patch: its author owns what changed, and nobody else does.
pub fn merge(live: &Value, patch: &Value, manager: &str) -> Value {
    let mut next = live.clone();
    merge_into(&mut next, patch);
    let mut changed = Fields::of(&next);
    changed.0.retain(|path| find(live, path) != find(&next, path));
    let mut entries = Vec::new();
    let mut ours = changed.clone();
    for mut entry in owners(live) {
        let fields = Fields::from_json(&entry["fieldsV1"]);
        if entry["manager"] == manager && entry["operation"] == "Update" {
            ours.0.extend(fields.0.into_iter().filter(|path| find(&next, path).is_some()));
            continue;
        }
        let left = Fields(
            fields
                .0
                .into_iter()
                .filter(|path| !changed.0.contains(path) && find(&next, path).is_some())
                .collect(),
        );
        if !left.0.is_empty() {
            entry["fieldsV1"] = left.to_json();
            entries.push(entry);
        }
    }
    entries.push(json!({"manager": manager, "operation": "Update", "apiVersion": next["apiVersion"],
        "fieldsType": "FieldsV1", "fieldsV1": ours.to_json()}));
    next["metadata"]["managedFields"] = entries.into();
    next
}

fn merge_into(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let map = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_into(map.entry(key).or_insert(Value::Null), value);
        }
    }
}
