//! Numbers as Python writes and reads them.

use num_bigint::BigInt;

use crate::Value;

/// Python's `repr` of a float: the shortest text that reads back, `1.0`, `1e+16`, `inf`, `nan`.
pub fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let shortest = format!("{float:e}");
    let decimals = decimals_of(shortest.split('e').next().unwrap_or(""));
    let scientific = to_even(float, format!("{float:.decimals$e}"), shortest);
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Python switches to the scientific form at these two exponents.
    if (-4..16).contains(&exponent) {
        let shortest = format!("{float}");
        let decimals = decimals_of(&shortest);
        if decimals == 0 {
            return format!("{shortest}.0");
        }
        to_even(float, format!("{float:.decimals$}"), shortest)
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

fn decimals_of(digits: &str) -> usize {
    digits.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// Of two equally short texts that are equally near to the float (…72.25 lies between …72.2 and …72.3),
/// Python writes the one that ends with an even digit, as rounding to so many digits does.
fn to_even(float: f64, rounded: String, shortest: String) -> String {
    if rounded.parse() == Ok(float) { rounded } else { shortest }
}

/// Digits of a number. Python reads no longer ones, for the time it takes, unless the base is a power of two.
const MOST_DIGITS: usize = 4300;

/// Python's `int(text, base)`: blanks around, a sign, single underscores between digits, and a
/// prefix (`0x`, `0o`, `0b`) that fits the base. Base 0 takes the base from the prefix.
pub fn parse_int(text: &str, base: u32) -> Option<Value> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match (prefix.as_deref(), base) {
        (Some("0x"), 0 | 16) => (16, strip_prefix_digits(digits)?),
        (Some("0o"), 0 | 8) => (8, strip_prefix_digits(digits)?),
        (Some("0b"), 0 | 2) => (2, strip_prefix_digits(digits)?),
        (_, 0) => {
            // `012` is no Python literal, `000` is.
            if digits.len() > 1 && digits.starts_with('0') && digits.chars().any(|c| c != '0' && c != '_') {
                return None;
            }
            (10, digits)
        }
        (_, base) => (base, digits),
    };
    if !(2..=36).contains(&base) {
        return None;
    }
    let digits = without_underscores(digits)?;
    let too_long = digits.len() > MOST_DIGITS && !base.is_power_of_two();
    if too_long || !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    let int = BigInt::parse_bytes(digits.as_bytes(), base)?;
    Some(Value::big(if negative { -int } else { int }))
}

fn strip_prefix_digits(digits: &str) -> Option<&str> {
    let rest = digits.get(2..)?;
    Some(rest.strip_prefix('_').unwrap_or(rest))
}

/// Python's `float(text)`.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let negative = text.starts_with('-');
    match lower.as_str() {
        "inf" | "infinity" => return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-' | '_'))
    {
        return None;
    }
    without_underscores(unsigned)?.parse::<f64>().ok().map(|f| if negative { -f } else { f })
}

/// Removes underscores between digits; `None` where one stands elsewhere.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        if *byte == b'_' {
            let before = index.checked_sub(1).and_then(|i| bytes.get(i));
            let between = before.zip(bytes.get(index + 1));
            if !between.is_some_and(|(a, b)| a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric()) {
                return None;
            }
        }
    }
    if text.is_empty() { None } else { Some(text.replace('_', "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (float, text) in [
            (1.0, "1.0"),
            (1.30, "1.3"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e100, "1e+100"),
            (123_456_789.125, "123456789.125"),
            (3_988_364_557_536_689.0 / 4.0, "997091139384172.2"),
            (9.5e-7, "9.5e-07"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (2.0_f64.powi(-1020), "8.900295434028806e-308"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(float_text(float), text);
        }
    }

    #[test]
    fn integers_read_as_python_reads_them() {
        assert_eq!(parse_int(" 42 ", 10), Some(Value::Int(42)));
        assert_eq!(parse_int("-0x1f", 16), Some(Value::Int(-31)));
        assert_eq!(parse_int("1_000", 10), Some(Value::Int(1000)));
        for (text, base) in
            [("1__0", 10), ("_1", 10), ("1_", 10), ("", 10), ("012", 0), ("0x", 16), ("9", 8), ("--1", 10)]
        {
            assert_eq!(parse_int(text, base), None, "{text}");
        }
        // The length counts without sign and underscores, and not where the base is a power of two.
        let digits = "9".repeat(4300);
        assert!(parse_int(&digits, 10).is_some() && parse_int(&format!("-9_{}", &digits[1..]), 10).is_some());
        assert!(parse_int(&format!("9{digits}"), 10).is_none() && parse_int(&"f".repeat(9000), 16).is_some());
        let big = parse_int("340282366920938463463374607431768211455", 10);
        assert_eq!(big.map(|v| v.to_text()).as_deref(), Some("340282366920938463463374607431768211455"));
    }

    #[test]
    fn floats_read_as_python_reads_them() {
        assert_eq!(parse_float("1.5"), Some(1.5));
        assert_eq!(parse_float("-1e3"), Some(-1000.0));
        assert_eq!(parse_float(".5"), Some(0.5));
        assert_eq!(parse_float("5."), Some(5.0));
        for text in ["", "abc", "1.5x", "e5", "0x1f", "1 2", "."] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }
}
