//! The types that PyYAML reads out of plain scalars (ANS-018 to ANS-020).

use std::sync::Arc;

use kubespray_value::{DateTime, Value, parse_float, parse_int};
use num_bigint::BigInt;

use crate::limits::LONGEST_NUMBER;

/// What a plain scalar is worth; an error where PyYAML would raise one.
pub(crate) fn plain(text: &str) -> Result<Value, &'static str> {
    let Some(first) = text.bytes().next() else { return Ok(Value::None) };
    match text {
        "~" | "null" | "Null" | "NULL" => return Ok(Value::None),
        // PyYAML knows these as types of their own and has no value for them.
        "=" | "<<" => return Err("`=` and `<<` cannot be values unless they are quoted"),
        _ => {}
    }
    if let Some(value) = boolean(text) {
        return Ok(Value::Bool(value));
    }
    if !matches!(first, b'0'..=b'9' | b'-' | b'+' | b'.') {
        return Ok(Value::str(text));
    }
    if is_float(text) {
        return float(text)
            .map(Value::Float)
            .ok_or("looks like a number but is none; quote it if it is a text");
    }
    if is_integer(text) {
        // Such as `0x_`, and numbers of thousands of digits.
        return integer(text).ok_or("looks like a number but is none; quote it if it is a text");
    }
    match timestamp(text, false) {
        Some(value) => value,
        None => Ok(Value::str(text)),
    }
}

/// Whether a plain scalar is a text.
pub(crate) fn is_text(text: &str) -> bool {
    matches!(plain(text), Ok(Value::Str(_)))
}

/// PyYAML knows no `y` and `n`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

fn digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// Whether PyYAML takes a text for an integer: base 2, 8 (a leading 0), 10, 16 or 60.
fn is_integer(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(digits) = unsigned.strip_prefix("0b") {
        all(digits, |b| matches!(b, b'0' | b'1' | b'_'))
    } else if let Some(digits) = unsigned.strip_prefix("0x") {
        all(digits, |b| b.is_ascii_hexdigit() || b == b'_')
    } else if unsigned == "0" {
        true
    } else if let Some(digits) = unsigned.strip_prefix('0') {
        all(digits, |b| matches!(b, b'0'..=b'7' | b'_'))
    } else if unsigned.contains(':') {
        sexagesimal_groups(unsigned, false)
    } else {
        unsigned.starts_with(|c: char| c.is_ascii_digit()) && all(unsigned, digit_or_underscore)
    }
}

/// The integer that PyYAML makes of a text; `!!int` asks for it whatever the form. Underscores do not count.
pub(crate) fn integer(text: &str) -> Option<Value> {
    if text.len() > LONGEST_NUMBER {
        return None;
    }
    let text = text.replace('_', "");
    let negative = text.starts_with('-');
    integer_value(negative, text.strip_prefix(['-', '+']).unwrap_or(&text))
}

/// The number of digits without sign and underscores.
fn integer_value(negative: bool, digits: &str) -> Option<Value> {
    let value = if let Some(rest) = digits.strip_prefix("0b") {
        parse_int(rest, 2)?
    } else if let Some(rest) = digits.strip_prefix("0x") {
        parse_int(rest, 16)?
    } else if digits != "0" && digits.starts_with('0') {
        parse_int(digits, 8)?
    } else if digits.contains(':') {
        let mut sum = BigInt::from(0);
        for part in digits.split(':') {
            sum = sum * 60 + parse_int(part, 10)?.as_big()?;
        }
        Value::big(sum)
    } else {
        parse_int(digits, 10)?
    };
    Some(if negative { Value::big(-value.as_big()?) } else { value })
}

/// `190:20:30`: the first group does not start with 0, the others are below 60.
fn sexagesimal_groups(text: &str, float: bool) -> bool {
    let mut groups = text.split(':');
    let first = groups.next().unwrap_or("");
    let first_fits = all(first, digit_or_underscore)
        && first.starts_with(|c: char| c.is_ascii_digit())
        && (float || !first.starts_with('0'));
    let mut count = 0;
    first_fits
        && groups.all(|group| {
            count += 1;
            match group.as_bytes() {
                [b] => b.is_ascii_digit(),
                [b'0'..=b'5', b] => b.is_ascii_digit(),
                _ => false,
            }
        })
        && count > 0
}

/// Whether PyYAML takes a text for a float: it wants a dot, and a sign in the exponent.
fn is_float(text: &str) -> bool {
    let signed = text.starts_with(['-', '+']);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return true,
        ".nan" | ".NaN" | ".NAN" => return !signed,
        _ => {}
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    if let Some(exponent) = exponent
        && !exponent.strip_prefix(['-', '+']).is_some_and(|digits| all(digits, |b| b.is_ascii_digit()))
    {
        return false;
    }
    let Some((whole, fraction)) = mantissa.split_once('.') else { return false };
    if !fraction.bytes().all(digit_or_underscore) {
        return false;
    }
    if whole.contains(':') {
        exponent.is_none() && sexagesimal_groups(whole, true)
    } else if whole.is_empty() {
        // `.5` has no sign in PyYAML's pattern, and needs a digit behind the dot.
        !signed && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit()) && whole.bytes().all(digit_or_underscore)
    }
}

