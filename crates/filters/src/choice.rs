//! Filters that decide between values, and those that are refused.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, ErrorKind, Value};

use crate::support::{self, filters, lenient_filters, optional, refuse_undefined};

pub(crate) fn add(library: &mut Library) {
    lenient_filters!(library, "";
        "d" => default,
        "default" => default,
    );
    lenient_filters!(library, "ansible.builtin.";
        "mandatory" => mandatory,
        "ternary" => ternary,
        "type_debug" => type_debug,
    );
    filters!(library, "ansible.builtin.";
        "unvault" => unvault,
        "vault" => vault,
    );
    filters!(library, "community.general.";
        "json_query" => json_query,
    );
}

fn default(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["default_value", "boolean"])?;
    let replaces = match &value {
        Value::Undefined(undefined) => match undefined.error.kind {
            ErrorKind::Undefined => true,
            // It will exist: no default stands in for it, and whoever needs it meets its error.
            _ => return Ok(value),
        },
        value => support::flag(args, 1, "boolean")? && !value.truthy()?,
    };
    Ok(if replaces { args.get(0, "default_value").cloned().unwrap_or_else(|| "".into()) } else { value })
}

fn mandatory(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["msg"])?;
    match (&value, optional(args, 0, "msg")) {
        (Value::Undefined(undefined), Some(message)) if undefined.error.kind == ErrorKind::Undefined => {
            Err(Error::of_value(support::text(message)?))
        }
        (Value::Undefined(undefined), None) if undefined.error.kind == ErrorKind::Undefined => {
            Err(Error::of_value(format!("mandatory variable not defined: {}", undefined.error.message)))
        }
        (Value::Undefined(undefined), _) => Err(undefined.error.clone()),
        _ => Ok(value),
    }
}

fn ternary(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&["true_val", "false_val", "none_val"])?;
    let (yes, no) = (args.require(0, "true_val")?, args.require(1, "false_val")?);
    if let (true, Some(none)) = (value.is_none(), optional(args, 2, "none_val")) {
        return Ok(none.clone());
    }
    Ok(if value.truthy()? { yes.clone() } else { no.clone() })
}

fn type_debug(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    Ok(match &value {
        // Texts that must not be templated have a class of their own.
        Value::Str(text) if text.is_unsafe() => "AnsibleUnsafeText".into(),
        other => other.type_name().into(),
    })
}

fn refused(name: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("the filter `{name}` is not supported")).hint(hint)
}

fn vault(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    refuse_undefined(&value, args)?;
    Err(refused("vault", "encrypt the value with `ansible-vault` and write the result into the inventory"))
}

fn unvault(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    refuse_undefined(&value, args)?;
    Err(refused(
        "unvault",
        "write the encrypted value with the tag `!vault`; it is decrypted when it is read",
    ))
}

fn json_query(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    refuse_undefined(&value, args)?;
    Err(refused(
        "community.general.json_query",
        "use `selectattr`, `map(attribute=…)` or `dict2items` instead",
    ))
}
