//! Assertions of a cluster that works: what is seen of one that does, and what is told of one that does not.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::panic,
    clippy::get_unwrap
)]

#[path = "doubles/apiserver.rs"]
mod apiserver;
#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "doubles/fields.rs"]
mod fields;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{TcpListener, UdpSocket};

use apiserver::ApiServer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::*;
use common::World;
use kubespray_node::Host;
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::*;
use serde_json::{Value, json};

fn check(assertion: Assertion) -> Resource {
    let name = "it is well".to_owned();
    Check { name, probe: Probe::Cluster(assertion), timeout_s: 0, interval_ms: 10 }.into()
}

/// What one look finds; nothing changes, and nobody is asked to change anything.
fn seen(world: &World, assertion: Assertion) -> CheckState {
    match world.observe(&check(assertion)).unwrap() {
        State::Check(state) => state,
        other => panic!("{other:?}"),
    }
}

fn problem(world: &World, assertion: Assertion) -> Option<String> {
    let seen = seen(world, assertion);
    assert_eq!(
        seen.problem.is_some(),
        !seen.hints.is_empty(),
        "every problem comes with what helps: {seen:?}"
    );
    seen.problem
}

fn plain(server: &ApiServer, path: &str, status: u16, text: &str) {
    server.store().plain.insert(path.into(), (status, text.into()));
}

fn kubeconfig() -> String {
    KUBECONFIG.into()
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

#[test]
fn an_api_server_is_ready_and_of_the_version() {
    let (world, server) = cluster();
    let api = |url: Option<&str>| Assertion::ApiServer {
        kubeconfig: kubeconfig(),
        server: url.map(Into::into),
        version: "1.35.2".into(),
    };
    plain(&server, "/version", 200, r#"{"gitVersion": "v1.35.2"}"#);
    plain(&server, "/readyz", 500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n");
    let told = seen(&world, api(None));
    assert_eq!(told.problem.as_deref(), Some("the API server is not ready: etcd failed"));
    assert!(told.evidence.contains(&"[-]etcd failed: reason withheld".to_owned()), "{told:?}");
    assert_eq!(told.hints, ["the API server does not reach etcd: see the assertions of etcd"]);
    plain(&server, "/readyz", 403, "{}");
    let refused = "the API server does not tell this user whether it is ready";
    assert_eq!(problem(&world, api(None)).as_deref(), Some(refused));
    plain(&server, "/readyz", 200, "ok");
    assert_eq!(seen(&world, api(None)), CheckState::default());
    assert_eq!(seen(&world, api(Some(&server.url))), CheckState::default());
    plain(&server, "/version", 200, r#"{"gitVersion": "v1.34.9"}"#);
    let other = "the API server says it is v1.34.9 in place of v1.35.2";
    assert_eq!(problem(&world, api(None)).as_deref(), Some(other));
    // A server whose certificate comes from another authority is not believed.
    let known = world.get(KUBECONFIG);
    let theirs = include_str!("certificates/theirs-ca.pem");
    world.put(KUBECONFIG, &known.replace(&STANDARD.encode(CA), &STANDARD.encode(theirs)));
    let told = problem(&world, api(None)).unwrap();
    assert!(told.contains("certificate"), "{told}");
    world.put(KUBECONFIG, &known);
    server.store().is_down = true;
    assert!(seen(&world, api(None)).problem.unwrap().starts_with("the API server does not answer"));
    // Bare hosts have no kubeconfig; that is no failure of the look.
    let told = seen(&World::new(), api(None));
    assert_eq!(told.problem.as_deref(), Some("there is no cluster yet: no `/etc/kubernetes/admin.conf`"));
}

fn node(name: &str, number: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {},
        "status": {
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True"},
            ],
            "nodeInfo": {"kubeletVersion": "v1.35.2"},
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": format!("10.0.0.{number}")},
            ],
        },
    })
}

