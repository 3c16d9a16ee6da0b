//! Who may do what of Calico (spec NET-040, NET-160 to NET-162).

use serde_json::{Value, json};

use super::super::super::Chain;
use super::super::super::objects::{
    account, apply, cluster_role, cluster_role_binding, rule, service_account, subject, with,
};

/// The group of Calico's kinds.
const GROUP: &str = "crd.projectcalico.org";
/// Who runs on nodes, and Typha.
pub(super) const NODE: &str = "calico-node";
/// As whom containers get their network.
const PLUGIN: &str = "calico-cni-plugin";

/// Accounts and roles of what runs on nodes.
pub(super) fn wish(chain: &mut Chain<'_>) {
    for name in [NODE, PLUGIN] {
        apply(chain, service_account(name));
    }
    apply(chain, cluster_role(NODE, node()));
    apply(chain, cluster_role(PLUGIN, plugin()));
    apply(chain, cluster_role("calico-tier-getter", vec![rule("projectcalico.org", "tiers", "get")]));
    for name in [NODE, PLUGIN] {
        apply(chain, cluster_role_binding(name, name, account(name)));
    }
    let manager = subject("User", "system:kube-controller-manager");
    apply(chain, cluster_role_binding("calico-tier-getter", "calico-tier-getter", manager));
}

fn plugin() -> Vec<Value> {
    let own = "blockaffinities ipamblocks ipamhandles clusterinformations ippools ipreservations ipamconfigs";
    vec![
        rule("core", "pods nodes namespaces", "get"),
        rule("core", "pods/status", "patch"),
        rule("core", "nodes/status", "update"),
        rule(GROUP, own, "get list create update delete"),
    ]
}

fn node() -> Vec<Value> {
    let watched = "globalfelixconfigs felixconfigurations bgppeers bgpfilters globalbgpconfigs \
                   bgpconfigurations ippools ipreservations ipamblocks globalnetworkpolicies \
                   stagedglobalnetworkpolicies networkpolicies stagednetworkpolicies \
                   stagedkubernetesnetworkpolicies globalnetworksets networksets clusterinformations \
                   hostendpoints blockaffinities caliconodestatuses tiers";
    let policies = "adminnetworkpolicies baselineadminnetworkpolicies";
    vec![
        with(rule("core", "serviceaccounts/token", "create"), json!({"resourceNames": [PLUGIN]})),
        rule("core", "pods nodes namespaces configmaps", "get"),
        rule("discovery.k8s.io", "endpointslices", "list watch"),
        rule("core", "endpoints services nodes", "get list watch"),
        rule("core", "nodes/status", "patch update"),
        rule("networking.k8s.io", "networkpolicies", "list watch"),
        rule("policy.networking.k8s.io", policies, "list watch"),
        rule("core", "pods namespaces serviceaccounts", "list watch"),
        rule("core", "pods/status", "patch"),
        rule(GROUP, watched, "get list watch"),
        rule(GROUP, "tiers", "create"),
        rule(
            GROUP,
            "ippools felixconfigurations clusterinformations bgpconfigurations bgppeers",
            "create update",
        ),
        rule(GROUP, "caliconodestatuses", "update"),
        rule(GROUP, "blockaffinities ipamblocks ipamhandles", "get list create update delete"),
        rule(GROUP, "ipamconfigs", "get create"),
        rule(GROUP, "blockaffinities", "watch"),
        rule("apps", "daemonsets", "get"),
    ]
}
