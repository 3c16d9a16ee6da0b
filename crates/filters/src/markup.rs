//! Filters on longer texts: wrapping, tags, links, printing of values.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::support::{
    filters, flag, int_or, is_blank, need_int, need_str, optional, sort, split_lines, text, within_limit,
};
use crate::text::escaped;

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "pprint" => pretty,
        "striptags" => strip_tags,
        "urlize" => urlize,
        "wordwrap" => word_wrap,
    );
}

/// A piece of a line that is never broken, or the blanks between two.
fn chunks(line: &str, on_hyphens: bool) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let chars: Vec<char> = line.chars().collect();
    let at = |index: usize| chars.get(index).copied();
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
    let mut current = String::new();
    let mut in_blanks = false;
    for (index, c) in chars.iter().copied().enumerate() {
        if blank(c) != in_blanks && !current.is_empty() {
            out.push(std::mem::take(&mut current));
        }
        in_blanks = blank(c);
        current.push(c);
        if !on_hyphens || c != '-' {
            continue;
        }
        // A hyphen between letters ends a piece, a dash of several hyphens is a piece of its own.
        let behind = |back: usize| index.checked_sub(back).and_then(at);
        let hyphen = letter(behind(1))
            && (letter(behind(2)) || (behind(2) == Some('-') && letter(behind(3))))
            && letter(at(index + 1))
            && (letter(at(index + 2)) || (at(index + 2) == Some('-') && letter(at(index + 3))));
        if hyphen {
            out.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    if on_hyphens { out.into_iter().flat_map(|chunk| split_dashes(&chunk)).collect() } else { out }
}

/// `a--b` is the word `a`, the dash and the word `b`.
fn split_dashes(chunk: &str) -> Vec<String> {
    let chars: Vec<char> = chunk.chars().collect();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = Vec::new();
    let mut current = String::new();
    let mut index = 0;
    while let Some(c) = chars.get(index).copied() {
        let dashes = chars.iter().skip(index).take_while(|c| **c == '-').count();
        let before = current.chars().last().is_some_and(|c| word(c) || "!\"'&.,?".contains(c));
        let after = chars.get(index + dashes).copied().is_some_and(word);
        if dashes >= 2 && before && after {
            out.push(std::mem::take(&mut current));
            out.push("-".repeat(dashes));
            index += dashes;
        } else {
            current.push(c);
            index += 1;
        }
    }
    if !current.is_empty() {
        out.push(current);
    }
    out
}

fn wrapped(line: &str, width: usize, break_long: bool, on_hyphens: bool) -> Vec<String> {
    // Counts no further than `room`: a word that is a megabyte long is looked at once a line.
    let is_longer = |text: &str, room: usize| text.chars().nth(room).is_some();
    let is_gap = |chunk: &&str| chunk.chars().all(is_blank);
    let chunks = chunks(line, on_hyphens);
    let mut rest: std::collections::VecDeque<&str> = chunks.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    while !rest.is_empty() {
        if !lines.is_empty() && rest.front().is_some_and(is_gap) {
            rest.pop_front();
        }
        let mut parts: Vec<&str> = Vec::new();
        let mut used = 0;
        while let Some(next) = rest.front() {
            if is_longer(next, width - used) {
                break;
            }
            used += next.chars().count();
            parts.extend(rest.pop_front());
        }
        if rest.front().is_some_and(|next| is_longer(next, width)) {
            if break_long {
                if let Some(next) = rest.pop_front() {
                    let mut room = width - used;
                    let head: Vec<char> = next.chars().take(room).collect();
                    // Python breaks a long word at its last hyphen that fits.
                    if let (true, Some(hyphen)) = (on_hyphens, head.iter().rposition(|c| *c == '-'))
                        && head.iter().take(hyphen).any(|c| *c != '-')
                    {
                        room = hyphen + 1;
                    }
                    let end = next.char_indices().nth(room).map_or(next.len(), |(at, _)| at);
                    let (head, tail) = next.split_at_checked(end).unwrap_or((next, ""));
                    parts.push(head);
                    rest.push_front(tail);
                }
            } else if parts.is_empty() {
                parts.extend(rest.pop_front());
            }
        }
        if parts.last().is_some_and(is_gap) {
            parts.pop();
        }
        if !parts.is_empty() {
            lines.push(parts.concat());
        }
    }
    lines
}

fn word_wrap(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["width", "break_long_words", "wrapstring", "break_on_hyphens"])?;
    let text = need_str(&value, "the input")?;
    let width = usize::try_from(int_or(args, 0, "width", 79)?).unwrap_or(0);
    if width == 0 && !text.is_empty() {
        return Err(Error::of_value("width must be larger than 0"));
    }
    let break_long = args.get(1, "break_long_words").map_or(Ok(true), Value::truthy)?;
    let between = optional(args, 2, "wrapstring").map_or(Ok("\n"), |text| need_str(text, "`wrapstring`"))?;
    let on_hyphens = args.get(3, "break_on_hyphens").map_or(Ok(true), Value::truthy)?;
    let paragraphs = split_lines(text)
        .into_iter()
        .map(|line| wrapped(line, width, break_long, on_hyphens).join(between))
        .collect::<Vec<_>>();
    Ok(Value::str(paragraphs.join(between)))
}

