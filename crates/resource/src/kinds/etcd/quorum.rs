//! What a cluster survives.

use super::EtcdSeen;

/// What is about to happen to the members of a cluster. Members are named by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdChange<'a> {
    /// A voting member is added.
    Add,
    /// A member that does not vote is added.
    AddLearner,
    /// A learner begins to vote.
    Promote(&'a str),
    /// A member goes.
    Remove(&'a str),
    /// A member gets other peer URLs.
    Move(&'a str),
}

/// Who votes, and who of them is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtcdQuorum {
    /// Members that vote.
    pub voters: usize,
    /// Those of them that are well.
    pub healthy: usize,
}

impl EtcdQuorum {
    /// The quorum of some members.
    pub fn of(members: &[EtcdSeen]) -> Self {
        let voters = || members.iter().filter(|seen| !seen.listed.learner);
        Self { voters: voters().count(), healthy: voters().filter(|seen| seen.is_healthy()).count() }
    }

    /// How many must be well.
    pub fn needed(self) -> usize {
        self.voters / 2 + 1
    }

    /// Whether enough are well.
    pub fn is_kept(self) -> bool {
        self.healthy >= self.needed()
    }

    /// Why a change must not happen to these members; nothing when it may.
    ///
    /// The numbers are those right after the change: an added member has not started yet. A second member of a
    /// cluster of one is allowed although it stops the cluster until it has started, as etcd allows it: there is
    /// no other way to grow.
    pub fn why_not(members: &[EtcdSeen], change: EtcdChange<'_>) -> Option<String> {
        let now = Self::of(members);
        let find = |id: &str| members.iter().find(|seen| seen.listed.id == id);
        let unwell = || {
            let names: Vec<String> = members
                .iter()
                .filter(|seen| !seen.listed.learner && !seen.is_healthy())
                .map(|seen| format!("`{}`", seen.listed.label()))
                .collect();
            if names.is_empty() { String::new() } else { format!("; not well: {}", names.join(", ")) }
        };
        let lost = |what: String, then: Self| {
            (!then.is_kept()).then(|| {
                format!(
                    "{what} would leave {} healthy of {} voting members, and {} are needed{}",
                    then.healthy,
                    then.voters,
                    then.needed(),
                    unwell()
                )
            })
        };
        if !now.is_kept() {
            return Some(format!(
                "the cluster has no quorum: {} of {} voting members are healthy, and {} are needed{}",
                now.healthy,
                now.voters,
                now.needed(),
                unwell()
            ));
        }
        match change {
            EtcdChange::Add if now.voters == 1 => None,
            EtcdChange::Add => {
                lost("adding a voting member".into(), Self { voters: now.voters + 1, healthy: now.healthy })
            }
            EtcdChange::AddLearner => None,
            EtcdChange::Promote(id) => {
                let seen = find(id)?;
                let healthy = now.healthy + usize::from(seen.is_healthy());
                lost(format!("promoting `{}`", seen.listed.label()), Self { voters: now.voters + 1, healthy })
            }
            EtcdChange::Remove(id) => {
                let seen = find(id)?;
                if seen.listed.learner {
                    return None;
                }
                if now.voters == 1 {
                    return Some(format!("`{}` is the last voting member", seen.listed.label()));
                }
                let healthy = now.healthy - usize::from(seen.is_healthy());
                lost(format!("removing `{}`", seen.listed.label()), Self { voters: now.voters - 1, healthy })
            }
            EtcdChange::Move(id) => {
                let seen = find(id)?;
                let others = now.healthy - usize::from(seen.is_healthy() && !seen.listed.learner);
                let voters = now.voters - usize::from(!seen.listed.learner);
                (others < voters).then(|| {
                    format!(
                        "changing the peer URLs of `{}` while {others} of {voters} other voting members are \
                         healthy may cost the quorum{}",
                        seen.listed.label(),
                        unwell()
                    )
                })
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kinds::etcd::{EtcdClient, EtcdListed, EtcdStatus};

    pub(in super::super) fn client() -> EtcdClient {
        EtcdClient {
            endpoints: vec!["https://127.0.0.1:2379".into()],
            ca: "/ca.pem".into(),
            certificate: "/admin.pem".into(),
            key: "/admin-key.pem".into(),
            bin_dir: None,
        }
    }

    pub(in super::super) fn listed(number: u8, learner: bool) -> EtcdListed {
        EtcdListed {
            id: format!("{number}"),
            name: format!("etcd{number}"),
            peer_urls: vec![format!("https://10.0.0.{number}:2380")],
            client_urls: vec![format!("https://10.0.0.{number}:2379")],
            learner,
        }
    }

    pub(in super::super) fn seen(number: u8) -> EtcdSeen {
        let status = EtcdStatus {
            version: "3.6.14".into(),
            cluster: "c1".into(),
            leader: Some("1".into()),
            raft_index: 10_000,
            db_size: 1,
            errors: Vec::new(),
        };
        EtcdSeen { listed: listed(number, false), status: Some(status), problem: None }
    }

    /// `+` votes and is well, `-` votes and is not, `l` learns, `x` learns and is not well.
    fn cluster(kinds: &str) -> Vec<EtcdSeen> {
        let one = |(index, kind): (usize, char)| {
            let mut seen = seen(index as u8 + 1);
            seen.listed.learner = "lx".contains(kind);
            if "-x".contains(kind) {
                seen.problem = Some("does not answer".into());
            }
            seen
        };
        kinds.chars().enumerate().map(one).collect()
    }

    #[test]
    fn a_change_must_leave_a_quorum() {
        use EtcdChange::{Add, AddLearner, Move, Promote, Remove};
        for (kinds, change, allowed) in [
            ("+", Add, true),
            ("++", Add, true),
            ("+++", Add, true),
            ("++-", Add, false),
            ("++++-", Add, true),
            ("+++--", Add, false),
            ("+-", AddLearner, false),
            ("++-", AddLearner, true),
            ("+", Remove("1"), false),
            ("++", Remove("1"), true),
            ("+++", Remove("1"), true),
            ("++-", Remove("1"), false),
            ("++-", Remove("3"), true),
            ("+--", Remove("3"), false),
            ("+++--", Remove("5"), true),
            ("+++--", Remove("1"), false),
            ("+++-", Remove("1"), true),
            ("+++-", Remove("4"), true),
            ("++-l", Remove("4"), true),
            ("+l", Promote("2"), true),
            ("+x", Promote("2"), false),
            ("++-l", Promote("4"), true),
            ("++-x", Promote("4"), false),
            ("+", Move("1"), true),
            ("+++", Move("1"), true),
            ("++-", Move("3"), true),
            ("++-", Move("1"), false),
            ("++-l", Move("4"), false),
        ] {
            let why = EtcdQuorum::why_not(&cluster(kinds), change);
            assert_eq!(why.is_none(), allowed, "{kinds} {change:?} {why:?}");
        }
        assert_eq!(
            EtcdQuorum::why_not(&cluster("++-"), Remove("1")).unwrap(),
            "removing `etcd1` would leave 1 healthy of 2 voting members, and 2 are needed; not well: `etcd3`"
        );
    }
}
