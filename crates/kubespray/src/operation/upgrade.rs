//! `kubespray upgrade-cluster`: from what runs to wishes.

use std::collections::BTreeMap;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::BlockedPod;
use kubespray_planner::components::running_probes;
use kubespray_planner::operations::{self, UpgradeOptions, WindowProblem, worker_windows};

use super::chosen;
use super::intent::{Asking, Intent, Wished};
use super::learn::{Answering, learn_all, refuse_cut_off};
use super::refused::unplannable;
use crate::arguments::operations::Upgrading;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::site::Site;

/// Pods that are named one by one; a count stands for the rest.
const PODS_NAMED: usize = 20;

/// Raises the cluster of an inventory to the wished version.
pub(crate) struct Upgrade<'a>(pub(crate) &'a Upgrading);

impl Intent for Upgrade<'_> {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let how = windows(site, self.0)?;
        let mut known = learn_all(site, *hosts, &options.common, Answering::Meant)?;
        let well = hosts.states(running_probes(&known.site()))?;
        known.live.learn(&well);
        let limits = operations::no_way_back(&known.site());
        let wishes = operations::upgrade(&known.site(), &known.manifests, &how)
            .map_err(|refusals| unplannable(&refusals, &known.variables))?;
        let wishes = chosen(wishes, site, options, options.common.limit.as_deref())?;
        refuse_cut_off(&wishes)?;
        site.warnings.extend(warning(limits));
        Ok(Wished { known, wishes, about: None })
    }
}

/// What is said before anything is done: what of it cannot be undone, and what can.
fn warning(mut limits: Vec<String>) -> Option<Diagnostic> {
    let kept = limits.pop()?;
    let warning = Diagnostic::warning("no-way-back", "not all that this upgrade does can be undone");
    let warning = limits.into_iter().fold(warning, Diagnostic::because);
    let snapshot = "a snapshot of etcd, below `etcd_backup_prefix`, is made before anything is disturbed";
    Some(warning.hint(kept).hint(snapshot))
}

/// How workers take turns, with the groups of the inventory.
fn windows(site: &Site, upgrading: &Upgrading) -> Result<UpgradeOptions, Failure> {
    let inventory = &site.inventory;
    let members = |group: &str| {
        let hosts = || inventory.hosts_of(group).into_iter().map(str::to_owned).collect();
        inventory.has_group(group).then(hosts)
    };
    worker_windows(&upgrading.max_unavailable, &members).map_err(|problems| {
        let told =
            |problem: WindowProblem| Diagnostic::error("max-unavailable", problem.message).hint(problem.hint);
        problems.into_iter().map(told).collect::<Vec<_>>().into()
    })
}

/// Refuses to begin where a pod that has to move is held: half an upgrade is worse than none.
pub(crate) fn refuse_blocked(blocked: &[BlockedPod], despite_budgets: bool) -> Result<(), Failure> {
    if blocked.is_empty() || despite_budgets {
        return Ok(());
    }
    let mut by_host: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in blocked {
        by_host.entry(&pod.host).or_default().push(pod.pod.to_string());
    }
    let diagnostics = by_host.into_iter().map(|(host, pods)| {
        let message = format!("its node cannot be drained: {} held", count(pods.len()));
        let problem = Diagnostic::error("drain", message).on_host(host);
        let problem = pods.iter().take(PODS_NAMED).fold(problem, |problem, pod| problem.because(pod.clone()));
        problem
            .hint("add replicas or change the budget, so that a pod may go")
            .hint("`-e drain_fallback_enabled=true` deletes what is still held when `drain_timeout` is over; `--despite-budgets` begins all the same")
    });
    Err(Failure { diagnostics: diagnostics.collect(), code: FOUND_ERRORS })
}

fn count(pods: usize) -> String {
    if pods == 1 { "1 pod is".into() } else { format!("{pods} pods are") }
}
