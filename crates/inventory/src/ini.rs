//! INI inventories (ANS-011 … ANS-016).
//!
//! A file is read into [`Entry`] values first and applied to the groups only when all of it could be
//! read: nothing is ever half read.

use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span, did_you_mean};
use kubespray_value::Value;
use kubespray_value::literal::{self, LiteralError, Names};

use crate::definition::Definition;
use crate::graph::{Graph, UNGROUPED};
use crate::{address, ranges, shell_words};

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hosts,
    Children,
    Vars,
}

/// One meaningful line.
#[derive(Debug)]
pub(crate) enum Entry {
    Section { group: String, kind: Kind, span: Span },
    Host { names: Vec<String>, port: Option<Value>, vars: Vec<(String, Definition)>, span: Span },
    Variable { name: String, definition: Definition },
    Child { group: String, span: Span },
}

/// A file that could not be read.
#[derive(Debug)]
pub(crate) struct Broken {
    /// All mistakes, in order.
    pub(crate) problems: Vec<Diagnostic>,
    /// Whether Ansible would have taken something from the file before the first mistake.
    pub(crate) half_read: bool,
}

/// More mistakes than this in one file mean that it is no INI inventory at all.
const MOST_PROBLEMS: usize = 20;

/// Reads the lines of a file. Broken characters are allowed in comments only.
pub(crate) fn parse(bytes: &[u8], source: &Arc<Source>) -> Result<Vec<Entry>, Broken> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let mut kind = Kind::Hosts;
    let mut half_read = false;
    for (number, line) in lines(bytes).into_iter().enumerate() {
        let Ok(text) = std::str::from_utf8(line) else {
            if !matches!(line.first(), Some(b'#' | b';')) {
                let column = String::from_utf8_lossy(line).chars().position(|c| c == '\u{fffd}').unwrap_or(0);
                let place = Span::at(source.clone(), number + 1, column + 1);
                let problem = Diagnostic::error("file-encoding", format!("`{}` is not UTF-8", source.name()));
                problems.push(problem.label(place, "this byte").hint("save the file as UTF-8"));
            }
            continue;
        };
        let line = Line { text: text.trim(), indent: indent(text), number: number + 1, source };
        if line.text.is_empty() || line.text.starts_with(['#', ';']) {
            continue;
        }
        match line.entry(kind) {
            Ok(entry) => {
                if let Entry::Section { kind: new, .. } = &entry {
                    kind = *new;
                }
                entries.push(entry);
            }
            Err(problem) => {
                if problems.is_empty() {
                    half_read = entries.iter().any(|entry| !matches!(entry, Entry::Variable { .. }));
                }
                problems.push(*problem);
                // What follows a broken section heading, or all of a YAML file, would only give echoes.
                let is_heading =
                    line.text.starts_with('[') && (line.text.ends_with(']') || !line.text.contains(']'));
                if is_heading || line.text.starts_with("---") || line.text.ends_with(':') {
                    break;
                }
            }
        }
        if problems.len() >= MOST_PROBLEMS {
            break;
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(Broken { problems, half_read }) }
}

/// Python's `splitlines` for what can stand in a text file.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r' | 0x0b | 0x0c | 0x1c..=0x1e));
        let Some(end) = end else {
            out.push(rest);
            break;
        };
        let width = if rest.get(end..end + 2) == Some(b"\r\n") { 2 } else { 1 };
        out.push(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + width..).unwrap_or_default();
    }
    out
}

fn indent(text: &str) -> usize {
    text.chars().take_while(|c| c.is_whitespace()).count()
}

struct Line<'a> {
    text: &'a str,
    indent: usize,
    number: usize,
    source: &'a Arc<Source>,
}

