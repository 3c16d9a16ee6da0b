//! YAML as Kubernetes' programs read and write it.

use kubespray_value::json::write;
use serde_json::Value;

/// All documents of a text that are not empty.
pub(crate) fn read_all(text: &str) -> Result<Vec<Value>, String> {
    let documents = kubespray_yaml::read_all(text).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    for document in documents {
        let text =
            write(&document, kubespray_value::json::Layout::COMPACT).map_err(|error| error.to_string())?;
        let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if !value.is_null() {
            out.push(value);
        }
    }
    Ok(out)
}

/// The one document of a text.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let mut all = read_all(text)?;
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err("it is empty".into()),
        (Some(_), false) => Err("it holds more than one document".into()),
    }
}

/// A document in block style, with keys in the order of the alphabet, as Kubernetes writes its files.
pub(crate) fn write_sorted(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, false, &mut out);
    out
}

fn block(value: &Value, indent: usize, in_list: bool, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 || !in_list {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str(&scalar(key));
                out.push(':');
                child(value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !in_list {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str("- ");
                block(item, indent + 2, true, out);
            }
        }
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) => out.push_str("[]\n"),
        Value::String(text) => {
            out.push_str(&scalar(text));
            out.push('\n');
        }
        other => {
            out.push_str(&other.to_string());
            out.push('\n');
        }
    }
}

fn child(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, indent + 2, false, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, indent, false, out);
        }
        Value::String(text)
            if text.contains('\n') && text.ends_with('\n') && !text.starts_with([' ', '\n']) =>
        {
            out.push_str(if text.ends_with("\n\n") { " |+\n" } else { " |\n" });
            for line in text.lines() {
                if !line.is_empty() {
                    out.push_str(&" ".repeat(indent + 2));
                    out.push_str(line);
                }
                out.push('\n');
            }
        }
        _ => {
            out.push(' ');
            block(value, indent + 2, true, out);
        }
    }
}

/// A text, quoted where it could be read as something else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=@,:".contains(c))
        && !text.contains(": ")
        && !text.ends_with(':')
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    let is_flag =
        text.starts_with("--") && text.len() > 2 && !text.contains([' ', '#', '"', '\'', '\n', '{', '[']);
    if is_plain || (is_flag && !text.ends_with(':')) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "users": [{"name": "a", "user": {"token": "1e3", "b": true}}, [1, [2]], {}, []],
            "text": "line\n  two\n\nthree\n", "odd": "no newline\nat end", "yes": "no", "empty": "",
            "args": ["--a=b,c", "-x", "a: b", "#"], "keep": "a\n\n", "number": 1.5, "nothing": null,
        });
        let text = write_sorted(&value);
        assert_eq!(read(&text).unwrap(), value, "{text}");
        let kubeconfig = json!({"clusters": [{"name": "k", "cluster": {"server": "https://a:1"}}]});
        assert_eq!(write_sorted(&kubeconfig), "clusters:\n- cluster:\n    server: https://a:1\n  name: k\n");
    }
}
