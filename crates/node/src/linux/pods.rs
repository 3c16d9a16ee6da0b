//! Networks of pods: trying what they lead to from within, and listening in them.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kubespray_resource::{Trial, TrialTarget};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::background::Background;
use super::{datagram, words};
use crate::HostError;
use crate::kinds::assertion::names;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// How often those who try are let in.
const LOOK: Duration = Duration::from_millis(20);

/// What a stream brings: so much that packets are as large as they get on the way.
const STREAM: usize = 64 << 10;

/// So many streams go at once; those who try do not need a tenth of them.
const MOST_STREAMS: usize = 256;

/// What comes back as it is.
const DATAGRAM: [u8; 1200] = [0x5a; 1200];

/// A process that is in a pod: its groups name the pod, with the marks of the one or the other driver.
fn process(root: &Path, pod: &str) -> Option<PathBuf> {
    if pod.is_empty() {
        return None;
    }
    let names = [format!("pod{pod}"), format!("pod{}", pod.replace('-', "_"))];
    let processes = fs::read_dir(root.join("proc")).ok()?.flatten().map(|process| process.path());
    processes
        .filter(|path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
        })
        .find(|path| {
            let groups = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
            names.iter().any(|name| groups.contains(name))
        })
}

fn entered(pod: &str, why: impl Into<String>) -> HostError {
    HostError::Refused { what: format!("enter the network of the pod `{pod}`"), why: why.into() }
}

/// Does something within the network of a pod: in a thread of its own, which ends there. Threads that it makes are there
/// too.
fn within<T: Send + 'static>(
    process: &Path,
    pod: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, HostError> {
    let network = fs::File::open(process.join("ns/net")).map_err(|error| entered(pod, words(&error)))?;
    let inside = move || {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok::<T, rustix::io::Errno>(work())
    };
    match thread::spawn(inside).join() {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(entered(pod, words(&error.into()))),
        Err(_) => Err(entered(pod, "trying it failed")),
    }
}

/// Tries all at once.
pub(super) fn try_network(
    root: &Path,
    pod: Option<&str>,
    trials: &[Trial],
) -> Result<Vec<Option<String>>, HostError> {
    let Some(pod) = pod else { return Ok(try_all(&Resolver::of(&root.join("etc/resolv.conf")), trials)) };
    let process = process(root, pod).ok_or_else(|| entered(pod, "no process is in it"))?;
    let resolver = Resolver::of(&process.join("root/etc/resolv.conf"));
    let trials = trials.to_vec();
    within(&process, pod, move || try_all(&resolver, &trials))
}

fn try_all(resolver: &Resolver, trials: &[Trial]) -> Vec<Option<String>> {
    thread::scope(|scope| {
        let tries: Vec<_> =
            trials.iter().map(|trial| scope.spawn(|| try_one(resolver, &trial.target).err())).collect();
        tries.into_iter().map(|one| one.join().unwrap_or_else(|_| Some("trying it failed".into()))).collect()
    })
}

fn try_one(resolver: &Resolver, target: &TrialTarget) -> Result<(), String> {
    match target {
        TrialTarget::Connection(address) => connect(address).map(drop),
        TrialTarget::Stream(address) => {
            let stream = connect(address)?;
            let mut bytes = 0;
            let result =
                stream.take(STREAM as u64 + 1).read_to_end(&mut Vec::new()).map(|count| bytes = count);
            match result {
                Err(error) => Err(format!("{address} takes connections, but {}", silent(&error))),
                Ok(()) if bytes == STREAM => Ok(()),
                Ok(()) => Err(format!("{address} sent {bytes} bytes in place of {STREAM}")),
            }
        }
        TrialTarget::Datagram(address) => {
            let answer = datagram::exchange(address, &DATAGRAM, TRY)
                .map_err(|error| format!("a datagram: {error}"))?;
            if answer == DATAGRAM { Ok(()) } else { Err(format!("{address} sends another datagram back")) }
        }
        TrialTarget::Name { name, address } => resolver.knows(name, *address),
    }
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let target: SocketAddr = address.parse().map_err(|_| format!("`{address}` is no `address:port`"))?;
    let refused = |error: io::Error| format!("connect to {address}: {}", silent(&error));
    let stream = TcpStream::connect_timeout(&target, TRY).map_err(refused)?;
    stream.set_read_timeout(Some(TRY)).map_err(refused)?;
    Ok(stream)
}

fn silent(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("nothing came within {} s", TRY.as_secs()),
        _ => words(error),
    }
}

/// Whom a pod asks for names.
#[derive(Clone, Debug, Default)]
struct Resolver {
    server: Option<IpAddr>,
    search: Vec<String>,
}

