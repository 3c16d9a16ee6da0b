//! What is asked of the cluster as a whole, from one control plane.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Assertion, Namespaces, NodeMust, ObjectRef, Resource, Step};
use kubespray_spec::HostSpec;
use serde_json::Value;

use super::{LATER, SOON, assert};
use crate::components::objects::{NAMESPACE, has_pod_network, kubeconfig};
use crate::components::{Chain, Host};

/// Kinds of objects whose pods are counted.
const WORKLOADS: [&str; 2] = ["DaemonSet", "Deployment"];

/// Pods that kubelets of control planes run by themselves.
const STATIC: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

pub(super) fn wish(chain: &mut Chain<'_>, applications: &[Step]) {
    let host = chain.host;
    let kubeconfig = kubeconfig(&host);
    let nodes: BTreeMap<String, NodeMust> = host
        .site
        .spec
        .hosts
        .iter()
        .filter(|host| is_node(host))
        .map(|host| (host.node_name.clone(), node(host)))
        .collect();
    let names: BTreeSet<String> = nodes.keys().cloned().collect();
    assert(chain, "nodes", LATER, Assertion::Nodes { kubeconfig: kubeconfig.clone(), nodes });
    assert(chain, "requests", SOON, Assertion::Requests { kubeconfig: kubeconfig.clone() });
    // Without a network for pods nothing but static ones and those of hosts can run.
    let has_network = has_pod_network(&host);
    for workload in workloads(&host, applications) {
        let Workload { object, images } = workload;
        let name = format!("workload-{}-{}", object.kind.to_lowercase(), object.name);
        let is_of_host = object.kind == "DaemonSet";
        if has_network || is_of_host {
            let kubeconfig = kubeconfig.clone();
            assert(chain, &name, LATER, Assertion::Workload { kubeconfig, object, missing: 0, images });
        }
    }
    if has_network {
        let system = BTreeSet::from([NAMESPACE.to_owned()]);
        let expected = static_pods(&host);
        let of = Namespaces::Of(system.clone());
        assert(chain, "system-pods", LATER, Assertion::Pods { kubeconfig: kubeconfig.clone(), of, expected });
        let of = Namespaces::But(system);
        let others = Assertion::Pods { kubeconfig: kubeconfig.clone(), of, expected: BTreeSet::new() };
        assert(chain, "pods", LATER, others);
    }
    if host.settings().metrics_server.is_some() {
        let metrics = Assertion::Metrics { kubeconfig: kubeconfig.clone(), nodes: names.clone() };
        assert(chain, "metrics", LATER, metrics);
    }
    assert(chain, "pod-logs", SOON, Assertion::Logs { kubeconfig, nodes: names });
}

fn is_node(host: &HostSpec) -> bool {
    host.roles.control_plane || host.roles.worker || host.roles.route_reflector
}

fn node(host: &HostSpec) -> NodeMust {
    let addresses = host.own.kubelet_address.known().map_or("", String::as_str);
    NodeMust {
        version: host.settings.kubernetes.kube_version.to_string(),
        address: addresses.split(',').next().and_then(|address| address.trim().parse().ok()),
    }
}

fn static_pods(host: &Host<'_>) -> BTreeSet<String> {
    let control_planes = host.site.spec.hosts.iter().filter(|host| host.roles.control_plane);
    control_planes.flat_map(|host| STATIC.iter().map(|name| format!("{name}-{}", host.node_name))).collect()
}

struct Workload {
    object: ObjectRef,
    images: BTreeMap<String, String>,
}

/// What the cluster's own steps apply, and what kubeadm does.
fn workloads(host: &Host<'_>, applications: &[Step]) -> Vec<Workload> {
    let mut all = Vec::new();
    let settings = host.settings();
    if settings.kube_proxy.kube_proxy_deployed {
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "DaemonSet".into(),
            namespace: Some(NAMESPACE.into()),
            name: "kube-proxy".into(),
        };
        let image = host.spec.artefacts.images.get("kube_proxy");
        let image =
            image.map(|image| ("kube-proxy".to_owned(), format!("{}:{}", image.repository, image.tag)));
        all.push(Workload { object, images: image.into_iter().collect() });
    }
    for step in applications {
        let Resource::Object(object) = &step.resource else { continue };
        let Ok(reference) = object.reference() else { continue };
        if reference.api_version == "apps/v1" && WORKLOADS.contains(&reference.kind.as_str()) {
            all.push(Workload { object: reference, images: images(&object.manifest) });
        }
    }
    all
}

fn images(manifest: &Value) -> BTreeMap<String, String> {
    let containers = ["initContainers", "containers"].into_iter().flat_map(|kind| {
        let list = manifest.pointer(&format!("/spec/template/spec/{kind}")).and_then(Value::as_array);
        list.into_iter().flatten()
    });
    containers
        .filter_map(|container| {
            let text = |key: &str| container.get(key).and_then(Value::as_str);
            Some((text("name")?.to_owned(), text("image")?.to_owned()))
        })
        .collect()
}
