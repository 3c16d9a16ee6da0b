//! What runs on every node (spec NET-038, NET-039, NET-044 to NET-064, NET-172).

use kubespray_spec::choices::{CalicoNetworkBackend, ProxyMode};
use kubespray_spec::network::Calico;
use serde_json::{Value, json};

use super::super::super::Host;
use super::super::super::objects::{
    env, env_field, env_key, host_path, image, metadata, mount, node_selector, pull_policy, resources,
    text_of,
};
use super::super::{LISTS, PROGRAMS};
use super::{CONFIGURATION, endpoint_variables, roles};

pub(super) const NAME: &str = "calico-node";

/// How long a probe may take, in seconds.
const PROBE_S: i64 = 10;

/// The pods of all nodes.
pub(super) fn daemon_set(host: &Host<'_>, settings: &Calico, checksum: &str) -> Value {
    let port = settings.calico_felix_prometheusmetricsport.to_string();
    let has_metrics = settings.calico_felix_prometheusmetricsenabled;
    let annotations = json!({
        "checksum/config": checksum,
        "prometheus.io/scrape": has_metrics.then_some("true"),
        "prometheus.io/port": has_metrics.then_some(port),
    });
    let pod = json!({
        "serviceAccountName": roles::NODE,
        "priorityClassName": "system-node-critical",
        "hostNetwork": true,
        "terminationGracePeriodSeconds": 0,
        "nodeSelector": node_selector(&settings.calico_ds_nodeselector),
        "tolerations": [
            {"effect": "NoSchedule", "operator": "Exists"},
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"effect": "NoExecute", "operator": "Exists"},
        ],
        "initContainers": init_containers(host, settings),
        "containers": [container(host, settings)],
        "volumes": volumes(settings),
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(NAME, json!({"k8s-app": NAME})),
        "spec": {
            "selector": {"matchLabels": {"k8s-app": NAME}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": {"k8s-app": NAME}, "annotations": annotations},
                "spec": pod,
            },
        },
    })
}

fn node_image(host: &Host<'_>, settings: &Calico) -> String {
    image(host, "calico_node", &settings.calico_node_image_repo, &settings.calico_node_image_tag)
}

fn init_containers(host: &Host<'_>, settings: &Calico) -> Value {
    let cni_image =
        image(host, "calico_cni", &settings.calico_cni_image_repo, &settings.calico_cni_image_tag);
    let node_name = env_field("KUBERNETES_NODE_NAME", "spec.nodeName");
    let programs = mount("cni-bin-dir", "/host/opt/cni/bin", false);
    let init = |name: &str, image: &str, command: Value, variables: Value, mounts: Value| {
        json!({
            "name": name,
            "image": image,
            "imagePullPolicy": pull_policy(host),
            "command": command,
            "envFrom": endpoint_variables(),
            "env": variables,
            "securityContext": {"privileged": true},
            "volumeMounts": mounts,
        })
    };
    // Addresses that another IPAM gave are taken over once.
    let upgrade = (!settings.calico_ipam_host_local).then(|| {
        init(
            "upgrade-ipam",
            &cni_image,
            json!(["/opt/cni/bin/calico-ipam", "-upgrade"]),
            json!(
                [node_name.clone(), env_key("CALICO_NETWORKING_BACKEND", CONFIGURATION, "calico_backend"),]
            ),
            json!([mount("host-local-net-dir", "/var/lib/cni/networks", false), programs.clone()]),
        )
    });
    let install = init(
        "install-cni",
        &cni_image,
        json!(["/opt/cni/bin/install"]),
        json!([
            node_name,
            env_key("CNI_NETWORK_CONFIG", CONFIGURATION, "cni_network_config"),
            env("CNI_CONF_NAME", "10-calico.conflist"),
            mtu(settings).map(|mtu| env("CNI_MTU", mtu)),
            env("SLEEP", false),
        ]),
        json!([mount("cni-net-dir", "/host/etc/cni/net.d", false), programs]),
    );
    // Mounts that it makes must be seen by the host, and stay.
    let shared = |name: &str, path: &str| json!({"name": name, "mountPath": path, "mountPropagation": "Bidirectional"});
    let bpf = json!({
        "name": "mount-bpffs",
        "image": node_image(host, settings),
        "imagePullPolicy": pull_policy(host),
        "command": ["calico-node", "-init", "-best-effort"],
        "securityContext": {"privileged": true},
        "volumeMounts": [
            shared("sys-fs", "/sys/fs"),
            shared("var-run-calico", "/var/run/calico"),
            mount("nodeproc", "/nodeproc", true),
        ],
    });
    json!([upgrade, install, bpf])
}

