//! Filters on maps.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Map, Value};

use crate::lists::flattened;
use crate::support::{
    self, entries, entry, filters, flag, ignore_case, insert, is_mapping, item, lenient_filters,
    need_entries, need_str, sequence, sort_by_key, str_or,
};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "";
        "attr" => attribute,
        "dictsort" => dict_sort,
    );
    lenient_filters!(library, "";
        "items" => items,
    );
    filters!(library, "ansible.builtin.";
        "combine" => combine,
        "dict2items" => dict_to_items,
        "items2dict" => items_to_dict,
        "rekey_on_member" => rekey_on_member,
        "subelements" => sub_elements,
    );
    // These have no short names in Ansible.
    filters!(library, "";
        "community.general.counter" => counter,
        "community.general.dict" => dict,
        "community.general.keep_keys" => keep_keys,
    );
}

/// Only the names that `groupby` gives are attributes; entries are none.
fn attribute(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["name"])?;
    let name = args.require(0, "name")?;
    match &value {
        Value::Tuple(_) => item(&value, name),
        other => Ok(Value::undefined(format!(
            "`{}` object has no attribute `{}`",
            other.type_name(),
            support::text(name)?
        ))),
    }
}

fn pairs(entries: Vec<(Value, Value)>) -> Value {
    Value::list(entries.into_iter().map(|(key, value)| Value::tuple(vec![key, value])).collect())
}

fn items(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    if value.is_undefined() {
        return Ok(Value::list(Vec::new()));
    }
    match entries(&value)? {
        Some(entries) => Ok(pairs(entries)),
        None => Err(Error::of_type("can only get item pairs from a mapping")),
    }
}

fn dict_sort(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["case_sensitive", "by", "reverse"])?;
    let case_sensitive = flag(args, 0, "case_sensitive")?;
    let by_value = match str_or(args, 1, "by", "key")? {
        "key" => false,
        "value" => true,
        _ => return Err(Error::of_value("you can only sort by either `key` or `value`")),
    };
    let reverse = flag(args, 2, "reverse")?;
    let keyed = need_entries(&value, "the input")?
        .into_iter()
        .map(|(key, value)| {
            let by = if by_value { value.clone() } else { key.clone() };
            (ignore_case(by, case_sensitive), Value::tuple(vec![key, value]))
        })
        .collect();
    let sorted = sort_by_key(keyed, reverse)?;
    Ok(Value::list(sorted.into_iter().map(|(_, pair)| pair).collect()))
}

fn dict_to_items(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["key_name", "value_name"])?;
    let (key_name, value_name) = names(args);
    let Some(entries) = entries(&value)? else {
        return Err(Error::of_type(format!("dict2items requires a map, got `{}`", value.type_name())));
    };
    let mut items = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let mut map = Map::new();
        insert(&mut map, key_name.clone(), key)?;
        insert(&mut map, value_name.clone(), value)?;
        items.push(Value::map(map));
    }
    Ok(Value::list(items))
}

fn names(args: &Args) -> (Value, Value) {
    let name = |position: usize, name: &str, default: &str| {
        args.get(position, name).cloned().unwrap_or_else(|| default.into())
    };
    (name(0, "key_name", "key"), name(1, "value_name", "value"))
}

fn items_to_dict(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["key_name", "value_name"])?;
    let (key_name, value_name) = names(args);
    let Some(items) = sequence(&value) else {
        return Err(Error::of_type(format!("items2dict requires a list, got `{}`", value.type_name())));
    };
    let mut map = Map::new();
    for item in items {
        if !is_mapping(item) {
            return Err(Error::of_type("items2dict requires a list of maps"));
        }
        match (entry(item, &key_name)?, entry(item, &value_name)?) {
            (Some(key), Some(value)) => insert(&mut map, key, value)?,
            _ => {
                return Err(Error::of_type(format!(
                    "items2dict requires each map to contain the keys `{}` and `{}`, got {}",
                    key_name.to_text(),
                    value_name.to_text(),
                    item.repr()
                )));
            }
        }
    }
    Ok(Value::map(map))
}

/// How `combine` treats lists that both sides have.
#[derive(Clone, Copy)]
enum ListMerge {
    Replace,
    Keep,
    Append,
    Prepend,
    AppendNew,
    PrependNew,
}

const DEEPEST: usize = 200;

