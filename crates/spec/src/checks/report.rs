//! The problems that were found so far.

use std::collections::HashSet;

use kubespray_diagnostics::{Diagnostic, Span};

use super::Outcome;

/// The checks that `ignore_assert_errors` switches off, exactly as Kubespray's does.
pub(super) const IGNORABLE: &[&str] = &[
    "VAL-004", "VAL-005", "VAL-006", "VAL-007", "VAL-008", "VAL-009", "VAL-010", "VAL-011", "VAL-032",
    "VAL-040", "VAL-041", "VAL-042", "VAL-043", "VAL-044", "VAL-045", "VAL-046", "VAL-047", "VAL-048",
    "VAL-049", "VAL-049a", "VAL-050", "VAL-060", "VAL-061", "VAL-062", "VAL-063", "VAL-065", "VAL-067",
    "VAL-068", "VAL-069", "VAL-070", "VAL-071", "VAL-074", "VAL-075", "VAL-076", "VAL-085", "VAL-093",
];

/// Problems, each once.
#[derive(Debug)]
pub(crate) struct Report {
    diagnostics: Vec<Diagnostic>,
    bypassed: Vec<&'static str>,
    ignore: bool,
    known: HashSet<(String, String, String)>,
}

impl Report {
    /// An empty report; `ignore` is `ignore_assert_errors`.
    pub(crate) fn new(ignore: bool) -> Self {
        Self { diagnostics: Vec::new(), bypassed: Vec::new(), ignore, known: HashSet::new() }
    }

    /// Adds a problem, unless it may be ignored or the same one was found at the same place.
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        if self.ignore
            && diagnostic.is_error()
            && let Some(id) = IGNORABLE.iter().find(|id| **id == diagnostic.id)
        {
            if !self.bypassed.contains(id) {
                self.bypassed.push(id);
            }
            return;
        }
        let place = diagnostic.span().map(ToString::to_string).unwrap_or_default();
        if self.known.insert((diagnostic.id.clone(), diagnostic.message.clone(), place)) {
            self.diagnostics.push(diagnostic);
        }
    }

    /// What was found. `ignoring` is the place of `ignore_assert_errors`.
    pub(crate) fn into_outcome(mut self, ignoring: Option<Span>) -> Outcome {
        self.bypassed.sort_unstable();
        if !self.bypassed.is_empty() {
            self.diagnostics.push(
                Diagnostic::warning(
                    "ignored-checks",
                    format!(
                        "`ignore_assert_errors` hides what these checks found: {}",
                        self.bypassed.join(", ")
                    ),
                )
                .at_maybe(ignoring.as_ref())
                .hint("set `ignore_assert_errors: false` to see it"),
            );
        }
        Outcome { diagnostics: self.diagnostics, bypassed: self.bypassed }
    }
}