fn strip_tags(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let mut text = text(&value)?;
    for (open, close) in [("<!--", "-->"), ("<", ">")] {
        let mut kept = String::new();
        let mut rest = text.as_str();
        while let Some((before, behind)) = rest.split_once(open) {
            let Some((_, after)) = behind.split_once(close) else { break };
            kept.push_str(before);
            rest = after;
        }
        kept.push_str(rest);
        text = kept;
    }
    let words = crate::text::split_blanks(&text, usize::MAX).join(" ");
    Ok(Value::str(unescaped(&words)))
}

/// The entities that texts hold: numbers and the common names.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let found = behind.split_once(';').and_then(|(name, after)| {
            let c = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                "nbsp" => '\u{a0}',
                "copy" => '©',
                "reg" => '®',
                "raquo" => '»',
                "laquo" => '«',
                "hellip" => '…',
                "mdash" => '—',
                "ndash" => '–',
                name => {
                    let digits = name.strip_prefix('#')?;
                    let code = match digits.strip_prefix(['x', 'X']) {
                        Some(hex) => u32::from_str_radix(hex, 16),
                        None => digits.parse(),
                    };
                    code.ok().and_then(char::from_u32)?
                }
            };
            Some((c, after))
        });
        if let Some((c, after)) = found {
            out.push(c);
            rest = after;
        } else {
            out.push('&');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// What stands around a link without belonging to it.
fn trimmed_link(word: &str) -> (&str, &str, &str) {
    let unopened = word.trim_start_matches("&lt;").trim_start_matches(['(', '<']);
    let mut head = word.len() - unopened.len();
    if unopened.is_empty() {
        head = 0;
    }
    let (head, mut middle) = word.split_at(head);
    let start = middle;
    loop {
        let shorter = middle.trim_end_matches(['.', ',', '\n']).trim_end_matches("&gt;");
        let shorter = match shorter.strip_suffix(')') {
            Some(inner) if inner.matches('(').count() < shorter.matches(')').count() => inner,
            _ => shorter.strip_suffix('>').unwrap_or(shorter),
        };
        if shorter.len() == middle.len() || shorter.is_empty() {
            break;
        }
        middle = shorter;
    }
    (head, middle, start.get(middle.len()..).unwrap_or(""))
}

fn urlize(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["trim_url_limit", "nofollow", "target", "rel", "extra_schemes"])?;
    let text = text(&value)?;
    let limit =
        optional(args, 0, "trim_url_limit").map(|limit| need_int(limit, "`trim_url_limit`")).transpose()?;
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(0));
    let mut rel: Vec<&str> = vec!["noopener"];
    if flag(args, 1, "nofollow")? {
        rel.push("nofollow");
    }
    let own = optional(args, 3, "rel").map_or(Ok(""), |rel| need_str(rel, "`rel`"))?;
    rel.extend(own.split_whitespace());
    rel.sort_unstable();
    rel.dedup();
    let mut attributes = format!(" rel=\"{}\"", escaped(&rel.join(" ")));
    if let Some(target) = optional(args, 2, "target") {
        attributes = format!("{attributes} target=\"{}\"", escaped(need_str(target, "`target`")?));
    }
    let schemes: Vec<String> = match optional(args, 4, "extra_schemes") {
        None => Vec::new(),
        Some(schemes) => schemes
            .iterate()?
            .iter()
            .map(|s| need_str(s, "a scheme").map(str::to_owned))
            .collect::<Result<_, _>>()?,
    };
    let shown = |link: &str| match limit {
        Some(limit) if link.chars().count() > limit => {
            format!("{}...", link.chars().take(limit).collect::<String>())
        }
        _ => link.to_owned(),
    };
    let safe = escaped(&text);
    let mut out = String::new();
    for word in safe.split_inclusive(is_blank) {
        let bare = word.trim_end_matches(is_blank);
        let gap = word.get(bare.len()..).unwrap_or("");
        let (head, link, tail) = trimmed_link(bare);
        let linked = if is_web_address(link) {
            let target = if link.starts_with("http://") || link.starts_with("https://") {
                link.to_owned()
            } else {
                format!("https://{link}")
            };
            format!("<a href=\"{target}\"{attributes}>{}</a>", shown(link))
        } else if let Some(address) = link.strip_prefix("mailto:").filter(|address| is_mail_address(address))
        {
            format!("<a href=\"{link}\">{address}</a>")
        } else if is_mail_address(link) && !link.starts_with("www.") {
            format!("<a href=\"mailto:{link}\">{link}</a>")
        } else if schemes.iter().any(|scheme| link.starts_with(scheme.as_str()) && link != scheme) {
            format!("<a href=\"{link}\"{attributes}>{link}</a>")
        } else {
            link.to_owned()
        };
        out.push_str(head);
        out.push_str(&linked);
        out.push_str(tail);
        out.push_str(gap);
        within_limit(out.len())?;
    }
    Ok(Value::str(out))
}

