//! Clusters of real hosts with real programs, from an air-gapped site.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kubespray_lab::{LOCKED_PASSWORD, Lab, LabOptions, NETWORK_MANIFEST, Supply};
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use support::site::Programs;
use support::{
    Run, changes, has, json as json_of, kubespray, left_out, sh, site, start, write_groups, write_inventory,
};

const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf";

/// Ready nodes, as a control plane lists them.
fn ready(lab: &Lab, host: &str) -> Vec<String> {
    let nodes = sh(lab, host, &format!("{KUBECTL} get nodes --no-headers"));
    let words = nodes.lines().map(|node| node.split_whitespace().collect::<Vec<_>>());
    words.filter(|node| node.get(1) == Some(&"Ready")).map(|node| node[0].to_owned()).collect()
}

#[test]
fn lab_a_cluster_is_made_once() {
    if left_out() {
        return;
    }
    let programs = Programs::at_hand();
    let supply = Supply::make(&programs.folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "cluster".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "locked");
    let _server = site::served(&lab, &supply, folder);
    let password = format!("ansible_become_password={LOCKED_PASSWORD}");
    let cluster = |what: &[&str]| kubespray(folder, &lab, &[what, &["-e", &password]].concat());

    let began = Instant::now();
    let first = cluster(&["cluster"]);
    eprintln!("a cluster of three bare hosts: {:?}", began.elapsed());
    has(&first, 0, "done: 3 hosts changed");
    has(&first, 0, "the cluster works: ");
    assert!(!first.out.contains(LOCKED_PASSWORD) && !first.err.contains(LOCKED_PASSWORD));
    assert_eq!(ready(&lab, "cluster1"), ["cluster1", "cluster2", "cluster3"]);
    // Names of the cluster, through the pods of one host, from all others.
    for host in lab.hosts() {
        let found = sh(&lab, &host.name, "getent hosts kubernetes.default.svc.cluster.local");
        assert!(found.starts_with("10.233.0.1 "), "{}: {found}", host.name);
    }

    // Each member could let hosts in, and what brought the key there is gone.
    let keys =
        lab.hosts().into_iter().map(|host| sh(&lab, &host.name, "sha256sum /etc/ssl/etcd/ssl/ca-key.pem"));
    assert_eq!(keys.collect::<BTreeSet<_>>().len(), 1);
    for host in lab.hosts() {
        let found = sh(&lab, &host.name, "stat --format '%a %U' /etc/ssl/etcd/ssl/ca-key.pem*");
        assert_eq!(found, "600 root", "{}", host.name);
    }

    let began = Instant::now();
    has(&cluster(&["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    eprintln!("a second run: {:?}", began.elapsed());

    pods_reach_what_they_must(&lab, &|what| cluster(what));
}

/// Pods of ours are made, tried and removed; a way that is cut is found by those whose way it was.
fn pods_reach_what_they_must(lab: &Lab, cluster: &dyn Fn(&[&str]) -> Run) {
    let began = Instant::now();
    let all = cluster(&["verify", "--with-pods", "--output", "json"]);
    eprintln!("the network of pods is tried: {:?}", began.elapsed());
    assert_eq!(all.code, 0, "{}{}", all.out, all.err);
    let found: Json = serde_json::from_str(all.out.lines().last().unwrap()).unwrap();
    let holds = |name: &str| {
        let all = found["assertions"].as_array().unwrap().iter();
        all.filter(|one| one["name"] == name && one["holds"] == true).count()
    };
    assert_eq!(holds("probe-pods"), 1, "asked of one control plane");
    for name in [
        "pod-network",
        "host-to-pods",
        "pod-to-host",
        "pod-to-services",
        "host-to-services",
        "node-ports",
        "pod-names",
    ] {
        assert_eq!(holds(name), 3, "{name}");
    }
    assert_eq!(holds("drift"), 1, "nothing is left behind");

    // The range of the second host, as the lab's network has it, in halves: they count for more than the way there.
    let cut_off = |verb: &str| {
        for half in ["10.233.66.0/25", "10.233.66.128/25"] {
            sh(lab, "cluster1", &format!("ip route {verb} blackhole {half}"));
        }
    };
    cut_off("add");
    let cut = cluster(&["verify", "--with-pods", "--wait", "5", "pod-network", "host-to-pods"]);
    has(&cut, 1, "failed  pod-network   pods reach pods of other nodes (1 of 3)");
    has(&cut, 1, "error[pod-network]: cluster1: 2 of 4 tries failed; the pod of `cluster2`: connect to");
    has(&cut, 1, "error[pod-network]: cluster2: 2 of 4 tries failed; the pod of `cluster1`: ");
    has(&cut, 1, "error[host-to-pods]: cluster1: the pod of `cluster2`: connect to");
    // Only who is asked tries, and nothing is wrong with its ways.
    let other = cluster(&["verify", "--with-pods", "--wait", "5", "pod-network", "--limit", "cluster3"]);
    has(&other, 0, "ok      pod-network  pods reach pods of other nodes (1 of 1)");
    cut_off("del");
    let namespaces = sh(lab, "cluster1", &format!("{KUBECTL} get namespaces --output name"));
    assert!(!namespaces.contains("kubespray-verify"), "{namespaces}");
}

#[test]
fn lab_a_cluster_is_finished_whatever_happens_and_takes_changes() {
    if left_out() {
        return;
    }
    let supply = Supply::make(&Programs::at_hand().folders()).unwrap();
    let lab = Lab::up(&LabOptions { name: "rough".into(), hosts: 3 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_inventory(&lab, folder, "lab");
    let _server = site::served(&lab, &supply, folder);

    // The controller is killed in every part of the work, once a control plane loses its power as well.
    let mut run = start(folder, &lab, &["cluster"]);
    for point in [
        "containerd/containerd.service",
        "etcd/running",
        "control-plane/authority",
        "rough2: changed control-plane/join",
    ] {
        run.until(point);
        sleep(Duration::from_millis(700));
        run.signal(Signal::KILL);
        run.wait();
        run = start(folder, &lab, &["runs", "resume"]);
    }
    lab.kill("rough3").unwrap();
    lab.boot("rough3").unwrap();
    has(&run.wait(), 0, "done: 3 hosts changed");
    has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 3 hosts as wished.");
    has(&kubespray(folder, &lab, &["verify"]), 0, "the cluster works: ");

    // A flag of the API server reaches all, one after the other, and nothing else is touched.
    let flag = ["-e", "kube_apiserver_request_timeout=1m30s"];
    let plan =
        json_of(&kubespray(folder, &lab, &[&["plan", "cluster", "--output", "json"], &flag[..]].concat()));
    let expected = ["rough1", "rough2", "rough3"].into_iter().flat_map(|host| {
        let of_leader = (host == "rough1").then_some("upload-config");
        ["kubeadm-config", "manifests"]
            .into_iter()
            .chain(of_leader)
            .map(move |step| format!("{host}/control-plane/{step}"))
    });
    assert_eq!(changes(&plan), expected.collect::<Vec<_>>());
    let changed = kubespray(folder, &lab, &[&["cluster"], &flag[..]].concat());
    has(&changed, 0, "done: 3 hosts changed");
    has(&changed, 0, "the cluster works: ");
    for host in lab.hosts() {
        sh(&lab, &host.name, "grep -q request-timeout=1m30s /etc/kubernetes/manifests/kube-apiserver.yaml");
    }
    has(
        &kubespray(folder, &lab, &[&["cluster"], &flag[..]].concat()),
        0,
        "Nothing to do: 3 hosts as wished.",
    );
}

/// One control plane, one host that is nothing but etcd, two workers.
fn write_small_inventory(lab: &Lab, folder: &Path) {
    write_groups(lab, folder, "lab", [&["small1"], &["small2"], &["small3", "small4"]]);
}

/// What the release of a chart is told, as its objects show it.
const CHART_VALUES: [&str; 2] = ["first", "second"];

/// Makes the pod network of a site a chart on a host, and the inventory in `folder` use it.
fn network_of_a_chart(lab: &Lab, host: &str, folder: &Path) {
    let mut set: Json =
        serde_json::from_str(&std::fs::read_to_string(folder.join(NETWORK_MANIFEST)).unwrap()).unwrap();
    let image = set["spec"]["template"]["spec"]["containers"][0]["image"].take();
    set["spec"]["template"]["spec"]["containers"][0]["image"] = "{{ .Values.image }}".into();
    set["metadata"]["annotations"] = json!({"note": "{{ .Values.note }}", "release": "{{ .Release.Name }}"});
    let put = |file: &str, text: &str| {
        sh(lab, host, &format!("mkdir -p /opt/net/templates; cat > /opt/net/{file} <<'END'\n{text}\nEND"));
    };
    put("Chart.yaml", "{apiVersion: v2, name: net, version: 1.2.0}");
    put("values.yaml", &json!({"image": null, "note": ""}).to_string());
    put("templates/network.yaml", &format!("{set:#}"));
    let variables = json!({
        "custom_cni_manifests": [],
        "custom_cni_chart_release_name": "lab-network",
        "custom_cni_chart_ref": "/opt/net",
        "custom_cni_chart_version": "1.2.0",
        "custom_cni_chart_namespace": "kube-system",
        "custom_cni_chart_values": {"image": image, "note": CHART_VALUES[0]},
    });
    std::fs::write(folder.join("group_vars/all/z-chart.yml"), variables.to_string()).unwrap();
}

#[test]
fn lab_workers_reach_the_control_plane_through_their_proxies_and_a_chart_is_their_network() {
    if left_out() {
        return;
    }
    // Between the oldest and the newest minor version, which other tests make.
    let programs = Programs::or_doubles_of("v1.35.4");
    let helm = site::doubles_named(&["helm"], "v3.18.4");
    let supply = Supply::make(&[programs.folders(), vec![helm.path().to_owned()]].concat()).unwrap();
    let lab = Lab::up(&LabOptions { name: "small".into(), hosts: 4 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_small_inventory(&lab, folder);
    let _server = site::served(&lab, &supply, folder);
    network_of_a_chart(&lab, "small1", folder);

    let began = Instant::now();
    has(&kubespray(folder, &lab, &["cluster"]), 0, "done: 4 hosts changed");
    eprintln!("a cluster of four bare hosts: {:?}", began.elapsed());
    assert_eq!(ready(&lab, "small1"), ["small1", "small3", "small4"]);
    for worker in ["small3", "small4"] {
        let said = sh(&lab, worker, "curl -sk https://127.0.0.1:6443/version");
        assert!(said.contains(supply.version("kubelet").unwrap()), "{worker}: {said}");
    }
    // etcd's host is no node: it has no engine and nothing of Kubernetes.
    sh(
        &lab,
        "small2",
        "systemctl is-active etcd; test ! -e /usr/local/bin/kubelet && test ! -e /usr/local/bin/containerd",
    );
    has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 4 hosts as wished.");

    // A changed value changes the release, and nothing else.
    let note = || {
        let query = "-n kube-system get daemonset lab-network -o json";
        let set: Json = serde_json::from_str(&sh(&lab, "small1", &format!("{KUBECTL} {query}"))).unwrap();
        set["metadata"]["annotations"]["note"].as_str().unwrap().to_owned()
    };
    assert_eq!(note(), CHART_VALUES[0]);
    let chart = folder.join("group_vars/all/z-chart.yml");
    let text = std::fs::read_to_string(&chart).unwrap();
    std::fs::write(&chart, text.replace(CHART_VALUES[0], CHART_VALUES[1])).unwrap();
    let plan = json_of(&kubespray(folder, &lab, &["plan", "cluster", "--output", "json"]));
    assert_eq!(changes(&plan), ["small1/custom_cni/values", "small1/custom_cni/release"]);
    has(&kubespray(folder, &lab, &["cluster", "--no-verify"]), 0, "done: 1 host changed");
    assert_eq!(note(), CHART_VALUES[1]);
    has(&kubespray(folder, &lab, &["cluster"]), 0, "Nothing to do: 4 hosts as wished.");
}
