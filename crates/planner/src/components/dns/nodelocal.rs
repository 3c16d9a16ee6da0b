//! Caches of DNS on every node (spec APP-034 to APP-038, APP-161, APP-162).

use kubespray_spec::choices::DnsMode;
use kubespray_spec::dns::Dns;
use serde_json::{Value, json};

use super::super::objects::{
    apply, checksum, config_map, env_field, host_path, image, max_unavailable, metadata, mount,
    node_selector, prune, pull_policy, resources, service_account, tolerate_all,
};
use super::super::{Chain, Host};
use super::corefile::{NodeCache, etc_hosts, of_nodes};
use super::{NODE_LOCAL, coredns, external_zones};

/// The second cache, which answers while the first one is exchanged.
pub(super) const SECOND: &str = "nodelocaldns-second";
const SECOND_KEY: &str = "Corefile-second";

/// The caches with their configuration.
pub(super) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let dns = &host.settings().dns;
    let zones =
        external_zones(chain, "nodelocaldns_external_zones", dns.nodelocaldns_external_zones.as_ref());
    let servers = servers(dns);
    let first = NodeCache {
        metrics_port: dns.nodelocaldns_prometheus_port,
        health_port: dns.nodelocaldns_health_port,
    };
    let second = NodeCache {
        metrics_port: dns.nodelocaldns_secondary_prometheus_port,
        health_port: dns.nodelocaldns_second_health_port,
    };
    let mut data = coredns::configuration(of_nodes(dns, &zones, &servers, first), etc_hosts(dns));
    if dns.enable_nodelocaldns_secondary {
        data.insert(SECOND_KEY.into(), of_nodes(dns, &zones, &servers, second).into());
    }
    let checksum = checksum([&data]);
    apply(chain, service_account(NODE_LOCAL));
    apply(chain, config_map(NODE_LOCAL, data));
    apply(chain, daemon_set(&host, first, &checksum, false));
    if dns.enable_nodelocaldns_secondary {
        apply(chain, daemon_set(&host, second, &checksum, true));
    }
}

/// Removes what is not wished any more.
pub(super) fn clean(chain: &mut Chain<'_>) {
    prune(chain, &[("apps/v1", "DaemonSet")]);
}

/// The DNS servers of the cluster.
fn servers(dns: &Dns) -> Vec<String> {
    match dns.dns_mode {
        DnsMode::Coredns => vec![dns.skydns_server.to_string()],
        DnsMode::CorednsDual => vec![dns.skydns_server.to_string(), dns.skydns_server_secondary.to_string()],
        DnsMode::Manual => {
            let servers = dns.manual_dns_server.as_deref().unwrap_or_default();
            let servers = servers.split([',', ' ']).filter(|server| !server.is_empty());
            servers.map(str::to_owned).collect()
        }
        DnsMode::None => Vec::new(),
    }
}

fn daemon_set(host: &Host<'_>, cache: NodeCache, checksum: &str, is_second: bool) -> Value {
    let dns = &host.settings().dns;
    let (name, label, priority) = if is_second {
        (SECOND, "node-local-dns-second", "system-cluster-critical")
    } else {
        (NODE_LOCAL, "node-local-dns", "system-node-critical")
    };
    let address = dns.nodelocaldns_ip.to_string();
    let mut arguments =
        vec!["-localip", &address, "-conf", "/etc/coredns/Corefile", "-upstreamsvc", "coredns"];
    if dns.enable_nodelocaldns_secondary {
        // What one of them takes down at its end the other one still needs.
        arguments.push("-skipteardown");
    }
    let probe = json!({
        "httpGet": {"host": address, "path": "/health", "port": cache.health_port, "scheme": "HTTP"},
        "timeoutSeconds": 5,
        "failureThreshold": 10,
    });
    // Both listen at port 53 of the same address; a port of the host can be declared by one of them only.
    let ports = if is_second {
        json!([{"name": "metrics", "containerPort": cache.metrics_port, "protocol": "TCP"}])
    } else {
        coredns::ports(cache.metrics_port)
    };
    let skew = dns.nodelocaldns_secondary_skew_seconds;
    let lifecycle = is_second.then(
        || json!({"preStop": {"exec": {"command": ["sh", "-c", format!("sleep {skew} && kill -9 1")]}}}),
    );
    let metrics_host =
        dns.nodelocaldns_bind_metrics_host_ip.then(|| [env_field("MY_HOST_IP", "status.hostIP")]);
    let container = json!({
        "name": "node-cache",
        "image": image(host, "nodelocaldns", &dns.nodelocaldns_image_repo, &dns.nodelocaldns_image_tag),
        "imagePullPolicy": pull_policy(host),
        "args": arguments,
        "env": metrics_host,
        "ports": ports,
        "livenessProbe": probe.clone(),
        "readinessProbe": probe,
        "lifecycle": lifecycle,
        "resources": resources(
            [None, Some(&dns.nodelocaldns_memory_limit)],
            [Some(&dns.nodelocaldns_cpu_requests), Some(&dns.nodelocaldns_memory_requests)],
        ),
        "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        "volumeMounts": [
            mount("config-volume", "/etc/coredns", false),
            mount("xtables-lock", "/run/xtables.lock", false),
        ],
    });
    let key = if is_second { SECOND_KEY } else { "Corefile" };
    let pod = json!({
        "serviceAccountName": NODE_LOCAL,
        "priorityClassName": priority,
        "hostNetwork": true,
        "dnsPolicy": "Default",
        "nodeSelector": node_selector(&dns.nodelocaldns_ds_nodeselector),
        "tolerations": tolerate_all(),
        "terminationGracePeriodSeconds": if is_second { skew } else { 0 },
        "containers": [container],
        "volumes": [
            coredns::configuration_volume(NODE_LOCAL, key, etc_hosts(dns).is_some()),
            host_path("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
        ],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(name, json!({"k8s-app": "kube-dns"})),
        "spec": {
            "selector": {"matchLabels": {"k8s-app": label}},
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": max_unavailable(host)},
            },
            "template": {
                "metadata": {"labels": {"k8s-app": label}, "annotations": {
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": cache.metrics_port.to_string(),
                    "checksum/config": checksum,
                }},
                "spec": pod,
            },
        },
    })
}
