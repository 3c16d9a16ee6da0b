//! Templates and what Ansible 2.18.19 makes of them, recorded with its own Templar.
//!
//! `data/templates.json` holds the variables and, for each template, Python's `repr` of the result or the
//! kind of the error: `undefined`, `syntax` or `other`. Where this crate differs on purpose, `ours` or `ours_error`
//! holds what it gives and `why` the reason.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod library;

use kubespray_jinja::{Context, Scope, Syntax, Template, may_be_template};
use kubespray_value::{Error, ErrorKind, Map, Str, Value, json};
use library::{Nothing, library};

struct Variables(Map);

impl Scope for Variables {
    fn resolve(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(self.0.get(name).cloned())
    }

    fn template(&self, value: &Value) -> Result<Value, Error> {
        Ok(value.clone())
    }
}

/// Values that JSON has no words for are written as a map of one key: `{"$date": "2024-03-05"}`.
fn build(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().map(build).collect()),
        Value::Map(map) => {
            if let Some((key, Value::Str(text))) = map.first()
                && let Some(kind) = key.as_str().and_then(|key| key.strip_prefix('$'))
            {
                return match kind {
                    "date" => Value::Date(text.parse().unwrap()),
                    "datetime" => Value::DateTime(
                        kubespray_value::DateTime { civil: text.parse().unwrap(), offset_seconds: None }
                            .into(),
                    ),
                    "unsafe" => Value::Str(Str::new_unsafe(text.as_str())),
                    "float" => Value::Float(text.parse().unwrap()),
                    "bytes" => Value::Bytes(text.as_bytes().into()),
                    other => panic!("unknown kind {other}"),
                };
            }
            Value::map(map.iter().map(|(key, value)| (key.clone(), build(value))).collect())
        }
        other => other.clone(),
    }
}

fn holds_unsafe(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.is_unsafe(),
        Value::List(items) | Value::Tuple(items) => items.iter().any(holds_unsafe),
        Value::Map(map) => map.values().any(holds_unsafe),
        _ => false,
    }
}

fn outcome(text: &str, variables: &Variables) -> (String, bool) {
    if !may_be_template(text) {
        return (Value::str(text).repr(), false);
    }
    let template = match Template::parse(text, Syntax::ANSIBLE) {
        Ok(template) => template,
        Err(error) => return (format!("syntax error ({error})"), false),
    };
    // Who evaluates variables keeps the type of these where a text is nothing but a name (ANS-023).
    if let Some(value) = template.single_name().and_then(|name| variables.0.get(name))
        && matches!(value, Value::None | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_))
    {
        return (value.repr(), false);
    }
    let library = library();
    let context = Context { scope: variables, library: &library, world: &Nothing };
    match template.render(&context) {
        Ok(value) => (value.repr(), holds_unsafe(&value)),
        Err(error) => {
            let kind = match error.kind {
                ErrorKind::Undefined => "undefined",
                ErrorKind::Unknown | ErrorKind::Syntax => "syntax",
                _ => "other",
            };
            (format!("{kind} error ({})", error.message), false)
        }
    }
}

#[test]
fn templates_render_as_ansible_renders_them() {
    let recorded = json::read(include_str!("data/templates.json")).unwrap();
    let recorded = recorded.as_map().unwrap();
    let variables = Variables(build(recorded.get("vars").unwrap()).as_map().unwrap().clone());
    let cases = recorded.get("cases").unwrap().as_sequence().unwrap();
    assert!(cases.len() > 1000);
    let mut wrong = Vec::new();
    for case in cases {
        let case = case.as_map().unwrap();
        let field = |name: &str| case.get(name).and_then(Value::as_str);
        let template = field("template").unwrap();
        let (got, is_unsafe) = outcome(template, &variables);
        assert_eq!(field("why").is_some(), field("ours").or(field("ours_error")).is_some(), "{template:?}");
        let of_error = |kind: &str| format!("{kind} error (");
        let expected = match (field("ours"), field("ours_error"), field("repr")) {
            (Some(ours), ..) => ours.to_owned(),
            (_, Some(kind), _) => of_error(kind),
            (.., Some(repr)) => repr.to_owned(),
            _ => of_error(field("error").unwrap()),
        };
        let same = if expected.ends_with('(') { got.starts_with(&expected) } else { got == expected };
        if !same || is_unsafe != case.contains_key("unsafe") {
            wrong.push(format!(
                "{template:?}\n   ansible: {expected}{}\n   ours:    {got} unsafe={is_unsafe}",
                field("ansible").unwrap_or("")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
