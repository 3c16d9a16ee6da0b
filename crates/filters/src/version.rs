//! Versions: the test `version` and the filter `version_sort`.

use std::cmp::Ordering;

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::support::{self, decoded, filters, flag, optional, sort, str_or, tests, text};

pub(crate) fn add(library: &mut Library) {
    tests!(library, "ansible.builtin.";
        "version" => compare,
        "version_compare" => compare,
    );
    filters!(library, "community.general.";
        "version_sort" => version_sort,
    );
}

/// A part of a version; numbers compare with numbers, texts with texts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Number(String),
    Text(String),
}

impl Part {
    fn number(digits: &str) -> Self {
        Self::Number(digits.trim_start_matches('0').to_owned())
    }

    /// `None` where Python has no order: a number and a text.
    fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(a.len().cmp(&b.len()).then_with(|| a.cmp(b))),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Python's order of lists: the first differing parts decide, then the length.
fn order(a: &[Part], b: &[Part]) -> Result<Ordering, Error> {
    for (a, b) in a.iter().zip(b) {
        if a != b {
            return a.order(b).ok_or_else(|| {
                Error::of_type("version comparison failed: a number and a text have no order")
            });
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// Runs of digits, runs of lower case letters, and what lies between them; dots only separate.
fn loose(text: &str) -> Vec<Part> {
    fn class(c: char) -> u8 {
        match c {
            c if c.is_numeric() && c.is_ascii_digit() => 0,
            'a'..='z' => 1,
            '.' => 2,
            _ => 3,
        }
    }
    let mut parts = Vec::new();
    let mut run = String::new();
    let mut running = 3;
    for c in text.chars().map(Some).chain([None]) {
        let next = c.map_or(4, class);
        if next != running && !run.is_empty() {
            let run = std::mem::take(&mut run);
            match running {
                0 => parts.push(Part::number(&run)),
                1 | 3 => parts.push(Part::Text(run)),
                _ => {}
            }
        }
        running = next;
        run.extend(c);
    }
    parts
}

fn version_sort(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["reverse"])?;
    let reverse = flag(args, 0, "reverse")?;
    let mut keyed = Vec::new();
    for item in value.iterate()? {
        let Some(text) = item.as_str() else {
            return Err(Error::of_type(format!("a version must be a text, not `{}`", item.type_name())));
        };
        keyed.push((loose(text), item.clone()));
    }
    let sorted = sort(&keyed, &|(a, _), (b, _)| {
        let order = order(a, b)?;
        Ok(if reverse { order.reverse() } else { order })
    })?;
    Ok(Value::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

fn invalid(kind: &str, text: &str) -> Error {
    Error::of_value(format!("version comparison failed: invalid {kind} `{text}`"))
}

/// The letter and number of a pre-release.
type PreRelease = (char, Part);

/// `1.2`, `1.2.3`, `1.2a1`, `1.2.3b4`.
fn strict(text: &str) -> Result<(Vec<Part>, Option<PreRelease>), Error> {
    let wrong = || invalid("version number", text);
    let (core, pre) = match text.find(['a', 'b']) {
        Some(at) => {
            let (core, pre) = text.split_at(at);
            let mut chars = pre.chars();
            let letter = chars.next().ok_or_else(wrong)?;
            let digits = chars.as_str();
            if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
                return Err(wrong());
            }
            (core, Some((letter, Part::number(digits))))
        }
        None => (text, None),
    };
    let mut parts = Vec::new();
    for part in core.split('.') {
        if part.is_empty() || !part.chars().all(|c| c.is_ascii_digit()) {
            return Err(wrong());
        }
        parts.push(Part::number(part));
    }
    match parts.len() {
        2 => parts.push(Part::number("0")),
        3 => {}
        _ => return Err(wrong()),
    }
    Ok((parts, pre))
}

fn strict_order(a: &str, b: &str) -> Result<Ordering, Error> {
    let ((a, a_pre), (b, b_pre)) = (strict(a)?, strict(b)?);
    Ok(order(&a, &b)?.then_with(|| match (a_pre, b_pre) {
        (None, None) => Ordering::Equal,
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some((a, a_number)), Some((b, b_number))) => {
            a.cmp(&b).then_with(|| a_number.order(&b_number).unwrap_or(Ordering::Equal))
        }
    }))
}

/// Core numbers and the parts of the pre-release.
fn semantic(text: &str) -> Result<(Vec<Part>, Vec<Part>), Error> {
    let wrong = || invalid("semantic version", text);
    let valid = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    if build.is_some_and(|build| !build.split('.').all(valid)) {
        return Err(wrong());
    }
    let mut numbers = Vec::new();
    for part in core.split('.') {
        let digits = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        if !digits || (part.len() > 1 && part.starts_with('0')) {
            return Err(wrong());
        }
        numbers.push(Part::number(part));
    }
    if numbers.len() != 3 {
        return Err(wrong());
    }
    let mut parts = Vec::new();
    for part in pre.into_iter().flat_map(|pre| pre.split('.')) {
        if !valid(part) {
            return Err(wrong());
        }
        if part.chars().all(|c| c.is_ascii_digit()) {
            if part.len() > 1 && part.starts_with('0') {
                return Err(wrong());
            }
            parts.push(Part::number(part));
        } else {
            parts.push(Part::Text(part.to_owned()));
        }
    }
    Ok((numbers, parts))
}

fn semantic_order(a: &str, b: &str) -> Result<Ordering, Error> {
    let ((a, a_pre), (b, b_pre)) = (semantic(a)?, semantic(b)?);
    let core = order(&a, &b)?;
    if core.is_ne() {
        return Ok(core);
    }
    Ok(match (a_pre.is_empty(), b_pre.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let first = a_pre.iter().zip(&b_pre).find(|(a, b)| a != b);
            match first {
                // Numbers stand below texts.
                Some((a, b)) => a.order(b).unwrap_or(match a {
                    Part::Number(_) => Ordering::Less,
                    Part::Text(_) => Ordering::Greater,
                }),
                None => a_pre.len().cmp(&b_pre.len()),
            }
        }
    })
}

fn compare(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["version", "operator", "strict", "version_type"])?;
    let other = args.require(0, "version")?;
    let operator = str_or(args, 1, "operator", "eq")?;
    let strict = optional(args, 2, "strict");
    let kind = optional(args, 3, "version_type");
    if strict.is_some() && kind.is_some() {
        return Err(Error::of_value("cannot specify both `strict` and `version_type`"));
    }
    if !value.truthy()? {
        return Err(Error::of_value("input version value cannot be empty"));
    }
    if !other.truthy()? {
        return Err(Error::of_value("version parameter to compare against cannot be empty"));
    }
    let kind = match (strict.map_or(Ok(false), Value::truthy)?, kind) {
        (true, _) => "strict".to_owned(),
        (false, Some(kind)) if kind.truthy()? => text(kind)?,
        _ => "loose".to_owned(),
    };
    let holds: fn(Ordering) -> bool = match operator {
        "==" | "=" | "eq" => Ordering::is_eq,
        "<" | "lt" => Ordering::is_lt,
        "<=" | "le" => Ordering::is_le,
        ">" | "gt" => Ordering::is_gt,
        ">=" | "ge" => Ordering::is_ge,
        "!=" | "<>" | "ne" => Ordering::is_ne,
        other => {
            return Err(Error::of_value(format!("invalid operator type (`{other}`)"))
                .hint("use one of ==, <, <=, >, >=, !="));
        }
    };
    let (a, b) = (decoded(support::defined(&value)?)?, decoded(other)?);
    let order = match kind.as_str() {
        "loose" => {
            let (a, b) = (loose(&a), loose(&b));
            // Equality needs no order between the parts.
            if a == b { Ordering::Equal } else { order(&a, &b)? }
        }
        "strict" => strict_order(&a, &b)?,
        "semver" | "semantic" => semantic_order(&a, &b)?,
        "pep440" => crate::pep440::order(&a, &b)?,
        other => {
            return Err(Error::of_value(format!("invalid version type (`{other}`)"))
                .hint("use one of loose, strict, semver, semantic, pep440"));
        }
    };
    Ok(holds(order))
}
