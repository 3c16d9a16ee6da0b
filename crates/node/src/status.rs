//! How certificates, API servers and nodes are, for `kubespray status`. Nothing is changed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kubespray_resource::{
    ApiServerStatus, CertificateEnd, ComponentStatus, Cordon, Failure, KubernetesStatus, NodeStatus, PodSeen,
    PodsSeen, ServiceSeen, condition_problem,
};
use serde_json::Value;

use crate::kinds::assertion::{api, local, told};
use crate::kinds::certificate::now_s;
use crate::kinds::node_state::present;
use crate::kubernetes::client::escaped;
use crate::kubernetes::health::text;
use crate::kubernetes::{ApiError, Client};
use crate::{Host, x509};

/// What the labels of roles begin with.
const ROLE: &str = "node-role.kubernetes.io/";

/// The taint of a node that takes no new pods.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Until when certificates are valid. Those that are not there are left out.
pub(crate) fn certificate_ends(
    host: &dyn Host,
    files: &[String],
) -> Result<BTreeMap<String, Result<CertificateEnd, String>>, Failure> {
    let mut ends = BTreeMap::new();
    for path in files {
        if host.metadata(path)?.is_none() {
            continue;
        }
        let end = local::of_file(host, path)?.and_then(|pem| {
            let facts = x509::first_certificate(pem.as_bytes())
                .and_then(|der| x509::facts(&der, None, now_s(host)))
                .ok_or_else(|| "is no certificate".to_owned())?;
            Ok(CertificateEnd { not_after: facts.not_after, in_days: facts.expires_in_days })
        });
        ends.insert(path.clone(), end);
    }
    Ok(ends)
}

/// Whether an API server is ready, and its version. One that does not answer is an answer, too.
pub(crate) fn api_server(
    host: &dyn Host,
    kubeconfig: &str,
    server: &str,
) -> Result<ApiServerStatus, Failure> {
    let client = Client::open_for_look(host, kubeconfig).map(|client| client.at(server));
    let mut version = None;
    let finding = told(client.and_then(|client| {
        let finding = api::ready(&client, None)?;
        let said = api::told_version(&client, None)?;
        version = Some(plain(&said).to_owned()).filter(|version| !version.is_empty());
        Ok(finding)
    }))?;
    Ok(ApiServerStatus { version, problem: finding.map(|finding| finding.problem) })
}

/// The pods that run and the services of a namespace that have addresses.
pub(crate) fn pods(host: &dyn Host, kubeconfig: &str, namespace: &str) -> Result<PodsSeen, ApiError> {
    let client = Client::open_for_look(host, kubeconfig)?;
    let folder = format!("/api/v1/namespaces/{}", escaped(namespace));
    let mut seen = PodsSeen::default();
    for pod in client.list("list pods", &format!("{folder}/pods"), &[])? {
        let addresses = addresses(&pod, "/status/podIPs", "/ip");
        let is_leaving = pod.pointer("/metadata/deletionTimestamp").is_some();
        if text(&pod, "/status/phase") == "Running" && !addresses.is_empty() && !is_leaving {
            let found = PodSeen { uid: text(&pod, "/metadata/uid").to_owned(), addresses };
            seen.pods.insert(text(&pod, "/spec/nodeName").to_owned(), found);
        }
    }
    for service in client.list("list services", &format!("{folder}/services"), &[])? {
        let addresses = addresses(&service, "/spec/clusterIPs", "");
        let ports = service.pointer("/spec/ports").and_then(Value::as_array);
        let node_ports = ports.into_iter().flatten().filter_map(|port| {
            let number = u16::try_from(port.pointer("/nodePort")?.as_u64()?).ok()?;
            Some((text(port, "/name").to_owned(), number))
        });
        let node_ports = node_ports.collect();
        if !addresses.is_empty() {
            let found = ServiceSeen { addresses, node_ports };
            seen.services.insert(text(&service, "/metadata/name").to_owned(), found);
        }
    }
    Ok(seen)
}

/// The addresses in a list.
fn addresses(object: &Value, list: &str, field: &str) -> Vec<IpAddr> {
    let list = object.pointer(list).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|item| text(item, field).parse().ok()).collect()
}

