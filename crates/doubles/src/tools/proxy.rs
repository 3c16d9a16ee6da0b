//! The program kube-proxy: addresses of services are made addresses of the host, and connections to them are passed on
//! to the pods behind them.

mod forward;
mod route;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::flags::{COMMON, Flags};
use crate::net::server::{Answer, Handler, serve};
use crate::{clock, files, schema, yaml};

const KNOWN: &str = "config hostname-override cleanup proxy-mode cluster-cidr write-config-to healthz-bind-address metrics-bind-address \
    oom-score-adj conntrack-max-per-core conntrack-min init-only nodeport-addresses";

const ROUND: Duration = Duration::from_secs(1);

/// Where connections of a service's port go.
type Backends = Arc<Mutex<Vec<SocketAddr>>>;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Runs until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let flags = Flags::parse(arguments, &format!("{COMMON} {KNOWN}"))?;
    if flags.is("version") {
        crate::say(&format!("Kubernetes {}", crate::version()));
        return Ok(());
    }
    let path = flags.required("config")?;
    let document = yaml::read(&files::read(path)?).map_err(|error| format!("{path}: {error}"))?;
    check(&document).map_err(|error| format!("{path}: {error}"))?;
    let name = match (flags.text("hostname-override"), text(&document, "/hostnameOverride")) {
        ("", "") => crate::hostname(),
        ("", name) | (name, _) => name.to_owned(),
    };
    let access = text(&document, "/clientConnection/kubeconfig").to_owned();
    health(&document)?;
    let mut listeners: BTreeMap<(SocketAddr, bool), Option<Backends>> = BTreeMap::new();
    let mut routes = std::collections::BTreeSet::new();
    let mut last = String::new();
    let mut is_known = false;
    loop {
        // The token is read anew each time: it ends.
        let problem = Client::open(&access, "kube-proxy").and_then(|client| {
            if !is_known {
                client
                    .get(&crate::client::path("v1", "nodes", "", &name))?
                    .ok_or_else(|| format!("nodes {name:?} not found"))?;
                is_known = true;
            }
            round(&client, &name, &mut listeners, &mut routes)
        });
        let problem = problem.err().unwrap_or_default();
        if !problem.is_empty() && problem != last {
            crate::told(&problem);
        }
        last = problem;
        std::thread::sleep(ROUND);
    }
}

fn check(document: &Value) -> Result<(), String> {
    if (text(document, "/kind"), text(document, "/apiVersion"))
        != ("KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1")
    {
        return Err("no KubeProxyConfiguration of kubeproxy.config.k8s.io/v1alpha1".into());
    }
    let problems = schema::document_problems("KubeProxyConfiguration", document);
    if !problems.is_empty() {
        return Err(format!("strict decoding error: {}", problems.join(", ")));
    }
    let mode = text(document, "/mode");
    if !["", "iptables", "ipvs", "nftables"].contains(&mode) {
        return Err(format!("KubeProxyConfiguration.Mode: Invalid value: {mode:?}"));
    }
    for pointer in [
        "/configSyncPeriod",
        "/conntrack/tcpCloseWaitTimeout",
        "/conntrack/tcpEstablishedTimeout",
        "/iptables/minSyncPeriod",
        "/iptables/syncPeriod",
        "/ipvs/minSyncPeriod",
        "/ipvs/syncPeriod",
        "/ipvs/tcpFinTimeout",
        "/ipvs/tcpTimeout",
        "/ipvs/udpTimeout",
    ] {
        if document.pointer(pointer).is_some_and(|value| value.as_str().and_then(clock::duration).is_none()) {
            return Err(format!("{pointer}: invalid duration"));
        }
    }
    for range in list(document, "/nodePortAddresses")
        .iter()
        .filter_map(Value::as_str)
        .chain(text(document, "/clusterCIDR").split(','))
    {
        if !range.is_empty() && range != "primary" && crate::cidr::Cidr::parse(range).is_none() {
            return Err(format!("{range:?} is no range of addresses"));
        }
    }
    text(document, "/bindAddress")
        .parse::<IpAddr>()
        .map_err(|_| "bindAddress: not a valid textual representation of an IP address")?;
    Ok(())
}

