//! How many workers an upgrade takes out of service at once, and who goes ahead (spec OPS-050 to OPS-053, LIFE-230).
//!
//! Workers share one window, and one of them goes ahead of all others. A group of the inventory may have a window of its
//! own: its hosts slide in it beside those of the other windows. Since such a group mostly is of other machines (other
//! hardware, other drivers), what the first worker proved says little of them, so one of each such group goes ahead of
//! its group, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use kubespray_resource::Rollout;

use super::rules::WORKERS;

/// How many hosts may be out of service at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many, one at least.
    Number(usize),
    /// So many of a hundred, from 1 to 100; rounded down, one host at least.
    Percent(usize),
}

impl Amount {
    /// How many of some hosts it lets through at once.
    pub fn of(self, hosts: usize) -> usize {
        match self {
            Self::Number(number) => number.max(1),
            Self::Percent(part) => (hosts.saturating_mul(part) / 100).max(1),
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount = match text.strip_suffix('%') {
            Some(part) => part.trim().parse().ok().filter(|part| (1..=100).contains(part)).map(Self::Percent),
            None => text.trim().parse().ok().filter(|number| *number > 0).map(Self::Number),
        };
        let wrong = || format!("`{text}` is neither a number such as `2` nor a part from `1%` to `100%`");
        amount.ok_or_else(wrong)
    }
}

/// What an operator asks for: an amount for all workers, or for those of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxUnavailable {
    /// The group of the inventory; nothing for all workers that are in no named group.
    pub group: Option<String>,
    /// How many of them.
    pub amount: Amount,
}

impl FromStr for MaxUnavailable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (group, amount) = match text.rsplit_once('=') {
            Some((group, amount)) => (Some(group.trim()), amount),
            None => (None, text),
        };
        if group == Some("") {
            return Err("the name of a group is missing before `=`".into());
        }
        Ok(Self { group: group.map(str::to_owned), amount: amount.parse()? })
    }
}

/// Workers with a window of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The group of the inventory that names them.
    pub group: String,
    /// They themselves.
    pub hosts: BTreeSet<String>,
    /// How many of them may be out of service at once.
    pub amount: Amount,
}

/// How an upgrade goes, beyond what variables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpgradeOptions {
    /// How many of the workers that have no window of their own may be out of service at once; `serial` where nothing
    /// is said.
    pub max_unavailable: Option<Amount>,
    /// Windows of groups; no host is in two of them.
    pub windows: Vec<Window>,
}

/// Why windows cannot be as they were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowProblem {
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: String,
}

impl fmt::Display for WindowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

/// What was asked for, with the hosts of each group; or everything that is wrong with it. `members` gives the hosts of
/// a group of the inventory, and nothing where there is no such group.
pub fn worker_windows(
    asked: &[MaxUnavailable],
    members: &dyn Fn(&str) -> Option<Vec<String>>,
) -> Result<UpgradeOptions, Vec<WindowProblem>> {
    let group = |name: &str| members(name).unwrap_or_default();
    let control_planes = group("kube_control_plane");
    let mut workers = [group("kube_node"), group("calico_rr")].concat();
    workers.retain(|host| !control_planes.contains(host));
    let mut options = UpgradeOptions::default();
    let mut problems = Vec::new();
    let mut add = |message: String, hint: &str| problems.push(WindowProblem { message, hint: hint.into() });
    for MaxUnavailable { group, amount } in asked {
        let Some(group) = group else {
            if options.max_unavailable.replace(*amount).is_some() {
                add("`--max-unavailable` says twice how many of all workers".into(), "say it once");
            }
            continue;
        };
        if options.windows.iter().any(|window| window.group == *group) {
            add(format!("`--max-unavailable` names the group `{group}` twice"), "say it once");
            continue;
        }
        let Some(hosts) = members(group) else {
            add(
                format!("`--max-unavailable` names the group `{group}`, which the inventory does not have"),
                "`kubespray inventory graph` shows all groups",
            );
            continue;
        };
        let hosts: BTreeSet<String> = hosts.into_iter().filter(|host| workers.contains(host)).collect();
        if hosts.is_empty() {
            add(
                format!("`--max-unavailable` names the group `{group}`, in which no worker is"),
                "control planes and members of etcd always go one at a time: leave it out",
            );
            continue;
        }
        for window in &options.windows {
            if let Some(host) = window.hosts.intersection(&hosts).next() {
                add(
                    format!(
                        "`--max-unavailable` gives two windows to `{host}`: it is in the groups `{}` and `{group}`",
                        window.group
                    ),
                    "name groups that have no worker in common",
                );
            }
        }
        options.windows.push(Window { group: group.clone(), hosts, amount: *amount });
    }
    if problems.is_empty() { Ok(options) } else { Err(problems) }
}

/// The rollouts of workers, and who is in which.
pub(super) struct Turns {
    pub(super) rollouts: BTreeMap<String, Rollout>,
    /// Who goes ahead of all others, where there are several windows.
    canary: Option<String>,
}

impl Turns {
    /// `workers` is the rollout of all of them; `is_there` says which hosts are part of the plan.
    pub(super) fn of(
        options: &UpgradeOptions,
        workers: Option<Rollout>,
        is_there: &dyn Fn(&str) -> bool,
    ) -> Self {
        let nobody = Rollout { hosts: Vec::new(), max_unavailable: 1, canaries: 0 };
        let workers = workers.unwrap_or(nobody);
        let named = |host: &String| options.windows.iter().any(|window| window.hosts.contains(host));
        let (named, rest): (Vec<String>, Vec<String>) = workers.hosts.iter().cloned().partition(named);
        let at_once = options.max_unavailable.map_or(workers.max_unavailable, |amount| amount.of(rest.len()));
        let rest = Rollout { hosts: rest, max_unavailable: at_once, canaries: 1 };
        let mut rollouts = BTreeMap::from([(WORKERS.to_owned(), rest)]);
        for window in &options.windows {
            let hosts: Vec<String> =
                workers.hosts.iter().filter(|host| window.hosts.contains(*host)).cloned().collect();
            let max_unavailable = window.amount.of(hosts.len());
            let rollout = Rollout { hosts, max_unavailable, canaries: 1 };
            rollouts.insert(format!("{WORKERS}:{}", window.group), rollout);
        }
        let canary = workers.hosts.iter().find(|host| !named.is_empty() && is_there(host)).cloned();
        Self { rollouts, canary }
    }

