//! A cluster by hand on the models of etcd, containerd, kubeadm and the API server: made, disturbed, changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::collections::BTreeMap;

use common::{HOSTS, planned, resume, run};
use kubespray_controller::{Ending, Options};
use kubespray_planner::Wishes;
use kubespray_resource::{
    Check, Content, Directory, Disruption, Drain, EtcdHealth, File, Gate, Image, Kubeadm, Mode, Needs,
    NodeState, Object, Owner, Policy, Resource, Rollout, Secrets, Step, StepId, Sysctl, Unit,
};
use kubespray_simulator::{Fault, Random, Sample, World};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const ADMIN: &str = "/etc/kubernetes/admin.conf";
const CLIENT: &str = "https://10.1.0.";

fn of<T: DeserializeOwned + Into<Resource>>(value: Value) -> Resource {
    serde_json::from_value::<T>(value).unwrap().into()
}

fn id(host: &str, what: &str) -> StepId {
    format!("{host}/{what}").into()
}

fn step(host: &str, what: &str, resource: Resource) -> Step {
    Step {
        id: id(host, what),
        host: host.into(),
        component: what.split('/').next().unwrap().into(),
        phase: "cluster".into(),
        resource,
        after: Vec::new(),
        gates: Vec::new(),
        notifies: Vec::new(),
        disruption: Disruption::None,
        rollout: None,
        undo: None,
    }
}

fn text(path: &str, content: &str) -> Resource {
    let content = Content::Text(content.into());
    File { path: path.into(), content, mode: Mode(0o644), owner: Owner::root(), keep_content: false }.into()
}

fn unit(name: &str) -> Resource {
    of::<Unit>(json!({"name": name, "enabled": true, "running": "started", "masked": null}))
}

fn endpoints() -> Vec<String> {
    (0..HOSTS.len()).map(|number| format!("{CLIENT}{number}:2379")).collect()
}

fn etcd_settings(number: usize) -> String {
    let initial: Vec<String> = (0..3).map(|at| format!("etcd{at}={CLIENT}{at}:2380")).collect();
    let mut out = format!(
        "ETCD_NAME=etcd{number}\nETCD_DATA_DIR=/var/lib/etcd\nETCD_INITIAL_CLUSTER={}\nETCD_INITIAL_CLUSTER_STATE=new\n\
         ETCD_INITIAL_CLUSTER_TOKEN=k8s_etcd\nETCD_INITIAL_ADVERTISE_PEER_URLS={CLIENT}{number}:2380\n\
         ETCD_ADVERTISE_CLIENT_URLS={CLIENT}{number}:2379\n\
         ETCD_LISTEN_CLIENT_URLS={CLIENT}{number}:2379,https://127.0.0.1:2379\n",
        initial.join(",")
    );
    for prefix in ["", "PEER_"] {
        out.extend([format!(
            "ETCD_{prefix}TRUSTED_CA_FILE=/etc/ssl/etcd/ca.pem\nETCD_{prefix}CERT_FILE=/etc/ssl/etcd/member.pem\n\
             ETCD_{prefix}KEY_FILE=/etc/ssl/etcd/member-key.pem\n")]);
    }
    out
}

fn health(expected: Value) -> Resource {
    let client = json!({"endpoints": endpoints(), "ca": "/etc/ssl/etcd/ca.pem",
        "certificate": "/etc/ssl/etcd/member.pem", "key": "/etc/ssl/etcd/member-key.pem"});
    of::<EtcdHealth>(
        json!({"client": client, "expected": expected, "lag": 1000, "timeout_s": 300, "interval_ms": 1000}),
    )
}

fn kubeadm_config(kind: &str) -> String {
    let head = "apiVersion: kubeadm.k8s.io/v1beta4\n";
    let key = "c".repeat(64);
    if kind == "join" {
        return format!(
            "{head}kind: JoinConfiguration\ndiscovery:\n  bootstrapToken:\n    apiServerEndpoint: 10.1.0.0:6443\n    \
             token: abcdef.0123456789abcdef\ncontrolPlane:\n  certificateKey: {key}\ncertificatesDir: /etc/kubernetes/ssl\n"
        );
    }
    let urls = endpoints().iter().map(|url| format!("      - {url}\n")).collect::<Vec<_>>().concat();
    format!(
        "{head}kind: InitConfiguration\nbootstrapTokens:\n- token: abcdef.0123456789abcdef\ncertificateKey: {key}\n---\n\
         {head}kind: ClusterConfiguration\nkubernetesVersion: v1.35.1\ncertificatesDir: /etc/kubernetes/ssl\n\
         etcd:\n  external:\n      endpoints:\n{urls}      caFile: /etc/ssl/etcd/ca.pem\n      \
         certFile: /etc/ssl/etcd/member.pem\n      keyFile: /etc/ssl/etcd/member-key.pem\n"
    )
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "dns", "namespace": "kube-system"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "dns"}},
            "template": {"metadata": {"labels": {"app": "dns"}}, "spec": {"containers": [{"name": "dns", "image": "dns:1"}]}}}})
}

