//! Methods of Python's types that templates call.

use std::sync::Arc;

use kubespray_value::{Error, Map, Value};

use crate::call::Args;
use crate::format;
use crate::operators::{LARGEST, too_large};

const TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const MAP: &[&str] = &[
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];
const LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

/// Whether a value has a method of this name.
pub(crate) fn is_method(value: &Value, name: &str) -> bool {
    match value {
        Value::Str(_) => TEXT.contains(&name),
        Value::Map(_) => MAP.contains(&name),
        Value::Object(_) => matches!(name, "get" | "items" | "keys" | "values"),
        Value::List(_) => LIST.contains(&name),
        Value::Tuple(_) => matches!(name, "count" | "index"),
        Value::Bytes(_) => matches!(name, "decode" | "hex"),
        Value::Int(_) | Value::BigInt(_) | Value::Bool(_) => matches!(name, "bit_length" | "conjugate"),
        Value::Float(_) => matches!(name, "is_integer" | "hex"),
        Value::Date(_) | Value::DateTime(_) => {
            matches!(name, "date" | "isoformat" | "strftime" | "weekday" | "isoweekday")
        }
        _ => false,
    }
}

/// Whether a method changes the value it is called on.
pub(crate) fn changes(value: &Value, name: &str) -> bool {
    match value {
        Value::List(_) => {
            matches!(name, "append" | "clear" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort")
        }
        Value::Map(_) => matches!(name, "clear" | "pop" | "popitem" | "setdefault" | "update"),
        _ => false,
    }
}

/// Calls a method that changes nothing.
pub(crate) fn call(value: &Value, name: &str, args: &Args) -> Result<Value, Error> {
    for argument in args.positional.iter().chain(args.named.iter().map(|(_, value)| value)) {
        if let Value::Undefined(undefined) = argument
            && name != "get"
        {
            return Err(undefined.error.clone());
        }
    }
    match value {
        Value::Str(text) => text_method(text, name, args),
        Value::Map(map) => map_method(map, name, args),
        Value::Object(object) => {
            let keys = object.keys();
            match name {
                "get" => {
                    let key = args.require(0, "key")?;
                    Ok(object
                        .get(key)?
                        .unwrap_or_else(|| args.get(1, "default").cloned().unwrap_or(Value::None)))
                }
                _ => {
                    let mut map = Map::new();
                    for key in keys {
                        if let Some(value) = object.get(&key)? {
                            map.insert(key, value);
                        }
                    }
                    map_method(&map, name, args)
                }
            }
        }
        Value::List(items) | Value::Tuple(items) => list_method(items, name, args),
        Value::Bytes(bytes) => match name {
            "decode" => String::from_utf8(bytes.to_vec())
                .map(Value::from)
                .map_err(|_| Error::of_value("bytes are no UTF-8 text")),
            _ => Ok(Value::from(bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")))),
        },
        Value::Int(_) | Value::BigInt(_) | Value::Bool(_) => match name {
            "bit_length" => Ok(Value::from(value.as_big().map_or(0, |int| int.bits()) as usize)),
            _ => Ok(value.clone()),
        },
        Value::Float(float) => match name {
            "is_integer" => Ok(Value::Bool(float.fract() == 0.0)),
            _ => Err(no_method(value, name)),
        },
        Value::Date(date) => date_method(*date, None, name, args),
        Value::DateTime(datetime) => {
            if name == "isoformat" {
                return Ok(Value::from(datetime.text('T')));
            }
            date_method(datetime.civil.date(), Some(datetime.civil), name, args)
        }
        other => Err(no_method(other, name)),
    }
}

pub(crate) fn no_method(value: &Value, name: &str) -> Error {
    Error::undefined(format!("`{} object` has no attribute `{name}`", value.type_name()))
}

fn date_method(
    date: jiff::civil::Date,
    datetime: Option<jiff::civil::DateTime>,
    name: &str,
    args: &Args,
) -> Result<Value, Error> {
    match name {
        "isoformat" => Ok(Value::from(date.to_string())),
        "date" if datetime.is_some() => Ok(Value::Date(date)),
        "date" => Err(Error::undefined("`date object` has no attribute `date`")),
        "weekday" => Ok(Value::Int(date.weekday().to_monday_zero_offset().into())),
        "isoweekday" => Ok(Value::Int(date.weekday().to_monday_one_offset().into())),
        _ => {
            let layout = text_of(args.require(0, "format")?)?;
            let datetime = datetime.unwrap_or_else(|| date.at(0, 0, 0, 0));
            format::date(layout, datetime).map(Value::from)
        }
    }
}

fn text_of(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| Error::of_type(format!("must be str, not {}", value.type_name())))
}

fn integer(args: &Args, position: usize, name: &str, default: i64) -> Result<i64, Error> {
    match args.get(position, name) {
        None => Ok(default),
        Some(value) => value.as_i64().ok_or_else(|| {
            Error::of_type(format!("`{}` object cannot be interpreted as an integer", value.type_name()))
        }),
    }
}

fn texts(parts: Vec<String>) -> Value {
    Value::list(parts.into_iter().map(Value::from).collect())
}

fn predicate(text: &str, test: impl Fn(char) -> bool) -> Value {
    Value::Bool(!text.is_empty() && text.chars().all(test))
}

/// Whether all letters with a case are of one case, and there is one.
fn cased(text: &str, right: fn(char) -> bool, wrong: fn(char) -> bool) -> Value {
    Value::Bool(text.chars().any(right) && !text.chars().any(wrong))
}

fn strip_set<'a>(text: &'a str, args: &Args, left: bool, right: bool) -> Result<&'a str, Error> {
    let set: Option<Vec<char>> = match args.get(0, "chars") {
        None | Some(Value::None) => None,
        Some(value) => Some(text_of(value)?.chars().collect()),
    };
    let matches = |c: char| set.as_ref().map_or(c.is_whitespace(), |set| set.contains(&c));
    let text = if left { text.trim_start_matches(matches) } else { text };
    Ok(if right { text.trim_end_matches(matches) } else { text })
}

