//! Syntax errors in the words of people who write inventories.

use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Source, Span};

use crate::limits::DEEPEST;

/// What the parser says, what it means, and what to do about it; the first row that matches counts.
const KNOWN: [(&str, &str, &str); 19] = [
    ("unprintable", "a character that YAML does not allow", ""),
    ("tab", "a tab stands where only blanks may", "indent with blanks: YAML allows no tabs there"),
    (
        "unknown anchor",
        "alias of an anchor that is not defined before it",
        "a text that starts with `*` must stand in quotes",
    ),
    (
        "alphabetic or numeric",
        "a name of an anchor is missing here",
        "a text that starts with `&` or `*` must stand in quotes",
    ),
    (
        "invalid trailing content",
        "a quoted value goes on behind its closing quote",
        "quote the value as a whole; inside of single quotes write `''` for a quote",
    ),
    (
        "escape c",
        "no such escape in double quotes",
        "write `\\\\` for a backslash, or put the value in single quotes",
    ),
    ("unexpected end of stream", "a quote is never closed", "the quote that opens this value is not closed"),
    ("in quoted scalar", "a quote is not closed here", "the quote that opens this value is not closed"),
    ("',' or ']'", "expected `,` or `]`", "close the list that `[` opens, or put `,` between its elements"),
    ("',' or '}'", "expected `,` or `}`", "close the map that `{` opens, or put `,` between its entries"),
    ("placement of ':'", "`:` is not allowed here", "close the `[` or `{` that stands before it"),
    (
        "did not find expected key",
        "expected a key of the map that is open here",
        "start all keys of one map in the same column",
    ),
    (
        "'-' indicator",
        "expected `- `, an element of the list that is open here",
        "start all elements of one list in the same column",
    ),
    (
        "block sequence entries",
        "a list cannot start here",
        "put `- ` on a line of its own below the key, or quote a `-` that is a text",
    ),
    (
        "simple key",
        "expected `:` behind a key",
        "the lines of a text behind `|` or `>` must be indented deeper than its key",
    ),
    ("mapping values", "`: ` is not allowed here", ""),
    ("unexpected character", "a value cannot start with this character", ""),
    ("expected node content", "expected a value here", ""),
    ("misplaced bracket", "a bracket is closed that is not open", ""),
];

/// A syntax error with what likely caused it.
pub(crate) fn syntax(info: &str, source: &Arc<Source>, line: usize, column: usize) -> Diagnostic {
    let lines: Vec<&str> = source.text().map(|text| text.lines().collect()).unwrap_or_default();
    // The end of a text is shown behind its last line.
    let (line, column) = match lines.last() {
        Some(last) if line > lines.len() => (lines.len(), last.chars().count() + 1),
        _ => (line.max(1), column),
    };
    let span = Span::at(source.clone(), line, column);
    // Many brackets in one line, which the parser gives up on itself.
    if info.starts_with("recursion limit") {
        return Diagnostic::error("yaml-depth", format!("nested deeper than {DEEPEST} levels")).at(span);
    }
    let known = KNOWN.iter().find(|(part, ..)| info.contains(part));
    let message = known.map_or(info.trim_end_matches('.'), |(_, message, _)| message);
    let diagnostic = Diagnostic::error("yaml-syntax", message).at(span);
    let at = |number: usize| number.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or("");
    let (here, before) = (at(line), at(line - 1));
    // The parser notices a mistake at the earliest on the line behind it.
    let hint = hint_for(here)
        .or_else(|| hint_for(before))
        .or_else(|| known.map(|(_, _, hint)| *hint).filter(|hint| !hint.is_empty()))
        .or_else(|| (indentation(here) > indentation(before)).then_some(DEEPER));
    match hint {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

const DEEPER: &str = "this line is indented deeper than the one before it, which has its value already";

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// What is wrong with a line by the looks of it.
fn hint_for(line: &str) -> Option<&'static str> {
    if line.get(..indentation(line)).is_some_and(|blanks| blanks.contains('\t')) {
        return Some("indent with blanks: YAML allows no tabs there");
    }
    let content = line.trim();
    let content = content.strip_prefix("- ").map_or(content, str::trim);
    let (key, value) = content.split_once(": ").map_or(("", content), |(key, value)| (key, value.trim()));
    if value.starts_with("{{") {
        return Some("a value that starts with `{{` must stand in quotes: \"{{ name }}\"");
    }
    if value.starts_with("{%") {
        return Some("a value that starts with `{%` must stand in quotes");
    }
    for quote in ['"', '\''] {
        if value.starts_with(quote) && value.matches(quote).count() == 1 {
            return Some("the quote that opens this value is not closed");
        }
    }
    let is_plain = !value.starts_with(['"', '\'', '{', '[', '#', '|', '>']);
    if is_plain && !key.is_empty() && (value.contains(": ") || value.ends_with(':')) {
        return Some("a value that holds `: ` or ends with `:` must stand in quotes");
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
