//! Tests of texts.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::pattern::Flags;
use crate::regex::{Anchor, matches_with};
use crate::support::{decoded, flag, str_or, tests, text};

pub(crate) fn add(library: &mut Library) {
    tests!(library, "";
        "lower" => lower,
        "upper" => upper,
    );
    tests!(library, "ansible.builtin.";
        "match" => matches,
        "regex" => regex,
        "search" => search,
    );
}

/// At least one letter has a case, and none has the other one.
fn lower(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    let text = text(&value)?;
    Ok(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase))
}

fn upper(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    let text = text(&value)?;
    Ok(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase))
}

fn found(value: &Value, args: &Args, anchor: Anchor) -> Result<bool, Error> {
    let pattern = str_or(args, 0, "pattern", "")?;
    let flags = Flags {
        ignore_case: flag(args, 1, "ignorecase")?,
        multiline: flag(args, 2, "multiline")?,
        ..Flags::default()
    };
    matches_with(pattern, &decoded(value)?, flags, anchor)
}

fn matches(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["pattern", "ignorecase", "multiline"])?;
    found(&value, args, Anchor::Start)
}

fn search(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["pattern", "ignorecase", "multiline"])?;
    found(&value, args, Anchor::Anywhere)
}

fn regex(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&["pattern", "ignorecase", "multiline", "match_type"])?;
    let anchor = match str_or(args, 3, "match_type", "search")? {
        "search" => Anchor::Anywhere,
        "match" => Anchor::Start,
        "fullmatch" => Anchor::Whole,
        other => return Err(Error::of_value(format!("`match_type` cannot be `{other}`"))),
    };
    found(&value, args, anchor)
}
