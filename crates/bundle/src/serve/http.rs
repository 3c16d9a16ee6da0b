//! HTTP/1.1, as far as giving files needs it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use super::Conn;

/// Longer requests are no requests for files.
const LONGEST_HEAD: usize = 16 << 10;

/// How long a request may take to come, once it began.
const HEAD_TIME: Duration = Duration::from_secs(20);

/// A request without its body: whoever sends one gets an answer and the end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query as they came.
    pub(super) target: String,
    /// The path, decoded.
    pub(super) path: String,
    /// The query's pairs, decoded.
    pub(super) query: Vec<(String, String)>,
    /// Headers, their names in small letters.
    headers: Vec<(String, String)>,
    pub(super) keeps_alive: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is to be answered with this status.
    Wrong(u16),
    /// Nobody would hear an answer.
    Gone,
}

impl Request {
    /// What stands for a request that cannot be read.
    pub(super) fn unreadable() -> Self {
        let empty = String::new;
        Self {
            method: empty(),
            target: empty(),
            path: empty(),
            query: Vec::new(),
            headers: Vec::new(),
            keeps_alive: false,
        }
    }

    /// The first header of a name in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    /// All headers of a name, one list.
    pub(super) fn list(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(is, _)| is == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// The first value of a name in the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    fn parse(head: &str) -> Result<Self, u16> {
        let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(400);
        };
        let is_new = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return Err(505),
        };
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(400);
        }
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(400_u16)?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(400);
            }
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        // A proxy's form of the target has the server in it.
        let path = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
            None => target,
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if !path.starts_with('/') && path != "*" {
            return Err(400);
        }
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decoded(name)?, percent_decoded(value)?))
        };
        let query: Option<Vec<_>> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        let mut request = Self {
            method: method.to_owned(),
            target: target.to_owned(),
            path: percent_decoded(path).ok_or(400_u16)?,
            query: query.ok_or(400_u16)?,
            headers,
            keeps_alive: false,
        };
        let wants = request.list("connection").unwrap_or_default().to_ascii_lowercase();
        let has_body = request.header("transfer-encoding").is_some()
            || request.header("content-length").is_some_and(|length| length != "0");
        let wants = |word: &str| wants.split(',').any(|is| is.trim() == word);
        request.keeps_alive = !has_body && !wants("close") && (is_new || wants("keep-alive"));
        Ok(request)
    }
}

/// Reads the next request; nothing where the client has no more.
pub(super) fn read(reader: &mut BufReader<Conn>) -> Result<Option<Request>, Unreadable> {
    let mut head = Vec::new();
    let mut began = None;
    loop {
        let found = match reader.fill_buf() {
            Ok([]) if head.is_empty() => return Ok(None),
            Ok([]) => return Err(Unreadable::Gone),
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Unreadable::Gone),
        };
        let began = *began.get_or_insert_with(Instant::now);
        // Up to the end of a line, so that nothing of the next request is taken.
        let count = found.iter().position(|byte| *byte == b'\n').map_or(found.len(), |at| at + 1);
        head.extend_from_slice(found.get(..count).unwrap_or_default());
        reader.consume(count);
        // Lines before a request are passed over, as RFC 9112 wants.
        if head == b"\r\n" || head == b"\n" {
            head.clear();
            continue;
        }
        if head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n") {
            let text = std::str::from_utf8(&head).map_err(|_| Unreadable::Wrong(400))?;
            return Request::parse(text).map(Some).map_err(Unreadable::Wrong);
        }
        if head.len() > LONGEST_HEAD {
            return Err(Unreadable::Wrong(431));
        }
        if began.elapsed() > HEAD_TIME {
            return Err(Unreadable::Wrong(408));
        }
    }
}

/// `%41` and such; nothing for what is no text then, or holds what no name holds.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Vec<u8>),
    /// So many bytes of a file from where it stands.
    File(File, u64),
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    pub(super) fn bytes(status: u16, content_type: &str, bytes: Vec<u8>) -> Self {
        Self { body: Body::Bytes(bytes), ..Self::empty(status) }.with("Content-Type", content_type)
    }

    pub(super) fn file(status: u16, file: File, count: u64) -> Self {
        Self { body: Body::File(file, count), ..Self::empty(status) }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Sends an answer, and tells how many bytes of its body went, also where it did not go whole.
pub(super) fn send(
    conn: &mut Conn,
    answer: Answer,
    only_head: bool,
    goes_on: bool,
) -> Result<u64, (io::Error, u64)> {
    let length = match &answer.body {
        Body::Bytes(bytes) => bytes.len() as u64,
        Body::File(_, count) => *count,
    };
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        // Values come from the bundle's list too, which people may write.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        head.extend([*name, ": ", &value, "\r\n"]);
    }
    // RFC 9110: 304 has none of its own.
    if answer.status != 304 {
        head.extend(["Content-Length: ", &length.to_string(), "\r\n"]);
    }
    head.push_str(if goes_on { "\r\n" } else { "Connection: close\r\n\r\n" });
    let none = |error| (error, 0);
    conn.write_all(head.as_bytes()).map_err(none)?;
    if only_head || answer.status == 304 {
        conn.flush().map_err(none)?;
        return Ok(0);
    }
    let sent = match answer.body {
        Body::Bytes(bytes) => conn.write_all(&bytes).map(|()| length).map_err(none)?,
        Body::File(file, count) => conn.send(file, count).map_err(none)?,
    };
    conn.flush().map_err(|error| (error, sent))?;
    if sent < length {
        // The file became shorter; only the end of the connection can say so.
        return Err((io::ErrorKind::UnexpectedEof.into(), sent));
    }
    Ok(sent)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_or_refused() {
        for (head, expected) in [
            ("GET /a%20b?ns=docker.io HTTP/1.1\r\nHost: x\r\n\r\n", Ok(("/a b", true))),
            ("GET http://x:80/a HTTP/1.1\r\n\r\n", Ok(("/a", true))),
            ("GET /a HTTP/1.1\r\nConnection: Close\r\n\r\n", Ok(("/a", false))),
            ("GET /a HTTP/1.0\r\n\r\n", Ok(("/a", false))),
            ("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Ok(("/a", true))),
            ("PUT /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n", Ok(("/a", false))),
            ("GET /a HTTP/2\r\n\r\n", Err(505)),
            ("GET /a\r\n\r\n", Err(400)),
            ("GET a HTTP/1.1\r\n\r\n", Err(400)),
            ("get /a HTTP/1.1\r\n\r\n", Err(400)),
            ("GET /a b HTTP/1.1\r\n\r\n", Err(400)),
            ("GET /%zz HTTP/1.1\r\n\r\n", Err(400)),
            ("GET /%00 HTTP/1.1\r\n\r\n", Err(400)),
            ("GET /a HTTP/1.1\r\nno header\r\n\r\n", Err(400)),
        ] {
            let found = Request::parse(head);
            let found = found.as_ref().map(|request| (request.path.as_str(), request.keeps_alive));
            assert_eq!(found, expected.as_ref().map(|e| *e), "{head}");
        }
        let request =
            Request::parse("GET /a?ns=docker.io&x HTTP/1.1\r\nAccept: a\r\nACCEPT: b\r\n\r\n").unwrap();
        assert_eq!(request.query("ns"), Some("docker.io"));
        assert_eq!(request.list("accept").as_deref(), Some("a,b"));
    }
}
