//! All output goes through here.

use std::io::{self, BufWriter, IsTerminal, Write};

use kubespray_diagnostics::{Diagnostic, Severity, Style, render};
use serde::Serialize;

use crate::arguments::{Color, Format, Output};

/// Prints what another program asked for, and nothing else.
pub(crate) fn answer(answer: io::Result<String>) -> std::process::ExitCode {
    let printed = answer.and_then(|answer| writeln!(io::stdout(), "{answer}"));
    if printed.is_ok() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

/// Writes results to standard output and diagnostics to standard error.
pub(crate) struct Printer {
    out: BufWriter<io::Stdout>,
    style: Style,
    pub(crate) format: Format,
    failed: bool,
}

impl Printer {
    pub(crate) fn new(output: &Output) -> Self {
        let color = match output.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        Self {
            out: BufWriter::new(io::stdout()),
            style: Style { color },
            format: output.output,
            failed: false,
        }
    }

    /// Whether results are wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// The stream of results.
    pub(crate) fn out(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// A line of a result.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        let written = writeln!(self.out, "{}", line.as_ref());
        self.note(written);
    }

    /// A line that is read while the command goes on.
    pub(crate) fn line_now(&mut self, line: impl AsRef<str>) {
        self.line(line);
        let flushed = self.out.flush();
        self.note(flushed);
    }

    /// The same, for people alone.
    pub(crate) fn remark_now(&mut self, line: impl AsRef<str>) {
        if !self.is_json() {
            self.line_now(line);
        }
    }

    /// A result as JSON.
    pub(crate) fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        let written = serde_json::to_writer_pretty(&mut self.out, value).map_err(io::Error::from);
        self.note(written);
        let written = writeln!(self.out);
        self.note(written);
    }

    /// A line of JSON in a stream of such lines.
    pub(crate) fn json_line<T: Serialize + ?Sized>(&mut self, value: &T) {
        let written = serde_json::to_writer(&mut self.out, value).map_err(io::Error::from);
        self.note(written);
        let written = writeln!(self.out);
        self.note(written);
    }

    /// Diagnostics, errors last so that they stand nearest to the prompt; as text on standard error.
    pub(crate) fn diagnostics(&mut self, diagnostics: &[Diagnostic]) {
        let flushed = self.out.flush();
        self.note(flushed);
        let mut err = io::stderr().lock();
        let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
        sorted.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.severity));
        for diagnostic in sorted {
            // There is nobody left to tell when standard error is gone.
            let _ = writeln!(err, "{}\n", render(diagnostic, self.style));
        }
    }

    /// Warnings that accompany a result; notes are left out unless asked for.
    pub(crate) fn warnings(&mut self, diagnostics: &[Diagnostic], verbose: bool) {
        let shown: Vec<Diagnostic> =
            diagnostics.iter().filter(|d| verbose || d.severity != Severity::Note).cloned().collect();
        self.diagnostics(&shown);
    }

    fn note(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => {}
            // `kubespray … | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => self.failed = true,
        }
    }

    /// Writes what is still held back; whether all of it was written.
    pub(crate) fn finish(mut self) -> bool {
        let flushed = self.out.flush();
        self.note(flushed);
        !self.failed
    }
}
