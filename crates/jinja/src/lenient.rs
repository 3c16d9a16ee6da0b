//! The value of `x if condition` where the condition does not hold and nothing else is given.
//!
//! Jinja makes it an undefined value that, unlike all others in Ansible, prints as an empty text, is
//! false and has no elements.

use std::sync::LazyLock;

use kubespray_value::{Error, Value};

static VALUE: LazyLock<Value> =
    LazyLock::new(|| Value::undefined("the inline `if` is false and has no `else`"));

/// Filters that see that it is undefined; all others get the empty text that Python would make of it.
const SEE_IT: &[&str] = &["default", "d", "mandatory", "int", "float"];

pub(crate) fn value() -> Value {
    VALUE.clone()
}

pub(crate) fn is(value: &Value) -> bool {
    match (value, &*VALUE) {
        (Value::Undefined(a), Value::Undefined(b)) => std::sync::Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// Python's truth.
pub(crate) fn truthy(value: &Value) -> Result<bool, Error> {
    if is(value) { Ok(false) } else { value.truthy() }
}

/// What a filter gets.
pub(crate) fn for_filter(name: &str, value: Value) -> Value {
    if is(&value) && !SEE_IT.contains(&name) { Value::str("") } else { value }
}
