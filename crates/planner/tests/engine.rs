//! What hosts are given to run containers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_push_string, unreachable_pub, reason = "tests")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::BTreeMap;

use kubespray_planner::components::{Live, PlanningError, Site, engine_secrets};
use kubespray_planner::lint;
use kubespray_resource::{
    Comparison, Content, Download, Facts, File, PLAN_SCHEMA_VERSION, Plan, PlannedStep, Policy, Resource,
    Rollout, Secrets, Step,
};
use support::{debian, part, shown, spec};

const HOSTS: &str = "
all:
  hosts: {a: {ip: 10.0.0.11}, b: {ip: 10.0.0.12}, e: {ip: 10.0.0.13}}
  children:
    kube_control_plane: {hosts: {a: }}
    kube_node: {hosts: {b: }}
    etcd: {hosts: {e: }}
";

struct Wished {
    steps: Vec<Step>,
    refusals: Vec<PlanningError>,
    secrets: Secrets,
}

impl Wished {
    fn of(&self, host: &str) -> Vec<Step> {
        self.steps.iter().filter(|step| step.host == host).cloned().collect()
    }

    fn text(&self, id: &str) -> String {
        let step = self.steps.iter().find(|step| step.id.as_str() == id).unwrap_or_else(|| panic!("{id}"));
        let Resource::File(file) = &step.resource else { panic!("{id} is no file") };
        String::from_utf8(file.content.bytes(&self.secrets).unwrap().unwrap()).unwrap()
    }

    fn downloads(&self, host: &str) -> BTreeMap<String, Download> {
        let own = self.steps.iter().filter(|step| step.host == host);
        own.filter_map(|step| match &step.resource {
            Resource::Download(wish) => {
                Some((step.id.as_str().rsplit("/fetch-").next().unwrap().to_owned(), wish.clone()))
            }
            _ => None,
        })
        .collect()
    }

    fn refusals(&self) -> Vec<String> {
        self.refusals.iter().map(|refusal| format!("{}: {}", refusal.host, refusal.message)).collect()
    }
}

fn facts() -> BTreeMap<String, Facts> {
    [("a", 11), ("b", 12), ("e", 13)]
        .into_iter()
        .map(|(name, number)| (name.to_owned(), debian(&format!("10.0.0.{number}"))))
        .collect()
}

fn with(vars: &str, facts: &BTreeMap<String, Facts>, live: &Live) -> Wished {
    let spec = spec(HOSTS, vars, facts);
    let is_part = |phase: &str, component: &str| {
        ["container-engine", "download"].contains(&phase) || component == "cni"
    };
    let (steps, refusals) = match part(&Site { spec: &spec, facts, live }, &BTreeMap::new(), is_part) {
        Ok(wishes) => (wishes.steps, Vec::new()),
        Err(refusals) => (Vec::new(), refusals),
    };
    let secrets = engine_secrets(&spec);
    let hosts = spec.hosts.iter().map(|host| host.name.clone()).collect();
    let rollout = Rollout { hosts, max_unavailable: 1, canaries: 0 };
    let plan = Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: "cluster".into(),
        cluster: "test".into(),
        lock_hosts: Vec::new(),
        steps: steps
            .iter()
            .map(|step| PlannedStep {
                step: step.clone(),
                seen: Comparison::default(),
                changes: true,
                diff: None,
            })
            .collect(),
        gates: BTreeMap::new(),
        policy: Policy { rollouts: [("engine".to_owned(), rollout)].into(), ..Policy::default() },
    };
    assert_eq!(lint(&plan, &secrets), []);
    Wished { steps, refusals, secrets }
}

fn wished(vars: &str) -> Wished {
    with(vars, &facts(), &Live::default())
}

#[test]
fn a_control_plane() {
    let wished = wished("");
    assert_eq!(wished.refusals(), [""; 0]);
    insta::assert_snapshot!(shown(&wished.of("a")));
}