impl Line<'_> {
    /// From a character of the text to another.
    fn span(&self, from: usize, to: usize) -> Span {
        let start = self.indent + from + 1;
        let end = (self.indent + to + 1).max(start + 1);
        Span::between(self.source.clone(), (self.number, start), (self.number, end))
    }

    fn whole(&self) -> Span {
        self.span(0, self.text.chars().count())
    }

    fn entry(&self, kind: Kind) -> Result<Entry, Box<Diagnostic>> {
        if let Some((group, word)) = section(self.text) {
            return self.section(group, word);
        }
        if self.text.starts_with('[') && self.text.ends_with(']') {
            return Err(Box::new(
                problem(format!("`{}` is no section heading", self.text))
                    .at(self.whole())
                    .hint("write `[group]`, `[group:vars]` or `[group:children]`, without blanks"),
            ));
        }
        match kind {
            Kind::Hosts => self.host(),
            Kind::Vars => self.variable(),
            Kind::Children => self.child(),
        }
    }

    fn section(&self, group: &str, word: Option<&str>) -> Result<Entry, Box<Diagnostic>> {
        let kind = match word {
            None | Some("hosts") => Kind::Hosts,
            Some("children") => Kind::Children,
            Some("vars") => Kind::Vars,
            Some(other) => {
                let start = group.chars().count() + 2;
                let meant = match other {
                    "child" | "groups" => "children",
                    "host" => "hosts",
                    _ => did_you_mean(other, ["children", "vars", "hosts"]).unwrap_or("vars"),
                };
                return Err(Box::new(
                    problem(format!("section `[{group}:{other}]` has an unknown kind `{other}`"))
                        .at(self.span(start, start + other.chars().count()))
                        .because("the kinds are `hosts`, `children` and `vars`")
                        .hint(format!("did you mean `[{group}:{meant}]`?")),
                ));
            }
        };
        Ok(Entry::Section { group: group.to_owned(), kind, span: self.whole() })
    }

    fn child(&self) -> Result<Entry, Box<Diagnostic>> {
        let Some(name) = child_name(self.text) else {
            let mut problem = problem(format!("expected the name of a group, got `{}`", self.text))
                .at(self.whole())
                .hint("a `:children` section holds one group name per line, and nothing else");
            if self.text.contains('=') {
                problem = problem.hint("variables of the group go into its `:vars` section");
            }
            return Err(Box::new(problem));
        };
        Ok(Entry::Child { group: name.to_owned(), span: self.span(0, name.chars().count()) })
    }

    fn variable(&self) -> Result<Entry, Box<Diagnostic>> {
        let Some((name, value)) = self.text.split_once('=') else {
            return Err(Box::new(
                problem(format!("expected `name=value`, got `{}`", self.text))
                    .at(self.whole())
                    .hint("a `:vars` section holds one `name=value` per line"),
            ));
        };
        let span = self.whole();
        let value = self::value(value.trim(), Kind::Vars, &span)?;
        Ok(Entry::Variable { name: name.trim().to_owned(), definition: Definition::new(value, span) })
    }

    fn host(&self) -> Result<Entry, Box<Diagnostic>> {
        if self.text.starts_with('[') && !self.text.contains(']') {
            return Err(Box::new(
                problem(format!("the section heading `{}` is not closed", self.text))
                    .at(self.whole())
                    .hint("a heading ends with `]`"),
            ));
        }
        let words = shell_words::split(self.text).map_err(|what| {
            problem(format!("cannot split this line: {what}"))
                .at(self.whole())
                .hint("quote a value that holds quotation marks, or escape them with a backslash")
        })?;
        let Some((first, rest)) = words.split_first() else {
            return Err(Box::new(problem("expected a host name").at(self.whole())));
        };
        let end_of = |index: usize| match words.get(index + 1) {
            Some(next) => next.column.saturating_sub(1),
            None => self.text.chars().count(),
        };
        let name_span = self.span(first.column, first.column + first.text.chars().count());
        let (names, port) = expand(&first.text, &name_span)?;
        let mut vars: IndexMap<String, Definition> = IndexMap::new();
        for (index, word) in rest.iter().enumerate() {
            let span = self.span(word.column, end_of(index + 1));
            let Some((name, value)) = word.text.split_once('=') else {
                let next = rest.get(index + 1).map(|next| next.text.as_str());
                return Err(Box::new(self.no_assignment(&word.text, next, span)));
            };
            let value = self::value(value, Kind::Hosts, &span)?;
            vars.insert(name.to_owned(), Definition::new(value, span));
        }
        Ok(Entry::Host { names, port, vars: vars.into_iter().collect(), span: name_span })
    }

    fn no_assignment(&self, word: &str, next: Option<&str>, span: Span) -> Diagnostic {
        let problem = problem(format!("expected `name=value` behind a host name, got `{word}`")).at(span);
        if word.starts_with(';') {
            problem.hint("a comment behind a host name starts with `#`")
        } else if word == "=" || word.starts_with('=') || self.text.contains(" =") {
            problem.hint("write `name=value` without blanks around `=`")
        } else if self.text.ends_with(':') || self.text.contains(": ") {
            problem.hint("this looks like YAML: give the file the ending `.yaml`")
        } else {
            match next.filter(|next| !next.contains('=')) {
                Some(next) => {
                    problem.hint(format!("write `{word}={next}`, and quote a value that holds blanks"))
                }
                None => problem.hint("quote a value that holds blanks"),
            }
        }
    }
}

