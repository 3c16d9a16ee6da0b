//! `kubespray reset`: whose hosts they are, what runs there, and what is to be taken off them.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_diagnostics::{Diagnostic, did_you_mean};
use kubespray_interface::{list, plural};
use kubespray_planner::operations;
use kubespray_resource::Secrets;
use kubespray_resource::wire::{Answer, Ask};

use super::cluster::{Known, ask_facts, look_for_cluster, reach, specification, unplannable};
use super::{Reach, Wanted, chosen};
use crate::arguments::operations as arguments;
use crate::failure::Failure;
use crate::fleet;
use crate::printer::Printer;
use crate::site::Site;

/// Names that are told; a count stands for the rest.
const NAMED: usize = 8;
/// An API server that does not answer by then holds nothing up.
const API_TIMEOUT_S: u64 = 15;

/// A reset that is to be asked about.
pub(crate) struct WipeOf {
    pub(crate) wanted: Wanted,
    /// The cluster's name.
    pub(crate) name: String,
    /// The fingerprint of its certificate authority.
    pub(crate) id: Option<String>,
    /// The hosts that are wiped.
    pub(crate) hosts: Vec<String>,
    /// What runs there, as far as an API server tells it.
    pub(crate) workloads: Vec<String>,
}

impl WipeOf {
    /// Which cluster and which hosts.
    pub(crate) fn headline(&self) -> String {
        let hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        let id = self.id.as_deref().unwrap_or("none");
        format!(
            "cluster `{}`, id {id}: {} to wipe: {}",
            self.name,
            plural(hosts.len(), "host"),
            list(&hosts, NAMED)
        )
    }
}

/// The hosts that are meant, and those that are gone.
pub(super) fn meant(
    site: &Site,
    limit: Option<&str>,
    dead: &[String],
    known: &BTreeSet<String>,
) -> Result<(BTreeSet<String>, BTreeSet<String>), Failure> {
    let problems: Vec<Diagnostic> = dead
        .iter()
        .filter(|host| !known.contains(*host))
        .map(|host| {
            let problem = Diagnostic::error("dead", format!("no host `{host}` in the cluster"));
            match did_you_mean(host, known.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            }
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let mut hosts = match limit {
        Some(limit) => site.hosts(Some(limit))?.into_iter().collect(),
        None => known.clone(),
    };
    hosts.retain(|host| !dead.contains(host));
    Ok((hosts, dead.iter().cloned().collect()))
}

/// What a reset of the hosts of an inventory is. Hosts are asked what they are; nothing is changed.
pub(crate) fn reset(options: &arguments::Operation, dead: &[String]) -> Result<WipeOf, Failure> {
    let mut reach = reach(&options.common, &options.connection)?;
    let known: BTreeSet<String> = reach.targets.keys().cloned().collect();
    let (hosts, dead) = meant(&reach.site, options.common.limit.as_deref(), dead, &known)?;
    reach.targets.retain(|host, _| !dead.contains(host));
    let facts = ask_facts(&mut reach, Some(&hosts))?;
    reach.site.learn(&facts);
    let variables = reach.variables();
    let spec = specification(&variables, &facts)?;
    let live = look_for_cluster(&reach, &spec, &facts)?;
    let known = Known { facts, spec, live, manifests: BTreeMap::new() };
    let planned =
        operations::reset(&known.site(), &hosts, &dead).map_err(|refusals| unplannable(&refusals))?;
    for (host, lost) in &planned.lost {
        reach.site.warnings.push(Diagnostic::warning("reset", lost.clone()).on_host(host));
    }
    let workloads = workloads(&reach, &known);
    let (id, name) = (planned.id, known.spec.name.clone());
    let wishes = chosen(planned.wishes, &reach.site, options)?;
    let hosts = hosts.into_iter().filter(|host| known.facts.contains_key(host)).collect();
    let wanted = Wanted { reach, wishes, secrets: Secrets::default() };
    Ok(WipeOf { wanted, name, id, hosts, workloads })
}

/// Running pods by namespace, as a control plane tells them.
fn workloads(reach: &Reach, known: &Known) -> Vec<String> {
    let Some(host) = known.live.control_planes.iter().find(|host| reach.targets.contains_key(*host)) else {
        return Vec::new();
    };
    let kubernetes = &known.spec.settings.kubernetes;
    let argv = [
        &format!("{}/kubectl", kubernetes.bin_dir),
        "--kubeconfig",
        &format!("{}/admin.conf", kubernetes.kube_config_dir),
        "--request-timeout=10s",
        "get",
        "pods",
        "--all-namespaces",
        "--no-headers",
    ];
    let argv: Vec<String> = argv.map(str::to_owned).to_vec();
    let Ok(ways) = reach.ways(&[host]) else { return Vec::new() };
    let asked = |_: &str| vec![Ask::Exec { argv: argv.clone(), timeout_s: API_TIMEOUT_S }];
    let mut answers = fleet::ask(&reach.transport, &ways, asked);
    let silent = || vec!["No API server answers: what runs in the cluster is not known.".to_owned()];
    let Some(Ok(answered)) = answers.remove(host) else { return silent() };
    match answered.answers.into_iter().next() {
        Some((Answer::Exit { status: Some(0), stdout, .. }, ..)) => counted(&stdout),
        _ => silent(),
    }
}

/// Pods of each namespace; the first word of a line is its namespace.
fn counted(pods: &str) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in pods.lines() {
        if let Some(namespace) = line.split_whitespace().next() {
            *counts.entry(namespace).or_default() += 1;
        }
    }
    counts.iter().map(|(namespace, count)| format!("  {namespace}: {}", plural(*count, "pod"))).collect()
}

/// Removes what helpers left; a host where that fails is told, and everything else of it is gone.
pub(crate) fn clean(reach: &Reach, hosts: &[String], printer: &mut Printer) {
    let ways: Vec<_> = hosts.iter().filter_map(|host| reach.targets.get(host).cloned()).collect();
    let mut problems = Vec::new();
    for (host, result) in fleet::ask(&reach.transport, &ways, |_| vec![Ask::Clean]) {
        match result.map(|answered| answered.answers.into_iter().next()) {
            Ok(Some((Answer::Ok, ..)) | None) => {}
            Ok(Some((other, ..))) => problems.push(fleet::unexpected(&host, &other)),
            Err(why) => problems.push(fleet::problem(&host, &why)),
        }
    }
    let told = problems.into_iter().map(|problem| problem.hint("`kubespray node clean` removes the rest"));
    printer.diagnostics(&told.collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn pods_are_counted_by_namespace() {
        let pods =
            "kube-system  coredns-1  1/1  Running\nshop  web-1  1/1  Running\nshop  web-2  0/1  Pending\n";
        assert_eq!(counted(pods), ["  kube-system: 1 pod", "  shop: 2 pods"]);
        assert!(counted("").is_empty());
    }
}
