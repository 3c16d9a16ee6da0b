//! The part of YAML in which kubeconfigs are written: maps and lists by indentation, texts on one line. All else
//! is refused, with its line.

use serde_json::{Map, Value};

/// Deeper files are refused.
const DEEPEST: usize = 32;

/// A line that says something: its number, how far it is indented, and what it says.
struct Line<'t> {
    number: usize,
    indent: usize,
    text: &'t str,
}

/// Reads a file. All values are texts, but for `{}`, `[]` and nothing at all.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let trimmed = line.trim_start_matches(' ');
        let text = trimmed.trim_end();
        if text.is_empty() || text.starts_with('#') || (lines.is_empty() && text == "---") {
            continue;
        }
        if text.starts_with('\t') {
            return Err(format!("line {number}: indented by a tab"));
        }
        lines.push(Line { number, indent: line.len() - trimmed.len(), text });
    }
    let mut reader = Reader { lines, at: 0 };
    let Some(first) = reader.lines.first() else { return Err("it is empty".into()) };
    let indent = first.indent;
    let value = reader.block(indent, 0)?;
    match reader.lines.get(reader.at) {
        None => Ok(value),
        Some(line) => Err(format!("line {}: not understood here", line.number)),
    }
}

struct Reader<'t> {
    lines: Vec<Line<'t>>,
    at: usize,
}

impl Reader<'_> {
    /// A map or list whose lines are indented so far.
    fn block(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let is_list = self.lines.get(self.at).is_some_and(|line| is_element(line.text));
        if depth >= DEEPEST {
            return Err("it is nested too deeply".into());
        }
        if is_list { self.list(indent, depth) } else { self.map(indent, depth) }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        while let Some(line) = self.lines.get_mut(self.at) {
            if line.indent != indent || !is_element(line.text) {
                break;
            }
            let behind = line.text.get(1..).unwrap_or_default();
            let text = behind.trim_start();
            if text.is_empty() {
                self.at += 1;
                items.push(self.nested(indent, depth, false)?);
            } else if key_of(text).is_some() {
                // What stands behind the dash begins a block of its own.
                line.indent += 1 + behind.len() - text.len();
                line.text = text;
                let inner = line.indent;
                items.push(self.block(inner, depth + 1)?);
            } else {
                items.push(scalar(text, line.number)?);
                self.at += 1;
            }
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, indent: usize, depth: usize) -> Result<Value, String> {
        let mut map = Map::new();
        while let Some(line) = self.lines.get(self.at) {
            let number = line.number;
            if line.indent != indent || is_element(line.text) {
                break;
            }
            let Some((key, rest)) = key_of(line.text) else {
                return Err(format!("line {number}: no `key: value`"));
            };
            let Value::String(key) = scalar(key, number)? else {
                return Err(format!("line {number}: no key"));
            };
            let value = if rest.is_empty() {
                self.at += 1;
                self.nested(indent, depth, true)?
            } else {
                let value = scalar(rest, number)?;
                self.at += 1;
                value
            };
            if map.insert(key, value).is_some() {
                return Err(format!("line {number}: the key is there twice"));
            }
        }
        Ok(Value::Object(map))
    }

    /// What stands below a key or dash: lines that are indented more; below a key a list may be indented alike.
    fn nested(&mut self, indent: usize, depth: usize, below_key: bool) -> Result<Value, String> {
        match self.lines.get(self.at) {
            Some(line) if line.indent > indent => {
                let inner = line.indent;
                let value = self.block(inner, depth + 1)?;
                match self.lines.get(self.at) {
                    Some(line) if line.indent > indent => {
                        Err(format!("line {}: indented unlike the lines before", line.number))
                    }
                    _ => Ok(value),
                }
            }
            Some(line) if below_key && line.indent == indent && is_element(line.text) => {
                self.list(indent, depth + 1)
            }
            _ => Ok(Value::Null),
        }
    }
}

fn is_element(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// A key and what stands behind its colon.
fn key_of(text: &str) -> Option<(&str, &str)> {
    let end = match text.chars().next()? {
        quote @ ('"' | '\'') => text.get(1..)?.find(quote)? + 2,
        _ => text.find(": ").or_else(|| text.strip_suffix(':').map(str::len))?,
    };
    let (key, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix(':')?;
    let rest = rest.trim_start();
    Some((key, if rest.starts_with('#') { "" } else { rest }))
}

fn scalar(text: &str, number: usize) -> Result<Value, String> {
    let refuse = || format!("line {number}: this form of YAML is not supported");
    match text.chars().next() {
        Some('"') => serde_json::from_str::<String>(text).map(Value::String).map_err(|_| refuse()),
        Some('\'') => {
            let inner = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            let inner = inner.ok_or_else(refuse)?.replace("''", "\0");
            if inner.contains('\'') { Err(refuse()) } else { Ok(Value::String(inner.replace('\0', "'"))) }
        }
        _ if text == "{}" => Ok(Value::Object(Map::new())),
        _ if text == "[]" => Ok(Value::Array(Vec::new())),
        _ if text == "null" || text == "~" => Ok(Value::Null),
        Some('&' | '*' | '!' | '|' | '>' | '{' | '[' | '%' | '@' | '`' | '?') | None => Err(refuse()),
        _ if is_element(text) => Err(refuse()),
        _ => Ok(Value::String(text.split(" #").next().unwrap_or_default().trim_end().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kubeconfigs_are_read() {
        let text = "\
apiVersion: v1 # of the core
clusters:
- cluster:
    certificate-authority-data: LS0tLQ==
    server: https://[fd00::1]:6443
  name: kubernetes
contexts:
  - context: {}
    name: \"admin@kubernetes\"

'kind': Config
preferences: {}
users:
-
  name: 'it''s'
  user:
    token: a:b#c
list:
- a
- 'b'
nothing:
";
        let expected = json!({
            "apiVersion": "v1",
            "clusters": [{
                "cluster": {"certificate-authority-data": "LS0tLQ==", "server": "https://[fd00::1]:6443"},
                "name": "kubernetes",
            }],
            "contexts": [{"context": {}, "name": "admin@kubernetes"}],
            "kind": "Config",
            "preferences": {},
            "users": [{"name": "it's", "user": {"token": "a:b#c"}}],
            "list": ["a", "b"],
            "nothing": null,
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, problem) in [
            ("", "it is empty"),
            ("a: &x 1\nb: *x", "line 1: this form"),
            ("a: 1\nb: |\n  text", "line 2: this form"),
            ("a: {b: 1}", "line 1: this form"),
            ("a: 1\na: 2", "line 2: the key is there twice"),
            ("a:\n    b: 1\n  c: 2", "line 3: indented unlike"),
            ("a: 1\n  b: 2", "line 2: not understood here"),
            ("a: 1\n\tb: 2", "line 2: indented by a tab"),
            ("just words", "line 1: no `key: value`"),
            ("a: 'x", "line 1: this form"),
            ("a: 1\n- b", "line 2: not understood here"),
            ("- - a", "line 1: this form"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(problem), "{text:?}: {error}");
        }
        let deep: Vec<String> = (0..100).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        assert!(parse(&deep.concat()).unwrap_err().contains("too deeply"));
    }
}
