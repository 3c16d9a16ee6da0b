//! Sending steps, and what follows from their ends.

use kubespray_resource::wire::{Apply, Ask};
use kubespray_resource::{ErrorClass, EventKind, Failure, Hold, Outcome, OutcomeKind, Resource, StepId};

use crate::run::{Phase, Run};
use crate::table::{Asked, At, Link, Lock};
use crate::words::Undo;

/// How many steps a helper is given ahead: enough to hide the way there and back, few enough to stop soon.
const WINDOW: usize = 16;
/// Before the second attempt of a step; each later one waits twice as long.
const RETRY_FIRST_MS: u64 = 2_000;
/// Mirrors and locks of package managers come back within minutes.
const RETRY_LONGEST_MS: u64 = 60_000;

impl Run {
    /// Sends what a host may do now.
    pub(crate) fn pump(&mut self, host: usize) {
        if self.phase != Phase::Work || self.winding_down {
            return;
        }
        self.advance(host);
        loop {
            let row = &self.table.hosts[host];
            if row.cursor >= row.stop || row.failed {
                break;
            }
            let at = row.chain[row.cursor];
            let step = &self.table.steps[at];
            if step.at != At::Pending {
                self.table.hosts[host].cursor += 1;
                continue;
            }
            let planned = &self.plan.steps[at];
            if !step.is_again && (!step.active || !planned.changes) {
                let token = planned.step.resource.awaits().filter(|_| step.active);
                if token.as_ref().is_none_or(|token| !row.notified.contains(token)) {
                    if token.is_some_and(|token| self.may_notify(host, &token)) {
                        break;
                    }
                    self.table.steps[at].at = At::Passed;
                    self.table.hosts[host].cursor += 1;
                    self.advance(host);
                    continue;
                }
            }
            let has_lock = matches!(row.lock, Lock::None | Lock::Stored);
            let is_ready = row.link == Link::Up
                && has_lock
                && !row.must_learn
                && row.retry_at.is_none()
                && row.in_flight < WINDOW
                && step.waits == 0;
            let in_flight = row.in_flight;
            if !is_ready || step.turns.is_some_and(|turns| !self.enter(turns, host, in_flight)) {
                break;
            }
            if self.is_held(host, at) || !self.apply(host, at) {
                break;
            }
            self.table.hosts[host].cursor += 1;
        }
        let row = &self.table.hosts[host];
        let is_over = row.finished >= row.stop && row.in_flight == 0;
        // Lock hosts are needed to the end.
        if is_over && row.lock == Lock::None && row.link != Link::Off {
            self.close(host);
        }
    }

    /// Whether a step has to wait for time or for somebody; from now on where it did not yet. All before it must be done.
    fn is_held(&mut self, host: usize, at: usize) -> bool {
        if self.table.steps[at].is_released {
            return false;
        }
        let Some(hold) = self.plan.steps[at].step.hold.clone() else { return false };
        let row = &self.table.hosts[host];
        if row.in_flight > 0 || row.held.is_some_and(|(held, _)| held == at) {
            return true;
        }
        let until = match hold {
            Hold::Pause(seconds) => Some(self.now.saturating_add(seconds.saturating_mul(1_000))),
            Hold::Confirm(_) => None,
        };
        self.table.hosts[host].held = Some((at, until));
        if let Some(until) = until {
            self.set_timer(until, host);
        }
        let step = &self.plan.steps[at].step;
        let (step, host) = (step.id.clone(), step.host.clone());
        self.tell(EventKind::Held { step, host, hold });
        true
    }

    pub(crate) fn release_held(&mut self, host: usize, at: usize) {
        self.table.hosts[host].held = None;
        self.table.steps[at].is_released = true;
        self.dirty.insert(host);
    }

    /// Somebody says yes to a step.
    pub(crate) fn confirm(&mut self, step: &StepId) {
        let Some(at) = self.table.step_index.get(step).copied() else { return };
        let host = self.table.steps[at].host;
        if self.table.hosts[host].held == Some((at, None)) {
            self.release_held(host, at);
        }
    }