#[test]
fn nodes_are_those_of_the_inventory_and_ready_only_when_true() {
    let wanted = || {
        let must = |number: u8| NodeMust {
            version: "1.35.2".into(),
            address: Some(format!("10.0.0.{number}").parse().unwrap()),
        };
        let nodes = BTreeMap::from([("n1".to_owned(), must(1)), ("n2".to_owned(), must(2))]);
        Assertion::Nodes { kubeconfig: kubeconfig(), nodes }
    };
    let found = |change: &dyn Fn(&mut Value)| {
        let (world, server) = cluster();
        server.put(node("n1", 1));
        let mut second = node("n2", 2);
        change(&mut second);
        if second.is_object() {
            server.put(second);
        }
        seen(&world, wanted())
    };
    assert_eq!(found(&|_| {}), CheckState::default());
    let told = |change: &dyn Fn(&mut Value)| found(change).problem.unwrap();
    assert_eq!(told(&|it| *it = Value::Null), "node `n2` is not registered");
    for status in ["False", "Unknown"] {
        let ready = |it: &mut Value| {
            it["status"]["conditions"][1] = json!({"type": "Ready", "status": status, "reason": "KubeletNotReady",
                "message": "container runtime network not ready: cni plugin not initialized"});
        };
        let state = found(&ready);
        let why =
            "node `n2`: it is not `Ready`: container runtime network not ready: cni plugin not initialized";
        assert_eq!(state.problem.as_deref(), Some(why), "{status} is not True");
        let line = format!(
            "`n2`: Ready={status} KubeletNotReady: container runtime network not ready: cni plugin not initialized"
        );
        assert_eq!(state.evidence, [line]);
        assert_eq!(state.hints, ["the network plugin does not run there: see its pods in `kube-system`"]);
    }
    assert_eq!(told(&|it| it["spec"]["unschedulable"] = true.into()), "node `n2`: it is cordoned");
    let taint = json!([{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}]);
    assert_eq!(
        told(&|it| it["spec"]["taints"] = taint.clone()),
        "node `n2`: it has the taint `node.kubernetes.io/disk-pressure`"
    );
    let own = json!([{"key": "gpu", "effect": "NoSchedule"}]);
    assert_eq!(found(&|it| it["spec"]["taints"] = own.clone()), CheckState::default());
    assert_eq!(
        told(&|it| it["status"]["nodeInfo"]["kubeletVersion"] = "v1.34.1".into()),
        "node `n2`: its kubelet is v1.34.1 in place of v1.35.2"
    );
    assert_eq!(
        told(&|it| it["status"]["addresses"][1]["address"] = "192.168.0.2".into()),
        "node `n2`: its internal address is 192.168.0.2 in place of 10.0.0.2"
    );
    let (world, server) = cluster();
    for (name, number) in [("n1", 1), ("n2", 2), ("n3", 3)] {
        server.put(node(name, number));
    }
    assert_eq!(problem(&world, wanted()).as_deref(), Some("node `n3` is not in the inventory"));
}

fn pod(name: &str, namespace: &str, phase: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "main", "ready": ready == "True", "state": {"running": {}}}],
        },
    })
}