fn is_web_address(link: &str) -> bool {
    const HTTP: &str = r"(?i)^(https?://|www\.)(([\w%-]+\.)+)?([a-z]{2,63}|xn--[\w%]{2,59}|(\d{1,3}\.){3}\d{1,3}|\[[\da-f:]+\])(:\d{1,5})?([/?#]\S*)?$|^([\w%-]+\.)+(com|net|int|edu|gov|org|info|mil)(:\d{1,5})?([/?#]\S*)?$";
    crate::regex::is_match(HTTP, link, crate::regex::Anchor::Anywhere).unwrap_or(false)
}

fn is_mail_address(link: &str) -> bool {
    crate::regex::is_match(r"^\S+@\w[\w.-]*\.\w+$", link, crate::regex::Anchor::Anywhere).unwrap_or(false)
}

/// Python's `pprint.pformat`.
fn pretty(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let mut out = String::new();
    pretty_value(&value, 0, 0, 0, &mut out)?;
    Ok(Value::str(out))
}

const WIDTH: usize = 80;
const DEEPEST: usize = 100;

/// A value with the keys of its maps in order, as it is printed on one line.
fn one_line(value: &Value, depth: usize) -> Result<String, Error> {
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply to print"));
    }
    let joined = |items: &[Value]| -> Result<String, Error> {
        let items: Result<Vec<_>, _> = items.iter().map(|item| one_line(item, depth + 1)).collect();
        Ok(items?.join(", "))
    };
    Ok(match value {
        Value::Map(_) => {
            let mut parts = Vec::new();
            for (key, value) in sorted_entries(value)? {
                parts.push(format!("{}: {}", one_line(&key, depth + 1)?, one_line(&value, depth + 1)?));
            }
            format!("{{{}}}", parts.join(", "))
        }
        Value::List(items) => format!("[{}]", joined(items)?),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", joined(items)?),
        Value::Tuple(items) => format!("({})", joined(items)?),
        other => other.repr(),
    })
}

