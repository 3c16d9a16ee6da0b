//! How hosts reach the API servers: the local proxy of nodes, kube-vip, the address of kubeadm's discovery
//! (spec NODE-075 to NODE-112, INV-150 to INV-156).
//!
//! A control plane gets the proxy, too, where `loadbalancer_apiserver_port` is not the port of the API server: all
//! kube-proxies share one address, which must lead somewhere on every host (NODE-094).

use std::fmt::Write as _;
use std::net::IpAddr;

use kubespray_resource::{Absent, Assertion, Check, Content, Digest, Disruption, File, Mode, Probe};
use kubespray_spec::choices::{KubeVipLbFwdmethod, LoadBalancerType};
use kubespray_spec::load_balancer::KubeVip;
use serde_json::{Map, Value, json};

use super::{Chain, Host, Site, directory, file, yaml};

/// The rollout in which live nodes get another proxy: while it begins anew they reach no API server.
pub(crate) const ROLLOUT: &str = "proxies";

/// How long a proxy may take to begin, in seconds: the kubelet looks for new manifests every 20.
const WELL_S: u64 = 90;

/// Mode of the manifests of static pods.
const MANIFEST: Mode = Mode(0o640);

/// The local proxy where the host needs one, and kube-vip on control planes.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    if let Some(vip) = host.settings().kube_vip.as_ref().filter(|_| host.spec.roles.control_plane) {
        chain.begin("node", "kube-vip");
        kube_vip(chain, vip);
    }
    if !needs_proxy(&host) {
        return;
    }
    let kubernetes = &host.settings().kubernetes;
    let balancer = &host.settings().load_balancer;
    let manifest = |name: &str| format!("{}/{name}", kubernetes.kube_manifest_dir);
    let (component, other, folder, mode, name, text) = match balancer.loadbalancer_apiserver_type {
        LoadBalancerType::Nginx => {
            ("nginx", "haproxy.yml", &balancer.nginx_config_dir, Mode(0o700), "nginx.conf", nginx(&host))
        }
        LoadBalancerType::Haproxy => (
            "haproxy",
            "nginx-proxy.yml",
            &balancer.haproxy_config_dir,
            Mode(0o755),
            "haproxy.cfg",
            haproxy(&host),
        ),
    };
    chain.begin("node", component);
    chain.add("no-other-proxy", Absent { path: manifest(other), recursive: false });
    chain.add("folder", directory(folder.as_str(), mode));
    let checksum = Digest::of(text.as_bytes());
    let configuration = File { mode: Mode::EXECUTABLE, ..file(format!("{folder}/{name}"), text) };
    chain.add("configuration", configuration);
    let pod = yaml::document(&proxy_pod(&host, &checksum));
    let own = if component == "nginx" { "nginx-proxy.yml" } else { "haproxy.yml" };
    let step = chain.add("pod", File { mode: MANIFEST, ..file(manifest(own), pod) });
    if !host.is_live_node() {
        return;
    }
    step.disruption = Disruption::Restart;
    step.rollout = Some(ROLLOUT.into());
    is_well(chain, "well");
}

/// The local proxy of a live node says that it is well, where it can be asked.
pub(crate) fn is_well(chain: &mut Chain<'_>, name: &str) {
    let balancer = &chain.host.settings().load_balancer;
    if let Some(port) = balancer.loadbalancer_apiserver_healthcheck_port {
        let check = Check {
            name: "the local proxy is well".into(),
            probe: Probe::Cluster(Assertion::Answers(format!("http://127.0.0.1:{port}/healthz"))),
            timeout_s: WELL_S,
            interval_ms: 500,
        };
        chain.add(name, check).rollout = Some(ROLLOUT.into());
    }
}

/// The port of the local proxy (NODE-078).
pub(crate) fn local_port(host: &Host<'_>) -> u16 {
    let settings = host.settings();
    settings.load_balancer.loadbalancer_apiserver_port.unwrap_or(settings.apiserver.kube_apiserver_port)
}

/// NODE-013.
pub(crate) fn needs_proxy(host: &Host<'_>) -> bool {
    let settings = host.settings();
    if !settings.load_balancer.loadbalancer_apiserver_localhost {
        return false;
    }
    let api = &settings.apiserver;
    !host.spec.roles.control_plane
        || !api.kube_apiserver_bind_address.is_unspecified()
        || local_port(host) != api.kube_apiserver_port
}

/// Where kube-proxy finds the API servers, on whatever host it runs (CP-155).
pub(crate) fn kube_proxy_server(host: &Host<'_>) -> String {
    if host.settings().load_balancer.loadbalancer_apiserver_localhost {
        return format!("https://127.0.0.1:{}", local_port(host));
    }
    host.settings().apiserver.kube_apiserver_global_endpoint.known().cloned().unwrap_or_default()
}

