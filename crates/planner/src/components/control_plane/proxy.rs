//! kube-proxy (spec CP-119 to CP-132, CP-155, CP-156).
//!
//! kubeadm deploys it once; its ConfigMap is ours afterwards, so that a changed setting arrives, and its pods are
//! replaced one after the other when that changes, not all at once by force. `hostnameOverride` is left out, because
//! every pod is given the name of its node (CP-126).

use kubespray_resource::{Digest, Object, Part, Raise};
use kubespray_spec::choices::NetworkPlugin;
use serde_json::{Value, json};

use super::super::kubelet::{feature_gates, gates_of};
use super::super::objects::{image, rolled_out};
use super::super::{Chain, Host, load_balancer, yaml};

/// Where the pods have the ConfigMap.
const FOLDER: &str = "/var/lib/kube-proxy";

/// The credential that every pod has.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `KubeProxyConfiguration`.
pub(super) fn configuration(host: &Host<'_>) -> Value {
    let settings = host.settings();
    let proxy = &settings.kube_proxy;
    let pods: Vec<String> = host.site.spec.networks.pods.iter().map(ToString::to_string).collect();
    let kubeconfig = proxy.kube_proxy_client_kubeconfig.clone().filter(|path| !path.is_empty());
    let mut out = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": proxy.kube_proxy_bind_address,
        "clientConnection": {
            "acceptContentTypes": proxy.kube_proxy_client_accept_content_types.clone().unwrap_or_default(),
            "burst": proxy.kube_proxy_client_burst,
            "contentType": proxy.kube_proxy_client_content_type,
            "kubeconfig": kubeconfig.unwrap_or_else(|| format!("{FOLDER}/kubeconfig.conf")),
            "qps": proxy.kube_proxy_client_qps,
        },
        "clusterCIDR": pods.join(","),
        "configSyncPeriod": proxy.kube_proxy_config_sync_period.as_str(),
        "conntrack": {
            "maxPerCore": proxy.kube_proxy_conntrack_max_per_core,
            "min": proxy.kube_proxy_conntrack_min,
            "tcpCloseWaitTimeout": proxy.kube_proxy_conntrack_tcp_close_wait_timeout.as_str(),
            "tcpEstablishedTimeout": proxy.kube_proxy_conntrack_tcp_established_timeout.as_str(),
        },
        "enableProfiling": proxy.kube_proxy_enable_profiling,
        "healthzBindAddress": proxy.kube_proxy_healthz_bind_address,
        "iptables": {
            "masqueradeAll": proxy.kube_proxy_masquerade_all,
            "masqueradeBit": proxy.kube_proxy_masquerade_bit,
            "minSyncPeriod": proxy.kube_proxy_min_sync_period.as_str(),
            "syncPeriod": proxy.kube_proxy_sync_period.as_str(),
        },
        "ipvs": {
            "excludeCIDRs": proxy.kube_proxy_exclude_cidrs,
            "minSyncPeriod": proxy.kube_proxy_min_sync_period.as_str(),
            "scheduler": proxy.kube_proxy_scheduler,
            "strictARP": proxy.kube_proxy_strict_arp,
            "syncPeriod": proxy.kube_proxy_sync_period.as_str(),
            "tcpFinTimeout": proxy.kube_proxy_tcp_fin_timeout.as_str(),
            "tcpTimeout": proxy.kube_proxy_tcp_timeout.as_str(),
            "udpTimeout": proxy.kube_proxy_udp_timeout.as_str(),
        },
        "metricsBindAddress": proxy.kube_proxy_metrics_bind_address,
        "mode": proxy.kube_proxy_mode,
        "nodePortAddresses": proxy.kube_proxy_nodeport_addresses,
        "oomScoreAdj": proxy.kube_proxy_oom_score_adj,
        "portRange": proxy.kube_proxy_port_range.clone().unwrap_or_default(),
    });
    if let Value::Object(map) = &mut out {
        if settings.network.kube_network_plugin == NetworkPlugin::KubeOvn {
            map.remove("clusterCIDR");
        }
        let gates = feature_gates(gates_of(host, &proxy.kube_proxy_feature_gates));
        if !gates.is_empty() {
            map.insert("featureGates".into(), gates.into());
        }
    }
    out
}

/// What its pods reach the API server with.
fn kubeconfig(host: &Host<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "default",
            "cluster": {
                "certificate-authority": format!("{ACCOUNT}/ca.crt"),
                "server": load_balancer::kube_proxy_server(host),
            },
        }],
        "contexts": [{
            "name": "default",
            "context": {"cluster": "default", "namespace": "default", "user": "default"},
        }],
        "current-context": "default",
        "users": [{"name": "default", "user": {"tokenFile": format!("{ACCOUNT}/token")}}],
    })
}

/// What phases of `kubeadm upgrade` leave to us: kube-proxy must not be newer than any API server (OPS-048).
pub(super) const LEFT_TO_US: [&str; 2] = ["addon/coredns", "addon/kube-proxy"];

/// Waits until all nodes that can be reached have it.
pub(super) fn wait(chain: &mut Chain<'_>) {
    if !chain.host.settings().kube_proxy.kube_proxy_deployed {
        return;
    }
    chain.begin("kubeadm", "kube-proxy");
    rolled_out(chain, "DaemonSet", "kube-proxy");
}

/// ConfigMap and pods, by the leader.
pub(super) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    if !host.settings().kube_proxy.kube_proxy_deployed {
        return;
    }
    chain.begin("kubeadm", "kube-proxy");
    let texts = [yaml::document(&configuration(&host)), yaml::document(&kubeconfig(&host))];
    let digest = Digest::of(texts.concat().as_bytes());
    let raises = Some(Raise { part: Part::KubeProxy, to: host.site.wished_version() });
    let image =
        image(&host, "kube_proxy", "registry.k8s.io/kube-proxy", &format!("v{}", host.site.wished_version()));
    let [configuration, kubeconfig] = texts;
    let mut object = |name: &str, manifest: Value| {
        let object =
            Object { kubeconfig: super::admin(&host), component: "kube-proxy".into(), manifest, force: true };
        chain.add(name, object).raises.clone_from(&raises);
    };
    object(
        "configuration",
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
            "data": {"config.conf": configuration, "kubeconfig.conf": kubeconfig},
        }),
    );
    object(
        "pods",
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
            "spec": {"template": {
                "metadata": {"annotations": {"kubespray.rs/configuration": digest.as_str()}},
                "spec": {"containers": [{"name": "kube-proxy", "image": image}]},
            }},
        }),
    );
}
