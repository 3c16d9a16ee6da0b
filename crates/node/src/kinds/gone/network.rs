//! Namespaces, interfaces, routes, virtual servers.

use kubespray_resource::Failure;
use serde_json::Value;

use super::{lines_of, running};
use crate::kinds::{must, run};
use crate::{Host, Spawn};

const NAMESPACES: &str = "/run/netns";
const INTERFACES: &str = "/sys/class/net";

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
    for name in host.list(INTERFACES)? {
        let is_named =
            names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        if is_named || bridges.contains(&name) && is_free(host, &name, prefixes)? {
            out.push(name);
        }
    }
    Ok(out)
}

/// A bridge that another interface is a port of may be the host's own way to its network. Those of pods, which go
/// first, have names of their kind.
fn is_free(host: &dyn Host, bridge: &str, prefixes: &[String]) -> Result<bool, Failure> {
    let ports = host.list(&format!("{INTERFACES}/{bridge}/brif"))?;
    let is_of_pod = |port: &String| {
        port.starts_with("veth") || prefixes.iter().any(|prefix| port.starts_with(prefix.as_str()))
    };
    Ok(ports.iter().all(is_of_pod))
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

/// Routes, each behind its family: `-4 10.233.64.0/26 via 10.0.0.2 dev eth0 proto bird`.
pub(super) fn routes(host: &dyn Host, protocols: &[String]) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    for family in ["-4", "-6"] {
        for protocol in protocols {
            for line in lines_of(host, &["ip", family, "route", "show", "proto", protocol])? {
                // Flags that are only shown.
                let words = line.split_whitespace().filter(|word| !["linkdown", "dead"].contains(word));
                let words: Vec<&str> = words.collect();
                out.push(format!("{family} {} proto {protocol}", words.join(" ")));
            }
        }
    }
    Ok(out)
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
    if !host.list(INTERFACES)?.iter().any(|name| name == interface) {
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
