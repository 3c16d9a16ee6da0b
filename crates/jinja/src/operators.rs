//! Python's operators.

use std::cmp::Ordering;
use std::sync::Arc;

use kubespray_value::{Error, ErrorKind, Value};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::ast::{Comparison, Operator};
use crate::lenient;
use crate::printf::printf;

/// Texts and lists made by an operator or a method are refused beyond this many characters or elements:
/// `'a' * 10 ** 12` is a slip, not a wish.
pub(crate) const LARGEST: usize = 16 << 20;

/// Integers of more bits are not calculated: the time of writing one grows with the square of its length, and
/// Python writes none above 4300 digits, which are 14,000 bits.
const MOST_BITS: u64 = 1 << 17;

/// An error where the value does not exist.
pub(crate) fn defined(value: Value) -> Result<Value, Error> {
    match value {
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        other => Ok(other),
    }
}

fn unsupported(symbol: &str, left: &Value, right: &Value) -> Error {
    Error::of_type(format!(
        "unsupported operand types for {symbol}: `{}` and `{}`",
        left.type_name(),
        right.type_name()
    ))
}

pub(crate) fn too_large() -> Error {
    Error::new(ErrorKind::Limit, "result is too large")
}

/// The number as a float; `None` where it is no number, an error where no float is that large.
pub(crate) fn float_of(value: &Value) -> Result<Option<f64>, Error> {
    let float = match value {
        Value::Float(f) => return Ok(Some(*f)),
        other => other.as_big().and_then(|int| int.to_f64()),
    };
    match float {
        Some(f) if f.is_infinite() => Err(Error::of_value("int too large to convert to float")),
        other => Ok(other),
    }
}

/// A list or a tuple, which Python keeps apart when it joins them.
fn items(value: &Value) -> Option<(&Arc<Vec<Value>>, bool)> {
    match value {
        Value::List(items) => Some((items, false)),
        Value::Tuple(items) => Some((items, true)),
        _ => None,
    }
}

pub(crate) fn binary(operator: Operator, left: Value, right: Value) -> Result<Value, Error> {
    let left = defined(left)?;
    let right = defined(right)?;
    match operator {
        Operator::Add => add(left, right),
        Operator::Multiply => multiply(left, right),
        Operator::Modulo => match &left {
            Value::Str(template) => Ok(Value::from(printf(template, &right)?)),
            _ => numeric(operator, "%", &left, &right),
        },
        Operator::Subtract => numeric(operator, "-", &left, &right),
        Operator::Divide => numeric(operator, "/", &left, &right),
        Operator::FloorDivide => numeric(operator, "//", &left, &right),
        Operator::Power => numeric(operator, "**", &left, &right),
    }
}

fn add(left: Value, right: Value) -> Result<Value, Error> {
    if let (Value::Str(a), Value::Str(b)) = (&left, &right) {
        if a.len() + b.len() > LARGEST {
            return Err(too_large());
        }
        let text = format!("{}{}", a.as_str(), b.as_str());
        return Ok(if a.is_unsafe() || b.is_unsafe() { Value::unsafe_str(text) } else { Value::str(text) });
    }
    if let (Some((a, tuple)), Some((b, other_tuple))) = (items(&left), items(&right))
        && tuple == other_tuple
    {
        if a.len() + b.len() > LARGEST {
            return Err(too_large());
        }
        let joined: Vec<Value> = a.iter().chain(b.iter()).cloned().collect();
        return Ok(if tuple { Value::tuple(joined) } else { Value::list(joined) });
    }
    numeric(Operator::Add, "+", &left, &right)
}

fn multiply(left: Value, right: Value) -> Result<Value, Error> {
    for (sequence, count) in [(&left, &right), (&right, &left)] {
        let Some(count) = count.as_i64() else { continue };
        let count = usize::try_from(count).unwrap_or(0);
        if let Value::Str(text) = sequence {
            if text.len().saturating_mul(count) > LARGEST {
                return Err(too_large());
            }
            return Ok(Value::str(text.as_str().repeat(count)));
        }
        if let Some((items, tuple)) = items(sequence) {
            if items.len().saturating_mul(count) > LARGEST {
                return Err(too_large());
            }
            let repeated: Vec<Value> = std::iter::repeat_n(items.iter(), count).flatten().cloned().collect();
            return Ok(if tuple { Value::tuple(repeated) } else { Value::list(repeated) });
        }
    }
    numeric(Operator::Multiply, "*", &left, &right)
}

