//! kubeadm: made, taken up, explained, against a strict double.
#![allow(missing_docs, clippy::pedantic, clippy::unwrap_used, clippy::panic, clippy::get_unwrap)]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::World;
use kubespray_resource::*;

const CONFIG: &str = "/etc/kubernetes/kubeadm-config.yaml";
const MANIFESTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const SERVER: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const BEGUN: &str = "/var/lib/kubespray/kubeadm-begun";

fn kubeadm(action: KubeadmAction) -> Kubeadm {
    Kubeadm {
        program: "kubeadm".into(),
        action,
        config: Some(CONFIG.into()),
        certificates: Some("/etc/kubernetes/ssl".into()),
        ignore_preflight_errors: Vec::new(),
        skip_phases: Vec::new(),
        environment: BTreeMap::new(),
        timeout_s: 30,
    }
}

fn init() -> Kubeadm {
    kubeadm(KubeadmAction::Init { upload_certs: true })
}

fn reset() -> Kubeadm {
    let action = KubeadmAction::Reset { certificates: "/etc/kubernetes/ssl".into(), cri_socket: None };
    Kubeadm { config: None, ..kubeadm(action) }
}

fn world() -> World {
    let world = World::new();
    world.put(CONFIG, "kind: ClusterConfiguration\n");
    world.unit("kubelet.service", "activating", "enabled");
    world
}

fn calls(world: &World) -> Vec<String> {
    world.calls().into_iter().filter(|call| call.starts_with("kubeadm ")).collect()
}

#[test]
fn a_control_plane_is_made_once() {
    let world = world();
    let wish = Kubeadm {
        ignore_preflight_errors: vec!["NumCPU".into(), "Mem".into()],
        skip_phases: vec!["addon/coredns".into()],
        ..init()
    };
    world.converge(wish);
    assert!(world.dir.path().join("uploaded").exists());
    assert!(!world.path(BEGUN).exists());
    let line = format!(
        "kubeadm init --upload-certs --config {CONFIG} --ignore-preflight-errors Mem,NumCPU --skip-phases addon/coredns"
    );
    assert_eq!(calls(&world), [line]);
}

#[test]
fn what_was_begun_is_finished_with_the_same_authority() {
    for phase in
        ["certs", "kubeconfig", "control-plane", "kubelet-start", "wait-control-plane", "upload-certs"]
    {
        let world = world();
        world.state("fail-at", phase);
        let failure = world.apply(init()).unwrap_err();
        assert_eq!(
            failure.message,
            format!("`kubeadm init` failed in its phase `{phase}`: the thing did not come up")
        );
        assert!(failure.evidence.iter().any(|line| line.contains("address already in use")), "{failure:?}");
        assert!(!format!("{failure:?}").contains("abcdef.0123456789abcdef"), "a token is told");
        assert_eq!(world.compare(&init().into()).changes[0].from.as_deref(), Some("begun and not finished"));
        let authority = fs::read_to_string(world.path("/etc/kubernetes/ssl/ca.crt")).ok();
        fs::remove_file(world.dir.path().join("fail-at")).unwrap();
        world.converge(init());
        if let Some(authority) = authority {
            assert_eq!(world.get("/etc/kubernetes/ssl/ca.crt"), authority, "{phase}");
        }
        for call in calls(&world) {
            let ignored = call.split("--ignore-preflight-errors ").nth(1).unwrap_or_default();
            let left = ["FileAvailable-", "Port-"];
            assert!(
                ignored.split(',').all(|name| name.is_empty() || left.iter().any(|l| name.starts_with(l))),
                "{call}"
            );
        }
    }
}

/// kubeadm takes what is there for whole, so a half of a pair would fail it for ever.
#[test]
fn what_was_written_in_half_is_made_anew() {
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\n";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";
    let path = |name: &str| format!("/etc/kubernetes/ssl/{name}");
    let world = world();
    world.state("fail-at", "wait-control-plane");
    world.apply(init()).unwrap_err();
    let torn = [
        ("apiserver.key", KEY),
        ("apiserver-kubelet-client.crt", CERTIFICATE),
        ("front-proxy-ca.key", KEY),
        ("sa.pub", ""),
    ];
    for (name, text) in torn {
        world.put(&path(name), text);
    }
    for half in ["apiserver.crt", "apiserver-kubelet-client.key", "front-proxy-ca.crt", "sa.key"] {
        let _ = fs::remove_file(world.path(&path(half)));
    }
    for (name, text) in [("front-proxy-client.key", KEY), ("front-proxy-client.crt", CERTIFICATE)] {
        world.put(&path(name), text);
    }
    world.put("/etc/kubernetes/admin.conf", "clusters: []\nusers:\n- na");
    let authority = fs::read_to_string(world.path(&path("ca.crt"))).ok();
    world.apply(init()).unwrap_err();
    for (name, _) in torn {
        assert!(!world.path(&path(name)).exists(), "{name}");
    }
    assert_ne!(
        fs::read_to_string(world.path("/etc/kubernetes/admin.conf")).ok().as_deref(),
        Some("clusters: []\nusers:\n- na")
    );
    assert_eq!(world.get(&path("front-proxy-client.key")), KEY, "what is whole stays");
    assert_eq!(fs::read_to_string(world.path(&path("ca.crt"))).ok(), authority, "what others trust stays");
}

