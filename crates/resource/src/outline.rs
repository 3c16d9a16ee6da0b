//! JSON values as people read them.

use serde_json::Value;

/// Deeper values are shown on one line.
const DEEPEST: usize = 64;

/// A value in the manner of YAML, one key or element on a line, long texts line by line: made to be compared and
/// read, not to be parsed.
pub fn outline(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0, 0);
    out
}

fn write(out: &mut String, value: &Value, indent: usize, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() && depth < DEEPEST => {
            for (index, (key, value)) in map.iter().enumerate() {
                // The first key of a list's element stands behind its dash.
                if index > 0 || !out.ends_with("- ") {
                    pad(out, indent);
                }
                out.push_str(key);
                out.push(':');
                below(out, value, indent, depth);
            }
        }
        Value::Array(items) if !items.is_empty() && depth < DEEPEST => {
            for item in items {
                pad(out, indent);
                out.push_str("- ");
                match item {
                    Value::Object(map) if !map.is_empty() => write(out, item, indent + 2, depth + 1),
                    _ => {
                        out.pop();
                        below(out, item, indent, depth);
                    }
                }
            }
        }
        other => {
            pad(out, indent);
            out.push_str(&one_line(other));
            out.push('\n');
        }
    }
}

/// What stands behind a key or dash: on the same line where it is short.
fn below(out: &mut String, value: &Value, indent: usize, depth: usize) {
    match value {
        Value::String(text) if text.contains('\n') => {
            out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
            for line in text.lines() {
                pad(out, indent + 2);
                out.push_str(line);
                out.push('\n');
            }
        }
        Value::Object(map) if !map.is_empty() && depth < DEEPEST => {
            out.push('\n');
            write(out, value, indent + 2, depth + 1);
        }
        Value::Array(items) if !items.is_empty() && depth < DEEPEST => {
            out.push('\n');
            write(out, value, indent + 2, depth + 1);
        }
        other => {
            out.push(' ');
            out.push_str(&one_line(other));
            out.push('\n');
        }
    }
}

fn one_line(value: &Value) -> String {
    match value {
        // Texts that cannot be taken for anything else need no quotes.
        Value::String(text)
            if text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
                && !text.contains([':', '#', '\n'])
                && !["true", "false", "null"].contains(&text.as_str()) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_laid_out_line_by_line() {
        let value = json!({
            "kind": "ConfigMap",
            "data": {"Corefile": ".:53 {\n  errors\n}\n", "cut": "a\nb"},
            "empty": {},
            "list": [{"name": "a", "ports": [{"port": 53}]}, "x", "1", 2, []],
        });
        let expected = "\
kind: ConfigMap
data:
  Corefile: |
    .:53 {
      errors
    }
  cut: |-
    a
    b
empty: {}
list:
  - name: a
    ports:
      - port: 53
  - x
  - \"1\"
  - 2
  - []
";
        assert_eq!(outline(&value), expected);
    }

    #[test]
    fn deep_values_end_somewhere() {
        let mut value = json!(1);
        for _ in 0..500 {
            value = json!({"a": value});
        }
        assert!(outline(&value).lines().count() < 100);
    }
}