    /// Hosts whose node was taken out of service and is not given back.
    pub(crate) fn cordoned(&self) -> Vec<String> {
        let is = |at: &usize, state: At| self.table.steps[*at].at == state;
        let is_begun = |at: &usize| self.table.steps[*at].since_ms > 0;
        let hosts = self.table.hosts.iter().filter(|row| {
            let resource = |at: &usize| &self.plan.steps[*at].step.resource;
            let taken = row.chain.iter().any(|at| match resource(at) {
                Resource::Drain(drain) if is(at, At::Failed) || self.shortfalls.contains_key(at) => {
                    !drain.uncordon_on_failure
                }
                Resource::Drain(_) => is(at, At::Done) || is_begun(at),
                Resource::NodeState(state) => {
                    state.unschedulable == Some(true) && (is(at, At::Done) || is_begun(at))
                }
                _ => false,
            });
            let is_owed = row.chain.iter().any(|at| {
                let gives_back =
                    matches!(resource(at), Resource::NodeState(state) if state.unschedulable == Some(false));
                gives_back && self.table.steps[*at].active && !is(at, At::Done)
            });
            taken && is_owed
        });
        hosts.map(|row| row.name.clone()).collect()
    }

    /// What puts back what this run replaced on hosts where a step failed.
    pub(crate) fn undo(&self) -> Option<Undo> {
        let replaced = |at: &usize| {
            let (row, planned) = (&self.table.steps[*at], &self.plan.steps[*at]);
            planned.step.keep.is_some() && planned.changes && matches!(row.at, At::Done | At::Failed)
        };
        let failed = self.failures.iter().filter(|failure| failure.step.is_some());
        let hosts: Vec<String> = failed
            .filter_map(|failure| self.table.host_index.get(&failure.host))
            .map(|host| &self.table.hosts[*host])
            .filter(|row| row.chain.iter().any(replaced))
            .map(|row| row.name.clone())
            .collect();
        if hosts.is_empty() {
            return None;
        }
        let command = format!("kubespray runs undo {} --limit {}", self.run, hosts.join(","));
        Some(Undo { hosts, command })
    }

    fn enter(&mut self, turns: usize, host: usize, in_flight: usize) -> bool {
        // Who still has something else to do would keep others waiting.
        if in_flight > 0 && !self.table.turns[turns].has_begun(host) {
            return false;
        }
        let before = self.table.turns[turns].may_begin();
        let may = self.table.turns[turns].enter(host);
        let next = self.table.turns[turns].may_begin();
        if next != before {
            self.dirty.extend(next);
        }
        may
    }

    /// Whether a step that the helper has may notify a token.
    fn may_notify(&self, host: usize, token: &kubespray_resource::Token) -> bool {
        self.table.hosts[host].asked.values().any(|asked| match asked {
            Asked::Step(at) => self.plan.steps[*at].step.notifies.contains(token),
            _ => false,
        })
    }

    /// Sends a step; `false` where it cannot be, and the host has failed.
    fn apply(&mut self, host: usize, at: usize) -> bool {
        let step = &self.plan.steps[at].step;
        let names = step.resource.secret_names();
        let secrets = match self.secrets.only(names.iter().map(String::as_str)) {
            Ok(secrets) => secrets,
            Err(error) => {
                let failure = Failure::new(ErrorClass::Wish, error.to_string());
                self.fail_host(host, Some(at), failure);
                return false;
            }
        };
        let taken = step.resource.takes_from().into_iter();
        let row = &self.table.steps[at];
        let inputs = taken.filter_map(|id| Some((id.clone(), self.outputs.get(&id)?.clone()?))).collect();
        let apply = Apply {
            run: self.run.clone(),
            step: step.id.clone(),
            resource: step.resource.clone(),
            notifies: step.notifies.clone(),
            secrets,
            inputs,
            remember: step.remember,
            awaited: row.turns.is_some() || !row.dependents.is_empty() || !row.opens.is_empty(),
            keep: step.keep.clone(),
        };
        self.send(host, Ask::Apply(Box::new(apply)), Asked::Step(at));
        let now = self.now;
        let row = &mut self.table.steps[at];
        row.at = At::Sent;
        row.since_ms = now;
        self.table.hosts[host].in_flight += 1;
        true
    }

