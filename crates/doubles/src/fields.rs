//! Who owns which fields of an object, as API servers keep it. Lists of structures are merged by the keys that
//! Kubernetes gives them, all others are one value.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A way to a value: `f:KEY` or `k:{"name":"NAME"}`.
type Path = Vec<String>;

/// Deeper values are one.
const DEEPEST: usize = 40;

/// Names and what the server writes belong to nobody.
const OF_NOBODY: [&str; 10] = [
    "name",
    "namespace",
    "generateName",
    "managedFields",
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// Ways to all values of an owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeSet<Path>);

/// By what the elements of a list are told apart; nothing where the list is one value.
pub(crate) fn keys(field: &str, items: &[Value]) -> Option<&'static [&'static str]> {
    let keys: &'static [&'static str] = match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "webhooks" => &["name"],
        "ports" if items.iter().all(|item| item.get("containerPort").is_some()) => {
            &["containerPort", "protocol"]
        }
        "ports" => &["port", "protocol"],
        "volumeMounts" => &["mountPath"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        _ => return None,
    };
    let has_keys = |item: &Value| keys.first().is_some_and(|key| item.get(*key).is_some());
    (!items.is_empty() && items.iter().all(has_keys)).then_some(keys)
}

/// What tells an element apart.
pub(crate) fn key_of(item: &Value, keys: &[&str]) -> Value {
    let key = |key: &&str| {
        let default = if *key == "protocol" { Value::from("TCP") } else { Value::Null };
        ((*key).to_owned(), item.get(*key).cloned().unwrap_or(default))
    };
    Value::Object(keys.iter().map(key).collect())
}

fn has_key(item: &Value, key: &Value) -> bool {
    let keys: Vec<&str> =
        key.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
    key_of(item, &keys) == *key
}

impl Fields {
    /// All fields of an object that can have owners.
    pub fn of(object: &Value) -> Self {
        let mut out = BTreeSet::new();
        for (key, value) in object.as_object().into_iter().flatten() {
            match key.as_str() {
                "apiVersion" | "kind" | "status" => {}
                "metadata" => {
                    for (key, value) in value.as_object().into_iter().flatten() {
                        if !OF_NOBODY.contains(&key.as_str()) {
                            collect(key, value, &["f:metadata".into(), format!("f:{key}")], &mut out);
                        }
                    }
                }
                _ => collect(key, value, &[format!("f:{key}")], &mut out),
            }
        }
        Self(out)
    }

