//! Health checks.

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// Something that must be true of a host, and is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked, for people: `etcd answers`.
    pub name: String,
    /// How.
    pub probe: Probe,
    /// How long it may take to become true, in seconds.
    pub timeout_s: u64,
    /// How long to wait between two looks, in milliseconds.
    pub interval_ms: u64,
}

/// How something is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// `address:port` takes a connection.
    Tcp(String),
    /// A socket at a path takes a connection.
    Socket(String),
    /// A path exists.
    Path(String),
    /// A unit is active.
    Unit(String),
    /// A command succeeds and prints a text.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// What its output must hold.
        prints: String,
    },
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// Why it is not true; nothing when it is.
    pub problem: Option<String>,
}

impl Check {
    /// Whether it is true.
    pub fn compare(&self, state: &CheckState) -> Comparison {
        let mut out = Comparison::default();
        if let Some(problem) = &state.problem {
            out.add(&self.name, Some(problem.clone()), Some("true".into()));
        }
        out
    }
}
