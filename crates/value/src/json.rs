//! JSON as Python's `json` module writes and reads it.

use std::fmt::Write;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::{Error, ErrorKind, Map, Value, float_text, parse_float, parse_int};

/// Values nested deeper than this are refused in both directions.
const DEEPEST: usize = 500;

/// Texts longer than this many bytes are not written: a small value that holds another one many times can
/// stand for more than any memory holds.
const LARGEST: usize = 64 << 20;

/// How JSON is laid out: the arguments of Python's `json.dumps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Blanks per level; `None` puts all on one line.
    pub indent: Option<usize>,
    /// Whether keys are sorted.
    pub sort_keys: bool,
    /// Whether characters outside of ASCII are written as `\uXXXX`.
    pub ascii: bool,
}

impl Layout {
    /// What `to_json` uses.
    pub const COMPACT: Self = Self { indent: None, sort_keys: false, ascii: true };
    /// What `to_nice_json` uses.
    pub const NICE: Self = Self { indent: Some(4), sort_keys: true, ascii: true };
}

/// Writes a value. Dates become ISO texts; an undefined value and a key that JSON cannot hold are errors.
pub fn write(value: &Value, layout: Layout) -> Result<String, Error> {
    let mut out = String::new();
    write_value(value, layout, &mut out, 0)?;
    Ok(out)
}

fn write_value(value: &Value, layout: Layout, out: &mut String, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply for JSON"));
    }
    if out.len() > LARGEST {
        return Err(Error::new(ErrorKind::Limit, format!("JSON is larger than {} MiB", LARGEST >> 20)));
    }
    match value {
        Value::None => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(_) | Value::BigInt(_) => out.push_str(&value.to_text()),
        Value::Float(f) => out.push_str(&json_float(*f)),
        Value::Str(s) => write_text(s, layout.ascii, out),
        Value::Bytes(b) => write_text(&String::from_utf8_lossy(b), layout.ascii, out),
        Value::Date(d) => write_text(&d.to_string(), layout.ascii, out),
        Value::DateTime(d) => write_text(&d.text('T'), layout.ascii, out),
        Value::List(items) | Value::Tuple(items) => write_list(items, layout, out, depth)?,
        Value::View(view) => write_list(&view.items, layout, out, depth)?,
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.iter() {
                entries.push((key, value.clone()));
            }
            write_entries(entries, layout, out, depth)?;
        }
        Value::Object(object) => {
            let keys = object.keys();
            let mut entries = Vec::with_capacity(keys.len());
            for key in &keys {
                if let Some(value) = object.get(key)? {
                    entries.push((key, value));
                }
            }
            write_entries(entries, layout, out, depth)?;
        }
        Value::Vault(ciphertext) => {
            let entry = (&Value::str("__ansible_vault"), Value::Str(crate::Str::new(ciphertext.clone())));
            write_entries(vec![entry], layout, out, depth)?;
        }
        Value::Undefined(undefined) => return Err(undefined.error.clone()),
    }
    Ok(())
}

fn write_list(items: &[Value], layout: Layout, out: &mut String, depth: usize) -> Result<(), Error> {
    if items.is_empty() {
        out.push_str("[]");
        return Ok(());
    }
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        separate(index, layout, out, depth + 1);
        write_value(item, layout, out, depth + 1)?;
    }
    close(layout, out, depth);
    out.push(']');
    Ok(())
}

fn write_entries(
    mut entries: Vec<(&Value, Value)>,
    layout: Layout,
    out: &mut String,
    depth: usize,
) -> Result<(), Error> {
    if entries.is_empty() {
        out.push_str("{}");
        return Ok(());
    }
    if layout.sort_keys {
        entries = crate::sort(&entries, &|(a, _), (b, _)| a.compare(b))?;
    }
    out.push('{');
    for (index, (key, value)) in entries.iter().enumerate() {
        separate(index, layout, out, depth + 1);
        write_text(&key_text(key)?, layout.ascii, out);
        out.push_str(": ");
        write_value(value, layout, out, depth + 1)?;
    }
    close(layout, out, depth);
    out.push('}');
    Ok(())
}

fn separate(index: usize, layout: Layout, out: &mut String, depth: usize) {
    match layout.indent {
        None if index > 0 => out.push_str(", "),
        None => {}
        Some(indent) => {
            if index > 0 {
                out.push(',');
            }
            new_line(indent, out, depth);
        }
    }
}

fn close(layout: Layout, out: &mut String, depth: usize) {
    if let Some(indent) = layout.indent {
        new_line(indent, out, depth);
    }
}

fn new_line(indent: usize, out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent * depth));
}

fn json_float(float: f64) -> String {
    match float_text(float).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        text => text.to_owned(),
    }
}

