//! `kubespray plan`

use std::path::PathBuf;
use std::process::ExitCode;

use kubespray_interface::plan_text;

use crate::arguments::operations::{Plan, PlanOf, PlanOutput};
use crate::failure::{FOUND_ERRORS, Failure};
use crate::operation::{self, Wanted};
use crate::printer::Printer;

/// With `--detailed-exitcode`: something would change.
const CHANGES: u8 = 2;

pub(crate) fn run(options: &Plan, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let (wanted, simulate, output) = match &options.of {
        PlanOf::Cluster(options) => (operation::cluster(&options.operation), None, &options.output),
        PlanOf::Resources(options) => (
            operation::resources(&options.document, &options.operation),
            options.simulation.simulate.as_ref(),
            &options.output,
        ),
    };
    wanted.and_then(|wanted| show(wanted, simulate, output, printer)).map_err(|failure| {
        // 2 says that something would change.
        if output.detailed_exitcode { Failure { code: FOUND_ERRORS, ..failure } } else { failure }
    })
}

fn show(
    wanted: Wanted,
    simulate: Option<&Option<PathBuf>>,
    output: &PlanOutput,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    let warnings = wanted.reach.site.warnings.clone();
    let plan = match simulate {
        Some(scenario) => operation::simulated_plan(wanted, scenario.as_deref())?,
        None => wanted.plan()?.plan,
    };
    printer.warnings(&warnings, false);
    if let Some(path) = &output.out {
        operation::store(&plan, path)?;
    }
    if printer.is_json() {
        printer.json(&plan);
    } else {
        printer.line(plan_text(&plan).trim_end());
    }
    let would_change = output.detailed_exitcode && !plan.is_empty();
    Ok(if would_change { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}
