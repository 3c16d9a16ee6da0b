//! Tests of what a value is.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, ErrorKind, Value};

use crate::support::{is_mapping, lenient_tests, need_str, optional, refuse_undefined, tests};

pub(crate) fn add(library: &mut Library) {
    lenient_tests!(library, "";
        "boolean" => boolean,
        "callable" => callable,
        "defined" => defined,
        "escaped" => escaped,
        "false" => is_false,
        "float" => float,
        "integer" => integer,
        "mapping" => mapping,
        "none" => none,
        "number" => number,
        "sequence" => sequence,
        "string" => string,
        "true" => is_true,
        "undefined" => undefined,
    );
    tests!(library, "";
        "filter" => filter,
        "iterable" => iterable,
        "test" => test,
    );
    tests!(library, "ansible.builtin.";
        "falsy" => falsy,
        "isnan" => not_a_number,
        "nan" => not_a_number,
        "truthy" => truthy,
    );
    lenient_tests!(library, "ansible.builtin.";
        "vault_encrypted" => vault_encrypted,
    );
}

/// Whether it exists; what failed for another reason than being undefined stays an error.
fn exists(value: &Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    match value {
        Value::Undefined(undefined) if undefined.error.kind != ErrorKind::Undefined => {
            Err(undefined.error.clone())
        }
        value => Ok(!value.is_undefined()),
    }
}

fn defined(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    exists(&value, args)
}

fn undefined(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    exists(&value, args).map(|exists| !exists)
}

fn none(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.is_none())
}

fn boolean(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.as_bool().is_some())
}

fn is_true(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.as_bool() == Some(true))
}

fn is_false(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.as_bool() == Some(false))
}

fn integer(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(matches!(value, Value::Int(_) | Value::BigInt(_)))
}

fn float(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(matches!(value, Value::Float(_)))
}

fn number(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(matches!(value, Value::Bool(_) | Value::Int(_) | Value::BigInt(_) | Value::Float(_)))
}

fn string(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(matches!(value, Value::Str(_)))
}

fn mapping(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(is_mapping(&value))
}

fn sequence(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(match &value {
        Value::View(view) => view.type_name == "range",
        Value::Vault(_) => true,
        value => value.len().is_ok(),
    })
}

fn iterable(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.iterate().is_ok() || matches!(value, Value::Vault(_)))
}

/// No value is callable, but Python's undefined one claims to be.
fn callable(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.is_undefined())
}

/// Nothing is marked as escaped here; the undefined value claims to be.
fn escaped(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(value.is_undefined())
}

/// Ansible fails where Jinja would say no.
fn known(what: &str, name: &str, is_known: bool) -> Result<bool, Error> {
    if is_known { Ok(true) } else { Err(Error::new(ErrorKind::Unknown, format!("no {what} named `{name}`"))) }
}

fn filter(context: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    let name = need_str(&value, "the name of a filter")?;
    known("filter", name, context.library.filters.contains_key(name))
}

fn test(context: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    let name = need_str(&value, "the name of a test")?;
    known("test", name, context.library.tests.contains_key(name))
}

/// The booleans that Ansible reads: `yes`, `off`, `1`, `0.0` and so on; `None` for anything else.
pub(crate) fn as_boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Str(text) => match text.trim().to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" => Some(false),
            _ => None,
        },
        value if *value == Value::Int(1) => Some(true),
        value if *value == Value::Int(0) => Some(false),
        _ => None,
    }
}

fn truth(value: &Value, args: &Args) -> Result<bool, Error> {
    args.only(&["convert_bool"])?;
    let convert = optional(args, 0, "convert_bool").map_or(Ok(false), Value::truthy)?;
    match as_boolean(value).filter(|_| convert) {
        Some(truth) => Ok(truth),
        None => value.truthy(),
    }
}

fn truthy(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args)
}

fn falsy(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args).map(|truth| !truth)
}

fn not_a_number(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    args.only(&[])?;
    Ok(matches!(value, Value::Float(f) if f.is_nan()))
}

fn vault_encrypted(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    refuse_undefined(&value, args)?;
    args.only(&[])?;
    Ok(matches!(value, Value::Vault(_)))
}
