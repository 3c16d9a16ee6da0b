//! Commands of the machine, run to their end.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::LabError;

/// Runs `program` and gives its standard output; what it wrote to standard error is in the error.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, LabError> {
    finish(Command::new(program).args(arguments).stdin(Stdio::null()))
}

/// Like [`run`], for a command that needs an environment or an input of its own.
pub(crate) fn finish(command: &mut Command) -> Result<String, LabError> {
    let shown = || {
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let shown = shown();
    let output = command
        .output()
        .map_err(|error| LabError::Command { command: shown.clone(), problem: error.to_string() })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let problem = format!("{}: {}", output.status, said.trim());
    Err(LabError::Command { command: shown, problem })
}

/// Whether a program of this name is in one of the folders where Debian keeps programs.
pub(crate) fn installed(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .any(|folder| std::path::Path::new(folder).join(program).is_file())
}