/// The nodes and the components of control planes that an API server knows.
pub(crate) fn kubernetes(
    host: &dyn Host,
    kubeconfig: &str,
    server: &str,
) -> Result<KubernetesStatus, ApiError> {
    let client = Client::open_for_look(host, kubeconfig)?.at(server);
    let nodes = client.list("list nodes", &client.collection("v1", "Node")?, &[])?;
    let pods = client.list(
        "list pods",
        "/api/v1/namespaces/kube-system/pods",
        &[("labelSelector", "tier=control-plane")],
    )?;
    let mut status = KubernetesStatus {
        nodes: nodes.iter().map(node).collect(),
        components: pods.iter().filter_map(component).collect(),
    };
    status.nodes.sort_by(|one, other| one.name.cmp(&other.name));
    status.components.sort_by(|one, other| (&one.name, &one.node).cmp(&(&other.name, &other.node)));
    Ok(status)
}

fn node(node: &Value) -> NodeStatus {
    let seen = present(node);
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    let cordoned = taints.into_iter().flatten().find(|taint| text(taint, "/key") == UNSCHEDULABLE);
    let since = cordoned.map(|taint| text(taint, "/timeAdded").to_owned()).filter(|since| !since.is_empty());
    NodeStatus {
        name: text(node, "/metadata/name").to_owned(),
        roles: seen.labels.keys().filter_map(|label| label.strip_prefix(ROLE)).map(str::to_owned).collect(),
        problem: condition_problem(node, "Ready"),
        kubelet: plain(text(node, "/status/nodeInfo/kubeletVersion")).to_owned(),
        engine: text(node, "/status/nodeInfo/containerRuntimeVersion").to_owned(),
        cordon: seen.unschedulable.then_some(Cordon { by: seen.cordoned_by, since }),
    }
}

/// A static pod as the API server mirrors it; nothing for pods that name no component.
fn component(pod: &Value) -> Option<ComponentStatus> {
    let name = pod.pointer("/metadata/labels/component")?.as_str()?.to_owned();
    let image = text(pod, "/spec/containers/0/image");
    // A colon in front of a slash is that of a port.
    let named = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let tag = named.split_once(':').map_or("", |(_, tag)| tag);
    Some(ComponentStatus {
        name,
        node: text(pod, "/spec/nodeName").to_owned(),
        version: plain(tag).to_owned(),
        problem: condition_problem(pod, "Ready"),
    })
}

/// A version without its `v`.
fn plain(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_tell_who_cordoned_them() {
        let live = json!({
            "metadata": {
                "name": "n1",
                "labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/os": "linux"},
                "annotations": {"kubespray.rs/cordoned-by": "20261121-0912-4f1c"},
            },
            "spec": {
                "unschedulable": true,
                "taints": [
                    {"key": "a", "effect": "NoSchedule"},
                    {"key": UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": "2026-11-21T09:12:00Z"},
                ],
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "False", "message": "no network"}],
                "nodeInfo": {"kubeletVersion": "v1.36.2", "containerRuntimeVersion": "containerd://2.1.4"},
            },
        });
        let seen = node(&live);
        assert_eq!(seen.roles.into_iter().collect::<Vec<_>>(), ["control-plane"]);
        assert_eq!((seen.kubelet.as_str(), seen.engine.as_str()), ("1.36.2", "containerd://2.1.4"));
        assert_eq!(seen.problem.unwrap(), "it is not `Ready`: no network");
        let cordon = seen.cordon.unwrap();
        assert_eq!(cordon.by.unwrap(), "20261121-0912-4f1c");
        assert_eq!(cordon.since.unwrap(), "2026-11-21T09:12:00Z");

        let open = json!({"metadata": {"name": "n1", "annotations": {"kubespray.rs/cordoned-by": "old"}}});
        assert_eq!(node(&open).cordon, None, "a mark alone cordons nothing");
    }

    #[test]
    fn versions_of_components_are_those_of_their_images() {
        let of = |image: &str| {
            let pod = json!({
                "metadata": {"labels": {"component": "kube-scheduler"}},
                "spec": {"nodeName": "n1", "containers": [{"image": image}]},
            });
            component(&pod).unwrap().version
        };
        assert_eq!(of("registry.k8s.io/kube-scheduler:v1.36.2"), "1.36.2");
        assert_eq!(of("10.0.0.1:5000/kube-scheduler:v1.36.2@sha256:00"), "1.36.2");
        assert_eq!(of("10.0.0.1:5000/kube-scheduler"), "");
        assert_eq!(component(&json!({"metadata": {"labels": {"tier": "control-plane"}}})), None);
    }
}