fn combine(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    if args.named.iter().any(|(name, _)| !matches!(&**name, "recursive" | "list_merge")) {
        return Err(Error::of_value("`recursive` and `list_merge` are the only valid named arguments"));
    }
    let recursive = args.named("recursive").map_or(Ok(false), Value::truthy)?;
    let list_merge =
        args.named("list_merge").map_or(Ok("replace"), |merge| need_str(merge, "`list_merge`"))?;
    let terms: Vec<Value> = std::iter::once(value).chain(args.positional.iter().cloned()).collect();
    let maps = flattened(&terms, Some(&Value::Int(1)), true, 0)?;
    for map in &maps {
        all_defined(map, 0)?;
    }
    if maps.len() == 1 {
        return Ok(maps.into_iter().next().unwrap_or(Value::None));
    }
    let list_merge = match list_merge {
        "replace" => ListMerge::Replace,
        "keep" => ListMerge::Keep,
        "append" => ListMerge::Append,
        "prepend" => ListMerge::Prepend,
        "append_rp" => ListMerge::AppendNew,
        "prepend_rp" => ListMerge::PrependNew,
        _ if maps.is_empty() => ListMerge::Replace,
        other => {
            return Err(Error::of_value(format!(
                "`list_merge` can only be replace, keep, append, prepend, append_rp or prepend_rp, not `{other}`"
            )));
        }
    };
    let mut from_last = maps.into_iter().rev();
    let Some(mut result) = from_last.next() else { return Ok(Value::map(Map::new())) };
    for low in from_last {
        result = merged(&low, &result, recursive, list_merge, 0)?;
    }
    Ok(result)
}

fn all_defined(value: &Value, depth: usize) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply to combine"));
    }
    match value {
        Value::Map(map) => map.values().try_for_each(|value| all_defined(value, depth + 1)),
        Value::List(items) => items.iter().try_for_each(|value| all_defined(value, depth + 1)),
        value => support::defined(value).map(|_| ()),
    }
}

fn merged(
    low: &Value,
    high: &Value,
    recursive: bool,
    lists: ListMerge,
    depth: usize,
) -> Result<Value, Error> {
    let (Value::Map(low_map), Value::Map(high_map)) = (low, high) else {
        return Err(Error::of_type(format!(
            "failed to combine variables, expected maps but got `{}` and `{}`",
            low.type_name(),
            high.type_name()
        )));
    };
    if depth > DEEPEST {
        return Err(Error::of_value("value is nested too deeply to combine"));
    }
    if low_map.is_empty() || low == high {
        return Ok(high.clone());
    }
    let mut result = (**low_map).clone();
    for (key, high) in high_map.iter() {
        let Some(low) = result.get(key).cloned() else {
            result.insert(key.clone(), high.clone());
            continue;
        };
        let value = match (&low, high) {
            (Value::Map(_), Value::Map(_)) if recursive => merged(&low, high, recursive, lists, depth + 1)?,
            (Value::List(low), Value::List(high)) => merged_lists(low, high, lists),
            _ => high.clone(),
        };
        result.insert(key.clone(), value);
    }
    Ok(Value::map(result))
}

fn merged_lists(low: &[Value], high: &[Value], how: ListMerge) -> Value {
    let joined = |first: &[Value], second: &[Value]| first.iter().chain(second).cloned().collect::<Vec<_>>();
    let only_low = || low.iter().filter(|item| !high.contains(item)).cloned().collect::<Vec<_>>();
    Value::list(match how {
        ListMerge::Replace => high.to_vec(),
        ListMerge::Keep => low.to_vec(),
        ListMerge::Append => joined(low, high),
        ListMerge::Prepend => joined(high, low),
        ListMerge::AppendNew => joined(&only_low(), high),
        ListMerge::PrependNew => joined(high, &only_low()),
    })
}

