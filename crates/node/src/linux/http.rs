//! Requests to servers such as the API server, over connections that are kept for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::http::Response;
use ureq::http::header::{ACCEPT, AUTHORIZATION, RETRY_AFTER};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, RequestBuilder};

use super::LinuxHost;
use super::fetch::HostResolver;
use crate::{HostError, HttpIdentity, HttpRequest, HttpResponse};

const CONNECT: Duration = Duration::from_secs(10);

/// Kept connections are not used longer than this without a request: API servers are restarted.
const IDLE: Duration = Duration::from_secs(5);

/// More is no answer of a server that we ask.
const LONGEST_BODY: u64 = 256 << 20;

/// More identities than a host has are not kept.
const MOST_AGENTS: usize = 8;

/// Connections by who asks.
#[derive(Debug, Default)]
pub(super) struct Agents(Mutex<Vec<(HttpIdentity, Agent)>>);

/// Asks, and gives the answer whatever its status. A server whose certificate is not believed, or that refuses
/// ours, is [`HostError::Refused`]; one that cannot be reached may be reached later.
pub(super) fn ask(host: &LinuxHost, request: &HttpRequest<'_>) -> Result<HttpResponse, HostError> {
    let what = || format!("{} `{}`", request.method, request.url);
    let refused = |why: String| HostError::Refused { what: what(), why };
    let agent = agent(host, request.identity).map_err(&refused)?;
    match send(&agent, request).and_then(|mut response| {
        let retry_after_s = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse().ok());
        let body = response.body_mut().with_config().limit(LONGEST_BODY).read_to_vec()?;
        Ok(HttpResponse { status: response.status().as_u16(), retry_after_s, body })
    }) {
        Ok(response) => Ok(response),
        Err(ureq::Error::Timeout(_)) => {
            Err(HostError::Timeout { what: what(), seconds: request.timeout.as_secs() })
        }
        Err(error) => {
            let why = error.to_string();
            // Neither certificates nor addresses that are none get better by waiting.
            let lower = why.to_lowercase();
            if lower.contains("certificate") || matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_))
            {
                Err(refused(why))
            } else {
                Err(HostError::Unreachable { what: what(), why })
            }
        }
    }
}

fn send(agent: &Agent, request: &HttpRequest<'_>) -> Result<Response<Body>, ureq::Error> {
    let with_body = match request.method {
        "GET" => return prepared(agent.get(request.url), request).call(),
        "POST" => agent.post(request.url),
        "PATCH" => agent.patch(request.url),
        "PUT" => agent.put(request.url),
        "DELETE" => agent.delete(request.url).force_send_body(),
        other => return Err(ureq::Error::BadUri(format!("no method `{other}`"))),
    };
    let body = request.body.as_deref().unwrap_or_default();
    prepared(with_body.content_type(request.content_type), request).send(body)
}

fn prepared<B>(builder: RequestBuilder<B>, request: &HttpRequest<'_>) -> RequestBuilder<B> {
    let mut builder = builder.header(ACCEPT, "application/json");
    if let Some(token) = &request.identity.token {
        builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    builder.config().timeout_global(Some(request.timeout)).build()
}

/// The connections of an identity, made when they are first needed.
fn agent(host: &LinuxHost, identity: &HttpIdentity) -> Result<Agent, String> {
    let mut agents = host.agents.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, agent)) = agents.iter().find(|(known, _)| known == identity) {
        return Ok(agent.clone());
    }
    let authorities = parse_pem(identity.authorities.as_bytes())
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect::<Vec<Certificate<'static>>>();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .disable_verification(identity.insecure)
        .client_cert(client(identity)?)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = Agent::config_builder()
        .proxy(None)
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .max_idle_age(IDLE)
        .user_agent("kubespray")
        .build();
    let agent = Agent::with_parts(config, DefaultConnector::default(), HostResolver::of(host));
    if agents.len() >= MOST_AGENTS {
        agents.remove(0);
    }
    agents.push((identity.clone(), agent.clone()));
    Ok(agent)
}

/// Our certificate with its key; refused where they do not belong together, which the TLS library would not
/// survive.
fn client(identity: &HttpIdentity) -> Result<Option<ClientCert>, String> {
    let (Some(certificate), Some(key)) = (&identity.certificate, &identity.key) else { return Ok(None) };
    let unreadable = |_| "the client certificate or its key cannot be read".to_owned();
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let private = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unreadable)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    rustls::sign::CertifiedKey::from_der(chain.clone(), private, &provider)
        .map_err(|error| format!("the client certificate and its key cannot be used: {error}"))?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let key = PrivateKey::from_pem(key.as_bytes())
        .map_err(|_| "the key of the client certificate cannot be read".to_owned())?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}
