//! etcd, through `etcdctl` and `etcdutl` of the host. What they print is that of etcd 3.5 and 3.6; fields that
//! one of them leaves out, because they are empty, are taken as empty.

mod backup;
mod health;
mod member;
mod restore;

pub(crate) use backup::{apply as apply_snapshot, observe as observe_snapshot};
pub(crate) use health::{apply as apply_health, look as look_at_health, observe as observe_health};
pub(crate) use member::{apply as apply_member, observe as observe_member};
pub(crate) use restore::{apply as apply_restore, observe as observe_restore};

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::{EtcdClient, EtcdListed, Failure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{last_lines, of_output};
use crate::{Host, HostError, Output, Spawn};

/// How long a short command may take: `etcdctl` itself gives up after 5 s, and 2 s for a connection.
const SHORT: Duration = Duration::from_secs(30);

/// How much longer for each endpoint: those that are dead are waited for one after the other.
const EACH: Duration = Duration::from_secs(8);

/// How long members may take to say who they are. Without a leader none says it, and to choose a new one takes up to twice
/// the election timeout: 10 s, as clusters have it (`etcd_election_timeout`). Of the environment `etcdctl` takes it too late.
const ELECTED: &str = "--command-timeout=15s";

/// `etcdctl` for one cluster.
#[derive(Clone, Copy)]
struct Ctl<'a> {
    host: &'a dyn Host,
    client: &'a EtcdClient,
}

impl Ctl<'_> {
    /// Runs it against the client's endpoints.
    fn run(self, arguments: &[&str]) -> Result<Output, Failure> {
        self.run_at(&self.client.endpoints, arguments, None)
    }

    /// Runs it against some endpoints. A status other than 0 is no error here.
    fn run_at(
        self,
        endpoints: &[String],
        arguments: &[&str],
        timeout: Option<Duration>,
    ) -> Result<Output, Failure> {
        Ok(self.host.run(&self.spawn(endpoints, arguments, timeout))?)
    }

    fn spawn(self, endpoints: &[String], arguments: &[&str], timeout: Option<Duration>) -> Spawn {
        let environment = BTreeMap::from([
            ("ETCDCTL_ENDPOINTS".to_owned(), endpoints.join(",")),
            ("ETCDCTL_CACERT".to_owned(), self.client.ca.clone()),
            ("ETCDCTL_CERT".to_owned(), self.client.certificate.clone()),
            ("ETCDCTL_KEY".to_owned(), self.client.key.clone()),
        ]);
        let program = program("etcdctl", self.client.bin_dir.as_deref());
        let argv = std::iter::once(program).chain(arguments.iter().map(|&argument| argument.to_owned()));
        let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX).min(100);
        Spawn { environment, timeout: timeout.unwrap_or(SHORT + EACH * count), ..Spawn::new(argv) }
    }

    /// Runs a command that must succeed and print JSON.
    fn json<T: DeserializeOwned>(self, arguments: &[&str]) -> Result<T, Failure> {
        let output = self.run(arguments)?;
        let argv = self.spawn(&[], arguments, None).argv;
        if !output.is_success() {
            return Err(failed(&argv, &output));
        }
        parse(&argv, &output)
    }

    /// The members of the cluster, with its id, in the order of their ids. A leader that is being chosen is waited for: a
    /// cluster that has just lost one is not without a quorum.
    fn members(self) -> Result<Vec<EtcdListed>, Failure> {
        let list: MemberList = self.json(&["member", "list", "-w", "json", ELECTED])?;
        Ok(list.members.into_iter().map(Member::listed).collect())
    }
}

/// The first key that begins with a prefix, and its value; nothing where there is none, or why it cannot be told.
pub(crate) fn first_value(
    host: &dyn Host,
    client: &EtcdClient,
    prefix: &str,
) -> Result<Result<Option<(String, Vec<u8>)>, String>, Failure> {
    #[derive(Deserialize)]
    struct Range {
        #[serde(default)]
        kvs: Vec<Pair>,
    }
    #[derive(Deserialize)]
    struct Pair {
        key: String,
        #[serde(default)]
        value: String,
    }
    let decoded = |text: &str| STANDARD.decode(text).unwrap_or_default();
    let ctl = Ctl { host, client };
    let range = as_seen(ctl.json::<Range>(&["get", prefix, "--prefix", "--limit=1", "-w", "json"]))?;
    Ok(range.map(|range| {
        let first = range.kvs.into_iter().next()?;
        Some((String::from_utf8_lossy(&decoded(&first.key)).into_owned(), decoded(&first.value)))
    }))
}

/// A program in a folder of its own, or in one of the host's.
fn program(name: &str, folder: Option<&str>) -> String {
    folder.map_or_else(|| name.to_owned(), |folder| format!("{}/{name}", folder.trim_end_matches('/')))
}

/// Runs `etcdutl`, which asks no cluster.
fn run_utl(
    host: &dyn Host,
    folder: Option<&str>,
    arguments: &[&str],
    timeout: Duration,
) -> Result<(Vec<String>, Output), Failure> {
    let argv = std::iter::once(program("etcdutl", folder));
    let argv = argv.chain(arguments.iter().map(|&argument| argument.to_owned()));
    let spawn = Spawn { timeout, ..Spawn::new(argv) };
    let output = host.run(&spawn)?;
    Ok((spawn.argv, output))
}

