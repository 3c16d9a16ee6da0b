//! The whole operation `cluster` over imagined hosts: made, looked at again, disturbed.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_SEED=17` one alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::format_push_string,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other tests need the rest")]
#[path = "common/operations.rs"]
mod operations;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_controller::{Ending, Options};
use kubespray_planner::{Wishes, plan};
use kubespray_resource::{Check, Command, Disruption, Drain, NodeState, Probe, Resource, Secrets, Step};
use kubespray_simulator::{Fault, World};
use operations::*;

#[test]
fn clusters_are_made_and_a_second_run_finds_nothing_to_do() {
    for (inventory, network, nodes, vars) in [
        (ALL, "custom_cni", &["a", "b", "c"][..], ""),
        (ALL, "none", &[], ""),
        (APART, "custom_cni", &["a", "c", "d"], ""),
        (APART, "calico", &["a", "c", "d"], ""),
        (FIVE, "calico", &["a", "b", "c", "d", "e"], ""),
        (FIVE, "none", &[], "metrics_server_enabled: true"),
    ] {
        let what = format!("{network} {vars} on {inventory}");
        let operation = Operation::new(inventory, network, vars);
        let mut world = operation.world(1);
        let (report, _) = operation.run(&mut world, "first");
        assert_eq!(report.ending, Ending::Done, "{what}: {:#?}", report.failures);
        assert_eq!(world.violations(), [], "{what}");
        world.go_for(SETTLED_MS);
        assert_eq!(are_ready(&mut world, "a", nodes), Ok(()), "{what}");
        let is_alone = are_ready(&mut world, "a", &["a"]).is_err();
        assert_eq!(is_alone, network == "none", "{what}: only what has a network is ready");
        let starts: Vec<u64> = world.hosts().map(|(_, host)| host.starts()).collect();
        assert_eq!(operation.left(&mut world), Vec::<String>::new(), "{what}");
        let (report, _) = operation.run(&mut world, "second");
        assert_eq!((report.ending, report.recap.iter().map(|host| host.changed).sum()), (Ending::Done, 0));
        assert_eq!(world.hosts().map(|(_, host)| host.starts()).collect::<Vec<_>>(), starts);
        assert!(world.lock_holders().is_empty());
    }
}

/// Settings of everything that restarts.
const OTHER: &str = "
etcd_heartbeat_interval: 300
kubelet_max_pods: 90
kube_apiserver_request_timeout: 2m0s
containerd_max_container_log_line_size: 20000
";

fn fresh() -> Case {
    Case::new(None, Operation::new(ALL, "custom_cni", ""))
}

fn changed() -> Case {
    let first = Operation::new(ALL, "custom_cni", "");
    let case = Case::new(Some(&first), Operation::new(ALL, "custom_cni", OTHER));
    let of_members = case.plan.changes().filter(|planned| planned.step.disruption == Disruption::Quorum);
    let rollouts: BTreeSet<_> = of_members.map(|planned| planned.step.rollout.clone().unwrap()).collect();
    assert_eq!(rollouts.into_iter().collect::<Vec<_>>(), ["control-plane", "etcd"]);
    case
}

#[test]
fn the_controller_is_killed_while_a_cluster_is_made() {
    fresh().kills(8, drop);
}

#[test]
fn the_controller_is_killed_while_a_cluster_is_changed() {
    changed().kills(8, drop);
}

#[test]
fn helpers_are_killed_while_a_cluster_is_made() {
    let case = fresh();
    each_seed(8, |seed| drop(case.kill_helper(seed)));
}

#[test]
fn a_cluster_is_made_whatever_happens() {
    let case = fresh();
    each_seed(8, |seed| drop(case.disturb(seed)));
}

#[test]
fn a_cluster_is_changed_whatever_happens() {
    let case = changed();
    each_seed(8, |seed| drop(case.disturb(seed)));
}

fn command(host: &str, argv: &[&str]) -> Step {
    let command = Command {
        argv: argv.iter().map(ToString::to_string).collect(),
        environment: BTreeMap::new(),
        stdin: None,
        guards: Vec::new(),
        timeout_s: 60,
    };
    Step::new(host, "test", "test", "step", command)
}

fn rules(world: &World) -> Vec<&'static str> {
    world.violations().iter().map(|violation| violation.rule).collect()
}

