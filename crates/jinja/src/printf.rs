//! Python's `%` formatting of texts.

use kubespray_value::{Error, Value};
use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed};

use crate::floats;
use crate::format::within_limit;
use crate::operators::float_of;

#[derive(Default)]
struct Spec {
    left: bool,
    sign: Option<char>,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

struct Arguments<'a> {
    values: &'a Value,
    tuple: Option<&'a [Value]>,
    used: usize,
}

impl Arguments<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        let value = match self.tuple {
            Some(items) => items.get(self.used).cloned(),
            None if self.used == 0 => Some(self.values.clone()),
            None => None,
        };
        self.used += 1;
        value.ok_or_else(|| Error::of_type("not enough arguments for format string"))
    }

    fn next_size(&mut self) -> Result<i64, Error> {
        self.next()?.as_i64().ok_or_else(|| Error::of_type("`*` wants an integer"))
    }
}

fn is_mapping(value: &Value) -> bool {
    matches!(value, Value::Map(_) | Value::Object(_))
}

fn entry(value: &Value, key: &Value) -> Result<Option<Value>, Error> {
    match value {
        Value::Map(map) => Ok(map.get(key).cloned()),
        Value::Object(object) => object.get(key),
        _ => Ok(None),
    }
}

/// Python's `template % values`: a tuple holds several values, a map named ones, anything else is one value.
///
/// # Errors
/// Too few or too many values, and values that do not fit their place.
pub fn printf(template: &str, values: &Value) -> Result<String, Error> {
    let tuple = match values {
        Value::Tuple(items) => Some(items.as_slice()),
        _ => None,
    };
    let mut arguments = Arguments { values, tuple, used: 0 };
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut named = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            let mut depth = 1;
            let mut key = String::new();
            for c in chars.by_ref() {
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    break;
                }
                key.push(c);
            }
            if depth > 0 {
                return Err(Error::of_value("incomplete format key"));
            }
            if !is_mapping(values) {
                return Err(Error::of_type("format requires a mapping"));
            }
            let found = entry(values, &Value::str(key.clone()))?;
            named = Some(
                found.ok_or_else(|| Error::of_value(format!("format names `{key}`, which is not given")))?,
            );
        }
        if named.is_none() && chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | ' ' | '0' | '#')) {
            match flag {
                '-' => spec.left = true,
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '0' => spec.zero = true,
                _ => spec.alternate = true,
            }
        }
        if chars.next_if_eq(&'*').is_some() {
            let width = arguments.next_size()?;
            spec.left |= width < 0;
            spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        } else {
            spec.width = digits(&mut chars).unwrap_or(0);
        }
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(if chars.next_if_eq(&'*').is_some() {
                usize::try_from(arguments.next_size()?).unwrap_or(0)
            } else {
                digits(&mut chars).unwrap_or(0)
            });
        }
        within_limit(spec.width.max(spec.precision.unwrap_or(0)))?;
        while chars.next_if(|c| matches!(c, 'h' | 'l' | 'L')).is_some() {}
        let Some(kind) = chars.next() else { return Err(Error::of_value("incomplete format")) };
        let value = match named {
            Some(value) => value,
            None => arguments.next()?,
        };
        out.push_str(&one(kind, &spec, &value)?);
    }
    let left_over = match tuple {
        Some(items) => arguments.used < items.len(),
        None => arguments.used == 0 && !is_mapping(values) && !matches!(values, Value::List(_)),
    };
    if left_over {
        return Err(Error::of_type("not all arguments converted during string formatting"));
    }
    Ok(out)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = Some(number.unwrap_or(0_usize).saturating_mul(10).saturating_add(digit as usize));
    }
    number
}

fn one(kind: char, spec: &Spec, value: &Value) -> Result<String, Error> {
    if let Value::Undefined(undefined) = value {
        return Err(undefined.error.clone());
    }
    Ok(match kind {
        's' | 'r' | 'a' => {
            let text = if kind == 's' { value.to_text() } else { value.repr() };
            let text = match spec.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text,
            };
            pad("", &text, spec, false)
        }
        'c' => {
            let c = match value {
                Value::Str(s) if s.chars().count() == 1 => s.chars().next(),
                value => value.as_i64().and_then(|i| u32::try_from(i).ok()).and_then(char::from_u32),
            };
            let c = c.ok_or_else(|| Error::of_type("%c requires int or char"))?;
            pad("", &c.to_string(), spec, false)
        }
        'd' | 'i' | 'u' => {
            let int = match value {
                Value::Float(f) => BigInt::from_f64(f.trunc()),
                value => value.as_big(),
            };
            let int = int.ok_or_else(|| {
                Error::of_type(format!(
                    "%{kind} format: a real number is required, not `{}`",
                    value.type_name()
                ))
            })?;
            integer(&int, int.abs().to_string(), "", spec)
        }
        'x' | 'X' | 'o' => {
            let int = value.as_big().ok_or_else(|| {
                Error::of_type(format!("%{kind} format: an integer is required, not `{}`", value.type_name()))
            })?;
            let (digits, prefix) = match kind {
                'x' => (int.abs().to_str_radix(16), "0x"),
                'X' => (int.abs().to_str_radix(16).to_uppercase(), "0X"),
                _ => (int.abs().to_str_radix(8), "0o"),
            };
            integer(&int, digits, if spec.alternate { prefix } else { "" }, spec)
        }
        'f' | 'F' | 'e' | 'E' | 'g' | 'G' => {
            let float = float_of(value)?.ok_or_else(|| {
                Error::of_type(format!(
                    "the value of `%{kind}` must be a number, not `{}`",
                    value.type_name()
                ))
            })?;
            let text = floats::text(kind, float, spec.precision.unwrap_or(6));
            let sign = sign(floats::is_negative(float), spec);
            pad(&sign, &text, spec, true)
        }
        other => return Err(Error::of_value(format!("unsupported format character `{other}`"))),
    })
}

fn sign(negative: bool, spec: &Spec) -> String {
    if negative { "-".into() } else { spec.sign.map(String::from).unwrap_or_default() }
}

fn integer(int: &BigInt, mut digits: String, prefix: &str, spec: &Spec) -> String {
    if let Some(least) = spec.precision {
        digits = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
    }
    pad(&format!("{}{prefix}", sign(int.is_negative(), spec)), &digits, spec, true)
}

fn pad(prefix: &str, text: &str, spec: &Spec, zeros: bool) -> String {
    let missing = spec.width.saturating_sub(prefix.chars().count() + text.chars().count());
    if spec.left {
        format!("{prefix}{text}{}", " ".repeat(missing))
    } else if spec.zero && zeros {
        format!("{prefix}{}{text}", "0".repeat(missing))
    } else {
        format!("{}{prefix}{text}", " ".repeat(missing))
    }
}
