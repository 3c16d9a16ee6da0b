//! `kubespray exec`

use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_resource::wire::{Answer, Ask};
use serde_json::json;

use crate::arguments::Exec;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::{fleet, targets};

pub(crate) fn run(options: &Exec, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let mut site = Site::load(&options.common, Groups::Kubespray)?;
    let mut hosts = site.hosts(Some(&options.pattern))?;
    if let Some(limit) = &options.common.limit {
        let limited = site.hosts(Some(limit))?;
        hosts.retain(|host| limited.contains(host));
    }
    if hosts.is_empty() {
        return Err(Diagnostic::error("limit", "no host is left")
            .hint("widen --limit or the pattern")
            .into());
    }
    let ways = targets::targets(&mut site, &hosts, &options.connection)?;
    let transport = targets::transport(&options.connection)?;
    let ask = Ask::Exec { argv: options.command.clone(), timeout_s: options.timeout };
    let mut results = fleet::ask(&transport, &ways, |_| vec![ask.clone()]);
    let mut problems = site.warnings.clone();
    let mut list = Vec::new();
    let mut succeeded = 0;
    for host in &hosts {
        let answer = match results.remove(host) {
            Some(Ok(answered)) => answered.answers.into_iter().next().map(|(answer, ..)| answer),
            Some(Err(why)) => {
                problems.push(fleet::problem(host, &why));
                list.push(json!({"host": host, "problem": why.to_string()}));
                None
            }
            None => None,
        };
        match answer {
            Some(Answer::Exit { status, stdout, stderr }) => {
                succeeded += usize::from(status == Some(0));
                if printer.is_json() {
                    list.push(json!({"host": host, "status": status, "stdout": stdout, "stderr": stderr}));
                } else {
                    let end = match status {
                        Some(0) => String::new(),
                        Some(status) => format!(" (status {status})"),
                        None => " (killed)".to_owned(),
                    };
                    printer.line(format!("{host}:{end}"));
                    stdout.lines().chain(stderr.lines()).for_each(|line| printer.line(format!("  {line}")));
                }
            }
            Some(other) => problems.push(fleet::unexpected(host, &other)),
            None => {}
        }
    }
    if printer.is_json() {
        printer.json(&list);
    }
    printer.warnings(&problems, options.common.output.verbose);
    Ok(if succeeded == hosts.len() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}