#[test]
fn a_worker_behind_mirrors_and_a_proxy() {
    let wished = wished(
        r#"
kube_network_plugin: flannel
http_proxy: http://proxy:3128
https_proxy: http://u:p%40ss@proxy:3129
download_validate_certs: false
github_url: https://mirror.lan/github.com
kubelet_download_url: http://mirror.lan/kubelet
kube_image_repo: mirror.lan:5000/k8s
kube_reserved: true
containerd_snapshotter: native
containerd_metrics_address: 127.0.0.1:1338
containerd_debug_address: /run/containerd/debug.sock
containerd_tracing_enabled: true
containerd_extra_args: |
  imports = ["/etc/containerd/conf.d/*.toml"]
containerd_extra_runtime_args: {device_ownership_from_security_context: true}
containerd_additional_runtimes:
  - {name: kata, type: io.containerd.kata.v2, privileged_without_host_devices: true, options: {Root: "", Number: 3}}
containerd_base_runtime_spec_rlimit_nofile: 1000000
containerd_registry_auth:
  - {registry: "mirror.lan:5000", username: puller, password: "s3cret\"pass"}
containerd_registries_mirrors:
  - prefix: docker.io
    mirrors:
      - host: https://mirror.lan:5000/v2/hub
        capabilities: [pull, resolve]
        override_path: true
        ca: /etc/ssl/mirror.pem
        client: [[/etc/ssl/client.pem, /etc/ssl/client.key]]
        header: {Authorization: "Basic c2VjcmV0OnNlY3JldA==", X-Site: [one, "two-of-them"]}
  - prefix: registry.lan:80
    server: http://registry.lan:80
    mirrors: [{host: "http://registry.lan:80", capabilities: pull, skip_verify: true}]
"#,
    );
    assert_eq!(wished.refusals(), [""; 0]);
    let steps: Vec<Step> = wished
        .of("b")
        .into_iter()
        .filter(|step| !matches!(step.resource, Resource::Archive(_) | Resource::Image(_)))
        .filter(|step| step.component != "download" && !step.id.as_str().ends_with("/base-spec"))
        .collect();
    assert!(wished.text("b/containerd/base-spec").contains("\"hard\": 1000000"));
    let shown = shown(&steps);
    for secret in ["s3cret", "c2VjcmV0", "cHVsbGVy", "two-of-them"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    insta::assert_snapshot!(shown);
    let configuration = wished.text("b/containerd/configuration");
    // puller:s3cret"pass
    let configuration = configuration.replace("cHVsbGVyOnMzY3JldCJwYXNz", "(user and password)");
    insta::assert_snapshot!("configuration_with_everything", configuration);
    let mirror = wished.text("b/containerd/registry-docker.io");
    assert!(mirror.contains("Authorization = [\"Basic c2VjcmV0OnNlY3JldA==\"]\n"), "{mirror}");
    assert!(mirror.contains("X-Site = [\"one\", \"two-of-them\"]\n"), "{mirror}");
}

#[test]
fn containerd_1_7_has_its_own_layout() {
    let wished = wished(
        r#"
containerd_version: 1.7.27
nri_enabled: false
enable_cdi: true
containerd_registry_auth: [{registry: quay.io, auth: "dXNlcjpwYXNzd29yZA=="}]
containerd_additional_runtimes: [{name: old, type: io.containerd.runc.v1, engine: "", root: /run/old, options: {}}]
"#,
    );
    assert_eq!(wished.refusals(), [""; 0]);
    insta::assert_snapshot!(wished.text("a/containerd/configuration"));
    let spec: serde_json::Value = serde_json::from_str(&wished.text("a/containerd/base-spec")).unwrap();
    assert_eq!(spec["ociVersion"], "1.1.0");
    assert_eq!(spec["process"]["rlimits"][0]["hard"], 65535);
    let archive = wished.steps.iter().find_map(|step| match &step.resource {
        Resource::Archive(wish) if wish.path.contains("/containerd-1") => Some(wish.clone()),
        _ => None,
    });
    let names: Vec<String> = archive.unwrap().members.into_iter().map(|member| member.name).collect();
    assert!(names.contains(&"bin/containerd-shim-runc-v1".to_owned()), "{names:?}");
}

#[test]
fn layouts_follow_the_version() {
    let metrics = "containerd_metrics_address: 127.0.0.1:1338";
    for (version, own, others) in [
        ("1.7.27", "version = 2", ["version = 3", "[plugins.\"io.containerd.server", "cri.v1.images"]),
        (
            "2.0.0",
            "discard_unpacked_layers = true",
            ["[plugins.\"io.containerd.server", "grpc.v1.cri", "sandbox_image"],
        ),
        (
            "2.2.1",
            "[metrics]\naddress = \"127.0.0.1:1338\"",
            ["version = 4", "io.containerd.server", "discard"],
        ),
        (
            "2.3.4",
            "[plugins.\"io.containerd.server.v1.metrics\"]\naddress = \"127.0.0.1:1338\"",
            ["[metrics]", "[grpc]", "discard"],
        ),
    ] {
        let wished = wished(&format!("{metrics}\ncontainerd_version: {version}"));
        let text = wished.text("a/containerd/configuration");
        assert!(text.contains(own), "{version}: {text}");
        for other in others {
            assert!(!text.contains(other), "{version}: {other}: {text}");
        }
    }
}

#[test]
fn etcd_hosts_have_no_engine() {
    assert_eq!(
        wished("").of("e").iter().map(|step| step.id.as_str()).collect::<Vec<_>>(),
        ["e/download/fetch-etcd"]
    );
}

#[test]
fn files_come_from_where_the_site_says() {
    let cases: [(&str, &str, &str, bool); 6] = [
        ("", "runc", "https://github.com/opencontainers/runc/releases/download/v1.4.3/runc.amd64", false),
        (
            "github_url: https://m/gh",
            "crictl",
            "https://m/gh/kubernetes-sigs/cri-tools/releases/download/v1.36.0/crictl-v1.36.0-linux-amd64.tar.gz",
            false,
        ),
        ("kubeadm_download_url: http://m/x", "kubeadm", "http://m/x", false),
        ("download_run_once: true\nrunc_download_url: http://m/r", "runc", "http://m/r", true),
        ("download_force_cache: true\nrunc_download_url: http://m/r", "runc", "http://m/r", true),
        (
            "download_run_once: true\ndownload_localhost: true\nrunc_download_url: http://m/r",
            "runc",
            "http://m/r",
            true,
        ),
    ];
    for (vars, artefact, url, from_controller) in cases {
        let downloads = wished(vars).downloads("a");
        let wish = &downloads[artefact];
        assert_eq!(wish.urls.join(" "), url, "{vars}");
        assert_eq!(wish.from_controller, from_controller, "{vars}");
    }
}

#[test]
fn proxies_are_chosen_by_url() {
    let vars = "http_proxy: http://p:1\nhttps_proxy: http://p:2\nno_proxy: 10.0.0.0/8\nrunc_download_url: http://m/r";
    let downloads = wished(vars).downloads("b");
    let proxy = |name: &str| (downloads[name].proxy.clone().unwrap(), downloads[name].no_proxy.clone());
    assert_eq!(proxy("runc"), ("http://p:1".into(), "10.0.0.0/8".into()));
    assert_eq!(proxy("kubelet"), ("http://p:2".into(), "10.0.0.0/8".into()));
    assert_eq!(wished("").downloads("b")["runc"].proxy, None);
    let half = wished("http_proxy: http://p:1").downloads("b");
    assert_eq!((&half["runc"].proxy, half["runc"].no_proxy.as_str()), (&None, ""));
}

#[test]
fn hosts_fetch_what_they_need_and_no_more() {
    let names =
        |vars: &str, host: &str| wished(vars).downloads(host).into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names("", "a"),
        "calico_crds calicoctl cni_plugins containerd crictl kubeadm kubectl kubelet nerdctl runc"
    );
    assert_eq!(
        names("kube_network_plugin: flannel", "b"),
        "cni_plugins containerd crictl kubeadm kubelet nerdctl runc"
    );
    // Engines fetch all the same (CRI-010).
    let skipped = "skip_downloads: true\nkube_network_plugin: flannel";
    assert_eq!(names(skipped, "b"), "cni_plugins containerd crictl nerdctl runc");
}

