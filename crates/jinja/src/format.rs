//! Python's `str.format`.

use kubespray_value::{Error, ErrorKind, Value, float_text};

use crate::access;
use crate::floats;

/// Wider fields are refused.
const WIDEST: usize = 1 << 20;

pub(crate) fn within_limit(width: usize) -> Result<(), Error> {
    if width > WIDEST { Err(Error::new(ErrorKind::Limit, "field is too wide")) } else { Ok(()) }
}

/// A date in a layout of `strftime`.
pub(crate) fn date(layout: &str, datetime: jiff::civil::DateTime) -> Result<String, Error> {
    jiff::fmt::strtime::format(layout, datetime)
        .map_err(|error| Error::of_value(format!("strftime: {error}")))
}

/// How the places of a template are numbered: Python refuses a mixture.
#[derive(Default)]
struct Numbering {
    next: usize,
    given: bool,
}

/// `template.format(…)`.
pub(crate) fn format(
    template: &str,
    positional: &[Value],
    named: &dyn Fn(&str) -> Option<Value>,
) -> Result<String, Error> {
    format_numbered(template, positional, named, &mut Numbering::default(), 0)
}

fn format_numbered(
    template: &str,
    positional: &[Value],
    named: &dyn Fn(&str) -> Option<Value>,
    numbering: &mut Numbering,
    depth: usize,
) -> Result<String, Error> {
    if depth > 1 {
        return Err(Error::of_value("max string recursion exceeded"));
    }
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(rest.get(..at).unwrap_or(""));
        let brace = rest.get(at..=at).unwrap_or("");
        rest = rest.get(at + 1..).unwrap_or("");
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(Error::of_value("single '}' encountered in format string"));
        }
        let end = matching_brace(rest).ok_or_else(|| Error::of_value("expected '}' before end of string"))?;
        let field = rest.get(..end).unwrap_or("");
        rest = rest.get(end + 1..).unwrap_or("");
        let (name, spec) = field.split_once(':').unwrap_or((field, ""));
        let (name, conversion) = match name.split_once('!') {
            Some((name, conversion)) => (name, Some(conversion)),
            None => (name, None),
        };
        let value = lookup(name, positional, named, numbering)?;
        let value = match conversion {
            None => value,
            Some("s") => Value::from(value.to_text()),
            Some("r" | "a") => Value::from(value.repr()),
            Some(other) => return Err(Error::of_value(format!("unknown conversion `{other}`"))),
        };
        let spec = if spec.contains(['{', '}']) {
            format_numbered(spec, positional, named, numbering, depth + 1)?
        } else {
            spec.to_owned()
        };
        out.push_str(&field_text(&value, &spec)?);
    }
    out.push_str(rest);
    Ok(out)
}

fn matching_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn lookup(
    field: &str,
    positional: &[Value],
    named: &dyn Fn(&str) -> Option<Value>,
    numbering: &mut Numbering,
) -> Result<Value, Error> {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    let (name, mut path) = field.split_at(end);
    let missing = || Error::of_value(format!("format: no argument for `{{{field}}}`"));
    let mut value = if name.is_empty() {
        if numbering.given {
            return Err(Error::of_value(
                "cannot switch from manual field specification to automatic numbering",
            ));
        }
        numbering.next += 1;
        positional.get(numbering.next - 1).cloned().ok_or_else(missing)?
    } else if let Ok(index) = name.parse::<usize>() {
        if numbering.next > 0 {
            return Err(Error::of_value(
                "cannot switch from automatic field numbering to manual specification",
            ));
        }
        numbering.given = true;
        positional.get(index).cloned().ok_or_else(missing)?
    } else {
        named(name).ok_or_else(missing)?
    };
    while !path.is_empty() {
        if let Some(rest) = path.strip_prefix('.') {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            value = access::attribute(&value, rest.get(..end).unwrap_or(""))?;
            path = rest.get(end..).unwrap_or("");
        } else {
            let inner = path.get(1..).unwrap_or("");
            let end = inner.find(']').ok_or_else(missing)?;
            let key = inner.get(..end).unwrap_or("");
            let key = key.parse().map_or_else(|_| Value::str(key), Value::Int);
            value = access::item(&value, &key)?;
            path = inner.get(end + 1..).unwrap_or("");
        }
    }
    match value {
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        other => Ok(other),
    }
}

#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    group: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn parse_spec(text: &str) -> Result<Spec, Error> {
    let wrong = || Error::of_value(format!("invalid format specifier `{text}`"));
    let mut spec = Spec::default();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let is_align = |c: Option<&char>| c.is_some_and(|c| matches!(c, '<' | '>' | '^' | '='));
    if is_align(chars.get(1)) {
        spec.fill = chars.first().copied();
        spec.align = chars.get(1).copied();
        at = 2;
    } else if is_align(chars.first()) {
        spec.align = chars.first().copied();
        at = 1;
    }
    let mut eat = |allowed: &[char]| {
        let found = chars.get(at).copied().filter(|c| allowed.contains(c));
        if found.is_some() {
            at += 1;
        }
        found
    };
    spec.sign = eat(&['+', '-', ' ']);
    spec.alternate = eat(&['#']).is_some();
    spec.zero = eat(&['0']).is_some();
    const DIGITS: [char; 10] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
    let mut width = String::new();
    while let Some(digit) = eat(&DIGITS) {
        width.push(digit);
    }
    spec.group = eat(&[',', '_']);
    if eat(&['.']).is_some() {
        let mut precision = String::new();
        while let Some(digit) = eat(&DIGITS) {
            precision.push(digit);
        }
        spec.precision = Some(precision.parse().map_err(|_| wrong())?);
    }
    spec.kind = chars.get(at).copied();
    if spec.kind.is_some() {
        at += 1;
    }
    if at != chars.len() {
        return Err(wrong());
    }
    spec.width = if width.is_empty() { 0 } else { width.parse().map_err(|_| wrong())? };
    within_limit(spec.width)?;
    within_limit(spec.precision.unwrap_or(0))?;
    Ok(spec)
}

