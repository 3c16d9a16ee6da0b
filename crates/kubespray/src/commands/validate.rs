//! `kubespray validate`

use std::process::ExitCode;

use kubespray_diagnostics::{Diagnostic, Severity};
use kubespray_variables::UnknownFacts;
use serde_json::json;

use crate::arguments::Validate;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;
use crate::site::{Groups, Site};

pub(crate) fn run(options: &Validate, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let site = Site::load(&options.common, Groups::Kubespray)?;
    let hosts = site.hosts(options.common.limit.as_deref())?;
    let variables = site.variables(UnknownFacts::Pending);
    let mut problems = site.problems(&variables);
    // The typed specification adds what single values cannot show; with wrong values it would only
    // repeat them.
    if !problems.iter().any(Diagnostic::is_error)
        && let Err(found) = kubespray_spec::build(&variables)
    {
        problems.extend(found);
    }
    if options.common.limit.is_some() {
        problems.retain(|problem| problem.host.as_ref().is_none_or(|host| hosts.contains(host)));
    }
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let failed = errors > 0 || (options.strict && warnings > 0);
    if printer.is_json() {
        printer.json(&json!({
            "hosts": hosts.len(),
            "errors": errors,
            "warnings": warnings,
            "valid": !failed,
            "problems": sorted(&problems),
        }));
    } else {
        printer.warnings(&problems, true);
        let word = if failed { "not valid" } else { "valid" };
        printer.line(format!(
            "{word}: {}, {}, {}",
            counted(hosts.len(), "host"),
            counted(errors, "error"),
            counted(warnings, "warning")
        ));
    }
    Ok(if failed { ExitCode::from(FOUND_ERRORS) } else { ExitCode::SUCCESS })
}

fn sorted(problems: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = problems.iter().collect();
    sorted.sort_by_key(|problem| problem.severity);
    sorted
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
