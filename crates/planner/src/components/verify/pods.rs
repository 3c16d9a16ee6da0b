//! What the network of pods must give (spec CHK-009, CHK-031, CHK-032, CHK-035, CHK-036, CHK-066 to CHK-068, CHK-081):
//! a pod of ours on every node that only holds a network, and services in front of them. Helpers listen and try within
//! these networks, so that no image is needed but the one that every pod begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kubespray_resource::{
    Assertion, Namespaces, ObjectAbsent, ObjectRef, PodSeen, PodsSeen, ServiceSeen, Step, Trial, TrialTarget,
};
use kubespray_spec::choices::DnsMode;
use serde_json::{Value, json};

use super::{Named, Patience, assert, named, of_component};
use crate::PortWish;
use crate::components::objects::{self, has_pod_network, kubeconfig};
use crate::components::{Host, PlanningError, Site, load_balancer};

/// Where all of it is.
pub(crate) const NAMESPACE: &str = "kubespray-verify";

/// Where helpers listen within pods.
pub(crate) const PORT: u16 = 8390;

/// The service in front of all pods, and the one in front of those of the same node alone.
const ALL: &str = "probe";
const HERE: &str = "probe-here";

/// The names of the service's ports.
const STREAM: &str = "stream";
const DATAGRAM: &str = "datagram";

/// So many others are tried by each: those that follow it.
const MOST_OTHERS: usize = 8;

/// How long the namespace may take to go, in seconds.
const GONE_S: u64 = 120;

/// How long pods may take to run, in seconds: nothing has to be fetched.
const RUNNING: Patience = Patience { timeout_s: 120, interval_s: 1 };

/// How long rules of services may take to be everywhere, in seconds.
const TRIED: Patience = Patience { timeout_s: 60, interval_s: 1 };

/// Assertions that need pods, in the order in which they are told.
pub const POD_ASSERTIONS: [Named; 8] = [
    named("probe-pods", "CHK-032", "a pod of ours runs on every node"),
    named("pod-network", "CHK-009, CHK-031, CHK-067, CHK-081", "pods reach pods of other nodes"),
    named("host-to-pods", "CHK-067, CHK-081", "the host reaches pods of its own and of other nodes"),
    named("pod-to-host", "CHK-067", "pods reach the API server"),
    named("pod-to-services", "CHK-068, CHK-081", "pods reach services, themselves through one of them, too"),
    named("host-to-services", "CHK-068, CHK-081", "the host reaches services"),
    named("node-ports", "CHK-035, CHK-068", "ports of nodes lead to a service"),
    named("pod-names", "CHK-036, CHK-066", "pods know names of the cluster"),
];

/// What is made, and what goes again; or why nothing can be.
pub(crate) struct Probes {
    pub(crate) setup: Vec<Step>,
    /// That the pods run.
    pub(crate) running: Vec<Step>,
    pub(crate) teardown: Vec<Step>,
    /// Who asks the API server, and its kubeconfig.
    pub(crate) asks: (String, String),
}

pub(crate) fn probes(site: &Site<'_>) -> Result<Probes, PlanningError> {
    let refusal = |host: &str, message: &str, hint: &str| PlanningError {
        host: host.to_owned(),
        component: super::COMPONENT.into(),
        message: message.to_owned(),
        hint: hint.to_owned(),
    };
    let Some(leader) = super::asks(site) else {
        return Err(refusal(
            site.leader(),
            "no control plane answers, so no pods can be made",
            "`kubespray verify` without `--with-pods` says what is wrong",
        ));
    };
    if !has_pod_network(&leader) {
        return Err(refusal(
            &leader.spec.name,
            "without a network for pods of Kubespray's there is nothing to try (`kube_network_plugin`)",
            "leave `--with-pods` out",
        ));
    }
    let nodes: Vec<Host<'_>> = site.hosts().filter(Host::is_node).collect();
    let mut setup = of_component(leader);
    for manifest in [namespace(), account()].into_iter().chain(nodes.iter().map(pod)).chain(services(&leader))
    {
        objects::apply(&mut setup, manifest);
    }
    let mut running = of_component(leader);
    let expected: BTreeSet<String> = nodes.iter().map(|host| pod_name(&host.spec.node_name)).collect();
    let of = Namespaces::Of(BTreeSet::from([NAMESPACE.to_owned()]));
    assert(
        &mut running,
        "probe-pods",
        RUNNING,
        Assertion::Pods { kubeconfig: kubeconfig(&leader), of, expected },
    );
    let mut teardown = of_component(leader);
    let object = ObjectRef {
        api_version: "v1".into(),
        kind: "Namespace".into(),
        namespace: None,
        name: NAMESPACE.into(),
    };
    let absent = ObjectAbsent { kubeconfig: kubeconfig(&leader), object, only_ours: true, timeout_s: GONE_S };
    teardown.add(NAMESPACE, absent);
    let asks = (leader.spec.name.clone(), kubeconfig(&leader));
    Ok(Probes { setup: setup.finish().0, running: running.finish().0, teardown: teardown.finish().0, asks })
}

