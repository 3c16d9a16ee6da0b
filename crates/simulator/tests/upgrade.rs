//! Upgrades of imagined clusters: made in one version, raised to another, disturbed on the way.
//!
//! `KUBESPRAY_SEEDS=100` tries more, `KUBESPRAY_SEED=17` one alone, `KUBESPRAY_EVERY_ACT=1` kills at every act.
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

use std::collections::BTreeMap;

use kubespray_controller::{Ending, Options};
use kubespray_planner::{Rule, Selection, blocked_pods, lint, plan, select};
use kubespray_resource::{Command, EventKind, Hold, NodeState, Step};
use kubespray_simulator::{Fault, Random, World};
use operations::*;

/// A cluster of a version.
fn of_version(inventory: &'static str, version: &str, vars: &str) -> Operation {
    Operation::new(inventory, "custom_cni", &format!("kube_version: '{version}'\n{vars}"))
}

/// To a version.
fn to_version(inventory: &'static str, version: &str, vars: &str) -> Operation {
    of_version(inventory, version, vars).asked(Intent::Upgrade)
}

/// Hosts with a cluster of a version.
fn made_of(inventory: &'static str, version: &str) -> World {
    made(&of_version(inventory, version, ""))
}

fn cordon(world: &mut World, name: &str) {
    let state = NodeState {
        kubeconfig: ADMIN.into(),
        name: name.into(),
        unschedulable: Some(true),
        ..NodeState::default()
    };
    let steps = vec![Step::new("a", "test", "test", "cordon", state)];
    let report = run_steps(world, &format!("cordon-{name}"), steps);
    assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
}

const OLD: &str = "1.34.3";
const NEW: &str = "1.35.2";

#[test]
fn clusters_are_raised_by_a_minor_or_a_patch_and_a_second_run_finds_nothing_to_do() {
    for (inventory, from, to, nodes) in [
        (FIVE, OLD, NEW, &["a", "b", "c", "d", "e"][..]),
        (FIVE, "1.36.2", "1.36.3", &["a", "b", "c", "d", "e"]),
        (APART, OLD, NEW, &["a", "c", "d"]),
        (ONE, OLD, NEW, &["a"]),
    ] {
        let what = format!("{from} to {to} on {inventory}");
        let mut world = made_of(inventory, from);
        let upgrade = to_version(inventory, to, "");
        upgrade.succeed(&mut world, "upgrade");
        for name in nodes {
            let node = node(&mut world, name);
            assert_eq!(node.kubelet, format!("v{to}"), "{what}: {name}");
            assert!(node.ready && !node.unschedulable && node.cordoned_by.is_none(), "{what}: {node:?}");
        }
        assert_eq!(upgrade.left(&mut world), Vec::<String>::new(), "{what}");
        let cluster = of_version(inventory, to, "");
        assert_eq!(cluster.left(&mut world), Vec::<String>::new(), "{what}");
    }
}

