//! `kubespray render`: what the cluster of an inventory puts on hosts, from facts that are given or imagined.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_planner::components::{Live, Site as Known};
use kubespray_planner::{Item, operations, render};
use kubespray_resource::Facts;
use kubespray_variables::{UnknownFacts, Variables};

use super::imagined;
use super::learn::{hosts, manifests, refuse_errors, specification};
use super::refused::unplannable;
use crate::arguments::operations as arguments;
use crate::failure::Failure;
use crate::site::{Groups, Site};

/// Hosts that are named in a message; a count stands for the rest.
const HOSTS_NAMED: usize = 8;

/// The items of each host that is asked for, and problems that stop nothing. No host is connected to.
pub(crate) fn rendered(
    options: &arguments::Render,
) -> Result<(BTreeMap<String, Vec<Item>>, Vec<Diagnostic>), Failure> {
    let mut site = Site::load(&options.common, Groups::Kubespray)?;
    let pending = site.variables(UnknownFacts::Pending);
    let warnings = refuse_errors(site.problems(&pending))?;
    let limit: Option<BTreeSet<String>> = match (&options.host, &options.common.limit) {
        (Some(host), _) => Some(BTreeSet::from([site.host(host)?])),
        (None, Some(limit)) => Some(site.hosts(Some(limit))?.into_iter().collect()),
        (None, None) => None,
    };
    let facts = facts(options, &hosts(&site), &pending)?;
    site.learn(&facts);
    let variables = site.variables(UnknownFacts::Pending);
    let spec = specification(&variables, &facts)?;
    let manifests = manifests(&spec, &variables)?;
    let known = Known { spec: &spec, facts: &facts, live: &Live::default() };
    let wishes =
        operations::cluster(&known, &manifests).map_err(|refusals| unplannable(&refusals, &variables))?;
    let mut items = render(&wishes);
    items.retain(|host, _| limit.as_ref().is_none_or(|hosts| hosts.contains(host)));
    Ok((items, warnings))
}

/// What hosts are: files of one name others, so all must be known.
fn facts(
    options: &arguments::Render,
    hosts: &[String],
    variables: &Variables,
) -> Result<BTreeMap<String, Facts>, Failure> {
    let mut facts: BTreeMap<String, Facts> = match &options.common.facts {
        None => BTreeMap::new(),
        Some(path) => {
            let wrong = |why: String| {
                Diagnostic::error("facts", format!("`{}`: {why}", path.display()))
                    .hint("`kubespray facts -i … --output json` writes such a file")
            };
            let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
        }
    };
    facts.retain(|host, _| hosts.contains(host));
    let missing: Vec<&str> =
        hosts.iter().map(String::as_str).filter(|host| !facts.contains_key(*host)).collect();
    let Some(os) = options.os else {
        if missing.is_empty() {
            return Ok(facts);
        }
        let message = format!("no facts of these hosts: {}", list(&missing, HOSTS_NAMED));
        return Err(Diagnostic::error("facts", message)
            .hint("name a file with `--facts`, or have them imagined with `--os debian-13`")
            .into());
    };
    for (number, host) in (1_u32..).zip(hosts) {
        if !facts.contains_key(host) {
            let address = address(variables, host).unwrap_or_else(|| imagined_address(number));
            facts.insert(host.clone(), imagined::facts(os, host, address));
        }
    }
    Ok(facts)
}

/// What the inventory says.
fn address(variables: &Variables, host: &str) -> Option<IpAddr> {
    ["ip", "access_ip", "ansible_host"]
        .into_iter()
        .find_map(|name| variables.get(host, name).ok()?.to_text().parse().ok())
}

/// One of the addresses that are kept for examples (198.18.0.0/15).
fn imagined_address(number: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)).saturating_add(number)).into()
}
