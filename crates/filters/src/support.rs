//! What all filters share: registration, arguments, attributes, order.

use kubespray_jinja::Args;
pub(crate) use kubespray_value::sort;
use kubespray_value::{Error, Map, Value};

/// Registers filters that refuse undefined inputs and arguments, under their own name and under
/// the given prefix (`ansible.builtin.`).
macro_rules! filters {
    ($library:expr, $prefix:literal; $($name:literal => $filter:path),* $(,)?) => {$(
        let filter: kubespray_jinja::Filter = |context, value, args| {
            $crate::support::refuse_undefined(&value, args)?;
            $filter(context, value, args)
        };
        $library.filters.insert($name, filter);
        if !$prefix.is_empty() {
            $library.filters.insert(concat!($prefix, $name), filter);
        }
    )*};
}

/// Registers filters that decide themselves about undefined inputs.
macro_rules! lenient_filters {
    ($library:expr, $prefix:literal; $($name:literal => $filter:path),* $(,)?) => {$(
        $library.filters.insert($name, $filter);
        if !$prefix.is_empty() {
            $library.filters.insert(concat!($prefix, $name), $filter);
        }
    )*};
}

/// Registers tests that refuse undefined inputs and arguments.
macro_rules! tests {
    ($library:expr, $prefix:literal; $($name:literal => $test:path),* $(,)?) => {$(
        let test: kubespray_jinja::Test = |context, value, args| {
            $crate::support::refuse_undefined(&value, args)?;
            $test(context, value, args)
        };
        $library.tests.insert($name, test);
        if !$prefix.is_empty() {
            $library.tests.insert(concat!($prefix, $name), test);
        }
    )*};
}

/// Registers tests that decide themselves about undefined inputs.
macro_rules! lenient_tests {
    ($library:expr, $prefix:literal; $($name:literal => $test:path),* $(,)?) => {$(
        $library.tests.insert($name, $test);
        if !$prefix.is_empty() {
            $library.tests.insert(concat!($prefix, $name), $test);
        }
    )*};
}

pub(crate) use {filters, lenient_filters, lenient_tests, tests};

/// The error of the first undefined value among the input and the arguments.
pub(crate) fn refuse_undefined(value: &Value, args: &Args) -> Result<(), Error> {
    let named = args.named.iter().map(|(_, value)| value);
    for value in std::iter::once(value).chain(&args.positional).chain(named) {
        defined(value)?;
    }
    Ok(())
}

/// The error of an undefined value.
pub(crate) fn defined(value: &Value) -> Result<&Value, Error> {
    match value {
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        value => Ok(value),
    }
}

/// Python's `str()`; an undefined value is an error.
pub(crate) fn text(value: &Value) -> Result<String, Error> {
    Ok(defined(value)?.to_text())
}

/// Ansible's `to_text`: bytes are decoded, everything else is `str()`.
pub(crate) fn decoded(value: &Value) -> Result<String, Error> {
    match value {
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        value => text(value),
    }
}

/// The text of a value that must be one.
pub(crate) fn need_str<'a>(value: &'a Value, what: &str) -> Result<&'a str, Error> {
    defined(value)?
        .as_str()
        .ok_or_else(|| Error::of_type(format!("{what} must be a text, not `{}`", value.type_name())))
}

/// The integer of a value that must be one.
pub(crate) fn need_int(value: &Value, what: &str) -> Result<i64, Error> {
    defined(value)?
        .as_i64()
        .ok_or_else(|| Error::of_type(format!("{what} must be an integer, not `{}`", value.type_name())))
}

/// The number of a value that must be one.
pub(crate) fn need_float(value: &Value, what: &str) -> Result<f64, Error> {
    float(defined(value)?)
        .ok_or_else(|| Error::of_type(format!("{what} must be a number, not `{}`", value.type_name())))
}

/// The number of a value that is one, booleans included.
pub(crate) fn float(value: &Value) -> Option<f64> {
    use num_traits::ToPrimitive;
    match value {
        Value::Float(f) => Some(*f),
        value => value.as_big().and_then(|i| i.to_f64()),
    }
}

/// An optional argument; `None` given explicitly counts as absent.
pub(crate) fn optional<'a>(args: &'a Args, position: usize, name: &str) -> Option<&'a Value> {
    args.get(position, name).filter(|value| !value.is_none())
}

/// The truth of an optional argument, false where it is absent.
pub(crate) fn flag(args: &Args, position: usize, name: &str) -> Result<bool, Error> {
    args.get(position, name).map_or(Ok(false), Value::truthy)
}

