//! Variables with the places where they were written.

use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::Span;
use kubespray_value::{Value, json};
use kubespray_yaml::{Children, Node};

/// A variable as it was written, not evaluated.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The value; templates in it are texts.
    pub value: Value,
    /// The value with the places of its parts, where it comes from YAML or JSON.
    pub node: Option<Arc<Node>>,
    /// Where the variable stands.
    pub origin: Span,
}

/// Variables by name, in the order in which they were written.
pub type Vars = IndexMap<String, Definition>;

impl Definition {
    /// A value that has no places inside.
    pub(crate) fn new(value: Value, origin: Span) -> Self {
        Self { value, node: None, origin }
    }

    fn of_node(node: &Arc<Node>, origin: Span) -> Self {
        Self { value: node.value.clone(), node: Some(node.clone()), origin }
    }
}

/// The entries of a map as variables. Keys that are no texts become the texts that JSON gives them.
pub(crate) fn vars_of_map(node: &Node) -> Vec<(String, Definition)> {
    let Children::Map(entries) = &node.children else { return Vec::new() };
    entries
        .iter()
        .map(|(key, (span, value))| (key_name(key), Definition::of_node(value, span.clone())))
        .collect()
}

/// A map key as the name of a variable, group or host.
pub(crate) fn key_name(key: &Value) -> String {
    match key {
        Value::Str(text) => text.as_str().to_owned(),
        other => json::key_text(other).unwrap_or_else(|_| other.to_text()),
    }
}
