//! Filters on lists.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::support::{
    self, Path, filters, flag, ignore_case, item, lenient_filters, need_int, need_str, optional, paths,
    sequence, sort_by_key, text, within_limit,
};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "batch" => batch,
        "count" => length,
        "first" => first,
        "groupby" => group_by,
        "join" => join,
        "last" => last,
        "length" => length,
        "list" => list,
        "max" => max,
        "min" => min,
        "reverse" => reverse,
        "slice" => slice,
        "sort" => sort,
    );
    lenient_filters!(library, "";
        "map" => map,
        "reject" => reject,
        "rejectattr" => reject_attribute,
        "select" => select,
        "selectattr" => select_attribute,
    );
    filters!(library, "ansible.builtin.";
        "flatten" => flatten,
        "zip" => zip,
        "zip_longest" => zip_longest,
    );
    lenient_filters!(library, "ansible.builtin.";
        "extract" => extract,
    );
}

fn length(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(value.len()?.into())
}

fn list(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(Value::list(value.iterate()?))
}

fn first(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let first = value.iterate()?.into_iter().next();
    Ok(first.unwrap_or_else(|| Value::undefined("no first item, sequence was empty")))
}

fn last(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    let last = value.iterate()?.into_iter().next_back();
    Ok(last.unwrap_or_else(|| Value::undefined("no last item, sequence was empty")))
}

fn reverse(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    if let Value::Str(text) = &value {
        return Ok(Value::str(text.chars().rev().collect::<String>()));
    }
    let mut items = value.iterate()?;
    items.reverse();
    Ok(Value::list(items))
}

fn join(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["d", "attribute"])?;
    let separator = args.get(0, "d").map_or(Ok(String::new()), text)?;
    let path = optional(args, 1, "attribute").map(Path::new);
    let mut out = String::new();
    for (index, item) in value.iterate()?.into_iter().enumerate() {
        let item = match &path {
            Some(path) => path.follow(&item, None)?,
            None => item,
        };
        if index > 0 {
            out.push_str(&separator);
        }
        out.push_str(&text(&item)?);
        within_limit(out.len())?;
    }
    Ok(Value::str(out))
}

fn batch(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["linecount", "fill_with"])?;
    let count = args.require(0, "linecount")?;
    let fill = optional(args, 1, "fill_with");
    let mut rows: Vec<Value> = Vec::new();
    let mut row: Vec<Value> = Vec::new();
    for item in value.iterate()? {
        if Value::from(row.len()) == *count {
            rows.push(Value::list(std::mem::take(&mut row)));
        }
        row.push(item);
    }
    if !row.is_empty() {
        if let Some(fill) = fill {
            let count = usize::try_from(need_int(count, "`linecount`")?).unwrap_or(0);
            within_limit(count)?;
            while row.len() < count {
                row.push(fill.clone());
            }
        }
        rows.push(Value::list(row));
    }
    Ok(Value::list(rows))
}

fn slice(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["slices", "fill_with"])?;
    let slices = need_int(args.require(0, "slices")?, "`slices`")?;
    let fill = optional(args, 1, "fill_with");
    let items = value.iterate()?;
    if slices == 0 {
        return Err(Error::of_value("integer division or modulo by zero"));
    }
    let slices = usize::try_from(slices).unwrap_or(0);
    within_limit(slices)?;
    let mut rest = items.iter();
    let mut columns = Vec::new();
    for column in 0..slices {
        let larger = column < items.len() % slices;
        let mut part: Vec<Value> =
            rest.by_ref().take(items.len() / slices + usize::from(larger)).cloned().collect();
        if let (Some(fill), false) = (fill, larger) {
            part.push(fill.clone());
        }
        columns.push(Value::list(part));
    }
    Ok(Value::list(columns))
}

