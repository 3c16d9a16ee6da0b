//! Tests that compare values.

use std::cmp::Ordering;

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};
use num_bigint::BigInt;

use crate::support::{self, float, is_hashable, lenient_tests, tests};

pub(crate) fn add(library: &mut Library) {
    tests!(library, "";
        "!=" => differs,
        "<" => less,
        "<=" => at_most,
        "==" => equals,
        ">" => greater,
        ">=" => at_least,
        "divisibleby" => divisible_by,
        "eq" => equals,
        "equalto" => equals,
        "even" => even,
        "ge" => at_least,
        "greaterthan" => greater,
        "gt" => greater,
        "le" => at_most,
        "lessthan" => less,
        "lt" => less,
        "ne" => differs,
        "odd" => odd,
    );
    lenient_tests!(library, "";
        "in" => is_in,
        "sameas" => same_as,
    );
    lenient_tests!(library, "ansible.builtin.";
        "contains" => contains,
    );
    tests!(library, "ansible.builtin.";
        "all" => all,
        "any" => any,
        "issubset" => subset,
        "issuperset" => superset,
        "subset" => subset,
        "superset" => superset,
    );
}

fn other(args: &Args) -> Result<&Value, Error> {
    match (args.positional.as_slice(), args.named.is_empty()) {
        ([other], true) => Ok(other),
        _ => Err(Error::of_type("a comparison takes exactly one argument, without a name")),
    }
}

fn equals(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    Ok(value == *other(args)?)
}

fn differs(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    Ok(value != *other(args)?)
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Float(f) if f.is_nan())
}

/// Python's comparisons with not-a-number never hold.
fn ordered(value: &Value, args: &Args, holds: fn(Ordering) -> bool) -> Result<bool, Error> {
    let other = other(args)?;
    let order = value.compare(other)?;
    Ok(holds(order) && !is_nan(value) && !is_nan(other))
}

fn less(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    ordered(&value, args, Ordering::is_lt)
}

fn at_most(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    ordered(&value, args, Ordering::is_le)
}

fn greater(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    ordered(&value, args, Ordering::is_gt)
}

fn at_least(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    ordered(&value, args, Ordering::is_ge)
}

/// Whether the rest of a division is a certain one. Python's `%` takes the sign of the divisor.
#[expect(clippy::float_cmp, reason = "Python compares exactly")]
fn leaves(value: &Value, divisor: &Value, wanted: i64) -> Result<bool, Error> {
    let zero = || Error::of_value("integer modulo by zero");
    if let (Some(value), Some(divisor)) = (value.as_big(), divisor.as_big()) {
        if divisor == BigInt::default() {
            return Err(zero());
        }
        let rest = ((value % &divisor) + &divisor) % &divisor;
        return Ok(rest == BigInt::from(wanted));
    }
    match (float(value), float(divisor)) {
        (Some(value), Some(divisor)) if divisor != 0.0 => {
            let rest = value % divisor;
            let rest = if rest != 0.0 && (rest < 0.0) != (divisor < 0.0) { rest + divisor } else { rest };
            Ok(rest == wanted as f64)
        }
        (Some(_), Some(_)) => Err(zero()),
        _ => Err(Error::of_type(format!(
            "unsupported operand type(s) for %: `{}` and `{}`",
            value.type_name(),
            divisor.type_name()
        ))),
    }
}

fn odd(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    leaves(&value, &Value::Int(2), 1)
}

fn even(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    leaves(&value, &Value::Int(2), 0)
}

fn divisible_by(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["num"])?;
    leaves(&value, args.require(0, "num")?, 0)
}

fn is_in(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["seq"])?;
    support::contains(args.require(0, "seq")?, &value)
}

/// Identity: what Python keeps once is the same, containers only where they are shared.
fn same_as(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    use std::sync::Arc;
    args.only(&["other"])?;
    let other = args.require(0, "other")?;
    Ok(match (&value, other) {
        (Value::None, Value::None) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b && (-5..=256).contains(a),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => Arc::ptr_eq(a, b),
        (Value::Map(a), Value::Map(b)) => Arc::ptr_eq(a, b),
        (Value::Str(a), Value::Str(b)) => {
            std::ptr::eq(a.as_str(), b.as_str()) || (a.as_str() == b.as_str() && a.len() <= 1)
        }
        _ => false,
    })
}

fn all(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    for item in value.iterate()? {
        if !item.truthy()? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    for item in value.iterate()? {
        if item.truthy()? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["value"])?;
    support::contains(&value, args.require(0, "value")?)
}

fn set(value: &Value) -> Result<Vec<Value>, Error> {
    let items = value.iterate()?;
    for item in &items {
        support::defined(item)?;
        if !is_hashable(item) {
            return Err(Error::of_type(format!("unhashable type: `{}`", item.type_name())));
        }
    }
    Ok(items)
}

fn subset(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["b"])?;
    let (a, b) = (set(&value)?, set(args.require(0, "b")?)?);
    Ok(a.iter().all(|item| b.contains(item)))
}

fn superset(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["b"])?;
    let (a, b) = (set(&value)?, set(args.require(0, "b")?)?);
    Ok(b.iter().all(|item| a.contains(item)))
}
