//! Python's equality, hashes and order.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive};

use crate::{Error, Value};

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => a.as_str() == b.as_str(),
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::DateTime(a), Self::DateTime(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::View(a), Self::View(b)) => a.type_name == b.type_name && a.items == b.items,
            (Self::Object(a), Self::Object(b)) => {
                std::ptr::addr_eq(std::sync::Arc::as_ptr(a), std::sync::Arc::as_ptr(b))
            }
            (Self::Vault(a), Self::Vault(b)) => a == b,
            (Self::Undefined(_), Self::Undefined(_)) => true,
            _ => match (number(self), number(other)) {
                (Some(a), Some(b)) => compare_numbers(&a, &b) == Some(Ordering::Equal),
                _ => false,
            },
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    // Equal values must have equal hashes, whatever their variant; a text must hash like a `str`
    // so that maps can be asked with one.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Str(s) => s.as_str().hash(state),
            Self::Bool(b) => i64::from(*b).hash(state),
            Self::Int(i) => i.hash(state),
            Self::BigInt(i) => i.hash(state),
            Self::Float(f) => match exact_integer(*f) {
                Some(i) => match i.to_i64() {
                    Some(small) => small.hash(state),
                    None => i.hash(state),
                },
                None => f.to_bits().hash(state),
            },
            Self::Bytes(b) => b.hash(state),
            Self::Date(d) => d.hash(state),
            Self::DateTime(d) => d.hash(state),
            Self::List(items) | Self::Tuple(items) => items.hash(state),
            Self::View(view) => view.items.hash(state),
            // Order does not count in a map's equality, so only its size may.
            Self::Map(map) => map.len().hash(state),
            Self::Vault(text) => text.hash(state),
            Self::None | Self::Object(_) | Self::Undefined(_) => 0_u8.hash(state),
        }
    }
}

impl indexmap::Equivalent<Value> for str {
    fn equivalent(&self, key: &Value) -> bool {
        key.as_str() == Some(self)
    }
}

impl Value {
    /// Python's `<`: an error for values that have no order among each other.
    pub fn compare(&self, other: &Self) -> Result<Ordering, Error> {
        match (self, other) {
            (Self::Undefined(undefined), _) | (_, Self::Undefined(undefined)) => {
                return Err(undefined.error.clone());
            }
            (Self::Str(a), Self::Str(b)) => return Ok(a.as_str().cmp(b.as_str())),
            (Self::Bytes(a), Self::Bytes(b)) => return Ok(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => return Ok(a.cmp(b)),
            (Self::DateTime(a), Self::DateTime(b)) => return Ok(a.cmp(b)),
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                for (x, y) in a.iter().zip(b.iter()) {
                    if x != y {
                        return x.compare(y);
                    }
                }
                return Ok(a.len().cmp(&b.len()));
            }
            _ => {}
        }
        if let (Some(a), Some(b)) = (number(self), number(other)) {
            // Python's NaN is neither smaller nor larger; sorting then keeps the order.
            return Ok(compare_numbers(&a, &b).unwrap_or(Ordering::Equal));
        }
        Err(Error::of_type(format!(
            "`<` not supported between instances of `{}` and `{}`",
            self.type_name(),
            other.type_name()
        )))
    }
}

enum Number {
    Int(BigInt),
    Small(i64),
    Float(f64),
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(b) => Some(Number::Small(i64::from(*b))),
        Value::Int(i) => Some(Number::Small(*i)),
        Value::BigInt(i) => Some(Number::Int((**i).clone())),
        Value::Float(f) => Some(Number::Float(*f)),
        _ => None,
    }
}

fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (a, b) {
        (Number::Small(a), Number::Small(b)) => Some(a.cmp(b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(b),
        (Number::Float(f), int) => compare_float(*f, &big(int)),
        (int, Number::Float(f)) => compare_float(*f, &big(int)).map(Ordering::reverse),
        (a, b) => Some(big(a).cmp(&big(b))),
    }
}

fn big(number: &Number) -> BigInt {
    match number {
        Number::Int(i) => i.clone(),
        Number::Small(i) => BigInt::from(*i),
        Number::Float(_) => BigInt::default(),
    }
}

fn compare_float(float: f64, int: &BigInt) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return Some(if float > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let floor = BigInt::from_f64(float.floor())?;
    Some(floor.cmp(int).then(if float > float.floor() { Ordering::Greater } else { Ordering::Equal }))
}

fn exact_integer(float: f64) -> Option<BigInt> {
    if float.fract() == 0.0 { BigInt::from_f64(float) } else { None }
}

/// A stable sort whose comparison may fail. (The standard one may panic when an order is not total,
/// as Python's with NaN is not.)
///
/// # Errors
/// The first error of the comparison.
pub fn sort<T: Clone>(
    items: &[T],
    compare: &dyn Fn(&T, &T) -> Result<Ordering, Error>,
) -> Result<Vec<T>, Error> {
    if items.len() < 2 {
        return Ok(items.to_vec());
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (sort(left, compare)?, sort(right, compare)?);
    let mut sorted = Vec::with_capacity(items.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if compare(b, a)? == Ordering::Less { right.next() } else { left.next() };
        sorted.extend(next);
    }
    sorted.extend(left);
    sorted.extend(right);
    Ok(sorted)
}
