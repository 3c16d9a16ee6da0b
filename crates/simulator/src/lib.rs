//! Hosts, time and faults that are only imagined.
//!
//! The controller's [`kubespray_controller::Run`] and the helper's [`kubespray_node::Session`] run here unchanged,
//! over [`SimHost`]s, in a [`World`] with a virtual clock. One seed gives one history.
//!
//! A command that is only simulated makes a world of its hosts' names with [`World::new`], looks at them with
//! [`World::facts`] and [`World::observe`], makes a plan of what was seen as it always does, and gives it to
//! [`World::run`], which answers with the report and all events. [`World::befall`] and [`World::fault_in`] make
//! something go wrong, [`World::violations`] tells which rules of [`Violation`] were broken.

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
