//! Nodes are emptied only where a step of their turn needs it.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{
    Comparison, Disruption, DrainPod, DrainState, Hold, NodeState, Plan, PlannedStep, Resource, State, Step,
};

use crate::Seen;

/// Host and rollout.
type Turn = (String, String);

fn turn(step: &Step) -> Option<Turn> {
    Some((step.host.clone(), step.rollout.clone()?))
}

/// Whether it takes a node out of service for what follows.
fn takes_away(resource: &Resource) -> bool {
    match resource {
        Resource::Drain(_) => true,
        Resource::NodeState(state) => state.unschedulable == Some(true),
        _ => false,
    }
}

/// Whether it gives a node back that was taken out of service.
pub(crate) fn gives_back(resource: &Resource) -> bool {
    matches!(resource, Resource::NodeState(NodeState { unschedulable: Some(false), mark: Some(_), .. }))
}

/// Takes their difference from cordons and drains whose turn has nothing that disturbs pods and gives the node back.
pub(crate) fn spare(steps: &mut [(Step, Comparison)]) {
    let disturbs = |step: &Step| step.disruption != Disruption::None || !step.notifies.is_empty();
    let needed: BTreeSet<Turn> = steps
        .iter()
        .filter(|(step, compared)| !compared.is_same() && !takes_away(&step.resource) && disturbs(step))
        .filter_map(|(step, _)| turn(step))
        .collect();
    let passing: BTreeSet<Turn> = steps
        .iter()
        .filter(|(step, _)| gives_back(&step.resource))
        .filter_map(|(step, _)| turn(step))
        .collect();
    for (step, compared) in steps.iter_mut().filter(|(step, _)| takes_away(&step.resource)) {
        // A node that is not given back is taken away for its own sake.
        if turn(step).is_some_and(|turn| passing.contains(&turn) && !needed.contains(&turn)) {
            *compared = Comparison::default();
        }
    }
}

/// A pod that has to move and that something holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedPod {
    /// The host whose node it is on.
    pub host: String,
    /// The pod, with its owner and what holds it.
    pub pod: DrainPod,
}

/// The pods that drains of a plan cannot move as things are, by what the API server said to trial evictions (OPS-053,
/// PAIN-045). Drains that delete what they cannot evict, and those that may fail, are held by nothing.
pub fn blocked_pods(plan: &Plan, seen: &Seen) -> Vec<BlockedPod> {
    let drains = plan.changes().filter_map(|planned| match &planned.step.resource {
        Resource::Drain(wish) if wish.fallback.is_none() && !wish.may_fail => Some(&planned.step),
        _ => None,
    });
    let blocked = drains.flat_map(|step| {
        let pods = match seen.states.get(&step.id) {
            Some(Ok(State::Drain(DrainState::Node { pods, .. }))) => pods.as_slice(),
            _ => &[],
        };
        let held = pods.iter().filter(|pod| pod.obstacle.is_some() && !pod.ending);
        held.map(|pod| BlockedPod { host: step.host.clone(), pod: pod.clone() })
    });
    blocked.collect()
}

/// Who waits before a turn waits before the first step that changes something in it.
pub(crate) fn hold_what_changes(steps: &mut [PlannedStep]) {
    let mut waiting: BTreeMap<Turn, Hold> = BTreeMap::new();
    for planned in steps {
        let Some(turn) = turn(&planned.step) else { continue };
        if planned.changes {
            if let Some(hold) = waiting.remove(&turn).filter(|_| planned.step.hold.is_none()) {
                planned.step.hold = Some(hold);
            }
        } else if let Some(hold) = planned.step.hold.take().filter(|_| takes_away(&planned.step.resource)) {
            waiting.insert(turn, hold);
        }
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Check, Probe, Running, Token, Unit};

    use super::*;

    fn cordon(unschedulable: bool) -> Resource {
        NodeState {
            unschedulable: Some(unschedulable),
            mark: Some("m".into()),
            name: "h".into(),
            ..NodeState::default()
        }
        .into()
    }

    fn unit() -> Resource {
        Unit {
            name: "x.service".into(),
            enabled: None,
            running: Some(Running::Started),
            masked: None,
            may_be_missing: false,
        }
        .into()
    }

    fn check() -> Resource {
        Check { name: "x".into(), probe: Probe::Path("/x".into()), timeout_s: 1, interval_ms: 1 }.into()
    }

    fn step(name: &str, resource: Resource, change: impl FnOnce(&mut Step)) -> Step {
        let mut step = Step { rollout: Some("r".into()), ..Step::new("h", "c", "p", name, resource) };
        change(&mut step);
        step
    }

    #[test]
    fn a_node_is_emptied_for_what_disturbs_it() {
        let away = || step("away", cordon(true), |step| step.disruption = Disruption::Drain);
        let disturbing = |step: &mut Step| step.disruption = Disruption::Restart;
        for (other, differs, expected) in [
            (step("unit", unit(), disturbing), true, true),
            (step("unit", unit(), disturbing), false, false),
            (step("unit", unit(), |_| {}), true, false),
            (step("file", unit(), |step| step.notifies = vec![Token::restart_of("x")]), true, true),
            (step("check", check(), |_| {}), true, false),
            (
                step("other", unit(), |step| (step.disruption, step.rollout) = (Disruption::Restart, None)),
                true,
                false,
            ),
        ] {
            let name = other.id.to_string();
            let compared = |differs: bool| {
                let mut out = Comparison::default();
                if differs {
                    out.add("x", None, None);
                }
                out
            };
            let back = step("back", cordon(false), |_| {});
            let mut steps =
                vec![(away(), compared(true)), (other, compared(differs)), (back, compared(false))];
            spare(&mut steps);
            assert_eq!(!steps[0].1.is_same(), expected, "{name} {differs}");
            let mut for_good = vec![(away(), compared(true))];
            spare(&mut for_good);
            assert!(!for_good[0].1.is_same(), "nobody gives it back");
        }
    }

    #[test]
    fn a_hold_is_before_the_first_change_of_a_turn() {
        let planned = |step: Step, changes: bool| PlannedStep {
            step,
            seen: Comparison::default(),
            changes,
            diff: None,
        };
        let hold = Hold::Pause(3);
        let mut steps = vec![
            planned(step("away", cordon(true), |step| step.hold = Some(Hold::Pause(3))), false),
            planned(step("same", unit(), |_| {}), false),
            planned(step("unit", unit(), |_| {}), true),
            planned(step("back", cordon(false), |step| step.hold = Some(Hold::Pause(3))), false),
        ];
        hold_what_changes(&mut steps);
        let holds: Vec<_> = steps.iter().map(|planned| planned.step.hold.clone()).collect();
        assert_eq!(holds, [None, None, Some(hold), None]);
    }
}
