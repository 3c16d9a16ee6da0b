//! Python's regular expressions: the filters and what tests and lookups share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fancy_regex::{Captures, Regex, RegexBuilder};
use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::pattern::{self, Flags};
use crate::support::{self, decoded, filters, flag, int_or, need_str, str_or, within_limit};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "regex_escape" => escape,
        "regex_findall" => find_all,
        "regex_replace" => replace,
        "regex_search" => search,
    );
}

/// Where a match has to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Anywhere: `re.search`.
    Anywhere,
    /// At the start: `re.match`.
    Start,
    /// From start to end: `re.fullmatch`.
    Whole,
    /// Anywhere, but not empty.
    NotEmpty,
}

/// Most patterns that are kept compiled.
const KEPT: usize = 256;

type Compiled = HashMap<(String, Flags, u8), Arc<Regex>>;

/// Compiles a Python pattern.
pub(crate) fn compile(pattern: &str, flags: Flags, anchor: Anchor) -> Result<Arc<Regex>, Error> {
    static COMPILED: OnceLock<Mutex<Compiled>> = OnceLock::new();
    let cache = COMPILED.get_or_init(Mutex::default);
    let key = (pattern.to_owned(), flags, anchor as u8);
    if let Some(found) = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(found.clone());
    }
    let translated = pattern::translate(pattern, flags)?;
    let translated = match anchor {
        Anchor::Anywhere | Anchor::NotEmpty => translated,
        Anchor::Start => format!(r"\A(?:{translated})"),
        Anchor::Whole => format!(r"\A(?:{translated})\z"),
    };
    let regex = RegexBuilder::new(&translated)
        .find_not_empty(anchor == Anchor::NotEmpty)
        .build()
        .map_err(|error| Error::of_value(format!("invalid regular expression `{pattern}`: {error}")))?;
    let regex = Arc::new(regex);
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= KEPT {
        cache.clear();
    }
    cache.insert(key, regex.clone());
    Ok(regex)
}

/// Whether a Python pattern matches.
pub(crate) fn is_match(pattern: &str, text: &str, anchor: Anchor) -> Result<bool, Error> {
    matches_with(pattern, text, Flags::default(), anchor)
}

/// Whether a Python pattern matches, with flags.
pub(crate) fn matches_with(pattern: &str, text: &str, flags: Flags, anchor: Anchor) -> Result<bool, Error> {
    compile(pattern, flags, anchor)?.is_match(text).map_err(failed)
}

fn failed(error: fancy_regex::Error) -> Error {
    Error::of_value(format!("regular expression gave up: {error}"))
}

/// All matches as Python finds them: behind an empty one the next may start at the same place, but
/// then it is not empty.
fn all_matches<'t>(pattern: &str, flags: Flags, text: &'t str) -> Result<Vec<Captures<'t, str>>, Error> {
    let regex = compile(pattern, flags, Anchor::Anywhere)?;
    let mut found = Vec::new();
    let mut at = 0;
    let mut after_empty = false;
    let mut not_empty = None;
    while at <= text.len() {
        let mut captures = None;
        if after_empty {
            // A pattern that is empty always does not compile as one that never is.
            let not_empty = not_empty.get_or_insert_with(|| compile(pattern, flags, Anchor::NotEmpty).ok());
            if let Some(not_empty) = not_empty {
                captures = not_empty.captures_from_pos(text, at).map_err(failed)?;
            }
            captures = captures.filter(|captures| captures.get(0).is_some_and(|all| all.start() == at));
            if captures.is_none() {
                at = next_char(text, at);
                if at > text.len() {
                    break;
                }
            }
        }
        if captures.is_none() {
            captures = regex.captures_from_pos(text, at).map_err(failed)?;
        }
        let Some(captures) = captures else { break };
        let Some((start, end)) = captures.get(0).map(|all| (all.start(), all.end())) else { break };
        after_empty = start == end;
        at = end;
        found.push(captures);
    }
    Ok(found)
}

fn next_char(text: &str, at: usize) -> usize {
    at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
}

fn flags(args: &Args, multiline: usize, ignore_case: usize) -> Result<Flags, Error> {
    Ok(Flags {
        ignore_case: flag(args, ignore_case, "ignorecase")?,
        multiline: flag(args, multiline, "multiline")?,
        ..Flags::default()
    })
}

