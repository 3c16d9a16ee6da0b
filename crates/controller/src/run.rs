//! The machine: phases of a run, and what follows from each input.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use kubespray_resource::wire::{Ask, Holder, Request};
use kubespray_resource::{
    ErrorClass, Event, EventKind, Failure, PLAN_SCHEMA_VERSION, Plan, RunId, Secrets, StepId,
};

use crate::table::{Asked, HostRow, Link, Lock, Table};
use crate::words::{
    BadPlan, Ending, HostFailure, Input, Options, Output, RECORD_SCHEMA_VERSION, Record, Report, SlowStep,
};

/// How long a lock host that went away is waited for at the end, so that it does not keep the lock.
const UNLOCK_MS: u64 = 60_000;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Taking locks.
    Lock,
    /// Keeping the record on the lock hosts.
    Store,
    /// A run that is taken up learns from all hosts how far they are, before any begins.
    Learn,
    /// Doing steps.
    Work,
    /// Making sure that no helper goes on by itself, before others may work.
    Settle,
    /// Giving locks back.
    Unlock,
    /// Over.
    Over,
}

/// One execution of a plan, as a state machine.
///
/// It reads no clock and does nothing itself: [`Run::handle`] takes an input with the time and answers with what
/// is to be done. The same inputs give the same outputs. Each input costs what it changes, never a look at all
/// steps.
pub struct Run {
    pub(crate) plan: Plan,
    pub(crate) run: RunId,
    pub(crate) holder: Holder,
    pub(crate) secrets: Secrets,
    pub(crate) resume: bool,
    pub(crate) table: Table,
    pub(crate) phase: Phase,
    pub(crate) now: u64,
    pub(crate) out: Vec<Output>,
    pub(crate) stopping: bool,
    /// Somebody else works here now, with this run or another: nothing of it is given back.
    pub(crate) superseded: bool,
    /// Nothing new is begun: the operator stops, or too many hosts failed.
    pub(crate) winding_down: bool,
    next_request: u64,
    pub(crate) dirty: BTreeSet<usize>,
    pub(crate) to_connect: VecDeque<usize>,
    pub(crate) connecting: usize,
    timers: BTreeSet<(u64, usize)>,
    /// Until when locks are given back.
    pub(crate) unlock_until: u64,
    woken_at: Option<u64>,
    /// Whether lock hosts keep the record, so that it can be taken up.
    is_kept: bool,
    busy: usize,
    pub(crate) unlearned: usize,
    pub(crate) failed_hosts: usize,
    pub(crate) failures: Vec<HostFailure>,
    /// What was gone on without, by the number of its step.
    pub(crate) shortfalls: BTreeMap<usize, Failure>,
    pub(crate) slowest: BTreeSet<(u64, usize)>,
    /// What done steps gave, of those that others take from.
    pub(crate) outputs: BTreeMap<StepId, Option<String>>,
    ending: Option<Ending>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("run", &self.run).field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Run {
    /// A run of a plan, and the first outputs. `holder.run` names it; `now_ms` is in milliseconds since 1970.
    pub fn new(
        plan: Plan,
        holder: Holder,
        secrets: Secrets,
        options: Options,
        now_ms: u64,
    ) -> Result<(Self, Vec<Output>), BadPlan> {
        if plan.schema_version != PLAN_SCHEMA_VERSION {
            return Err(BadPlan::Schema(plan.schema_version));
        }
        let table = Table::of(&plan)?;
        let mut run = Self {
            run: holder.run.clone(),
            holder,
            secrets,
            resume: options.resume,
            table,
            phase: Phase::Lock,
            now: now_ms,
            out: Vec::new(),
            stopping: false,
            superseded: false,
            winding_down: false,
            next_request: 1,
            dirty: BTreeSet::new(),
            to_connect: VecDeque::new(),
            connecting: 0,
            timers: BTreeSet::new(),
            unlock_until: 0,
            woken_at: None,
            is_kept: options.resume,
            busy: 0,
            unlearned: 0,
            failed_hosts: 0,
            failures: Vec::new(),
            shortfalls: BTreeMap::new(),
            slowest: BTreeSet::new(),
            outputs: plan
                .steps
                .iter()
                .flat_map(|p| p.step.resource.takes_from())
                .map(|id| (id, None))
                .collect(),
            ending: None,
            plan,
        };
        run.begin();
        run.settle();
        let out = std::mem::take(&mut run.out);
        Ok((run, out))
    }

    fn begin(&mut self) {
        let hosts = self.table.hosts.iter().filter(|host| host.works).count();
        let steps = self.table.steps.iter().zip(&self.plan.steps);
        let steps = steps.filter(|(row, planned)| row.active && planned.changes).count();
        self.tell(EventKind::RunStarted {
            operation: self.plan.operation.clone(),
            cluster: self.plan.cluster.clone(),
            hosts,
            steps,
            resumed: self.resume,
        });
        for host in 0..self.table.hosts.len() {
            let row = &mut self.table.hosts[host];
            row.must_learn = self.resume && row.works;
            row.may_hold = self.resume && row.lock == Lock::Wanted;
            self.unlearned += usize::from(row.must_learn);
            let is_wanted = hosts > 0 && (row.works || row.lock == Lock::Wanted);
            if is_wanted {
                row.link = Link::Queued;
                self.to_connect.push_back(host);
                self.dirty.insert(host);
            }
        }
        if hosts == 0 {
            // Nothing to protect and nothing to keep.
            for host in std::mem::take(&mut self.table.lock_hosts) {
                let row = &mut self.table.hosts[host];
                (row.lock, row.may_hold) = (Lock::None, false);
            }
        }
    }

    /// Takes an input and says what is to be done. `now_ms` is in milliseconds since 1970 and never goes back.
    pub fn handle(&mut self, now_ms: u64, input: Input) -> Vec<Output> {
        self.now = self.now.max(now_ms);
        if self.phase == Phase::Over {
            return Vec::new();
        }
        match input {
            Input::Up { host, hello } => {
                if let Some(host) = self.table.host_index.get(&host).copied() {
                    self.up(host, &hello);
                }
            }
            Input::Reply { host, reply } => {
                if let Some(host) = self.table.host_index.get(&host).copied() {
                    self.reply(host, reply);
                }
            }
            Input::Down { host, transient, why } => {
                if let Some(host) = self.table.host_index.get(&host).copied() {
                    self.down(host, transient, &why);
                }
            }
            Input::Tick => {}
            Input::Stop => self.stop(),
            Input::Confirm { step } => self.confirm(&step),
        }
        self.ring();
        self.settle();
        std::mem::take(&mut self.out)
    }

    /// Whether nothing will follow.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    fn stop(&mut self) {
        if self.phase == Phase::Settle {
            // Locks are not given back where somebody may still work.
            self.finish();
            return;
        }
        if self.phase == Phase::Unlock {
            // Who asks again does not want to wait for locks either.
            self.unlock_until = self.now;
            self.dirty.extend(0..self.table.hosts.len());
            return;
        }
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.tell(EventKind::Stopping);
        self.wind_down();
    }

