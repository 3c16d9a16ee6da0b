//! `etcdctl` and `etcdutl`, as etcd 3.6 has them.

use kubespray_node::{HostError, Output, Spawn};
use serde_json::{Value, json};

use super::etcd::{Cluster, Member, Running, answering, has_quorum, mark_path, running, write_mark};
use super::{Site, Viewer, failed, ok};
use crate::SimHost;
use crate::host::{file, text};

const LATE: &str = "context deadline exceeded";
/// `etcdctl` waits so long for what does not answer, where nothing else is said.
const LATE_US: u64 = 5_000_000;

/// How long this one waits, and what else it is told.
fn late_us<'w, 'a>(words: &'w [&'a str]) -> (u64, &'w [&'a str]) {
    if let [rest @ .., last] = words
        && let Some(limit) = last.strip_prefix("--command-timeout=").and_then(|text| text.strip_suffix('s'))
    {
        return (limit.parse::<u64>().unwrap_or_default() * 1_000_000, rest);
    }
    (LATE_US, words)
}

/// Who answers at an endpoint, with all that answer it.
fn answers(site: &mut Site, from: Viewer, url: &str) -> Option<(Running, Vec<Running>)> {
    let is_local = url.contains("//127.0.0.1:") || url.contains("//localhost:");
    let all = running(site);
    let found = all.into_iter().find(|member| {
        let is_own = member.host == from.number && member.listens_on_loopback && url.ends_with(":2379");
        (is_local && is_own) || member.client_urls.iter().any(|of| of == url)
    })?;
    let up = answering(site, found.cluster, from);
    let found = up.iter().find(|member| member.member == found.member)?.clone();
    Some((found, up))
}

fn listed(id: u64, cluster: &Cluster) -> String {
    let members: Vec<Value> = cluster.members.iter().map(member).collect();
    json!({"header": {"cluster_id": id, "member_id": 1, "raft_term": 2}, "members": members}).to_string()
}

fn member(member: &Member) -> Value {
    let mut out = json!({"ID": member.id, "peerURLs": member.peer_urls});
    if let Some(map) = out.as_object_mut() {
        if member.began_us.is_some() {
            map.insert("name".into(), member.name.clone().into());
            map.insert("clientURLs".into(), member.client_urls.clone().into());
        }
        if member.learner {
            map.insert("isLearner".into(), true.into());
        }
    }
    out
}

/// `etcdctl`: endpoints and certificates stand in its environment.
pub(super) fn etcdctl(host: &SimHost, words: &[&str], spawn: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(15_000)?);
    let (late_us, words) = late_us(words);
    let from = Viewer::of(&host.inner.borrow());
    let mut files = Vec::new();
    for key in ["ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"] {
        let path = spawn.environment.get(key).map_or("", String::as_str);
        match text(&host.inner.borrow(), path) {
            Some(found) => files.push(found),
            None => return failed(format!("Error: open {path}: no such file or directory")),
        }
    }
    let ca = files.first().cloned().unwrap_or_default();
    let endpoints = spawn.environment.get("ETCDCTL_ENDPOINTS").map_or("", String::as_str);
    let urls: Vec<&str> = endpoints.split(',').filter(|url| !url.is_empty()).collect();
    if urls.is_empty() {
        return failed("Error: no endpoints");
    }
    if let ["endpoint", what, "-w", "json"] = words {
        return match *what {
            "status" => status(host, from, &urls, &ca),
            "health" => health(host, from, &urls, &ca),
            other => failed(format!("Error: unknown command \"{other}\"")),
        };
    }
    let found = urls.iter().find_map(|url| answers(&mut host.site.borrow_mut(), from, url));
    let Some((asked, up)) = found else {
        drop(host.alive(late_us)?);
        return failed(format!("Error: {LATE}"));
    };
    if asked.ca != ca {
        return failed("Error: x509: certificate signed by unknown authority");
    }
    if let ["snapshot", "save", path] = words {
        if urls.len() > 1 {
            return failed("Error: snapshot must be requested to one selected node, not multiple");
        }
        let mut inner = host.effect(path, 200_000)?;
        if inner.disk_full {
            return failed("Error: could not write: no space left on device");
        }
        let site = host.site.borrow();
        let index = site.clusters.get(&asked.cluster).map_or(0, |cluster| cluster.index);
        file(&mut inner, path, &format!("snapshot {:x} {index}\n", asked.cluster));
        return ok(format!("Snapshot saved at {path}\n"));
    }
    if !has_quorum(&host.site.borrow(), asked.cluster, &up) {
        drop(host.alive(late_us)?);
        return failed("Error: etcdserver: request timed out");
    }
    if !matches!(words, ["member", "list", ..]) {
        drop(host.effect("etcd", 20_000)?);
    }
    members(&mut host.site.borrow_mut(), &asked, &up, words, from.now)
}

