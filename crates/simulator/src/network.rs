//! Connections, and the helpers at their far ends.

use std::collections::VecDeque;

use kubespray_controller::Input;
use kubespray_node::Session;
use kubespray_resource::wire::{Answer, Ask, Hello, Reply, Request};

use crate::World;
use crate::host::Trap;
use crate::world::Happening;

/// ssh logs in and starts the helper.
const LOGIN_US: u64 = 300_000;
/// ssh gives up on a host that does not answer.
const NO_ANSWER_US: u64 = 10_000_000;
/// A step that waits for others is tried again for so long.
const LONGEST_WAIT_US: u64 = 300_000_000;
/// The transport notices a dead peer.
pub(crate) const NOTICED_US: u64 = 15_000_000;
/// A host that was told to reboot is back.
const REBOOT_US: u64 = 45_000_000;
/// A helper to which nobody speaks ends.
pub(crate) const SILENCE_US: u64 = 60_000_000;

/// Something that a controller hears on a connection.
#[derive(Debug)]
pub(crate) enum Said {
    Up(Hello),
    Reply(Reply),
    Down(String),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    operator: usize,
    pub(crate) host: usize,
    /// Whether the controller still has it.
    is_held: bool,
    /// The network lost it: nothing gets through any more.
    pub(crate) is_broken: bool,
    helper: Option<Helper>,
    /// The moments of the last arrivals: nothing overtakes anything.
    last_there_us: u64,
    last_here_us: u64,
}

#[derive(Debug)]
struct Helper {
    session: Session,
    inbox: VecDeque<Request>,
    is_cancelled: bool,
    free_at_us: u64,
}

impl World {
    pub(crate) fn connect(&mut self, operator: usize, name: &str) {
        let link = self.next_link;
        self.next_link += 1;
        if let Some(operator) = self.operators.get_mut(operator) {
            *operator.connections.entry(name.to_owned()).or_default() += 1;
        }
        let Some(host) = self.index.get(name).copied() else {
            self.feed(
                operator,
                Input::Down {
                    host: name.to_owned(),
                    transient: false,
                    why: "nothing says how it is reached".to_owned(),
                },
            );
            return;
        };
        self.links.insert(
            link,
            Link {
                operator,
                host,
                is_held: true,
                is_broken: false,
                helper: None,
                last_there_us: 0,
                last_here_us: 0,
            },
        );
        if let Some(state) = self.operators.get_mut(operator) {
            state.links.insert(host, link);
        }
        self.there(link, LOGIN_US, Happening::Arrived { link });
    }

    pub(crate) fn close(&mut self, operator: usize, name: &str) {
        let Some(host) = self.index.get(name) else { return };
        let link = self.operators.get_mut(operator).and_then(|state| state.links.remove(host));
        if let Some(link) = link {
            self.let_go(link);
        }
    }

