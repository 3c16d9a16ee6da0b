//! Hosts that can be asked what they are and what they have.

use std::collections::BTreeMap;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::{ClockSample, Seen};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Facts, Failure as HostFailure, State, StepId};
use kubespray_simulator::World;
use kubespray_transport::{Pool, System, Target};

use super::look::{Questions, observe};
use crate::failure::Failure;
use crate::fleet;

/// What was seen of resources, by the steps that name them.
pub(crate) type States = BTreeMap<StepId, Result<State, HostFailure>>;

/// What hosts say of themselves, with a look at the clock of each that has one of its own, or why they do not.
pub(crate) type Described = BTreeMap<String, Result<(Facts, Option<ClockSample>), Diagnostic>>;

/// Hosts of an inventory, or imagined ones.
pub(crate) trait Hosts {
    /// What these hosts say of themselves, or why they do not.
    fn facts(&mut self, hosts: &[String]) -> Described;

    /// What hosts have; a host that cannot be asked is an error.
    fn states(&mut self, asked: Questions) -> Result<States, Failure>;
}

/// The ways to the hosts of an inventory.
pub(crate) struct Connected<'a> {
    pub(super) transport: &'a Pool<System>,
    pub(super) targets: &'a BTreeMap<String, Target>,
}

impl Connected<'_> {
    /// The ways to some of the hosts; one that the inventory does not know is an error.
    pub(super) fn ways(&self, hosts: &[&str]) -> Result<Vec<Target>, Failure> {
        let mut ways = Vec::with_capacity(hosts.len());
        for host in hosts {
            ways.push(self.targets.get(*host).cloned().ok_or_else(|| {
                Diagnostic::error("host", format!("no host `{host}` in the inventory"))
                    .hint("name the inventory for which the plan was made")
            })?);
        }
        Ok(ways)
    }
}

impl Hosts for Connected<'_> {
    fn facts(&mut self, hosts: &[String]) -> Described {
        let ways: Vec<Target> = hosts.iter().filter_map(|host| self.targets.get(host).cloned()).collect();
        // The first question waits for the helper to start, so the clock is asked after the facts.
        let asks = |_: &str| vec![Ask::Facts, Ask::Clock, Ask::Clock];
        let answered = fleet::ask(self.transport, &ways, asks).into_iter();
        answered
            .filter_map(|(host, result)| {
                let found =
                    match result.map(|answered| (answered.clock(), answered.answers.into_iter().next())) {
                        Ok((clock, Some((Answer::Facts(found), ..)))) => Ok((*found, clock)),
                        Ok((_, Some((other, ..)))) => Err(fleet::unexpected(&host, &other)),
                        Ok((_, None)) => return None,
                        Err(why) => Err(fleet::problem(&host, &why)),
                    };
                Some((host, found))
            })
            .collect()
    }

    fn states(&mut self, asked: Questions) -> Result<States, Failure> {
        let mut seen = Seen::default();
        observe(self, &asked, &mut seen)?;
        Ok(seen.states)
    }
}

impl Hosts for World {
    fn facts(&mut self, hosts: &[String]) -> Described {
        let now = self.now_ms();
        let mut known = World::facts(self);
        let answer = |host: &String| match known.remove(host) {
            Some(found) => {
                let clock = ClockSample { asked_ms: now, answered_ms: now, host_ms: found.clock_ms };
                (host.clone(), Ok((found, Some(clock))))
            }
            None => {
                let silent = Diagnostic::error("connection", "it does not answer").on_host(host);
                (host.clone(), Err(silent))
            }
        };
        hosts.iter().map(answer).collect()
    }

    fn states(&mut self, asked: Questions) -> Result<States, Failure> {
        Ok(World::states(self, asked))
    }
}
