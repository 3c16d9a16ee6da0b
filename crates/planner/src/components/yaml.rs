//! YAML documents from values: block style, keys in the order in which they were put in.
//!
//! What is written here is read back as the same value by PyYAML (YAML 1.1) and by Go's readers: whatever one of
//! them could take for something else than a text is quoted.

use std::fmt::Write as _;

use serde_json::Value;

/// Below this depth values are written as JSON, which is YAML too.
const DEEPEST_BLOCK: usize = 40;

/// A document.
pub(crate) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, value, 0, 0),
        Value::Array(list) if !list.is_empty() => sequence(&mut out, list, 0, 0),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

/// Several documents in one file.
pub(crate) fn documents<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().map(document).collect::<Vec<_>>().join("---\n")
}

/// The entries of a map. The cursor is where the first key goes; the others are indented.
fn mapping(out: &mut String, value: &Value, indent: usize, depth: usize) {
    let Value::Object(map) = value else { return };
    for (at, (key, value)) in map.iter().enumerate() {
        if at > 0 {
            pad(out, indent);
        }
        let _ = write!(out, "{}:", text(key));
        match value {
            Value::Object(inner) if !inner.is_empty() && depth < DEEPEST_BLOCK => {
                out.push('\n');
                pad(out, indent + 2);
                mapping(out, value, indent + 2, depth + 1);
            }
            Value::Array(list) if !list.is_empty() && depth < DEEPEST_BLOCK => {
                out.push('\n');
                pad(out, indent);
                sequence(out, list, indent, depth + 1);
            }
            other => scalar(out, other, indent),
        }
    }
}

