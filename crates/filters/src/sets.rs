//! Filters that take lists for sets, and combinatorics.
//!
//! Python's sets have no stable order; ours keep the first-seen one (ANS-036).

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Map, Value};

use crate::support::{self, Path, filters, flag, ignore_case, is_hashable, need_int, optional, within_limit};

pub(crate) fn add(library: &mut Library) {
    filters!(library, "ansible.builtin.";
        "combinations" => combinations,
        "difference" => difference,
        "intersect" => intersect,
        "permutations" => permutations,
        "product" => product,
        "symmetric_difference" => symmetric_difference,
        "union" => union,
        "unique" => unique,
    );
}

fn distinct(items: Vec<Value>) -> Result<Vec<Value>, Error> {
    let mut seen = Map::new();
    let alone = items.len() == 1;
    for item in items {
        // Python compares nothing where there is nothing to compare with.
        if !alone {
            support::defined(&item)?;
        }
        seen.entry(item).or_insert(Value::None);
    }
    Ok(seen.into_keys().collect())
}

fn unique(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["case_sensitive", "attribute"])?;
    let case_sensitive = args.get(0, "case_sensitive").map_or(Ok(false), Value::truthy)?;
    let refuses_fallback = args.get(0, "case_sensitive").is_some_and(|v| v.as_bool() == Some(false))
        || flag(args, 1, "attribute")?;
    let path = optional(args, 1, "attribute").map(Path::new);
    let items = value.iterate()?;
    let mut kept = Vec::new();
    let mut seen = Map::new();
    for item in &items {
        let key = match &path {
            Some(path) => path.follow(item, None)?,
            None => item.clone(),
        };
        if key.is_undefined() || !is_hashable(&key) {
            if refuses_fallback {
                support::defined(&key)?;
                return Err(Error::of_type(format!("unhashable type: `{}`", key.type_name())));
            }
            // Ansible's own way for what Python's sets cannot hold minds case.
            return distinct(items).map(Value::list);
        }
        if seen.insert(ignore_case(key, case_sensitive), Value::None).is_none() {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

/// Both sides as lists, and whether sets can hold them.
fn sides(value: &Value, args: &Args) -> Result<(Vec<Value>, Vec<Value>, bool), Error> {
    args.only(&["b"])?;
    let (a, b) = (value.iterate()?, args.require(0, "b")?.iterate()?);
    let hashable = a.iter().chain(&b).all(is_hashable);
    Ok((a, b, hashable))
}

fn members(items: &[Value]) -> Map {
    items.iter().map(|item| (item.clone(), Value::None)).collect()
}

/// The errors of Python's `in`, which is what is left where sets cannot hold the members.
fn contained(items: &[Value], args: &Args) -> Result<(), Error> {
    let container = args.require(0, "b")?;
    items.iter().try_for_each(|item| support::contains(container, item).map(|_| ()))
}

fn intersect(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (a, b, hashable) = sides(&value, args)?;
    if !hashable {
        contained(&a, args)?;
    }
    let others = members(&b);
    distinct(a.into_iter().filter(|item| others.contains_key(item)).collect()).map(Value::list)
}

fn difference(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (a, b, hashable) = sides(&value, args)?;
    if !hashable {
        contained(&a, args)?;
    }
    let others = members(&b);
    distinct(a.into_iter().filter(|item| !others.contains_key(item)).collect()).map(Value::list)
}

fn union(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (a, b, hashable) = sides(&value, args)?;
    if !hashable {
        crate::numbers::plus(&value, args.require(0, "b")?)?;
    }
    distinct(a.into_iter().chain(b).collect()).map(Value::list)
}

fn symmetric_difference(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (a, b, hashable) = sides(&value, args)?;
    if !hashable {
        crate::numbers::plus(&value, args.require(0, "b")?)?;
    }
    let (left, right) = (members(&a), members(&b));
    let either = a.into_iter().chain(b).filter(|item| left.contains_key(item) != right.contains_key(item));
    distinct(either.collect()).map(Value::list)
}

fn product(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    if args.named.iter().any(|(name, _)| &**name != "repeat") {
        return Err(Error::of_type("product() got an unexpected keyword argument"));
    }
    let repeat = args.named("repeat").map_or(Ok(1), |repeat| need_int(repeat, "`repeat`"))?;
    let repeat =
        usize::try_from(repeat).map_err(|_| Error::of_value("repeat argument cannot be negative"))?;
    let mut factors = vec![value.iterate()?];
    for factor in &args.positional {
        factors.push(factor.iterate()?);
    }
    let width = repeat.saturating_mul(factors.len());
    rows_within_limit(1, width)?;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for factor in factors.iter().cycle().take(width) {
        rows_within_limit(rows.len().saturating_mul(factor.len()), width)?;
        let longer = |row: &Vec<Value>| {
            let row = row.clone();
            factor.iter().map(move |item| row.iter().cloned().chain([item.clone()]).collect())
        };
        rows = rows.iter().flat_map(longer).collect();
    }
    Ok(Value::list(rows.into_iter().map(Value::tuple).collect()))
}

/// Refuses rows that take too long to make: each of their elements is copied once for each that follows.
fn rows_within_limit(rows: usize, width: usize) -> Result<(), Error> {
    within_limit(rows.saturating_mul(width).saturating_mul(width))
}

fn size(value: Option<&Value>) -> Result<Option<usize>, Error> {
    value
        .map(|size| {
            usize::try_from(need_int(size, "`r`")?).map_err(|_| Error::of_value("r must be non-negative"))
        })
        .transpose()
}

fn permutations(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["r"])?;
    let items = value.iterate()?;
    let size = size(optional(args, 0, "r"))?.unwrap_or(items.len());
    arranged(&items, size, &|row, index| !row.contains(&index))
}

fn combinations(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["r"])?;
    let items = value.iterate()?;
    let size = size(Some(args.require(0, "r")?))?.unwrap_or(0);
    arranged(&items, size, &|row, index| row.last().is_none_or(|last| index > *last))
}

/// All rows of `size` positions, each position allowed by those before it.
fn arranged(items: &[Value], size: usize, allowed: &dyn Fn(&[usize], usize) -> bool) -> Result<Value, Error> {
    if size > items.len() {
        return Ok(Value::list(Vec::new()));
    }
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let mut longer = Vec::new();
        for row in &rows {
            for index in (0..items.len()).filter(|index| allowed(row, *index)) {
                longer.push(row.iter().copied().chain([index]).collect());
            }
            rows_within_limit(longer.len(), size)?;
        }
        rows = longer;
    }
    let values = |row: Vec<usize>| row.into_iter().filter_map(|index| items.get(index).cloned()).collect();
    Ok(Value::list(rows.into_iter().map(|row| Value::tuple(values(row))).collect()))
}
