//! Syntax errors in the words of people who write inventories.

use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Source, Span};

use crate::cursor::{Mark, Problem};

/// A syntax error with what likely caused it.
pub(crate) fn syntax(problem: &Problem, source: &Arc<Source>) -> Diagnostic {
    let lines: Vec<&str> = source.text().map(|text| text.lines().collect()).unwrap_or_default();
    let place = |mark: Mark| {
        let (line, column) = (mark.line as usize + 1, mark.column as usize + 1);
        // The end of a text is shown behind its last line.
        match lines.last() {
            Some(last) if line > lines.len() => (lines.len(), last.chars().count() + 1),
            _ => (line, column),
        }
    };
    let (line, column) = place(problem.at);
    let mut diagnostic =
        Diagnostic::error(problem.id, problem.message.clone()).at(Span::at(source.clone(), line, column));
    if let Some((start, what)) = problem.context {
        let (line, column) = place(start);
        diagnostic = diagnostic.label(Span::at(source.clone(), line, column), what);
    }
    let at = |number: usize| number.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or("");
    let (here, before) = (at(line), at(line.saturating_sub(1)));
    // A mistake is noticed at the earliest on the line behind it.
    let hint = hint_for(here)
        .or_else(|| hint_for(before))
        .filter(|hint| *hint != problem.message)
        .or(problem.hint)
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
