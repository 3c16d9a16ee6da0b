//! Arguments of the collection's filters: bound and converted as its argument specification says.
//!
//! These filters take any number of positional arguments and use the first few, convert every argument
//! to its type, and refuse unknown names.

use kubespray_jinja::Args;
use kubespray_value::{Error, ErrorKind, Value};
use num_bigint::BigInt;

/// Digits of the largest integer that a text such as `1e9` may stand for.
const MOST_DIGITS: usize = 4300;
/// Undefined values deeper than this are not looked for.
const DEEPEST: usize = 100;

/// What a parameter is converted to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Anything, unchanged.
    Raw,
    /// A text; other values become one.
    Text,
    /// An integer; texts and floats that are one count.
    Int,
    /// A list; a text is split at its commas.
    List,
    /// A list of texts.
    Texts,
}

/// A parameter of a filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    name: &'static str,
    kind: Kind,
    required: bool,
    default: Option<&'static str>,
}

impl Parameter {
    /// One that must be given.
    pub(super) const fn required(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: true, default: None }
    }

    /// One that is `None` if not given.
    pub(super) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false, default: None }
    }

    /// A text that is something else if not given.
    pub(super) const fn text_or(name: &'static str, default: &'static str) -> Self {
        Self { name, kind: Kind::Text, required: false, default: Some(default) }
    }
}

/// Binds what stands before the bar and the arguments to parameters; the first `positional` ones may be
/// given by position, further positional arguments are ignored.
pub(super) fn bind<const N: usize>(
    filter: &str,
    parameters: [Parameter; N],
    positional: usize,
    value: Value,
    args: &Args,
) -> Result<[Value; N], Error> {
    let mut given = [const { None }; N];
    let values = std::iter::once(value).chain(args.positional.iter().cloned());
    for (slot, value) in given.iter_mut().take(positional).zip(values) {
        *slot = Some(value);
    }
    for (name, value) in &args.named {
        let found = parameters.iter().zip(&mut given).find(|(parameter, _)| parameter.name == &**name);
        match found {
            Some((_, slot)) => *slot = Some(value.clone()),
            None => return Err(Error::of_type(format!("`{filter}` takes no argument `{name}`"))),
        }
    }
    // The collection copies its arguments first, which fails for undefined ones however deep they are.
    for (parameter, value) in parameters.iter().zip(&given) {
        match value {
            Some(Value::Undefined(_)) if matches!(parameter.kind, Kind::Raw) => {}
            Some(value) => refuse_undefined(value, 0)?,
            None => {}
        }
    }
    let mut bound = [const { Value::None }; N];
    for ((parameter, value), slot) in parameters.iter().zip(given).zip(&mut bound) {
        *slot = match value {
            None if parameter.required => {
                return Err(Error::of_type(format!("`{filter}` needs the argument `{}`", parameter.name)));
            }
            None => parameter.default.map_or(Value::None, Value::from),
            Some(Value::None) if !parameter.required && parameter.default.is_none() => Value::None,
            Some(value) => convert(filter, parameter, value)?,
        };
    }
    Ok(bound)
}

fn refuse_undefined(value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Ok(());
    }
    match value {
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        Value::List(items) | Value::Tuple(items) => {
            items.iter().try_for_each(|item| refuse_undefined(item, depth + 1))
        }
        Value::Map(map) => map.values().try_for_each(|item| refuse_undefined(item, depth + 1)),
        _ => Ok(()),
    }
}

