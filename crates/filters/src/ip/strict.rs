//! Addresses and networks as Python's own module `ipaddress` (3.11) sees them: networks have no host bits,
//! IPv6 addresses may have a zone. The tests of the collection and `usable_range` use it.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, ErrorKind, Map, Value};
use num_bigint::BigInt;

use super::address::{Address, Family, Network};
use super::arguments::{Kind, Parameter, bind_test, is_digits};
use super::special::address_within;

/// More addresses than this are not listed.
const MOST_LISTED: u32 = 1 << 20;

const PRIVATE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/29",
    "192.0.0.170/31",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "::/127",
    "::ffff:0:0/96",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
];
const RESERVED: &[&str] = &[
    "240.0.0.0/4",
    "::/3",
    "4000::/2",
    "8000::/2",
    "c000::/3",
    "e000::/4",
    "f000::/5",
    "f800::/6",
    "fe00::/9",
];

/// An address, with its zone where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) address: Address,
    zone: Option<String>,
}

impl Host {
    /// Reads an address, such as `10.0.0.1` or `fe80::1%eth0`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(address) = Address::parse_as(Family::V4, text) {
            return Some(Self { address, zone: None });
        }
        if text.contains('/') {
            return None;
        }
        let (text, zone) = match text.split_once('%') {
            Some((_, zone)) if zone.is_empty() || zone.contains('%') => return None,
            Some((text, zone)) => (text, Some(zone.to_owned())),
            None => (text, None),
        };
        Some(Self { address: Address::parse_as(Family::V6, text)?, zone })
    }

    /// The shortest form; embedded IPv4 addresses are not shown.
    pub(super) fn compressed(&self) -> String {
        let mut out = compressed(self.address);
        if let Some(zone) = &self.zone {
            out.push('%');
            out.push_str(zone);
        }
        out
    }

    /// With all zeros; an address with a zone has no such form.
    pub(super) fn exploded(&self) -> Option<String> {
        match self.address.family {
            Family::V4 => Some(self.address.to_string()),
            Family::V6 if self.zone.is_some() => None,
            Family::V6 => Some(self.address.groups().map(|group| format!("{group:04x}")).join(":")),
        }
    }

    fn mapped(&self) -> Option<Address> {
        let value = self.address.value;
        let is_mapped = self.address.family == Family::V6 && value >> 32 == 0xffff;
        is_mapped.then_some(Address { family: Family::V4, value: value & 0xffff_ffff })
    }

    fn is_private(&self) -> bool {
        address_within(self.mapped().unwrap_or(self.address), PRIVATE)
    }

    /// The first bits of an IPv6 address; `None` for IPv4.
    fn v6_start(&self, bits: u32) -> Option<u128> {
        (self.address.family == Family::V6).then(|| self.address.value >> (128 - bits))
    }
}

fn compressed(address: Address) -> String {
    if address.family == Family::V4 {
        return address.to_string();
    }
    let groups = address.groups();
    let (mut best, mut run) = (0..0, 0..0);
    for (index, group) in groups.iter().enumerate() {
        run = if *group == 0 { run.start..index + 1 } else { index + 1..index + 1 };
        if run.len() > best.len() {
            best = run.clone();
        }
    }
    let shown =
        |groups: &[u16]| groups.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":");
    match (groups.get(..best.start), groups.get(best.end..)) {
        (Some(before), Some(after)) if best.len() > 1 => format!("{}::{}", shown(before), shown(after)),
        _ => shown(&groups),
    }
}

/// A network without host bits, with the zone of its address.
struct Block {
    network: Network,
    zone: Option<String>,
}

impl Block {
    fn parse(text: &str) -> Option<Self> {
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let Host { address, zone } = Host::parse(address)?;
        let network = match mask {
            None => Network::single(address),
            Some(mask) if is_digits(mask) => {
                Network::of(address.family, address.value, &mask.parse::<BigInt>().ok()?)?
            }
            Some(mask) => {
                let mask = Address::parse_as(Family::V4, mask).filter(|_| address.family == Family::V4)?;
                Network::parse(&format!("{address}/{mask}"))?
            }
        };
        (network == network.without_host()).then_some(Self { network, zone })
    }

    /// Whether it lies in another one.
    fn is_in(&self, other: &Self) -> bool {
        let (inner, outer) = (self.network, other.network);
        // Addresses of different zones have an order only if they differ in value.
        let starts = outer.value < inner.value || outer.value == inner.value && self.zone == other.zone;
        inner.family == outer.family && starts && inner.last() <= outer.last()
    }
}

/// A text, or bytes that are one.
fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Str(text) => Some(text),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn host_of(value: &Value) -> Option<Host> {
    Host::parse(text_of(value)?)
}

fn block_of(value: &Value) -> Option<Block> {
    Block::parse(text_of(value)?)
}

/// The filter `usable_range`: all addresses of a network, the first and the last one as well.
pub(super) fn usable_range(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let [value] = bind_test("usable_range", [IP], value, args)?;
    let network = block_of(&value)
        .ok_or_else(|| Error::of_value(format!("`{}` is not a network", value.to_text())))?
        .network;
    let size = network.size();
    if size > BigInt::from(MOST_LISTED) {
        let message = format!("`{network}` has more than {MOST_LISTED} addresses");
        return Err(Error::new(ErrorKind::Limit, message));
    }
    let all = network.value..=network.last();
    let addresses = all.map(|value| Value::str(compressed(Address { family: network.family, value })));
    let mut out = Map::new();
    out.insert("usable_ips".into(), Value::list(addresses.collect()));
    out.insert("number_of_ips".into(), Value::big(size));
    Ok(Value::map(out))
}

const IP: Parameter = Parameter::required("ip", Kind::Text);