#[test]
fn a_new_problem_is_told_when_what_was_begun_is_taken_up() {
    let world = world();
    world.state("fail-at", "wait-control-plane");
    world.apply(init()).unwrap_err();
    world.state("preflight", "Swap|running with swap on is not supported\n");
    let failure = world.apply(init()).unwrap_err();
    assert!(failure.message.contains("Swap"), "{failure}");
    assert!(world.path(BEGUN).exists(), "it is still begun");
}

#[test]
fn a_part_that_others_made_is_explained_and_left_alone() {
    for there in
        [vec![SERVER], vec!["/etc/kubernetes/admin.conf"], vec!["/var/lib/kubelet/config.yaml", SERVER]]
    {
        let world = world();
        for path in &there {
            world.put(path, "");
        }
        let failure = world.apply(init()).unwrap_err();
        assert!(failure.message.starts_with("`kubeadm init` is not run: this host has "), "{failure}");
        assert!(failure.message.contains(there[0]), "{failure}");
        assert!(failure.message.contains(", but lacks `"), "{failure}");
        assert!(calls(&world).is_empty());
    }
    // An authority that was brought is no part of a control plane.
    let world = world();
    world.put("/etc/kubernetes/ssl/ca.crt", "ours");
    world.converge(init());
    assert_eq!(world.get("/etc/kubernetes/ssl/ca.crt"), "ours");
    // A control plane that another tool made is one.
    let other = self::world();
    for name in MANIFESTS {
        other.put(&format!("/etc/kubernetes/manifests/{name}.yaml"), "");
    }
    for name in ["admin", "controller-manager", "kubelet", "scheduler"] {
        other.put(&format!("/etc/kubernetes/{name}.conf"), "");
    }
    other.put("/var/lib/kubelet/config.yaml", "");
    assert_eq!(other.apply(init()).unwrap(), Outcome::unchanged());
}

#[test]
fn every_failed_check_is_named_with_what_to_do() {
    let world = world();
    world.state(
        "preflight",
        "Port-6443|Port 6443 is in use\nCRI|container runtime is not running\nOdd|something else\n",
    );
    let failure = world.apply(init()).unwrap_err();
    assert_eq!(failure.message, "`kubeadm init` refuses this host: Port-6443, CRI, Odd");
    let evidence =
        ["Port-6443: Port 6443 is in use", "CRI: container runtime is not running", "Odd: something else"];
    assert_eq!(failure.evidence, evidence);
    assert_eq!(failure.hints.len(), 2);
    assert!(!world.path(BEGUN).exists(), "checks come before the first effect");
    // What may be left by an attempt of ours is that of others where we began nothing.
    world.state("preflight", "Port-6443|Port 6443 is in use\n");
    assert!(world.apply(init()).unwrap_err().message.ends_with("host: Port-6443"));
    fs::remove_file(world.dir.path().join("preflight")).unwrap();
    world.converge(init());
}

#[test]
fn time_is_limited() {
    let world = world();
    world.state("hangs", "");
    let failure = world.apply(Kubeadm { timeout_s: 1, ..init() }).unwrap_err();
    assert_eq!(failure.message, "`kubeadm init` is not done after 1 s");
    assert!(failure.evidence.iter().any(|line| line.contains("address already in use")), "{failure:?}");
    fs::remove_file(world.dir.path().join("hangs")).unwrap();
    world.converge(init());
}

