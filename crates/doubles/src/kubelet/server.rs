//! What a kubelet serves: whether it is well, and its pods and logs to those who may ask.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{FOLDER, Kubelet, bootstrap, text};
use crate::client::path;
use crate::cri::{CONTAINER_NAME, POD_NAME, POD_NAMESPACE};
use crate::files;
use crate::net::server::{Answer, Request, serve};
use crate::net::tls::{self, Clients};
use crate::pki::{Authority, Facts, Leaf};

/// Serves in threads of its own.
pub(super) fn start(kubelet: &Arc<Kubelet>) -> Result<(), String> {
    health(kubelet)?;
    let of_thread = Arc::clone(kubelet);
    std::thread::spawn(move || {
        loop {
            if let Err(error) = main(&of_thread) {
                crate::told(&format!("server: {error}"));
            }
            std::thread::sleep(Duration::from_secs(5));
        }
    });
    Ok(())
}

fn health(kubelet: &Arc<Kubelet>) -> Result<(), String> {
    let port = kubelet.number("healthzPort", 10248);
    let Some(port) = u16::try_from(port).ok().filter(|port| *port > 0) else { return Ok(()) };
    let address = match text(&kubelet.config, "/healthzBindAddress") {
        "" => "127.0.0.1",
        address => address,
    };
    let address: IpAddr = address.parse().map_err(|_| "invalid healthzBindAddress")?;
    let listener = TcpListener::bind(SocketAddr::new(address, port))
        .map_err(|error| format!("listen on {address}:{port}: {error}"))?;
    let kubelet = Arc::clone(kubelet);
    std::thread::spawn(move || {
        serve(
            listener,
            None,
            Arc::new(move |request| match request.path.as_str() {
                "/healthz" => match kubelet.cri.version() {
                    Ok(_) => Answer::Text(200, "ok".into()),
                    Err(error) => Answer::Text(500, error),
                },
                "/healthz/ping" => Answer::Text(200, "ok".into()),
                _ => Answer::Text(404, "404 page not found".into()),
            }),
        );
    });
    Ok(())
}

/// Certificate and key of the server.
fn pair(kubelet: &Kubelet) -> Result<(String, String), String> {
    let (certificate, key) =
        (text(&kubelet.config, "/tlsCertFile"), text(&kubelet.config, "/tlsPrivateKeyFile"));
    if !certificate.is_empty() {
        return Ok((certificate.to_owned(), key.to_owned()));
    }
    let names = vec![kubelet.name.clone(), kubelet.ip.clone()];
    if kubelet.config["serverTLSBootstrap"] == true {
        let current = format!("{FOLDER}/pki/kubelet-server-current.pem");
        if !files::is_there(&current) {
            let client = kubelet.client().ok_or("no API server")?;
            let wish = Leaf {
                name: format!("system:node:{}", kubelet.name),
                organisations: vec!["system:nodes".into()],
                names,
                ..Leaf::default()
            };
            let made =
                bootstrap::certificate(&client, &wish, "kubernetes.io/kubelet-serving", "server auth")?;
            bootstrap::write_current("server", &made)?;
        }
        return Ok((current.clone(), current));
    }
    let (certificate, key) = (format!("{FOLDER}/pki/kubelet.crt"), format!("{FOLDER}/pki/kubelet.key"));
    if !files::is_there(&certificate) {
        let year = Duration::from_hours(8760);
        let authority = Authority::create(&format!("{}-ca", kubelet.name), "ECDSA-P256", year)?;
        let wish = Leaf { name: kubelet.name.clone(), names, server: true, lasts: year, ..Leaf::default() };
        let (made, made_key) = authority.issue(&wish, "ECDSA-P256")?;
        files::write(Path::new(&key), made_key.as_bytes(), 0o600)?;
        files::write(Path::new(&certificate), format!("{made}{}", authority.pem).as_bytes(), 0o644)?;
    }
    Ok((certificate, key))
}

