//! YAML: `from_yaml`, `from_yaml_all`, `to_yaml`, `to_nice_yaml`.

use kubespray_diagnostics::{Diagnostic, Source};
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

fn failed(diagnostic: &Diagnostic) -> Error {
    Error::of_value(format!("invalid YAML: {}", diagnostic.message))
}

fn read(text: &str) -> Result<Value, Error> {
    let source = Source::without_text("from_yaml");
    let document = kubespray_yaml::parse(text, &source).map_err(|diagnostic| failed(&diagnostic))?;
    let value = document.root.map_or(Value::None, |root| root.value.clone());
    if has_ansible_tags(&value) {
        // The filters read plain YAML; only files of an inventory may hold these.
        return Err(Error::of_value("invalid YAML: the tags `!vault` and `!unsafe` are unknown here"));
    }
    Ok(value)
}

/// The reader bounds the depth of what it gives.
fn has_ansible_tags(value: &Value) -> bool {
    match value {
        Value::Vault(_) => true,
        Value::Str(text) => text.is_unsafe(),
        Value::List(items) | Value::Tuple(items) => items.iter().any(has_ansible_tags),
        Value::Map(map) => map.iter().any(|(key, value)| has_ansible_tags(key) || has_ansible_tags(value)),
        _ => false,
    }
}

fn from_yaml(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    match &value {
        Value::Str(text) => read(text),
        _ => Ok(value),
    }
}

/// The documents of a stream, each with its `---`.
fn documents(stream: &str) -> Result<Vec<String>, Error> {
    let mut documents = Vec::new();
    let mut current = String::new();
    let mut after_end = false;
    let is_marker = |line: &str, marker: &str| {
        line.strip_prefix(marker)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
    };
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let has_document =
        |text: &str| text.lines().any(|line| is_content(line) && !line.trim_start().starts_with('%'));
    for line in stream.split_inclusive('\n') {
        let (starts, ends) = (is_marker(line, "---"), is_marker(line, "..."));
        if (starts || ends) && has_document(&current) {
            documents.push(std::mem::take(&mut current));
        }
        if after_end && !starts && !ends && is_content(line) && !line.starts_with('%') {
            return Err(Error::of_value("invalid YAML: a document behind `...` must start with `---`"));
        }
        after_end = ends || (after_end && !starts);
        if !ends {
            current.push_str(line);
        }
    }
    if current.lines().any(is_content) {
        documents.push(current);
    }
    Ok(documents)
}

fn from_yaml_all(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    args.only(&[])?;
    match &value {
        Value::Str(stream) => {
            let read = documents(stream)?.iter().map(|document| read(document)).collect::<Result<_, _>>()?;
            Ok(Value::list(read))
        }
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
