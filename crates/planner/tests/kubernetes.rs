//! Kubelets, control planes and joins.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests need the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_planner::components::{Live, Site, control_plane_order};
use kubespray_planner::lint;
use kubespray_resource::{
    Comparison, Content, Disruption, Facts, Gate, Guard, Needs, NodeListed, PLAN_SCHEMA_VERSION, Plan,
    PlannedStep, Policy, Resource, Rollout, Secrets, Step, StepId,
};
use support::{debian, part, shown, spec};

const SMALL: &str = "
all:
  hosts: {a: {ip: 10.0.0.11}, b: {ip: 10.0.0.12}}
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: }}
    etcd: {hosts: {a: }}
";

const LARGE: &str = "
all:
  hosts: {a: {ip: 10.0.0.11}, b: {ip: 10.0.0.12}, c: {ip: 10.0.0.13}, w: {ip: 10.0.0.14}}
  children:
    kube_control_plane: {hosts: {a: , b: , c: }}
    kube_node: {hosts: {c: , w: }}
    etcd: {hosts: {a: , b: , c: }}
";

fn facts() -> BTreeMap<String, Facts> {
    let hosts = ["a", "b", "c", "w"].into_iter().enumerate();
    hosts.map(|(at, name)| (name.to_owned(), debian(&format!("10.0.0.{}", 11 + at)))).collect()
}

fn live(control_planes: &[&str], nodes: &[&str]) -> Live {
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(ToString::to_string).collect() };
    Live { control_planes: set(control_planes), nodes: set(nodes), ..Live::default() }
}

struct Made {
    steps: Vec<Step>,
    order: Vec<String>,
}

fn made(hosts: &str, vars: &str, live: &Live) -> Made {
    let facts = facts();
    let spec = spec(hosts, vars, &facts);
    let site = Site { spec: &spec, facts: &facts, live };
    let phases = ["node", "control-plane", "kubeadm", "node-label"];
    let steps = part(&site, &BTreeMap::new(), |phase, _| phases.contains(&phase)).unwrap().steps;
    Made { steps, order: control_plane_order(&site).into_iter().map(str::to_owned).collect() }
}

impl Made {
    fn of(&self, host: &str) -> Vec<Step> {
        self.steps.iter().filter(|step| step.host == host).cloned().collect()
    }

    fn get(&self, id: &str) -> &Step {
        self.steps.iter().find(|step| step.id.as_str() == id).unwrap_or_else(|| panic!("no `{id}`"))
    }

    fn has(&self, id: &str) -> bool {
        self.steps.iter().any(|step| step.id.as_str() == id)
    }

