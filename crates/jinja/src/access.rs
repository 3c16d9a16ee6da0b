//! `value.name` and `value[key]`.

use kubespray_value::{Error, Value};

use crate::lenient;
use crate::methods::is_method;
use crate::operators::hashable;

/// Jinja's subscript: an element or entry, and for texts an attribute where there is none.
pub(crate) fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    if let Value::Undefined(undefined) = key {
        return Err(undefined.error.clone());
    }
    let found = match value {
        Value::Undefined(undefined) if lenient::is(value) => return Err(undefined.error.clone()),
        Value::Undefined(_) => return Ok(value.clone()),
        Value::Map(map) => {
            hashable(key)?;
            map.get(key).cloned()
        }
        Value::Object(object) => object.get(key)?,
        Value::List(items) | Value::Tuple(items) => element(items, key),
        Value::View(view) => element(&view.items, key),
        Value::Str(text) => key.as_i64().and_then(|index| {
            let chars: Vec<char> = text.chars().collect();
            let index = if index < 0 { index + i64::try_from(chars.len()).ok()? } else { index };
            chars.get(usize::try_from(index).ok()?).map(|c| Value::str(c.to_string()))
        }),
        _ => None,
    };
    Ok(match found {
        Some(found) => found,
        None => match key.as_str().and_then(|name| property(value, name)) {
            Some(found) => found,
            None => missing(value, key),
        },
    })
}

/// Jinja's dot: an attribute of the Python object first, an entry of that name second.
pub(crate) fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    if let Some(found) = property(value, name) {
        return Ok(found);
    }
    match value {
        // `map.items` is the method, whatever keys there are; without a call it is worth nothing.
        Value::Map(_) if is_method(value, name) => {
            Ok(Value::undefined(format!("`{name}` is a method of maps; write `['{name}']` for the key")))
        }
        _ => item(value, &Value::str(name)),
    }
}

fn element(items: &[Value], key: &Value) -> Option<Value> {
    let index = key.as_i64()?;
    let index = if index < 0 { index.checked_add(i64::try_from(items.len()).ok()?)? } else { index };
    items.get(usize::try_from(index).ok()?).cloned()
}

/// Attributes that are no methods.
fn property(value: &Value, name: &str) -> Option<Value> {
    let number = |n: i64| Some(Value::Int(n));
    let date_part = |year: i16, month: i8, day: i8| match name {
        "year" => number(year.into()),
        "month" => number(month.into()),
        "day" => number(day.into()),
        _ => None,
    };
    match value {
        Value::Date(d) => date_part(d.year(), d.month(), d.day()),
        Value::DateTime(d) => match name {
            "hour" => number(d.civil.hour().into()),
            "minute" => number(d.civil.minute().into()),
            "second" => number(d.civil.second().into()),
            "microsecond" => number((d.civil.subsec_nanosecond() / 1000).into()),
            _ => date_part(d.civil.year(), d.civil.month(), d.civil.day()),
        },
        Value::Int(_) | Value::BigInt(_) | Value::Bool(_) => match name {
            "real" | "numerator" => Some(value.clone()),
            "imag" => number(0),
            "denominator" => number(1),
            _ => None,
        },
        _ => None,
    }
}

fn missing(value: &Value, key: &Value) -> Value {
    let message = match (value, key) {
        (Value::List(_) | Value::Tuple(_) | Value::View(_), Value::Int(index)) => {
            format!("{} object has no element {index}", value.type_name())
        }
        (_, Value::Str(name)) => {
            format!("`{} object` has no attribute `{}`", value.type_name(), name.as_str())
        }
        _ => format!("`{} object` has no element {}", value.type_name(), key.repr()),
    };
    Value::undefined(message)
}
