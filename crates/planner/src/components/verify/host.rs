//! What a host can say of itself and of its way to the API servers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kubespray_resource::{Assertion, Probe, Program};
use kubespray_spec::choices::{ContainerManager, DnsMode, ResolvconfMode};

use super::{NOW, Patience, SOON, assert, probe};
use crate::components::objects::{NAMESPACE, has_pod_network, kubeconfig};
use crate::components::{Chain, Host, kubelet, load_balancer};

/// Certificates that nobody renews by itself, in days.
const LASTS_DAYS: u32 = 30;

/// What the timer on control planes keeps to spare when it renews, in days (CP-145).
const RENEWED_DAYS: u32 = 7;

const HTTPS: u16 = 443;

pub(super) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    programs(chain);
    if !host.is_node() {
        return;
    }
    let settings = host.settings();
    if settings.engine.container_manager == ContainerManager::Containerd {
        probe(chain, "engine", SOON, Probe::Unit("containerd.service".into()));
        let argv = vec![format!("{}/crictl", settings.kubernetes.bin_dir), "version".into()];
        probe(chain, "engine-answers", SOON, Probe::Command { argv, prints: "containerd".into() });
    }
    certificates(chain);
    probe(chain, "kubelet", SOON, Probe::Unit(kubelet::UNIT.into()));
    let port = settings.kubelet.kubelet_healthz_port;
    if port != 0 {
        let address = reachable(settings.kubelet.kubelet_healthz_bind_address);
        let url = format!("http://{}/healthz", load_balancer::with_port(&address, port));
        assert(chain, "kubelet-answers", SOON, Assertion::Answers(url));
    }
    if host.spec.roles.control_plane {
        control_plane(chain);
    }
    ways(chain);
    if has_pod_network(&host) {
        services(chain);
    }
    resolver(chain);
}

/// Where the host itself reaches what is bound to an address. What is bound to all of IPv6 is bound to all of IPv4, too,
/// and hosts may have no IPv6.
pub(in super::super) fn reachable(bound: IpAddr) -> IpAddr {
    if bound.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { bound }
}

/// CHK-001, CHK-023.
fn control_plane(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    if let Some(address) = host.spec.access_address() {
        let server =
            format!("https://{}", load_balancer::with_port(address, settings.apiserver.kube_apiserver_port));
        assert(chain, "api-answers", SOON, api(&host, kubeconfig(&host), Some(server)));
    }
    let retries = u64::try_from(settings.apiserver.control_plane_health_retries).unwrap_or_default();
    let patience = Patience { timeout_s: retries, interval_s: 1 };
    for (name, address, port) in [
        ("scheduler-answers", settings.scheduler.kube_scheduler_bind_address, 10259),
        (
            "controller-manager-answers",
            settings.controller_manager.kube_controller_manager_bind_address,
            10257,
        ),
    ] {
        let url = format!("https://{}/healthz", load_balancer::with_port(&reachable(address), port));
        assert(chain, name, patience, Assertion::Answers(url));
    }
}

fn api(host: &Host<'_>, kubeconfig: String, server: Option<String>) -> Assertion {
    let version = host.site.spec.kubernetes_version.to_string();
    Assertion::ApiServer { kubeconfig, server, version }
}

/// The kubeconfig that every node has.
fn of_kubelet(host: &Host<'_>) -> String {
    format!("{}/kubelet.conf", host.settings().kubernetes.kube_config_dir)
}

/// CHK-060: all ways that lead to an API server.
fn ways(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let balancer = &settings.load_balancer;
    assert(chain, "api-of-kubelet", SOON, api(&host, of_kubelet(&host), None));
    if load_balancer::needs_proxy(&host) {
        let server = format!("https://127.0.0.1:{}", load_balancer::local_port(&host));
        assert(chain, "api-through-proxy", SOON, api(&host, of_kubelet(&host), Some(server)));
        if let Some(port) = balancer.loadbalancer_apiserver_healthcheck_port {
            let url = format!("http://127.0.0.1:{port}/healthz");
            assert(chain, "proxy-answers", SOON, Assertion::Answers(url));
        }
    }
    let external = balancer.loadbalancer_apiserver.is_some();
    let global = settings.apiserver.kube_apiserver_global_endpoint.known().filter(|_| external).cloned();
    let vip = settings.kube_vip.as_ref().and_then(|vip| vip.kube_vip_address);
    let vip = vip.map(|address| {
        format!("https://{}", load_balancer::with_port(&address, settings.apiserver.kube_apiserver_port))
    });
    if let Some(server) = global.or(vip) {
        assert(chain, "api-through-load-balancer", SOON, api(&host, of_kubelet(&host), Some(server)));
    }
}

