//! What must hold of an inventory before anything is done with it (VAL-003 to VAL-195).
//!
//! [`check`] needs the inventory and the variables alone and finds all problems at once;
//! [`node::check_node`] needs what a host says of itself.
//!
//! Two checks of Kubespray fall away: there is no engine whose version could be wrong (VAL-001), and
//! addresses are understood without a library (VAL-002). Another one cannot fail here: route reflectors
//! are always members of `k8s_cluster` (VAL-066), because that group is computed.

mod addresses;
mod apps;
mod calico;
mod choices;
mod cilium;
mod clouds;
mod docker_dns;
mod groups;
mod networks;
pub mod node;
mod report;
mod site;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod versions;

use std::cell::RefCell;
use std::collections::HashSet;

use kubespray_diagnostics::Diagnostic;
use kubespray_inventory::Inventory;
use kubespray_variables::{Fingerprint, Reads, Variables};

pub use groups::Members;
pub(crate) use report::Report;
pub(crate) use site::Look;

/// What is checked.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The variables.
    pub variables: &'a Variables,
    /// The inventory that they come from.
    pub inventory: &'a Inventory,
}

/// What the checks found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// All problems.
    pub diagnostics: Vec<Diagnostic>,
    /// Ids of checks that failed and do not count because of `ignore_assert_errors`.
    pub bypassed: Vec<&'static str>,
}

/// Runs all checks that need nothing but the inventory and its variables.
///
/// A value that waits for facts is not checked. A value that cannot be had for another reason is one
/// problem, however many checks ask for it.
pub fn check(site: &Site<'_>) -> Outcome {
    let members = site.groups();
    let broken = RefCell::new(Vec::new());
    let hosts = site.inventory.hosts();
    let Some(first) = members.kube_control_plane.first().or(hosts.first()).copied() else {
        let mut report = Report::new(false);
        groups::val_004_control_plane_has_hosts(site, &members, &mut report);
        return report.into_outcome(None);
    };
    let look = Look { site, host: first, members: &members, per_host: false, broken: &broken };
    let mut report = Report::new(look.is_true("ignore_assert_errors"));
    let ignoring = look.origin("ignore_assert_errors");

    groups::check(&look, &mut report);
    choices::check(&look, &mut report);
    versions::check(&look, &mut report);
    let networks = networks::check(&look, &mut report);
    calico::check(&look, &mut report);
    cilium::check(&look, &mut report);
    apps::check(&look, &mut report);
    clouds::check(&look, &mut report);
    on_different_hosts(site, &hosts, &mut report, |host, report| {
        let look = Look { host, per_host: true, ..look };
        choices::check_host(&look, report);
        versions::check_host(&look, report);
        networks::check_host(&look, report);
        docker_dns::check_host(&look, report);
    });
    addresses::check(&look, &networks, &mut report);

    for problem in broken.take() {
        report.add(problem);
    }
    report.into_outcome(ignoring)
}

/// Runs checks on one host of all those that agree in everything that the checks read.
fn on_different_hosts<'a>(
    site: &Site<'a>,
    hosts: &[&'a str],
    report: &mut Report,
    run: impl Fn(&'a str, &mut Report),
) {
    let mut known: Vec<(Reads, HashSet<Fingerprint>)> = Vec::new();
    for host in hosts {
        let is_known = known.iter().any(|(reads, prints)| {
            site.variables.fingerprint(host, reads).is_some_and(|print| prints.contains(&print))
        });
        if is_known {
            continue;
        }
        let ((), reads) = site.variables.record(&[], || run(host, report));
        let Some(print) = site.variables.fingerprint(host, &reads) else { continue };
        match known.iter_mut().find(|(other, _)| *other == reads) {
            Some((_, prints)) => _ = prints.insert(print),
            None => known.push((reads, HashSet::from([print]))),
        }
    }
}
