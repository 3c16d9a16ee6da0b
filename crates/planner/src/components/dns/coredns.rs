//! CoreDNS (spec APP-026 to APP-032, APP-159), and the Service of etcd's metrics (APP-025).

use serde_json::{Map, Value, json};

use super::super::objects::{
    NAMESPACE, account, apply, checksum, cluster_role, cluster_role_binding, config_map, image, metadata,
    node_selector, prune, pull_policy, resources, rule, service_account, table, tolerations, with,
};
use super::super::{Chain, Host};
use super::{CORE_DNS, autoscaler, corefile, external_zones};

/// The role of CoreDNS.
const ROLE: &str = "system:coredns";

/// The servers whose names end in the suffixes; they share roles and configuration.
pub(super) fn wish(chain: &mut Chain<'_>, suffixes: &[String]) {
    let host = chain.host;
    let dns = &host.settings().dns;
    let external = external_zones(chain, "coredns_external_zones", dns.coredns_external_zones.as_ref());
    let data = configuration(corefile::of_cluster(dns, &external), corefile::etc_hosts(dns));
    let checksum = checksum([&data]);
    apply(
        chain,
        cluster_role(
            ROLE,
            vec![
                rule("core", "endpoints services pods namespaces", "list watch"),
                rule("core", "nodes", "get"),
                rule("discovery.k8s.io", "endpointslices", "list watch"),
            ],
        ),
    );
    apply(chain, cluster_role_binding(ROLE, ROLE, account(CORE_DNS)));
    apply(chain, config_map(CORE_DNS, data));
    apply(chain, service_account(CORE_DNS));
    if dns.enable_dns_autoscaler {
        autoscaler::roles(chain);
    }
    let addresses = [dns.skydns_server, dns.skydns_server_secondary];
    for (suffix, address) in suffixes.iter().zip(addresses) {
        apply(chain, deployment(&host, suffix, &checksum));
        apply(chain, service(&host, suffix, &address.to_string()));
        if dns.enable_dns_autoscaler {
            autoscaler::wish(chain, suffix);
        }
        if dns.coredns_pod_disruption_budget {
            apply(chain, budget(&host, suffix));
        }
    }
}

/// Removes what is not wished any more. The autoscaler's own `ConfigMap` is made by itself, and users change it
/// (APP-033): it is not ours.
pub(super) fn clean(chain: &mut Chain<'_>) {
    let roles = "rbac.authorization.k8s.io/v1";
    prune(
        chain,
        &[
            ("apps/v1", "Deployment"),
            ("policy/v1", "PodDisruptionBudget"),
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
            (roles, "ClusterRole"),
            (roles, "ClusterRoleBinding"),
        ],
    );
}

/// A Corefile and, where there are any, hosts.
pub(super) fn configuration(corefile: String, hosts: Option<&str>) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("Corefile".into(), corefile.into());
    if let Some(hosts) = hosts {
        data.insert("hosts".into(), format!("{}\n", hosts.trim_end()).into());
    }
    data
}

/// The configuration as a volume.
pub(super) fn configuration_volume(map: &str, key: &str, has_hosts: bool) -> Value {
    let hosts = if has_hosts { json!({"key": "hosts", "path": "hosts"}) } else { Value::Null };
    json!({"name": "config-volume", "configMap": {
        "name": map,
        "items": [{"key": key, "path": "Corefile"}, hosts],
    }})
}

/// The ports of a DNS server.
pub(super) fn ports(metrics: u16) -> Value {
    json!([
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        {"name": "metrics", "containerPort": metrics, "protocol": "TCP"},
    ])
}

fn label(suffix: &str) -> String {
    format!("kube-dns{suffix}")
}

