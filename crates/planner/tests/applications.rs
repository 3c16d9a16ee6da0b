//! What is done through the API server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_planner::components::{Live, PlanningError, Site};
use kubespray_planner::{Rule, lint};
use kubespray_resource::{
    Comparison, Facts, Gate, Guard, Object, ObjectRef, PLAN_SCHEMA_VERSION, Plan, PlannedStep, Policy, Probe,
    Resource, Secrets, Step, StepId, outline,
};
use serde_json::Value;
use support::{debian, part, shown, spec};

const HOSTS: &str = "
all:
  hosts: {a: {ip: 10.0.0.11}, b: {ip: 10.0.0.12}, w: {ip: 10.0.0.21}, e: {ip: 10.0.0.31}}
  children:
    kube_control_plane: {hosts: {a: , b: }}
    kube_node: {hosts: {w: }}
    etcd: {hosts: {e: }}
";

/// Everything that has more than one form, at once.
const FULL: &str = "
dns_mode: coredns_dual
enable_nodelocaldns_secondary: true
nodelocaldns_bind_metrics_host_ip: true
upstream_dns_servers: [10.9.9.9, 10.9.9.10]
old_dns_domains: [old.local]
coredns_external_zones:
  - {zones: [corp.example, '10.in-addr.arpa:1053'], nameservers: [10.1.1.1, 10.1.1.2], cache: 9, rewrite: [name a.corp.example b.corp.example]}
nodelocaldns_external_zones:
  - {zones: [corp.example], nameservers: [10.1.1.1]}
coredns_additional_configs: |
  log
  rewrite name x.example y.example
coredns_additional_error_config: consolidate 5m \".* i/o timeout$\" warning
coredns_rewrite_block: rewrite name foo.example bar.example
coredns_kubernetes_extra_domains: example.org
coredns_kubernetes_extra_opts: [ttl 5]
coredns_default_zone_cache_block: |
  cache 60 {
    prefetch 10
  }
enable_coredns_k8s_external: true
enable_coredns_k8s_endpoint_pod_names: true
dns_upstream_forward_extra_opts: {policy: sequential, next: ''}
nodelocaldns_additional_configs: log
dns_etchosts: |
  10.0.0.99 registry.example
coredns_pod_disruption_budget: true
dns_extra_tolerations: [{key: dedicated, operator: Exists}]
dns_cpu_limit: 300m
serial: 1
metrics_server_enabled: true
typha_enabled: true
typha_prometheusmetricsenabled: true
calico_network_backend: bird
calico_vxlan_mode: Never
calico_ipip_mode: CrossSubnet
calico_mtu: 1400
calico_veth_mtu: 1380
calico_wireguard_enabled: true
calico_felix_prometheusmetricsenabled: true
calico_node_extra_envs: {FELIX_CHAININSERTMODE: Append, FELIX_X: 1}
calico_advertise_cluster_ips: true
calico_advertise_service_external_ips: [10.8.0.0/24]
calico_feature_control: {floating_ips: true}
ipv6_stack: true
peer_with_router: true
peers: [{router_id: 10.0.0.1, as: '65001'}, {router_id: 10.0.0.2, as: 65002, scope: global, name: edge}]
etcd_metrics_port: 2381
etcd_metrics_service_labels: {release: prometheus}
gateway_api_enabled: true
prometheus_operator_crds_enabled: true
";

fn facts() -> BTreeMap<String, Facts> {
    [("a", 11), ("b", 12), ("w", 21), ("e", 31)]
        .map(|(host, last)| (host.to_owned(), debian(&format!("10.0.0.{last}"))))
        .into()
}

#[derive(Default)]
struct Applications {
    steps: Vec<Step>,
    gates: BTreeMap<String, Gate>,
    refusals: Vec<PlanningError>,
}

/// The pod network and what is done through the API server.
fn applications(site: &Site<'_>, manifests: &BTreeMap<String, String>) -> Applications {
    let others = "bootstrap_os preinstall container-engine download etcd node control-plane kubeadm node-label resolvconf";
    let is_part =
        |phase: &str, component: &str| component != "cni" && others.split(' ').all(|other| other != phase);
    match part(site, manifests, is_part) {
        Ok(mut wishes) => {
            wishes.gates.retain(|name, _| ["network", "dns"].contains(&name.as_str()));
            Applications { steps: wishes.steps, gates: wishes.gates, refusals: Vec::new() }
        }
        Err(refusals) => Applications { refusals, ..Applications::default() },
    }
}

