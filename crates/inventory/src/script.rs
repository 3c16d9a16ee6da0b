//! Inventories printed by programs: `--list`, and `--host NAME` where `_meta` is missing.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexSet;
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_value::{Map, Value, json};

use crate::definition::{Definition, key_name};
use crate::document::{self, decode_hooks};
use crate::graph::Graph;
use crate::paths::{self, LARGEST_FILE};
use crate::process::{self, Failure};
use crate::yaml_source::described;

/// Asking a cloud for its machines takes seconds; a script that takes half a minute hangs.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// An executable source.
#[derive(Debug)]
pub(crate) struct Script<'a> {
    pub(crate) path: &'a Path,
    /// Its name for the user.
    pub(crate) shown: &'a str,
    pub(crate) timeout: Duration,
}

type Outcome<T> = Result<T, Box<Diagnostic>>;

impl Script<'_> {
    /// Runs the script and puts what it prints into the groups.
    pub(crate) fn apply(&self, graph: &mut Graph) -> Outcome<()> {
        let name = format!("{} --list", self.shown);
        let text = self.run(&["--list"])?;
        let span = Span::whole(Source::without_text(name.clone()));
        let printed = json::read(&text).map_err(|error| {
            let why = error.message.trim_start_matches("JSON: ");
            let problem = Diagnostic::error("script-output", format!("`{name}` printed no JSON: {why}"));
            let problem = problem.at(Span::whole(Source::new(name.clone(), text.clone())));
            match text.trim().lines().next() {
                Some(first) => problem.because(format!("its output starts with: {}", paths::shorten(first))),
                None => problem.because("it printed nothing"),
            }
        })?;
        let printed = decode_hooks(printed);
        let Some(groups) = printed.as_map() else {
            return Err(Box::new(bad_output(
                &name,
                format!("printed {}, not a map of groups", described(&printed)),
            )));
        };
        let mut hosts = IndexSet::new();
        let mut hostvars = None;
        for (group, data) in groups {
            let group = key_name(group);
            if group == "_meta" {
                hostvars = data.as_map().and_then(|meta| meta.get("hostvars"));
            } else {
                add_group(&name, &group, data, &span, graph, &mut hosts)?;
            }
        }
        match hostvars {
            None => {
                for host in hosts {
                    let (vars, span) = self.host(&host)?;
                    set_all(&host, &vars, &span, graph)?;
                }
            }
            Some(Value::Map(hostvars)) => {
                for host in hosts {
                    match hostvars.get(host.as_str()) {
                        None => {}
                        Some(Value::Map(vars)) => set_all(&host, vars, &span, graph)?,
                        Some(other) => {
                            let what = format!("gives {} as variables of host `{host}`", described(other));
                            return Err(Box::new(bad_output(&name, what)));
                        }
                    }
                }
            }
            Some(other) => {
                let what = format!("gives {} as `_meta.hostvars`, not a map", described(other));
                return Err(Box::new(bad_output(&name, what)));
            }
        }
        Ok(())
    }

    fn host(&self, host: &str) -> Outcome<(Arc<Map>, Span)> {
        let name = format!("{} --host {host}", self.shown);
        let text = self.run(&["--host", host])?;
        let text = document::Text::open(name.clone(), text);
        let span = Span::whole(Source::without_text(name.clone()));
        let root = document::parse(&text, &mut Vec::new())?;
        match root.map(|node| node.value.clone()) {
            None | Some(Value::None) => Ok((Arc::default(), span)),
            Some(Value::Map(vars)) => Ok((vars, span)),
            Some(other) => Err(Box::new(bad_output(
                &name,
                format!("printed {}, not a map of variables", described(&other)),
            ))),
        }
    }

    fn run(&self, arguments: &[&str]) -> Outcome<String> {
        let call = format!("{} {}", self.shown, arguments.join(" "));
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let failed = |what: String| Diagnostic::error("script-failed", format!("`{call}` {what}"));
        let output =
            process::run(self.path, &arguments, self.timeout, LARGEST_FILE).map_err(
                |failure| match failure {
                    Failure::Start(error) => failed(format!("cannot be started: {}", paths::reason(&error)))
                        .hint("check its first line (`#!`) and that the program named there is installed"),
                    Failure::Timeout(limit) => {
                        failed(format!("did not end within {} seconds and was killed", limit.as_secs_f64()))
                            .hint("run it by hand to see what it waits for")
                    }
                    Failure::TooMuch(most) => failed(format!("printed more than {} MiB", most >> 20)),
                },
            )?;
        let wrote = |problem: Diagnostic| match output.stderr.as_str() {
            "" => problem,
            text => problem.because(format!("it wrote: {}", paths::shorten(text))),
        };
        if !output.status.success() {
            return Err(Box::new(wrote(failed(format!("failed ({})", output.status)))));
        }
        String::from_utf8(output.stdout)
            .map_err(|_| Box::new(wrote(failed("printed text that is not UTF-8".into()))))
    }
}

/// Puts one group of the output of a script into the graph.
fn add_group(
    script: &str,
    name: &str,
    data: &Value,
    span: &Span,
    graph: &mut Graph,
    seen: &mut IndexSet<String>,
) -> Outcome<()> {
    let bad = |what: String| Box::new(bad_output(script, format!("gives {what}")));
    if name.is_empty() {
        return Err(bad("a group without a name".into()));
    }
    let group = graph.add_group(name, span);
    let own_name = Value::list(vec![Value::str(name)]);
    let sections = data.as_map();
    let has = |key: &str| sections.and_then(|sections| sections.get(key));
    let is_plain = ["hosts", "vars", "children"].into_iter().all(|key| has(key).is_none());
    let (hosts, vars, children) = match sections {
        None => (Some(data), None, None),
        // A map without any of the three is a host of that name with variables.
        Some(_) if is_plain => (Some(&own_name), Some(data), None),
        Some(_) => (has("hosts"), has("vars"), has("children")),
    };
    if let Some(hosts) = hosts {
        let Value::List(hosts) = hosts else {
            return Err(bad(format!("{} as hosts of group `{name}`, not a list", described(hosts))));
        };
        for host in hosts.iter() {
            match host.as_str() {
                Some(host) if !host.is_empty() => {
                    seen.insert(host.to_owned());
                    graph.add_host(host, Some(group), None, span);
                }
                _ => return Err(bad(format!("{} as a host of group `{name}`", described(host)))),
            }
        }
    }
    if let Some(vars) = vars {
        let Some(vars) = vars.as_map() else {
            return Err(bad(format!("{} as variables of group `{name}`, not a map", described(vars))));
        };
        for (key, value) in vars {
            graph.set_group_variable(group, key_name(key), Definition::new(value.clone(), span.clone()))?;
        }
    }
    if let Some(children) = children {
        let Value::List(children) = children else {
            return Err(bad(format!("{} as children of group `{name}`, not a list", described(children))));
        };
        for child in children.iter() {
            let Some(child) = child.as_str().filter(|child| !child.is_empty()) else {
                return Err(bad(format!("{} as a child of group `{name}`", described(child))));
            };
            let child = graph.add_group(child, span);
            graph.add_child(group, child, span)?;
        }
    }
    Ok(())
}

fn bad_output(name: &str, what: String) -> Diagnostic {
    Diagnostic::error("script-output", format!("`{name}` {what}"))
}

fn set_all(host: &str, vars: &Map, span: &Span, graph: &mut Graph) -> Outcome<()> {
    for (key, value) in vars {
        graph.set_host_variable(host, key_name(key), Definition::new(value.clone(), span.clone()))?;
    }
    Ok(())
}
