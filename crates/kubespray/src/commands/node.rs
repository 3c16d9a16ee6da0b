//! `kubespray node`

use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::plural;
use kubespray_node::{Ended, LinuxHost};
use kubespray_resource::Digest;
use kubespray_resource::wire::{Answer, Ask};

use crate::arguments::{Node, NodeClean, NodeCommand};
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};
use crate::{fleet, targets};

pub(crate) fn run(options: &Node, printer: &mut Printer) -> Result<ExitCode, Failure> {
    match &options.command {
        Some(NodeCommand::Clean(options)) => clean(options, printer),
        None if options.stdio => serve(),
        None => Err(Diagnostic::error("arguments", "`kubespray node` wants a command")
            .hint("`kubespray node clean` removes what helpers left")
            .into()),
    }
}

/// The controller tells builds apart by the digest of the binary.
fn serve() -> Result<ExitCode, Failure> {
    let build = Digest::of(&std::fs::read("/proc/self/exe")?);
    match kubespray_node::serve(LinuxHost::new(), build.as_str(), std::io::stdin(), std::io::stdout()) {
        Ended::Closed => Ok(ExitCode::SUCCESS),
        Ended::Silent => Err(Diagnostic::error("helper", "the controller is silent").into()),
        Ended::Broken(why) => Err(Diagnostic::error("helper", why).into()),
    }
}

fn clean(options: &NodeClean, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let mut site = Site::load(&options.common, Groups::Kubespray)?;
    let hosts = site.hosts(options.common.limit.as_deref())?;
    let ways = targets::targets(&mut site, &hosts, &options.connection)?;
    let transport = targets::transport(&options.connection)?;
    let mut results = fleet::ask(&transport, &ways, |_| vec![Ask::Clean]);
    let mut problems = site.warnings.clone();
    let mut cleaned = 0;
    for host in &hosts {
        match results.remove(host) {
            Some(Ok(answered)) => match answered.answers.first() {
                Some((Answer::Ok, ..)) => cleaned += 1,
                Some((other, ..)) => problems.push(fleet::unexpected(host, other)),
                None => {}
            },
            Some(Err(why)) => problems.push(fleet::problem(host, &why)),
            None => {}
        }
    }
    if printer.is_json() {
        printer.json(&serde_json::json!({"cleaned": cleaned, "hosts": hosts.len()}));
    } else {
        printer.line(format!("{cleaned} of {} cleaned", plural(hosts.len(), "host")));
    }
    printer.warnings(&problems, options.common.output.verbose);
    Ok(if cleaned == hosts.len() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_ERRORS) })
}
