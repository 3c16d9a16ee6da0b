//! From parser events to nodes: anchors, merge keys, tags, limits.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::{Map, Value};

use crate::cursor::Mark;
use crate::events::{Event, Events, Part, Properties};
use crate::limits::{DEEPEST, MOST_MERGED, MOST_VALUES};
use crate::{Children, Document, Node, hints, tags};

type Failure = Box<Diagnostic>;

/// Whose tags a text may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tags {
    /// Those of YAML.
    Yaml,
    /// Also `!vault` and `!unsafe`.
    Ansible,
}

/// Reads a text that holds at most one document.
pub(crate) fn document(text: &str, source: &Arc<Source>, tags: Tags) -> Result<Document, Failure> {
    let mut builder = Builder::new(text, source, tags);
    let mut root = None;
    while let Some((node, start)) = builder.next_document()? {
        if root.is_some() {
            return Err(Box::new(
                Diagnostic::error("yaml-documents", "a second document starts here")
                    .at(start)
                    .because("Ansible reads one document of a file")
                    .hint("remove the line `---`, or put the second document into a file of its own"),
            ));
        }
        root = Some(node);
    }
    Ok(Document { root, warnings: builder.warnings })
}

/// Reads a text that holds any number of documents.
pub(crate) fn documents(text: &str, source: &Arc<Source>, tags: Tags) -> Result<Vec<Value>, Failure> {
    let mut builder = Builder::new(text, source, tags);
    let mut values = Vec::new();
    while let Some((node, _)) = builder.next_document()? {
        values.push(node.value.clone());
    }
    Ok(values)
}

struct Builder<'a> {
    events: Events<'a>,
    source: &'a Arc<Source>,
    tags: Tags,
    /// The anchors of the document by name.
    anchors: HashMap<&'a str, Anchor>,
    warnings: Vec<Diagnostic>,
    /// Values seen so far, aliases written out.
    weight: u64,
    /// Entries that `<<` has copied so far.
    merged: usize,
}

struct Anchor {
    place: Span,
    /// What it names; `None` while that is being read.
    target: Option<Anchored>,
}

#[derive(Clone)]
struct Anchored {
    node: Arc<Node>,
    /// The number of values it stands for.
    weight: u64,
    /// The number of levels below it.
    height: usize,
}

/// A node and the number of levels below it.
type Built = (Arc<Node>, usize);

impl<'a> Builder<'a> {
    fn new(text: &'a str, source: &'a Arc<Source>, tags: Tags) -> Self {
        Self {
            events: Events::new(text),
            source,
            tags,
            anchors: HashMap::new(),
            warnings: Vec::new(),
            weight: 0,
            merged: 0,
        }
    }

