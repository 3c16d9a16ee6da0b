//! How long inventories of 1,000 and 5,000 hosts take, from files to the listing and to all remarks.
//! `scripts/bench` measures the commands themselves, with memory, beside Ansible's.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on stops")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kubespray_catalog::Catalog;
use kubespray_filters::SystemWorld;
use kubespray_inventory::Inventory;
use kubespray_spec::checks::{Site, check};
use kubespray_spec::{build, derive_groups};
use kubespray_variables::{Options, UnknownFacts, Variables};

/// Group variables as sites have them: plain values, lists, templates on other variables.
const ALL: &str = r#"
apiserver_loadbalancer_domain_name: "api.{{ cluster_name }}"
loadbalancer_apiserver: {address: 10.255.0.1, port: 8383}
upstream_dns_servers: [8.8.8.8, 8.8.4.4]
http_proxy: "http://proxy.example:3128"
https_proxy: "{{ http_proxy }}"
files_repo: "https://files.example"
kubelet_download_url: "{{ files_repo }}/kubernetes/v{{ kube_version }}/bin/linux/{{ image_arch }}/kubelet"
ntp_enabled: true
"#;
const CLUSTER: &str = r#"
kube_network_plugin: calico
kube_service_addresses: 10.233.0.0/18
kube_pods_subnet: 10.236.0.0/14
kube_network_node_prefix: 24
calico_mtu: 1450
container_manager: containerd
kubelet_max_pods: 200
dns_mode: coredns
enable_nodelocaldns: true
supplementary_addresses_in_ssl_keys: ["{{ loadbalancer_apiserver.address }}", "api.{{ dns_domain }}"]
kube_apiserver_enable_admission_plugins: [NodeRestriction, PodSecurity]
"#;

fn write_site(folder: &Path, hosts: usize) -> String {
    for (group, text) in [("all", ALL), ("k8s_cluster", CLUSTER)] {
        let folder = folder.join("group_vars").join(group);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("main.yml"), text).unwrap();
    }
    let mut text = String::from("all:\n  hosts:\n");
    for number in 0..hosts {
        let ip = format!("10.{}.{}.{}", number / 62_500, number / 250 % 250, number % 250 + 1);
        let rack = number / 40;
        let _ = writeln!(
            text,
            "    node{number}: {{ansible_host: {ip}, ip: {ip}, node_labels: {{rack: r{rack}}}}}"
        );
    }
    text.push_str("  children:\n    kube_control_plane: {hosts: {node0: , node1: , node2: }}\n");
    text.push_str("    etcd: {hosts: {node0: , node1: , node2: }}\n    kube_node:\n      hosts:\n");
    for number in 0..hosts {
        let _ = writeln!(text, "        node{number}:");
    }
    let path = folder.join("hosts.yaml");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

fn load(path: &str) -> Inventory {
    Inventory::load(&[path.to_owned()], &kubespray_inventory::Options::default()).unwrap()
}

fn list(path: &str) -> usize {
    let mut out = Vec::new();
    load(path).write_list(None, &mut out).unwrap();
    out.len()
}

fn validate(path: &str) -> usize {
    let mut inventory = load(path);
    derive_groups(&mut inventory).unwrap();
    let inventory = Arc::new(inventory);
    let variables = Variables::new(
        inventory.clone(),
        Options {
            world: Arc::new(SystemWorld::new(Vec::new(), false)),
            facts: std::collections::BTreeMap::new(),
            tables: Catalog::get().tables(),
            sources: vec![path.to_owned()],
            playbook_dir: String::new(),
            unknown_facts: UnknownFacts::Pending,
        },
    );
    let names = kubespray_variables::check::check(&variables);
    let outcome = check(&Site { variables: &variables, inventory: &inventory });
    assert!(names.is_empty() && outcome.diagnostics.is_empty(), "{names:#?} {outcome:#?}");
    build(&variables).unwrap().hosts.len()
}

fn sites(bencher: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut group = bencher.benchmark_group("sites");
    group.sample_size(10);
    for hosts in [1_000, 5_000] {
        let path = write_site(&folder.path().join(hosts.to_string()), hosts);
        group.bench_with_input(BenchmarkId::new("list", hosts), &path, |b, path| b.iter(|| list(path)));
        group.bench_with_input(BenchmarkId::new("validate", hosts), &path, |b, path| {
            b.iter(|| validate(path));
        });
    }
    group.finish();
}

criterion_group!(benches, sites);
criterion_main!(benches);
