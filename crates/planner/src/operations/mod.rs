//! What the product does as a whole: one file for each operation.
//!
//! An operation puts components into an order for each host, and says what hosts wait for of each other: gates,
//! rollouts, locks, how many hosts may fail.

mod client;
mod cluster;
mod difference;
mod keep;
mod remove;
mod reset;
mod rules;
mod scale;
mod status;
mod undo;
mod upgrade;
mod upgrade_checks;
mod upgrade_windows;
mod verify;

pub use client::{ClientSource, client_sources, kubectl};
pub use cluster::cluster;
pub use keep::no_way_back;
pub use remove::{Leaving, Removal, forget, remove};
pub use reset::{Reset, reset};
pub use scale::{Newcomers, scale};
pub use status::{
    ApiWay, CertificateStatus, Existence, HostAnswers, HostQuestions, HostStatus, JournalSeen, LockStatus,
    MemberStatus, Remark, SOON_DAYS, STATUS_SCHEMA_VERSION, Status, StatusSeen, Versions, status,
    status_questions,
};
pub use undo::{Undo, undo};
pub use upgrade::upgrade;
pub use upgrade_checks::refuse_other_version;
pub use upgrade_windows::{Amount, MaxUnavailable, UpgradeOptions, Window, WindowProblem, worker_windows};
pub use verify::{PodProbes, clocks_apart, pod_network, pod_probes, verify};