    /// From now on nothing new is sent; helpers end what they do.
    pub(crate) fn wind_down(&mut self) {
        if self.winding_down {
            return;
        }
        self.winding_down = true;
        for host in 0..self.table.hosts.len() {
            if self.table.hosts[host].in_flight > 0 {
                self.send(host, Ask::Cancel, Asked::Other);
            }
            self.dirty.insert(host);
        }
    }

    /// Timers that are due.
    fn ring(&mut self) {
        while let Some((at, host)) = self.timers.first().copied().filter(|(at, _)| *at <= self.now) {
            self.timers.remove(&(at, host));
            let row = &mut self.table.hosts[host];
            if let Some((step, _)) = row.held.filter(|(_, until)| *until == Some(at)) {
                self.release_held(host, step);
            } else if row.retry_at == Some(at) {
                row.retry_at = None;
                if !self.winding_down {
                    self.send(host, Ask::GoOn, Asked::Other);
                }
            } else if row.link == Link::Waiting(at) {
                row.link = Link::Queued;
                self.to_connect.push_back(host);
            }
            self.dirty.insert(host);
        }
    }

    pub(crate) fn set_timer(&mut self, at: u64, host: usize) {
        self.timers.insert((at, host));
    }

    /// Follows up until nothing more follows.
    fn settle(&mut self) {
        loop {
            let phase = self.phase;
            while let Some(host) = self.dirty.pop_first() {
                self.pump(host);
                self.count_busy(host);
            }
            self.connect_more();
            self.advance_phase();
            if self.dirty.is_empty() && self.phase == phase {
                break;
            }
        }
        let next = self.timers.first().map(|(at, _)| *at);
        if self.phase != Phase::Over
            && next != self.woken_at
            && let Some(ms) = next
        {
            self.woken_at = next;
            self.out.push(Output::WakeAt { ms });
        }
    }