    /// The rollout in which a worker has its turn.
    pub(super) fn rollout_of(&self, host: &str) -> &str {
        let is_in = |rollout: &Rollout| rollout.hosts.iter().any(|name| name == host);
        self.rollouts.iter().find(|(_, rollout)| is_in(rollout)).map_or(WORKERS, |(name, _)| name)
    }

    /// Whether all other windows wait for this host.
    pub(super) fn is_canary(&self, host: &str) -> bool {
        self.canary.as_deref() == Some(host)
    }

    /// Whether a host waits for the canary of another window.
    pub(super) fn waits(&self, host: &str) -> bool {
        self.canary.as_ref().is_some_and(|canary| self.rollout_of(canary) != self.rollout_of(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(group: &str) -> Option<Vec<String>> {
        let hosts = match group {
            "kube_control_plane" => "a b",
            "kube_node" => "b c d e f g",
            "gpu" => "a f g",
            "rack" => "e f",
            "masters" => "a b",
            "empty" => "",
            _ => return None,
        };
        Some(hosts.split_whitespace().map(str::to_owned).collect())
    }

    fn asked(texts: &[&str]) -> Result<UpgradeOptions, Vec<WindowProblem>> {
        let asked: Vec<MaxUnavailable> = texts.iter().map(|text| text.parse().unwrap()).collect();
        worker_windows(&asked, &members)
    }

    #[test]
    fn amounts_are_numbers_and_parts() {
        for (text, hosts, expected) in
            [("3", 100, 3), (" 2", 1, 2), ("1%", 3, 1), ("50%", 5, 2), ("100 %", 5, 5), ("20%", 10, 2)]
        {
            assert_eq!(text.parse::<Amount>().unwrap().of(hosts), expected, "{text} of {hosts}");
        }
        for wrong in ["0", "0%", "half", "-1", "101%", "", "%", "1.5"] {
            let error = wrong.parse::<Amount>().unwrap_err();
            let expected =
                format!("`{wrong}` is neither a number such as `2` nor a part from `1%` to `100%`");
            assert_eq!(error, expected);
        }
        let error = |text: &str| text.parse::<MaxUnavailable>().unwrap_err();
        assert_eq!(error("=1"), "the name of a group is missing before `=`");
        assert!(error("gpu=0").starts_with("`0` is neither"));
        assert!(error("gpu").starts_with("`gpu` is neither"));
    }

    #[test]
    fn groups_have_windows_of_their_own() {
        let options = asked(&["50%", "gpu=1"]).unwrap();
        let workers = Rollout {
            hosts: ["c", "d", "e", "f", "g"].map(str::to_owned).to_vec(),
            max_unavailable: 4,
            canaries: 0,
        };
        let turns = Turns::of(&options, Some(workers.clone()), &|_| true);
        let found: Vec<_> = turns
            .rollouts
            .iter()
            .map(|(name, rollout)| {
                (name.as_str(), rollout.hosts.concat(), rollout.max_unavailable, rollout.canaries)
            })
            .collect();
        // The control plane of the group has turns of another kind.
        assert_eq!(found, [("workers", "cde".into(), 1, 1), ("workers:gpu", "fg".into(), 1, 1)]);
        let waiting: Vec<&str> = ["c", "d", "f", "g"].into_iter().filter(|host| turns.waits(host)).collect();
        assert!(turns.is_canary("c") && waiting == ["f", "g"], "{waiting:?}");
        // Who cannot go ahead leaves it to the next.
        let turns = Turns::of(&options, Some(workers.clone()), &|host| host == "f" || host == "e");
        assert!(turns.is_canary("e") && !turns.is_canary("c"));
        let plain = Turns::of(&asked(&[]).unwrap(), Some(workers), &|_| true);
        assert_eq!(plain.rollouts["workers"].max_unavailable, 4, "`serial` where nothing is said");
        assert!(!plain.is_canary("c") && !plain.waits("g"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (texts, expected) in [
            (&["1", "2"][..], "`--max-unavailable` says twice how many of all workers; say it once"),
            (&["gpu=1", "gpu=2"], "`--max-unavailable` names the group `gpu` twice; say it once"),
            (
                &["fpga=1"],
                "`--max-unavailable` names the group `fpga`, which the inventory does not have; `kubespray inventory graph` shows all groups",
            ),
            (
                &["masters=1"],
                "`--max-unavailable` names the group `masters`, in which no worker is; control planes and members of etcd always go one at a time: leave it out",
            ),
            (
                &["empty=1"],
                "`--max-unavailable` names the group `empty`, in which no worker is; control planes and members of etcd always go one at a time: leave it out",
            ),
            (
                &["gpu=1", "rack=1"],
                "`--max-unavailable` gives two windows to `f`: it is in the groups `gpu` and `rack`; name groups that have no worker in common",
            ),
        ] {
            let problems = asked(texts).unwrap_err();
            assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        }
        assert_eq!(asked(&["1", "2", "fpga=1"]).unwrap_err().len(), 2, "all at once");
    }
}
