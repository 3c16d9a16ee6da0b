//! The clusters of etcd as they are meant to be, beside what they are.

use std::collections::BTreeSet;

use kubespray_resource::{EtcdClient, EtcdSeen, StepId};
use kubespray_spec::HostSpec;

use super::Problem;
use super::settings::value;
use crate::components::{LiveEtcd, Site};

/// Which of the two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// That of everything.
    Main,
    /// That of events, beside it on the same hosts (ETCD-121).
    Events,
}

impl Kind {
    /// The name of a step, or of anything else that both have.
    pub(super) fn step(self, name: &str) -> String {
        match self {
            Self::Main => name.to_owned(),
            Self::Events => format!("events-{name}"),
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Main => "etcd.service",
            Self::Events => "etcd-events.service",
        }
    }

    pub(super) fn settings_path(self) -> &'static str {
        match self {
            Self::Main => "/etc/etcd.env",
            Self::Events => "/etc/etcd-events.env",
        }
    }

    pub(super) fn client_port(self) -> u16 {
        match self {
            Self::Main => 2379,
            Self::Events => 2383,
        }
    }

    pub(super) fn peer_port(self) -> u16 {
        match self {
            Self::Main => 2380,
            Self::Events => 2382,
        }
    }

    /// ETCD-064, ETCD-085.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Main => "k8s_etcd",
            Self::Events => "k8s_events_etcd",
        }
    }

    fn live<'a>(self, site: &Site<'a>) -> &'a LiveEtcd {
        match self {
            Self::Main => &site.live.etcd,
            Self::Events => &site.live.etcd_events,
        }
    }
}

/// How far a cluster is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage<'a> {
    /// It never was well: all members start together, with the members of the inventory.
    New,
    /// It was well once, but nobody gets an answer of it now: all members start together, with what they have.
    Silent,
    /// It answers: members restart one at a time and new ones join one at a time.
    Answering(&'a [EtcdSeen]),
}

/// A member as it is meant to be.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    pub(super) host: &'a HostSpec,
    pub(super) name: String,
    pub(super) peer_url: &'a str,
    pub(super) client_url: &'a str,
    /// Whether the host has data of it.
    pub(super) has_data: bool,
    /// Whether the host can be given steps.
    pub(super) is_known: bool,
}

/// A cluster.
#[derive(Clone, Debug)]
pub(super) struct Cluster<'a> {
    pub(super) kind: Kind,
    pub(super) stage: Stage<'a>,
    /// In the order of the group.
    pub(super) members: Vec<Member<'a>>,
    pub(super) live: &'a LiveEtcd,
}

impl<'a> Cluster<'a> {
    pub(super) fn of(site: &Site<'a>, kind: Kind) -> Result<Self, Problem> {
        let live = kind.live(site);
        let mut members = Vec::new();
        for (name, host) in names(site).into_iter().zip(hosts(site)) {
            let own = &host.own;
            let (peer, client) = match kind {
                Kind::Main => (&own.etcd_peer_url, &own.etcd_client_url),
                Kind::Events => (&own.etcd_events_peer_url, &own.etcd_events_client_url),
            };
            let (Some(peer_url), Some(client_url)) = (peer.known(), client.known()) else {
                let message = format!("the address of the etcd member `{}` is not known", host.name);
                return Err(Problem { message, hint: "set its `ip`, or make the host reachable".into() });
            };
            members.push(Member {
                host,
                name: if kind == Kind::Events { format!("{name}-events") } else { name },
                peer_url,
                client_url,
                has_data: live.members.contains(&host.name),
                is_known: site.facts.contains_key(&host.name),
            });
        }
        // Its settings say `new` until the cluster was well for the first time.
        let was_well = |host: &String| {
            live.settings.get(host).and_then(|text| value(text, "ETCD_INITIAL_CLUSTER_STATE")) != Some("new")
        };
        let stage = match &live.answer {
            Some(answer) => Stage::Answering(answer),
            None if live.members.iter().any(was_well) => Stage::Silent,
            None => Stage::New,
        };
        Ok(Self { kind, stage, members, live })
    }

