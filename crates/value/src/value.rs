//! The value type.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use indexmap::IndexMap;
use num_bigint::BigInt;

use crate::{Error, ErrorKind, Object};

/// A mapping in insertion order. Keys follow Python's equality: `1`, `1.0` and `True` are one key.
/// Look text keys up with `map.get("name")`.
pub type Map = IndexMap<Value, Value>;

/// A Python value.
///
/// Cloning is cheap: everything large is shared.
#[derive(Clone)]
pub enum Value {
    /// `None`, YAML's `null`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits 64 bits. An integer that fits is never a [`Value::BigInt`].
    Int(i64),
    /// A larger integer.
    BigInt(Arc<BigInt>),
    /// A float.
    Float(f64),
    /// A text.
    Str(Str),
    /// Bytes, as `b64decode` of binary data or YAML's `!!binary` give them.
    Bytes(Bytes),
    /// A date without time (YAML timestamp).
    Date(jiff::civil::Date),
    /// A date with time (YAML timestamp).
    DateTime(Arc<DateTime>),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A tuple; becomes a list in JSON.
    Tuple(Arc<Vec<Value>>),
    /// A mapping.
    Map(Arc<Map>),
    /// A Python iterable that is neither list nor tuple, such as `dict.keys()` or `range(3)`.
    View(Arc<View>),
    /// A mapping computed on demand.
    Object(Arc<dyn Object>),
    /// A text that is still encrypted (`!vault`): the ciphertext with its header. Whoever evaluates
    /// replaces it by the plain text, or by the error that no password opens it.
    Vault(Arc<str>),
    /// Something that does not exist; only some operations forgive it.
    Undefined(Arc<Undefined>),
}

/// A text, which may be marked so that it is never taken for a template or for a literal.
#[derive(Clone)]
pub struct Str {
    text: Arc<str>,
    is_unsafe: bool,
    is_verbatim: bool,
}

/// Shared bytes.
pub type Bytes = Arc<[u8]>;

/// A date and time with an optional offset from UTC in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime {
    /// The local date and time.
    pub civil: jiff::civil::DateTime,
    /// Offset from UTC in seconds, where the text named a zone.
    pub offset_seconds: Option<i32>,
}

/// An iterable that Python shows by its type, such as `dict_keys(['a'])`.
#[derive(Clone, Debug)]
pub struct View {
    /// What `repr` and `str` give.
    pub repr: String,
    /// The Python type, such as `dict_keys`.
    pub type_name: &'static str,
    /// The elements.
    pub items: Vec<Value>,
}

/// Why a value does not exist.
#[derive(Clone, Debug)]
pub struct Undefined {
    /// The error that using it raises.
    pub error: Error,
}

impl Str {
    /// A text that may be a template.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), is_unsafe: false, is_verbatim: false }
    }

    /// A text that is never a template (`!unsafe`, vault contents, lookup results).
    pub fn new_unsafe(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), is_unsafe: true, is_verbatim: false }
    }

    /// The same text, marked as one that is never taken for a Python literal: what `to_json` and the
    /// like give (ANS-025).
    #[must_use]
    pub fn verbatim(self) -> Self {
        Self { is_verbatim: true, ..self }
    }

    /// Whether it must never be taken for a Python literal.
    pub fn is_verbatim(&self) -> bool {
        self.is_verbatim
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it must never be taken for a template.
    pub fn is_unsafe(&self) -> bool {
        self.is_unsafe
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unsafe { write!(f, "!unsafe {:?}", &*self.text) } else { write!(f, "{:?}", &*self.text) }
    }
}

impl Value {
    /// A text.
    pub fn str(text: impl Into<Arc<str>>) -> Self {
        Self::Str(Str::new(text))
    }

    /// A text that is never a template.
    pub fn unsafe_str(text: impl Into<Arc<str>>) -> Self {
        Self::Str(Str::new_unsafe(text))
    }