#[test]
fn pods_run_and_are_ready_or_are_done() {
    let (world, server) = cluster();
    let pods = |of: Namespaces, expected: &[&str]| Assertion::Pods {
        kubeconfig: kubeconfig(),
        of,
        expected: names(expected),
    };
    let system = || Namespaces::Of(names(&["kube-system"]));
    let others = || Namespaces::But(names(&["kube-system"]));
    server.put(pod("kube-apiserver-n1", "kube-system", "Running", "True"));
    server.put(pod("job", "kube-system", "Succeeded", "False"));
    assert_eq!(seen(&world, pods(system(), &["kube-apiserver-n1"])), CheckState::default());
    let told = seen(&world, pods(system(), &["kube-apiserver-n1", "kube-scheduler-n1"]));
    assert_eq!(told.problem.as_deref(), Some("pod `kube-scheduler-n1` is not there"));
    assert!(told.hints[0].contains("journalctl -u kubelet"), "{told:?}");

    let mut broken = pod("coredns-x", "kube-system", "Running", "False");
    broken["status"]["containerStatuses"][0] = json!({
        "name": "main", "ready": false, "lastState": {"terminated": {"exitCode": 1}},
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
    });
    server.put(broken);
    plain(&server, "/api/v1/namespaces/kube-system/pods/coredns-x/log", 200, "plugin/loop: Loop detected\n");
    let told = seen(&world, pods(system(), &[]));
    let why = "kube-system: pod `coredns-x` on `n1`: `main`: CrashLoopBackOff back-off 5m0s";
    assert_eq!(told.problem.as_deref(), Some(why));
    assert_eq!(told.evidence, ["log of `coredns-x`: plugin/loop: Loop detected"]);
    assert_eq!(seen(&world, pods(others(), &[])), CheckState::default());

    let mut pending = pod("web", "default", "Pending", "False");
    pending["status"]["conditions"] =
        json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
    pending["status"]["containerStatuses"] = json!([]);
    server.put(pending);
    let mut ending = pod("going", "default", "Failed", "False");
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    server.put(ending);
    let told = problem(&world, pods(others(), &[])).unwrap();
    assert!(
        told.starts_with("default: pod `web` on `n1`: it is Pending: ")
            && told.ends_with("0/3 nodes are available"),
        "{told}"
    );
}

#[test]
fn logs_of_pods_come_from_every_node() {
    let (world, server) = cluster();
    let logs = || Assertion::Logs { kubeconfig: kubeconfig(), nodes: names(&["n1", "n2", "empty"]) };
    server.put(pod("a", "kube-system", "Running", "True"));
    let mut second = pod("b", "kube-system", "Running", "True");
    second["spec"]["nodeName"] = "n2".into();
    server.put(second);
    let path = |name: &str| format!("/api/v1/namespaces/kube-system/pods/{name}/log");
    plain(&server, &path("a"), 200, "a line\n");
    plain(&server, &path("b"), 200, "");
    assert_eq!(seen(&world, logs()), CheckState::default());
    plain(
        &server,
        &path("b"),
        500,
        r#"{"message": "Get \"https://10.0.0.2:10250/\": dial tcp: i/o timeout"}"#,
    );
    let told = problem(&world, logs()).unwrap();
    let why = "`n2`: the log of `b` cannot be read: status 500 Get \"https://10.0.0.2:10250/\": dial tcp: i/o timeout";
    assert_eq!(told, why);
}

#[test]
fn workloads_have_all_pods_and_the_right_images() {
    let (world, server) = cluster();
    let images = BTreeMap::from([("coredns".to_owned(), "coredns:1.12.4".to_owned())]);
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some("kube-system".into()),
        name: "coredns".into(),
    };
    let workload = || Assertion::Workload {
        kubeconfig: kubeconfig(),
        object: object.clone(),
        missing: 0,
        images: images.clone(),
    };
    let told = problem(&world, workload()).unwrap();
    assert_eq!(told, "Deployment kube-system/coredns: it is not there");
    let put = |available: u64, image: &str| {
        server.put(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "coredns", "namespace": "kube-system", "generation": 3},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "coredns", "image": image}]}}},
            "status": {"observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": available},
        }));
    };
    put(1, "coredns:1.12.4");
    assert_eq!(
        problem(&world, workload()).unwrap(),
        "Deployment kube-system/coredns: 1 of 2 pods are available"
    );
    put(2, "coredns:1.12.4");
    assert_eq!(seen(&world, workload()), CheckState::default());
    put(2, "coredns:1.11.0");
    let why = "Deployment kube-system/coredns: `coredns` is of `coredns:1.11.0` in place of `coredns:1.12.4`";
    assert_eq!(problem(&world, workload()).unwrap(), why);
}

