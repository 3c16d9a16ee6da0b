//! What hosts wait for of each other when a cluster is made.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::BTreeMap;

use kubespray_planner::components::{Live, Site};
use kubespray_planner::operations::cluster;
use kubespray_planner::{Seen, Wishes, lint, plan};
use kubespray_resource::{Facts, Needs, Secrets};
use support::absent::absent;
use support::{debian, rocky, spec};

const HOSTS: &str = "
all:
  hosts: {c1: {ip: 10.0.0.1}, c2: {ip: 10.0.0.2}, e1: {ip: 10.0.0.3}, e2: {ip: 10.0.0.4}, w1: {ip: 10.0.0.5},
          w2: {ip: 10.0.0.6}, w3: {ip: 10.0.0.7}, w4: {ip: 10.0.0.8}, w5: {ip: 10.0.0.9}}
  children:
    kube_control_plane: {hosts: {c2: , c1: }}
    kube_node: {hosts: {c1: , w1: , w2: , w3: , w4: , w5: }}
    etcd: {hosts: {e2: , e1: , c1: }}
";

fn wishes(vars: &str) -> Wishes {
    let facts: BTreeMap<String, Facts> = ["c1", "c2", "e1", "e2", "w1", "w2", "w3", "w4", "w5"]
        .into_iter()
        .zip(1..)
        .map(|(name, last)| {
            let address = format!("10.0.0.{last}");
            (name.to_owned(), if name == "w1" { rocky(&address) } else { debian(&address) })
        })
        .collect();
    let spec = spec(HOSTS, vars, &facts);
    cluster(&Site { spec: &spec, facts: &facts, live: &Live::default() }, &BTreeMap::new()).unwrap()
}

#[test]
fn who_is_locked_who_takes_turns_and_who_may_fail() {
    for (vars, at_once, budget) in [
        ("", 1, 0),
        ("serial: 3", 3, 0),
        ("serial: '50%'", 2, 0),
        ("any_errors_fatal: false", 1, 9),
        ("any_errors_fatal: true", 1, 0),
    ] {
        let wishes = wishes(vars);
        assert_eq!(wishes.lock_hosts, ["c1", "c2", "e1", "e2"]);
        let turns: Vec<_> = wishes
            .policy
            .rollouts
            .iter()
            .map(|(name, rollout)| (name.as_str(), rollout.hosts.join(" "), rollout.max_unavailable))
            .collect();
        let expected = [
            ("control-plane", "c2 c1".to_owned(), 1),
            ("engine", "c2 c1 w1 w2 w3 w4 w5".to_owned(), at_once),
            ("etcd", "e2 e1 c1".to_owned(), 1),
            ("proxies", "c2 c1 w1 w2 w3 w4 w5".to_owned(), at_once),
            ("workers", "w1 w2 w3 w4 w5".to_owned(), at_once),
        ];
        assert_eq!(turns, expected, "{vars}");
        assert_eq!(wishes.policy.failure_budget, budget, "{vars}");
    }
}

#[test]
fn gates_are_those_that_steps_open() {
    let wishes = wishes("");
    assert_eq!((wishes.operation.as_str(), wishes.cluster.as_str()), ("cluster", "cluster.local"));
    let etcd = &wishes.gates["etcd"];
    let opened_by: Vec<&str> = etcd.steps.iter().map(kubespray_resource::StepId::as_str).collect();
    assert_eq!(opened_by, ["c1/etcd/healthy", "e1/etcd/healthy", "e2/etcd/healthy"]);
    assert_eq!(etcd.needs, Needs::Majority);
}

#[test]
fn the_phases_of_a_host_are_in_their_order() {
    let wishes = wishes("");
    let phases = |host: &str| {
        let mut phases: Vec<&str> =
            wishes.steps.iter().filter(|step| step.host == host).map(|step| step.phase.as_str()).collect();
        phases.dedup();
        phases.join(" ")
    };
    let begin = "bootstrap_os preinstall container-engine download";
    let applications =
        "network cluster-roles network policy-controller apps etcd network apps policy-controller";
    assert_eq!(
        phases("c2"),
        format!(
            "{begin} etcd node control-plane kubeadm control-plane kubeadm {applications} node-label resolvconf"
        ),
        "all wait for the leader's control plane: what that does not need comes behind it"
    );
    assert_eq!(
        phases("c1"),
        format!("{begin} etcd network node control-plane kubeadm control-plane network resolvconf etcd"),
        "a copy of a key is the last that is done: nothing waits for it"
    );
    assert_eq!(phases("e1"), "bootstrap_os preinstall download etcd");
    assert_eq!(phases("w1"), format!("{begin} network node kubeadm network resolvconf"));
}

#[test]
fn a_plan_for_bare_hosts_keeps_all_rules() {
    for vars in [
        "",
        "etcd_events_cluster_enabled: true",
        "{http_proxy: 'http://proxy:3128', ntp_enabled: true, ntp_manage_config: true}",
    ] {
        let wishes = wishes(vars);
        let states = wishes.steps.iter().map(|step| (step.id.clone(), Ok(absent(&step.resource)))).collect();
        let mut secrets = Secrets::default();
        secrets.insert("generated/kubeadm_token", "abcdef.0123456789abcdef");
        secrets.insert("generated/kubeadm_certificate_key", "0123456789abcdef".repeat(4));
        let plan = plan(wishes, &Seen { states, ..Seen::default() }, &secrets).unwrap();
        assert_eq!(lint(&plan, &secrets), [], "{vars}");
    }
}
