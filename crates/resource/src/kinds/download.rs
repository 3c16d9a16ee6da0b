//! Files from elsewhere.

use serde::{Deserialize, Serialize};

use crate::{Comparison, Digest, Mode, Owner};

/// A file that is fetched and must have a digest. A part that was fetched before is taken up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Absolute path.
    pub path: String,
    /// Where it may be had, in this order.
    pub urls: Vec<String>,
    /// Whether the controller keeps it. It is asked before all URLs, which may be none.
    #[serde(default)]
    pub from_controller: bool,
    /// What it must be. A file that differs is never put at the path.
    pub digest: Digest,
    /// Who may do what.
    pub mode: Mode,
    /// Who owns it.
    pub owner: Owner,
    /// Proxy for `http` and `https`, `no_proxy` as environments write it; nothing where none.
    pub proxy: Option<String>,
    /// Hosts that are reached without the proxy.
    #[serde(default)]
    pub no_proxy: String,
    /// Whether certificates of servers are checked.
    pub verify_tls: bool,
    /// How long one attempt may go without a byte, in seconds.
    pub timeout_s: u64,
    /// Whether it is only there for archives and copies on the host to be taken from: where none of a plan's has to
    /// be taken, it need not be there. In a plan without any it counts.
    #[serde(default)]
    pub only_as_source: bool,
}

/// What is at the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadState {
    /// The digest of what is there; nothing when nothing is.
    pub digest: Option<Digest>,
    /// Its mode.
    pub mode: Option<Mode>,
    /// Its owner.
    pub owner: Option<Owner>,
}

impl Download {
    /// How the file differs.
    pub fn compare(&self, state: &DownloadState) -> Comparison {
        let mut out = Comparison::default();
        let short = |digest: &Digest| format!("sha256 {}", digest.as_str().get(..12).unwrap_or_default());
        if state.digest.as_ref() != Some(&self.digest) {
            out.add("content", state.digest.as_ref().map(short), Some(short(&self.digest)));
            return out;
        }
        if let Some(mode) = &state.mode {
            out.field("mode", mode, &self.mode);
        }
        if let Some(owner) = &state.owner {
            out.field("owner", owner, &self.owner);
        }
        out
    }
}
