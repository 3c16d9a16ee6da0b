//! Hosts, time and faults that are only imagined.
//!
//! The controller's [`kubespray_controller::Run`] and the helper's [`kubespray_node::Session`] run here unchanged,
//! over [`SimHost`]s, in a [`World`] with a virtual clock. One seed gives one history.
//!
//! A command that is only simulated makes a world of its hosts' names, looks at them with [`World::observe`], makes a
//! plan of what was seen as it always does, and gives it to [`World::run`].

mod boot;
mod checks;
mod fault;
mod files;
mod host;
mod machine;
mod network;
mod observe;
mod programs;
mod random;
mod sample;
mod world;

pub use checks::{Checks, Violation};
pub use fault::Fault;
pub use host::SimHost;
pub use random::Random;
pub use sample::{Reach, Sample, sample};
pub use world::World;
