//! From parser events to nodes: anchors, merge keys, tags, limits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::{Map, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::{Children, Document, Node, tags};

/// Containers nested deeper than this are refused. Inventories reach ten; code that walks a value
/// recurses once a level and must not exhaust its stack.
pub(crate) const DEEPEST: usize = 100;

/// Values a document may hold when all aliases are written out. A document of a few lines can otherwise
/// stand for more values than any memory holds.
const MOST_VALUES: u64 = 10_000_000;

type Failure = Box<Diagnostic>;

pub(crate) fn build(text: &str, source: &Arc<Source>) -> Result<Document, Failure> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        source,
        anchors: HashMap::new(),
        open_anchors: HashSet::new(),
        warnings: Vec::new(),
        weight: 0,
    };
    builder.document()
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    source: &'a Arc<Source>,
    /// Finished nodes by anchor, with the number of values they stand for.
    anchors: HashMap<usize, (Arc<Node>, u64)>,
    /// Anchors of containers that are still being read.
    open_anchors: HashSet<usize>,
    warnings: Vec<Diagnostic>,
    /// Values seen so far, aliases written out.
    weight: u64,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Failure> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
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

    fn document(&mut self) -> Result<Document, Failure> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    if root.is_some() {
                        return Err(Box::new(
                            Diagnostic::error(
                                "yaml-documents",
                                "expected a single document, found another one",
                            )
                            .at(span)
                            .hint("remove the line `---`, or put the second document into a file of its own"),
                        ));
                    }
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span, 0)?);
                }
                _ => return Err(Box::new(Diagnostic::error("yaml-syntax", "unexpected content").at(span))),
            }
        }
        Ok(Document { root, warnings: std::mem::take(&mut self.warnings) })
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

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Arc<Node>, Failure> {
        if depth > DEEPEST {
            return Err(Box::new(
                Diagnostic::error("yaml-depth", format!("nested deeper than {DEEPEST} levels")).at(span),
            ));
        }
        let before = self.weight;
        self.count(1, &span)?;
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let value = tags::scalar(&text, plain, tag.as_deref(), &span)?;
                (Arc::new(Node { value, span, children: Children::None }), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open_anchors.insert(anchor);
                let node = self.list(span, tag.as_deref(), depth)?;
                (node, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.open_anchors.insert(anchor);
                let node = self.map(span, tag.as_deref(), depth)?;
                (node, anchor)
            }
            _ => {
                return Err(Box::new(
                    Diagnostic::error("yaml-syntax", "unexpected end of the document").at(span),
                ));
            }
        };
        if anchor > 0 {
            self.open_anchors.remove(&anchor);
            self.anchors.insert(anchor, (node.clone(), self.weight - before));
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Arc<Node>, Failure> {
        if self.open_anchors.contains(&id) {
            return Err(Box::new(
                Diagnostic::error("yaml-alias", "alias of a value that contains itself").at(span),
            ));
        }
        match self.anchors.get(&id).cloned() {
            Some((node, weight)) => {
                self.count(weight, &span)?;
                Ok(node)
            }
            None => Err(Box::new(
                Diagnostic::error("yaml-alias", "alias of an anchor that is not defined").at(span),
            )),
        }
    }

    fn list(&mut self, span: Span, tag: Option<&Tag>, depth: usize) -> Result<Arc<Node>, Failure> {
        let mut nodes = Vec::new();
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break span.end();
            }
            nodes.push(self.node(event, span, depth + 1)?);
        };
        let span = Span::between(self.source.clone(), (span.line(), span.column()), end);
        let value = Value::list(nodes.iter().map(|node| node.value.clone()).collect());
        let value = tags::list(value, tag, &span)?;
        Ok(Arc::new(Node { value, span, children: Children::List(nodes) }))
    }

    fn map(&mut self, span: Span, tag: Option<&Tag>, depth: usize) -> Result<Arc<Node>, Failure> {
        let mut entries: IndexMap<Value, (Span, Arc<Node>)> = IndexMap::new();
        let mut merged: Vec<Arc<Node>> = Vec::new();
        let end = loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                break key_span.end();
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            // As a value `<<` is an error, so a merge is told from other keys before its key is read.
            if is_merge {
                let (event, value_span) = self.next()?;
                let node = self.node(event, value_span.clone(), depth + 1)?;
                add_merged(node, &value_span, &mut merged)?;
                continue;
            }
            let key = self.node(event, key_span.clone(), depth + 1)?;
            if matches!(key.value, Value::List(_) | Value::Map(_)) {
                return Err(Box::new(
                    Diagnostic::error("yaml-key", "a list or map cannot be a key")
                        .at(key_span)
                        .hint("a value that starts with `{{` must stand in quotes: \"{{ name }}\""),
                ));
            }
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span, depth + 1)?;
            if let Some((first, _)) = entries.get(&key.value) {
                self.warnings.push(
                    Diagnostic::warning(
                        "yaml-duplicate-key",
                        format!("key `{}` stands twice, only the last one counts", key.value.to_text()),
                    )
                    .label(key.span.clone(), "this one counts")
                    .label(first.clone(), "this one is lost"),
                );
            }
            entries.insert(key.value.clone(), (key.span.clone(), node));
        };
        let span = Span::between(self.source.clone(), (span.line(), span.column()), end);
        let entries = merge_entries(merged, entries);
        let mut map = Map::with_capacity(entries.len());
        for (key, (_, node)) in &entries {
            map.insert(key.clone(), node.value.clone());
        }
        let value = tags::map(Value::map(map), tag, &span)?;
        Ok(Arc::new(Node { value, span, children: Children::Map(entries) }))
    }
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

/// Merged entries come first, in order; own entries replace them in place.
fn merge_entries(
    merged: Vec<Arc<Node>>,
    own: IndexMap<Value, (Span, Arc<Node>)>,
) -> IndexMap<Value, (Span, Arc<Node>)> {
    if merged.is_empty() {
        return own;
    }
    let mut entries = IndexMap::new();
    for node in merged {
        if let Children::Map(children) = &node.children {
            for (key, entry) in children {
                entries.insert(key.clone(), entry.clone());
            }
        }
    }
    entries.extend(own);
    entries
}