fn deployment(host: &Host<'_>, suffix: &str, checksum: &str) -> Value {
    let dns = &host.settings().dns;
    let label = label(suffix);
    let probe = |path: &str, port: u16| {
        json!({
            "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
            "timeoutSeconds": 5,
            "failureThreshold": 10,
        })
    };
    let container = json!({
        "name": CORE_DNS,
        "image": image(host, "coredns", &dns.coredns_image_repo, &dns.coredns_image_tag),
        "imagePullPolicy": pull_policy(host),
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": ports(9153),
        "livenessProbe": probe("/health", 8080),
        "readinessProbe": probe("/ready", 8181),
        "resources": resources(
            [dns.dns_cpu_limit.as_ref(), Some(&dns.dns_memory_limit)],
            [Some(&dns.dns_cpu_requests), Some(&dns.dns_memory_requests)],
        ),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{"name": "config-volume", "mountPath": "/etc/coredns"}],
    });
    let pod = json!({
        "serviceAccountName": CORE_DNS,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "nodeSelector": node_selector(&dns.coredns_deployment_nodeselector),
        "tolerations": tolerations(dns.dns_extra_tolerations.as_ref()),
        "affinity": table(&dns.coredns_affinity),
        "containers": [container],
        "volumes": [configuration_volume(CORE_DNS, "Corefile", corefile::etc_hosts(dns).is_some())],
    });
    // With an autoscaler the number of replicas is its own.
    let replicas = (!dns.enable_dns_autoscaler).then_some(dns.coredns_replicas);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(&format!("{CORE_DNS}{suffix}"), json!({
            "k8s-app": label,
            "kubernetes.io/name": format!("{CORE_DNS}{suffix}"),
        })),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"k8s-app": label}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": "10%"},
            },
            "template": {
                "metadata": {"labels": {"k8s-app": label}, "annotations": {"checksum/config": checksum}},
                "spec": pod,
            },
        },
    })
}

fn service(host: &Host<'_>, suffix: &str, address: &str) -> Value {
    let label = label(suffix);
    let name = format!("{}{suffix}", host.settings().dns.coredns_svc_name);
    let labels = json!({"k8s-app": label, "kubernetes.io/name": format!("{CORE_DNS}{suffix}")});
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": with(metadata(&name, labels), json!({"annotations": {
            "prometheus.io/port": "9153",
            "prometheus.io/scrape": "true",
        }})),
        "spec": {
            "clusterIP": address,
            "selector": {"k8s-app": label},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                {"name": "metrics", "port": 9153, "protocol": "TCP"},
            ],
        },
    })
}

fn budget(host: &Host<'_>, suffix: &str) -> Value {
    let most = &host.settings().dns.coredns_pod_disruption_budget_max_unavailable;
    let most: Value = most.parse::<u64>().map_or_else(|_| most.as_str().into(), Value::from);
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": format!("{CORE_DNS}{suffix}"), "namespace": NAMESPACE},
        "spec": {"maxUnavailable": most, "selector": {"matchLabels": {"k8s-app": label(suffix)}}},
    })
}

/// A Service without pods, whose endpoints are the members of etcd; only where users wish it.
pub(super) fn etcd_metrics(chain: &mut Chain<'_>) {
    let host = chain.host;
    let etcd = &host.settings().etcd;
    let (Some(port), Some(labels)) = (etcd.etcd_metrics_port, &etcd.etcd_metrics_service_labels) else {
        return;
    };
    let name = "etcd-metrics";
    let labels = with(json!({"k8s-app": "etcd"}), table(labels));
    apply(
        chain,
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(name, labels.clone()),
            "spec": {
                "clusterIP": "None",
                "ports": [{"name": "http-metrics", "port": port, "protocol": "TCP"}],
            },
        }),
    );
    let spec = host.site.spec;
    let members =
        spec.groups.etcd.iter().filter_map(|name| spec.hosts.iter().find(|host| host.name == *name));
    let addresses: Vec<Value> = members
        .filter_map(|member| {
            let address = member.own.main_access_ip.known()?;
            let is_node = member.roles.control_plane || member.roles.worker;
            let node = is_node.then(|| json!({"kind": "Node", "name": member.node_name}));
            Some(json!({"ip": address.to_string(), "targetRef": node}))
        })
        .collect();
    apply(
        chain,
        json!({
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": metadata(name, labels),
            "subsets": [{
                "addresses": addresses,
                "ports": [{"name": "http-metrics", "port": port, "protocol": "TCP"}],
            }],
        }),
    );
}
