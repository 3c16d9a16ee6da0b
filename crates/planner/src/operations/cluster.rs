//! From bare hosts to a working cluster (`cluster`; spec LIFE-050 to LIFE-061).
//!
//! Each host goes its own way and waits for others only where something depends on them (LIFE-170 to LIFE-180).

use super::rules::{gates, lock_hosts, policy};
use crate::Wishes;
use crate::components::{Chain, Host, PlanningError, Site, begin, etcd, resolvers};

/// What a cluster wishes of all its hosts whose facts are known; or everything that cannot be planned.
pub fn cluster(site: &Site<'_>) -> Result<Wishes, Vec<PlanningError>> {
    let (mut steps, mut refusals) = (Vec::new(), Vec::new());
    for host in site.hosts() {
        let (own, refused) = chain(host).finish();
        steps.extend(own);
        refusals.extend(refused);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let gates = gates(site, &mut steps);
    Ok(Wishes {
        operation: "cluster".into(),
        cluster: site.spec.name.clone(),
        lock_hosts: lock_hosts(site.spec),
        gates,
        policy: policy(site),
        steps,
    })
}

/// The way of one host: bootstrap, preinstall; container engine, downloads, images; etcd; node, control plane, join;
/// network, applications; at last the resolvers that need the cluster's DNS.
fn chain(host: Host<'_>) -> Chain<'_> {
    let mut chain = Chain::new(host);
    begin(&mut chain);
    etcd::wish(&mut chain);
    if host.is_node() {
        resolvers::wish(&mut chain, resolvers::Pass::Late);
    }
    chain
}
