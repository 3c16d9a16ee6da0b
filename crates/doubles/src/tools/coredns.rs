//! The program coredns: answers names of services.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::files;
use crate::kubeconfig::Access;
use crate::net::server::{Answer, Handler, serve};
use crate::net::tls::Identity;

const TOKENS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

const ROUND: Duration = Duration::from_secs(2);

/// Plugins that may stand in a Corefile.
const PLUGINS: [&str; 24] = [
    "errors",
    "health",
    "ready",
    "kubernetes",
    "prometheus",
    "forward",
    "cache",
    "loop",
    "reload",
    "loadbalance",
    "hosts",
    "rewrite",
    "log",
    "bind",
    "template",
    "autopath",
    "file",
    "import",
    "k8s_external",
    "bufsize",
    "header",
    "dnssec",
    "etcd",
    "acl",
];

/// Names and addresses; nothing before the cluster was asked.
type Names = Arc<Mutex<Option<Vec<(String, IpAddr)>>>>;

/// A server of a Corefile.
#[derive(Debug, Default)]
struct Server {
    ports: Vec<u16>,
    addresses: Vec<IpAddr>,
    zones: Vec<String>,
    health: Option<SocketAddr>,
    ready: Option<SocketAddr>,
}

/// The servers of a Corefile, whose plugins are all known.
fn servers(text: &str) -> Result<Vec<Server>, String> {
    let mut out: Vec<Server> = Vec::new();
    let mut depth = 0usize;
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let told = |why: String| format!("Corefile:{}: {why}", at + 1);
        let opens = line.ends_with('{');
        let mut words = line.trim_end_matches('{').split_whitespace();
        match (depth, words.next()) {
            (_, None) => {}
            (_, Some("}")) => depth = depth.checked_sub(1).ok_or_else(|| told("unexpected '}'".into()))?,
            (0, Some(first)) => {
                if !opens {
                    return Err(told("a server without a block".into()));
                }
                let mut server = Server::default();
                for key in std::iter::once(first).chain(words) {
                    let port =
                        key.rsplit_once(':').and_then(|(_, port)| port.trim_end_matches(',').parse().ok());
                    server.ports.push(port.unwrap_or(53));
                }
                server.ports.dedup();
                out.push(server);
            }
            (1, Some(plugin)) => {
                if !PLUGINS.contains(&plugin) {
                    return Err(told(format!("Unknown directive '{plugin}'")));
                }
                let arguments: Vec<&str> = words.collect();
                let address = |default: u16| {
                    let given = arguments.first().copied().unwrap_or_default();
                    let (host, port) = given.rsplit_once(':').unwrap_or(("", ""));
                    SocketAddr::new(
                        host.parse().unwrap_or(IpAddr::from([0, 0, 0, 0])),
                        port.parse().unwrap_or(default),
                    )
                };
                let Some(server) = out.last_mut() else { continue };
                match plugin {
                    "health" => server.health = Some(address(8080)),
                    "ready" => server.ready = Some(address(8181)),
                    "bind" => {
                        server.addresses.extend(arguments.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()));
                    }
                    "kubernetes" => server
                        .zones
                        .extend(arguments.iter().map(|zone| zone.trim_end_matches('.').to_lowercase())),
                    _ => {}
                }
            }
            _ => {}
        }
        if opens {
            depth += 1;
        }
    }
    if depth == 0 && !out.is_empty() {
        Ok(out)
    } else {
        Err("Corefile: a block does not end, or there is none".into())
    }
}

/// Runs until the process is ended.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let path = match arguments {
        [flag, path, ..] if flag == "-conf" => path.as_str(),
        [flag] if flag == "-version" || flag == "--version" => {
            crate::say(&format!("CoreDNS-{}", crate::version().trim_start_matches('v')));
            return Ok(());
        }
        [] => "Corefile",
        other => return Err(format!("flag provided but not defined: {other:?}")),
    };
    let servers = servers(&files::read(path)?)?;
    let names: Names = Arc::default();
    for server in servers {
        let zones: Arc<[String]> = server.zones.clone().into();
        let addresses = if server.addresses.is_empty() {
            vec![IpAddr::from([0, 0, 0, 0])]
        } else {
            server.addresses.clone()
        };
        for address in
            addresses.iter().flat_map(|ip| server.ports.iter().map(|port| SocketAddr::new(*ip, *port)))
        {
            listen(address, &zones, &names).map_err(|error| format!("listen {address}: {error}"))?;
        }
        for (address, at, needs_names) in [(server.health, "/health", false), (server.ready, "/ready", true)]
        {
            let Some(address) = address else { continue };
            let names = Arc::clone(&names);
            let has_zones = !zones.is_empty();
            let handler: Handler = Arc::new(move |request| {
                let is_known = names.lock().unwrap_or_else(PoisonError::into_inner).is_some();
                match request.path == at {
                    true if needs_names && has_zones && !is_known => Answer::Text(503, "kubernetes".into()),
                    true => Answer::Text(200, "OK".into()),
                    false => Answer::Text(404, "404 page not found".into()),
                }
            });
            if let Ok(listener) = TcpListener::bind(address) {
                std::thread::spawn(move || serve(listener, None, handler));
            }
        }
    }
    let mut last = String::new();
    loop {
        let problem = match known() {
            Ok(found) => {
                *names.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                String::new()
            }
            Err(error) => error,
        };
        if !problem.is_empty() && problem != last {
            crate::told(&problem);
        }
        last = problem;
        std::thread::sleep(ROUND);
    }
}

