//! Members of a cluster.

use serde::{Deserialize, Serialize};

use super::{EtcdClient, EtcdListed};
use crate::Comparison;

/// A member that a cluster has, or has not.
///
/// A member is told by its peer URLs: names follow the order of the inventory (ETCD-018) and may belong to
/// another host tomorrow. Only a removal without peer URLs goes by the name. A name that differs is no
/// difference: a member gets the one of its own settings when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// How the cluster is asked.
    pub client: EtcdClient,
    /// Its name.
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// The peer URLs that it had before, where its address changes.
    #[serde(default)]
    pub moved_from: Vec<String>,
    /// Whether it is enough that it learns. It is added as a learner then, and one that votes already is as
    /// wished; without it a learner is promoted when it has caught up.
    pub learner: bool,
    /// Whether it is there.
    pub present: bool,
    /// How long a learner may take to catch up before it is promoted, in seconds.
    pub timeout_s: u64,
}

/// The members that a cluster has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMemberState {
    /// All members.
    pub members: Vec<EtcdListed>,
    /// Why the cluster does not say; nothing when it does.
    pub problem: Option<String>,
}

impl EtcdMember {
    /// The member that is meant, among those of the cluster.
    pub fn find<'a>(&self, members: &'a [EtcdListed]) -> Option<&'a EtcdListed> {
        if self.peer_urls.is_empty() && !self.present {
            return members.iter().find(|member| member.name == self.name);
        }
        let at = |urls: &[String]| members.iter().find(|member| member.is_at(urls));
        at(&self.peer_urls).or_else(|| at(&self.moved_from))
    }

    /// How the membership differs.
    pub fn compare(&self, state: &EtcdMemberState) -> Comparison {
        let mut out = Comparison::default();
        if let Some(problem) = &state.problem {
            out.add("cluster", Some(problem.clone()), Some("answers".into()));
            return out;
        }
        let shown = |name: &str, urls: &[String]| format!("{name} at {}", urls.join(","));
        match (self.find(&state.members), self.present) {
            (None, false) => {}
            (None, true) => out.add("member", None, Some(shown(&self.name, &self.peer_urls))),
            (Some(is), false) => out.add("member", Some(shown(&is.label(), &is.peer_urls)), None),
            (Some(is), true) => {
                let ordered = |urls: &[String]| {
                    let mut urls = urls.to_vec();
                    urls.sort_unstable();
                    urls.dedup();
                    urls.join(",")
                };
                out.field("peer urls", &ordered(&is.peer_urls), &ordered(&self.peer_urls));
                if !self.learner {
                    out.field("learner", &is.learner, &false);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::etcd::quorum::tests::{client, listed};

    fn wish(url: &str) -> EtcdMember {
        EtcdMember {
            client: client(),
            name: "etcd2".into(),
            peer_urls: vec![url.into()],
            moved_from: Vec::new(),
            learner: false,
            present: true,
            timeout_s: 60,
        }
    }

    fn differs(wish: &EtcdMember, members: Vec<EtcdListed>) -> String {
        let changes = wish.compare(&EtcdMemberState { members, problem: None }).changes;
        changes.iter().map(|change| change.what.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn members_are_told_by_their_peer_urls() {
        let (one, two) = (listed(1, false), listed(2, false));
        let learner = EtcdListed { learner: true, name: String::new(), ..two.clone() };
        let url = two.peer_urls[0].clone();
        let absent = EtcdMember { present: false, ..wish(&url) };
        for (wish, members, expected) in [
            (wish(&url), vec![one.clone(), two.clone()], ""),
            (wish(&url), vec![one.clone()], "member"),
            (wish(&url), vec![learner.clone()], "learner"),
            (EtcdMember { learner: true, ..wish(&url) }, vec![learner], ""),
            (EtcdMember { learner: true, ..wish(&url) }, vec![two.clone()], ""),
            // The same name at another place is another host's.
            (wish("https://new:2380"), vec![two.clone()], "member"),
            (
                EtcdMember { moved_from: vec![url.clone()], ..wish("https://new:2380") },
                vec![two.clone()],
                "peer urls",
            ),
            (EtcdMember { name: "other".into(), ..wish(&url) }, vec![two.clone()], ""),
            (absent.clone(), vec![one.clone(), two.clone()], "member"),
            (absent.clone(), vec![EtcdListed { peer_urls: one.peer_urls.clone(), ..two.clone() }], ""),
            (EtcdMember { peer_urls: Vec::new(), ..absent.clone() }, vec![two], "member"),
            (EtcdMember { peer_urls: Vec::new(), ..absent }, vec![one], ""),
        ] {
            assert_eq!(differs(&wish, members.clone()), expected, "{wish:?} {members:?}");
        }
        let silent = EtcdMemberState { members: Vec::new(), problem: Some("refused".into()) };
        assert_eq!(wish(&url).compare(&silent).changes[0].what, "cluster");
    }
}