fn group<'t>(captures: &Captures<'t, str>, index: usize) -> Option<&'t str> {
    captures.get(index).map(|group| group.as_str())
}

/// A part of a replacement.
enum Piece {
    Text(String),
    Group(usize),
}

fn replacement(template: &str, regex: &Regex) -> Result<Vec<Piece>, Error> {
    let wrong = |what: &str| Error::of_value(format!("{what} in the replacement `{template}`"));
    let numbered = |index: usize| {
        if index < regex.captures_len() {
            Ok(Piece::Group(index))
        } else {
            Err(wrong(&format!("invalid group reference {index}")))
        }
    };
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let piece = match chars.next() {
            None => return Err(wrong("bad escape (end of pattern)")),
            Some('g') => {
                if chars.next() != Some('<') {
                    return Err(wrong("missing `<`"));
                }
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                if let Ok(index) = name.parse::<usize>() {
                    numbered(index)?
                } else {
                    let index = regex.capture_names().position(|known| known == Some(name.as_str()));
                    Piece::Group(index.ok_or_else(|| wrong(&format!("unknown group name `{name}`")))?)
                }
            }
            Some('0') => {
                let mut code = 0;
                for _ in 0..2 {
                    if let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) {
                        chars.next();
                        code = code * 8 + digit;
                    }
                }
                plain.push(char::from_u32(code & 0xff).unwrap_or('\0'));
                continue;
            }
            Some(digit @ '1'..='9') => {
                let mut index = digit.to_digit(10).unwrap_or(0);
                if let Some(second) = chars.peek().and_then(|c| c.to_digit(10)) {
                    chars.next();
                    let octal = u32::from(digit) - u32::from('0');
                    let third = chars.peek().and_then(|c| c.to_digit(8));
                    if let (0..=3, 0..=7, Some(third)) = (octal, second, third) {
                        chars.next();
                        let code = octal * 64 + second * 8 + third;
                        plain.push(char::from_u32(code).unwrap_or('\0'));
                        continue;
                    }
                    index = index * 10 + second;
                }
                numbered(index as usize)?
            }
            Some('n') => Piece::Text("\n".into()),
            Some('t') => Piece::Text("\t".into()),
            Some('r') => Piece::Text("\r".into()),
            Some('a') => Piece::Text("\u{7}".into()),
            Some('b') => Piece::Text("\u{8}".into()),
            Some('f') => Piece::Text("\u{c}".into()),
            Some('v') => Piece::Text("\u{b}".into()),
            Some('\\') => Piece::Text("\\".into()),
            Some(letter) if letter.is_ascii_alphabetic() => {
                return Err(wrong(&format!("bad escape `\\{letter}`")));
            }
            Some(other) => Piece::Text(format!("\\{other}")),
        };
        match piece {
            Piece::Text(text) => plain.push_str(&text),
            group @ Piece::Group(_) => {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(group);
            }
        }
    }
    pieces.push(Piece::Text(plain));
    Ok(pieces)
}

fn replace(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"])?;
    let text = decoded(&value)?;
    let pattern = str_or(args, 0, "pattern", "")?;
    let with = str_or(args, 1, "replacement", "")?;
    let count = int_or(args, 4, "count", 0)?;
    let mandatory = int_or(args, 5, "mandatory_count", 0)?;
    let flags = flags(args, 3, 2)?;
    let regex = compile(pattern, flags, Anchor::Anywhere)?;
    let pieces = replacement(with, &regex)?;

    let mut matches = all_matches(pattern, flags, &text)?;
    match usize::try_from(count) {
        Ok(0) => {}
        // A negative count replaces nothing.
        count => matches.truncate(count.unwrap_or(0)),
    }
    let mut out = String::new();
    let mut at = 0;
    for captures in &matches {
        let Some((start, end)) = captures.get(0).map(|all| (all.start(), all.end())) else { continue };
        out.push_str(text.get(at..start).unwrap_or_default());
        for piece in &pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(index) => out.push_str(group(captures, *index).unwrap_or_default()),
            }
        }
        within_limit(out.len())?;
        at = end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    if mandatory != 0 && mandatory != matches.len() as i64 {
        return Err(Error::of_value(format!(
            "`{pattern}` should match {mandatory} times, but matches {} times",
            matches.len()
        )));
    }
    Ok(Value::str(out))
}

