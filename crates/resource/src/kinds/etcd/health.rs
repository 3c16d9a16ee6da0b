//! Whether a cluster is well.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{EtcdClient, EtcdListed};
use crate::{Comparison, Token};

/// A cluster that is well, and is waited for: members answer, agree on one leader and one cluster, keep up with
/// each other and raise no alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdHealth {
    /// How the cluster is asked.
    pub client: EtcdClient,
    /// Who must be well.
    pub expected: EtcdExpected,
    /// What must wait to happen for anybody to look, such as the restart of etcd: without it the host is as wished.
    /// It is looked always where nothing is said.
    #[serde(default)]
    pub when: Option<Token>,
    /// How many entries of the log one member may be behind another; [`EtcdHealth::LAG`] where there is no
    /// reason for another bound.
    pub lag: u64,
    /// How long it may take to become true, in seconds.
    pub timeout_s: u64,
    /// How long to wait between two looks, in milliseconds.
    pub interval_ms: u64,
}

/// Who must be well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EtcdExpected {
    /// So many voting members, and all that there are must be well.
    Count(u32),
    /// Members of these names; others may be as they are.
    Names(Vec<String>),
    /// Enough that the member of this name can be spared: all others that vote, or a majority without it.
    Without(String),
}

/// What was seen of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdHealthState {
    /// Whether what it is looked for waits to happen.
    pub wanted: bool,
    /// All members.
    pub members: Vec<EtcdSeen>,
    /// Why the cluster does not list its members; nothing when it does.
    pub problem: Option<String>,
}

/// What was seen of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdSeen {
    /// The member.
    pub listed: EtcdListed,
    /// What it says of itself; nothing when it does not answer.
    pub status: Option<EtcdStatus>,
    /// Why it is not well; nothing when it is.
    pub problem: Option<String>,
}

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdStatus {
    /// Its version.
    pub version: String,
    /// The id of its cluster in hexadecimal.
    pub cluster: String,
    /// The id of the leader that it follows, in hexadecimal; nothing when it knows none.
    pub leader: Option<String>,
    /// The last entry of its log.
    pub raft_index: u64,
    /// The size of its data in bytes.
    pub db_size: u64,
    /// Its alarms and other errors.
    pub errors: Vec<String>,
}

impl EtcdSeen {
    /// Whether it is well.
    pub fn is_healthy(&self) -> bool {
        self.problem.is_none() && self.status.is_some()
    }
}

impl EtcdHealth {
    /// Entries of the log that a member may be behind. The members are asked one after the other while the
    /// cluster works, so some distance is always seen; a member further behind than etcd keeps entries in memory
    /// (5,000) would need a whole snapshot.
    pub const LAG: u64 = 1_000;

    /// Who is not well, and why.
    pub fn problems(&self, state: &EtcdHealthState) -> Vec<(String, String)> {
        if let Some(problem) = &state.problem {
            return vec![("cluster".into(), problem.clone())];
        }
        let mut out = Vec::new();
        let judged: Vec<&EtcdSeen> = match &self.expected {
            EtcdExpected::Count(count) => {
                let voters = state.members.iter().filter(|seen| !seen.listed.learner).count();
                if voters != *count as usize {
                    out.push(("cluster".into(), format!("has {voters} voting members in place of {count}")));
                }
                state.members.iter().collect()
            }
            EtcdExpected::Names(names) => {
                let known = |name: &String| state.members.iter().find(|seen| seen.listed.name == *name);
                for name in names.iter().filter(|name| known(name).is_none()) {
                    out.push((name.clone(), "is no member".into()));
                }
                names.iter().filter_map(known).collect()
            }
            EtcdExpected::Without(name) => state
                .members
                .iter()
                .filter(|seen| !seen.listed.learner && seen.listed.name != *name)
                .collect(),
        };
        for seen in &judged {
            let why = match (&seen.problem, &seen.status) {
                (Some(problem), _) => Some(problem.clone()),
                (None, None) => Some("does not answer".to_owned()),
                (None, Some(status)) => match (&status.leader, status.errors.as_slice()) {
                    (None, _) => Some("knows no leader".to_owned()),
                    (_, []) => None,
                    (_, errors) => Some(errors.join(", ")),
                },
            };
            if let Some(why) = why {
                out.push((seen.listed.label(), why));
            }
        }
        let answers: Vec<(&EtcdSeen, &EtcdStatus)> =
            judged.iter().filter_map(|seen| Some((*seen, seen.status.as_ref()?))).collect();
        let Some((first, one)) = answers.first() else { return out };
        let newest = answers.iter().map(|(_, status)| status.raft_index).max().unwrap_or_default();
        for (seen, status) in &answers {
            if status.cluster != one.cluster {
                let why = format!(
                    "is in cluster `{}`, but `{}` in `{}`",
                    status.cluster,
                    first.listed.label(),
                    one.cluster
                );
                out.push((seen.listed.label(), why));
            } else if status.leader.is_some() && one.leader.is_some() && status.leader != one.leader {
                out.push((
                    seen.listed.label(),
                    format!("follows another leader than `{}`", first.listed.label()),
                ));
            }
            let behind = newest.saturating_sub(status.raft_index);
            if behind > self.lag {
                out.push((seen.listed.label(), format!("is {behind} entries of the log behind")));
            }
        }
        if matches!(self.expected, EtcdExpected::Without(_)) {
            let unwell: BTreeSet<&str> = out.iter().map(|(who, _)| who.as_str()).collect();
            let voters = state.members.iter().filter(|seen| !seen.listed.learner).count();
            if judged.len() - unwell.len().min(judged.len()) > voters / 2 {
                out.clear();
            }
        }
        out
    }

