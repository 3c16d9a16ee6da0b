//! What happens during a run, as one stream for terminals, JSON lines and the history.

use serde::{Deserialize, Serialize};

use crate::{Failure, Hold, Outcome, RunId, StepId};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// Milliseconds since 1970, by the controller's clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. No text in it holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A run began or was taken up again.
    RunStarted {
        /// The operation.
        operation: String,
        /// The cluster.
        cluster: String,
        /// How many hosts take part.
        hosts: usize,
        /// How many steps will do something.
        steps: usize,
        /// Whether an earlier part of it was cut off.
        resumed: bool,
    },
    /// A host answers.
    HostUp {
        /// The host.
        host: String,
    },
    /// A host stopped answering; it is tried again.
    HostDown {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// The lock of a host was taken.
    LockTaken {
        /// The host.
        host: String,
    },
    /// A step began.
    StepStarted {
        /// The step.
        step: StepId,
        /// Its host.
        host: String,
    },
    /// A step is done.
    StepDone {
        /// The step.
        step: StepId,
        /// Its host.
        host: String,
        /// What it did.
        outcome: Outcome,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// The step.
        step: StepId,
        /// Its host.
        host: String,
        /// Why.
        failure: Failure,
        /// When it is tried again, in milliseconds from now; nothing when it is not.
        retry_in_ms: Option<u64>,
    },
    /// A step will not happen in this run.
    StepSkipped {
        /// The step.
        step: StepId,
        /// Its host.
        host: String,
        /// Why.
        why: String,
    },
    /// A step waits before it is done: for a while, or for somebody who says yes.
    Held {
        /// The step.
        step: StepId,
        /// Its host.
        host: String,
        /// What is waited for.
        hold: Hold,
    },
    /// A gate opened.
    GateOpened {
        /// The gate.
        gate: String,
    },
    /// All is over but for a host that stopped answering in the middle of a step: locks are kept until nothing can go on
    /// there by itself.
    Settling {
        /// The host.
        host: String,
        /// How long this takes at most, in milliseconds.
        for_ms: u64,
    },
    /// The operator asked to stop; steps under way are finished.
    Stopping,
    /// The run ended.
    RunFinished {
        /// Whether all is done.
        done: bool,
        /// What became of each host.
        recap: Vec<HostRecap>,
    },
}

/// What became of a host in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecap {
    /// The host.
    pub host: String,
    /// Steps that found all as it should be.
    pub unchanged: usize,
    /// Steps that changed something.
    pub changed: usize,
    /// Steps that failed.
    pub failed: usize,
    /// Steps that did not happen.
    pub skipped: usize,
    /// Time spent in steps, in milliseconds.
    pub took_ms: u64,
}