/// The steps that a run began, in their order.
fn begun(world: &World, operator: usize) -> Vec<String> {
    let events = world.events(operator).iter();
    events
        .filter_map(|event| match &event.kind {
            EventKind::StepStarted { step, .. } => Some(step.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn nothing_is_beside_what_it_does_not_fit() {
    let mut world = made_of(FIVE, OLD);
    let (plan, wanted) = to_version(FIVE, NEW, "").plan(&mut world);
    let holder = world.holder("r", "upgrade-cluster");
    let operator = world.begin(plan, holder, &wanted.secrets, Options::default()).unwrap();
    world.go();
    assert_eq!(world.report(operator).unwrap().ending, Ending::Done);
    let begun = begun(&world, operator);
    let places = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        begun.iter().enumerate().filter(|(_, step)| is(step)).map(|(at, _)| at).collect()
    };
    let all = |end: &str| {
        let found = places(&|step| step.ends_with(end));
        (found.first().copied().unwrap(), found.last().copied().unwrap())
    };
    let fetched = places(&|step| step.contains("/download/")).last().copied().unwrap();
    let order = [
        (fetched, fetched),
        all("/etcd/snapshot-before-upgrade"),
        all("/etcd/running"),
        all("/control-plane/upgrade"),
        all("/kube-proxy/pods"),
    ];
    assert!(order.windows(2).all(|pair| pair[0].1 <= pair[1].0 || pair[0].0 < pair[1].0), "{order:?}");
    let (_, members) = all("/etcd/running");
    let (servers_from, servers) = all("/control-plane/upgrade");
    assert!(fetched < all("/etcd/running").0 && members < servers_from, "{begun:#?}");
    let (proxy, _) = all("/kube-proxy/pods");
    assert!(servers < proxy && proxy < all("/kubelet/install-kubelet").0, "{begun:#?}");
    // Who leads goes first; each node is emptied, changed and given back before the next; a worker goes ahead.
    let of = |end: &str| -> Vec<&str> {
        let found = begun.iter().filter(|step| step.ends_with(end));
        found.map(|step| step.split('/').next().unwrap()).collect()
    };
    assert_eq!(of("/control-plane/upgrade"), ["a", "b", "c"]);
    let turns: Vec<&String> = begun
        .iter()
        .filter(|step| {
            ["/pre-upgrade/away", "/kubelet/kubelet.service", "/post-upgrade/back"]
                .iter()
                .any(|end| step.ends_with(end))
        })
        .collect();
    let expected: Vec<String> = NAMES
        .iter()
        .flat_map(|name| {
            ["pre-upgrade/away", "kubelet/kubelet.service", "post-upgrade/back"]
                .map(|step| format!("{name}/{step}"))
        })
        .collect();
    assert_eq!(turns, expected.iter().collect::<Vec<_>>());
}

#[test]
fn pods_move_and_nodes_that_others_cordoned_stay_as_they_are() {
    let mut world = made_of(FIVE, OLD);
    put_objects(&mut world, "workload", workload(2, 1));
    cordon(&mut world, "e");
    to_version(FIVE, NEW, "drain_grace_period: 5").succeed(&mut world, "upgrade");
    for (name, is_cordoned) in [("d", false), ("e", true)] {
        let node = node(&mut world, name);
        assert_eq!(
            (node.kubelet.as_str(), node.unschedulable, node.cordoned_by),
            ("v1.35.2", is_cordoned, None),
            "{name}"
        );
    }
}

#[test]
fn what_an_upgrade_must_not_do_is_refused() {
    let before = made_of(FIVE, OLD);
    let refusals = |to: &str, disturb: &dyn Fn(&mut World)| {
        let mut world = before.copy(1);
        disturb(&mut world);
        to_version(FIVE, to, "").refusals(&mut world)
    };
    let nothing = |_: &mut World| {};
    let found = refusals("1.36.2", &nothing);
    assert_eq!(
        found.first().unwrap(),
        "`a`, upgrade: `kube-apiserver` is 1.34.3, and 1.36.2 is wished: no minor version may be left out; go 1.34 -> 1.35 -> 1.36, with one `kubespray upgrade-cluster -e kube_version=…` each"
    );
    assert_eq!(found.len(), 3, "{found:?}");
    let found = refusals("1.34.1", &nothing);
    assert_eq!(
        found.first().unwrap(),
        "`a`, upgrade: `kube-apiserver` is 1.34.3, and 1.34.1 is wished: Kubernetes cannot go back; set `kube_version` to 1.34.3 or newer"
    );
    assert_eq!(found.len(), 5, "{found:?}");
    let off = |world: &mut World| {
        world.befall(Fault::Off { host: "b".into(), off_ms: u64::MAX });
        world.go_for(SETTLED_MS);
    };
    let found = refusals(NEW, &off);
    let repair = "repair this one first, or remove it with `kubespray remove-node`";
    assert_eq!(
        found[0],
        format!(
            "`b`, upgrade: it is a control plane and does not answer; an upgrade takes one control plane away at a time: {repair}"
        )
    );
    // Without its facts nobody knows which host it is of.
    assert!(found[1].starts_with("`a`, upgrade: the member `etcd2` of etcd is not well: "), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[1].ends_with(&format!("an upgrade takes one member away at a time: {repair}")),
        "{found:?}"
    );
    let stopped = |world: &mut World| {
        let stop = ["systemctl", "stop", "--", "kubelet.service"].map(str::to_owned).to_vec();
        let command = Command {
            argv: stop,
            environment: BTreeMap::new(),
            stdin: None,
            guards: Vec::new(),
            timeout_s: 60,
        };
        let report = run_steps(world, "stop", vec![Step::new("c", "test", "test", "stop", command)]);
        assert_eq!(report.ending, Ending::Done, "{:?}", report.failures);
    };
    let found = refusals(NEW, &stopped);
    assert!(found[0].starts_with("`c`, upgrade: its API server is not well: "), "{found:?}");
    // Another version is not put under running pods in passing.
    let found = of_version(FIVE, NEW, "").refusals(&mut before.copy(1));
    assert_eq!(
        found,
        [
            "`a`, upgrade: `kube-apiserver` is 1.34.3, and 1.35.2 is wished (the same with 4 more hosts): other versions are not put under running pods; `kubespray upgrade-cluster` goes from one version to another; to keep the one that runs, set `kube_version` to it"
        ]
    );
    let found = to_version(FIVE, NEW, "").refusals(&mut to_version(FIVE, NEW, "").world(1));
    assert_eq!(
        found,
        [
            "`a`, upgrade: there is no cluster yet that could be upgraded; `kubespray cluster` makes one of the wished version"
        ]
    );
    let ansible = to_version(FIVE, NEW, "post_upgrade_hooks: [x.yml]").refusals(&mut before.copy(1));
    assert!(ansible[0].contains("`post_upgrade_hooks` names tasks of Ansible"), "{ansible:?}");
}

#[test]
fn hosts_that_are_no_nodes_yet_are_refused() {
    const FOUR: &str = "
all:
  hosts: {a: , b: , c: , d: , e: }
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {d: }}
    etcd: {hosts: {a: , b: , c: }}
";
    let mut world = made_of(FOUR, OLD);
    let found = to_version(FIVE, NEW, "").refusals(&mut world);
    assert_eq!(
        found,
        [
            "`e`, upgrade: it is no node of the cluster yet, and an upgrade adds none; add it with `kubespray scale -e kube_version=1.34.3` before, or take it out of the inventory until the upgrade is done"
        ]
    );
}

#[test]
fn budgets_that_hold_a_pod_are_told_before_anything_moves() {
    let mut world = made_of(FIVE, OLD);
    put_objects(&mut world, "workload", workload(1, 1));
    for (vars, expected) in [
        ("", &["d: default/web-0 of ReplicaSet web: disruption budget `web`"][..]),
        ("drain_fallback_enabled: true", &[]),
        ("upgrade_node_fail_if_drain_fails: false", &[]),
        ("drain_nodes: false", &[]),
    ] {
        let operation = to_version(FIVE, NEW, vars);
        let wanted = operation.wanted(&mut world);
        let seen = world.observe(&wanted.wishes, &wanted.secrets);
        let plan = plan(wanted.wishes, &seen, &wanted.secrets).unwrap();
        let blocked = blocked_pods(&plan, &seen);
        let told: Vec<String> = blocked.iter().map(|pod| format!("{}: {}", pod.host, pod.pod)).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        assert!(
            told.iter()
                .zip(expected)
                .all(|(told, expected)| told.contains("web-0") && told.starts_with(&expected[..3])),
            "{told:?}"
        );
        let shown = plan
            .changes()
            .any(|planned| planned.diff.as_deref().is_some_and(|diff| diff.contains("default/web-0")));
        assert_eq!(shown, !vars.starts_with("drain_nodes"), "the plan names the pods that move");
    }
}

#[test]
fn turns_may_be_held_for_a_while() {
    let mut world = made_of(FIVE, "1.36.2");
    let vars = "{upgrade_node_pause_seconds: 600, upgrade_node_post_upgrade_pause_seconds: 300}";
    let vars = vars.trim_matches(['{', '}']).replace(", ", "\n");
    let operation = to_version(FIVE, "1.36.3", &vars);
    let (plan, wanted) = operation.plan(&mut world);
    let holder = world.holder("r", "upgrade-cluster");
    let began = world.now_ms();
    let operator = world.begin(plan, holder, &wanted.secrets, Options::default()).unwrap();
    world.go();
    assert_eq!(world.report(operator).unwrap().ending, Ending::Done);
    let held = world.events(operator).iter().filter(|event| matches!(event.kind, EventKind::Held { .. }));
    assert_eq!(held.count(), 10);
    assert!(world.now_ms() - began > 5 * 900_000);
}

#[test]
fn somebody_may_be_asked_before_each_node_and_behind_it() {
    let vars = "upgrade_node_confirm: true\nupgrade_node_pause_seconds: 600\nupgrade_node_post_upgrade_confirm: true";
    let (plan, _) = to_version(FIVE, "1.36.3", vars).plan(&mut made_of(FIVE, "1.36.2"));
    for name in NAMES {
        let of_host = plan.changes().filter(|planned| planned.step.host == name);
        let holds: Vec<Hold> = of_host.filter_map(|planned| planned.step.hold.clone()).collect();
        let asked = [format!("begin with node `{name}`"), format!("let node `{name}` take pods again")];
        assert_eq!(holds, asked.map(Hold::Confirm), "a question goes before a pause");
    }
}

#[test]
fn a_worker_that_is_away_holds_nothing_up_and_follows_later() {
    // Of a host that is away nobody else knows the address.
    let ip = "ip: \"10.1.0.{{ ['a', 'b', 'c', 'd', 'e'].index(inventory_hostname) }}\"\n";
    let mut world = made(&of_version(FIVE, "1.36.2", ip));
    world.befall(Fault::Off { host: "e".into(), off_ms: u64::MAX });
    world.go_for(10 * SETTLED_MS);
    let upgrade = to_version(FIVE, "1.36.3", ip);
    upgrade.succeed(&mut world, "upgrade");
    let versions = |world: &mut World| NAMES.map(|name| node(world, name).kubelet);
    assert_eq!(versions(&mut world), ["v1.36.3", "v1.36.3", "v1.36.3", "v1.36.3", "v1.36.2"]);
    world.heal();
    world.go_for(10 * SETTLED_MS);
    upgrade.succeed(&mut world, "rest");
    assert_eq!(versions(&mut world), ["v1.36.3"; 5]);
    all_nodes_are_back(world);
}

/// Kubernetes alone, as `upgrade-only-k8s.yml` does it; then the rest, with each engine in the window of its node.
#[test]
fn parts_may_be_left_for_another_day() {
    let mut world = made(&of_version(FIVE, "1.36.2", "containerd_version: 2.3.3"));
    let upgrade = to_version(FIVE, "1.36.3", "");
    let wanted = upgrade.wanted(&mut world);
    // Whatever is left out, no kubelet comes beside an older API server.
    let nodes = Selection { tags: ["node".to_owned()].into(), ..Selection::default() };
    let nodes = select(wanted.wishes.clone(), &nodes);
    let seen = world.observe(&nodes, &wanted.secrets);
    let found = lint(&plan(nodes, &seen, &wanted.secrets).unwrap(), &wanted.secrets);
    assert!(found.iter().any(|problem| problem.rule == Rule::Skew), "{found:?}");
    let skip_tags = ["etcd", "container-engine", "network", "policy-controller", "apps"];
    let skip_tags = skip_tags.map(str::to_owned).into();
    let wishes = select(wanted.wishes, &Selection { skip_tags, ..Selection::default() });
    let seen = world.observe(&wishes, &wanted.secrets);
    let plan = plan(wishes, &seen, &wanted.secrets).unwrap();
    assert_eq!(lint(&plan, &wanted.secrets), []);
    let (report, _) = world.run(plan, "kubernetes", &wanted.secrets, Options::default()).unwrap();
    assert_eq!(report.unwrap().ending, Ending::Done);
    assert_eq!(world.violations(), []);
    world.go_for(SETTLED_MS);
    for name in NAMES {
        let node = node(&mut world, name);
        assert_eq!((node.kubelet.as_str(), node.unschedulable), ("v1.36.3", false), "{name}");
    }
    let (_, events) = upgrade.run(&mut world, "rest");
    let changed: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepStarted { step, .. } => Some(step.as_str()),
            _ => None,
        })
        .collect();
    assert!(!changed.iter().any(|step| step.contains("/control-plane/")), "{changed:#?}");
    for name in NAMES {
        let of = ["pre-upgrade/away", "containerd/containerd.service", "post-upgrade/back"];
        let of = of.map(|step| format!("{name}/{step}"));
        let seen: Vec<&str> =
            changed.iter().filter(|step| of.iter().any(|of| of == *step)).copied().collect();
        assert_eq!(seen, of, "{changed:#?}");
    }
    world.go_for(SETTLED_MS);
    assert_eq!(upgrade.left(&mut world), Vec::<String>::new());
    all_nodes_are_back(world);
}

