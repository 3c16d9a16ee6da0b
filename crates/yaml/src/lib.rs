//! YAML with spans, typed as PyYAML types it.
//!
//! PyYAML's rules differ from both YAML 1.1 and 1.2, and inventories rely on them. [`parse`] gives
//! values with the place of each.

mod build;
mod cursor;
mod emit;
mod events;
mod hints;
mod layout;
mod limits;
mod scalar;
mod scalars;
mod scanner;
mod tags;
mod typing;

pub use emit::emit;
pub use layout::Layout;

use std::sync::Arc;

use build::Tags;
use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::{Error, Value};

/// A value with its place in the source; children keep theirs.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value, children included.
    pub value: Value,
    /// Where it stands.
    pub span: Span,
    /// The places of what it is made of.
    pub children: Children,
}

/// What a node is made of.
#[derive(Clone, Debug, Default)]
pub enum Children {
    /// A scalar.
    #[default]
    None,
    /// The elements of a list.
    List(Vec<Arc<Node>>),
    /// The entries of a map by key, each with the place of its key.
    Map(IndexMap<Value, (Span, Arc<Node>)>),
}

/// What a text holds.
#[derive(Debug)]
pub struct Document {
    /// The one value; `None` for an empty text.
    pub root: Option<Arc<Node>>,
    /// Duplicate keys and the like.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a text that holds at most one YAML document. `source` names it in spans.
///
/// Ansible tries JSON before YAML, and the two type numbers differently (`1e3`): whoever reads a file that
/// may be JSON tries [`kubespray_value::json::read`] first and takes only the places from here.
///
/// Where PyYAML loses the contents of a map under `!unsafe` (ANS-021), they are kept. A set (`!!set`) is
/// refused, for there is no such value.
///
/// # Errors
/// One diagnostic with the place, for text that is no YAML, that Ansible refuses, or that is beyond the
/// limits of size and depth.
pub fn parse(text: &str, source: &Arc<Source>) -> Result<Document, Box<Diagnostic>> {
    limits::check_text(text, source)?;
    build::document(text, source, Tags::Ansible)
}

/// Reads one document, as the filter `from_yaml` does: without JSON, and without the tags `!vault` and
/// `!unsafe`. An empty text is `None`.
///
/// # Errors
/// As those of [`parse`], with the place in the message.
pub fn read(text: &str) -> Result<Value, Error> {
    let source = Source::new("YAML", text);
    let document =
        limits::check_text(text, &source).and_then(|()| build::document(text, &source, Tags::Yaml));
    match document {
        Ok(document) => Ok(document.root.map_or(Value::None, |node| node.value.clone())),
        Err(diagnostic) => Err(in_one_line(&diagnostic)),
    }
}

/// Reads all documents, as the filter `from_yaml_all` does; an empty text has none.
///
/// # Errors
/// As those of [`read`].
pub fn read_all(text: &str) -> Result<Vec<Value>, Error> {
    let source = Source::new("YAML", text);
    limits::check_text(text, &source)
        .and_then(|()| build::documents(text, &source, Tags::Yaml))
        .map_err(|diagnostic| in_one_line(&diagnostic))
}

fn in_one_line(diagnostic: &Diagnostic) -> Error {
    let place = match diagnostic.span() {
        Some(span) if span.line() > 0 => format!(" at line {}, column {}", span.line(), span.column()),
        _ => String::new(),
    };
    let error = Error::of_value(format!("YAML: {}{place}", diagnostic.message));
    match diagnostic.hints.first() {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
