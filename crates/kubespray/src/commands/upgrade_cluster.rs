//! `kubespray upgrade-cluster`

use std::process::ExitCode;

use crate::arguments::operations::UpgradeCluster;
use crate::commands::verify;
use crate::failure::Failure;
use crate::operation::{self, Upgrade};
use crate::printer::Printer;

/// Said before anything is done.
const NO_WAY_BACK: &str = "There is no way back from what newer API servers write, nor from a newer etcd: \
    the snapshot that is made first, below `etcd_backup_prefix`, is of the cluster as it is now.";

pub(crate) fn run(options: &UpgradeCluster, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let UpgradeCluster { upgrading, of } = options;
    let intent = Upgrade(upgrading);
    if let Some(scenario) = &of.simulation.simulate {
        return operation::simulate_intent(&intent, &of.operation, scenario.as_deref(), printer);
    }
    let wanted = operation::wanted(&intent, &of.operation)?;
    printer.warnings(&wanted.reach.site.warnings, false);
    let planned = wanted.plan()?;
    operation::refuse_blocked(&planned.blocked, upgrading)?;
    if !planned.plan.is_empty() && !printer.is_json() {
        printer.line(NO_WAY_BACK);
    }
    let ran = operation::run_planned(planned, &of.running, printer)?;
    // A part of the work leaves a part of a cluster; what changed nothing was looked at just now.
    if !ran.changed || of.no_verify || !of.operation.is_whole() {
        return Ok(ran.code);
    }
    verify::after(ran.reach, &of.operation.common, printer)
}