#[test]
fn who_stops_what_the_cluster_cannot_spare_is_seen() {
    let operation = Operation::new(ALL, "custom_cni", "");
    let stop = ["systemctl", "stop", "--", "etcd.service"];
    let begin_anew = [
        "/bin/sh",
        "-c",
        "for pod in $(crictl pods --namespace kube-system --name '^kube-apiserver-' --quiet); do true; done",
    ];
    let before = made(&operation);
    for (argv, hosts, expected) in [
        (&stop[..], &["a"][..], &[][..]),
        (&stop, &["a", "b"], &["etcd-quorum"]),
        (&begin_anew, &["a"], &[]),
        (&begin_anew, &["a", "b"], &["control-planes"]),
    ] {
        let mut world = before.copy(1);
        let report = run_steps(&mut world, "bad", hosts.iter().map(|host| command(host, argv)).collect());
        assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
        assert_eq!(rules(&world), expected, "{argv:?} {hosts:?}");
    }
}

#[test]
fn a_run_without_an_end_is_seen() {
    let mut world = World::new(["a"], 1);
    let probe = Probe::Path("/nowhere".into());
    let check = Check { name: "x".into(), probe, timeout_s: 72 * 3600, interval_ms: 60_000 };
    let wishes = Wishes { steps: vec![Step::new("a", "test", "test", "wait", check)], ..Wishes::default() };
    let seen = world.observe(&wishes, &Secrets::default());
    let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
    let holder = world.holder("r", "test");
    world.begin(plan, holder, &Secrets::default(), Options::default()).unwrap();
    world.go();
    assert_eq!(rules(&world), ["ends"]);
}

#[test]
fn a_cluster_grows_even_by_a_host_that_is_placed_first() {
    const FIRST: &str = "
all:
  hosts: {a: , b: , c: }
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {a: }}
    etcd: {hosts: {a: }}
";
    const THREE: &str = "
all:
  hosts: {c: , b: , a: }
  children:
    kube_control_plane: {hosts: {c: , b: , a: }}
    kube_node: {hosts: {a: , b: , c: }}
    etcd: {hosts: {c: , b: , a: }}
";
    let mut world = made(&Operation::new(FIRST, "custom_cni", ""));
    let authority = |world: &World, host: &str| world.host(host).unwrap().text("/etc/kubernetes/ssl/ca.crt");
    let before = authority(&world, "a");
    let operation = Operation::new(THREE, "custom_cni", "");
    let (report, _) = operation.run(&mut world, "grow");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    assert_eq!(world.violations(), []);
    world.go_for(SETTLED_MS);
    assert_eq!(are_ready(&mut world, "a", &["a", "b", "c"]), Ok(()));
    assert_eq!((authority(&world, "c"), authority(&world, "b")), (before.clone(), before));
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
}

#[test]
fn hosts_are_let_in_when_the_first_holder_of_etcds_key_is_lost() {
    const BEFORE: &str = "
all:
  hosts: {a: , b: , c: , d: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {a: , b: , c: }}
    etcd: {hosts: {a: , b: , c: }}
";
    const AFTER: &str = "
all:
  hosts: {b: , c: , d: }
  children:
    kube_control_plane: {hosts: {b: , c: , d: }}
    kube_node: {hosts: {b: , c: , d: }}
    etcd: {hosts: {b: , c: , d: }}
";
    // The pods of a lost node are moved when it is removed, not here.
    const VARS: &str = "dns_mode: none";
    const KEY: &str = "/etc/ssl/etcd/ssl/ca-key.pem";
    let text = |world: &World, host: &str, path: &str| world.host(host).unwrap().text(path);
    let mut world = made(&Operation::new(BEFORE, "custom_cni", VARS));
    let key = text(&world, "a", KEY);
    assert!(key.as_ref().is_some_and(|key| key.contains("PRIVATE KEY")));
    assert_eq!((text(&world, "b", KEY), text(&world, "c", KEY)), (key.clone(), key.clone()));
    assert_eq!(text(&world, "d", KEY), None);
    // Neither what helpers keep of runs nor anything else on a host has the key.
    for (name, host) in world.hosts() {
        let body = key.as_ref().and_then(|key| key.lines().nth(1)).unwrap();
        let kept = host.kept_by_helpers();
        let leaks: Vec<&String> =
            kept.iter().filter(|(_, text)| text.contains(body)).map(|kept| kept.0).collect();
        assert_eq!(leaks, Vec::<&String>::new(), "{name}");
        assert!(!host.portrait().keys().any(|path| path.ends_with(".kubespray-offer")), "{name}");
    }

    world.befall(Fault::Off { host: "a".into(), off_ms: u64::MAX });
    world.go_for(SETTLED_MS);
    let operation = Operation::new(AFTER, "custom_cni", VARS);
    let (report, _) = operation.run(&mut world, "replace");
    assert_eq!(report.ending, Ending::Done, "{:#?}", report.failures);
    world.go_for(SETTLED_MS);
    assert_eq!(are_ready(&mut world, "d", &["b", "c", "d"]), Ok(()));
    assert_eq!(text(&world, "d", KEY), key, "the next loss is none, either");
    assert_eq!(text(&world, "d", "/etc/ssl/etcd/ssl/ca.pem"), text(&world, "b", "/etc/ssl/etcd/ssl/ca.pem"));
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
    assert_eq!(world.violations(), []);
}

