//! Which assertions apply to a site, and what is written of it without asking a host.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_planner::components::{ASSERTIONS, Live, POD_ASSERTIONS, Site, assertion_of};
use kubespray_planner::operations::{PodProbes, cluster, pod_network, pod_probes, verify};
use kubespray_planner::{ItemKind, Seen, Wishes, lint, plan, render};
use kubespray_resource::{
    Assertion, Check, CheckState, Facts, PodSeen, PodsSeen, Probe, Resource, Secrets, ServiceSeen, State,
    Step,
};
use support::{debian, spec};

const HOSTS: &str = "
all:
  hosts: {c: {ip: 10.0.0.1}, e: {ip: 10.0.0.2}, w: {ip: 10.0.0.3}}
  children:
    kube_control_plane: {hosts: {c: }}
    kube_node: {hosts: {w: }}
    etcd: {hosts: {e: }}
";

const EVERYTHING: &str = "
dns_mode: coredns_dual
metrics_server_enabled: true
kube_encrypt_secret_data: true
etcd_events_cluster_enabled: true
loadbalancer_apiserver: {address: 10.0.0.9, port: 6443}
loadbalancer_apiserver_localhost: true
loadbalancer_apiserver_healthcheck_port: 8081
";

fn facts() -> BTreeMap<String, Facts> {
    [("c", "10.0.0.1"), ("e", "10.0.0.2"), ("w", "10.0.0.3")]
        .map(|(name, address)| (name.to_owned(), debian(address)))
        .into()
}

fn wishes_of(vars: &str, facts: &BTreeMap<String, Facts>) -> Wishes {
    // Files of one host name others: the specification is made of all facts.
    let spec = spec(HOSTS, vars, &self::facts());
    verify(&Site { spec: &spec, facts, live: &Live::default() }, &BTreeMap::new()).unwrap()
}

fn wishes(vars: &str) -> Wishes {
    wishes_of(vars, &facts())
}

fn names(wishes: &Wishes, host: &str) -> BTreeSet<String> {
    let prefix = format!("{host}/verify/");
    let ids = wishes.steps.iter().map(|step| step.id.as_str());
    ids.filter_map(|id| Some(id.strip_prefix(&prefix)?.to_owned())).collect()
}

/// One line for each: how long it may take, how often it is looked, and how.
fn shown(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let Resource::Check(check) = &step.resource else { panic!("{} is no check", step.id) };
        out += &format!("{} ({} s, every {} ms)\n", step.id, check.timeout_s, check.interval_ms);
        out += &format!("    {}\n", serde_json::to_string(&check.probe).unwrap());
    }
    out
}

#[test]
fn the_assertions_of_a_default_cluster() {
    insta::assert_snapshot!(shown(&wishes("").steps));
}

#[test]
fn every_assertion_applies_somewhere_and_every_step_is_one() {
    let mut seen = BTreeSet::new();
    for vars in ["", EVERYTHING] {
        let wishes = wishes(vars);
        for step in &wishes.steps {
            let named = assertion_of(step).unwrap_or_else(|| panic!("{} is no assertion", step.id));
            seen.insert(named.name);
            let Resource::Check(check) = &step.resource else { panic!("{} is no check", step.id) };
            assert_eq!(check.name, named.what);
            assert_eq!((step.component.as_str(), step.phase.as_str()), ("verify", "verify"));
        }
        assert!(wishes.lock_hosts.is_empty() && wishes.gates.is_empty(), "nothing is changed, nothing waits");
    }
    let all: BTreeSet<&str> = ASSERTIONS.iter().map(|named| named.name).collect();
    assert_eq!(seen, all);
}

#[test]
fn what_does_not_apply_is_not_asked() {
    let default = wishes("");
    assert!(!names(&default, "e").contains("kubelet"), "no node");
    assert!(!names(&default, "w").contains("api-answers"), "no control plane");
    let has = |vars: &str, host: &str, name: &str| names(&wishes(vars), host).contains(name);
    assert!(has("", "w", "dns-cache") && !has("enable_nodelocaldns: false", "w", "dns-cache"));
    assert!(has("", "w", "dns-of-host") && !has("resolvconf_mode: none", "w", "dns-of-host"));
    assert!(has("", "w", "api-through-proxy"));
    assert!(!has("loadbalancer_apiserver_localhost: false", "w", "api-through-proxy"));
    let none = "kube_network_plugin: none";
    assert!(has(none, "c", "nodes") && has(none, "c", "workload-daemonset-kube-proxy"));
    for name in ["pods", "system-pods", "workload-deployment-coredns", "api-through-service"] {
        assert!(has("", "c", name) && !has(none, "c", name), "{name} needs a network for pods");
    }
}

