//! Which nodes a cluster has.

use kubespray_resource::{Failure, NodeListed, Nodes, NodesState, condition_problem};
use serde_json::Value;

use super::node_state;
use crate::View;
use crate::kubernetes::ApiError;
use crate::kubernetes::health::text;

/// All nodes, as the API server of the kubeconfig lists them.
pub(crate) fn observe(view: &View<'_>, wish: &Nodes) -> Result<NodesState, Failure> {
    let listed = view.clients.get(view.host, &wish.kubeconfig).and_then(|client| -> Result<_, ApiError> {
        client.list("list nodes", &client.collection("v1", "Node")?, &[])
    });
    match listed {
        Ok(nodes) => Ok(NodesState::Listed(
            nodes.iter().map(|node| (text(node, "/metadata/name").to_owned(), seen(node))).collect(),
        )),
        Err(error) => error.unknown().map(NodesState::Unknown).ok_or_else(|| error.into()),
    }
}

fn seen(node: &Value) -> NodeListed {
    let present = node_state::present(node);
    NodeListed {
        ready: condition_problem(node, "Ready").is_none(),
        unschedulable: present.unschedulable,
        cordoned_by: present.cordoned_by,
        kubelet: text(node, "/status/nodeInfo/kubeletVersion").to_owned(),
        taints: present.taints.into_keys().collect(),
    }
}
