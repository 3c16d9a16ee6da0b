//! The distribution protocol of OCI, as far as pulling needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kubespray_node::LinuxHost;
use kubespray_resource::Digest;
use kubespray_spec::Secret;
use serde::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

use crate::oci::{
    DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, Document, INDEX, LARGEST_MANIFEST, MANIFEST, is_manifest_type,
};
use crate::problem::{Problem, cannot, shown};
use crate::reference::{Reference, Version};
use crate::store::{Store, digest_of};
use crate::transfer::Transfer;

/// More is no token.
const LONGEST_TOKEN: u64 = 1 << 20;

/// Asks registries. Many threads may use it at once.
pub(crate) struct Client<'a> {
    host: LinuxHost,
    transfer: &'a Transfer,
    agents: Mutex<BTreeMap<(Option<String>, bool), Agent>>,
    /// What `Authorization` is worth, by server and repository.
    tokens: Mutex<BTreeMap<(String, String), Secret>>,
    /// Servers that nobody could connect to: they are asked once.
    dead: Mutex<BTreeSet<String>>,
}

/// Where a repository may be had.
#[derive(Clone, Debug)]
struct Place {
    /// The URL before the repository's path, such as `https://registry-1.docker.io/v2`.
    base: String,
    /// The registry that it stands in for.
    registry: String,
    /// The server, as credentials name it.
    server: String,
    is_mirror: bool,
    verify_tls: bool,
    headers: Vec<(String, Secret)>,
}

/// Why a server did not give something.
#[derive(Debug)]
struct Refusal {
    message: String,
    /// Whether it may give it later.
    passes: bool,
}

/// A manifest, stored.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) descriptor: Descriptor,
    pub(crate) document: Document,
}

impl<'a> Client<'a> {
    pub(crate) fn new(transfer: &'a Transfer) -> Self {
        Self {
            host: LinuxHost::new(),
            transfer,
            agents: Mutex::default(),
            tokens: Mutex::default(),
            dead: Mutex::default(),
        }
    }

    /// Mirrors first, the registry last.
    fn places(&self, registry: &str) -> Vec<Place> {
        let mut places = Vec::new();
        for mirror in self.transfer.mirrors.get(registry).into_iter().flatten() {
            let url = mirror.url.trim_end_matches('/');
            let base = if mirror.override_path { url.to_owned() } else { format!("{url}/v2") };
            let server = url.split_once("://").map_or(url, |(_, rest)| rest);
            places.push(Place {
                base,
                registry: registry.to_owned(),
                server: server.split('/').next().unwrap_or_default().to_owned(),
                is_mirror: true,
                verify_tls: mirror.verify_tls && self.transfer.verify_tls,
                headers: mirror.headers.clone(),
            });
        }
        let name = registry.rsplit_once(':').map_or(registry, |(name, _)| name);
        let is_plain = self.transfer.plain_http.contains(registry)
            || ["localhost", "127.0.0.1", "[::1]"].contains(&name);
        let address = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        places.push(Place {
            base: format!("{}://{address}/v2", if is_plain { "http" } else { "https" }),
            registry: registry.to_owned(),
            server: registry.to_owned(),
            is_mirror: false,
            verify_tls: self.transfer.verify_tls,
            headers: Vec::new(),
        });
        places
    }

    /// Tries every place, and all of them again while one of them may still give it.
    fn try_all<T>(
        &self,
        reference: &Reference,
        what: &str,
        get: impl Fn(&Place) -> Result<T, Refusal>,
    ) -> Result<T, Problem> {
        let places = self.places(&reference.registry);
        let mut pause = self.transfer.pause;
        let mut said = Vec::new();
        for attempt in 0..self.transfer.attempts.max(1) {
            if attempt > 0 {
                std::thread::sleep(pause);
                pause = pause.saturating_mul(2).min(Duration::from_secs(30));
            }
            let mut passes = false;
            said.clear();
            for place in &places {
                if lock(&self.dead).contains(&place.base) {
                    said.push(format!("`{}` cannot be connected to", shown(&place.base)));
                    continue;
                }
                match get(place) {
                    Ok(found) => return Ok(found),
                    Err(refusal) => {
                        passes |= refusal.passes;
                        said.push(refusal.message);
                    }
                }
            }
            if !passes {
                break;
            }
        }
        let problem = Problem::new(format!("{what} of `{reference}` cannot be had")).hint(
            "see that this machine reaches the registry or a mirror of it, through its proxy where it needs one; or give \
             the image with `--image-archive`",
        );
        Err(said.into_iter().fold(problem, Problem::because))
    }

