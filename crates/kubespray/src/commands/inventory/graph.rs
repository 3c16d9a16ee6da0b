//! `kubespray inventory graph`

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::arguments::InventoryGraph;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::site::{Groups, Site};

pub(crate) fn run(options: &InventoryGraph, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::Ansible)?;
    let text = site.inventory.graph_text(&options.group, options.vars)?;
    if printer.is_json() {
        let groups: Map<String, Value> = site
            .inventory
            .groups()
            .map(|group| {
                let members = json!({
                    "children": site.inventory.children_of(group),
                    "hosts": site.inventory.hosts_of(group),
                });
                (group.to_owned(), members)
            })
            .collect();
        printer.json(&groups);
    } else {
        printer.line(text);
    }
    printer.warnings(&site.warnings, options.common.output.verbose);
    Ok(ExitCode::SUCCESS)
}
