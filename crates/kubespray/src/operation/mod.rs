//! Operations: look at hosts, plan, run.

mod again;
mod artifacts;
mod asked;
mod cache;
mod cluster;
mod document;
mod execute;
mod heard;
mod imagined;
mod intent;
mod kubeconfig;
mod learn;
mod look;
mod questions;
mod refused;
mod remove;
mod rendered;
mod reset;
mod scale;
mod secrets;
mod simulated;
mod sinks;
mod status;
mod stored;
mod undo;
mod upgrade;
mod verify;
mod verify_pods;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plan_text;
use kubespray_planner::{BlockedPod, PlanError, Rule, Seen, Selection, Wishes, blocked_pods, lint, select};
use kubespray_resource::{Plan, Secrets};
use kubespray_transport::{Pool, System, Target};
use kubespray_variables::{UnknownFacts, Variables};

pub(crate) use artifacts::{leave as leave_artifacts, wanted as wants_artifacts};
pub(crate) use cluster::Cluster;
pub(crate) use document::read as read_document;
pub(crate) use execute::{Start, execute, resume};
pub(crate) use intent::{Intent, wanted};
pub(crate) use kubeconfig::{Kubeconfig, kubeconfig, write_private};
pub(crate) use look::look;
pub(crate) use remove::{RemoveNode, to_forget};
pub(crate) use rendered::rendered;
pub(crate) use reset::{Reset, Wiping, clean, workloads};
pub(crate) use scale::Scale;
pub(crate) use secrets::{Standing, secrets_of, standing};
pub(crate) use simulated::{
    intent as simulate_intent, intent_plan as simulated_intent_plan, plan as simulated_plan, run as simulate,
};
pub(crate) use sinks::history_path;
pub(crate) use status::status;
pub(crate) use stored::{refuse_moved, restore, store, wishes_of};
pub(crate) use undo::Undo;
pub(crate) use upgrade::{Upgrade, refuse_blocked};
pub(crate) use verify::{Asked, Verdict, verify, verify_after};

use asked::Connected;

use crate::arguments::operations::Running;
use crate::arguments::{Common, Connection, operations as arguments};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::targets;

/// A site and the ways to its hosts.
pub(crate) struct Reach {
    pub(crate) site: Site,
    pub(crate) transport: Pool<System>,
    pub(crate) targets: BTreeMap<String, Target>,
    pub(crate) forks: usize,
    /// How the command line named the site and the way to it, for a command that goes on.
    again: Vec<String>,
}

impl Reach {
    /// For these hosts.
    pub(crate) fn new(
        mut site: Site,
        hosts: &[String],
        common: &Common,
        connection: &Connection,
    ) -> Result<Self, Failure> {
        let ways = targets::targets(&mut site, hosts, connection)?;
        let transport = targets::transport(connection)?;
        let targets = ways.into_iter().map(|way| (way.host.clone(), way)).collect();
        let again = again::arguments(common, connection);
        Ok(Self { site, transport, targets, forks: connection.forks.into(), again })
    }

    /// For all hosts of an inventory that a command line names.
    pub(crate) fn load(common: &Common, connection: &Connection) -> Result<Self, Failure> {
        let site = Site::load(common, Groups::Kubespray)?;
        let hosts = site.hosts(None)?;
        Self::new(site, &hosts, common, connection)
    }

    /// A command of ours, with the options that lead to the same hosts.
    pub(crate) fn same_site(&self, command: &str) -> String {
        let again = self.again.iter().map(String::as_str);
        [command].into_iter().chain(again).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn variables(&self) -> Variables {
        self.site.variables(UnknownFacts::Pending)
    }

    /// What hosts are, for people.
    pub(crate) fn groups(&self) -> BTreeMap<String, &'static str> {
        groups(&self.site)
    }