    fn text(&self, id: &str) -> String {
        let Resource::File(file) = &self.get(id).resource else { panic!("`{id}` is no file") };
        match &file.content {
            Content::Text(text) | Content::Secret(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn lints(&self) -> Vec<String> {
        let ready: Vec<StepId> =
            self.order.iter().map(|host| StepId(format!("{host}/control-plane/ready"))).collect();
        let gate = |steps: Vec<StepId>| Gate { steps, needs: Needs::All };
        let rollout = |hosts: Vec<String>| Rollout { hosts, max_unavailable: 1, canaries: 0 };
        let workers: Vec<String> = self.steps.iter().map(|step| step.host.clone()).collect();
        let plan = Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            operation: "test".into(),
            cluster: "c".into(),
            lock_hosts: Vec::new(),
            steps: self
                .steps
                .iter()
                .map(|step| PlannedStep {
                    step: step.clone(),
                    seen: Comparison::default(),
                    changes: true,
                    diff: None,
                })
                .collect(),
            gates: BTreeMap::from([
                ("etcd".to_owned(), gate(vec![self.steps[0].id.clone()])),
                ("initialised".to_owned(), gate(ready.into_iter().take(1).collect())),
            ]),
            policy: Policy {
                rollouts: BTreeMap::from([
                    ("control-plane".to_owned(), rollout(self.order.clone())),
                    ("proxies".to_owned(), rollout(workers.clone())),
                    ("workers".to_owned(), rollout(workers)),
                ]),
                ..Policy::default()
            },
        };
        lint(&plan, &Secrets::default()).iter().map(ToString::to_string).collect()
    }
}

/// Who waits for whom, without texts.
fn order_of(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        out.push_str(step.id.as_str());
        let words = |name: &str, list: Vec<&str>| {
            if list.is_empty() { String::new() } else { format!(" {name} {}", list.join(" ")) }
        };
        out.push_str(&words("after", step.after.iter().map(StepId::as_str).collect()));
        out.push_str(&words("gates", step.gates.iter().map(String::as_str).collect()));
        out.push_str(&words("->", step.notifies.iter().map(kubespray_resource::Token::as_str).collect()));
        if step.disruption != Disruption::None {
            out.push_str(&format!(" costs {}", step.disruption));
        }
        out.push_str(&words("in", step.rollout.iter().map(String::as_str).collect()));
        out.push('\n');
    }
    out
}

#[test]
fn a_fresh_worker() {
    let made = made(SMALL, "loadbalancer_apiserver_healthcheck_port: 8081\n", &Live::default());
    insta::assert_snapshot!(shown(&made.of("b")));
    assert_eq!(made.lints(), Vec::<String>::new());
}

#[test]
fn a_fresh_control_plane() {
    let made = made(SMALL, "", &Live::default());
    let own: Vec<Step> = made
        .of("a")
        .into_iter()
        .filter(|step| step.component != "kubelet" && step.component != "kube-proxy")
        .collect();
    insta::assert_snapshot!(shown(&own));
}

#[test]
fn three_fresh_control_planes_join_one_after_the_other() {
    let made = made(LARGE, "", &Live::default());
    insta::assert_snapshot!(order_of(&made.steps));
    assert_eq!(made.lints(), Vec::<String>::new());
}

#[test]
fn what_changes_on_live_ones_takes_turns() {
    let made = made(LARGE, "kubernetes_audit: true\n", &live(&["a", "b", "c"], &["a", "b", "c", "w"]));
    let own: Vec<Step> =
        made.steps.iter().filter(|step| step.host == "a" || step.host == "w").cloned().collect();
    insta::assert_snapshot!(order_of(&own));
    assert_eq!(made.lints(), Vec::<String>::new());
}

#[test]
fn a_node_that_was_ready_is_so_again_before_the_next_control_plane_has_its_turn() {
    let listed = |name: &str, ready| (name.to_owned(), NodeListed { ready, ..NodeListed::default() });
    let live = Live {
        listed: Some([listed("a", true), listed("b", false), listed("w", true)].into()),
        ..live(&["a", "b", "c"], &["a", "b", "c", "w"])
    };
    let made = made(LARGE, "", &live);
    let waits = made.steps.iter().filter(|step| step.id.as_str().ends_with("/node-ready"));
    let waits: Vec<(&str, Option<&str>)> =
        waits.map(|step| (step.id.as_str(), step.rollout.as_deref())).collect();
    // Of one that was not, or that nobody knows, it would be waited for in vain.
    assert_eq!(waits, [("a/control-plane/node-ready", Some("control-plane"))]);
}

#[test]
fn flags_of_live_manifests_are_compared_but_where_users_patch_them() {
    let flags = |vars: &str| {
        let made = made(LARGE, vars, &live(&["a", "b", "c"], &["a", "b", "c", "w"]));
        let step = made.steps.iter().find(|step| step.id.as_str() == "b/control-plane/manifests").unwrap();
        let Resource::Command(command) = &step.resource else { panic!("{}", step.id) };
        command.guards.iter().find_map(|guard| match guard {
            Guard::Flags(flags) => Some(flags.clone()),
            _ => None,
        })
    };
    let found = flags("kube_kubeadm_apiserver_extra_args: {v: 3}\n").unwrap();
    let paths: Vec<String> = found.keys().cloned().collect();
    let all = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    assert_eq!(paths, all.map(|name| format!("/etc/kubernetes/manifests/{name}.yaml")));
    let of_api = &found["/etc/kubernetes/manifests/kube-apiserver.yaml"];
    assert!(of_api.set.contains("v=3") && of_api.set.contains("profiling=False"), "{:?}", of_api.set);
    assert!(of_api.others.contains("secure-port") && !of_api.others.contains("profiling"));
    let patched = "kubeadm_patches: [{target: kube-apiserver, type: strategic, patch: {spec: {}}}]\n";
    assert_eq!(flags(patched), None);
}

#[test]
fn a_fresh_host_that_is_placed_first_joins() {
    let made = made(LARGE, "", &live(&["b", "c"], &["b", "c", "w"]));
    assert_eq!(made.order, ["b", "c", "a"]);
    let later = Live { super_admins: ["c".to_owned()].into(), ..live(&["a", "b", "c"], &["a", "b", "c"]) };
    assert_eq!(self::made(LARGE, "", &later).order, ["c", "a", "b"], "who made the cluster leads");
    assert!(made.has("a/control-plane/join") && !made.has("a/control-plane/init"));
    assert!(!made.has("a/control-plane/authority") && made.has("b/control-plane/authority"));
    assert!(made.text("a/control-plane/discovery").contains("https://10.0.0.12:6443"));
    let join = made.get("a/control-plane/join");
    let after: Vec<&str> = join.after.iter().map(StepId::as_str).collect();
    assert_eq!(after, ["b/control-plane/bootstrap-token", "c/control-plane/ready"]);
    assert_eq!(join.rollout.as_deref(), Some("control-plane"));
    assert_eq!(made.lints(), Vec::<String>::new());
}

#[test]
fn what_is_made_and_what_is_live_is_told_alike() {
    let fresh = made(LARGE, "", &Live::default());
    let later = made(LARGE, "", &live(&["a", "b", "c"], &["a", "b", "c", "w"]));
    let files = |made: &Made| -> BTreeMap<String, Resource> {
        let steps = made.steps.iter().filter(|step| {
            matches!(&step.resource, Resource::File(file) if !file.content.is_secret() && !matches!(file.content, Content::Output(_)))
        });
        steps.map(|step| (step.id.to_string(), step.resource.clone())).collect()
    };
    let (fresh, later) = (files(&fresh), files(&later));
    assert!(later.contains_key("a/control-plane/kubeadm-config") && later.len() > 20);
    for (id, file) in later {
        assert_eq!(fresh.get(&id), Some(&file), "{id}");
    }
}

/// `--tags` take what restarts along with what is restarted.
#[test]
fn every_tag_alone_is_a_plan() {
    let all = made(LARGE, "kubernetes_audit: true\n", &live(&["a", "b", "c"], &["a", "b", "c", "w"]));
    let tags: BTreeSet<String> =
        all.steps.iter().flat_map(|step| [step.phase.clone(), step.component.clone()]).collect();
    assert!(tags.contains("kubelet") && tags.contains("kubeadm"), "{tags:?}");
    for tag in tags {
        let is_in = |step: &&Step| step.phase == tag || step.component == tag;
        let steps: Vec<Step> = all.steps.iter().filter(is_in).cloned().collect();
        let awaited: BTreeSet<(&str, String)> = steps
            .iter()
            .filter_map(|step| Some((step.host.as_str(), step.resource.awaits()?.to_string())))
            .collect();
        for step in &steps {
            for token in &step.notifies {
                assert!(awaited.contains(&(step.host.as_str(), token.to_string())), "{tag}: {}", step.id);
            }
        }
    }
}

#[test]
fn anonymous_access_goes_whenever_kubeadm_made_it() {
    let vars = "remove_anonymous_access: true\n";
    let everybody = ["a", "b", "c", "w"];
    for (live, kind) in [
        (Live::default(), "command"),
        (live(&["a", "b", "c"], &["a", "b", "c"]), "command"),
        (live(&["a", "b", "c"], &everybody), "object_absent"),
    ] {
        let made = made(LARGE, vars, &live);
        let place = |id: &str| made.steps.iter().position(|step| step.id.as_str() == id);
        assert_eq!(made.get("a/control-plane/no-anonymous-access").resource.kind(), kind);
        let token = place("a/control-plane/bootstrap-token");
        assert_eq!(token.is_some(), kind == "command");
        assert!(token < place("a/control-plane/no-anonymous-access"));
        assert_eq!(made.lints(), Vec::<String>::new());
    }
}

#[test]
fn an_authority_of_others_is_left_to_them() {
    let made = made(LARGE, "kube_external_ca_mode: true\n", &Live::default());
    for step in ["authority", "upload-certificates", "certificate-names"] {
        assert!(!made.has(&format!("a/control-plane/{step}")), "{step}");
    }
    let join = made.text("w/kubeadm/configuration");
    assert!(join.contains("unsafeSkipCAVerification: true") && !join.contains("certificateKey"), "{join}");
    assert_eq!(made.lints(), Vec::<String>::new());
}

#[test]
fn nobody_is_given_the_key_that_another_host_shows_to_etcd() {
    let made = made(LARGE, "", &Live::default());
    let share = made.text("a/control-plane/kubeadm-share");
    assert!(share.contains("/not-shared/node-key.pem") && !share.contains("node-a-key.pem"), "{share}");
    assert!(made.text("a/control-plane/kubeadm-config").contains("/etc/ssl/etcd/ssl/node-a-key.pem"));
}

#[test]
fn endpoints() {
    let endpoint = |vars: &str, host: &str| {
        let made = made(LARGE, vars, &Live::default());
        let line = made.steps.iter().find_map(|step| match &step.resource {
            Resource::Line(line) if step.host == host && line.path.ends_with("kubelet.conf") => {
                line.line.clone()
            }
            _ => None,
        });
        let discovery = made.steps.iter().find_map(|step| match &step.resource {
            Resource::File(file) if step.host == "w" && file.path.ends_with("discovery-kubeconfig.yaml") => {
                Some(made.text(step.id.as_str()))
            }
            _ => None,
        });
        let server = discovery
            .unwrap()
            .lines()
            .find_map(|line| line.trim().strip_prefix("server: ").map(str::to_owned));
        let proxied = made.has(&format!("{host}/nginx/pod"));
        (line.unwrap().trim().to_owned(), server.unwrap(), proxied)
    };
    let external = "loadbalancer_apiserver: {address: lb.example, port: 8443}\n";
    let leader = "https://10.0.0.11:6443";
    for (vars, host, server, discovery, proxied) in [
        ("", "w", "https://localhost:6443", leader, true),
        ("", "a", "https://127.0.0.1:6443", leader, false),
        ("loadbalancer_apiserver_port: 7443\n", "w", "https://localhost:7443", leader, true),
        ("loadbalancer_apiserver_port: 7443\n", "a", "https://127.0.0.1:6443", leader, true),
        (external, "w", "https://lb.example:8443", "https://lb.example:8443", false),
        (external, "a", "https://lb.example:8443", "https://lb.example:8443", false),
        ("loadbalancer_apiserver_localhost: false\n", "w", leader, leader, false),
    ] {
        let expected = (format!("server: {server}"), discovery.to_owned(), proxied);
        assert_eq!(endpoint(vars, host), expected, "{vars} {host}");
    }
}

#[test]
fn flags_and_their_files() {
    let config = |vars: &str| made(SMALL, vars, &Live::default()).text("a/control-plane/kubeadm-config");
    let plain = config("");
    for (vars, flags) in [
        ("kubernetes_audit: true\n", &["audit-log-path", "audit-policy-file", "name: audit-logs"][..]),
        ("kubernetes_audit_webhook: true\n", &["audit-webhook-batch-max-size", "name: audit-policy"]),
        ("kube_encrypt_secret_data: true\n", &["encryption-provider-config"]),
        ("kube_apiserver_tracing: true\n", &["tracing-config-file", "name: tracing"]),
        (
            "kube_webhook_authorization: true\nkube_webhook_authorization_url: https://x\n",
            &["authorization-webhook-config-file", "name: webhook-authorization-config"],
        ),
        ("kube_apiserver_use_authentication_config_file: true\n", &["name: authentication-config"]),
        ("kube_kubeadm_apiserver_extra_args: {v: 4}\n", &["name: v\n    value: \"4\""]),
        ("tls_min_version: VersionTLS13\n", &["tls-min-version"]),
        ("supplementary_addresses_in_ssl_keys: [api.example]\n", &["- api.example"]),
        ("kube_apiserver_feature_gates: [A=true, B=false]\n", &["A=true,B=false"]),
    ] {
        let text = config(vars);
        for flag in flags {
            assert!(!plain.contains(flag), "{flag} {plain}");
            assert!(text.contains(flag), "{flag} {text}");
        }
    }
}

#[test]
fn secrets_stand_by_name_in_files_of_root_alone() {
    let made = made(LARGE, "kube_encrypt_secret_data: true\n", &Live::default());
    let mut names = BTreeSet::new();
    for step in &made.steps {
        let Resource::File(file) = &step.resource else { continue };
        if file.content.is_secret() {
            assert!(["0600", "0640"].contains(&file.mode.to_string().as_str()), "{}", step.id);
            names.extend(file.content.secret_names().into_iter().map(str::to_owned));
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(
        names,
        ["generated/kube_encrypt_token", "generated/kubeadm_certificate_key", "generated/kubeadm_token"]
    );
    // Who is live and lets nobody join needs none of those that expire.
    let quiet = self::made(LARGE, "", &live(&["a", "b", "c"], &["a", "b", "c", "w"]));
    let is_secret = |step: &&Step| matches!(&step.resource, Resource::File(file) if file.content.is_secret());
    assert_eq!(quiet.steps.iter().filter(is_secret).count(), 0);
}

#[test]
fn kubelets() {
    let config = |vars: &str| made(SMALL, vars, &Live::default()).text("b/kubelet/configuration");
    for (vars, line) in [
        ("", "cgroupDriver: systemd\n"),
        ("containerd_use_systemd_cgroup: false\n", "cgroupRoot: /\n"),
        ("kubelet_fail_swap_on: false\n", "swapBehavior: LimitedSwap\n"),
        ("enable_nodelocaldns: false\n", "- \"10.233.0.3\"\n"),
        ("kubelet_enforce_node_allocatable: pods,kube-reserved\n", "- kube-reserved\n"),
        ("kubelet_config_extra_args: {maxPods: 7}\n", "maxPods: 7\n"),
        ("kube_feature_gates: [A=true]\n", "  A: true\n"),
        ("kube_version: 1.35.0\n", "failCgroupV1: true\n"),
        ("kubelet_seccomp_default: true\n", "seccompDefault: true\n"),
    ] {
        let text = config(vars);
        assert!(text.contains(line), "{vars}{text}");
    }
    assert!(!config("kube_version: 1.34.0\n").contains("failCgroupV1"));
    assert!(!config("").contains("enforceNodeAllocatable"));
}

#[test]
fn nodes_are_labelled_by_the_leader() {
    let vars = "node_labels: {zone: x}\nnode_taints: ['dedicated=db:NoExecute']\n";
    let made = made(LARGE, vars, &Live::default());
    let state = |name: &str| match &made.get(&format!("a/node-label/{name}")).resource {
        Resource::NodeState(state) => state.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(state("w").labels.get("zone"), Some(&Some("x".to_owned())));
    assert_eq!(state("w").taints.get("dedicated:NoExecute"), Some(&Some("db".to_owned())));
    let own = "node-role.kubernetes.io/control-plane:NoSchedule";
    assert_eq!(state("c").taints.get(own), Some(&None));
    assert_eq!(state("a").taints.get(own), None);
    assert!(
        made.text("a/control-plane/kubeadm-config").contains("key: node-role.kubernetes.io/control-plane")
    );
    assert!(made.text("c/control-plane/kubeadm-config").contains("taints: []"));
}

#[test]
fn haproxy_and_kube_vip() {
    let vars = "
loadbalancer_apiserver_type: haproxy
kube_vip_enabled: true
kube_vip_arp_enabled: true
kube_proxy_strict_arp: true
kube_vip_controlplane_enabled: true
kube_vip_address: 10.0.0.100
";
    let fresh = made(SMALL, vars, &Live::default());
    let own: Vec<Step> = fresh
        .steps
        .iter()
        .filter(|step| ["haproxy", "kube-vip"].contains(&step.component.as_str()))
        .cloned()
        .collect();
    insta::assert_snapshot!(shown(&own));
    // The credential is the same when the host is live.
    let mut later = live(&["a"], &["a", "b"]);
    later.super_admins = later.control_planes.clone();
    assert_eq!(made(SMALL, vars, &later).text("a/kube-vip/pod"), fresh.text("a/kube-vip/pod"));
    assert!(fresh.text("a/control-plane/kubeadm-config").contains("- \"10.0.0.100\""));
}
