//! `kubespray upgrade-cluster`

use std::process::ExitCode;

use crate::arguments::operations::UpgradeCluster;
use crate::commands::verify;
use crate::failure::Failure;
use crate::operation::{self, Upgrade};
use crate::printer::Printer;

pub(crate) fn run(options: &UpgradeCluster, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let UpgradeCluster { upgrading, of } = options;
    let intent = Upgrade(upgrading);
    if let Some(scenario) = &of.simulation.simulate {
        return operation::simulate_intent(&intent, &of.operation, scenario.as_deref(), printer);
    }
    let wanted = operation::wanted(&intent, &of.operation)?;
    printer.warnings(&wanted.reach.site.warnings, false);
    let planned = wanted.plan()?;
    operation::refuse_blocked(&planned.blocked, upgrading.despite_budgets)?;
    let ran = operation::run_planned(planned, &of.running, printer)?;
    // A part of the work leaves a part of a cluster; what changed nothing was looked at just now.
    if !ran.changed || of.no_verify || !of.operation.is_whole() {
        return Ok(ran.code);
    }
    verify::after(ran.reach, &of.operation.common, printer)
}
