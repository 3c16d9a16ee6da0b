//! A client of one service at several addresses: the first that answers is asked.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::{Stream, body, chunk, headers, line, tls};

const CONNECT: Duration = Duration::from_secs(5);

/// A service.
pub(crate) struct Http {
    /// Names and ports.
    endpoints: Vec<(String, u16)>,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// The name that certificates must have, where it is not that of the address.
    name: Option<String>,
    current: AtomicUsize,
    idle: Mutex<Vec<BufReader<Stream>>>,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// An answer that comes line by line.
pub(crate) struct Lines {
    stream: BufReader<Stream>,
    is_chunked: bool,
    left: Vec<u8>,
}

impl Http {
    /// From URLs `https://name:port`.
    pub(crate) fn new(urls: &[String], identity: &tls::Identity) -> Result<Self, String> {
        let mut endpoints = Vec::new();
        let mut is_tls = false;
        for url in urls {
            let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("{url:?} is no URL"))?;
            is_tls = scheme == "https";
            let authority = rest.split('/').next().unwrap_or_default();
            let (name, port) = match authority.rsplit_once(':') {
                Some((name, port)) if !port.contains(']') => {
                    (name, port.parse().map_err(|_| format!("{url:?} has no port"))?)
                }
                _ => (authority, if is_tls { 443 } else { 80 }),
            };
            endpoints.push((name.trim_matches(['[', ']']).to_owned(), port));
        }
        if endpoints.is_empty() {
            return Err("no server is named".into());
        }
        let tls = if is_tls { Some(tls::client(identity)?) } else { None };
        Ok(Self { endpoints, tls, name: None, current: AtomicUsize::new(0), idle: Mutex::default() })
    }

    /// Expects another name in certificates.
    pub(crate) fn named(mut self, name: Option<&str>) -> Self {
        self.name = name.map(str::to_owned);
        self
    }

    fn connect(&self, timeout: Duration) -> Result<BufReader<Stream>, String> {
        let mut last = String::new();
        for _ in 0..self.endpoints.len() {
            let at = self.current.load(Ordering::Relaxed) % self.endpoints.len();
            let Some((name, port)) = self.endpoints.get(at) else { break };
            match self.connect_to(name, *port, timeout) {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    last = format!("dial tcp {name}:{port}: {error}");
                    self.current.store(at + 1, Ordering::Relaxed);
                }
            }
        }
        Err(last)
    }

    fn connect_to(&self, name: &str, port: u16, timeout: Duration) -> Result<BufReader<Stream>, String> {
        let address = resolve(name).ok_or_else(|| format!("lookup {name}: no such host"))?;
        let tcp = TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT)
            .map_err(|error| format!("connect: {error}"))?;
        let set = tcp.set_read_timeout(Some(timeout)).and_then(|()| tcp.set_write_timeout(Some(timeout)));
        set.and_then(|()| tcp.set_nodelay(true)).map_err(|error| error.to_string())?;
        let Some(config) = &self.tls else { return Ok(BufReader::new(Stream::Plain(tcp))) };
        let expected = self.name.as_deref().unwrap_or(name);
        let expected = ServerName::try_from(expected.to_owned()).map_err(|error| error.to_string())?;
        let mut connection =
            rustls::ClientConnection::new(Arc::clone(config), expected).map_err(|error| error.to_string())?;
        let mut tcp = tcp;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp).map_err(|error| format!("tls: {error}"))?;
        }
        Ok(BufReader::new(Stream::Client(Box::new(rustls::StreamOwned::new(connection, tcp)))))
    }

    /// One request and its whole answer.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        content: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Response, String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(stream) = idle {
            // A connection that was closed meanwhile: what was asked did not arrive.
            if let Ok(response) = self.once(stream, method, path, extra, content, timeout) {
                return Ok(response);
            }
        }
        let stream = self.connect(timeout)?;
        self.once(stream, method, path, extra, content, timeout)
    }

    fn once(
        &self,
        mut stream: BufReader<Stream>,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        content: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Response, String> {
        let told = |error: std::io::Error| format!("{method} {path}: {error}");
        stream.get_ref().tcp().set_read_timeout(Some(timeout)).map_err(told)?;
        self.send(&mut stream, method, path, extra, content)?;
        let (status, headers) = head(&mut stream).map_err(told)?;
        let body = body(&mut stream, &headers, true).map_err(told)?;
        let ends = headers.get("connection").is_some_and(|kind| kind == "close")
            || !(headers.contains_key("content-length") || headers.contains_key("transfer-encoding"));
        if !ends {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
        Ok(Response { status, body })
    }

    fn send(
        &self,
        stream: &mut BufReader<Stream>,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        content: Option<&[u8]>,
    ) -> Result<(), String> {
        let at = self.current.load(Ordering::Relaxed) % self.endpoints.len().max(1);
        let host = self.endpoints.get(at).map_or("localhost", |(name, _)| name.as_str());
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n");
        for (name, value) in extra {
            text.extend([*name, ": ", *value, "\r\n"]);
        }
        if let Some(content) = content {
            text.extend(["Content-Length: ", &content.len().to_string(), "\r\n"]);
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend(content.unwrap_or_default());
        let out = stream.get_mut();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(|error| format!("{method} {path}: {error}"))
    }

    /// A request whose answer comes line by line. Nothing for so long is an error.
    pub(crate) fn lines(
        &self,
        method: &str,
        path: &str,
        extra: &[(&str, &str)],
        content: Option<&[u8]>,
        silence: Duration,
    ) -> Result<(u16, Lines), String> {
        let mut stream = self.connect(silence)?;
        self.send(&mut stream, method, path, extra, content)?;
        let (status, headers) = head(&mut stream).map_err(|error| format!("{method} {path}: {error}"))?;
        let is_chunked = headers.get("transfer-encoding").is_some_and(|kind| kind.contains("chunked"));
        Ok((status, Lines { stream, is_chunked, left: Vec::new() }))
    }
}

impl Lines {
    /// The next line; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(at) = self.left.iter().position(|byte| *byte == b'\n') {
                let rest = self.left.split_off(at + 1);
                let line = std::mem::replace(&mut self.left, rest);
                if line.len() > 1 {
                    return Ok(Some(line));
                }
                continue;
            }
            if !self.is_chunked {
                return match line(&mut self.stream).map_err(|error| error.to_string())? {
                    Some(line) => Ok(Some(line.into_bytes())),
                    None => Ok(None),
                };
            }
            let part = chunk(&mut self.stream).map_err(|error| error.to_string())?;
            if part.is_empty() {
                return Ok(None);
            }
            self.left.extend(part);
        }
    }
}

fn head(stream: &mut BufReader<Stream>) -> std::io::Result<(u16, BTreeMap<String, String>)> {
    let first = line(stream)?.ok_or_else(|| super::bad("the connection was closed"))?;
    let status = first.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    Ok((status.ok_or_else(|| super::bad("no answer in HTTP"))?, headers(stream)?))
}

/// The address of a host: itself, this host, or what the file of hosts says.
pub(crate) fn resolve(name: &str) -> Option<IpAddr> {
    if let Ok(address) = name.parse() {
        return Some(address);
    }
    if name == "localhost" {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    let text = std::fs::read_to_string("/etc/hosts").ok()?;
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    })
}