/// An integer argument or its default.
pub(crate) fn int_or(args: &Args, position: usize, name: &str, default: i64) -> Result<i64, Error> {
    args.get(position, name).map_or(Ok(default), |value| need_int(value, &format!("`{name}`")))
}

/// A text argument or its default.
pub(crate) fn str_or<'a>(
    args: &'a Args,
    position: usize,
    name: &str,
    default: &'a str,
) -> Result<&'a str, Error> {
    args.get(position, name).map_or(Ok(default), |value| need_str(value, &format!("`{name}`")))
}

/// Texts for a list.
pub(crate) fn texts<I: IntoIterator<Item = S>, S: Into<Value>>(items: I) -> Value {
    Value::list(items.into_iter().map(Into::into).collect())
}

/// The entries of a mapping, computed ones included; `None` for anything else.
pub(crate) fn entries(value: &Value) -> Result<Option<Vec<(Value, Value)>>, Error> {
    match value {
        Value::Map(map) => Ok(Some(map.iter().map(|(k, v)| (k.clone(), v.clone())).collect())),
        Value::Object(object) => {
            let mut entries = Vec::new();
            for key in object.keys() {
                if let Some(value) = object.get(&key)? {
                    entries.push((key, value));
                }
            }
            Ok(Some(entries))
        }
        value => {
            defined(value)?;
            Ok(None)
        }
    }
}

/// The entries of a value that must be a mapping.
pub(crate) fn need_entries(value: &Value, what: &str) -> Result<Vec<(Value, Value)>, Error> {
    entries(value)?
        .ok_or_else(|| Error::of_type(format!("{what} must be a map, not `{}`", value.type_name())))
}

/// Whether it is a mapping.
pub(crate) fn is_mapping(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Object(_))
}

/// The elements of a list or tuple: what Ansible's `is_sequence` takes.
pub(crate) fn sequence(value: &Value) -> Option<&[Value]> {
    match value {
        Value::List(items) | Value::Tuple(items) => Some(items),
        Value::View(view) if view.type_name == "range" => Some(&view.items),
        _ => None,
    }
}

/// One entry of a mapping.
pub(crate) fn entry(value: &Value, key: &Value) -> Result<Option<Value>, Error> {
    match value {
        Value::Map(map) => Ok(map.get(key).cloned()),
        Value::Object(object) => object.get(key),
        _ => Ok(None),
    }
}

/// Whether Python could use it as a key or put it into a set.
pub(crate) fn is_hashable(value: &Value) -> bool {
    match value {
        Value::List(_) | Value::Map(_) | Value::Object(_) => false,
        Value::Tuple(items) => items.iter().all(is_hashable),
        _ => true,
    }
}

/// Inserts into a map, refusing keys that Python refuses.
pub(crate) fn insert(map: &mut Map, key: Value, value: Value) -> Result<(), Error> {
    if !is_hashable(&key) {
        return Err(Error::of_type(format!("unhashable type: `{}`", key.type_name())));
    }
    defined(&key)?;
    map.insert(key, value);
    Ok(())
}

/// Jinja's `value[key]`: an element or entry, or an undefined value. A key behind an undefined
/// value is undefined for the same reason.
pub(crate) fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(value.clone());
    }
    if is_mapping(value) {
        if let Some(found) = entry(value, key)? {
            return Ok(found);
        }
    } else if let Some(index) = key.as_i64() {
        let at = |len: usize| {
            let index = if index < 0 { index + len as i64 } else { index };
            usize::try_from(index).ok()
        };
        let found = match value {
            Value::List(items) | Value::Tuple(items) => {
                at(items.len()).and_then(|index| items.get(index).cloned())
            }
            Value::View(view) => at(view.items.len()).and_then(|index| view.items.get(index).cloned()),
            Value::Str(s) => at(s.chars().count())
                .and_then(|index| s.chars().nth(index))
                .map(|c| Value::str(c.to_string())),
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
    } else if let (Value::Tuple(items), Some(name)) = (value, key.as_str()) {
        // The groups that `groupby` gives name their two elements.
        match (name, items.as_slice()) {
            ("grouper", [found, _]) | ("list", [_, found]) => return Ok(found.clone()),
            _ => {}
        }
    }
    Ok(Value::undefined(match key.as_str() {
        Some(name) => format!("`{}` object has no attribute `{name}`", value.type_name()),
        None => format!("`{}` object has no element `{}`", value.type_name(), key.repr()),
    }))
}