/// Start and end of a search as byte offsets of a text.
fn window<'a>(text: &'a str, args: &Args) -> Result<(usize, &'a str), Error> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let place = |index: i64| (if index < 0 { index + length } else { index }).clamp(0, length);
    let start = place(integer(args, 1, "start", 0)?);
    let end = place(integer(args, 2, "end", length)?);
    let byte = |index: i64| {
        text.char_indices().nth(usize::try_from(index).unwrap_or(0)).map_or(text.len(), |(at, _)| at)
    };
    Ok((usize::try_from(start).unwrap_or(0), text.get(byte(start)..byte(end)).unwrap_or("")))
}

fn find(text: &str, args: &Args, last: bool) -> Result<i64, Error> {
    let (start, part) = window(text, args)?;
    let wanted = text_of(args.require(0, "sub")?)?;
    let at = if last { part.rfind(wanted) } else { part.find(wanted) };
    Ok(at
        .and_then(|at| part.get(..at))
        .map_or(-1, |before| i64::try_from(start + before.chars().count()).unwrap_or(i64::MAX)))
}

fn any_of(text: &str, args: &Args, test: fn(&str, &str) -> bool) -> Result<Value, Error> {
    let (_, part) = window(text, args)?;
    let wanted = args.require(0, "prefix")?;
    match wanted {
        Value::Tuple(items) => {
            for item in items.iter() {
                if test(part, text_of(item)?) {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        other => Ok(Value::Bool(test(part, text_of(other)?))),
    }
}

fn split(text: &str, args: &Args, from_right: bool) -> Result<Value, Error> {
    let most = usize::try_from(integer(args, 1, "maxsplit", -1)?).unwrap_or(usize::MAX);
    let mut parts: Vec<String> = Vec::new();
    match args.get(0, "sep") {
        None | Some(Value::None) => {
            let mut rest = if from_right { text.trim_end() } else { text.trim_start() };
            while !rest.is_empty() {
                // Blanks at the far end stay when the limit is reached.
                if parts.len() >= most {
                    parts.push(rest.to_owned());
                    break;
                }
                let word = if from_right {
                    let cut = rest.char_indices().rev().find(|(_, c)| c.is_whitespace());
                    let (head, word) = rest.split_at(cut.map_or(0, |(at, c)| at + c.len_utf8()));
                    rest = head.trim_end();
                    word
                } else {
                    let (word, tail) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                    rest = tail.trim_start();
                    word
                };
                parts.push(word.to_owned());
            }
        }
        Some(separator) => {
            let separator = text_of(separator)?;
            if separator.is_empty() {
                return Err(Error::of_value("empty separator"));
            }
            let count = most.saturating_add(1);
            parts = if from_right {
                text.rsplitn(count, separator).map(str::to_owned).collect()
            } else {
                text.splitn(count, separator).map(str::to_owned).collect()
            };
        }
    }
    if from_right {
        parts.reverse();
    }
    Ok(texts(parts))
}

fn pad(text: &str, args: &Args, left: bool, right: bool) -> Result<Value, Error> {
    let width = usize::try_from(integer(args, 0, "width", 0)?).unwrap_or(0);
    let fill = match args.get(1, "fillchar") {
        None => ' ',
        Some(value) => {
            let mut chars = text_of(value)?.chars();
            match (chars.next(), chars.next()) {
                (Some(fill), None) => fill,
                _ => return Err(Error::of_type("the fill character must be exactly one character long")),
            }
        }
    };
    format::within_limit(width)?;
    let missing = width.saturating_sub(text.chars().count());
    let before = match (left, right) {
        // Python puts the odd blank of a centred text to the left when the width is odd.
        (true, true) => missing / 2 + (missing & width & 1),
        (true, false) => missing,
        _ => 0,
    };
    let blanks = |count: usize| fill.to_string().repeat(count);
    Ok(Value::from(format!("{}{text}{}", blanks(before), blanks(missing - before))))
}

/// Upper case behind everything that is no letter, lower case else.
fn title(text: &str) -> String {
    let mut out = String::new();
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphabetic();
    }
    out
}

/// The most arguments that a method of texts takes; `None` where any number is right.
fn most_arguments(name: &str) -> Option<usize> {
    Some(match name {
        "format" => return None,
        "count" | "endswith" | "find" | "index" | "replace" | "rfind" | "rindex" | "startswith" => 3,
        "center" | "encode" | "ljust" | "rjust" | "rsplit" | "split" => 2,
        "expandtabs" | "format_map" | "join" | "lstrip" | "partition" | "removeprefix" | "removesuffix"
        | "rpartition" | "rstrip" | "splitlines" | "strip" | "translate" | "zfill" => 1,
        _ => 0,
    })
}

/// Python's line ends: more characters than a line break end a line.
fn split_lines(text: &str, keep_ends: bool) -> Vec<String> {
    let ends = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(ends).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(length);
        let end = if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(0, char::len_utf8) };
        let (end, tail) = tail.split_at(end);
        lines.push(if keep_ends { format!("{line}{end}") } else { line.to_owned() });
        rest = tail;
    }
    lines
}

