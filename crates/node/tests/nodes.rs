//! Kubernetes nodes: labels, taints, cordons and drains, against a strict double of an API server.
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

use std::collections::BTreeMap;

use apiserver::ApiServer;
use cluster::*;
use common::World;
use kubespray_resource::*;
use serde_json::{Value, json};

fn node(server: &ApiServer) -> Value {
    server.get("v1", "Node", "", "n1").unwrap()
}

fn with_node() -> (World, ApiServer) {
    let (world, server) = cluster();
    server.put(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"taints": [{"key": "theirs", "effect": "NoExecute", "timeAdded": "t"}]},
    }));
    (world, server)
}

fn wish() -> NodeState {
    NodeState { kubeconfig: KUBECONFIG.into(), name: "n1".into(), ..NodeState::default() }
}

fn map(entries: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
}

#[test]
fn labels_and_taints_follow_the_wish_and_dropped_ones_go() {
    let (world, server) = with_node();
    let first = NodeState {
        labels: map(&[("zone", Some("a")), ("rack", Some("7"))]),
        taints: map(&[("dedicated:NoSchedule", Some("gpu"))]),
        prune: true,
        ..wish()
    };
    world.converge(first);
    assert_eq!(
        node(&server)["metadata"]["labels"],
        json!({"kubernetes.io/os": "linux", "zone": "a", "rack": "7"})
    );
    // Drift.
    server.edit("v1", "Node", "", "n1", json!({"metadata": {"labels": {"zone": "b"}}}));
    let second = NodeState { labels: map(&[("zone", Some("a"))]), prune: true, ..wish() };
    world.converge(second);
    let live = node(&server);
    assert_eq!(live["metadata"]["labels"], json!({"kubernetes.io/os": "linux", "zone": "a"}));
    assert_eq!(live["spec"]["taints"], json!([{"key": "theirs", "effect": "NoExecute", "timeAdded": "t"}]));
    world.converge(NodeState { labels: map(&[("zone", None)]), ..wish() });
    assert!(node(&server)["metadata"]["labels"].get("zone").is_none());
}

#[test]
fn what_others_change_meanwhile_is_not_lost() {
    let (world, server) = with_node();
    let wish = NodeState { labels: map(&[("zone", Some("a"))]), ..wish() };
    server.store().conflicts = 2;
    world.converge(wish.clone());
    server.store().conflicts = 100;
    let failure = world.apply(NodeState { labels: map(&[("zone", Some("z"))]), ..wish }).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Transient);
    server.store().conflicts = 0;
}

#[test]
fn a_node_that_is_not_there_yet_may_come() {
    let (world, server) = cluster();
    let wish = Resource::from(NodeState { labels: map(&[("a", Some("b"))]), ..wish() });
    assert_eq!(differs(&world, &wish), ["node"]);
    assert_eq!(world.apply(wish.clone()).unwrap_err().class, ErrorClass::Transient);
    assert_eq!(differs(&World::new(), &wish), ["node"]);
    server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
    world.converge(wish);
}

#[test]
fn only_what_we_cordoned_is_uncordoned() {
    let (world, server) = with_node();
    let cordon = |unschedulable| NodeState {
        unschedulable: Some(unschedulable),
        mark: Some("run-1".into()),
        ..wish()
    };
    world.converge(cordon(true));
    assert_eq!(node(&server)["metadata"]["annotations"]["kubespray.rs/cordoned-by"], "run-1");
    world.converge(cordon(false));
    assert!(node(&server)["metadata"]["annotations"].get("kubespray.rs/cordoned-by").is_none());
    server.edit("v1", "Node", "", "n1", json!({"spec": {"unschedulable": true}}));
    assert!(differs(&world, &cordon(false).into()).is_empty(), "a person cordoned it");
    world.converge(NodeState { unschedulable: Some(false), ..wish() });
}

fn drain() -> Drain {
    Drain {
        kubeconfig: KUBECONFIG.into(),
        node: "n1".into(),
        mark: Some("run-1".into()),
        grace_s: Some(5),
        timeout_s: 30,
        ignore_daemonsets: true,
        delete_empty_dir: true,
        force: true,
        pod_selector: None,
        fallback: None,
        uncordon_on_failure: true,
        may_fail: false,
    }
}

