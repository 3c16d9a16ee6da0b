//! Whether the network leads where it must.

use kubespray_resource::{Failure, Trial, TrialTarget};

use super::{Finding, words};
use crate::Host;

/// CHK-031, CHK-035, CHK-036, CHK-066 to CHK-068, CHK-081.
pub(super) fn look(host: &dyn Host, pod: Option<&str>, trials: &[Trial]) -> Result<Option<Finding>, Failure> {
    let results = match words(host.try_network(pod, trials))? {
        Ok(results) => results,
        Err(why) => {
            return Ok(Some(Finding::new(why).hint("the pod ended meanwhile: verify once more")));
        }
    };
    let failed: Vec<(&Trial, String)> =
        trials.iter().zip(results).filter_map(|(trial, why)| Some((trial, why?))).collect();
    let hint = failed.first().map(|(trial, _)| match trial.target {
        TrialTarget::Name { .. } => "see the pods of CoreDNS and of the cache on this node",
        _ => {
            "see the pods of the network plugin and of kube-proxy on both nodes; a firewall between them keeps packets \
             away, a smaller MTU the large ones alone: `kubespray preflight` looks for both"
        }
    });
    let problems: Vec<String> = failed.iter().map(|(trial, why)| format!("{}: {why}", trial.what)).collect();
    let all = trials.len();
    let finding = Finding::of(problems, |many| format!("{many} of {all} tries failed"));
    Ok(finding.map(|finding| hint.into_iter().fold(finding, Finding::hint)))
}