/// `str.translate`: a map of code points to texts, code points or nothing.
fn translate(text: &str, table: &Value) -> Result<String, Error> {
    let Value::Map(table) = table else {
        return Err(Error::of_type(format!("`{}` object is no translation table", table.type_name())));
    };
    let mut out = String::new();
    for c in text.chars() {
        match table.get(&Value::Int(u32::from(c).into())) {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Str(new)) => out.push_str(new),
            Some(other) => {
                let code = other.as_i64().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                let message = "a translation must be a text, a code point or None";
                out.push(code.ok_or_else(|| Error::of_type(message))?);
            }
        }
    }
    Ok(out)
}

/// Superscript and other digits that are digits but no decimals.
fn is_small_digit(c: char) -> bool {
    matches!(u32::from(c), 0xb2 | 0xb3 | 0xb9 | 0x2070 | 0x2074..=0x2079 | 0x2080..=0x2089 | 0x2460..=0x2468)
}

/// Decimal digits of any script: those come in runs of ten, and Rust's `is_numeric` holds more.
fn is_decimal(c: char) -> bool {
    const ZEROS: &[u32] = &[
        0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
        0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0,
        0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    ];
    ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&u32::from(c)))
}

fn text_method(text: &str, name: &str, args: &Args) -> Result<Value, Error> {
    let given = args.positional.len() + args.named.len();
    if most_arguments(name).is_some_and(|most| given > most) {
        return Err(Error::of_type(format!("`str.{name}()` does not take {given} arguments")));
    }
    let first = |name: &str| args.require(0, name).and_then(text_of);
    Ok(match name {
        "upper" => Value::from(text.to_uppercase()),
        "lower" => Value::from(text.to_lowercase()),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "translate" => Value::from(translate(text, args.require(0, "table")?)?),
        "title" => Value::from(title(text)),
        "capitalize" => {
            let mut chars = text.chars();
            let head: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(head + &chars.as_str().to_lowercase())
        }
        "swapcase" => Value::from(text.chars().fold(String::new(), |mut out, c| {
            if c.is_uppercase() {
                out.extend(c.to_lowercase());
            } else {
                out.extend(c.to_uppercase());
            }
            out
        })),
        "strip" => Value::str(strip_set(text, args, true, true)?),
        "lstrip" => Value::str(strip_set(text, args, true, false)?),
        "rstrip" => Value::str(strip_set(text, args, false, true)?),
        "split" => split(text, args, false)?,
        "rsplit" => split(text, args, true)?,
        "splitlines" => {
            let keep = args.get(0, "keepends").map_or(Ok(false), Value::truthy)?;
            texts(split_lines(text, keep))
        }
        "startswith" => any_of(text, args, |text, part| text.starts_with(part))?,
        "endswith" => any_of(text, args, |text, part| text.ends_with(part))?,
        "replace" => {
            let (old, new) = (first("old")?, text_of(args.require(1, "new")?)?);
            let count = usize::try_from(integer(args, 2, "count", -1)?).unwrap_or(usize::MAX);
            let found = text.matches(old).take(count).count();
            if found.saturating_mul(new.len()) > LARGEST {
                return Err(too_large());
            }
            Value::from(text.replacen(old, new, count))
        }
        "find" => Value::Int(find(text, args, false)?),
        "rfind" => Value::Int(find(text, args, true)?),
        "index" | "rindex" => match find(text, args, name == "rindex")? {
            -1 => return Err(Error::of_value("substring not found")),
            at => Value::Int(at),
        },
        "count" => {
            let part = first("sub")?;
            let (_, text) = window(text, args)?;
            Value::from(if part.is_empty() { text.chars().count() + 1 } else { text.matches(part).count() })
        }
        "join" => {
            let mut out = String::new();
            for (index, item) in args.require(0, "iterable")?.iterate()?.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(text);
                }
                match item {
                    Value::Str(part) => out.push_str(part.as_str()),
                    other => {
                        return Err(Error::of_type(format!(
                            "expected str instance, {} found",
                            other.type_name()
                        )));
                    }
                }
                if out.len() > LARGEST {
                    return Err(too_large());
                }
            }
            Value::from(out)
        }
        "format" => Value::from(format::format(text, &args.positional, &|name| args.named(name).cloned())?),
        "format_map" => {
            let map = args.require(0, "mapping")?.clone();
            Value::from(format::format(text, &[], &|name| {
                map.as_map().and_then(|map| map.get(name)).cloned()
            })?)
        }
        "isdecimal" => predicate(text, is_decimal),
        "isdigit" => predicate(text, |c| is_decimal(c) || is_small_digit(c)),
        "isnumeric" => predicate(text, char::is_numeric),
        "isalpha" => predicate(text, char::is_alphabetic),
        "isalnum" => predicate(text, char::is_alphanumeric),
        "isspace" => predicate(text, char::is_whitespace),
        "isascii" => Value::Bool(text.is_ascii()),
        "isprintable" => Value::Bool(!text.chars().any(char::is_control)),
        "islower" => cased(text, char::is_lowercase, char::is_uppercase),
        "isupper" => cased(text, char::is_uppercase, char::is_lowercase),
        "istitle" => Value::Bool(title(text) == text && text.chars().any(char::is_alphabetic)),
        "isidentifier" => Value::Bool(
            text.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        "zfill" => {
            let width = usize::try_from(integer(args, 0, "width", 0)?).unwrap_or(0);
            format::within_limit(width)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (text.get(..1).unwrap_or(""), digits),
                None => ("", text),
            };
            let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
            Value::from(format!("{sign}{zeros}{digits}"))
        }
        "center" => pad(text, args, true, true)?,
        "ljust" => pad(text, args, false, true)?,
        "rjust" => pad(text, args, true, false)?,
        "partition" | "rpartition" => {
            let separator = first("sep")?;
            let cut =
                if name == "partition" { text.split_once(separator) } else { text.rsplit_once(separator) };
            let (a, b, c) = match cut {
                Some((a, c)) => (a, separator, c),
                None if name == "partition" => (text, "", ""),
                None => ("", "", text),
            };
            Value::tuple(vec![a.into(), b.into(), c.into()])
        }
        "removeprefix" => Value::str(text.strip_prefix(first("prefix")?).unwrap_or(text)),
        "removesuffix" => Value::str(text.strip_suffix(first("suffix")?).unwrap_or(text)),
        "expandtabs" => {
            let size = usize::try_from(integer(args, 0, "tabsize", 8)?).unwrap_or(0);
            format::within_limit(size)?;
            let mut out = String::new();
            let mut column = 0;
            for c in text.chars() {
                match c {
                    '\t' => {
                        let blanks = if size == 0 { 0 } else { size - column % size };
                        out.push_str(&" ".repeat(blanks));
                        column += blanks;
                    }
                    c => {
                        out.push(c);
                        column = if c == '\n' { 0 } else { column + 1 };
                    }
                }
            }
            Value::from(out)
        }
        "encode" => Value::Bytes(text.as_bytes().into()),
        _ => return Err(no_method(&Value::str(text), name)),
    })
}