fn pod(server: &ApiServer, name: &str, owner: Option<(&str, &str)>, change: impl FnOnce(&mut Value)) {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"nodeName": "n1"}, "status": {"phase": "Running"},
    });
    if let Some((kind, name)) = owner {
        pod["metadata"]["ownerReferences"] = json!([{"kind": kind, "name": name, "controller": true}]);
    }
    change(&mut pod);
    server.put(pod);
}

fn budget(server: &ApiServer, app: &str) {
    server.put(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": format!("{app}-budget"), "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": app}}}, "status": {"disruptionsAllowed": 0},
    }));
}

const WEB: Option<(&str, &str)> = Some(("ReplicaSet", "web-5d"));

#[test]
fn a_node_is_drained_of_what_has_to_go() {
    let (world, server) = with_node();
    for name in ["web1", "web2", "web3"] {
        pod(&server, name, WEB, |_| {});
    }
    pod(&server, "bare", None, |_| {});
    pod(&server, "done", None, |pod| pod["status"]["phase"] = "Succeeded".into());
    pod(&server, "agent", Some(("DaemonSet", "agent")), |_| {});
    pod(&server, "static", None, |pod| {
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    });
    pod(&server, "elsewhere", WEB, |pod| pod["spec"]["nodeName"] = "n2".into());
    server.store().page = 2;
    let outcome = world.converge(drain());
    let changed: Vec<_> = outcome.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(changed, ["unschedulable", "pods"]);
    for name in ["agent", "static", "elsewhere"] {
        assert!(server.get("v1", "Pod", "default", name).is_some(), "{name}");
    }
    for name in ["web1", "web2", "web3", "bare", "done"] {
        assert!(server.get("v1", "Pod", "default", name).is_none(), "{name}");
    }
    assert_eq!(node(&server)["spec"]["unschedulable"], true);
    assert_eq!(node(&server)["metadata"]["annotations"]["kubespray.rs/cordoned-by"], "run-1");
    // All evictions were asked for before the first pod was gone.
    let requests = server.requests();
    let evictions: Vec<_> = requests
        .iter()
        .enumerate()
        .filter(|(_, line)| line.ends_with("/eviction"))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(evictions.len(), 10, "five trials and five in earnest");
    assert_eq!(evictions[9] - evictions[5], 4, "one wave");
}

#[test]
fn the_grace_period_is_told_or_left_to_the_pod() {
    for (grace_s, expected) in [(Some(5), 5), (None, 30), (Some(0), 0)] {
        let (world, server) = with_node();
        pod(&server, "web", WEB, |_| {});
        server.store().lists_until_gone = 100;
        let wish = Drain { grace_s, timeout_s: 0, ..drain() };
        world.apply(wish).unwrap_err();
        let pod = server.get("v1", "Pod", "default", "web").unwrap();
        assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], expected);
    }
}

#[test]
fn a_budget_is_waited_for() {
    let (world, server) = with_node();
    pod(&server, "web", WEB, |_| {});
    pod(&server, "free", WEB, |_| {});
    budget(&server, "web");
    server.store().refusals_until_allowed = 2;
    world.converge(drain());
}