    /// Fetches a manifest, or an index, and stores it.
    pub(crate) fn manifest(&self, store: &Store, reference: &Reference) -> Result<Manifest, Problem> {
        let (bytes, media_type) = self.try_all(reference, "the manifest", |place| {
            let path = format!("{}/manifests/{}", reference.repository, reference.version.in_url());
            let mut response = self.get(place, &reference.repository, &path, 0)?;
            let status = response.status();
            if status != StatusCode::OK {
                return Err(refused(place, &path, status));
            }
            let media_type = header(&response, CONTENT_TYPE.as_str());
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
            let mut bytes = Vec::new();
            let body = response.body_mut().as_reader().take(LARGEST_MANIFEST + 1).read_to_end(&mut bytes);
            body.map_err(|error| unreachable(place, &path, &error.to_string()))?;
            if let Version::Digest(wanted) = &reference.version {
                let is = Digest::of(&bytes);
                if is != *wanted {
                    return Err(wrong(place, &path, &format!("gave {is}")));
                }
            }
            if bytes.len() as u64 > LARGEST_MANIFEST {
                return Err(wrong(place, &path, "is too large for a manifest"));
            }
            Ok((bytes, media_type))
        })?;
        let document = Document::read(&bytes)
            .map_err(|why| Problem::new(format!("`{reference}` cannot be used: {why}")))?;
        let (digest, size) = store.put(None, bytes.as_slice(), &reference.to_string())?;
        let media_type = if is_manifest_type(&media_type) { media_type } else { document.kind().to_owned() };
        let descriptor = Descriptor {
            media_type,
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        };
        Ok(Manifest { descriptor, document })
    }

    /// Fetches a blob unless it is there, and tells how many bytes came. What came before is taken up.
    pub(crate) fn blob(
        &self,
        store: &Store,
        reference: &Reference,
        blob: &Descriptor,
    ) -> Result<u64, Problem> {
        let _taken = store.take(&blob.digest);
        if store.has(&blob.digest, blob.size) {
            return Ok(0);
        }
        let what = format!("the blob sha256:{}", blob.digest);
        self.try_all(reference, &what, |place| self.blob_from(store, place, &reference.repository, blob))
    }

