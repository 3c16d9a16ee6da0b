//! From tokens to events: the grammar of YAML, by the rules of libyaml 0.2.5.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::cursor::{Mark, Problem};
use crate::scanner::{Kind, Scanner, Token};

/// A part of a document and where it stands.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) kind: Part<'a>,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

#[derive(Debug)]
pub(crate) enum Part<'a> {
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(&'a str),
    /// Text, whether its type depends on it, and what stands before it.
    Scalar(Cow<'a, str>, bool, Properties<'a>),
    List(Properties<'a>),
    ListEnd,
    Map(Properties<'a>),
    MapEnd,
}

/// Anchor and tag of a node; the tag in full, such as `tag:yaml.org,2002:int` or `!vault`.
#[derive(Debug, Default)]
pub(crate) struct Properties<'a> {
    pub(crate) anchor: Option<&'a str>,
    pub(crate) tag: Option<String>,
}

/// What is expected next.
#[derive(Clone, Copy)]
enum State {
    /// The start of the first document, which needs no `---`.
    FirstDocument,
    Document,
    DocumentContent,
    DocumentEnd,
    BlockNode,
    BlockList,
    /// A list that stands at the column of the key that it belongs to.
    FlatList,
    BlockKey,
    BlockValue,
    FlowList {
        first: bool,
    },
    PairKey,
    PairValue,
    PairEnd,
    FlowKey {
        first: bool,
    },
    FlowValue,
    FlowNoValue,
    End,
}

pub(crate) struct Events<'a> {
    scanner: Scanner<'a>,
    state: State,
    outer: Vec<State>,
    /// Where the open collections start.
    starts: Vec<Mark>,
    /// Prefixes of the current document's tags by handle.
    prefixes: HashMap<&'a str, String>,
    /// The end of the last thing that was read; a block ends there and not where the next one starts.
    last_end: Mark,
    /// Whether that was a quoted text.
    after_quote: bool,
}