/// Where a host that joins finds the API server (CP-035): through the external load balancer, else at the leader.
pub(crate) fn discovery_server(host: &Host<'_>) -> String {
    let settings = host.settings();
    if settings.load_balancer.loadbalancer_apiserver.is_some() {
        return settings.apiserver.kube_apiserver_global_endpoint.known().cloned().unwrap_or_default();
    }
    let leader = host.site.spec.host(host.site.leader());
    let address = leader.and_then(|leader| leader.access_address());
    let port = settings.apiserver.kube_apiserver_port;
    address.map(|address| format!("https://{}", with_port(address, port))).unwrap_or_default()
}

/// `address:port`, with brackets where they must be.
pub(crate) fn with_port(address: &IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(*address, port).to_string()
}

/// All API servers as other hosts reach them, in the order of the inventory.
fn upstreams(site: &Site<'_>) -> Vec<(String, String)> {
    let hosts = site.spec.groups.control_plane.iter().filter_map(|name| site.spec.host(name));
    hosts
        .filter_map(|host| {
            let port = host.settings.apiserver.kube_apiserver_port;
            Some((host.name.clone(), with_port(host.access_address()?, port)))
        })
        .collect()
}

/// NODE-088, NODE-089.
fn nginx(host: &Host<'_>) -> String {
    let balancer = &host.settings().load_balancer;
    let has_ipv6 = host.settings().network.ipv6_stack;
    let port = local_port(host);
    let servers = upstreams(host.site).into_iter().map(|(_, address)| format!("        server {address};\n"));
    let servers = servers.collect::<Vec<_>>().concat();
    let second = if has_ipv6 { format!("        listen [::1]:{port};\n") } else { String::new() };
    let mut out = format!(
        "error_log stderr notice;\n\nworker_processes 2;\nworker_rlimit_nofile 65535;\n\
         worker_shutdown_timeout 10s;\n\nevents {{\n    multi_accept on;\n    use epoll;\n    \
         worker_connections 16384;\n}}\n\nstream {{\n    upstream kube_apiserver {{\n        least_conn;\n\
         {servers}    }}\n\n    server {{\n        listen 127.0.0.1:{port};\n{second}        \
         proxy_pass kube_apiserver;\n        proxy_timeout 10m;\n        proxy_connect_timeout 1s;\n    }}\n}}\n"
    );
    if let Some(health) = balancer.loadbalancer_apiserver_healthcheck_port {
        let second = if has_ipv6 { format!("        listen [::]:{health};\n") } else { String::new() };
        let keepalive = balancer.loadbalancer_apiserver_keepalive_timeout.as_str();
        let _ = write!(
            out,
            "\nhttp {{\n    access_log off;\n    server_tokens off;\n    keepalive_timeout {keepalive};\n\n    \
             server {{\n        listen {health};\n{second}        location /healthz {{\n            return 200;\n        \
             }}\n        location /stub_status {{\n            stub_status on;\n        }}\n    }}\n}}\n"
        );
    }
    out
}

/// NODE-088, NODE-089.
fn haproxy(host: &Host<'_>) -> String {
    let balancer = &host.settings().load_balancer;
    let has_ipv6 = host.settings().network.ipv6_stack;
    let port = local_port(host);
    let keepalive = balancer.loadbalancer_apiserver_keepalive_timeout.as_str();
    let mut out = format!(
        "global\n    maxconn 4000\n    log 127.0.0.1 local0\n\ndefaults\n    mode http\n    log global\n    \
         option httplog\n    option dontlognull\n    option http-server-close\n    option redispatch\n    \
         retries 5\n    timeout http-request 5m\n    timeout queue 5m\n    timeout connect 30s\n    \
         timeout client {keepalive}\n    timeout server 15m\n    timeout http-keep-alive 30s\n    \
         timeout check 30s\n    maxconn 4000\n"
    );
    if let Some(health) = balancer.loadbalancer_apiserver_healthcheck_port {
        let second = if has_ipv6 { format!("    bind :::{health}\n") } else { String::new() };
        let _ = write!(
            out,
            "\nfrontend healthz\n    bind 0.0.0.0:{health}\n{second}    mode http\n    monitor-uri /healthz\n"
        );
    }
    let second = if has_ipv6 { format!("    bind [::1]:{port}\n") } else { String::new() };
    let _ = write!(
        out,
        "\nfrontend kube_api_frontend\n    bind 127.0.0.1:{port}\n{second}    mode tcp\n    option tcplog\n    \
         default_backend kube_api_backend\n\nbackend kube_api_backend\n    mode tcp\n    balance leastconn\n    \
         default-server inter 15s downinter 15s rise 2 fall 2 slowstart 60s maxconn 1000 maxqueue 256 weight 100\n    \
         option httpchk GET /healthz\n    http-check expect status 200\n"
    );
    for (name, address) in upstreams(host.site) {
        let _ = writeln!(out, "    server {name} {address} check check-ssl verify none");
    }
    out
}

