//! From text to tokens, by the rules of libyaml 0.2.5, which Ansible reads YAML with.
//!
//! They are those of YAML 1.1 with peculiarities of their own: where a tab may stand, that a collection in
//! brackets may be continued at any column, that a key without `? ` has one line of at most 1,024
//! characters.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::cursor::{Cursor, Mark, Problem};
use crate::limits::DEEPEST;
use crate::scalars;

/// Characters within which the colon of a key must follow.
const LONGEST_KEY: u32 = 1024;

/// A token and where it stands.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    StreamEnd,
    /// `%YAML`, with the version.
    Version(u32, u32),
    /// `%TAG`, with handle and prefix.
    TagDirective(&'a str, String),
    DocumentStart,
    DocumentEnd,
    BlockList,
    BlockMap,
    BlockEnd,
    FlowList,
    FlowListEnd,
    FlowMap,
    FlowMapEnd,
    /// `-`
    Entry,
    /// `,`
    FlowEntry,
    Key,
    Value,
    Alias(&'a str),
    Anchor(&'a str),
    /// Handle (empty for a tag written in full) and suffix.
    Tag(&'a str, String),
    /// Text, and whether it stands without quotes.
    Scalar(Cow<'a, str>, bool),
}

/// What may turn out to be a key when its colon is found.
#[derive(Clone, Copy)]
struct PossibleKey {
    /// Whether nothing else can stand there.
    required: bool,
    /// The number of its first token.
    number: usize,
    mark: Mark,
}

pub(crate) struct Scanner<'a> {
    cursor: Cursor<'a>,
    tokens: VecDeque<Token<'a>>,
    /// Tokens that were taken out of the queue.
    taken: usize,
    /// The column of the innermost block collection, -1 outside of all.
    indent: i64,
    outer_indents: Vec<i64>,
    /// The possible key of the block and of each open bracket.
    keys: Vec<Option<PossibleKey>>,
    key_allowed: bool,
    is_done: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            cursor: Cursor::new(text),
            tokens: VecDeque::new(),
            taken: 0,
            indent: -1,
            outer_indents: Vec::new(),
            keys: vec![None],
            key_allowed: true,
            is_done: false,
        }
    }

    /// The next token, which stays the next one.
    pub(crate) fn peek(&mut self) -> Result<&Token<'a>, Problem> {
        while self.needs_more()? {
            self.fetch()?;
        }
        // The last token stays in the queue, so there always is one.
        self.tokens.front().ok_or_else(|| Problem::new("the text ends too early", self.cursor.mark()))
    }

    /// Takes the next token.
    pub(crate) fn next(&mut self) -> Result<Token<'a>, Problem> {
        self.peek()?;
        match self.tokens.pop_front() {
            Some(token) => {
                self.taken += 1;
                Ok(token)
            }
            None => Err(Problem::new("the text ends too early", self.cursor.mark())),
        }
    }

    /// Whether the next token is not known: there is none, or a key may have to be put before it.
    fn needs_more(&mut self) -> Result<bool, Problem> {
        if self.tokens.is_empty() {
            return Ok(!self.is_done);
        }
        self.forget_stale_keys()?;
        let next = self.taken;
        Ok(self.keys.iter().flatten().any(|key| key.number == next))
    }

    fn in_flow(&self) -> bool {
        self.keys.len() > 1
    }

    fn push(&mut self, kind: Kind<'a>, start: Mark) {
        self.tokens.push_back(Token { kind, start, end: self.cursor.mark() });
    }

    /// Skips an indicator of some characters and puts its token into the queue.
    fn push_indicator(&mut self, kind: Kind<'a>, length: usize) {
        let start = self.cursor.mark();
        self.cursor.skip(length);
        self.push(kind, start);
    }

    fn fetch(&mut self) -> Result<(), Problem> {
        self.skip_to_token();
        self.forget_stale_keys()?;
        self.close_blocks(i64::from(self.cursor.column()));
        if self.cursor.is_end() {
            return self.fetch_end();
        }
        let in_flow = self.in_flow();
        let first = self.cursor.byte(0);
        if self.cursor.column() == 0 && first == b'%' {
            return self.fetch_directive();
        }
        if self.cursor.is_document_mark() {
            self.leave_document()?;
            let kind = if first == b'-' { Kind::DocumentStart } else { Kind::DocumentEnd };
            self.push_indicator(kind, 3);
            return Ok(());
        }
        let alone = self.cursor.ends_word(1);
        match first {
            b'[' => self.open_bracket(Kind::FlowList),
            b'{' => self.open_bracket(Kind::FlowMap),
            b']' => self.close_bracket(Kind::FlowListEnd),
            b'}' => self.close_bracket(Kind::FlowMapEnd),
            b',' => {
                self.drop_key()?;
                self.key_allowed = true;
                self.push_indicator(Kind::FlowEntry, 1);
                Ok(())
            }
            b'-' if alone => self.fetch_entry(),
            b'?' if in_flow || alone => self.fetch_key(),
            b':' if in_flow || alone => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(first == b'*'),
            b'!' => self.fetch_tag(),
            b'|' | b'>' if !in_flow => {
                self.drop_key()?;
                self.key_allowed = true;
                let start = self.cursor.mark();
                let (text, end) = scalars::block(&mut self.cursor, self.indent)?;
                let kind = Kind::Scalar(Cow::Owned(text), false);
                self.tokens.push_back(Token { kind, start, end });
                Ok(())
            }
            b'\'' | b'"' => {
                self.note_key()?;
                self.key_allowed = false;
                let start = self.cursor.mark();
                let text = scalars::quoted(&mut self.cursor)?;
                self.push(Kind::Scalar(text, false), start);
                Ok(())
            }
            b'\t' => Err(scalars::tab(&self.cursor)),
            b'|' | b'>' | b'%' | b'@' | b'`' => Err(not_a_start(self.cursor.mark())),
            _ => {
                self.note_key()?;
                self.key_allowed = false;
                let start = self.cursor.mark();
                let (text, ends_line, end) = scalars::plain(&mut self.cursor, self.indent, in_flow)?;
                self.key_allowed = ends_line;
                self.tokens.push_back(Token { kind: Kind::Scalar(text, true), start, end });
                Ok(())
            }
        }
    }

    /// Skips blanks, comments and line breaks.
    fn skip_to_token(&mut self) {
        loop {
            self.cursor.skip_byte_order_mark();
            let tabs = self.in_flow() || !self.key_allowed;
            self.cursor.skip_blanks(tabs);
            if self.cursor.byte(0) == b'#' {
                self.cursor.take_line();
            }
            if !self.cursor.is_break() {
                return;
            }
            self.cursor.take_break();
            if !self.in_flow() {
                self.key_allowed = true;
            }
        }
    }

    /// Possible keys whose colon did not follow in time are none.
    fn forget_stale_keys(&mut self) -> Result<(), Problem> {
        let now = self.cursor.mark();
        for key in &mut self.keys {
            let Some(possible) = key else { continue };
            if possible.mark.line < now.line || possible.mark.column + LONGEST_KEY < now.column {
                if possible.required {
                    return Err(no_colon(possible.mark));
                }
                *key = None;
            }
        }
        Ok(())
    }

    /// Notes that a key may start here.
    fn note_key(&mut self) -> Result<(), Problem> {
        if !self.key_allowed {
            return Ok(());
        }
        self.drop_key()?;
        let mark = self.cursor.mark();
        let required = !self.in_flow() && self.indent == i64::from(mark.column);
        let number = self.taken + self.tokens.len();
        if let Some(last) = self.keys.last_mut() {
            *last = Some(PossibleKey { required, number, mark });
        }
        Ok(())
    }

    /// What was noted last in the innermost collection is no key.
    fn drop_key(&mut self) -> Result<(), Problem> {
        match self.keys.last_mut().and_then(Option::take) {
            Some(key) if key.required => Err(no_colon(key.mark)),
            _ => Ok(()),
        }
    }

    /// Opens a block collection where the column is deeper than the current one. Its token comes before the
    /// token of a number, or last.
    fn open_block(&mut self, mark: Mark, number: Option<usize>, kind: Kind<'a>) {
        let column = i64::from(mark.column);
        if self.in_flow() || self.indent >= column {
            return;
        }
        self.outer_indents.push(self.indent);
        self.indent = column;
        self.insert(number, Token { kind, start: mark, end: mark });
    }

    fn insert(&mut self, number: Option<usize>, token: Token<'a>) {
        let place = number.map_or(self.tokens.len(), |number| number.saturating_sub(self.taken));
        self.tokens.insert(place.min(self.tokens.len()), token);
    }

    /// Closes the block collections that are deeper than a column.
    fn close_blocks(&mut self, column: i64) {
        if self.in_flow() {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, self.cursor.mark());
            self.indent = self.outer_indents.pop().unwrap_or(-1);
        }
    }

    fn leave_document(&mut self) -> Result<(), Problem> {
        self.close_blocks(-1);
        self.drop_key()?;
        self.key_allowed = false;
        Ok(())
    }

    fn fetch_end(&mut self) -> Result<(), Problem> {
        self.cursor.end_line();
        self.leave_document()?;
        self.is_done = true;
        self.push(Kind::StreamEnd, self.cursor.mark());
        Ok(())
    }

    fn open_bracket(&mut self, kind: Kind<'a>) -> Result<(), Problem> {
        self.note_key()?;
        if self.keys.len() > DEEPEST {
            let problem = Problem::new(format!("nested deeper than {DEEPEST} levels"), self.cursor.mark());
            return Err(Problem { id: "yaml-depth", ..problem });
        }
        self.keys.push(None);
        self.key_allowed = true;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn close_bracket(&mut self, kind: Kind<'a>) -> Result<(), Problem> {
        self.drop_key()?;
        if self.in_flow() {
            self.keys.pop();
        }
        self.key_allowed = false;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_entry(&mut self) -> Result<(), Problem> {
        if !self.in_flow() {
            if !self.key_allowed {
                return Err(Problem::new("a list cannot start here", self.cursor.mark())
                    .hint("put `- ` on a line of its own below the key, or quote a `-` that is a text"));
            }
            self.open_block(self.cursor.mark(), None, Kind::BlockList);
        }
        self.drop_key()?;
        self.key_allowed = true;
        self.push_indicator(Kind::Entry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), Problem> {
        if !self.in_flow() {
            if !self.key_allowed {
                return Err(Problem::new("a key cannot stand here", self.cursor.mark()));
            }
            self.open_block(self.cursor.mark(), None, Kind::BlockMap);
        }
        self.drop_key()?;
        self.key_allowed = !self.in_flow();
        self.push_indicator(Kind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), Problem> {
        if let Some(key) = self.keys.last_mut().and_then(Option::take) {
            self.insert(Some(key.number), Token { kind: Kind::Key, start: key.mark, end: key.mark });
            self.open_block(key.mark, Some(key.number), Kind::BlockMap);
            // A key cannot follow a key in the same line.
            self.key_allowed = false;
        } else {
            if !self.in_flow() {
                if !self.key_allowed {
                    return Err(Problem::new("`: ` is not allowed here", self.cursor.mark()));
                }
                self.open_block(self.cursor.mark(), None, Kind::BlockMap);
            }
            self.key_allowed = !self.in_flow();
        }
        self.push_indicator(Kind::Value, 1);
        Ok(())
    }

    fn fetch_anchor(&mut self, is_alias: bool) -> Result<(), Problem> {
        self.note_key()?;
        self.key_allowed = false;
        let start = self.cursor.mark();
        self.cursor.skip(1);
        let name = self.cursor.take_while(|_, byte| is_name(byte));
        if name.is_empty() || !(self.cursor.ends_word(0) || b"?:,]}%@`".contains(&self.cursor.byte(0))) {
            return Err(Problem::new("names of anchors have letters, digits, `_` and `-` only", start)
                .hint("a text that starts with `&` or `*` must stand in quotes"));
        }
        self.push(if is_alias { Kind::Alias(name) } else { Kind::Anchor(name) }, start);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<(), Problem> {
        self.note_key()?;
        self.key_allowed = false;
        let start = self.cursor.mark();
        let (handle, suffix) = if self.cursor.byte(1) == b'<' {
            self.cursor.skip(2);
            let suffix = self.tag_suffix(true, start)?;
            if self.cursor.byte(0) != b'>' {
                return Err(Problem::new("this tag wants a `>` at its end", start));
            }
            self.cursor.skip(1);
            ("", suffix)
        } else {
            let handle = self.tag_handle();
            if handle.len() > 1 && handle.ends_with('!') {
                (handle, self.tag_suffix(false, start)?)
            } else {
                // It was no handle, but the start of a local tag; `!` alone is a tag too.
                let mut suffix = handle.get(1..).unwrap_or("").to_owned();
                suffix.push_str(&self.tag_characters(false, start)?);
                if suffix.is_empty() { ("", "!".to_owned()) } else { ("!", suffix) }
            }
        };
        let ends = self.cursor.ends_word(0) || self.in_flow() && self.cursor.byte(0) == b',';
        if !ends {
            return Err(
                Problem::new("a blank must follow the tag", self.cursor.mark()).within(start, "the tag")
            );
        }
        self.push(Kind::Tag(handle, suffix), start);
        Ok(())
    }

    /// `!`, `!!` or `!name!`; `!name` where it is no handle.
    fn tag_handle(&mut self) -> &'a str {
        let rest = self.cursor.rest();
        let name = rest.bytes().skip(1).take_while(|byte| is_name(*byte)).count();
        let length = if rest.as_bytes().get(1 + name) == Some(&b'!') { name + 2 } else { name + 1 };
        self.cursor.skip(length);
        rest.get(..length).unwrap_or("")
    }

    fn tag_suffix(&mut self, in_full: bool, start: Mark) -> Result<String, Problem> {
        let suffix = self.tag_characters(in_full, start)?;
        if suffix.is_empty() { Err(Problem::new("this tag has no name", start)) } else { Ok(suffix) }
    }

    fn tag_characters(&mut self, in_full: bool, start: Mark) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        loop {
            let part = self.cursor.take_while(|_, byte| {
                is_name(byte) || b";/?:@&=+$.!~*'()".contains(&byte) || (in_full && b",[]".contains(&byte))
            });
            bytes.extend_from_slice(part.as_bytes());
            if self.cursor.byte(0) != b'%' {
                break;
            }
            let digits =
                self.cursor.rest().get(1..3).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
            let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                return Err(Problem::new("two hexadecimal digits must follow `%` in a tag", start));
            };
            bytes.push(byte);
            self.cursor.skip(3);
        }
        String::from_utf8(bytes).map_err(|_| Problem::new("this tag is not UTF-8", start))
    }

    fn fetch_directive(&mut self) -> Result<(), Problem> {
        self.leave_document()?;
        let start = self.cursor.mark();
        self.cursor.skip(1);
        let name = self.cursor.take_while(|_, byte| is_name(byte));
        let kind = match name {
            "YAML" => {
                self.cursor.skip_blanks(true);
                let version = self.cursor.take_while(|_, byte| byte.is_ascii_digit() || byte == b'.');
                let numbers = version.split_once('.').map(|(major, minor)| (major.parse(), minor.parse()));
                let Some((Ok(major), Ok(minor))) = numbers else {
                    return Err(Problem::new("this is no version of YAML", start));
                };
                Kind::Version(major, minor)
            }
            "TAG" => {
                self.cursor.skip_blanks(true);
                let handle = if self.cursor.byte(0) == b'!' { self.tag_handle() } else { "" };
                if handle.is_empty() || !handle.ends_with('!') || !self.cursor.is_blank() {
                    return Err(Problem::new("`%TAG` wants a handle such as `!name!`", start));
                }
                self.cursor.skip_blanks(true);
                Kind::TagDirective(handle, self.tag_suffix(true, start)?)
            }
            _ => return Err(not_a_start(start)),
        };
        let end = self.cursor.mark();
        let ends = self.cursor.ends_word(0);
        self.cursor.skip_blanks(true);
        if self.cursor.byte(0) == b'#' {
            self.cursor.take_line();
        }
        if !ends || !(self.cursor.is_end() || self.cursor.is_break()) {
            return Err(Problem::new("nothing may follow a directive in its line", self.cursor.mark()));
        }
        self.cursor.take_break();
        self.tokens.push_back(Token { kind, start, end });
        Ok(())
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn not_a_start(mark: Mark) -> Problem {
    Problem::new("a value cannot start with this character", mark).hint("put the value in quotes")
}

fn no_colon(mark: Mark) -> Problem {
    Problem::new("a key must be followed by a colon", mark)
        .hint("the lines of a text behind `|` or `>` must be indented deeper than its key")
}