fn sub_elements(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["subelements", "skip_missing"])?;
    let elements: Vec<Value> = match &value {
        Value::Map(map) => map.values().cloned().collect(),
        Value::List(items) => items.to_vec(),
        _ => return Err(Error::of_type("obj must be a list of maps or a nested map")),
    };
    let path: Vec<Value> = match args.require(0, "subelements")? {
        Value::List(path) => path.to_vec(),
        Value::Str(path) => path.split('.').map(Value::from).collect(),
        _ => return Err(Error::of_type("`subelements` must be a list or a text")),
    };
    let skip_missing = flag(args, 1, "skip_missing")?;
    let mut result = Vec::new();
    for element in elements {
        let mut found = Some(element.clone());
        for key in &path {
            let Some(parent) = found else { break };
            if !is_mapping(&parent) {
                return Err(Error::of_type(format!(
                    "the key `{}` should point to a map, got `{}`",
                    key.to_text(),
                    parent.repr()
                )));
            }
            found = entry(&parent, key)?;
            if found.is_none() && !skip_missing {
                return Err(Error::of_value(format!(
                    "could not find `{}` key in iterated item {}",
                    key.to_text(),
                    parent.repr()
                )));
            }
        }
        match found {
            None => {}
            Some(Value::List(values)) => {
                result.extend(values.iter().map(|value| Value::tuple(vec![element.clone(), value.clone()])));
            }
            Some(other) => {
                return Err(Error::of_type(format!("the key should point to a list, got {}", other.repr())));
            }
        }
    }
    Ok(Value::list(result))
}

fn rekey_on_member(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["key", "duplicates"])?;
    let key = args.require(0, "key")?;
    let overwrite = match str_or(args, 1, "duplicates", "error")? {
        "error" => false,
        "overwrite" => true,
        other => {
            return Err(Error::of_value(format!(
                "duplicates parameter to rekey_on_member has unknown value: {other}"
            )));
        }
    };
    let members: Vec<Value> = match &value {
        Value::Str(_) | Value::Bytes(_) => {
            return Err(Error::of_type("type is not a valid list, set, or map"));
        }
        value => match entries(value)? {
            Some(entries) => entries.into_iter().map(|(_, value)| value).collect(),
            None => value.iterate().map_err(|_| Error::of_type("type is not a valid list, set, or map"))?,
        },
    };
    let mut result = Map::new();
    for member in members {
        if !is_mapping(&member) {
            return Err(Error::of_type("list item is not a valid map"));
        }
        let new_key = entry(&member, key)?
            .ok_or_else(|| Error::of_value(format!("key `{}` was not found", key.to_text())))?;
        if result.contains_key(&new_key) && !overwrite {
            return Err(Error::of_value(format!(
                "key `{}` is not unique, cannot correctly turn into map",
                new_key.to_text()
            )));
        }
        insert(&mut result, new_key, member)?;
    }
    Ok(Value::map(result))
}

fn dict(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    if let Some(entries) = entries(&value)? {
        return Ok(Value::map(entries.into_iter().collect()));
    }
    let mut map = Map::new();
    for pair in value.iterate()? {
        match pair.iterate()?.as_slice() {
            [key, value] => insert(&mut map, key.clone(), value.clone())?,
            other => {
                return Err(Error::of_value(format!("a pair has 2 elements, this one has {}", other.len())));
            }
        }
    }
    Ok(Value::map(map))
}

fn counter(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    if sequence(&value).is_none() && value.as_str().is_none() {
        return Err(Error::of_type("argument for counter must be a list or text"));
    }
    let mut counts: Map = Map::new();
    for item in value.iterate()? {
        let count = counts.get(&item).and_then(Value::as_i64).unwrap_or(0);
        insert(&mut counts, item, Value::Int(count + 1))?;
    }
    Ok(Value::map(counts))
}

fn keep_keys(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["target", "matching_parameter"])?;
    let target = match args.require(0, "target")? {
        Value::Str(text) => vec![text.as_str().to_owned()],
        other => {
            let names = other.iterate()?;
            names.iter().map(|name| need_str(name, "a key").map(str::to_owned)).collect::<Result<_, _>>()?
        }
    };
    let matching = str_or(args, 1, "matching_parameter", "equal")?;
    let keeps = |key: &str| -> Result<bool, Error> {
        match matching {
            "equal" => Ok(target.iter().any(|name| name == key)),
            "starts_with" => Ok(target.iter().any(|name| key.starts_with(name.as_str()))),
            "ends_with" => Ok(target.iter().any(|name| key.ends_with(name.as_str()))),
            "regex" => match target.as_slice() {
                [pattern] => crate::regex::is_match(pattern, key, crate::regex::Anchor::Start),
                _ => Err(Error::of_value("a single regex is expected as `target`")),
            },
            other => Err(Error::of_value(format!("`matching_parameter` cannot be `{other}`"))),
        }
    };
    let mut result = Vec::new();
    for map in value.iterate()? {
        let mut kept = Map::new();
        for (key, value) in need_entries(&map, "each element")? {
            if keeps(need_str(&key, "a key")?)? {
                kept.insert(key, value);
            }
        }
        result.push(Value::map(kept));
    }
    Ok(Value::list(result))
}
