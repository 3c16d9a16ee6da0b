//! Members of etcd and what they agree on. A member is its data folder: with the mark in it, it is who it was, and
//! without one it begins as its settings say.

use std::collections::BTreeMap;

use kubespray_resource::{Digest, Mode};

use super::store::Store;
use super::{Site, Viewer, is_active, is_installed, now_us};
use crate::SimHost;
use crate::files::Node;
use crate::host::{Inner, file, put, text};

/// Units and the files with their settings.
const UNITS: [(&str, &str); 2] =
    [("etcd.service", "/etc/etcd.env"), ("etcd-events.service", "/etc/etcd-events.env")];

/// A member that begins with nothing has all that the others have after so long.
const CATCH_UP_US: u64 = 5_000_000;

/// Members that are away for less than this may have gone after somebody looked.
const JUST_GONE_US: u64 = 120_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
    pub(super) client_urls: Vec<String>,
    pub(super) learner: bool,
    /// When it had its data for the first time.
    pub(super) began_us: Option<u64>,
}

impl Member {
    pub(super) fn has_caught_up(&self, now: u64) -> bool {
        self.began_us.is_some_and(|began| began + CATCH_UP_US <= now)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(super) members: Vec<Member>,
    /// How many changes it agreed on.
    pub(super) index: u64,
    /// What an API server keeps in it.
    pub(super) store: Store,
}

/// A member that runs on a host.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) cluster: u64,
    pub(super) member: u64,
    /// The number of its host.
    pub(super) host: u16,
    /// The authority that it believes clients by.
    pub(super) ca: String,
    pub(super) client_urls: Vec<String>,
    pub(super) listens_on_loopback: bool,
}

type Settings = BTreeMap<String, String>;

fn settings(inner: &Inner, path: &str) -> Option<Settings> {
    let text = text(inner, path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    Some(pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned())).collect())
}