#[test]
fn requests_that_wait_or_were_denied_are_told_and_not_approved() {
    let (world, server) = cluster();
    let requests = || Assertion::Requests { kubeconfig: kubeconfig() };
    let put = |conditions: Value| {
        server.put(json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": "csr-1"}, "spec": {"username": "system:node:n1"},
            "status": {"conditions": conditions},
        }));
    };
    assert_eq!(seen(&world, requests()), CheckState::default());
    put(json!([{"type": "Approved"}]));
    assert_eq!(seen(&world, requests()), CheckState::default());
    put(json!([]));
    assert_eq!(problem(&world, requests()).unwrap(), "the request `csr-1` of `system:node:n1` waits");
    put(json!([{"type": "Denied", "message": "not its address"}]));
    let why = "the request `csr-1` of `system:node:n1` was denied: not its address";
    assert_eq!(problem(&world, requests()).unwrap(), why);
    server.requests();
    seen(&world, requests());
    assert!(server.requests().iter().all(|line| line.starts_with("GET ")));
}

#[test]
fn volumes_are_attached_to_a_node_until_their_driver_lets_go() {
    let (world, server) = cluster();
    let none = || Assertion::NoVolumes { kubeconfig: kubeconfig(), node: "n1".into() };
    let put = |node: &str| {
        server.put(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "csi-1"},
            "spec": {"attacher": "csi.example", "nodeName": node, "source": {"persistentVolumeName": "pv-1"}},
        }));
    };
    assert_eq!(seen(&world, none()), CheckState::default());
    put("n1");
    let why = "the volume `pv-1` is attached to `n1` by `csi.example`";
    assert_eq!(problem(&world, none()).unwrap(), why);
    put("n2");
    assert_eq!(seen(&world, none()), CheckState::default(), "that of another node is no matter");
    put("n1");
    server.store().unserved.insert("VolumeAttachment".into());
    assert_eq!(seen(&world, none()), CheckState::default(), "a cluster that knows no such thing has none");
}

#[test]
fn a_node_is_lost_when_its_kubelet_is_silent() {
    let (world, server) = cluster();
    let lost = |node: &str| Assertion::Lost { kubeconfig: kubeconfig(), node: node.into() };
    let put = |conditions: Value| {
        server.put(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {"conditions": conditions},
        }));
    };
    for (status, is_lost) in [("True", false), ("False", false), ("Unknown", true)] {
        put(json!([{"type": "MemoryPressure", "status": "Unknown"}, {"type": "Ready", "status": status}]));
        let why = "the kubelet of `n1` still reports to the cluster, so its host is not gone";
        let expected = (!is_lost).then(|| why.to_owned());
        assert_eq!(problem(&world, lost("n1")), expected, "{status}");
    }
    put(json!([]));
    assert_eq!(problem(&world, lost("n1")), None, "it has never reported");
    assert_eq!(problem(&world, lost("n9")), None, "nobody knows it");
}

