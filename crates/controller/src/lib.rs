//! Runs of plans.
//!
//! [`Run`] is a state machine without any input or output of its own: [`Input`]s go in, [`Output`]s come out.
//! [`drive`] feeds it from real connections, the simulator from a queue of imagined ones. It decides nothing
//! that the plan did not say.

mod driver;
mod files;
mod hosts;
mod run;
mod steps;
mod table;
mod turns;
mod words;

pub use driver::{Signal, drive};
pub use files::Files;
pub use run::Run;
pub use words::{
    BadPlan, Ending, HostFailure, Input, Options, Output, RECORD_SCHEMA_VERSION, Record, Report, SlowStep,
    Undo,
};