fn numeric(operator: Operator, symbol: &str, left: &Value, right: &Value) -> Result<Value, Error> {
    let wrong = || unsupported(symbol, left, right);
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64())
        && let Some(small) = small_integers(operator, a, b)
    {
        return Ok(Value::Int(small));
    }
    if let (Some(a), Some(b)) = (left.as_big(), right.as_big()) {
        return integers(operator, &a, &b);
    }
    let (a, b) = (float_of(left)?.ok_or_else(wrong)?, float_of(right)?.ok_or_else(wrong)?);
    let zero = || Error::of_value("division by zero");
    let finite = |result: f64| {
        if result.is_infinite() && a.is_finite() && b.is_finite() {
            return Err(Error::of_value("result of `**` is too large"));
        }
        Ok(result)
    };
    Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide | Operator::FloorDivide | Operator::Modulo if b == 0.0 => return Err(zero()),
        Operator::Divide => a / b,
        Operator::FloorDivide => floats_divided(a, b).0,
        Operator::Modulo => floats_divided(a, b).1,
        Operator::Power if a == 0.0 && b < 0.0 => return Err(zero()),
        Operator::Power if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 => {
            return Err(Error::of_value("root of a negative number is a complex number"));
        }
        Operator::Power => finite(a.powf(b))?,
    }))
}

/// Python's `divmod` of floats: the rest has the sign of the divisor, and the quotient fits the rest.
fn floats_divided(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest == 0.0 {
        rest = 0.0_f64.copysign(b);
    } else if (rest < 0.0) != (b < 0.0) {
        rest += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, rest)
}

/// The result where all fits 64 bits, which is nearly always.
fn small_integers(operator: Operator, a: i64, b: i64) -> Option<i64> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::FloorDivide | Operator::Modulo => {
            let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
            let (quotient, rest) =
                if rest != 0 && (rest < 0) != (b < 0) { (quotient - 1, rest + b) } else { (quotient, rest) };
            Some(if operator == Operator::Modulo { rest } else { quotient })
        }
        Operator::Power => a.checked_pow(u32::try_from(b).ok()?),
        Operator::Divide => None,
    }
}

fn integers(operator: Operator, a: &BigInt, b: &BigInt) -> Result<Value, Error> {
    let zero = || Error::of_value("division by zero");
    if b.is_zero() && matches!(operator, Operator::Divide | Operator::FloorDivide | Operator::Modulo) {
        return Err(zero());
    }
    Ok(match operator {
        Operator::Add => Value::big(a + b),
        Operator::Subtract => Value::big(a - b),
        Operator::Multiply => {
            if a.bits() + b.bits() > MOST_BITS {
                return Err(too_large());
            }
            Value::big(a * b)
        }
        Operator::Divide => Value::Float(quotient(a, b)?),
        Operator::FloorDivide | Operator::Modulo => {
            let (mut quotient, mut rest) = (a / b, a % b);
            // Python rounds towards minus infinity.
            if !rest.is_zero() && rest.is_negative() != b.is_negative() {
                quotient -= 1;
                rest += b;
            }
            Value::big(if operator == Operator::Modulo { rest } else { quotient })
        }
        Operator::Power => match b.to_u32() {
            Some(exponent) => {
                if a.bits().saturating_mul(u64::from(exponent)) > MOST_BITS {
                    return Err(too_large());
                }
                Value::big(a.pow(exponent))
            }
            None if b.is_negative() => {
                if a.is_zero() {
                    return Err(zero());
                }
                let (a, b) = a.to_f64().zip(b.to_f64()).ok_or_else(too_large)?;
                Value::Float(a.powf(b))
            }
            // One and zero stay small whatever the power.
            None if a.bits() <= 1 && !a.is_negative() => Value::big(a.clone()),
            None => return Err(too_large()),
        },
    })
}

/// Integers of any size divided to the nearest float.
fn quotient(a: &BigInt, b: &BigInt) -> Result<f64, Error> {
    const EXACT: u64 = 53;
    if a.bits() <= EXACT && b.bits() <= EXACT {
        let (a, b) = a.to_f64().zip(b.to_f64()).ok_or_else(too_large)?;
        return Ok(a / b);
    }
    // Enough bits of the quotient to round once: 66, with the last one set where anything was cut off.
    let wanted = 66 + i64::try_from(b.bits()).unwrap_or(i64::MAX / 4) - i64::try_from(a.bits()).unwrap_or(0);
    let (up, down) = (u64::try_from(wanted).unwrap_or(0), u64::try_from(-wanted).unwrap_or(0));
    let (a, b) = (a << up, b << down);
    let mut quotient = &a / &b;
    if !(&a % &b).is_zero() && (&quotient % 2_u8).is_zero() {
        quotient += if quotient.is_negative() { -1 } else { 1 };
    }
    let float = quotient.to_f64().unwrap_or(f64::INFINITY);
    let exponent = i32::try_from(-wanted).unwrap_or(if wanted < 0 { i32::MAX } else { i32::MIN });
    // In two steps: the power alone may lie outside of what a float holds.
    let float = float * 2.0_f64.powi(exponent / 2) * 2.0_f64.powi(exponent - exponent / 2);
    if float.is_finite() {
        Ok(float)
    } else {
        Err(Error::of_value("integer division result too large for a float"))
    }
}

