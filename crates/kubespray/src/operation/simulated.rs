//! Operations over imagined hosts.

use std::path::Path;
use std::process::ExitCode;

use kubespray_controller::{Ending, Options};
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_interface::{Lines, report_text};
use kubespray_planner::Wishes;
use kubespray_resource::Plan;
use kubespray_simulator::{Fault, World};
use serde::Deserialize;

use super::document::json_of;
use super::{Wanted, make_plan};
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;

/// What goes wrong, and when.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scenario {
    /// One seed gives one history.
    seed: u64,
    faults: Vec<Due>,
}

/// A fault, so many milliseconds after the run begins.
#[derive(Debug, Deserialize)]
struct Due {
    after_ms: u64,
    #[serde(flatten)]
    fault: Fault,
}

impl Scenario {
    fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::default()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Diagnostic::error("scenario", format!("cannot read `{name}`: {error}")))?;
        let source = Source::new(name, text.clone());
        let Some(root) = kubespray_yaml::parse(&text, &source)?.root else { return Ok(Self::default()) };
        let wrong = |why: String| Diagnostic::error("scenario", why).at(Span::whole(source.clone()));
        let value = json_of(&root.value).map_err(wrong)?;
        let hint = "faults are power_off, power_loss, reset, cut, kill_helper, disk_full, slow_disk, mirror_down, \
                    bad_uploads and clock_skew; `--help` shows the form";
        Ok(serde_json::from_value(value).map_err(|error| wrong(error.to_string()).hint(hint))?)
    }
}

/// Freshly installed hosts for some wishes.
fn world(wishes: &Wishes, scenario: &Scenario) -> World {
    let mut hosts: Vec<&str> = Vec::new();
    for host in wishes.steps.iter().map(|step| &step.host).chain(&wishes.lock_hosts) {
        if !hosts.contains(&host.as_str()) {
            hosts.push(host);
        }
    }
    World::new(hosts, scenario.seed)
}

/// The plan for imagined hosts.
pub(crate) fn plan(wanted: Wanted, file: Option<&Path>) -> Result<Plan, Failure> {
    let Wanted { wishes, secrets, .. } = wanted;
    let mut world = world(&wishes, &Scenario::read(file)?);
    let seen = world.observe(&wishes, &secrets);
    make_plan(wishes, &seen, &secrets)
}

/// Runs an operation over imagined hosts to its end, and then once more: the second run must find nothing to do.
pub(crate) fn run(wanted: Wanted, file: Option<&Path>, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let Wanted { wishes, secrets, .. } = wanted;
    let scenario = Scenario::read(file)?;
    let mut world = world(&wishes, &scenario);
    let seen = world.observe(&wishes, &secrets);
    let plan = make_plan(wishes.clone(), &seen, &secrets)?;
    for due in scenario.faults {
        world.fault_in(due.after_ms, due.fault);
    }
    let (report, events) = world
        .run(plan, "simulated", &secrets, Options::default())
        .map_err(|error| Diagnostic::error("plan", error.to_string()))?;
    let mut lines = Lines::default();
    for event in &events {
        if printer.is_json() {
            printer.json_line(event);
        } else if let Some(line) = lines.line(event) {
            printer.line(line);
        }
    }
    let mut problems: Vec<Diagnostic> = world
        .violations()
        .iter()
        .map(|violation| {
            Diagnostic::error("simulation", format!("{}: {}", violation.rule, violation.what))
                .hint("this is a defect of this program")
        })
        .collect();
    let done = report.as_ref().is_some_and(|report| report.ending == Ending::Done);
    if let Some(report) = &report {
        if printer.is_json() {
            printer.json_line(report);
        } else {
            printer.line(report_text(report, None).trim_end());
        }
    }
    if done {
        let seen = world.observe(&wishes, &secrets);
        let again = make_plan(wishes, &seen, &secrets)?;
        let left: Vec<String> = again.changes().map(|planned| planned.step.id.to_string()).collect();
        if !left.is_empty() {
            let message = format!("a second run would change {}", left.join(", "));
            problems.push(Diagnostic::error("simulation", message).hint("this is a defect of this program"));
        } else if !printer.is_json() {
            printer.line("simulated: a second run would change nothing");
        }
    }
    if problems.is_empty() {
        return Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) });
    }
    Err(Failure { diagnostics: problems, code: FOUND_ERRORS })
}