fn map_method(map: &Map, name: &str, args: &Args) -> Result<Value, Error> {
    Ok(match name {
        "items" | "keys" | "values" if !args.positional.is_empty() || !args.named.is_empty() => {
            return Err(Error::of_type(format!("dict.{name}() takes no arguments")));
        }
        "get" => {
            args.only(&["key", "default"])?;
            let key = args.require(0, "key")?;
            if let Value::Undefined(undefined) = key {
                return Err(undefined.error.clone());
            }
            map.get(key).cloned().unwrap_or_else(|| args.get(1, "default").cloned().unwrap_or(Value::None))
        }
        "items" => {
            view("dict_items", map.iter().map(|(k, v)| Value::tuple(vec![k.clone(), v.clone()])).collect())
        }
        "keys" => view("dict_keys", map.keys().cloned().collect()),
        "values" => view("dict_values", map.values().cloned().collect()),
        "copy" => Value::map(map.clone()),
        "fromkeys" => {
            let value = args.get(1, "value").cloned().unwrap_or(Value::None);
            let keys = args.require(0, "iterable")?.iterate()?;
            Value::map(keys.into_iter().map(|key| (key, value.clone())).collect())
        }
        _ => return Err(no_method(&Value::map(map.clone()), name)),
    })
}

/// What Python shows as `dict_keys([…])`.
pub(crate) fn view(type_name: &'static str, items: Vec<Value>) -> Value {
    let repr = format!("{type_name}({})", Value::list(items.clone()).repr());
    Value::View(Arc::new(kubespray_value::View { repr, type_name, items }))
}

