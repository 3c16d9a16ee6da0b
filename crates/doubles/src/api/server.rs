//! The program kube-apiserver.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::auth::Authentication;
use super::kinds::{Kind, known};
use super::{Api, rbac};
use crate::cidr::Cidr;
use crate::flags::{COMMON, Flags};
use crate::net::server::{Handler, serve};
use crate::net::tls::{self, Clients, Identity};
use crate::store::{Etcd, Store};
use crate::{clock, pki, schema, yaml};

/// Flags beside those of all daemons.
const KNOWN: &str = "admission-control-config-file advertise-address allow-privileged anonymous-auth api-audiences \
    apiserver-count audit-log-compress audit-log-format audit-log-maxage audit-log-maxbackup audit-log-maxsize audit-log-mode \
    audit-log-path audit-policy-file audit-webhook-batch-max-size audit-webhook-batch-max-wait audit-webhook-config-file \
    audit-webhook-mode audit-webhook-initial-backoff authentication-config authentication-token-webhook-cache-ttl \
    authentication-token-webhook-config-file authentication-token-webhook-version authorization-config authorization-mode \
    authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl authorization-webhook-config-file \
    authorization-webhook-version default-not-ready-toleration-seconds default-unreachable-toleration-seconds \
    default-watch-cache-size delete-collection-workers disable-admission-plugins egress-selector-config-file \
    enable-admission-plugins enable-aggregator-routing enable-bootstrap-token-auth enable-garbage-collector \
    enable-priority-and-fairness encryption-provider-config encryption-provider-config-automatic-reload endpoint-reconciler-type \
    etcd-cafile etcd-certfile etcd-compaction-interval etcd-count-metric-poll-period etcd-db-metric-poll-interval \
    etcd-healthcheck-timeout etcd-keyfile etcd-prefix etcd-readycheck-timeout etcd-servers etcd-servers-overrides event-ttl \
    external-hostname goaway-chance http2-max-streams-per-connection kubelet-certificate-authority kubelet-client-certificate \
    kubelet-client-key kubelet-preferred-address-types kubelet-timeout lease-reuse-duration-seconds livez-grace-period \
    max-connection-bytes-per-sec max-mutating-requests-inflight max-requests-inflight min-request-timeout oidc-ca-file \
    oidc-client-id oidc-groups-claim oidc-groups-prefix oidc-issuer-url oidc-required-claim oidc-signing-algs \
    oidc-username-claim oidc-username-prefix peer-advertise-ip peer-advertise-port peer-ca-file proxy-client-cert-file \
    proxy-client-key-file request-timeout requestheader-allowed-names requestheader-extra-headers-prefix \
    requestheader-group-headers requestheader-username-headers requestheader-uid-headers runtime-config \
    service-account-extend-token-expiration service-account-issuer service-account-jwks-uri service-account-key-file \
    service-account-lookup service-account-max-token-expiration service-account-signing-key-file service-cluster-ip-range \
    service-node-port-range shutdown-delay-duration shutdown-send-retry-after shutdown-watch-termination-grace-period \
    storage-backend storage-media-type strict-transport-security-directives tls-sni-cert-key token-auth-file \
    tracing-config-file watch-cache watch-cache-sizes cors-allowed-origins debug-socket-path";

/// Flags whose files must be there.
const FILES: [&str; 24] = [
    "admission-control-config-file",
    "audit-policy-file",
    "audit-webhook-config-file",
    "authentication-config",
    "authentication-token-webhook-config-file",
    "authorization-config",
    "authorization-webhook-config-file",
    "client-ca-file",
    "encryption-provider-config",
    "etcd-cafile",
    "etcd-certfile",
    "etcd-keyfile",
    "kubelet-certificate-authority",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "oidc-ca-file",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-client-ca-file",
    "service-account-signing-key-file",
    "tls-cert-file",
    "tls-private-key-file",
    "token-auth-file",
    "tracing-config-file",
];

const DURATIONS: [&str; 7] = [
    "etcd-compaction-interval",
    "event-ttl",
    "request-timeout",
    "kubelet-timeout",
    "audit-webhook-batch-max-wait",
    "authentication-token-webhook-cache-ttl",
    "shutdown-delay-duration",
];

const GATES: &str = "feature gates";

