//! A server: one thread for each connection.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;

use super::{Stream, bad, body, headers, line, unescaped};

/// Connections on which nothing is asked are closed after this.
const IDLE: Duration = Duration::from_mins(2);

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// What the client shows of itself, not verified.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

impl Request {
    pub(crate) fn query(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
pub(crate) enum Answer {
    Json(u16, Value),
    Text(u16, String),
    /// A stream of lines: the function sends them until sending fails.
    Stream(Box<dyn FnOnce(&mut Sender<'_>) + Send>),
}

/// Where lines of a stream go.
pub(crate) struct Sender<'a>(&'a mut Stream);

impl Sender<'_> {
    /// Sends a value as one line.
    pub(crate) fn send(&mut self, value: &Value) -> io::Result<()> {
        let text = format!("{value}\n");
        write!(self.0, "{:x}\r\n{text}\r\n", text.len())?;
        self.0.flush()
    }
}

/// Answers requests.
pub(crate) type Handler = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Serves until the process ends.
pub(crate) fn serve(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, handler: Handler) {
    for stream in listener.incoming().flatten() {
        let (tls, handler) = (tls.clone(), Arc::clone(&handler));
        std::thread::spawn(move || _ = connection(stream, tls, &handler));
    }
}

fn connection(tcp: TcpStream, tls: Option<Arc<rustls::ServerConfig>>, handler: &Handler) -> io::Result<()> {
    tcp.set_read_timeout(Some(IDLE))?;
    tcp.set_write_timeout(Some(IDLE))?;
    tcp.set_nodelay(true)?;
    let stream = match tls {
        None => Stream::Plain(tcp),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            Stream::Server(Box::new(rustls::StreamOwned::new(connection, tcp)))
        }
    };
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let keeps = request.header("connection") != "close";
        let answer = handler(&request);
        let out = stream.get_mut();
        match answer {
            Answer::Json(status, value) => write(out, status, "application/json", &value.to_string())?,
            Answer::Text(status, text) => write(out, status, "text/plain; charset=utf-8", &text)?,
            Answer::Stream(send) => {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                out.write_all(head.as_bytes())?;
                out.flush()?;
                send(&mut Sender(out));
                out.write_all(b"0\r\n\r\n")?;
                out.flush()?;
            }
        }
        if !keeps {
            break;
        }
    }
    Ok(())
}

fn write(out: &mut Stream, status: u16, kind: &str, text: &str) -> io::Result<()> {
    let retry = if status == 429 { "Retry-After: 1\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\n{retry}Content-Length: {}\r\n\r\n",
        if status < 400 { "OK" } else { "Error" },
        text.len()
    );
    out.write_all((head + text).as_bytes())?;
    out.flush()
}

fn read(stream: &mut BufReader<Stream>) -> io::Result<Option<Request>> {
    let Some(first) = line(stream)? else { return Ok(None) };
    let mut words = first.split_whitespace();
    let (Some(method), Some(url)) = (words.next(), words.next()) else { return Err(bad("no request")) };
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescaped(key), unescaped(value))
    });
    let mut out = Request {
        method: method.to_owned(),
        // A plus is itself in a path.
        path: unescaped(&path.replace('+', "%2B")),
        query: query.collect(),
        headers: headers(stream)?,
        ..Request::default()
    };
    if out.header("expect").eq_ignore_ascii_case("100-continue") {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    out.body = body(stream, &out.headers, false)?;
    if let Stream::Server(stream) = stream.get_ref() {
        out.certificate = stream.conn.peer_certificates().and_then(|all| all.first().cloned());
    }
    Ok(Some(out))
}
