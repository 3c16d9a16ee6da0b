//! `kubespray kubeconfig`

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use serde_json::json;

use crate::arguments::operations::Kubeconfig as Options;
use crate::failure::Failure;
use crate::operation::{self, Kubeconfig};
use crate::printer::Printer;

/// What a file must not grant to others.
const OTHERS: u32 = 0o077;

pub(crate) fn run(options: &Options, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let file = options.out.as_deref().filter(|path| *path != Path::new("-"));
    if options.out.is_none() && io::stdout().is_terminal() {
        let problem = Diagnostic::error("out", "a kubeconfig holds a key and is not printed on a terminal");
        return Err(problem
            .hint("`--out FILE` writes it with mode 0600; `--out -` prints it all the same")
            .into());
    }
    let found = operation::kubeconfig(options)?;
    printer.warnings(&found.warnings, options.common.output.verbose);
    let end = found.end.map(|end| end.not_after);
    match file {
        None => {
            printer.line(found.text.trim_end());
            printer.diagnostics(&notes(&found));
        }
        Some(path) => {
            let changed = operation::write_private(path, &found.text)?;
            if printer.is_json() {
                printer.json(&json!({
                    "path": path, "changed": changed, "server": found.server, "from": found.host, "not_after": end,
                }));
            } else {
                let word = if changed { "wrote" } else { "unchanged:" };
                printer.line(format!("{word} `{}`: {}", path.display(), told(&found)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(found: &Kubeconfig) -> String {
    let until = match found.end {
        Some(end) => format!("until {} ({} days)", super::status::day(end.not_after), end.in_days),
        None => "until an unknown day".to_owned(),
    };
    format!("administrator at `{}`, {until}, from `{}`", found.server, found.host)
}

/// Beside a kubeconfig on standard output.
fn notes(found: &Kubeconfig) -> Vec<Diagnostic> {
    let mut notes = vec![Diagnostic::note("kubeconfig", told(found))];
    let is_open = rustix::fs::fstat(io::stdout()).is_ok_and(|is| {
        rustix::fs::FileType::from_raw_mode(is.st_mode) == rustix::fs::FileType::RegularFile
            && is.st_mode & OTHERS != 0
    });
    if is_open {
        let warning = Diagnostic::warning("mode", "others may read the file that this key is printed to");
        notes.push(warning.hint("`chmod 600` it, or use `--out FILE`, which is private from the beginning"));
    }
    notes
}