fn wished_with(vars: &str, live: &Live, manifests: &BTreeMap<String, String>) -> Applications {
    let facts = facts();
    let spec = spec(HOSTS, vars, &facts);
    applications(&Site { spec: &spec, facts: &facts, live }, manifests)
}

fn wished(vars: &str) -> Applications {
    wished_with(vars, &Live::default(), &BTreeMap::new())
}

fn objects(wished: &Applications) -> Vec<&Object> {
    wished
        .steps
        .iter()
        .filter_map(|step| match &step.resource {
            Resource::Object(object) => Some(object),
            _ => None,
        })
        .collect()
}

fn manifest<'w>(wished: &'w Applications, kind: &str, name: &str) -> &'w Value {
    let found = objects(wished).into_iter().find(|object| {
        let object = object.reference().unwrap();
        (object.kind.as_str(), object.name.as_str()) == (kind, name)
    });
    &found.unwrap_or_else(|| panic!("no {kind} {name}")).manifest
}

fn has(wished: &Applications, kind: &str, name: &str) -> bool {
    let references = objects(wished).into_iter().map(|object| object.reference().unwrap());
    references.into_iter().any(|object| object.kind == kind && object.name == name)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {value}"))
}

fn problems(wished: &Applications) -> Vec<String> {
    let steps = wished.steps.iter().cloned();
    let plan = Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: "cluster".into(),
        cluster: "cluster.local".into(),
        lock_hosts: vec!["a".into()],
        steps: steps
            .map(|step| PlannedStep { step, seen: Comparison::default(), changes: true, diff: None })
            .collect(),
        gates: wished.gates.clone(),
        policy: Policy::default(),
    };
    lint(&plan, &Secrets::default()).iter().map(ToString::to_string).collect()
}

#[test]
fn the_order_of_a_default_cluster() {
    let wished = wished("");
    assert_eq!(wished.refusals, []);
    let ids: Vec<String> = wished.steps.iter().map(|step| format!("{} [{}]", step.id, step.phase)).collect();
    insta::assert_snapshot!(ids.join("\n"));
}

#[test]
fn the_corefiles_of_a_default_cluster() {
    let wished = wished("");
    let of = |map: &str| text(manifest(&wished, "ConfigMap", map), "/data/Corefile").to_owned();
    insta::assert_snapshot!(format!("{}\n--- on nodes\n{}", of("coredns"), of("nodelocaldns")));
}

#[test]
fn the_corefiles_with_everything() {
    let wished = wished(FULL);
    let of =
        |map: &str, key: &str| text(manifest(&wished, "ConfigMap", map), &format!("/data/{key}")).to_owned();
    let all = [
        of("coredns", "Corefile"),
        of("coredns", "hosts"),
        of("nodelocaldns", "Corefile"),
        of("nodelocaldns", "Corefile-second"),
    ];
    for (line, text) in all.iter().flat_map(|text| text.lines().map(move |line| (line, text))) {
        assert_eq!(line, line.trim_end(), "{text}");
    }
    insta::assert_snapshot!(all.join("\n---\n"));
}

#[test]
fn the_dns_objects_of_a_default_cluster() {
    let wished = wished("");
    let dns = [
        ("Deployment", "coredns"),
        ("Service", "coredns"),
        ("ClusterRole", "system:coredns"),
        ("Deployment", "dns-autoscaler"),
        ("DaemonSet", "nodelocaldns"),
    ];
    let texts = dns.map(|(kind, name)| outline(manifest(&wished, kind, name)));
    insta::assert_snapshot!(texts.join("---\n"));
}

#[test]
fn the_calico_objects_of_a_default_cluster() {
    let wished = wished("");
    let calico = [
        ("ConfigMap", "calico-config"),
        ("ConfigMap", "kubernetes-services-endpoint"),
        ("FelixConfiguration", "default"),
        ("IPPool", "default-pool"),
        ("BGPConfiguration", "default"),
        ("IPAMConfig", "default"),
        ("DaemonSet", "calico-node"),
        ("Deployment", "calico-kube-controllers"),
    ];
    let texts = calico.map(|(kind, name)| outline(manifest(&wished, kind, name)));
    insta::assert_snapshot!(texts.join("---\n"));
}