    pub(crate) fn started(&mut self, at: usize) {
        self.table.steps[at].since_ms = self.now;
        let step = &self.plan.steps[at].step;
        let kind = EventKind::StepStarted { step: step.id.clone(), host: step.host.clone() };
        self.tell(kind);
    }

    /// A helper has ended a step.
    pub(crate) fn ended(&mut self, host: usize, at: usize, result: Result<Outcome, Failure>) {
        let row = &mut self.table.hosts[host];
        row.in_flight = row.in_flight.saturating_sub(1);
        let took_ms = self.now.saturating_sub(self.table.steps[at].since_ms);
        let failure = match result {
            Ok(outcome) => {
                self.step_done(host, at, outcome, took_ms);
                return;
            }
            Err(failure) => failure,
        };
        if failure.class == ErrorClass::Cancelled && self.winding_down {
            // It waited behind others and was not begun: no time of it was spent.
            self.table.steps[at].at = At::Pending;
            return;
        }
        self.table.hosts[host].recap.took_ms += took_ms;
        if failure.class == ErrorClass::Cancelled {
            // Nobody here cancelled anything.
            self.superseded = true;
            self.fail_host(host, Some(at), failure);
            self.wind_down();
            return;
        }
        self.table.steps[at].attempts += 1;
        let attempts = self.table.steps[at].attempts;
        let again = failure.class == ErrorClass::Transient
            && attempts < self.plan.policy.attempts
            && !self.winding_down;
        if !again {
            self.fail_host(host, Some(at), failure);
            return;
        }
        let wait = RETRY_FIRST_MS.saturating_mul(1 << (attempts - 1).min(16)).min(RETRY_LONGEST_MS);
        self.forget_sent(host);
        self.rewind(host);
        self.table.hosts[host].retry_at = Some(self.now + wait);
        self.set_timer(self.now + wait, host);
        let step = &self.plan.steps[at].step;
        let (step, host) = (step.id.clone(), step.host.clone());
        self.tell(EventKind::StepFailed { step, host, failure, retry_in_ms: Some(wait) });
    }

    /// The helper refuses what it has: answers to it mean nothing any more.
    fn forget_sent(&mut self, host: usize) {
        self.table.hosts[host].asked.retain(|_, asked| !matches!(asked, Asked::Step(_)));
    }

    /// All that is not known to be done is to be sent again.
    pub(crate) fn rewind(&mut self, host: usize) {
        let row = &mut self.table.hosts[host];
        for at in row.chain.iter().take(row.cursor).skip(row.finished) {
            let step = &mut self.table.steps[*at];
            if matches!(step.at, At::Sent | At::Passed) {
                step.at = At::Pending;
            }
        }
        row.cursor = row.finished;
        row.in_flight = 0;
    }

    /// A step is done, now or before this controller began.
    pub(crate) fn step_done(&mut self, host: usize, at: usize, mut outcome: Outcome, took_ms: u64) {
        // Whoever listens wants to know what happened, not the texts that travel.
        let output = outcome.output.take();
        if let Some(failure) = &outcome.shortfall {
            self.shortfalls.insert(at, failure.clone());
        }
        if let Some(place) = self.outputs.get_mut(&self.plan.steps[at].step.id) {
            *place = output;
        }
        let changed = outcome.kind != OutcomeKind::Unchanged;
        let row = &mut self.table.hosts[host];
        row.recap.took_ms += took_ms;
        if changed {
            row.recap.changed += 1;
            row.notified.extend(self.plan.steps[at].step.notifies.iter().cloned());
        } else {
            row.recap.unchanged += 1;
        }
        /// As many as a person reads.
        const SLOWEST: usize = 10;
        if took_ms > 0 {
            self.slowest.insert((took_ms, at));
            if self.slowest.len() > SLOWEST {
                self.slowest.pop_first();
            }
        }
        let step = &self.plan.steps[at].step;
        let (id, name) = (step.id.clone(), step.host.clone());
        self.tell(EventKind::StepDone { step: id, host: name, outcome, took_ms });
        self.complete(at);
        self.advance(host);
        self.dirty.insert(host);
    }

