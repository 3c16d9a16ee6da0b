//! Whether etcd is whole, and whether what it keeps is encrypted.

use std::collections::BTreeMap;

use kubespray_resource::{EtcdClient, EtcdExpected, EtcdHealth, EtcdHealthState, Failure};

use super::Finding;
use crate::Host;
use crate::kinds::etcd::{first_value, look_at_health};

/// What the API server writes before values that it encrypts.
const ENCRYPTED: &[u8] = b"k8s:enc:";

/// From here on the data is said to be near its bound, in percent.
const FULL: u64 = 90;

/// CHK-020, CHK-021, CHK-061.
pub(super) fn look(
    host: &dyn Host,
    client: &EtcdClient,
    members: &BTreeMap<String, String>,
    version: &str,
    quota: u64,
) -> Result<Option<Finding>, Failure> {
    let state = look_at_health(host, client)?;
    if let Some(why) = &state.problem {
        return Ok(Some(
            Finding::new(format!("etcd does not say who its members are: {why}"))
                .hint("see `journalctl -u etcd`; without a majority of members it says nothing"),
        ));
    }
    let problems = problems(client, &state, members, version, quota);
    let finding = Finding::of(problems, |many| format!("{many} problems of etcd"));
    Ok(finding.map(|finding| {
        let hint = if finding.evidence.iter().chain([&finding.problem]).any(|line| line.contains("NOSPACE")) {
            "compact, defragment (`etcdctl.sh defrag`) and then `etcdctl.sh alarm disarm`, or raise `etcd_quota_backend_bytes`"
        } else {
            "see `journalctl -u etcd` on the hosts named; `etcdctl.sh endpoint status --cluster -w table` shows all members"
        };
        finding.hint(hint)
    }))
}

fn problems(
    client: &EtcdClient,
    state: &EtcdHealthState,
    members: &BTreeMap<String, String>,
    version: &str,
    quota: u64,
) -> Vec<String> {
    let voters = state.members.iter().filter(|seen| !seen.listed.learner).count();
    let health = EtcdHealth {
        client: client.clone(),
        expected: EtcdExpected::Count(u32::try_from(voters).unwrap_or(u32::MAX)),
        when: None,
        lag: EtcdHealth::LAG,
        timeout_s: 0,
        interval_ms: 0,
    };
    let told = health.problems(state).into_iter();
    let mut out: Vec<String> = told.map(|(who, why)| format!("`{who}` {why}")).collect();
    let has = |url: &String| state.members.iter().any(|seen| seen.listed.peer_urls.contains(url));
    for (url, name) in members.iter().filter(|(url, _)| !has(url)) {
        out.push(format!("`{name}` ({url}) is no member"));
    }
    for seen in &state.members {
        let (label, listed) = (seen.listed.label(), &seen.listed);
        if !listed.peer_urls.iter().any(|url| members.contains_key(url)) {
            out.push(format!("`{label}` is a member and not in the inventory"));
        }
        if listed.learner {
            out.push(format!("`{label}` is still a learner"));
        }
        let Some(status) = &seen.status else { continue };
        if status.version != version {
            out.push(format!("`{label}` is etcd {} in place of {version}", status.version));
        }
        if status.db_size.saturating_mul(100) >= quota.saturating_mul(FULL) {
            out.push(format!("`{label}` has {} MiB of {} MiB", status.db_size >> 20, quota >> 20));
        }
    }
    out
}

/// CHK-073. The value is looked at here and never told.
pub(super) fn encrypted(
    host: &dyn Host,
    client: &EtcdClient,
    prefix: &str,
) -> Result<Option<Finding>, Failure> {
    Ok(match first_value(host, client, prefix)? {
        Err(why) => Some(Finding::new(format!("etcd does not say what it keeps: {why}"))),
        Ok(Some((key, value))) if !value.starts_with(ENCRYPTED) => Some(
            Finding::new(format!("`{key}` is not encrypted in etcd"))
                .hint("it was written before encryption was on, or the API servers do not use it: `kubectl get secrets -A -o json | kubectl replace -f -` writes all anew"),
        ),
        Ok(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{EtcdListed, EtcdSeen, EtcdStatus};

    use super::*;

    fn seen(number: u8) -> EtcdSeen {
        EtcdSeen {
            listed: EtcdListed {
                id: number.to_string(),
                name: format!("etcd{number}"),
                peer_urls: vec![format!("https://10.0.0.{number}:2380")],
                client_urls: vec![format!("https://10.0.0.{number}:2379")],
                learner: false,
            },
            status: Some(EtcdStatus {
                version: "3.6.5".into(),
                cluster: "c".into(),
                leader: Some("1".into()),
                raft_index: 100,
                db_size: 20 << 20,
                errors: Vec::new(),
            }),
            problem: None,
        }
    }

    fn said(change: impl FnOnce(&mut Vec<EtcdSeen>)) -> String {
        let mut members = vec![seen(1), seen(2), seen(3)];
        let inventory =
            members.iter().map(|one| (one.listed.peer_urls[0].clone(), one.listed.name.clone())).collect();
        change(&mut members);
        let client = EtcdClient {
            endpoints: Vec::new(),
            ca: String::new(),
            certificate: String::new(),
            key: String::new(),
            bin_dir: None,
        };
        let state = EtcdHealthState { wanted: true, members, problem: None };
        problems(&client, &state, &inventory, "3.6.5", 2 << 30).join("; ")
    }

    #[test]
    fn members_are_those_of_the_inventory_vote_and_have_room() {
        assert_eq!(said(|_| {}), "");
        assert_eq!(said(|all| drop(all.pop())), "`etcd3` (https://10.0.0.3:2380) is no member");
        assert_eq!(said(|all| all.push(seen(4))), "`etcd4` is a member and not in the inventory");
        assert_eq!(said(|all| all[1].listed.learner = true), "`etcd2` is still a learner");
        let status = |all: &mut Vec<EtcdSeen>, change: fn(&mut EtcdStatus)| {
            all[2].status.iter_mut().for_each(change);
        };
        let said_of = |change: fn(&mut EtcdStatus)| said(|all| status(all, change));
        assert_eq!(said_of(|it| it.version = "3.5.21".into()), "`etcd3` is etcd 3.5.21 in place of 3.6.5");
        assert_eq!(said_of(|it| it.db_size = 1900 << 20), "`etcd3` has 1900 MiB of 2048 MiB");
        assert_eq!(said_of(|it| it.errors = vec!["alarm:NOSPACE ".into()]), "`etcd3` alarm:NOSPACE ");
        assert_eq!(said_of(|it| it.leader = None), "`etcd3` knows no leader");
        assert_eq!(said(|all| all[0].problem = Some("does not answer".into())), "`etcd1` does not answer");
    }
}
