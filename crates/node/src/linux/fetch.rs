//! Fetching URLs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Proxy};

use super::{LinuxHost, files, refused, words};
use crate::{Fetch, Host, HostError};

/// Where distributions keep the certificates that they trust.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

const CONNECT: Duration = Duration::from_secs(30);

/// The host's trusted certificates, read when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Roots(OnceLock<Arc<Vec<Certificate<'static>>>>);

impl Roots {
    fn get(&self, host: &LinuxHost) -> Arc<Vec<Certificate<'static>>> {
        let read = || {
            let pem = BUNDLES.iter().find_map(|path| fs::read(host.path(path)).ok()).unwrap_or_default();
            let found = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            Arc::new(found.collect())
        };
        Arc::clone(self.0.get_or_init(read))
    }
}

/// Addresses of one server that are tried.
const MOST_ADDRESSES: usize = 8;

/// Looks names up as the host does.
#[derive(Debug)]
pub(super) struct HostResolver {
    root: PathBuf,
    folders: Vec<PathBuf>,
}

impl HostResolver {
    pub(super) fn of(host: &LinuxHost) -> Self {
        Self { root: host.root.clone(), folders: host.folders.clone() }
    }
}

impl Resolver for HostResolver {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let host = LinuxHost::at(self.root.clone(), self.folders.clone());
        let addresses = host.addresses(name).map_err(|_| ureq::Error::HostNotFound)?;
        let mut out = self.empty();
        // More than a few are not tried in the time there is.
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            out.push(SocketAddr::new(address, port));
        }
        Ok(out)
    }
}

/// Fetches a URL into a file. What cannot be had (404) is [`HostError::Refused`], what may be had later
/// [`HostError::Unreachable`].
pub(super) fn fetch(host: &LinuxHost, fetch: &Fetch<'_>) -> Result<(), HostError> {
    let to = host.path(fetch.to);
    if let Some(path) = fetch.url.strip_prefix("file://") {
        let from = File::open(host.path(path)).map_err(refused("read", path))?;
        let mut out = files::open_part(&to, 0).map_err(refused("write", fetch.to))?;
        return copy(host, from, &mut out, fetch, &to);
    }
    let mut offset = fetch.offset;
    let response = ask(host, fetch, offset)?;
    let response = match response.status() {
        // The server has no such part; where that is because we have all, the digest will tell.
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
            offset = 0;
            ask(host, fetch, 0)?
        }
        _ => response,
    };
    let status = response.status();
    if status == StatusCode::PARTIAL_CONTENT && begins_at(&response) == Some(offset) {
        // It goes on where we stopped.
    } else if status == StatusCode::OK {
        offset = 0;
    } else {
        let what = format!("fetch `{}`", shown(fetch.url));
        let why = format!("the server answers {status}").to_lowercase();
        let passes = status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT, StatusCode::PARTIAL_CONTENT]
                .contains(&status);
        return Err(if passes {
            HostError::Unreachable { what, why }
        } else {
            HostError::Refused { what, why }
        });
    }
    let mut out = files::open_part(&to, offset).map_err(refused("write", fetch.to))?;
    copy(host, response.into_body().into_reader(), &mut out, fetch, &to)
}

fn ask(host: &LinuxHost, fetch: &Fetch<'_>, offset: u64) -> Result<Response<Body>, HostError> {
    let failed = |error: ureq::Error| HostError::Unreachable {
        what: format!("fetch `{}`", shown(fetch.url)),
        why: error.to_string(),
    };
    let agent = agent(host, fetch.proxy, fetch.verify_tls, fetch.timeout)
        .map_err(|why| HostError::Refused { what: format!("fetch `{}`", shown(fetch.url)), why })?;
    // The digest is of the bytes as they are stored there.
    let mut request = agent.get(fetch.url).header(ACCEPT_ENCODING, "identity");
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
    }
    request.call().map_err(failed)
}

impl LinuxHost {
    /// What asks servers of the internet over HTTP: it trusts whom the host trusts and looks names up as the host does.
    /// `timeout` is how long a server may say nothing. A proxy that is no URL is the error.
    pub fn http_agent(
        &self,
        proxy: Option<&str>,
        verify_tls: bool,
        timeout: Duration,
    ) -> Result<Agent, String> {
        agent(self, proxy, verify_tls, timeout)
    }
}

fn agent(
    host: &LinuxHost,
    proxy: Option<&str>,
    verify_tls: bool,
    timeout: Duration,
) -> Result<Agent, String> {
    let proxy = proxy.map(Proxy::new).transpose().map_err(|_| "the proxy is no URL")?;
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(if verify_tls { host.roots.get(host) } else { Arc::default() }))
        .disable_verification(!verify_tls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = Agent::config_builder()
        .proxy(proxy)
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT.min(timeout)))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        .user_agent("kubespray")
        .build();
    Ok(Agent::with_parts(config, DefaultConnector::default(), HostResolver::of(host)))
}

/// The first byte of a partial answer.
fn begins_at(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn copy(
    host: &LinuxHost,
    mut from: impl Read,
    to: &mut File,
    fetch: &Fetch<'_>,
    path: &Path,
) -> Result<(), HostError> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        if host.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        let count = from.read(&mut buffer).map_err(|error| HostError::Unreachable {
            what: format!("fetch `{}`", shown(fetch.url)),
            why: words(&error),
        })?;
        if count == 0 {
            break;
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).map_err(refused("write", fetch.to))?;
    }
    to.sync_all().and_then(|()| super::sync_folder(path)).map_err(refused("write", fetch.to))
}

/// A URL without user and password.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
}
