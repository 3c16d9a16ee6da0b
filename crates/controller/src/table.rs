//! The steps, hosts and gates of a plan by number, with indexes of who waits for whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kubespray_resource::{HostRecap, Needs, Plan, StepId, Token};

use crate::turns::Turns;
use crate::words::BadPlan;

/// What is known of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Not begun.
    Pending,
    /// The helper has it.
    Sent,
    /// It will be done as soon as all before it are: nothing has to be sent.
    Passed,
    /// Done.
    Done,
    /// It failed.
    Failed,
    /// It will not happen.
    Skipped,
}

#[derive(Debug)]
pub(crate) struct StepRow {
    pub(crate) host: usize,
    /// Its place in the chain of its host.
    pub(crate) place: usize,
    /// Whether it may have to be sent.
    pub(crate) active: bool,
    pub(crate) at: At,
    /// Conditions that are not true yet: steps of other hosts and gates.
    pub(crate) waits: usize,
    /// Steps that wait for it.
    pub(crate) dependents: Vec<usize>,
    /// Gates that it helps to open.
    pub(crate) opens: Vec<usize>,
    pub(crate) turns: Option<usize>,
    pub(crate) attempts: u32,
    pub(crate) since_ms: u64,
    /// Nothing has to be waited for before it, or it was.
    pub(crate) is_released: bool,
}

#[derive(Debug)]
pub(crate) struct GateRow {
    pub(crate) name: String,
    pub(crate) all: usize,
    pub(crate) needed: usize,
    pub(crate) done: usize,
    pub(crate) lost: usize,
    pub(crate) waiting: Vec<usize>,
}

/// The connection to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Not wanted.
    Off,
    /// It waits for its turn to connect.
    Queued,
    Connecting,
    Up,
    /// It is tried again at this time.
    Waiting(u64),
}

/// The lock of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// The host has none for us.
    None,
    Wanted,
    Asked,
    Taken,
    Storing,
    /// Taken, and the record is kept there.
    Stored,
    Refused(kubespray_resource::wire::Holder),
    /// The host is given up, or refuses for another reason.
    Lost,
}

/// What a request was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Lock,
    Store,
    Journal,
    Step(usize),
    TakeOver,
    Unlock,
    Other,
}

#[derive(Debug)]
pub(crate) struct HostRow {
    pub(crate) name: String,
    pub(crate) chain: Vec<usize>,
    /// Whether it has anything to do.
    pub(crate) works: bool,
    pub(crate) link: Link,
    pub(crate) lock: Lock,
    /// Whether the host may hold the lock of this run, whatever is known of it now.
    pub(crate) may_hold: bool,
    /// Whether the journal must be read before anything is sent.
    pub(crate) must_learn: bool,
    /// The next place of the chain to be sent.
    pub(crate) cursor: usize,
    /// All places before this one are done.
    pub(crate) finished: usize,
    /// No place from here on will happen.
    pub(crate) stop: usize,
    pub(crate) asked: BTreeMap<u64, Asked>,
    /// How many steps the helper has.
    pub(crate) in_flight: usize,
    pub(crate) retry_at: Option<u64>,
    /// The step that is held, and until when; somebody releases it where no time is set.
    pub(crate) held: Option<(usize, Option<u64>)>,
    pub(crate) boot_id: Option<String>,
    /// Until when a helper may go on with steps that it was sent over a connection that is lost.
    pub(crate) loose_until: Option<u64>,
    pub(crate) away_since: Option<u64>,
    /// What the last try to reach it gave, while it is away.
    pub(crate) away_why: String,
    pub(crate) tries: u32,
    pub(crate) notified: BTreeSet<Token>,
    pub(crate) failed: bool,
    pub(crate) busy: bool,
    pub(crate) recap: HostRecap,
}

impl HostRow {
    /// Whether a helper may still go on by itself there.
    pub(crate) fn is_loose(&self, now: u64) -> bool {
        self.loose_until.is_some_and(|until| now < until)
    }
}

pub(crate) struct Table {
    pub(crate) steps: Vec<StepRow>,
    pub(crate) hosts: Vec<HostRow>,
    pub(crate) gates: Vec<GateRow>,
    pub(crate) turns: Vec<Turns>,
    pub(crate) lock_hosts: Vec<usize>,
    pub(crate) host_index: HashMap<String, usize>,
    pub(crate) step_index: HashMap<StepId, usize>,
}

impl Table {
    /// Reads a plan once. Indexes in it lead to rows of the same table, always.
    pub(crate) fn of(plan: &Plan) -> Result<Self, BadPlan> {
        let mut table = Self {
            steps: Vec::with_capacity(plan.steps.len()),
            hosts: Vec::new(),
            gates: Vec::new(),
            turns: Vec::new(),
            lock_hosts: Vec::new(),
            host_index: HashMap::new(),
            step_index: HashMap::with_capacity(plan.steps.len()),
        };
        for host in &plan.lock_hosts {
            let at = table.host(host);
            table.hosts[at].lock = Lock::Wanted;
            if !table.lock_hosts.contains(&at) {
                table.lock_hosts.push(at);
            }
        }
        table.place_steps(plan)?;
        table.connect(plan)?;
        table.make_turns(plan)?;
        Ok(table)
    }