#[test]
fn nodes_join() {
    let join = |control_plane| kubeadm(KubeadmAction::Join { control_plane });
    let world = world();
    world.converge(join(false));
    assert_eq!(calls(&world), [format!("kubeadm join --config {CONFIG}")]);

    let other = self::world();
    other.put(CONFIG, "kind: JoinConfiguration\ncontrolPlane: {}\n");
    other.state("fail-at", "kubelet-start");
    other.apply(join(true)).unwrap_err();
    fs::remove_file(other.dir.path().join("fail-at")).unwrap();
    // Another wish than the one that was begun.
    let failure = other.apply(init()).unwrap_err();
    assert!(failure.message.contains("`kubeadm join` was begun here"), "{failure}");
    other.converge(join(true));
    assert!(other.path(SERVER).exists());
}

#[test]
fn a_join_that_was_cut_off_is_finished() {
    for is_control_plane in [false, true] {
        for phase in ["kubelet-start", "control-plane-join"] {
            let world = world();
            if is_control_plane {
                world.put(CONFIG, "controlPlane:\n  localAPIEndpoint: {}\n");
            }
            let join = kubeadm(KubeadmAction::Join { control_plane: is_control_plane });
            world.state("fail-at", phase);
            world.apply(join.clone()).unwrap_err();
            fs::remove_file(world.dir.path().join("fail-at")).unwrap();
            world.converge(join);
            assert!(!world.path(BEGUN).exists(), "{phase}");
            let is_marked = world.dir.path().join("marked").exists();
            assert_eq!(is_marked, is_control_plane && phase == "control-plane-join", "{phase}");
        }
    }
}

#[test]
fn control_planes_are_raised() {
    let world = world();
    let apply = kubeadm(KubeadmAction::UpgradeApply { version: "1.36.0".into() });
    let failure = world.apply(apply.clone()).unwrap_err();
    assert!(failure.message.contains("this host is no control plane"), "{failure}");
    world.converge(init());
    world.forget_calls();
    let outcome = world.converge(apply.clone());
    assert!(outcome.changes[0].from.as_deref().is_some_and(|from| from.contains("kube-apiserver v1.35.1")));
    assert_eq!(calls(&world), [format!("kubeadm upgrade apply --yes v1.36.0 --config {CONFIG}")]);
    // One of the three fell behind.
    let behind = world.get(SERVER).replace("v1.36.0", "v1.35.1");
    world.put(SERVER, &behind);
    world.converge(apply);
    world.state("cluster-version", "v1.36.1");
    world.converge(kubeadm(KubeadmAction::UpgradeNode { version: "v1.36.1".into() }));
    // kubeadm says that it did, and did not.
    let failure = world.apply(kubeadm(KubeadmAction::UpgradeNode { version: "v1.36.2".into() })).unwrap_err();
    assert!(failure.message.contains("was changed, but"), "{failure}");
}

#[test]
fn a_host_is_reset() {
    let world = world();
    assert_eq!(world.apply(reset()).unwrap(), Outcome::unchanged(), "nothing is there");
    world.converge(init());
    world.converge(reset());
    // One that was begun too.
    world.state("fail-at", "wait-control-plane");
    world.apply(init()).unwrap_err();
    let action = KubeadmAction::Reset {
        certificates: "/etc/kubernetes/ssl".into(),
        cri_socket: Some("unix:///run/containerd/containerd.sock".into()),
    };
    world.converge(Kubeadm { action, ..reset() });
    assert!(!world.path(BEGUN).exists());
    fs::remove_file(world.dir.path().join("fail-at")).unwrap();
    world.converge(init());
}

#[test]
fn phases_run_when_an_input_changed() {
    let world = world();
    world.converge(init());
    let phase = |phase: &[&str], guard| {
        kubeadm(KubeadmAction::Phase {
            of: "init".into(),
            phase: phase.iter().map(|word| (*word).to_owned()).collect(),
            guards: vec![guard],
        })
    };
    let token = "kubeadm:control-plane";
    let wish = phase(&["control-plane", "all"], Guard::Pending(token.into()));
    assert_eq!(world.apply(wish.clone()).unwrap(), Outcome::unchanged());
    world.put(&format!("/var/lib/kubespray/pending/{token}"), "");
    world.forget_calls();
    world.converge(wish);
    assert!(world.pending().is_empty());
    assert_eq!(calls(&world), [format!("kubeadm init phase control-plane all --config {CONFIG}")]);
    let never = phase(&["upload-certs"], Guard::Creates("/none".into()));
    let failure = world.apply(never).unwrap_err();
    assert!(failure.message.contains("nothing says that it is done"), "{failure}");
}

#[test]
fn an_object_that_is_there_already_is_no_failure() {
    let world = world();
    world.state(
        "says",
        "error: ConfigMap is invalid: data: Forbidden: field is immutable when `immutable` is set\n",
    );
    world.converge(init());
}
