//! etcd: who is a member, whether all are well, snapshots and what is made of them.

mod backup;
mod health;
mod member;
mod quorum;

pub use backup::{
    EtcdKeep, EtcdRestore, EtcdRestoreState, EtcdSnapshot, EtcdSnapshotState, EtcdSnapshotStatus,
};
pub use health::{EtcdExpected, EtcdHealth, EtcdHealthState, EtcdSeen, EtcdStatus};
pub use member::{EtcdMember, EtcdMemberState};
pub use quorum::{EtcdChange, EtcdQuorum};

use serde::{Deserialize, Serialize};

/// How a cluster is asked: by `etcdctl` with a client certificate (ETCD-081).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdClient {
    /// `https://address:port` of members; the first that answers is asked.
    pub endpoints: Vec<String>,
    /// Path of the certificate that signed those of the members.
    pub ca: String,
    /// Path of the client's certificate.
    pub certificate: String,
    /// Path of its key.
    pub key: String,
    /// The folder of `etcdctl` and `etcdutl`; where there is none, the host's usual folders are searched.
    #[serde(default)]
    pub bin_dir: Option<String>,
}

/// A member as the cluster lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdListed {
    /// Its id in hexadecimal, as `etcdctl` takes it.
    pub id: String,
    /// Its name; empty until it has started for the first time.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; none until it has started.
    pub client_urls: Vec<String>,
    /// Whether it only learns and does not vote.
    pub learner: bool,
}

impl EtcdListed {
    /// What people call it: its name, else where it is.
    pub fn label(&self) -> String {
        match (self.name.as_str(), self.peer_urls.first()) {
            ("", Some(url)) => url.clone(),
            ("", None) => self.id.clone(),
            (name, _) => name.to_owned(),
        }
    }

    /// Whether it is reached at one of these.
    pub fn is_at(&self, peer_urls: &[String]) -> bool {
        self.peer_urls.iter().any(|url| peer_urls.contains(url))
    }
}
