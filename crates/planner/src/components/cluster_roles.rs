//! What the cluster grants from the beginning (`kubernetes-apps/cluster_roles`; spec APP-011 to APP-014).
//!
//! All of it comes from the host of cluster-wide steps, and no copies of the objects stay on control planes.

use kubespray_resource::{ObjectAbsent, ObjectRef};
use serde_json::json;

use super::Chain;
use super::objects::{apply, cluster_role_binding, kubeconfig, subject};

/// Roles of older releases that gave too much (APP-013).
const OLD: &str = "system:node-webhook";

/// The binding of nodes, the class of important pods, and no roles of older releases.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("cluster-roles", "cluster-roles");
    let nodes = subject("Group", "system:nodes");
    apply(chain, cluster_role_binding("kubespray:system:node", "system:node", nodes));
    apply(
        chain,
        json!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "k8s-cluster-critical"},
            "value": 1_000_000_000,
            "globalDefault": false,
            "description": "pods of the cluster's own services outside of kube-system",
        }),
    );
    for kind in ["ClusterRoleBinding", "ClusterRole"] {
        let object = ObjectRef {
            api_version: "rbac.authorization.k8s.io/v1".into(),
            kind: kind.into(),
            namespace: None,
            name: OLD.into(),
        };
        let kubeconfig = kubeconfig(&chain.host);
        let name = format!("no-{}-node-webhook", kind.to_lowercase());
        chain.add(name, ObjectAbsent { kubeconfig, object, only_ours: false, timeout_s: 30 });
    }
}
