//! What a template puts out, and what that is worth: Ansible's conversion of texts that look like
//! Python literals (ANS-024 to ANS-027).

use kubespray_value::{Error, ErrorKind, Map, Str, Value, literal};

use crate::lenient;

/// Bytes that a template may put out.
const LARGEST: usize = 16 << 20;

pub(crate) fn within_limit(length: usize) -> Result<(), Error> {
    if length > LARGEST {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("template puts out more than {} MiB", LARGEST >> 20),
        ));
    }
    Ok(())
}

/// Everything that was put out so far. A single value is kept as it is: it may need no conversion.
#[derive(Default)]
pub(crate) struct Output {
    single: Option<Value>,
    text: String,
    count: usize,
    /// Whether any part of it is never a template: then neither is the whole.
    is_unsafe: bool,
}

impl Output {
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.count == 0 {
            return self.value(Value::str(text));
        }
        self.append(text)
    }

    /// Puts a value out.
    pub(crate) fn value(&mut self, value: Value) -> Result<(), Error> {
        let value = printable(value)?;
        self.is_unsafe = self.is_unsafe || holds_unsafe(&value);
        if self.count == 0 {
            self.count = 1;
            self.single = Some(value);
            return Ok(());
        }
        match &value {
            Value::Str(text) => self.append(text),
            other => self.append(&text_of(other)),
        }
    }

    fn append(&mut self, text: &str) -> Result<(), Error> {
        self.count += 1;
        if let Some(first) = self.single.take() {
            self.text = text_of(&first);
        }
        self.text.push_str(text);
        within_limit(self.text.len())
    }

    /// The value of the whole. `plain`: a text, whatever it looks like.
    pub(crate) fn finish(self, plain: bool) -> Result<Value, Error> {
        let is_unsafe = self.is_unsafe;
        let value = self.converted(plain);
        Ok(if is_unsafe { mark_unsafe(value) } else { value })
    }

    fn converted(self, plain: bool) -> Value {
        let Some(value) = self.single else { return convert(self.text, plain) };
        match &value {
            Value::Str(text) if text.is_verbatim() => value,
            Value::Str(text) if plain || !looks_like_a_literal(text) => value,
            // The text of such a list or map reads back as the very same value.
            Value::List(_) | Value::Map(_) if !plain && reads_back(&value) => value,
            Value::Bool(_) if !plain => value,
            _ => convert(text_of(&value), plain),
        }
    }
}

/// The text that Ansible makes of a part of the output.
fn text_of(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.to_text(),
    }
}

/// What Ansible prints for a value: nothing for null, a list for what can only be gone through.
fn printable(value: Value) -> Result<Value, Error> {
    match value {
        Value::Undefined(_) if lenient::is(&value) => Ok(Value::str("")),
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        Value::None => Ok(Value::str("")),
        Value::View(view) => {
            check_defined(&view.items)?;
            Ok(Value::list(view.items.clone()))
        }
        Value::List(ref items) | Value::Tuple(ref items) => {
            check_defined(items)?;
            Ok(value)
        }
        Value::Map(ref map) => {
            map.values().try_for_each(check_value)?;
            Ok(value)
        }
        Value::Object(ref object) => {
            let mut map = Map::new();
            for key in object.keys() {
                if let Some(entry) = object.get(&key)? {
                    let entry = match entry {
                        Value::Object(_) => printable(entry)?,
                        other => other,
                    };
                    map.insert(key, entry);
                }
            }
            Ok(Value::map(map))
        }
        other => Ok(other),
    }
}

fn check_defined(items: &[Value]) -> Result<(), Error> {
    items.iter().try_for_each(check_value)
}

fn check_value(value: &Value) -> Result<(), Error> {
    match value {
        Value::Undefined(_) if lenient::is(value) => Ok(()),
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        Value::List(items) | Value::Tuple(items) => check_defined(items),
        Value::Map(map) => map.values().try_for_each(check_value),
        _ => Ok(()),
    }
}

fn reads_back(value: &Value) -> bool {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Bytes(_) => true,
        // Inside of a list a text is a text like any other again.
        Value::Str(text) => !text.is_verbatim(),
        Value::Float(f) => f.is_finite(),
        Value::List(items) | Value::Tuple(items) => items.iter().all(reads_back),
        Value::Map(map) => map.iter().all(|(key, value)| reads_back(key) && reads_back(value)),
        _ => false,
    }
}

fn looks_like_a_literal(text: &str) -> bool {
    text.starts_with(['{', '[']) || text == "True" || text == "False"
}

fn convert(text: String, plain: bool) -> Value {
    if plain || !looks_like_a_literal(&text) {
        return Value::from(text);
    }
    literal::parse(&text, literal::Names::PythonAndJson).unwrap_or_else(|_| Value::from(text))
}

/// Whether a value holds text that is never a template.
pub(crate) fn holds_unsafe(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.is_unsafe(),
        Value::Vault(_) => true,
        Value::List(items) | Value::Tuple(items) => items.iter().any(holds_unsafe),
        Value::Map(map) => map.values().any(holds_unsafe),
        _ => false,
    }
}

/// Marks all texts of a value.
pub(crate) fn mark_unsafe(value: Value) -> Value {
    match value {
        Value::Str(text) if text.is_unsafe() => Value::Str(text),
        Value::Str(text) => {
            let marked = Str::new_unsafe(text.as_str());
            Value::Str(if text.is_verbatim() { marked.verbatim() } else { marked })
        }
        Value::List(items) => Value::list(items.iter().cloned().map(mark_unsafe).collect()),
        Value::Tuple(items) => Value::tuple(items.iter().cloned().map(mark_unsafe).collect()),
        Value::Map(map) => {
            Value::map(map.iter().map(|(key, value)| (key.clone(), mark_unsafe(value.clone()))).collect())
        }
        other => other,
    }
}
