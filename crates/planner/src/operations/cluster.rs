//! From bare hosts to a working cluster (`cluster`; spec LIFE-050 to LIFE-061).
//!
//! Each host goes its own way and waits for others only where something depends on them (LIFE-170 to LIFE-180).

use std::collections::BTreeMap;

use super::rules::{gates, lock_hosts, members_before_control_planes, policy, wait_for_dns};
use super::upgrade_checks::refuse_other_version;
use crate::Wishes;
use crate::components::{
    Chain, Host, PlanningError, Site, apps, begin, cni, control_plane, equip, etcd, helm, join, kubelet,
    load_balancer, resolvers, unbuilt,
};

/// What a cluster wishes of all its hosts whose facts are known; or everything that cannot be planned. `manifests` are
/// the documents that users bring as their own network plugin: the names in `custom_cni_manifests` with the texts that
/// they stand for.
pub fn cluster(site: &Site<'_>, manifests: &BTreeMap<String, String>) -> Result<Wishes, Vec<PlanningError>> {
    let refused = refuse_other_version(site);
    if !refused.is_empty() {
        return Err(refused);
    }
    let (mut steps, mut refusals) = (Vec::new(), Vec::new());
    for host in site.hosts() {
        let (own, refused) = chain(host, manifests).finish();
        steps.extend(own);
        refusals.extend(refused);
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let mut gates = gates(site, &steps);
    gates.extend(apps::gates(site));
    members_before_control_planes(&mut gates, &mut steps);
    wait_for_dns(&gates, &mut steps);
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
/// network, applications; at last the resolvers that need the cluster's DNS, and what nothing waits for.
fn chain<'a>(host: Host<'a>, manifests: &BTreeMap<String, String>) -> Chain<'a> {
    let mut chain = Chain::new(host);
    unbuilt::refuse(&mut chain);
    begin(&mut chain);
    equip(&mut chain);
    etcd::wish(&mut chain);
    // All others wait for the leader now. It waits for them later, and does then what they do meanwhile.
    let leads = host.spec.name == host.site.leader();
    if !leads {
        etcd::trust(&mut chain);
    }
    if host.is_node() {
        if !leads {
            cni::wish(&mut chain);
        }
        load_balancer::wish(&mut chain);
        kubelet::wish(&mut chain);
        control_plane::wish(&mut chain);
        control_plane::kube_proxy(&mut chain);
        if leads {
            cni::wish(&mut chain);
        }
        join::wish(&mut chain);
        helm::wish(&mut chain);
        apps::wish(&mut chain, manifests);
        // It waits for the joins of all, which need not wait for the network.
        join::nodes(&mut chain);
        resolvers::wish(&mut chain, resolvers::Pass::Late);
    }
    etcd::finish(&mut chain);
    chain
}
