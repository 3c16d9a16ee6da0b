//! The settings of a member, in the file that its unit reads (ETCD-056 to ETCD-086).

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use kubespray_spec::choices::{EtcdLogLevel, EtcdMetrics};
use kubespray_spec::etcd::Etcd;

use super::Problem;
use super::cluster::{Cluster, Kind, Member, Stage};

/// What a member reads only before it has data.
const OF_FIRST_START: [&str; 2] = ["ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE"];

/// The text of the file.
///
/// A member that has data keeps the list of members with which it began: it never reads it again, so that a member
/// more is no reason to write the files of all others, and to restart them (ETCD-124).
pub(super) fn text<'a>(cluster: &Cluster<'a>, member: &Member<'a>) -> Result<String, Problem> {
    let host = member.host;
    let etcd = &host.settings.etcd;
    let Some(address) = host.own.etcd_address.known() else {
        let message = format!("the address at which etcd of `{}` listens is not known", host.name);
        return Err(Problem { message, hint: "set its `ip`, or make the host reachable".into() });
    };
    let (kind, is_main) = (cluster.kind, cluster.kind == Kind::Main);
    let present = cluster.live.settings.get(&host.name).filter(|_| member.has_data);
    let began_with = present.and_then(|text| value(text, "ETCD_INITIAL_CLUSTER")).map(str::to_owned);
    let initial = || {
        let entries = cluster.initial(member);
        entries.iter().map(|(name, url)| format!("{name}={url}")).collect::<Vec<_>>().join(",")
    };
    let state = if matches!(cluster.stage, Stage::New) { "new" } else { "existing" };
    let folder = &etcd.etcd_cert_dir;
    let pair = format!("{folder}/member-{}", host.name);
    let admin = format!("{folder}/admin-{}", host.name);
    let listen = |port: u16| format!("{},https://127.0.0.1:{port}", url("https", address, port));
    let data_dir = if is_main { &etcd.etcd_data_dir } else { &etcd.etcd_events_data_dir };

    let mut out = Text::default();
    out.add("DATA_DIR", data_dir);
    out.add("ADVERTISE_CLIENT_URLS", member.client_url);
    out.add("INITIAL_ADVERTISE_PEER_URLS", member.peer_url);
    out.add("INITIAL_CLUSTER_STATE", state);
    out.add("METRICS", metrics(etcd.etcd_metrics));
    if is_main && let Some(urls) = metrics_urls(etcd, address) {
        out.add("LISTEN_METRICS_URLS", urls);
    }
    out.add("LISTEN_CLIENT_URLS", listen(kind.client_port()));
    out.add("ELECTION_TIMEOUT", &etcd.etcd_election_timeout);
    out.add("HEARTBEAT_INTERVAL", &etcd.etcd_heartbeat_interval);
    out.add("INITIAL_CLUSTER_TOKEN", kind.token());
    out.add("LISTEN_PEER_URLS", url("https", address, kind.peer_port()));
    out.add("NAME", &member.name);
    out.add("PROXY", "off");
    out.add("INITIAL_CLUSTER", began_with.unwrap_or_else(initial));
    out.add("AUTO_COMPACTION_RETENTION", &etcd.etcd_compaction_retention);
    out.add("SNAPSHOT_COUNT", &etcd.etcd_snapshot_count);
    out.add("QUOTA_BACKEND_BYTES", &etcd.etcd_quota_backend_bytes);
    out.add("MAX_REQUEST_BYTES", &etcd.etcd_max_request_bytes);
    if is_main {
        out.add("LOG_LEVEL", log_level(etcd.etcd_log_level));
        out.add("MAX_SNAPSHOTS", etcd.etcd_max_snapshots);
        out.add("MAX_WALS", etcd.etcd_max_wals);
    }
    for prefix in ["", "PEER_"] {
        out.add(&format!("{prefix}TRUSTED_CA_FILE"), format!("{folder}/ca.pem"));
        out.add(&format!("{prefix}CERT_FILE"), format!("{pair}.pem"));
        out.add(&format!("{prefix}KEY_FILE"), format!("{pair}-key.pem"));
    }
    out.add("CLIENT_CERT_AUTH", etcd.etcd_secure_client);
    out.add("PEER_CLIENT_CERT_AUTH", as_python(etcd.etcd_peer_client_auth));
    if let Some(suites) = &etcd.etcd_tls_cipher_suites {
        out.add("CIPHER_SUITES", suites.join(","));
    }
    for (key, value) in &etcd.etcd_extra_vars {
        if key.contains(['\n', '=']) || value.contains('\n') {
            let message = format!("`{key}` of `etcd_extra_vars` cannot be written in one line");
            return Err(Problem { message, hint: "give names and values without line breaks".into() });
        }
        out.line(key, value);
    }
    if is_main {
        out.line("ETCDCTL_ENDPOINTS", "https://127.0.0.1:2379");
        out.line("ETCDCTL_CACERT", format!("{folder}/ca.pem"));
        out.line("ETCDCTL_KEY", format!("{admin}-key.pem"));
        out.line("ETCDCTL_CERT", format!("{admin}.pem"));
        experiments(&mut out, etcd, &member.name);
    }
    Ok(out.0)
}