    /// The ways to some of the hosts; one that the inventory does not know is an error.
    pub(crate) fn ways(&self, hosts: &[&str]) -> Result<Vec<Target>, Failure> {
        self.connected().ways(hosts)
    }

    /// Whether nobody is asked before hosts are removed (LIFE-236).
    pub(crate) fn skips_confirmation(&self) -> bool {
        let variables = self.variables();
        let hosts = self.site.inventory.hosts();
        let found =
            hosts.first().and_then(|host| variables.get_if_defined(host, "skip_confirmation").ok()?);
        found.is_some_and(|value| ["true", "yes", "1"].contains(&value.to_text().to_lowercase().as_str()))
    }

    fn connected(&self) -> Connected<'_> {
        Connected { transport: &self.transport, targets: &self.targets }
    }

    /// The site, and the ways to its hosts.
    fn split(&mut self) -> (&mut Site, Connected<'_>) {
        (&mut self.site, Connected { transport: &self.transport, targets: &self.targets })
    }
}

/// What hosts are, for people. Who is several things is the last of them.
fn groups(site: &Site) -> BTreeMap<String, &'static str> {
    let known = [("etcd", "etcd"), ("kube_node", "workers"), ("kube_control_plane", "control planes")];
    let members = known.into_iter().flat_map(|(group, name)| {
        site.inventory.hosts_of(group).into_iter().map(move |host| (host.to_owned(), name))
    });
    members.collect()
}

/// What an operation wishes, ready to be looked at and planned.
pub(crate) struct Wanted {
    pub(crate) reach: Reach,
    pub(crate) wishes: Wishes,
    pub(crate) secrets: Secrets,
    /// The hosts that the operation is about; all where nothing is said.
    pub(crate) about: Option<BTreeSet<String>>,
}

/// A plan, and what is needed to run it.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) secrets: Secrets,
    pub(crate) reach: Reach,
    /// Pods that have to move and that something holds now.
    pub(crate) blocked: Vec<BlockedPod>,
}

impl Wanted {
    /// Looks at the hosts and plans.
    pub(crate) fn plan(self) -> Result<Planned, Failure> {
        let Self { reach, wishes, secrets, .. } = self;
        let seen = look(&reach, &wishes, &secrets)?;
        let plan = make_plan(wishes, &seen, &secrets)?;
        let blocked = blocked_pods(&plan, &seen);
        Ok(Planned { plan, secrets, reach, blocked })
    }
}

/// How a run that was wanted ended.
pub(crate) struct Ran {
    pub(crate) code: ExitCode,
    /// Whether anything was done, and all of it.
    pub(crate) changed: bool,
    pub(crate) reach: Reach,
    /// The hosts that it was about; all where nothing is said.
    pub(crate) about: Option<BTreeSet<String>>,
}

/// Looks, plans and does; where nothing differs no run is begun.
pub(crate) fn run(wanted: Wanted, running: &Running, printer: &mut Printer) -> Result<Ran, Failure> {
    printer.warnings(&wanted.reach.site.warnings, false);
    let about = wanted.about.clone();
    Ok(Ran { about, ..run_planned(wanted.plan()?, running, printer)? })
}

/// Does what a plan says; where nothing differs no run is begun.
pub(crate) fn run_planned(
    planned: Planned,
    running: &Running,
    printer: &mut Printer,
) -> Result<Ran, Failure> {
    if planned.plan.is_empty() {
        if printer.is_json() {
            printer.json_line(
                &serde_json::json!({"event": "nothing_to_do", "hosts": planned.plan.hosts().len()}),
            );
        } else {
            printer.line(plan_text(&planned.plan).trim_end());
        }
        return Ok(Ran { code: ExitCode::SUCCESS, changed: false, reach: planned.reach, about: None });
    }
    let code = execute(&planned, Start::New, running, printer)?;
    Ok(Ran { code, changed: code == ExitCode::SUCCESS, reach: planned.reach, about: None })
}

