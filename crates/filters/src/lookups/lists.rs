//! Lookups that arrange what they are given.

#![expect(clippy::unnecessary_wraps, reason = "all lookups have one signature")]

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, Map, Value};

use crate::support::{entries, entry, need_str, within_limit};

fn is_list(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Tuple(_))
}

/// One level of lists is taken apart.
fn one_level(terms: &[Value]) -> Vec<Value> {
    let mut flat = Vec::new();
    for term in terms {
        match term {
            Value::List(items) | Value::Tuple(items) => flat.extend(items.iter().cloned()),
            other => flat.push(other.clone()),
        }
    }
    flat
}

/// A text stands for a list of itself.
fn listed(term: &Value) -> Result<Vec<Value>, Error> {
    match term {
        Value::Str(_) => Ok(vec![term.clone()]),
        other if other.iterate().is_err() => Ok(vec![other.clone()]),
        other => other.iterate(),
    }
}

pub(super) fn items(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    Ok(one_level(terms))
}

/// Lists at any depth are taken apart; `None` and `null` as texts end a list.
pub(super) fn flattened(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    flattened_within(terms, 0)
}

const DEEPEST: usize = 200;

fn flattened_within(terms: &[Value], depth: usize) -> Result<Vec<Value>, Error> {
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply to flatten"));
    }
    let mut flat = Vec::new();
    for term in terms {
        match term {
            Value::Str(text) if matches!(text.as_str(), "None" | "null") => break,
            Value::List(items) => flat.extend(flattened_within(items, depth + 1)?),
            other => flat.push(other.clone()),
        }
    }
    Ok(flat)
}

pub(super) fn list(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    Ok(terms.to_vec())
}

pub(super) fn indexed_items(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let items = one_level(terms).into_iter().enumerate();
    Ok(items.map(|(index, item)| Value::tuple(vec![index.into(), item])).collect())
}

pub(super) fn dict(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let mut items = Vec::new();
    for term in terms {
        let Some(entries) = entries(term)? else {
            return Err(Error::of_type(format!(
                "the lookup `dict` expects a map, got `{}`",
                term.type_name()
            )));
        };
        for (key, value) in entries {
            items.push(Value::map(
                [("key".into(), key), ("value".into(), value)].into_iter().collect::<Map>(),
            ));
        }
    }
    Ok(items)
}

pub(super) fn nested(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let mut lists = terms.iter().map(listed);
    let Some(first) = lists.next() else {
        return Err(Error::of_value("the lookup `nested` requires at least one element in the nested list"));
    };
    let mut rows: Vec<Value> = first?;
    for list in lists {
        let list = list?;
        within_limit(rows.len().saturating_mul(list.len()))?;
        let mut longer = Vec::new();
        for row in &rows {
            for item in &list {
                longer.push(Value::list(one_level(&[row.clone(), item.clone()])));
            }
        }
        rows = longer;
    }
    rows.into_iter()
        .map(|row| match &row {
            Value::List(items) | Value::Tuple(items) => Ok(Value::list(one_level(items))),
            Value::Str(_) => Ok(Value::list(row.iterate()?)),
            other => Ok(Value::list(one_level(&other.iterate()?))),
        })
        .collect()
}

pub(super) fn together(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let columns: Vec<Vec<Value>> = terms.iter().map(listed).collect::<Result<_, _>>()?;
    if columns.is_empty() {
        return Err(Error::of_value("the lookup `together` requires at least one element in each list"));
    }
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let row = |index: usize| -> Vec<Value> {
        columns.iter().map(|column| column.get(index).cloned().unwrap_or(Value::None)).collect()
    };
    Ok((0..longest).map(|index| Value::list(one_level(&row(index)))).collect())
}

pub(super) fn random_choice(context: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    Ok(crate::random::choice(context.world, terms).into_iter().collect())
}

pub(super) fn sub_elements(_: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let wrong = |what: &str| {
        Error::of_type(format!("the lookup `subelements` expects a list of two or three items, {what}"))
    };
    let (elements, path, flags) = match terms {
        [elements, path] => (elements, path, None),
        [elements, path, flags] => (elements, path, Some(flags)),
        _ => return Err(wrong("not another number")),
    };
    let path: Vec<&str> = need_str(path, "the second item")?.split('.').collect();
    let skip_missing = match flags {
        None => false,
        Some(flags) => entry(flags, &"skip_missing".into())?
            .is_some_and(|skip| crate::checks::as_boolean(&skip).unwrap_or(false)),
    };
    let skipped = |map: &Value| -> Result<bool, Error> {
        Ok(entry(map, &"skipped".into())?.is_some_and(|skipped| skipped.as_bool() != Some(false)))
    };
    let elements: Vec<Value> = match elements {
        Value::Map(map) => {
            if skipped(elements)? {
                return Ok(Vec::new());
            }
            map.values().cloned().collect()
        }
        list if is_list(list) => list.iterate()?,
        _ => return Err(wrong("the first a map or a list")),
    };
    let mut result = Vec::new();
    for element in elements {
        if !matches!(element, Value::Map(_)) {
            return Err(Error::of_type(format!(
                "the lookup `subelements` expects maps, got {}",
                element.repr()
            )));
        }
        if skipped(&element)? {
            continue;
        }
        let (left, found) = without(&element, &path, skip_missing)?;
        result.extend(found.into_iter().map(|item| Value::tuple(vec![left.clone(), item])));
    }
    Ok(result)
}

/// An element without the list that a path leads to, and that list.
fn without(element: &Value, path: &[&str], skip_missing: bool) -> Result<(Value, Vec<Value>), Error> {
    let nothing = || Ok((element.clone(), Vec::new()));
    let (Value::Map(map), [key, deeper @ ..]) = (element, path) else { return nothing() };
    let mut map = (**map).clone();
    let Some(value) = map.get(*key).cloned() else {
        if skip_missing {
            return nothing();
        }
        return Err(Error::of_value(format!(
            "could not find `{key}` key in iterated item {}",
            element.repr()
        )));
    };
    match (&value, deeper) {
        (Value::List(items), []) => {
            map.shift_remove(*key);
            Ok((Value::map(map), items.to_vec()))
        }
        (_, []) => {
            Err(Error::of_type(format!("the key `{key}` should point to a list, got {}", value.repr())))
        }
        (Value::Map(_), deeper) => {
            let (left, found) = without(&value, deeper, skip_missing)?;
            map.insert((*key).into(), left);
            Ok((Value::map(map), found))
        }
        (_, _) if skip_missing => nothing(),
        _ => Err(Error::of_type(format!("the key `{key}` should point to a map, got {}", value.repr()))),
    }
}
