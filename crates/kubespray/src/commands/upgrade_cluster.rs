//! `kubespray upgrade-cluster`

use std::process::ExitCode;

use crate::arguments::operations::UpgradeCluster;
use crate::commands::verify;
use crate::failure::Failure;
use crate::operation;
use crate::printer::Printer;

pub(crate) fn run(options: &UpgradeCluster, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let wanted = operation::upgrade(&options.operation, &options.upgrading)?;
    printer.warnings(&wanted.reach.site.warnings, false);
    let planned = wanted.plan()?;
    operation::refuse_blocked(&planned.blocked, &options.upgrading)?;
    let ran = operation::run_planned(planned, &options.running, printer)?;
    // A part of the work leaves a part of a cluster; what changed nothing was looked at just now.
    if !ran.changed || options.no_verify || !options.operation.is_whole() {
        return Ok(ran.code);
    }
    verify::after(ran.reach, &options.operation.common, printer)
}
