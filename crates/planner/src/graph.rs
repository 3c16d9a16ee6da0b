//! Who waits for whom in a plan.

use std::collections::{BTreeMap, HashMap};

use kubespray_resource::{Needs, Plan, StepId};

/// Which edges of a plan count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edges {
    /// Everything that a step may wait for.
    Possible,
    /// Only what it waits for in every run: a gate that one of several steps can open orders none of them.
    Certain,
}

/// The steps of a plan by number, then its gates, with those that each waits for. A gate is a place of its own: all
/// steps of all hosts may wait for one that all hosts open.
pub(crate) struct Graph {
    /// Indexes of the steps and gates that must be done before.
    pub(crate) before: Vec<Vec<usize>>,
}

impl Graph {
    /// Steps wait for the one before on the same host, for those of `after`, for those whose outputs they take,
    /// and for those that open their gates. Names that lead nowhere are left out.
    pub(crate) fn of(plan: &Plan, edges: Edges) -> Self {
        let index: HashMap<StepId, usize> =
            plan.steps.iter().enumerate().map(|(at, planned)| (planned.step.id.clone(), at)).collect();
        let gates: HashMap<&str, usize> =
            plan.gates.keys().enumerate().map(|(at, name)| (name.as_str(), plan.steps.len() + at)).collect();
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        let mut before = Vec::with_capacity(plan.steps.len() + plan.gates.len());
        for (at, planned) in plan.steps.iter().enumerate() {
            let step = &planned.step;
            let mut waits: Vec<usize> = last.insert(&step.host, at).into_iter().collect();
            let taken = step.resource.takes_from();
            let named = step.after.iter().chain(&taken);
            waits.extend(named.filter_map(|id| index.get(id).copied()));
            waits.extend(step.gates.iter().filter_map(|gate| gates.get(gate.as_str()).copied()));
            waits.sort_unstable();
            waits.dedup();
            before.push(waits);
        }
        for gate in plan.gates.values() {
            let orders = edges == Edges::Possible || gate.needs == Needs::All || gate.steps.len() == 1;
            let opened_by = gate.steps.iter().filter(|_| orders);
            before.push(opened_by.filter_map(|id| index.get(id).copied()).collect());
        }
        Self { before }
    }

    /// Steps and gates in an order that keeps all edges; those that wait in a circle are missing.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut waits: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut behind: Vec<Vec<usize>> = vec![Vec::new(); self.before.len()];
        for (at, before) in self.before.iter().enumerate() {
            for other in before {
                if let Some(list) = behind.get_mut(*other) {
                    list.push(at);
                }
            }
        }
        let mut ready: std::collections::BTreeSet<usize> =
            waits.iter().enumerate().filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
        let mut order = Vec::with_capacity(waits.len());
        while let Some(at) = ready.pop_first() {
            order.push(at);
            for next in behind.get(at).map_or(&[][..], Vec::as_slice) {
                if let Some(count) = waits.get_mut(*next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(*next);
                    }
                }
            }
        }
        order
    }

    /// For each place of `order`, which of some marked steps happen before it, as sets over the marks.
    pub(crate) fn marks_before(&self, order: &[usize], marked: &[usize]) -> Vec<Vec<u64>> {
        let words = marked.len().div_ceil(64);
        let mut sets = vec![vec![0_u64; words]; self.before.len()];
        let place: HashMap<usize, usize> = marked.iter().enumerate().map(|(bit, at)| (*at, bit)).collect();
        for at in order {
            let mut own = vec![0_u64; words];
            for other in self.before.get(*at).map_or(&[][..], Vec::as_slice) {
                for (word, theirs) in own.iter_mut().zip(sets.get(*other).map_or(&[][..], Vec::as_slice)) {
                    *word |= theirs;
                }
                if let Some(bit) = place.get(other)
                    && let Some(word) = own.get_mut(bit / 64)
                {
                    *word |= 1 << (bit % 64);
                }
            }
            if let Some(set) = sets.get_mut(*at) {
                *set = own;
            }
        }
        sets
    }
}