    pub(super) fn member(&self, host: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|member| member.host.name == host)
    }

    /// A member as the cluster tells it.
    pub(super) fn seen(&self, member: &Member<'_>) -> Option<&'a EtcdSeen> {
        let Stage::Answering(answer) = self.stage else { return None };
        answer.iter().find(|seen| seen.listed.peer_urls.iter().any(|url| url == member.peer_url))
    }

    /// Whether it has to join a cluster that there is.
    pub(super) fn joins(&self, member: &Member<'_>) -> bool {
        !matches!(self.stage, Stage::New) && !member.has_data
    }

    /// Those that join, in their order. A host that is not known cannot.
    fn joiners(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().filter(|member| member.is_known && self.joins(member))
    }

    /// The steps that one that joins waits for: the health of the one that joined before, or of all that are there
    /// and well.
    pub(super) fn before_join(&self, member: &Member<'_>) -> Vec<StepId> {
        let healthy = |host: &str| StepId(format!("{host}/etcd/{}", self.kind.step("healthy")));
        let before = self.joiners().take_while(|other| other.host.name != member.host.name).last();
        if let Some(before) = before {
            return vec![healthy(&before.host.name)];
        }
        let is_well = |other: &&Member<'a>| match self.stage {
            Stage::Answering(_) => self.seen(other).is_some_and(EtcdSeen::is_healthy),
            _ => true,
        };
        let there = self.members.iter().filter(|other| other.has_data && other.is_known).filter(is_well);
        there.map(|other| healthy(&other.host.name)).collect()
    }

    /// The members with which one starts for the first time: name and peer URL. One that joins must be told exactly
    /// those that the cluster has when it does.
    pub(super) fn initial(&self, member: &Member<'a>) -> Vec<(String, String)> {
        let entry = |member: &Member<'_>| (member.name.clone(), member.peer_url.to_owned());
        if !self.joins(member) {
            return self.members.iter().map(entry).collect();
        }
        let mut all: Vec<(String, String)> = match self.stage {
            Stage::Answering(answer) => answer.iter().flat_map(|seen| self.listed(seen)).collect(),
            _ => self.members.iter().filter(|other| other.has_data).map(entry).collect(),
        };
        let before = self.joiners().take_while(|other| other.host.name != member.host.name);
        for (name, url) in before.map(entry).chain([entry(member)]) {
            all.retain(|(_, other)| *other != url);
            all.push((name, url));
        }
        all
    }

    /// A member of the cluster by its peer URLs. One that has not started yet tells no name: any will do.
    fn listed(&self, seen: &EtcdSeen) -> Vec<(String, String)> {
        let listed = &seen.listed;
        let ours =
            self.members.iter().find(|member| listed.peer_urls.iter().any(|url| url == member.peer_url));
        let name = match (listed.name.is_empty(), ours) {
            (false, _) => listed.name.clone(),
            (true, Some(member)) => member.name.clone(),
            (true, None) => format!("member-{}", listed.id),
        };
        listed.peer_urls.iter().map(|url| (name.clone(), url.clone())).collect()
    }

    /// How a host asks the cluster: through its own member first, or only through those of others.
    pub(super) fn client(&self, host: &HostSpec, with_own: bool) -> EtcdClient {
        let own = with_own.then(|| format!("https://127.0.0.1:{}", self.kind.client_port()));
        let others = self.members.iter().filter(|member| {
            member.host.name != host.name && (matches!(self.stage, Stage::New) || member.has_data)
        });
        let others = others.map(|member| member.client_url.to_owned());
        let folder = &host.settings.etcd.etcd_cert_dir;
        let admin = format!("{folder}/admin-{}", host.name);
        EtcdClient {
            endpoints: own.into_iter().chain(others).collect(),
            ca: format!("{folder}/ca.pem"),
            certificate: format!("{admin}.pem"),
            key: format!("{admin}-key.pem"),
            bin_dir: Some(host.settings.kubernetes.bin_dir.clone()),
        }
    }
}

/// The hosts of the group, in its order.
pub(super) fn hosts<'a>(site: &Site<'a>) -> impl Iterator<Item = &'a HostSpec> + use<'a> {
    let spec = site.spec;
    spec.groups.etcd.iter().filter_map(|name| spec.host(name))
}

/// The names of the members, in the order of the group.
///
/// By default they count the places in the group (ETCD-018), so a host that goes or moves would rename others, and a
/// new one would get the name of one that is there (OPS-072). Here one that is a member keeps its name unless the
/// inventory gives another one of its own, and a new one gets a name that is free.
pub(super) fn names(site: &Site<'_>) -> Vec<String> {
    let live = &site.live.etcd;
    let listed_at = |host: &HostSpec| {
        let url = host.own.etcd_peer_url.known()?;
        let seen = live.answer.iter().flatten().find(|seen| seen.listed.peer_urls.contains(url))?;
        Some(seen.listed.name.clone()).filter(|name| !name.is_empty())
    };
    let present = |host: &HostSpec| {
        let text = live.settings.get(&host.name).filter(|_| live.members.contains(&host.name));
        text.and_then(|text| value(text, "ETCD_NAME")).map(str::to_owned).or_else(|| listed_at(host))
    };
    let by_place = |at: usize| format!("etcd{}", at + 1);
    let mut names: Vec<Option<String>> = Vec::new();
    for (at, host) in hosts(site).enumerate() {
        let wished = &host.own.etcd_member_name;
        let is_default = wished.is_empty() || *wished == by_place(at);
        names.push(if is_default { present(host) } else { Some(wished.clone()) });
    }
    let ours: BTreeSet<&String> = hosts(site).filter_map(|host| host.own.etcd_peer_url.known()).collect();
    let is_other = |seen: &&EtcdSeen| !seen.listed.peer_urls.iter().any(|url| ours.contains(url));
    let others = live.answer.iter().flatten().filter(is_other).map(|seen| seen.listed.name.clone());
    let mut taken: BTreeSet<String> = names.iter().flatten().cloned().chain(others).collect();
    let mut out = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        let name = name.unwrap_or_else(|| {
            let mut free = std::iter::once(by_place(at)).chain((0..).map(by_place));
            free.find(|name| !taken.contains(name)).unwrap_or_default()
        });
        taken.insert(name.clone());
        out.push(name);
    }
    out
}
