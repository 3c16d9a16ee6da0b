//! Connections and packets that are passed on.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Backends;

const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer to a packet may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Passes on what comes to an address, in threads of its own.
pub(super) fn listen(address: SocketAddr, is_udp: bool, backends: &Backends) -> std::io::Result<()> {
    let backends = Arc::clone(backends);
    if is_udp {
        let socket = Arc::new(UdpSocket::bind(address)?);
        std::thread::spawn(move || packets(&socket, &backends));
    } else {
        let listener = TcpListener::bind(address)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let backends = Arc::clone(&backends);
                std::thread::spawn(move || _ = connection(stream, &backends));
            }
        });
    }
    Ok(())
}

/// All backends, beginning with any.
fn order(backends: &Backends) -> Vec<SocketAddr> {
    let mut all = backends.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if !all.is_empty() {
        let from = usize::from(crate::random_bytes::<1>().unwrap_or_default()[0]) % all.len();
        all.rotate_left(from);
    }
    all
}

fn connection(mut from: TcpStream, backends: &Backends) -> std::io::Result<()> {
    let Some(mut to) =
        order(backends).iter().find_map(|address| TcpStream::connect_timeout(address, CONNECT).ok())
    else {
        return from.shutdown(Shutdown::Both);
    };
    let (mut back_from, mut back_to) = (to.try_clone()?, from.try_clone()?);
    std::thread::spawn(move || copy(&mut back_from, &mut back_to));
    copy(&mut from, &mut to);
    Ok(())
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) {
    let mut buffer = [0; 16_384];
    while let Ok(length) = from.read(&mut buffer) {
        let Some(part) = buffer.get(..length).filter(|part| !part.is_empty()) else { break };
        if to.write_all(part).is_err() {
            break;
        }
    }
    _ = to.shutdown(Shutdown::Write);
}

fn packets(socket: &Arc<UdpSocket>, backends: &Backends) {
    let mut buffer = vec![0; 65_535];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let (Some(packet), Some(to)) = (buffer.get(..length), order(backends).first().copied()) else {
            continue;
        };
        let (packet, socket) = (packet.to_vec(), Arc::clone(socket));
        std::thread::spawn(move || _ = answer(&socket, &packet, from, to));
    }
}

fn answer(socket: &UdpSocket, packet: &[u8], from: SocketAddr, to: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let own = UdpSocket::bind(any)?;
    own.set_read_timeout(Some(ANSWER))?;
    own.send_to(packet, to)?;
    let mut buffer = vec![0; 65_535];
    let (length, _) = own.recv_from(&mut buffer)?;
    socket.send_to(buffer.get(..length).unwrap_or_default(), from).map(drop)
}