#[test]
fn what_is_asked_of_all_is_asked_where_somebody_answers() {
    let mut known = facts();
    known.remove("w");
    let some = wishes_of("", &known);
    assert!(names(&some, "w").is_empty() && names(&some, "c").contains("nodes"));
    let nodes = some.steps.iter().find(|step| step.id.as_str() == "c/verify/nodes").unwrap();
    let text = serde_json::to_string(&nodes.resource).unwrap();
    assert!(text.contains(r#""w":{"version""#), "a node whose host does not answer must be there: {text}");
    known.remove("c");
    assert!(!names(&wishes_of("", &known), "e").contains("nodes"), "no control plane can be asked");
}

#[test]
fn a_cluster_that_works_is_a_plan_without_changes() {
    let holds = |wishes: &Wishes, problem: Option<&str>| {
        let state = CheckState { problem: problem.map(str::to_owned), ..CheckState::default() };
        let states = wishes.steps.iter().map(|step| (step.id.clone(), Ok(State::Check(state.clone()))));
        let seen = Seen { states: states.collect(), ..Seen::default() };
        let plan = plan(wishes.clone(), &seen, &Secrets::default()).unwrap();
        assert_eq!(lint(&plan, &Secrets::default()), []);
        plan.is_empty()
    };
    let wishes = wishes(EVERYTHING);
    assert!(holds(&wishes, None));
    assert!(!holds(&wishes, Some("it is not")));
}

#[test]
fn what_is_rendered_of_a_small_site() {
    let facts = facts();
    let spec = spec(HOSTS, "kube_encrypt_secret_data: true", &facts);
    let site = Site { spec: &spec, facts: &facts, live: &Live::default() };
    let hosts = render(&cluster(&site, &BTreeMap::new()).unwrap());
    let mut out = String::new();
    for (host, items) in &hosts {
        for item in items {
            let kind = serde_json::to_value(item.kind).unwrap();
            let mode = item.mode.map_or_else(|| "-".to_owned(), |mode| mode.to_string());
            let owner = item.owner.as_deref().unwrap_or("-");
            let secrets =
                if item.secrets.is_empty() { String::new() } else { format!(" {:?}", item.secrets) };
            out += &format!(
                "{} {mode} {owner} {} <- {}{secrets}\n",
                kind.as_str().unwrap(),
                item.path,
                item.step
            );
        }
        let secret = items.iter().filter(|item| !item.secrets.is_empty());
        for item in secret {
            let text = String::from_utf8(item.bytes.clone().unwrap()).unwrap();
            assert!(text.contains("{secret:") && !item.more.contains_key("sha256"), "{host}: {}", item.path);
        }
        assert!(
            items.iter().all(|item| item.kind != ItemKind::Key || item.bytes.is_none()),
            "keys are made on hosts"
        );
    }
    insta::assert_snapshot!(out);
}

fn with_pods(vars: &str) -> PodProbes {
    let (spec, facts) = (spec(HOSTS, vars, &facts()), facts());
    pod_probes(&Site { spec: &spec, facts: &facts, live: &Live::default() }).unwrap()
}

/// A pod on each node, and the services.
fn pods_seen() -> PodsSeen {
    let pod =
        |uid: &str, address: &str| PodSeen { uid: uid.into(), addresses: vec![address.parse().unwrap()] };
    let service = |address: &str, ports: &[(&str, u16)]| ServiceSeen {
        addresses: vec![address.parse().unwrap()],
        node_ports: ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
    };
    PodsSeen {
        pods: [("c".to_owned(), pod("uid-c", "10.233.64.2")), ("w".to_owned(), pod("uid-w", "10.233.65.2"))]
            .into(),
        services: [
            ("probe".to_owned(), service("10.233.0.7", &[("stream", 30_001), ("datagram", 30_002)])),
            ("probe-here".to_owned(), service("10.233.0.8", &[])),
        ]
        .into(),
    }
}

#[test]
fn pods_of_ours_are_made_tried_and_removed() {
    let probes = with_pods("");
    let mut out = String::new();
    for step in &probes.setup.steps {
        let Resource::Object(object) = &step.resource else { panic!("{}", step.id) };
        out += &format!("{}\n    {}\n", step.id, object.manifest);
    }
    out += &shown(&probes.running.steps);
    for step in &probes.teardown.steps {
        out += &format!("{}: {}\n", step.id, step.resource.title());
    }
    let (spec, facts) = (spec(HOSTS, "", &facts()), facts());
    let site = Site { spec: &spec, facts: &facts, live: &Live::default() };
    let network = pod_network(&site, &pods_seen());
    out += &shown(&network.steps);
    insta::assert_snapshot!(out);

    // Two that do this at the same time would be in each other's way.
    assert_eq!(
        (probes.setup.lock_hosts, probes.teardown.lock_hosts),
        (vec!["c".into(), "e".into()], vec!["c".into(), "e".into()])
    );
    let named =
        |steps: &[Step]| steps.iter().map(|step| assertion_of(step).unwrap().name).collect::<BTreeSet<_>>();
    let all: BTreeSet<&str> = POD_ASSERTIONS.iter().map(|named| named.name).collect();
    assert_eq!(&named(&probes.running.steps) | &named(&network.steps), all);
    assert!(
        pod_network(&site, &PodsSeen::default()).steps.is_empty(),
        "nothing leads to pods that do not run"
    );
}

#[test]
fn pods_are_not_made_where_they_have_no_network_or_nobody_can() {
    let refusal = |vars: &str, known: &BTreeMap<String, Facts>| {
        let spec = spec(HOSTS, vars, &facts());
        pod_probes(&Site { spec: &spec, facts: known, live: &Live::default() }).unwrap_err().message
    };
    assert_eq!(
        refusal("kube_network_plugin: none", &facts()),
        "without a network for pods of Kubespray's there is nothing to try (`kube_network_plugin`)"
    );
    let mut known = facts();
    known.remove("c");
    assert_eq!(refusal("", &known), "no control plane answers, so no pods can be made");
}

#[test]
fn a_thousand_hosts_try_a_few_others_each() {
    let names: Vec<String> = (0..1000).map(|number| format!("n{number}")).collect();
    let address = |at: usize| format!("10.0.{}.{}", at / 250, at % 250 + 1);
    let (mut hosts, mut workers) = (String::new(), String::new());
    for (at, name) in names.iter().enumerate() {
        hosts += &format!("{name}: {{ip: {}}}, ", address(at));
        workers += &format!("{name}: , ");
    }
    let inventory = format!(
        "all: {{hosts: {{{hosts}}}, children: {{kube_control_plane: {{hosts: {{n0: }}}}, etcd: {{hosts: {{n0: }}}}, kube_node: {{hosts: {{{workers}}}}}}}}}"
    );
    let facts: BTreeMap<String, Facts> =
        names.iter().enumerate().map(|(at, name)| (name.clone(), debian(&address(at)))).collect();
    let spec = spec(&inventory, "", &facts);
    let site = Site { spec: &spec, facts: &facts, live: &Live::default() };
    let pod = |at: usize| PodSeen {
        uid: at.to_string(),
        addresses: vec![std::net::Ipv4Addr::from_bits(at as u32).into()],
    };
    let pods = names.iter().enumerate().map(|(at, name)| (name.clone(), pod(at))).collect();
    let wishes = pod_network(&site, &PodsSeen { pods, ..PodsSeen::default() });
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    for step in wishes.steps.iter().filter(|step| step.id.as_str().ends_with("/pod-network")) {
        let Resource::Check(Check { probe: Probe::Cluster(Assertion::Network { trials, .. }), .. }) =
            &step.resource
        else {
            panic!("{}", step.id)
        };
        // Each of a few by a stream and by a datagram.
        assert_eq!(trials.len(), 16, "{}", step.id);
        trials.iter().for_each(|trial| *tried.entry(trial.what.clone()).or_default() += 1);
    }
    assert_eq!(tried.len(), 1000, "everybody is tried by somebody");
}
