//! What hosts should have, what they have, and the words in which both are told.
//!
//! A [`Resource`] is one thing that a host should have: a file, a package, a running unit. Its [`State`] is
//! what a host has instead; [`Resource::compare`] says how they differ, here and nowhere else. A [`Step`] is
//! a resource placed in a [`Plan`]. [`wire`] holds what controller and node helper tell each other.
//!
//! Everything here is a value: no file is read, no process started, no clock asked.

mod before;
mod change;
mod content;
mod digest;
mod event;
mod facts;
mod kept;
mod kinds;
mod matrix;
mod names;
mod outcome;
mod outline;
mod output;
mod plan;
mod resource;
mod secrets;
mod status;
mod step;
pub mod wire;

pub use before::{BEFORE, Before, PuttingBack};
pub use change::{Change, Comparison};
pub use content::{Content, Mode, Owner, secrets_in};
pub use digest::Digest;
pub use event::{Event, EventKind, HostRecap};
pub use facts::{Address, Facts, FileSystem, Interface, OperatingSystem, WATCHED_PATHS, WATCHED_UNITS};
pub use kept::{KEPT, KEPT_INDEX, Keep, Kept, KeptAs, KeptLine, KeptPart};
pub use kinds::*;
pub use matrix::{PacketSize, PortState, PortUser};
pub use names::{RunId, StepId, Token};
pub use outcome::{ErrorClass, Failure, Outcome, OutcomeKind};
pub use outline::outline;
pub use plan::{Gate, Needs, PLAN_SCHEMA_VERSION, Plan, PlannedStep, Policy, Rollout, Versions};
pub use resource::{CompareError, Resource, State};
pub use secrets::{MissingSecret, Secrets};
pub use status::{ApiServerStatus, CertificateEnd, ComponentStatus, Cordon, KubernetesStatus, NodeStatus};
pub use step::{Disruption, Hold, Part, Raise, Step};
