//! One datagram and its answer.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::HostError;

/// The longest answer that a datagram holds.
const LONGEST: usize = 65_535;

/// Sends a datagram and gives the first one that comes back from the same place.
pub(super) fn exchange(address: &str, datagram: &[u8], timeout: Duration) -> Result<Vec<u8>, HostError> {
    let what = format!("ask `{address}`");
    let target: SocketAddr = address
        .parse()
        .map_err(|_| HostError::Refused { what: what.clone(), why: "that is no `address:port`".into() })?;
    ask(target, datagram, timeout).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            HostError::Timeout { what, seconds: timeout.as_secs().max(1) }
        }
        _ => HostError::Unreachable { what, why: error.to_string() },
    })
}

fn ask(target: SocketAddr, datagram: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    // A socket that is connected gets nothing from elsewhere, and is told that nothing listens.
    socket.connect(target)?;
    socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
    socket.send(datagram)?;
    let mut answer = vec![0; LONGEST];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}