#[test]
fn a_budget_that_never_allows_it_is_named_and_the_node_given_back() {
    let (world, server) = with_node();
    pod(&server, "web", WEB, |_| {});
    pod(&server, "free", WEB, |_| {});
    budget(&server, "web");
    let wish = Drain { timeout_s: 1, ..drain() };
    let State::Drain(DrainState::Node { pods, .. }) = world.observe(&wish.clone().into()).unwrap() else {
        panic!("the node is there")
    };
    let words: Vec<_> = pods.iter().map(ToString::to_string).collect();
    let held = "default/web of ReplicaSet web-5d: the disruption budget web-budget needs 1 healthy pods and has 1 currently";
    assert_eq!(words, ["default/free of ReplicaSet web-5d", held], "the forecast");
    assert!(server.get("v1", "Pod", "default", "free").is_some(), "a forecast evicts nothing");
    let failure = world.apply(wish.clone()).unwrap_err();
    assert_eq!(failure.class, ErrorClass::Host);
    assert!(failure.message.contains("not drained after 1 s"), "{failure}");
    assert!(failure.evidence.contains(&held.to_owned()), "{failure:?}");
    assert!(node(&server)["spec"].get("unschedulable").is_none_or(|is| is == false));
    // Kept cordoned where that is wished.
    let failure = world.apply(Drain { uncordon_on_failure: false, ..wish.clone() }).unwrap_err();
    assert!(!failure.hints.iter().any(|hint| hint.contains("takes pods again")));
    assert_eq!(node(&server)["spec"]["unschedulable"], true);
    // Gone on with where that is wished; that it failed is told all the same.
    for uncordon_on_failure in [true, false] {
        let outcome = world.apply(Drain { may_fail: true, uncordon_on_failure, ..wish.clone() }).unwrap();
        let shortfall = outcome.shortfall.unwrap();
        assert!(shortfall.evidence.contains(&held.to_owned()), "{shortfall:?}");
        let is_cordoned = node(&server)["spec"]["unschedulable"] == true;
        assert_eq!(is_cordoned, !uncordon_on_failure);
    }
    // The fallback asks no budget.
    let fallback = Some(DrainFallback { grace_s: Some(1), timeout_s: 30 });
    world.converge(Drain { fallback, ..wish });
}

#[test]
fn a_node_that_a_person_cordoned_stays_so() {
    let (world, server) = with_node();
    server.edit("v1", "Node", "", "n1", json!({"spec": {"unschedulable": true}}));
    pod(&server, "web", WEB, |_| {});
    budget(&server, "web");
    for mark in [None, Some("run-1".to_owned())] {
        world.apply(Drain { timeout_s: 0, mark, ..drain() }).unwrap_err();
        assert_eq!(node(&server)["spec"]["unschedulable"], true);
    }
}

#[test]
fn pods_that_must_not_go_are_named_before_any_goes() {
    for (change, why) in [
        (Drain { force: false, ..drain() }, "default/bare of nobody: nothing makes it anew elsewhere"),
        (Drain { ignore_daemonsets: false, ..drain() }, "default/agent of DaemonSet agent: its DaemonSet"),
        (Drain { delete_empty_dir: false, ..drain() }, "default/cache of ReplicaSet web-5d: data in its"),
    ] {
        let (world, server) = with_node();
        pod(&server, "bare", None, |_| {});
        pod(&server, "agent", Some(("DaemonSet", "agent")), |_| {});
        pod(&server, "cache", WEB, |pod| pod["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]));
        let failure = world.apply(change).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Wish);
        assert!(failure.evidence[0].starts_with(why), "{failure:?}");
        for name in ["bare", "agent", "cache"] {
            let pod = server.get("v1", "Pod", "default", name).unwrap();
            assert!(pod["metadata"].get("deletionTimestamp").is_none(), "{name}");
        }
        assert!(node(&server)["spec"].get("unschedulable").is_none_or(|is| is == false));
    }
}

#[test]
fn only_selected_pods_go() {
    let (world, server) = with_node();
    pod(&server, "web", WEB, |_| {});
    pod(&server, "db", WEB, |_| {});
    world.converge(Drain { pod_selector: Some("app=web".into()), ..drain() });
    assert!(server.get("v1", "Pod", "default", "db").is_some());
}

#[test]
fn no_node_needs_no_drain_and_a_dead_api_is_unknown() {
    let (world, server) = cluster();
    assert!(differs(&world, &drain().into()).is_empty());
    server.store().is_down = true;
    assert_eq!(differs(&world, &drain().into()), ["node"]);
    assert_eq!(world.apply(drain()).unwrap_err().class, ErrorClass::Transient);
}

#[test]
fn an_api_server_may_restart_while_a_node_is_drained() {
    let (world, server) = with_node();
    pod(&server, "web", WEB, |_| {});
    server.store().lists_until_gone = 4;
    let store = server.shared();
    let restart = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(1200));
        store.lock().unwrap().is_down = true;
        std::thread::sleep(std::time::Duration::from_millis(1500));
        store.lock().unwrap().is_down = false;
    });
    world.converge(drain());
    restart.join().unwrap();
}
