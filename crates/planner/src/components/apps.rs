//! Everything that is done through the API server, and what nodes need for the pod network, in its order (spec
//! APP-001 to APP-004, NET-002, NET-003).

use std::collections::BTreeMap;

use kubespray_resource::{Gate, Needs, StepId};

use super::{Chain, Site, cluster_roles, common_crds, dns, etcd, metrics_server, network};

/// What a node gets behind its join: the pod network, and where cluster-wide steps are done everything that goes
/// through the API server.
pub(crate) fn wish(chain: &mut Chain<'_>, manifests: &BTreeMap<String, String>) {
    let host = chain.host;
    network::wish(chain);
    if host.spec.name == host.site.leader() {
        network_objects(chain, manifests);
        dns::wish(chain);
        metrics_server::wish(chain);
        // All pods are on their way now, whoever is waited for first.
        etcd::trust(chain);
        network::wait(chain);
        dns::wait(chain);
        network::policy_wait(chain);
        metrics_server::wait(chain);
    }
    network::wait_on_host(chain);
}

/// What comes before workers take other versions (LIFE-116): what the cluster grants, the pod network with all its pods.
pub(crate) fn network(chain: &mut Chain<'_>, manifests: &BTreeMap<String, String>) {
    let host = chain.host;
    network::wish(chain);
    if host.spec.name == host.site.leader() {
        network_objects(chain, manifests);
        network::wait(chain);
        network::policy_wait(chain);
    }
    network::wait_on_host(chain);
}

/// What the cluster grants, and the objects of the pod network.
fn network_objects(chain: &mut Chain<'_>, manifests: &BTreeMap<String, String>) {
    cluster_roles::wish(chain);
    common_crds::wish(chain);
    network::objects(chain, manifests);
    network::policy(chain);
}

/// What comes behind all nodes (LIFE-120), by the leader.
pub(crate) fn others(chain: &mut Chain<'_>) {
    dns::wish(chain);
    metrics_server::wish(chain);
    dns::wait(chain);
    metrics_server::wait(chain);
}

/// The gates that steps of the pod network and of DNS open.
pub(crate) fn gates(site: &Site<'_>) -> BTreeMap<String, Gate> {
    let all = [("network", network::ready(site)), ("dns", dns::ready(site))];
    let gate = |step: StepId| Gate { steps: vec![step], needs: Needs::All };
    all.into_iter().filter_map(|(name, step)| Some((name.to_owned(), gate(step?)))).collect()
}
