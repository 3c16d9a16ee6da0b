//! `kubespray completions`

use std::process::ExitCode;

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(shell: clap_complete::Shell, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "kubespray", &mut script);
    printer.out().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