/// The image of a host by its name in the catalogue; where the host is in no group that has it prefetched, by its
/// parts.
fn image(host: &Host<'_>, name: &str, repository: &str, tag: &str) -> String {
    let known = host.spec.artefacts.images.get(name);
    known.map_or_else(|| format!("{repository}:{tag}"), |image| image.reference.clone())
}

/// NODE-090, NODE-091.
fn proxy_pod(host: &Host<'_>, checksum: &Digest) -> Value {
    let settings = host.settings();
    let balancer = &settings.load_balancer;
    let (kind, container, folder, mount, image) = match balancer.loadbalancer_apiserver_type {
        LoadBalancerType::Nginx => (
            "nginx",
            "nginx-proxy",
            &balancer.nginx_config_dir,
            "/etc/nginx",
            image(host, "nginx_proxy", &balancer.nginx_image_repo, &balancer.nginx_image_tag),
        ),
        LoadBalancerType::Haproxy => (
            "haproxy",
            "haproxy",
            &balancer.haproxy_config_dir,
            "/usr/local/etc/haproxy/",
            image(host, "haproxy", &balancer.haproxy_image_repo, &balancer.haproxy_image_tag),
        ),
    };
    let mut container = json!({
        "name": container,
        "image": image,
        "imagePullPolicy": settings.kubernetes.k8s_image_pull_policy,
        "resources": {"requests": {
            "cpu": balancer.loadbalancer_apiserver_cpu_requests.as_str(),
            "memory": balancer.loadbalancer_apiserver_memory_requests.as_str(),
        }},
        "volumeMounts": [{"mountPath": mount, "name": "etc-".to_owned() + kind, "readOnly": true}],
    });
    if let Some(port) = balancer.loadbalancer_apiserver_healthcheck_port {
        let probe = json!({"httpGet": {"path": "/healthz", "port": port}});
        if let Value::Object(container) = &mut container {
            container.insert("livenessProbe".into(), probe.clone());
            container.insert("readinessProbe".into(), probe);
        }
    }
    let mut annotations = Map::new();
    annotations.insert(format!("{kind}-cfg-checksum"), checksum.as_str().into());
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": balancer.loadbalancer_apiserver_pod_name,
            "namespace": "kube-system",
            "labels": {
                "addonmanager.kubernetes.io/mode": "Reconcile",
                "k8s-app": format!("kube-{kind}"),
            },
            "annotations": annotations,
        },
        "spec": {
            "hostNetwork": true,
            "dnsPolicy": "ClusterFirstWithHostNet",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "priorityClassName": "system-node-critical",
            "containers": [container],
            "volumes": [{"name": "etc-".to_owned() + kind, "hostPath": {"path": folder}}],
        },
    })
}

/// NODE-096 to NODE-111. The credential is that of `kubeadm init` where it made this control plane (NODE-098):
/// others know nobody who may before they are members.
fn kube_vip(chain: &mut Chain<'_>, vip: &KubeVip) {
    let host = chain.host;
    let kubernetes = &host.settings().kubernetes;
    let live = host.site.live;
    let is_made_by_init = live.super_admins.contains(&host.spec.name)
        || (host.site.leader() == host.spec.name && !host.is_live_control_plane());
    let credential = if is_made_by_init { "super-admin.conf" } else { "admin.conf" };
    let pod = kube_vip_pod(&host, vip, &format!("{}/{credential}", kubernetes.kube_config_dir));
    let text = yaml::document(&pod);
    let has_secret = text.contains("{secret:");
    let mut manifest = File {
        mode: MANIFEST,
        ..file(format!("{}/kube-vip.yml", kubernetes.kube_manifest_dir), text.clone())
    };
    if has_secret {
        manifest.content = Content::Secret(text);
    }
    chain.add("pod", manifest);
}

