//! Arguments of operations: what changes hosts, and what shows what would.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use kubespray_planner::operations::MaxUnavailable;

use super::{Common, Connection};

/// Options of everything that plans.
#[derive(Clone, Debug, Args)]
pub(crate) struct Operation {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Only steps of these components or phases; several with commas
    #[arg(short, long, value_name = "NAMES", value_delimiter = ',', help_heading = "Steps")]
    pub(crate) tags: Vec<String>,
    /// No steps of these components or phases; several with commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Steps")]
    pub(crate) skip_tags: Vec<String>,
}

impl Operation {
    /// Whether all steps of all hosts are meant.
    pub(crate) fn is_whole(&self) -> bool {
        self.common.limit.is_none() && self.tags.is_empty() && self.skip_tags.is_empty()
    }
}

/// Imagined hosts.
#[derive(Debug, Args)]
pub(crate) struct Simulation {
    /// Imagine the hosts, freshly installed, instead of connecting to them; the file says what goes wrong
    ///
    /// Planner, controller and helper are the real ones; time, network, disks and packages are imagined. The file is
    /// YAML: `seed: 1` and `faults`, a list such as `- {after_ms: 2000, power_off: {host: node1, off_ms: 60000}}`.
    /// Operations on a cluster begin with one: that of the inventory, but for `before: {without: [node9], vars:
    /// {kube_version: 1.35.1}, clock_skew: {node2: 86400000}}`, the last in milliseconds.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, help_heading = "Simulation")]
    pub(crate) simulate: Option<Option<PathBuf>>,
}