#[test]
fn metrics_of_all_nodes_are_there() {
    let (world, server) = cluster();
    let metrics = || Assertion::Metrics { kubeconfig: kubeconfig(), nodes: names(&["n1", "n2"]) };
    let path = "/apis/metrics.k8s.io/v1beta1/nodes";
    plain(&server, path, 404, "{}");
    assert_eq!(problem(&world, metrics()).unwrap(), "the API server serves no metrics");
    let list = |nodes: &[&str]| {
        let items: Vec<Value> = nodes.iter().map(|name| json!({"metadata": {"name": name}})).collect();
        json!({ "items": items }).to_string()
    };
    plain(&server, path, 200, &list(&["n1"]));
    assert_eq!(problem(&world, metrics()).unwrap(), "there are no metrics of node `n2`");
    plain(&server, path, 200, &list(&["n1", "n2"]));
    assert_eq!(seen(&world, metrics()), CheckState::default());
    // A metrics-server that does not answer is what is wrong, and no failure of the look.
    plain(&server, path, 503, r#"{"message": "the server is currently unable to handle the request"}"#);
    assert!(seen(&world, metrics()).problem.unwrap().contains("currently unable"));
}

#[test]
fn certificates_are_signed_by_their_authority_and_last() {
    let (world, server) = cluster();
    let authority = "/etc/kubernetes/ssl/ca.crt";
    let certificates = |path: &str| Assertion::Certificates {
        files: BTreeMap::from([(path.to_owned(), authority.to_owned())]),
        days: 30,
    };
    world.put("/a.crt", ADMIN);
    let of = |path: &str| seen(&world, certificates(path)).problem;
    let no_authority = "`/a.crt` comes from an authority whose certificate is not there";
    assert_eq!(of("/a.crt").as_deref(), Some(no_authority));
    world.put(authority, CA);
    assert_eq!(of("/a.crt"), None);
    assert_eq!(of(KUBECONFIG), None, "that of a kubeconfig");
    assert_eq!(of("/no.crt").as_deref(), Some("`/no.crt` is not there"));
    world.put("/bad.crt", "no certificate");
    assert_eq!(of("/bad.crt").as_deref(), Some("`/bad.crt` is no certificate"));
    world.put("/old.crt", EXPIRED);
    let old = of("/old.crt").unwrap();
    assert!(old.starts_with("`/old.crt` ended ") && old.ends_with(" days ago"), "{old}");
    world.put(authority, include_str!("certificates/theirs-ca.pem"));
    assert_eq!(of("/a.crt").as_deref(), Some("`/a.crt` was signed by another authority"));
    world.put("/old.conf", &kubeconfig_of(&server, EXPIRED));
    world.put(authority, CA);
    assert!(of("/old.conf").unwrap().contains(" days ago"));
}

fn kubeconfig_of(server: &ApiServer, certificate: &str) -> String {
    cluster::kubeconfig(&server.url, &user(certificate, ADMIN_KEY))
}

#[test]
fn programs_are_of_their_versions() {
    let world = World::new();
    let program = |words: &[&str]| Program {
        argv: words.iter().map(ToString::to_string).collect(),
        version: "1.35.2".into(),
    };
    let programs = |words: &[&str]| Assertion::Programs(vec![program(words)]);
    assert_eq!(seen(&world, programs(&["tool", "say", "Kubernetes", "v1.35.2"])), CheckState::default());
    let told = problem(&world, programs(&["tool", "say", "Kubernetes", "v1.35.20"])).unwrap();
    assert_eq!(told, "`tool` is not 1.35.2: it says `Kubernetes v1.35.20`");
    assert_eq!(problem(&world, programs(&["gone"])).unwrap(), "`gone`: no program `gone`");
}

#[test]
fn services_of_the_host_say_that_they_are_well() {
    let (world, server) = cluster();
    let answers = |path: &str| Assertion::Answers(format!("{}{path}", server.url));
    // The double wants to know who asks, and these do not say.
    let told = problem(&world, answers("/healthz")).unwrap();
    assert_eq!(told, format!("`{}/healthz` answers with status 401", server.url));
    let url = "http://127.0.0.1:1/healthz";
    let told = problem(&world, Assertion::Answers(url.into())).unwrap();
    assert!(told.contains(url), "{told}");
}

#[test]
fn a_datagram_comes_back_or_is_told_not_to() {
    let world = World::new();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let ask = |time| world.host.exchange(&address, b"ping", std::time::Duration::from_millis(time));
    let silent = ask(50).unwrap_err().to_string();
    assert!(silent.contains("took longer"), "{silent}");
    server.recv_from(&mut [0; 16]).unwrap();
    let answering = std::thread::spawn(move || {
        let (_, asker) = server.recv_from(&mut [0; 16]).unwrap();
        server.send_to(b"pong", asker).unwrap();
    });
    assert_eq!(ask(5_000).unwrap(), b"pong");
    answering.join().unwrap();
    assert!(ask(1_000).unwrap_err().to_string().contains("refused"), "nothing listens there any more");
    assert!(world.host.exchange("x", b"", std::time::Duration::ZERO).is_err());
    // Nothing of the test machine listens there: each name is told with the server.
    let names = BTreeMap::from([("a.b".to_owned(), "10.0.0.1".parse().unwrap())]);
    let told = problem(&world, Assertion::Names { server: "127.0.0.199".parse().unwrap(), names }).unwrap();
    assert!(told.starts_with("`a.b` at 127.0.0.199: "), "{told}");
}

#[test]
fn the_network_is_tried_and_what_does_not_come_is_told() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = listener.local_addr().unwrap().to_string();
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagram = echo.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        // All that is wished, too little, and one who only connects.
        for count in [65_536, 1, 0] {
            listener.accept().unwrap().0.write_all(&vec![b'x'; count]).unwrap();
        }
        let mut bytes = [0; 2000];
        let (count, from) = echo.recv_from(&mut bytes).unwrap();
        echo.send_to(&bytes[..count], from).unwrap();
        let (_, from) = echo.recv_from(&mut bytes).unwrap();
        echo.send_to(b"another", from).unwrap();
    });
    let network = |pod: Option<&str>, target: TrialTarget| Assertion::Network {
        pod: pod.map(Into::into),
        trials: vec![Trial { what: "it".into(), target }],
    };
    let of_host = |target: TrialTarget| problem(&world, network(None, target));
    assert_eq!(of_host(TrialTarget::Stream(stream.clone())), None);
    let told = of_host(TrialTarget::Stream(stream.clone())).unwrap();
    assert_eq!(told, format!("it: {stream} sent 1 bytes in place of 65536"));
    assert_eq!(of_host(TrialTarget::Connection(stream.clone())), None);
    assert_eq!(of_host(TrialTarget::Datagram(datagram.clone())), None);
    let told = of_host(TrialTarget::Datagram(datagram.clone())).unwrap();
    assert_eq!(told, format!("it: {datagram} sends another datagram back"));
    serving.join().unwrap();
    let told = of_host(TrialTarget::Connection(stream.clone())).unwrap();
    assert_eq!(told, format!("it: connect to {stream}: connection refused"));
    let name = || TrialTarget::Name { name: "a.b".into(), address: "10.0.0.1".parse().unwrap() };
    assert_eq!(of_host(name()).unwrap(), "it: its `resolv.conf` names no server");
    world.put("/etc/resolv.conf", "nameserver 127.0.0.199\nsearch x.y\n");
    let told = of_host(name()).unwrap();
    assert!(told.starts_with("it: `a.b` at 127.0.0.199: "), "the search domain first, then the name: {told}");
    let all = [TrialTarget::Connection(stream.clone()), TrialTarget::Stream(stream)];
    let trials = all.map(|target| Trial { what: "it".into(), target }).into();
    let told = problem(&world, Assertion::Network { pod: None, trials }).unwrap();
    assert!(told.starts_with("2 of 2 tries failed; it: connect to"), "{told}");
    let told = problem(&world, network(Some("no-such-pod"), name())).unwrap();
    assert_eq!(told, "enter the network of the pod `no-such-pod`: no process is in it");
}

