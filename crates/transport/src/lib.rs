//! Connections to hosts.
//!
//! A [`Transport`] starts the node helper on a host and carries its messages; it decides nothing about trying
//! again. [`Ssh`] runs the system's `ssh` as a child, one for each host, and brings the helper along; [`Local`]
//! starts it on this machine; [`System`] takes the one that a target asks for.
//!
//! All of it is synchronous: each connection has one thread that reads and one that writes.

mod arguments;
mod arrival;
mod askpass;
mod bootstrap;
mod classify;
mod disconnect;
mod handshakes;
mod helpers;
mod local;
mod pool;
mod queue;
mod session;
mod ssh;
mod target;

use kubespray_resource::wire::{Reply, Request};

pub use arguments::{BadArguments, split_arguments, ssh_arguments};
pub use arrival::{Arrival, HelperFrom, HostKey, Root, checks_host_key};
pub use askpass::{ASKPASS_FILE, answer_askpass};
pub use disconnect::Disconnect;
pub use handshakes::Handshakes;
pub use local::Local;
pub use pool::Pool;
pub use queue::LONGEST_QUEUE;
pub use ssh::{FOLDERS, HostKeys, Ssh, SshOptions};
pub use target::{Bastion, Become, Link, Password, Target};

/// Takes what happens on a connection, in the connection's own thread: it must not wait.
pub type OnEvent = Box<dyn FnMut(ConnectionEvent) + Send>;

/// A way to reach hosts.
pub trait Transport: Send + Sync {
    /// Begins to connect and returns at once. Everything that happens is told to `on_event`:
    /// [`ConnectionEvent::Up`] at most once, then replies, and exactly one [`ConnectionEvent::Down`] as the last.
    fn connect(&self, target: &Target, on_event: OnEvent) -> Box<dyn Connection>;
}

/// A connection to the helper of a host. Dropping it closes it.
pub trait Connection: Send {
    /// Sends a request; before the helper is up it waits in the queue.
    ///
    /// Returns at once while fewer than [`LONGEST_QUEUE`] requests wait to be written, and waits for room
    /// otherwise (back-pressure), at most until the connection is down. A request to a connection that is down
    /// is dropped: the `Down` event tells.
    fn send(&mut self, request: &Request);

    /// Writes what is queued and ends the helper by ending its input. A helper that does not go is killed.
    /// Returns at once; [`ConnectionEvent::Down`] with [`Disconnect::Ended`] follows.
    fn close(&mut self);
}

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The helper is there.
    Up(Arrival),
    /// The helper says something.
    Reply(Reply),
    /// The connection is over.
    Down(Disconnect),
}

/// Reaches every target as it asks: [`Ssh`] or [`Local`].
#[derive(Debug)]
pub struct System {
    /// For [`Link::Ssh`].
    pub ssh: Ssh,
    /// For [`Link::Local`].
    pub local: Local,
}

impl Transport for System {
    fn connect(&self, target: &Target, on_event: OnEvent) -> Box<dyn Connection> {
        match target.link {
            Link::Ssh => self.ssh.connect(target, on_event),
            Link::Local => self.local.connect(target, on_event),
        }
    }
}
