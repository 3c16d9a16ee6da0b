//! HTTP/1.1 over TLS or not: a server and a client, with threads that wait.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod tls;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;

/// The longest body that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// The longest line of a head.
const LONGEST_LINE: u64 = 1 << 16;

/// A connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Server(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
    Client(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Server(stream) => &stream.sock,
            Self::Client(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
            Self::Client(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Server(stream) => stream.write(buffer),
            Self::Client(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
            Self::Client(stream) => stream.flush(),
        }
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// A line without its end; nothing at the end of the stream.
fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut out = Vec::new();
    if stream.take(LONGEST_LINE).read_until(b'\n', &mut out)? == 0 {
        return Ok(None);
    }
    String::from_utf8(out).map(|text| Some(text.trim_end().to_owned())).map_err(|_| bad("a head is no text"))
}

/// The headers up to the empty line, by names in lower case.
fn headers(stream: &mut impl BufRead) -> io::Result<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    while let Some(line) = line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        out.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(out)
}

/// The next chunk; empty at the end.
fn chunk(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let size = line(stream)?.ok_or_else(|| bad("the end in the middle of chunks"))?;
    let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
        .map_err(|_| bad("a chunk without a size"))?;
    if size > LONGEST {
        return Err(bad("a chunk is too long"));
    }
    let mut out = vec![0; size];
    stream.read_exact(&mut out)?;
    line(stream)?;
    Ok(out)
}

fn body(stream: &mut impl BufRead, headers: &BTreeMap<String, String>, to_end: bool) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|kind| kind.contains("chunked")) {
        loop {
            let part = chunk(stream)?;
            if part.is_empty() {
                return Ok(out);
            }
            out.extend(part);
            if out.len() > LONGEST {
                return Err(bad("a body is too long"));
            }
        }
    }
    match headers.get("content-length") {
        Some(length) => {
            let length = length.parse::<usize>().ok().filter(|length| *length <= LONGEST);
            out.resize(length.ok_or_else(|| bad("a body without a sensible length"))?, 0);
            stream.read_exact(&mut out)?;
        }
        None if to_end => _ = stream.take(LONGEST as u64).read_to_end(&mut out)?,
        None => {}
    }
    Ok(out)
}

/// A text of a path or query as it was before it was escaped.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                out.extend(u8::from_str_radix(&digits, 16).ok());
            }
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text for a path or query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            for digit in [16, byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF%"[usize::from(digit)]));
            }
        }
    }
    out
}
