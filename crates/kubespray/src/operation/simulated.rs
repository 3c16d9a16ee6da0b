//! Operations over imagined hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use kubespray_controller::{Ending, Options, Report};
use kubespray_diagnostics::{Diagnostic, Source, Span};
use kubespray_interface::report_text;
use kubespray_planner::Wishes;
use kubespray_resource::{Plan, Secrets};
use kubespray_simulator::{Fault, World};
use kubespray_variables::UnknownFacts;
use serde::Deserialize;
use serde_json::Value as Json;

use super::document::json_of;
use super::intent::{Asking, Intent};
use super::learn::{hosts, refuse_errors};
use super::sinks::{Keeping, Sinks};
use super::{Cluster, Wanted, groups, make_plan, secrets_of};
use crate::arguments::operations as arguments;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};

/// So much time passes in a simulation between two looks at it, and so much for who watches.
const STEP_MS: u64 = 500;
const FRAME: Duration = Duration::from_millis(12);

/// All that begins by itself behind a run is over after this long.
const SETTLED_MS: u64 = 30_000;

/// A run that is not over by then never will be.
const LONGEST_MS: u64 = 24 * 3_600_000;

/// What goes wrong, and when.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scenario {
    /// One seed gives one history.
    seed: u64,
    faults: Vec<Due>,
    before: Before,
}

/// What the cluster is like that an operation begins with.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Before {
    /// Hosts that it does not have yet.
    without: BTreeSet<String>,
    /// Variables that it was made with, such as an older `kube_version`.
    vars: serde_json::Map<String, Json>,
    /// Hosts whose clocks are wrong by so many milliseconds; positive where they are ahead.
    clock_skew: BTreeMap<String, i64>,
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

    /// The command line with which the cluster was made.
    fn before(&self, options: &arguments::Operation) -> arguments::Operation {
        let mut before = options.clone();
        (before.tags, before.skip_tags, before.common.limit) = (Vec::new(), Vec::new(), None);
        before.common.extra_vars.push(Json::Object(self.before.vars.clone()).to_string());
        before
    }
}

/// What an operation wishes of imagined hosts, however they are now.
trait Operation {
    fn wished(&mut self, world: &mut World) -> Result<(Wishes, Secrets), Failure>;
}

/// The wishes of a document are the same whatever hosts are like.
struct Document {
    wishes: Wishes,
    secrets: Secrets,
}

impl Operation for Document {
    fn wished(&mut self, _: &mut World) -> Result<(Wishes, Secrets), Failure> {
        Ok((self.wishes.clone(), self.secrets.clone()))
    }
}

/// What is asked of a cluster, as it looks at hosts.
struct Imagined<'a> {
    site: Site,
    intent: &'a dyn Intent,
    options: &'a arguments::Operation,
    /// Those of an earlier look: hosts keep what was made of them.
    secrets: Secrets,
}

impl Operation for Imagined<'_> {
    fn wished(&mut self, world: &mut World) -> Result<(Wishes, Secrets), Failure> {
        let Self { site, intent, options, .. } = self;
        let mut wishes = intent.wish(&mut Asking { site, hosts: world, options })?.wishes;
        world.imagine_downloads(&mut wishes);
        let variables = self.site.variables(UnknownFacts::Pending);
        let secrets = secrets_of(wishes.steps.iter(), &variables, &self.secrets)?;
        self.secrets.extend(secrets.clone());
        Ok((wishes, secrets))
    }
}

impl<'a> Imagined<'a> {
    /// With hosts that have the addresses that the inventory says: freshly installed, or those of a cluster where
    /// there must be one.
    fn new(
        intent: &'a dyn Intent,
        options: &'a arguments::Operation,
        scenario: &Scenario,
    ) -> Result<(Self, World), Failure> {
        let mut site = Site::load(&options.common, Groups::Kubespray)?;
        let variables = site.variables(UnknownFacts::Pending);
        site.warnings = refuse_errors(site.problems(&variables))?;
        let hosts = hosts(&site);
        let mut world = World::new(&hosts, scenario.seed);
        for host in &hosts {
            let address = |name: &str| -> Option<Ipv4Addr> {
                variables.get_if_defined(host, name).ok()??.to_text().parse().ok()
            };
            if let Some(address) = ["ip", "ansible_host"].into_iter().find_map(address) {
                world.set_address(host, address);
            }
        }
        let mut secrets = Secrets::default();
        if intent.needs_cluster() {
            let before = scenario.before(options);
            let site = Site::load(&before.common, Groups::Kubespray)?.without(&scenario.before.without);
            let mut made = Imagined { site, intent: &Cluster, options: &before, secrets };
            make(&mut made, &mut world)?;
            secrets = made.secrets;
        }
        for (host, ms) in &scenario.before.clock_skew {
            world.befall(Fault::ClockSkew { host: host.clone(), ms: *ms });
        }
        Ok((Self { site, intent, options, secrets }, world))
    }
}