    fn blob_from(
        &self,
        store: &Store,
        place: &Place,
        repository: &str,
        blob: &Descriptor,
    ) -> Result<u64, Refusal> {
        let path = format!("{repository}/blobs/sha256:{}", blob.digest);
        let partial = store.partial(&blob.digest);
        let ours = |problem: Problem| Refusal { message: problem.to_string(), passes: false };
        let disk = |error| ours(cannot("write", &partial)(error));
        let mut offset = fs::metadata(&partial).map_or(0, |found| found.len());
        if offset > blob.size {
            offset = 0;
        }
        let mut came = 0;
        if offset < blob.size || offset == 0 {
            let mut response = self.get(place, repository, &path, offset)?;
            match response.status() {
                StatusCode::PARTIAL_CONTENT if begins_at(&response) == Some(offset) => {}
                StatusCode::OK => offset = 0,
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    fs::remove_file(&partial).map_err(disk)?;
                    let why = "has no such part; once more from the beginning".to_owned();
                    return Err(Refusal { passes: true, ..wrong(place, &path, &why) });
                }
                status => return Err(refused(place, &path, status)),
            }
            let mut file = OpenOptions::new()
                .create(true)
                .append(offset > 0)
                .write(true)
                .truncate(offset == 0)
                .open(&partial)
                .map_err(disk)?;
            came = copy(
                response.body_mut().as_reader().take(blob.size.saturating_sub(offset) + 1),
                &mut file,
                |error| unreachable(place, &path, &error.to_string()),
                disk,
            )?;
            file.sync_all().map_err(disk)?;
        }
        let is = digest_of(&partial).map_err(ours)?;
        if is == blob.digest {
            store.keep(&partial, &blob.digest).map_err(ours)?;
            return Ok(came);
        }
        let size = fs::metadata(&partial).map_or(0, |found| found.len());
        if size < blob.size {
            // The server ended early without saying so.
            return Err(unreachable(place, &path, &format!("ended after {size} of {} bytes", blob.size)));
        }
        fs::remove_file(&partial).map_err(disk)?;
        // What was there before may have come from another place: once more from the beginning.
        Err(Refusal { passes: offset > 0, ..wrong(place, &path, &format!("gave {is}")) })
    }

    /// Asks once, and once more with the token or password that the server wants.
    fn get(
        &self,
        place: &Place,
        repository: &str,
        path: &str,
        offset: u64,
    ) -> Result<Response<Body>, Refusal> {
        let key = (place.base.clone(), repository.to_owned());
        let known = lock(&self.tokens).get(&key).cloned();
        let response = self.send(place, path, offset, known.as_ref())?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges: Vec<String> =
            challenges.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        drop(response);
        let Some(authorization) = self.authorization(place, repository, &challenges)? else {
            return Err(refused(place, path, StatusCode::UNAUTHORIZED));
        };
        lock(&self.tokens).insert(key, authorization.clone());
        self.send(place, path, offset, Some(&authorization))
    }

    fn send(
        &self,
        place: &Place,
        path: &str,
        offset: u64,
        authorization: Option<&Secret>,
    ) -> Result<Response<Body>, Refusal> {
        let mut url = format!("{}/{path}", place.base);
        if place.is_mirror {
            url = format!("{url}?ns={}", place.registry);
        }
        let agent = self.agent(&url, place.verify_tls)?;
        let accept = [INDEX, DOCKER_INDEX, MANIFEST, DOCKER_MANIFEST, "*/*"].join(", ");
        let mut request = agent.get(&url).header(ACCEPT, accept);
        for (name, value) in &place.headers {
            request = request.header(name, value.expose());
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.expose());
        }
        if offset > 0 {
            request = request.header(RANGE, format!("bytes={offset}-"));
        }
        request.call().map_err(|error| {
            if is_about_connecting(&error) {
                lock(&self.dead).insert(place.base.clone());
            }
            failed(place, path, &error)
        })
    }

    fn agent(&self, url: &str, verify_tls: bool) -> Result<Agent, Refusal> {
        let proxy = self.transfer.proxy(url);
        let key = (proxy.map(str::to_owned), verify_tls);
        let mut agents = lock(&self.agents);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self
            .host
            .http_agent(proxy, verify_tls, self.transfer.timeout)
            .map_err(|message| Refusal { message, passes: false })?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    /// What `Authorization` must be for one of the challenges; nothing where we have nothing for any.
    fn authorization(
        &self,
        place: &Place,
        repository: &str,
        challenges: &[String],
    ) -> Result<Option<Secret>, Refusal> {
        let credentials = self.transfer.credentials.get(&place.server);
        for challenge in challenges {
            let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                return self.token(place, repository, &parameters(rest), credentials).map(Some);
            }
            if scheme.eq_ignore_ascii_case("basic") {
                return Ok(credentials.map(|auth| Secret::new(format!("Basic {}", auth.expose()))));
            }
        }
        Ok(None)
    }

    fn token(
        &self,
        place: &Place,
        repository: &str,
        challenge: &BTreeMap<String, String>,
        credentials: Option<&Secret>,
    ) -> Result<Secret, Refusal> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(alias = "access_token")]
            token: String,
        }
        let realm = challenge.get("realm").map(String::as_str).unwrap_or_default();
        let what = "a token";
        if !realm.starts_with("https://") && !realm.starts_with("http://") {
            return Err(wrong(place, what, "is to come from nowhere: the challenge names no realm"));
        }
        if realm.starts_with("http://") && place.base.starts_with("https://") {
            return Err(wrong(place, what, &format!("is to come from `{realm}`, without TLS")));
        }
        let scope = challenge.get("scope").cloned();
        let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
        let mut request = self.agent(realm, place.verify_tls)?.get(realm).query("scope", scope);
        if let Some(service) = challenge.get("service") {
            request = request.query("service", service);
        }
        if let Some(auth) = credentials {
            request = request.header(AUTHORIZATION, format!("Basic {}", auth.expose()));
        }
        let mut response = request.call().map_err(|error| failed(place, what, &error))?;
        if response.status() != StatusCode::OK {
            return Err(refused(place, what, response.status()));
        }
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(LONGEST_TOKEN).read_to_end(&mut bytes);
        read.map_err(|error| unreachable(place, what, &error.to_string()))?;
        // Some servers write the token under both names, which serde takes for a mistake.
        let answer = serde_json::from_slice::<Answer>(&bytes).map(|answer| answer.token).or_else(|_| {
            let value: serde_json::Value = serde_json::from_slice(&bytes)?;
            let text = value.get("token").or_else(|| value.get("access_token"));
            Ok::<_, serde_json::Error>(text.and_then(|text| text.as_str()).unwrap_or_default().to_owned())
        });
        match answer {
            Ok(token) if !token.is_empty() => Ok(Secret::new(format!("Bearer {token}"))),
            _ => Err(wrong(place, what, "is not in the answer")),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `key="value",key=value` of a challenge.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => match after.find(',') {
                Some(at) => after.split_at(at),
                None => (after, ""),
            },
        };
        out.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        rest = after.trim_start_matches([',', ' ']);
    }
    out
}