/// Asks the cluster, as its pods do.
fn known() -> Result<Vec<(String, IpAddr)>, String> {
    let variable = |name: &str| {
        std::env::var(name).map_err(|_| format!("unable to load in-cluster configuration: {name} is not set"))
    };
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let authority = files::read(&format!("{TOKENS}/ca.crt"))?.into_bytes();
    let access = Access {
        server: format!(
            "https://{}",
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        ),
        identity: Identity { authority: Some(authority), pair: None },
        token: Some(files::read(&format!("{TOKENS}/token"))?.trim().to_owned()),
    };
    let services = Client::new(&access, "coredns")?.list("/api/v1/services")?;
    let text = |service: &Value, pointer: &str| {
        service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let name = |service: &Value| {
        format!("{}.{}.svc", text(service, "/metadata/name"), text(service, "/metadata/namespace"))
    };
    Ok(services
        .iter()
        .filter_map(|service| Some((name(service), text(service, "/spec/clusterIP").parse().ok()?)))
        .collect())
}

fn listen(address: SocketAddr, zones: &Arc<[String]>, names: &Names) -> std::io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    let listener = TcpListener::bind(address)?;
    let (of_udp, zones_of_udp) = (Arc::clone(names), Arc::clone(zones));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) =
                buffer.get(..length).and_then(|packet| answer(packet, &zones_of_udp, &of_udp))
            {
                _ = socket.send_to(&answer, from);
            }
        }
    });
    let (names, zones) = (Arc::clone(names), Arc::clone(zones));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            _ = stream.set_read_timeout(Some(ROUND));
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut packet).is_ok()
                && let Some(answer) = answer(&packet, &zones, &names)
            {
                let length = u16::try_from(answer.len()).unwrap_or_default().to_be_bytes();
                _ = stream.write_all(&[&length, answer.as_slice()].concat());
            }
        }
    });
    Ok(())
}

/// The answer to a packet of DNS with one question.
fn answer(packet: &[u8], zones: &[String], names: &Names) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        if length > 63 || labels.len() > 100 {
            return None;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let question = packet.get(12..at + 4)?;
    let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
    let name = labels.join(".");
    let zone = zones.iter().find(|zone| name == **zone || name.ends_with(&format!(".{zone}")));
    let names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let found = zone.and_then(|zone| {
        let short = name.strip_suffix(zone.as_str())?.trim_end_matches('.');
        names.iter().flatten().find(|(known, _)| known == short).map(|(_, ip)| *ip)
    });
    // Names of others are not ours to answer.
    let code: u8 = match (zone, found) {
        (Some(_), Some(_)) => 0,
        (Some(_), None) => 3,
        (None, _) => 5,
    };
    let data = match (found, kind) {
        (Some(IpAddr::V4(ip)), 1) => Some(ip.octets().to_vec()),
        (Some(IpAddr::V6(ip)), 28) => Some(ip.octets().to_vec()),
        _ => None,
    };
    let mut out = packet.get(..2)?.to_vec();
    out.extend([0x84 | (packet.get(2)? & 1), code, 0, 1, 0, u8::from(data.is_some()), 0, 0, 0, 0]);
    out.extend(question);
    if let Some(data) = data {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 5]);
        out.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        out.extend(data);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_names() {
        let names: Names = Arc::new(Mutex::new(Some(vec![(
            "kubernetes.default.svc".into(),
            "10.233.0.1".parse().unwrap(),
        )])));
        let ask = |name: &str| {
            let mut packet = vec![7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.split('.') {
                packet.push(u8::try_from(label.len()).unwrap());
                packet.extend(label.as_bytes());
            }
            packet.extend([0, 0, 1, 0, 1]);
            answer(&packet, &["cluster.local".to_owned()], &names).unwrap()
        };
        let found = ask("kubernetes.default.svc.cluster.local");
        assert_eq!((found[3], found[7], &found[found.len() - 4..]), (0, 1, &[10, 233, 0, 1][..]));
        assert_eq!(ask("other.default.svc.cluster.local")[3], 3);
        assert_eq!(ask("example.org")[3], 5);
        assert!(answer(&[0; 5], &[], &names).is_none());
    }

    #[test]
    fn corefiles_are_read_strictly() {
        let text = ".:53 {\n    errors\n    health {\n        lameduck 5s\n    }\n    ready\n    kubernetes cluster.local in-addr.arpa {\n        pods insecure\n    }\n    forward . /etc/resolv.conf {\n        prefer_udp\n    }\n}\n";
        let found = servers(text).unwrap();
        assert_eq!((found[0].ports.as_slice(), found[0].zones[0].as_str()), (&[53][..], "cluster.local"));
        assert_eq!(found[0].ready.unwrap().port(), 8181);
        assert_eq!(
            servers(".:53 {\n    nonsense\n}\n").unwrap_err(),
            "Corefile:2: Unknown directive 'nonsense'"
        );
        assert!(servers(".:53 {\n").is_err());
    }
}
