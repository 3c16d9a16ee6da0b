//! From parser events to nodes: anchors, merge keys, tags, limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::{Map, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::anchors::Names;
use crate::limits::{DEEPEST, MOST_MERGED, MOST_VALUES};
use crate::{Children, Document, Node, tags};

type Failure = Box<Diagnostic>;

/// Reads a text that holds at most one document.
pub(crate) fn document(text: &str, source: &Arc<Source>) -> Result<Document, Failure> {
    let mut builder = Builder::new(text, source);
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
pub(crate) fn documents(text: &str, source: &Arc<Source>) -> Result<Vec<Value>, Failure> {
    let mut builder = Builder::new(text, source);
    let mut values = Vec::new();
    while let Some((node, _)) = builder.next_document()? {
        values.push(node.value.clone());
    }
    Ok(values)
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    source: &'a Arc<Source>,
    /// Finished nodes by anchor.
    anchors: HashMap<usize, Anchored>,
    names: Names<'a>,
    /// The character at which the last event starts.
    start: usize,
    /// Anchors of containers that are still being read.
    open_anchors: HashSet<usize>,
    warnings: Vec<Diagnostic>,
    /// Values seen so far, aliases written out.
    weight: u64,
    /// Entries that `<<` has copied so far.
    merged: usize,
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
    fn new(text: &'a str, source: &'a Arc<Source>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            parser: Parser::new_from_str(text),
            names: Names::new(text),
            start: 0,
            source,
            anchors: HashMap::new(),
            open_anchors: HashSet::new(),
            warnings: Vec::new(),
            weight: 0,
            merged: 0,
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Failure> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.start = span.start.index();
                let span = Span::between(
                    self.source.clone(),
                    (span.start.line(), span.start.col() + 1),
                    (span.end.line(), span.end.col() + 1),
                );
                Ok((event, span))
            }
            Some(Err(error)) => {
                let mark = error.marker();
                Err(Box::new(crate::hints::syntax(error.info(), self.source, mark.line(), mark.col() + 1)))
            }
            None => Ok((Event::StreamEnd, Span::whole(self.source.clone()))),
        }
    }

    /// The next document and the place where it starts.
    fn next_document(&mut self) -> Result<Option<(Arc<Node>, Span)>, Failure> {
        loop {
            let (event, start) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_) => {
                    self.anchors.clear();
                    self.names.clear();
                    let (event, span) = self.next()?;
                    return Ok(Some((self.node(event, span, 0)?.0, start)));
                }
                _ => return Err(unexpected(start)),
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

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Built, Failure> {
        check_depth(depth, &span)?;
        let before = self.weight;
        self.count(1, &span)?;
        match &event {
            Event::Alias(_) => self.names.check_alias(self.start, &span)?,
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if *anchor > 0 =>
            {
                self.names.define(self.start, &span)?;
            }
            _ => {}
        }
        let (node, height, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = tags::scalar(&text, plain, tag.as_deref(), &span)?;
                (Arc::new(Node { value, span, children: Children::None }), 0, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open_anchors.insert(anchor);
                let (node, height) = self.list(span, tag.as_deref(), depth)?;
                (node, height, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.open_anchors.insert(anchor);
                let (node, height) = self.map(span, tag.as_deref(), depth)?;
                (node, height, anchor)
            }
            _ => return Err(unexpected(span)),
        };
        if anchor > 0 {
            self.open_anchors.remove(&anchor);
            let anchored = Anchored { node: node.clone(), weight: self.weight - before, height };
            self.anchors.insert(anchor, anchored);
        }
        Ok((node, height))
    }

    fn alias(&mut self, id: usize, span: Span, depth: usize) -> Result<Built, Failure> {
        let problem = if self.open_anchors.contains(&id) {
            "alias of a value that contains it"
        } else if let Some(Anchored { node, weight, height }) = self.anchors.get(&id).cloned() {
            self.count(weight, &span)?;
            check_depth(depth + height, &span)?;
            return Ok((node, height));
        } else {
            "alias of an anchor that is not defined before it"
        };
        Err(Box::new(Diagnostic::error("yaml-alias", problem).at(span)))
    }

    /// From the start of a container to its end. A block container ends before what follows it.
    fn whole(&self, start: &Span, end: &Span) -> Span {
        Span::between(self.source.clone(), (start.line(), start.column()), end.end())
    }

    fn list(&mut self, start: Span, tag: Option<&Tag>, depth: usize) -> Result<Built, Failure> {
        let mut nodes = Vec::new();
        let mut height = 0;
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break span;
            }
            let (node, below) = self.node(event, span, depth + 1)?;
            height = height.max(below + 1);
            nodes.push(node);
        };
        let span = self.whole(&start, &end);
        let value = Value::list(nodes.iter().map(|node| node.value.clone()).collect());
        let node = Node { value, span, children: Children::List(nodes) };
        Ok((Arc::new(tags::list(node, tag)?), height))
    }

    fn map(&mut self, start: Span, tag: Option<&Tag>, depth: usize) -> Result<Built, Failure> {
        let mut entries: Entries = IndexMap::new();
        let mut merged: Vec<Arc<Node>> = Vec::new();
        let mut height = 0;
        let end = loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                break key_span;
            }
            let sign = match &event {
                Event::Scalar(text, ScalarStyle::Plain, _, None) => text.as_ref(),
                _ => "",
            };
            if sign == "<<" {
                let (event, span) = self.next()?;
                let (node, below) = self.node(event, span.clone(), depth + 1)?;
                height = height.max(below + 1);
                add_merged(node, &span, &mut merged)?;
                continue;
            }
            let key = if sign == "=" {
                // No value by itself, but a text as a key.
                Arc::new(Node { value: Value::str("="), span: key_span, children: Children::None })
            } else {
                self.node(event, key_span, depth + 1)?.0
            };
            check_key(&key)?;
            let (event, span) = self.next()?;
            let (node, below) = self.node(event, span, depth + 1)?;
            height = height.max(below + 1);
            if let Some((first, _)) = entries.get(&key.value) {
                self.warnings.push(duplicate(&key, first));
            }
            entries.insert(key.value.clone(), (key.span.clone(), node));
        };
        let span = self.whole(&start, &end);
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

fn unexpected(span: Span) -> Failure {
    Box::new(Diagnostic::error("yaml-syntax", "unexpected content").at(span))
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