/// A dotted path such as `address.city` or `0.name`, as `map(attribute=…)` takes it.
#[derive(Debug)]
pub(crate) struct Path(Vec<Value>);

impl Path {
    /// Reads the argument; numbers count as one index.
    pub(crate) fn new(attribute: &Value) -> Self {
        match attribute {
            Value::None => Self(Vec::new()),
            Value::Str(text) => Self::parse(text),
            other => Self(vec![other.clone()]),
        }
    }

    fn parse(text: &str) -> Self {
        let part = |part: &str| match part.parse::<i64>() {
            Ok(index) if part.chars().all(|c| c.is_ascii_digit()) => Value::Int(index),
            _ => Value::str(part),
        };
        Self(text.split('.').map(part).collect())
    }

    /// What the path leads to; a default replaces what is undefined on the way.
    pub(crate) fn follow(&self, value: &Value, default: Option<&Value>) -> Result<Value, Error> {
        let mut value = value.clone();
        for part in &self.0 {
            value = item(&value, part)?;
            if let (true, Some(default)) = (value.is_undefined(), default) {
                value = default.clone();
            }
        }
        Ok(value)
    }
}

/// The paths of a comma separated list, as `sort(attribute=…)` takes them.
pub(crate) fn paths(attribute: Option<&Value>) -> Vec<Path> {
    match attribute {
        Some(Value::Str(text)) => text.split(',').map(Path::parse).collect(),
        Some(other) => vec![Path::new(other)],
        None => vec![Path(Vec::new())],
    }
}

/// A key for comparisons that do not care about case.
pub(crate) fn ignore_case(value: Value, case_sensitive: bool) -> Value {
    match &value {
        Value::Str(text) if !case_sensitive => Value::str(text.to_lowercase()),
        _ => value,
    }
}

/// Sorts items by keys.
pub(crate) fn sort_by_key(items: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<(Value, Value)>, Error> {
    sort(&items, &|(a, _), (b, _)| {
        let order = a.compare(b)?;
        Ok(if reverse { order.reverse() } else { order })
    })
}

/// Python's `a in b`.
pub(crate) fn contains(container: &Value, wanted: &Value) -> Result<bool, Error> {
    match defined(container)? {
        Value::Map(map) => {
            defined(wanted)?;
            if !is_hashable(wanted) {
                return Err(Error::of_type(format!("unhashable type: `{}`", wanted.type_name())));
            }
            Ok(map.contains_key(wanted))
        }
        Value::Object(object) => Ok(object.get(wanted)?.is_some()),
        Value::Str(text) => match defined(wanted)? {
            Value::Str(part) => Ok(text.contains(part.as_str())),
            other => Err(Error::of_type(format!(
                "`in <string>` requires string as left operand, not `{}`",
                other.type_name()
            ))),
        },
        Value::Bytes(bytes) => match wanted {
            Value::Int(byte) => Ok(bytes.iter().any(|b| i64::from(*b) == *byte)),
            _ => Err(Error::of_type("a bytes-like object is required")),
        },
        container => match container.as_sequence() {
            Some(items) => {
                for item in items {
                    defined(item)?;
                    defined(wanted)?;
                    if item == wanted {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            None => {
                Err(Error::of_type(format!("argument of type `{}` is not iterable", container.type_name())))
            }
        },
    }
}

/// Python's blanks.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `splitlines`.
pub(crate) fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        let breaks = matches!(
            c,
            '\n' | '\r'
                | '\u{b}'
                | '\u{c}'
                | '\u{1c}'
                | '\u{1d}'
                | '\u{1e}'
                | '\u{85}'
                | '\u{2028}'
                | '\u{2029}'
        );
        if breaks {
            lines.push(text.get(start..index).unwrap_or_default());
            start = index + c.len_utf8();
            if c == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n') {
                chars.next();
                start += 1;
            }
        }
    }
    if start < text.len() {
        lines.push(text.get(start..).unwrap_or_default());
    }
    lines
}

/// No result may hold more elements or characters than this.
pub(crate) const MOST: usize = 10_000_000;

/// Refuses results beyond [`MOST`].
pub(crate) fn within_limit(count: usize) -> Result<(), Error> {
    if count > MOST {
        return Err(Error::new(kubespray_value::ErrorKind::Limit, format!("result is larger than {MOST}")));
    }
    Ok(())
}