fn kube_vip_pod(host: &Host<'_>, vip: &KubeVip, credential: &str) -> Value {
    let mut env: Vec<Value> = Vec::new();
    let mut set = |name: &str, value: String| env.push(json!({"name": name, "value": value}));
    let text = |value: Option<String>| value.filter(|text| !text.is_empty());
    let is_before_0_9 = (vip.kube_vip_version.major(), vip.kube_vip_version.minor()) < (0, 9);
    set("vip_arp", vip.kube_vip_arp_enabled.to_string());
    set("port", host.settings().apiserver.kube_apiserver_port.to_string());
    set("vip_nodename", host.spec.name.clone());
    if let Some(interface) = text(vip.kube_vip_interface.clone()) {
        set("vip_interface", interface);
    }
    if let Some(interface) = text(vip.kube_vip_services_interface.clone()) {
        set("vip_servicesinterface", interface);
    }
    set(if is_before_0_9 { "vip_cidr" } else { "vip_subnet" }, vip.kube_vip_cidr.to_string());
    set("dns_mode", json!(vip.kube_vip_dns_mode).as_str().unwrap_or_default().to_owned());
    set("cp_enable", vip.kube_vip_controlplane_enabled.to_string());
    set("cp_namespace", "kube-system".into());
    set("vip_ddns", vip.kube_vip_ddns_enabled.to_string());
    set("cp_detect", vip.kube_vip_cp_detect.to_string());
    set("svc_enable", vip.kube_vip_services_enabled.to_string());
    set("svc_leasename", vip.kube_vip_svc_leasename.clone());
    set("svc_election", vip.kube_vip_enable_services_election.to_string());
    set("vip_leaderelection", vip.kube_vip_leader_election_enabled.to_string());
    set("vip_leasename", vip.kube_vip_leasename.clone());
    set("vip_leaseduration", vip.kube_vip_leaseduration.to_string());
    set("vip_renewdeadline", vip.kube_vip_renewdeadline.to_string());
    set("vip_retryperiod", vip.kube_vip_retryperiod.to_string());
    set("enable_node_labeling", vip.kube_vip_enable_node_labeling.to_string());
    if vip.kube_vip_bgp_enabled {
        set("bgp_enable", "true".into());
        set("bgp_as", vip.kube_vip_local_as.to_string());
        set("bgp_peeras", vip.kube_vip_bgp_peeras.to_string());
        let secret = |variable: &str| format!("{{secret:{}/{variable}}}", host.spec.name);
        for (name, value) in [
            ("bgp_routerid", vip.kube_vip_bgp_routerid.clone()),
            ("bgp_peeraddress", vip.kube_vip_bgp_peeraddress.map(|address| address.to_string())),
            ("bgp_peerpass", vip.kube_vip_bgp_peerpass.as_ref().map(|_| secret("kube_vip_bgp_peerpass"))),
            ("bgp_sourceip", vip.kube_vip_bgp_sourceip.map(|address| address.to_string())),
            ("bgp_sourceif", vip.kube_vip_bgp_sourceif.clone()),
            ("bgp_peers", vip.kube_vip_bgppeers.as_ref().map(|_| secret("kube_vip_bgppeers"))),
        ] {
            if let Some(value) = text(value) {
                set(name, value);
            }
        }
    }
    set("lb_enable", vip.kube_vip_lb_enable.to_string());
    set("lb_fwdmethod", json!(vip.kube_vip_lb_fwdmethod).as_str().unwrap_or_default().to_owned());
    if let Some(address) = vip.kube_vip_address {
        set("address", address.to_string());
    }
    let mut ports = Vec::new();
    if vip.kube_vip_metrics_enabled {
        set("prometheus_server", format!(":{}", vip.kube_vip_metrics_port));
        ports.push(json!({"name": "metrics", "containerPort": vip.kube_vip_metrics_port}));
    }
    let masquerades = vip.kube_vip_lb_fwdmethod == KubeVipLbFwdmethod::Masquerade;
    let repository = &vip.kube_vip_image_repo;
    let image = if masquerades {
        format!("{repository}-iptables:{}", vip.kube_vip_image_tag)
    } else {
        image(host, "kube_vip", repository, &vip.kube_vip_image_tag)
    };
    let security = if masquerades {
        json!({"privileged": true})
    } else {
        json!({"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}})
    };
    let mut container = json!({
        "name": "kube-vip",
        "image": image,
        "imagePullPolicy": host.settings().kubernetes.k8s_image_pull_policy,
        "args": ["manager"],
        "env": env,
        "resources": {},
        "securityContext": security,
        "volumeMounts": [{"mountPath": "/etc/kubernetes/admin.conf", "name": "kubeconfig"}],
    });
    if let (Value::Object(container), false) = (&mut container, ports.is_empty()) {
        container.insert("ports".into(), ports.into());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "kube-vip", "namespace": "kube-system"},
        "spec": {
            "hostNetwork": true,
            "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["kubernetes"]}],
            "containers": [container],
            "volumes": [{"name": "kubeconfig", "hostPath": {"path": credential}}],
        },
    })
}
