//! What bypasses the HTTP proxy (INV-110 to INV-112).

use std::collections::{HashMap, HashSet};

use kubespray_value::Value;
use kubespray_variables::Variables;

use crate::cluster::{Groups, HostSpec};
use crate::settings::Settings;
use crate::types::FromFacts;

/// The list, comma-joined; `None` where no proxy is used. What users set counts as it is.
pub(crate) fn no_proxy(
    variables: &Variables,
    settings: &Settings,
    groups: &Groups,
    hosts: &[HostSpec],
) -> Option<FromFacts<String>> {
    let proxy = &settings.proxy;
    if let Some(list) = &proxy.no_proxy {
        return Some(FromFacts::Known(list.clone()));
    }
    if proxy.http_proxy.is_none() && proxy.https_proxy.is_none() {
        return None;
    }
    let workers: &[String] = if proxy.no_proxy_exclude_workers { &[] } else { &groups.workers };
    let etcd: &[String] = if variables.inventory().hosts_of("etcd").is_empty() { &[] } else { &groups.etcd };
    let names: Vec<&str> = groups
        .control_plane
        .iter()
        .chain(workers)
        .chain(etcd)
        .chain(&groups.route_reflectors)
        .map(String::as_str)
        .collect();
    let by_name: HashMap<&str, &HostSpec> = hosts.iter().map(|host| (host.name.as_str(), host)).collect();
    let mut entries: Vec<String> = Vec::new();
    let balancer = &settings.load_balancer;
    entries.extend(balancer.apiserver_loadbalancer_domain_name.clone());
    entries.extend(balancer.loadbalancer_apiserver.as_ref().and_then(|external| external.address.clone()));
    for name in &names {
        let Some(host) = by_name.get(name) else { continue };
        match host.access_address() {
            Some(address) => entries.push(address.to_string()),
            None => return Some(FromFacts::NeedsFacts),
        }
    }
    let fact = |name: &&str| {
        let hostname = variables.facts(name)?.get("ansible_hostname").and_then(Value::as_str);
        hostname.map(str::to_owned)
    };
    let mut host_names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    host_names.extend(names.iter().filter_map(fact));
    let domain = &settings.dns.dns_domain;
    let with_domain: Vec<String> = host_names.iter().map(|name| format!("{name}.{domain}")).collect();
    entries.extend(host_names);
    entries.extend(with_domain);
    entries.extend(proxy.additional_no_proxy_list.iter().cloned());
    entries.extend(["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let networks =
        settings.network.kube_service_subnets.0.iter().chain(&settings.network.kube_pods_subnets.0);
    entries.extend(networks.map(ToString::to_string));
    entries.extend(["svc".to_owned(), format!("svc.{domain}")]);
    let mut known = HashSet::new();
    entries.retain(|entry| !entry.is_empty() && known.insert(entry.clone()));
    Some(FromFacts::Known(entries.join(",")))
}