pub(crate) fn negate(value: Value) -> Result<Value, Error> {
    match defined(value)? {
        Value::Float(f) => Ok(Value::Float(-f)),
        other => match other.as_big() {
            Some(int) => Ok(Value::big(-int)),
            None => Err(Error::of_type(format!("bad operand type for unary -: `{}`", other.type_name()))),
        },
    }
}

pub(crate) fn positive(value: Value) -> Result<Value, Error> {
    match defined(value)? {
        Value::Bool(b) => Ok(Value::Int(i64::from(b))),
        value @ (Value::Int(_) | Value::BigInt(_) | Value::Float(_)) => Ok(value),
        other => Err(Error::of_type(format!("bad operand type for unary +: `{}`", other.type_name()))),
    }
}

pub(crate) fn compare(comparison: Comparison, left: &Value, right: &Value) -> Result<bool, Error> {
    let lenient_allowed = !matches!(
        comparison,
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual
    );
    for value in [left, right] {
        // A list may hold what is not there; only the operands themselves must exist.
        if let Value::Undefined(undefined) = value
            && !(lenient_allowed && lenient::is(value))
        {
            return Err(undefined.error.clone());
        }
    }
    Ok(match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => left.compare(right)? == Ordering::Less && !nan(left, right),
        Comparison::LessOrEqual => left.compare(right)? != Ordering::Greater && !nan(left, right),
        Comparison::Greater => left.compare(right)? == Ordering::Greater && !nan(left, right),
        Comparison::GreaterOrEqual => left.compare(right)? != Ordering::Less && !nan(left, right),
        Comparison::In => contains(right, left)?,
        Comparison::NotIn => !contains(right, left)?,
    })
}

fn nan(left: &Value, right: &Value) -> bool {
    [left, right].iter().any(|value| matches!(value, Value::Float(f) if f.is_nan()))
}

pub(crate) fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    match container {
        Value::Str(text) => match item {
            Value::Str(part) => Ok(text.contains(part.as_str())),
            other => Err(Error::of_type(format!(
                "`in <string>` requires string as left operand, not {}",
                other.type_name()
            ))),
        },
        Value::Undefined(_) => Ok(false),
        Value::Map(map) => {
            hashable(item)?;
            Ok(map.contains_key(item))
        }
        Value::Object(object) => {
            Ok(object.keys().contains(item) || matches!(object.get(item)?, Some(v) if !v.is_undefined()))
        }
        other => match other.as_sequence() {
            Some(items) => Ok(items.contains(item)),
            None => Err(Error::of_type(format!("argument of type `{}` is not iterable", other.type_name()))),
        },
    }
}

/// An error for what Python takes for no key of a map.
pub(crate) fn hashable(key: &Value) -> Result<(), Error> {
    match key {
        Value::List(_) | Value::Map(_) => {
            Err(Error::of_type(format!("unhashable type: `{}`", key.type_name())))
        }
        Value::Tuple(items) => items.iter().try_for_each(hashable),
        _ => Ok(()),
    }
}

/// Python's slices of lists, tuples and texts.
pub(crate) fn slice(value: &Value, parts: [Option<Value>; 3]) -> Result<Value, Error> {
    let number = |part: &Option<Value>| match part {
        None | Some(Value::None) => Ok(None),
        Some(value) => {
            value.as_i64().map(Some).ok_or_else(|| Error::of_type("slice indices must be integers or None"))
        }
    };
    let [start, stop, step] = [number(&parts[0])?, number(&parts[1])?, number(&parts[2])?];
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Error::of_value("slice step cannot be zero"));
    }
    let pick = |length: usize| -> Vec<usize> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let clamp =
            |index: i64| (if index < 0 { index.saturating_add(length) } else { index }).clamp(low, high);
        let mut at = start.map_or(if step > 0 { low } else { high }, clamp);
        let end = stop.map_or(if step > 0 { high } else { low }, clamp);
        let mut picked = Vec::new();
        while (step > 0 && at < end) || (step < 0 && at > end) {
            picked.extend(usize::try_from(at));
            at = at.saturating_add(step);
        }
        picked
    };
    match value {
        Value::Str(text) => {
            let chars: Vec<char> = text.chars().collect();
            let picked: String = pick(chars.len()).into_iter().filter_map(|index| chars.get(index)).collect();
            Ok(Value::str(picked))
        }
        Value::List(items) | Value::Tuple(items) => {
            let picked =
                pick(items.len()).into_iter().filter_map(|index| items.get(index).cloned()).collect();
            Ok(if matches!(value, Value::Tuple(_)) { Value::tuple(picked) } else { Value::list(picked) })
        }
        Value::Undefined(_) => Ok(value.clone()),
        Value::View(view) if view.type_name == "range" => {
            let picked = pick(view.items.len());
            Ok(Value::list(picked.into_iter().filter_map(|index| view.items.get(index).cloned()).collect()))
        }
        other => Err(Error::of_type(format!("`{}` object cannot be sliced", other.type_name()))),
    }
}
