//! A bundle over HTTP: a mirror of files and a registry that only gives.
//!
//! A thread serves a connection; there are so many at once and no more. Bodies go from the file to the socket and are
//! never held in memory. What is served is looked up in the bundle's list; no path of a request is ever a path on disk.

mod answer;
mod http;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::problem::{Problem, cannot};
use crate::store::Store;
use view::View;

pub(crate) use http::percent_decoded;

/// More connections at once are turned away: a site of a thousand hosts, each with a few, comes in turns.
const MOST_CONNECTIONS: usize = 1_024;

/// A thread does little more than copy.
const STACK: usize = 512 << 10;

/// How long a connection may be without a request.
const IDLE: Duration = Duration::from_secs(75);

/// How long a client may take no byte.
const STALLED: Duration = Duration::from_mins(1);

/// How long to wait when the system has no more descriptors.
const NAP: Duration = Duration::from_millis(100);

/// How long [`Server::stop`] waits for connections to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a bundle is served.
#[derive(Clone, Default)]
pub struct Options {
    /// Where: port 0 takes any that is free. Without it, any port of the loopback interface.
    pub listen: Option<SocketAddr>,
    /// The server's certificate; plain HTTP without it.
    pub tls: Option<Identity>,
    /// Told of every answer when it is sent.
    pub on_answer: Option<Arc<dyn Fn(&Served) + Send + Sync>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Files, in PEM, that prove who the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An answer that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Who asked.
    pub from: SocketAddr,
    /// Such as `GET`.
    pub method: String,
    /// The path and the query, as they came.
    pub target: String,
    /// The status.
    pub status: u16,
    /// How many bytes of a body were sent; fewer than were asked for when the connection broke.
    pub bytes: u64,
}

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    is_tls: bool,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    view: View,
    tls: Option<Arc<ServerConfig>>,
    on_answer: Option<Arc<dyn Fn(&Served) + Send + Sync>>,
    stopped: AtomicBool,
    connections: Mutex<BTreeMap<u64, TcpStream>>,
    ended: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

/// Begins to serve a store. What is added to it later is served, too.
pub fn serve(store: &Store, options: Options) -> Result<Server, Problem> {
    let view = View::of(store.folder())?;
    let tls = options.tls.as_ref().map(tls_config).transpose()?;
    let listen = options.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let refused = |error: io::Error| Problem::new(format!("cannot listen on `{listen}`: {error}"));
    let listener = TcpListener::bind(listen).map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let is_tls = tls.is_some();
    let shared = Arc::new(Shared {
        view,
        tls,
        on_answer: options.on_answer,
        stopped: AtomicBool::new(false),
        connections: Mutex::default(),
        ended: Condvar::new(),
    });
    let accepting = Arc::clone(&shared);
    let acceptor = thread::Builder::new().name("bundle".into()).spawn(move || accept(&listener, &accepting));
    Ok(Server { address, is_tls, shared, acceptor: Some(acceptor.map_err(refused)?) })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, as `files_repo` is written.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    /// Ends it, and all connections with it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The acceptor waits for a connection.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let woken = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        if woken.is_ok() {
            // A panic there has printed itself.
            let _ = acceptor.join();
        }
        let connections = self.shared.connections();
        for stream in connections.values() {
            // One that ended by itself needs no end.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.shared.ended.wait_timeout_while(connections, LAST_WORDS, |left| !left.is_empty());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls_config(identity: &Identity) -> Result<Arc<ServerConfig>, Problem> {
    let read = |path: &Path| std::fs::read(path).map_err(cannot("read", path));
    let wrong = |path: &Path, why: &dyn fmt::Display| {
        Problem::new(format!("`{}` cannot be used for TLS: {why}", path.display()))
    };
    let chain = CertificateDer::pem_slice_iter(&read(&identity.certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&identity.certificate, &error))?;
    let key =
        PrivateKeyDer::from_pem_slice(&read(&identity.key)?).map_err(|error| wrong(&identity.key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&identity.certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&identity.certificate, &error))?;
    Ok(Arc::new(config))
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut number = 0;
    loop {
        let accepted = listener.accept();
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        // Descriptors may be free again soon, and a client that went away is no reason to end.
        let Ok((stream, from)) = accepted else {
            thread::sleep(NAP);
            continue;
        };
        let _ = stream.set_nodelay(true);
        let timeouts =
            stream.set_read_timeout(Some(IDLE)).and_then(|()| stream.set_write_timeout(Some(STALLED)));
        let (Ok(()), Ok(copy)) = (timeouts, stream.try_clone()) else { continue };
        {
            let mut connections = shared.connections();
            if connections.len() >= MOST_CONNECTIONS {
                turn_away(&stream, shared.tls.is_some());
                continue;
            }
            number += 1;
            connections.insert(number, copy);
        }
        let ended = Ended { shared: Arc::clone(shared), number };
        let one = Arc::clone(shared);
        // Without a thread, the connection is closed by dropping it.
        let _ = thread::Builder::new().name("bundle-connection".into()).stack_size(STACK).spawn(move || {
            let _ended = ended;
            converse(&one, stream, from);
        });
    }
}

/// Notes the end of a connection, however it came.
struct Ended {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.shared.connections().remove(&self.number);
        self.shared.ended.notify_all();
    }
}

fn turn_away(mut stream: &TcpStream, is_tls: bool) {
    if !is_tls {
        // Whoever does not hear it sees a connection that ends.
        let _ = stream.write_all(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
}

/// A connection, encrypted or not.
enum Conn {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Conn {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    /// Sends a file's next bytes; from disk to socket within the kernel where nothing is encrypted. Tells how many went.
    fn send(&mut self, from: std::fs::File, count: u64) -> io::Result<u64> {
        let mut from = from.take(count);
        match self {
            Self::Plain(stream) => io::copy(&mut from, stream),
            Self::Tls(stream) => io::copy(&mut from, stream),
        }
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Answers requests until somebody has enough.
fn converse(shared: &Shared, stream: TcpStream, from: SocketAddr) {
    let conn = match &shared.tls {
        None => Conn::Plain(stream),
        Some(config) => {
            let Ok(session) = ServerConnection::new(Arc::clone(config)) else { return };
            Conn::Tls(Box::new(StreamOwned::new(session, stream)))
        }
    };
    let mut reader = BufReader::with_capacity(8 << 10, conn);
    while !shared.stopped.load(Ordering::SeqCst) {
        let (answer, request) = match http::read(&mut reader) {
            Ok(Some(request)) => (answer::answer(&shared.view, &request), request),
            Ok(None) => break,
            Err(http::Unreadable::Wrong(status)) => {
                (http::Answer::empty(status), http::Request::unreadable())
            }
            Err(http::Unreadable::Gone) => break,
        };
        let goes_on = request.keeps_alive && answer.status != 400;
        let status = answer.status;
        let sent = http::send(reader.get_mut(), answer, request.method == "HEAD", goes_on);
        if let Some(tell) = &shared.on_answer {
            let bytes = match &sent {
                Ok(bytes) | Err((_, bytes)) => *bytes,
            };
            tell(&Served { from, method: request.method, target: request.target, status, bytes });
        }
        if sent.is_err() || !goes_on {
            break;
        }
    }
    let mut conn = reader.into_inner();
    if let Conn::Tls(stream) = &mut conn {
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
    let _ = conn.socket().shutdown(Shutdown::Both);
}
