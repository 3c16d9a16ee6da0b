//! The helper on a host: it observes and applies resources.
//!
//! [`Host`] is all it knows of the machine; [`LinuxHost`] is a real one. [`Session`] answers the requests of a
//! controller one by one; [`serve()`] feeds it from a connection.

mod apply;
mod failure;
mod host;
mod journal;
mod kinds;
mod linux;
mod lock;
mod observe;
mod paths;
mod runs;
mod serve;
mod session;
mod takeover;
mod tokens;
mod view;

pub use apply::apply;
pub use host::{Fetch, Host, HostError, Metadata, Output, Spawn};
pub use linux::LinuxHost;
pub use observe::{observe, observe_all};
pub use serve::{Ended, serve};
pub use session::Session;
pub use view::View;