fn host_test(name: &str, value: Value, args: &Args, holds: fn(&Host) -> bool) -> Result<bool, Error> {
    let [value] = bind_test(name, [IP], value, args)?;
    Ok(host_of(&value).is_some_and(|host| holds(&host)))
}

fn block_test(name: &str, value: Value, args: &Args, holds: fn(Network) -> bool) -> Result<bool, Error> {
    let [value] = bind_test(name, [IP], value, args)?;
    Ok(block_of(&value).is_some_and(|block| holds(block.network)))
}

pub(super) fn ip(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    block_test("ip", value, args, |_| true)
}

pub(super) fn ipv4(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    block_test("ipv4", value, args, |network| network.family == Family::V4)
}

pub(super) fn ipv6(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    block_test("ipv6", value, args, |network| network.family == Family::V6)
}

pub(super) fn ip_address(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("ip_address", value, args, |_| true)
}

pub(super) fn ipv4_address(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("ipv4_address", value, args, |host| host.address.family == Family::V4)
}

pub(super) fn ipv6_address(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("ipv6_address", value, args, |host| host.address.family == Family::V6)
}

pub(super) fn ipv6_ipv4_mapped(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("ipv6_ipv4_mapped", value, args, |host| host.mapped().is_some())
}

pub(super) fn ipv6_sixtofour(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("ipv6_sixtofour", value, args, |host| host.v6_start(16) == Some(0x2002))
}

pub(super) fn ipv6_teredo(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("ipv6_teredo", value, args, |host| host.v6_start(32) == Some(0x2001_0000))
}

pub(super) fn loopback(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("loopback", value, args, |host| address_within(host.address, &["127.0.0.0/8", "::1/128"]))
}

pub(super) fn multicast(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("multicast", value, args, |host| address_within(host.address, &["224.0.0.0/4", "ff00::/8"]))
}

pub(super) fn private(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("private", value, args, Host::is_private)
}

pub(super) fn public(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("public", value, args, |host| {
        !host.is_private() && !address_within(host.address, &["100.64.0.0/10"])
    })
}

pub(super) fn reserved(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("reserved", value, args, |host| address_within(host.address, RESERVED))
}

pub(super) fn unspecified(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    host_test("unspecified", value, args, |host| host.address.value == 0)
}

pub(super) fn ipv4_hostmask(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    let [mask] = bind_test("ipv4_hostmask", [IP], value, args)?;
    Ok(is_mask(&mask, Network::hostmask))
}

pub(super) fn ipv4_netmask(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    let [mask] = bind_test("ipv4_netmask", [Parameter::required("mask", Kind::Text)], value, args)?;
    Ok(is_mask(&mask, Network::netmask))
}

/// Whether a text is just the mask of some network; it is tried on `10.0.0.0`, so the shortest are not.
fn is_mask(text: &Value, mask: fn(Network) -> Address) -> bool {
    let Value::Str(text) = text else { return false };
    let block = Block::parse(&format!("10.0.0.0/{}", text.as_str()));
    block.is_some_and(|block| mask(block.network).to_string() == text.as_str())
}

fn lies_in(inner: &Value, outer: &Value) -> bool {
    block_of(inner).zip(block_of(outer)).is_some_and(|(inner, outer)| inner.is_in(&outer))
}

pub(super) fn in_network(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    let parameters = [IP, Parameter::required("network", Kind::Text)];
    let [inner, outer] = bind_test("in_network", parameters, value, args)?;
    Ok(lies_in(&inner, &outer))
}

pub(super) fn subnet_of(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    let [a, b] = bind_test("subnet_of", NETWORKS, value, args)?;
    Ok(lies_in(&a, &b))
}

pub(super) fn supernet_of(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    let [a, b] = bind_test("supernet_of", NETWORKS, value, args)?;
    Ok(lies_in(&b, &a))
}

const NETWORKS: [Parameter; 2] =
    [Parameter::required("network_a", Kind::Text), Parameter::required("network_b", Kind::Text)];

pub(super) fn in_any_network(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    Ok(networks_around("in_any_network", value, args)? > 0)
}

pub(super) fn in_one_network(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    Ok(networks_around("in_one_network", value, args)? == 1)
}

/// In how many of the networks of a list something lies.
fn networks_around(test: &str, value: Value, args: &Args) -> Result<usize, Error> {
    let parameters = [IP, Parameter::required("networks", Kind::List)];
    let [inner, networks] = bind_test(test, parameters, value, args)?;
    let mut count = 0;
    for outer in networks.iterate()? {
        match outer {
            Value::None => return Err(Error::of_type(format!("`{test}` takes no `None` as a network"))),
            outer => count += usize::from(lies_in(&inner, &outer)),
        }
    }
    Ok(count)
}

pub(super) fn mac(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    let [value] = bind_test("mac", [Parameter::required("mac", Kind::Text)], value, args)?;
    let Value::Str(text) = &value else {
        return Err(Error::of_type(format!("`mac` takes a text, not `{}`", value.type_name())));
    };
    let text = text.strip_suffix('\n').unwrap_or(text);
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups = |separators: &[char], size: usize, count: usize| {
        let groups: Vec<&str> = text.split(separators).collect();
        groups.len() == count && groups.iter().all(|group| digits(group, size))
    };
    Ok(groups(&[':', '-'], 2, 6) || groups(&['.'], 4, 3) || digits(text, 12))
}

pub(super) fn resolvable(_: &Context<'_>, value: Value, args: &Args) -> Result<bool, Error> {
    bind_test("resolvable", [Parameter::required("host", Kind::Text)], value, args)?;
    Err(Error::new(ErrorKind::Refused, "the test `resolvable` asks the network, which templates must not"))
}