    /// A list.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A tuple.
    pub fn tuple(items: Vec<Value>) -> Self {
        Self::Tuple(Arc::new(items))
    }

    /// A mapping.
    pub fn map(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }

    /// An integer of any size.
    pub fn big(int: BigInt) -> Self {
        match i64::try_from(&int) {
            Ok(small) => Self::Int(small),
            Err(_) => Self::BigInt(Arc::new(int)),
        }
    }

    /// Something that does not exist.
    pub fn undefined(message: impl Into<String>) -> Self {
        Self::undefined_because(Error::new(ErrorKind::Undefined, message))
    }

    /// Something that does not exist, for a reason that using it raises.
    pub fn undefined_because(error: Error) -> Self {
        Self::Undefined(Arc::new(Undefined { error }))
    }

    /// The name of its Python type (`str`, `int`, `dict`, `NoneType` …).
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::Date(_) => "date",
            Self::DateTime(_) => "datetime",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Map(_) => "dict",
            Self::View(view) => view.type_name,
            Self::Object(object) => object.type_name(),
            Self::Vault(_) => "AnsibleVaultEncryptedUnicode",
            Self::Undefined(_) => "AnsibleUndefined",
        }
    }

    /// Python's truth. Using an undefined value is an error.
    pub fn truthy(&self) -> Result<bool, Error> {
        Ok(match self {
            Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::BigInt(_) | Self::Date(_) | Self::DateTime(_) | Self::Vault(_) => true,
            Self::Float(f) => *f != 0.0,
            Self::Str(s) => !s.is_empty(),
            Self::Bytes(b) => !b.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::View(view) => !view.items.is_empty(),
            Self::Object(object) => !object.keys().is_empty(),
            Self::Undefined(undefined) => return Err(undefined.error.clone()),
        })
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(s) => Some(s.as_str()),
            _ => None,
        }
    }

    /// The integer, where it is one that fits (booleans are integers in Python).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Bool(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// The integer of any size, where it is one.
    pub fn as_big(&self) -> Option<BigInt> {
        match self {
            Self::BigInt(i) => Some((**i).clone()),
            other => other.as_i64().map(BigInt::from),
        }
    }

    /// The boolean, where it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The map, where it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements of a list, tuple or view (not of a text or a map).
    pub fn as_sequence(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            Self::View(view) => Some(&view.items),
            _ => None,
        }
    }

    /// Whether it does not exist.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// What a Python `for` loop goes through: elements, characters of a text, keys of a map.
    pub fn iterate(&self) -> Result<Vec<Value>, Error> {
        Ok(match self {
            Self::List(items) | Self::Tuple(items) => items.to_vec(),
            Self::View(view) => view.items.clone(),
            Self::Map(map) => map.keys().cloned().collect(),
            Self::Object(object) => object.keys(),
            Self::Str(s) => s.chars().map(|c| Self::str(c.to_string())).collect(),
            Self::Bytes(b) => b.iter().map(|byte| Self::Int(i64::from(*byte))).collect(),
            Self::Undefined(undefined) => return Err(undefined.error.clone()),
            other => return Err(Error::of_type(format!("`{}` object is not iterable", other.type_name()))),
        })
    }

    /// Python's `len()`.
    pub fn len(&self) -> Result<usize, Error> {
        Ok(match self {
            Self::List(items) | Self::Tuple(items) => items.len(),
            Self::View(view) => view.items.len(),
            Self::Map(map) => map.len(),
            Self::Object(object) => object.keys().len(),
            Self::Str(s) => s.chars().count(),
            Self::Bytes(b) => b.len(),
            Self::Undefined(undefined) => return Err(undefined.error.clone()),
            other => {
                return Err(Error::of_type(format!("object of type `{}` has no len()", other.type_name())));
            }
        })
    }

    /// Whether it is empty; an error where it has no length.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repr())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::str(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::big(BigInt::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::list(items)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::map(map)
    }
}