/// What makes the cluster: everything but etcd and kubeadm is done on all hosts at once.
fn cluster() -> Sample {
    let mut steps = Vec::new();
    for (number, host) in HOSTS.iter().enumerate() {
        let mut chain: Vec<Step> = Vec::new();
        let mut add = |what: &str, resource: Resource| chain.push(step(host, what, resource));
        for path in ["/etc/ssl", "/etc/ssl/etcd", "/etc/kubernetes", "/etc/kubernetes/ssl"] {
            add(
                &format!("folder{path}"),
                Directory { path: path.into(), mode: Mode(0o755), owner: Owner::root() }.into(),
            );
        }
        for program in
            ["containerd", "runc", "crictl", "ctr", "etcd", "etcdctl", "etcdutl", "kubeadm", "kubelet"]
        {
            add(
                &format!("program/{program}"),
                text(&format!("/usr/local/bin/{program}"), &format!("{program} v1.35.1\n")),
            );
        }
        for name in ["containerd", "etcd", "kubelet"] {
            let path = format!("/etc/systemd/system/{name}.service");
            add(
                &format!("service/{name}"),
                text(&path, &format!("[Service]\nExecStart=/usr/local/bin/{name}\n")),
            );
        }
        add(
            "sysctl/forward",
            of::<Sysctl>(
                json!({"key": "net.ipv4.ip_forward", "value": "1", "file": "/etc/sysctl.d/99-k8s.conf"}),
            ),
        );
        add("swap/off", kubespray_resource::Swap {}.into());
        for file in ["ca", "member", "member-key"] {
            add(
                &format!("certificate/{file}"),
                text(&format!("/etc/ssl/etcd/{file}.pem"), &format!("{file}\n")),
            );
        }
        add("containerd/running", unit("containerd.service"));
        let engine =
            json!({"containerd": {"socket": "/run/containerd/containerd.sock", "namespace": "k8s.io"}});
        add(
            "image/pause",
            of::<Image>(
                json!({"reference": "registry.k8s.io/pause:3.10", "engine": engine, "source": "pull", "timeout_s": 300}),
            ),
        );
        add("etcd/settings", text("/etc/etcd.env", &etcd_settings(number)));
        add("etcd/running", unit("etcd.service"));
        add("etcd/healthy", health(json!({"count": 3})));
        let (kind, action) = match number {
            0 => ("init", json!({"init": {"upload_certs": true}})),
            _ => ("join", json!({"join": {"control_plane": true}})),
        };
        add("kubeadm/config", text("/etc/kubernetes/kubeadm-config.yaml", &kubeadm_config(kind)));
        add(
            "kubeadm/done",
            of::<Kubeadm>(json!({"program": "/usr/local/bin/kubeadm", "action": action,
            "config": "/etc/kubernetes/kubeadm-config.yaml", "timeout_s": 600})),
        );
        add("kubelet/running", unit("kubelet.service"));
        add(
            "node/ready",
            of::<Check>(json!({"name": "node is ready", "timeout_s": 300, "interval_ms": 1000,
            "probe": {"nodes_ready": {"kubeconfig": ADMIN, "nodes": [host]}}})),
        );
        add(
            "node/labels",
            of::<NodeState>(json!({"kubeconfig": ADMIN, "name": host, "labels": {"example.org/rack": "r1"}})),
        );
        if number == 0 {
            add(
                "app/dns",
                of::<Object>(json!({"kubeconfig": ADMIN, "component": "dns", "manifest": deployment()})),
            );
            add(
                "app/rolled-out",
                of::<Check>(
                    json!({"name": "dns", "timeout_s": 300, "interval_ms": 1000, "probe": {"object": {
                "kubeconfig": ADMIN, "object": {"api_version": "apps/v1", "kind": "Deployment", "namespace": "kube-system", "name": "dns"},
                "must": {"rolled_out": {"missing": 0}}}}}),
                ),
            );
        }
        for at in 1..chain.len() {
            let before = chain[at - 1].id.clone();
            chain[at].after.push(before);
        }
        for step in &mut chain {
            match step.id.as_str().split_once('/').unwrap().1 {
                "etcd/running" => step.gates.push("etcd-ready".into()),
                "etcd/healthy" => step.gates.push("etcd-started".into()),
                "kubeadm/done" => {
                    step.disruption = Disruption::None;
                    if number > 0 {
                        step.after.push(id(HOSTS[number - 1], "node/ready"));
                    }
                }
                _ => {}
            }
        }
        steps.extend(chain);
    }
    let all =
        |what: &str| Gate { steps: HOSTS.iter().map(|host| id(host, what)).collect(), needs: Needs::All };
    let gates = BTreeMap::from([
        ("etcd-ready".into(), all("etcd/settings")),
        ("etcd-started".into(), all("etcd/running")),
    ]);
    wishes("cluster", steps, gates)
}

