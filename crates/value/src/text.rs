//! Python's `str()` and `repr()`.

use std::fmt::Write;

use crate::{DateTime, Map, Value, float_text};

/// Deeper values print as `...`: nobody reads them, and printing must not overflow the stack.
const DEEPEST: usize = 200;

impl Value {
    /// Python's `str()`: the text itself for a text, else [`Value::repr`].
    ///
    /// An undefined value gives an empty text; whoever prints must have refused it before.
    pub fn to_text(&self) -> String {
        match self {
            Self::Str(s) => s.as_str().to_owned(),
            Self::Date(date) => date.to_string(),
            Self::DateTime(datetime) => datetime.text(' '),
            Self::Undefined(_) => String::new(),
            other => other.repr(),
        }
    }

    /// Python's `repr()`.
    pub fn repr(&self) -> String {
        let mut out = String::new();
        write_repr(self, &mut out, 0);
        out
    }
}

impl DateTime {
    /// Python's `isoformat` with a separator between date and time.
    pub fn text(&self, separator: char) -> String {
        let (date, time) = (self.civil.date(), self.civil.time());
        let mut out =
            format!("{date}{separator}{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
        let micros = time.subsec_nanosecond() / 1000;
        if micros > 0 {
            let _ = write!(out, ".{micros:06}");
        }
        if let Some(offset) = self.offset_seconds {
            let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
            let _ = write!(out, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60);
        }
        out
    }
}

fn write_repr(value: &Value, out: &mut String, depth: usize) {
    if depth > DEEPEST {
        out.push_str("...");
        return;
    }
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(i) => {
            let _ = write!(out, "{i}");
        }
        Value::BigInt(i) => {
            let _ = write!(out, "{i}");
        }
        Value::Float(f) => out.push_str(&float_text(*f)),
        Value::Str(s) => write_quoted(s, out),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::Date(d) => {
            let _ = write!(out, "datetime.date({}, {}, {})", d.year(), d.month(), d.day());
        }
        Value::DateTime(d) => write_datetime(d, out),
        Value::List(items) => write_items(items, '[', ']', out, depth),
        Value::Tuple(items) if items.len() == 1 => {
            out.push('(');
            for item in items.iter() {
                write_repr(item, out, depth + 1);
            }
            out.push_str(",)");
        }
        Value::Tuple(items) => write_items(items, '(', ')', out, depth),
        Value::Map(map) => write_map(map, out, depth),
        Value::View(view) => out.push_str(&view.repr),
        Value::Object(object) => write_items(&object.keys(), '{', '}', out, depth),
        Value::Vault(_) => out.push_str("'<encrypted>'"),
        Value::Undefined(_) => out.push_str("AnsibleUndefined"),
    }
}

fn write_items(items: &[Value], open: char, close: char, out: &mut String, depth: usize) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(item, out, depth + 1);
    }
    out.push(close);
}

fn write_map(map: &Map, out: &mut String, depth: usize) {
    out.push('{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(key, out, depth + 1);
        out.push_str(": ");
        write_repr(value, out, depth + 1);
    }
    out.push('}');
}

/// A text in Python's quotes: single ones unless only those occur in it.
fn write_quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// Python's `str.isprintable` for the characters that texts of inventories hold: controls, separators
/// other than the blank, format characters, surrogates and private use are not.
fn is_printable(c: char) -> bool {
    if c == ' ' {
        return true;
    }
    if c.is_control() || c.is_whitespace() {
        return false;
    }
    !matches!(
        u32::from(c),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e
            | 0x2060..=0x206f | 0xfeff | 0xfff9..=0xfffb | 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xfffe
            | 0xffff | 0x1_10bd | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff | 0xf_0000..=0x10_ffff
    )
}

fn write_bytes(bytes: &[u8], out: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b if char::from(*b) == quote => {
                out.push('\\');
                out.push(quote);
            }
            0x20..=0x7e => out.push(char::from(*byte)),
            other => {
                let _ = write!(out, "\\x{other:02x}");
            }
        }
    }
    out.push(quote);
}

fn write_datetime(datetime: &DateTime, out: &mut String) {
    let (date, time) = (datetime.civil.date(), datetime.civil.time());
    let _ = write!(
        out,
        "datetime.datetime({}, {}, {}, {}, {}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute()
    );
    let micros = time.subsec_nanosecond() / 1000;
    if time.second() > 0 || micros > 0 {
        let _ = write!(out, ", {}", time.second());
    }
    if micros > 0 {
        let _ = write!(out, ", {micros}");
    }
    match datetime.offset_seconds {
        None => {}
        Some(0) => out.push_str(", tzinfo=datetime.timezone.utc"),
        Some(offset) if offset > 0 => {
            let _ = write!(out, ", tzinfo=datetime.timezone(datetime.timedelta(seconds={offset}))");
        }
        // Python keeps the seconds of a timedelta positive and counts days down.
        Some(offset) => {
            let _ = write!(
                out,
                ", tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds={}))",
                86_400 + offset
            );
        }
    }
    out.push(')');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        for (text, repr) in [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("it's \"both\"", "'it\\'s \"both\"'"),
            ("a\\b\n", "'a\\\\b\\n'"),
            ("한국어", "'한국어'"),
            ("\u{7f}\u{a0}\u{200b}", "'\\x7f\\xa0\\u200b'"),
        ] {
            assert_eq!(Value::str(text).repr(), repr);
        }
    }

    #[test]
    fn containers_nest() {
        let mut map = Map::new();
        map.insert("a".into(), Value::list(vec![Value::Int(1), Value::None, Value::Bool(true)]));
        map.insert(Value::Int(2), Value::tuple(vec!["x".into()]));
        assert_eq!(Value::map(map).to_text(), "{'a': [1, None, True], 2: ('x',)}");
    }

    #[test]
    fn deep_values_do_not_overflow() {
        let mut value = Value::Int(1);
        for _ in 0..1000 {
            value = Value::list(vec![value]);
        }
        assert!(value.repr().contains("..."));
    }
}
