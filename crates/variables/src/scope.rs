//! Variables as a template on a host sees them.

use std::sync::Arc;

use kubespray_jinja::{Scope, may_be_template};
use kubespray_value::{Error, ErrorKind, Value};

use crate::site::Inner;

/// Values nested deeper than this are refused instead of overflowing the stack.
const DEEPEST: usize = 200;

/// The variables of one host.
pub(crate) struct HostScope {
    inner: Arc<Inner>,
    host: usize,
    /// Seen through `hostvars` from another host, which shows less (ANS-030).
    foreign: bool,
}

impl HostScope {
    pub(crate) fn new(inner: &Arc<Inner>, host: usize, foreign: bool) -> Self {
        Self { inner: inner.clone(), host, foreign }
    }

    /// Renders a text.
    pub(crate) fn template_text(&self, text: &str) -> Result<Value, Error> {
        let template = self.inner.parse(text)?;
        // A text that is nothing but a name keeps the type of numbers, booleans and null (ANS-023).
        if let Some(name) = template.single_name()
            && let Some(
                value @ (Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) | Value::None),
            ) = self.inner.available(self.host, self.foreign, name)
        {
            return Ok(value);
        }
        template.render(&self.inner.context(self))
    }

    fn template_at(&self, value: &Value, lenient: bool, depth: usize) -> Result<Value, Error> {
        if depth > DEEPEST {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("value is nested deeper than {DEEPEST} levels"),
            ));
        }
        let items = |items: &[Value]| -> Result<Value, Error> {
            let items: Result<Vec<Value>, Error> =
                items.iter().map(|item| self.template_at(item, lenient, depth + 1)).collect();
            Ok(Value::list(items?))
        };
        match value {
            Value::Str(text) if text.is_unsafe() || !may_be_template(text) => Ok(value.clone()),
            Value::Str(text) => match self.template_text(text) {
                Err(error)
                    if lenient && matches!(error.kind, ErrorKind::Undefined | ErrorKind::NeedsFacts) =>
                {
                    Ok(value.clone())
                }
                other => other,
            },
            Value::Vault(ciphertext) => self.inner.decrypt(ciphertext),
            Value::List(list) | Value::Tuple(list) if is_plain_list(list) => Ok(Value::List(list.clone())),
            Value::List(list) | Value::Tuple(list) => items(list),
            Value::View(view) => items(&view.items),
            Value::Map(map) if map.values().all(is_plain) => Ok(value.clone()),
            Value::Map(map) => {
                let mut out = kubespray_value::Map::with_capacity(map.len());
                for (key, value) in map.iter() {
                    out.insert(key.clone(), self.template_at(value, lenient, depth + 1)?);
                }
                Ok(Value::map(out))
            }
            other => Ok(other.clone()),
        }
    }

    /// Renders a value; texts that need something undefined stay as they are.
    pub(crate) fn template_leniently(&self, value: &Value) -> Result<Value, Error> {
        self.template_at(value, true, 0)
    }
}

fn is_plain_list(items: &[Value]) -> bool {
    items.iter().all(is_plain)
}

/// Whether templating gives the very same value, seen without descending.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.is_unsafe() || !may_be_template(text),
        Value::None
        | Value::Bool(_)
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::Float(_)
        | Value::Date(_)
        | Value::DateTime(_) => true,
        _ => false,
    }
}

impl Scope for HostScope {
    fn resolve(&self, name: &str) -> Result<Option<Value>, Error> {
        self.inner.resolve(self.host, self.foreign, name)
    }

    fn names(&self) -> Vec<String> {
        self.inner.names_of(self.host).iter().map(Value::to_text).collect()
    }

    fn template(&self, value: &Value) -> Result<Value, Error> {
        self.template_at(value, false, 0)
    }
}