/// A key as JSON text: Python turns numbers, booleans and null into texts and refuses the rest.
pub fn key_text(key: &Value) -> Result<String, Error> {
    Ok(match key {
        Value::Str(s) => s.as_str().to_owned(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::None => "null".into(),
        Value::Int(_) | Value::BigInt(_) => key.to_text(),
        Value::Float(f) => json_float(*f),
        other => {
            return Err(Error::of_type(format!(
                "keys must be str, int, float, bool or None, not {}",
                other.type_name()
            )));
        }
    })
}

fn write_text(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || (ascii && !c.is_ascii()) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Serialize for Value {
    /// As JSON data: tuples and views as lists, dates as ISO texts, keys as texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::BigInt(i) => match u64::try_from(&**i) {
                Ok(small) => serializer.serialize_u64(small),
                // JSON has no limit, but its readers have: a text loses nothing.
                Err(_) => serializer.serialize_str(&i.to_string()),
            },
            Self::Float(f) => serializer.serialize_f64(*f),
            Self::Str(s) => serializer.serialize_str(s),
            Self::Bytes(b) => serializer.serialize_str(&String::from_utf8_lossy(b)),
            Self::Date(d) => serializer.serialize_str(&d.to_string()),
            Self::DateTime(d) => serializer.serialize_str(&d.text('T')),
            Self::List(items) | Self::Tuple(items) => serialize_items(items, serializer),
            Self::View(view) => serialize_items(&view.items, serializer),
            Self::Map(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    out.serialize_entry(&key_text(key).map_err(S::Error::custom)?, value)?;
                }
                out.end()
            }
            Self::Object(object) => {
                let mut out = serializer.serialize_map(None)?;
                for key in object.keys() {
                    if let Some(value) = object.get(&key).map_err(S::Error::custom)? {
                        out.serialize_entry(&key_text(&key).map_err(S::Error::custom)?, &value)?;
                    }
                }
                out.end()
            }
            Self::Vault(ciphertext) => {
                let mut out = serializer.serialize_map(Some(1))?;
                out.serialize_entry("__ansible_vault", &**ciphertext)?;
                out.end()
            }
            Self::Undefined(undefined) => Err(S::Error::custom(&undefined.error.message)),
        }
    }
}

fn serialize_items<S: Serializer>(items: &[Value], serializer: S) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_seq(Some(items.len()))?;
    for item in items {
        out.serialize_element(item)?;
    }
    out.end()
}

/// Reads a JSON text as Python's `json.loads` does: integers of any size, `NaN` and `Infinity`, the
/// last of equal keys wins.
pub fn read(text: &str) -> Result<Value, Error> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_blanks();
    if reader.at == text.len() { Ok(value) } else { Err(reader.error("extra data")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error(&self, what: &str) -> Error {
        let before = self.text.get(..self.at).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Error::of_value(format!("JSON: {what} at line {line}, column {column}"))
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        self.skip_blanks();
        for (word, value) in [
            ("null", Value::None),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        match self.rest().bytes().next() {
            Some(b'"') => Ok(Value::str(self.text_literal()?)),
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                if !self.eat(']') {
                    loop {
                        items.push(self.value(depth + 1)?);
                        if !self.eat(',') {
                            break;
                        }
                    }
                    if !self.eat(']') {
                        return Err(self.error("expecting `,` or `]`"));
                    }
                }
                Ok(Value::list(items))
            }
            Some(b'{') => {
                self.at += 1;
                let mut map = Map::new();
                if !self.eat('}') {
                    loop {
                        self.skip_blanks();
                        if !self.rest().starts_with('"') {
                            return Err(self.error("expecting a key in double quotes"));
                        }
                        let key = self.text_literal()?;
                        if !self.eat(':') {
                            return Err(self.error("expecting `:`"));
                        }
                        let value = self.value(depth + 1)?;
                        map.insert(Value::str(key), value);
                        if !self.eat(',') {
                            break;
                        }
                    }
                    if !self.eat('}') {
                        return Err(self.error("expecting `,` or `}`"));
                    }
                }
                Ok(Value::map(map))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("expecting a value")),
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let digits = rest.get(..end).unwrap_or("");
        let unsigned = digits.strip_prefix('-').unwrap_or(digits);
        let leading_zero = unsigned.len() > 1
            && unsigned.starts_with('0')
            && !unsigned.starts_with("0.")
            && !unsigned.starts_with("0e")
            && !unsigned.starts_with("0E");
        let is_float = digits.contains(['.', 'e', 'E']);
        let value = if is_float { parse_float(digits).map(Value::Float) } else { parse_int(digits, 10) };
        match value {
            Some(value)
                if !leading_zero
                    && !unsigned.is_empty()
                    && !digits.starts_with('+')
                    && !digits.ends_with('.') =>
            {
                self.at += end;
                Ok(value)
            }
            _ => Err(self.error("not a number")),
        }
    }

    fn text_literal(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else { return Err(self.error("unterminated text")) };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => self.escape(&mut out)?,
                c if u32::from(c) < 0x20 => return Err(self.error("control character in a text")),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Error> {
        let Some(c) = self.rest().chars().next() else { return Err(self.error("unterminated text")) };
        self.at += c.len_utf8();
        match c {
            '"' | '\\' | '/' => out.push(c),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let first = self.code_unit()?;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    units.push(self.code_unit()?);
                }
                out.push_str(&String::from_utf16_lossy(&units));
            }
            _ => return Err(self.error("unknown escape")),
        }
        Ok(())
    }

    fn code_unit(&mut self) -> Result<u16, Error> {
        let unit = self.rest().get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| self.error("broken `\\u` escape"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(text: &str) -> String {
        write(&read(text).unwrap(), Layout::COMPACT).unwrap()
    }

    #[test]
    fn writes_as_python_writes() {
        assert_eq!(
            compact(r#"{"b":[1,2.0,null,true],"a":"한\ud83d\ude00\n","e":{},"f":[]}"#),
            r#"{"b": [1, 2.0, null, true], "a": "\ud55c\ud83d\ude00\n", "e": {}, "f": []}"#
        );
        let nice = write(&read(r#"{"b":[1],"a":{}}"#).unwrap(), Layout::NICE).unwrap();
        assert_eq!(nice, "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}");
        assert_eq!(
            compact("[123456789012345678901234567890, 1e400, NaN]"),
            "[123456789012345678901234567890, Infinity, NaN]"
        );
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            "{",
            "[1,]",
            "{'a': 1}",
            "01",
            "\"a",
            "[1] 2",
            "tru",
            "\"\\x\"",
            "-",
            "1.",
            "+1",
            "\"\u{1}\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(1_000_000)).is_err());
    }
}
