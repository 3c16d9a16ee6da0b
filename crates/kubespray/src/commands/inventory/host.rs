//! `kubespray inventory host`

use std::process::ExitCode;

use crate::arguments::InventoryHost;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::site::{Groups, Site};

pub(crate) fn run(options: &InventoryHost, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::Ansible)?;
    let host = site.host(&options.host)?;
    printer.line(site.inventory.host_text(&host));
    printer.warnings(&site.warnings, options.common.output.verbose);
    Ok(ExitCode::SUCCESS)
}
