//! `kubespray reference`: the pages of `docs/reference`, made from the command line and the catalogue of variables.

mod commands;
mod markdown;
mod variables;

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use kubespray_diagnostics::Diagnostic;
use kubespray_variables::Catalogue;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(dir: &Path, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("write", format!("cannot write to `{}`: {error}", dir.display()))
    };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let mut command = Arguments::command();
    command.build();
    std::fs::write(dir.join("commands.md"), commands::page(&command)).map_err(failed)?;
    std::fs::write(dir.join("variables.md"), variables::page(Catalogue::get())).map_err(failed)?;
    printer.line(format!("wrote the reference to {}", dir.display()));
    Ok(ExitCode::SUCCESS)
}