fn parse<T: DeserializeOwned>(argv: &[String], output: &Output) -> Result<T, Failure> {
    serde_json::from_str(output.stdout.trim()).map_err(|error| {
        let mut failure =
            Failure::of_host(format!("`{}` printed what cannot be read: {error}", argv.join(" ")));
        failure.evidence = last_lines(&output.stdout);
        failure
    })
}

/// Why a cluster cannot be asked, as something seen: a host that has no `etcdctl` yet, or whose cluster is not
/// there yet, is observed like any other. Only the end of the helper stays an error.
fn as_seen<T>(result: Result<T, Failure>) -> Result<Result<T, String>, Failure> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(failure) if failure.class == kubespray_resource::ErrorClass::Cancelled => Err(failure),
        Err(failure) => Ok(Err(match reason(&failure.evidence.join("\n")) {
            Some(why) => format!("{}: {why}", failure.message),
            None => failure.message,
        })),
    }
}

/// What `etcdctl` says went wrong, without its log: the end of its last line that begins with `Error:`.
fn reason(text: &str) -> Option<String> {
    let line = text.lines().rev().find_map(|line| line.trim().strip_prefix("Error: "))?;
    Some(line.trim().to_owned())
}

/// A program of etcd that failed, with what it said; without its log, where it said more than that.
fn failed(argv: &[String], output: &Output) -> Failure {
    let is_log = |line: &str| line.trim_start().starts_with("{\"level\":");
    let said: Vec<&str> = output.stderr.lines().filter(|line| !is_log(line)).collect();
    let said = said.join("\n");
    if said.trim().is_empty() {
        return of_output(argv, output);
    }
    of_output(argv, &Output { stderr: said, ..output.clone() })
}

/// A mistake of a cluster: what it says, and what to do about it.
fn refused(argv: &[String], output: &Output) -> Failure {
    let failure = failed(argv, output);
    let text = failure.evidence.join("\n").to_lowercase();
    let hint = if text.contains("too many learner") {
        "promote or remove the learner that is there: a cluster takes one at a time"
    } else if text.contains("peer urls already exists") {
        "another member has this peer URL: compare `etcdctl member list` with the inventory"
    } else if text.contains("not enough started members") || text.contains("unhealthy cluster") {
        "start or remove the members that are not well; `etcdctl endpoint health --cluster` names them"
    } else if text.contains("x509") || text.contains("bad certificate") || text.contains("tls:") {
        "the client's certificate and the members' must come from the same CA and name their addresses"
    } else {
        return failure;
    };
    failure.hint(hint)
}

/// An id: a number as etcd 3.5 to 3.6 print it, hexadecimal digits as `--hex` does.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Hex(String),
}

impl Id {
    fn hex(self) -> String {
        match self {
            Self::Number(number) => format!("{number:x}"),
            Self::Hex(text) => text.to_ascii_lowercase(),
        }
    }
}

#[derive(Deserialize)]
struct MemberList {
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    #[serde(rename = "ID")]
    id: Id,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(default, rename = "clientURLs")]
    client_urls: Vec<String>,
    #[serde(default)]
    is_learner: bool,
}

impl Member {
    fn listed(self) -> EtcdListed {
        EtcdListed {
            id: self.id.hex(),
            name: self.name,
            peer_urls: self.peer_urls,
            client_urls: self.client_urls,
            learner: self.is_learner,
        }
    }
}

/// Waits between two looks; an error when the controller wants to stop.
fn pause(host: &dyn Host, time: Duration) -> Result<(), Failure> {
    if host.is_cancelled() {
        return Err(HostError::Cancelled.into());
    }
    Ok(host.sleep(time)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_both_versions_print_them() {
        let text = r#"{"header":{"cluster_id":17237436991929493444,"member_id":9372538179322589801,
            "raft_term":2},"members":[{"ID":9372538179322589801,"name":"etcd1",
            "peerURLs":["https://10.0.0.1:2380"],"clientURLs":["https://10.0.0.1:2379"]},
            {"ID":255,"peerURLs":["https://10.0.0.2:2380"],"isLearner":true}]}"#;
        let list: MemberList = serde_json::from_str(text).unwrap();
        let members: Vec<EtcdListed> = list.members.into_iter().map(Member::listed).collect();
        assert_eq!(members[0].id, "8211f1d0f64f3269");
        assert!(!members[0].learner && members[1].learner);
        assert_eq!((members[1].id.as_str(), members[1].label().as_str()), ("ff", "https://10.0.0.2:2380"));
        let hex: MemberList = serde_json::from_str(r#"{"members":[{"ID":"8211F1","name":"a"}]}"#).unwrap();
        assert_eq!(hex.members.into_iter().map(Member::listed).next().unwrap().id, "8211f1");
        assert!(serde_json::from_str::<MemberList>("{}").unwrap().members.is_empty());
    }

    #[test]
    fn the_reason_is_found_behind_the_log() {
        let text = "{\"level\":\"warn\",\"msg\":\"retrying\"}\nError: context deadline exceeded\n";
        assert_eq!(reason(text).as_deref(), Some("context deadline exceeded"));
        assert_eq!(reason("nothing"), None);
    }
}