fn field_text(value: &Value, text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Ok(value.to_text());
    }
    match value {
        Value::Date(day) => return date(text, day.at(0, 0, 0, 0)),
        Value::DateTime(moment) => return date(text, moment.civil),
        _ => {}
    }
    let spec = parse_spec(text)?;
    let wrong = |kind: char| {
        Error::of_value(format!("unknown format code `{kind}` for object of type `{}`", value.type_name()))
    };
    match value {
        Value::Str(text) => match spec.kind {
            None | Some('s') if spec.align == Some('=') => {
                Err(Error::of_value("`=` alignment not allowed in string format specifier"))
            }
            None | Some('s') => {
                let shown: String = text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect();
                // Zeros fill a text from its end.
                let spec = Spec { align: spec.align.or(Some('<')), ..spec };
                Ok(padded("", &shown, &spec, '<'))
            }
            Some(kind) => Err(wrong(kind)),
        },
        Value::Int(_) | Value::BigInt(_) | Value::Bool(_) | Value::Float(_) => {
            number_text(value, &spec, wrong)
        }
        other => Err(Error::of_type(format!("unsupported format string passed to {}", other.type_name()))),
    }
}

fn number_text(value: &Value, spec: &Spec, wrong: impl Fn(char) -> Error) -> Result<String, Error> {
    let int = value.as_big();
    let float = match value {
        Value::Float(f) => *f,
        other => other.to_text().parse().unwrap_or(f64::from(u8::from(matches!(other, Value::Bool(true))))),
    };
    let precision = spec.precision.unwrap_or(6);
    let (negative, prefix, digits) = match (spec.kind, int) {
        (None | Some('d' | 'n'), Some(int)) => {
            (int.sign() == num_bigint::Sign::Minus, "", int.magnitude().to_string())
        }
        (Some('x'), Some(int)) => {
            (int.sign() == num_bigint::Sign::Minus, "0x", int.magnitude().to_str_radix(16))
        }
        (Some('X'), Some(int)) => {
            (int.sign() == num_bigint::Sign::Minus, "0X", int.magnitude().to_str_radix(16).to_uppercase())
        }
        (Some('o'), Some(int)) => {
            (int.sign() == num_bigint::Sign::Minus, "0o", int.magnitude().to_str_radix(8))
        }
        (Some('b'), Some(int)) => {
            (int.sign() == num_bigint::Sign::Minus, "0b", int.magnitude().to_str_radix(2))
        }
        (Some('c'), Some(int)) => {
            let c = u32::try_from(&int).ok().and_then(char::from_u32).ok_or_else(|| wrong('c'))?;
            return Ok(padded("", &c.to_string(), spec, '<'));
        }
        (Some(form @ ('f' | 'F' | 'e' | 'E' | 'g' | 'G')), _) => {
            (floats::is_negative(float), "", floats::text(form, float, precision))
        }
        (Some('%'), _) => (floats::is_negative(float), "", floats::text('f', float * 100.0, precision) + "%"),
        (None, None) => {
            let text = match spec.precision {
                Some(precision) => floats::text('g', float, precision),
                None => float_text(float.abs()),
            };
            (floats::is_negative(float), "", text)
        }
        (Some(kind), _) => return Err(wrong(kind)),
    };
    let sign = if negative {
        "-"
    } else {
        match spec.sign {
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        }
    };
    let prefix = format!("{sign}{}", if spec.alternate { prefix } else { "" });
    let digits = match spec.group {
        Some(separator) => {
            let size = if matches!(spec.kind, Some('x' | 'X' | 'o' | 'b')) { 4 } else { 3 };
            let whole = digits.find(['.', 'e', '%']).unwrap_or(digits.len());
            // Zeros that fill the field are grouped as well.
            let fills = spec.zero && spec.align.is_none();
            let taken = prefix.chars().count() + digits.len() - whole;
            let mut count = whole;
            while fills && taken + count + count.saturating_sub(1) / size < spec.width {
                count += 1;
            }
            grouped(&("0".repeat(count - whole) + &digits), separator, size)
        }
        None => digits,
    };
    Ok(padded(&prefix, &digits, spec, '>'))
}

fn grouped(digits: &str, separator: char, size: usize) -> String {
    let end = digits.find(['.', 'e', '%']).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut out = String::new();
    for (index, c) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(size) {
            out.push(separator);
        }
        out.push(c);
    }
    out + rest
}

fn padded(prefix: &str, text: &str, spec: &Spec, default: char) -> String {
    let missing = spec.width.saturating_sub(prefix.chars().count() + text.chars().count());
    let (fill, align) = match (spec.fill, spec.align, spec.zero) {
        (fill, Some(align), zero) => (fill.unwrap_or(if zero { '0' } else { ' ' }), align),
        (_, None, true) => ('0', '='),
        (_, None, false) => (' ', default),
    };
    let blanks = |count: usize| fill.to_string().repeat(count);
    match align {
        '<' => format!("{prefix}{text}{}", blanks(missing)),
        '^' => format!("{}{prefix}{text}{}", blanks(missing / 2), blanks(missing - missing / 2)),
        '=' => format!("{prefix}{}{text}", blanks(missing)),
        _ => format!("{}{prefix}{text}", blanks(missing)),
    }
}
