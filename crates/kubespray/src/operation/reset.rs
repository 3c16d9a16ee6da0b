//! `kubespray reset`: whose hosts they are, what runs there, and what is to be taken off them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use kubespray_diagnostics::{Diagnostic, did_you_mean};
use kubespray_interface::{list, plural};
use kubespray_planner::operations;
use kubespray_resource::wire::{Answer, Ask};

use super::intent::{Asking, Intent, Wished};
use super::learn::{Answering, ask_facts, hosts as hosts_of, known};
use super::refused::unplannable;
use super::{Reach, chosen};
use crate::failure::Failure;
use crate::fleet;
use crate::printer::Printer;
use crate::site::Site;

/// Names that are told; a count stands for the rest.
const NAMED: usize = 8;
/// An API server that does not answer by then holds nothing up.
const API_TIMEOUT_S: u64 = 15;

/// Takes a cluster off hosts: those that `--limit` names, else all.
pub(crate) struct Reset {
    dead: Vec<String>,
    found: RefCell<Option<Wiping>>,
}

/// What is about to be wiped.
#[derive(Clone, Debug)]
pub(crate) struct Wiping {
    /// The cluster's name.
    pub(crate) name: String,
    /// The fingerprint of its certificate authority.
    pub(crate) id: Option<String>,
    /// The hosts that are wiped.
    pub(crate) hosts: Vec<String>,
    /// A control plane, and how it is asked for all pods.
    pods: Option<(String, Vec<String>)>,
}

impl Wiping {
    /// Which cluster and which hosts.
    pub(crate) fn headline(&self) -> String {
        let hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        let id = self.id.as_deref().unwrap_or("none");
        let count = plural(hosts.len(), "host");
        format!("cluster `{}`, id {id}: {count} to wipe: {}", self.name, list(&hosts, NAMED))
    }
}

impl Reset {
    /// Without hosts that are gone for good.
    pub(crate) fn of(dead: &[String]) -> Self {
        Self { dead: dead.to_vec(), found: RefCell::default() }
    }

    /// What the last look found.
    pub(crate) fn found(&self) -> Option<Wiping> {
        self.found.borrow().clone()
    }

    /// The hosts that are meant, of those that are there.
    fn meant(
        &self,
        site: &Site,
        limit: Option<&str>,
        all: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Failure> {
        let unknown = self.dead.iter().filter(|host| !all.contains(*host));
        let problems = unknown.map(|host| {
            let problem = Diagnostic::error("dead", format!("no host `{host}` in the cluster"));
            match did_you_mean(host, all.iter().map(String::as_str)) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem,
            }
        });
        let problems: Vec<Diagnostic> = problems.collect();
        if !problems.is_empty() {
            return Err(problems.into());
        }
        let mut hosts: BTreeSet<String> = match limit {
            Some(limit) => site.hosts(Some(limit))?.into_iter().collect(),
            None => all.clone(),
        };
        hosts.retain(|host| !self.dead.contains(host));
        Ok(hosts)
    }
}

impl Intent for Reset {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let limit = options.common.limit.as_deref();
        let mut all: BTreeSet<String> = hosts_of(site).into_iter().collect();
        let meant = self.meant(site, limit, &all)?;
        all.retain(|host| !self.dead.contains(host));
        let asked: Vec<String> = all.into_iter().collect();
        let facts = ask_facts(site, *hosts, &asked, Some(&meant))?;
        let known = known(site, *hosts, facts, Answering::Any)?;
        let dead = self.dead.iter().cloned().collect();
        let reset = operations::reset(&known.site(), &meant, &dead)
            .map_err(|refusals| unplannable(&refusals, &known.variables))?;
        for (host, lost) in &reset.lost {
            site.warnings.push(Diagnostic::warning("reset", lost.clone()).on_host(host));
        }
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
        let asked = known.live.control_planes.iter().find(|host| known.facts.contains_key(*host));
        let wiping = Wiping {
            name: known.spec.name.clone(),
            id: reset.id,
            hosts: meant.into_iter().filter(|host| known.facts.contains_key(host)).collect(),
            pods: asked.map(|host| (host.clone(), argv.map(str::to_owned).to_vec())),
        };
        *self.found.borrow_mut() = Some(wiping);
        let wishes = chosen(reset.wishes, site, options, limit)?;
        Ok(Wished { known, wishes, about: None })
    }
}

/// Running pods by namespace, as a control plane tells them.
pub(crate) fn workloads(reach: &Reach, wiping: &Wiping) -> Vec<String> {
    let Some((host, argv)) = &wiping.pods else { return Vec::new() };
    let Ok(ways) = reach.ways(&[host]) else { return Vec::new() };
    let asked = |_: &str| vec![Ask::Exec { argv: argv.clone(), timeout_s: API_TIMEOUT_S }];
    let answered = fleet::ask(&reach.transport, &ways, asked).remove(host);
    match answered.and_then(Result::ok).and_then(|answered| answered.answers.into_iter().next()) {
        Some((Answer::Exit { status: Some(0), stdout, .. }, ..)) => counted(&stdout),
        _ => vec!["No API server answers: what runs in the cluster is not known.".to_owned()],
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
