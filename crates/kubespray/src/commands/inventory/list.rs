//! `kubespray inventory list`

use std::process::ExitCode;

use crate::arguments::InventoryList;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::site::{Groups, Site};

pub(crate) fn run(options: &InventoryList, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::Ansible)?;
    let hosts = match &options.common.limit {
        Some(limit) => Some(site.hosts(Some(limit))?),
        None => None,
    };
    site.inventory.write_list(hosts.as_deref(), printer.out()).or_else(|error| match error.kind() {
        // The reader has seen enough.
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })?;
    printer.warnings(&site.warnings, options.common.output.verbose);
    Ok(ExitCode::SUCCESS)
}
