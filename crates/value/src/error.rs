//! Why a value could not be had.

use std::fmt;

/// What kind of failure it was; `default()` and friends forgive only [`ErrorKind::Undefined`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A name, attribute or element does not exist.
    Undefined,
    /// It depends on facts of a host that are not known yet.
    NeedsFacts,
    /// A variable is made of itself.
    Recursion,
    /// A template cannot be parsed.
    Syntax,
    /// An operation on values it is not made for.
    Type,
    /// A value outside of what an operation takes.
    Value,
    /// A filter, test, lookup or function that does not exist.
    Unknown,
    /// A lookup or filter that is refused on purpose.
    Refused,
    /// Encrypted, and no password opens it.
    Vault,
    /// Larger or deeper than the limits allow.
    Limit,
}

/// A failed evaluation: what happened, and the path that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// Lower case, no final full stop.
    pub message: String,
    /// The variables on the way, innermost first, each `name (file:line:column)`.
    pub path: Vec<String>,
    /// What to do next, where something can be said.
    pub hint: Option<String>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: Vec::new(), hint: None }
    }

    /// An operation on values it is not made for.
    pub fn of_type(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Type, message)
    }

    /// A value outside of what an operation takes.
    pub fn of_value(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, message)
    }

    /// Something that does not exist.
    pub fn undefined(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Undefined, message)
    }

    /// Adds the variable that was being evaluated.
    #[must_use]
    pub fn via(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
