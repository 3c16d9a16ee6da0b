//! `kubespray bundle`

mod create;
mod list;
mod needs;
mod serve;
mod verify;

use std::collections::BTreeSet;
use std::process::ExitCode;

use kubespray_bundle::Problem;
use kubespray_diagnostics::Diagnostic;

use crate::arguments::bundle::Bundle;
use crate::failure::Failure;
use crate::printer::Printer;

pub(crate) fn run(options: &Bundle, printer: &mut Printer) -> Result<ExitCode, Failure> {
    match options {
        Bundle::List(options) => list::run(options, printer),
        Bundle::Create(options) => create::run(options, printer),
        Bundle::Verify(options) => verify::run(options, printer),
        Bundle::Serve(options) => serve::run(options, printer),
    }
}

fn diagnostic(problem: &Problem) -> Diagnostic {
    let found = Diagnostic::error("bundle", problem.message.clone());
    let found = problem.because.iter().fold(found, |found, why| found.because(why.clone()));
    match &problem.hint {
        Some(hint) => found.hint(hint.clone()),
        None => found,
    }
}

/// Problems as people read them: what is to be done about many is said once.
fn diagnostics(problems: Vec<Problem>) -> Vec<Diagnostic> {
    let mut said = BTreeSet::new();
    let mut out = Vec::new();
    for mut problem in problems {
        problem.hint = problem.hint.filter(|hint| said.insert(hint.clone()));
        out.push(diagnostic(&problem));
    }
    out
}

/// `812 bytes`, `4.2 kB`, `61.3 MB`, `1.1 GB`.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit / (unit / 10));
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in
            [(999, "999 bytes"), (1_999, "1.9 kB"), (61_300_000, "61.3 MB"), (u64::MAX, "18446744073.7 GB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