fn members(
    site: &mut Site,
    asked: &Running,
    up: &[Running],
    words: &[&str],
    now: u64,
) -> Result<Output, HostError> {
    let Some(cluster) = site.clusters.get_mut(&asked.cluster) else {
        return failed(format!("Error: {LATE}"));
    };
    let id_of = |text: &str| u64::from_str_radix(text, 16).ok();
    let is_up = |id: u64| up.iter().any(|member| member.member == id);
    let voters = cluster.members.iter().filter(|member| !member.learner);
    let (all, well) = (voters.clone().count(), voters.filter(|member| is_up(member.id)).count());
    match words {
        ["member", "list", "-w", "json"] => return ok(listed(asked.cluster, cluster)),
        ["member", "add", name, "--peer-urls", urls, "-w", "json", rest @ ..] => {
            let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
            let learner = match rest {
                [] => false,
                ["--learner"] => true,
                _ => return failed(format!("Error: unknown flag: {rest:?}")),
            };
            if cluster.members.iter().any(|is| is.peer_urls.iter().any(|url| urls.contains(url))) {
                return failed("Error: etcdserver: Peer URLs already exists");
            }
            if learner && cluster.members.iter().any(|member| member.learner) {
                return failed("Error: etcdserver: too many learner members in cluster");
            }
            if !learner && all > 1 && well * 2 <= all + 1 {
                return failed(
                    "Error: etcdserver: re-configuration failed due to not enough started members",
                );
            }
            cluster.index += 1;
            let id = 0x9000_0000 + cluster.index;
            let name = (*name).to_owned();
            cluster.members.push(Member {
                id,
                name,
                peer_urls: urls,
                client_urls: Vec::new(),
                learner,
                began_us: None,
            });
            return ok(listed(asked.cluster, cluster));
        }
        ["member", "remove", id] => {
            let Some(at) = cluster.members.iter().position(|member| Some(member.id) == id_of(id)) else {
                return failed("Error: etcdserver: member not found");
            };
            let gone = cluster.members.get(at).filter(|gone| !gone.learner).map(|gone| gone.id);
            if let Some(gone) = gone {
                let left = well - usize::from(is_up(gone));
                if all > 1 && left * 2 < all {
                    return failed(
                        "Error: etcdserver: re-configuration failed due to not enough started members",
                    );
                }
            }
            cluster.members.remove(at);
        }
        ["member", "update", id, "--peer-urls", urls] => {
            let Some(is) = cluster.members.iter_mut().find(|member| Some(member.id) == id_of(id)) else {
                return failed("Error: etcdserver: member not found");
            };
            is.peer_urls = urls.split(',').map(str::to_owned).collect();
        }
        ["member", "promote", id] => {
            let Some(is) = cluster.members.iter_mut().find(|member| Some(member.id) == id_of(id)) else {
                return failed("Error: etcdserver: member not found");
            };
            if !is.learner {
                return failed("Error: etcdserver: can only promote a learner member");
            }
            if !is.has_caught_up(now) || !is_up(is.id) {
                return failed(
                    "Error: etcdserver: can only promote a learner member which is in sync with leader",
                );
            }
            is.learner = false;
        }
        other => return failed(format!("Error: unknown command {other:?}")),
    }
    cluster.index += 1;
    ok("done\n")
}

fn status(host: &SimHost, from: Viewer, urls: &[&str], ca: &str) -> Result<Output, HostError> {
    let mut out = Output { status: Some(0), ..Output::default() };
    let mut found = Vec::new();
    for url in urls {
        let answer = answers(&mut host.site.borrow_mut(), from, url).filter(|(member, _)| member.ca == ca);
        let Some((member, up)) = answer else {
            out.status = Some(1);
            out.stderr.extend([format!("Failed to get the status of endpoint {url} ({LATE})\n")]);
            continue;
        };
        let site = host.site.borrow();
        let Some(cluster) = site.clusters.get(&member.cluster) else { continue };
        let agrees = has_quorum(&site, member.cluster, &up);
        let voters = cluster.members.iter().filter(|is| !is.learner).map(|is| is.id);
        let leader = voters.filter(|id| up.iter().any(|is| is.member == *id)).min().filter(|_| agrees);
        let is = cluster.members.iter().find(|is| is.id == member.member);
        let caught_up = is.is_some_and(|is| !is.learner || is.has_caught_up(from.now));
        let index = if caught_up { 5_000 + cluster.index } else { cluster.index / 2 };
        let errors: &[&str] = if agrees { &[] } else { &["etcdserver: no leader"] };
        found.push(json!({"Endpoint": url, "Status": {
            "header": {"cluster_id": member.cluster, "member_id": member.member, "revision": cluster.index, "raft_term": 2},
            "version": "3.6.5", "dbSize": 20_480, "leader": leader.unwrap_or(0), "raftIndex": index,
            "raftTerm": 2, "raftAppliedIndex": index, "errors": errors}}));
    }
    if out.status != Some(0) {
        drop(host.alive(LATE_US)?);
    }
    out.stdout = Value::from(found).to_string();
    Ok(out)
}