/// The items of a list, as [`mapping`].
fn sequence(out: &mut String, list: &[Value], indent: usize, depth: usize) {
    for (at, item) in list.iter().enumerate() {
        if at > 0 {
            pad(out, indent);
        }
        out.push('-');
        match item {
            Value::Object(inner) if !inner.is_empty() && depth < DEEPEST_BLOCK => {
                out.push(' ');
                mapping(out, item, indent + 2, depth + 1);
            }
            Value::Array(inner) if !inner.is_empty() && depth < DEEPEST_BLOCK => {
                out.push(' ');
                sequence(out, inner, indent + 2, depth + 1);
            }
            other => scalar(out, other, indent),
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// What stands behind a key or a dash, with the end of its line.
fn scalar(out: &mut String, value: &Value, indent: usize) {
    if let Some((lines, sign)) = value.as_str().and_then(as_lines) {
        let _ = writeln!(out, " |{sign}");
        for line in lines.split('\n') {
            if !line.is_empty() {
                pad(out, indent + 2);
                out.push_str(line);
            }
            out.push('\n');
        }
        return;
    }
    let _ = writeln!(out, " {}", inline(value));
}

/// A text that can stand as a literal block, without its last line feed, and how its end is marked.
fn as_lines(text: &str) -> Option<(&str, &'static str)> {
    let (lines, sign) = text.strip_suffix('\n').map_or((text, "-"), |lines| (lines, ""));
    // A line of blanks alone would be taken for an empty one.
    let is_kept = |line: &str| line.is_empty() || !line.starts_with('\t') && !line.trim().is_empty();
    let has_first =
        lines.split('\n').next().is_some_and(|first| !first.is_empty() && !first.starts_with(' '));
    let is_shown = |c: char| matches!(c, '\n' | ' '..='~');
    let fits = text.contains('\n')
        && has_first
        && !lines.ends_with('\n')
        && text.chars().all(is_shown)
        && lines.split('\n').all(is_kept);
    fits.then_some((lines, sign))
}

/// A value in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Number(number) => number_text(&number.to_string()),
        other => escaped(&other.to_string()),
    }
}

/// JSON as YAML: what YAML takes for line ends or refuses is written as an escape. Such characters stand only in
/// texts.
fn escaped(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// PyYAML knows no float without a point, nor an exponent without a sign.
fn number_text(number: &str) -> String {
    match number.split_once('e') {
        None => number.to_owned(),
        Some((mantissa, exponent)) => {
            let point = if mantissa.contains('.') { "" } else { ".0" };
            let sign = if exponent.starts_with('-') { "" } else { "+" };
            format!("{mantissa}{point}e{sign}{}", exponent.trim_start_matches('+'))
        }
    }
}

/// A text in one line, quoted where it must be.
fn text(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { escaped(&Value::from(text).to_string()) }
}

/// Words that YAML 1.1 takes for something else.
const WORDS: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan"];

/// Whether every reader takes it for this text.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_'));
    let is_word = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | ':' | ',' | '+' | '=' | '@')
    };
    let is_of_number = |c: char| {
        c.is_ascii_hexdigit()
            || matches!(c, 'x' | 'X' | 'o' | 'O' | '_' | '+' | '-' | '.' | ':' | 'T' | 't' | 'Z' | 'z')
    };
    let may_be_number = text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_of_number);
    begins
        && text.chars().all(is_word)
        && !text.ends_with(':')
        && !may_be_number
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        let value = kubespray_yaml::read(text).unwrap();
        let layout = kubespray_value::json::Layout::COMPACT;
        serde_json::from_str(&kubespray_value::json::write(&value, layout).unwrap()).unwrap()
    }

    #[test]
    fn documents_are_readable() {
        let value = json!({
            "apiVersion": "v1",
            "list": [{"name": "a", "args": ["--x=1", "-y"]}, [1, [2]], {}],
            "none": {},
            "text": "a\n  b\n\nc\n",
            "open": "a\nb",
        });
        let expected = "\
apiVersion: v1
list:
- name: a
  args:
  - --x=1
  - \"-y\"
- - 1
  - - 2
- {}
none: {}
text: |
  a
    b

  c
open: |-
  a
  b
";
        let expected = expected.replace("  - --x=1", "  - \"--x=1\"");
        assert_eq!(document(&value), expected);
        assert_eq!(documents([&json!({"a": 1}), &json!({"b": 2})]), "a: 1\n---\nb: 2\n");
    }

    #[test]
    fn every_value_is_read_back() {
        let texts = [
            "",
            " ",
            "a",
            "10s",
            "5m0s",
            "1e3",
            "1_000",
            "0x1F",
            "0o7",
            "010",
            "1:30",
            "1:30:45",
            "190:20:30.15",
            "2001-01-01",
            "2001-12-14t21:59:43.10-05:00",
            "1.36",
            ".5",
            ".inf",
            "-.Inf",
            ".NaN",
            "+1",
            "-1",
            "-",
            "--",
            "---",
            "...",
            "~",
            "null",
            "Null",
            "true",
            "True",
            "yes",
            "NO",
            "on",
            "Off",
            "y",
            "N",
            "=",
            "<<",
            "!x",
            "&a",
            "*a",
            "%a",
            "@a",
            "`a",
            "a: b",
            "a:",
            "a #b",
            "#a",
            "a,b",
            "[a",
            "{a",
            "}",
            "'a'",
            "\"a\"",
            "\\",
            "a\tb",
            "\t",
            "a\n",
            "\na",
            "a\n\n",
            "a\n b\n",
            " a\nb\n",
            "a\n \nb",
            "a\r\nb",
            "a\u{85}b",
            "a\u{2028}b",
            "\u{feff}",
            "\u{1f600}",
            "\u{1}",
            "\u{7f}",
            "ä",
            "https://[::1]:6443",
            "::",
            "::1",
            "[::]:4317",
            "0.0.0.0:10256",
            "registry.k8s.io/pause:3.10",
            "VersionTLS12",
            "v1.36.0",
            "10.233.0.0/18",
            "?",
            "? a",
            "|",
            ">",
            "a\n\tb\n",
            "a\n# b\n",
            "{{ x }}",
            "0b11",
            "12e03",
            "1.5e+3",
            "0.",
            "685_230.15",
            "a'b",
            "-a",
            "- a",
            "x: |\n  y\n",
        ];
        for text in texts {
            for value in [
                json!(text),
                json!([text, [text]]),
                json!({"k": text, "l": {"m": [{"n": text}]}}),
                json!({text: 1}),
            ] {
                let document = document(&value);
                assert_eq!(read(&document), value, "{document}");
            }
        }
        for value in [
            json!(null),
            json!(true),
            json!(-1),
            json!(0.5),
            json!(1e21),
            json!(1e-7),
            json!(u64::MAX),
            json!([]),
        ] {
            let document = document(&json!({"a": value}));
            assert_eq!(read(&document), json!({"a": value}), "{document}");
        }
        let mut deep = json!("x: y");
        for at in 0..60 {
            deep = if at % 2 == 0 { json!([deep]) } else { json!({"k": deep}) };
        }
        assert_eq!(read(&document(&deep)), deep);
    }
}
