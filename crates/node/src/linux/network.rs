//! Interfaces, addresses and default routes: from `ip`, or from `/proc` and `/sys` where it is missing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kubespray_resource::{Address, Interface};
use serde::Deserialize;

use super::LinuxHost;
use super::facts::print;
use crate::Host;

/// Anywhere behind the default route; nothing is sent there.
const FAR_V4: &str = "8.8.8.8";
const FAR_V6: &str = "2001:4860:4860::8888";

/// What the host has of the network.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) interfaces: Vec<Interface>,
    pub(super) default_ipv4: Option<Address>,
    pub(super) default_ipv6: Option<Address>,
}

#[derive(Deserialize)]
struct IpLink {
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    mtu: u32,
    #[serde(default)]
    address: String,
    #[serde(default)]
    addr_info: Vec<IpAddress>,
}

#[derive(Deserialize)]
struct IpAddress {
    local: Option<IpAddr>,
    #[serde(default)]
    prefixlen: u8,
}

#[derive(Deserialize)]
struct IpRoute {
    gateway: Option<IpAddr>,
    dev: Option<String>,
    prefsrc: Option<IpAddr>,
}

pub(super) fn gather(host: &LinuxHost) -> Network {
    let links: Vec<IpLink> = serde_json::from_str(&print(host, &["ip", "-j", "addr"])).unwrap_or_default();
    if links.is_empty() {
        return from_proc(host);
    }
    let interfaces: Vec<Interface> = links
        .into_iter()
        .map(|link| Interface {
            mac: link.address,
            mtu: link.mtu,
            up: link.flags.iter().any(|flag| flag == "UP"),
            addresses: link
                .addr_info
                .into_iter()
                .filter_map(|address| {
                    let prefix = address.prefixlen;
                    let interface = link.ifname.clone();
                    Some(Address { address: address.local?, prefix, interface, gateway: None })
                })
                .collect(),
            name: link.ifname,
        })
        .collect();
    let default = |version: &str, far: &str| {
        let text = print(host, &["ip", "-j", version, "route", "get", far]);
        let routes: Vec<IpRoute> = serde_json::from_str(&text).unwrap_or_default();
        let route = routes.into_iter().next()?;
        let (address, interface) = (route.prefsrc?, route.dev?);
        let prefix = prefix_of(&interfaces, address).unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        Some(Address { address, prefix, interface, gateway: route.gateway })
    };
    let (default_ipv4, default_ipv6) = (default("-4", FAR_V4), default("-6", FAR_V6));
    Network { interfaces, default_ipv4, default_ipv6 }
}

fn prefix_of(interfaces: &[Interface], wanted: IpAddr) -> Option<u8> {
    let mut all = interfaces.iter().flat_map(|interface| &interface.addresses);
    all.find(|address| address.address == wanted).map(|address| address.prefix)
}

/// A route of `/proc/net/route`.
struct Route {
    interface: String,
    network: u32,
    mask: u32,
    gateway: u32,
}

fn from_proc(host: &LinuxHost) -> Network {
    let text = |path: String| host.read_text(&path).unwrap_or_default();
    let routes: Vec<Route> = text("/proc/net/route".into()).lines().skip(1).filter_map(route).collect();
    let v6 = text("/proc/net/if_inet6".into());
    let local = local_v4(&text("/proc/net/fib_trie".into()));
    let names = host.list("/sys/class/net").unwrap_or_default();
    let interfaces: Vec<Interface> = names
        .into_iter()
        .filter(|name| host.read_text(&format!("/sys/class/net/{name}/mtu")).is_some())
        .map(|name| {
            let value = |what: &str| text(format!("/sys/class/net/{name}/{what}")).trim().to_owned();
            let flags = u32::from_str_radix(value("flags").trim_start_matches("0x"), 16).unwrap_or_default();
            let mut addresses: Vec<Address> = local
                .iter()
                .filter_map(|address| {
                    let prefix = match on_link(&routes, *address) {
                        Some(route) if route.interface == name => route.mask.count_ones() as u8,
                        None if address.is_loopback() && name == "lo" => 8,
                        _ => return None,
                    };
                    Some(Address {
                        address: (*address).into(),
                        prefix,
                        interface: name.clone(),
                        gateway: None,
                    })
                })
                .collect();
            addresses.extend(v6.lines().filter_map(|line| inet6(line, &name)));
            Interface {
                mac: value("address"),
                mtu: value("mtu").parse().unwrap_or_default(),
                up: flags & 1 == 1,
                addresses,
                name,
            }
        })
        .collect();
    let default_ipv4 = routes.iter().find(|route| route.mask == 0 && route.gateway != 0).and_then(|route| {
        let interface = interfaces.iter().find(|interface| interface.name == route.interface)?;
        let address = interface.addresses.iter().find(|address| address.address.is_ipv4())?;
        Some(Address { gateway: Some(Ipv4Addr::from_bits(route.gateway).into()), ..address.clone() })
    });
    Network { interfaces, default_ipv4, default_ipv6: None }
}

/// A line of `/proc/net/route`: numbers in the byte order of the machine.
fn route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(u32::to_be);
    Some(Route {
        interface: (*fields.first()?).to_owned(),
        network: number(1)?,
        gateway: number(2)?,
        mask: number(7)?,
    })
}

/// The most specific network without a gateway that an address is in.
fn on_link(routes: &[Route], address: Ipv4Addr) -> Option<&Route> {
    routes
        .iter()
        .filter(|route| {
            route.gateway == 0 && route.mask != 0 && address.to_bits() & route.mask == route.network
        })
        .max_by_key(|route| route.mask)
}

/// Addresses that `/proc/net/fib_trie` calls local: the line before `/32 host LOCAL`.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut out = Vec::new();
    let mut last = None;
    for line in trie.lines() {
        if let Some(text) = line.trim_start().strip_prefix("|-- ") {
            last = text.parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = last.filter(|address| !out.contains(address))
        {
            out.push(address);
        }
    }
    out
}

/// A line of `/proc/net/if_inet6`: address, index, prefix, scope, flags, interface.
fn inet6(line: &str, interface: &str) -> Option<Address> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    if fields.get(5) != Some(&interface) {
        return None;
    }
    let bits = u128::from_str_radix(fields.first()?, 16).ok()?;
    let prefix = u8::from_str_radix(fields.get(2)?, 16).ok()?;
    let address = Ipv6Addr::from_bits(bits).into();
    Some(Address { address, prefix, interface: interface.to_owned(), gateway: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_proc() {
        let trie = "Main:\n  |-- 10.0.0.0\n     /24 link UNICAST\n  |-- 10.0.0.5\n     /32 host LOCAL\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(10, 0, 0, 5)]);
        let line = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0";
        let found = inet6(line, "eth0").unwrap();
        assert_eq!((found.address.to_string().as_str(), found.prefix), ("fe80::fc:ff:fe00:1", 64));
        assert_eq!(inet6(line, "eth1"), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn routes_are_read_from_proc() {
        let network = route("eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0").unwrap();
        assert_eq!(Ipv4Addr::from_bits(network.network), Ipv4Addr::new(10, 0, 0, 0));
        assert_eq!(network.mask.count_ones(), 24);
        assert!(on_link(&[network], Ipv4Addr::new(10, 0, 0, 5)).is_some());
    }
}
