//! Hosts without a cluster (`reset`; spec LIFE-140 to LIFE-143, OPS-110 to OPS-149).
//!
//! Hosts do not wait for each other, and one that fails stops no other one.

use std::collections::BTreeSet;

use kubespray_resource::Policy;

use super::rules::lock_hosts;
use crate::Wishes;
use crate::components::{Chain, Host, PlanningError, Site, reset as component};

const COMPONENT: &str = "reset";

/// What a reset wishes, and whose hosts it wipes.
#[derive(Clone, Debug, Default)]
pub struct Reset {
    /// What is wished.
    pub wishes: Wishes,
    /// The cluster's id: the SHA-256 fingerprint of its certificate authority, in hexadecimal digits; nothing where no
    /// host has one.
    pub id: Option<String>,
    /// What hosts cannot be given back, by host.
    pub lost: Vec<(String, String)>,
}

/// A reset of some hosts; or why they must not be reset. `dead` are those that are gone for good: they are left out, and
/// count as hosts that the cluster does without.
pub fn reset(
    site: &Site<'_>,
    hosts: &BTreeSet<String>,
    dead: &BTreeSet<String>,
) -> Result<Reset, Vec<PlanningError>> {
    let wiped: Vec<Host<'_>> = site
        .hosts()
        .filter(|host| hosts.contains(&host.spec.name) && !dead.contains(&host.spec.name))
        .filter(|host| host.is_node() || host.spec.roles.etcd)
        .collect();
    let mut refusals = strangers(site, &wiped);
    let gone: BTreeSet<&str> =
        wiped.iter().map(|host| host.spec.name.as_str()).chain(dead.iter().map(String::as_str)).collect();
    refusals.extend(losses(site, &gone));
    let (mut steps, mut lost) = (Vec::new(), Vec::new());
    for host in wiped {
        lost.extend(component::lost(&host).into_iter().map(|lost| (host.spec.name.clone(), lost)));
        let mut chain = Chain::new(host);
        component::wish(&mut chain);
        let (own, refused) = chain.finish();
        // What the host was is no news to it.
        steps.extend(own.into_iter().map(|step| kubespray_resource::Step { remember: false, ..step }));
        refusals.extend(refused);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut locks = lock_hosts(site.spec);
    locks.retain(|host| !dead.contains(host));
    let wishes = Wishes {
        operation: "reset".into(),
        cluster: site.spec.name.clone(),
        lock_hosts: locks,
        policy: Policy { failure_budget: site.spec.hosts.len(), ..Policy::default() },
        steps,
        ..Wishes::default()
    };
    Ok(Reset { wishes, id: cluster_id(site).map(str::to_owned), lost })
}

/// The fingerprint of the authority that the leader has, or else the first host that has one.
fn cluster_id<'a>(site: &'a Site<'_>) -> Option<&'a str> {
    let known = &site.live.cluster_ids;
    let first = || site.spec.hosts.iter().find_map(|host| known.get(&host.name));
    known.get(site.leader()).or_else(first).map(String::as_str)
}

/// Hosts of another cluster.
fn strangers(site: &Site<'_>, hosts: &[Host<'_>]) -> Vec<PlanningError> {
    let etcd = || {
        let known = &site.live.etcd_ids;
        site.spec
            .groups
            .etcd
            .iter()
            .chain(site.spec.hosts.iter().map(|host| &host.name))
            .find_map(|host| known.get(host))
    };
    let mut out = Vec::new();
    for (what, ids, of_cluster) in [
        ("certificate authority", &site.live.cluster_ids, cluster_id(site)),
        ("certificate authority of etcd", &site.live.etcd_ids, etcd().map(String::as_str)),
    ] {
        let Some(of_cluster) = of_cluster else { continue };
        for host in hosts {
            let Some(id) = ids.get(&host.spec.name).filter(|id| *id != of_cluster) else { continue };
            let message = format!(
                "wrong cluster: the {what} of the host is `{}`, that of the cluster `{}`",
                short(id),
                short(of_cluster)
            );
            let hint =
                format!("leave it out with `--limit 'all:!{}'`, or correct the inventory", host.spec.name);
            out.push(refusal(&host.spec.name, message, hint));
        }
    }
    out
}

/// As much of an id as people compare.
fn short(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

/// What a cluster of which some hosts stay would lose with the others.
fn losses(site: &Site<'_>, gone: &BTreeSet<&str>) -> Vec<PlanningError> {
    let live = site.live;
    let stays = |host: &str| !gone.contains(host);
    // Who does not answer may be anything.
    let is_silent = |host: &str| stays(host) && !site.facts.contains_key(host);
    let goes_on = |host: &str| stays(host) && (is_silent(host) || live.is_anything(host));
    let Some(first) = gone.first().filter(|_| site.spec.hosts.iter().any(|host| goes_on(&host.name))) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let hint = "leave `--limit` out to reset the whole cluster, naming hosts that are gone for good with `--dead`; or \
                take single hosts away with `kubespray remove-node`";
    for (what, cluster) in [("etcd", &live.etcd), ("etcd for events", &live.etcd_events)] {
        if cluster.members.is_empty() {
            continue;
        }
        let silent = site.spec.groups.etcd.iter().filter(|host| is_silent(host));
        let members = cluster.members.iter().chain(silent).collect::<BTreeSet<_>>().len();
        let left = cluster.members.iter().filter(|host| stays(host)).count();
        let needed = members / 2 + 1;
        let is_touched = cluster.members.iter().any(|host| !stays(host));
        if is_touched && left < needed {
            let message =
                format!("{what} would be left with {left} of {members} members, and needs {needed}");
            out.push(refusal(first, message, hint));
        }
    }
    let planes = &live.control_planes;
    if !planes.is_empty() && planes.iter().all(|host| !stays(host)) {
        let message = "the last control plane of a cluster that has other nodes would be gone";
        out.push(refusal(first, message, hint));
    }
    out
}

fn refusal(host: &str, message: impl Into<String>, hint: impl Into<String>) -> PlanningError {
    PlanningError {
        host: host.to_owned(),
        component: COMPONENT.to_owned(),
        message: message.into(),
        hint: hint.into(),
    }
}
