//! YAML with spans, typed as PyYAML types it.
//!
//! PyYAML's rules differ from both YAML 1.1 and 1.2, and inventories rely on them. [`parse`] gives
//! values with the place of each.

mod build;
mod emit;
mod hints;
mod layout;
mod limits;
mod scalar;
mod tags;
mod typing;

pub use emit::emit;
pub use layout::Layout;

use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::Value;

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

/// Texts larger than this are refused: no file of an inventory is, and a mistaken one should not
/// exhaust the memory.
const LARGEST: usize = 64 << 20;

/// Reads a text that holds at most one YAML document. `source` names it in spans.
///
/// # Errors
/// One diagnostic with the place, for text that is no YAML or beyond the limits of depth and size.
pub fn parse(text: &str, source: &Arc<Source>) -> Result<Document, Box<Diagnostic>> {
    if text.len() > LARGEST {
        let message = format!("file is larger than {} MiB", LARGEST >> 20);
        return Err(Box::new(Diagnostic::error("yaml-size", message).at(Span::whole(source.clone()))));
    }
    limits::check_nesting(text, source)?;
    build::build(text.strip_prefix('\u{feff}').unwrap_or(text), source)
}