#[test]
fn the_pod_network_comes_before_workers_and_applications_behind_them() {
    let mut world = made_of(FIVE, OLD);
    let vars = format!("kube_version: '{NEW}'\ngateway_api_enabled: true");
    let upgrade = Operation::new(FIVE, "calico", &vars).asked(Intent::Upgrade);
    let wishes = upgrade.wanted(&mut world).wishes;
    let of = |host: &str| -> Vec<&Step> { wishes.steps.iter().filter(|step| step.host == host).collect() };
    let leader = of("a");
    let place = |is: &dyn Fn(&Step) -> bool| {
        let found = || leader.iter().enumerate().filter(|(_, step)| is(step)).map(|(at, _)| at);
        (found().next().unwrap(), found().last().unwrap())
    };
    let network = &wishes.gates["pod-network"].steps;
    let opener = place(&|step| network.contains(&step.id)).0;
    for component in ["calico", "policy-controller", "gateway_api", "cluster-roles"] {
        let (_, last) = place(&|step| step.component == component);
        assert!(last <= opener, "{component}");
    }
    for worker in ["d", "e"] {
        let own = of(worker);
        let gate = own.iter().position(|step| step.gates.iter().any(|gate| gate == "pod-network")).unwrap();
        let away = own.iter().position(|step| step.id.as_str().ends_with("/pre-upgrade/away")).unwrap();
        assert!(gate <= away, "{worker}");
    }
    let (applications, _) = place(&|step| step.component == "coredns");
    assert!(opener < applications);
    let gate = &wishes.gates["nodes"];
    assert!(["d", "e"].iter().all(|worker| {
        gate.steps.iter().any(|step| step.as_str() == format!("{worker}/post-upgrade/back"))
    }));
    let behind = leader[..=applications].iter().any(|step| step.gates.iter().any(|gate| gate == "nodes"));
    assert!(behind, "{:?}", leader[applications]);
}

