//! Filters on numbers.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value, parse_float, parse_int};
use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed};

use crate::support::{self, filters, flag, float, int_or, need_float, need_int, need_str, optional, str_or};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "abs" => abs,
        "float" => to_float,
        "int" => to_int,
        "round" => round,
        "sum" => sum,
    );
    filters!(library, "ansible.builtin.";
        "bool" => to_bool,
        "human_readable" => human_readable,
        "human_to_bytes" => human_to_bytes,
        "log" => log,
        "pow" => pow,
        "root" => root,
    );
}

fn abs(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    match (&value, value.as_big()) {
        (Value::Float(f), _) => Ok(Value::Float(f.abs())),
        (_, Some(int)) => Ok(Value::big(int.abs())),
        _ => Err(Error::of_type(format!("bad operand type for abs(): `{}`", value.type_name()))),
    }
}

/// Python's `int()` of a float; not-a-number and infinity have none.
pub(crate) fn truncated(float: f64) -> Option<Value> {
    BigInt::from_f64(float.trunc()).map(Value::big)
}

fn to_int(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["default", "base"])?;
    let default = args.get(0, "default").cloned().unwrap_or(Value::Int(0));
    let base = int_or(args, 1, "base", 10)?;
    let base = u32::try_from(base).ok().filter(|base| *base == 0 || (2..=36).contains(base));
    let found = match &value {
        Value::Str(text) => {
            base.and_then(|base| parse_int(text, base)).or_else(|| parse_float(text).and_then(truncated))
        }
        Value::Float(f) => truncated(*f),
        other => other.as_big().map(Value::big),
    };
    // Python lets the infinite overflow only where no text is read.
    if let (Value::Float(f), None) = (&value, &found)
        && f.is_infinite()
    {
        return Err(Error::of_value("cannot convert float infinity to integer"));
    }
    Ok(found.unwrap_or(default))
}

fn to_float(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["default"])?;
    let default = args.get(0, "default").cloned().unwrap_or(Value::Float(0.0));
    let found = match &value {
        Value::Str(text) => parse_float(text),
        other => float(other),
    };
    Ok(found.map_or(default, Value::Float))
}

fn to_bool(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(match &value {
        Value::None | Value::Bool(_) => value,
        Value::Str(text) => Value::Bool(matches!(text.to_lowercase().as_str(), "yes" | "on" | "1" | "true")),
        other => Value::Bool(*other == Value::Int(1)),
    })
}

fn round(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["precision", "method"])?;
    let method = str_or(args, 1, "method", "common")?;
    if !matches!(method, "common" | "ceil" | "floor") {
        return Err(Error::of_value("method must be common, ceil or floor"));
    }
    let precision = match args.get(0, "precision") {
        None => 0,
        Some(Value::None) if method == "common" => return nearest_integer(&value),
        Some(precision) => need_int(precision, "`precision`")?,
    };
    if method == "common" {
        return match (&value, value.as_big()) {
            (Value::Float(f), _) => Ok(Value::Float(rounded(*f, precision))),
            (_, Some(int)) => Ok(Value::big(rounded_integer(int, precision))),
            _ => Err(Error::of_type(format!("type `{}` cannot be rounded", value.type_name()))),
        };
    }
    let number = need_float(&value, "the input")?;
    if precision >= 0 && value.as_big().is_some() {
        return Ok(Value::Float(number));
    }
    let power = 10_f64.powi(i32::try_from(precision).unwrap_or(i32::MAX));
    let scaled = number * power;
    let whole = if method == "ceil" { scaled.ceil() } else { scaled.floor() };
    if !whole.is_finite() {
        return Err(Error::of_value("cannot round a number without limits"));
    }
    // Adding zero removes the sign of -0.0, which a Python integer does not have.
    Ok(Value::Float((whole + 0.0) / power))
}

fn nearest_integer(value: &Value) -> Result<Value, Error> {
    match value {
        Value::Float(f) => {
            truncated(rounded(*f, 0)).ok_or_else(|| Error::of_value("cannot convert to integer"))
        }
        other => other
            .as_big()
            .map(Value::big)
            .ok_or_else(|| Error::of_type(format!("type `{}` cannot be rounded", other.type_name()))),
    }
}

