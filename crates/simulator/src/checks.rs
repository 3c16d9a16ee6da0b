//! Rules that every run keeps, watched from outside.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_controller::Report;
use kubespray_resource::wire::{Answer, Apply, Holder, Reply};
use kubespray_resource::{Disruption, Event, OutcomeKind, Plan, RunId, Secrets, StepId};
use serde::Serialize;

use crate::host::Applying;
use crate::machine::Machine;

/// Where a host keeps who works on the cluster.
const LOCK: &str = "/var/lib/kubespray/lock";

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule: `lock`, `rollout`, `quorum`, `secret`, `journal`, `twice`, `takeover`, `ends`,
    /// `etcd-quorum`, `control-planes`, `skew`.
    pub rule: &'static str,
    /// How.
    pub what: String,
}

/// Watches all runs of a world.
///
/// - `lock`: a step begins only while its run holds more than half of the locks.
/// - `rollout`: no more hosts than allowed are between their first and their last step of a rollout.
/// - `quorum`: hosts whose step of disruption `quorum` is not done are never half of those that have one.
/// - `secret`: no event, report, journal or record holds a secret.
/// - `journal`: every effect is journalled before it happens.
/// - `twice`: no step of a run changes something twice, unless its host lost its power in between.
/// - `takeover`: once a newer connection has begun a step on a host, helpers of older ones begin none.
/// - `ends`: every run ends.
/// - `etcd-quorum`: no run stops a member of etcd that its cluster cannot spare.
/// - `control-planes`: no run stops an API server while another one that it stopped is not back.
/// - `skew`: no kubelet begins that is newer than an API server, and API servers are at most one minor version apart.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    violations: Vec<Violation>,
    secrets: BTreeSet<String>,
    plans: BTreeMap<RunId, Watched>,
    is_lock_broken: bool,
    /// By run and step: how many losses of power its host had seen when it changed something.
    changed: BTreeMap<(RunId, StepId), u64>,
}

/// What a run's plan says of it.
#[derive(Debug, Default)]
struct Watched {
    lock_hosts: Vec<String>,
    /// Where those are among the machines.
    lock_places: Vec<usize>,
    /// By rollout: how many hosts may be on their way.
    limits: BTreeMap<String, usize>,
    /// By rollout and host: steps that are not done.
    left: BTreeMap<(String, String), BTreeSet<StepId>>,
    /// By rollout: hosts that have begun and are not through.
    on_the_way: BTreeMap<String, BTreeSet<String>>,
    rollout_of: BTreeMap<StepId, String>,
    /// Steps that take a member away.
    members: BTreeSet<StepId>,
    /// Those that were begun and are not done.
    away: BTreeSet<StepId>,
}

impl Watched {
    fn of(plan: &Plan) -> Self {
        let mut out = Self { lock_hosts: plan.lock_hosts.clone(), ..Self::default() };
        for (name, rollout) in &plan.policy.rollouts {
            out.limits.insert(name.clone(), rollout.max_unavailable);
        }
        for planned in plan.changes() {
            let step = &planned.step;
            if let Some(rollout) = &step.rollout {
                out.rollout_of.insert(step.id.clone(), rollout.clone());
                let key = (rollout.clone(), step.host.clone());
                out.left.entry(key).or_default().insert(step.id.clone());
            }
            if step.disruption == Disruption::Quorum {
                out.members.insert(step.id.clone());
            }
        }
        out
    }
}