#[test]
fn the_objects_of_flannel_and_metrics_server() {
    let wished = wished("{kube_network_plugin: flannel, metrics_server_enabled: true}");
    let all = [
        ("ConfigMap", "kube-flannel-cfg"),
        ("DaemonSet", "kube-flannel"),
        ("Deployment", "metrics-server"),
        ("APIService", "v1beta1.metrics.k8s.io"),
    ];
    let texts = all.map(|(kind, name)| outline(manifest(&wished, kind, name)));
    insta::assert_snapshot!(texts.join("---\n"));
}

#[test]
fn programs_of_a_worker_with_calico() {
    let wished = wished("");
    let own: Vec<_> = wished.steps.iter().filter(|step| step.host == "w").cloned().collect();
    insta::assert_snapshot!(shown(&own));
}

/// Sites whose plans must be sound.
fn sites() -> Vec<(&'static str, Applications)> {
    let chart = "{kube_network_plugin: custom_cni, custom_cni_chart_release_name: net, \
                 custom_cni_chart_ref: r/net, custom_cni_chart_repository_name: r, \
                 custom_cni_chart_repository_url: 'https://charts.example', \
                 custom_cni_chart_repository_username: u, custom_cni_chart_repository_password: p4ss, \
                 https_proxy: 'http://proxy:3128'}";
    let manifests = [("/m/net.yml.j2".to_owned(), "kind: x\n".to_owned())].into();
    let custom = "{kube_network_plugin: custom_cni, custom_cni_manifests: [/m/net.yml.j2]}";
    vec![
        ("default", wished("")),
        ("full", wished(FULL)),
        ("flannel", wished("kube_network_plugin: flannel")),
        ("cni", wished("{kube_network_plugin: cni, metrics_server_enabled: true}")),
        ("none", wished("{kube_network_plugin: none, dns_mode: none}")),
        ("manual", wished("{dns_mode: manual, manual_dns_server: '10.3.3.3,10.3.3.4'}")),
        ("chart", wished(chart)),
        ("custom", wished_with(custom, &Live::default(), &manifests)),
    ]
}

#[test]
fn every_plan_is_sound() {
    for (name, wished) in sites() {
        assert_eq!(wished.refusals, [], "{name}");
        assert_eq!(problems(&wished), [""; 0], "{name}");
    }
}

#[test]
fn every_object_is_valid() {
    let cluster_wide = [
        "ClusterRole",
        "ClusterRoleBinding",
        "PriorityClass",
        "APIService",
        "FelixConfiguration",
        "IPPool",
        "BGPConfiguration",
        "BGPPeer",
        "IPAMConfig",
    ];
    for (site, wished) in sites() {
        let mut known = BTreeSet::new();
        for object in objects(&wished) {
            let reference = object.reference().unwrap();
            let at = format!("{site}: {reference}");
            assert!(object.force && object.kubeconfig == "/etc/kubernetes/admin.conf", "{at}");
            assert!(known.insert(reference.clone()), "{at} twice");
            let namespace = reference.namespace.as_deref();
            let expected = (!cluster_wide.contains(&reference.kind.as_str())).then_some("kube-system");
            assert_eq!(namespace, expected, "{at}");
            let name = reference.name.as_str();
            let is_path =
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c));
            assert!(is_path && name.len() < 254, "{at}");
            assert!(!object.manifest.to_string().contains("null"), "{at}");
            if let Some(pod) = object.manifest.pointer("/spec/template") {
                pods(&at, &object.manifest, pod);
            }
            if reference.kind == "ClusterRoleBinding" {
                let role = text(&object.manifest, "/roleRef/name");
                let is_built_in = ["system:node", "system:auth-delegator"].contains(&role);
                assert!(is_built_in || has(&wished, "ClusterRole", role), "{at}");
            }
        }
    }
}

