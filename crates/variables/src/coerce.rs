//! Whether a value fits the type of its variable.
//!
//! Templates give texts where a number was meant (ANS-023), and `-e name=value` gives texts always, so a
//! text that reads as the wanted type fits it.

use std::net::IpAddr;

use ipnet::IpNet;
use kubespray_value::{Value, parse_float, parse_int};

use crate::catalogue::{Entry, Kind};

/// A value in the type of its variable.
#[derive(Clone, Debug)]
pub struct Coerced {
    /// The value; numbers and booleans are no longer texts.
    pub value: Value,
    /// Whether it was a text that stands for a number or a boolean.
    pub was_text: bool,
}

/// Why a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the variable wants, such as `one of a, b` or `a list`.
    pub wanted: String,
    /// What it got, such as `the text x`.
    pub got: String,
    /// Whether the type is right and only the value is not allowed.
    pub not_allowed: bool,
}

/// Fits a value to the type of a variable.
///
/// # Errors
/// What was wanted and what was given. Null fits where the entry says so or where nothing would count
/// anyway; values whose type the entry leaves open fit always.
pub fn coerce(entry: &Entry, value: &Value) -> Result<Coerced, Mismatch> {
    let as_is = || Ok(Coerced { value: value.clone(), was_text: false });
    let mismatch = |wanted: &str| {
        Err(Mismatch { wanted: wanted.to_owned(), got: shown(entry, value), not_allowed: false })
    };
    let empty = value.is_none() || value.as_str() == Some("");
    if value.is_none() && (entry.nullable || default_is_empty(entry)) || (empty && default_is_empty(entry)) {
        return as_is();
    }
    let fitted = match entry.kind {
        Kind::Bool => boolean(value),
        Kind::Int | Kind::Port => integer(value),
        Kind::Float => match value {
            Value::Float(_) | Value::Int(_) => Some((value.clone(), false)),
            Value::Str(text) => parse_float(text).map(|float| (Value::Float(float), true)),
            _ => None,
        },
        Kind::List => match value {
            Value::List(_) | Value::Tuple(_) => Some((value.clone(), false)),
            _ => None,
        },
        Kind::Map => value.as_map().map(|_| (value.clone(), false)),
        Kind::String | Kind::Enum | Kind::Path | Kind::Url | Kind::Version | Kind::Duration => scalar(value),
        Kind::Ip => scalar(value).filter(|_| value.to_text().parse::<IpAddr>().is_ok()),
        Kind::Cidr => scalar(value).filter(|_| networks(&value.to_text())),
    };
    let Some((fitted, was_text)) = fitted else { return mismatch(wanted(entry.kind)) };
    if entry.kind == Kind::Port && !fitted.as_i64().is_some_and(|port| (0..=65_535).contains(&port)) {
        return mismatch("a port (0 to 65535)");
    }
    if let Some((low, high)) = &entry.range
        && (fitted.compare(low).is_ok_and(std::cmp::Ordering::is_lt)
            || fitted.compare(high).is_ok_and(std::cmp::Ordering::is_gt))
    {
        return Err(Mismatch {
            wanted: format!("a number from {} to {}", low.to_text(), high.to_text()),
            got: shown(entry, value),
            not_allowed: true,
        });
    }
    if !entry.allowed.is_empty()
        && entry.kind != Kind::List
        && !entry.allowed.iter().any(|a| same(a, &fitted))
    {
        let allowed: Vec<String> = entry.allowed.iter().map(|a| format!("`{}`", a.to_text())).collect();
        return Err(Mismatch {
            wanted: format!("one of {}", allowed.join(", ")),
            got: shown(entry, value),
            not_allowed: true,
        });
    }
    Ok(Coerced { value: fitted, was_text })
}

/// `true` and `"true"` are told apart by the type, not by the list of allowed values.
fn same(allowed: &Value, value: &Value) -> bool {
    allowed == value || allowed.to_text() == value.to_text()
}

/// Whether "nothing" is what the variable is worth anyway: null and an empty text then say just that.
fn default_is_empty(entry: &Entry) -> bool {
    use crate::catalogue::Default;
    match &entry.default {
        Default::Value(value) => {
            value.is_none() || value.as_str().is_some_and(|text| text.is_empty() || text.contains("{{"))
        }
        Default::Unset | Default::Generated(_) | Default::Runtime(_) => true,
        Default::Catalog => false,
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "a boolean (true or false)",
        Kind::Int => "an integer",
        Kind::Port => "a port (0 to 65535)",
        Kind::Float => "a number",
        Kind::List => "a list",
        Kind::Map => "a map",
        Kind::Ip => "an IP address",
        Kind::Cidr => "a network such as 10.233.0.0/18",
        _ => "a text",
    }
}

fn shown(entry: &Entry, value: &Value) -> String {
    let kind = match value {
        Value::Str(_) => "the text",
        Value::Bool(_) => "the boolean",
        Value::Int(_) | Value::BigInt(_) => "the integer",
        Value::Float(_) => "the number",
        Value::List(_) | Value::Tuple(_) => "the list",
        Value::Map(_) => "the map",
        Value::None => return "null".to_owned(),
        _ => "the value",
    };
    if entry.secret {
        return format!("{kind} (hidden)");
    }
    let mut text: String = value.to_text().chars().take(61).collect();
    if text.chars().count() > 60 {
        text.pop();
        text.push('…');
    }
    format!("{kind} `{text}`")
}

fn boolean(value: &Value) -> Option<(Value, bool)> {
    match value {
        Value::Bool(_) => Some((value.clone(), false)),
        Value::Int(0 | 1) => Some((Value::Bool(*value == Value::Int(1)), false)),
        Value::Str(text) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some((Value::Bool(true), true)),
            "false" | "no" | "off" | "0" => Some((Value::Bool(false), true)),
            _ => None,
        },
        _ => None,
    }
}

fn integer(value: &Value) -> Option<(Value, bool)> {
    match value {
        Value::Int(_) | Value::BigInt(_) => Some((value.clone(), false)),
        Value::Float(float) if float.fract() == 0.0 => Some((Value::Int(*float as i64), false)),
        Value::Str(text) => parse_int(text, 10).map(|int| (int, true)),
        _ => None,
    }
}

fn scalar(value: &Value) -> Option<(Value, bool)> {
    match value {
        Value::Str(_)
        | Value::Int(_)
        | Value::BigInt(_)
        | Value::Float(_)
        | Value::Bool(_)
        | Value::Date(_) => Some((value.clone(), false)),
        _ => None,
    }
}

/// One network, or several with commas between them.
fn networks(text: &str) -> bool {
    text.split(',').all(|part| part.trim().parse::<IpNet>().is_ok() || part.trim().parse::<IpAddr>().is_ok())
}
