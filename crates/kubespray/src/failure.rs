//! Why a command ended without doing its job, and the exit code that says so.

use kubespray_diagnostics::Diagnostic;
use kubespray_value::Error;

/// The command did its work and found errors.
pub(crate) const FOUND_ERRORS: u8 = 1;
/// The input cannot be used.
pub(crate) const UNUSABLE_INPUT: u8 = 2;
/// A defect of this program.
pub(crate) const DEFECT: u8 = 101;

/// A command that could not do its job.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) code: u8,
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics, code: UNUSABLE_INPUT }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        vec![diagnostic].into()
    }
}

impl From<Box<Diagnostic>> for Failure {
    fn from(diagnostic: Box<Diagnostic>) -> Self {
        vec![*diagnostic].into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Diagnostic::error("output", format!("cannot write: {error}")).into()
    }
}

/// A value that cannot be had, as a diagnostic: the variables on the way become its reasons.
pub(crate) fn evaluation(host: &str, name: &str, error: &Error) -> Diagnostic {
    let mut diagnostic =
        Diagnostic::error("variable", format!("`{name}` has no value: {}", error.message)).on_host(host);
    if !error.path.is_empty() {
        let path: Vec<&str> = error.path.iter().rev().map(String::as_str).collect();
        diagnostic = diagnostic.because(format!("reached through {}", path.join(" -> ")));
    }
    match &error.hint {
        Some(hint) => diagnostic.hint(hint.clone()),
        None => diagnostic,
    }
}
