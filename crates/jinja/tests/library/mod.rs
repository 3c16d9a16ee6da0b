//! A few filters and tests, just enough to try the language with.

use std::path::{Path, PathBuf};

use kubespray_jinja::{Args, Context, Library, World};
use kubespray_value::{Error, ErrorKind, Value, json, parse_int};

/// A world without files, environment or time.
#[derive(Debug)]
pub(crate) struct Nothing;

impl World for Nothing {
    fn environment(&self, _: &str) -> Option<String> {
        None
    }
    fn read_file(&self, _: &Path) -> Result<Vec<u8>, Error> {
        Err(Error::of_value("no files"))
    }
    fn glob(&self, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        Vec::new()
    }
    fn home(&self, _: Option<&str>) -> Option<PathBuf> {
        None
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
    fn now(&self) -> (i64, u32) {
        (0, 0)
    }
    fn random(&self) -> u64 {
        4
    }
    fn pipe(&self, _: &str) -> Result<String, Error> {
        Err(Error::new(ErrorKind::Refused, "no"))
    }
}

fn defined(value: Value) -> Result<Value, Error> {
    match value {
        Value::Undefined(undefined) => Err(undefined.error.clone()),
        other => Ok(other),
    }
}

fn text(value: Value) -> Result<String, Error> {
    Ok(defined(value)?.to_text())
}

fn default(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["default_value", "boolean"])?;
    let replace = value.is_undefined() || (args.get(1, "boolean").is_some() && !value.truthy()?);
    Ok(if replace { args.get(0, "default_value").cloned().unwrap_or_else(|| "".into()) } else { value })
}

fn join(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parts: Result<Vec<String>, Error> = value.iterate()?.into_iter().map(text).collect();
    Ok(parts?.join(args.get(0, "d").and_then(Value::as_str).unwrap_or("")).into())
}

fn map(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let mut out = Vec::new();
    for item in value.iterate()? {
        out.push(match args.named("attribute") {
            Some(name) => item.as_map().unwrap().get(name).cloned().unwrap(),
            None => context.filter(args.positional[0].as_str().unwrap(), item, &args.skip(1))?,
        });
    }
    Ok(out.into())
}

fn select(context: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let mut out = Vec::new();
    for item in value.iterate()? {
        if context.test(args.positional[0].as_str().unwrap(), item.clone(), &args.skip(1))? {
            out.push(item);
        }
    }
    Ok(out.into())
}

fn sum(_: &Context<'_>, value: Value, _: &Args) -> Result<Value, Error> {
    Ok(Value::Int(value.iterate()?.iter().filter_map(Value::as_i64).sum()))
}

