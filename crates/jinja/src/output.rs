//! What a template puts out, and what that is worth: Ansible's conversion of texts that look like
//! Python literals (ANS-024 to ANS-027).

use kubespray_value::{Error, ErrorKind, Map, Value, literal};

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
}

impl Output {
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Error> {
        self.value(Value::str(text))
    }

    /// Puts a value out.
    pub(crate) fn value(&mut self, value: Value) -> Result<(), Error> {
        let value = printable(value)?;
        self.count += 1;
        if self.count == 1 {
            self.single = Some(value);
            return Ok(());
        }
        if let Some(first) = self.single.take() {
            self.text = first.to_text();
        }
        match &value {
            Value::Str(text) => self.text.push_str(text),
            other => self.text.push_str(&other.to_text()),
        }
        within_limit(self.text.len())
    }

    /// The value of the whole. `plain`: a text, whatever it looks like.
    pub(crate) fn finish(self, plain: bool) -> Result<Value, Error> {
        let Some(value) = self.single else { return Ok(convert(self.text, plain)) };
        if matches!(&value, Value::Str(text) if text.is_verbatim()) {
            return Ok(value);
        }
        if plain {
            return Ok(Value::from(value.to_text()));
        }
        // The text of such a list or map reads back as the very same value.
        if matches!(value, Value::List(_) | Value::Map(_)) && reads_back(&value) {
            return Ok(value);
        }
        if let Value::Bool(_) = value {
            return Ok(value);
        }
        Ok(convert(value.to_text(), false))
    }
}

/// What Ansible prints for a value: nothing for null, a list for what can only be gone through.
fn printable(value: Value) -> Result<Value, Error> {
    match value {
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
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        Value::List(items) | Value::Tuple(items) => check_defined(items),
        Value::Map(map) => map.values().try_for_each(check_value),
        _ => Ok(()),
    }
}

fn reads_back(value: &Value) -> bool {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Str(_) | Value::Bytes(_) => {
            true
        }
        Value::Float(f) => f.is_finite(),
        Value::List(items) | Value::Tuple(items) => items.iter().all(reads_back),
        Value::Map(map) => map.iter().all(|(key, value)| reads_back(key) && reads_back(value)),
        _ => false,
    }
}

fn convert(text: String, plain: bool) -> Value {
    let looks_like_one = text.starts_with(['{', '[']) || text == "True" || text == "False";
    if plain || !looks_like_one {
        return Value::from(text);
    }
    literal::parse(&text, literal::Names::PythonAndJson).unwrap_or_else(|_| Value::from(text))
}

/// Whether a value holds text that is never a template.
pub(crate) fn holds_unsafe(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.is_unsafe(),
        Value::Vault(_) => true,
        Value::List(items) => items.iter().any(holds_unsafe),
        Value::Map(map) => map.values().any(holds_unsafe),
        _ => false,
    }
}

/// Marks all texts of a value.
pub(crate) fn mark_unsafe(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::unsafe_str(text.as_str()),
        Value::List(items) => Value::list(items.iter().cloned().map(mark_unsafe).collect()),
        Value::Tuple(items) => Value::tuple(items.iter().cloned().map(mark_unsafe).collect()),
        Value::Map(map) => {
            Value::map(map.iter().map(|(key, value)| (key.clone(), mark_unsafe(value.clone()))).collect())
        }
        other => other,
    }
}