impl<'a> Events<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            scanner: Scanner::new(text),
            state: State::FirstDocument,
            outer: Vec::new(),
            starts: Vec::new(),
            prefixes: HashMap::new(),
            last_end: Mark::default(),
            after_quote: false,
        }
    }

    /// The next event; the end of the stream again and again when it is reached.
    pub(crate) fn next(&mut self) -> Result<Event<'a>, Problem> {
        match self.state {
            State::FirstDocument => self.document(true),
            State::Document => self.document(false),
            State::DocumentContent => self.document_content(),
            State::DocumentEnd => self.document_end(),
            State::BlockNode => self.node(true, false),
            State::BlockList => self.block_list(),
            State::FlatList => self.flat_list(),
            State::BlockKey => self.block_key(),
            State::BlockValue => self.block_value(),
            State::FlowList { first } => self.flow_list(first),
            State::PairKey => self.pair_key(),
            State::PairValue => self.pair_value(),
            State::PairEnd => {
                self.state = State::FlowList { first: false };
                let mark = self.scanner.peek()?.start;
                Ok(Event { kind: Part::MapEnd, start: mark, end: mark })
            }
            State::FlowKey { first } => self.flow_key(first),
            State::FlowValue => self.flow_value(),
            State::FlowNoValue => {
                self.state = State::FlowKey { first: false };
                let mark = self.scanner.peek()?.start;
                Ok(empty(mark))
            }
            State::End => {
                let mark = self.scanner.peek()?.start;
                Ok(Event { kind: Part::StreamEnd, start: mark, end: mark })
            }
        }
    }

    fn skip(&mut self) -> Result<Token<'a>, Problem> {
        let token = self.scanner.next()?;
        if !matches!(token.kind, Kind::BlockEnd | Kind::StreamEnd | Kind::DocumentStart | Kind::DocumentEnd) {
            self.last_end = token.end;
            self.after_quote = matches!(token.kind, Kind::Scalar(_, false));
        }
        Ok(token)
    }

    fn leave(&mut self) {
        self.state = self.outer.pop().unwrap_or(State::End);
    }

    fn document(&mut self, is_first: bool) -> Result<Event<'a>, Problem> {
        if !is_first {
            while self.scanner.peek()?.kind == Kind::DocumentEnd {
                self.skip()?;
            }
        }
        let token = self.scanner.peek()?;
        let (start, end) = (token.start, token.end);
        let needs_mark = !is_first
            || matches!(token.kind, Kind::Version(..) | Kind::TagDirective(..) | Kind::DocumentStart);
        if token.kind == Kind::StreamEnd {
            self.state = State::End;
            return Ok(Event { kind: Part::StreamEnd, start, end });
        }
        self.directives()?;
        if needs_mark {
            let token = self.scanner.peek()?;
            if token.kind != Kind::DocumentStart {
                let at = token.start;
                return Err(self
                    .behind_quote(at)
                    .unwrap_or_else(|| Problem::new("nothing may follow the value of the document", at)));
            }
            self.skip()?;
            self.state = State::DocumentContent;
        } else {
            self.state = State::BlockNode;
        }
        self.outer.push(State::DocumentEnd);
        Ok(Event { kind: Part::DocumentStart, start, end })
    }

    fn directives(&mut self) -> Result<(), Problem> {
        self.prefixes.clear();
        let mut has_version = false;
        loop {
            let token = self.scanner.peek()?;
            let start = token.start;
            match &token.kind {
                Kind::Version(major, minor) => {
                    if has_version || *major != 1 || !matches!(minor, 1 | 2) {
                        return Err(Problem::new("this version of YAML is not supported", start));
                    }
                    has_version = true;
                    self.skip()?;
                }
                Kind::TagDirective(..) => {
                    if let Kind::TagDirective(handle, prefix) = self.skip()?.kind
                        && self.prefixes.insert(handle, prefix).is_some()
                    {
                        return Err(Problem::new(format!("handle `{handle}` is defined twice"), start));
                    }
                }
                _ => break,
            }
        }
        self.prefixes.entry("!").or_insert_with(|| "!".to_owned());
        self.prefixes.entry("!!").or_insert_with(|| crate::tags::YAML.to_owned());
        Ok(())
    }

    fn document_content(&mut self) -> Result<Event<'a>, Problem> {
        let token = self.scanner.peek()?;
        let is_empty = matches!(
            token.kind,
            Kind::Version(..)
                | Kind::TagDirective(..)
                | Kind::DocumentStart
                | Kind::DocumentEnd
                | Kind::StreamEnd
        );
        if is_empty {
            let mark = token.start;
            self.leave();
            return Ok(empty(mark));
        }
        self.node(true, false)
    }

    fn document_end(&mut self) -> Result<Event<'a>, Problem> {
        let token = self.scanner.peek()?;
        let (start, end) = (token.start, token.end);
        if token.kind == Kind::DocumentEnd {
            self.skip()?;
        }
        self.state = State::Document;
        Ok(Event { kind: Part::DocumentEnd, start, end })
    }

    fn node(&mut self, in_block: bool, may_be_flat: bool) -> Result<Event<'a>, Problem> {
        let start = self.scanner.peek()?.start;
        if matches!(self.scanner.peek()?.kind, Kind::Alias(_)) {
            let token = self.skip()?;
            self.leave();
            let Kind::Alias(name) = token.kind else { return Err(Problem::new("no alias", token.start)) };
            return Ok(Event { kind: Part::Alias(name), start: token.start, end: token.end });
        }
        let (properties, is_untagged, is_bare) = self.properties(start)?;
        let token = self.scanner.peek()?;
        let end = token.end;
        let event = |kind| Event { kind, start, end };
        match &token.kind {
            Kind::Entry if may_be_flat => {
                self.state = State::FlatList;
                Ok(event(Part::List(properties)))
            }
            Kind::Scalar(..) => {
                let token = self.skip()?;
                self.leave();
                let Kind::Scalar(text, is_plain) = token.kind else {
                    return Err(Problem::new("no text", token.start));
                };
                // The tag `!` gives even a quoted text the type that it would have without quotes.
                let is_typed = properties.tag.is_none() && (is_plain || !is_untagged);
                Ok(event(Part::Scalar(text, is_typed, properties)))
            }
            Kind::FlowList => {
                self.open()?;
                self.state = State::FlowList { first: true };
                Ok(event(Part::List(properties)))
            }
            Kind::FlowMap => {
                self.open()?;
                self.state = State::FlowKey { first: true };
                Ok(event(Part::Map(properties)))
            }
            Kind::BlockList if in_block => {
                self.open()?;
                self.state = State::BlockList;
                Ok(event(Part::List(properties)))
            }
            Kind::BlockMap if in_block => {
                self.open()?;
                self.state = State::BlockKey;
                Ok(event(Part::Map(properties)))
            }
            _ if !is_bare => {
                let end = self.last_end;
                self.leave();
                let is_typed = properties.tag.is_none() && is_untagged;
                Ok(Event { kind: Part::Scalar(Cow::Borrowed(""), is_typed, properties), start, end })
            }
            kind => Err(Problem::new(format!("a value is missing before {}", name_of(kind)), token.start)),
        }
    }

    /// Anchor and tag, whether there is no tag (not even `!`), and whether there is nothing at all.
    fn properties(&mut self, start: Mark) -> Result<(Properties<'a>, bool, bool), Problem> {
        let mut properties = Properties::default();
        let mut has_tag = false;
        loop {
            match &self.scanner.peek()?.kind {
                Kind::Anchor(name) if properties.anchor.is_none() => {
                    properties.anchor = Some(name);
                    self.skip()?;
                }
                Kind::Tag(..) if !has_tag => {
                    has_tag = true;
                    let token = self.skip()?;
                    let Kind::Tag(handle, suffix) = token.kind else { continue };
                    properties.tag = match (handle, suffix.as_str()) {
                        ("", "!") => None,
                        ("", _) => Some(suffix),
                        _ => match self.prefixes.get(handle) {
                            Some(prefix) => Some(format!("{prefix}{suffix}")),
                            None => {
                                let message = format!("handle `{handle}` of this tag is not defined");
                                return Err(Problem::new(message, start));
                            }
                        },
                    };
                }
                _ => break,
            }
        }
        let is_bare = !has_tag && properties.anchor.is_none();
        Ok((properties, !has_tag, is_bare))
    }

    /// Takes the token that starts a collection.
    fn open(&mut self) -> Result<(), Problem> {
        let token = self.skip()?;
        self.starts.push(token.start);
        Ok(())
    }

    fn close(&mut self, kind: Part<'a>) -> Result<Event<'a>, Problem> {
        let is_block = self.scanner.peek()?.kind == Kind::BlockEnd;
        let token = self.skip()?;
        self.starts.pop();
        self.leave();
        let end = if is_block { self.last_end } else { token.end };
        Ok(Event { kind, start: token.start, end })
    }

    fn broken(&mut self, message: &'static str, what: &'static str, hint: &'static str) -> Problem {
        let at = self.scanner.peek().map_or(self.last_end, |token| token.start);
        if let Some(problem) = self.behind_quote(at) {
            return problem;
        }
        let problem = Problem::new(message, at).hint(hint);
        match self.starts.last() {
            Some(start) => problem.within(*start, what),
            None => problem,
        }
    }

    /// The problem of something that follows a quoted text in its line.
    fn behind_quote(&self, at: Mark) -> Option<Problem> {
        (self.after_quote && at.line == self.last_end.line).then(|| {
            Problem::new("a quoted value goes on behind its closing quote", at)
                .hint("quote the value as a whole; inside of single quotes write `''` for a quote")
        })
    }

    fn block_list(&mut self) -> Result<Event<'a>, Problem> {
        match self.scanner.peek()?.kind {
            Kind::Entry => {
                let end = self.skip()?.end;
                if matches!(self.scanner.peek()?.kind, Kind::Entry | Kind::BlockEnd) {
                    return Ok(empty(end));
                }
                self.outer.push(State::BlockList);
                self.node(true, false)
            }
            Kind::BlockEnd => self.close(Part::ListEnd),
            _ => Err(self.broken(
                "expected `- `, an element of the list that is open here",
                "the list starts here",
                "start all elements of one list in the same column",
            )),
        }
    }

    fn flat_list(&mut self) -> Result<Event<'a>, Problem> {
        if self.scanner.peek()?.kind != Kind::Entry {
            let start = self.scanner.peek()?.start;
            self.leave();
            return Ok(Event { kind: Part::ListEnd, start, end: self.last_end });
        }
        let end = self.skip()?.end;
        if matches!(self.scanner.peek()?.kind, Kind::Entry | Kind::Key | Kind::Value | Kind::BlockEnd) {
            return Ok(empty(end));
        }
        self.outer.push(State::FlatList);
        self.node(true, false)
    }

    fn block_key(&mut self) -> Result<Event<'a>, Problem> {
        match self.scanner.peek()?.kind {
            Kind::Key => {
                let end = self.skip()?.end;
                if matches!(self.scanner.peek()?.kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
                    self.state = State::BlockValue;
                    return Ok(empty(end));
                }
                self.outer.push(State::BlockValue);
                self.node(true, true)
            }
            Kind::BlockEnd => self.close(Part::MapEnd),
            _ => Err(self.broken(
                "expected a key of the map that is open here",
                "the map starts here",
                "start all keys of one map in the same column",
            )),
        }
    }

    fn block_value(&mut self) -> Result<Event<'a>, Problem> {
        let token = self.scanner.peek()?;
        if token.kind != Kind::Value {
            let mark = token.start;
            self.state = State::BlockKey;
            return Ok(empty(mark));
        }
        let end = self.skip()?.end;
        if matches!(self.scanner.peek()?.kind, Kind::Key | Kind::Value | Kind::BlockEnd) {
            self.state = State::BlockKey;
            return Ok(empty(end));
        }
        self.outer.push(State::BlockKey);
        self.node(true, true)
    }

    fn flow_list(&mut self, is_first: bool) -> Result<Event<'a>, Problem> {
        if !is_first && self.scanner.peek()?.kind != Kind::FlowListEnd {
            if self.scanner.peek()?.kind != Kind::FlowEntry {
                return Err(self.broken(
                    "expected `,` or `]`",
                    "the list starts here",
                    "close the list that `[` opens, or put `,` between its elements",
                ));
            }
            self.skip()?;
        }
        match self.scanner.peek()?.kind {
            Kind::FlowListEnd => self.close(Part::ListEnd),
            Kind::Key => {
                let token = self.skip()?;
                self.state = State::PairKey;
                Ok(Event { kind: Part::Map(Properties::default()), start: token.start, end: token.end })
            }
            _ => {
                self.outer.push(State::FlowList { first: false });
                self.node(false, false)
            }
        }
    }

    fn pair_key(&mut self) -> Result<Event<'a>, Problem> {
        if matches!(self.scanner.peek()?.kind, Kind::Value | Kind::FlowEntry | Kind::FlowListEnd) {
            // The library skips the token, whatever it is.
            let end = self.skip()?.end;
            self.state = State::PairValue;
            return Ok(empty(end));
        }
        self.outer.push(State::PairValue);
        self.node(false, false)
    }

    fn pair_value(&mut self) -> Result<Event<'a>, Problem> {
        if self.scanner.peek()?.kind == Kind::Value {
            self.skip()?;
            if !matches!(self.scanner.peek()?.kind, Kind::FlowEntry | Kind::FlowListEnd) {
                self.outer.push(State::PairEnd);
                return self.node(false, false);
            }
        }
        self.state = State::PairEnd;
        let mark = self.scanner.peek()?.start;
        Ok(empty(mark))
    }

    fn flow_key(&mut self, is_first: bool) -> Result<Event<'a>, Problem> {
        if !is_first && self.scanner.peek()?.kind != Kind::FlowMapEnd {
            if self.scanner.peek()?.kind != Kind::FlowEntry {
                return Err(self.broken(
                    "expected `,` or `}`",
                    "the map starts here",
                    "close the map that `{` opens, or put `,` between its entries",
                ));
            }
            self.skip()?;
        }
        match self.scanner.peek()?.kind {
            Kind::FlowMapEnd => self.close(Part::MapEnd),
            Kind::Key => {
                self.skip()?;
                let token = self.scanner.peek()?;
                if matches!(token.kind, Kind::Value | Kind::FlowEntry | Kind::FlowMapEnd) {
                    let mark = token.start;
                    self.state = State::FlowValue;
                    return Ok(empty(mark));
                }
                self.outer.push(State::FlowValue);
                self.node(false, false)
            }
            _ => {
                self.outer.push(State::FlowNoValue);
                self.node(false, false)
            }
        }
    }

    fn flow_value(&mut self) -> Result<Event<'a>, Problem> {
        if self.scanner.peek()?.kind == Kind::Value {
            self.skip()?;
            if !matches!(self.scanner.peek()?.kind, Kind::FlowEntry | Kind::FlowMapEnd) {
                self.outer.push(State::FlowKey { first: false });
                return self.node(false, false);
            }
        }
        self.state = State::FlowKey { first: false };
        let mark = self.scanner.peek()?.start;
        Ok(empty(mark))
    }
}

/// A value that is not written.
fn empty<'a>(mark: Mark) -> Event<'a> {
    Event { kind: Part::Scalar(Cow::Borrowed(""), true, Properties::default()), start: mark, end: mark }
}

/// A token in the words of users.
fn name_of(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::StreamEnd => "the end of the text",
        Kind::DocumentStart => "`---`",
        Kind::DocumentEnd => "`...`",
        Kind::FlowListEnd => "`]`",
        Kind::FlowMapEnd => "`}`",
        Kind::FlowEntry => "`,`",
        Kind::Entry => "`-`",
        Kind::Value => "`:`",
        _ => "this",
    }
}
