//! Who owns which fields of an object: enough of server-side apply for our manifests. Lists whose elements have names
//! are merged by them, all others are one value.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A way to a value: `f:KEY` or `k:NAME`.
type Path = Vec<String>;

/// What the server writes belongs to nobody, and neither do names.
const OF_NOBODY: [&str; 8] = [
    "name",
    "namespace",
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
];

/// Deeper values are one.
const DEEPEST: usize = 40;

fn owned(object: &Value) -> BTreeSet<Path> {
    let mut out = BTreeSet::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if !OF_NOBODY.contains(&key.as_str()) {
                        collect(value, &["f:metadata".into(), format!("f:{key}")], &mut out);
                    }
                }
            }
            _ => collect(value, &[format!("f:{key}")], &mut out),
        }
    }
    out
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

fn collect(value: &Value, path: &[String], out: &mut BTreeSet<Path>) {
    let with = |part: String| [path, &[part]].concat();
    match value {
        Value::Object(map) if !map.is_empty() && path.len() < DEEPEST => {
            map.iter().for_each(|(key, value)| collect(value, &with(format!("f:{key}")), out));
        }
        Value::Array(items)
            if !items.is_empty()
                && items.iter().all(|item| name_of(item).is_some())
                && path.len() < DEEPEST =>
        {
            for item in items {
                collect(item, &with(format!("k:{}", name_of(item).unwrap_or_default())), out);
            }
        }
        _ => drop(out.insert(path.to_vec())),
    }
}

fn find<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |at, part| match part.split_once(':')? {
        ("f", key) => at.get(key),
        (_, name) => at.as_array()?.iter().find(|item| name_of(item) == Some(name)),
    })
}

fn put(object: &mut Value, path: &[String], value: Option<&Value>) {
    let Some((part, rest)) = path.split_first() else {
        *object = value.cloned().unwrap_or_default();
        return;
    };
    match part.split_once(':') {
        Some(("f", key)) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            let Some(map) = object.as_object_mut() else { return };
            if rest.is_empty() && value.is_none() {
                map.remove(key);
            } else if value.is_some() || map.contains_key(key) {
                put(map.entry(key).or_insert(Value::Null), rest, value);
            }
        }
        Some((_, name)) => {
            if !object.is_array() {
                *object = json!([]);
            }
            let Some(items) = object.as_array_mut() else { return };
            if value.is_some() && !items.iter().any(|item| name_of(item) == Some(name)) {
                items.push(json!({ "name": name }));
            }
            if let Some(item) = items.iter_mut().find(|item| name_of(item) == Some(name)) {
                put(item, rest, value);
            }
        }
        None => {}
    }
}

fn owners(object: &Value) -> Vec<(String, BTreeSet<Path>)> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let entries = list.into_iter().flatten().filter_map(|entry| {
        let paths: Vec<Path> = serde_json::from_value(entry.get("fieldsV1")?.get("paths")?.clone()).ok()?;
        Some((entry.get("manager")?.as_str()?.to_owned(), paths.into_iter().collect()))
    });
    entries.collect()
}

fn set_owners(object: &mut Value, owners: &[(String, BTreeSet<Path>)]) {
    let entries: Vec<Value> = owners
        .iter()
        .filter(|(_, paths)| !paths.is_empty())
        .map(|(manager, paths)| json!({"manager": manager, "operation": "Apply", "fieldsV1": {"paths": paths}}))
        .collect();
    if let Some(map) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        map.insert("managedFields".into(), entries.into());
    }
}

/// The object after an apply; or the fields that others own and that would change, with them.
pub(super) fn apply(
    live: Option<&Value>,
    manifest: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Vec<(String, String)>> {
    let wanted = owned(manifest);
    let mut next = live.cloned().unwrap_or_else(|| {
        let mut metadata = Map::new();
        for key in ["name", "namespace"] {
            if let Some(value) = manifest.get("metadata").and_then(|metadata| metadata.get(key)) {
                metadata.insert(key.to_owned(), value.clone());
            }
        }
        json!({"apiVersion": manifest.get("apiVersion"), "kind": manifest.get("kind"), "metadata": metadata})
    });
    let (mut conflicts, mut left, mut before) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (name, mut paths) in owners(&next) {
        if name == manager {
            before = paths;
            continue;
        }
        let is_taken = |path: &Path| wanted.contains(path) && find(&next, path) != find(manifest, path);
        conflicts
            .extend(paths.iter().filter(|path| is_taken(path)).map(|path| (path.concat(), name.clone())));
        paths.retain(|path| !is_taken(path));
        left.push((name, paths));
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let is_others = |path: &Path| left.iter().any(|(_, paths)| paths.contains(path));
    for path in before.difference(&wanted).filter(|path| !is_others(path)) {
        put(&mut next, path, None);
    }
    for path in &wanted {
        put(&mut next, path, find(manifest, path));
    }
    left.push((manager.to_owned(), wanted));
    set_owners(&mut next, &left);
    Ok(next)
}

/// The object after a merge patch: its author owns what changed.
pub(super) fn merge(live: &Value, patch: &Value, manager: &str) -> Value {
    let mut next = live.clone();
    merge_into(&mut next, patch, 0);
    let mut changed = owned(&next);
    changed.retain(|path| find(live, path) != find(&next, path));
    let mut left = Vec::new();
    for (name, mut paths) in owners(live) {
        paths.retain(|path| find(&next, path).is_some());
        if name == manager {
            changed.extend(paths);
        } else {
            paths.retain(|path| !changed.contains(path));
            left.push((name, paths));
        }
    }
    left.push((manager.to_owned(), changed));
    set_owners(&mut next, &left);
    next
}

fn merge_into(target: &mut Value, patch: &Value, depth: usize) {
    let Some(patch) = patch.as_object().filter(|_| depth < DEEPEST) else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_into(map.entry(key).or_insert(Value::Null), value, depth + 1);
        }
    }
}