#[test]
fn a_node_is_drained_and_given_back() {
    let operation = Operation::new(ALL, "custom_cni", "");
    let mut world = made(&operation);
    let drain = Drain {
        kubeconfig: ADMIN.into(),
        node: "b".into(),
        mark: Some("upgrade".into()),
        grace_s: Some(10),
        timeout_s: 300,
        ignore_daemonsets: true,
        delete_empty_dir: true,
        force: false,
        pod_selector: None,
        fallback: None,
        uncordon_on_failure: true,
        may_fail: false,
    };
    let open = NodeState {
        kubeconfig: ADMIN.into(),
        name: "b".into(),
        unschedulable: Some(false),
        mark: Some("upgrade".into()),
        ..NodeState::default()
    };
    for (name, resource) in [("drain", Resource::from(drain)), ("open", open.into())] {
        let report = run_steps(&mut world, name, vec![Step::new("a", "test", "test", name, resource)]);
        assert_eq!(
            (report.ending, report.recap[0].changed),
            (Ending::Done, 1),
            "{name}: {:?}",
            report.failures
        );
    }
    // Pods that were drained begin elsewhere.
    world.go_for(SETTLED_MS);
    assert_eq!(operation.left(&mut world), Vec::<String>::new());
    assert_eq!(world.violations(), []);
}

#[test]
fn any_control_plane_may_be_away() {
    let operation = Operation::new(FIVE, "custom_cni", "");
    let before = made(&operation);
    for (away, asked) in [("a", "b"), ("b", "c"), ("c", "a")] {
        let mut world = before.copy(1);
        world.befall(Fault::Off { host: away.into(), off_ms: u64::MAX });
        world.go_for(SETTLED_MS);
        let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != away).collect();
        assert_eq!(are_ready(&mut world, asked, &others), Ok(()), "{away}");
        assert!(are_ready(&mut world, asked, &[away]).is_err());
    }
}

#[test]
fn a_changed_variable_changes_what_it_must() {
    const MIRROR: &str = "containerd_registries_mirrors:
  - {prefix: docker.io, mirrors: [{host: 'https://mirror.example', capabilities: [pull]}]}
";
    let before = made(&Operation::new(ALL, "custom_cni", ""));
    // What changes on every host, and what more on the one that leads.
    for (vars, of_all, of_leader) in [
        ("additional_sysctl: [{name: vm.swappiness, value: 10}]", "preinstall/sysctl-vm.swappiness", ""),
        (
            "kubelet_max_pods: 90",
            "kubelet/configuration kubelet/kubelet.service kubelet/well kubelet/running kubelet/running-well control-plane/ready control-plane/node-ready",
            "",
        ),
        (
            "kube_apiserver_request_timeout: 2m0s",
            "control-plane/kubeadm-config control-plane/manifests kubelet/running-well control-plane/ready control-plane/node-ready",
            "control-plane/upload-config",
        ),
        (
            "supplementary_addresses_in_ssl_keys: [api.example]",
            "control-plane/kubeadm-config control-plane/certificate-names control-plane/manifests kubelet/running-well control-plane/ready control-plane/node-ready",
            "control-plane/upload-config",
        ),
        (
            "etcd_heartbeat_interval: 300",
            "etcd/settings etcd/running-others-healthy etcd/snapshot etcd/running etcd/healthy",
            "",
        ),
        (MIRROR, "containerd/registry-docker.io", ""),
        (
            "coredns_default_zone_cache_block: cache 60",
            "",
            "coredns/configmap-coredns coredns/deployment-coredns coredns/ready",
        ),
    ] {
        let mut world = before.copy(1);
        let (plan, _) = Operation::new(ALL, "custom_cni", vars).plan(&mut world);
        let of = |host: &str| -> Vec<String> {
            let ids = plan.changes().map(|planned| planned.step.id.as_str());
            ids.filter_map(|id| Some(id.split_once('/').filter(|(of, _)| *of == host)?.1.to_owned()))
                .collect()
        };
        let all = of("b");
        assert_eq!((all.join(" "), of("c")), (of_all.to_owned(), all.clone()), "{vars}");
        let more: Vec<String> = of("a").into_iter().filter(|step| !all.contains(step)).collect();
        assert_eq!(more.join(" "), of_leader, "{vars}");
    }
}

#[test]
fn two_operators_who_change_a_cluster_do_not_meet() {
    changed().two_operators();
}