impl Checks {
    /// What was broken so far.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn broken(&mut self, rule: &'static str, what: String) {
        self.violations.push(Violation { rule, what });
    }

    pub(crate) fn begin(&mut self, run: &RunId, plan: &Plan, secrets: &Secrets) {
        // Their values can be had only as they travel.
        if let Ok(serde_json::Value::Object(values)) = serde_json::to_value(secrets) {
            self.secrets.extend(values.values().filter_map(|value| value.as_str().map(str::to_owned)));
        }
        if !self.plans.contains_key(run) {
            self.plans.insert(run.clone(), Watched::of(plan));
        }
    }

    pub(crate) fn lock_is_broken(&mut self) {
        self.is_lock_broken = true;
    }

    pub(crate) fn event(&mut self, event: &Event) {
        self.told("an event", event);
    }

    pub(crate) fn report(&mut self, report: &Report) {
        self.told("a report", report);
    }

    fn told(&mut self, what: &str, told: &impl Serialize) {
        if !self.secrets.is_empty() {
            let text = serde_json::to_string(told).unwrap_or_default();
            self.no_secret(what, &text);
        }
    }

    fn no_secret(&mut self, what: &str, text: &str) {
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            self.broken("secret", format!("{what} holds a secret"));
        }
    }

    /// What helpers keep on their hosts.
    pub(crate) fn kept_by_hosts(&mut self, machines: &[Machine]) {
        if self.secrets.is_empty() {
            return;
        }
        for machine in machines {
            for (path, text) in machine.host.kept_by_helpers() {
                self.no_secret(&format!("`{path}` of `{}`", machine.name), &text);
            }
        }
    }

    /// A helper has applied a step, or died over it. `losses` is how often the host has lost its power.
    pub(crate) fn step(
        &mut self,
        machines: &[Machine],
        host: usize,
        apply: &Apply,
        replies: &[(u64, Reply)],
        losses: u64,
    ) {
        let Some(machine) = machines.get(host) else { return };
        for what in std::mem::take(&mut machine.host.inner.borrow_mut().unannounced) {
            self.broken("journal", format!("on `{}`, {what}", machine.name));
        }
        let began = replies.iter().any(|(_, reply)| matches!(reply.body, Answer::Started(_)));
        if !began {
            return;
        }
        self.locked(machines, &machine.name, apply);
        let done = replies.iter().find_map(|(_, reply)| match &reply.body {
            Answer::Applied(_, Ok(outcome)) => Some(outcome.kind),
            _ => None,
        });
        if done.is_some_and(|kind| kind != OutcomeKind::Unchanged) {
            let before = self.changed.insert((apply.run.clone(), apply.step.clone()), losses);
            if before == Some(losses) {
                self.broken("twice", format!("`{}` of `{}` changed something twice", apply.step, apply.run));
            }
        }
        // Without an intent in the journal nothing was changed.
        let is_journalled = |applying: &Applying| applying.is_journalled;
        if done.is_some() || machine.host.inner.borrow().applying.as_ref().is_some_and(is_journalled) {
            self.turn(&machine.name, apply, done.is_some());
        }
    }

    fn locked(&mut self, machines: &[Machine], host: &str, apply: &Apply) {
        let Some(watched) = self.plans.get_mut(&apply.run).filter(|_| !self.is_lock_broken) else { return };
        if watched.lock_places.len() < watched.lock_hosts.len() {
            let is_one = |(_, machine): &(usize, &Machine)| watched.lock_hosts.contains(&machine.name);
            watched.lock_places = machines.iter().enumerate().filter(is_one).map(|(at, _)| at).collect();
        }
        let holds = |at: &&usize| {
            let text = machines.get(**at).and_then(|machine| machine.host.text(LOCK)).unwrap_or_default();
            serde_json::from_str(&text).is_ok_and(|holder: Holder| holder.run == apply.run)
        };
        let held = watched.lock_places.iter().filter(holds);
        let (held, all) = (held.count(), watched.lock_hosts.len());
        if all > 0 && held * 2 <= all {
            let what = format!(
                "`{}` began on `{host}` while `{}` holds {held} of {all} locks",
                apply.step, apply.run
            );
            self.broken("lock", what);
        }
    }

    fn turn(&mut self, host: &str, apply: &Apply, is_done: bool) {
        let Some(watched) = self.plans.get_mut(&apply.run) else { return };
        let mut found = Vec::new();
        if watched.members.contains(&apply.step) {
            watched.away.insert(apply.step.clone());
            let (away, all) = (watched.away.len(), watched.members.len());
            // Two members cannot spare one: whoever has only two accepts that.
            if all > 2 && away > (all - 1) / 2 {
                found.push(("quorum", format!("{away} of {all} members are away at `{}`", apply.step)));
            }
            if is_done {
                watched.away.remove(&apply.step);
            }
        }
        if let Some(rollout) = watched.rollout_of.get(&apply.step) {
            let hosts = watched.on_the_way.entry(rollout.clone()).or_default();
            hosts.insert(host.to_owned());
            let limit = watched.limits.get(rollout).copied().unwrap_or(1);
            if hosts.len() > limit {
                found.push(("rollout", format!("{} hosts of `{rollout}` are on their way", hosts.len())));
            }
            if let Some(left) = watched.left.get_mut(&(rollout.clone(), host.to_owned())).filter(|_| is_done)
            {
                left.remove(&apply.step);
                if left.is_empty() {
                    hosts.remove(host);
                }
            }
        }
        for (rule, what) in found {
            self.broken(rule, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kubespray_node::Host as _;
    use kubespray_resource::{
        Comparison, EventKind, Mode, Outcome, Owner, PLAN_SCHEMA_VERSION, PlannedStep, Policy, Rollout, Step,
        Swap,
    };

    use super::*;
    use crate::SimHost;

    fn planned(host: &str) -> PlannedStep {
        let step = Step {
            id: format!("{host}/c/x").into(),
            disruption: Disruption::Quorum,
            rollout: Some("r".into()),
            ..Step::new(host, "c", "p", "x", Swap {})
        };
        PlannedStep { step, seen: Comparison::default(), changes: true, diff: None }
    }

    fn plan(max_unavailable: usize) -> Plan {
        let hosts: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let rollout = Rollout { hosts: hosts.clone(), max_unavailable, canaries: 0 };
        Plan {
            schema_version: PLAN_SCHEMA_VERSION,
            operation: "test".into(),
            cluster: "c".into(),
            lock_hosts: vec!["a".into()],
            steps: hosts.iter().map(|host| planned(host)).collect(),
            gates: BTreeMap::new(),
            policy: Policy { rollouts: BTreeMap::from([("r".to_owned(), rollout)]), ..Policy::default() },
        }
    }

    struct Watch {
        checks: Checks,
        machines: Vec<Machine>,
    }

    impl Watch {
        fn new(max_unavailable: usize) -> Self {
            let machines = ["a", "b", "c"].map(|name| Machine::new(name, SimHost::new(name, 0), 0));
            let mut checks = Checks::default();
            let mut secrets = Secrets::default();
            secrets.insert("name", "hunter22");
            checks.begin(&"r".into(), &plan(max_unavailable), &secrets);
            let holder = Holder { run: "r".into(), owner: "me".into(), operation: "o".into(), since_ms: 0 };
            let lock = serde_json::to_string(&holder).unwrap();
            let [first, ..] = &machines;
            first.host.put_text(LOCK, &lock);
            Self { checks, machines: machines.into() }
        }

        /// A host applies its step: `told` is whether its journal knows, `done` whether it gets to the end.
        fn applies(&mut self, at: usize, told: bool, done: bool) {
            let machine = &self.machines[at];
            let step = StepId::from(format!("{}/c/x", machine.name));
            let apply = Apply {
                run: "r".into(),
                step: step.clone(),
                resource: Swap {}.into(),
                notifies: Vec::new(),
                secrets: Secrets::default(),
                inputs: std::collections::BTreeMap::new(),
                remember: false,
                awaited: false,
                keep: None,
            };
            machine.host.begin(0, false, Some(&apply));
            for folder in ["/var/lib/kubespray", "/var/lib/kubespray/journal"] {
                machine.host.make_dir(folder, Mode::EXECUTABLE, &Owner::root()).unwrap();
            }
            if told {
                machine.host.append("/var/lib/kubespray/journal/r.jsonl", step.as_str().as_bytes()).unwrap();
            }
            machine.host.write("/etc/x", b"", Mode::PUBLIC, &Owner::root()).unwrap();
            let reply = |body| (0, Reply { id: 1, body });
            let mut replies = vec![reply(Answer::Started(step.clone()))];
            if done {
                let outcome = Outcome { kind: OutcomeKind::Updated, ..Outcome::unchanged() };
                replies.push(reply(Answer::Applied(step, Ok(outcome))));
            }
            self.checks.step(&self.machines, at, &apply, &replies, 0);
        }

        fn rules(&self) -> Vec<&'static str> {
            self.checks.violations().iter().map(|violation| violation.rule).collect()
        }
    }

    #[test]
    fn runs_that_keep_the_rules_are_not_told_of() {
        let mut watch = Watch::new(1);
        for at in 0..3 {
            watch.applies(at, true, true);
        }
        assert!(watch.rules().is_empty(), "{:?}", watch.rules());
    }

    #[test]
    fn a_helper_that_goes_on_although_there_is_a_newer_one_is_seen() {
        for (newest, expected) in [(0, &[][..]), (99, &["takeover"])] {
            let mut world = crate::World::new(["a"], 0);
            world.machines[0].newest_link = newest;
            let step = Step::new("a", "c", "p", "x", Swap {});
            let wishes = kubespray_planner::Wishes { steps: vec![step], ..Default::default() };
            let seen = world.observe(&wishes, &Secrets::default());
            let plan = kubespray_planner::plan(wishes, &seen, &Secrets::default()).unwrap();
            world.run(plan, "r", &Secrets::default(), kubespray_controller::Options::default()).unwrap();
            let rules: Vec<_> = world.violations().iter().map(|violation| violation.rule).collect();
            assert_eq!(rules, expected);
        }
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        let mut watch = Watch::new(1);
        watch.applies(0, true, false);
        watch.applies(1, true, true);
        assert_eq!(watch.rules(), ["quorum", "rollout"]);
        let mut watch = Watch::new(2);
        watch.applies(0, true, true);
        watch.applies(0, true, true);
        assert_eq!(watch.rules(), ["twice"]);
        let mut watch = Watch::new(1);
        watch.applies(0, false, true);
        assert_eq!(watch.rules(), ["journal"]);
        let mut watch = Watch::new(1);
        watch.machines[0].host.put_text(LOCK, "");
        watch.applies(1, true, true);
        assert_eq!(watch.rules(), ["lock"]);
        let mut watch = Watch::new(1);
        let kind = EventKind::HostDown { host: "a".into(), why: "hunter22 is wrong".into() };
        watch.checks.event(&Event { run: "r".into(), at_ms: 0, kind });
        watch.machines[2].host.put_text("/var/lib/kubespray/runs/r.json", "hunter22");
        watch.checks.kept_by_hosts(&watch.machines);
        assert_eq!(watch.rules(), ["secret", "secret"]);
    }
}
