//! YAML: `from_yaml`, `from_yaml_all`, `to_yaml`, `to_nice_yaml`.

use kubespray_jinja::{Args, Context, Library};
use kubespray_value::{Error, Value};

use kubespray_yaml::Layout;

use crate::support::{filters, lenient_filters};

pub(crate) fn add(library: &mut Library) {
    lenient_filters!(library, "ansible.builtin.";
        "from_yaml" => from_yaml,
        "from_yaml_all" => from_yaml_all,
    );
    filters!(library, "ansible.builtin.";
        "to_nice_yaml" => to_nice_yaml,
        "to_yaml" => to_yaml,
    );
}

fn from_yaml(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    match &value {
        Value::Str(text) => kubespray_yaml::read(text),
        _ => Ok(value),
    }
}

fn from_yaml_all(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    match &value {
        Value::Str(stream) => kubespray_yaml::read_all(stream).map(Value::list),
        _ => Ok(value),
    }
}

/// Arguments beyond those that Ansible names have no effect without a name.
fn written(value: &Value, mut layout: Layout, args: &Args) -> Result<Value, Error> {
    for (name, argument) in &args.named {
        layout = layout.with(name, argument)?;
    }
    kubespray_yaml::emit(value, &layout).map(Value::str)
}

fn to_yaml(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    written(&value, Layout::YAML, args)
}

fn to_nice_yaml(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let layout = match args.positional.first() {
        Some(_) if args.named("indent").is_some() => {
            return Err(Error::of_type("argument `indent` given twice"));
        }
        Some(indent) => Layout::NICE.with("indent", indent)?,
        None => Layout::NICE,
    };
    written(&value, layout, args)
}
