//! TOML, for the files of containerd and its tools: values in, one text for each value out.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A table as a document: keys in their order, plain values before tables. What is null is left out.
pub(crate) fn document(table: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_table(&mut out, "", table);
    out
}

/// A text as it stands between the quotes of a string.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            other if other.is_control() => _ = write!(out, "\\u{:04X}", u32::from(other)),
            other => out.push(other),
        }
    }
    out
}

/// Values come from JSON or YAML documents, whose readers bound their depth.
fn write_table(out: &mut String, path: &str, table: &Map<String, Value>) {
    let (tables, plain): (Vec<_>, Vec<_>) =
        table.iter().filter(|(_, value)| !value.is_null()).partition(|(_, value)| value.is_object());
    // A table that only holds tables needs no line of its own.
    if !path.is_empty() && (!plain.is_empty() || tables.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "[{path}]");
    }
    for (name, value) in plain {
        let _ = writeln!(out, "{} = {}", key(name), inline(value));
    }
    for (name, value) in tables {
        let path = if path.is_empty() { key(name) } else { format!("{path}.{}", key(name)) };
        if let Value::Object(table) = value {
            write_table(out, &path, table);
        }
    }
}

fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        format!("\"{}\"", escaped(name))
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", escaped(text)),
        Value::Array(items) => {
            let items = items.iter().filter(|item| !item.is_null()).map(inline);
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) => {
            let pairs = table.iter().filter(|(_, value)| !value.is_null());
            let pairs = pairs.map(|(name, value)| format!("{} = {}", key(name), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_follow_plain_values() {
        let value = json!({
            "table": {"inner": {"x.y": {"z": 1}}, "empty": {}, "last": [["a", "b"], [true, {"k": 1.0}]]},
            "text": "a \"b\" \\ \n\u{1}",
            "nothing": null,
            "": -5,
        });
        let expected = "text = \"a \\\"b\\\" \\\\ \\n\\u0001\"\n\"\" = -5\n\n[table]\n\
                        last = [[\"a\", \"b\"], [true, { k = 1.0 }]]\n\n[table.inner.\"x.y\"]\nz = 1\n\n\
                        [table.empty]\n";
        assert_eq!(document(value.as_object().unwrap()), expected);
    }
}
