//! Under which names the API server of a control plane is reached (spec CP-034).

use std::collections::BTreeSet;
use std::net::IpAddr;

use kubespray_resource::AlternativeName;

use super::super::{Host, load_balancer};

/// Names and addresses for `certSANs`, in Kubespray's order, each once.
///
/// A host that gets its inventory name (`override_system_hostname`) counts with it, not with the name that it had
/// before: the list must be the same when the host is looked at again. Its full name, which follows from the other,
/// counts only where it is nobody's to change.
pub(super) fn names(host: &Host<'_>) -> Vec<String> {
    let settings = host.settings();
    let balancer = &settings.load_balancer;
    let domain = &settings.dns.dns_domain;
    let mut out: Vec<String> = vec![
        "kubernetes".into(),
        "kubernetes.default".into(),
        "kubernetes.default.svc".into(),
        format!("kubernetes.default.svc.{domain}"),
        settings.apiserver.kube_apiserver_ip.to_string(),
        "localhost".into(),
        "127.0.0.1".into(),
        "::1".into(),
    ];
    out.extend(balancer.apiserver_loadbalancer_domain_name.clone());
    out.extend(balancer.loadbalancer_apiserver.iter().filter_map(|external| external.address.clone()));
    out.extend(settings.certificates.supplementary_addresses_in_ssl_keys.iter().cloned());
    let site = host.site;
    let group: Vec<Host<'_>> = site.hosts().filter(|host| host.spec.roles.control_plane).collect();
    let own = |host: &Host<'_>, address: &dyn Fn(&Host<'_>) -> Option<IpAddr>| {
        address(host).map(|ip| ip.to_string())
    };
    out.extend(group.iter().filter_map(|host| own(host, &|host| host.spec.access_address().copied())));
    out.extend(group.iter().filter_map(|host| own(host, &|host| host.spec.own.main_ip.known().copied())));
    out.extend(
        group
            .iter()
            .filter_map(|host| own(host, &|host| host.facts.default_ipv4.as_ref().map(|a| a.address))),
    );
    out.extend(
        group
            .iter()
            .filter_map(|host| own(host, &|host| host.facts.default_ipv6.as_ref().map(|a| a.address))),
    );
    for host in &group {
        if host.settings().bootstrap.override_system_hostname {
            out.push(host.spec.name.clone());
        } else {
            out.push(host.facts.hostname.clone());
            out.push(host.facts.fqdn.clone());
        }
    }
    out.push(host.spec.node_name.clone());
    out.extend(
        settings.kube_vip.iter().filter_map(|vip| vip.kube_vip_address).map(|address| address.to_string()),
    );
    let mut known = BTreeSet::new();
    out.retain(|name| !name.is_empty() && known.insert(name.clone()));
    out
}

/// The same as a certificate holds them.
pub(super) fn alternative_names(host: &Host<'_>) -> BTreeSet<AlternativeName> {
    let name = |name: String| match name.parse() {
        Ok(address) => AlternativeName::Address(address),
        Err(_) => AlternativeName::Dns(name),
    };
    names(host).into_iter().map(name).collect()
}

/// `https://ADDRESS:PORT` of the API server of this very host.
pub(super) fn own_server(host: &Host<'_>) -> String {
    let api = &host.settings().apiserver;
    let address = match api.kube_apiserver_bind_address {
        any if any.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        other => other,
    };
    format!("https://{}", load_balancer::with_port(&address, api.kube_apiserver_port))
}
