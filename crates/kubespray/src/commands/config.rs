//! `kubespray config show`

use std::process::ExitCode;

use kubespray_diagnostics::{Diagnostic, did_you_mean, quoted_list};
use kubespray_value::json as values;
use kubespray_variables::UnknownFacts;
use serde_json::Value as Json;

use crate::arguments::ConfigShow;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};

pub(crate) fn show(options: &ConfigShow, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::Kubespray)?;
    let variables = site.variables(UnknownFacts::Pending);
    let spec = kubespray_spec::build(&variables)
        .map_err(|diagnostics| Failure { diagnostics, code: FOUND_ERRORS })?;
    let json = |value: serde_json::Result<Json>| {
        value.map_err(|error| {
            Failure::from(Diagnostic::error("output", format!("cannot be written as JSON: {error}")))
        })
    };
    let shown = if let Some(name) = &options.host {
        let name = site.host(name)?;
        match spec.hosts.iter().find(|host| host.name == name) {
            Some(host) => json(serde_json::to_value(host))?,
            None => {
                return Err(Diagnostic::error("host", format!("`{name}` is no host of the cluster"))
                    .because("it is in none of the groups that give hosts their work")
                    .into());
            }
        }
    } else if let Some(component) = &options.component {
        let settings = json(serde_json::to_value(&*spec.settings))?;
        part(&settings, component)?
    } else {
        json(serde_json::to_value(&spec))?
    };
    if printer.is_json() {
        printer.json(&shown);
    } else {
        let value =
            values::read(&shown.to_string()).map_err(|error| Diagnostic::error("output", error.message))?;
        let text = kubespray_yaml::Layout::NICE
            .with("sort_keys", &false.into())
            .and_then(|layout| layout.with("indent", &2_i64.into()))
            .and_then(|layout| kubespray_yaml::emit(&value, &layout))
            .map_err(|error| Diagnostic::error("output", error.message))?;
        printer.line(text.trim_end());
    }
    printer.warnings(&site.warnings, options.common.output.verbose);
    Ok(ExitCode::SUCCESS)
}

/// The settings of one component.
fn part(settings: &Json, component: &str) -> Result<Json, Failure> {
    let components = settings.as_object().ok_or_else(|| Diagnostic::error("component", "no components"))?;
    if let Some(found) = components.get(component).or_else(|| components.get(&component.replace('-', "_"))) {
        return Ok(found.clone());
    }
    let names = || components.keys().map(String::as_str);
    let diagnostic = Diagnostic::error("component", format!("no component `{component}`"));
    Err(match did_you_mean(component, names()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint(format!("components are {}", quoted_list(names(), 100))),
    }
    .into())
}
