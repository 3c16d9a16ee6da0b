//! `kubespray verify`

use std::collections::BTreeMap;
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plural;
use serde_json::json;

use crate::arguments::operations::Verify;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::operation::{self, Asked, Verdict};
use crate::printer::Printer;

pub(crate) fn run(options: &Verify, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let asked = Asked::new(&options.assertions)?;
    let is_json = printer.is_json();
    let mut tell = |line: &str| {
        if !is_json {
            printer.line_now(line);
        }
    };
    let (verdicts, warnings) = operation::verify(options, &asked, &mut tell)?;
    printer.warnings(&warnings, false);
    let failed = verdicts.iter().filter(|verdict| !verdict.holds).count();
    if printer.is_json() {
        printer.json(&json!({"works": failed == 0, "failed": failed, "assertions": verdicts}));
    } else {
        for line in held(&verdicts) {
            printer.line(line);
        }
        let problems: Vec<Diagnostic> =
            verdicts.iter().filter(|verdict| !verdict.holds).map(problem).collect();
        printer.diagnostics(&problems);
        let word = if failed == 0 { "the cluster works" } else { "the cluster does not work" };
        printer.line(format!("{word}: {}, {failed} failed", plural(verdicts.len(), "assertion")));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}

/// What holds, in the order in which it was asked: one line for all hosts.
fn held(verdicts: &[Verdict]) -> Vec<String> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut order = Vec::new();
    for verdict in verdicts {
        let (held, all) = counts.entry(&verdict.name).or_insert_with(|| {
            order.push(verdict);
            (0, 0)
        });
        *held += usize::from(verdict.holds);
        *all += 1;
    }
    let width = order.iter().map(|verdict| verdict.name.len()).max().unwrap_or_default();
    let lines = order.into_iter().map(|verdict| {
        let (held, all) = counts.get(verdict.name.as_str()).copied().unwrap_or_default();
        let word = if held == all { "ok    " } else { "failed" };
        let of = if verdict.host.is_none() { String::new() } else { format!(" ({held} of {all})") };
        format!("{word}  {:width$}  {}{of}", verdict.name, verdict.what)
    });
    lines.collect()
}

fn problem(verdict: &Verdict) -> Diagnostic {
    let what = verdict.problem.clone().unwrap_or_default();
    let mut problem = Diagnostic::error(verdict.name.clone(), what);
    if let Some(host) = &verdict.host {
        problem = problem.on_host(host);
    }
    problem = verdict.evidence.iter().fold(problem, |problem, line| problem.because(line.clone()));
    problem = verdict.hints.iter().fold(problem, |problem, hint| problem.hint(hint.clone()));
    problem.because(format!("asserts {}: {}", verdict.ids, verdict.what))
}
