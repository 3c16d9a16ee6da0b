//! Flannel (`network_plugin/flannel`; spec NET-130 to NET-135, NET-163, NET-174).
//!
//! There is a `DaemonSet` for each architecture that the cluster has, not for all that exist (NET-133). Pods are made
//! anew when their configuration changes, which they read only once.

use std::collections::BTreeSet;

use kubespray_resource::{Check, Probe};
use kubespray_spec::choices::{FlannelBackendType, ProxyMode};
use kubespray_spec::network::Flannel;
use serde_json::{Map, Value, json};

use super::super::objects::{
    account, apply, checksum, cluster_role, cluster_role_binding, config_map, env, env_field, host_path,
    image, max_unavailable, metadata, mount, prune, pull_policy, resources, rolled_out, rule,
    service_account, word,
};
use super::super::{Chain, Host};

pub(super) const COMPONENT: &str = "flannel";
const NAME: &str = "flannel";
const CONFIGURATION: &str = "kube-flannel-cfg";

/// What flannel writes on each node when it knows the node's network.
const SUBNET: &str = "/run/flannel/subnet.env";

pub(super) fn objects(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Some(settings) = &host.settings().flannel else { return };
    apply(chain, service_account(NAME));
    let rules = vec![
        rule("core", "pods", "get"),
        rule("core", "nodes", "get list watch"),
        rule("core", "nodes/status", "patch"),
        rule("networking.k8s.io", "clustercidrs", "list watch"),
    ];
    apply(chain, cluster_role(NAME, rules));
    apply(chain, cluster_role_binding(NAME, NAME, account(NAME)));
    let data = configuration(&host, settings);
    let checksum = checksum([&data]);
    apply(chain, config_map(CONFIGURATION, data));
    for architecture in architectures(&host) {
        apply(chain, daemon_set(&host, settings, &architecture, &checksum));
    }
}

pub(super) fn wait(chain: &mut Chain<'_>) {
    for architecture in architectures(&chain.host) {
        rolled_out(chain, "DaemonSet", &name(&architecture));
    }
    prune(chain, &[("apps/v1", "DaemonSet")]);
}

/// Containers can be made only when the file is there, a moment after the node is ready.
pub(super) fn wait_on_host(chain: &mut Chain<'_>) {
    let probe = Probe::Path(SUBNET.into());
    chain.add(
        "subnet",
        Check { name: "flannel knows the node's network".into(), probe, timeout_s: 600, interval_ms: 1000 },
    );
}

fn architectures(host: &Host<'_>) -> BTreeSet<String> {
    let hosts = host.site.hosts().filter(Host::is_node);
    hosts.filter_map(|host| host.spec.architecture.known().cloned()).collect()
}

fn name(architecture: &str) -> String {
    match architecture {
        "amd64" => "kube-flannel".to_owned(),
        other => format!("kube-flannel-ds-{other}"),
    }
}