    fn count_busy(&mut self, host: usize) {
        let (winding, phase) = (self.winding_down, self.phase);
        let unlocks = phase == Phase::Unlock && self.now < self.unlock_until;
        let row = &mut self.table.hosts[host];
        let is_loose = phase == Phase::Settle && !self.superseded && row.is_loose(self.now);
        let is_busy = is_loose || is_busy(row, winding || phase >= Phase::Settle, unlocks);
        if is_busy != row.busy {
            row.busy = is_busy;
            if is_busy { self.busy += 1 } else { self.busy -= 1 }
        }
    }

    fn connect_more(&mut self) {
        if self.winding_down && self.phase < Phase::Settle {
            return;
        }
        while self.connecting < self.plan.policy.forks.max(1) {
            let Some(host) = self.to_connect.pop_front() else { break };
            let row = &mut self.table.hosts[host];
            if row.link != Link::Queued {
                continue;
            }
            row.link = Link::Connecting;
            self.connecting += 1;
            self.out.push(Output::Connect { host: row.name.clone() });
        }
    }

    fn advance_phase(&mut self) {
        if self.winding_down && self.phase < Phase::Settle {
            if self.busy == 0 {
                self.wind_up(if self.stopping { Ending::Stopped } else { Ending::Failed });
            }
            return;
        }
        match self.phase {
            Phase::Lock => self.look_at_locks(),
            Phase::Store => self.look_at_records(),
            Phase::Learn if self.unlearned == 0 => {
                self.phase = Phase::Work;
                self.dirty.extend(0..self.table.hosts.len());
            }
            Phase::Work if self.busy == 0 => {
                let is_done = self.table.hosts.iter().all(|row| row.finished >= row.chain.len());
                self.wind_up(if is_done { Ending::Done } else { Ending::Failed });
            }
            Phase::Settle if self.busy == 0 => self.unlock_all(),
            Phase::Unlock if self.busy == 0 => self.finish(),
            _ => {}
        }
    }

    /// Nothing more is done: what is left is skipped. Hosts whose connection was lost with steps under way are taken
    /// over, so that nothing goes on there when others may work; one that cannot be reached is waited for until its
    /// helper has ended by itself.
    pub(crate) fn wind_up(&mut self, ending: Ending) {
        self.tell_who_is_away();
        self.is_kept |= self.phase > Phase::Store;
        self.ending = Some(ending);
        self.skip_all();
        self.phase = Phase::Settle;
        self.unlock_until = self.now + UNLOCK_MS;
        self.to_connect.clear();
        for host in 0..self.table.hosts.len() {
            self.dirty.insert(host);
            let now = self.now;
            let row = &mut self.table.hosts[host];
            if let Some(until) = row.loose_until.filter(|until| now < *until && !self.superseded) {
                let name = row.name.clone();
                match row.link {
                    Link::Up => self.take_over(host),
                    Link::Connecting => {}
                    Link::Off | Link::Queued | Link::Waiting(_) => {
                        row.link = Link::Queued;
                        self.to_connect.push_back(host);
                    }
                }
                if self.table.hosts[host].link != Link::Up {
                    self.tell(EventKind::Settling { host: name, for_ms: until - now });
                }
                self.set_timer(until, host);
            }
        }
    }

    /// No helper of an older connection begins anything there any more.
    pub(crate) fn take_over(&mut self, host: usize) {
        if self.table.hosts[host].is_loose(self.now) {
            self.send(host, Ask::TakeOver, Asked::TakeOver);
        }
    }

    /// Gives all locks back.
    fn unlock_all(&mut self) {
        self.phase = Phase::Unlock;
        self.unlock_until = self.now + UNLOCK_MS;
        self.to_connect.clear();
        for host in 0..self.table.hosts.len() {
            let now = self.now;
            let row = &mut self.table.hosts[host];
            let is_lost = row.away_since.is_some_and(|since| since + UNLOCK_MS <= now);
            match row.link {
                Link::Up => self.unlock(host),
                Link::Connecting => {}
                Link::Off | Link::Queued | Link::Waiting(_)
                    if row.may_hold && row.boot_id.is_some() && !is_lost && !self.superseded =>
                {
                    row.link = Link::Queued;
                    self.to_connect.push_back(host);
                    self.set_timer(self.unlock_until, host);
                }
                _ => row.link = Link::Off,
            }
            self.dirty.insert(host);
        }
    }

    /// Hosts that do not answer are why others failed, so they are told before those.
    fn tell_who_is_away(&mut self) {
        let now = self.now;
        let away = self.table.hosts.iter().filter(|row| !row.failed && row.finished < row.chain.len());
        let failures = away.filter_map(|row| {
            let for_s = now.saturating_sub(row.away_since?) / 1000;
            let message = format!("`{}` has not answered for {for_s} s: {}", row.name, row.away_why);
            let failure = Failure::new(ErrorClass::Transient, message).hint("bring it back, then go on");
            Some(HostFailure { host: row.name.clone(), step: None, failure })
        });
        self.failures = failures.chain(std::mem::take(&mut self.failures)).collect();
    }

