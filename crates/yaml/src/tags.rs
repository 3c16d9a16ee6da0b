//! Tags: `!vault`, `!unsafe` and those of YAML itself.

use std::sync::Arc;

use base64::Engine;
use kubespray_diagnostics::{Diagnostic, Span};
use kubespray_value::{Map, Value};
use saphyr_parser::Tag;

use crate::typing;

type Failure = Box<Diagnostic>;

const YAML: &str = "tag:yaml.org,2002:";

/// The tag as users write it, such as `!vault` or `!!int`.
fn name(tag: &Tag) -> String {
    let full = format!("{}{}", tag.handle, tag.suffix);
    match full.strip_prefix(YAML) {
        Some(short) => format!("!!{short}"),
        None => full,
    }
}

fn unknown(tag: &str, span: &Span) -> Failure {
    Box::new(
        Diagnostic::error("yaml-tag", format!("unknown tag `{tag}`"))
            .at(span.clone())
            .hint("inventories use `!vault` and `!unsafe`; a text that starts with `!` must stand in quotes"),
    )
}

fn wrong(tag: &str, text: &str, span: &Span) -> Failure {
    Box::new(Diagnostic::error("yaml-tag", format!("`{text}` does not fit the tag `{tag}`")).at(span.clone()))
}

pub(crate) fn scalar(text: &str, plain: bool, tag: Option<&Tag>, span: &Span) -> Result<Value, Failure> {
    let Some(tag) = tag else {
        if plain {
            return typing::plain(text)
                .map_err(|message| Box::new(Diagnostic::error("yaml-value", message).at(span.clone())));
        }
        return Ok(Value::str(text));
    };
    let tag = name(tag);
    if tag == "!" {
        return scalar(text, plain, None, span);
    }
    let fits = |value: Option<Value>| value.ok_or_else(|| wrong(&tag, text, span));
    match tag.as_str() {
        "!!str" => Ok(Value::str(text)),
        "!unsafe" => Ok(Value::unsafe_str(text)),
        "!vault" | "!vault-encrypted" => Ok(Value::Vault(Arc::from(text))),
        "!!null" => Ok(Value::None),
        "!!bool" => {
            fits(typing::boolean(text).or_else(|| typing::boolean(&text.to_lowercase())).map(Value::Bool))
        }
        "!!int" => fits(typing::integer(text)),
        "!!float" => fits(
            typing::float(text)
                .or_else(|| kubespray_value::parse_float(&text.replace('_', "")))
                .map(Value::Float),
        ),
        "!!timestamp" => match typing::timestamp(text) {
            Some(Ok(value)) => Ok(value),
            _ => Err(wrong(&tag, text, span)),
        },
        "!!binary" => {
            let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(packed).ok();
            fits(bytes.map(|bytes| Value::Bytes(bytes.into())))
        }
        _ => Err(unknown(&tag, span)),
    }
}

pub(crate) fn list(value: Value, tag: Option<&Tag>, span: &Span) -> Result<Value, Failure> {
    let Some(tag) = tag else { return Ok(value) };
    let tag = name(tag);
    match tag.as_str() {
        "!" | "!!seq" => Ok(value),
        "!unsafe" => Ok(never_a_template(&value)),
        "!!omap" | "!!pairs" => {
            let pairs = value.as_sequence().unwrap_or_default().iter().map(|item| match item.as_map() {
                Some(map) if map.len() == 1 => {
                    let (key, value) = map.get_index(0)?;
                    Some(Value::tuple(vec![key.clone(), value.clone()]))
                }
                _ => None,
            });
            let pairs: Option<Vec<Value>> = pairs.collect();
            pairs.map(Value::list).ok_or_else(|| wrong(&tag, "the list", span))
        }
        _ => Err(unknown(&tag, span)),
    }
}

pub(crate) fn map(value: Value, tag: Option<&Tag>, span: &Span) -> Result<Value, Failure> {
    let Some(tag) = tag else { return Ok(value) };
    let tag = name(tag);
    match tag.as_str() {
        "!" | "!!map" => Ok(value),
        // Ansible loses the contents of such a map (ANS-021); it is kept here.
        "!unsafe" => Ok(never_a_template(&value)),
        "!!set" => Err(Box::new(
            Diagnostic::error("yaml-tag", "a set cannot be a variable's value")
                .at(span.clone())
                .hint("write a list instead"),
        )),
        _ => Err(unknown(&tag, span)),
    }
}

fn never_a_template(value: &Value) -> Value {
    match value {
        Value::Str(text) => Value::unsafe_str(text.as_str()),
        Value::List(items) => Value::list(items.iter().map(never_a_template).collect()),
        Value::Map(map) => {
            let entries: Map =
                map.iter().map(|(key, value)| (key.clone(), never_a_template(value))).collect();
            Value::map(entries)
        }
        other => other.clone(),
    }
}