fn list(settings: &Settings, key: &str) -> Vec<String> {
    let value = settings.get(key).map_or("", String::as_str);
    value.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

pub(super) fn number_of(text: &str) -> u64 {
    let digest = Digest::of(text.as_bytes());
    digest.as_str().get(..15).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(1)
}

pub(super) fn mark_path(data_dir: &str) -> String {
    format!("{data_dir}/member/snap/db")
}

/// The cluster and the member that data are of.
fn mark(inner: &Inner, data_dir: &str) -> Option<(u64, u64)> {
    let text = text(inner, &mark_path(data_dir))?;
    let (cluster, member) = text.strip_prefix("etcd ")?.split_once(' ')?;
    let id = |text: &str| u64::from_str_radix(text.trim(), 16).ok();
    Some((id(cluster)?, id(member)?))
}

pub(super) fn write_mark(inner: &mut Inner, data_dir: &str, cluster: u64, member: u64) {
    for folder in [data_dir.to_owned(), format!("{data_dir}/member"), format!("{data_dir}/member/snap")] {
        if inner.files.get(&folder).is_none() {
            put(inner, &folder, Node::Directory, Mode(0o700));
        }
    }
    file(inner, &mark_path(data_dir), &format!("etcd {cluster:x} {member:x}\n"));
    inner.files.sync();
}

/// The members that run, each with what its host has. Units that were begun anew find out who they are.
pub(super) fn running(site: &mut Site) -> Vec<Running> {
    let mut out = Vec::new();
    for host in site.hosts() {
        for (unit, path) in UNITS {
            let mut inner = host.borrow_mut();
            if !is_active(&inner, unit) {
                continue;
            }
            match member_of(site, &mut inner, path) {
                Ok(member) => out.push(member),
                Err(_) => {
                    if let Some(unit) = inner.units.get_mut(unit) {
                        unit.active = false;
                    }
                }
            }
        }
    }
    out
}

fn member_of(site: &mut Site, inner: &mut Inner, path: &str) -> Result<Running, String> {
    let settings = settings(inner, path).ok_or_else(|| format!("{path}: no such file"))?;
    let get = |key: &str| {
        settings
            .get(key)
            .cloned()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{key} is not set"))
    };
    if !is_installed(inner, "etcd") {
        return Err("etcd: no such file".into());
    }
    let mut ca = String::new();
    for key in [
        "ETCD_TRUSTED_CA_FILE",
        "ETCD_CERT_FILE",
        "ETCD_KEY_FILE",
        "ETCD_PEER_TRUSTED_CA_FILE",
        "ETCD_PEER_CERT_FILE",
        "ETCD_PEER_KEY_FILE",
    ] {
        let path = get(key)?;
        let found = text(inner, &path).ok_or_else(|| format!("open {path}: no such file or directory"))?;
        if key == "ETCD_TRUSTED_CA_FILE" {
            ca = found;
        }
    }
    let (name, data_dir) = (get("ETCD_NAME")?, get("ETCD_DATA_DIR")?);
    let peer_urls = list(&settings, "ETCD_INITIAL_ADVERTISE_PEER_URLS");
    let client_urls = list(&settings, "ETCD_ADVERTISE_CLIENT_URLS");
    let now = now_us(inner);
    let known = mark(inner, &data_dir);
    let (cluster, member) = match known {
        Some(known) => known,
        None => begin(site, &settings, &name, &peer_urls, inner)?,
    };
    let state = site.clusters.get_mut(&cluster).ok_or("the data are of no cluster")?;
    let is = state.members.iter_mut().find(|is| is.id == member);
    let is = is.ok_or("the member has been permanently removed from the cluster")?;
    is.began_us.get_or_insert(now);
    is.name = name;
    is.client_urls.clone_from(&client_urls);
    if known.is_none() {
        write_mark(inner, &data_dir, cluster, member);
    }
    let listens_on_loopback = get("ETCD_LISTEN_CLIENT_URLS").is_ok_and(|urls| urls.contains("127.0.0.1"));
    Ok(Running { cluster, member, host: inner.number, ca, client_urls, listens_on_loopback })
}

/// What a member without data is to be.
fn begin(
    site: &mut Site,
    settings: &Settings,
    name: &str,
    peer_urls: &[String],
    inner: &Inner,
) -> Result<(u64, u64), String> {
    let initial = list(settings, "ETCD_INITIAL_CLUSTER");
    let urls: Vec<(String, String)> = initial
        .iter()
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, url)| (name.to_owned(), url.to_owned()))
        .collect();
    if !urls.iter().any(|(of, url)| of == name && peer_urls.contains(url)) {
        return Err(format!("--initial-cluster has no {name} at {peer_urls:?}"));
    }
    let mut sorted: Vec<&String> = urls.iter().map(|(_, url)| url).collect();
    sorted.sort();
    let viewer = Viewer::of(inner);
    let is_own = |member: &&Member| member.peer_urls.iter().any(|url| peer_urls.contains(url));
    match settings.get("ETCD_INITIAL_CLUSTER_STATE").map(String::as_str) {
        Some("new") => {
            let token = settings.get("ETCD_INITIAL_CLUSTER_TOKEN").map_or("", String::as_str);
            let id = number_of(&format!("{token} {sorted:?}"));
            let data_dir = settings.get("ETCD_DATA_DIR").map_or("", String::as_str);
            // The own host has no data, or it would not begin anew.
            let has_data = |host: &std::rc::Rc<std::cell::RefCell<Inner>>| {
                host.try_borrow().is_ok_and(|host| mark(&host, data_dir).is_some_and(|(of, _)| of == id))
            };
            if !site.hosts().iter().any(has_data) {
                site.clusters.remove(&id);
            }
            let made = site.clusters.entry(id).or_default();
            // All members of a cluster lost their data: it begins again.
            if made.members.is_empty() {
                made.members = urls
                    .iter()
                    .map(|(name, url)| Member {
                        id: number_of(&format!("{token} {url}")),
                        name: name.clone(),
                        peer_urls: vec![url.clone()],
                        client_urls: Vec::new(),
                        learner: false,
                        began_us: None,
                    })
                    .collect();
            }
            let member = made.members.iter().find(is_own).ok_or("the cluster has no such member")?;
            if member.began_us.is_some() {
                return Err(format!("member {:x} has already been bootstrapped", member.id));
            }
            Ok((id, member.id))
        }
        Some("existing") => {
            let hosts = site.hosts();
            let is_reached = |url: &str| {
                hosts.iter().any(|host| {
                    // The own host is at work: it is not who is asked.
                    let Ok(other) = host.try_borrow() else { return false };
                    url.contains(&format!("//{}:", super::address(&other))) && viewer.reaches(&other)
                })
            };
            let found = site.clusters.iter().find_map(|(id, cluster)| {
                let member =
                    cluster.members.iter().find(|member| is_own(member) && member.began_us.is_none())?;
                let others =
                    cluster.members.iter().filter(|other| other.id != member.id && other.began_us.is_some());
                let is_there = others.flat_map(|other| &other.peer_urls).any(|url| is_reached(url));
                is_there.then(|| {
                    (*id, member.id, cluster.members.iter().flat_map(|is| &is.peer_urls).collect::<Vec<_>>())
                })
            });
            let (id, member, mut listed) = found.ok_or("could not fetch cluster information from peers")?;
            listed.sort();
            if listed != sorted {
                return Err("error validating peerURLs: member count is unequal".into());
            }
            Ok((id, member))
        }
        other => Err(format!("unexpected state {other:?}")),
    }
}

