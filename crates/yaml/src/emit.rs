//! YAML as the filters `to_yaml` and `to_nice_yaml` write it (ANS-041).
//!
//! Ansible's dumper represents values as PyYAML's safe dumper does and writes through libyaml 0.2.5; its
//! choice of styles, its line folding and its indentation are reproduced here.

use kubespray_value::{Error, ErrorKind, Map, Value, float_text, sort};

use crate::layout::{Flow, Layout};
use crate::scalar::{Scalar, is_break, is_printable};

/// Values nested deeper than this are refused: writing recurses once a level. Python gives up near 300.
const DEEPEST: usize = 200;

/// Texts longer than this many bytes are not written: a small value that holds another one many times can
/// stand for more than any memory holds.
const LARGEST: usize = 64 << 20;

/// Keys longer than this (in bytes, tag included) are written behind `? `.
const LONGEST_SIMPLE_KEY: usize = 128;

/// Bytes of binary data in one line of base64.
const BYTES_PER_LINE: usize = 57;

/// Writes a value; the text ends with a line break.
///
/// Shared values are written out each time: PyYAML would give a list or map that occurs twice in memory
/// an anchor, but which ones do is an accident of how templates were evaluated.
///
/// # Errors
/// The value, or something in it, does not exist, cannot be represented (such as `dict_keys`), or is
/// nested too deeply, or the text would be larger than 64 MiB.
pub fn emit(value: &Value, layout: &Layout) -> Result<String, Error> {
    let mut writer = Writer {
        layout,
        columns: layout.columns(),
        fold_behind: layout.fold_behind(),
        out: String::new(),
        column: 0,
        indent: None,
        flow_level: 0,
        after_blank: true,
        only_indented: true,
        keeps_breaks: false,
    };
    if layout.explicit_start {
        writer.indicator("---", true, false, false);
    }
    writer.node(value, Context::Root, 0)?;
    writer.new_line();
    if layout.explicit_end || writer.keeps_breaks {
        writer.indicator("...", true, false, false);
        writer.new_line();
    }
    Ok(writer.out)
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Root,
    Item,
    /// A key that is written as `key: `.
    SimpleKey,
    /// A value of a map, or a key behind `? `.
    Entry,
}

/// How the text of a scalar is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text: in quotes where it would be read as something else.
    Text,
    /// A number, a date and the like: a type is only kept without quotes.
    Typed,
    /// A block scalar with a tag.
    Tagged(&'static str),
}

struct Writer<'a> {
    layout: &'a Layout,
    columns: usize,
    fold_behind: usize,
    out: String,
    /// Characters in the current line.
    column: usize,
    /// Blanks before the lines of the collection that is being written; `None` outside of all.
    indent: Option<usize>,
    flow_level: usize,
    /// Whether a blank was just written, so that none is needed.
    after_blank: bool,
    /// Whether the line holds nothing but indentation and `- `.
    only_indented: bool,
    /// Whether the last block scalar ends with empty lines, which a `...` must delimit.
    keeps_breaks: bool,
}

