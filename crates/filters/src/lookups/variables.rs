//! Lookups of variables and of the environment.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, ErrorKind, Value};

use crate::support::{item, need_str};

pub(super) fn environment(
    context: &Context<'_>,
    terms: &[Value],
    options: &Args,
) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    for term in terms {
        let term = need_str(term, "the name of an environment variable")?;
        let name = term.split_whitespace().next();
        let name = name.ok_or_else(|| Error::of_value("the name of an environment variable is empty"))?;
        found.push(match (context.world.environment(name), options.named("default")) {
            (Some(value), _) => Value::str(value),
            (None, None | Some(Value::None)) => "".into(),
            (None, Some(Value::Undefined(_))) => {
                return Err(Error::undefined(format!(
                    "the lookup `env` found an undefined variable: {name}"
                )));
            }
            (None, Some(default)) => default.clone(),
        });
    }
    Ok(found)
}

pub(super) fn values(context: &Context<'_>, terms: &[Value], options: &Args) -> Result<Vec<Value>, Error> {
    let default = options.named("default").filter(|default| !default.is_none());
    let mut found = Vec::new();
    for term in terms {
        let name = need_str(term, "the name of a variable")?;
        let value = match context.scope.resolve(name) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => of_this_host(context, name),
            Err(error) => Err(error),
        };
        let value = match value {
            Ok(Value::Undefined(undefined)) => Err(undefined.error.clone()),
            other => other,
        };
        match (value, default) {
            (Ok(value), _) => found.push(value),
            (Err(error), Some(default)) if error.kind == ErrorKind::Undefined => found.push(default.clone()),
            (Err(error), _) => return Err(error),
        }
    }
    Ok(found)
}

fn of_this_host(context: &Context<'_>, name: &str) -> Result<Value, Error> {
    let missing = || Error::undefined(format!("no variable found with this name: {name}"));
    let host = context.scope.resolve("inventory_hostname")?;
    let all = context.scope.resolve("hostvars")?;
    let (Some(host), Some(all)) = (host, all) else { return Err(missing()) };
    match item(&item(&all, &host)?, &name.into())? {
        Value::Undefined(_) => Err(missing()),
        value => context.scope.template(&value),
    }
}

pub(super) fn names(context: &Context<'_>, terms: &[Value], _: &Args) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    for term in terms {
        let pattern = need_str(term, "a pattern of names")?;
        found.extend(crate::regex::matching(pattern, context.scope.names())?);
    }
    Ok(found)
}
