//! From wishes and observations to a plan, and what no plan may do.
//!
//! Everything here is pure: no file, no socket, no clock, no randomness. [`plan`] places wishes and what was
//! seen of them side by side; [`lint`] proves that a plan keeps the rules whatever made it.

pub mod components;
mod diff;
mod graph;
mod lint;
mod look;
mod make;
mod matrix;
pub mod operations;
mod outputs;
mod preflight;
mod render;
mod select;
mod since;
mod skew;
mod sources;
mod windows;

pub use diff::unified;
pub use lint::{Problem, Rule, lint};
pub use look::{Answers, Questions, look, observe};
pub use make::{PlanError, Seen, Wishes, contents_as_digests, plan, texts_to_read};
pub use matrix::{
    ClockSample, ClusterShape, MtuWish, NameWish, Packet, PortWish, Tried, addresses_are_no_networks,
    best_clock, names_resolve, packets_pass, ports_are_open, ports_wanted,
};
pub use outputs::observe_again;
pub use preflight::{HostSeen, clocks_agree, node_facts, preflight};
pub use render::{Item, ItemKind, render};
pub use select::{Selection, select};
pub use since::{Moved, changed_since};
pub use windows::{BlockedPod, blocked_pods};
