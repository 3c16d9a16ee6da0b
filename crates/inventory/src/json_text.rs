//! Values as the JSON of `ansible-inventory`: four blanks per level, sorted keys, characters as they are.

use std::fmt::Write;

use kubespray_value::{Map, Value, float_text, json};

/// Blanks per level.
pub(crate) const INDENT: usize = 4;

/// Appends a line break and the blanks of a level.
pub(crate) fn new_line(level: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', INDENT * level));
}

/// Appends a text in quotation marks.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(text.get(clean..at).unwrap_or(""));
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        clean = at + 1;
    }
    out.push_str(text.get(clean..).unwrap_or(""));
    out.push('"');
}

/// Appends a value that stands at a level. Encrypted texts and texts that are no templates are written as
/// Ansible's readers know them.
pub(crate) fn write_value(value: &Value, level: usize, out: &mut String) {
    match value {
        Value::None | Value::Undefined(_) => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Float(float) => out.push_str(match float_text(*float).as_str() {
            "nan" => "NaN",
            "inf" => "Infinity",
            "-inf" => "-Infinity",
            text => return out.push_str(text),
        }),
        Value::Str(text) if text.is_unsafe() => write_marked("__ansible_unsafe", text, level, out),
        Value::Str(text) => write_text(text, out),
        Value::Vault(ciphertext) => write_marked("__ansible_vault", ciphertext, level, out),
        Value::Bytes(bytes) => write_text(&String::from_utf8_lossy(bytes), out),
        Value::Date(_) => write_text(&value.to_text(), out),
        Value::DateTime(time) => write_text(&time.text('T'), out),
        Value::List(items) | Value::Tuple(items) => write_list(items, level, out),
        Value::View(view) => write_list(&view.items, level, out),
        Value::Map(map) => write_map(map, level, out),
        Value::Int(_) | Value::BigInt(_) | Value::Object(_) => out.push_str(&value.to_text()),
    }
}

fn write_marked(mark: &str, text: &str, level: usize, out: &mut String) {
    out.push('{');
    new_line(level + 1, out);
    write_text(mark, out);
    out.push_str(": ");
    write_text(text, out);
    new_line(level, out);
    out.push('}');
}

fn write_list(items: &[Value], level: usize, out: &mut String) {
    if items.is_empty() {
        return out.push_str("[]");
    }
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(level + 1, out);
        write_value(item, level + 1, out);
    }
    new_line(level, out);
    out.push(']');
}

fn write_map(map: &Map, level: usize, out: &mut String) {
    if map.is_empty() {
        return out.push_str("{}");
    }
    let mut entries: Vec<(&Value, &Value)> = map.iter().collect();
    if entries.iter().all(|(key, _)| key.as_str().is_some()) {
        entries.sort_by_key(|(key, _)| key.as_str());
    } else if let Ok(sorted) = kubespray_value::sort(&entries, &|a, b| a.0.compare(b.0)) {
        // Keys that Python cannot compare stay in their order.
        entries = sorted;
    }
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        new_line(level + 1, out);
        write_text(&json::key_text(key).unwrap_or_else(|_| key.to_text()), out);
        out.push_str(": ");
        write_value(value, level + 1, out);
    }
    new_line(level, out);
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_types_are_no_problem() {
        let nan = Value::Float(f64::NAN);
        for other in [Value::Int(5), nan, Value::tuple(vec![Value::Int(1)])] {
            let texts = (0..60).map(|number| Value::from(format!("k{}", number * 7 % 60)));
            let mut keys: Vec<Value> = texts.collect();
            keys.insert(23, other);
            let map: Map = keys.iter().map(|key| (key.clone(), Value::None)).collect();
            let mut out = String::new();
            write_map(&map, 0, &mut out);
            assert_eq!(out.matches(": null").count(), keys.len());
        }
    }

    #[test]
    fn looks_as_in_ansible() {
        let value =
            json::read(r#"{"b": [1, 2.0, {}, []], "a": "한\u0001\"\\\n\u007f", "c": {"x": null}}"#).unwrap();
        let mut out = String::new();
        write_value(&value, 0, &mut out);
        let expected = "{\n    \"a\": \"한\\u0001\\\"\\\\\\n\u{7f}\",\n    \"b\": [\n        1,\n        2.0,\n        {},\n        []\n    ],\n    \"c\": {\n        \"x\": null\n    }\n}";
        assert_eq!(out, expected);
    }

    #[test]
    fn marks() {
        let mut out = String::new();
        let values = vec![Value::unsafe_str("{{ a }}"), Value::Vault("$ANSIBLE_VAULT".into())];
        write_value(&Value::list(values), 0, &mut out);
        let value = json::read(&out).unwrap();
        let mut again = String::new();
        write_value(&crate::document::decode_hooks(value), 0, &mut again);
        assert_eq!(out, again);
        assert!(out.contains("\"__ansible_unsafe\": \"{{ a }}\""));
    }
}
