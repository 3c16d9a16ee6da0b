//! What hosts find out about each other before anything is done to them.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What became of a port that was to be listened at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    /// The helper listens there for as long as was asked.
    Listening,
    /// Something else listens there.
    Used {
        /// Where: an address of the host, or that of all.
        address: IpAddr,
        /// Who; nothing where that cannot be told.
        by: Option<PortUser>,
    },
    /// The host refuses, in its words.
    Refused(String),
}

/// Who listens at a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortUser {
    /// The process.
    pub pid: u32,
    /// Its name as the kernel knows it: at most 15 characters.
    pub process: String,
    /// The systemd unit that it belongs to.
    pub unit: Option<String>,
}

impl fmt::Display for PortUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "`{}` (process {} of `{unit}`)", self.process, self.pid),
            None => write!(f, "`{}` (process {})", self.process, self.pid),
        }
    }
}

/// The largest packet that reaches an address in one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketSize {
    /// So many bytes, headers of IP among them. The largest that was asked for, where nothing smaller is in the
    /// way.
    Bytes(u32),
    /// It was not measured, and why.
    NotMeasured(String),
}