#[test]
fn pods_and_services_of_a_namespace_are_told_by_their_addresses() {
    let (world, server) = cluster();
    let pod = |name: &str, phase: &str, node: &str, ips: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n", "labels": {}},
            "spec": {"nodeName": node}, "status": {"phase": phase, "podIPs": ips}})
    };
    for object in [
        pod("a", "Running", "n1", json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}])),
        pod("b", "Pending", "n2", json!([])),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"},
            "spec": {"clusterIPs": ["10.1.0.1"], "ports": [{"name": "x", "nodePort": 30001}, {"name": "y"}]}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "headless", "namespace": "n"},
            "spec": {"clusterIPs": ["None"]}}),
    ] {
        server.put(object);
    }
    let ask = Ask::Pods { kubeconfig: kubeconfig(), namespace: "n".into() };
    let answers = common::ask(&mut kubespray_node::Session::new("build"), &world.host, ask);
    let [Answer::Pods(seen)] = &answers[..] else { panic!("{answers:?}") };
    let pod = PodSeen {
        uid: seen.pods["n1"].uid.clone(),
        addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
    };
    assert!(pod.uid.starts_with("uid-"), "{pod:?}");
    assert_eq!(seen.pods, BTreeMap::from([("n1".to_owned(), pod)]));
    let service = ServiceSeen {
        addresses: vec!["10.1.0.1".parse().unwrap()],
        node_ports: BTreeMap::from([("x".to_owned(), 30_001)]),
    };
    assert_eq!(seen.services, BTreeMap::from([("s".to_owned(), service)]));
}