    fn next(&mut self) -> Result<Event<'a>, Failure> {
        self.events.next().map_err(|problem| Box::new(hints::syntax(&problem, self.source)))
    }

    fn span(&self, start: Mark, end: Mark) -> Span {
        let place = |mark: Mark| (mark.line as usize + 1, mark.column as usize + 1);
        Span::between(self.source.clone(), place(start), place(end))
    }

    /// The next document and the place where it starts.
    fn next_document(&mut self) -> Result<Option<(Arc<Node>, Span)>, Failure> {
        loop {
            let event = self.next()?;
            match event.kind {
                Part::StreamEnd => return Ok(None),
                Part::DocumentStart => {
                    self.anchors.clear();
                    let first = self.next()?;
                    return Ok(Some((self.node(first, 0)?.0, self.span(event.start, event.end))));
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, values: u64, span: &Span) -> Result<(), Failure> {
        self.weight = self.weight.saturating_add(values);
        if self.weight > MOST_VALUES {
            return Err(Box::new(
                Diagnostic::error("yaml-size", format!("document stands for more than {MOST_VALUES} values"))
                    .at(span.clone())
                    .because("aliases (`*name`) are counted as often as they are used"),
            ));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Built, Failure> {
        let span = self.span(event.start, event.end);
        check_depth(depth, &span)?;
        let before = self.weight;
        self.count(1, &span)?;
        let (anchor, (node, height)) = match event.kind {
            Part::Alias(name) => return self.alias(name, span, depth),
            Part::Scalar(text, typed, properties) => {
                self.define(&properties, &span)?;
                let value = tags::scalar(&text, typed, properties.tag.as_deref(), &span)?;
                (properties.anchor, (Arc::new(Node { value, span, children: Children::None }), 0))
            }
            Part::List(properties) => {
                self.define(&properties, &span)?;
                (properties.anchor, self.list(event.start, properties.tag.as_deref(), depth)?)
            }
            Part::Map(properties) => {
                self.define(&properties, &span)?;
                (properties.anchor, self.map(event.start, properties.tag.as_deref(), depth)?)
            }
            _ => return Err(Box::new(Diagnostic::error("yaml-syntax", "a value is missing here").at(span))),
        };
        if let Some(anchor) = anchor.and_then(|name| self.anchors.get_mut(name)) {
            anchor.target = Some(Anchored { node: node.clone(), weight: self.weight - before, height });
        }
        Ok((node, height))
    }

    /// Checks the properties of a node and notes its anchor.
    fn define(&mut self, properties: &Properties<'a>, span: &Span) -> Result<(), Failure> {
        if let Some(tag) = &properties.tag
            && self.tags == Tags::Yaml
            && !tag.starts_with(tags::YAML)
        {
            return Err(tags::unknown(tag, span));
        }
        let Some(name) = properties.anchor else { return Ok(()) };
        let anchor = Anchor { place: span.clone(), target: None };
        match self.anchors.insert(name, anchor) {
            None => Ok(()),
            Some(first) => Err(Box::new(
                Diagnostic::error("yaml-anchor", format!("anchor `&{name}` is defined twice"))
                    .label(span.clone(), "here again")
                    .label(first.place, "first here")
                    .hint("rename one of them"),
            )),
        }
    }

    fn alias(&mut self, name: &str, span: Span, depth: usize) -> Result<Built, Failure> {
        match self.anchors.get(name).map(|anchor| (&anchor.place, anchor.target.clone())) {
            Some((_, Some(Anchored { node, weight, height }))) => {
                self.count(weight, &span)?;
                check_depth(depth + height, &span)?;
                Ok((node, height))
            }
            Some((place, None)) => Err(Box::new(
                Diagnostic::error("yaml-alias", "alias of a value that contains it")
                    .at(span)
                    .label(place.clone(), "the value starts here"),
            )),
            None => Err(Box::new(
                Diagnostic::error("yaml-alias", "alias of an anchor that is not defined before it")
                    .at(span)
                    .hint("a text that starts with `*` must stand in quotes"),
            )),
        }
    }

    fn list(&mut self, start: Mark, tag: Option<&str>, depth: usize) -> Result<Built, Failure> {
        let mut nodes = Vec::new();
        let mut height = 0;
        let end = loop {
            let event = self.next()?;
            if matches!(event.kind, Part::ListEnd) {
                break event.end;
            }
            let (node, below) = self.node(event, depth + 1)?;
            height = height.max(below + 1);
            nodes.push(node);
        };
        let span = self.span(start, end);
        let value = Value::list(nodes.iter().map(|node| node.value.clone()).collect());
        let node = Node { value, span, children: Children::List(nodes) };
        Ok((Arc::new(tags::list(node, tag)?), height))
    }

    fn map(&mut self, start: Mark, tag: Option<&str>, depth: usize) -> Result<Built, Failure> {
        let mut entries: Entries = IndexMap::new();
        let mut merged: Vec<Arc<Node>> = Vec::new();
        let mut height = 0;
        let end = loop {
            let event = self.next()?;
            if matches!(event.kind, Part::MapEnd) {
                break event.end;
            }
            // As values these two are errors, so they are told from other keys before the key is read.
            let sign = match &event.kind {
                Part::Scalar(text, true, Properties { tag: None, .. }) => text.as_ref(),
                _ => "",
            };
            let is_merge = sign == "<<";
            let key = match event.kind {
                Part::Scalar(text, _, properties) if is_merge || sign == "=" => {
                    Event { kind: Part::Scalar(text, false, properties), ..event }
                }
                kind => Event { kind, ..event },
            };
            let key = self.node(key, depth + 1)?.0;
            check_key(&key)?;
            let event = self.next()?;
            let (node, below) = self.node(event, depth + 1)?;
            height = height.max(below + 1);
            if is_merge {
                let span = node.span.clone();
                add_merged(node, &span, &mut merged)?;
                continue;
            }
            if let Some((first, _)) = entries.get(&key.value) {
                self.warnings.push(duplicate(&key, first));
            }
            entries.insert(key.value.clone(), (key.span.clone(), node));
        };
        let span = self.span(start, end);
        let entries = self.merge_entries(merged, entries, &span)?;
        let map: Map = entries.iter().map(|(key, (_, node))| (key.clone(), node.value.clone())).collect();
        let node = Node { value: Value::map(map), span, children: Children::Map(entries) };
        Ok((Arc::new(tags::map(node, tag)?), height))
    }

    /// Merged entries come first, in order; own entries replace them in place.
    fn merge_entries(
        &mut self,
        merged: Vec<Arc<Node>>,
        own: Entries,
        span: &Span,
    ) -> Result<Entries, Failure> {
        if merged.is_empty() {
            return Ok(own);
        }
        let mut entries = IndexMap::new();
        for node in merged {
            let Children::Map(children) = &node.children else { continue };
            self.merged += children.len();
            if self.merged > MOST_MERGED {
                return Err(Box::new(
                    Diagnostic::error("yaml-size", format!("`<<` copies more than {MOST_MERGED} entries"))
                        .at(span.clone()),
                ));
            }
            for (key, entry) in children {
                entries.insert(key.clone(), entry.clone());
            }
        }
        entries.extend(own);
        Ok(entries)
    }
}

type Entries = IndexMap<Value, (Span, Arc<Node>)>;

fn check_depth(depth: usize, span: &Span) -> Result<(), Failure> {
    if depth > DEEPEST {
        return Err(Box::new(
            Diagnostic::error("yaml-depth", format!("nested deeper than {DEEPEST} levels")).at(span.clone()),
        ));
    }
    Ok(())
}

fn check_key(key: &Node) -> Result<(), Failure> {
    let kind = match &key.value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        _ => return Ok(()),
    };
    let diagnostic = Diagnostic::error("yaml-key", format!("a {kind} cannot be a key")).at(key.span.clone());
    // `{{ name }}` without quotes is a map in a map to YAML.
    Err(Box::new(match kind {
        "map" => diagnostic.hint("a value that starts with `{{` must stand in quotes: \"{{ name }}\""),
        _ => diagnostic,
    }))
}

fn duplicate(key: &Node, first: &Span) -> Diagnostic {
    let message = format!("key `{}` stands twice, only the last one counts", key.value.to_text());
    Diagnostic::warning("yaml-duplicate-key", message)
        .label(key.span.clone(), "this one counts")
        .label(first.clone(), "this one is lost")
}

/// Adds what `<<` names, so that later ones are laid over earlier ones.
fn add_merged(node: Arc<Node>, span: &Span, merged: &mut Vec<Arc<Node>>) -> Result<(), Failure> {
    match &node.children {
        Children::Map(_) => merged.push(node),
        // The first map of the list wins, so it comes last.
        Children::List(items) if items.iter().all(|item| matches!(item.children, Children::Map(_))) => {
            merged.extend(items.iter().rev().cloned());
        }
        _ => {
            return Err(Box::new(
                Diagnostic::error("yaml-merge", "`<<` wants a map or a list of maps").at(span.clone()),
            ));
        }
    }
    Ok(())
}
