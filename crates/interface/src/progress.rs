//! A run on a terminal: one bar for each phase and group of hosts, and what is under way.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Event, EventKind, OutcomeKind, Plan, StepId};

use crate::amount::duration;
use crate::lines::name_on;

/// Blocks of a bar.
const BAR: usize = 24;
/// Steps under way that are named.
const NAMED: usize = 4;

#[derive(Debug, Default)]
struct Count {
    all: usize,
    done: usize,
    failed: usize,
}

/// What stands at the foot of the screen while a run is under way.
#[derive(Debug)]
pub struct Progress {
    /// The phases in the order of the plan, for each group of hosts, with their counts.
    bars: Vec<(String, Count)>,
    /// By step that will do something: its bar.
    steps: BTreeMap<StepId, usize>,
    /// By host: the step under way and since when.
    under_way: BTreeMap<String, (StepId, u64)>,
    began_ms: Option<u64>,
    stopping: bool,
}

impl Progress {
    /// For a plan that is about to be run. `group` says what a host is, such as `control plane`; where all are the
    /// same it is not told.
    pub fn new(plan: &Plan, group: impl Fn(&str) -> String) -> Self {
        let groups: BTreeMap<&str, String> = plan
            .changes()
            .map(|planned| planned.step.host.as_str())
            .map(|host| (host, group(host)))
            .collect();
        let kinds: BTreeSet<&String> = groups.values().collect();
        let mut phases: Vec<&str> = Vec::new();
        let mut counts: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        let mut numbers: BTreeMap<StepId, (usize, &str)> = BTreeMap::new();
        for planned in plan.changes() {
            let phase = phases.iter().position(|phase| *phase == planned.step.phase).unwrap_or_else(|| {
                phases.push(&planned.step.phase);
                phases.len() - 1
            });
            let bar = (phase, groups.get(planned.step.host.as_str()).map_or("", String::as_str));
            *counts.entry(bar).or_default() += 1;
            numbers.insert(planned.step.id.clone(), bar);
        }
        let order: BTreeMap<(usize, &str), usize> = counts.keys().copied().zip(0..).collect();
        let name = |(phase, group): (usize, &str)| {
            let phase = phases.get(phase).copied().unwrap_or_default();
            if kinds.len() > 1 { format!("{phase}, {group}") } else { phase.to_owned() }
        };
        Self {
            bars: counts
                .iter()
                .map(|(bar, all)| (name(*bar), Count { all: *all, ..Count::default() }))
                .collect(),
            steps: numbers.into_iter().filter_map(|(step, bar)| Some((step, *order.get(&bar)?))).collect(),
            under_way: BTreeMap::new(),
            began_ms: None,
            stopping: false,
        }
    }

    /// Whether an event deserves a line of its own above the bars.
    pub fn is_worth_a_line(event: &Event) -> bool {
        !matches!(
            &event.kind,
            EventKind::StepDone { outcome, .. } if outcome.kind != OutcomeKind::Removed && outcome.shortfall.is_none()
        )
    }

    /// Takes what happened.
    pub fn take(&mut self, event: &Event) {
        self.began_ms.get_or_insert(event.at_ms);
        match &event.kind {
            EventKind::StepStarted { step, host } => {
                self.under_way.insert(host.clone(), (step.clone(), event.at_ms));
            }
            EventKind::StepDone { step, host, .. } => self.end(step, host, false),
            EventKind::StepFailed { step, host, retry_in_ms: None, .. } => self.end(step, host, true),
            EventKind::StepFailed { host, .. } | EventKind::HostDown { host, .. } => {
                self.under_way.remove(host);
            }
            EventKind::Stopping => self.stopping = true,
            _ => {}
        }
    }

    fn end(&mut self, step: &StepId, host: &str, failed: bool) {
        if self.under_way.get(host).is_some_and(|(under_way, _)| under_way == step) {
            self.under_way.remove(host);
        }
        let Some((_, count)) = self.steps.remove(step).and_then(|bar| self.bars.get_mut(bar)) else {
            return;
        };
        if failed { count.failed += 1 } else { count.done += 1 }
    }

    /// The lines to show now, none longer than `width`.
    pub fn frame(&self, now_ms: u64, width: usize) -> Vec<String> {
        let name_width = self.bars.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(36);
        let mut lines: Vec<String> = self
            .bars
            .iter()
            .map(|(name, count)| {
                let full = (count.done + count.failed) * BAR / count.all.max(1);
                let bar: String = (0..BAR).map(|at| if at < full { '█' } else { '░' }).collect();
                let failed =
                    if count.failed > 0 { format!(", {} failed", count.failed) } else { String::new() };
                format!("{name:name_width$} {bar} {}/{}{failed}", count.done, count.all)
            })
            .collect();
        let mut oldest: Vec<_> = self.under_way.iter().collect();
        oldest.sort_by_key(|(_, (_, since))| *since);
        for (host, (step, since)) in oldest.iter().take(NAMED) {
            lines.push(format!(
                "  {host}: {} ({})",
                name_on(step, host),
                duration(now_ms.saturating_sub(*since))
            ));
        }
        if let Some(more) = oldest.len().checked_sub(NAMED).filter(|more| *more > 0) {
            lines.push(format!("  and {more} more hosts"));
        }
        let took = duration(now_ms.saturating_sub(self.began_ms.unwrap_or(now_ms)));
        lines.push(if self.stopping {
            format!("{took}, stopping: what is under way is finished first; Ctrl-C again leaves at once")
        } else {
            took
        });
        lines.into_iter().map(|line| line.chars().take(width).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Comparison, Outcome, PLAN_SCHEMA_VERSION, PlannedStep, Policy, Step, Swap};

    use super::*;

    fn planned(id: &str, phase: &str) -> PlannedStep {
        let step =
            Step { id: id.into(), ..Step::new(id.split('/').next().unwrap(), "c", phase, "x", Swap {}) };
        PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
    }

    #[test]
    fn bars_grow_and_what_is_under_way_is_named() {
        let plan = Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            operation: "cluster".into(),
            cluster: "c".into(),
            lock_hosts: Vec::new(),
            steps: vec![planned("a/x", "host"), planned("a/y", "engine"), planned("b/x", "host")],
            gates: BTreeMap::new(),
            policy: Policy::default(),
        };
        let mut progress = Progress::new(&plan, |_| "node".to_owned());
        let mut take = |at_ms, kind| progress.take(&Event { run: "r".into(), at_ms, kind });
        take(1_000, EventKind::StepStarted { step: "a/x".into(), host: "a".into() });
        take(
            1_500,
            EventKind::StepDone {
                step: "a/x".into(),
                host: "a".into(),
                outcome: Outcome::unchanged(),
                took_ms: 500,
            },
        );
        take(2_000, EventKind::StepStarted { step: "a/y".into(), host: "a".into() });
        let lines = progress.frame(5_200, 60);
        assert_eq!(
            lines,
            [
                "host   ████████████░░░░░░░░░░░░ 1/2",
                "engine ░░░░░░░░░░░░░░░░░░░░░░░░ 0/1",
                "  a: y (3.2 s)",
                "4.2 s"
            ]
        );
        assert!(progress.frame(5_200, 20).iter().all(|line| line.chars().count() <= 20));
        let grouped =
            Progress::new(&plan, |host| if host == "a" { "control plane" } else { "node" }.to_owned());
        let bars: Vec<String> = grouped
            .frame(0, 80)
            .iter()
            .filter_map(|line| Some(line.split_once('░')?.0.trim().to_owned()))
            .collect();
        assert_eq!(bars, ["host, control plane", "host, node", "engine, control plane"]);
    }
}