fn health(host: &SimHost, from: Viewer, urls: &[&str], ca: &str) -> Result<Output, HostError> {
    let mut out = Output { status: Some(0), ..Output::default() };
    let mut found = Vec::new();
    for url in urls {
        let answer = answers(&mut host.site.borrow_mut(), from, url).filter(|(member, _)| member.ca == ca);
        let well = answer.is_some_and(|(member, up)| {
            let site = host.site.borrow();
            let learns = site
                .clusters
                .get(&member.cluster)
                .is_some_and(|cluster| cluster.members.iter().any(|is| is.id == member.member && is.learner));
            !learns && has_quorum(&site, member.cluster, &up)
        });
        if well {
            found.push(json!({"endpoint": url, "health": true, "took": "9ms"}));
        } else {
            out.status = Some(1);
            out.stderr = "Error: unhealthy cluster\n".into();
            found.push(json!({"endpoint": url, "health": false, "took": "5s", "error": LATE}));
        }
    }
    if out.status != Some(0) {
        drop(host.alive(LATE_US)?);
    }
    out.stdout = Value::from(found).to_string();
    Ok(out)
}

/// `etcdutl snapshot`: a snapshot names its cluster; what is restored is a new cluster with the same contents.
pub(super) fn etcdutl(host: &SimHost, words: &[&str], _: &Spawn) -> Result<Output, HostError> {
    drop(host.alive(15_000)?);
    let ["snapshot", verb, path, rest @ ..] = words else { return failed(format!("Error: {words:?}")) };
    let snapshot = text(&host.inner.borrow(), path);
    let whole = snapshot.as_deref().and_then(|text| text.strip_prefix("snapshot ")).and_then(|text| {
        let (cluster, index) = text.trim().split_once(' ')?;
        Some((u64::from_str_radix(cluster, 16).ok()?, index.parse::<u64>().ok()?))
    });
    let Some((cluster, index)) = whole else { return failed("Error: snapshot file integrity check failed") };
    match (*verb, rest) {
        ("status", ["-w", "json"]) => ok(
            json!({"hash": 4242, "revision": index, "totalKey": 12, "totalSize": 20_480, "version": "3.6.0"})
                .to_string(),
        ),
        ("restore", rest) => restore(host, cluster, rest),
        _ => failed(format!("Error: unknown command {words:?}")),
    }
}

fn restore(host: &SimHost, cluster: u64, words: &[&str]) -> Result<Output, HostError> {
    let flags = [
        "--data-dir",
        "--name",
        "--initial-cluster",
        "--initial-cluster-token",
        "--initial-advertise-peer-urls",
        "--bump-revision",
    ];
    let (mut values, mut at) = (std::collections::BTreeMap::new(), words.iter());
    while let Some(word) = at.next() {
        match *word {
            "--mark-compacted" | "--skip-hash-check" => {}
            flag if flags.contains(&flag) => {
                values.insert(flag, at.next().copied().unwrap_or_default());
            }
            other => return failed(format!("Error: unknown flag: {other}")),
        }
    }
    let get = |flag: &str| values.get(flag).copied().unwrap_or_default();
    let members: Vec<(&str, &str)> =
        get("--initial-cluster").split(',').filter_map(|entry| entry.split_once('=')).collect();
    let (name, url) = (get("--name"), get("--initial-advertise-peer-urls"));
    if !members.contains(&(name, url)) {
        return failed(format!("Error: member {name} not in initial cluster"));
    }
    let data_dir = get("--data-dir");
    let mut inner = host.effect(data_dir, 500_000)?;
    if inner.files.get(data_dir).is_some() {
        return failed(format!("Error: data-dir \"{data_dir}\" not empty or could not be read"));
    }
    let mut site = host.site.borrow_mut();
    let id = super::etcd::number_of(&format!("{cluster:x} {} {members:?}", get("--initial-cluster-token")));
    let store = site.clusters.get(&cluster).map(|old| old.store.clone()).unwrap_or_default();
    let made = site.clusters.entry(id).or_insert_with(|| Cluster { store, ..Cluster::default() });
    if made.members.is_empty() {
        made.members = members
            .iter()
            .map(|(name, url)| Member {
                id: super::etcd::number_of(&format!("{id:x} {url}")),
                name: (*name).to_owned(),
                peer_urls: vec![(*url).to_owned()],
                client_urls: Vec::new(),
                learner: false,
                began_us: None,
            })
            .collect();
    }
    let own = made.members.iter().find(|member| member.peer_urls.iter().any(|of| of == url));
    let own = own.map_or(0, |member| member.id);
    write_mark(&mut inner, data_dir, id, own);
    debug_assert!(inner.files.get(&mark_path(data_dir)).is_some());
    ok("restored\n")
}
