//! Python's operators.

use std::cmp::Ordering;
use std::sync::Arc;

use kubespray_value::{Error, ErrorKind, Value};
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::ast::{Comparison, Operator};
use crate::call::{Args, Context};

/// Texts, lists and integers made by an operator are refused beyond this many characters, elements
/// or bits: `'a' * 10 ** 12` is a slip, not a wish.
const LARGEST: usize = 16 << 20;

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

fn too_large() -> Error {
    Error::new(ErrorKind::Limit, "result of an operator is too large")
}

fn float_of(value: &Value) -> Option<f64> {
    match value {
        Value::Float(f) => Some(*f),
        other => other.as_big()?.to_f64(),
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

pub(crate) fn binary(
    context: &Context<'_>,
    operator: Operator,
    left: Value,
    right: Value,
) -> Result<Value, Error> {
    let left = defined(left)?;
    let right = defined(right)?;
    match operator {
        Operator::Add => add(left, right),
        Operator::Multiply => multiply(left, right),
        Operator::Modulo => match &left {
            Value::Str(_) => context.filter("format", left.clone(), &format_arguments(right)),
            _ => numeric(operator, "%", &left, &right),
        },
        Operator::Subtract => numeric(operator, "-", &left, &right),
        Operator::Divide => numeric(operator, "/", &left, &right),
        Operator::FloorDivide => numeric(operator, "//", &left, &right),
        Operator::Power => numeric(operator, "**", &left, &right),
    }
}

/// `'%s %s' % (a, b)`: a tuple holds several values, a map named ones.
fn format_arguments(values: Value) -> Args {
    match values {
        Value::Tuple(items) => Args::of(items.to_vec()),
        Value::Map(map) if map.keys().all(|key| key.as_str().is_some()) && !map.is_empty() => {
            let named = map.iter().map(|(key, value)| (Arc::from(key.as_str().unwrap_or("")), value.clone()));
            Args { positional: Vec::new(), named: named.collect() }
        }
        other => Args::of(vec![other]),
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
    if let (Some(a), Some(b)) = (left.as_big(), right.as_big()) {
        return integers(operator, &a, &b);
    }
    let (a, b) = (float_of(left).ok_or_else(wrong)?, float_of(right).ok_or_else(wrong)?);
    let zero = || Error::of_value("division by zero");
    Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide if b == 0.0 => return Err(zero()),
        Operator::Divide => a / b,
        Operator::FloorDivide | Operator::Modulo if b == 0.0 => return Err(zero()),
        Operator::FloorDivide => (a / b).floor(),
        Operator::Modulo => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        Operator::Power if a == 0.0 && b < 0.0 => return Err(zero()),
        Operator::Power if a < 0.0 && b.fract() != 0.0 => {
            return Err(Error::of_value("root of a negative number is a complex number"));
        }
        Operator::Power => a.powf(b),
    }))
}

fn integers(operator: Operator, a: &BigInt, b: &BigInt) -> Result<Value, Error> {
    let zero = || Error::of_value("division by zero");
    Ok(match operator {
        Operator::Add => Value::big(a + b),
        Operator::Subtract => Value::big(a - b),
        Operator::Multiply => {
            if a.bits() + b.bits() > LARGEST as u64 {
                return Err(too_large());
            }
            Value::big(a * b)
        }
        Operator::Divide => {
            if b.is_zero() {
                return Err(zero());
            }
            let quotient = a.to_f64().zip(b.to_f64()).map(|(a, b)| a / b);
            Value::Float(quotient.filter(|q| q.is_finite()).ok_or_else(too_large)?)
        }
        Operator::FloorDivide | Operator::Modulo => {
            if b.is_zero() {
                return Err(zero());
            }
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
                if a.bits().saturating_mul(u64::from(exponent)) > LARGEST as u64 {
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
            None => return Err(too_large()),
        },
    })
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
    for value in [left, right] {
        // A list may hold what is not there; only the operands themselves must exist.
        if let Value::Undefined(undefined) = value {
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
        Value::Map(map) => Ok(map.contains_key(item)),
        Value::Object(object) => {
            Ok(object.keys().contains(item) || matches!(object.get(item)?, Some(v) if !v.is_undefined()))
        }
        other => match other.as_sequence() {
            Some(items) => Ok(items.contains(item)),
            None => Err(Error::of_type(format!("argument of type `{}` is not iterable", other.type_name()))),
        },
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
        other => Ok(Value::undefined(format!("`{} object` cannot be sliced", other.type_name()))),
    }
}