fn configuration(host: &Host<'_>, settings: &Flannel) -> Map<String, Value> {
    let network = &host.settings().network;
    let plugins = json!({
        "name": "cbr0",
        "cniVersion": "0.3.1",
        "plugins": [
            {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    let mut backend = Map::new();
    backend.insert("Type".into(), word(settings.flannel_backend_type));
    if settings.flannel_backend_type == FlannelBackendType::Vxlan {
        backend.insert("VNI".into(), settings.flannel_vxlan_vni.into());
        backend.insert("Port".into(), settings.flannel_vxlan_port.into());
        backend.insert("DirectRouting".into(), settings.flannel_vxlan_direct_routing.into());
    }
    let mut net = Map::new();
    if network.ipv4_stack {
        net.insert("Network".into(), network.kube_pods_subnet.to_string().into());
        net.insert("EnableIPv4".into(), true.into());
    }
    if network.ipv6_stack {
        net.insert("EnableIPv6".into(), true.into());
        net.insert("IPv6Network".into(), network.kube_pods_subnet_ipv6.to_string().into());
    }
    let nftables = host.settings().kube_proxy.kube_proxy_mode == ProxyMode::Nftables;
    net.insert("EnableNFTables".into(), nftables.into());
    net.insert("Backend".into(), backend.into());
    let text = |value: &Value| format!("{value:#}\n");
    let mut data = Map::new();
    data.insert("cni-conf.json".into(), text(&plugins).into());
    data.insert("net-conf.json".into(), text(&net.into()).into());
    data
}

fn daemon_set(host: &Host<'_>, settings: &Flannel, architecture: &str, checksum: &str) -> Value {
    let mut command =
        vec!["/opt/bin/flanneld".to_owned(), "--ip-masq".to_owned(), "--kube-subnet-mgr".to_owned()];
    command.extend(settings.flannel_interface.as_ref().map(|name| format!("--iface={name}")));
    command.extend(settings.flannel_interface_regexp.as_ref().map(|name| format!("--iface-regex={name}")));
    let main = image(host, "flannel", &settings.flannel_image_repo, &settings.flannel_image_tag);
    let (repository, tag) = (&settings.flannel_init_image_repo, &settings.flannel_init_image_tag);
    let copies = |name: &str, image: String, from: &str, to: &str, mounts: Value| {
        json!({
            "name": name,
            "image": image,
            "imagePullPolicy": pull_policy(host),
            "command": ["cp"],
            "args": ["-f", from, to],
            "volumeMounts": mounts,
        })
    };
    let programs = json!([mount("cni-plugin", super::PROGRAMS, false)]);
    let lists = json!([mount("cni", super::LISTS, false), mount("flannel-cfg", "/etc/kube-flannel/", false)]);
    let list = format!("{}/10-flannel.conflist", super::LISTS);
    let program = format!("{}/flannel", super::PROGRAMS);
    let init_image = image(host, "flannel_init", repository, tag);
    let labels = json!({"tier": "node", "app": NAME});
    let terms = [("kubernetes.io/os", "linux"), ("kubernetes.io/arch", architecture)];
    let terms = terms.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}));
    let container = json!({
        "name": "kube-flannel",
        "image": main,
        "imagePullPolicy": pull_policy(host),
        "command": command,
        "env": [
            env_field("POD_NAME", "metadata.name"),
            env_field("POD_NAMESPACE", "metadata.namespace"),
            env("EVENT_QUEUE_DEPTH", 5000),
        ],
        "resources": resources(
            [Some(&settings.flannel_cpu_limit), Some(&settings.flannel_memory_limit)],
            [Some(&settings.flannel_cpu_requests), Some(&settings.flannel_memory_requests)],
        ),
        "securityContext": {"privileged": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        "volumeMounts": [
            mount("run", "/run/flannel", false),
            mount("flannel-cfg", "/etc/kube-flannel/", false),
            mount("xtables-lock", "/run/xtables.lock", false),
        ],
    });
    let pod = json!({
        "serviceAccountName": NAME,
        "priorityClassName": "system-node-critical",
        "hostNetwork": true,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": terms}],
        }}},
        "initContainers": [
            copies("install-cni-plugin", init_image, "/flannel", &program, programs),
            copies("install-cni", main, "/etc/kube-flannel/cni-conf.json", &list, lists),
        ],
        "containers": [container],
        "volumes": [
            host_path("run", "/run/flannel", ""),
            host_path("cni", super::LISTS, ""),
            host_path("cni-plugin", super::PROGRAMS, ""),
            host_path("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
            json!({"name": "flannel-cfg", "configMap": {"name": CONFIGURATION}}),
        ],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(&name(architecture), labels.clone()),
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": max_unavailable(host)},
            },
            "template": {
                "metadata": {"labels": labels, "annotations": {"checksum/config": checksum}},
                "spec": pod,
            },
        },
    })
}
