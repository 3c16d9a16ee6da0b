//! `kubespray upgrade-cluster`: from what runs to wishes.

use std::collections::BTreeMap;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::components::running_probes;
use kubespray_planner::operations::{self, UpgradeOptions};
use kubespray_planner::{BlockedPod, Seen};

use super::cluster::{Answering, Known, learn, refuse_cut_off, unplannable};
use super::look::observe;
use super::{Reach, Wanted, chosen};
use crate::arguments::operations::{Operation, Upgrading};
use crate::failure::{FOUND_ERRORS, Failure};

/// Pods that are named one by one; a count stands for the rest.
const PODS_NAMED: usize = 20;

/// What raises the cluster of an inventory. Hosts and API servers are asked what runs; nothing is changed.
pub(crate) fn upgrade(options: &Operation, upgrading: &Upgrading) -> Result<Wanted, Failure> {
    let mut learnt = learn(&options.common, &options.connection, Answering::Meant)?;
    learn_what_runs(&learnt.reach, &mut learnt.known)?;
    let known = &learnt.known;
    let how = UpgradeOptions { max_unavailable: upgrading.max_unavailable.clone() };
    let wishes = operations::upgrade(&known.site(), &known.manifests, &how)
        .map_err(|refusals| unplannable(&refusals))?;
    let wishes = chosen(wishes, &learnt.reach.site, options)?;
    refuse_cut_off(&wishes)?;
    learnt.wanted(wishes)
}

/// Asks control planes how they are, and one of them how the nodes are.
fn learn_what_runs(reach: &Reach, known: &mut Known) -> Result<(), Failure> {
    let mut seen = Seen::default();
    observe(reach, &running_probes(&known.site()), &mut seen)?;
    known.live.learn(&seen.states);
    Ok(())
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
