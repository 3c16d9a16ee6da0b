//! How an object of the API server differs from what it would become.

use kubespray_resource::{Change, FIELD_MANAGER};
use serde_json::Value;

/// Longer values are cut.
const LONGEST_VALUE: usize = 200;

/// Deeper values are compared as wholes.
const DEEPEST: usize = 100;

/// What the server writes by itself: no part of what anybody wishes.
const OF_THE_SERVER: [&str; 6] =
    ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// An object without what the server writes by itself.
pub(crate) fn cleaned(object: &Value) -> Value {
    let mut out = object.clone();
    if let Some(map) = out.as_object_mut() {
        map.remove("status");
    }
    if let Some(Value::Object(metadata)) = out.get_mut("metadata") {
        for field in OF_THE_SERVER {
            metadata.remove(field);
        }
        // A copy of the whole object, secrets too, that `kubectl apply` keeps for itself.
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    out
}

/// Whether the fields that are ours differ between two versions of an object.
pub(crate) fn ownership_differs(before: &Value, after: &Value) -> bool {
    let ours = |object: &Value| {
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
        let entry = entries.iter().find(|entry| {
            let is = |key: &str, text: &str| entry.get(key).and_then(Value::as_str) == Some(text);
            is("manager", FIELD_MANAGER) && is("operation", "Apply") && entry.get("subresource").is_none()
        });
        entry?.get("fieldsV1").cloned()
    };
    ours(before) != ours(after)
}

/// The values that differ, by path. Values that `hidden` says so of are not shown.
pub(crate) fn changes(before: &Value, after: &Value, hidden: &dyn Fn(&str) -> bool) -> Vec<Change> {
    let mut out = Vec::new();
    walk(Some(before), Some(after), "", 0, &mut out);
    for change in &mut out {
        if hidden(&change.what) {
            change.from = None;
            change.to = None;
        }
    }
    out
}

fn walk(before: Option<&Value>, after: Option<&Value>, path: &str, depth: usize, out: &mut Vec<Change>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) if depth < DEEPEST => {
            for (key, value) in before {
                walk(Some(value), after.get(key), &joined(path, key), depth + 1, out);
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                walk(None, Some(value), &joined(path, key), depth + 1, out);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after)))
            if depth < DEEPEST && before.len() == after.len() =>
        {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                let name = after.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| index.to_string(), str::to_owned);
                walk(Some(before), Some(after), &format!("{path}[{name}]"), depth + 1, out);
            }
        }
        (before, after) => {
            out.push(Change { what: path.to_owned(), from: before.map(shown), to: after.map(shown) });
        }
    }
}

fn joined(path: &str, key: &str) -> String {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_plain { format!("{path}.{key}") } else { format!("{path}[{key}]") }
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let before = json!({
            "metadata": {"resourceVersion": "1", "labels": {"a/b": "1"}}, "status": {"x": 1},
            "spec": {"replicas": 1, "list": [{"name": "c", "image": "x:1"}], "args": ["a"], "gone": true},
        });
        let after = json!({
            "metadata": {"resourceVersion": "1", "labels": {"a/b": "2"}}, "status": {"x": 2},
            "spec": {"replicas": 1, "list": [{"name": "c", "image": "x:2"}], "args": ["a", "b"], "new": "n"},
        });
        let changes = changes(&cleaned(&before), &cleaned(&after), &|path| path == ".spec.new");
        let found: Vec<_> = changes
            .iter()
            .map(|change| (change.what.as_str(), change.from.as_deref(), change.to.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                (".metadata.labels[a/b]", Some("1"), Some("2")),
                (".spec.list[c].image", Some("x:1"), Some("x:2")),
                (".spec.args", Some("[\"a\"]"), Some("[\"a\",\"b\"]")),
                (".spec.gone", Some("true"), None),
                (".spec.new", None, None),
            ]
        );
    }

    #[test]
    fn ownership_is_that_of_our_manager() {
        let object = |manager: &str, fields: Value| {
            json!({"metadata": {"managedFields": [
                {"manager": "other", "operation": "Update", "fieldsV1": {"f:x": {}}},
                {"manager": manager, "operation": "Apply", "time": "now", "fieldsV1": fields},
            ]}})
        };
        let ours = object("kubespray", json!({"f:a": {}}));
        assert!(!ownership_differs(&ours, &ours));
        assert!(ownership_differs(&ours, &object("kubespray", json!({"f:b": {}}))));
        assert!(ownership_differs(&object("someone", json!({})), &ours));
    }
}