/// `kubespray resources`: the wishes are those of a document.
pub(crate) fn resources(document: &Path, options: &arguments::Operation) -> Result<Wanted, Failure> {
    let site = Site::load(&options.common, Groups::Kubespray)?;
    let wishes = read_document(document, &site.inventory)?;
    of_document(site, wishes, options)
}

fn of_document(site: Site, wishes: Wishes, options: &arguments::Operation) -> Result<Wanted, Failure> {
    let wishes = chosen(wishes, &site, options, options.common.limit.as_deref())?;
    let hosts: BTreeSet<&String> =
        wishes.steps.iter().map(|step| &step.host).chain(&wishes.lock_hosts).collect();
    let hosts: Vec<String> = hosts.into_iter().cloned().collect();
    let reach = Reach::new(site, &hosts, &options.common, &options.connection)?;
    let secrets = secrets_of(wishes.steps.iter(), &reach.variables(), &Secrets::default())?;
    Ok(Wanted { reach, wishes, secrets, about: None })
}

/// What the command line leaves of wishes.
fn chosen(
    wishes: Wishes,
    site: &Site,
    options: &arguments::Operation,
    limit: Option<&str>,
) -> Result<Wishes, Failure> {
    let hosts = match limit {
        Some(limit) => Some(site.hosts(Some(limit))?.into_iter().collect::<BTreeSet<_>>()),
        None => None,
    };
    let components: BTreeSet<&str> =
        wishes.steps.iter().flat_map(|step| [step.component.as_str(), step.phase.as_str()]).collect();
    for tag in options.tags.iter().chain(&options.skip_tags) {
        if !components.contains(tag.as_str()) {
            let mut problem =
                Diagnostic::error("tags", format!("no step is of a component or phase `{tag}`"));
            problem = match kubespray_diagnostics::did_you_mean(tag, components.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => {
                    problem.hint(format!("there are {}", kubespray_diagnostics::quoted_list(&components, 20)))
                }
            };
            return Err(problem.into());
        }
    }
    let selection = Selection {
        hosts,
        tags: options.tags.iter().cloned().collect(),
        skip_tags: options.skip_tags.iter().cloned().collect(),
    };
    let mut wishes = select(wishes, &selection);
    wishes.policy.forks = options.connection.forks.into();
    Ok(wishes)
}

/// The plan for what was seen; one that breaks a rule is refused.
fn make_plan(wishes: Wishes, seen: &Seen, secrets: &Secrets) -> Result<Plan, Failure> {
    let plan = kubespray_planner::plan(wishes, seen, secrets)
        .map_err(|errors| errors.iter().map(unplanned).collect::<Vec<_>>())?;
    refuse_unsound(&plan, secrets)?;
    Ok(plan)
}

/// Refuses a plan that breaks a rule of the linter.
pub(crate) fn refuse_unsound(plan: &Plan, secrets: &Secrets) -> Result<(), Failure> {
    let problems: Vec<Diagnostic> = lint(plan, secrets)
        .iter()
        .map(|problem| {
            let told = Diagnostic::error(
                format!("plan-{}", problem.rule),
                format!("`{}`: {}", problem.at, problem.message),
            );
            match problem.rule {
                Rule::Skew => {
                    told.hint("control planes go first: leave `--limit` and `--tags` out, or do these before")
                }
                _ => told,
            }
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn unplanned(error: &PlanError) -> Diagnostic {
    match error {
        PlanError::Unobservable { step, failure } => {
            let host = step.as_str().split('/').next().unwrap_or_default();
            let problem =
                Diagnostic::error("observe", format!("`{step}` could not be observed: {}", failure.message));
            let problem =
                failure.evidence.iter().fold(problem.on_host(host), |p, line| p.because(line.clone()));
            failure.hints.iter().fold(problem, |p, hint| p.hint(hint.clone()))
        }
        other => Diagnostic::error("observe", other.to_string()),
    }
}
