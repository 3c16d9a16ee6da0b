//! A file or text as data: decrypted where it is encrypted, read as JSON where it is JSON, else as YAML.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::{Map, Value, json};
use kubespray_yaml::{Children, Node};

use crate::paths::{self, LARGEST_FILE};
use crate::vault::Vault;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Text {
    /// For spans; without its text where that is secret.
    pub(crate) source: Arc<Source>,
    /// The plain bytes, where they are not in `source`.
    secret: Option<String>,
}

impl Text {
    /// A text that may be shown.
    pub(crate) fn open(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { source: Source::new(name, text), secret: None }
    }

    /// The plain text.
    pub(crate) fn as_str(&self) -> &str {
        self.secret.as_deref().or(self.source.text()).unwrap_or("")
    }
}

/// Bytes of a file before they are taken for text: INI forgives broken characters in comments.
#[derive(Debug)]
pub(crate) struct RawFile {
    pub(crate) shown: String,
    pub(crate) bytes: Vec<u8>,
    is_secret: bool,
}

/// Reads a file and decrypts it where it is encrypted. `shown` is its name for the user.
pub(crate) fn read_raw(path: &Path, shown: &str, vault: &Vault) -> Result<RawFile, Box<Diagnostic>> {
    let bytes = paths::read_bounded(path, LARGEST_FILE)
        .map_err(|why| Diagnostic::error("file-unreadable", format!("cannot read `{shown}`: {why}")))?;
    if !Vault::is_encrypted(&bytes) {
        return Ok(RawFile { shown: shown.to_owned(), bytes, is_secret: false });
    }
    let plain = vault.decrypt(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        let whole = Span::whole(Source::without_text(shown));
        Diagnostic::error("vault", format!("`{shown}` is {error}")).at(whole).hint(error.hint())
    })?;
    Ok(RawFile { shown: shown.to_owned(), bytes: plain, is_secret: true })
}

impl RawFile {
    /// The file as text.
    pub(crate) fn into_text(self) -> Result<Text, Box<Diagnostic>> {
        let text = match String::from_utf8(self.bytes) {
            Ok(text) => text,
            Err(error) => return Err(Box::new(not_text(&self.shown, error.as_bytes(), self.is_secret))),
        };
        if text.contains('\0') {
            return Err(Box::new(not_text(&self.shown, text.as_bytes(), self.is_secret)));
        }
        Ok(if self.is_secret {
            Text { source: Source::without_text(self.shown), secret: Some(text) }
        } else {
            Text::open(self.shown, text)
        })
    }

    /// The source for spans, with what can be shown of it.
    pub(crate) fn lossy_text(&self) -> Text {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.is_secret {
            Text { source: Source::without_text(self.shown.clone()), secret: Some(text) }
        } else {
            Text::open(self.shown.clone(), text)
        }
    }

    /// Whether it holds bytes that no text has.
    pub(crate) fn is_binary(&self) -> bool {
        self.bytes.contains(&0)
    }

    /// The complaint that it is no text.
    pub(crate) fn not_text(&self) -> Diagnostic {
        not_text(&self.shown, &self.bytes, self.is_secret)
    }
}

fn not_text(shown: &str, bytes: &[u8], is_secret: bool) -> Diagnostic {
    if bytes.contains(&0) {
        return Diagnostic::error("file-binary", format!("`{shown}` is a binary file, no text"))
            .at(Span::whole(Source::without_text(shown)));
    }
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let before = bytes.get(..valid).map(String::from_utf8_lossy).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let source = if is_secret {
        Source::without_text(shown)
    } else {
        Source::new(shown, String::from_utf8_lossy(bytes))
    };
    Diagnostic::error("file-encoding", format!("`{shown}` is not UTF-8"))
        .label(Span::at(source, line, column), "this byte")
        .hint("save the file as UTF-8")
}

/// Reads a text as JSON or YAML; `None` where it is empty.
pub(crate) fn parse(
    text: &Text,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Option<Arc<Node>>, Box<Diagnostic>> {
    let plain = text.as_str();
    // Ansible tries JSON first. The numbers of the two differ: `1e3` is a text in YAML.
    let json = plain.trim_start().starts_with(['{', '[']).then(|| json::read(plain));
    if let Some(Ok(value)) = json {
        let places = kubespray_yaml::parse(plain, &text.source).ok().and_then(|document| document.root);
        let whole = Span::whole(text.source.clone());
        return Ok(Some(with_places(decode_hooks(value), places.as_deref(), &whole)));
    }
    let document = kubespray_yaml::parse(plain, &text.source)?;
    warnings.extend(document.warnings);
    Ok(document.root)
}

/// The special maps of Ansible's JSON: an encrypted text, and a text that is no template.
pub(crate) fn decode_hooks(value: Value) -> Value {
    match value {
        Value::List(items) => Value::list(items.iter().cloned().map(decode_hooks).collect()),
        Value::Map(map) => {
            for (key, value) in map.iter() {
                match (key.as_str(), value) {
                    (Some("__ansible_vault"), Value::Str(text)) => return Value::Vault(text.as_str().into()),
                    (Some("__ansible_unsafe"), value) => return mark_unsafe(value.clone()),
                    _ => {}
                }
            }
            Value::map(map.iter().map(|(key, value)| (key.clone(), decode_hooks(value.clone()))).collect())
        }
        other => other,
    }
}

fn mark_unsafe(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::unsafe_str(text.as_str()),
        Value::List(items) => Value::list(items.iter().cloned().map(mark_unsafe).collect()),
        Value::Map(map) => {
            let entries: Map = map.iter().map(|(k, v)| (k.clone(), mark_unsafe(v.clone()))).collect();
            Value::map(entries)
        }
        other => other,
    }
}

/// A JSON value with the places that the YAML reader saw for the same text.
pub(crate) fn with_places(value: Value, places: Option<&Node>, whole: &Span) -> Arc<Node> {
    let span = places.map_or(whole, |node| &node.span).clone();
    let children = match &value {
        Value::List(items) => {
            let known = match places.map(|node| &node.children) {
                Some(Children::List(nodes)) => nodes.as_slice(),
                _ => &[],
            };
            let nodes = items.iter().enumerate();
            Children::List(
                nodes
                    .map(|(index, item)| with_places(item.clone(), known.get(index).map(|n| &**n), whole))
                    .collect(),
            )
        }
        Value::Map(map) => {
            let mut entries = IndexMap::with_capacity(map.len());
            for (key, value) in map.iter() {
                let known = match places.map(|node| &node.children) {
                    Some(Children::Map(known)) => known.get(key),
                    _ => None,
                };
                let key_span = known.map_or(whole, |(span, _)| span).clone();
                let node = with_places(value.clone(), known.map(|(_, node)| &**node), whole);
                entries.insert(key.clone(), (key_span, node));
            }
            Children::Map(entries)
        }
        _ => Children::None,
    };
    Arc::new(Node { value, span, children })
}
