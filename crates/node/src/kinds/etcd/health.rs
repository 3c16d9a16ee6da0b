//! Whether a cluster is well.

use std::collections::BTreeMap;
use std::time::Duration;

use kubespray_resource::{
    EtcdClient, EtcdHealth, EtcdHealthState, EtcdListed, EtcdSeen, EtcdStatus, Failure,
};
use serde::Deserialize;

use super::{Ctl, Id, as_seen, pause};
use crate::{Host, View};

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Endpoint")]
    endpoint: String,
    #[serde(rename = "Status")]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    header: Header,
    #[serde(default)]
    version: String,
    #[serde(default)]
    db_size: u64,
    leader: Option<Id>,
    #[serde(default)]
    raft_index: u64,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    cluster_id: Id,
}

#[derive(Deserialize)]
struct Health {
    endpoint: String,
    health: bool,
    #[serde(default)]
    error: String,
}

/// One look: the members, what each says of itself, and whether each that votes can commit something.
pub(crate) fn observe(view: &View<'_>, wish: &EtcdHealth) -> Result<EtcdHealthState, Failure> {
    if let Some(token) = &wish.when
        && !view.is_pending(token)?
    {
        return Ok(EtcdHealthState { wanted: false, members: Vec::new(), problem: None });
    }
    look(view.host, &wish.client)
}

/// All members, what each says of itself, and whether those that vote can commit something.
pub(crate) fn look(host: &dyn Host, client: &EtcdClient) -> Result<EtcdHealthState, Failure> {
    let ctl = Ctl { host, client };
    let members = match as_seen(ctl.members())? {
        Ok(members) => members,
        Err(problem) => {
            return Ok(EtcdHealthState { wanted: true, members: Vec::new(), problem: Some(problem) });
        }
    };
    let url = |member: &EtcdListed| member.client_urls.first().cloned();
    let (mut statuses, silent) = statuses(ctl, &members.iter().filter_map(url).collect::<Vec<_>>())?;
    // A learner serves no reads that the cluster agrees on: it has no health of its own. Who is silent is waited for
    // once.
    let voters = members.iter().filter(|member| !member.learner).filter_map(url);
    let healths = healths(ctl, &voters.filter(|url| statuses.contains_key(url)).collect::<Vec<_>>())?;
    let seen = |listed: EtcdListed| {
        let url = listed.client_urls.first().cloned();
        let status = url.as_ref().and_then(|url| statuses.remove(url));
        let problem = match &url {
            None => Some("has not started yet".to_owned()),
            Some(url) => match (&status, healths.get(url)) {
                (None, _) => Some(match silent.get(url) {
                    Some(why) => format!("does not answer at {url}: {why}"),
                    None => format!("does not answer at {url}"),
                }),
                (Some(_), Some(Err(why))) => Some(why.clone()),
                (Some(_), None) if !listed.learner => Some(format!("says nothing of its health at {url}")),
                (Some(_), _) => None,
            },
        };
        EtcdSeen { listed, status, problem }
    };
    Ok(EtcdHealthState { wanted: true, members: members.into_iter().map(seen).collect(), problem: None })
}

/// What members say of themselves, and why others do not, by endpoint.
pub(super) fn statuses(
    ctl: Ctl<'_>,
    endpoints: &[String],
) -> Result<(BTreeMap<String, EtcdStatus>, BTreeMap<String, String>), Failure> {
    if endpoints.is_empty() {
        return Ok(Default::default());
    }
    // It ends with status 1 where one does not answer, and prints the others.
    let output = match as_seen(ctl.run_at(endpoints, &["endpoint", "status", "-w", "json"], None))? {
        Ok(output) => output,
        Err(why) => {
            let silent = endpoints.iter().map(|endpoint| (endpoint.clone(), why.clone()));
            return Ok((BTreeMap::new(), silent.collect()));
        }
    };
    let found: Option<Vec<Endpoint>> = serde_json::from_str(output.stdout.trim()).unwrap_or_default();
    let statuses = found.unwrap_or_default().into_iter().filter_map(|endpoint| {
        let status = endpoint.status?;
        let leader = status.leader.map(Id::hex).filter(|id| id != "0");
        let status = EtcdStatus {
            version: status.version,
            cluster: status.header.cluster_id.hex(),
            leader,
            raft_index: status.raft_index,
            db_size: status.db_size,
            errors: status.errors,
        };
        Some((endpoint.endpoint, status))
    });
    let silent = output.stderr.lines().filter_map(|line| {
        let (url, why) =
            line.trim().strip_prefix("Failed to get the status of endpoint ")?.split_once(' ')?;
        Some((url.to_owned(), why.trim_matches(['(', ')']).to_owned()))
    });
    Ok((statuses.collect(), silent.collect()))
}

/// Whether endpoints can commit, and why not.
fn healths(ctl: Ctl<'_>, endpoints: &[String]) -> Result<BTreeMap<String, Result<(), String>>, Failure> {
    if endpoints.is_empty() {
        return Ok(BTreeMap::new());
    }
    // It ends with status 1 where one is not well.
    let output = match as_seen(ctl.run_at(endpoints, &["endpoint", "health", "-w", "json"], None))? {
        Ok(output) => output,
        Err(why) => return Ok(endpoints.iter().map(|url| (url.clone(), Err(why.clone()))).collect()),
    };
    let found: Option<Vec<Health>> = serde_json::from_str(output.stdout.trim()).unwrap_or_default();
    let told = |health: Health| {
        let result = if health.health {
            Ok(())
        } else if health.error.is_empty() {
            Err("is not healthy".to_owned())
        } else {
            Err(format!("is not healthy: {}", health.error.trim()))
        };
        (health.endpoint, result)
    };
    Ok(found.unwrap_or_default().into_iter().map(told).collect())
}

/// Looks until the cluster is well or time is up.
pub(crate) fn apply(host: &dyn Host, wish: &EtcdHealth) -> Result<(), Failure> {
    let deadline = host.now_ms().saturating_add(wish.timeout_s.saturating_mul(1000));
    loop {
        let problems = wish.problems(&look(host, &wish.client)?);
        let Some((who, why)) = problems.first() else { return Ok(()) };
        if host.now_ms() >= deadline {
            let mut failure =
                Failure::of_host(format!("etcd is not well after {} s: `{who}` {why}", wish.timeout_s));
            failure.evidence = problems.iter().map(|(who, why)| format!("{who} {why}")).collect();
            return Err(failure.hint("look at `journalctl -u etcd` on the hosts named"));
        }
        pause(host, Duration::from_millis(wish.interval_ms.max(10)))?;
    }
}