/// NET-056.
fn mtu(settings: &Calico) -> Option<i64> {
    settings.calico_mtu.map(|mtu| settings.calico_veth_mtu.unwrap_or(mtu))
}

fn container(host: &Host<'_>, settings: &Calico) -> Value {
    let is_bird = settings.calico_network_backend == CalicoNetworkBackend::Bird;
    let probe = |felix: &str, bird: &str, initial_s: Option<u32>, timeout_s: Option<i64>| {
        json!({
            "exec": {"command": ["/bin/calico-node", felix, is_bird.then_some(bird)]},
            "periodSeconds": 10,
            "initialDelaySeconds": initial_s,
            "timeoutSeconds": timeout_s.unwrap_or(PROBE_S),
            "failureThreshold": 6,
        })
    };
    let cpu_limit = Some(&settings.calico_node_cpu_limit).filter(|limit| limit.as_str() != "0");
    json!({
        "name": NAME,
        "image": node_image(host, settings),
        "imagePullPolicy": pull_policy(host),
        "envFrom": endpoint_variables(),
        "env": variables(host, settings),
        "securityContext": {"privileged": true},
        "resources": resources(
            [cpu_limit, Some(&settings.calico_node_memory_limit)],
            [Some(&settings.calico_node_cpu_requests), Some(&settings.calico_node_memory_requests)],
        ),
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/calico-node", "-shutdown"]}}},
        "livenessProbe":
            probe("-felix-live", "-bird-live", Some(10), settings.calico_node_livenessprobe_timeout),
        "readinessProbe":
            probe("-felix-ready", "-bird-ready", None, settings.calico_node_readinessprobe_timeout),
        "volumeMounts": [
            mount("lib-modules", "/lib/modules", true),
            mount("var-run-calico", "/var/run/calico", false),
            mount("var-lib-calico", "/var/lib/calico", false),
            mount("xtables-lock", "/run/xtables.lock", false),
            mount("cni-net-dir", "/host/etc/cni/net.d", false),
            mount("policysync", "/var/run/nodeagent", false),
            mount("bpffs", "/sys/fs/bpf", false),
            mount("cni-log-dir", "/var/log/calico/cni", true),
        ],
    })
}