/// Runs until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, &format!("{COMMON} {KNOWN}"))?;
    if let Some(word) = flags.words.first() {
        return Err(format!("unknown command {word:?} for \"kube-apiserver\""));
    }
    if flags.is("version") {
        crate::say(&format!("Kubernetes {}", crate::version()));
        return Ok(());
    }
    flags.check(&FILES, &DURATIONS)?;
    check_values(&flags)?;
    check_certificates(&flags)?;
    let api = Arc::new(of_flags(&flags)?);
    wait_for_store(&api.store)?;
    begin(&api, &flags)?;
    let address: IpAddr =
        flags.get("bind-address").unwrap_or("0.0.0.0").parse().map_err(|_| "invalid --bind-address")?;
    let port: u16 =
        flags.get("secure-port").unwrap_or("6443").parse().map_err(|_| "invalid --secure-port")?;
    let listener = TcpListener::bind(SocketAddr::new(address, port)).map_err(|error| {
        format!("failed to create listener: failed to listen on {address}:{port}: {error}")
    })?;
    let config = tls::server(flags.text("tls-cert-file"), flags.text("tls-private-key-file"))?;
    if let Ok(own) = flags.text("advertise-address").parse::<IpAddr>() {
        let of_thread = Arc::clone(&api);
        std::thread::spawn(move || reconcile(&of_thread, own, port));
    }
    crate::told(&format!("serving on {address}:{port}"));
    serve(listener, Some(config), handler(&api));
    Ok(())
}

/// A server that keeps everything in memory, for tests: at the address that it tells, with certificates in files.
/// Whoever shows a certificate of the authority is who it says.
pub(crate) fn in_memory(
    certificate: &str,
    key: &str,
    authority: &str,
    account_key: &str,
) -> Result<SocketAddr, String> {
    let pem = fs::read(authority).map_err(|error| error.to_string())?;
    let account = pki::read_key(account_key)?;
    let api = Arc::new(Api {
        store: Arc::new(Store::memory()),
        authentication: Authentication {
            clients: Some(Clients::new(&[pem])?),
            anonymous: true,
            bootstrap_tokens: true,
            account_keys: vec![pki::public_pem(&account)],
            issuer: "https://kubernetes.default.svc.cluster.local".into(),
        },
        account_key: Some(account),
        modes: vec!["Node".into(), "RBAC".into()],
        to_kubelets: None,
        services: Cidr::list("10.233.0.0/18")?,
        version: crate::version(),
        rbac: super::rbac::Known::default(),
    });
    objects_of_all(&api, Some("10.233.0.1"), 6443)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let config = tls::server(certificate, key)?;
    let handler = handler(&api);
    std::thread::spawn(move || serve(listener, Some(config), handler));
    Ok(address)
}

fn handler(api: &Arc<Api>) -> Handler {
    let api = Arc::clone(api);
    Arc::new(move |request| api.answer(request))
}

fn check_values(flags: &Flags) -> Result<(), String> {
    for name in [
        "etcd-servers",
        "tls-cert-file",
        "tls-private-key-file",
        "client-ca-file",
        "service-account-issuer",
        "service-account-key-file",
        "service-account-signing-key-file",
        "service-cluster-ip-range",
        "authorization-mode",
    ] {
        let has_file = name == "authorization-mode" && flags.get("authorization-config").is_some();
        if !has_file {
            flags.required(name)?;
        }
    }
    if flags.get("authorization-config").is_some() && flags.get("authorization-mode").is_some() {
        return Err("--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined".into());
    }
    for mode in flags.list("authorization-mode") {
        if !["Node", "RBAC", "AlwaysAllow", "AlwaysDeny", "ABAC", "Webhook"].contains(&mode.as_str()) {
            return Err(format!("authorization-mode {mode:?} is not a valid mode"));
        }
    }
    if !["", "etcd3"].contains(&flags.text("storage-backend")) {
        return Err(format!(
            "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3', not {}",
            flags.text("storage-backend")
        ));
    }
    if !["", "master-count", "lease", "none"].contains(&flags.text("endpoint-reconciler-type")) {
        return Err(format!("--endpoint-reconciler-type: {}", flags.text("endpoint-reconciler-type")));
    }
    Cidr::list(flags.text("service-cluster-ip-range"))?;
    let overlap = flags
        .list("enable-admission-plugins")
        .into_iter()
        .find(|plugin| flags.list("disable-admission-plugins").contains(plugin));
    if let Some(plugin) = overlap {
        return Err(format!(
            "{plugin:?} in enable-admission-plugins and disable-admission-plugins overlapped"
        ));
    }
    for gate in flags.list("feature-gates") {
        crate::check_gate(&gate).map_err(|error| format!("{GATES}: {error}"))?;
    }
    if let Some(path) = flags.get("encryption-provider-config") {
        let document = yaml::read(&fs::read_to_string(path).map_err(|error| error.to_string())?)
            .map_err(|error| format!("{path}: {error}"))?;
        if document["kind"] != "EncryptionConfiguration"
            || document["resources"].as_array().is_none_or(Vec::is_empty)
        {
            return Err(format!("{path}: no EncryptionConfiguration"));
        }
    }
    if let Some(path) = flags.get("audit-policy-file") {
        let document = yaml::read(&fs::read_to_string(path).map_err(|error| error.to_string())?)
            .map_err(|error| format!("{path}: {error}"))?;
        if document["kind"] != "Policy" || document["rules"].as_array().is_none_or(Vec::is_empty) {
            return Err(format!("{path}: no audit policy with rules"));
        }
    }
    Ok(())
}

