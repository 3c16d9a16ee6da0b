//! Connections, locks, records and journals of hosts.

use std::collections::{BTreeSet, HashMap};

use kubespray_resource::wire::{Answer, Ask, Hello, JournalEntry, Reply};
use kubespray_resource::{EventKind, Failure, Outcome, Resource};

use crate::run::{Phase, Run};
use crate::table::{Asked, At, Link, Lock};
use crate::words::{Ending, Output};

/// Before the first try to connect again; each later one waits twice as long.
const RECONNECT_FIRST_MS: u64 = 1_000;
/// A host that boots is noticed soon after it is there.
const RECONNECT_LONGEST_MS: u64 = 30_000;
/// A host that never answered is most likely off or wrongly named.
const NEVER_SEEN_MS: u64 = 60_000;
/// A helper that hears nothing for so long ends by itself.
const LOOSE_MS: u64 = 60_000;
/// Servers with much memory take minutes to boot.
const AWAY_MS: u64 = 15 * 60_000;

/// How long to wait before the next try.
fn pause(tries: u32) -> u64 {
    RECONNECT_FIRST_MS.saturating_mul(1 << tries.min(16)).min(RECONNECT_LONGEST_MS)
}

impl Run {
    pub(crate) fn up(&mut self, host: usize, hello: &Hello) {
        let is_resumed = self.resume;
        let row = &mut self.table.hosts[host];
        if row.link != Link::Connecting {
            return;
        }
        self.connecting -= 1;
        row.link = Link::Up;
        row.away_since = None;
        row.tries = 0;
        let before = row.boot_id.replace(hello.boot_id.clone());
        let name = row.name.clone();
        row.was_booted |= before.as_ref().map_or(is_resumed, |before| *before != hello.boot_id);
        if before.is_some_and(|before| before != hello.boot_id) {
            self.tell(EventKind::HostDown { host: name.clone(), why: "the host was booted again".into() });
        }
        self.tell(EventKind::HostUp { host: name.clone() });
        self.dirty.insert(host);
        match self.phase {
            Phase::Settle => self.take_over(host),
            Phase::Unlock => self.unlock(host),
            _ => {}
        }
        if self.winding_down || self.phase >= Phase::Settle {
            return;
        }
        if self.table.hosts[host].lock == Lock::Wanted && self.phase > Phase::Lock {
            self.ask_for_lock(host);
        }
        if self.table.hosts[host].must_learn {
            self.send(host, Ask::Journal { run: self.run.clone() }, Asked::Journal);
        }
    }

    pub(crate) fn down(&mut self, host: usize, transient: bool, why: &str) {
        let now = self.now;
        let row = &mut self.table.hosts[host];
        match row.link {
            Link::Connecting => self.connecting -= 1,
            Link::Up => {}
            Link::Off | Link::Queued | Link::Waiting(_) => return,
        }
        let had_work = row.asked.values().any(|asked| matches!(asked, Asked::Step(_)));
        row.asked.clear();
        row.retry_at = None;
        row.link = Link::Off;
        if had_work || row.finished > 0 {
            // What the helper finished meanwhile stands in its journal.
            self.unlearned += usize::from(!row.must_learn);
            row.must_learn = true;
        }
        if had_work {
            row.loose_until = Some(now + LOOSE_MS);
        }
        if matches!(row.lock, Lock::Asked | Lock::Taken | Lock::Storing | Lock::Stored)
            && self.phase < Phase::Settle
            && !self.winding_down
        {
            row.lock = Lock::Wanted;
        }
        self.rewind(host);
        self.dirty.insert(host);
        let row = &mut self.table.hosts[host];
        let name = row.name.clone();
        if self.phase >= Phase::Settle {
            self.try_again_later(host, transient);
            return;
        }
        let reboots = row.chain.get(row.finished).copied().filter(|at| {
            matches!(self.plan.steps[*at].step.resource, Resource::Reboot(_))
                && self.table.steps[*at].since_ms > 0
        });
        let row = &mut self.table.hosts[host];
        let is_wanted = row.lock == Lock::Wanted || (!row.failed && row.finished < row.stop);
        if self.winding_down || !is_wanted {
            return;
        }
        let since = *row.away_since.get_or_insert(now);
        why.clone_into(&mut row.away_why);
        let limit = if row.boot_id.is_some() { AWAY_MS } else { NEVER_SEEN_MS };
        if !transient || now.saturating_sub(since) >= limit {
            let mut failure = Failure::of_host(format!("`{name}` cannot be reached: {why}"));
            if transient {
                failure = failure.hint(format!("it was tried for {} s", limit / 1000));
            }
            if reboots.is_some() {
                failure.message = format!("`{name}` was booted anew and did not come back: {why}");
                failure = failure
                    .hint("look at its console; when it answers again, go on: it is not booted another time");
            }
            self.fail_host(host, reboots, failure);
            return;
        }
        let wait = pause(row.tries).min(since.saturating_add(limit).saturating_sub(now).max(1));
        row.tries += 1;
        row.link = Link::Waiting(now + wait);
        self.set_timer(now + wait, host);
        let why = if reboots.is_some() { "it is booted anew, as planned".to_owned() } else { why.to_owned() };
        self.tell(EventKind::HostDown { host: name, why });
    }