/// Python's `round(float, digits)`: the exact value counts, ties go to the even digit.
fn rounded(float: f64, digits: i64) -> f64 {
    if !float.is_finite() || digits > 330 {
        return float;
    }
    match usize::try_from(digits) {
        Ok(digits) => format!("{float:.digits$}").parse().unwrap_or(float),
        Err(_) if digits < -310 => 0.0 * float,
        Err(_) => {
            let power = 10_f64.powi(i32::try_from(-digits).unwrap_or(310));
            (float / power).round_ties_even() * power
        }
    }
}

fn rounded_integer(int: BigInt, digits: i64) -> BigInt {
    if digits >= 0 {
        return int;
    }
    let Ok(places) = u32::try_from(-digits) else { return BigInt::default() };
    if places > 100_000 {
        return BigInt::default();
    }
    let power = BigInt::from(10).pow(places);
    let half = &power / 2;
    let mut quotient = &int / &power;
    let mut rest = &int % &power;
    if rest.is_negative() {
        rest += &power;
        quotient -= 1;
    }
    let is_odd = (&quotient % 2) != BigInt::default();
    if rest > half || (rest == half && is_odd) {
        quotient += 1;
    }
    quotient * power
}

/// Python's `a + b` of numbers, texts, lists and tuples.
pub(crate) fn plus(a: &Value, b: &Value) -> Result<Value, Error> {
    support::defined(a)?;
    support::defined(b)?;
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => return Ok(Value::str(format!("{a}{b}", a = &**a, b = &**b))),
        (Value::List(a), Value::List(b)) => {
            return Ok(Value::list(a.iter().chain(b.iter()).cloned().collect()));
        }
        (Value::Tuple(a), Value::Tuple(b)) => {
            return Ok(Value::tuple(a.iter().chain(b.iter()).cloned().collect()));
        }
        _ => {}
    }
    match (a.as_big(), b.as_big(), float(a), float(b)) {
        (Some(a), Some(b), ..) => Ok(Value::big(a + b)),
        (_, _, Some(a), Some(b)) => Ok(Value::Float(a + b)),
        _ => Err(Error::of_type(format!(
            "unsupported operand type(s) for +: `{}` and `{}`",
            a.type_name(),
            b.type_name()
        ))),
    }
}

fn sum(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["attribute", "start"])?;
    let path = optional(args, 0, "attribute").map(support::Path::new);
    let mut total = args.get(1, "start").cloned().unwrap_or(Value::Int(0));
    if matches!(total, Value::Str(_) | Value::Bytes(_)) {
        return Err(Error::of_type("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    for item in value.iterate()? {
        let item = match &path {
            Some(path) => path.follow(&item, None)?,
            None => item,
        };
        total = plus(&total, &item)?;
    }
    Ok(total)
}

fn finite(result: f64, domain: bool) -> Result<Value, Error> {
    if domain { Ok(Value::Float(result)) } else { Err(Error::of_value("math domain error")) }
}

#[expect(clippy::float_cmp, reason = "Python compares exactly")]
fn log(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["base"])?;
    let number = need_float(&value, "log() can only be used on numbers: the input")?;
    let base = args.get(0, "base").map_or(Ok(std::f64::consts::E), |base| need_float(base, "`base`"))?;
    let in_domain = (number > 0.0 || number.is_nan()) && (base > 0.0 || base.is_nan());
    if base == 10.0 {
        return finite(number.log10(), in_domain);
    }
    let divisor = base.ln();
    if in_domain && divisor == 0.0 {
        return Err(Error::of_value("float division by zero"));
    }
    finite(number.ln() / divisor, in_domain)
}

/// Python's `math.pow`.
fn power(base: f64, exponent: f64) -> Result<Value, Error> {
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        let message = if base == 0.0 { "math domain error" } else { "math range error" };
        return Err(Error::of_value(message));
    }
    finite(result, !result.is_nan() || base.is_nan() || exponent.is_nan())
}

