//! `kubespray vars list`

use std::collections::BTreeSet;
use std::process::ExitCode;

use kubespray_diagnostics::{Diagnostic, did_you_mean, quoted_list};
use kubespray_value::ErrorKind;
use kubespray_variables::{Catalogue, Setting};
use serde_json::{Value as Json, json};

use super::{Views, shown};
use crate::arguments::VarsList;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::site::{Groups, Site};

pub(crate) fn run(options: &VarsList, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::KubesprayIfTheyCount)?;
    if let Some(component) = &options.component {
        check_component(component)?;
    }
    let views = Views::new(&site);
    let host = match &options.host {
        Some(host) => site.host(host)?,
        None => site
            .inventory
            .hosts_of("kube_control_plane")
            .first()
            .map(|host| (*host).to_owned())
            .or_else(|| site.inventory.hosts().first().map(|host| (*host).to_owned()))
            .unwrap_or_else(|| "localhost".to_owned()),
    };
    let mut rows = Vec::new();
    for name in names(&site, options, &host) {
        let Some(found) = views.plain().raw(&host, &name) else { continue };
        if options.changed && found.setting == Setting::Default {
            continue;
        }
        let entry = Catalogue::get().entry(&name);
        let value = views.get(&host, &name);
        let origin = match &found.setting {
            Setting::Default => "default".to_owned(),
            _ => found.origin.as_ref().map_or_else(|| "ansible".to_owned(), ToString::to_string),
        };
        rows.push(if printer.is_json() {
            let secret = entry.is_some_and(|entry| entry.secret);
            let value = match &value {
                Ok(value) if secret => json!({ "value": shown(&name, value) }),
                Ok(value) => json!({ "value": value }),
                Err(error) => json!({ "error": error.message }),
            };
            let mut row = json!({ "var": name, "component": entry.map(|e| &e.component), "set": origin });
            if let (Some(row), Json::Object(value)) = (row.as_object_mut(), value) {
                row.extend(value);
            }
            row
        } else {
            let value = match value {
                Ok(value) => shown(&name, &value),
                Err(error) if error.kind == ErrorKind::NeedsFacts => "(known when facts are)".to_owned(),
                Err(error) => format!("(no value: {})", error.message),
            };
            Json::String(format!("{name}: {value}  # {origin}"))
        });
    }
    if printer.is_json() {
        printer.json(&rows);
    } else {
        printer.line(format!("# as {host} sees them"));
        for row in rows {
            printer.line(row.as_str().unwrap_or_default());
        }
    }
    printer.warnings(&site.warnings, options.common.output.verbose);
    Ok(ExitCode::SUCCESS)
}

/// The variables to list: those of the catalogue, and those that the inventory adds.
fn names(site: &Site, options: &VarsList, host: &str) -> BTreeSet<String> {
    let fits = |component: &str| options.component.as_ref().is_none_or(|wanted| wanted == component);
    let mut names: BTreeSet<String> = Catalogue::get()
        .entries()
        .filter(|entry| fits(&entry.component))
        .map(|entry| entry.name.to_string())
        .collect();
    if options.component.is_none() {
        for layer in site.inventory.layers(host) {
            names.extend(layer.vars.keys().cloned());
        }
    }
    names
}

fn check_component(component: &str) -> Result<(), Failure> {
    let components: BTreeSet<&str> =
        Catalogue::get().entries().map(|entry| entry.component.as_str()).collect();
    if components.contains(component) {
        return Ok(());
    }
    let diagnostic = Diagnostic::error("component", format!("no component `{component}`"));
    Err(match did_you_mean(component, components.iter().copied()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint(format!("components are {}", quoted_list(components, 100))),
    }
    .into())
}