/// All certificates must be signed by whom they say, for what they are used, and last.
fn check_certificates(flags: &Flags) -> Result<(), String> {
    let authority = flags.text("client-ca-file");
    pki::check_pair(flags.text("tls-cert-file"), flags.text("tls-private-key-file"))?;
    pki::check_signed(flags.text("tls-cert-file"), authority)?;
    let own = pki::Facts::read(flags.text("tls-cert-file"))?;
    if !own.server {
        return Err(format!("{}: not a certificate for a server", flags.text("tls-cert-file")));
    }
    for (certificate, key, above) in [
        ("kubelet-client-certificate", "kubelet-client-key", authority),
        ("proxy-client-cert-file", "proxy-client-key-file", flags.text("requestheader-client-ca-file")),
        ("etcd-certfile", "etcd-keyfile", flags.text("etcd-cafile")),
    ] {
        let Some(path) = flags.get(certificate) else { continue };
        pki::check_pair(path, flags.required(key)?)?;
        pki::check_signed(path, above)?;
        if !pki::Facts::read(path)?.client {
            return Err(format!("--{certificate}: {path} is not a certificate for a client"));
        }
    }
    Ok(())
}

fn of_flags(flags: &Flags) -> Result<Api, String> {
    let read = |name: &str| match flags.get(name) {
        Some(path) => fs::read(path).map(Some).map_err(|error| format!("--{name}: {path}: {error}")),
        None => Ok(None),
    };
    let pair = match (read("etcd-certfile")?, read("etcd-keyfile")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => None,
    };
    let etcd = Etcd::new(&flags.list("etcd-servers"), &Identity { authority: read("etcd-cafile")?, pair })?;
    let authority = read("client-ca-file")?.ok_or("--client-ca-file must be specified")?;
    let mut account_keys = Vec::new();
    for path in flags.list("service-account-key-file") {
        account_keys.push(fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?);
    }
    let anonymous = flags.get("anonymous-auth").is_none_or(|value| value.eq_ignore_ascii_case("true"));
    let modes = flags.list("authorization-mode");
    Ok(Api {
        store: Arc::new(Store::etcd(etcd)),
        authentication: Authentication {
            clients: Some(Clients::new(&[authority])?),
            anonymous,
            bootstrap_tokens: flags.is("enable-bootstrap-token-auth"),
            account_keys,
            issuer: flags.text("service-account-issuer").to_owned(),
        },
        account_key: Some(pki::read_key(flags.text("service-account-signing-key-file"))?),
        to_kubelets: match (read("kubelet-client-certificate")?, read("kubelet-client-key")?) {
            (Some(certificate), Some(key)) => {
                Some(Identity { authority: None, pair: Some((certificate, key)) })
            }
            _ => None,
        },
        modes: if modes.is_empty() { vec!["Node".into(), "RBAC".into()] } else { modes },
        services: Cidr::list(flags.text("service-cluster-ip-range"))?,
        version: crate::version(),
        rbac: super::rbac::Known::default(),
    })
}