    /// What needs no sending is done as soon as all before it are.
    fn advance(&mut self, host: usize) {
        loop {
            let row = &self.table.hosts[host];
            let Some(at) = row.chain.get(row.finished).copied().filter(|_| row.finished < row.stop) else {
                break;
            };
            match self.table.steps[at].at {
                At::Done => {}
                At::Passed => {
                    self.table.hosts[host].recap.unchanged += 1;
                    self.complete(at);
                }
                _ => break,
            }
            let row = &mut self.table.hosts[host];
            row.finished += 1;
            row.cursor = row.cursor.max(row.finished);
        }
    }

    /// Opens what waited for a step.
    fn complete(&mut self, at: usize) {
        self.table.steps[at].at = At::Done;
        let host = self.table.steps[at].host;
        // Once only: it may be done again.
        if let Some(turns) = self.table.steps[at].turns.take() {
            self.table.turns[turns].step_done(host);
            let next = self.table.turns[turns].may_begin();
            self.dirty.extend(next);
        }
        for dependent in std::mem::take(&mut self.table.steps[at].dependents) {
            self.release(dependent);
        }
        for gate in std::mem::take(&mut self.table.steps[at].opens) {
            let row = &mut self.table.gates[gate];
            row.done += 1;
            if row.done == row.needed {
                let waiting = std::mem::take(&mut row.waiting);
                let name = row.name.clone();
                self.tell(EventKind::GateOpened { gate: name });
                for waiting in waiting {
                    self.release(waiting);
                }
            }
        }
    }

    fn release(&mut self, at: usize) {
        let row = &mut self.table.steps[at];
        row.waits = row.waits.saturating_sub(1);
        if row.waits == 0 {
            self.dirty.insert(row.host);
        }
    }

    /// A host does no more in this run.
    pub(crate) fn fail_host(&mut self, host: usize, step: Option<usize>, failure: Failure) {
        let row = &mut self.table.hosts[host];
        if row.failed {
            return;
        }
        row.failed = true;
        row.retry_at = None;
        row.held = None;
        let name = row.name.clone();
        if !matches!(row.lock, Lock::None | Lock::Taken | Lock::Storing | Lock::Stored | Lock::Refused(_)) {
            row.lock = Lock::Lost;
        }
        let may_be_on_the_way = row.must_learn;
        if row.must_learn {
            row.must_learn = false;
            self.unlearned -= 1;
        }
        self.forget_sent(host);
        self.rewind(host);
        let why = match step {
            Some(at) => {
                let id = self.plan.steps[at].step.id.clone();
                self.table.steps[at].at = At::Failed;
                self.table.hosts[host].recap.failed += 1;
                let why = format!("`{id}` failed");
                self.tell(EventKind::StepFailed {
                    step: id,
                    host: name.clone(),
                    failure: failure.clone(),
                    retry_in_ms: None,
                });
                why
            }
            None => {
                let why = failure.message.clone();
                self.tell(EventKind::HostDown { host: name.clone(), why: why.clone() });
                why
            }
        };
        let step_id = step.map(|at| self.plan.steps[at].step.id.clone());
        self.failures.push(crate::words::HostFailure { host: name, step: step_id, failure });
        if may_be_on_the_way {
            // An earlier controller may have left it between the steps of a rollout.
            let row = &self.table.hosts[host];
            for at in row.chain.clone() {
                if let Some(turns) = self.table.steps[at].turns.filter(|_| self.resume) {
                    self.table.turns[turns].take(host);
                }
            }
        }
        let from = self.table.hosts[host].finished;
        let mut blocked: Vec<usize> = step.into_iter().collect();
        self.cut(host, from, &why, &mut blocked);
        self.spread(blocked);
        self.dirty.insert(host);
        if self.table.hosts[host].works {
            self.failed_hosts += 1;
            if self.failed_hosts > self.plan.policy.failure_budget {
                self.wind_down();
            }
        }
    }

