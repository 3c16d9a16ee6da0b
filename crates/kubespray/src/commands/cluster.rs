//! `kubespray cluster`, `kubespray scale`

use std::process::ExitCode;

use crate::arguments::operations::Cluster;
use crate::commands::verify;
use crate::failure::Failure;
use crate::operation::{self, Intent};
use crate::printer::Printer;

pub(crate) fn run(
    intent: &dyn Intent,
    options: &Cluster,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulate_intent(intent, &options.operation, scenario.as_deref(), printer);
    }
    let mut ran = operation::run(operation::wanted(intent, &options.operation)?, &options.running, printer)?;
    if ran.code == ExitCode::SUCCESS && operation::wants_artifacts(&ran.reach)? {
        let (reach, written) = operation::leave_artifacts(ran.reach)?;
        ran.reach = reach;
        for path in written {
            if printer.is_json() {
                printer.json_line(&serde_json::json!({"event": "artifact", "path": path}));
            } else {
                printer.line(format!("wrote `{}`", path.display()));
            }
        }
    }
    // A part of the work leaves a part of a cluster; what changed nothing was looked at just now.
    let is_whole = ran.about.is_some() || options.operation.is_whole();
    if !ran.changed || options.no_verify || !is_whole {
        return Ok(ran.code);
    }
    let mut common = options.operation.common.clone();
    common.limit = ran.about.map(|hosts| hosts.into_iter().collect::<Vec<_>>().join(","));
    verify::after(ran.reach, &common, printer)
}
