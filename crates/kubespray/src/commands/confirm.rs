//! What is asked before what cannot be taken back.

use std::io::{self, BufRead as _};

use kubespray_diagnostics::Diagnostic;

use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;

/// Refuses where nobody can be asked; `instead` says how it is confirmed without a question.
pub(super) fn can_be_asked(instead: &str, printer: &Printer) -> Result<(), Failure> {
    if printer.is_json() {
        return Err(refused("with `--output json` nobody can be asked".into(), instead));
    }
    Ok(())
}

/// Asks a question that `expected`, typed out, answers; anything else refuses.
pub(super) fn typed(
    question: &str,
    expected: &str,
    instead: &str,
    printer: &mut Printer,
) -> Result<(), Failure> {
    printer.line_now(question);
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    match typed.trim() {
        answer if answer == expected => Ok(()),
        "" => Err(refused("it was not confirmed: nothing was typed".into(), instead)),
        other => {
            Err(refused(format!("it was not confirmed: `{other}` was typed, not `{expected}`"), instead))
        }
    }
}

fn refused(message: String, instead: &str) -> Failure {
    let problem = Diagnostic::error("confirm", message).hint(format!("nothing was changed; {instead}"));
    Failure { diagnostics: vec![problem], code: FOUND_ERRORS }
}
