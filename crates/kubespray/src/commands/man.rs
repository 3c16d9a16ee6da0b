//! `kubespray man`

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use kubespray_diagnostics::Diagnostic;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(dir: &Path, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("write", format!("cannot write to `{}`: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), dir).map_err(failed)?;
    printer.line(format!("wrote man pages to {}", dir.display()));
    Ok(ExitCode::SUCCESS)
}