fn wait_for_store(store: &Store) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..60 {
        match store.is_well() {
            Ok(()) if store.wait_until_followed(Duration::from_secs(10)) => return Ok(()),
            Ok(()) => {}
            Err(error) => last = error,
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Err(format!("context deadline exceeded: {last}"))
}

/// Makes an object where there is none.
fn make(api: &Api, kind: &Kind, mut object: Value) -> Result<(), String> {
    let name = super::text(&object, "/metadata/name").to_owned();
    let namespace = super::text(&object, "/metadata/namespace").to_owned();
    object["metadata"]["uid"] = crate::uid().into();
    object["metadata"]["creationTimestamp"] = clock::now().into();
    object["metadata"]["generation"] = 1.into();
    debug_assert!(schema::object_problems(&kind.kind, &object).is_empty());
    api.store.put(&kind.key(&namespace, &name), &object, 0).map(drop)
}

fn begin(api: &Api, flags: &Flags) -> Result<(), String> {
    let service = api.services.first().and_then(|range| range.address(1)).map(|address| address.to_string());
    let port = flags.get("secure-port").and_then(|port| port.parse().ok()).unwrap_or(6443);
    objects_of_all(api, service.as_deref(), port)?;
    let kind = known("ConfigMap").ok_or("no ConfigMap")?;
    let authority = fs::read_to_string(flags.text("client-ca-file")).map_err(|error| error.to_string())?;
    make(
        api,
        &kind,
        json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {"client-ca-file": authority}}),
    )
}

/// What every cluster has.
fn objects_of_all(api: &Api, service: Option<&str>, port: u16) -> Result<(), String> {
    let kind = known("Namespace").ok_or("no Namespace")?;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        make(
            api,
            &kind,
            json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        )?;
    }
    for object in rbac::bootstrap_objects() {
        let kind = known(super::text(&object, "/kind")).ok_or("no such kind")?;
        make(api, &kind, object)?;
    }
    let kind = known("PriorityClass").ok_or("no PriorityClass")?;
    for (name, value) in [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)]
    {
        make(
            api,
            &kind,
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": value}),
        )?;
    }
    if let Some(address) = service {
        let kind = known("Service").ok_or("no Service")?;
        make(
            api,
            &kind,
            json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kubernetes", "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}]}}),
        )?;
    }
    Ok(())
}

/// Keeps the addresses of the API servers that are alive in the endpoints of `kubernetes`.
fn reconcile(api: &Api, own: IpAddr, port: u16) {
    loop {
        if let Err(error) = reconcile_once(api, own, port) {
            crate::told(&format!("endpoints: {error}"));
        }
        std::thread::sleep(Duration::from_secs(5));
    }
}

fn reconcile_once(api: &Api, own: IpAddr, port: u16) -> Result<(), String> {
    const FOLDER: &str = "/registry/masterleases/";
    const LASTS_S: i64 = 15;
    let key = format!("{FOLDER}{own}");
    let revision = api.store.get(&key)?.map_or(0, |item| item.revision);
    api.store.put(&key, &json!({"renewed": clock::now_s()}), revision)?;
    let (items, _) = api.store.list(FOLDER)?;
    let is_alive = |value: &Value| value["renewed"].as_i64().is_some_and(|at| at + LASTS_S > clock::now_s());
    let alive: BTreeSet<&str> = items
        .iter()
        .filter(|item| is_alive(&item.value))
        .filter_map(|item| item.key.strip_prefix(FOLDER))
        .collect();
    let kind = known("Endpoints").ok_or("no Endpoints")?;
    let key = kind.key("default", "kubernetes");
    let live = api.store.get(&key)?;
    let addresses: Vec<Value> = alive.iter().map(|ip| json!({"ip": ip})).collect();
    let subsets =
        json!([{"addresses": addresses, "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]);
    if live.as_ref().is_some_and(|item| item.value["subsets"] == subsets) {
        return Ok(());
    }
    let mut next = live.as_ref().map_or_else(
        || json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "kubernetes", "namespace": "default",
            "uid": crate::uid(), "creationTimestamp": clock::now()}}),
        |item| item.value.clone(),
    );
    next["subsets"] = subsets;
    api.store.put(&key, &next, live.map_or(0, |item| item.revision)).map(drop)
}