    /// Skips a chain from a place on; what must not wait for these steps any more is added to `blocked`.
    fn cut(&mut self, host: usize, from: usize, why: &str, blocked: &mut Vec<usize>) {
        let row = &mut self.table.hosts[host];
        let from = from.max(row.cursor);
        if from >= row.stop {
            return;
        }
        let places: Vec<usize> = row.chain[from..row.stop].to_vec();
        row.stop = from;
        for at in places {
            if matches!(self.table.steps[at].at, At::Done | At::Failed) {
                continue;
            }
            self.table.steps[at].at = At::Skipped;
            blocked.push(at);
            if self.table.steps[at].active {
                self.table.hosts[host].recap.skipped += 1;
                let step = &self.plan.steps[at].step;
                let (step, host) = (step.id.clone(), step.host.clone());
                self.tell(EventKind::StepSkipped { step, host, why: why.to_owned() });
            }
            if let Some(turns) = self.table.steps[at].turns {
                self.table.turns[turns].give_up(host);
                let next = self.table.turns[turns].may_begin();
                self.dirty.extend(next);
            }
        }
        self.dirty.insert(host);
    }

    /// Skips all that waits for steps which will not happen.
    fn spread(&mut self, mut blocked: Vec<usize>) {
        while let Some(at) = blocked.pop() {
            if let Some(turns) = self.table.steps[at].turns {
                self.table.turns[turns].give_up(self.table.steps[at].host);
            }
            let id = self.plan.steps[at].step.id.clone();
            for dependent in std::mem::take(&mut self.table.steps[at].dependents) {
                let why = format!("it waits for `{id}`, which did not happen");
                self.block(dependent, &why, &mut blocked);
            }
            for gate in std::mem::take(&mut self.table.steps[at].opens) {
                let row = &mut self.table.gates[gate];
                row.lost += 1;
                if row.done < row.needed && row.all - row.lost < row.needed {
                    let why = format!("the gate `{}` cannot open: `{id}` did not happen", row.name);
                    for waiting in std::mem::take(&mut row.waiting) {
                        self.block(waiting, &why, &mut blocked);
                    }
                }
            }
        }
    }

    fn block(&mut self, at: usize, why: &str, blocked: &mut Vec<usize>) {
        let row = &self.table.steps[at];
        if matches!(row.at, At::Pending) {
            let (host, place) = (row.host, row.place);
            self.cut(host, place, why, blocked);
        }
    }

    /// At the end: what has not happened will not.
    pub(crate) fn skip_all(&mut self) {
        let stopped = match (self.stopping, self.winding_down) {
            (true, _) => Some("the run was stopped"),
            (false, true) => Some("too many hosts failed"),
            (false, false) => None,
        };
        for host in 0..self.table.hosts.len() {
            let row = &self.table.hosts[host];
            if row.finished >= row.stop {
                continue;
            }
            let why = stopped.map_or_else(|| self.why_waiting(host), str::to_owned);
            self.rewind(host);
            let from = self.table.hosts[host].finished;
            self.cut(host, from, &why, &mut Vec::new());
        }
    }

    /// What a host waits for.
    fn why_waiting(&self, host: usize) -> String {
        let row = &self.table.hosts[host];
        let Some(at) = row.chain.get(row.cursor).copied() else { return "nothing".to_owned() };
        if let Some(turns) = self.table.steps[at].turns.filter(|_| self.table.steps[at].waits == 0) {
            return format!("its turn in the rollout `{}` did not come", self.table.turns[turns].name);
        }
        let step = &self.plan.steps[at].step;
        let is_shut = |gate: &&String| {
            let row = self.table.gates.iter().find(|row| row.name == **gate);
            row.is_some_and(|row| row.done < row.needed)
        };
        if let Some(gate) = step.gates.iter().find(is_shut) {
            return format!("the gate `{gate}` did not open");
        }
        let is_missing = |id: &&StepId| {
            let row = self.table.step_index.get(*id).map(|at| &self.table.steps[*at]);
            row.is_some_and(|row| row.at != At::Done)
        };
        match step.after.iter().find(is_missing) {
            Some(id) => format!("it waits for `{id}`, which did not happen"),
            None => "the run ended before".to_owned(),
        }
    }
}
