//! `kubespray upgrade-cluster`: from what runs to wishes.

use std::collections::BTreeMap;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::BlockedPod;
use kubespray_planner::components::running_probes;
use kubespray_planner::operations::{self, UpgradeOptions};

use super::chosen;
use super::intent::{Asking, Intent, Wished};
use super::learn::{Answering, learn_all, refuse_cut_off};
use super::refused::unplannable;
use crate::arguments::operations::Upgrading;
use crate::failure::{FOUND_ERRORS, Failure};

/// Pods that are named one by one; a count stands for the rest.
const PODS_NAMED: usize = 20;

/// Raises the cluster of an inventory to the wished version.
pub(crate) struct Upgrade<'a>(pub(crate) &'a Upgrading);

impl Intent for Upgrade<'_> {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let mut known = learn_all(site, *hosts, &options.common, Answering::Meant)?;
        let well = hosts.states(running_probes(&known.site()))?;
        known.live.learn(&well);
        let how = UpgradeOptions { max_unavailable: self.0.max_unavailable.clone() };
        let wishes = operations::upgrade(&known.site(), &known.manifests, &how)
            .map_err(|refusals| unplannable(&refusals, &known.variables))?;
        let wishes = chosen(wishes, site, options, None)?;
        refuse_cut_off(&wishes)?;
        Ok(Wished { known, wishes, about: None })
    }
}

/// Refuses to begin where a pod that has to move is held: half an upgrade is worse than none.
pub(crate) fn refuse_blocked(blocked: &[BlockedPod], upgrading: &Upgrading) -> Result<(), Failure> {
    if blocked.is_empty() || upgrading.despite_budgets {
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