    /// Whether the cluster is well.
    pub fn compare(&self, state: &EtcdHealthState) -> Comparison {
        let mut out = Comparison::default();
        if !state.wanted {
            return out;
        }
        for (who, why) in self.problems(state) {
            out.add(&who, Some(why), Some("healthy".into()));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::etcd::quorum::tests::{client, seen};

    fn health(expected: EtcdExpected) -> EtcdHealth {
        EtcdHealth { client: client(), expected, when: None, lag: 1_000, timeout_s: 1, interval_ms: 100 }
    }

    fn said(expected: EtcdExpected, members: Vec<EtcdSeen>) -> String {
        let wish = health(expected);
        let problems = wish.problems(&EtcdHealthState { wanted: true, members, problem: None });
        problems.iter().map(|(who, why)| format!("{who} {why}")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_cluster_is_well_when_all_agree() {
        let all = || vec![seen(1), seen(2), seen(3)];
        let with = |change: fn(&mut EtcdSeen)| {
            let mut members = all();
            change(&mut members[1]);
            members
        };
        for (members, expected) in [
            (all(), ""),
            (with(|m| m.problem = Some("does not answer: refused".into())), "etcd2 does not answer: refused"),
            (with(|m| m.status = None), "etcd2 does not answer"),
            (with(|m| m.status.as_mut().unwrap().leader = None), "etcd2 knows no leader"),
            (
                with(|m| m.status.as_mut().unwrap().leader = Some("2".into())),
                "etcd2 follows another leader than `etcd1`",
            ),
            (
                with(|m| m.status.as_mut().unwrap().cluster = "bb".into()),
                "etcd2 is in cluster `bb`, but `etcd1` in `c1`",
            ),
            (
                with(|m| m.status.as_mut().unwrap().raft_index = 8_999),
                "etcd2 is 1001 entries of the log behind",
            ),
            (with(|m| m.status.as_mut().unwrap().raft_index = 9_000), ""),
            (
                with(|m| m.status.as_mut().unwrap().errors = vec!["alarm:NOSPACE".into()]),
                "etcd2 alarm:NOSPACE",
            ),
            (vec![seen(1), seen(3)], "cluster has 2 voting members in place of 3"),
            (with(|m| m.listed.learner = true), "cluster has 2 voting members in place of 3"),
        ] {
            assert_eq!(said(EtcdExpected::Count(3), members), expected);
        }
        let silent = EtcdHealthState { wanted: true, members: Vec::new(), problem: Some("refused".into()) };
        let wish = health(EtcdExpected::Count(0));
        assert_eq!(wish.compare(&silent).changes.len(), 1);
        assert!(wish.compare(&EtcdHealthState { wanted: false, ..silent }).is_same());
    }

    #[test]
    fn with_names_only_those_are_judged() {
        let names = |names: &[&str]| EtcdExpected::Names(names.iter().map(|&name| name.into()).collect());
        let members = || {
            let mut members = vec![seen(1), seen(2), seen(3)];
            members[2].problem = Some("does not answer".into());
            members
        };
        assert_eq!(said(names(&["etcd1", "etcd2"]), members()), "");
        assert_eq!(said(names(&["etcd1", "etcd3"]), members()), "etcd3 does not answer");
        assert_eq!(said(names(&["etcd4"]), members()), "etcd4 is no member");
    }

    /// `+` is well, `-` is not, `l` is a learner.
    #[test]
    fn a_member_is_spared_when_enough_others_are_well() {
        for (kinds, expected) in [
            ("+", ""),
            ("-", ""),
            ("++", ""),
            ("+-", "etcd2 does not answer"),
            ("+++", ""),
            ("-++", ""),
            ("++-", "etcd3 does not answer"),
            ("++l", ""),
            ("++++-", ""),
            ("+++--", "etcd4 does not answer; etcd5 does not answer"),
        ] {
            let one = |(index, kind): (usize, char)| {
                let mut member = seen(u8::try_from(index).unwrap() + 1);
                member.listed.learner = kind == 'l';
                member.problem = (kind == '-').then(|| "does not answer".into());
                member
            };
            let members = kinds.chars().enumerate().map(one).collect();
            assert_eq!(said(EtcdExpected::Without("etcd1".into()), members), expected, "{kinds}");
        }
    }
}
