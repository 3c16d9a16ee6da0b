//! What goes into a run and what comes out.

use kubespray_resource::wire::{Hello, Holder, Reply, Request};
use kubespray_resource::{Event, Failure, HostRecap, Plan, RunId, StepId};
use serde::{Deserialize, Serialize};

/// Something that a run has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The helper of a host answers.
    Up {
        /// The host.
        host: String,
        /// Its first line.
        hello: Hello,
    },
    /// A helper says something.
    Reply {
        /// The host.
        host: String,
        /// What.
        reply: Reply,
    },
    /// A connection is over, or could not be made.
    Down {
        /// The host.
        host: String,
        /// Whether trying again can help.
        transient: bool,
        /// Why.
        why: String,
    },
    /// Time has passed.
    Tick,
    /// The operator wants to stop.
    Stop,
    /// Somebody says yes to a step that is held for that.
    Confirm {
        /// The step.
        step: StepId,
    },
}

/// Something that a run wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect to a host; [`Input::Up`] or [`Input::Down`] follows.
    Connect {
        /// The host.
        host: String,
    },
    /// Close the connection; nothing more is wanted from it.
    Close {
        /// The host.
        host: String,
    },
    /// Send a request.
    Send {
        /// The host.
        host: String,
        /// The request.
        request: Request,
    },
    /// Give an [`Input::Tick`] at this time at the latest, in milliseconds since 1970. A later one replaces it.
    WakeAt {
        /// When.
        ms: u64,
    },
    /// Tell whoever listens.
    Tell(Event),
    /// The run is over; nothing follows.
    Finished(Box<Report>),
}

/// How a plan is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a run of this name was begun before: the journals of all hosts are read before anything is done.
    pub resume: bool,
}

/// The version of a stored record; others are refused.
pub const RECORD_SCHEMA_VERSION: u32 = 1;

/// What lock hosts keep of a run, so that any machine can take it up. It holds no secret values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Who runs it.
    pub holder: Holder,
    /// The plan.
    pub plan: Plan,
}

impl Record {
    /// Reads what a lock host kept; the error says why it cannot be used.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let wrong = |error: serde_json::Error| format!("what is kept of the run is no record: {error}");
        let version: Version = serde_json::from_str(text).map_err(wrong)?;
        if version.schema_version != RECORD_SCHEMA_VERSION {
            return Err(format!(
                "what is kept of the run has the format {}; this program knows {RECORD_SCHEMA_VERSION}",
                version.schema_version
            ));
        }
        serde_json::from_str(text).map_err(wrong)
    }
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlan {
    /// It was stored by another version of this program.
    #[error("the plan has format {0}, this program runs another one")]
    Schema(u32),
    /// Two steps have the same id.
    #[error("two steps are called `{0}`")]
    Twice(StepId),
    /// A step waits for a step that is not there.
    #[error("`{step}` waits for `{missing}`, which is not in the plan")]
    NoStep {
        /// Who waits.
        step: String,
        /// For what.
        missing: StepId,
    },
    /// A step waits for a gate that is not there.
    #[error("`{step}` waits for the gate `{gate}`, which is not in the plan")]
    NoGate {
        /// Who waits.
        step: StepId,
        /// For what.
        gate: String,
    },
    /// A step or host names a rollout wrongly.
    #[error("the rollout `{rollout}` of `{step}` does not list its host")]
    NoTurn {
        /// The step.
        step: StepId,
        /// The rollout.
        rollout: String,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All is done.
    Done,
    /// Something failed, or could not be reached.
    Failed,
    /// The operator stopped it.
    Stopped,
    /// Other runs hold locks: by host, who, since when and what.
    Refused(Vec<(String, Holder)>),
    /// Too few lock hosts answer, or none can keep the record.
    NoLock(String),
}

/// Why a host did not get done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFailure {
    /// The host.
    pub host: String,
    /// The step; nothing where the host itself failed.
    pub step: Option<StepId>,
    /// Cause, evidence and hints.
    pub failure: Failure,
}

/// A step that took long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowStep {
    /// The step.
    pub step: StepId,
    /// Its host.
    pub host: String,
    /// How long, in milliseconds.
    pub took_ms: u64,
}

/// What puts back what a run replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The hosts.
    pub hosts: Vec<String>,
    /// The command, without the options that lead to them.
    pub command: String,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub ending: Ending,
    /// What became of each host, in the order of the plan.
    pub recap: Vec<HostRecap>,
    /// The slowest steps, the slowest first.
    pub slowest: Vec<SlowStep>,
    /// What failed, in the order in which it did.
    pub failures: Vec<HostFailure>,
    /// What could not be had and was gone on without, as the plan allows, in the order of the plan's hosts.
    #[serde(default)]
    pub shortfalls: Vec<HostFailure>,
    /// Lock hosts that may still hold the lock of this run, because they did not answer at the end.
    pub locked: Vec<String>,
    /// Hosts whose nodes take no pods because this run, or one before, cordoned them and did not give them back.
    #[serde(default)]
    pub cordoned: Vec<String>,
    /// The command that puts back what the run replaced on hosts that failed; nothing where they keep nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// The command that goes on; nothing where there is nothing left to do.
    pub go_on: Option<String>,
}