fn list_method(items: &[Value], name: &str, args: &Args) -> Result<Value, Error> {
    let wanted = || args.require(0, "value");
    Ok(match name {
        "count" => {
            let wanted = wanted()?;
            Value::from(items.iter().filter(|item| *item == wanted).count())
        }
        "index" => {
            let wanted = wanted()?;
            let at = items.iter().position(|item| item == wanted);
            Value::from(at.ok_or_else(|| Error::of_value(format!("{} is not in list", wanted.repr())))?)
        }
        "copy" => Value::list(items.to_vec()),
        _ => return Err(no_method(&Value::list(items.to_vec()), name)),
    })
}

/// Calls a method that changes the value, in place; gives what the call gives.
pub(crate) fn change(value: &mut Value, name: &str, args: &Args) -> Result<Value, Error> {
    match value {
        Value::List(items) => change_list(Arc::make_mut(items), name, args),
        Value::Map(map) => change_map(Arc::make_mut(map), name, args),
        other => Err(no_method(other, name)),
    }
}

fn change_list(items: &mut Vec<Value>, name: &str, args: &Args) -> Result<Value, Error> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    match name {
        "append" => items.push(args.require(0, "object")?.clone()),
        "extend" => items.extend(args.require(0, "iterable")?.iterate()?),
        "clear" => items.clear(),
        "reverse" => items.reverse(),
        "insert" => {
            let index = integer(args, 0, "index", 0)?;
            let index = (if index < 0 { index + length } else { index }).clamp(0, length);
            items.insert(usize::try_from(index).unwrap_or(0), args.require(1, "object")?.clone());
        }
        "pop" => {
            let index = integer(args, 0, "index", -1)?;
            let index = if index < 0 { index + length } else { index };
            return match usize::try_from(index).ok().filter(|index| *index < items.len()) {
                Some(index) => Ok(items.remove(index)),
                None => Err(Error::of_value("pop index out of range")),
            };
        }
        "remove" => {
            let wanted = args.require(0, "value")?;
            match items.iter().position(|item| item == wanted) {
                Some(index) => drop(items.remove(index)),
                None => return Err(Error::of_value("list.remove(x): x not in list")),
            }
        }
        "sort" => {
            let mut sorted = kubespray_value::sort(items, &Value::compare)?;
            if args.named("reverse").map_or(Ok(false), Value::truthy)? {
                sorted.reverse();
            }
            *items = sorted;
        }
        _ => return Err(no_method(&Value::list(Vec::new()), name)),
    }
    Ok(Value::None)
}

