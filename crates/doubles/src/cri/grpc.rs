//! Calls of gRPC over a socket: one connection of HTTP/2 for each.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::hpack;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const AWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The longest frame that all may send, in bytes.
const FRAME: usize = 16_384;

/// The longest request: what a connection may send before the other side says more.
const LONGEST: usize = 60_000;

const STREAM: u32 = 1;

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or_default().to_be_bytes();
    out.extend(length.get(1..).unwrap_or_default());
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(content);
}

/// Calls a method such as `/runtime.v1.RuntimeService/Version` with a message; tells the message that answers.
pub(super) fn call(socket: &str, method: &str, message: &[u8], timeout: Duration) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{socket}: {error}");
    let mut stream = UnixStream::connect(socket).map_err(told)?;
    stream.set_read_timeout(Some(timeout)).map_err(told)?;
    stream.set_write_timeout(Some(timeout)).map_err(told)?;
    if message.len() > LONGEST {
        return Err(format!("{method}: the request is too long"));
    }
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // No table of headers, and a window for every answer.
    let settings = [0, 1, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff];
    frame(&mut out, SETTINGS, 0, 0, &settings);
    frame(&mut out, WINDOW, 0, 0, &0x7fff_0000u32.to_be_bytes());
    let headers = hpack::write(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kubespray-doubles"),
    ]);
    frame(&mut out, HEADERS, END_HEADERS, STREAM, &headers);
    let mut content = vec![0];
    content.extend(u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    content.extend(message);
    let chunks: Vec<&[u8]> = content.chunks(FRAME).collect();
    for (at, chunk) in chunks.iter().enumerate() {
        let flags = if at + 1 == chunks.len() { END_STREAM } else { 0 };
        frame(&mut out, DATA, flags, STREAM, chunk);
    }
    stream.write_all(&out).map_err(told)?;
    read(&mut stream, method).map_err(|error| format!("{method}: {error}"))
}

fn read(stream: &mut UnixStream, method: &str) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    let (mut data, mut block, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).map_err(told)?;
        let [a, b, c, kind, flags, ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or_default();
        let mut content = vec![0; length];
        stream.read_exact(&mut content).map_err(told)?;
        let mut reply = Vec::new();
        match kind {
            SETTINGS if flags & 1 == 0 => frame(&mut reply, SETTINGS, 1, 0, &[]),
            PING if flags & 1 == 0 => frame(&mut reply, PING, 1, 0, &content),
            RESET => return Err("the stream was reset".into()),
            AWAY => return Err("the connection is closed".into()),
            DATA => data.extend(unpadded(&content, flags, false).ok_or("a frame that cannot be")?),
            HEADERS => block.extend(unpadded(&content, flags, true).ok_or("a frame that cannot be")?),
            CONTINUATION => block.extend(&content),
            _ => {}
        }
        if !reply.is_empty() {
            stream.write_all(&reply).map_err(told)?;
        }
        if [HEADERS, CONTINUATION].contains(&kind) && flags & END_HEADERS != 0 {
            headers.extend(hpack::read(&block)?);
            block.clear();
        }
        if [HEADERS, DATA].contains(&kind) && flags & END_STREAM != 0 {
            break;
        }
    }
    let header =
        |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match header("grpc-status") {
        Some("0") => {}
        Some(status) => {
            let message =
                crate::net::unescaped(&header("grpc-message").unwrap_or_default().replace('+', "%2B"));
            return Err(format!("rpc error: code = {status} desc = {message}"));
        }
        None => return Err(format!("{method} does not tell how it ended")),
    }
    let length: [u8; 4] = data.get(1..5).and_then(|bytes| bytes.try_into().ok()).ok_or("no message")?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or_default();
    data.get(5..5 + length).map(<[u8]>::to_vec).ok_or_else(|| "half a message".into())
}

fn unpadded(content: &[u8], flags: u8, has_priority: bool) -> Option<&[u8]> {
    let (mut from, mut to) = (0, content.len());
    if flags & PADDED != 0 {
        from = 1;
        to = to.checked_sub(usize::from(*content.first()?))?;
    }
    if has_priority && flags & PRIORITY != 0 {
        from += 5;
    }
    content.get(from..to)
}
