//! The pod network (`network_plugin`, `kubernetes-apps/policy_controller`; spec NET-001 to NET-010).
//!
//! Each plugin is a module of its own: what every node gets, and objects that are applied where cluster-wide steps
//! are done. Nodes say themselves whether they have a network, so that is what is waited for, not files on each of
//! them (NET-032).

mod calico;
mod custom;
mod flannel;

use std::collections::BTreeMap;

use kubespray_resource::StepId;
use kubespray_spec::choices::NetworkPlugin;

use super::objects::{READY, has_pod_network, nodes_ready, opener, text_of};
use super::{Chain, Host, Site};

/// Where container engines look for the programs of plugins; the basic ones are a component of their own.
const PROGRAMS: &str = "/opt/cni/bin";

/// Where they look for lists of plugins to call.
const LISTS: &str = "/etc/cni/net.d";

fn plugin(host: &Host<'_>) -> NetworkPlugin {
    host.settings().network.kube_network_plugin
}

/// The name of the plugin's component: its tag.
fn component(plugin: NetworkPlugin) -> &'static str {
    match plugin {
        NetworkPlugin::Calico => calico::COMPONENT,
        NetworkPlugin::Flannel => flannel::COMPONENT,
        NetworkPlugin::CustomCni => custom::COMPONENT,
        _ => "cni",
    }
}

/// What a node gets besides the basic programs.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    chain.begin("network", "network");
    let network = &host.settings().network;
    if network.kube_network_plugin_multus {
        chain.refuse("Multus cannot be installed yet", "unset `kube_network_plugin_multus`");
    }
    if host.settings().cilium.is_some() && plugin(&host) != NetworkPlugin::Cilium {
        chain.refuse(
            "Cilium cannot be installed beside another plugin yet",
            "unset `cilium_deploy_additionally`",
        );
    }
    chain.begin("network", component(plugin(&host)));
    match plugin(&host) {
        NetworkPlugin::Calico => calico::wish(chain),
        NetworkPlugin::Flannel | NetworkPlugin::CustomCni | NetworkPlugin::Cni | NetworkPlugin::None => {}
        other => {
            let message = format!("the network plugin `{}` cannot be installed yet", text_of(other));
            let hint = "set `kube_network_plugin` to `calico`, `flannel`, `custom_cni`, `cni` or `none`";
            chain.refuse(message, hint);
        }
    }
}

/// Applies the plugin's objects; to be done where cluster-wide steps are done. `manifests` are texts that users
/// bring, by their names in `custom_cni_manifests`.
pub(crate) fn objects(chain: &mut Chain<'_>, manifests: &BTreeMap<String, String>) {
    let plugin = plugin(&chain.host);
    chain.begin("network", component(plugin));
    match plugin {
        NetworkPlugin::Calico => calico::objects(chain),
        NetworkPlugin::Flannel => flannel::objects(chain),
        NetworkPlugin::CustomCni => custom::objects(chain, manifests),
        _ => {}
    }
}

/// Waits until all nodes that can be reached have a network, and removes what is not wished any more; to be done where
/// cluster-wide steps are done, when all nodes have joined, with the chain that [`objects`] was called with.
pub(crate) fn wait(chain: &mut Chain<'_>) {
    let host = chain.host;
    if !has_pod_network(&host) {
        return;
    }
    chain.begin("network", "network");
    // What was not ready before need not become it.
    let was_unready = |host: &Host<'_>| host.site.live.node(host.spec).is_some_and(|seen| !seen.ready);
    let nodes = host.site.hosts().filter(|host| host.is_node() && !was_unready(host));
    let nodes = nodes.map(|host| host.spec.node_name.clone()).collect();
    let check = nodes_ready(chain, nodes);
    chain.add(READY, check);
    chain.begin("network", component(plugin(&host)));
    match plugin(&host) {
        NetworkPlugin::Calico => calico::wait(chain),
        NetworkPlugin::Flannel => flannel::wait(chain),
        _ => {}
    }
}

/// Waits for what a node has only when its network works.
pub(crate) fn wait_on_host(chain: &mut Chain<'_>) {
    let host = chain.host;
    chain.begin("network", component(plugin(&host)));
    if plugin(&host) == NetworkPlugin::Flannel {
        flannel::wait_on_host(chain);
    }
}

/// Whether what keeps network policies is a part of its own.
fn has_policy_controller(host: &Host<'_>) -> bool {
    plugin(host) == NetworkPlugin::Calico && host.settings().network.enable_network_policy
}

/// Applies what keeps network policies.
pub(crate) fn policy(chain: &mut Chain<'_>) {
    chain.begin("policy-controller", "policy-controller");
    if has_policy_controller(&chain.host) {
        calico::policy::wish(chain);
    }
}

/// Waits until it runs.
pub(crate) fn policy_wait(chain: &mut Chain<'_>) {
    chain.begin("policy-controller", "policy-controller");
    if has_policy_controller(&chain.host) {
        calico::policy::wait(chain);
    }
}

/// The step that opens the gate `network`; none where users bring a network later.
pub(crate) fn ready(site: &Site<'_>) -> Option<StepId> {
    opener(site, "network", has_pod_network)
}
