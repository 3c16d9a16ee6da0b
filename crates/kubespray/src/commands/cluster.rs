//! `kubespray cluster`

use std::process::ExitCode;

use crate::arguments::operations::Cluster;
use crate::commands::verify;
use crate::failure::Failure;
use crate::operation;
use crate::printer::Printer;

pub(crate) fn run(options: &Cluster, printer: &mut Printer) -> Result<ExitCode, Failure> {
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulate_cluster(&options.operation, scenario.as_deref(), printer);
    }
    let mut ran = operation::run(operation::cluster(&options.operation)?, &options.running, printer)?;
    if ran.code == ExitCode::SUCCESS && operation::wants_artifacts(&ran.reach)? {
        let (reach, written) = operation::leave_artifacts(ran.reach, &options.operation.common)?;
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
    if !ran.changed || options.no_verify || !options.operation.is_whole() {
        return Ok(ran.code);
    }
    verify::after(ran.reach, &options.operation.common, printer)
}
