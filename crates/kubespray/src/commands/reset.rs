//! `kubespray reset`

use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plan_text;

use super::confirm;
use crate::arguments::operations::Reset;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::operation::{self, Reach, Start, Wiping};
use crate::printer::Printer;

/// What stands for the id of hosts that have none.
const NONE: &str = "none";
/// So many digits of an id say which one is meant.
const DIGITS: usize = 16;

pub(crate) fn run(options: &Reset, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let reset = operation::Reset::of(&options.dead);
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulate_intent(&reset, &options.operation, scenario.as_deref(), printer);
    }
    let wanted = operation::wanted(&reset, &options.operation)?;
    let Some(wiping) = reset.found() else {
        return Err(Diagnostic::error("reset", "nothing was found to be reset").into());
    };
    check_id(options, wiping.id.as_deref())?;
    printer.warnings(&wanted.reach.site.warnings, false);
    let planned = wanted.plan()?;
    let code = if planned.plan.is_empty() {
        if printer.is_json() {
            printer.json_line(&serde_json::json!({"event": "nothing_to_do", "hosts": wiping.hosts.len()}));
        } else {
            printer.line(plan_text(&planned.plan).trim_end());
        }
        ExitCode::SUCCESS
    } else {
        if !options.yes {
            confirm(&wiping, &planned.reach, printer)?;
        }
        operation::execute(&planned, Start::New, &options.running, printer)?
    };
    let is_whole = options.operation.tags.is_empty() && options.operation.skip_tags.is_empty();
    if code == ExitCode::SUCCESS && is_whole {
        // The last traces are the helper's own: its journal, and what the hosts were before.
        operation::clean(&planned.reach, &wiping.hosts, printer);
    }
    Ok(code)
}

/// A cluster that was not meant is not touched.
fn check_id(options: &Reset, id: Option<&str>) -> Result<(), Failure> {
    let Some(given) = options.cluster_id.as_deref() else { return Ok(()) };
    let plain = given.replace(':', "").to_ascii_lowercase();
    let is_meant = match id {
        None => plain == NONE,
        Some(id) => plain.len() >= DIGITS && id.starts_with(&plain),
    };
    if is_meant {
        return Ok(());
    }
    let message = match id {
        None => {
            format!("`--cluster-id` is `{given}`, and the hosts have no certificate authority of a cluster")
        }
        Some(id) => format!("wrong cluster: `--cluster-id` is `{given}`, that of the hosts is `{id}`"),
    };
    let hint = match id {
        None => "nothing was changed; if the rest of a half-made cluster is to go, say `--cluster-id none`",
        Some(_) => "nothing was changed; look which inventory this is",
    };
    Err(refused(Diagnostic::error("cluster-id", message).hint(hint)))
}

/// Asks for the cluster's name.
fn confirm(wiping: &Wiping, reach: &Reach, printer: &mut Printer) -> Result<(), Failure> {
    const INSTEAD: &str = "`--yes --cluster-id ID` asks nobody; `kubespray plan reset` prints the id";
    confirm::can_be_asked(INSTEAD, printer)?;
    printer.line(wiping.headline());
    for line in operation::workloads(reach, wiping) {
        printer.line(line);
    }
    let name = &wiping.name;
    let question = format!("All of it is lost. Type the name of the cluster, `{name}`, to go on:");
    confirm::typed(&question, name, INSTEAD, printer)
}

fn refused(problem: Diagnostic) -> Failure {
    Failure { diagnostics: vec![problem], code: FOUND_ERRORS }
}
