//! Namespaces, interfaces, routes, virtual servers.

use std::net::IpAddr;

use kubespray_resource::Failure;
use serde_json::Value;

use super::{lines_of, running};
use crate::kinds::{must, run, text_of};
use crate::{Host, Spawn};

const NAMESPACES: &str = "/run/netns";
/// Those of the own network, also where `/sys` is that of another one.
const INTERFACES: &str = "/proc/self/net/dev";

/// Namespaces whose names begin so.
pub(super) fn namespaces(host: &dyn Host, prefix: &str) -> Result<Vec<String>, Failure> {
    Ok(host.list(NAMESPACES)?.into_iter().filter(|name| name.starts_with(prefix)).collect())
}

pub(super) fn remove_namespaces(host: &dyn Host, names: &[String]) -> Result<(), Failure> {
    for name in names {
        let path = format!("{NAMESPACES}/{name}");
        running::unmount(host, &running::mounts(host, std::slice::from_ref(&path), &[])?)?;
        host.remove(&path, false)?;
    }
    Ok(())
}

/// Interfaces by name, by the beginning of their name, and the bridges that CNI configurations name and that nothing is
/// connected to any more.
pub(super) fn interfaces(
    host: &dyn Host,
    names: &[String],
    prefixes: &[String],
    configurations: &str,
) -> Result<Vec<String>, Failure> {
    let bridges = bridges(host, configurations)?;
    let mut out = Vec::new();
    for name in all(host)? {
        let is_named =
            names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        if is_named || bridges.contains(&name) && is_free(host, &name, prefixes)? {
            out.push(name);
        }
    }
    Ok(out)
}

/// The names of all interfaces.
fn all(host: &dyn Host) -> Result<Vec<String>, Failure> {
    let text = text_of(host, INTERFACES)?.unwrap_or_default();
    // Two lines of titles.
    let names = text.lines().skip(2).filter_map(|line| line.split_once(':'));
    Ok(names.map(|(name, _)| name.trim().to_owned()).collect())
}

/// A bridge that another interface is a port of may be the host's own way to its network. Those of pods, which go
/// first, have names of their kind.
fn is_free(host: &dyn Host, bridge: &str, prefixes: &[String]) -> Result<bool, Failure> {
    let lines = lines_of(host, &["ip", "-o", "link", "show", "master", bridge])?;
    // `7: veth12@if2: <BROADCAST> …`
    let ports = lines.iter().filter_map(|line| line.split([':', '@']).nth(1)).map(str::trim);
    let is_of_pod = |port: &str| {
        port.starts_with("veth") || prefixes.iter().any(|prefix| port.starts_with(prefix.as_str()))
    };
    Ok(ports.into_iter().all(is_of_pod))
}

/// The bridges that configurations of CNI name.
fn bridges(host: &dyn Host, folder: &str) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for name in host.list(folder)? {
        let Some(bytes) = host.read(&format!("{folder}/{name}"))? else { continue };
        let Ok(whole) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let plugins = whole.get("plugins").and_then(Value::as_array).into_iter().flatten();
        for plugin in plugins.chain([&whole]) {
            if plugin.get("type").and_then(Value::as_str) == Some("bridge") {
                let bridge = plugin.get("bridge").and_then(Value::as_str).unwrap_or("cni0");
                out.push(bridge.to_owned());
            }
        }
    }
    Ok(out)
}

/// Routes into some networks, each behind its family: `-4 10.233.64.0/26 via 10.0.0.2 dev eth0 proto bird`. A program
/// of routes may have others that are the host's own.
pub(super) fn routes(
    host: &dyn Host,
    protocols: &[String],
    networks: &[String],
) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for family in ["-4", "-6"] {
        for protocol in protocols {
            for line in lines_of(host, &["ip", family, "route", "show", "proto", protocol])? {
                // Flags that are only shown.
                let words = line.split_whitespace().filter(|word| !["linkdown", "dead"].contains(word));
                let words: Vec<&str> = words.collect();
                let to = words.iter().find(|word| {
                    word.starts_with(|c: char| c.is_ascii_hexdigit()) && word.contains(['.', ':'])
                });
                if !to.is_some_and(|to| networks.iter().any(|network| holds(network, to))) {
                    continue;
                }
                out.push(format!("{family} {} proto {protocol}", words.join(" ")));
            }
        }
    }
    Ok(out)
}

/// Whether a network holds an address or another network.
fn holds(network: &str, other: &str) -> bool {
    let parts = |text: &str| -> Option<(u128, u32, u32)> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let (bits, all) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let length: u32 = length.map_or(Some(all), |length| length.parse().ok())?;
        (length <= all).then_some((bits, length, all))
    };
    let (Some((bits, length, all)), Some((other, other_length, other_all))) = (parts(network), parts(other))
    else {
        return false;
    };
    let same = (bits ^ other).checked_shr(all - length).unwrap_or(0) == 0;
    all == other_all && length <= other_length && same
}

pub(super) fn remove_routes(host: &dyn Host, routes: &[String]) -> Result<(), Failure> {
    for route in routes {
        let (family, rest) = route.split_once(' ').unwrap_or(("-4", route));
        let argv = ["ip", family, "route", "delete"].into_iter().chain(rest.split_whitespace());
        must(host, Spawn::new(argv))?;
    }
    Ok(())
}

/// Virtual servers as `ipvsadm` names them: `-t 10.233.0.1:443`.
pub(super) fn virtual_servers(
    host: &dyn Host,
    interface: &str,
    ports: (u16, u16),
) -> Result<Vec<String>, Failure> {
    // Without the interface, whatever is there is not of kube-proxy.
    if !all(host)?.iter().any(|name| name == interface) {
        return Ok(Vec::new());
    }
    let addresses = lines_of(host, &["ip", "-o", "address", "show", "dev", interface])?;
    let addresses: Vec<&str> = addresses
        .iter()
        .filter_map(|line| line.split_whitespace().nth(3))
        .filter_map(|address| address.split('/').next())
        .collect();
    let lines = lines_of(host, &["ipvsadm", "--save", "--numeric"])?;
    let servers = lines.iter().filter_map(|line| {
        let mut words = line.strip_prefix("-A ")?.split_whitespace();
        let (kind, server) = (words.next()?, words.next()?);
        let (address, port) = server.rsplit_once(':')?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let port: u16 = port.parse().ok()?;
        let is_ours = addresses.contains(&address) || (ports.0..=ports.1).contains(&port);
        is_ours.then(|| format!("{kind} {server}"))
    });
    Ok(servers.collect())
}

pub(super) fn remove_virtual_servers(host: &dyn Host, servers: &[String]) -> Result<(), Failure> {
    for server in servers {
        let argv: Vec<&str> =
            ["ipvsadm", "--delete-service"].into_iter().chain(server.split_whitespace()).collect();
        run(host, &argv)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn networks_hold_what_lies_within() {
        for (network, other, expected) in [
            ("10.233.64.0/18", "10.233.64.0/26", true),
            ("10.233.64.0/18", "10.233.127.9", true),
            ("10.233.64.0/18", "10.233.128.0/26", false),
            ("10.233.64.0/18", "10.233.0.0/16", false),
            ("fd85:ee78:d8a6:8607::1:0000/112", "fd85:ee78:d8a6:8607::1:5", true),
            ("0.0.0.0/0", "fd00::1", false),
            ("::/0", "fd00::1", true),
            ("10.0.0.0/33", "10.0.0.1", false),
            ("words", "10.0.0.1", false),
        ] {
            assert_eq!(holds(network, other), expected, "{network} {other}");
        }
    }
}
