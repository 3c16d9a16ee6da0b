//! `lookup`, `query` and what they can look up.

mod files;
mod lists;
mod numbers;
mod variables;

use kubespray_jinja::{Args, Context, Function, Library};
use kubespray_value::{Error, ErrorKind, Str, Value};

use crate::support::{defined, need_str, text};

pub(crate) fn add(library: &mut Library) {
    let functions: [(&'static str, Function); 4] =
        [("lookup", lookup), ("query", query), ("q", query), ("undef", undefined)];
    library.functions.extend(functions);
}

/// A lookup plugin: what to look up and the named arguments, to a list.
type Plugin = fn(&Context<'_>, &[Value], &Args) -> Result<Vec<Value>, Error>;

const PLUGINS: &[(&str, Plugin)] = &[
    ("dict", lists::dict),
    ("env", variables::environment),
    ("file", files::file),
    ("fileglob", files::file_glob),
    ("first_found", files::first_found),
    ("flattened", lists::flattened),
    ("indexed_items", lists::indexed_items),
    ("items", lists::items),
    ("list", lists::list),
    ("nested", lists::nested),
    ("pipe", files::pipe),
    ("random_choice", lists::random_choice),
    ("sequence", numbers::sequence),
    ("subelements", lists::sub_elements),
    ("together", lists::together),
    ("varnames", variables::names),
    ("vars", variables::values),
];

/// Lookups that exist in Ansible and are refused here, each with what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("config", "Ansible's own settings have no meaning here"),
    ("csvfile", "write the values into the inventory"),
    ("ini", "write the values into the inventory"),
    ("inventory_hostnames", "use `groups['name']`"),
    ("lines", "use `lookup('file', …).splitlines()`"),
    (
        "password",
        "leave the variable out: secrets are generated once and kept with the credentials of the cluster",
    ),
    ("template", "files are rendered when the cluster is set up; write the value into the inventory"),
    ("unvault", "put the encrypted value into the inventory with the tag `!vault`"),
    ("url", "an inventory must not depend on the network; write the value into the inventory"),
];

/// Whether an error belongs to the inventory, so that `errors='ignore'` does not hide it.
fn is_fundamental(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Undefined
            | ErrorKind::NeedsFacts
            | ErrorKind::Recursion
            | ErrorKind::Refused
            | ErrorKind::Limit
    )
}

fn looked_up(context: &Context<'_>, args: &Args) -> Result<Option<Vec<Value>>, Error> {
    let name = need_str(args.require(0, "name")?, "the name of a lookup")?;
    for value in &args.positional {
        defined(value)?;
    }
    let short = name
        .strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .or_else(|| name.strip_prefix("community.general."))
        .unwrap_or(name);
    let Some((_, plugin)) = PLUGINS.iter().find(|(known, _)| *known == short) else {
        return Err(match REFUSED.iter().find(|(known, _)| *known == short) {
            Some((_, hint)) => {
                Error::new(ErrorKind::Refused, format!("the lookup `{short}` is not supported")).hint(*hint)
            }
            None => unknown(short),
        });
    };
    let ignores = match args.named("errors") {
        None => false,
        Some(errors) => matches!(need_str(errors, "`errors`")?, "ignore" | "warn"),
    };
    let named =
        args.named.iter().filter(|(name, _)| !matches!(&**name, "errors" | "wantlist" | "allow_unsafe"));
    let options = Args { positional: Vec::new(), named: named.cloned().collect() };
    let mut terms = Vec::new();
    for term in args.positional.iter().skip(1) {
        terms.push(if may_be_template(term, 0) { context.scope.template(term)? } else { term.clone() });
    }
    for term in &terms {
        all_defined(term)?;
    }
    match plugin(context, &terms, &options) {
        Ok(found) => Ok(Some(found)),
        Err(error) if ignores && !is_fundamental(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a value holds text that Ansible would render once more before it looks anything up.
fn may_be_template(value: &Value, depth: usize) -> bool {
    match value {
        Value::Str(text) => {
            !text.is_unsafe() && (text.contains("{{") || text.contains("{%") || text.contains("{#"))
        }
        Value::List(items) | Value::Tuple(items) if depth < DEEPEST => {
            items.iter().any(|item| may_be_template(item, depth + 1))
        }
        Value::Map(map) if depth < DEEPEST => map.values().any(|value| may_be_template(value, depth + 1)),
        _ => false,
    }
}

fn all_defined(term: &Value) -> Result<(), Error> {
    match term {
        Value::List(items) => items.iter().try_for_each(|item| defined(item).map(|_| ())),
        term => defined(term).map(|_| ()),
    }
}

fn unknown(name: &str) -> Error {
    let error = Error::new(ErrorKind::Unknown, format!("no lookup named `{name}`"));
    match closest(name, PLUGINS.iter().map(|(known, _)| *known)) {
        Some(known) => error.hint(format!("did you mean `{known}`?")),
        None => error,
    }
}

/// The name that differs in few letters.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be changed, added or removed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, a) in a.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for (b, pair) in b.iter().zip(row.windows(2)) {
            if let [diagonal, above] = pair {
                left = (diagonal + usize::from(a != *b)).min(above + 1).min(left + 1);
                next.push(left);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

const DEEPEST: usize = 200;

/// Marks all texts so that they are never taken for templates (ANS-031).
fn never_template(value: Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return value;
    }
    let all = |items: &[Value]| items.iter().map(|item| never_template(item.clone(), depth + 1)).collect();
    match value {
        Value::Str(text) => Value::Str(Str::new_unsafe(text.as_str())),
        Value::List(items) => Value::list(all(&items)),
        Value::Tuple(items) => Value::tuple(all(&items)),
        Value::Map(map) => {
            Value::map(map.iter().map(|(k, v)| (k.clone(), never_template(v.clone(), depth + 1))).collect())
        }
        other => other,
    }
}

fn lookup(context: &Context<'_>, args: &Args) -> Result<Value, Error> {
    if args.named("wantlist").map_or(Ok(false), Value::truthy)? {
        return query(context, args);
    }
    let Some(found) = looked_up(context, args)? else { return Ok(Value::None) };
    if found.is_empty() {
        return Ok(Value::list(found));
    }
    let texts: Option<Vec<&str>> = found.iter().map(Value::as_str).collect();
    Ok(match (texts, found.as_slice()) {
        (Some(texts), _) => Value::unsafe_str(texts.join(",")),
        (None, [only]) => never_template(only.clone(), 0),
        (None, _) => never_template(Value::list(found), 0),
    })
}

fn query(context: &Context<'_>, args: &Args) -> Result<Value, Error> {
    let found = looked_up(context, args)?.unwrap_or_default();
    Ok(never_template(Value::list(found), 0))
}

fn undefined(_: &Context<'_>, args: &Args) -> Result<Value, Error> {
    args.only(&["hint"])?;
    let hint = match args.get(0, "hint") {
        None | Some(Value::None | Value::Undefined(_)) => String::new(),
        Some(hint) => text(hint)?,
    };
    Ok(Value::undefined(if hint.is_empty() {
        "mandatory variable has not been overridden".to_owned()
    } else {
        hint
    }))
}

/// The boolean that an option gives, in any of Ansible's spellings; anything else is false.
fn switch(options: &Args, name: &str, default: bool) -> bool {
    options.named(name).map_or(default, |value| crate::checks::as_boolean(value).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_lookups_get_a_suggestion() {
        for (name, known) in
            [("flie", Some("file")), ("envs", Some("env")), ("first-found", Some("first_found"))]
        {
            assert_eq!(closest(name, PLUGINS.iter().map(|(known, _)| *known)), known, "{name}");
        }
        assert_eq!(closest("aws_ssm", PLUGINS.iter().map(|(known, _)| *known)), None);
    }
}
