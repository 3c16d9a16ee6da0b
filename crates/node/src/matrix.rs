//! What a host finds out about others: names and packets. Ports are [`Host::listen`] and [`Host::connect`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use kubespray_resource::{Failure, PacketSize};

use crate::failure::last_lines;
use crate::{Host, HostError, Output, Spawn};

/// Nobody listens longer.
pub(crate) const LONGEST: Duration = Duration::from_mins(1);

/// Every host of the Internet takes packets of IPv6 of this size, and every useful network those of IPv4.
const SMALLEST: u32 = 1_280;

/// Headers of IP and of an echo.
const HEADERS_V4: u32 = 28;
const HEADERS_V6: u32 = 48;

/// More pings to one address are not needed: each but the first halves what is left.
const MOST_PINGS: u32 = 20;

/// How long a name service may take.
const LOOK_UP: Duration = Duration::from_secs(15);

/// What the host's own name services say.
pub(crate) fn resolve(
    host: &dyn Host,
    names: &[String],
) -> Result<BTreeMap<String, Result<Vec<IpAddr>, String>>, Failure> {
    let mut out = BTreeMap::new();
    for name in names {
        stop_if_cancelled(host)?;
        out.insert(name.clone(), look_up(host, name)?);
    }
    Ok(out)
}

fn look_up(host: &dyn Host, name: &str) -> Result<Result<Vec<IpAddr>, String>, Failure> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_name) {
        return Ok(Err("that is no name of a host".into()));
    }
    let spawn = Spawn { timeout: LOOK_UP, ..Spawn::new(["getent", "ahosts", name]) };
    let output = match told(host.run(&spawn))? {
        Ok(output) => output,
        Err(why) => return Ok(Err(why)),
    };
    let mut found: Vec<IpAddr> =
        output.stdout.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    found.sort_unstable();
    found.dedup();
    Ok(if found.is_empty() { Err("the host knows no address of it".into()) } else { Ok(found) })
}

/// The largest packets that reach addresses in one piece.
pub(crate) fn packets(
    host: &dyn Host,
    addresses: &[IpAddr],
    largest: u32,
) -> Result<BTreeMap<IpAddr, PacketSize>, Failure> {
    let mut out = BTreeMap::new();
    for address in addresses {
        if !out.contains_key(address) {
            out.insert(*address, largest_to(host, *address, largest)?);
        }
    }
    Ok(out)
}

/// What one echo found.
enum Echo {
    Passes,
    /// Too large; the size that a router or the host itself named instead.
    Stuck(Option<u32>),
    /// It cannot be told.
    Unknown(String),
}

/// Tries the largest first, which passes in most networks; then what routers say; then halves.
fn largest_to(host: &dyn Host, address: IpAddr, largest: u32) -> Result<PacketSize, Failure> {
    let largest = largest.clamp(SMALLEST, 65_535);
    match echo(host, address, SMALLEST)? {
        Echo::Passes => {}
        Echo::Stuck(_) => {
            let why = format!("no echo of {SMALLEST} bytes comes back: lost, or not allowed");
            return Ok(PacketSize::NotMeasured(why));
        }
        Echo::Unknown(why) => return Ok(PacketSize::NotMeasured(why)),
    }
    // What passes, and what does not.
    let (mut passes, mut stuck) = (SMALLEST, largest + 1);
    let mut next = largest;
    for _ in 0..MOST_PINGS {
        if stuck - passes <= 1 {
            break;
        }
        stop_if_cancelled(host)?;
        match echo(host, address, next)? {
            Echo::Passes => {
                passes = next;
                next = passes + (stuck - passes) / 2;
            }
            Echo::Stuck(named) => match named.filter(|size| *size > passes && *size < next) {
                Some(size) => (stuck, next) = (size + 1, size),
                None => {
                    stuck = next;
                    next = passes + (stuck - passes) / 2;
                }
            },
            Echo::Unknown(why) => return Ok(PacketSize::NotMeasured(why)),
        }
    }
    Ok(PacketSize::Bytes(passes))
}

/// Sends two echoes of a size that nobody may cut; one that comes back is enough.
fn echo(host: &dyn Host, address: IpAddr, size: u32) -> Result<Echo, Failure> {
    let headers = if address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    let (bytes, address) = (size.saturating_sub(headers).to_string(), address.to_string());
    let argv = ["ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", "-M", "do", "-s", &bytes, &address];
    let spawn = Spawn { timeout: Duration::from_secs(10), ..Spawn::new(argv) };
    let output = match told(host.run(&spawn))? {
        Ok(output) => output,
        Err(why) => return Ok(Echo::Unknown(why)),
    };
    Ok(match output.status {
        Some(0) => Echo::Passes,
        // Nothing came back.
        Some(1) => Echo::Stuck(named_size(&output)),
        // Other programs of that name know no `-M`.
        _ => {
            let said = last_lines(&output.stderr).into_iter().next_back();
            Echo::Unknown(said.unwrap_or_else(|| "`ping` fails".to_owned()))
        }
    })
}

/// The size that somebody on the way takes: `mtu=1450`, `mtu = 1450`, `mtu: 1450`.
fn named_size(output: &Output) -> Option<u32> {
    let text = format!("{}\n{}", output.stdout, output.stderr).to_lowercase();
    let (_, rest) = text.split_once("mtu")?;
    let digits: String =
        rest.trim_start_matches([' ', '=', ':']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// What a host says of a program that does not run is an answer; that it is stopped is none.
fn told(result: Result<Output, HostError>) -> Result<Result<Output, String>, Failure> {
    match result {
        Ok(output) => Ok(Ok(output)),
        Err(error @ (HostError::Gone | HostError::Cancelled)) => Err(error.into()),
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn stop_if_cancelled(host: &dyn Host) -> Result<(), Failure> {
    if host.is_cancelled() { Err(HostError::Cancelled.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_name_the_size_in_several_ways() {
        for (said, size) in [
            ("ping: local error: message too long, mtu=1450", Some(1450)),
            ("ping: local error: message too long, mtu: 1450", Some(1450)),
            ("From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)", Some(1400)),
            ("From fd00::1 icmp_seq=1 Packet too big: mtu=1400", Some(1400)),
            ("2 packets transmitted, 0 received", None),
            ("mtu", None),
        ] {
            let output = Output { status: Some(1), stdout: String::new(), stderr: said.into() };
            assert_eq!(named_size(&output), size, "{said}");
        }
    }
}
