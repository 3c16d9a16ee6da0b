//! What hosts must learn of others that come or go.
//!
//! The same planner is asked twice: for the cluster with those hosts and for the cluster without them. Where the two
//! wish the same of a host it need not know of the change, whatever else of it differs from its inventory.

use std::collections::{BTreeSet, HashMap, HashSet};

use kubespray_resource::{Resource, Step, StepId};

use crate::Wishes;
use crate::select::retain;

/// What is left of `wanted` when hosts that need not learn anything are left alone: all steps that are meant anyway, and
/// of the others what differs from `known`, with what that needs and what follows of it.
pub(super) fn difference(wanted: Wishes, known: &Wishes, is_meant: impl Fn(&Step) -> bool) -> Wishes {
    let before: HashMap<&StepId, &Resource> =
        known.steps.iter().map(|step| (&step.id, &step.resource)).collect();
    let differs = |step: &Step| before.get(&step.id).is_none_or(|resource| **resource != step.resource);
    let index: HashMap<&StepId, usize> =
        wanted.steps.iter().enumerate().map(|(at, step)| (&step.id, at)).collect();
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    let mut open: Vec<usize> = (0..wanted.steps.len())
        .filter(|at| wanted.steps.get(*at).is_some_and(|step| is_meant(step) || differs(step)))
        .collect();
    while let Some(at) = open.pop() {
        let Some(step) = wanted.steps.get(at).filter(|_| kept.insert(at)) else { continue };
        let gates = step.gates.iter().filter_map(|gate| wanted.gates.get(gate)).flat_map(|gate| &gate.steps);
        let needed = step.after.iter().chain(gates).cloned().chain(step.resource.takes_from());
        open.extend(needed.filter_map(|id| index.get(&id).copied()));
        open.extend(behind(&wanted, at));
    }
    let ids: HashSet<StepId> = kept.iter().filter_map(|at| Some(wanted.steps.get(*at)?.id.clone())).collect();
    retain(wanted, |step| ids.contains(&step.id))
}

/// What follows of a step on its host: what waits for it to change something, and the checks that make sure behind it
/// that the next host may have its turn.
fn behind(wishes: &Wishes, at: usize) -> Vec<usize> {
    let Some(step) = wishes.steps.get(at) else { return Vec::new() };
    let later = wishes.steps.iter().enumerate().skip(at + 1).filter(|(_, other)| other.host == step.host);
    later
        .filter(|(_, other)| {
            let is_awaited = other.resource.awaits().is_some_and(|token| step.notifies.contains(&token));
            let is_check = matches!(other.resource, Resource::Check(_) | Resource::EtcdHealth(_));
            is_awaited || (is_check && step.rollout.is_some() && other.rollout == step.rollout)
        })
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Gate, Needs, Swap, Token};

    use super::*;
    use crate::components::file;

    fn step(host: &str, name: &str, text: &str) -> Step {
        Step::new(host, "c", "p", name, file(format!("/etc/{name}"), text))
    }

    #[test]
    fn others_do_only_what_they_must_learn() {
        let wishes = |text: &str, new: bool| {
            let mut changed = step("old", "changed", text);
            changed.notifies.push(Token::restart_of("a.service"));
            let mut restart =
                Step::new("old", "c", "p", "a.service", crate::components::running("a.service"));
            restart.rollout = Some("r".into());
            let mut opener = Step::new("old", "c", "p", "opens", Swap {});
            opener.rollout = Some("other".into());
            let mut steps =
                vec![step("old", "same", "x"), changed, restart, step("old", "same-too", "x"), opener];
            if new {
                let mut joins = step("new", "join", "x");
                joins.gates.push("g".into());
                joins.after.push("old/c/same-too".into());
                steps.push(joins);
            }
            let gate = Gate { steps: vec!["old/c/opens".into()], needs: Needs::All };
            Wishes { steps, gates: [("g".to_owned(), gate)].into(), ..Wishes::default() }
        };
        let left = difference(wishes("two", true), &wishes("one", false), |step| step.host == "new");
        let texts = |names: &[&str]| names.iter().map(|name| format!("old/c/{name}")).collect::<Vec<_>>();
        let of_old = left.steps.iter().filter(|step| step.host == "old").map(|step| step.id.to_string());
        assert_eq!(of_old.collect::<Vec<_>>(), texts(&["changed", "a.service", "same-too", "opens"]));
        let none = difference(wishes("one", false), &wishes("one", false), |_| false);
        assert!(none.steps.is_empty());
    }
}
