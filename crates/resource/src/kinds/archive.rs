//! Files out of archives.

use serde::{Deserialize, Serialize};

use crate::{Comparison, Digest, Mode, Owner};

/// Members of a `.tar`, `.tar.gz` or `.tgz` on the host, put where they belong.
///
/// What was taken from which archive is recorded on the host with size and time of each file, so that the
/// archive need not be read again and may be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Absolute path of the archive.
    pub path: String,
    /// Its digest.
    pub digest: Digest,
    /// What is taken from it.
    pub members: Vec<Member>,
    /// Who owns what is taken.
    pub owner: Owner,
}

/// One file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the archive, without `./`.
    pub name: String,
    /// Absolute path where it goes.
    pub path: String,
    /// Who may do what.
    pub mode: Mode,
}

/// Which members are not as they were taken from this very archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveState {
    /// Paths that are missing, differ, or came from another archive.
    pub stale: Vec<String>,
}

impl Archive {
    /// Which files must be taken again.
    pub fn compare(&self, state: &ArchiveState) -> Comparison {
        let mut out = Comparison::default();
        for path in &state.stale {
            out.add(path, None, Some(format!("from {}", self.path)));
        }
        out
    }
}
