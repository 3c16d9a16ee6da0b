//! Snapshots of a cluster, and what is made of them.

use serde::{Deserialize, Serialize};

use super::EtcdClient;
use crate::{Comparison, Digest, Owner, Token};

/// A verified snapshot of a cluster, in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdSnapshot {
    /// How the cluster is asked. Its endpoints are tried in their order; one gives the snapshot.
    pub client: EtcdClient,
    /// Absolute path. Only what was verified is ever there; its folder is made for root alone.
    pub path: String,
    /// What must wait to happen for a snapshot to be made, such as the restart of etcd (ETCD-100): without it the
    /// host is as wished. A snapshot is made always where nothing is said.
    #[serde(default)]
    pub when: Option<Token>,
    /// Which older ones are kept; all where nothing is said (ETCD-106).
    #[serde(default)]
    pub keep: Option<EtcdKeep>,
    /// How long making it may take, in seconds.
    pub timeout_s: u64,
}

/// How many snapshots are kept. They are folders, each with a file of the same name as the snapshot, or files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdKeep {
    /// The folder that holds them: `/var/backups`.
    pub folder: String,
    /// What their names begin with: `etcd-`.
    pub prefix: String,
    /// How many there may be, the newest of all. The one that is wished always stays.
    pub count: u32,
}

/// What is at the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdSnapshotState {
    /// Whether what it is made for waits to happen.
    pub wanted: bool,
    /// What the file holds; nothing when it is not there or no whole snapshot.
    pub status: Option<EtcdSnapshotStatus>,
    /// Why it is no whole snapshot; nothing when it is, or not there.
    pub problem: Option<String>,
    /// Paths of older ones that are too many.
    pub surplus: Vec<String>,
}

/// What a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdSnapshotStatus {
    /// The hash of its contents.
    pub hash: u32,
    /// The revision of the cluster.
    pub revision: i64,
    /// How many keys.
    pub keys: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl EtcdSnapshot {
    /// How the snapshot differs.
    pub fn compare(&self, state: &EtcdSnapshotState) -> Comparison {
        let mut out = Comparison::default();
        if !state.wanted {
            return out;
        }
        if state.status.is_none() {
            out.add("snapshot", state.problem.clone(), Some(self.path.clone()));
        }
        for path in &state.surplus {
            out.add("kept", Some(path.clone()), None);
        }
        out
    }
}

/// The data of a member made of a snapshot. etcd must not run on it.
///
/// The data that were there are moved aside within the data folder, never deleted. What was made is marked with
/// the restore's id, so that one restore happens once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdRestore {
    /// The folder of `etcdutl`; where there is none, the host's usual folders are searched.
    #[serde(default)]
    pub bin_dir: Option<String>,
    /// Names this restore, in letters, digits, `-`, `_` and `.`: data with this mark are as wished.
    pub id: String,
    /// Absolute path of the snapshot.
    pub snapshot: String,
    /// Its digest, where it is known.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// Whether it is a copy of a member's `snap/db`, which carries no hash of its own.
    #[serde(default)]
    pub is_copied_db: bool,
    /// The data folder (ETCD-056).
    pub data_dir: String,
    /// Who owns the data.
    pub owner: Owner,
    /// The member's name.
    pub name: String,
    /// The members of the new cluster: name and peer URL each. A name with several URLs is there several times.
    pub initial_cluster: Vec<(String, String)>,
    /// The new cluster's token (ETCD-064).
    pub token: String,
    /// The member's own peer URLs.
    pub peer_urls: Vec<String>,
    /// How far revisions jump ahead, so that no client sees them go back; everything before is compacted then.
    #[serde(default)]
    pub bump_revision: Option<u64>,
    /// Whether data that are there may be moved aside.
    pub replaces: bool,
    /// How long it may take, in seconds.
    pub timeout_s: u64,
}

/// What is in the data folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdRestoreState {
    /// Whether there are data of a member.
    pub has_data: bool,
    /// The id of the restore that they were made by; nothing when by none.
    pub restored: Option<String>,
}

impl EtcdRestore {
    /// Whether the data were made by this restore.
    pub fn compare(&self, state: &EtcdRestoreState) -> Comparison {
        let mut out = Comparison::default();
        if !state.has_data || state.restored.as_ref() != Some(&self.id) {
            let from = match (&state.restored, state.has_data) {
                (_, false) => None,
                (Some(id), true) => Some(format!("restored as {id}")),
                (None, true) => Some("other data".to_owned()),
            };
            out.add("data", from, Some(format!("restored as {} from {}", self.id, self.snapshot)));
        }
        out
    }
}