    /// As `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        for path in &self.0 {
            let mut at = &mut out;
            for part in path {
                let entry = at.entry(part.clone()).or_insert_with(|| json!({}));
                let Value::Object(next) = entry else { break };
                at = next;
            }
        }
        Value::Object(out)
    }

    /// From `fieldsV1`.
    pub fn from_json(value: &Value) -> Self {
        fn walk(value: &Value, path: &Path, out: &mut BTreeSet<Path>) {
            let Some(map) = value.as_object() else { return };
            if map.is_empty() && !path.is_empty() || path.len() > 2 * DEEPEST {
                out.insert(path.clone());
                return;
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

fn collect(field: &str, value: &Value, path: &[String], out: &mut BTreeSet<Path>) {
    let with = |part: String| [path, &[part]].concat();
    match value {
        Value::Object(map) if !map.is_empty() && path.len() < DEEPEST => {
            map.iter().for_each(|(key, value)| collect(key, value, &with(format!("f:{key}")), out));
        }
        Value::Array(items) if path.len() < DEEPEST => match keys(field, items) {
            Some(keys) => items
                .iter()
                .for_each(|item| collect("", item, &with(format!("k:{}", key_of(item, keys))), out)),
            None => _ = out.insert(path.to_vec()),
        },
        _ => _ = out.insert(path.to_vec()),
    }
}

fn named(part: &str) -> Value {
    serde_json::from_str(part.strip_prefix("k:").unwrap_or_default()).unwrap_or_default()
}

fn find<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |at, part| match part.strip_prefix("f:") {
        Some(key) => at.get(key),
        None => {
            let key = named(part);
            at.as_array()?.iter().find(|item| has_key(item, &key))
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
        let Value::Object(map) = object else { return };
        if rest.is_empty() && value.is_none() {
            map.shift_remove(key);
        } else if value.is_some() || map.contains_key(key) {
            put(map.entry(key).or_insert(Value::Null), rest, value);
        }
        return;
    }
    let key = named(part);
    if !object.is_array() {
        *object = json!([]);
    }
    let Value::Array(items) = object else { return };
    match items.iter_mut().find(|item| has_key(item, &key)) {
        Some(item) => put(item, rest, value),
        None if value.is_some() => {
            let mut item = key;
            put(&mut item, rest, value);
            items.push(item);
        }
        None => {}
    }
}

/// Removes elements of lists that nobody owns any more: nothing is left of them but what tells them apart.
fn drop_empty(object: &mut Value, removed: &BTreeSet<Path>) {
    for path in removed {
        for end in (1..path.len()).rev() {
            let (Some(part), Some(above)) = (path.get(end), path.get(..end)) else { continue };
            if !part.starts_with("k:") {
                continue;
            }
            let key = named(part);
            let Some(list) = find(object, above).and_then(Value::as_array) else { continue };
            let is_bare = |item: &Value| {
                has_key(item, &key)
                    && item.as_object().is_some_and(|map| map.keys().all(|name| key.get(name).is_some()))
            };
            if list.iter().any(is_bare) {
                let left: Vec<Value> = list.iter().filter(|item| !is_bare(item)).cloned().collect();
                let left = if left.is_empty() { None } else { Some(Value::Array(left)) };
                put(object, above, left.as_ref());
            }
        }
    }
}

fn shown(path: &[String]) -> String {
    let part = |part: &String| match part.strip_prefix("f:") {
        Some(key) => format!(".{key}"),
        None => {
            let key = named(part);
            let pairs = key.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
            format!("[{}]", pairs.collect::<Vec<_>>().join(","))
        }
    };
    path.iter().map(part).collect()
}

fn entries(object: &Value) -> Vec<Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn set_entries(object: &mut Value, entries: Vec<Value>) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("managedFields".into(), entries.into());
    }
}

fn entry(object: &Value, manager: &str, operation: &str, fields: &Fields) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": object["apiVersion"],
        "fieldsType": "FieldsV1", "fieldsV1": fields.to_json()})
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
        let mut metadata = Map::new();
        for key in ["name", "namespace"] {
            if let Some(value) = manifest.pointer(&format!("/metadata/{key}")) {
                metadata.insert(key.into(), value.clone());
            }
        }
        json!({"apiVersion": manifest["apiVersion"], "kind": manifest["kind"], "metadata": metadata})
    });
    let mut conflicts = Vec::new();
    let mut left_entries = Vec::new();
    let mut before = Fields::default();
    let mut of_others = BTreeSet::new();
    for mut one in entries(&next) {
        let fields = Fields::from_json(&one["fieldsV1"]);
        if one["manager"] == manager && one["operation"] == "Apply" && one.get("subresource").is_none() {
            before = fields;
            continue;
        }
        let is_taken = |path: &&Path| wanted.0.contains(*path) && find(&next, path) != find(manifest, path);
        let taken: BTreeSet<Path> = fields.0.iter().filter(is_taken).cloned().collect();
        let name = one["manager"].as_str().unwrap_or_default().to_owned();
        conflicts.extend(taken.iter().map(|path| (shown(path), name.clone())));
        let left = Fields(fields.0.difference(&taken).cloned().collect());
        of_others.extend(left.0.iter().cloned());
        if !left.0.is_empty() {
            one["fieldsV1"] = left.to_json();
            left_entries.push(one);
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let removed: BTreeSet<Path> =
        before.0.difference(&wanted.0).filter(|path| !of_others.contains(*path)).cloned().collect();
    for path in &removed {
        put(&mut next, path, None);
    }
    drop_empty(&mut next, &removed);
    for path in &wanted.0 {
        put(&mut next, path, find(manifest, path));
    }
    left_entries.push(entry(manifest, manager, "Apply", &wanted));
    set_entries(&mut next, left_entries);
    Ok(next)
}

/// Notes who changed what: the author of an update owns what differs from before, and nobody else does.
pub fn note_update(live: Option<&Value>, next: &mut Value, manager: &str) {
    let nothing = Value::Null;
    let mut changed = Fields::of(next);
    changed.0.retain(|path| find(live.unwrap_or(&nothing), path) != find(next, path));
    let mut left_entries = Vec::new();
    let mut ours = changed.clone();
    for mut one in live.map(entries).unwrap_or_default() {
        let fields = Fields::from_json(&one["fieldsV1"]);
        if one["manager"] == manager && one["operation"] == "Update" {
            ours.0.extend(fields.0.into_iter().filter(|path| find(next, path).is_some()));
            continue;
        }
        let is_left = |path: &Path| !changed.0.contains(path) && find(next, path).is_some();
        let left = Fields(fields.0.into_iter().filter(is_left).collect());
        if !left.0.is_empty() {
            one["fieldsV1"] = left.to_json();
            left_entries.push(one);
        }
    }
    if !ours.0.is_empty() {
        left_entries.push(entry(next, manager, "Update", &ours));
    }
    set_entries(next, left_entries);
}

/// A merge patch (RFC 7386); with `strategic`, lists of structures are merged by their keys.
pub fn merge_into(target: &mut Value, patch: &Value, strategic: bool) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        match value {
            Value::Null => _ = map.shift_remove(key),
            Value::Array(items) if strategic => match keys(key, items) {
                Some(keys) => {
                    let entry = map.entry(key).or_insert_with(|| json!([]));
                    if !entry.is_array() {
                        *entry = json!([]);
                    }
                    let Value::Array(list) = entry else { continue };
                    for item in items {
                        let key = key_of(item, keys);
                        match list.iter_mut().find(|found| has_key(found, &key)) {
                            Some(found) => merge_into(found, item, true),
                            None => list.push(item.clone()),
                        }
                    }
                }
                None => _ = map.insert(key.clone(), value.clone()),
            },
            _ => merge_into(map.entry(key).or_insert(Value::Null), value, strategic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, ports: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
            "spec": {"containers": [{"name": "c", "image": image, "ports": ports}]}})
    }

    #[test]
    fn fields_have_owners() {
        let dns = json!([{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]);
        let made = apply(None, &pod("i:1", dns.clone()), "us", false).unwrap();
        assert_eq!(made["spec"]["containers"][0]["ports"].as_array().unwrap().len(), 2);
        let mut theirs = made.clone();
        theirs["spec"]["containers"][0]["image"] = "i:2".into();
        note_update(Some(&made), &mut theirs, "them");
        let conflicts = apply(Some(&theirs), &pod("i:1", dns.clone()), "us", false).unwrap_err();
        assert_eq!(conflicts, [(".spec.containers[name=\"c\"].image".to_owned(), "them".to_owned())]);
        let forced = apply(Some(&theirs), &pod("i:3", json!([])), "us", true).unwrap();
        assert_eq!(forced["spec"]["containers"], json!([{"name": "c", "image": "i:3", "ports": []}]));
        let same = apply(Some(&forced), &pod("i:3", json!([])), "us", false).unwrap();
        assert_eq!(same, forced);
    }

    #[test]
    fn patches_merge_lists_by_their_keys_when_they_are_strategic() {
        let patch = json!({"spec": {"containers": [{"name": "c", "image": "i:2"}, {"name": "d"}]}});
        let mut strategic = pod("i:1", json!([]));
        merge_into(&mut strategic, &patch, true);
        let expected = json!([{"name": "c", "image": "i:2", "ports": []}, {"name": "d"}]);
        assert_eq!(strategic["spec"]["containers"], expected);
        let mut plain = pod("i:1", json!([]));
        merge_into(&mut plain, &patch, false);
        assert_eq!(plain["spec"]["containers"], patch["spec"]["containers"]);
    }
}