    fn host(&mut self, name: &str) -> usize {
        if let Some(at) = self.host_index.get(name) {
            return *at;
        }
        let at = self.hosts.len();
        self.host_index.insert(name.to_owned(), at);
        self.hosts.push(HostRow {
            name: name.to_owned(),
            chain: Vec::new(),
            works: false,
            link: Link::Off,
            lock: Lock::None,
            may_hold: false,
            must_learn: false,
            cursor: 0,
            finished: 0,
            stop: 0,
            asked: BTreeMap::new(),
            in_flight: 0,
            retry_at: None,
            held: None,
            boot_id: None,
            loose_until: None,
            away_since: None,
            away_why: String::new(),
            tries: 0,
            notified: BTreeSet::new(),
            failed: false,
            busy: false,
            recap: HostRecap { host: name.to_owned(), ..HostRecap::default() },
        });
        at
    }

    fn place_steps(&mut self, plan: &Plan) -> Result<(), BadPlan> {
        let mut notified: BTreeSet<(usize, Token)> = BTreeSet::new();
        for (at, planned) in plan.steps.iter().enumerate() {
            let step = &planned.step;
            let host = self.host(&step.host);
            if self.step_index.insert(step.id.clone(), at).is_some() {
                return Err(BadPlan::Twice(step.id.clone()));
            }
            let may_be_notified =
                || step.resource.awaits().is_some_and(|token| notified.contains(&(host, token)));
            let active = planned.changes || may_be_notified();
            if active {
                notified.extend(step.notifies.iter().map(|token| (host, token.clone())));
            }
            let row = &mut self.hosts[host];
            row.works |= planned.changes;
            self.steps.push(StepRow {
                host,
                place: row.chain.len(),
                active,
                at: At::Pending,
                waits: 0,
                dependents: Vec::new(),
                opens: Vec::new(),
                turns: None,
                attempts: 0,
                since_ms: 0,
                is_released: step.hold.is_none(),
            });
            row.chain.push(at);
            row.stop = row.chain.len();
        }
        Ok(())
    }

    fn connect(&mut self, plan: &Plan) -> Result<(), BadPlan> {
        let mut gate_index = HashMap::new();
        for (name, gate) in &plan.gates {
            let number = self.gates.len();
            let all = gate.steps.len();
            let needed = match gate.needs {
                Needs::Any => 1,
                Needs::Majority => all / 2 + 1,
                Needs::All => all,
            };
            for id in &gate.steps {
                let Some(at) = self.step_index.get(id) else {
                    return Err(BadPlan::NoStep { step: name.clone(), missing: id.clone() });
                };
                self.steps[*at].opens.push(number);
            }
            gate_index.insert(name.as_str(), number);
            self.gates.push(GateRow {
                name: name.clone(),
                all,
                needed,
                done: 0,
                lost: 0,
                waiting: Vec::new(),
            });
        }
        for (at, planned) in plan.steps.iter().enumerate() {
            let step = &planned.step;
            let givers = step.resource.takes_from();
            // Who takes an output of the same host may leave unsaid that it waits.
            let unsaid =
                givers.iter().filter(|id| !step.after.contains(id) && self.step_index.contains_key(*id));
            let named: Vec<&StepId> = step.after.iter().chain(unsaid).collect();
            for id in named {
                let Some(before) = self.step_index.get(id).copied() else {
                    let step = step.id.to_string();
                    return Err(BadPlan::NoStep { step, missing: id.clone() });
                };
                // The chain of a host keeps its own order, but an output must come back before it can be given on.
                let same_chain =
                    self.steps[before].host == self.steps[at].host && before < at && !givers.contains(id);
                if self.steps[at].active && !same_chain {
                    self.steps[at].waits += 1;
                    self.steps[before].dependents.push(at);
                }
            }
            for gate in &step.gates {
                let Some(number) = gate_index.get(gate.as_str()).copied() else {
                    return Err(BadPlan::NoGate { step: step.id.clone(), gate: gate.clone() });
                };
                let row = &mut self.gates[number];
                if self.steps[at].active && row.done < row.needed {
                    self.steps[at].waits += 1;
                    row.waiting.push(at);
                }
            }
        }
        Ok(())
    }

    fn make_turns(&mut self, plan: &Plan) -> Result<(), BadPlan> {
        let names: HashMap<&str, usize> =
            plan.policy.rollouts.keys().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let mut steps: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); names.len()];
        for (at, planned) in plan.steps.iter().enumerate() {
            let Some(rollout) = planned.step.rollout.as_ref().filter(|_| self.steps[at].active) else {
                continue;
            };
            let Some(number) = names.get(rollout.as_str()).copied() else {
                return Err(BadPlan::NoTurn { step: planned.step.id.clone(), rollout: rollout.clone() });
            };
            self.steps[at].turns = Some(number);
            *steps[number].entry(self.steps[at].host).or_default() += 1;
        }
        for ((name, rule), steps) in plan.policy.rollouts.iter().zip(steps) {
            let order: Vec<usize> =
                rule.hosts.iter().filter_map(|host| self.host_index.get(host).copied()).collect();
            let listed: BTreeSet<usize> = order.iter().copied().collect();
            if let Some(host) = steps.keys().find(|host| !listed.contains(host)) {
                let step = self.hosts[*host].chain.first().and_then(|at| plan.steps.get(*at));
                let step = step.map_or_else(|| StepId::from(""), |planned| planned.step.id.clone());
                return Err(BadPlan::NoTurn { step, rollout: name.clone() });
            }
            self.turns.push(Turns::new(name, rule, order, steps));
        }
        Ok(())
    }
}