/// CHK-066, CHK-068: services of the cluster, as processes of the host use them.
fn services(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let address = settings.apiserver.kube_apiserver_ip;
    let server = format!("https://{}", load_balancer::with_port(&address, HTTPS));
    assert(chain, "api-through-service", SOON, api(&host, of_kubelet(&host), Some(server)));
    let dns = &settings.dns;
    let is_ours = dns.deploy_coredns && matches!(dns.dns_mode, DnsMode::Coredns | DnsMode::CorednsDual);
    if !is_ours {
        return;
    }
    let mut servers = vec![("dns-service", dns.skydns_server)];
    if dns.dns_mode == DnsMode::CorednsDual {
        servers.push(("dns-service-second", dns.skydns_server_secondary));
    }
    if dns.enable_nodelocaldns {
        servers.push(("dns-cache", dns.nodelocaldns_ip));
    }
    for (name, server) in servers {
        assert(chain, name, SOON, Assertion::Names { server, names: names(&host) });
    }
}

/// Names of services in two namespaces (CHK-036).
fn names(host: &Host<'_>) -> BTreeMap<String, IpAddr> {
    let settings = host.settings();
    let dns = &settings.dns;
    let suffix = dns.coredns_ordinal_suffix.as_deref().unwrap_or_default();
    let name = |service: &str, namespace: &str| format!("{service}.{namespace}.svc.{}", dns.dns_domain);
    BTreeMap::from([
        (name("kubernetes", "default"), settings.apiserver.kube_apiserver_ip),
        (name(&format!("{}{suffix}", dns.coredns_svc_name), NAMESPACE), dns.skydns_server),
    ])
}

/// CHK-066, where hosts use the cluster's DNS themselves.
fn resolver(chain: &mut Chain<'_>) {
    let host = chain.host;
    let dns = &host.settings().dns;
    let is_ours = matches!(dns.dns_mode, DnsMode::Coredns | DnsMode::CorednsDual) && dns.deploy_coredns;
    if dns.resolvconf_mode == ResolvconfMode::HostResolvconf && is_ours && has_pod_network(&host) {
        assert(chain, "dns-of-host", SOON, Assertion::Resolves(names(&host)));
    }
}

/// CHK-072.
fn certificates(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let (config, folder) = (&settings.kubernetes.kube_config_dir, &settings.kubernetes.kube_cert_dir);
    let authority = format!("{folder}/ca.crt");
    let mut files = BTreeMap::from([(of_kubelet(&host), authority.clone())]);
    if host.spec.roles.control_plane {
        let front = format!("{folder}/front-proxy-ca.crt");
        for name in ["admin.conf", "controller-manager.conf", "scheduler.conf"] {
            files.insert(format!("{config}/{name}"), authority.clone());
        }
        for name in ["apiserver.crt", "apiserver-kubelet-client.crt"] {
            files.insert(format!("{folder}/{name}"), authority.clone());
        }
        files.insert(format!("{folder}/front-proxy-client.crt"), front);
    }
    let renews = settings.certificates.auto_renew_certificates || !host.spec.roles.control_plane;
    let days = if renews { RENEWED_DAYS } else { LASTS_DAYS };
    assert(chain, "certificates", NOW, Assertion::Certificates { files, days });
}

/// CHK-076: of what runs here. Images say theirs where they are deployed.
fn programs(chain: &mut Chain<'_>) {
    let host = chain.host;
    let settings = host.settings();
    let bin = settings.kubernetes.bin_dir.as_str();
    let mut all: Vec<(&str, &str, &str, &[&str])> = Vec::new();
    if host.is_node() {
        if let Some(containerd) = &settings.containerd {
            all.push(("containerd", &containerd.containerd_bin_dir, "containerd", &["--version"]));
            all.push(("runc", &settings.runc.runc_bin_dir, "runc", &["--version"]));
        }
        all.push(("kubelet", bin, "kubelet", &["--version"]));
        all.push(("kubeadm", bin, "kubeadm", &["version", "-o", "short"]));
    }
    if host.spec.roles.control_plane {
        all.push(("kubectl", bin, "kubectl", &["version", "--client"]));
    }
    if super::etcd::runs(&host) {
        all.push(("etcd", bin, "etcd", &["--version"]));
        all.push(("etcd", bin, "etcdctl", &["version"]));
    }
    let files = &host.spec.artefacts.files;
    let programs = all.into_iter().filter_map(|(artefact, folder, name, words)| {
        let version = files.get(artefact)?.version.trim_start_matches('v').to_owned();
        let words = words.iter().map(ToString::to_string);
        Some(Program { argv: std::iter::once(format!("{folder}/{name}")).chain(words).collect(), version })
    });
    let programs: Vec<Program> = programs.collect();
    if !programs.is_empty() {
        assert(chain, "programs", NOW, Assertion::Programs(programs));
    }
}