fn pods(at: &str, workload: &Value, pod: &Value) {
    let selector = workload.pointer("/spec/selector/matchLabels").and_then(Value::as_object).unwrap();
    let labels = pod.pointer("/metadata/labels").and_then(Value::as_object).unwrap();
    assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{at}: selector");
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let volumes: BTreeSet<String> =
        list("/spec/volumes").iter().map(|volume| text(volume, "/name").to_owned()).collect();
    let mut mounted = BTreeSet::new();
    for container in [list("/spec/initContainers"), list("/spec/containers")].concat() {
        let name = text(&container, "/name");
        let image = text(&container, "/image");
        assert!(image.contains('/') && image.contains(':') && !image.contains("{{"), "{at}: {image}");
        let entries = |key: &str| container.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut variables = BTreeSet::new();
        for variable in entries("env") {
            assert!(variables.insert(text(&variable, "/name").to_owned()), "{at}: {name}: {variable} twice");
        }
        for mount in entries("volumeMounts") {
            let volume = text(&mount, "/name").to_owned();
            assert!(volumes.contains(&volume), "{at}: {name}: no volume {volume}");
            mounted.insert(volume);
        }
        if let Some(requests) = container.pointer("/resources/requests") {
            assert!(requests.as_object().unwrap().values().all(Value::is_string), "{at}: {requests}");
        }
    }
    assert_eq!(volumes, mounted, "{at}: volumes that nobody mounts");
}

#[test]
fn gates_are_opened_by_steps_of_the_leader() {
    let gates = |wished: &Applications| -> BTreeMap<String, Vec<String>> {
        let text = |gate: &Gate| gate.steps.iter().map(ToString::to_string).collect();
        wished.gates.iter().map(|(name, gate)| (name.clone(), text(gate))).collect()
    };
    for (vars, names) in [
        ("", &["dns", "network"][..]),
        (FULL, &["dns", "network"]),
        // What users install later cannot be waited for; caches on nodes need no pod network.
        ("kube_network_plugin: cni", &["dns"]),
        ("{kube_network_plugin: none, enable_nodelocaldns: false}", &[]),
        ("{dns_mode: none, enable_nodelocaldns: false}", &["network"]),
    ] {
        let wished = wished(vars);
        let found = gates(&wished);
        assert_eq!(found.keys().collect::<Vec<_>>(), names, "{vars}");
        let expected = |name: &str| format!("a/{}/ready", if name == "dns" { "coredns" } else { name });
        assert!(found.iter().all(|(name, steps)| *steps == [expected(name)]), "{found:?}");
        assert_eq!(problems(&wished), [""; 0], "{vars}: every gate can open");
        // All of DNS is waited for before its gate opens.
        let place = |id: &str| wished.steps.iter().position(|step| step.id.as_str() == id);
        if let Some(ready) = place("a/coredns/ready") {
            assert!(place("a/nodelocaldns/rolled-out-daemonset-nodelocaldns").is_none_or(|at| at < ready));
        }
    }
}

#[test]
fn the_leader_is_a_control_plane_that_is_there() {
    let live = Live { control_planes: ["b".to_owned()].into(), ..Live::default() };
    let wished = wished_with("", &live, &BTreeMap::new());
    let with_objects = wished.steps.iter().filter(|step| matches!(step.resource, Resource::Object(_)));
    assert!(with_objects.map(|step| step.host.as_str()).all(|host| host == "b"));
    assert_eq!(wished.gates["network"].steps, [StepId::from("b/network/ready")]);
}

#[test]
fn hosts_that_are_down_are_not_waited_for() {
    let mut known = facts();
    let spec = spec(HOSTS, "", &known);
    known.remove("w");
    let wished = applications(&Site { spec: &spec, facts: &known, live: &Live::default() }, &BTreeMap::new());
    let probes = wished.steps.iter().filter_map(|step| match &step.resource {
        Resource::Check(check) => Some((step.id.to_string(), &check.probe)),
        _ => None,
    });
    let mut seen = 0;
    for (id, probe) in probes {
        let json = serde_json::to_value(probe).unwrap();
        match probe {
            Probe::NodesReady { nodes, .. } => assert_eq!(*nodes, ["a", "b"]),
            Probe::Object { object: ObjectRef { kind, .. }, .. } if kind == "DaemonSet" => {
                assert_eq!(json["object"]["must"]["rolled_out"]["missing"], 1, "{id}");
            }
            _ => continue,
        }
        seen += 1;
    }
    assert_eq!(seen, 3, "nodes, calico-node, nodelocaldns");
}

