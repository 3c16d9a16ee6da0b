//! `kubespray vars explain`

use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_inventory::Level;
use kubespray_value::{ErrorKind, Value};
use kubespray_variables::{Catalogue, Default, Entry, Found, Setting};
use serde_json::json;

use super::{Views, shown};
use crate::arguments::VarsExplain;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::site::{Groups, Site};

/// Hosts that share a value, and where it comes from.
struct Answer {
    hosts: Vec<String>,
    value: Result<Value, (ErrorKind, String)>,
    definitions: Vec<Found>,
    computed_from: Vec<String>,
}

pub(crate) fn run(options: &VarsExplain, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::KubesprayIfTheyCount)?;
    let views = Views::new(&site);
    let name = options.name.as_str();
    let hosts = site.hosts(options.common.limit.as_deref())?;
    let catalogue = Catalogue::get();
    let entry = catalogue.entry(name);
    let answers = answers(&views, name, &hosts);
    let defined = answers.iter().any(|answer| !answer.definitions.is_empty());
    if entry.is_none() && !defined {
        let diagnostic = Diagnostic::error("unknown-variable", format!("nobody knows `{name}`"));
        return Err(match (catalogue.removed(name), catalogue.suggest(name)) {
            (Some(removed), _) => {
                let diagnostic = diagnostic.because(removed.message.clone());
                match &removed.replacement {
                    Some(replacement) => diagnostic.hint(format!("`{replacement}` replaced it")),
                    None => diagnostic,
                }
            }
            (None, Some(near)) => diagnostic.hint(format!("did you mean `{near}`?")),
            (None, None) => diagnostic,
        }
        .into());
    }
    if printer.is_json() {
        print_json(name, entry, &answers, printer);
    } else {
        print_text(name, entry, &answers, hosts.len(), printer);
    }
    printer.warnings(&site.warnings, options.common.output.verbose);
    Ok(ExitCode::SUCCESS)
}

fn answers(views: &Views, name: &str, hosts: &[String]) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    for host in hosts {
        let value = views.get(host, name).map_err(|error| (error.kind, error.message));
        let definitions = views.plain().definitions(host, name);
        let origins = |found: &[Found]| found.iter().map(|found| found.origin.clone()).collect::<Vec<_>>();
        let same = |answer: &&mut Answer| {
            answer.value == value && origins(&answer.definitions) == origins(&definitions)
        };
        if let Some(answer) = answers.iter_mut().find(same) {
            answer.hosts.push(host.clone());
            continue;
        }
        let mut computed_from = Vec::new();
        if let Some(found) = definitions.first() {
            names_in(views, &found.raw, &mut computed_from);
        }
        answers.push(Answer { hosts: vec![host.clone()], value, definitions, computed_from });
    }
    answers
}

fn names_in(views: &Views, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Str(text) if !text.is_unsafe() => {
            for name in views.plain().names_in(text).unwrap_or_default() {
                if !found.contains(&name.to_string()) {
                    found.push(name.to_string());
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| names_in(views, item, found)),
        Value::Map(map) => map.values().for_each(|item| names_in(views, item, found)),
        _ => {}
    }
}

/// What counts when nobody sets the variable.
pub(crate) fn default_text(entry: &Entry) -> String {
    match &entry.default {
        Default::Value(value) => shown(&entry.name, value),
        Default::Unset => match &entry.fallback {
            Some(fallback) => format!("not set; {} is assumed", shown(&entry.name, fallback)),
            None => "not set".to_owned(),
        },
        Default::Generated(what) => format!("made at install time: {what}"),
        Default::Runtime(what) => format!("computed during a run: {what}"),
        Default::Catalog => "a table of the component catalog".to_owned(),
    }
}

fn place(found: &Found) -> String {
    let origin = found.origin.as_ref().map(ToString::to_string).unwrap_or_default();
    match &found.setting {
        Setting::Default => "default".to_owned(),
        Setting::Fact => "fact of the host".to_owned(),
        Setting::Magic => "set by Ansible itself".to_owned(),
        Setting::Inventory(Level::ExtraVars, _) => "command line (-e)".to_owned(),
        Setting::Inventory(
            Level::AllInline | Level::GroupInline | Level::AllFiles | Level::GroupFiles,
            owner,
        ) => {
            format!("{origin} (group {owner})")
        }
        Setting::Inventory(_, owner) => format!("{origin} (host {owner})"),
    }
}

fn print_text(name: &str, entry: Option<&Entry>, answers: &[Answer], hosts: usize, printer: &mut Printer) {
    printer.line(name);
    match entry {
        Some(entry) => {
            printer.line(format!("  {}", entry.doc));
            printer.line(format!("  type       {}", entry.kind.as_str()));
            if !entry.allowed.is_empty() {
                let allowed: Vec<String> = entry.allowed.iter().map(|value| shown(name, value)).collect();
                printer.line(format!("  allowed    {}", allowed.join(", ")));
            }
            if let Some((low, high)) = &entry.range {
                printer.line(format!("  allowed    {} to {}", low.to_text(), high.to_text()));
            }
            printer.line(format!("  default    {}", default_text(entry)));
            printer.line(format!("  component  {}", entry.component));
            if let Some(example) = &entry.example {
                printer.line(format!("  example    {}", shown(name, example)));
            }
        }
        None => printer.line("  a variable of this inventory; no part of Kubespray has one of this name"),
    }
    for answer in answers {
        let who = match answer.hosts.len() {
            count if count == hosts => format!("all {hosts} hosts"),
            count if count > 4 => format!(
                "{} and {} more hosts",
                answer.hosts.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
                count - 3
            ),
            _ => answer.hosts.join(", "),
        };
        let value = match &answer.value {
            Ok(value) => shown(name, value),
            Err((ErrorKind::NeedsFacts, _)) => "(known when facts are)".to_owned(),
            Err((_, message)) => format!("(no value: {message})"),
        };
        printer.line(format!("\n  on {who}: {value}"));
        for (index, found) in answer.definitions.iter().enumerate() {
            let word = if index == 0 { "set in" } else { "overrides" };
            let raw = if found.setting == Setting::Magic {
                String::new()
            } else {
                format!(": {}", shown(name, &found.raw))
            };
            printer.line(format!("    {word:9} {}{raw}", place(found)));
        }
        if !answer.computed_from.is_empty() {
            printer.line(format!("    computed from {}", answer.computed_from.join(", ")));
        }
    }
}

fn print_json(name: &str, entry: Option<&Entry>, answers: &[Answer], printer: &mut Printer) {
    let secret = entry.is_some_and(|entry| entry.secret);
    let hidden = |value: &Value| if secret { json!(shown(name, value)) } else { json!(value) };
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| {
            let definitions: Vec<_> = answer
                .definitions
                .iter()
                .filter(|found| found.setting != Setting::Magic)
                .map(
                    |found| json!({ "set": place(found), "origin": found.origin, "raw": hidden(&found.raw) }),
                )
                .collect();
            let mut row = json!({
                "hosts": answer.hosts,
                "definitions": definitions,
                "computed_from": answer.computed_from,
            });
            match &answer.value {
                Ok(value) => row["value"] = hidden(value),
                Err((_, message)) => row["error"] = json!(message),
            }
            row
        })
        .collect();
    printer.json(&json!({
        "var": name,
        "known": entry.is_some(),
        "type": entry.map(|entry| entry.kind.as_str()),
        "doc": entry.map(|entry| &entry.doc),
        "component": entry.map(|entry| &entry.component),
        "allowed": entry.map(|entry| &entry.allowed),
        "default": entry.map(default_text),
        "values": answers,
    }));
}
