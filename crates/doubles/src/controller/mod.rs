//! The program kube-controller-manager.

mod accounts;
pub(crate) mod nodes;
mod volumes;
mod workloads;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::cidr::Cidr;
use crate::client::Client;
use crate::flags::{COMMON, Flags};
use crate::leader::Leader;
use crate::net::server::{Answer, serve};
use crate::net::tls;
use crate::pki::{self, Authority};
use crate::{clock, files, kubeconfig};

const KNOWN: &str = "allocate-node-cidrs attach-detach-reconcile-sync-period cidr-allocator-type cloud-config cloud-provider cluster-cidr \
    cluster-name cluster-signing-cert-file cluster-signing-duration cluster-signing-key-file cluster-signing-kube-apiserver-client-cert-file \
    cluster-signing-kube-apiserver-client-key-file cluster-signing-kubelet-client-cert-file cluster-signing-kubelet-client-key-file \
    cluster-signing-kubelet-serving-cert-file cluster-signing-kubelet-serving-key-file concurrent-deployment-syncs \
    concurrent-endpoint-syncs concurrent-gc-syncs concurrent-namespace-syncs concurrent-replicaset-syncs \
    concurrent-service-syncs concurrent-serviceaccount-token-syncs configure-cloud-routes controllers \
    enable-dynamic-provisioning enable-garbage-collector enable-hostpath-provisioner flex-volume-plugin-dir \
    horizontal-pod-autoscaler-sync-period kube-api-content-type large-cluster-size-threshold max-endpoints-per-slice min-resync-period \
    namespace-sync-period node-cidr-mask-size node-cidr-mask-size-ipv4 node-cidr-mask-size-ipv6 node-eviction-rate \
    node-monitor-grace-period node-monitor-period node-startup-grace-period node-sync-period pod-eviction-timeout \
    requestheader-allowed-names requestheader-extra-headers-prefix requestheader-group-headers requestheader-username-headers \
    resource-quota-sync-period root-ca-file route-reconciliation-period secondary-node-eviction-rate \
    service-account-private-key-file service-cluster-ip-range terminated-pod-gc-threshold unhealthy-zone-threshold \
    use-service-account-credentials volume-host-cidr-denylist";

const FILES: [&str; 9] = [
    "kubeconfig",
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "client-ca-file",
    "cluster-signing-cert-file",
    "cluster-signing-key-file",
    "requestheader-client-ca-file",
    "root-ca-file",
    "service-account-private-key-file",
];

const DURATIONS: [&str; 6] = [
    "node-monitor-grace-period",
    "node-monitor-period",
    "leader-elect-lease-duration",
    "leader-elect-renew-deadline",
    "leader-elect-retry-period",
    "cluster-signing-duration",
];

/// How often everything is looked at.
const ROUND: Duration = Duration::from_millis(800);

/// What all controllers know.
pub(crate) struct Manager {
    client: Client,
    authority: Authority,
    root: String,
    signing: Duration,
    /// Networks of pods with the length of a node's part; none where nodes get none.
    pods: Vec<(Cidr, u8)>,
    grace_s: i64,
}