/// Does an operation, with nobody watching and no faults.
fn make(operation: &mut dyn Operation, world: &mut World) -> Result<(), Failure> {
    let (plan, secrets) = plan_of(operation, world)?;
    let holder = world.holder("before", &plan.operation);
    let operator = world
        .begin(plan, holder, &secrets, Options::default())
        .map_err(|error| Diagnostic::error("plan", error.to_string()))?;
    world.go();
    world.go_for(SETTLED_MS);
    match world.report(operator).map(|report| &report.ending) {
        Some(Ending::Done) => Ok(()),
        other => {
            Err(Diagnostic::error("simulation", format!("the cluster to begin with was not made: {other:?}"))
                .hint("`kubespray cluster --simulate` shows why")
                .into())
        }
    }
}

/// Freshly installed hosts for some wishes.
fn world(wishes: &Wishes, seed: u64) -> World {
    let mut hosts: Vec<&str> = Vec::new();
    for host in wishes.steps.iter().map(|step| &step.host).chain(&wishes.lock_hosts) {
        if !hosts.contains(&host.as_str()) {
            hosts.push(host);
        }
    }
    World::new(hosts, seed)
}

fn plan_of(operation: &mut dyn Operation, world: &mut World) -> Result<(Plan, Secrets), Failure> {
    let (wishes, secrets) = operation.wished(world)?;
    let seen = world.observe(&wishes, &secrets);
    Ok((make_plan(wishes, &seen, &secrets)?, secrets))
}

/// The plan of a document for imagined hosts.
pub(crate) fn plan(wanted: Wanted, file: Option<&Path>) -> Result<Plan, Failure> {
    let Wanted { wishes, secrets, .. } = wanted;
    let mut world = world(&wishes, Scenario::read(file)?.seed);
    Ok(plan_of(&mut Document { wishes, secrets }, &mut world)?.0)
}

/// The plan of an operation for imagined hosts.
pub(crate) fn intent_plan(
    intent: &dyn Intent,
    options: &arguments::Operation,
    file: Option<&Path>,
    printer: &mut Printer,
) -> Result<Plan, Failure> {
    let (mut imagined, mut world) = Imagined::new(intent, options, &Scenario::read(file)?)?;
    printer.warnings(&imagined.site.warnings, false);
    Ok(plan_of(&mut imagined, &mut world)?.0)
}

/// Runs a document over imagined hosts.
pub(crate) fn run(wanted: Wanted, file: Option<&Path>, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let Wanted { wishes, secrets, reach, .. } = wanted;
    let scenario = Scenario::read(file)?;
    let mut world = world(&wishes, scenario.seed);
    play(&mut Document { wishes, secrets }, &mut world, scenario, &reach.groups(), printer)
}

/// Runs an operation over imagined hosts.
pub(crate) fn intent(
    intent: &dyn Intent,
    options: &arguments::Operation,
    file: Option<&Path>,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    let scenario = Scenario::read(file)?;
    let (mut imagined, mut world) = Imagined::new(intent, options, &scenario)?;
    printer.warnings(&imagined.site.warnings, false);
    let groups = groups(&imagined.site);
    play(&mut imagined, &mut world, scenario, &groups, printer)
}

/// Runs an operation to its end, and looks once more: a second run must find nothing to do.
fn play(
    operation: &mut dyn Operation,
    world: &mut World,
    scenario: Scenario,
    groups: &BTreeMap<String, &'static str>,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    let (plan, secrets) = plan_of(operation, world)?;
    for due in scenario.faults {
        world.fault_in(due.after_ms, due.fault);
    }
    let report = watch(world, plan, &secrets, groups, printer)?;
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
            printer.line(report_text(report, None, None).trim_end());
        }
    }
    if done {
        // Pods may still be on their way that nobody waits for.
        world.go_for(SETTLED_MS);
        let (again, _) = plan_of(operation, world)?;
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

/// Runs a plan and shows how it goes; on a terminal slowly enough to be seen.
fn watch(
    world: &mut World,
    plan: Plan,
    secrets: &Secrets,
    groups: &BTreeMap<String, &'static str>,
    printer: &mut Printer,
) -> Result<Option<Report>, Failure> {
    let sinks = Sinks::start(&plan, groups, Keeping::Nothing, printer)?;
    let is_watched = !printer.is_json() && io::stdout().is_terminal();
    let holder = world.holder("simulated", &plan.operation);
    let operator = world
        .begin(plan, holder, secrets, Options::default())
        .map_err(|error| Diagnostic::error("plan", error.to_string()))?;
    let (mut told, mut passed) = (0, 0);
    let mut tell = |world: &World| {
        for event in world.events(operator).iter().skip(told) {
            sinks.take(event.clone());
        }
        told = world.events(operator).len();
    };
    while world.report(operator).is_none() && passed < LONGEST_MS {
        world.go_for(STEP_MS);
        passed += STEP_MS;
        tell(world);
        if is_watched {
            thread::sleep(FRAME);
        }
    }
    world.go();
    tell(world);
    sinks.finish();
    Ok(world.report(operator).cloned())
}
