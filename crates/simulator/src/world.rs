//! Hosts, connections and controllers in one queue, ordered by virtual time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;

use kubespray_controller::{BadPlan, Input, Options, Output, Report, Run};
use kubespray_resource::wire::Holder;
use kubespray_resource::{Event, Plan, Secrets};

use crate::checks::{Checks, Violation};
use crate::fault::Fault;
use crate::machine::Machine;
use crate::models::Site;
use crate::network::{Link, Said};
use crate::{Random, SimHost};

/// The first moment, in microseconds since 1970.
const BEGINNING_US: u64 = 1_800_000_000_000_000;

/// A run that takes longer, in microseconds, will never end.
const LONGEST_US: u64 = 48 * 3_600_000_000;

/// What happens at a moment.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A controller begins.
    Begun { operator: usize },
    /// A connection has reached its host.
    Arrived { link: u64 },
    /// A request has reached the helper.
    Asked { link: u64, request: Box<kubespray_resource::wire::Request> },
    /// A helper may take up its next request.
    Work { link: u64 },
    /// A helper notices that nobody is there any more.
    HungUp { link: u64 },
    /// Something has reached a controller.
    Heard { link: u64, said: Said },
    /// A controller wanted to be woken.
    Wake { operator: usize, ms: u64 },
    /// An operator presses Ctrl-C.
    Stop { operator: usize },
    /// Something goes wrong.
    Fault(Fault),
}

/// A controller at work.
#[derive(Debug)]
pub(crate) struct Operator {
    run: Run,
    /// What it wants at first.
    first: Vec<Output>,
    /// Whether its process lives and its run is not over.
    is_at_work: bool,
    /// Its connections by host.
    pub(crate) links: BTreeMap<usize, u64>,
    /// How often it connected, by host.
    pub(crate) connections: BTreeMap<String, u64>,
    wake_ms: Option<u64>,
    acts: u64,
    dies_before_act: Option<u64>,
    events: Vec<Event>,
    report: Option<Report>,
}

/// An imagined cluster with its network and those who work on it.
///
/// Nothing in it is left to chance but what the seed chooses: the same calls give the same history.
#[derive(Debug)]
pub struct World {
    pub(crate) machines: Vec<Machine>,
    pub(crate) index: BTreeMap<String, usize>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) next_link: u64,
    pub(crate) operators: Vec<Operator>,
    pub(crate) checks: Checks,
    pub(crate) now_us: u64,
    pub(crate) random: Random,
    queue: BTreeMap<(u64, u64), Happening>,
    next_happening: u64,
    pub(crate) site: Rc<RefCell<Site>>,
}

