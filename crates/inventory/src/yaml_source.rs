//! YAML inventories: groups with `hosts`, `children` and `vars`.

use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Span, did_you_mean};
use kubespray_value::Value;
use kubespray_yaml::{Children, Node};

use crate::definition::vars_of_map;
use crate::graph::Graph;
use crate::ini;

/// What a group may hold.
const SECTIONS: [&str; 3] = ["hosts", "children", "vars"];

/// Groups nested deeper than this are refused; Ansible reads them by recursion.
const DEEPEST: usize = 200;

/// Entries of a map with the places of the keys.
type Entries = IndexMap<Value, (Span, Arc<Node>)>;

/// Puts a whole file into the groups; `root` is its top-level map.
pub(crate) fn apply(root: &Node, graph: &mut Graph, problems: &mut Vec<Diagnostic>) {
    let Children::Map(groups) = &root.children else { return };
    let mut reader = Reader { graph, problems };
    for (name, (span, body)) in groups {
        if let Some(name) = reader.name(name, span, "group") {
            reader.group(&name, span, body, 0);
        }
    }
}

struct Reader<'a> {
    graph: &'a mut Graph,
    problems: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// A key that must be a text.
    fn name(&mut self, key: &Value, span: &Span, what: &str) -> Option<String> {
        match key {
            Value::Str(text) if text.is_empty() => {
                self.report(
                    Diagnostic::error("inventory-name", format!("a {what} has an empty name"))
                        .at(span.clone()),
                );
                None
            }
            Value::Str(text) => Some(text.as_str().to_owned()),
            other => {
                let problem = Diagnostic::error(
                    "inventory-name",
                    format!("the name of a {what} is {}, no text", described(other)),
                );
                self.report(problem.at(span.clone()).hint("put the name into quotation marks"));
                None
            }
        }
    }

    /// Reads one group; gives its position, or nothing where the body is no group.
    fn group(&mut self, name: &str, span: &Span, body: &Node, depth: usize) -> Option<usize> {
        if depth > DEEPEST {
            let message = format!("groups are nested deeper than {DEEPEST} levels");
            self.report(Diagnostic::error("group-depth", message).at(span.clone()));
            return None;
        }
        let sections = match (&body.value, &body.children) {
            (Value::None, _) => None,
            (_, Children::Map(sections)) => Some(sections),
            _ => {
                // Ansible skips a group at the top, and fails where a child was to be linked.
                let is_lost = depth > 0
                    && !self.graph.groups.contains_key(name)
                    && !self.graph.hosts.contains_key(name);
                let message = format!("group `{name}` is {}, not a map", described(&body.value));
                let problem = if is_lost {
                    Diagnostic::error("yaml-group", message)
                } else {
                    Diagnostic::warning("yaml-group", format!("{message}: skipped"))
                };
                self.report(
                    problem
                        .at(body.span.clone())
                        .hint("write the hosts of a group below `hosts:`, each with a `:`"),
                );
                return self.graph.groups.get_index_of(name);
            }
        };
        let group = self.graph.add_group(name, span);
        for (key, (key_span, value)) in sections.into_iter().flatten() {
            match key.as_str() {
                Some("vars") => self.vars(group, value),
                Some("children") => self.children(group, name, value, depth),
                Some("hosts") => self.hosts(group, name, value),
                _ => self.unknown_key(key, name, key_span, value),
            }
        }
        Some(group)
    }

    fn unknown_key(&mut self, key: &Value, group: &str, span: &Span, value: &Node) {
        let shown = key.to_text();
        let problem = Diagnostic::warning("yaml-key", format!("`{shown}` in group `{group}` is skipped"))
            .at(span.clone());
        let problem = problem.because("a group holds `hosts`, `children` and `vars`");
        let meant = did_you_mean(&shown, SECTIONS).or(match shown.as_str() {
            "host" => Some("hosts"),
            "child" => Some("children"),
            "var" | "variables" => Some("vars"),
            _ => None,
        });
        self.report(match meant {
            Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
            None if matches!(value.children, Children::Map(_)) => problem.hint(format!(
                "write a group `{shown}` below `children:`, a host below `hosts:`, a variable below `vars:`"
            )),
            None => problem.hint("write variables below `vars:`"),
        });
    }

    /// The entries of a section. A text stands for a map with that one key.
    fn section(&mut self, section: &str, group: &str, value: &Node) -> Option<Entries> {
        match (&value.value, &value.children) {
            (Value::None, _) => None,
            (_, Children::Map(entries)) => Some(entries.clone()),
            (Value::Str(_), _) => {
                let null = Node { value: Value::None, span: value.span.clone(), children: Children::None };
                Some([(value.value.clone(), (value.span.clone(), Arc::new(null)))].into_iter().collect())
            }
            (other, _) => {
                let problem = Diagnostic::error(
                    "yaml-section",
                    format!("`{section}` of group `{group}` is {}, not a map", described(other)),
                )
                .at(value.span.clone());
                self.report(match (section, other) {
                    ("vars", _) => problem.hint("write each variable as `name: value`"),
                    _ => problem
                        .hint("write each name with a `:` behind it and no `-` in front, such as `node1:`"),
                });
                None
            }
        }
    }

    fn vars(&mut self, group: usize, value: &Node) {
        let name = self.graph.group_name(group).to_owned();
        let Some(entries) = self.section("vars", &name, value) else { return };
        let map = Node { value: Value::None, span: value.span.clone(), children: Children::Map(entries) };
        for (key, definition) in vars_of_map(&map) {
            if let Err(problem) = self.graph.set_group_variable(group, key, definition) {
                self.report(*problem);
            }
        }
    }

    fn children(&mut self, group: usize, name: &str, value: &Node, depth: usize) {
        let Some(entries) = self.section("children", name, value) else { return };
        for (key, (span, body)) in &entries {
            let Some(child_name) = self.name(key, span, "group") else { continue };
            let Some(child) = self.group(&child_name, span, body, depth + 1) else { continue };
            if let Err(problem) = self.graph.add_child(group, child, span) {
                self.report(*problem);
            }
        }
    }

    fn hosts(&mut self, group: usize, name: &str, value: &Node) {
        let Some(entries) = self.section("hosts", name, value) else { return };
        for (key, (span, body)) in &entries {
            let Some(pattern) = self.name(key, span, "host") else { continue };
            let (names, port) = match ini::expand(&pattern, span) {
                Ok(expanded) => expanded,
                Err(problem) => {
                    self.report(*problem);
                    continue;
                }
            };
            let is_map = matches!(body.children, Children::Map(_));
            if !is_map && body.value.truthy().unwrap_or(true) {
                let problem = Diagnostic::error(
                    "yaml-host",
                    format!("host `{pattern}` is {}, not a map of variables", described(&body.value)),
                );
                self.report(problem.at(body.span.clone()).hint(format!(
                    "write its variables below it as `name: value`; for an address: `{pattern}: {{ansible_host: …}}`"
                )));
                continue;
            }
            let vars = vars_of_map(body);
            for host in names {
                self.graph.add_host(&host, Some(group), port.as_ref(), span);
                for (key, definition) in &vars {
                    if let Err(problem) = self.graph.set_host_variable(&host, key.clone(), definition.clone())
                    {
                        self.report(*problem);
                    }
                }
            }
        }
    }
}

/// A value in words: its kind, and itself where it is short.
pub(crate) fn described(value: &Value) -> String {
    match value {
        Value::List(_) | Value::Tuple(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
        Value::None => "empty".into(),
        Value::Bool(b) => format!("the boolean `{b}`"),
        Value::Int(_) | Value::BigInt(_) | Value::Float(_) => format!("the number `{}`", value.to_text()),
        Value::Str(text) if text.chars().count() <= 40 && !text.contains('\n') => {
            format!("the text `{}`", text.as_str())
        }
        Value::Str(_) => "a text".into(),
        Value::Date(_) | Value::DateTime(_) => format!("the date `{}`", value.to_text()),
        other => format!("a value of type {}", other.type_name()),
    }
}
