//! One file per command.

mod apply;
mod bundle;
mod cluster;
mod completions;
mod config;
mod confirm;
mod exec;
mod facts;
mod inventory;
mod kubeconfig;
mod man;
mod node;
mod ping;
mod plan;
mod preflight;
mod reference;
mod remove_node;
mod render;
mod reset;
mod resources;
mod runs;
mod status;
mod upgrade_cluster;
mod validate;
mod vars;
mod verify;

use std::process::ExitCode;

use crate::arguments::{Arguments, Command, Config, Inventory, Vars};
use crate::failure::Failure;
use crate::operation;
use crate::printer::Printer;

/// Runs a command; the exit code is that of a command that did its job.
pub(crate) fn run(arguments: &Arguments, printer: &mut Printer) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::Inventory(Inventory::List(options)) => inventory::list::run(options, printer),
        Command::Inventory(Inventory::Graph(options)) => inventory::graph::run(options, printer),
        Command::Inventory(Inventory::Host(options)) => inventory::host::run(options, printer),
        Command::Inventory(Inventory::Init(options)) => inventory::init::run(options, printer),
        Command::Vars(Vars::Get(options)) => vars::get::run(options, printer),
        Command::Vars(Vars::List(options)) => vars::list::run(options, printer),
        Command::Vars(Vars::Explain(options)) => vars::explain::run(options, printer),
        Command::Validate(options) => validate::run(options, printer),
        Command::Config(Config::Show(options)) => config::show(options, printer),
        Command::Ping(options) => ping::run(options, printer),
        Command::Facts(options) => facts::run(options, printer),
        Command::Exec(options) => exec::run(options, printer),
        Command::Preflight(options) => preflight::run(options, printer),
        Command::Cluster(options) => cluster::run(&operation::Cluster, options, printer),
        Command::RemoveNode(options) => remove_node::run(options, printer),
        Command::Scale(options) => cluster::run(&operation::Scale, options, printer),
        Command::Reset(options) => reset::run(options, printer),
        Command::UpgradeCluster(options) => upgrade_cluster::run(options, printer),
        Command::Render(options) => render::run(options, printer),
        Command::Verify(options) => verify::run(options, printer),
        Command::Status(options) => status::run(options, printer),
        Command::Kubeconfig(options) => kubeconfig::run(options, printer),
        Command::Resources(options) => resources::run(options, printer),
        Command::Plan(options) => plan::run(options, printer),
        Command::Apply(options) => apply::run(options, printer),
        Command::Runs(options) => runs::run(options, printer),
        Command::Bundle(options) => bundle::run(options, printer),
        Command::Node(options) => node::run(options, printer),
        Command::Completions { shell } => completions::run(*shell, printer),
        Command::Man { dir } => man::run(dir, printer),
        Command::Reference { dir } => reference::run(dir, printer),
    }
}