fn main(kubelet: &Arc<Kubelet>) -> Result<(), String> {
    let (certificate, key) = pair(kubelet)?;
    let config = tls::server(&certificate, &key)?;
    let authority = text(&kubelet.config, "/authentication/x509/clientCAFile");
    let authority = std::fs::read(authority).map_err(|error| format!("{authority}: {error}"))?;
    let clients = Clients::new(&[authority])?;
    let address: IpAddr = match text(&kubelet.config, "/address") {
        "" => "0.0.0.0",
        address => address,
    }
    .parse()
    .map_err(|_| "invalid address")?;
    let port = u16::try_from(kubelet.number("port", 10250)).map_err(|_| "invalid port")?;
    let listener = TcpListener::bind(SocketAddr::new(address, port))
        .map_err(|error| format!("listen on {address}:{port}: {error}"))?;
    let kubelet = Arc::clone(kubelet);
    serve(listener, Some(config), Arc::new(move |request| answer(&kubelet, &clients, request)));
    Ok(())
}

fn answer(kubelet: &Kubelet, clients: &Clients, request: &Request) -> Answer {
    let Some(certificate) = &request.certificate else { return Answer::Text(401, "Unauthorized".into()) };
    let facts = match clients.vouched(certificate).and_then(|_| Facts::of(certificate)) {
        Ok(facts) => facts,
        Err(error) => {
            crate::told(&error);
            return Answer::Text(401, "Unauthorized".into());
        }
    };
    if !may(kubelet, &facts) {
        return Answer::Text(
            403,
            format!(
                "Forbidden (user={}, verb={}, resource=nodes)",
                facts.name,
                request.method.to_lowercase()
            ),
        );
    }
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz"] => Answer::Text(200, "ok".into()),
        ["pods"] => match kubelet.client().map(|client| {
            client.list(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", kubelet.name))
        }) {
            Some(Ok(pods)) => {
                Answer::Json(200, json!({"kind": "PodList", "apiVersion": "v1", "items": pods}))
            }
            _ => Answer::Text(500, "no API server".into()),
        },
        ["containerLogs", namespace, pod, container] => logs(kubelet, namespace, pod, container),
        _ => Answer::Text(404, "404 page not found".into()),
    }
}

/// Asks the cluster, where it is configured so.
fn may(kubelet: &Kubelet, facts: &Facts) -> bool {
    if text(&kubelet.config, "/authorization/mode") == "AlwaysAllow" {
        return true;
    }
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {"user": facts.name, "groups": facts.organisations,
            "resourceAttributes": {"verb": "get", "version": "v1", "resource": "nodes", "subresource": "proxy", "name": kubelet.name}}});
    let answer = kubelet.client().map(|client| {
        client.create(&path("authorization.k8s.io/v1", "subjectaccessreviews", "", ""), &review)
    });
    matches!(answer, Some(Ok(answer)) if answer.pointer("/status/allowed") == Some(&Value::Bool(true)))
}

fn logs(kubelet: &Kubelet, namespace: &str, pod: &str, container: &str) -> Answer {
    let labels = [(POD_NAME, pod), (POD_NAMESPACE, namespace), (CONTAINER_NAME, container)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let found = kubelet.cri.containers_with(&labels).unwrap_or_default();
    let Some(newest) = found.iter().max_by_key(|one| one.created) else {
        return Answer::Text(404, "no such container".into());
    };
    let uid = newest.labels.get(crate::cri::POD_UID).map_or("", String::as_str);
    let file = format!("/var/log/pods/{namespace}_{pod}_{uid}/{container}/{}.log", newest.attempt);
    match std::fs::read_to_string(&file) {
        // Each line begins with its time, stream and a flag.
        Ok(text) => Answer::Text(
            200,
            text.lines()
                .flat_map(|line| {
                    [
                        line.splitn(4, ' ').nth(3).unwrap_or_default(),
                        "
",
                    ]
                })
                .collect(),
        ),
        Err(error) => Answer::Text(500, format!("{file}: {error}")),
    }
}