    /// The controller's end of a connection is gone; the helper notices.
    pub(crate) fn let_go(&mut self, link: u64) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.is_held = false;
        let after = if state.is_broken { SILENCE_US } else { 0 };
        self.there(link, after, Happening::HungUp { link });
    }

    pub(crate) fn send(&mut self, operator: usize, name: &str, request: Request) {
        let host = self.index.get(name);
        let link = host.and_then(|host| self.operators.get(operator)?.links.get(host).copied());
        let Some(link) = link else { return };
        if self.links.get(&link).is_some_and(|link| !link.is_broken) {
            self.there(link, 0, Happening::Asked { link, request: Box::new(request) });
        }
    }

    /// Something goes to a host.
    fn there(&mut self, link: u64, extra_us: u64, happening: Happening) {
        let jitter = self.random.below(50);
        let Some(state) = self.links.get_mut(&link) else { return };
        let latency = self.machines.get(state.host).map_or(0, |machine| machine.latency_us);
        let at = (self.now_us + latency + jitter + extra_us).max(state.last_there_us);
        state.last_there_us = at;
        self.put(at, happening);
    }

    /// Something comes to a controller.
    fn here(&mut self, link: u64, from_us: u64, said: Said) {
        let jitter = self.random.below(50);
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_held) else { return };
        if state.is_broken && !matches!(said, Said::Down(_)) {
            return;
        }
        let latency = self.machines.get(state.host).map_or(0, |machine| machine.latency_us);
        let at = (from_us + latency + jitter).max(state.last_here_us);
        state.last_here_us = at;
        self.put(at, Happening::Heard { link, said });
    }

    pub(crate) fn arrived(&mut self, link: u64) {
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_held) else { return };
        let Some(machine) = self.machines.get_mut(state.host) else { return };
        let now = self.now_us;
        if !machine.is_reachable(now) || state.is_broken {
            self.here(link, now + NO_ANSWER_US, Said::Down("nothing came within 10 s".to_owned()));
            return;
        }
        if machine.bad_uploads > 0 {
            machine.bad_uploads -= 1;
            self.here(link, now, Said::Down("the upload of the helper failed: it broke off".to_owned()));
            return;
        }
        let session = Session::new("simulated");
        machine.host.begin(now, false, None);
        match session.hello(&machine.host) {
            Ok(hello) => {
                let inbox = VecDeque::new();
                state.helper = Some(Helper { session, inbox, is_cancelled: false, free_at_us: now });
                self.here(link, now, Said::Up(hello));
            }
            Err(error) => self.here(link, now, Said::Down(error.to_string())),
        }
    }

    pub(crate) fn asked(&mut self, link: u64, request: Request) {
        let now = self.now_us;
        let Some(helper) = self.links.get_mut(&link).and_then(|state| state.helper.as_mut()) else { return };
        let id = request.id;
        match request.body {
            Ask::Ping => self.here(link, now, Said::Reply(Reply { id, body: Answer::Ok })),
            Ask::Cancel => {
                helper.is_cancelled = true;
                self.here(link, now, Said::Reply(Reply { id, body: Answer::Ok }));
            }
            _ => {
                helper.inbox.push_back(request);
                let at = helper.free_at_us.max(now);
                self.put(at, Happening::Work { link });
            }
        }
    }

    /// A helper takes up its next request, if it is free.
    pub(crate) fn work(&mut self, link: u64) {
        let now = self.now_us;
        let Some(state) = self.links.get_mut(&link) else { return };
        let host = state.host;
        let (Some(helper), Some(machine)) = (state.helper.as_mut(), self.machines.get_mut(host)) else {
            return;
        };
        let Some(first) = helper.inbox.front() else { return };
        let is_step = matches!(first.body, Ask::Apply(_));
        let free_at = helper.free_at_us;
        if free_at > now {
            self.put(free_at, Happening::Work { link });
            return;
        }
        if is_step && machine.applying_until_us > now {
            // As `serve` does before it waits.
            machine.host.begin(now, helper.is_cancelled, None);
            if helper.session.take_over(&machine.host).is_ok() {
                machine.newest_link = machine.newest_link.max(link);
            }
            let until = machine.applying_until_us;
            match machine.host.caught() {
                Some(trap) => self.fall(link, host, trap, 0),
                None => self.put(until, Happening::Work { link }),
            }
            return;
        }
        let Some(request) = helper.inbox.pop_front() else { return };
        if request.body == Ask::GoOn {
            helper.is_cancelled = false;
        }
        let apply = match &request.body {
            Ask::Apply(apply) => Some(apply.as_ref().clone()),
            _ => None,
        };
        machine.host.begin(now, helper.is_cancelled, apply.as_ref());
        let mut before = None;
        if is_step && machine.host.site.borrow().is_used() {
            // It has the host when it waits, and still has it when it goes on.
            if helper.session.take_over(&machine.host).is_ok() {
                machine.newest_link = machine.newest_link.max(link);
            }
            if let Some(trap) = machine.host.caught() {
                self.fall(link, host, trap, 0);
                return;
            }
            let since = *machine.waits_since_us.get_or_insert(now);
            let mut inner = machine.host.inner.borrow_mut();
            // Whoever has waited for this long waits its own time to its end.
            if now < since + LONGEST_WAIT_US {
                before = Some((request.clone(), inner.clone(), helper.session.clone()));
                inner.gives_way = true;
            }
        }
        let mut replies = Vec::new();
        let host_clock = &machine.host;
        helper.session.answer(&machine.host, request, &mut |reply| {
            replies.push((host_clock.inner.borrow().spent_us, reply));
        });
        let spent_us = machine.host.inner.borrow().spent_us;
        let waits_us = machine.host.inner.borrow().waits_us;
        if let (Some(waits_us), Some((request, inner, session))) = (waits_us, before) {
            *machine.host.inner.borrow_mut() = inner;
            helper.session = session;
            helper.inbox.push_front(request);
            helper.free_at_us = now + spent_us + waits_us;
            machine.applying_until_us = helper.free_at_us;
            let at = helper.free_at_us;
            self.put(at, Happening::Work { link });
            return;
        }
        machine.waits_since_us = None;
        let caught = machine.host.caught();
        helper.free_at_us = now + spent_us;
        if is_step {
            machine.applying_until_us = now + spent_us;
        }
        let began = replies.iter().any(|(_, reply)| matches!(reply.body, Answer::Started(_)));
        let newest = machine.newest_link;
        machine.newest_link = newest.max(if began { link } else { 0 });
        if began && link < newest {
            let name = &machine.name;
            self.checks.broken("takeover", format!("a helper that was given up began a step on `{name}`"));
        }
        if let Some(apply) = &apply {
            let losses = machine.power_losses;
            for (rule, what) in std::mem::take(&mut self.site.borrow_mut().broken) {
                self.checks.broken(rule, what);
            }
            self.checks.step(&self.machines, host, apply, &replies, losses);
        }
        for (after_us, reply) in replies {
            self.here(link, now + after_us, Said::Reply(reply));
        }
        match caught {
            Some(trap) => self.fall(link, host, trap, spent_us),
            None => self.put(now + spent_us, Happening::Work { link }),
        }
    }

    fn fall(&mut self, link: u64, host: usize, trap: Trap, after_us: u64) {
        if let Some(machine) = self.machines.get_mut(host).filter(|_| trap.reboot) {
            machine.boot_us = REBOOT_US;
        }
        if trap.power { self.power_fails(host, after_us) } else { self.helper_dies(link, after_us) }
    }

    pub(crate) fn hung_up(&mut self, link: u64) {
        // The step under way was finished when it was begun here; what waits is dropped.
        let Some(state) = self.links.get_mut(&link) else { return };
        state.helper = None;
        if !state.is_held {
            self.links.remove(&link);
        }
    }

    fn helper_dies(&mut self, link: u64, after_us: u64) {
        if let Some(state) = self.links.get_mut(&link) {
            state.helper = None;
        }
        self.here(
            link,
            self.now_us + after_us,
            Said::Down("the connection is lost: the helper ended".to_owned()),
        );
    }

    /// All helpers of a host die; their controllers notice late.
    pub(crate) fn power_fails(&mut self, host: usize, after_us: u64) {
        let at = self.now_us + after_us;
        let Some(machine) = self.machines.get_mut(host) else { return };
        machine.host.lose_power();
        machine.power_losses += 1;
        machine.applying_until_us = 0;
        machine.on_at_us = at.saturating_add(machine.boot_us);
        machine.tell_host(self.now_us);
        machine.waits_since_us = None;
        for link in self.links_of(host) {
            if let Some(state) = self.links.get_mut(&link) {
                state.helper = None;
                state.is_broken = true;
            }
            self.here(link, at + NOTICED_US, Said::Down("the connection is lost: no answer".to_owned()));
        }
    }

    /// The connections to a host are lost: controllers and helpers notice after so many microseconds.
    pub(crate) fn links_break(&mut self, host: usize, here_us: u64, there_us: u64) {
        for link in self.links_of(host) {
            let Some(state) = self.links.get_mut(&link) else { continue };
            if state.is_broken {
                continue;
            }
            state.is_broken = true;
            self.put(self.now_us + there_us, Happening::HungUp { link });
            self.here(link, self.now_us + here_us, Said::Down("the connection is lost: it broke".to_owned()));
        }
    }

    fn links_of(&self, host: usize) -> Vec<u64> {
        self.links.iter().filter(|(_, state)| state.host == host).map(|(link, _)| *link).collect()
    }

    pub(crate) fn heard(&mut self, link: u64, said: Said) {
        let Some(state) = self.links.get(&link).filter(|state| state.is_held) else { return };
        let (operator, at) = (state.operator, state.host);
        let Some(host) = self.machines.get(at).map(|machine| machine.name.clone()) else { return };
        let input = match said {
            Said::Up(hello) => Input::Up { host, hello },
            Said::Reply(reply) => Input::Reply { host, reply },
            Said::Down(why) => {
                if let Some(state) = self.operators.get_mut(operator) {
                    state.links.remove(&at);
                }
                self.let_go(link);
                Input::Down { host, transient: true, why }
            }
        };
        self.feed(operator, input);
    }
}
