//! `kubespray resources`

use std::process::ExitCode;

use crate::arguments::operations::Resources;
use crate::failure::Failure;
use crate::operation;
use crate::printer::Printer;

pub(crate) fn run(options: &Resources, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let wanted = operation::resources(&options.document, &options.operation)?;
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulate(wanted, scenario.as_deref(), printer);
    }
    Ok(operation::run(wanted, &options.running, printer)?.code)
}