/// The unit was started: whether it stays.
pub(super) fn started(host: &SimHost, unit: &str) -> Result<(), String> {
    let Some((_, path)) = UNITS.iter().find(|(name, _)| *name == unit) else { return Ok(()) };
    member_of(&mut host.site.borrow_mut(), &mut host.inner.borrow_mut(), path).map(drop)
}

/// Members that answer each other, seen from a host; those of a host that is cut are alone.
pub(super) fn answering(site: &mut Site, cluster: u64, from: Viewer) -> Vec<Running> {
    let hosts = site.hosts();
    let reached = |number: u16| {
        number == from.number
            || hosts.iter().any(|host| {
                let to = host.borrow();
                to.number == number && from.reaches(&to)
            })
    };
    running(site).into_iter().filter(|member| member.cluster == cluster && reached(member.host)).collect()
}

/// Whether those that answer each other can agree.
pub(super) fn has_quorum(site: &Site, cluster: u64, up: &[Running]) -> bool {
    let Some(state) = site.clusters.get(&cluster) else { return false };
    let voters: Vec<u64> =
        state.members.iter().filter(|member| !member.learner).map(|member| member.id).collect();
    let well = voters.iter().filter(|id| up.iter().any(|member| member.member == **id)).count();
    well * 2 > voters.len()
}

/// A run stops or restarts a unit: told where that takes away a quorum that there is, unless one of those that are
/// missing has only just gone.
pub(crate) fn may_stop(host: &SimHost, unit: &str) {
    if !UNITS.iter().any(|(name, _)| *name == unit) {
        return;
    }
    // Who is not to start with its host any more goes for good.
    if !host.inner.borrow().enabled.contains(unit) {
        return;
    }
    let mut site = host.site.borrow_mut();
    let all = running(&mut site);
    let from = Viewer::of(&host.inner.borrow());
    let Some(own) = all.iter().find(|member| member.host == from.number).map(|member| member.cluster) else {
        return;
    };
    let up = answering(&mut site, own, from);
    let left: Vec<Running> = up.iter().filter(|member| member.host != from.number).cloned().collect();
    let voters =
        site.clusters.get(&own).map_or(0, |state| state.members.iter().filter(|is| !is.learner).count());
    let is_recent = site.hosts().iter().any(|other| {
        let other = other.borrow();
        (other.is_cut || other.off_until_us > from.now) && other.away_since_us + JUST_GONE_US > from.now
    });
    // Two members cannot spare one.
    if voters > 2 && has_quorum(&site, own, &up) && !has_quorum(&site, own, &left) && !is_recent {
        let told = format!(
            "`{unit}` was stopped on `{}` with {} of {voters} members up",
            host.inner.borrow().name,
            up.len()
        );
        site.broken.push(("etcd-quorum", told));
    }
}