/// ETCD-082 to ETCD-084.
fn experiments(out: &mut Text, etcd: &Etcd, name: &str) {
    let mut add =
        |key: &str, value: &dyn ToString| out.add(&format!("EXPERIMENTAL_{key}"), value.to_string());
    add("INITIAL_CORRUPT_CHECK", &as_python(etcd.etcd_experimental_initial_corrupt_check));
    if etcd.etcd_experimental_enable_distributed_tracing {
        add("ENABLE_DISTRIBUTED_TRACING", &true);
        let rate = etcd.etcd_experimental_distributed_tracing_sample_rate;
        add("DISTRIBUTED_TRACING_SAMPLING_RATE", &rate);
        add("DISTRIBUTED_TRACING_ADDRESS", &etcd.etcd_experimental_distributed_tracing_address);
        add("DISTRIBUTED_TRACING_SERVICE_NAME", &etcd.etcd_experimental_distributed_tracing_service_name);
        add("DISTRIBUTED_TRACING_INSTANCE_ID", &name);
    }
    let interval = etcd.etcd_experimental_watch_progress_notify_interval.as_str();
    add("WATCH_PROGRESS_NOTIFY_INTERVAL", &interval);
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn add(&mut self, key: &str, value: impl Display) {
        self.line(&format!("ETCD_{key}"), value);
    }

    fn line(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.0, "{key}={value}");
    }
}

/// As Kubespray writes them, so that a member that it made finds its settings unchanged.
fn as_python(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn metrics(choice: EtcdMetrics) -> &'static str {
    match choice {
        EtcdMetrics::Basic => "basic",
        EtcdMetrics::Extensive => "extensive",
    }
}

fn log_level(choice: EtcdLogLevel) -> &'static str {
    match choice {
        EtcdLogLevel::Debug => "debug",
        EtcdLogLevel::Info => "info",
        EtcdLogLevel::Warn => "warn",
        EtcdLogLevel::Error => "error",
        EtcdLogLevel::Panic => "panic",
        EtcdLogLevel::Fatal => "fatal",
    }
}

/// ETCD-061.
fn metrics_urls(etcd: &Etcd, address: &IpAddr) -> Option<String> {
    if let Some(urls) = &etcd.etcd_listen_metrics_urls {
        return Some(urls.clone());
    }
    let port = etcd.etcd_metrics_port?;
    Some(format!("{},http://127.0.0.1:{port}", url("http", address, port)))
}

fn url(scheme: &str, address: &IpAddr, port: u16) -> String {
    format!("{scheme}://{}", std::net::SocketAddr::new(*address, port))
}

/// Names and values as systemd reads them from such a file; of two with one name the later counts.
fn values(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let value = value.trim();
            let plain =
                ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            Some((key.trim(), plain.unwrap_or(value)))
        })
        .collect()
}

/// A value of such a file.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    values(text).remove(key)
}

/// Whether a member that has data works the same with both files. What only `etcdctl` reads does not count.
pub(super) fn work_the_same(one: &str, other: &str) -> bool {
    let relevant = |text| {
        let mut values = values(text);
        values.retain(|key, _| !OF_FIRST_START.contains(key) && !key.starts_with("ETCDCTL_"));
        values
    };
    relevant(one) == relevant(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_running_member_reads_makes_a_difference() {
        let one = "ETCD_NAME=etcd1\nETCD_INITIAL_CLUSTER=a\nETCD_INITIAL_CLUSTER_STATE=new\n";
        for (other, same) in [
            (one, true),
            ("# by hand\n\n; too\n ETCD_NAME = \"etcd1\" \n", true),
            ("ETCD_NAME='etcd1'\nETCDCTL_CERT=/x\nETCD_INITIAL_CLUSTER=b", true),
            ("ETCD_NAME=etcd0\nETCD_NAME=etcd1\n", true),
            ("ETCD_NAME=etcd2\n", false),
            ("ETCD_NAME=etcd1\nETCD_PROXY=off\n", false),
            ("", false),
        ] {
            assert_eq!(work_the_same(one, other), same, "{other}");
        }
        assert_eq!(value(one, "ETCD_INITIAL_CLUSTER_STATE"), Some("new"));
        assert_eq!(value(one, "ETCD_INITIAL"), None);
    }

    #[test]
    fn addresses_of_ipv6_stand_in_brackets() {
        assert_eq!(url("https", &"fd00::1".parse().unwrap(), 2380), "https://[fd00::1]:2380");
        assert_eq!(url("http", &"10.0.0.1".parse().unwrap(), 2381), "http://10.0.0.1:2381");
    }
}