fn change_map(map: &mut Map, name: &str, args: &Args) -> Result<Value, Error> {
    match name {
        "update" => {
            if let Some(other) = args.positional.first() {
                match other {
                    Value::Map(other) => map.extend(other.iter().map(|(k, v)| (k.clone(), v.clone()))),
                    pairs => {
                        for pair in pairs.iterate()? {
                            match pair.as_sequence() {
                                Some([key, value]) => drop(map.insert(key.clone(), value.clone())),
                                _ => return Err(Error::of_value("update wants a map or a list of pairs")),
                            }
                        }
                    }
                }
            }
            for (key, value) in &args.named {
                map.insert(Value::str(key.clone()), value.clone());
            }
            Ok(Value::None)
        }
        "clear" => {
            map.clear();
            Ok(Value::None)
        }
        "pop" => {
            let key = args.require(0, "key")?;
            match map.shift_remove(key).or_else(|| args.get(1, "default").cloned()) {
                Some(value) => Ok(value),
                None => Err(Error::of_value(format!("no key {}", key.repr()))),
            }
        }
        "popitem" => match map.pop() {
            Some((key, value)) => Ok(Value::tuple(vec![key, value])),
            None => Err(Error::of_value("popitem: map is empty")),
        },
        "setdefault" => {
            let key = args.require(0, "key")?.clone();
            let default = args.get(1, "default").cloned().unwrap_or(Value::None);
            Ok(map.entry(key).or_insert(default).clone())
        }
        _ => Err(no_method(&Value::map(Map::new()), name)),
    }
}
