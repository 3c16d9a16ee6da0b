//! Fields of objects and documents: what Kubernetes does not know is refused, wherever it stands.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

const TEXT: &str = include_str!("schema.txt");

/// Deeper values are refused.
const DEEPEST: usize = 60;

#[derive(Debug)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    IntegerOrText,
    Quantity,
    Any,
    List(Box<Kind>),
    Map(Box<Kind>),
    Type(String),
}

type Types = BTreeMap<String, BTreeMap<String, Kind>>;

fn types() -> &'static Types {
    static TYPES: OnceLock<Types> = OnceLock::new();
    TYPES.get_or_init(|| {
        let lines = TEXT.lines().filter(|line| !line.starts_with('#'));
        let types = lines.filter_map(|line| {
            let (name, fields) = line.split_once(": ").or_else(|| line.split_once(':'))?;
            let fields = fields.split_whitespace().filter_map(|field| {
                let (name, kind) = field.split_once(':')?;
                Some((name.to_owned(), kind_of(kind)))
            });
            Some((name.to_owned(), fields.collect()))
        });
        types.collect()
    })
}

fn kind_of(text: &str) -> Kind {
    let inner = |open, close| text.strip_prefix(open).and_then(|text: &str| text.strip_suffix(close));
    if let Some(inner) = inner('[', ']') {
        return Kind::List(Box::new(kind_of(inner)));
    }
    if let Some(inner) = inner('{', '}') {
        return Kind::Map(Box::new(kind_of(inner)));
    }
    match text {
        "s" => Kind::Text,
        "i" => Kind::Integer,
        "f" => Kind::Number,
        "b" => Kind::Boolean,
        "is" => Kind::IntegerOrText,
        "q" => Kind::Quantity,
        "any" => Kind::Any,
        name => Kind::Type(name.to_owned()),
    }
}

/// What is wrong with an object of Kubernetes' API, which has metadata: unknown fields and values of wrong types.
pub(crate) fn object_problems(kind: &str, object: &Value) -> Vec<String> {
    problems(kind, object, true)
}

/// What is wrong with a document of configuration.
pub(crate) fn document_problems(kind: &str, document: &Value) -> Vec<String> {
    problems(kind, document, false)
}

fn problems(kind: &str, value: &Value, has_metadata: bool) -> Vec<String> {
    let mut out = Vec::new();
    let Some(fields) = types().get(kind) else { return vec![format!("no kind \"{kind}\" is registered")] };
    let Some(map) = value.as_object() else { return vec![format!("{kind} is no map")] };
    let meta = Kind::Type("Meta".into());
    for (key, value) in map {
        match key.as_str() {
            "apiVersion" | "kind" if value.is_string() => {}
            "metadata" if has_metadata => check(&meta, value, "metadata", 0, &mut out),
            _ => match fields.get(key) {
                Some(kind) => check(kind, value, key, 0, &mut out),
                None => out.push(format!("unknown field \"{key}\"")),
            },
        }
    }
    out
}

fn check(kind: &Kind, value: &Value, path: &str, depth: usize, out: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    if depth > DEEPEST {
        out.push(format!("\"{path}\" is too deep"));
        return;
    }
    let fits = match kind {
        Kind::Text => value.is_string(),
        Kind::Integer => value.is_i64() || value.is_u64(),
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::IntegerOrText => value.is_string() || value.is_i64() || value.is_u64(),
        Kind::Quantity => value.is_number() || value.as_str().is_some_and(is_quantity),
        Kind::Any => true,
        Kind::List(inner) => match value.as_array() {
            Some(items) => {
                for (at, item) in items.iter().enumerate() {
                    check(inner, item, &format!("{path}[{at}]"), depth + 1, out);
                }
                true
            }
            None => false,
        },
        Kind::Map(inner) => match value.as_object() {
            Some(map) => {
                map.iter()
                    .for_each(|(key, item)| check(inner, item, &format!("{path}.{key}"), depth + 1, out));
                true
            }
            None => false,
        },
        Kind::Type(name) => match (value.as_object(), types().get(name)) {
            (Some(map), Some(fields)) => {
                for (key, item) in map {
                    match fields.get(key) {
                        Some(kind) => check(kind, item, &format!("{path}.{key}"), depth + 1, out),
                        None => out.push(format!("unknown field \"{path}.{key}\"")),
                    }
                }
                true
            }
            _ => false,
        },
    };
    if !fits {
        out.push(format!("cannot unmarshal {} into field \"{path}\"", told(value)));
    }
}

fn told(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_quantity(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let known = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let is_exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|digits| digits.parse::<i32>().is_ok());
    number.parse::<f64>().is_ok() && (known.contains(&suffix) || is_exponent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_that_is_named_is_there() {
        fn names(kind: &Kind, out: &mut Vec<String>) {
            match kind {
                Kind::List(inner) | Kind::Map(inner) => names(inner, out),
                Kind::Type(name) => out.push(name.clone()),
                _ => {}
            }
        }
        let mut named = Vec::new();
        types().values().flat_map(BTreeMap::values).for_each(|kind| names(kind, &mut named));
        assert!(named.len() > 50);
        for name in named {
            assert!(types().contains_key(&name), "{name}");
        }
    }

    #[test]
    fn unknown_fields_and_wrong_types_are_found_however_deep() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "colour": "red"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1 core"}},
                "livenessProbe": {"httpGet": {"prt": 1}}}], "hostNetwork": "yes"}});
        assert_eq!(
            object_problems("Pod", &pod),
            [
                "unknown field \"metadata.colour\"",
                "cannot unmarshal string into field \"spec.containers[0].resources.limits.cpu\"",
                "unknown field \"spec.containers[0].livenessProbe.httpGet.prt\"",
                "cannot unmarshal string into field \"spec.hostNetwork\"",
            ]
        );
        let document = json!({"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
            "apiServer": {"extraArgs": {"a": "b"}}, "useHyperKubeImage": true});
        assert_eq!(
            document_problems("ClusterConfiguration", &document),
            [
                "cannot unmarshal object into field \"apiServer.extraArgs\"",
                "unknown field \"useHyperKubeImage\""
            ]
        );
        assert_eq!(document_problems("Nonsense", &json!({})), ["no kind \"Nonsense\" is registered"]);
    }
}