/// `address:port`, or an address alone.
fn bound(document: &Value, key: &str, address: &str, port: u16) -> Result<SocketAddr, String> {
    let wished = text(document, &format!("/{key}"));
    if wished.is_empty() {
        return Ok(SocketAddr::new(address.parse().map_err(|_| "no address")?, port));
    }
    let with_port =
        wished.parse::<SocketAddr>().ok().or_else(|| Some(SocketAddr::new(wished.parse().ok()?, port)));
    with_port.ok_or_else(|| format!("{key}: {wished:?} is no address"))
}

fn health(document: &Value) -> Result<(), String> {
    for (key, address, port, at) in [
        ("healthzBindAddress", "0.0.0.0", 10256, "/healthz"),
        ("metricsBindAddress", "127.0.0.1", 10249, "/proxyMode"),
    ] {
        let bound = bound(document, key, address, port)?;
        let listener = TcpListener::bind(bound).map_err(|error| format!("listen on {bound}: {error}"))?;
        let answer: Handler = Arc::new(move |request| match request.path.as_str() {
            path if path == at || path == "/livez" => Answer::Text(200, "ok".into()),
            "/metrics" => Answer::Text(200, String::new()),
            _ => Answer::Text(404, "404 page not found".into()),
        });
        std::thread::spawn(move || serve(listener, None, answer));
    }
    Ok(())
}

/// Makes what services there are reachable.
fn round(
    client: &Client,
    node: &str,
    listeners: &mut BTreeMap<(SocketAddr, bool), Option<Backends>>,
    routes: &mut std::collections::BTreeSet<IpAddr>,
) -> Result<(), String> {
    let services = client.list("/api/v1/services")?;
    let endpoints = client.list("/api/v1/endpoints")?;
    let mut wanted: BTreeMap<(SocketAddr, bool), Vec<SocketAddr>> = BTreeMap::new();
    for service in &services {
        let Ok(address) = text(service, "/spec/clusterIP").parse::<IpAddr>() else { continue };
        if routes.insert(address) {
            route::make_local(address).map_err(|error| format!("address {address}: {error}"))?;
        }
        let same = |one: &&Value| {
            ["/metadata/namespace", "/metadata/name"].iter().all(|at| text(one, at) == text(service, at))
        };
        let own = endpoints.iter().find(same);
        for port in list(service, "/spec/ports") {
            let is_udp = text(port, "/protocol") == "UDP";
            let number = |key: &str| {
                port.get(key).and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok())
            };
            let behind = |policy: &str| {
                let node = (text(service, policy) == "Local").then_some(node);
                own.map(|own| backends(own, port, node)).unwrap_or_default()
            };
            if let Some(number) = number("port") {
                let behind = behind("/spec/internalTrafficPolicy");
                wanted.insert((SocketAddr::new(address, number), is_udp), behind);
            }
            if let Some(number) = number("nodePort").filter(|number| *number > 0) {
                let behind = behind("/spec/externalTrafficPolicy");
                wanted.insert((SocketAddr::from(([0, 0, 0, 0], number)), is_udp), behind);
            }
        }
    }
    for (key, behind) in &wanted {
        match listeners.get(key) {
            Some(Some(known)) => known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(behind),
            _ => {
                let shared: Backends = Arc::new(Mutex::new(behind.clone()));
                match forward::listen(key.0, key.1, &shared) {
                    Ok(()) => _ = listeners.insert(*key, Some(shared)),
                    Err(error) => {
                        if listeners.insert(*key, None).is_none() {
                            crate::told(&format!("{}: {error}", key.0));
                        }
                    }
                }
            }
        }
    }
    // Of services that are gone the listeners stay and refuse.
    for (key, known) in listeners.iter() {
        if let (Some(known), false) = (known, wanted.contains_key(key)) {
            known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
    Ok(())
}

/// The addresses behind a port of a service, all or those of a node.
fn backends(endpoints: &Value, port: &Value, node: Option<&str>) -> Vec<SocketAddr> {
    let mut out = Vec::new();
    for subset in list(endpoints, "/subsets") {
        let ports = list(subset, "/ports");
        let own = ports.iter().find(|one| text(one, "/name") == text(port, "/name"));
        let number = own.and_then(|one| one["port"].as_u64()).and_then(|number| u16::try_from(number).ok());
        let Some(number) = number else { continue };
        let is_meant = |address: &&Value| node.is_none_or(|node| text(address, "/nodeName") == node);
        for address in list(subset, "/addresses").iter().filter(is_meant) {
            out.extend(text(address, "/ip").parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, number)));
        }
    }
    out
}