/// The signature of the cluster's document by a bootstrap token.
pub(crate) fn jws(content: &str, token: &str) -> String {
    let (id, _) = token.split_once('.').unwrap_or((token, ""));
    let secret = token.split_once('.').map_or("", |(_, secret)| secret);
    let head = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
    let payload = URL_SAFE_NO_PAD.encode(content);
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{head}.{payload}").as_bytes());
    format!("{head}..{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Serves whether a daemon is well, with a certificate of its own making.
pub(crate) fn serve_health(flags: &Flags, name: &str, default_port: u16) -> Result<(), String> {
    let address: IpAddr =
        flags.get("bind-address").unwrap_or("0.0.0.0").parse().map_err(|_| "invalid --bind-address")?;
    let port = match flags.get("secure-port") {
        Some(port) => port.parse().map_err(|_| "invalid --secure-port")?,
        None => default_port,
    };
    let (certificate, key) = match (flags.get("tls-cert-file"), flags.get("tls-private-key-file")) {
        (Some(certificate), Some(key)) => (certificate.to_owned(), key.to_owned()),
        _ => {
            let own = Authority::create(&format!("{name}@double"), "ECDSA-P256", Duration::from_hours(8760))?;
            let folder = format!("/tmp/{name}");
            let paths = (format!("{folder}/tls.crt"), format!("{folder}/tls.key"));
            files::write(Path::new(&paths.0), own.pem.as_bytes(), 0o644)?;
            files::write(Path::new(&paths.1), own.key_pem().as_bytes(), 0o600)?;
            paths
        }
    };
    let config = tls::server(&certificate, &key)?;
    let listener = TcpListener::bind(SocketAddr::new(address, port))
        .map_err(|error| format!("listen on {address}:{port}: {error}"))?;
    std::thread::spawn(move || {
        serve(
            listener,
            Some(config),
            Arc::new(|request| match request.path.as_str() {
                "/healthz" | "/livez" | "/readyz" => Answer::Text(200, "ok".into()),
                _ => Answer::Text(403, "forbidden".into()),
            }),
        );
    });
    Ok(())
}

fn lease(flags: &Flags) -> Duration {
    let wished = flags.get("leader-elect-lease-duration").and_then(clock::duration);
    wished.unwrap_or(Duration::from_secs(15))
}

/// Runs until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, &format!("{COMMON} {KNOWN}"))?;
    if flags.is("version") {
        crate::say(&format!("Kubernetes {}", crate::version()));
        return Ok(());
    }
    flags.check(&FILES, &DURATIONS)?;
    for gate in flags.list("feature-gates") {
        crate::check_gate(&gate)?;
    }
    let manager = of_flags(&flags)?;
    serve_health(&flags, "kube-controller-manager", 10257)?;
    let mut leader = Leader::new("kube-controller-manager", lease(&flags));
    let mut told = BTreeMap::new();
    loop {
        if leader.holds(&manager.client)? {
            manager.round(&mut told);
        }
        std::thread::sleep(ROUND);
    }
}

fn of_flags(flags: &Flags) -> Result<Manager, String> {
    let access = kubeconfig::read(flags.required("kubeconfig")?)?;
    crate::check_user(&access, "system:kube-controller-manager", "")?;
    let (certificate, key) =
        (flags.required("cluster-signing-cert-file")?, flags.required("cluster-signing-key-file")?);
    let root = flags.required("root-ca-file")?;
    pki::read_key(flags.required("service-account-private-key-file")?)?;
    let mut pods = Vec::new();
    if flags.is("allocate-node-cidrs") {
        for range in Cidr::list(flags.required("cluster-cidr")?)? {
            let (own, default) = if range.is_v4() {
                ("node-cidr-mask-size-ipv4", 24)
            } else {
                ("node-cidr-mask-size-ipv6", 64)
            };
            let mask = flags.get(own).or_else(|| flags.get("node-cidr-mask-size"));
            let mask: u8 = mask.map_or(Ok(default), str::parse).map_err(|_| format!("invalid --{own}"))?;
            if range.part(mask, 0).is_none() {
                return Err(format!("--{own}: a node's network of /{mask} does not fit into {range}"));
            }
            pods.push((range, mask));
        }
    }
    let duration = |name: &str, default: u64| {
        flags.get(name).and_then(clock::duration).unwrap_or(Duration::from_secs(default))
    };
    Ok(Manager {
        client: Client::new(&access, "kube-controller-manager")?,
        authority: Authority::read(certificate, key)?,
        root: fs::read_to_string(root).map_err(|error| format!("{root}: {error}"))?,
        signing: duration("cluster-signing-duration", 365 * 86_400),
        pods,
        grace_s: i64::try_from(duration("node-monitor-grace-period", 50).as_secs()).unwrap_or(50),
    })
}

#[cfg(test)]
impl Manager {
    /// One that gives nodes parts of `10.233.64.0/18`.
    pub(crate) fn for_tests(client: Client, certificate: &str, key: &str) -> Self {
        let pods = Cidr::parse("10.233.64.0/18").map(|range| (range, 24)).into_iter().collect();
        let authority = Authority::read(certificate, key).unwrap();
        let signing = Duration::from_hours(1);
        Self { client, root: authority.pem.clone(), authority, signing, pods, grace_s: 40 }
    }

    /// Every controller once; the first problem.
    pub(crate) fn all(&self) -> Result<(), String> {
        let mut told = BTreeMap::new();
        self.round(&mut told);
        told.into_iter()
            .find(|(_, problem)| !problem.is_empty())
            .map_or(Ok(()), |(name, problem)| Err(format!("{name}: {problem}")))
    }
}

impl Manager {
    /// Every controller once. What fails is told when it is something else than before.
    fn round(&self, told: &mut BTreeMap<&'static str, String>) {
        let all: [(&'static str, &dyn Fn() -> Result<(), String>); 12] = [
            ("csr", &|| self.requests()),
            ("namespace", &|| self.namespaces()),
            ("serviceaccount", &|| self.accounts()),
            ("bootstrapsigner", &|| self.signer()),
            ("tokencleaner", &|| self.tokens()),
            ("nodeipam", &|| self.networks()),
            ("node-lifecycle", &|| self.lifecycle()),
            ("attachdetach", &|| self.volumes()),
            ("workloads", &|| self.workloads()),
            ("disruption", &|| self.budgets()),
            ("endpoints", &|| self.endpoints()),
            ("garbage", &|| self.garbage()),
        ];
        for (name, controller) in all {
            let problem = controller().err().unwrap_or_default();
            if !problem.is_empty() && told.get(name) != Some(&problem) {
                crate::told(&format!("{name}: {problem}"));
            }
            told.insert(name, problem);
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The status of a condition.
fn condition<'v>(object: &'v Value, kind: &str) -> &'v str {
    list(object, "/status/conditions")
        .iter()
        .find(|one| one["type"] == kind)
        .map_or("", |one| text(one, "/status"))
}

/// Writes a status where it differs.
fn put_status(client: &Client, at: &str, live: &Value, status: &Value) -> Result<(), String> {
    if &live["status"] == status {
        return Ok(());
    }
    let mut next = live.clone();
    next["status"] = status.clone();
    match client.update(&format!("{at}/status"), &next) {
        // Somebody else changed it: the next round looks again.
        Err(error) if error.code == 409 || error.code == 404 => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
}