fn sorted_entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let entries = crate::support::entries(value)?.unwrap_or_default();
    sort(&entries, &|(a, _), (b, _)| {
        // Python orders what cannot be compared by its type.
        Ok(a.compare(b).unwrap_or_else(|_| a.type_name().cmp(b.type_name())))
    })
}

fn pretty_value(
    value: &Value,
    indent: usize,
    behind: usize,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    let line = one_line(value, depth)?;
    let room = WIDTH.saturating_sub(indent + behind);
    if line.chars().count() <= room {
        out.push_str(&line);
        return Ok(());
    }
    let separate = |out: &mut String, index: usize| {
        if index > 0 {
            out.push_str(",\n");
            out.extend(std::iter::repeat_n(' ', indent + 1));
        }
    };
    match value {
        Value::Map(map) if !map.is_empty() => {
            out.push('{');
            let entries = sorted_entries(value)?;
            let last = entries.len() - 1;
            for (index, (key, value)) in entries.into_iter().enumerate() {
                separate(out, index);
                let key = one_line(&key, depth + 1)?;
                out.push_str(&key);
                out.push_str(": ");
                let behind = if index == last { behind + 1 } else { 1 };
                pretty_value(&value, indent + key.chars().count() + 3, behind, depth + 1, out)?;
            }
            out.push('}');
        }
        Value::List(items) | Value::Tuple(items) if !items.is_empty() => {
            let (open, close) = match value {
                Value::List(_) => ("[", "]"),
                _ if items.len() == 1 => ("(", ",)"),
                _ => ("(", ")"),
            };
            out.push_str(open);
            for (index, item) in items.iter().enumerate() {
                separate(out, index);
                let behind = if index + 1 == items.len() { behind + close.len() } else { 1 };
                pretty_value(item, indent + 1, behind, depth + 1, out)?;
            }
            out.push_str(close);
        }
        Value::Str(text) => pretty_text(text, indent, behind, depth, out),
        _ => out.push_str(&line),
    }
    Ok(())
}

/// A long text becomes several quoted ones, broken behind blanks and line ends.
fn pretty_text(text: &str, indent: usize, behind: usize, depth: usize, out: &mut String) {
    let quoted = |text: &str| Value::str(text).repr();
    let (indent, behind) = if depth == 0 { (indent + 1, behind + 1) } else { (indent, behind) };
    let most = WIDTH.saturating_sub(indent);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut pieces = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let most = if index + 1 == lines.len() { most.saturating_sub(behind) } else { most };
        if quoted(line).chars().count() <= most {
            pieces.push(quoted(line));
            continue;
        }
        let mut current = String::new();
        let words: Vec<&str> = words_with_blanks(line);
        for (position, word) in words.iter().enumerate() {
            let most = if position + 1 == words.len() && index + 1 == lines.len() {
                WIDTH.saturating_sub(indent + behind)
            } else {
                WIDTH.saturating_sub(indent)
            };
            let longer = format!("{current}{word}");
            if quoted(&longer).chars().count() > most {
                if !current.is_empty() {
                    pieces.push(quoted(&current));
                }
                (*word).clone_into(&mut current);
            } else {
                current = longer;
            }
        }
        if !current.is_empty() {
            pieces.push(quoted(&current));
        }
    }
    if pieces.len() <= 1 {
        out.push_str(&pieces.concat());
        return;
    }
    if depth == 0 {
        out.push('(');
    }
    let gap = format!("\n{}", " ".repeat(indent));
    out.push_str(&pieces.join(&gap));
    if depth == 0 {
        out.push(')');
    }
}

fn words_with_blanks(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_gap = false;
    for (index, c) in line.char_indices() {
        if in_gap && !is_blank(c) {
            words.push(line.get(start..index).unwrap_or(""));
            start = index;
        }
        in_gap = is_blank(c);
    }
    words.push(line.get(start..).unwrap_or(""));
    words
}
