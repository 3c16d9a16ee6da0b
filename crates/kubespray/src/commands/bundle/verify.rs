//! `kubespray bundle verify`

use std::process::ExitCode;

use kubespray_bundle::{Store, verify};
use kubespray_interface::plural;
use serde_json::json;

use super::{diagnostic, diagnostics, needs, size};
use crate::arguments::bundle::BundleVerify;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;

pub(crate) fn run(options: &BundleVerify, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let store = Store::open_to_read(&options.dir).map_err(|problem| diagnostic(&problem))?;
    let wanted = if options.common.inventory.is_empty() {
        None
    } else {
        Some(needs::wanted(&options.common, &options.arch)?)
    };
    if let Some(wanted) = &wanted {
        printer.warnings(&wanted.warnings, true);
    }
    let found = verify(&store, wanted.as_ref().map(|wanted| &wanted.needs));
    let is_whole = found.problems.is_empty();
    if printer.is_json() {
        printer.json(&json!({
            "files": found.files, "images": found.images, "blobs": found.blobs, "bytes": found.bytes,
            "whole": is_whole,
            "problems": found.problems.iter().map(|problem| json!({
                "message": problem.message, "because": problem.because, "hint": problem.hint,
            })).collect::<Vec<_>>(),
        }));
    } else {
        let word = if is_whole { "whole" } else { "not whole" };
        printer.line(format!(
            "{word}: {}, {}, {}",
            plural(found.files, "file"),
            plural(found.images, "image"),
            size(found.bytes)
        ));
    }
    if is_whole {
        return Ok(ExitCode::SUCCESS);
    }
    if printer.is_json() {
        return Ok(ExitCode::from(FOUND_ERRORS));
    }
    Err(Failure { diagnostics: diagnostics(found.problems), code: FOUND_ERRORS })
}
