//! Names that nobody knows, names that mean nothing any more, and values of a wrong type.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Span};
use kubespray_inventory::Layer;
use kubespray_value::{Error, ErrorKind, Value};

use crate::catalogue::{Catalogue, Default, Entry, Scope};
use crate::coerce::coerce;
use crate::magic::is_magic;
use crate::site::Variables;

/// Prefixes of variables that belong to Ansible, its plugins and its facts.
const FOREIGN_PREFIXES: &[&str] = &["ansible_", "molecule_", "vault_"];

/// Checks all variables that the inventory defines, on every host that sees them. All problems at once.
pub fn check(variables: &Variables) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut checker = Checker {
        variables,
        words: words(variables),
        problems: &mut problems,
        layers: HashSet::new(),
        reported: HashSet::new(),
    };
    checker.names();
    checker.values();
    problems
}

struct Checker<'a> {
    variables: &'a Variables,
    /// Every word that stands in a template of the inventory or of the defaults.
    words: HashSet<String>,
    problems: &'a mut Vec<Diagnostic>,
    layers: HashSet<*const Layer>,
    /// What was reported, by id, message and place: the same value of many hosts is reported once.
    reported: HashSet<(String, String, String)>,
}

/// All layers of all hosts, each once.
fn all_layers(variables: &Variables) -> Vec<(String, Arc<Layer>)> {
    let mut seen = HashSet::new();
    let mut layers = Vec::new();
    for host in variables.inventory().hosts() {
        for layer in variables.layers(host) {
            if seen.insert(Arc::as_ptr(&layer)) {
                layers.push((host.to_owned(), layer));
            }
        }
    }
    layers
}

/// The words of all templates: a variable whose name is one of them may be read by it, also through
/// `hostvars[host].name`, `map('extract', hostvars, 'name')` or `lookup('vars', 'name')`.
fn words(variables: &Variables) -> HashSet<String> {
    let mut words = HashSet::new();
    for entry in Catalogue::get().entries() {
        if let Default::Value(value) = &entry.default {
            collect_words(value, &mut words, 0);
        }
    }
    for (_, layer) in all_layers(variables) {
        for definition in layer.vars.values() {
            collect_words(&definition.value, &mut words, 0);
        }
    }
    words
}

