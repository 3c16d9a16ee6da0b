//! The helper on a host: it observes and applies resources.
//!
//! [`Host`] is all it knows of the machine; [`LinuxHost`] is a real one. [`Session`] answers the requests of a
//! controller one by one; [`serve()`] feeds it from a connection.

mod apply;
mod before;
mod digests;
mod failure;
mod host;
mod journal;
mod keep;
mod kinds;
mod kubernetes;
mod linux;
mod lock;
mod matrix;
mod observe;
mod paths;
mod runs;
mod serve;
mod session;
mod status;
mod supply;
mod takeover;
mod tokens;
mod view;
mod x509;

pub use apply::apply;
pub use host::{
    Chunk, Fetch, Host, HostError, HttpIdentity, HttpRequest, HttpResponse, Metadata, Output, Spawn, Stamp,
};
pub use kinds::download::{fetch, is_direct};
pub use linux::LinuxHost;
pub use observe::{observe, observe_all};
pub use serve::{Ended, serve};
pub use session::Session;
pub use view::View;
