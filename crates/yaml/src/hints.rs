//! Syntax errors in the words of people who write inventories.

use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Source, Span};

/// A syntax error with what likely caused it.
pub(crate) fn syntax(info: &str, source: &Arc<Source>, line: usize, column: usize) -> Diagnostic {
    let diagnostic = Diagnostic::error("yaml-syntax", info.trim_end_matches('.').to_owned()).at(Span::at(
        source.clone(),
        line.max(1),
        column,
    ));
    let lines: Vec<&str> = source.text().map(|text| text.lines().collect()).unwrap_or_default();
    let near =
        |back: usize| line.checked_sub(1 + back).and_then(|index| lines.get(index)).copied().unwrap_or("");
    // The parser notices a mistake at the earliest on the line behind it.
    for text in [near(0), near(1)] {
        if let Some(hint) = hint_for(text) {
            return diagnostic.hint(hint);
        }
    }
    diagnostic
}

fn hint_for(line: &str) -> Option<&'static str> {
    let indentation = line.len() - line.trim_start().len();
    if line.get(..indentation).is_some_and(|blanks| blanks.contains('\t')) {
        return Some("indent with blanks: YAML allows no tabs there");
    }
    let content = line.trim();
    let value = content.split_once(": ").map_or(content, |(_, value)| value.trim());
    let value = value.strip_prefix("- ").map_or(value, str::trim);
    if value.starts_with("{{") || value.starts_with("{%") {
        return Some("a value that starts with `{{` must stand in quotes: \"{{ name }}\"");
    }
    for quote in ['"', '\''] {
        if value.starts_with(quote) && value.matches(quote).count() % 2 == 1 {
            return Some("the quote that opens this value is not closed");
        }
    }
    if !value.starts_with(['"', '\'', '{', '[', '#', '|', '>']) && value.contains(": ") {
        return Some("a value that holds `: ` must stand in quotes");
    }
    if let Some((key, rest)) = content.split_once(':')
        && !rest.is_empty()
        && !rest.starts_with([' ', '\t', '/'])
        && key.chars().all(|c| c.is_alphanumeric() || c == '_')
    {
        return Some("put a blank behind the colon: `name: value`");
    }
    if value.starts_with(['@', '`', '%']) {
        return Some("a value that starts with this character must stand in quotes");
    }
    None
}