fn sort(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["reverse", "case_sensitive", "attribute"])?;
    let (reverse, case_sensitive) = (flag(args, 0, "reverse")?, flag(args, 1, "case_sensitive")?);
    let paths = paths(optional(args, 2, "attribute"));
    let mut keyed = Vec::new();
    let items = value.iterate()?;
    let alone = items.len() == 1;
    for item in items {
        let mut keys = Vec::with_capacity(paths.len());
        for path in &paths {
            let key = path.follow(&item, None)?;
            if !alone {
                support::defined(&key)?;
            }
            keys.push(ignore_case(key, case_sensitive));
        }
        keyed.push((Value::list(keys), item));
    }
    let sorted = sort_by_key(keyed, reverse)?;
    Ok(Value::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

fn min(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    extreme(&value, args, std::cmp::Ordering::Less)
}

fn max(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    extreme(&value, args, std::cmp::Ordering::Greater)
}

fn extreme(value: &Value, args: &Args, wanted: std::cmp::Ordering) -> Result<Value, Error> {
    args.only(&["case_sensitive", "attribute"])?;
    let case_sensitive = flag(args, 0, "case_sensitive")?;
    let path = optional(args, 1, "attribute").map(Path::new);
    let mut best: Option<(Value, Value)> = None;
    for item in value.iterate()? {
        let key = match &path {
            Some(path) => path.follow(&item, None)?,
            None => item.clone(),
        };
        let key = ignore_case(key, case_sensitive);
        let better = match &best {
            None => true,
            Some((best, _)) => key.compare(best)? == wanted,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("no aggregated item, sequence was empty"), |(_, item)| item))
}

fn group_by(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["attribute", "default", "case_sensitive"])?;
    let path = Path::new(args.require(0, "attribute")?);
    let default = optional(args, 1, "default");
    let case_sensitive = flag(args, 2, "case_sensitive")?;
    let mut keyed = Vec::new();
    for item in value.iterate()? {
        keyed.push((ignore_case(path.follow(&item, default)?, case_sensitive), item));
    }
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in sort_by_key(keyed, false)? {
        match groups.last_mut() {
            Some((last, items)) if *last == key => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let mut result = Vec::with_capacity(groups.len());
    for (key, items) in groups {
        let shown = match items.first() {
            Some(first) => path.follow(first, default)?,
            None => key,
        };
        result.push(Value::tuple(vec![shown, Value::list(items)]));
    }
    Ok(Value::list(result))
}

fn map(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    if !value.truthy()? {
        return Ok(Value::list(Vec::new()));
    }
    let mut mapped = Vec::new();
    match (args.positional.first(), args.named("attribute")) {
        (None, Some(attribute)) => {
            args.only(&["", "attribute", "default"])?;
            let path = Path::new(attribute);
            let default = args.named("default").filter(|default| !default.is_none());
            for item in value.iterate()? {
                mapped.push(path.follow(&item, default)?);
            }
        }
        (Some(name), _) => {
            let name = need_str(name, "the name of a filter")?;
            let rest = args.skip(1);
            for item in value.iterate()? {
                mapped.push(context.filter(name, item, &rest)?);
            }
        }
        (None, None) => return Err(Error::of_type("map requires a filter argument")),
    }
    Ok(Value::list(mapped))
}

fn select(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    chosen(context, &value, args, false, true)
}

fn reject(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    chosen(context, &value, args, false, false)
}

fn select_attribute(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    chosen(context, &value, args, true, true)
}

fn reject_attribute(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    chosen(context, &value, args, true, false)
}

fn chosen(
    context: &Context<'_>,
    value: &Value,
    args: &Args,
    by_attribute: bool,
    wanted: bool,
) -> Result<Value, Error> {
    if !value.truthy()? {
        return Ok(Value::list(Vec::new()));
    }
    let path = match (by_attribute, args.positional.first()) {
        (false, _) => None,
        (true, Some(attribute)) => Some(Path::new(attribute)),
        (true, None) => return Err(Error::of_type("missing parameter for attribute name")),
    };
    let at = usize::from(by_attribute);
    let test = args.positional.get(at).map(|name| need_str(name, "the name of a test")).transpose()?;
    let rest = args.skip(at + 1);
    let mut kept = Vec::new();
    for item in value.iterate()? {
        let tested = match &path {
            Some(path) => path.follow(&item, None)?,
            None => item.clone(),
        };
        let holds = match test {
            Some(test) => context.test(test, tested, &rest)?,
            None => tested.truthy()?,
        };
        if holds == wanted {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn extract(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["container", "morekeys"])?;
    let mut found = item(args.require(0, "container")?, support::defined(&value)?)?;
    match optional(args, 1, "morekeys") {
        None => {}
        Some(Value::List(keys)) => {
            for key in keys.iter() {
                found = item(&found, key)?;
            }
        }
        Some(key) => found = item(&found, key)?,
    }
    Ok(found)
}

const DEEPEST: usize = 200;

/// Lists within a list become part of it, `levels` deep (`None`: all).
pub(crate) fn flattened(
    items: &[Value],
    levels: Option<&Value>,
    skip_nulls: bool,
    depth: usize,
) -> Result<Vec<Value>, Error> {
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply to flatten"));
    }
    let mut flat = Vec::new();
    for item in items {
        support::defined(item)?;
        let is_null = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if skip_nulls && is_null {
            continue;
        }
        match (sequence(item), levels) {
            (Some(items), None) => flat.extend(flattened(items, None, skip_nulls, depth + 1)?),
            (Some(items), Some(levels)) => {
                let levels = match levels {
                    Value::Float(f) => *f as i64,
                    levels => need_int(levels, "`levels`")?,
                };
                if levels >= 1 {
                    flat.extend(flattened(items, Some(&Value::Int(levels - 1)), skip_nulls, depth + 1)?);
                } else {
                    flat.push(item.clone());
                }
            }
            (None, _) => flat.push(item.clone()),
        }
    }
    Ok(flat)
}

fn flatten(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["levels", "skip_nulls"])?;
    let levels = optional(args, 0, "levels");
    let skip_nulls = args.get(1, "skip_nulls").map_or(Ok(true), Value::truthy)?;
    Ok(Value::list(flattened(&value.iterate()?, levels, skip_nulls, 0)?))
}

fn columns(value: &Value, args: &Args) -> Result<Vec<Vec<Value>>, Error> {
    std::iter::once(value).chain(&args.positional).map(Value::iterate).collect()
}

fn zip(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let strict = args.named("strict").map_or(Ok(false), Value::truthy)?;
    if args.named.iter().any(|(name, _)| &**name != "strict") {
        return Err(Error::of_type("zip() takes no argument of that name"));
    }
    let columns = columns(&value, args)?;
    let shortest = columns.iter().map(Vec::len).min().unwrap_or(0);
    if strict && columns.iter().any(|column| column.len() != shortest) {
        return Err(Error::of_value("zip() arguments differ in length"));
    }
    let row = |index: usize| columns.iter().filter_map(|column| column.get(index).cloned()).collect();
    Ok(Value::list((0..shortest).map(|index| Value::tuple(row(index))).collect()))
}

fn zip_longest(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    if args.named.iter().any(|(name, _)| &**name != "fillvalue") {
        return Err(Error::of_type("zip_longest() got an unexpected keyword argument"));
    }
    let fill = args.named("fillvalue").cloned().unwrap_or(Value::None);
    let columns = columns(&value, args)?;
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let row = |index: usize| {
        columns.iter().map(|column| column.get(index).cloned().unwrap_or_else(|| fill.clone())).collect()
    };
    Ok(Value::list((0..longest).map(|index| Value::tuple(row(index))).collect()))
}
