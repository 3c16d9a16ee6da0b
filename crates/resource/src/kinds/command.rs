//! Commands, with what says that they are done.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::content::fill;
use crate::{AlternativeName, Change, Comparison, ManifestFlags, MissingSecret, Secrets, Token};

/// When a command is done already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// When this path exists.
    Creates(String),
    /// When this command succeeds.
    Unless(Vec<String>),
    /// Unless this command succeeds.
    OnlyIf(Vec<String>),
    /// Unless an input of it changed since it last ran.
    Pending(Token),
    /// When the certificate at a path is good for all these names, and perhaps for others.
    Names {
        /// Absolute path of the certificate.
        certificate: String,
        /// The names.
        names: BTreeSet<AlternativeName>,
    },
    /// Never while manifests, by their paths, have other flags than these, whatever other guards say.
    Flags(BTreeMap<String, ManifestFlags>),
}

/// A command that runs until its guards say that it is done. It is done when any one of them says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; no shell. Secrets never go here.
    pub argv: Vec<String>,
    /// Environment, added to a small fixed one.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Standard input, with `{secret:NAME}` where secrets go.
    pub stdin: Option<String>,
    /// When it is done. A command without guards runs every time, which the plan linter refuses.
    pub guards: Vec<Guard>,
    /// How long it may take, in seconds.
    pub timeout_s: u64,
}

/// Whether a command is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandState {
    /// Whether a guard says so.
    pub done: bool,
    /// What it would mend, where that is known.
    #[serde(default)]
    pub differs: Vec<Change>,
}

impl Command {
    /// Program and arguments in one short line.
    pub fn title(&self) -> String {
        const LONGEST: usize = 100;
        let whole = self.argv.join(" ");
        let short: String = whole.lines().next().unwrap_or_default().chars().take(LONGEST).collect();
        if short == whole { whole } else { format!("{short} …") }
    }

    /// Standard input with its secrets.
    pub fn input(&self, secrets: &Secrets) -> Result<Option<String>, MissingSecret> {
        self.stdin.as_deref().map(|template| fill(template, secrets)).transpose()
    }

    /// Whether it has to run.
    pub fn compare(&self, state: &CommandState) -> Comparison {
        let mut out = Comparison::default();
        if !state.differs.is_empty() {
            out.changes.clone_from(&state.differs);
        } else if !state.done {
            out.add("command", None, Some(self.argv.join(" ")));
        }
        out
    }
}
