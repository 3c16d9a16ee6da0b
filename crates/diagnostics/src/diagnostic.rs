//! One problem, as a value.

use serde::Serialize;

use crate::Span;

/// How bad it is. Errors make a command refuse; warnings do so only with `--strict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Cannot go on, or must not.
    Error,
    /// Likely a mistake.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A place and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there; may be empty.
    pub text: String,
}

/// A problem: what, where, why, what to do next.
///
/// Messages are lower case without a final full stop; names and values stand in backticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable id: one of the specification (`VAL-012`), or a word such as `yaml-syntax`.
    pub id: String,
    /// What is wrong, in one line.
    pub message: String,
    /// The host it concerns, where it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Places; the first is where the problem is, the others explain it.
    pub labels: Vec<Label>,
    /// Why: facts that explain the message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl Diagnostic {
    fn new(severity: Severity, id: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            id: id.into(),
            message: message.into(),
            host: None,
            labels: Vec::new(),
            notes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// An error.
    pub fn error(id: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, id, message)
    }

    /// A warning.
    pub fn warning(id: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, id, message)
    }

    /// A remark.
    pub fn note(id: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, id, message)
    }

    /// Adds a place with a text of its own.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Adds the place of the problem.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        self.label(span, "")
    }

    /// Adds the place of the problem where one is known.
    #[must_use]
    pub fn at_maybe(self, span: Option<&Span>) -> Self {
        match span {
            Some(span) => self.at(span.clone()),
            None => self,
        }
    }

    /// Names the host that the problem concerns.
    #[must_use]
    pub fn on_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The place of the problem, where one is known.
    pub fn span(&self) -> Option<&Span> {
        self.labels.first().map(|label| &label.span)
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