#[test]
fn what_is_switched_off_goes_and_pools_of_addresses_stay() {
    let prune = |vars: &str, id: &str| {
        let wished = wished(vars);
        let step = wished.steps.iter().find(|step| step.id.to_string() == id).unwrap();
        let Resource::Prune(prune) = step.resource.clone() else { panic!("{id} is no prune") };
        prune
    };
    let second = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "DaemonSet".into(),
        namespace: Some("kube-system".into()),
        name: "nodelocaldns-second".into(),
    };
    assert!(prune(FULL, "a/nodelocaldns/prune").keeps(&second));
    assert!(!prune("", "a/nodelocaldns/prune").keeps(&second));
    let typha = ObjectRef { kind: "Deployment".into(), name: "calico-typha".into(), ..second };
    for (vars, is_kept) in [("", false), (FULL, true)] {
        let prune = prune(vars, "a/calico/prune");
        assert_eq!(prune.keeps(&typha), is_kept);
        assert!(prune.kinds.iter().all(|kind| kind.kind != "IPPool"), "addresses of pods come from it");
    }
}

#[test]
fn dns_modes() {
    // Who is there, and whom the caches on nodes ask.
    for (vars, first, second, forward) in [
        ("dns_mode: coredns", true, false, Some("forward . 10.233.0.3 {")),
        ("dns_mode: coredns_dual", true, true, Some("forward . 10.233.0.3 10.233.0.4 {")),
        ("{dns_mode: coredns, deploy_coredns: false}", false, false, Some("forward . 10.233.0.3 {")),
        (
            "{dns_mode: manual, manual_dns_server: '10.3.3.3,10.3.3.4'}",
            false,
            false,
            Some("forward . 10.3.3.3 10.3.3.4 {"),
        ),
        ("dns_mode: none", false, false, None),
    ] {
        let wished = wished(vars);
        assert_eq!(has(&wished, "Deployment", "coredns"), first, "{vars}");
        assert_eq!(has(&wished, "Deployment", "coredns-secondary"), second, "{vars}");
        assert_eq!(has(&wished, "Deployment", "dns-autoscaler"), first, "{vars}");
        let corefile = text(manifest(&wished, "ConfigMap", "nodelocaldns"), "/data/Corefile").to_owned();
        assert_eq!(corefile.contains("cluster.local:53 {"), forward.is_some(), "{vars}");
        assert!(forward.is_none_or(|line| corefile.contains(line)), "{vars}: {corefile}");
        assert_eq!(corefile.matches("health 169.254.25.10:9254").count(), 1, "{vars}");
    }
    let without = wished("{enable_nodelocaldns: false, enable_dns_autoscaler: false}");
    assert!(!has(&without, "DaemonSet", "nodelocaldns"));
    assert!(!has(&without, "Deployment", "dns-autoscaler"));
    assert_eq!(manifest(&without, "Deployment", "coredns")["spec"]["replicas"], 2);
    assert!(manifest(&wished(""), "Deployment", "coredns")["spec"].get("replicas").is_none());
}

#[test]
fn what_cannot_be_done_is_refused() {
    for (vars, expected) in [
        ("kube_network_plugin: cilium", "the network plugin `cilium` cannot be installed yet"),
        ("kube_network_plugin: kube-router", "the network plugin `kube-router` cannot be installed yet"),
        ("kube_network_plugin_multus: true", "Multus cannot be installed yet"),
        ("calico_datastore: etcd", "Calico cannot keep its data in etcd yet"),
        ("{typha_enabled: true, typha_secure: true}", "Typha cannot have certificates yet"),
        ("calico_apiserver_enabled: true", "Calico's API server cannot be installed yet"),
        (
            "calico_pool_cidr: 10.1.0.0/16",
            "the pool `10.1.0.0/16` is not inside of the network of pods `10.233.64.0/18`",
        ),
        ("global_as_num: many", "`many` is no AS number"),
        ("coredns_external_zones: [{zones: [a.example]}]", "an external zone has no `nameservers`"),
        ("{peer_with_router: true, peers: [{as: 1}]}", "a router of `a` is not described"),
        (
            "{kube_network_plugin: custom_cni, custom_cni_manifests: [/m/none.yml]}",
            "the manifest `/m/none.yml` could not be read",
        ),
        (
            "{kube_network_plugin: custom_cni, custom_cni_chart_release_name: x}",
            "the chart of the network plugin is not named",
        ),
    ] {
        let refusals = wished(vars).refusals;
        assert!(refusals.iter().any(|refusal| refusal.message == expected), "{vars}: {refusals:?}");
        assert!(refusals.iter().all(|refusal| !refusal.hint.is_empty() && !refusal.component.is_empty()));
    }
}