fn find_all(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["regex", "multiline", "ignorecase"])?;
    let text = decoded(&value)?;
    let pattern = need_str(args.require(0, "regex")?, "`regex`")?;
    let flags = flags(args, 1, 2)?;
    let regex = compile(pattern, flags, Anchor::Anywhere)?;
    let groups = regex.captures_len();
    let found = all_matches(pattern, flags, &text)?.into_iter().map(|captures| {
        let group = |index: usize| Value::str(group(&captures, index).unwrap_or_default());
        match groups {
            0 | 1 => group(0),
            2 => group(1),
            _ => Value::tuple((1..groups).map(group).collect()),
        }
    });
    Ok(Value::list(found.collect()))
}

/// The name or number in an argument of `regex_search`: `\1` or `\g<name>`.
fn group_name(argument: &str) -> Result<&str, Error> {
    let unknown = || Error::of_value(format!("unknown argument `{argument}`"));
    if let Some(rest) = argument.strip_prefix("\\g") {
        let rest = rest.strip_prefix('<').ok_or_else(unknown)?;
        let end = rest.rfind('>').filter(|end| *end > 0).ok_or_else(unknown)?;
        return rest.get(..end).ok_or_else(unknown);
    }
    let rest = argument.strip_prefix('\\').ok_or_else(unknown)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end).filter(|digits| !digits.is_empty()).ok_or_else(unknown)
}

fn wanted_group(argument: &str, regex: &Regex) -> Result<usize, Error> {
    let name = group_name(argument)?;
    // What stands in `\g<1>` is a name for Ansible, and no group has that one.
    let index = if argument.starts_with("\\g") {
        regex.capture_names().position(|known| known == Some(name))
    } else {
        name.parse().ok().filter(|index| *index < regex.captures_len())
    };
    index.ok_or_else(|| Error::of_value(format!("no such group: `{name}`")))
}

fn search(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let text = decoded(&value)?;
    let pattern = need_str(args.require(0, "regex")?, "`regex`")?;
    let flags = Flags {
        ignore_case: args.named("ignorecase").map_or(Ok(false), Value::truthy)?,
        multiline: args.named("multiline").map_or(Ok(false), Value::truthy)?,
        ..Flags::default()
    };
    let regex = compile(pattern, flags, Anchor::Anywhere)?;
    let arguments = args.positional.iter().skip(1).map(|argument| need_str(argument, "a group"));
    let arguments: Vec<&str> = arguments.collect::<Result<_, _>>()?;
    for argument in &arguments {
        group_name(argument)?;
    }
    let Some(captures) = regex.captures(text.as_str()).map_err(failed)? else { return Ok(Value::None) };
    if arguments.is_empty() {
        return Ok(Value::str(group(&captures, 0).unwrap_or_default()));
    }
    let mut groups = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let found = group(&captures, wanted_group(argument, &regex)?);
        groups.push(found.map_or(Value::None, Value::from));
    }
    Ok(Value::list(groups))
}

fn escape(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["re_type"])?;
    let text = support::decoded(&value)?;
    let special: fn(char) -> bool = match str_or(args, 0, "re_type", "python")? {
        "python" => |c| "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}".contains(c),
        "posix_basic" => |c| "].[^$*\\".contains(c),
        // Ansible refuses `posix_extended` too.
        other => {
            let message = format!("`{other}` is no type of regular expressions that can be escaped");
            return Err(Error::of_value(message).hint("`python` and `posix_basic` are"));
        }
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(Value::str(out))
}

/// The names among `names` that a pattern finds.
pub(crate) fn matching(pattern: &str, names: Vec<String>) -> Result<Vec<Value>, Error> {
    let regex = compile(pattern, Flags::default(), Anchor::Anywhere)?;
    let mut found = Vec::new();
    for name in names {
        if regex.is_match(name.as_str()).map_err(failed)? {
            found.push(Value::str(name));
        }
    }
    Ok(found)
}