    /// A host that may hold a lock, or where somebody may still work, went away: it is tried again for a while.
    fn try_again_later(&mut self, host: usize, transient: bool) {
        let (now, left) = (self.now, self.time_to_unlock());
        let row = &mut self.table.hosts[host];
        let is_wanted = row.may_hold || row.is_loose(now);
        let Some(left) = left.filter(|_| transient && is_wanted && !self.superseded) else { return };
        let at = now + pause(row.tries).min(left);
        row.tries += 1;
        row.link = Link::Waiting(at);
        self.set_timer(at, host);
        self.set_timer(self.unlock_until, host);
    }

    pub(crate) fn reply(&mut self, host: usize, reply: Reply) {
        let row = &mut self.table.hosts[host];
        if let (Some(Asked::Step(step)), Answer::Started(_)) = (row.asked.get(&reply.id), &reply.body) {
            let step = *step;
            self.started(step);
            return;
        }
        if matches!(reply.body, Answer::Heartbeat { .. }) {
            return;
        }
        let Some(about) = row.asked.remove(&reply.id) else { return };
        self.dirty.insert(host);
        match (about, reply.body) {
            (Asked::Step(step), Answer::Applied(_, result)) => {
                if result.is_ok() {
                    // Who begins a step has taken the host over.
                    self.table.hosts[host].loose_until = None;
                }
                self.ended(host, step, result);
            }
            (Asked::TakeOver, Answer::Ok) => self.table.hosts[host].loose_until = None,
            (Asked::Step(step), Answer::Failed(failure)) => self.ended(host, step, Err(failure)),
            (Asked::Lock, Answer::Held(None)) => {
                let row = &mut self.table.hosts[host];
                row.lock = Lock::Taken;
                let name = row.name.clone();
                self.tell(EventKind::LockTaken { host: name });
                if self.phase > Phase::Lock && !self.winding_down {
                    self.store(host);
                }
            }
            (Asked::Lock, Answer::Held(Some(holder))) => {
                let late = self.phase > Phase::Lock;
                let why =
                    format!("`{}` works here: run `{}`, {}", holder.owner, holder.run, holder.operation);
                let row = &mut self.table.hosts[host];
                (row.lock, row.may_hold) = (Lock::Refused(holder), false);
                if late {
                    self.fail_host(host, None, Failure::of_host(why));
                }
            }
            (Asked::Store, Answer::Ok) => self.table.hosts[host].lock = Lock::Stored,
            (Asked::Journal, Answer::Journal(entries)) => self.learn(host, entries),
            (Asked::Unlock, Answer::Ok) => {
                let row = &mut self.table.hosts[host];
                (row.lock, row.may_hold) = (Lock::None, false);
            }
            (Asked::Other | Asked::TakeOver | Asked::Unlock, _) => {}
            (Asked::Store, Answer::Failed(failure)) => {
                self.table.hosts[host].lock = Lock::Lost;
                self.fail_host(host, None, failure);
            }
            (Asked::Lock | Asked::Journal, Answer::Failed(failure)) => {
                self.fail_host(host, None, failure);
            }
            (about, _) => {
                if about == Asked::Store {
                    self.table.hosts[host].lock = Lock::Lost;
                }
                let failure = Failure::of_host("the helper answered what was not asked");
                self.fail_host(host, None, failure);
            }
        }
    }

    fn ask_for_lock(&mut self, host: usize) {
        let row = &mut self.table.hosts[host];
        (row.lock, row.may_hold) = (Lock::Asked, true);
        self.send(host, Ask::Lock(self.holder.clone()), Asked::Lock);
    }

    /// Takes the lock of the first host that answers, and only then all others: of two who come at the same moment
    /// one gets all locks, instead of some each.
    pub(crate) fn look_at_locks(&mut self) {
        let locks = self.table.lock_hosts.iter().map(|host| (*host, &self.table.hosts[*host]));
        let (mut taken, mut coming, mut later) = (0, 0, 0);
        let (mut refused, mut free) = (Vec::new(), Vec::new());
        for (host, row) in locks {
            match &row.lock {
                Lock::Taken => taken += 1,
                Lock::Asked => coming += 1,
                Lock::Wanted if row.link == Link::Up => free.push(host),
                Lock::Wanted if matches!(row.link, Link::Queued | Link::Connecting) && row.tries == 0 => {
                    coming += 1;
                }
                Lock::Wanted => later += 1,
                Lock::Refused(holder) => refused.push((row.name.clone(), holder.clone())),
                _ => {}
            }
        }
        if coming > 0 {
            return;
        }
        let all = self.table.lock_hosts.len();
        if !refused.is_empty() {
            self.wind_up(Ending::Refused(refused));
        } else if !free.is_empty() {
            free.truncate(if taken == 0 { 1 } else { free.len() });
            for host in free {
                self.ask_for_lock(host);
                self.dirty.insert(host);
            }
        } else if all == 0 || taken * 2 > all {
            self.phase = Phase::Store;
            for host in self.table.lock_hosts.clone() {
                if self.table.hosts[host].lock == Lock::Taken {
                    self.store(host);
                    self.dirty.insert(host);
                }
            }
            if all == 0 {
                self.look_at_records();
            }
        } else if (taken + later) * 2 <= all {
            let why = format!("only {taken} of {all} lock hosts answer; more than half are needed");
            self.wind_up(Ending::NoLock(why));
        }
    }

