//! Members that leave their cluster for good (`remove_node`; spec OPS-093, OPS-100).

use kubespray_resource::{
    Disruption, EtcdChange, EtcdExpected, EtcdHealth, EtcdMember, EtcdQuorum, EtcdSeen,
};
use kubespray_spec::HostSpec;

use super::cluster::{Cluster, Kind};
use super::{Problem, ROLLOUT, Whole};
use crate::components::{Chain, Site};

/// How long a removal and the cluster behind it may take, in seconds.
const TIMEOUT_S: u64 = 300;
const INTERVAL_MS: u64 = 1_000;

/// The peer URL of a host in one of the clusters.
fn peer_url(host: &HostSpec, kind: Kind) -> Option<&String> {
    match kind {
        Kind::Main => host.own.etcd_peer_url.known(),
        Kind::Events => host.own.etcd_events_peer_url.known(),
    }
}

/// The members of hosts, those that are not well first: who takes them away in this order keeps what it can.
fn members<'a>(answer: &'a [EtcdSeen], hosts: &[&HostSpec], kind: Kind) -> Vec<&'a EtcdSeen> {
    let urls: Vec<&String> = hosts.iter().filter_map(|host| peer_url(host, kind)).collect();
    let mut found: Vec<&EtcdSeen> =
        answer.iter().filter(|seen| seen.listed.peer_urls.iter().any(|url| urls.contains(&url))).collect();
    found.sort_by_key(|seen| seen.is_healthy());
    found
}

/// Why the members of hosts must not leave. With the message comes what helps.
pub(crate) fn why_not(site: &Site<'_>, leaving: &[&HostSpec]) -> Option<(String, String)> {
    if !leaving.iter().any(|host| host.roles.etcd) {
        return None;
    }
    let live = &site.live.etcd;
    let is_member = |host: &&&HostSpec| host.roles.etcd && live.members.contains(&host.name);
    let Some(answer) = &live.answer else {
        return leaving.iter().find(is_member).map(|_| {
            (
                "no member of etcd says who the members are, so none can be taken away".to_owned(),
                "start members until they have a quorum; without one the cluster must be recovered first"
                    .to_owned(),
            )
        });
    };
    let mut left = answer.clone();
    for seen in members(answer, leaving, Kind::Main) {
        if let Some(why) = EtcdQuorum::why_not(&left, EtcdChange::Remove(&seen.listed.id)) {
            let hint = "start the members that are not well, or add one with `kubespray scale` first";
            return Some((format!("etcd would lose its quorum: {why}"), hint.to_owned()));
        }
        left.retain(|other| other.listed.id != seen.listed.id);
    }
    None
}

/// How many members vote when some have left, and how many of them may then be lost.
pub(crate) fn tolerance(site: &Site<'_>, leaving: &[&HostSpec]) -> Option<(usize, usize)> {
    let answer = site.live.etcd.answer.as_ref()?;
    let gone = members(answer, leaving, Kind::Main);
    if gone.is_empty() {
        return None;
    }
    let left: Vec<EtcdSeen> = answer.iter().filter(|seen| !gone.contains(seen)).cloned().collect();
    let quorum = EtcdQuorum::of(&left);
    Some((quorum.voters, quorum.healthy.saturating_sub(quorum.needed())))
}

/// The host whose member takes others out of the clusters: one that is well, of those that stay.
pub(crate) fn actor<'a>(site: &Site<'a>) -> Option<&'a str> {
    let cluster = Cluster::of(site, Kind::Main).ok()?;
    let is_well = |host: &str| {
        cluster.member(host).and_then(|member| cluster.seen(member)).is_some_and(EtcdSeen::is_healthy)
    };
    let mut members = super::hosts(site);
    members
        .find(|host| site.facts.contains_key(&host.name) && is_well(&host.name))
        .map(|host| host.name.as_str())
}

/// Takes the members of hosts out of their clusters, one after the other; behind each all others are well.
pub(crate) fn wish(chain: &mut Chain<'_>, leaving: &[&HostSpec]) {
    chain.begin("etcd", "etcd");
    if let Err(Problem { message, hint }) = try_wish(chain, leaving) {
        chain.refuse(message, hint);
    }
}

fn try_wish(chain: &mut Chain<'_>, leaving: &[&HostSpec]) -> Result<(), Problem> {
    let host = chain.host;
    let whole = Whole::of(host.site)?;
    for cluster in whole.clusters() {
        let answer = cluster.live.answer.as_deref().unwrap_or_default();
        for seen in members(answer, leaving, cluster.kind) {
            let Some(of) = leaving.iter().find(|host| {
                peer_url(host, cluster.kind).is_some_and(|url| seen.listed.peer_urls.contains(url))
            }) else {
                continue;
            };
            let client = cluster.client(host.spec, true);
            let member = EtcdMember {
                client: client.clone(),
                name: seen.listed.name.clone(),
                peer_urls: seen.listed.peer_urls.clone(),
                moved_from: Vec::new(),
                learner: false,
                present: false,
                timeout_s: TIMEOUT_S,
            };
            let step = chain.add(cluster.kind.step(&format!("without-{}", of.name)), member);
            step.disruption = Disruption::Quorum;
            step.rollout = Some(ROLLOUT.into());
            let own = cluster.member(&host.spec.name).map(|member| member.name.clone());
            let health = EtcdHealth {
                client,
                expected: EtcdExpected::Names(own.into_iter().collect()),
                when: None,
                lag: EtcdHealth::LAG,
                timeout_s: TIMEOUT_S,
                interval_ms: INTERVAL_MS,
            };
            let step = chain.add(cluster.kind.step(&format!("well-without-{}", of.name)), health);
            step.rollout = Some(ROLLOUT.into());
        }
    }
    Ok(())
}
