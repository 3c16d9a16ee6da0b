//! Names of anchors and aliases, which the parser's events do not tell.

use std::collections::HashMap;

use kubespray_diagnostics::{Diagnostic, Span};

type Failure = Box<Diagnostic>;

/// The anchors of a document by name. Places are asked for in the order of the text, so that all of them
/// together cost one walk through it.
pub(crate) struct Names<'a> {
    rest: &'a str,
    /// Characters before `rest`.
    at: usize,
    defined: HashMap<&'a str, Span>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text, at: 0, defined: HashMap::new() }
    }

    /// Anchors of one document are unknown to the next.
    pub(crate) fn clear(&mut self) {
        self.defined.clear();
    }

    /// Notes the anchor of the node that starts at a character.
    ///
    /// # Errors
    /// The document has used the name before, or it is none: PyYAML takes letters, digits, `_` and `-`.
    pub(crate) fn define(&mut self, start: usize, span: &Span) -> Result<(), Failure> {
        let properties = self.text_from(start);
        let name = checked(anchor_name(properties), span)?;
        if let Some(first) = self.defined.insert(name, span.clone()) {
            return Err(Box::new(
                Diagnostic::error("yaml-anchor", format!("anchor `&{name}` is defined twice"))
                    .label(span.clone(), "here again")
                    .label(first, "first here")
                    .hint("rename one of them"),
            ));
        }
        Ok(())
    }

    /// Checks the name of the alias that starts at a character.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn check_alias(&mut self, start: usize, span: &Span) -> Result<(), Failure> {
        checked(self.text_from(start).strip_prefix('*').unwrap_or(""), span).map(|_| ())
    }

    fn text_from(&mut self, start: usize) -> &'a str {
        let characters = start.saturating_sub(self.at);
        let bytes = self.rest.char_indices().nth(characters).map_or(self.rest.len(), |(at, _)| at);
        self.rest = self.rest.get(bytes..).unwrap_or("");
        self.at += characters;
        self.rest
    }
}

/// What follows the `&` of a node, which may have a tag before it.
fn anchor_name(properties: &str) -> &str {
    let mut rest = properties;
    loop {
        rest = rest.trim_start();
        let skipped = match rest.chars().next() {
            Some('&') => return rest.get(1..).unwrap_or(""),
            Some('#') => rest.find(['\n', '\r']),
            Some('!') => rest.find(char::is_whitespace),
            _ => None,
        };
        match skipped.and_then(|at| rest.get(at..)) {
            Some(behind) => rest = behind,
            None => return "",
        }
    }
}

fn checked<'a>(text: &'a str, span: &Span) -> Result<&'a str, Failure> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(text.len());
    let (name, behind) = text.split_at_checked(end).unwrap_or((text, ""));
    let ends = behind.chars().next().is_none_or(|c| c.is_whitespace() || ",]}".contains(c));
    if name.is_empty() || !ends {
        return Err(Box::new(
            Diagnostic::error("yaml-anchor", "names of anchors have letters, digits, `_` and `-` only")
                .at(span.clone())
                .hint("a value that starts with `&` or `*` must stand in quotes if it is a text"),
        ));
    }
    Ok(name)
}