impl World {
    /// Freshly installed hosts with these names.
    pub fn new<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>, seed: u64) -> Self {
        Self::of(hosts, seed, SimHost::new)
    }

    /// Hosts with these names that are otherwise as another host.
    pub fn of_copies<S: AsRef<str>>(host: &SimHost, names: impl IntoIterator<Item = S>, seed: u64) -> Self {
        Self::of(names, seed, |name, number| host.copy(name, number))
    }

    /// Hosts as these are now, at the same moment, with nobody at work and no faults.
    pub fn copy(&self, seed: u64) -> Self {
        let names: Vec<&str> = self.machines.iter().map(|machine| machine.name.as_str()).collect();
        let mut copy = Self::of(names, seed, |name, number| match self.host(name) {
            Some(host) => host.copy(name, number),
            None => SimHost::new(name, number),
        });
        self.site.borrow().copy_to(&mut copy.site.borrow_mut());
        copy.now_us = self.now_us;
        copy.heal();
        copy
    }

    fn of<S: AsRef<str>>(
        names: impl IntoIterator<Item = S>,
        seed: u64,
        make: impl Fn(&str, u16) -> SimHost,
    ) -> Self {
        let mut random = Random::new(seed, "latency");
        let mut machines = Vec::new();
        let site = Rc::<RefCell<Site>>::default();
        let mut index = BTreeMap::new();
        for name in names {
            let name = name.as_ref();
            let number = machines.len() as u16;
            index.insert(name.to_owned(), machines.len());
            let mut host = make(name, number);
            host.move_to(&site);
            machines.push(Machine::new(name, host, 100 + random.below(2_000)));
        }
        Self {
            machines,
            index,
            links: BTreeMap::new(),
            next_link: 1,
            operators: Vec::new(),
            checks: Checks::default(),
            now_us: BEGINNING_US,
            random: Random::new(seed, "jitter"),
            queue: BTreeMap::new(),
            next_happening: 0,
            site,
        }
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Option<&SimHost> {
        self.index.get(name).and_then(|at| self.machines.get(*at)).map(|machine| &machine.host)
    }

    /// All hosts in the order of their making, with their names.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &SimHost)> {
        self.machines.iter().map(|machine| (machine.name.as_str(), &machine.host))
    }

    /// Says where a host is on the network, before anybody asks it.
    pub fn set_address(&mut self, host: &str, address: Ipv4Addr) {
        if let Some(host) = self.host(host) {
            host.inner.borrow_mut().address = Some(address);
        }
    }

    /// The images that registries have; all others are not found. Every image is there where nothing is said.
    pub fn set_images(&mut self, references: impl IntoIterator<Item = String>) {
        let whole: BTreeSet<String> =
            references.into_iter().map(|text| kubespray_resource::whole_reference(&text)).collect();
        self.site.borrow_mut().registry.images = Some(whole);
    }

    /// A registry gives images only to `user:password`.
    pub fn set_registry_password(&mut self, registry: &str, credentials: &str) {
        let mut site = self.site.borrow_mut();
        site.registry.credentials.insert(registry.to_owned(), credentials.to_owned());
    }

    /// The cluster knows these nodes from now on, of whose kubelets it has not heard for long.
    pub fn add_silent_nodes(&mut self, names: &[String]) {
        self.site.borrow_mut().add_silent_nodes(names, self.now_us);
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    /// What was broken so far of the rules that every run keeps.
    pub fn violations(&self) -> &[Violation] {
        self.checks.violations()
    }

    /// Something goes wrong in so many milliseconds.
    pub fn fault_in(&mut self, ms: u64, fault: Fault) {
        self.put(self.now_us + ms * 1000, Happening::Fault(fault));
    }

    /// Runs a plan from its beginning to its end, with nobody else at work. `run` is its name.
    pub fn run(
        &mut self,
        plan: Plan,
        run: &str,
        secrets: &Secrets,
        options: Options,
    ) -> Result<(Option<Report>, Vec<Event>), BadPlan> {
        let operator = self.begin(plan, self.holder(run, "run"), secrets, options)?;
        self.go();
        Ok((self.report(operator).cloned(), self.events(operator).to_vec()))
    }

    /// Somebody who begins now.
    pub fn holder(&self, run: &str, operation: &str) -> Holder {
        let owner = "operator@desk".to_owned();
        Holder { run: run.into(), owner, operation: operation.to_owned(), since_ms: self.now_ms() }
    }

    /// Begins a run; [`World::go`] goes on with it. The answer is the number of its operator.
    pub fn begin(
        &mut self,
        plan: Plan,
        holder: Holder,
        secrets: &Secrets,
        options: Options,
    ) -> Result<usize, BadPlan> {
        let id = holder.run.clone();
        self.checks.begin(&id, &plan, secrets);
        let (run, first) = Run::new(plan, holder, secrets.clone(), options, self.now_ms())?;
        let operator = self.operators.len();
        self.operators.push(Operator {
            run,
            first,
            is_at_work: true,
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            wake_ms: None,
            acts: 0,
            dies_before_act: None,
            events: Vec::new(),
            report: None,
        });
        self.put(self.now_us, Happening::Begun { operator });
        Ok(operator)
    }

    /// The controller of an operator is killed before its so-many-th act. Acts are inputs that it takes, and
    /// connections and requests that it makes.
    pub fn kill_before_act(&mut self, operator: usize, act: u64) {
        if let Some(operator) = self.operators.get_mut(operator) {
            operator.dies_before_act = Some(act);
        }
    }

    /// An operator presses Ctrl-C in so many milliseconds.
    pub fn stop_in(&mut self, operator: usize, ms: u64) {
        self.put(self.now_us + ms * 1000, Happening::Stop { operator });
    }

    /// How many acts an operator's controller did so far.
    pub fn acts(&self, operator: usize) -> u64 {
        self.operators.get(operator).map_or(0, |operator| operator.acts)
    }

    /// How often an operator's controller connected so far, by host.
    pub fn connections(&self, operator: usize) -> BTreeMap<String, u64> {
        self.operators.get(operator).map(|operator| operator.connections.clone()).unwrap_or_default()
    }

    /// What became of an operator's run; nothing while it goes on, or where its controller died.
    pub fn report(&self, operator: usize) -> Option<&Report> {
        self.operators.get(operator)?.report.as_ref()
    }

    /// What an operator was told.
    pub fn events(&self, operator: usize) -> &[Event] {
        self.operators.get(operator).map_or(&[], |operator| &operator.events)
    }

    /// Lets time pass until all runs are over and all helpers are idle. Faults that are not due by then do not
    /// happen any more.
    pub fn go(&mut self) {
        let end = self.now_us + LONGEST_US;
        while self.operators.iter().any(|operator| operator.is_at_work) {
            if self.now_us > end || !self.next() {
                let told = format!(
                    "{:?}",
                    self.operators.iter().filter(|o| o.is_at_work).map(|o| &o.run).collect::<Vec<_>>()
                );
                self.checks.broken("ends", format!("a run neither ends nor waits for anything: {told}"));
                for operator in 0..self.operators.len() {
                    self.kill(operator);
                }
            }
        }
        let is_left = |happening: &Happening| {
            !matches!(happening, Happening::Fault(_) | Happening::Stop { .. } | Happening::Wake { .. })
        };
        self.queue.retain(|_, happening| is_left(happening));
        while self.next() {}
        self.checks.kept_by_hosts(&self.machines);
    }

    /// Lets time pass for so many milliseconds.
    pub fn go_for(&mut self, ms: u64) {
        let end = self.now_us + ms * 1000;
        while self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= end) {
            self.next();
        }
        self.now_us = end;
    }

    /// Does what happens next; `false` where nothing will.
    fn next(&mut self) -> bool {
        let Some(((at, _), happening)) = self.queue.pop_first() else { return false };
        self.now_us = self.now_us.max(at);
        match happening {
            Happening::Begun { operator } => {
                let first = self.operators.get_mut(operator).map(|state| std::mem::take(&mut state.first));
                self.perform(operator, first.unwrap_or_default());
            }
            Happening::Arrived { link } => self.arrived(link),
            Happening::Asked { link, request } => self.asked(link, *request),
            Happening::Work { link } => self.work(link),
            Happening::HungUp { link } => self.hung_up(link),
            Happening::Heard { link, said } => self.heard(link, said),
            Happening::Wake { operator, ms } => {
                let waits = self.operators.get_mut(operator).filter(|o| o.wake_ms == Some(ms));
                if let Some(waits) = waits {
                    waits.wake_ms = None;
                    self.feed(operator, Input::Tick);
                }
            }
            Happening::Stop { operator } => self.feed(operator, Input::Stop),
            Happening::Fault(fault) => self.befall(fault),
        }
        true
    }

    pub(crate) fn put(&mut self, at_us: u64, happening: Happening) {
        self.next_happening += 1;
        self.queue.insert((at_us, self.next_happening), happening);
    }

    /// Gives a controller something to know.
    pub(crate) fn feed(&mut self, operator: usize, input: Input) {
        if !self.may_act(operator) {
            return;
        }
        let now_ms = self.now_ms();
        let Some(state) = self.operators.get_mut(operator) else { return };
        let outputs = state.run.handle(now_ms, input);
        self.perform(operator, outputs);
    }

    /// Counts an act; `false` where the controller is dead.
    fn may_act(&mut self, operator: usize) -> bool {
        let Some(state) = self.operators.get_mut(operator).filter(|state| state.is_at_work) else {
            return false;
        };
        state.acts += 1;
        if state.dies_before_act == Some(state.acts) {
            self.kill(operator);
            return false;
        }
        true
    }

    fn kill(&mut self, operator: usize) {
        let Some(state) = self.operators.get_mut(operator) else { return };
        state.is_at_work = false;
        for link in std::mem::take(&mut state.links).into_values() {
            self.let_go(link);
        }
    }

    fn perform(&mut self, operator: usize, outputs: Vec<Output>) {
        for output in outputs {
            if matches!(output, Output::Connect { .. } | Output::Close { .. } | Output::Send { .. })
                && !self.may_act(operator)
            {
                return;
            }
            match output {
                Output::Connect { host } => self.connect(operator, &host),
                Output::Close { host } => self.close(operator, &host),
                Output::Send { host, request } => self.send(operator, &host, request),
                Output::WakeAt { ms } => {
                    if let Some(state) = self.operators.get_mut(operator) {
                        state.wake_ms = Some(ms);
                    }
                    self.put((ms * 1000).max(self.now_us), Happening::Wake { operator, ms });
                }
                Output::Tell(event) => {
                    self.checks.event(&event);
                    if let Some(state) = self.operators.get_mut(operator) {
                        state.events.push(event);
                    }
                }
                Output::Finished(report) => {
                    self.checks.report(&report);
                    if let Some(state) = self.operators.get_mut(operator) {
                        state.is_at_work = false;
                        state.report = Some(*report);
                    }
                }
            }
        }
    }
}
