//! Filters on texts.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};
use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::support::{
    self, filters, flag, int_or, is_blank, need_entries, need_str, optional, split_lines, str_or, text,
    within_limit,
};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "capitalize" => capitalize,
        "center" => center,
        "e" => escape,
        "escape" => escape,
        "filesizeformat" => file_size,
        "forceescape" => escape,
        "format" => format,
        "indent" => indent,
        "lower" => lower,
        "replace" => replace,
        "safe" => string,
        "string" => string,
        "title" => title,
        "trim" => trim,
        "truncate" => truncate,
        "upper" => upper,
        "wordcount" => word_count,
        "xmlattr" => xml_attributes,
    );
    filters!(library, "ansible.builtin.";
        "comment" => comment,
        "quote" => quote,
        "split" => split,
    );
}

fn upper(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(Value::str(text(&value)?.to_uppercase()))
}

fn lower(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(Value::str(text(&value)?.to_lowercase()))
}

fn string(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    match value {
        Value::Str(_) => Ok(value),
        other => Ok(Value::str(text(&other)?)),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect(),
        None => String::new(),
    }
}

fn capitalize(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(Value::str(capitalized(&text(&value)?)))
}

fn title(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let text = text(&value)?;
    let begins_word = |c: char| is_blank(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::new();
    let mut at_start = true;
    for c in text.chars() {
        if begins_word(c) {
            out.push(c);
            at_start = true;
        } else if at_start {
            out.extend(c.to_uppercase());
            at_start = false;
        } else {
            out.extend(c.to_lowercase());
        }
    }
    Ok(Value::str(out))
}

fn center(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["width"])?;
    let text = text(&value)?;
    let width = usize::try_from(int_or(args, 0, "width", 80)?).unwrap_or(0);
    within_limit(width)?;
    let missing = width.saturating_sub(text.chars().count());
    // Python puts the odd blank to the left only when the width is odd as well.
    let left = missing / 2 + (missing & width & 1);
    Ok(Value::str(format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left))))
}

pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

fn escape(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(Value::str(escaped(&text(&value)?)))
}

#[expect(clippy::float_cmp, reason = "Python compares exactly")]
fn file_size(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["binary"])?;
    let bytes = match &value {
        Value::Str(s) => kubespray_value::parse_float(s)
            .ok_or_else(|| Error::of_value(format!("could not convert string to float: {}", value.repr())))?,
        other => support::need_float(other, "the input")?,
    };
    let binary = flag(args, 0, "binary")?;
    let base = if binary { 1024_i64 } else { 1000 };
    let (first, ending) = if binary { ('K', "iB") } else { ('k', "B") };
    if bytes == 1.0 {
        return Ok("1 Byte".into());
    }
    if bytes < base as f64 {
        return Ok(Value::str(format!("{} Bytes", bytes.trunc())));
    }
    let base = BigInt::from(base);
    let mut unit = base.clone();
    let mut prefix = first;
    for next in [first, 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'] {
        prefix = next;
        unit *= &base;
        // Units beyond 2^53 are no exact floats, and Python compares exactly.
        if Value::Float(bytes).compare(&Value::big(unit.clone()))?.is_lt() {
            break;
        }
    }
    let as_float = |int: &BigInt| int.to_f64().unwrap_or(f64::INFINITY);
    Ok(Value::str(format!("{:.1} {prefix}{ending}", as_float(&base) * bytes / as_float(&unit))))
}

fn format(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let template = text(&value)?;
    let values = if args.named.is_empty() {
        Value::tuple(args.positional.clone())
    } else if args.positional.is_empty() {
        Value::map(args.named.iter().map(|(name, value)| (Value::str(name.clone()), value.clone())).collect())
    } else {
        return Err(Error::of_value("can't handle positional and keyword arguments at the same time"));
    };
    Ok(Value::str(kubespray_jinja::printf(&template, &values)?))
}

fn indent(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["width", "first", "blank"])?;
    let text = need_str(&value, "the input")?;
    let blanks = match args.get(0, "width") {
        None => "    ".to_owned(),
        Some(Value::Str(blanks)) => blanks.as_str().to_owned(),
        Some(width) => {
            let width = usize::try_from(support::need_int(width, "`width`")?).unwrap_or(0);
            within_limit(width)?;
            " ".repeat(width)
        }
    };
    let (first, blank) = (flag(args, 1, "first")?, flag(args, 2, "blank")?);
    let with_end = format!("{text}\n");
    let lines = split_lines(&with_end);
    within_limit(lines.len().saturating_mul(blanks.len()))?;
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let indented = if index == 0 { first } else { blank || !line.is_empty() };
        if index > 0 {
            out.push('\n');
        }
        if indented {
            out.push_str(&blanks);
        }
        out.push_str(line);
    }
    Ok(Value::str(out))
}

fn replace(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["old", "new", "count"])?;
    let text = text(&value)?;
    let (old, new) = (support::text(args.require(0, "old")?)?, support::text(args.require(1, "new")?)?);
    let count = optional(args, 2, "count").map_or(Ok(-1), |count| support::need_int(count, "`count`"))?;
    let matches = if old.is_empty() { text.chars().count() + 1 } else { text.matches(&old).count() };
    within_limit(matches.saturating_mul(new.len()))?;
    Ok(Value::str(match usize::try_from(count) {
        Ok(count) => text.replacen(&old, &new, count),
        Err(_) => text.replace(&old, &new),
    }))
}

