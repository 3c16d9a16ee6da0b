//! Whether a cluster works (`verify`; spec CHK-001 to CHK-077). Nothing is changed.

use std::collections::BTreeMap;

use kubespray_resource::{PodsSeen, Step};

use super::rules::lock_hosts;
use crate::components::{PlanningError, Site, verify as assertions};
use crate::{ClockSample, Wishes};

/// Everything that must be true of a cluster and that hosts whose facts are known can find out, as one step of the
/// kind [`Check`](kubespray_resource::Check) each; or why what must be true cannot be told. `manifests` are those of
/// [`cluster`](super::cluster()). No locks are taken and nothing waits for anything: the steps are only looked at.
pub fn verify(site: &Site<'_>, manifests: &BTreeMap<String, String>) -> Result<Wishes, Vec<PlanningError>> {
    let steps = assertions::steps(site, manifests)?;
    Ok(Wishes { operation: "verify".into(), cluster: site.spec.name.clone(), steps, ..Wishes::default() })
}

/// What `verify --with-pods` makes, looks at and removes again.
#[derive(Clone, Debug, Default)]
pub struct PodProbes {
    /// Makes a namespace with a pod on every node that answers, and services.
    pub setup: Wishes,
    /// Asserts that these pods run.
    pub running: Wishes,
    /// Removes the namespace with all in it.
    pub teardown: Wishes,
    /// The namespace.
    pub namespace: &'static str,
    /// Where helpers must listen within the pods.
    pub port: u16,
    /// The host that asks the API server what became of it, and the kubeconfig there.
    pub asks: (String, String),
}

/// How the network of pods is tried; or why it cannot be.
pub fn pod_probes(site: &Site<'_>) -> Result<PodProbes, PlanningError> {
    let probes = assertions::pods::probes(site)?;
    let wishes = |steps: Vec<Step>, lock_hosts: Vec<String>| Wishes {
        operation: "verify".into(),
        cluster: site.spec.name.clone(),
        lock_hosts,
        steps,
        ..Wishes::default()
    };
    let locks = lock_hosts(site.spec);
    Ok(PodProbes {
        setup: wishes(probes.setup, locks.clone()),
        running: wishes(probes.running, Vec::new()),
        teardown: wishes(probes.teardown, locks),
        namespace: assertions::pods::NAMESPACE,
        port: assertions::pods::PORT,
        asks: probes.asks,
    })
}

/// What must be reached from hosts and from within the pods of [`pod_probes`] that run: checks, which are only looked at.
pub fn pod_network(site: &Site<'_>, seen: &PodsSeen) -> Wishes {
    let steps = assertions::pods::trials(site, seen);
    Wishes { operation: "verify".into(), cluster: site.spec.name.clone(), steps, ..Wishes::default() }
}

/// Clocks may differ by so much, in milliseconds (CHK-075).
const CLOCKS_APART_MS: i64 = 500;

/// Two hosts whose clocks differ by more than they may: the one ahead, the one behind, and by how many milliseconds at
/// least. A clock is known no better than half of the time that its answer took.
pub fn clocks_apart<'a>(clocks: &BTreeMap<&'a str, ClockSample>) -> Option<(&'a str, &'a str, i64)> {
    let doubt = |sample: &ClockSample| i64::try_from(sample.round_trip_ms() / 2).unwrap_or(i64::MAX);
    let at_least = |sample: &ClockSample| sample.ahead_ms().saturating_sub(doubt(sample));
    let at_most = |sample: &ClockSample| sample.ahead_ms().saturating_add(doubt(sample));
    let (first, ahead) = clocks.iter().max_by_key(|(_, sample)| at_least(sample))?;
    let (last, behind) = clocks.iter().min_by_key(|(_, sample)| at_most(sample))?;
    let apart = at_least(ahead).saturating_sub(at_most(behind));
    (apart > CLOCKS_APART_MS).then_some((*first, *last, apart))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_when_doubt_does_not_explain_it() {
        let apart = |clocks: &[(&'static str, u64, u64)]| {
            let sample = |took: u64, host_ms: u64| ClockSample {
                asked_ms: 10_000,
                answered_ms: 10_000 + took,
                host_ms,
            };
            let all = clocks.iter().map(|(name, took, host_ms)| (*name, sample(*took, *host_ms)));
            clocks_apart(&all.collect())
        };
        assert_eq!(apart(&[]), None);
        assert_eq!(apart(&[("a", 10, 99_000)]), None, "the controller's clock counts for nothing");
        assert_eq!(apart(&[("a", 0, 10_000), ("b", 0, 10_500)]), None);
        assert_eq!(apart(&[("a", 0, 10_000), ("b", 0, 10_501)]), Some(("b", "a", 501)));
        assert_eq!(
            apart(&[("a", 0, 10_000), ("b", 400, 10_801)]),
            None,
            "200 ms are half of its way, 200 are doubt"
        );
        assert_eq!(apart(&[("a", 0, 10_000), ("b", 400, 10_901)]), Some(("b", "a", 501)));
    }
}