fn pow(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["y"])?;
    let base = need_float(&value, "pow() can only be used on numbers: the input")?;
    power(base, need_float(args.require(0, "y")?, "pow() can only be used on numbers: the exponent")?)
}

#[expect(clippy::float_cmp, reason = "Python compares exactly")]
fn root(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["base"])?;
    let number = need_float(&value, "root() can only be used on numbers: the input")?;
    let base = match args.get(0, "base") {
        None => 2.0,
        Some(Value::Str(base)) => {
            parse_float(base).ok_or_else(|| Error::of_type("root() can only be used on numbers"))?
        }
        Some(base) => need_float(base, "`base`")?,
    };
    if base == 2.0 {
        return finite(number.sqrt(), number >= 0.0 || number.is_nan());
    }
    if base == 0.0 {
        return Err(Error::of_value("float division by zero"));
    }
    power(number, 1.0 / base)
}

const UNITS: [(char, i32, &str); 9] = [
    ('Y', 80, "yotta"),
    ('Z', 70, "zeta"),
    ('E', 60, "exa"),
    ('P', 50, "peta"),
    ('T', 40, "tera"),
    ('G', 30, "giga"),
    ('M', 20, "mega"),
    ('K', 10, "kilo"),
    ('B', 0, ""),
];

fn human_readable(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["isbits", "unit"])?;
    let bits = flag(args, 0, "isbits")?;
    let unit = match optional(args, 1, "unit") {
        Some(unit) => Some(
            unit.as_str()
                .map(str::to_uppercase)
                .ok_or_else(|| Error::of_value("human_readable() can't interpret the unit"))?,
        ),
        None => None,
    };
    let size = need_float(&value, "human_readable() failed on bad input: the size")?;
    let found = UNITS.into_iter().find(|(letter, exponent, _)| match &unit {
        Some(unit) => *unit == letter.to_string(),
        None => size >= 2_f64.powi(*exponent),
    });
    // Without a fitting unit Python's loop ends at its last one.
    let (letter, exponent, _) = found.unwrap_or(('B', 0, ""));
    let base = if bits { "bits" } else { "Bytes" };
    let suffix = if exponent == 0 {
        base.to_owned()
    } else {
        format!("{letter}{}", base.get(..1).unwrap_or_default())
    };
    Ok(Value::str(format!("{:.2} {suffix}", size / 2_f64.powi(exponent))))
}

fn human_to_bytes(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["default_unit", "isbits"])?;
    let text = support::text(&value)?;
    let bits = flag(args, 1, "isbits")?;
    let wrong = || Error::of_value(format!("human_to_bytes() can't interpret following string: `{text}`"));

    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits_end);
    let well_formed = !digits.is_empty() && !digits.ends_with('.') && digits.matches('.').count() <= 1;
    let unit = rest.trim_matches(support::is_blank);
    if !well_formed || !unit.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(wrong());
    }
    let number = parse_float(digits).ok_or_else(wrong)?;
    let default =
        optional(args, 0, "default_unit").map(|unit| need_str(unit, "`default_unit`")).transpose()?;
    let unit = if unit.is_empty() { default } else { Some(unit) };
    let Some(unit) = unit else { return whole(number).ok_or_else(wrong) };
    let letter = unit.chars().next().ok_or_else(wrong)?.to_ascii_uppercase();
    let (_, exponent, name) = UNITS.into_iter().find(|(unit, ..)| *unit == letter).ok_or_else(wrong)?;
    if unit.chars().count() > 1 {
        let (long, short) = if bits { ("bit", 'b') } else { ("byte", 'B') };
        let short = if letter == 'B' { short.to_string() } else { format!("{letter}{short}") };
        if unit.to_lowercase() != format!("{name}{long}") && unit != short {
            return Err(wrong());
        }
    }
    whole(number * 2_f64.powi(exponent)).ok_or_else(wrong)
}

fn whole(float: f64) -> Option<Value> {
    truncated(float.round_ties_even())
}