fn convert(filter: &str, parameter: &Parameter, value: Value) -> Result<Value, Error> {
    let wrong = |value: &Value, what: &str| {
        let (name, given) = (parameter.name, value.type_name());
        Error::of_type(format!("argument `{name}` of `{filter}` must be {what}, not `{given}`"))
    };
    match parameter.kind {
        Kind::Raw => Ok(value),
        Kind::Text => text_of(value).map_err(|value| wrong(&value, "a text")),
        Kind::Int => integer(&value).ok_or_else(|| wrong(&value, "an integer")),
        Kind::List | Kind::Texts => {
            let items = match &value {
                Value::List(items) => items.to_vec(),
                Value::Str(text) => text.split(',').map(Value::from).collect(),
                Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_) => {
                    vec![Value::str(value.to_text())]
                }
                other => return Err(wrong(other, "a list")),
            };
            if matches!(parameter.kind, Kind::List) {
                return Ok(Value::list(items));
            }
            let texts =
                items.into_iter().map(|item| text_of(item).map_err(|item| wrong(&item, "a list of texts")));
            Ok(Value::list(texts.collect::<Result<_, _>>()?))
        }
    }
}

/// Any value but `None` as a text; else the value comes back.
fn text_of(value: Value) -> Result<Value, Value> {
    match value {
        Value::Str(_) => Ok(value),
        Value::None | Value::Undefined(_) => Err(value),
        Value::Bytes(ref bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::str(text)),
            Err(_) => Err(value),
        },
        other => Ok(Value::str(other.to_text())),
    }
}

/// An integer, or a text or float that is one; booleans stay.
fn integer(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) | Value::Int(_) | Value::BigInt(_) => Some(value.clone()),
        Value::Float(float) if float.is_finite() && float.fract() == 0.0 => {
            format!("{float:.0}").parse::<BigInt>().ok().map(Value::big)
        }
        Value::Str(text) => decimal_integer(text).map(Value::big),
        _ => None,
    }
}

/// A decimal number without a fraction, such as `10`, `1.0` or `1e3`.
fn decimal_integer(text: &str) -> Option<BigInt> {
    let text = text.trim().replace('_', "");
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text.as_str(), 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|byte| byte == b'0') {
        return Some(BigInt::ZERO);
    }
    let shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let count = usize::try_from(shift.unsigned_abs()).ok()?;
    if shift >= 0 {
        if count > MOST_DIGITS || digits.len() > MOST_DIGITS {
            return None;
        }
        digits.extend(std::iter::repeat_n('0', count));
    } else {
        let kept = digits.len().checked_sub(count)?;
        if digits.bytes().skip(kept).any(|byte| byte != b'0') {
            return None;
        }
        digits.truncate(kept);
    }
    format!("{sign}{digits}").parse().ok()
}

/// The error for an undefined value where Ansible complains of its type rather than that it is missing:
/// `default` behind the filter does not help. What is only not known yet stays so.
pub(super) fn undefined_input(filter: &str, cause: &Error) -> Error {
    if cause.kind == ErrorKind::Undefined {
        Error::of_type(format!("`{filter}` got an undefined value")).hint(cause.message.clone())
    } else {
        cause.clone()
    }
}

/// The integer of a bound argument; `None` where it was not given.
pub(super) fn int(value: &Value) -> Option<BigInt> {
    value.as_big()
}

/// The text of a bound argument; empty where it was not given.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Python's `str.isdigit` for ASCII.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The arguments of a test, what stands before `is` first: all must be given and of their type, but
/// the test gets them as they were.
pub(super) fn bind_test<const N: usize>(
    test: &str,
    parameters: [Parameter; N],
    value: Value,
    args: &Args,
) -> Result<[Value; N], Error> {
    let names = parameters.map(|parameter| parameter.name);
    args.only(names.get(1..).unwrap_or_default())?;
    bind(test, parameters, N, value.clone(), args)?;
    bind(test, parameters.map(|parameter| Parameter { kind: Kind::Raw, ..parameter }), N, value, args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_decimals() {
        for (text, number) in [
            ("10", Some(10)),
            (" -7 ", Some(-7)),
            ("+1_000", Some(1000)),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("1500e-2", Some(15)),
            ("0e999999999", Some(0)),
            ("0.5", None),
            ("1e-1", None),
            ("", None),
            (".", None),
            ("nan", None),
            ("inf", None),
            ("0x10", None),
            ("1e999999999", None),
        ] {
            assert_eq!(decimal_integer(text), number.map(BigInt::from), "{text}");
        }
    }
}
