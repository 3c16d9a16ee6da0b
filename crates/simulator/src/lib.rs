//! Hosts, time and faults that are only imagined.
//!
//! The controller's [`kubespray_controller::Run`] and the helper's [`kubespray_node::Session`] run here unchanged,
//! over [`SimHost`]s, in a [`World`] with a virtual clock. One seed gives one history.
//!
//! A command that is only simulated makes a world of its hosts' names with [`World::new`], says with
//! [`World::set_address`] where they are, if that matters, and asks them what a real one asks: [`World::facts`] for
//! the specification, [`World::states`] for the probes of what is there already, [`World::observe`] for the plan. In
//! between [`World::imagine_downloads`] serves what the wishes fetch. The plan goes to [`World::run`], which answers
//! with the report and all events; [`World::go_for`] lets time pass, in which pods become ready. [`World::befall`] and
//! [`World::fault_in`] make something go wrong, [`World::violations`] tells which rules of [`Violation`] were broken.
//! Nothing here is quick or slow by chance: the times of events are those that hosts would take.

mod boot;
mod checks;
mod fault;
mod files;
mod host;
mod machine;
mod mirror;
mod models;
mod network;
mod observe;
mod programs;
mod random;
mod sample;
mod world;

pub use checks::Violation;
pub use fault::Fault;
pub use host::SimHost;
pub use random::Random;
pub use sample::{Reach, Sample, sample};
pub use world::World;