fn wishes(operation: &str, steps: Vec<Step>, gates: BTreeMap<String, Gate>) -> Sample {
    let lock_hosts = HOSTS.map(str::to_owned).to_vec();
    let rollouts = BTreeMap::from([(
        "etcd".to_owned(),
        Rollout { hosts: lock_hosts.clone(), max_unavailable: 1, canaries: 0 },
    )]);
    let policy = Policy { rollouts, ..Policy::default() };
    let wishes =
        Wishes { operation: operation.into(), cluster: "c".into(), lock_hosts, steps, gates, policy };
    Sample { wishes, secrets: Secrets::default() }
}

fn left(world: &mut World, sample: &Sample) -> Vec<String> {
    planned(world, sample).changes().map(|planned| planned.step.id.to_string()).collect()
}

#[test]
fn a_cluster_is_made_and_a_node_is_drained() {
    let sample = cluster();
    let mut world = World::new(HOSTS, 1);
    let (report, _) = run(&mut world, &sample, "first");
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    assert_eq!(world.violations(), []);
    assert_eq!(left(&mut world, &sample), [""; 0]);

    let drain = of::<Drain>(
        json!({"kubeconfig": ADMIN, "node": "b", "mark": "upgrade", "grace_s": 10, "timeout_s": 300,
        "ignore_daemonsets": true, "delete_empty_dir": true, "force": false}),
    );
    let open =
        of::<NodeState>(json!({"kubeconfig": ADMIN, "name": "b", "unschedulable": false, "mark": "upgrade"}));
    let drained = wishes(
        "drain",
        vec![Step {
            disruption: Disruption::Drain,
            rollout: Some("etcd".into()),
            ..step("a", "drain/b", drain)
        }],
        BTreeMap::new(),
    );
    let opened = wishes("open", vec![step("a", "open/b", open)], BTreeMap::new());
    for (sample, name) in [(drained, "drain"), (opened, "open")] {
        assert_eq!(left(&mut world, &sample).len(), 1, "{name}");
        let (report, _) = run(&mut world, &sample, name);
        assert_eq!(report.ending, Ending::Done, "{name}: {:?}", report.failures);
        assert_eq!(left(&mut world, &sample), [""; 0], "{name}");
    }
    // Pods that were drained begin elsewhere.
    world.go_for(10_000);
    assert_eq!(left(&mut world, &sample), [""; 0]);
    assert_eq!(world.violations(), []);
}

#[test]
fn the_controller_is_killed_while_a_cluster_is_made() {
    let sample = cluster();
    let mut act = 1;
    loop {
        let mut world = World::new(HOSTS, 3);
        let plan = planned(&mut world, &sample);
        let holder = world.holder("r", "cluster");
        let operator = world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.kill_before_act(operator, act);
        world.go();
        if world.report(operator).is_some() {
            break;
        }
        resume(&mut world, &sample, &format!("act {act}"));
        assert_eq!(world.violations(), [], "act {act}");
        act += 19;
    }
    assert!(act > 150, "{act}");
}

#[test]
fn a_cluster_is_made_whatever_happens() {
    let sample = cluster();
    for seed in 0..50 {
        let mut random = Random::new(seed, "cluster");
        let mut world = World::new(HOSTS, seed);
        let plan = planned(&mut world, &sample);
        for _ in 0..=random.below(3) {
            let host = HOSTS[random.below(3) as usize].to_owned();
            let before_effect = 1 + random.below(150);
            let fault = match random.below(5) {
                0 => Fault::Reset { host, is_noticed: true },
                1 => Fault::KillHelper { host, before_effect },
                2 => Fault::PowerLoss { host, before_effect, off_ms: 60_000 },
                3 => Fault::MirrorDown { host, is_down: true },
                _ => Fault::Cut { hosts: vec![host], is_cut: true },
            };
            world.fault_in(random.below(20_000), fault);
        }
        let holder = world.holder("r", "cluster");
        world.begin(plan, holder, &sample.secrets, Options::default()).unwrap();
        world.go();
        world.heal();
        world.go_for(120_000);
        resume(&mut world, &sample, &format!("seed {seed}"));
        assert_eq!(world.violations(), [], "seed {seed}");
    }
}