impl Resolver {
    /// What a `resolv.conf` says.
    fn of(path: &Path) -> Self {
        let mut found = Self::default();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let mut fields = line.split_whitespace();
            match fields.next() {
                Some("nameserver") if found.server.is_none() => {
                    found.server = fields.next().and_then(|address| address.parse().ok());
                }
                Some("search") => found.search = fields.map(str::to_owned).collect(),
                _ => {}
            }
        }
        found
    }

    /// As pods resolve: search domains first, then the name itself.
    fn knows(&self, name: &str, address: IpAddr) -> Result<(), String> {
        let Some(server) = self.server else { return Err("its `resolv.conf` names no server".into()) };
        let exchange = |target: &str, query: &[u8]| datagram::exchange(target, query, names::ANSWER);
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let mut why = String::new();
        for (number, name) in (1..).zip(searched.chain([name.to_owned()])) {
            match names::asked(&exchange, server, &name, address, number) {
                Ok(None) => return Ok(()),
                Ok(Some(problem)) => why = format!("`{name}` at {server}: {problem}"),
                Err(failure) => why = failure.message,
            }
        }
        Err(why)
    }
}

/// Listens in a pod, in place of what was listened at before.
pub(super) fn listen(
    background: &mut Background,
    root: &Path,
    pod: &str,
    port: u16,
    time: Duration,
) -> Result<(), HostError> {
    background.stop();
    if time.is_zero() {
        return Ok(());
    }
    let process = process(root, pod).ok_or_else(|| entered(pod, "no process is in it"))?;
    let sockets = within(&process, pod, move || Sockets::bind(port))?;
    let sockets = sockets.map_err(|error| HostError::Refused {
        what: format!("listen at {port} in the pod `{pod}`"),
        why: words(&error),
    })?;
    background.repeat(LOOK, time, move || sockets.serve());
    Ok(())
}

/// What was bound within a pod stays there, whoever uses it.
struct Sockets {
    streams: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    /// How many streams are under way.
    pouring: Arc<AtomicUsize>,
}

impl Sockets {
    /// For all addresses: of both families where the pod has both.
    fn bind(port: u16) -> io::Result<Self> {
        let all: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        let streams = one_at_least(all.map(|address| TcpListener::bind((address, port))))?;
        let datagrams = one_at_least(all.map(|address| UdpSocket::bind((address, port))))?;
        for listener in &streams {
            listener.set_nonblocking(true)?;
        }
        for socket in &datagrams {
            socket.set_nonblocking(true)?;
        }
        Ok(Self { streams, datagrams, pouring: Arc::default() })
    }

    fn serve(&self) {
        for listener in &self.streams {
            while let Ok((stream, _)) = listener.accept() {
                // Whoever is in the cluster may connect: too many find a stream that ends at once.
                if self.pouring.fetch_add(1, Ordering::SeqCst) >= MOST_STREAMS {
                    self.pouring.fetch_sub(1, Ordering::SeqCst);
                    continue;
                }
                let pouring = Arc::clone(&self.pouring);
                // One that does not read must not keep others waiting.
                thread::spawn(move || {
                    pour(stream);
                    pouring.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
        for socket in &self.datagrams {
            let mut bytes = [0; DATAGRAM.len()];
            while let Ok((count, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(bytes.get(..count).unwrap_or_default(), from);
            }
        }
    }
}

/// Who tries says what went wrong, if anything does.
fn pour(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_write_timeout(Some(TRY));
    let _ = stream.write_all(&vec![b'.'; STREAM]);
}

/// A socket for both families takes the place of the other's.
fn one_at_least<T>(bound: [io::Result<T>; 2]) -> io::Result<Vec<T>> {
    let [one, other] = bound;
    match (one, other) {
        (Ok(one), Ok(other)) => Ok(vec![one, other]),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(vec![one]),
        (Err(_), Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_pods_are_found_by_the_marks_of_both_drivers() {
        let folder = tempfile::tempdir().unwrap();
        for (number, group) in [
            ("1", "0::/init.scope"),
            (
                "20",
                "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a_1b.slice/cri-c.scope",
            ),
            ("30", "0::/kubepods/besteffort/pod2c-3d/c"),
            ("self", "0::/kubepods/besteffort/pod2c-3d/c"),
        ] {
            let process = folder.path().join("proc").join(number);
            fs::create_dir_all(&process).unwrap();
            fs::write(process.join("cgroup"), group).unwrap();
        }
        let found = |pod: &str| {
            process(folder.path(), pod).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(found("0a-1b").as_deref(), Some("20"));
        assert_eq!(found("2c-3d").as_deref(), Some("30"));
        assert_eq!((found("4e-5f"), found("")), (None, None));
    }

    #[test]
    fn names_are_asked_of_the_first_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        fs::write(&path, "search a.b c\nnameserver 10.0.0.3\nnameserver 10.0.0.4\noptions ndots:5\n")
            .unwrap();
        let found = Resolver::of(&path);
        assert_eq!(found.server, Some("10.0.0.3".parse().unwrap()));
        assert_eq!(found.search, ["a.b", "c"]);
        assert_eq!(Resolver::of(&folder.path().join("none")).server, None);
    }
}