fn pod_name(node: &str) -> String {
    format!("probe-{node}")
}

/// What pods of ours need fits the strictest rules for pods.
fn namespace() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    })
}

/// The default account of a namespace is there only some time after it.
fn account() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ALL, "namespace": NAMESPACE},
        "automountServiceAccountToken": false,
    })
}

/// A pod that does nothing but hold its network, bound to its node: taints and cordons keep it from none.
fn pod(host: &Host<'_>) -> Value {
    let engine = &host.settings().engine;
    // As the engine itself is told, which has it from the first pod on.
    let image = format!("{}:{}", engine.pod_infra_image_repo, engine.pod_infra_image_tag);
    let node = &host.spec.node_name;
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(node), "namespace": NAMESPACE, "labels": {"app": ALL}},
        "spec": {
            "nodeName": node,
            "serviceAccountName": ALL,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65_535,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": ALL,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": true,
                },
            }],
        },
    })
}

fn services(host: &Host<'_>) -> [Value; 2] {
    let network = &host.settings().network;
    let families = (network.ipv4_stack && network.ipv6_stack).then_some("RequireDualStack");
    let port = |name: &str, protocol: &str| json!({"name": name, "port": PORT, "protocol": protocol});
    let service = |name: &str, spec: Value| {
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": spec,
        });
        service["spec"]["selector"] = json!({"app": ALL});
        service["spec"]["ipFamilyPolicy"] = json!(families);
        service
    };
    let both = json!([port(STREAM, "TCP"), port(DATAGRAM, "UDP")]);
    [
        service(ALL, json!({"type": "NodePort", "ports": both})),
        service(HERE, json!({"internalTrafficPolicy": "Local", "ports": [port(STREAM, "TCP")]})),
    ]
}