    pub(crate) fn look_at_records(&mut self) {
        let count = |wanted: &dyn Fn(&Lock) -> bool| {
            self.table.lock_hosts.iter().filter(|host| wanted(&self.table.hosts[**host].lock)).count()
        };
        let all = self.table.lock_hosts.len();
        let stored = count(&|lock| *lock == Lock::Stored);
        let coming = count(&|lock| matches!(lock, Lock::Storing | Lock::Asked | Lock::Taken));
        let later = count(&|lock| *lock == Lock::Wanted);
        if coming > 0 {
            return;
        }
        if all == 0 || stored * 2 > all {
            self.phase = Phase::Learn;
            self.dirty.extend(0..self.table.hosts.len());
        } else if (stored + later) * 2 <= all {
            let why = format!("only {stored} of {all} lock hosts keep the record; more than half must");
            self.wind_up(Ending::NoLock(why));
        }
    }

    fn store(&mut self, host: usize) {
        self.table.hosts[host].lock = Lock::Storing;
        let (run, record) = (self.run.clone(), self.record());
        self.send(host, Ask::StoreRun { run, record }, Asked::Store);
    }

    /// Takes from a journal what is done already.
    fn learn(&mut self, host: usize, entries: Vec<JournalEntry>) {
        let mut last = HashMap::new();
        for entry in entries {
            let Some(at) = self.table.step_index.get(&entry.step).copied() else { continue };
            if self.table.steps[at].host == host {
                // Begun and not ended: it may have changed something, and will not know that it did.
                let is_touched = !matches!(&entry.ended, Some(Ok(o)) if o.kind == kubespray_resource::OutcomeKind::Unchanged);
                if is_touched {
                    let tokens = self.plan.steps[at].step.notifies.iter().cloned();
                    self.table.hosts[host].notified.extend(tokens);
                }
                last.insert(at, entry.ended);
            }
        }
        let row = &mut self.table.hosts[host];
        if row.must_learn {
            row.must_learn = false;
            self.unlearned -= 1;
        }
        let sources = self.sources_needed(host, &last);
        last.retain(|at, _| !sources.contains(at));
        if std::mem::take(&mut self.table.hosts[host].was_booted) {
            self.fetch_again(host, &sources);
        }
        let mut known: Vec<_> = last.into_iter().collect();
        known.sort_by_key(|(at, _)| *at);
        for (at, ended) in known {
            if let Some(turns) = self.table.steps[at].turns {
                self.table.turns[turns].take(host);
            }
            if let Some(Ok(outcome)) = ended
                && matches!(self.table.steps[at].at, At::Pending)
                && self.table.steps[at].active
            {
                self.step_done(host, at, outcome, 0);
            }
        }
    }

    /// The files that were fetched only for something to be made of them, where that something is not made yet: they may be
    /// gone since, as a reboot empties `/tmp`.
    fn sources_needed(
        &self,
        host: usize,
        known: &HashMap<usize, Option<Result<Outcome, Failure>>>,
    ) -> BTreeSet<usize> {
        let resource = |at: usize| &self.plan.steps[at].step.resource;
        let chain = || self.table.hosts[host].chain.iter().copied();
        let is_open = |at: &usize| {
            self.table.steps[*at].active
                && self.plan.steps[*at].changes
                && self.table.steps[*at].at != At::Done
                && !matches!(known.get(at), Some(Some(Ok(_))))
        };
        let needed: BTreeSet<&str> =
            chain().filter(is_open).filter_map(|at| resource(at).made_of()).collect();
        let is_needed = |at: &usize| match resource(*at) {
            Resource::Download(wish) => wish.only_as_source && needed.contains(wish.path.as_str()),
            _ => false,
        };
        chain().filter(is_needed).collect()
    }

    /// Has files looked at, and fetched where they are gone, whatever is known of them.
    fn fetch_again(&mut self, host: usize, sources: &BTreeSet<usize>) {
        for at in sources {
            let step = &mut self.table.steps[*at];
            step.at = At::Pending;
            step.is_again = true;
            let row = &mut self.table.hosts[host];
            row.finished = row.finished.min(step.place);
            row.cursor = row.cursor.min(step.place);
        }
    }

    /// The connection is not needed any more.
    pub(crate) fn close(&mut self, host: usize) {
        let row = &mut self.table.hosts[host];
        if row.link == Link::Connecting {
            self.connecting -= 1;
        }
        if matches!(row.link, Link::Connecting | Link::Up) {
            self.out.push(Output::Close { host: row.name.clone() });
        }
        row.link = Link::Off;
        row.asked.clear();
    }
}