#[test]
fn tags_of_a_component_fetch_what_it_installs() {
    let wished = wished("");
    let mut installed = 0;
    for (at, step) in wished.steps.iter().enumerate() {
        let source = match &step.resource {
            Resource::Archive(wish) => &wish.path,
            Resource::File(File { content: Content::CopyOf { path, .. }, .. }) => path,
            _ => continue,
        };
        installed += 1;
        let is_fetched = wished.steps[..at].iter().any(|other| match &other.resource {
            Resource::Download(wish) => {
                (&other.host, &other.component, &wish.path) == (&step.host, &step.component, source)
            }
            _ => false,
        });
        assert!(is_fetched, "{}", step.id);
    }
    // runc, crictl, nerdctl, containerd and CNI plugins of two nodes.
    assert_eq!(installed, 10);
}

#[test]
fn images_are_pulled_where_they_run() {
    let names = |vars: &str, host: &str| {
        let ids =
            wished(vars).of(host).into_iter().filter(|step| matches!(step.resource, Resource::Image(_)));
        ids.map(|step| step.id.as_str().rsplit("/image-").next().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        names("kube_network_plugin: flannel", "a"),
        "coredns dnsautoscaler flannel flannel_init kube_apiserver kube_controller_manager kube_proxy \
         kube_scheduler nodelocaldns pause"
    );
    assert_eq!(
        names("kube_network_plugin: flannel", "b"),
        "coredns flannel flannel_init kube_proxy nginx_proxy nodelocaldns pause"
    );
    assert_eq!(names("download_container: false", "a"), "");
    assert_eq!(names("skip_downloads: true", "a"), "");
    let pinned = wished(&format!("pod_infra_digest_checksum: {}", "ab".repeat(32)));
    assert!(pinned.steps.iter().any(|step| match &step.resource {
        Resource::Image(image) =>
            image.reference == format!("registry.k8s.io/pause@sha256:{}", "ab".repeat(32)),
        _ => false,
    }));
}

#[test]
fn what_cannot_be_is_refused_before() {
    let digits = "ab".repeat(32);
    for (vars, expected) in [
        ("container_manager: crio", "a: the container engine `crio` is not supported yet".to_owned()),
        ("kata_containers_enabled: true", "a: Kata Containers are not supported yet".into()),
        (
            "runc_version: 9.9.9",
            "a: `runc` has no known checksum in version `9.9.9` for this architecture".into(),
        ),
        (
            &format!("runc_binary_checksum: sha512:{digits}{digits}"),
            "a: `runc` has a checksum of the kind `sha512`, and only `sha256` is accepted".into(),
        ),
        (
            "gvisor_enabled: true",
            "a: `gvisor_runsc` has a checksum of the kind `sha512`, and only `sha256` is accepted".into(),
        ),
        (
            "containerd_default_runtime: crun",
            "a: `containerd_default_runtime` is `crun`, which no runtime is called".into(),
        ),
        (
            "containerd_registries_mirrors: [{prefix: 'https://x', mirrors: []}]",
            "a: `https://x` in `containerd_registries_mirrors` is no registry".into(),
        ),
    ] {
        let refusals = wished(vars).refusals();
        assert!(refusals.contains(&expected), "{vars}: {refusals:?}");
    }
    let own = format!(
        "gvisor_enabled: true\ngvisor_runsc_binary_checksum: sha256:{digits}\n\
         gvisor_containerd_shim_binary_checksum: sha256:{digits}"
    );
    assert_eq!(wished(&own).refusals(), [""; 0]);
}

#[test]
fn another_engine_is_not_replaced() {
    let mut facts = facts();
    facts.get_mut("b").unwrap().units = [("docker.service".to_owned(), "active".to_owned())].into();
    let wished = with("", &facts, &Live::default());
    let [refusal] = wished.refusals.as_slice() else { panic!("{:?}", wished.refusals) };
    assert_eq!((refusal.host.as_str(), refusal.component.as_str()), ("b", "container-engine"));
    assert!(refusal.to_string().contains("drain the node"), "{refusal}");
}

#[test]
fn live_nodes_take_turns() {
    let live = Live { nodes: ["b".to_owned()].into(), ..Live::default() };
    let wished = with("", &facts(), &live);
    let turns = |host: &str| {
        let steps = wished.of(host).into_iter().filter(|step| step.rollout.is_some());
        steps.map(|step| step.id.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(turns("b"), "b/containerd/containerd.service b/containerd/healthy");
    assert_eq!(turns("a"), "");
}
