//! `kubespray verify`

use std::collections::BTreeMap;
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plural;
use serde_json::json;

use crate::arguments::Common;
use crate::arguments::operations::Verify;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::operation::{self, Asked, Reach, Verdict};
use crate::printer::Printer;

pub(crate) fn run(options: &Verify, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let asked = Asked::new(&options.assertions, options.with_pods)?;
    // Runs tell events before it.
    let event = options.with_pods.then_some("verified");
    report(printer, event, |printer| operation::verify(options, &asked, printer))
}

/// Behind a run: everything, over the hosts that it reached.
pub(super) fn after(reach: Reach, common: &Common, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let asked = Asked::new(&[], false)?;
    report(printer, Some("verified"), |printer| operation::verify_after(reach, common, &asked, printer))
}

type Found = Result<(Vec<Verdict>, Vec<Diagnostic>), Failure>;

/// As JSON it is one document, or an event behind those of a run.
fn report(
    printer: &mut Printer,
    event: Option<&str>,
    verify: impl FnOnce(&mut Printer) -> Found,
) -> Result<ExitCode, Failure> {
    let (verdicts, warnings) = verify(printer)?;
    printer.warnings(&warnings, false);
    let failed = verdicts.iter().filter(|verdict| !verdict.holds).count();
    if printer.is_json() {
        let mut found = json!({"works": failed == 0, "failed": failed, "assertions": verdicts});
        match (event, found.as_object_mut()) {
            (Some(event), Some(object)) => {
                object.insert("event".to_owned(), event.into());
                printer.json_line(&found);
            }
            _ => printer.json(&found),
        }
    } else {
        for line in held(&verdicts) {
            printer.line(line);
        }
        printer.diagnostics(&problems(&verdicts));
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

/// What does not hold. One reason of many, such as an API server that does not answer, is told once for its host.
fn problems(verdicts: &[Verdict]) -> Vec<Diagnostic> {
    let mut causes: Vec<Vec<&Verdict>> = Vec::new();
    for verdict in verdicts.iter().filter(|verdict| !verdict.holds) {
        let is_same = |first: &&Verdict| first.host == verdict.host && first.problem == verdict.problem;
        match causes.iter_mut().find(|all| all.first().is_some_and(is_same)) {
            Some(all) => all.push(verdict),
            None => causes.push(vec![verdict]),
        }
    }
    causes.iter().filter_map(|all| all.split_first()).map(|(first, others)| problem(first, others)).collect()
}

fn problem(verdict: &Verdict, others: &[&Verdict]) -> Diagnostic {
    let what = verdict.problem.clone().unwrap_or_default();
    let mut problem = Diagnostic::error(verdict.name.clone(), what);
    if let Some(host) = &verdict.host {
        problem = problem.on_host(host);
    }
    problem = verdict.evidence.iter().fold(problem, |problem, line| problem.because(line.clone()));
    problem = verdict.hints.iter().fold(problem, |problem, hint| problem.hint(hint.clone()));
    problem = problem.because(format!("asserts {}: {}", verdict.ids, verdict.what));
    others.iter().fold(problem, |problem, other| {
        problem.because(format!("it also fails `{}`: {}", other.name, other.what))
    })
}