    /// Gives the lock of a host back, where it may have it.
    pub(crate) fn unlock(&mut self, host: usize) {
        if self.table.hosts[host].may_hold && !self.superseded {
            let run = self.run.clone();
            self.send(host, Ask::Unlock { run }, Asked::Unlock);
        }
    }

    /// How long somebody is still waited for who may hold a lock; nothing once it is too late.
    pub(crate) fn time_to_unlock(&self) -> Option<u64> {
        self.unlock_until.checked_sub(self.now).filter(|left| *left > 0)
    }

    fn finish(&mut self) {
        self.phase = Phase::Over;
        for row in &self.table.hosts {
            if matches!(row.link, Link::Up | Link::Connecting) {
                self.out.push(Output::Close { host: row.name.clone() });
            }
        }
        let ending = self.ending.take().unwrap_or(Ending::Failed);
        let recap = self.table.hosts.iter().filter(|row| !row.chain.is_empty());
        let recap: Vec<_> = recap.map(|row| row.recap.clone()).collect();
        self.tell(EventKind::RunFinished { done: ending == Ending::Done, recap: recap.clone() });
        let slowest = self.slowest.iter().rev().map(|(took_ms, at)| SlowStep {
            step: self.plan.steps[*at].step.id.clone(),
            host: self.plan.steps[*at].step.host.clone(),
            took_ms: *took_ms,
        });
        let cordoned = self.cordoned();
        let shortfalls = std::mem::take(&mut self.shortfalls).into_iter().map(|(at, failure)| {
            let step = &self.plan.steps[at].step;
            HostFailure { host: step.host.clone(), step: Some(step.id.clone()), failure }
        });
        let shortfalls = shortfalls.collect();
        let locked = self.table.hosts.iter().filter(|row| row.may_hold);
        let locked: Vec<String> = locked.map(|row| row.name.clone()).collect();
        let go_on = match ending {
            // Taking it up finds nothing to do but to give the locks back.
            Ending::Done if !locked.is_empty() => Some(format!("kubespray runs resume {}", self.run)),
            Ending::Done => None,
            // Nobody keeps a record of a run that ended before it began.
            Ending::Failed | Ending::Stopped if !self.is_kept => None,
            Ending::Failed | Ending::Stopped => Some(format!("kubespray runs resume {}", self.run)),
            Ending::Refused(_) | Ending::NoLock(_) if self.resume => {
                Some(format!("kubespray runs resume {}", self.run))
            }
            Ending::Refused(_) | Ending::NoLock(_) => None,
        };
        let undo = self.undo();
        let report = Report {
            run: self.run.clone(),
            slowest: slowest.collect(),
            ending,
            recap,
            failures: std::mem::take(&mut self.failures),
            shortfalls,
            locked,
            cordoned,
            undo,
            go_on,
        };
        self.out.push(Output::Finished(Box::new(report)));
    }

    /// What the lock hosts keep.
    pub(crate) fn record(&self) -> String {
        let record = Record {
            schema_version: RECORD_SCHEMA_VERSION,
            holder: self.holder.clone(),
            plan: self.plan.clone(),
        };
        serde_json::to_string(&record).unwrap_or_default()
    }

    pub(crate) fn send(&mut self, host: usize, body: Ask, about: Asked) {
        let id = self.next_request;
        self.next_request += 1;
        let row = &mut self.table.hosts[host];
        row.asked.insert(id, about);
        self.out.push(Output::Send { host: row.name.clone(), request: Request { id, body } });
    }

    pub(crate) fn tell(&mut self, kind: EventKind) {
        self.out.push(Output::Tell(Event { run: self.run.clone(), at_ms: self.now, kind }));
    }
}

/// Whether something may still come from a host by itself. `ending` is whether only what is under way counts,
/// `unlocks` whether those are waited for that may hold a lock.
fn is_busy(row: &HostRow, ending: bool, unlocks: bool) -> bool {
    let is_asked = row.asked.values().any(|asked| *asked != Asked::Other);
    match row.link {
        Link::Up => is_asked || (!ending && (row.retry_at.is_some() || row.held.is_some())),
        // A lock host without work is not waited for.
        Link::Queued | Link::Connecting | Link::Waiting(_) => {
            !ending && row.finished < row.stop || unlocks && row.may_hold
        }
        Link::Off => false,
    }
}
