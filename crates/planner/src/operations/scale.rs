//! More hosts for a cluster (`scale`; spec LIFE-090 to LIFE-100, OPS-210 to OPS-215).
//!
//! New hosts get all that `cluster` gives them; of the others only those are touched that must learn of them, and only
//! with what they must learn.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_spec::ClusterSpec;

use super::cluster;
use super::difference::difference;
use crate::Wishes;
use crate::components::{Live, PlanningError, Site};

/// The hosts that a cluster does not have yet, by what they are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newcomers {
    /// Control planes.
    pub control_planes: BTreeSet<String>,
    /// Members of etcd.
    pub members: BTreeSet<String>,
    /// Other nodes.
    pub workers: BTreeSet<String>,
}

impl Newcomers {
    /// Those of a specification that a cluster does not have: what files of hosts, the API server's list of nodes and
    /// etcd's list of members say. A host that does not answer and is in none of these counts as new.
    pub fn of(spec: &ClusterSpec, live: &Live) -> Self {
        let mut new = Self::default();
        let is_node = |name: &str, node: &str| {
            live.nodes.contains(name) || live.listed.as_ref().is_some_and(|nodes| nodes.contains_key(node))
        };
        let is_member = |host: &kubespray_spec::HostSpec| {
            let url = host.own.etcd_peer_url.known();
            let listed = live.etcd.answer.iter().flatten();
            live.etcd.members.contains(&host.name)
                || listed.flat_map(|seen| &seen.listed.peer_urls).any(|peer| Some(peer) == url)
        };
        for host in &spec.hosts {
            let roles = host.roles;
            let is_node = is_node(&host.name, &host.node_name);
            if roles.control_plane && !live.control_planes.contains(&host.name) && !is_node {
                new.control_planes.insert(host.name.clone());
            }
            if roles.etcd && !is_member(host) {
                new.members.insert(host.name.clone());
            }
            let is_other = (roles.worker || roles.route_reflector) && !roles.control_plane;
            if is_other && !is_node {
                new.workers.insert(host.name.clone());
            }
        }
        new
    }

    /// All of them.
    pub fn all(&self) -> BTreeSet<String> {
        self.control_planes.iter().chain(&self.members).chain(&self.workers).cloned().collect()
    }

    /// Only these.
    #[must_use]
    pub fn only(mut self, hosts: &BTreeSet<String>) -> Self {
        for names in [&mut self.control_planes, &mut self.members, &mut self.workers] {
            names.retain(|name| hosts.contains(name));
        }
        self
    }

    /// Whether nobody is new.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Whether every node must learn of them: its local proxy leads to all control planes.
    pub fn concern_all(&self) -> bool {
        !self.control_planes.is_empty()
    }
}

/// What the cluster `after` wishes of its new hosts, and of the others what they must learn; `before` is the same
/// cluster without the new ones. Or everything that cannot be planned. `manifests` are those of
/// [`cluster`](super::cluster()).
pub fn scale(
    after: &Site<'_>,
    before: &Site<'_>,
    new: &Newcomers,
    manifests: &BTreeMap<String, String>,
) -> Result<Wishes, Vec<PlanningError>> {
    let wanted = cluster(after, manifests)?;
    let known = cluster(before, manifests)?;
    let meant = new.all();
    let wishes = difference(wanted, &known, |step| meant.contains(&step.host));
    Ok(Wishes { operation: "scale".into(), ..wishes })
}