fn trim(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["chars"])?;
    let text = text(&value)?;
    Ok(Value::str(match optional(args, 0, "chars") {
        None => text.trim_matches(is_blank),
        Some(chars) => {
            let chars = need_str(chars, "`chars`")?;
            text.trim_matches(|c| chars.contains(c))
        }
    }))
}

fn truncate(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["length", "killwords", "end", "leeway"])?;
    let length = int_or(args, 0, "length", 255)?;
    let kill_words = flag(args, 1, "killwords")?;
    let end = str_or(args, 2, "end", "...")?;
    let leeway = optional(args, 3, "leeway").map_or(Ok(5), |leeway| support::need_int(leeway, "`leeway`"))?;
    let end_length = end.chars().count() as i64;
    if length < end_length {
        return Err(Error::of_value(format!("expected length >= {end_length}, got {length}")));
    }
    if leeway < 0 {
        return Err(Error::of_value(format!("expected leeway >= 0, got {leeway}")));
    }
    if value.len()? as i64 <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let text = need_str(&value, "the input")?;
    let kept: String = text.chars().take(usize::try_from(length - end_length).unwrap_or(0)).collect();
    let kept = match kept.rsplit_once(' ') {
        Some((words, _)) if !kill_words => words,
        _ => kept.as_str(),
    };
    Ok(Value::str(format!("{kept}{end}")))
}

fn word_count(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let text = text(&value)?;
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    Ok(words.count().into())
}

fn xml_attributes(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["autospace"])?;
    let mut attributes = Vec::new();
    for (key, value) in need_entries(&value, "the input")? {
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let key = need_str(&key, "an attribute name")?;
        if key.contains(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || matches!(c, '/' | '>' | '=')) {
            return Err(Error::of_value(format!("invalid character in attribute name: `{key}`")));
        }
        attributes.push(format!("{}=\"{}\"", escaped(key), escaped(&text(&value)?)));
    }
    let joined = attributes.join(" ");
    let space = args.get(0, "autospace").map_or(Ok(true), Value::truthy)?;
    Ok(Value::str(if space && !joined.is_empty() { format!(" {joined}") } else { joined }))
}

fn split(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["sep", "maxsplit"])?;
    let text = need_str(&value, "the input")?;
    let most = usize::try_from(int_or(args, 1, "maxsplit", -1)?).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match optional(args, 0, "sep") {
        Some(separator) => {
            let separator = need_str(separator, "`sep`")?;
            if separator.is_empty() {
                return Err(Error::of_value("empty separator"));
            }
            text.splitn(most.saturating_add(1), separator).collect()
        }
        None => split_blanks(text, most),
    };
    Ok(support::texts(parts))
}

/// Python's `split()`: blanks of any number separate, those at the ends do not count.
pub(crate) fn split_blanks(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    while !rest.is_empty() {
        if parts.len() == most {
            parts.push(rest);
            break;
        }
        let end = rest.find(is_blank).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind.trim_start_matches(is_blank);
    }
    parts
}

/// A text as one word of a shell command.
pub(crate) fn shell_quoted(text: &str) -> String {
    let harmless = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '%' | '+' | '=' | ':' | ',' | '.' | '/' | '-')
    };
    if text.is_empty() {
        "''".into()
    } else if text.chars().all(harmless) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

fn quote(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let text = if value.is_none() { String::new() } else { support::decoded(&value)? };
    Ok(Value::str(shell_quoted(&text)))
}

fn comment(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let style = args.positional.first().or_else(|| args.named("style"));
    let style = style.map_or(Ok("plain"), |style| need_str(style, "`style`"))?;
    let (beginning, decoration, end) = match style {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => return Err(Error::of_value(format!("no comment style named `{other}`"))),
    };
    if args.positional.len() > 1 {
        return Err(Error::of_type("takes at most 1 argument without a name"));
    }
    let named = |name: &str, default: &str| match args.named(name) {
        Some(value) => support::text(value),
        None => Ok(default.to_owned()),
    };
    let decoration = named("decoration", decoration)?;
    let around = decoration.trim_end_matches(is_blank);
    let newline = named("newline", "\n")?;
    let (beginning, end) = (named("beginning", beginning)?, named("end", end)?);
    let (prefix, postfix) = (named("prefix", around)?, named("postfix", around)?);
    let count = |name: &str| {
        let count = match args.named(name) {
            None => 1,
            // Only the first of the two counts is read as a number.
            Some(Value::Str(digits)) if name == "prefix_count" => kubespray_value::parse_int(digits, 10)
                .and_then(|count| count.as_i64())
                .ok_or_else(|| Error::of_value(format!("`{name}` is no integer")))?,
            Some(count) => support::need_int(count, &format!("`{name}`"))?,
        };
        let count = usize::try_from(count).unwrap_or(0);
        within_limit(count).map(|()| count)
    };
    let (prefix_count, postfix_count) = (count("prefix_count")?, count("postfix_count")?);

    let text = need_str(&value, "the input")?;
    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&beginning);
        out.push_str(&newline);
    }
    if !prefix.is_empty() {
        let line = if prefix == newline { newline.clone() } else { format!("{prefix}{newline}") };
        out.push_str(&line.repeat(prefix_count));
    }
    let decorated = format!("{decoration}{}", text.replace(&newline, &format!("{newline}{decoration}")));
    let bare = decoration.trim_end_matches(is_blank);
    out.push_str(&decorated.replace(&format!("{decoration}{newline}"), &format!("{bare}{newline}")));
    for _ in 0..postfix_count {
        out.push_str(&newline);
        out.push_str(&postfix);
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(&end);
    }
    Ok(Value::str(out))
}
