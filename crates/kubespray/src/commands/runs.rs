//! `kubespray runs`

use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_history::{History, RunSummary};
use kubespray_interface::{Lines, WIDEST_COLUMN, duration, plural};
use serde_json::json;

use crate::arguments::operations::{Runs, RunsResume, RunsShow, RunsUndo};
use crate::failure::Failure;
use crate::operation::{self, Reach};
use crate::printer::Printer;

pub(crate) fn run(options: &Runs, printer: &mut Printer) -> Result<ExitCode, Failure> {
    match options {
        Runs::List(_) => list(printer),
        Runs::Show(options) => show(options, printer),
        Runs::Resume(options) => resume(options, printer),
        Runs::Undo(options) => undo(options, printer),
    }
}

fn resume(options: &RunsResume, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let reach = Reach::load(&options.common, &options.connection)?;
    operation::resume(options.run.as_deref(), reach, &options.running, printer)
}

fn undo(options: &RunsUndo, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let wanted = operation::wanted(&operation::Undo(options.run.as_deref()), &options.operation)?;
    printer.warnings(&wanted.reach.site.warnings, false);
    let planned = wanted.plan()?;
    operation::refuse_blocked(&planned.blocked, options.despite_budgets)?;
    Ok(operation::run_planned(planned, &options.running, printer)?.code)
}

fn history() -> Result<History, Failure> {
    let unusable = |why: String| Diagnostic::error("history", why);
    let path = operation::history_path()
        .ok_or_else(|| unusable("neither XDG_STATE_HOME nor HOME says where it is".to_owned()))?;
    Ok(History::open(&path).map_err(|error| unusable(error.to_string()))?)
}

fn list(printer: &mut Printer) -> Result<ExitCode, Failure> {
    let runs = history()?.runs().map_err(|error| Diagnostic::error("history", error.to_string()))?;
    if printer.is_json() {
        printer.json(&runs);
        return Ok(ExitCode::SUCCESS);
    }
    let width = |text: &dyn Fn(&RunSummary) -> &str| {
        runs.iter().map(|run| text(run).chars().count()).max().unwrap_or(0).min(WIDEST_COLUMN)
    };
    let (id, operation, cluster) =
        (width(&|run| run.run.as_str()), width(&|run| &run.operation), width(&|run| &run.cluster));
    for run in &runs {
        printer.line(format!(
            "{:id$}  {}  {:operation$}  {:cluster$}  {}, {}",
            run.run.as_str(),
            began(run.started_ms),
            run.operation,
            run.cluster,
            plural(run.hosts, "host"),
            outcome(run)
        ));
    }
    if runs.is_empty() {
        printer.line("no runs yet on this machine");
    }
    Ok(ExitCode::SUCCESS)
}

fn began(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn outcome(run: &RunSummary) -> String {
    let took = |ended: u64| duration(ended.saturating_sub(run.started_ms));
    let changes = plural(run.changed, "change");
    match (run.done, run.ended_ms) {
        (Some(true), Some(ended)) => format!("done in {}, {changes}", took(ended)),
        (_, Some(ended)) => {
            format!("not done after {}, {changes}, {}", took(ended), plural(run.failed, "failure"))
        }
        _ => format!("cut off or under way, {changes} so far"),
    }
}

fn show(options: &RunsShow, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let history = history()?;
    let wrong = |error: kubespray_history::HistoryError| Diagnostic::error("history", error.to_string());
    let found = match &options.run {
        Some(name) => history.run(name).map_err(wrong)?,
        None => history.runs().map_err(wrong)?.into_iter().next(),
    };
    let run = found.ok_or_else(|| {
        let what = match &options.run {
            Some(name) => format!("not one run is called `{name}`, or several begin so"),
            None => "no runs yet on this machine".to_owned(),
        };
        Diagnostic::error("run", what).hint("`kubespray runs list` names them")
    })?;
    let events = history.events(&run.run).map_err(wrong)?;
    if printer.is_json() {
        printer.json(&json!({"run": run, "events": events}));
        return Ok(ExitCode::SUCCESS);
    }
    printer.line(format!(
        "{}: {} of {}, began {}, {}",
        run.run,
        run.operation,
        run.cluster,
        began(run.started_ms),
        outcome(&run)
    ));
    let mut lines = Lines::default();
    for event in &events {
        if let Some(text) = lines.line(event) {
            printer.line(format!("  +{:>10}  {text}", duration(event.at_ms.saturating_sub(run.started_ms))));
        }
    }
    Ok(ExitCode::SUCCESS)
}