fn problem(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("ini-syntax", message)
}

/// A value as Python reads it; what is no literal stays text.
fn value(text: &str, kind: Kind, span: &Span) -> Result<Value, Box<Diagnostic>> {
    match literal::parse(text, Names::Python) {
        Ok(value) => Ok(value),
        Err(LiteralError::NotALiteral) => Ok(Value::str(text)),
        Err(LiteralError::Unrepresentable(what)) => {
            let problem = Diagnostic::error("ini-value", format!("`{text}` is {what} in Python"))
                .at(span.clone())
                .because("INI values are Python literals, and no inventory can hold this one");
            // On host lines the shell quotes go first (ANS-012).
            let quoted = format!("\"{}\"", text.replace('"', "'"));
            Err(Box::new(problem.hint(match kind {
                Kind::Hosts => format!("quote it twice to make it a text: `'{quoted}'`"),
                _ => format!("quote it to make it a text: `{quoted}`"),
            })))
        }
    }
}

/// Host names of a word, with the port behind them.
pub(crate) fn expand(word: &str, span: &Span) -> Result<(Vec<String>, Option<Value>), Box<Diagnostic>> {
    let problem = |message: String| Diagnostic::error("host-name", message).at(span.clone());
    let (pattern, port) = match address::parse(word) {
        Some(address) => (address.host, address.port),
        None => (word, None),
    };
    if word.trim().is_empty() {
        return Err(Box::new(problem("a host has an empty name".into())));
    }
    if word.trim().ends_with(':') && port.is_none() {
        return Err(Box::new(
            problem(format!("the host name `{word}` ends with `:`"))
                .because("behind `:` stands a port")
                .hint("for a YAML inventory give the file the ending `.yaml`, else remove the `:`"),
        ));
    }
    if pattern.trim() == "---" {
        return Err(Box::new(
            problem("`---` is the start of a YAML file, no host name".into())
                .hint("give the file the ending `.yaml`"),
        ));
    }
    let names = ranges::expand(pattern).map_err(|why| {
        let problem = problem(format!("broken range in the host name `{word}`: {why}"));
        let bare = word.strip_prefix('[').and_then(|w| w.split(']').next());
        match bare.filter(|inner| inner.matches(':').count() > 1) {
            Some(inner) => {
                problem.hint(format!("write an IPv6 address as `{inner}`, or `[{inner}]:22` with a port"))
            }
            None => problem.hint("a range is written `node[1:3]` or `node[01:10]`"),
        }
    })?;
    Ok((names, port))
}

/// The group and the kind of a section heading.
fn section(text: &str) -> Option<(&str, Option<&str>)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let rest = rest.trim_start();
    if !(rest.is_empty() || rest.starts_with('#')) {
        return None;
    }
    let (group, word) = match inner.split_once(':') {
        Some((group, word)) => (group, Some(word)),
        None => (inner, None),
    };
    let good = !group.is_empty()
        && !group.contains(char::is_whitespace)
        && word.is_none_or(|w| !w.is_empty() && w.chars().all(|c| c.is_alphanumeric() || c == '_'));
    good.then_some((group, word))
}

/// The group that a line of a `:children` section names. A `#` without a blank in front belongs to the
/// name, unless the line makes no sense otherwise: so it is in Ansible.
fn child_name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ':' | ']')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let name = if rest.is_empty() || rest.starts_with('#') {
        word
    } else {
        word.get(..word.rfind('#')?).unwrap_or("")
    };
    (!name.is_empty()).then_some(name)
}

