//! `kubespray vars get`

use std::path::Path;
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_value::{Error, Map, Value, json};

use super::Views;
use crate::arguments::VarsGet;
use crate::failure::{FOUND_ERRORS, Failure, evaluation};
use crate::printer::Printer;
use crate::site::{Groups, Site};

struct Query {
    host: String,
    var: String,
}

pub(crate) fn run(options: &VarsGet, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::KubesprayIfTheyCount)?;
    let views = Views::new(&site);
    if let Some(path) = &options.queries {
        let answers: Vec<Value> =
            read_queries(path)?.iter().map(|query| answer(&site, &views, query)).collect();
        let text = json::write(
            &Value::list(answers),
            json::Layout { indent: Some(2), sort_keys: false, ascii: false },
        );
        printer.line(text.unwrap_or_default());
        printer.warnings(&site.warnings, options.common.output.verbose);
        return Ok(ExitCode::SUCCESS);
    }
    let name = options.name.as_deref().unwrap_or_default();
    let hosts = match &options.host {
        Some(host) => vec![site.host(host)?],
        None => site.hosts(options.common.limit.as_deref())?,
    };
    let mut answers = Vec::new();
    let mut problems = Vec::new();
    for host in &hosts {
        match views.get(host, name) {
            Ok(value) => answers.push((host, value)),
            Err(error) => problems.push(evaluation(host, name, &error)),
        }
    }
    print(name, &answers, &hosts, options.host.is_some(), printer);
    printer.warnings(&site.warnings, options.common.output.verbose);
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    // The same reason on every host is said once.
    problems.dedup_by(|a, b| a.message == b.message && a.labels == b.labels);
    Err(Failure { diagnostics: problems, code: FOUND_ERRORS })
}

fn print(name: &str, answers: &[(&String, Value)], hosts: &[String], one: bool, printer: &mut Printer) {
    if printer.is_json() {
        let rows = answers.iter().map(|(host, value)| {
            let row: [(Value, Value); 3] = [
                ("host".into(), Value::str(host.as_str())),
                ("var".into(), name.into()),
                ("value".into(), value.clone()),
            ];
            Value::map(row.into_iter().collect())
        });
        let text = json::write(
            &Value::list(rows.collect()),
            json::Layout { indent: Some(2), sort_keys: false, ascii: false },
        );
        printer.line(text.unwrap_or_default());
        return;
    }
    let shown = |value: &Value| match value {
        Value::Str(text) => text.as_str().to_owned(),
        other => super::json(other),
    };
    match answers {
        [] => {}
        [(_, first), ..]
            if one || answers.len() == hosts.len() && answers.iter().all(|(_, value)| value == first) =>
        {
            printer.line(shown(first));
        }
        _ => {
            let width = answers
                .iter()
                .map(|(host, _)| host.len())
                .max()
                .unwrap_or(0)
                .min(kubespray_interface::WIDEST_COLUMN);
            for (host, value) in answers {
                printer.line(format!("{host:width$}  {}", shown(value)));
            }
        }
    }
}

fn read_queries(path: &Path) -> Result<Vec<Query>, Failure> {
    let wrong =
        |what: String| {
            Failure::from(Diagnostic::error("queries", format!("`{}`: {what}", path.display())).hint(
                "a queries file is a JSON list such as [{\"host\": \"node1\", \"var\": \"kube_version\"}]",
            ))
        };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let value = json::read(&text).map_err(|error| wrong(error.message))?;
    let rows = value.as_sequence().ok_or_else(|| wrong("is no list".into()))?;
    let mut queries = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let field =
            |key: &str| row.as_map().and_then(|map| map.get(key)).and_then(Value::as_str).map(str::to_owned);
        match (field("host"), field("var")) {
            (Some(host), Some(var)) => queries.push(Query { host, var }),
            _ => return Err(wrong(format!("entry {} has no texts `host` and `var`", index + 1))),
        }
    }
    Ok(queries)
}

fn answer(site: &Site, views: &Views, query: &Query) -> Value {
    let known = site.inventory.known_name(&query.host).is_some()
        || matches!(query.host.as_str(), "localhost" | "127.0.0.1" | "::1");
    let value = if known {
        views.get(&query.host, &query.var)
    } else {
        Err(Error::undefined(format!("no host `{}` in the inventory", query.host)))
    };
    // What JSON cannot hold is an error of that one answer.
    let value = value.and_then(|value| json::write(&value, json::Layout::COMPACT).map(|_| value));
    let mut row = Map::new();
    row.insert("host".into(), Value::str(query.host.as_str()));
    row.insert("var".into(), Value::str(query.var.as_str()));
    match value {
        Ok(value) => row.insert("value".into(), value),
        Err(error) => {
            let mut text = error.message.clone();
            if !error.path.is_empty() {
                let path: Vec<&str> = error.path.iter().rev().map(String::as_str).collect();
                text = format!("{text} (reached through {})", path.join(" -> "));
            }
            row.insert("error".into(), Value::from(text))
        }
    };
    Value::map(row)
}
