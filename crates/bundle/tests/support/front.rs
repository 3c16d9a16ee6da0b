//! A server before a server, which does to requests what tests want.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "it is a part of tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of a request.
pub enum Deed {
    /// It is passed on.
    Pass,
    /// It is passed on, and the connection ends after so many bytes of the body.
    Cut(usize),
    /// This is the answer.
    Answer(String),
}

/// The heads of all requests so far.
pub type Heads = Arc<Mutex<Vec<String>>>;

/// Stands before a server; each request has a connection of its own.
pub fn front(behind: SocketAddr, deed: impl Fn(&str) -> Deed + Send + 'static) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let written = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            written.lock().unwrap().push(head.clone());
            let deed = deed(&head);
            if let Deed::Answer(answer) = deed {
                stream.write_all(answer.as_bytes()).unwrap();
                continue;
            }
            let mut to = TcpStream::connect(behind).unwrap();
            let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            to.write_all(head.as_bytes()).unwrap();
            let mut answer = Vec::new();
            to.read_to_end(&mut answer).unwrap();
            if let Deed::Cut(count) = deed {
                let body = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                answer.truncate(body + count);
            }
            let _ = stream.write_all(&answer);
        }
    });
    (address, heads)
}

/// An answer without a body.
pub fn empty(status: &str, headers: &str) -> Deed {
    Deed::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n"))
}
