//! `kubespray remove-node`

use std::process::ExitCode;

use super::confirm;
use crate::arguments::operations::RemoveNode as Options;
use crate::failure::Failure;
use crate::operation::{self, RemoveNode};
use crate::printer::Printer;

pub(crate) fn run(options: &Options, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let intent = RemoveNode { names: options.names.clone(), dead: options.dead };
    if let Some(scenario) = &options.simulation.simulate {
        return operation::simulate_intent(&intent, &options.operation, scenario.as_deref(), printer);
    }
    let wanted = operation::wanted(&intent, &options.operation)?;
    let leaving = intent.hosts(&wanted.reach.site)?;
    printer.warnings(&wanted.reach.site.warnings, false);
    let skips = wanted.reach.skips_confirmation();
    let planned = wanted.plan()?;
    let names: Vec<&str> = leaving.iter().map(String::as_str).collect();
    if !planned.plan.is_empty() && !options.yes && !skips {
        confirm(&planned.plan.cluster, &names, printer)?;
    }
    let touched = if planned.plan.is_empty() { Vec::new() } else { planned.plan.hosts() };
    let wiped: Vec<String> =
        touched.into_iter().filter(|host| leaving.contains(*host)).map(str::to_owned).collect();
    let ran = operation::run_planned(planned, &options.running, printer)?;
    if ran.code == ExitCode::SUCCESS {
        // The last traces are the helper's own: its journal, and what the hosts were before.
        operation::clean(&ran.reach, &wiped, printer);
    }
    if ran.code == ExitCode::SUCCESS && !printer.is_json() {
        for line in operation::to_forget(&ran.reach.site, &leaving) {
            printer.line(&line);
        }
    }
    Ok(ran.code)
}

/// LIFE-132: nobody is removed by a slip of the hand.
fn confirm(cluster: &str, names: &[&str], printer: &mut Printer) -> Result<(), Failure> {
    const INSTEAD: &str = "`--yes` asks nobody";
    confirm::can_be_asked(INSTEAD, printer)?;
    let names = names.join(", ");
    let question =
        format!("These leave the cluster `{cluster}` and are wiped: {names}. Type `yes` to go on:");
    confirm::typed(&question, "yes", INSTEAD, printer)
}