fn collect_words(value: &Value, words: &mut HashSet<String>, depth: usize) {
    if depth > 100 {
        return;
    }
    match value {
        Value::Str(text) if kubespray_jinja::may_be_template(text) => {
            for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if word.len() > 1 && !words.contains(word) {
                    words.insert(word.to_owned());
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect_words(item, words, depth + 1)),
        Value::Map(map) => map.values().for_each(|item| collect_words(item, words, depth + 1)),
        _ => {}
    }
}

impl Checker<'_> {
    fn names(&mut self) {
        let catalogue = Catalogue::get();
        let mut reported = BTreeMap::new();
        for (_, layer) in all_layers(self.variables) {
            for (name, definition) in &layer.vars {
                let known = catalogue.entry(name).is_some_and(|entry| entry.scope != Scope::Unused);
                if !known || catalogue.removed(name).is_some() {
                    reported.entry(name.clone()).or_insert_with(Vec::new).push(definition.origin.clone());
                }
            }
        }
        for (name, origins) in reported {
            if let Some(diagnostic) = self.name(&name, &origins) {
                self.problems.push(diagnostic);
            }
        }
    }

    fn name(&self, name: &str, origins: &[Span]) -> Option<Diagnostic> {
        let catalogue = Catalogue::get();
        let placed = |mut diagnostic: Diagnostic| {
            for (index, origin) in origins.iter().take(3).enumerate() {
                diagnostic = diagnostic.label(origin.clone(), if index == 0 { "" } else { "also here" });
            }
            match origins.len().checked_sub(3) {
                Some(more) if more > 0 => diagnostic.because(format!("and at {more} more places")),
                _ => diagnostic,
            }
        };
        if let Some(removed) = catalogue.removed(name) {
            let since = removed.since.as_ref().map(|since| format!(" (since {since})")).unwrap_or_default();
            let state = if removed.deprecated { "is deprecated" } else { "means nothing any more" };
            let mut diagnostic = Diagnostic::warning("removed-variable", format!("`{name}` {state}{since}"));
            if !removed.message.is_empty() {
                diagnostic = diagnostic.because(removed.message.clone());
            }
            if let Some(replacement) = &removed.replacement {
                diagnostic = diagnostic.hint(format!("set `{replacement}` instead"));
            }
            return Some(placed(diagnostic));
        }
        if is_magic(name) {
            return Some(placed(
                Diagnostic::warning("reserved-variable", format!("`{name}` is set by Ansible itself"))
                    .because("what the inventory says of it never counts")
                    .hint("choose another name"),
            ));
        }
        if let Some(entry) = catalogue.entry(name) {
            // Known, and read by nothing (INV-180).
            return (!self.words.contains(name)).then(|| {
                placed(
                    Diagnostic::note(
                        "unused-variable",
                        format!("`{}` is accepted, and nothing reads it", entry.name),
                    )
                    .because("Kubespray's sample inventory has it, its roles do not use it"),
                )
            });
        }
        if self.words.contains(name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            return None;
        }
        let mut diagnostic = Diagnostic::warning("unknown-variable", format!("nobody knows `{name}`"))
            .because(
                "no part of Kubespray has a variable of this name, and no template of the inventory reads it",
            );
        if let Some(near) = catalogue.suggest(name) {
            diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
        }
        Some(placed(diagnostic))
    }

    /// Values that the inventory sets, evaluated on every host where that may make a difference.
    fn values(&mut self) {
        let mut classes = HashSet::new();
        let hosts: Vec<String> = self.variables.inventory().hosts().into_iter().map(str::to_owned).collect();
        for host in &hosts {
            let first_of_class = self.variables.class(host).is_some_and(|class| classes.insert(class));
            let mut names: Vec<String> = Vec::new();
            for layer in self.variables.layers(host) {
                let own = !layer.owner.is_empty() && layer.owner == *host;
                let new = self.layers.insert(Arc::as_ptr(&layer));
                if own || first_of_class || new {
                    names.extend(layer.vars.keys().cloned());
                }
            }
            names.sort_unstable();
            names.dedup();
            for name in names {
                self.value(host, &name);
            }
        }
    }

    fn value(&mut self, host: &str, name: &str) {
        if is_magic(name) {
            return;
        }
        let origin = self.variables.raw(host, name).and_then(|found| found.origin);
        let value = match self.variables.get(host, name) {
            Ok(value) => value,
            Err(error) => {
                self.report(unevaluable(host, name, &error, origin.as_ref()));
                return;
            }
        };
        if let Some(entry) = Catalogue::get().entry(name) {
            self.typed(host, entry, &value, origin.as_ref());
        }
    }

    fn typed(&mut self, host: &str, entry: &Entry, value: &Value, origin: Option<&Span>) {
        let name = &entry.name;
        match coerce(entry, value) {
            Err(mismatch) => {
                let mut diagnostic = Diagnostic::error(
                    "variable-type",
                    format!("`{name}` wants {}, got {}", mismatch.wanted, mismatch.got),
                )
                .on_host(host)
                .at_maybe(origin)
                .because(entry.doc.clone());
                if mismatch.not_allowed
                    && let Some(text) = value.as_str()
                    && let Some(near) = kubespray_diagnostics::did_you_mean(
                        text,
                        entry.allowed.iter().filter_map(Value::as_str),
                    )
                {
                    diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
                } else if let Some(example) = &entry.example {
                    diagnostic = diagnostic.hint(format!("for example `{}`", example.to_text()));
                }
                self.report(Some(diagnostic));
            }
            Ok(coerced) if coerced.was_text && matches!(coerced.value, Value::Bool(_)) => {
                let diagnostic = Diagnostic::warning(
                    "text-as-boolean",
                    format!("`{name}` is the text `{}`, not a boolean", value.to_text()),
                )
                .on_host(host)
                .at_maybe(origin)
                .because("Kubespray's conditions take any text that is not empty for true")
                .hint(format!(
                    "write `{name}: {}` without quotes, on the command line -e '{{\"{name}\": {}}}'",
                    lower(&coerced.value),
                    lower(&coerced.value)
                ));
                self.report(Some(diagnostic));
            }
            Ok(_) => {}
        }
    }

    /// Adds a problem unless the same one was found at the same place on another host.
    fn report(&mut self, diagnostic: Option<Diagnostic>) {
        let Some(diagnostic) = diagnostic else { return };
        let place = diagnostic.span().map(ToString::to_string).unwrap_or_default();
        if self.reported.insert((diagnostic.id.clone(), diagnostic.message.clone(), place)) {
            self.problems.push(diagnostic);
        }
    }
}

fn lower(value: &Value) -> String {
    value.to_text().to_lowercase()
}

/// The problem of a value that cannot be had; none where it only waits for facts.
pub fn unevaluable(host: &str, name: &str, error: &Error, origin: Option<&Span>) -> Option<Diagnostic> {
    if error.kind == ErrorKind::NeedsFacts {
        return None;
    }
    // Kubespray's sample makes secrets with `lookup('password', …)`. They are made when a cluster is.
    let is_secret =
        Catalogue::get().entry(name).is_some_and(|e| e.secret || matches!(e.default, Default::Generated(_)));
    if error.kind == ErrorKind::Refused && is_secret {
        return Some(
            Diagnostic::note(
                "generated-secret",
                format!("`{name}` is a secret that is made when the cluster is installed"),
            )
            .at_maybe(origin)
            .because("the lookup that would make it now is not run"),
        );
    }
    let id = match error.kind {
        ErrorKind::Undefined => "undefined-variable",
        ErrorKind::Recursion => "recursive-variable",
        ErrorKind::Vault => "vault",
        _ => "template",
    };
    let mut diagnostic = Diagnostic::error(id, format!("`{name}` has no value: {}", error.message))
        .on_host(host)
        .at_maybe(origin);
    // The innermost step is said by the message, the outermost by the name.
    if error.path.len() > 1 {
        diagnostic = diagnostic.because(format!(
            "reached through {}",
            error.path.iter().rev().cloned().collect::<Vec<_>>().join(" -> ")
        ));
    }
    if let Some(hint) = &error.hint {
        diagnostic = diagnostic.hint(hint.clone());
    }
    Some(diagnostic)
}