/// A group that was named before it had a section of its own.
struct Pending {
    as_vars: bool,
    parents: Vec<(usize, Span)>,
    span: Span,
}

/// Puts the entries of a file into the groups.
pub(crate) fn apply(entries: Vec<Entry>, graph: &mut Graph) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut pending: IndexMap<String, Pending> = IndexMap::new();
    let mut current = UNGROUPED;
    for entry in entries {
        let result = match entry {
            Entry::Section { group, kind, span } => {
                if graph.groups.get(&group).is_none() && kind == Kind::Vars {
                    let new = Pending { as_vars: true, parents: Vec::new(), span: span.clone() };
                    pending.entry(group.clone()).or_insert(new);
                }
                current = graph.add_group(&group, &span);
                match kind {
                    Kind::Vars => Ok(()),
                    _ => declare(&group, current, &mut pending, graph),
                }
            }
            Entry::Host { names, port, vars, span } => {
                let mut result = Ok(());
                for name in names {
                    graph.add_host(&name, Some(current), port.as_ref(), &span);
                    for (key, definition) in &vars {
                        result = result.and(graph.set_host_variable(&name, key.clone(), definition.clone()));
                    }
                }
                result
            }
            Entry::Variable { name, definition } => graph.set_group_variable(current, name, definition),
            Entry::Child { group, span } => {
                if let Some(child) = graph.groups.get_index_of(&group) {
                    graph.add_child(current, child, &span)
                } else {
                    let new = Pending { as_vars: false, parents: Vec::new(), span: span.clone() };
                    pending.entry(group).or_insert(new).parents.push((current, span));
                    Ok(())
                }
            }
        };
        if let Err(problem) = result {
            problems.push(*problem);
        }
    }
    problems.extend(pending.into_iter().map(|(group, pending)| undeclared(&group, &pending, graph)));
    problems
}

/// A section of hosts or children makes a group known.
fn declare(
    name: &str,
    group: usize,
    pending: &mut IndexMap<String, Pending>,
    graph: &mut Graph,
) -> Result<(), Box<Diagnostic>> {
    let Some(waiting) = pending.shift_remove(name) else { return Ok(()) };
    let mut result = Ok(());
    for (parent, span) in waiting.parents {
        result = result.and(graph.add_child(parent, group, &span));
    }
    result
}

fn undeclared(group: &str, pending: &Pending, graph: &Graph) -> Diagnostic {
    let known = graph.groups.keys().map(String::as_str).filter(|name| *name != group);
    let meant = did_you_mean(group, known).map(str::to_owned);
    let problem = if pending.as_vars {
        Diagnostic::error("ini-group", format!("`[{group}:vars]` is for a group that does not exist"))
            .at(pending.span.clone())
    } else {
        let parent = pending.parents.first().map_or("", |(parent, _)| graph.group_name(*parent));
        Diagnostic::error("ini-group", format!("`{group}`, a child of `{parent}`, has no section of its own"))
            .at(pending.span.clone())
    };
    match meant {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem.hint(format!("add a section `[{group}]`, which may be empty")),
    }
}

#[cfg(test)]
mod tests {
    use kubespray_diagnostics::{Style, render};

    use super::*;

    fn read(text: &str) -> Result<Graph, Vec<Diagnostic>> {
        let source = Source::new("hosts.ini", text);
        let entries = parse(text.as_bytes(), &source).map_err(|broken| broken.problems)?;
        let mut graph = Graph::new();
        let problems = apply(entries, &mut graph);
        if !problems.is_empty() {
            return Err(problems);
        }
        graph.reconcile()?;
        Ok(graph)
    }