/// Copies a stream to the end, whoever fails; tells how many bytes came.
fn copy(
    mut from: impl Read,
    to: &mut File,
    lost: impl Fn(std::io::Error) -> Refusal,
    full: impl Fn(std::io::Error) -> Refusal,
) -> Result<u64, Refusal> {
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        let count = from.read(&mut buffer).map_err(&lost)?;
        if count == 0 {
            return Ok(total);
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).map_err(&full)?;
        total += count as u64;
    }
}

fn header(response: &Response<Body>, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// The first byte of a partial answer.
fn begins_at(response: &Response<Body>) -> Option<u64> {
    let range = header(response, CONTENT_RANGE.as_str());
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn is_about_connecting(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        ureq::Error::Timeout(ureq::Timeout::Connect) => true,
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

fn failed(place: &Place, path: &str, error: &ureq::Error) -> Refusal {
    let why = error.to_string();
    // Neither certificates nor URLs that are none get better by waiting.
    let lower = why.to_lowercase();
    let passes = !lower.contains("certificate")
        && !is_about_connecting(error)
        && !matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_));
    Refusal { passes, ..unreachable(place, path, &why) }
}

fn unreachable(place: &Place, path: &str, why: &str) -> Refusal {
    Refusal { message: format!("`{}/{path}`: {why}", shown(&place.base)), passes: true }
}

fn wrong(place: &Place, path: &str, why: &str) -> Refusal {
    Refusal { message: format!("`{}/{path}` {why}", shown(&place.base)), passes: false }
}

fn refused(place: &Place, path: &str, status: StatusCode) -> Refusal {
    let passes = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    let said = format!("the server answers {status}").to_lowercase();
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; log in with `docker login`, or set `containerd_registry_auth`"
        }
        _ => "",
    };
    Refusal { message: format!("`{}/{path}`: {said}{hint}", shown(&place.base)), passes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_taken_apart() {
        let text = r#"realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push" , x=y"#;
        let found = parameters(text);
        assert_eq!(found["realm"], "https://auth.docker.io/token");
        assert_eq!(found["service"], "registry.docker.io");
        assert_eq!(found["scope"], "repository:a/b:pull,push");
        assert_eq!(found["x"], "y");
        assert!(parameters("").is_empty());
        assert_eq!(parameters("realm=\"open")["realm"], "open");
    }
}
