//! Addresses that become this host's: a route of the table `local`, asked of the kernel over netlink.

use std::net::IpAddr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

const NEW_ROUTE: u16 = 24;
/// A request that is acknowledged, makes what is missing and may find it there.
const FLAGS: u16 = 1 | 4 | 0x400;
const TABLE_LOCAL: u8 = 255;
const BY_ADMINISTRATOR: u8 = 4;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;
const DESTINATION: u16 = 1;
const DEVICE: u16 = 4;

/// `lo` is the first device everywhere.
const LOOPBACK: u32 = 1;

const EXISTS: i32 = -17;

fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or_default();
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
}

fn request(address: IpAddr) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(address) => (2u8, address.octets().to_vec()),
        IpAddr::V6(address) => (10u8, address.octets().to_vec()),
    };
    let bits = u8::try_from(bytes.len() * 8).unwrap_or_default();
    let mut body =
        vec![family, bits, 0, 0, TABLE_LOCAL, BY_ADMINISTRATOR, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    attribute(&mut body, DESTINATION, &bytes);
    attribute(&mut body, DEVICE, &LOOPBACK.to_ne_bytes());
    let length = u32::try_from(16 + body.len()).unwrap_or_default();
    let mut out = length.to_ne_bytes().to_vec();
    out.extend(NEW_ROUTE.to_ne_bytes());
    out.extend(FLAGS.to_ne_bytes());
    out.extend(1u32.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend(body);
    out
}

/// Makes the kernel take an address for the host's own.
pub(super) fn make_local(address: IpAddr) -> Result<(), String> {
    let told = |error: rustix::io::Errno| error.to_string();
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None).map_err(told)?;
    rustix::net::sendto(&socket, &request(address), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
        .map_err(told)?;
    let mut buffer = vec![0u8; 4096];
    let (length, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty()).map_err(told)?;
    let status = buffer
        .get(16..20)
        .filter(|_| length >= 20)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_ne_bytes);
    match status {
        Some(0 | EXISTS) => Ok(()),
        Some(other) => Err(std::io::Error::from_raw_os_error(-other).to_string()),
        None => Err("the kernel does not answer".into()),
    }
}
