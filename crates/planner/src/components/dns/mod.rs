//! DNS of the cluster (`kubernetes-apps/ansible`; spec APP-017 to APP-038, APP-091, APP-159 to APP-162).
//!
//! Differences: without servers of the cluster (`dns_mode: none`) the caches on nodes still make sense and forward
//! what is outside (APP-036); the second cache is asked for its own health and knows the old domains (APP-037); what
//! is switched off goes again (APP-009).

mod autoscaler;
mod coredns;
pub(crate) mod corefile;
mod nodelocal;

use kubespray_resource::StepId;
use kubespray_spec::Json;
use kubespray_spec::choices::DnsMode;

use self::corefile::ExternalZone;
use super::objects::{READY, has_pod_network, opener, rolled_out, rolled_out_as};
use super::{Chain, Host, Site};

const CORE_DNS: &str = "coredns";
const NODE_LOCAL: &str = "nodelocaldns";

/// Applies everything of the cluster's DNS; to be done where cluster-wide steps are done.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    chain.begin("apps", CORE_DNS);
    if !suffixes(&host).is_empty() {
        coredns::wish(chain, &suffixes(&host));
    }
    chain.begin("apps", NODE_LOCAL);
    if host.settings().dns.enable_nodelocaldns {
        nodelocal::wish(chain);
    }
    chain.begin("apps", "etcd_metrics");
    coredns::etcd_metrics(chain);
}

/// Waits until it answers; then what is not wished any more goes, which nobody asks now. To be called with the chain
/// that [`wish`] was called with.
pub(crate) fn wait(chain: &mut Chain<'_>) {
    let host = chain.host;
    let mut workloads = workloads(&host);
    let last = workloads.pop();
    for (component, kind, name) in workloads {
        chain.begin("apps", component);
        rolled_out(chain, kind, &name);
    }
    if let Some((_, kind, name)) = last {
        chain.begin("apps", CORE_DNS);
        rolled_out_as(chain, READY, kind, &name);
    }
    if host.settings().dns.enable_nodelocaldns {
        chain.begin("apps", NODE_LOCAL);
        nodelocal::clean(chain);
    }
    if !suffixes(&host).is_empty() {
        chain.begin("apps", CORE_DNS);
        coredns::clean(chain);
    }
}

/// The step that opens the gate `dns`; none where there is nothing to wait for.
pub(crate) fn ready(site: &Site<'_>) -> Option<StepId> {
    opener(site, CORE_DNS, |host| !workloads(host).is_empty())
}

/// Component, kind and name of what can run and is waited for.
fn workloads(host: &Host<'_>) -> Vec<(&'static str, &'static str, String)> {
    let dns = &host.settings().dns;
    let mut all = Vec::new();
    if dns.enable_nodelocaldns {
        all.push((NODE_LOCAL, "DaemonSet", NODE_LOCAL.to_owned()));
        if dns.enable_nodelocaldns_secondary {
            all.push((NODE_LOCAL, "DaemonSet", nodelocal::SECOND.to_owned()));
        }
    }
    if has_pod_network(host) {
        let of_cluster = suffixes(host).into_iter();
        all.extend(of_cluster.map(|suffix| (CORE_DNS, "Deployment", format!("{CORE_DNS}{suffix}"))));
    }
    all
}

/// What the names of each CoreDNS end in: none, one or two of them are wished.
fn suffixes(host: &Host<'_>) -> Vec<String> {
    let dns = &host.settings().dns;
    let first = dns.coredns_ordinal_suffix.clone().unwrap_or_default();
    match dns.dns_mode {
        _ if !dns.deploy_coredns => Vec::new(),
        DnsMode::Coredns => vec![first],
        DnsMode::CorednsDual => vec![first, "-secondary".to_owned()],
        DnsMode::Manual | DnsMode::None => Vec::new(),
    }
}

/// External zones of a variable; those that make no sense are refused.
fn external_zones(chain: &mut Chain<'_>, variable: &str, zones: Option<&Vec<Json>>) -> Vec<ExternalZone> {
    let mut out = Vec::new();
    for zone in zones.into_iter().flatten() {
        match ExternalZone::read(zone) {
            Ok(zone) => out.push(zone),
            Err(problem) => {
                let hint =
                    format!("every element of `{variable}` needs a list `zones` and a list `nameservers`");
                chain.refuse(problem, hint);
            }
        }
    }
    out
}