/// What hosts and pods must reach, of the pods that run.
pub(crate) fn trials(site: &Site<'_>, seen: &PodsSeen) -> Vec<Step> {
    let hosts: Vec<Host<'_>> = site.hosts().filter(Host::is_node).collect();
    let with_pods: Vec<(&Host<'_>, &PodSeen)> =
        hosts.iter().filter_map(|host| Some((host, seen.pods.get(&host.spec.node_name)?))).collect();
    let all_others = others(&with_pods);
    let mut steps = Vec::new();
    for (host, pod) in &with_pods {
        let others = all_others.get(host.spec.name.as_str()).map_or(&[][..], Vec::as_slice);
        let mut chain = of_component(**host);
        let from_pod = |trials| Assertion::Network { pod: Some(pod.uid.clone()), trials };
        let from_host = |trials| Assertion::Network { pod: None, trials };
        let mut add = |name: &str, what: Assertion| {
            if !matches!(&what, Assertion::Network { trials, .. } if trials.is_empty()) {
                assert(&mut chain, name, TRIED, what);
            }
        };
        let pods = || others.iter().flat_map(|(other, pod)| of_pod(&other.spec.name, pod, STREAM));
        let datagrams = others.iter().flat_map(|(other, pod)| of_pod(&other.spec.name, pod, DATAGRAM));
        add("pod-network", from_pod(pods().chain(datagrams).collect()));
        add(
            "host-to-pods",
            from_host(of_pod(&host.spec.name, pod, STREAM).into_iter().chain(pods()).collect()),
        );
        add("pod-to-host", from_pod(of_api(host)));
        let all = seen.services.get(ALL);
        let here = seen.services.get(HERE);
        let of_services = |kinds: &[(Option<&ServiceSeen>, &str, &str)]| {
            let trials = kinds.iter().flat_map(|(service, what, port)| of_service(*service, what, port));
            trials.collect::<Vec<Trial>>()
        };
        let both = [(all, "the service of all pods", STREAM), (all, "the service of all pods", DATAGRAM)];
        let itself = (here, "the pod itself through a service", STREAM);
        add("pod-to-services", from_pod(of_services(&[both[0], both[1], itself])));
        add("host-to-services", from_host(of_services(&both)));
        add("node-ports", from_host(of_node_ports(host, others, all)));
        add("pod-names", from_pod(of_names(host, all)));
        steps.extend(chain.finish().0);
    }
    steps
}

/// Those that follow each host, by its name.
fn others<'h, 'a>(
    all: &[(&'h Host<'a>, &'h PodSeen)],
) -> BTreeMap<&'h str, Vec<(&'h Host<'a>, &'h PodSeen)>> {
    let names: Vec<&str> = all.iter().map(|(host, _)| host.spec.name.as_str()).collect();
    let by_name: BTreeMap<&str, _> = names.iter().copied().zip(all.iter().copied()).collect();
    let everyone =
        PortWish { port: PORT, to: names.clone(), from: names, what: "", owners: &[], needed: true };
    let mut others: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (from, to) in everyone.pairs(MOST_OTHERS) {
        others.entry(from).or_default().extend(by_name.get(to));
    }
    others
}

fn target(kind: &str, address: &IpAddr, port: u16) -> TrialTarget {
    let address = load_balancer::with_port(address, port);
    if kind == DATAGRAM { TrialTarget::Datagram(address) } else { TrialTarget::Stream(address) }
}

fn of_pod(host: &str, pod: &PodSeen, kind: &str) -> Vec<Trial> {
    let trial = |address| Trial { what: format!("the pod of `{host}`"), target: target(kind, address, PORT) };
    pod.addresses.iter().map(trial).collect()
}

fn of_service(service: Option<&ServiceSeen>, what: &str, kind: &str) -> Vec<Trial> {
    let addresses = service.into_iter().flat_map(|service| &service.addresses);
    addresses.map(|address| Trial { what: what.to_owned(), target: target(kind, address, PORT) }).collect()
}

/// Behind its service address the API server is a process of hosts.
fn of_api(host: &Host<'_>) -> Vec<Trial> {
    let address = host.settings().apiserver.kube_apiserver_ip;
    let target = TrialTarget::Connection(load_balancer::with_port(&address, 443));
    vec![Trial { what: "the service of the API server".into(), target }]
}

/// Those of the host itself and of others, where they are known by an address.
fn of_node_ports(
    host: &Host<'_>,
    others: &[(&Host<'_>, &PodSeen)],
    service: Option<&ServiceSeen>,
) -> Vec<Trial> {
    let ports = service.map(|service| &service.node_ports);
    let Some(port) = ports.and_then(|ports| ports.get(STREAM).copied()) else { return Vec::new() };
    let hosts = [host].into_iter().chain(others.iter().map(|(other, _)| *other));
    let trial = |other: &Host<'_>| {
        let address = other.spec.access_address()?;
        Some(Trial {
            what: format!("port {port} of `{}`", other.spec.name),
            target: target(STREAM, address, port),
        })
    };
    hosts.filter_map(trial).collect()
}

/// CHK-036: in full, and as pods of any namespace say it.
fn of_names(host: &Host<'_>, service: Option<&ServiceSeen>) -> Vec<Trial> {
    let settings = host.settings();
    let dns = &settings.dns;
    if !dns.deploy_coredns || !matches!(dns.dns_mode, DnsMode::Coredns | DnsMode::CorednsDual) {
        return Vec::new();
    }
    let mut names: BTreeMap<String, IpAddr> = BTreeMap::new();
    names.insert(format!("kubernetes.default.svc.{}", dns.dns_domain), settings.apiserver.kube_apiserver_ip);
    if let Some(address) = service.and_then(|service| service.addresses.first()) {
        names.insert(format!("{ALL}.{NAMESPACE}"), *address);
    }
    let trial = |(name, address): (String, IpAddr)| Trial {
        what: format!("the name `{name}`"),
        target: TrialTarget::Name { name, address },
    };
    names.into_iter().map(trial).collect()
}
