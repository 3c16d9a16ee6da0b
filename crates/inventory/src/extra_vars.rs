//! Variables of the command line (`-e`).

use std::path::Path;

use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::Value;

use crate::definition::{Definition, Vars, vars_of_map};
use crate::document::{self, Text};
use crate::key_values;
use crate::paths;
use crate::vault::Vault;
use crate::yaml_source::described;

/// How the command line is named in diagnostics.
const NAME: &str = "extra vars";

/// Reads all `-e` arguments in order; later ones replace earlier ones (ANS-009).
pub(crate) fn read(arguments: &[String], vault: &Vault, problems: &mut Vec<Diagnostic>) -> Vars {
    let mut vars = Vars::new();
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        match read_one(argument, vault, problems) {
            Ok(new) => vars.extend(new),
            Err(problem) => problems.push(*problem),
        }
    }
    vars
}

fn problem(message: String) -> Diagnostic {
    Diagnostic::error("extra-vars", message)
}

fn read_one(
    argument: &str,
    vault: &Vault,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<(String, Definition)>, Box<Diagnostic>> {
    if let Some(file) = argument.strip_prefix('@') {
        let text = document::read_raw(&paths::expand(Path::new(file)), file, vault)?.into_text()?;
        return map_of(&text, file, problems);
    }
    if argument.starts_with(['/', '.']) {
        return Err(Box::new(
            problem(format!("`{argument}` looks like a file name"))
                .hint(format!("write `-e @{argument}` to read variables from the file")),
        ));
    }
    if argument.starts_with(['[', '{']) {
        return map_of(&Text::open(NAME, argument), NAME, problems);
    }
    let span = Span::whole(Source::new(NAME, argument));
    let words = key_values::split(argument)
        .map_err(|what| problem(format!("cannot split `{}`: {what}", paths::shorten(argument))))?;
    let mut vars = Vec::new();
    for word in words {
        if let Some((name, value)) = key_values::assignment(&word) {
            vars.push((name, Definition::new(Value::str(value), span.clone())));
            continue;
        }
        let word = word.trim();
        let remark = Diagnostic::warning("extra-vars", format!("`{word}` is no `name=value`: skipped"));
        problems.push(remark.hint(format!(
            "write `name=value`, a JSON map, or `@{word}` for a file; quote values that hold blanks"
        )));
    }
    Ok(vars)
}

fn map_of(
    text: &Text,
    name: &str,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<(String, Definition)>, Box<Diagnostic>> {
    let root = document::parse(text, problems)?;
    match root.as_deref() {
        Some(node) if matches!(node.value, Value::Map(_)) => Ok(vars_of_map(node)),
        other => {
            let found = other.map_or_else(|| "empty".into(), |node| described(&node.value));
            let whole = Span::whole(text.source.clone());
            let span = other.map_or(whole, |node| node.span.clone());
            Err(Box::new(
                problem(format!("`{name}` is {found}, not a map of variables"))
                    .at(span)
                    .hint("write `name=value`, or a map such as `{\"name\": \"value\"}`"),
            ))
        }
    }
}