    fn host_vars(graph: &Graph, host: &str) -> String {
        let vars = &graph.hosts.get(host).unwrap().vars;
        vars.iter().map(|(k, d)| format!("{k}={:?}", d.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn host_lines() {
        let text = "alone x=5 # why\n[g]\nn[1:2]:2222 a=\"5\" b='a b' c=True d=true e=1.30 f=0644 g=[1,2] h=a#b\n\
                    [2001:db8::1]:22 ip=\"'1'\"\n; comment\n  n3 empty=\n";
        let graph = read(text).unwrap();
        assert_eq!(host_vars(&graph, "alone"), "x=5");
        let expected = "ansible_port=2222 a=5 b='a b' c=True d='true' e=1.3 f='0644' g=[1, 2] h='a'";
        assert_eq!(host_vars(&graph, "n1"), expected);
        assert_eq!(host_vars(&graph, "n2"), expected);
        assert_eq!(host_vars(&graph, "2001:db8::1"), "ansible_port=22 ip='1'");
        assert_eq!(host_vars(&graph, "n3"), "empty=''");
        let names: Vec<&str> = graph.hosts.keys().map(String::as_str).collect();
        assert_eq!(names, ["alone", "n1", "n2", "2001:db8::1", "n3"]);
    }

    #[test]
    fn vars_and_children() {
        let text = "[g:vars]\nx = \"5\"\ny=a#b # c\nz = {'a': 1}\nw={{ foo }}\nansible_group_priority=7\n[g]\nh\n\
                    [p:children]\ng # comment\nlater #x\n[later]\n[p:vars]\n";
        let graph = read(text).unwrap();
        let group = graph.groups.get("g").unwrap();
        let vars: Vec<String> = group.vars.iter().map(|(k, d)| format!("{k}={:?}", d.value)).collect();
        assert_eq!(vars, ["x='5'", "y='a#b # c'", "z={'a': 1}", "w='{{ foo }}'"]);
        assert_eq!(group.priority, 7);
        let children: Vec<&str> =
            graph.groups.get("p").unwrap().children.iter().map(|c| graph.group_name(*c)).collect();
        assert_eq!(children, ["g", "later"]);
        assert_eq!(group.vars.get("z").unwrap().origin.to_string(), "hosts.ini:4:1");
    }

    #[test]
    fn child_names() {
        for (text, expected) in [
            ("a", Some("a")),
            ("a # b", Some("a")),
            ("a#b", Some("a#b")),
            ("a#b c", Some("a")),
            ("a b", None),
            ("a:b", None),
            ("k8s-cluster.x", Some("k8s-cluster.x")),
        ] {
            assert_eq!(child_name(text), expected, "{text}");
        }
    }

    #[test]
    fn broken_characters_are_fine_in_comments_only() {
        let source = Source::new("hosts.ini", "");
        assert!(parse(b"# \xff\nhost\n", &source).is_ok());
        let broken = parse(b"# ok\nho\xffst\n", &source).unwrap_err();
        assert_eq!(broken.problems[0].span().unwrap().to_string(), "hosts.ini:2:3");
    }

    #[test]
    fn mistakes_say_what_to_do() {
        let mut shown = Vec::new();
        for text in [
            "[g:child]\na\n",
            "[a b]\n",
            "[g]\nhost1 ansible_host 10.0.0.1\n",
            "[g]\nhost1 ansible_host = 10.0.0.1\n",
            "[g]\nhost1 ; the first\n",
            "[g]\nhost1 x='a\n",
            "all:\n  hosts:\n    a: {x: 1}\n",
            "---\n",
            "[g]\nn[3:1]\n[2001:db8::1] x=1\n",
            "[g:vars]\nx\n",
            "[g:vars]\nx = {{ 5 }}\n[g]\nh y={1,2}\n",
            "[g:vars]\nx=1\n",
            "[kube_node]\nh\n[k8s_cluster:children]\nkube-node\nnowhere x=1\n",
            "[kube_node]\nh\n[k8s_cluster:children]\nkube_nod\nother\n",
            "[g]\n[g:children]\ng\n",
            "[g:vars]\nansible_group_priority=high\n[g]\n",
            "\"\" x=1\n",
        ] {
            let problems = read(text).unwrap_err();
            let rendered: Vec<String> = problems.iter().map(|p| render(p, Style::default())).collect();
            shown.push(rendered.join("\n\n"));
        }
        insta::assert_snapshot!(shown.join("\n\n------\n\n"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(\\[[a-c:\\] ]{0,8}\\]?\n|[a-c=\\[\\]:1-9'\"\\\\# {}é]{0,20}\n){0,12}") {
            let _ = read(&text);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(0_u8..=255, 0..200)) {
            let _ = parse(&bytes, &Source::new("x", ""));
        }
    }
}
