//! All checks together.

use super::testing::{ids, outcome_of};

/// A real cluster: one control plane that is a worker as well, three etcd members, four segments.
const EIGHT_NODES: &str = "
all:
  hosts:
    node10-2: {ansible_host: 10.10.1.2, ip: 10.10.1.2, access_ip: 10.10.1.2}
    node10-3: {ansible_host: 10.10.1.3, ip: 10.10.1.3, access_ip: 10.10.1.3}
    node20-2: {ansible_host: 10.20.1.2, ip: 10.20.1.2, access_ip: 10.20.1.2}
    master20-3: {ansible_host: 10.20.1.3, ip: 10.20.1.3, access_ip: 10.20.1.3}
    node20-4: {ansible_host: 10.20.1.4, ip: 10.20.1.4, access_ip: 10.20.1.4}
    node11-2: {ansible_host: 10.11.1.2, ip: 10.11.1.2, access_ip: 10.11.1.2}
    node11-3: {ansible_host: 10.11.1.3, ip: 10.11.1.3, access_ip: 10.11.1.3}
    node40-2: {ansible_host: 10.40.1.2, ip: 10.40.1.2, access_ip: 10.40.1.2}
  children:
    kube_control_plane: {hosts: {master20-3: }}
    kube_node:
      hosts: {node10-2: , node10-3: , node20-2: , master20-3: , node20-4: , node11-2: , node11-3: , node40-2: }
    etcd: {hosts: {node20-2: , master20-3: , node20-4: }}
    k8s_cluster: {children: {kube_control_plane: , kube_node: }}
    calico_rr: {hosts: {}}
";

#[test]
fn a_real_cluster_passes() {
    let outcome = outcome_of(EIGHT_NODES, "");
    assert!(outcome.diagnostics.is_empty(), "{:#?}", outcome.diagnostics);
    assert!(outcome.bypassed.is_empty());
}

#[test]
fn all_mistakes_are_found_at_once() {
    let hosts = EIGHT_NODES
        .replace("ip: 10.40.1.2, access_ip: 10.40.1.2", "ip: 10.11.1.2")
        .replace(", node20-4: }", "}");
    let vars = "
kube_version: 1.30.0
kube_network_plugin: flanel
kube_service_addresses: 10.233.0.1/18
kube_pods_subnet: 10.10.0.0/16
container_manager: crio
gvisor_enabled: true
";
    let outcome = outcome_of(&hosts, vars);
    let mut found = ids(&outcome);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "VAL-006",
            "VAL-008",
            "VAL-012",
            "VAL-020",
            "VAL-030",
            "duplicate-address",
            "node-inside-cluster-network",
            "node-inside-cluster-network",
            "node-inside-cluster-network",
            "node-inside-cluster-network",
        ]
    );
}

/// Hosts that differ in what no check reads are checked once, and addresses in linear time.
#[test]
fn many_hosts_take_no_long_time() {
    let nodes: String = (1..5000)
        .map(|number| {
            let (high, low) = ((number / 250).to_string(), (number % 250 + 1).to_string());
            let number = number.to_string();
            [", n", &number, ": {ip: 192.168.", &high, ".", &low, ", node_labels: {n: '", &number, "'}}"]
                .concat()
        })
        .collect();
    let hosts = format!(
        "all: {{children: {{kube_control_plane: {{hosts: {{n0: }}}}, etcd: {{hosts: {{n0: }}}}, kube_node: {{hosts: {{n0: {{ip: 192.168.200.1}}{nodes}}}}}}}}}"
    );
    let start = std::time::Instant::now();
    let outcome = outcome_of(&hosts, "cloud_provider: aws\n");
    assert_eq!(ids(&outcome), ["VAL-010"]);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
