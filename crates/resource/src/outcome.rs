//! What became of a step.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Change;

/// What applying a resource did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Nothing: it was as it should be.
    Unchanged,
    /// It was not there.
    Created,
    /// It was there and differed.
    Updated,
    /// It was there and had to go.
    Removed,
}

/// What applying a resource did, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was done.
    pub kind: OutcomeKind,
    /// The differences that were removed.
    pub changes: Vec<Change>,
    /// What it gives to the steps that take from it. Never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What could not be had, where the wish lets the host go on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<Failure>,
}

impl Outcome {
    /// Nothing was done.
    pub fn unchanged() -> Self {
        Self { kind: OutcomeKind::Unchanged, changes: Vec::new(), output: None, shortfall: None }
    }
}

/// What a failure means for trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// May pass by itself: a lock that others hold, a mirror that does not answer, a timeout.
    Transient,
    /// The host refuses or lacks something: no space, no permission, no such program.
    Host,
    /// What was asked for is wrong: a bad checksum, an unknown package, an impossible value.
    Wish,
    /// The run was stopped.
    Cancelled,
}

/// Why a step failed. Texts hold no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it means for trying again.
    pub class: ErrorClass,
    /// What went wrong, in one line.
    pub message: String,
    /// What the host said: the end of stderr, lines of a unit's journal.
    pub evidence: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure without evidence.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), evidence: Vec::new(), hints: Vec::new() }
    }

    /// The host refuses or lacks something.
    pub fn of_host(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Host, message)
    }

    /// Adds what the host said.
    #[must_use]
    pub fn evidence(mut self, line: impl Into<String>) -> Self {
        self.evidence.push(line.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
