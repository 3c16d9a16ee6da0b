//! What hosts wait for of each other.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Disruption, Gate, Needs, Policy, Rollout, Step, StepId};
use kubespray_spec::ClusterSpec;

use crate::components::{Site, control_plane_order, etcd, load_balancer};

/// The gate that late resolvers wait for.
const DNS: &str = "dns";

/// The turns of nodes that are no control planes.
pub(super) const WORKERS: &str = "workers";

/// What control planes wait for that are there already.
const SETTLED: &str = "etcd-settled";

/// Hosts whose locks a run must hold: all that a cluster cannot be changed without, by name.
pub(super) fn lock_hosts(spec: &ClusterSpec) -> Vec<String> {
    let all: BTreeSet<&String> = spec.groups.control_plane.iter().chain(&spec.groups.etcd).collect();
    all.into_iter().cloned().collect()
}

/// The gates that steps of etcd and of control planes open. A gate that nothing opens is none, and a step that waits
/// for it is a mistake which the linter finds.
pub(super) fn gates(site: &Site<'_>, steps: &[Step]) -> BTreeMap<String, Gate> {
    let leader = site.leader();
    let mut gates = BTreeMap::new();
    for (name, needs, is_of_leader, opened_by) in [
        (etcd::READY, Needs::Majority, false, "etcd/service"),
        ("etcd", Needs::Majority, false, "etcd/healthy"),
        ("initialised", Needs::All, true, "control-plane/ready"),
        ("control-planes", Needs::All, false, "control-plane/ready"),
    ] {
        let opens = |step: &&Step| {
            step.id.as_str().strip_prefix(&format!("{}/", step.host)) == Some(opened_by)
                && (!is_of_leader || step.host == leader)
        };
        let steps: Vec<StepId> = steps.iter().filter(opens).map(|step| step.id.clone()).collect();
        if !steps.is_empty() {
            gates.insert(name.to_owned(), Gate { steps, needs });
        }
    }
    gates
}

/// Hosts resolve names by the cluster's DNS when it answers (LIFE-177); where it has none of its own, at once.
pub(super) fn wait_for_dns(gates: &BTreeMap<String, Gate>, steps: &mut [Step]) {
    let late = steps.iter_mut().filter(|step| step.component == "resolvconf-late");
    late.filter(|_| gates.contains_key(DNS)).for_each(|step| step.gates.push(DNS.into()));
}

/// Members of etcd and control planes take turns apart; one of these goes only when all of those are back.
pub(super) fn members_before_control_planes(gates: &mut BTreeMap<String, Gate>, steps: &mut [Step]) {
    let costs = |step: &Step, rollout: &str| {
        step.disruption == Disruption::Quorum && step.rollout.as_deref() == Some(rollout)
    };
    let members: Vec<StepId> =
        steps.iter().filter(|step| costs(step, etcd::ROLLOUT)).map(|step| step.id.clone()).collect();
    if members.is_empty() {
        return;
    }
    gates.insert(SETTLED.to_owned(), Gate { steps: members, needs: Needs::All });
    for step in steps.iter_mut().filter(|step| costs(step, "control-plane")) {
        step.gates.push(SETTLED.into());
    }
}

/// Turns and tolerance. Members of etcd and control planes take turns one by one, workers that work already by
/// `serial` (LIFE-230): what restarts there must not restart everywhere at once.
pub(super) fn policy(site: &Site<'_>) -> Policy {
    let spec = site.spec;
    let operations = &spec.settings.operations;
    let workers: Vec<String> = spec
        .groups
        .workers
        .iter()
        .chain(&spec.groups.route_reflectors)
        .filter(|name| !spec.groups.control_plane.contains(name))
        .cloned()
        .collect();
    let at_once = serial(operations.serial.as_deref(), workers.len());
    let nodes: Vec<String> = spec.groups.control_plane.iter().chain(&workers).cloned().collect();
    let one_by_one = |hosts: Vec<String>| Rollout { hosts, max_unavailable: 1, canaries: 0 };
    let rollouts = [
        (etcd::ROLLOUT, one_by_one(etcd::turns(site))),
        ("control-plane", one_by_one(control_plane_order(site).into_iter().map(str::to_owned).collect())),
        // Containers go on while their engine restarts.
        ("engine", Rollout { hosts: nodes.clone(), max_unavailable: at_once, canaries: 0 }),
        (load_balancer::ROLLOUT, Rollout { hosts: nodes, max_unavailable: at_once, canaries: 0 }),
        (WORKERS, Rollout { hosts: workers, max_unavailable: at_once, canaries: 0 }),
    ];
    // LIFE-243.
    let is_fatal = operations.any_errors_fatal.unwrap_or(true);
    Policy {
        failure_budget: if is_fatal { 0 } else { spec.hosts.len() },
        rollouts: rollouts.into_iter().map(|(name, rollout)| (name.to_owned(), rollout)).collect(),
        ..Policy::default()
    }
}

/// How many of some hosts `serial` lets through at once: a number, or a part of a hundred as Ansible rounds it. One
/// at least; what cannot be read counts as the default of 20 %.
pub(super) fn serial(text: Option<&str>, hosts: usize) -> usize {
    let text = text.map_or("20%", str::trim);
    let count = match text.strip_suffix('%') {
        Some(part) => part.trim().parse::<usize>().ok().map(|part| hosts.saturating_mul(part) / 100),
        None => text.parse::<usize>().ok(),
    };
    count.unwrap_or(hosts / 5).max(1)
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Gate, Needs, Step, Swap};

    use super::{serial, wait_for_dns};

    #[test]
    fn only_late_resolvers_wait_for_dns_and_only_where_there_is_some() {
        let steps = || ["resolvconf", "resolvconf-late"].map(|part| Step::new("h", part, "p", "s", Swap {}));
        let gate = Gate { steps: vec!["h/dns/ready".into()], needs: Needs::All };
        for (gates, expected) in [([].into(), [0, 0]), ([("dns".to_owned(), gate)].into(), [0, 1])] {
            let mut steps = steps();
            wait_for_dns(&gates, &mut steps);
            assert_eq!(steps.map(|step| step.gates.len()), expected);
        }
    }

    #[test]
    fn serial_is_a_number_or_a_part() {
        for (text, hosts, expected) in [
            (None, 0, 1),
            (None, 4, 1),
            (None, 10, 2),
            (None, 99, 19),
            (Some("3"), 100, 3),
            (Some("0"), 100, 1),
            (Some("50%"), 5, 2),
            (Some(" 100 % "), 5, 5),
            (Some("half"), 10, 2),
        ] {
            assert_eq!(serial(text, hosts), expected, "{text:?} of {hosts}");
        }
    }
}
