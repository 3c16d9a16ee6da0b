//! `kubespray`: the command line.
//!
//! One file per command under `commands`; everything they do lives in the other crates. This crate
//! reads arguments, prints, and chooses the exit code.

mod arguments;
mod commands;
mod failure;
mod fleet;
mod operation;
mod printer;
mod site;
mod targets;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::printer::Printer;

/// Evaluating variables recurses once per variable and nested value; the limits of the other crates
/// are chosen so that this much always suffices. Only pages that are touched count as memory.
const STACK: usize = 512 << 20;

fn main() -> ExitCode {
    // ssh runs this program to ask for a password.
    if let Some(file) = std::env::var_os(kubespray_transport::ASKPASS_FILE) {
        let prompt: Vec<String> = std::env::args().skip(1).collect();
        return printer::answer(kubespray_transport::answer_askpass(&file, &prompt.join(" ")));
    }
    let arguments = Arguments::parse();
    let worker = std::thread::Builder::new().name("kubespray".into()).stack_size(STACK).spawn(move || {
        let mut printer = Printer::new(&arguments.output());
        let code = match commands::run(&arguments, &mut printer) {
            Ok(code) => code,
            Err(failure) => report(&failure, &mut printer),
        };
        if printer.finish() { code } else { ExitCode::from(failure::UNUSABLE_INPUT) }
    });
    match worker.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // The panic has printed itself; it is a defect of ours, and the exit code says so.
        _ => ExitCode::from(failure::DEFECT),
    }
}

fn report(failure: &Failure, printer: &mut Printer) -> ExitCode {
    printer.diagnostics(&failure.diagnostics);
    ExitCode::from(failure.code)
}
