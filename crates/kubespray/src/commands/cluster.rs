//! `kubespray cluster`

use std::process::ExitCode;

use crate::arguments::operations::Cluster;
use crate::failure::Failure;
use crate::operation;
use crate::printer::Printer;

pub(crate) fn run(options: &Cluster, printer: &mut Printer) -> Result<ExitCode, Failure> {
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulate_cluster(&options.operation, scenario.as_deref(), printer);
    }
    operation::run(operation::cluster(&options.operation)?, &options.running, printer)
}
