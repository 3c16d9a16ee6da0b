//! Tags: `!vault`, `!unsafe` and those of YAML itself.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Span};
use kubespray_value::{Map, Value};

use crate::{Children, Node, typing};

type Failure = Box<Diagnostic>;

pub(crate) const YAML: &str = "tag:yaml.org,2002:";

/// The tag as users write it, such as `!vault` or `!!int`.
fn name(tag: &str) -> String {
    match tag.strip_prefix(YAML) {
        Some(short) => format!("!!{short}"),
        None => tag.to_owned(),
    }
}

pub(crate) fn unknown(tag: &str, span: &Span) -> Failure {
    Box::new(
        Diagnostic::error("yaml-tag", format!("unknown tag `{tag}`"))
            .at(span.clone())
            .hint("inventories use `!vault` and `!unsafe`; a text that starts with `!` must stand in quotes"),
    )
}

fn wrong(tag: &str, span: &Span) -> Failure {
    Box::new(Diagnostic::error("yaml-tag", format!("value does not fit the tag `{tag}`")).at(span.clone()))
}

pub(crate) fn scalar(text: &str, plain: bool, tag: Option<&str>, span: &Span) -> Result<Value, Failure> {
    let Some(tag) = tag else {
        if plain {
            return typing::plain(text)
                .map_err(|message| Box::new(Diagnostic::error("yaml-value", message).at(span.clone())));
        }
        return Ok(Value::str(text));
    };
    let tag = name(tag);
    let fits = |value: Option<Value>| value.ok_or_else(|| wrong(&tag, span));
    match tag.as_str() {
        "!!str" => Ok(Value::str(text)),
        "!unsafe" => Ok(Value::unsafe_str(text)),
        "!vault" | "!vault-encrypted" => Ok(Value::Vault(Arc::from(text))),
        "!!null" => Ok(Value::None),
        "!!bool" => {
            fits(typing::boolean(text).or_else(|| typing::boolean(&text.to_lowercase())).map(Value::Bool))
        }
        "!!int" => fits(typing::integer(text)),
        "!!float" => fits(typing::float(text).map(Value::Float)),
        "!!timestamp" => match typing::timestamp(text, true) {
            Some(Ok(value)) => Ok(value),
            _ => Err(wrong(&tag, span)),
        },
        "!!binary" => fits(binary(text)),
        _ => Err(unknown(&tag, span)),
    }
}

/// Base64 as Python decodes it: other characters do not count, and nothing counts behind the padding.
fn binary(text: &str) -> Option<Value> {
    let mut packed = String::new();
    let mut padding = 0;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '+' | '/') {
            packed.push(c);
            padding = 0;
        } else if c == '=' && packed.len() % 4 >= 2 {
            padding += 1;
            if packed.len() % 4 + padding == 4 {
                break;
            }
        }
    }
    if !(packed.len() + padding).is_multiple_of(4) {
        return None;
    }
    // Python drops bits that do not fill a byte.
    let config = NO_PAD.with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(packed);
    bytes.ok().map(|bytes| Value::Bytes(bytes.into()))
}

pub(crate) fn list(node: Node, tag: Option<&str>) -> Result<Node, Failure> {
    let Some(tag) = tag else { return Ok(node) };
    let tag = name(tag);
    match tag.as_str() {
        "!!seq" => Ok(node),
        "!unsafe" => Ok(never_a_template(&node)),
        "!!omap" | "!!pairs" => {
            let pairs = node.value.as_sequence().unwrap_or_default().iter().map(|item| match item.as_map() {
                Some(map) if map.len() == 1 => {
                    let (key, value) = map.get_index(0)?;
                    Some(Value::tuple(vec![key.clone(), value.clone()]))
                }
                _ => None,
            });
            let pairs: Option<Vec<Value>> = pairs.collect();
            let value = pairs.map(Value::list).ok_or_else(|| wrong(&tag, &node.span))?;
            Ok(Node { value, span: node.span, children: Children::None })
        }
        _ => Err(unknown(&tag, &node.span)),
    }
}

pub(crate) fn map(node: Node, tag: Option<&str>) -> Result<Node, Failure> {
    let Some(tag) = tag else { return Ok(node) };
    let tag = name(tag);
    match tag.as_str() {
        "!!map" => Ok(node),
        // Ansible loses the contents of such a map (ANS-021); it is kept here.
        "!unsafe" => Ok(never_a_template(&node)),
        "!!set" => Err(Box::new(
            Diagnostic::error("yaml-tag", "a set cannot be a variable's value")
                .at(node.span)
                .hint("write a list instead"),
        )),
        _ => Err(unknown(&tag, &node.span)),
    }
}

/// The node with all texts in it marked so that they are never taken for templates.
fn never_a_template(node: &Node) -> Node {
    let mark = |node: &Arc<Node>| Arc::new(never_a_template(node));
    let (value, children) = match &node.children {
        Children::None => (marked(&node.value), Children::None),
        Children::List(nodes) => {
            let nodes: Vec<_> = nodes.iter().map(mark).collect();
            (Value::list(nodes.iter().map(|node| node.value.clone()).collect()), Children::List(nodes))
        }
        Children::Map(entries) => {
            let entries: IndexMap<_, _> =
                entries.iter().map(|(key, (span, node))| (key.clone(), (span.clone(), mark(node)))).collect();
            let map: Map = entries.iter().map(|(key, (_, node))| (key.clone(), node.value.clone())).collect();
            (Value::map(map), Children::Map(entries))
        }
    };
    Node { value, span: node.span.clone(), children }
}

/// A value without places of its own, such as a scalar or a list of pairs.
fn marked(value: &Value) -> Value {
    match value {
        Value::Str(text) => Value::unsafe_str(text.as_str()),
        Value::List(items) => Value::list(items.iter().map(marked).collect()),
        Value::Tuple(items) => Value::tuple(items.iter().map(marked).collect()),
        Value::Map(map) => {
            let entries: Map = map.iter().map(|(key, value)| (key.clone(), marked(value))).collect();
            Value::map(entries)
        }
        other => other.clone(),
    }
}
