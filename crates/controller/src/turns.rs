//! Whose turn it is in a rollout.

use std::collections::BTreeMap;

use kubespray_resource::Rollout;

/// Where a host is in a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Waiting,
    /// Between its first step and its last one.
    Begun,
    /// Its last step is done, or it had none.
    Over,
    /// It failed or was blocked on the way: it keeps its place, because it may be out of service.
    Stuck,
}

/// One rollout. Hosts begin strictly in the order of the plan.
#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) name: String,
    order: Vec<usize>,
    /// By host: its turn, and how many of its steps are left.
    hosts: BTreeMap<usize, (Turn, usize)>,
    next: usize,
    unavailable: usize,
    max_unavailable: usize,
    /// Canaries that are not through yet.
    canaries: Vec<usize>,
}

impl Turns {
    /// From the plan; `steps` says how many steps of each host belong to it.
    pub(crate) fn new(name: &str, rule: &Rollout, order: Vec<usize>, steps: BTreeMap<usize, usize>) -> Self {
        let order: Vec<usize> = order.into_iter().filter(|host| steps.contains_key(host)).collect();
        Self {
            name: name.to_owned(),
            canaries: order.iter().copied().take(rule.canaries).collect(),
            order,
            hosts: steps.into_iter().map(|(host, left)| (host, (Turn::Waiting, left))).collect(),
            next: 0,
            unavailable: 0,
            max_unavailable: rule.max_unavailable.max(1),
        }
    }

    /// The host that may begin now.
    pub(crate) fn may_begin(&self) -> Option<usize> {
        let host = *self.order.get(self.next)?;
        let after_canaries = self.canaries.is_empty() || self.canaries.contains(&host);
        (after_canaries && self.unavailable < self.max_unavailable).then_some(host)
    }

    /// Whether the host is on its way.
    pub(crate) fn has_begun(&self, host: usize) -> bool {
        self.hosts.get(&host).is_some_and(|(turn, _)| *turn == Turn::Begun)
    }

    /// Whether a host may do steps of it now, for which it takes its place.
    pub(crate) fn enter(&mut self, host: usize) -> bool {
        match self.hosts.get(&host) {
            Some((Turn::Waiting, _)) if self.may_begin() == Some(host) => {
                self.take(host);
                true
            }
            Some((turn, _)) => *turn == Turn::Begun,
            None => false,
        }
    }

    /// The host is on its way, whoever's turn it is: an earlier controller let it begin.
    pub(crate) fn take(&mut self, host: usize) {
        if let Some((turn @ Turn::Waiting, _)) = self.hosts.get_mut(&host) {
            *turn = Turn::Begun;
            self.unavailable += 1;
            self.skip_begun();
        }
    }

    /// One step of the host is done.
    pub(crate) fn step_done(&mut self, host: usize) {
        let Some((turn, left)) = self.hosts.get_mut(&host) else { return };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return;
        }
        if *turn == Turn::Begun {
            self.unavailable -= 1;
        }
        *turn = Turn::Over;
        self.canaries.retain(|canary| *canary != host);
        self.skip_begun();
    }

    /// The host does no more steps of it. One that has not begun gives its turn away; as a canary it keeps all
    /// others waiting.
    pub(crate) fn give_up(&mut self, host: usize) {
        if let Some((turn, _)) = self.hosts.get_mut(&host) {
            *turn = match turn {
                Turn::Waiting | Turn::Over => Turn::Over,
                Turn::Begun | Turn::Stuck => Turn::Stuck,
            };
            self.skip_begun();
        }
    }

    fn skip_begun(&mut self) {
        while self
            .order
            .get(self.next)
            .is_some_and(|host| self.hosts.get(host).is_none_or(|(turn, _)| *turn != Turn::Waiting))
        {
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(hosts: usize, max_unavailable: usize, canaries: usize) -> Turns {
        let rule = Rollout { hosts: Vec::new(), max_unavailable, canaries };
        Turns::new("r", &rule, (0..hosts).collect(), (0..hosts).map(|host| (host, 2)).collect())
    }

    #[test]
    fn hosts_begin_in_order_and_keep_their_place_to_the_end() {
        let mut turns = turns(4, 2, 0);
        assert!(!turns.enter(1) && turns.enter(0) && turns.enter(1) && !turns.enter(2));
        turns.step_done(0);
        assert!(!turns.enter(2));
        turns.step_done(0);
        assert!(turns.enter(2) && !turns.enter(3));
    }

    #[test]
    fn canaries_go_first() {
        let mut turns = turns(3, 3, 1);
        assert!(turns.enter(0) && !turns.enter(1));
        turns.step_done(0);
        turns.step_done(0);
        assert!(turns.enter(1) && turns.enter(2));
    }

    #[test]
    fn who_fails_on_the_way_keeps_its_place_who_never_began_does_not() {
        let mut turns = turns(4, 1, 0);
        turns.give_up(0);
        assert!(turns.enter(1));
        turns.give_up(1);
        assert_eq!(turns.may_begin(), None);
    }
}