/// The float that PyYAML makes of a text; `!!float` asks for it whatever the form.
pub(crate) fn float(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let value = if unsigned.eq_ignore_ascii_case(".inf") {
        f64::INFINITY
    } else if unsigned.eq_ignore_ascii_case(".nan") {
        f64::NAN
    } else {
        // Summed up from the last group, as the order counts for the rounding.
        let mut sum = 0.0;
        let mut base = 1.0;
        for part in unsigned.rsplit(':') {
            sum += parse_float(part)? * base;
            base *= 60.0;
        }
        sum
    };
    Some(if negative { -value } else { value })
}

/// A date, or a date with a time; an error where the form fits and the calendar does not. Without the tag
/// `!!timestamp`, month and day of a date without time have two digits.
pub(crate) fn timestamp(text: &str, is_tagged: bool) -> Option<Result<Value, &'static str>> {
    let (date, rest) = split_date(text)?;
    let wrong = || Err("looks like a date but is none; quote it if it is a text");
    if rest.is_empty() {
        if text.len() != 10 && !is_tagged {
            return None;
        }
        return Some(calendar_date(date).map(Value::Date).map_or_else(wrong, Ok));
    }
    let rest = match rest.as_bytes().first()? {
        b'T' | b't' => rest.get(1..)?,
        b' ' | b'\t' => rest.trim_start_matches([' ', '\t']),
        _ => return None,
    };
    let (hour, rest) = digits(rest, 1, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    let (second, rest) = digits(rest.strip_prefix(':')?, 2, 2)?;
    let (micros, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let fraction: String = rest.get(..end)?.chars().take(6).collect();
            (format!("{fraction:0<6}").parse::<i32>().ok()?, rest.get(end..)?)
        }
        None => (0, rest),
    };
    let zone = rest.trim_start_matches([' ', '\t']);
    let offset_seconds = match zone {
        "" if rest.is_empty() => None,
        "" => return None,
        "Z" => Some(0),
        _ => {
            let negative = zone.starts_with('-');
            let (hours, rest) = digits(zone.strip_prefix(['-', '+'])?, 1, 2)?;
            let minutes = match rest.strip_prefix(':') {
                Some(rest) => {
                    let (minutes, rest) = digits(rest, 2, 2)?;
                    if !rest.is_empty() {
                        return None;
                    }
                    minutes
                }
                None if rest.is_empty() => 0,
                None => return None,
            };
            let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
            Some(if negative { -seconds } else { seconds })
        }
    };
    let small = |n: i16| i8::try_from(n).unwrap_or(i8::MAX);
    let time = jiff::civil::Time::new(small(hour), small(minute), small(second), micros * 1000).ok();
    // Python refuses an offset of a day or more.
    let has_offset = offset_seconds.is_none_or(|seconds| seconds.abs() < 86_400);
    Some(match (calendar_date(date), time) {
        (Some(date), Some(time)) if has_offset => {
            Ok(Value::DateTime(Arc::new(DateTime { civil: date.to_datetime(time), offset_seconds })))
        }
        _ => wrong(),
    })
}

/// Python's calendar starts with the year 1.
fn calendar_date((year, month, day): (i16, i8, i8)) -> Option<jiff::civil::Date> {
    if year < 1 { None } else { jiff::civil::Date::new(year, month, day).ok() }
}

fn split_date(text: &str) -> Option<((i16, i8, i8), &str)> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    Some(((year, i8::try_from(month).ok()?, i8::try_from(day).ok()?), rest))
}

/// Between `least` and `most` digits at the start of a text.
fn digits(text: &str, least: usize, most: usize) -> Option<(i16, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    let (digits, rest) = text.split_at_checked(count)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn scalars_are_typed_as_pyyaml_types_them() {
        for (text, repr) in [
            ("", "None"),
            ("~", "None"),
            ("NULL", "None"),
            ("nULL", "'nULL'"),
            ("yes", "True"),
            ("Off", "False"),
            ("y", "'y'"),
            ("oN", "'oN'"),
            ("0", "0"),
            ("-5", "-5"),
            ("+5", "5"),
            ("0644", "420"),
            ("0899", "'0899'"),
            ("0o644", "'0o644'"),
            ("012345678901", "'012345678901'"),
            ("0123456", "42798"),
            ("0x1F", "31"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("22:22", "1342"),
            ("12:30:45", "45045"),
            ("0:30", "'0:30'"),
            ("01:30", "'01:30'"),
            ("8080:80", "'8080:80'"),
            ("1:60", "'1:60'"),
            ("99999999999999999999", "99999999999999999999"),
            ("1e3", "'1e3'"),
            ("1.0e3", "'1.0e3'"),
            ("1.0e+3", "1000.0"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "'-.5'"),
            (".", "'.'"),
            ("1.30", "1.3"),
            ("1.2.3", "'1.2.3'"),
            (".inf", "inf"),
            ("-.INF", "-inf"),
            (".nan", "nan"),
            ("1:30.5", "90.5"),
            ("2024-01-02", "datetime.date(2024, 1, 2)"),
            ("2024-1-2", "'2024-1-2'"),
            ("2024-01-02 03:04:05", "datetime.datetime(2024, 1, 2, 3, 4, 5)"),
            (
                "2024-01-02T03:04:05.5Z",
                "datetime.datetime(2024, 1, 2, 3, 4, 5, 500000, tzinfo=datetime.timezone.utc)",
            ),
            ("10.0.0.1", "'10.0.0.1'"),
            ("-", "'-'"),
            ("+", "'+'"),
            ("--5", "'--5'"),
        ] {
            assert_eq!(plain(text).map(|value| value.repr()).as_deref(), Ok(repr), "{text}");
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in ["2024-13-45", "2024-02-30", "2024-01-01 25:00:00"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }
}
