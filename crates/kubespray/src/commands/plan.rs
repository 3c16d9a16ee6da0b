//! `kubespray plan`

use std::process::ExitCode;

use kubespray_interface::plan_text;

use crate::arguments::operations::{
    Operation, Plan, PlanIntent, PlanOf, PlanOutput, PlanReset, PlanResources, Simulation,
};
use crate::failure::{FOUND_ERRORS, Failure};
use crate::operation::{self, Intent, Wanted};
use crate::printer::Printer;

/// With `--detailed-exitcode`: something would change.
const CHANGES: u8 = 2;

pub(crate) fn run(options: &Plan, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let (plan, output) = match &options.of {
        PlanOf::Cluster(options) => (whole(&operation::Cluster, options, printer), &options.output),
        PlanOf::Scale(options) => (whole(&operation::Scale, options, printer), &options.output),
        PlanOf::RemoveNode(options) => {
            let remove = operation::RemoveNode { names: options.names.clone(), dead: options.dead };
            (intent(&remove, &options.operation, &options.simulation, printer), &options.output)
        }
        PlanOf::Reset(options) => (reset(options, printer), &options.output),
        PlanOf::Resources(options) => (resources(options, printer), &options.output),
        PlanOf::Undo(options) => {
            let wanted = operation::wanted(&operation::Undo(options.run.as_deref()), &options.operation);
            (wanted.and_then(|wanted| real(wanted, printer)), &options.output)
        }
        PlanOf::UpgradeCluster(options) => {
            let upgrade = operation::Upgrade(&options.upgrading);
            let of = &options.of;
            (intent(&upgrade, &of.operation, &of.simulation, printer), &of.output)
        }
    };
    plan.and_then(|plan| show(&plan, output, printer)).map_err(|failure| {
        // 2 says that something would change.
        if output.detailed_exitcode { Failure { code: FOUND_ERRORS, ..failure } } else { failure }
    })
}

fn whole(
    of: &dyn Intent,
    options: &PlanIntent,
    printer: &mut Printer,
) -> Result<kubespray_resource::Plan, Failure> {
    intent(of, &options.operation, &options.simulation, printer)
}

fn intent(
    intent: &dyn Intent,
    options: &Operation,
    simulation: &Simulation,
    printer: &mut Printer,
) -> Result<kubespray_resource::Plan, Failure> {
    match &simulation.simulate {
        Some(scenario) => operation::simulated_intent_plan(intent, options, scenario.as_deref(), printer),
        None => real(operation::wanted(intent, options)?, printer),
    }
}

fn reset(options: &PlanReset, printer: &mut Printer) -> Result<kubespray_resource::Plan, Failure> {
    let reset = operation::Reset::of(&options.dead);
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulated_intent_plan(&reset, &options.operation, scenario.as_deref(), printer);
    }
    let plan = real(operation::wanted(&reset, &options.operation)?, printer)?;
    if let Some(wiping) = reset.found().filter(|_| !printer.is_json()) {
        printer.line(wiping.headline());
    }
    Ok(plan)
}

fn resources(options: &PlanResources, printer: &mut Printer) -> Result<kubespray_resource::Plan, Failure> {
    let wanted = operation::resources(&options.document, &options.operation)?;
    match &options.simulation.simulate {
        Some(scenario) => operation::simulated_plan(wanted, scenario.as_deref()),
        None => real(wanted, printer),
    }
}

fn real(wanted: Wanted, printer: &mut Printer) -> Result<kubespray_resource::Plan, Failure> {
    let warnings = wanted.reach.site.warnings.clone();
    let plan = wanted.plan()?.plan;
    printer.warnings(&warnings, false);
    Ok(plan)
}

fn show(
    plan: &kubespray_resource::Plan,
    output: &PlanOutput,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    if let Some(path) = &output.out {
        operation::store(plan, path)?;
    }
    if printer.is_json() {
        printer.json(plan);
    } else {
        printer.line(plan_text(plan).trim_end());
    }
    let would_change = output.detailed_exitcode && !plan.is_empty();
    Ok(if would_change { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}