/// Options of everything that runs a plan.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// Take the lock away from a run that will not come back
    ///
    /// Says whose it was. A run that is still under way somewhere then stops at its next step.
    #[arg(long, help_heading = "Run")]
    pub(crate) break_lock: bool,
    /// How many hosts may fail before no further one is begun
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub(crate) failure_budget: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Resources {
    /// The document: YAML or JSON
    #[arg(value_name = "FILE")]
    pub(crate) document: PathBuf,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Cluster {
    /// Do not assert at the end of a run that the cluster works, as `kubespray verify` does
    #[arg(long, help_heading = "Run")]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) running: Running,
}

/// How nodes take turns in an upgrade.
#[derive(Clone, Debug, Args)]
pub(crate) struct Upgrading {
    /// How many workers may be out of service at once: a number, or a part of all such as `20%`; else `serial`. With
    /// `GROUP=` those of a group of the inventory, which get a window and a first one of their own; several times
    #[arg(long, value_name = "[GROUP=]N|N%", help_heading = "Upgrade")]
    pub(crate) max_unavailable: Vec<MaxUnavailable>,
    /// Begin although a disruption budget holds a pod that has to move now: it may let it go later
    #[arg(long, help_heading = "Upgrade")]
    pub(crate) despite_budgets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpgradeCluster {
    #[command(flatten)]
    pub(crate) upgrading: Upgrading,
    #[command(flatten)]
    pub(crate) of: Cluster,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveNode {
    /// Hosts of the inventory: names, and patterns as of --limit
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Those of them that do not answer are gone for good: nothing is done on them
    #[arg(long, help_heading = "Removal")]
    pub(crate) dead: bool,
    /// Ask nobody
    #[arg(long, help_heading = "Removal")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// Do not ask for the cluster's name
    #[arg(short, long, requires = "cluster_id", help_heading = "Reset")]
    pub(crate) yes: bool,
    /// The id that the cluster must have: the fingerprint of its certificate authority, as `plan reset` prints it; `none`
    /// where hosts have none
    #[arg(long, value_name = "ID", help_heading = "Reset")]
    pub(crate) cluster_id: Option<String>,
    /// Hosts that are gone for good: they are left out, and nothing waits for them; several with commas
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', help_heading = "Reset")]
    pub(crate) dead: Vec<String>,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only these assertions, by name or by the id of what they assert
    #[arg(value_name = "NAME|ID")]
    pub(crate) assertions: Vec<String>,
    /// How long to wait at most for what is not true yet, in seconds; 0 looks once
    #[arg(long, value_name = "S", help_heading = "Verify")]
    pub(crate) wait: Option<u64>,
    /// Also try the network of pods: from a pod on every node, by services and ports of nodes, and names in pods
    ///
    /// The pods are made in a namespace of their own, `kubespray-verify`, which goes again. They run the image that every
    /// pod begins with; nothing is fetched.
    #[arg(long, help_heading = "Verify")]
    pub(crate) with_pods: bool,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Args)]
pub(crate) struct Kubeconfig {
    /// Where to write it, with mode 0600; `-` prints it, also on a terminal
    #[arg(long, value_name = "FILE", help_heading = "Kubeconfig")]
    pub(crate) out: Option<PathBuf>,
    /// The address of the API server in it: `https://ADDRESS:PORT`
    #[arg(long, value_name = "URL", help_heading = "Kubeconfig")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// Systems that hosts can be imagined with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Os {
    /// Debian 12
    #[value(name = "debian-12")]
    Debian12,
    /// Debian 13
    #[value(name = "debian-13")]
    Debian13,
    /// Ubuntu 22.04
    #[value(name = "ubuntu-22.04")]
    Ubuntu2204,
    /// Ubuntu 24.04
    #[value(name = "ubuntu-24.04")]
    Ubuntu2404,
}

#[derive(Debug, Args)]
pub(crate) struct Render {
    /// The folder to write: a new one, an empty one, or one that this command wrote
    #[arg(long, value_name = "DIR", help_heading = "Render")]
    pub(crate) out: PathBuf,
    /// Imagine hosts without facts with this system, freshly installed
    #[arg(long, value_name = "NAME", value_enum, help_heading = "Render")]
    pub(crate) os: Option<Os>,
    /// Only this host
    #[arg(long, value_name = "HOST", conflicts_with = "limit", help_heading = "Render")]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(subcommand)]
    pub(crate) of: PlanOf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanOf {
    /// What `kubespray cluster` would do
    Cluster(PlanIntent),
    /// What `kubespray scale` would do
    Scale(PlanIntent),
    /// What `kubespray remove-node NAME` would do
    RemoveNode(PlanRemoveNode),
    /// What `kubespray reset` would do
    Reset(PlanReset),
    /// What `kubespray upgrade-cluster` would do, with the pods that move and what holds them
    #[command(alias = "upgrade")]
    UpgradeCluster(PlanUpgradeCluster),
    /// What `kubespray runs undo` would do
    Undo(PlanUndo),
    /// What `kubespray resources FILE` would do
    Resources(PlanResources),
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanOutput {
    /// Also write the plan to a file, for `kubespray apply`
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub(crate) out: Option<PathBuf>,
    /// Exit with 0 when nothing would change, 2 when something would, 1 on errors
    #[arg(long, help_heading = "Plan")]
    pub(crate) detailed_exitcode: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanUpgradeCluster {
    #[command(flatten)]
    pub(crate) upgrading: Upgrading,
    #[command(flatten)]
    pub(crate) of: PlanIntent,
}

#[derive(Debug, Args)]
pub(crate) struct PlanIntent {
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) output: PlanOutput,
}

#[derive(Debug, Args)]
pub(crate) struct PlanRemoveNode {
    /// Hosts of the inventory: names, and patterns as of --limit
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Those of them that do not answer are gone for good: nothing is done on them
    #[arg(long, help_heading = "Removal")]
    pub(crate) dead: bool,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) output: PlanOutput,
}

#[derive(Debug, Args)]
pub(crate) struct PlanReset {
    /// Hosts that are gone for good: they are left out; several with commas
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', help_heading = "Reset")]
    pub(crate) dead: Vec<String>,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) output: PlanOutput,
}

#[derive(Debug, Args)]
pub(crate) struct PlanUndo {
    /// The run; the latest that hosts kept anything of, where none is given
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) output: PlanOutput,
}

#[derive(Debug, Args)]
pub(crate) struct PlanResources {
    /// The document: YAML or JSON
    #[arg(value_name = "FILE")]
    pub(crate) document: PathBuf,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) simulation: Simulation,
    #[command(flatten)]
    pub(crate) output: PlanOutput,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The plan that `kubespray plan … --out FILE` wrote
    #[arg(value_name = "FILE")]
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// List the runs that were started on this machine, the latest first
    List(RunsList),
    /// Tell what a run did: every change, failure and the time it took
    Show(RunsShow),
    /// Go on with a run that was cut off, at the exact step, from any machine
    ///
    /// The plan and how far it went are read from the hosts; nothing on this machine is needed but the inventory.
    #[command(
        after_help = "Examples:\n  kubespray runs resume -i hosts.yaml\n  kubespray runs resume 20261121-0912-4f1c -i hosts.yaml"
    )]
    Resume(Box<RunsResume>),
    /// Put back what an upgrade replaced on hosts: programs, units, configuration, static pods
    ///
    /// Hosts keep it before it is replaced, of the last two runs. Nodes go back one at a time, drained and proven well as
    /// they were on the way forth; what must not go back stays, and is told with the reason. `kubespray plan undo` shows
    /// it all before.
    #[command(
        after_help = "Examples:\n  kubespray runs undo -i hosts.yaml --limit node3\n  kubespray runs undo 20261121-091233-4f1c -i hosts.yaml"
    )]
    Undo(Box<RunsUndo>),
}

#[derive(Debug, Args)]
pub(crate) struct RunsUndo {
    /// The run; the latest that hosts kept anything of, where none is given
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Begin although a disruption budget holds a pod that has to move now: it may let it go later
    #[arg(long, help_heading = "Run")]
    pub(crate) despite_budgets: bool,
    #[command(flatten)]
    pub(crate) operation: Operation,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct RunsList {
    #[command(flatten)]
    pub(crate) output: super::Output,
}

#[derive(Debug, Args)]
pub(crate) struct RunsShow {
    /// The run, or the beginning of its name; the latest where none is given
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) output: super::Output,
}

#[derive(Debug, Args)]
pub(crate) struct RunsResume {
    /// The run; the one that holds the lock, or else the latest, where none is given
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) running: Running,
}