/// The filters and tests.
pub(crate) fn library() -> Library {
    let mut library = Library::default();
    let filters = &mut library.filters;
    filters.insert("upper", |_, v, _| Ok(text(v)?.to_uppercase().into()));
    filters.insert("lower", |_, v, _| Ok(text(v)?.to_lowercase().into()));
    filters.insert("trim", |_, v, _| Ok(text(v)?.trim().into()));
    filters.insert("string", |_, v, _| Ok(text(v)?.into()));
    filters.insert("replace", |_, v, a| {
        Ok(text(v)?
            .replace(a.require(0, "old")?.as_str().unwrap(), a.require(1, "new")?.as_str().unwrap())
            .into())
    });
    for name in ["default", "d"] {
        filters.insert(name, default);
    }
    filters.insert("join", join);
    filters.insert("map", map);
    filters.insert("select", select);
    filters.insert("selectattr", |_, v, a| {
        let name = a.require(0, "attribute")?;
        let kept = v
            .iterate()?
            .into_iter()
            .filter(|item| item.as_map().unwrap().get(name).unwrap().truthy().unwrap());
        Ok(kept.collect::<Vec<_>>().into())
    });
    filters.insert("list", |_, v, _| Ok(v.iterate()?.into()));
    filters.insert("length", |_, v, _| v.len().map(Value::from));
    filters.insert("first", |_, v, _| {
        Ok(v.iterate()?.first().cloned().unwrap_or_else(|| Value::undefined("empty")))
    });
    filters.insert("last", |_, v, _| {
        Ok(v.iterate()?.last().cloned().unwrap_or_else(|| Value::undefined("empty")))
    });
    filters.insert("sort", |_, v, _| Ok(kubespray_value::sort(&v.iterate()?, &Value::compare)?.into()));
    filters.insert("sum", sum);
    filters.insert("abs", |_, v, _| Ok(Value::Int(defined(v)?.as_i64().unwrap().abs())));
    filters.insert("int", |_, v, _| {
        Ok(match defined(v)? {
            Value::Float(f) => Value::Int(f as i64),
            other => parse_int(&other.to_text(), 10).unwrap_or(Value::Int(0)),
        })
    });
    filters.insert("to_json", |_, v, _| Ok(json::write(&defined(v)?, json::Layout::COMPACT)?.into()));
    filters.insert("ternary", |_, v, a| {
        if v.truthy()? { a.require(0, "true_val").cloned() } else { a.require(1, "false_val").cloned() }
    });
    for (dotted, name) in [
        ("ansible.builtin.to_json", "to_json"),
        ("ansible.builtin.string", "string"),
        ("ansible.builtin.upper", "upper"),
        ("ansible.builtin.default", "default"),
    ] {
        let filter = filters[name];
        filters.insert(dotted, filter);
    }
    let tests = &mut library.tests;
    tests.insert("defined", |_, v, _| Ok(!v.is_undefined()));
    tests.insert("undefined", |_, v, _| Ok(v.is_undefined()));
    tests.insert("none", |_, v, _| Ok(v.is_none()));
    tests.insert("string", |_, v, _| Ok(v.as_str().is_some()));
    tests.insert("number", |_, v, _| Ok(v.as_big().is_some() || matches!(v, Value::Float(_))));
    tests.insert("boolean", |_, v, _| Ok(v.as_bool().is_some()));
    tests.insert("true", |_, v, _| Ok(v.as_bool() == Some(true)));
    tests.insert("false", |_, v, _| Ok(v.as_bool() == Some(false)));
    tests.insert("mapping", |_, v, _| Ok(v.as_map().is_some()));
    tests.insert("sequence", |_, v, _| Ok(v.len().is_ok()));
    tests.insert("iterable", |_, v, _| Ok(v.iterate().is_ok()));
    tests.insert("callable", |_, _, _| Ok(false));
    tests.insert("lower", |_, v, _| Ok(text(v.clone())?.to_lowercase() == text(v)?));
    tests.insert("odd", |_, v, _| Ok(defined(v)?.as_i64().unwrap() % 2 == 1));
    tests.insert("divisibleby", |_, v, a| {
        Ok(defined(v)?.as_i64().unwrap() % a.require(0, "num")?.as_i64().unwrap() == 0)
    });
    for name in ["eq", "equalto", "sameas"] {
        tests.insert(name, |_, v, a| Ok(defined(v)? == *a.require(0, "other")?));
    }
    tests.insert("gt", |_, v, a| Ok(v.compare(a.require(0, "other")?)?.is_gt()));
    tests.insert("in", |_, v, a| match a.require(0, "seq")? {
        Value::Map(map) => Ok(map.contains_key(&v)),
        other => Ok(other.iterate()?.contains(&v)),
    });
    for name in ["match", "ansible.builtin.match"] {
        tests.insert(name, |_, v, a| {
            Ok(text(v)?.starts_with(a.require(0, "pattern")?.as_str().unwrap().trim_end_matches(".*")))
        });
    }
    library.filters.insert("format", |_, v, a| {
        Ok(kubespray_jinja::printf(&text(v)?, &Value::tuple(a.positional.clone()))?.into())
    });
    library.functions.insert("lookup", |_, a| {
        Err(Error::new(ErrorKind::Refused, format!("lookup `{}`", a.require(0, "name")?.to_text())))
    });
    library.functions.insert("undef", |_, a| {
        Ok(Value::undefined(a.get(0, "hint").map_or_else(|| "mandatory variable".to_owned(), Value::to_text)))
    });
    library
}