#[test]
fn manifests_of_users_are_applied_when_they_change() {
    let sites = sites();
    let custom = &sites.iter().find(|(name, _)| *name == "custom").unwrap().1;
    let step = |name: &str| custom.steps.iter().find(|step| step.id.to_string() == name).unwrap();
    let file = step("a/custom_cni/manifest-net.yml");
    assert!(matches!(&file.resource, Resource::File(file) if file.path == "/etc/kubernetes/net.yml"));
    let Resource::Command(command) = &step("a/custom_cni/apply-net.yml").resource else { panic!() };
    assert_eq!(command.guards, [Guard::Pending(file.notifies[0].clone())]);
    assert!(command.argv.contains(&"--namespace=kube-system".to_owned()), "{:?}", command.argv);
    let chart = &sites.iter().find(|(name, _)| *name == "chart").unwrap().1;
    let printed = serde_json::to_string(&chart.steps).unwrap();
    assert!(!printed.contains("p4ss") && printed.contains("{secret:a/custom_cni_chart_repository_password}"));
    assert!(printed.contains("\"https_proxy\":\"http://proxy:3128\""));
}

#[test]
fn the_endpoint_of_calico_is_one_that_all_nodes_have() {
    for (vars, host) in [
        ("", Some("localhost")),
        ("loadbalancer_apiserver_port: 8443", None),
        ("{loadbalancer_apiserver_port: 8443, calico_bpf_enabled: true}", Some("localhost")),
        ("{loadbalancer_apiserver: {address: 10.0.0.99, port: 443}}", None),
        (
            "{loadbalancer_apiserver: {address: 10.0.0.99, port: 443}, calico_bpf_enabled: true, apiserver_loadbalancer_domain_name: lb.example}",
            Some("lb.example"),
        ),
    ] {
        let wished = wished(vars);
        let data = manifest(&wished, "ConfigMap", "kubernetes-services-endpoint").get("data").cloned();
        let found =
            data.as_ref().and_then(|data| data.get("KUBERNETES_SERVICE_HOST")).and_then(Value::as_str);
        assert_eq!(found, host, "{vars}");
    }
}

#[test]
fn pods_are_made_anew_when_their_configuration_changes() {
    let checksum = |vars: &str, kind: &str, name: &str| {
        let pointer = "/spec/template/metadata/annotations/checksum~1config";
        text(manifest(&wished(vars), kind, name), pointer).to_owned()
    };
    for (before, after, kind, name) in [
        ("", "upstream_dns_servers: [10.9.9.9]", "Deployment", "coredns"),
        ("", "upstream_dns_servers: [10.9.9.9]", "DaemonSet", "nodelocaldns"),
        ("", "calico_allow_ip_forwarding: true", "DaemonSet", "calico-node"),
        (
            "kube_network_plugin: flannel",
            "{kube_network_plugin: flannel, flannel_vxlan_port: 1}",
            "DaemonSet",
            "kube-flannel",
        ),
    ] {
        assert_eq!(checksum(before, kind, name), checksum(before, kind, name));
        assert_ne!(checksum(before, kind, name), checksum(after, kind, name), "{name}");
    }
}

#[test]
fn a_plan_with_a_gate_that_never_opens_would_be_found() {
    let mut wished = wished("");
    wished.gates.get_mut("network").unwrap().steps = vec!["a/network/no-such-step".into()];
    assert!(problems(&wished).iter().any(|problem| problem.starts_with(&Rule::Names.to_string())));
}