/// An upgrade of a cluster with a workload.
fn case(from: &str, to: &str) -> Case {
    let mut before = made_of(FIVE, from);
    put_objects(&mut before, "workload", workload(2, 1));
    Case::of(before, to_version(FIVE, to, "drain_grace_period: 5"))
}

fn all_nodes_are_back(mut world: World) {
    for name in NAMES {
        let node = node(&mut world, name);
        assert!(node.ready && !node.unschedulable && node.cordoned_by.is_none(), "{name} {node:?}");
    }
}

#[test]
fn the_controller_is_killed_during_an_upgrade() {
    case(OLD, NEW).kills(2, all_nodes_are_back);
}

#[test]
fn an_upgrade_that_was_given_up_is_finished_by_the_next() {
    let case = case(OLD, NEW);
    each_seed(2, |seed| {
        let act = 1 + Random::new(seed, "abandoned").below(case.acts);
        all_nodes_are_back(case.abandon(act));
    });
}

#[test]
fn a_cluster_is_upgraded_whatever_happens() {
    let case = case("1.36.2", "1.36.3");
    each_seed(2, |seed| all_nodes_are_back(case.disturb(seed)));
}

#[test]
fn two_operators_who_raise_a_cluster_do_not_meet() {
    case(OLD, NEW).two_operators();
}
