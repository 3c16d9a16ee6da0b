//! Looking at all hosts, and what a plan is made of.

use std::collections::BTreeMap;
use std::convert::Infallible;

use kubespray_controller::Record;
use kubespray_node::Session;
use kubespray_planner::{Answers, Questions, Seen, Wishes, look, observe};
use kubespray_resource::wire::{Answer, Ask, Holder, Reply, Request};
use kubespray_resource::{ErrorClass, Facts, Failure, Resource, RunId, Secrets, State, StepId};

use crate::World;

impl World {
    /// The facts of all hosts that answer.
    pub fn facts(&mut self) -> BTreeMap<String, Facts> {
        let names: Vec<String> = self.machines.iter().map(|machine| machine.name.clone()).collect();
        let facts = names.into_iter().filter_map(|name| match self.ask(&name, Ask::Facts) {
            Ok(Answer::Facts(facts)) => Some((name, *facts)),
            _ => None,
        });
        facts.collect()
    }

    /// What hosts have of what is wished, as helpers see it, with the texts that will change. Steps of hosts that
    /// do not answer, or whose secrets are missing, are failures.
    pub fn observe(&mut self, wishes: &Wishes, secrets: &Secrets) -> Seen {
        look(wishes, secrets, |questions| self.put_to_hosts(questions)).unwrap_or_else(|never| match never {})
    }

    /// What hosts have of resources, by the steps that these belong to: what an operation asks before it is planned.
    pub fn states(
        &mut self,
        items: BTreeMap<String, Vec<(StepId, Resource)>>,
    ) -> BTreeMap<StepId, Result<State, Failure>> {
        observe(items, &mut |questions| self.put_to_hosts(questions)).unwrap_or_else(|never| match never {})
    }

    fn put_to_hosts(&mut self, questions: Questions) -> Result<Answers, Infallible> {
        let mut answers = Answers::new();
        for (host, asks) in questions {
            let given = asks.into_iter().map(|ask| self.ask(&host, ask)).collect();
            answers.insert(host, given);
        }
        Ok(answers)
    }

    /// The record of a run that any host keeps; of the one that holds a lock when none is named. This is all that
    /// somebody needs who takes a run up with nothing but the hosts.
    pub fn record(&mut self, run: Option<&RunId>) -> Option<Record> {
        let run = match run {
            Some(run) => run.clone(),
            None => self.lock_holders().into_values().next()?.run,
        };
        let names: Vec<String> = self.machines.iter().map(|machine| machine.name.clone()).collect();
        names.iter().find_map(|name| match self.ask(name, Ask::LoadRun { run: Some(run.clone()) }) {
            Ok(Answer::Record(Some(text))) => serde_json::from_str(&text).ok(),
            _ => None,
        })
    }

    /// Who holds the locks of which hosts.
    pub fn lock_holders(&mut self) -> BTreeMap<String, Holder> {
        let names: Vec<String> = self.machines.iter().map(|machine| machine.name.clone()).collect();
        let held = names.into_iter().filter_map(|name| match self.ask(&name, Ask::LockHolder) {
            Ok(Answer::Held(Some(holder))) => Some((name, holder)),
            _ => None,
        });
        held.collect()
    }

    /// Takes all locks away, as `--break-lock` does.
    pub fn break_locks(&mut self) {
        self.checks.lock_is_broken();
        let names: Vec<String> = self.machines.iter().map(|machine| machine.name.clone()).collect();
        for name in names {
            // A host that does not answer keeps its lock; the next run is told.
            let _ = self.ask(&name, Ask::BreakLock);
        }
    }

    /// Units that run with older inputs than their hosts have, although a step that changes the input asks for a
    /// restart: nothing after a run that is done.
    pub fn stale_units(&self, wishes: &Wishes) -> Vec<String> {
        let mut out = Vec::new();
        for step in &wishes.steps {
            let Resource::File(file) = &step.resource else { continue };
            let units = step.notifies.iter().filter_map(|token| token.as_str().strip_prefix("unit:"));
            let Some(host) = self.host(&step.host) else { continue };
            let stale = units.filter(|unit| !host.is_started_since(unit, &file.path));
            out.extend(stale.map(|unit| format!("{unit} on {} is older than {}", step.host, file.path)));
        }
        out
    }

    /// Asks a helper of its own, beside all runs.
    fn ask(&mut self, host: &str, ask: Ask) -> Result<Answer, Failure> {
        let unreachable = || Failure::new(ErrorClass::Transient, format!("`{host}` cannot be reached"));
        let machine = self.index.get(host).and_then(|at| self.machines.get(*at)).ok_or_else(unreachable)?;
        if !machine.is_reachable(self.now_us) {
            return Err(unreachable());
        }
        machine.host.begin(self.now_us, false, None);
        // Faults are meant for runs.
        let trap = machine.host.inner.borrow_mut().trap.take();
        let mut answer = None;
        let request = Request { id: 1, body: ask };
        Session::new("simulated")
            .answer(&machine.host, request, &mut |Reply { body, .. }| answer = Some(body));
        machine.host.inner.borrow_mut().trap = trap;
        match answer {
            Some(Answer::Failed(failure)) => Err(failure),
            Some(answer) => Ok(answer),
            None => Err(unreachable()),
        }
    }
}