impl Writer<'_> {
    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push_str(self.layout.line_break);
        self.column = 0;
    }

    /// Writes a line break of a text: other breaks than `\n` stay as they are.
    fn copy_break(&mut self, c: char) {
        if c == '\n' {
            self.put_break();
        } else {
            self.out.push(c);
            self.column = 0;
        }
        self.only_indented = true;
    }

    /// Goes to the indentation, in a new line where the current one holds something.
    fn new_line(&mut self) {
        let indent = self.indent.unwrap_or(0);
        if !self.only_indented || self.column > indent || (self.column == indent && !self.after_blank) {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.after_blank = true;
        self.only_indented = true;
    }

    fn indicator(&mut self, text: &str, needs_blank: bool, is_blank: bool, is_indentation: bool) {
        if needs_blank && !self.after_blank {
            self.put(' ');
        }
        for c in text.chars() {
            self.put(c);
        }
        self.after_blank = is_blank;
        self.only_indented = self.only_indented && is_indentation;
    }

    /// Runs `write` one level deeper.
    fn indented(
        &mut self,
        is_flow: bool,
        stays: bool,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let outer = self.indent;
        self.indent = Some(match outer {
            None if is_flow => self.columns,
            None => 0,
            Some(indent) if stays => indent,
            Some(indent) => indent + self.columns,
        });
        let result = write(self);
        self.indent = outer;
        result
    }

    fn node(&mut self, value: &Value, context: Context, depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("value is nested deeper than {DEEPEST} levels"),
            ));
        }
        if self.out.len() > LARGEST {
            return Err(Error::new(ErrorKind::Limit, format!("YAML is larger than {} MiB", LARGEST >> 20)));
        }
        match value {
            Value::List(items) | Value::Tuple(items) => self.list(items, context, depth),
            Value::Map(map) => self.map(map, depth),
            Value::Object(object) => {
                let mut map = Map::new();
                for key in object.keys() {
                    if let Some(value) = object.get(&key)? {
                        map.insert(key, value);
                    }
                }
                self.map(&map, depth)
            }
            _ => {
                let (text, kind) = represent(value)?;
                self.scalar(&Scalar::of(&text), kind, context)
            }
        }
    }

    fn is_flow(&self, is_leaf: bool) -> bool {
        self.flow_level > 0
            || match self.layout.flow {
                Flow::Never => false,
                Flow::Leaves => is_leaf,
                Flow::Always => true,
            }
    }

    fn list(&mut self, items: &[Value], context: Context, depth: usize) -> Result<(), Error> {
        if items.is_empty() || self.is_flow(items.iter().all(is_plain_scalar)) {
            return self.in_brackets("[", "]", |writer| {
                for (index, item) in items.iter().enumerate() {
                    writer.flow_separator(index);
                    writer.node(item, Context::Item, depth + 1)?;
                }
                Ok(())
            });
        }
        // A list in a map is not indented any further.
        let stays = matches!(context, Context::Entry | Context::SimpleKey) && !self.only_indented;
        self.indented(false, stays, |writer| {
            for item in items {
                writer.new_line();
                writer.indicator("-", true, false, true);
                writer.node(item, Context::Item, depth + 1)?;
            }
            Ok(())
        })
    }

    fn map(&mut self, map: &Map, depth: usize) -> Result<(), Error> {
        let entries = self.entries(map);
        let is_leaf = map.iter().all(|(key, value)| is_plain_scalar(key) && is_plain_scalar(value));
        if map.is_empty() || self.is_flow(is_leaf) {
            return self.in_brackets("{", "}", |writer| {
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    writer.flow_separator(index);
                    if is_simple_key(key)? {
                        writer.node(key, Context::SimpleKey, depth + 1)?;
                        writer.indicator(":", false, false, false);
                    } else {
                        writer.indicator("?", true, false, false);
                        writer.node(key, Context::Entry, depth + 1)?;
                        if writer.column > writer.fold_behind {
                            writer.new_line();
                        }
                        writer.indicator(":", true, false, false);
                    }
                    writer.node(value, Context::Entry, depth + 1)?;
                }
                Ok(())
            });
        }
        self.indented(false, false, |writer| {
            for (key, value) in entries {
                writer.new_line();
                if is_simple_key(key)? {
                    writer.node(key, Context::SimpleKey, depth + 1)?;
                    writer.indicator(":", false, false, false);
                } else {
                    writer.indicator("?", true, false, true);
                    writer.node(key, Context::Entry, depth + 1)?;
                    writer.new_line();
                    writer.indicator(":", true, false, true);
                }
                writer.node(value, Context::Entry, depth + 1)?;
            }
            Ok(())
        })
    }

    /// The entries in the order in which they are written: keys that cannot be compared stay as they are.
    fn entries<'m>(&self, map: &'m Map) -> Vec<(&'m Value, &'m Value)> {
        let entries: Vec<(&Value, &Value)> = map.iter().collect();
        if !self.layout.sort_keys {
            return entries;
        }
        sort(&entries, &|a, b| a.0.compare(b.0)).unwrap_or(entries)
    }

    fn in_brackets(
        &mut self,
        open: &str,
        close: &str,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.indicator(open, true, true, false);
        self.flow_level += 1;
        let result = self.indented(true, false, write);
        self.flow_level -= 1;
        result?;
        self.indicator(close, false, false, false);
        Ok(())
    }

    fn flow_separator(&mut self, index: usize) {
        if index > 0 {
            self.indicator(",", false, false, false);
        }
        if self.column > self.fold_behind {
            self.new_line();
        }
    }

    fn scalar(&mut self, scalar: &Scalar, kind: Kind, context: Context) -> Result<(), Error> {
        let is_key = context == Context::SimpleKey;
        let in_flow = self.flow_level > 0;
        let plain_fits = if in_flow { scalar.plain_in_flow } else { scalar.plain_in_block };
        let is_plain = match kind {
            Kind::Text => plain_fits && scalar.reads_as_text && !(is_key && scalar.is_multiline),
            Kind::Typed => plain_fits,
            Kind::Tagged(_) => false,
        };
        match kind {
            Kind::Tagged(tag) => self.tag(tag),
            // The tag that keeps a type in spite of quotes.
            Kind::Typed if !is_plain => self.tag("!"),
            _ => {}
        }
        self.indented(true, false, |writer| {
            if is_plain {
                writer.plain(scalar, !is_key);
            } else if matches!(kind, Kind::Tagged(_)) {
                if scalar.literal && !in_flow && !is_key {
                    writer.literal(scalar);
                } else {
                    writer.double_quoted(scalar, !is_key);
                }
            } else if scalar.single_quoted && !(is_key && scalar.is_multiline) {
                writer.single_quoted(scalar, !is_key);
            } else {
                writer.double_quoted(scalar, !is_key);
            }
            Ok(())
        })
    }

    fn tag(&mut self, tag: &str) {
        self.indicator(tag, true, false, false);
    }

    fn plain(&mut self, scalar: &Scalar, may_fold: bool) {
        if !self.after_blank {
            self.put(' ');
        }
        self.only_indented = false;
        let mut after_space = false;
        for (at, &c) in scalar.chars.iter().enumerate() {
            let folds = may_fold
                && !after_space
                && self.column > self.fold_behind
                && scalar.chars.get(at + 1) != Some(&' ');
            after_space = c == ' ';
            if after_space && folds {
                self.new_line();
            } else {
                self.put(c);
                self.only_indented = false;
            }
        }
        self.after_blank = false;
        self.only_indented = false;
    }

    fn single_quoted(&mut self, scalar: &Scalar, may_fold: bool) {
        self.indicator("'", true, false, false);
        let mut after_space = false;
        let mut after_break = false;
        let last = scalar.chars.len().saturating_sub(1);
        for (at, &c) in scalar.chars.iter().enumerate() {
            if c == ' ' {
                let folds = may_fold
                    && !after_space
                    && self.column > self.fold_behind
                    && at > 0
                    && at < last
                    && scalar.chars.get(at + 1) != Some(&' ');
                if folds {
                    self.new_line();
                } else {
                    self.put(c);
                }
                after_space = true;
            } else if is_break(c) {
                // A single break would be read as a blank.
                if !after_break && c == '\n' {
                    self.put_break();
                }
                self.copy_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.new_line();
                }
                if c == '\'' {
                    self.put(c);
                }
                self.put(c);
                self.only_indented = false;
                after_space = false;
                after_break = false;
            }
        }
        if after_break {
            self.new_line();
        }
        self.indicator("'", false, false, false);
        self.only_indented = false;
    }

    fn double_quoted(&mut self, scalar: &Scalar, may_fold: bool) {
        self.indicator("\"", true, false, false);
        let mut after_space = false;
        let last = scalar.chars.len().saturating_sub(1);
        for (at, &c) in scalar.chars.iter().enumerate() {
            if !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                for c in escaped(c).chars() {
                    self.put(c);
                }
                after_space = false;
            } else if c == ' ' {
                if may_fold && !after_space && self.column > self.fold_behind && at > 0 && at < last {
                    self.new_line();
                    if scalar.chars.get(at + 1) == Some(&' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(c);
                }
                after_space = true;
            } else {
                self.put(c);
                after_space = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.only_indented = false;
    }

    fn literal(&mut self, scalar: &Scalar) {
        self.indicator("|", true, false, false);
        if scalar.chars.first().is_some_and(|c| *c == ' ' || is_break(*c)) {
            self.indicator(&self.columns.to_string(), false, false, false);
        }
        let breaks_at_end = scalar.chars.iter().rev().take(2).take_while(|c| is_break(**c)).count();
        self.keeps_breaks = breaks_at_end == 2 || (breaks_at_end == 1 && scalar.chars.len() == 1);
        if self.keeps_breaks {
            self.indicator("+", false, false, false);
        } else if breaks_at_end == 0 {
            self.indicator("-", false, false, false);
        }
        self.put_break();
        self.only_indented = true;
        self.after_blank = true;
        let mut after_break = true;
        for &c in &scalar.chars {
            if is_break(c) {
                self.copy_break(c);
                after_break = true;
            } else {
                if after_break {
                    self.new_line();
                }
                self.put(c);
                self.only_indented = false;
                after_break = false;
            }
        }
    }
}

/// Whether a key can be written as `key: `.
fn is_simple_key(key: &Value) -> Result<bool, Error> {
    Ok(match key {
        Value::List(items) | Value::Tuple(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Object(_) => false,
        _ => {
            let (text, kind) = represent(key)?;
            let tag = match kind {
                Kind::Tagged(tag) => tag.len(),
                _ => 0,
            };
            !text.chars().any(is_break) && tag + text.len() <= LONGEST_SIMPLE_KEY
        }
    })
}

/// Whether a collection may stand in one line because of this element.
fn is_plain_scalar(value: &Value) -> bool {
    !matches!(
        value,
        Value::List(_)
            | Value::Tuple(_)
            | Value::Map(_)
            | Value::Object(_)
            | Value::Bytes(_)
            | Value::Vault(_)
    )
}

/// The text of a scalar.
fn represent(value: &Value) -> Result<(String, Kind), Error> {
    let text = match value {
        Value::None => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(_) | Value::BigInt(_) | Value::Date(_) | Value::DateTime(_) => value.to_text(),
        Value::Float(float) => float_of(*float),
        Value::Str(text) => return Ok((text.as_str().to_owned(), Kind::Text)),
        Value::Bytes(bytes) => return Ok((in_base64(bytes), Kind::Tagged("!!binary"))),
        Value::Vault(text) => return Ok((text.to_string(), Kind::Tagged("!vault"))),
        Value::Undefined(undefined) => return Err(undefined.error.clone()),
        other => {
            return Err(Error::of_type(format!("`{}` cannot be written as YAML", other.type_name()))
                .hint("make it a list first: `| list`"));
        }
    };
    Ok((text, Kind::Typed))
}

fn float_of(float: f64) -> String {
    if float.is_nan() {
        return ".nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    // A float is one only with a dot.
    let text = float_text(float);
    if text.contains('.') { text } else { text.replacen('e', ".0e", 1) }
}

fn in_base64(bytes: &[u8]) -> String {
    use base64::Engine;
    let mut text = String::new();
    for line in bytes.chunks(BYTES_PER_LINE) {
        base64::engine::general_purpose::STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ => {
            return match u32::from(c) {
                code @ 0..=0xff => format!("\\x{code:02X}"),
                code @ 0x100..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    format!("\\{short}")
}