fn volumes(settings: &Calico) -> Value {
    let create = "DirectoryOrCreate";
    let host_local = (!settings.calico_ipam_host_local)
        .then(|| host_path("host-local-net-dir", "/var/lib/cni/networks", ""));
    json!([
        host_path("lib-modules", "/lib/modules", ""),
        host_path("var-run-calico", "/var/run/calico", create),
        host_path("var-lib-calico", "/var/lib/calico", create),
        host_path("cni-net-dir", LISTS, ""),
        host_path("cni-bin-dir", PROGRAMS, create),
        host_path("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
        host_local,
        host_path("sys-fs", "/sys/fs/", create),
        host_path("bpffs", "/sys/fs/bpf", "Directory"),
        host_path("nodeproc", "/proc", ""),
        host_path("cni-log-dir", "/var/log/calico/cni", ""),
        host_path("policysync", "/var/run/nodeagent", create),
    ])
}

/// The settings of the program, in the order of their spec ids.
fn variables(host: &Host<'_>, settings: &Calico) -> Vec<Value> {
    let network = &host.settings().network;
    let mut all = vec![env("DATASTORE_TYPE", "kubernetes"), env("WAIT_FOR_DATASTORE", true)];
    if settings.typha_enabled {
        all.push(env_key("FELIX_TYPHAK8SSERVICENAME", CONFIGURATION, "typha_service_name"));
    }
    if settings.calico_network_backend == CalicoNetworkBackend::Vxlan {
        all.push(env("FELIX_VXLANVNI", settings.calico_vxlan_vni));
        all.push(env("FELIX_VXLANPORT", settings.calico_vxlan_port));
    }
    all.extend([
        env_key("CALICO_NETWORKING_BACKEND", CONFIGURATION, "calico_backend"),
        env("CLUSTER_TYPE", "k8s,bgp"),
        env_field("CALICO_K8S_NODE_REF", "spec.nodeName"),
        env_field("NODENAME", "spec.nodeName"),
        env("CALICO_DISABLE_FILE_LOGGING", true),
        env(
            "FELIX_DEFAULTENDPOINTTOHOSTACTION",
            settings.calico_endpoint_to_host_action.as_deref().unwrap_or("RETURN"),
        ),
        env("FELIX_HEALTHENABLED", true),
        env("FELIX_HEALTHHOST", &settings.calico_healthhost),
    ]);
    if host.settings().kube_proxy.kube_proxy_mode == ProxyMode::Ipvs {
        let ports = host.settings().apiserver.kube_apiserver_node_port_range.replacen('-', ":", 1);
        all.push(env("FELIX_KUBENODEPORTRANGES", ports));
    }
    all.extend([
        env("FELIX_IPTABLESBACKEND", text_of(settings.calico_iptables_backend)),
        env("FELIX_IPTABLESLOCKTIMEOUTSECS", settings.calico_iptables_lock_timeout_secs),
        env("CALICO_IPV4POOL_IPIP", &settings.calico_ipv4pool_ipip),
        env("CALICO_IPV4POOL_VXLAN", "Never"),
        env("FELIX_IPV6SUPPORT", network.ipv6_stack),
        env("FELIX_LOGSEVERITYSCREEN", text_of(settings.calico_loglevel)),
        env("CALICO_STARTUP_LOGLEVEL", &settings.calico_node_startup_loglevel),
        env("FELIX_USAGEREPORTINGENABLED", settings.calico_usage_reporting),
        env("FELIX_NFTABLESMODE", text_of(settings.calico_nftable_mode)),
    ]);
    if let Some(mtu) = mtu(settings) {
        all.extend(["IPINIP", "VXLAN", "WIREGUARD"].map(|kind| env(&format!("FELIX_{kind}MTU"), mtu)));
    }
    all.extend([
        env("FELIX_CHAININSERTMODE", text_of(settings.calico_felix_chaininsertmode)),
        env("FELIX_PROMETHEUSMETRICSENABLED", settings.calico_felix_prometheusmetricsenabled),
        env("FELIX_PROMETHEUSMETRICSPORT", settings.calico_felix_prometheusmetricsport),
        env("FELIX_PROMETHEUSGOMETRICSENABLED", settings.calico_felix_prometheusgometricsenabled),
        env("FELIX_PROMETHEUSPROCESSMETRICSENABLED", settings.calico_felix_prometheusprocessmetricsenabled),
    ]);
    match &settings.calico_ip_auto_method {
        Some(method) => all.push(env("IP_AUTODETECTION_METHOD", method)),
        // The kubelet knows the address; a variable is filled in from those before it.
        None => all.extend([
            env_field("NODEIP", "status.hostIP"),
            env("IP_AUTODETECTION_METHOD", "can-reach=$(NODEIP)"),
        ]),
    }
    all.push(env("IP", if network.ipv4_stack { "autodetect" } else { "none" }));
    if network.ipv6_stack {
        all.push(env("IP6", "autodetect"));
        all.extend(
            settings.calico_ip6_auto_method.as_ref().map(|method| env("IP6_AUTODETECTION_METHOD", method)),
        );
    }
    let pattern = settings.calico_felix_mtu_iface_pattern.as_ref();
    all.extend(pattern.map(|pattern| env("FELIX_MTUIFACEPATTERN", pattern)));
    if settings.calico_use_default_route_src_ipaddr == Some(true) {
        all.push(env_field("FELIX_DEVICEROUTESOURCEADDRESS", "status.hostIP"));
    }
    all.push(env("FELIX_IGNORELOOSERPF", settings.calico_node_ignorelooserpf));
    all.push(env("CALICO_MANAGE_CNI", true));
    if settings.calico_ipam_host_local {
        all.push(env("USE_POD_CIDR", true));
    }
    extend(&mut all, settings);
    all
}

/// Variables of users; one that is there already is replaced: a name may be there only once.
fn extend(all: &mut Vec<Value>, settings: &Calico) {
    for (name, value) in settings.calico_node_extra_envs.iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        all.retain(|one| one.get("name").and_then(Value::as_str) != Some(name));
        all.push(env(name, value));
    }
}
