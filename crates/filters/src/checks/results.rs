//! Tests of the results that tasks leave.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use crate::support::{entry, is_mapping, tests};

pub(crate) fn add(library: &mut Library) {
    tests!(library, "ansible.builtin.";
        "change" => changed,
        "changed" => changed,
        "failed" => failed,
        "failure" => failed,
        "finished" => finished,
        "reachable" => reachable,
        "skip" => skipped,
        "skipped" => skipped,
        "started" => started,
        "succeeded" => succeeded,
        "success" => succeeded,
        "successful" => succeeded,
        "timedout" => timed_out,
        "unreachable" => unreachable,
    );
}

/// A member of a result; a value that is no map is an error.
fn member(value: &Value, args: &Args, name: &str) -> Result<Option<Value>, Error> {
    args.only(&[])?;
    if !is_mapping(value) {
        return Err(Error::of_type(format!(
            "the test expects the result of a task, not `{}`",
            value.type_name()
        )));
    }
    entry(value, &name.into())
}

fn truth(value: &Value, args: &Args, name: &str) -> Result<bool, Error> {
    member(value, args, name)?.map_or(Ok(false), |found| found.truthy())
}

fn failed(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args, "failed")
}

fn succeeded(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args, "failed").map(|failed| !failed)
}

fn unreachable(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args, "unreachable")
}

fn reachable(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args, "unreachable").map(|unreachable| !unreachable)
}

fn skipped(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    truth(&value, args, "skipped")
}

fn changed(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    if let Some(changed) = member(&value, args, "changed")? {
        return changed.truthy();
    }
    let Some(Value::List(results)) = member(&value, args, "results")? else { return Ok(false) };
    if !results.first().is_some_and(is_mapping) {
        return if results.is_empty() { Err(Error::of_value("`results` is empty")) } else { Ok(false) };
    }
    for result in results.iter() {
        if truth(result, args, "changed")? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn timed_out(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    match member(&value, args, "timedout")? {
        Some(timeout) if timeout.truthy()? => truth(&timeout, args, "period"),
        _ => Ok(false),
    }
}

/// Tasks that do not run beside others count as started and finished.
fn flag_is_one(value: &Value, args: &Args, name: &str) -> Result<bool, Error> {
    Ok(member(value, args, name)?.is_none_or(|flag| flag == Value::Int(1)))
}

fn started(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    flag_is_one(&value, args, "started")
}

fn finished(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    flag_is_one(&value, args, "finished")
}
