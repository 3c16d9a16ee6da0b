//! `ipaddr`, `ipv4`, `ipv6` and `ipwrap`: what is an address or network, and queries about it.
//!
//! A query that does not apply gives `None`, an invalid input gives `False` (ANS-037); which of the two
//! is up to the query, as in the collection.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, ErrorKind, Value, parse_float, parse_int};
use num_bigint::BigInt;

use super::address::{Address, Family, Network, moved};
use super::arguments::{Kind, Parameter, bind, int, is_digits, text, undefined_input};
use super::special;

/// Lists nested deeper than this are refused.
const DEEPEST: usize = 100;

/// The filter `ipaddr`.
pub(super) fn ipaddr(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [
        Parameter::required("value", Kind::Raw),
        Parameter::text_or("query", ""),
        Parameter::optional("version", Kind::Int),
        Parameter::optional("alias", Kind::Text),
    ];
    let [value, query, version, _] = bind("ipaddr", parameters, 4, value, args)?;
    accept("ipaddr", &value)?;
    ask(&value, text(&query), Version::of(&version))
}

/// The filter `ipv4`.
pub(super) fn ipv4(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    of_version("ipv4", Version::V4, value, args)
}

/// The filter `ipv6`.
pub(super) fn ipv6(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    of_version("ipv6", Version::V6, value, args)
}

fn of_version(filter: &str, version: Version, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Raw), Parameter::text_or("query", "")];
    let [value, query] = bind(filter, parameters, 2, value, args)?;
    accept(filter, &value)?;
    ask(&value, text(&query), version)
}

/// The filter `ipwrap`: IPv6 addresses in brackets, all else as it is.
pub(super) fn ipwrap(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Raw), Parameter::text_or("query", "")];
    let [value, query] = bind("ipwrap", parameters, 1, value, args)?;
    if matches!(value, Value::Int(_) | Value::BigInt(_)) {
        return Err(wrong_type("ipwrap", &value));
    }
    accept("ipwrap", &value)?;
    Ok(wrapped(&value, text(&query)).unwrap_or(value))
}

fn wrapped(value: &Value, query: &str) -> Result<Value, Error> {
    let Value::List(items) = value else {
        let found = ask(value, query, Version::Any)?;
        return if found.truthy()? { ask(&found, "wrap", Version::Any) } else { Ok(value.clone()) };
    };
    let mut out = Vec::with_capacity(items.len());
    for item in items.iter() {
        let is_address = ask(item, query, Version::Any)?.truthy()?;
        out.push(if is_address { ask(item, "wrap", Version::Any)? } else { item.clone() });
    }
    Ok(Value::list(out))
}

fn accept(filter: &str, value: &Value) -> Result<(), Error> {
    match value {
        Value::Str(_) | Value::List(_) | Value::Bool(_) | Value::Int(_) | Value::BigInt(_) => Ok(()),
        other => Err(wrong_type(filter, other)),
    }
}

fn wrong_type(filter: &str, value: &Value) -> Error {
    match value {
        Value::Undefined(undefined) => undefined_input(filter, &undefined.error),
        other => {
            Error::of_type(format!("`{filter}` takes a text, list or integer, not `{}`", other.type_name()))
        }
    }
}

/// Which version of the protocol is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Any,
    V4,
    V6,
    /// One that does not exist.
    Other,
}

impl Version {
    fn of(argument: &Value) -> Self {
        match int(argument) {
            None => Self::Any,
            Some(number) => match i64::try_from(number) {
                Ok(0) => Self::Any,
                Ok(4) => Self::V4,
                Ok(6) => Self::V6,
                _ => Self::Other,
            },
        }
    }

    fn fits(self, family: Family) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => family == Family::V4,
            Self::V6 => family == Family::V6,
            Self::Other => false,
        }
    }
}

/// An input that is an address or network.
struct Input {
    network: Network,
    /// Whether it was written with a prefix.
    has_prefix: bool,
    /// The text that queries such as `private` give back.
    value: Value,
}

/// Answers a query about any value; lists are filtered.
pub(super) fn ask(value: &Value, query: &str, version: Version) -> Result<Value, Error> {
    ask_nested(value, query, version, 0)
}

fn ask_nested(value: &Value, query: &str, version: Version, depth: usize) -> Result<Value, Error> {
    if let Value::List(items) | Value::Tuple(items) = value {
        if depth >= DEEPEST {
            return Err(Error::new(ErrorKind::Limit, "lists of addresses are nested too deeply"));
        }
        let mut out = Vec::new();
        for item in items.iter() {
            let answer = ask_nested(item, query, version, depth + 1)?;
            if answer.truthy()? {
                out.push(answer);
            }
        }
        return Ok(Value::list(out));
    }
    let Some(input) = recognise(value, version)? else { return Ok(Value::Bool(false)) };
    if !version.fits(input.network.family) {
        return Ok(Value::Bool(false));
    }
    if let Some(answer) = answer(query, &input) {
        return answer;
    }
    if !is_digits(query)
        && let Some(block) = Network::parse(query)
    {
        return Ok(when(block.contains(input.network), &input));
    }
    at_index(query, &input)
}

/// The network that a text stands for, in any form `ipaddr` takes.
pub(super) fn network_of(text: &str) -> Option<Network> {
    recognise(&Value::str(text), Version::Any).ok().flatten().map(|input| input.network)
}

fn recognise(value: &Value, version: Version) -> Result<Option<Input>, Error> {
    if !value.truthy()? || matches!(value, Value::Bool(_)) {
        return Ok(None);
    }
    let given = match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Int(_) | Value::BigInt(_) => value.to_text(),
        _ => return Ok(None),
    };
    if is_digits(&given) {
        let families = match version {
            Version::Any | Version::V4 => &[Family::V4, Family::V6][..],
            Version::V6 => &[Family::V6],
            Version::Other => return Err(Error::of_value("there is no such version of IP")),
        };
        let Ok(value) = given.parse::<u128>() else { return Ok(None) };
        let family = families.iter().copied().find(|family| value <= Family::max(*family));
        let network = family.map(|family| Network::single(Address { family, value }));
        return Ok(network.map(|network| Input::numeric(network, false)));
    }
    if !matches!(value, Value::Str(_)) {
        return Ok(None);
    }
    if let Some(network) = Network::parse(&given) {
        return Ok(Some(Input { network, has_prefix: given.contains('/'), value: value.clone() }));
    }
    Ok(numeric_network(&given).map(|network| Input::numeric(network, true)))
}

/// A network written as two numbers, such as `167772160/8`.
fn numeric_network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/')?;
    let address = u128::try_from(parse_int(address, 10)?.as_big()?).ok()?;
    let prefix = parse_int(prefix, 10)?.as_big()?;
    [Family::V4, Family::V6].into_iter().find_map(|family| Network::of(family, address, &prefix))
}

impl Input {
    fn numeric(network: Network, has_prefix: bool) -> Self {
        Self { network, has_prefix, value: shown(network) }
    }

    /// An error unless the input was written with a prefix.
    fn needs_prefix(&self) -> Result<(), Error> {
        if self.has_prefix {
            Ok(())
        } else {
            Err(Error::of_value(format!("`{}` is not a network", self.network)))
        }
    }
}

fn shown(thing: impl ToString) -> Value {
    Value::str(thing.to_string())
}

fn shown_if(condition: bool, thing: impl ToString) -> Value {
    if condition { shown(thing) } else { Value::None }
}

fn maybe_shown(thing: Option<impl ToString>) -> Value {
    thing.map_or(Value::None, shown)
}

/// A number as an integer of Python.
pub(super) fn number(number: u128) -> Value {
    Value::big(BigInt::from(number))
}

/// The input itself under a condition.
fn when(condition: bool, input: &Input) -> Value {
    if condition { input.value.clone() } else { Value::None }
}

/// Answers a query by name; `None` if there is no such query.
fn answer(query: &str, input: &Input) -> Option<Result<Value, Error>> {
    let net = input.network;
    let (ip, first) = (net.ip(), net.network());
    let is_single = net.host_bits() == 0;
    let has_host = ip != first;
    Some(Ok(match query {
        "" if input.has_prefix => shown(net),
        "" => shown(ip),
        "6to4" => six_to_four(input),
        // IPv6 has no broadcast: the first address of a network is one for hosts.
        "address" | "ip" => shown_if(has_host || net.host_bits() < 2 || net.family == Family::V6, ip),
        "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
            if net.broadcast().is_some_and(|last| ip == first || ip == last) {
                Value::Bool(false)
            } else {
                shown(net)
            }
        }
        "bool" => Value::Bool(true),
        "broadcast" => maybe_shown(net.broadcast()),
        "cidr" => shown(net),
        "host" => shown_if(has_host || net.host_bits() < 2, net),
        "hostmask" | "wildcard" => shown(net.hostmask()),
        "int" if input.has_prefix => shown(format!("{}/{}", ip.value, net.prefix)),
        "int" => number(ip.value),
        "ip/prefix" => shown_if(net.host_bits() == 1 || has_host, net),
        "ip_netmask" => shown_if(net.host_bits() == 1 || has_host, format!("{ip} {}", net.netmask())),
        "ipv4" => to_ipv4(input),
        "ipv6" => match net.family {
            Family::V6 => input.value.clone(),
            Family::V4 => shown(Network {
                family: Family::V6,
                value: 0xffff_0000_0000 + net.value,
                prefix: net.prefix.saturating_add(96),
            }),
        },
        "link-local" => when(special::address_within(ip, &["169.254.0.0/16", "fe80::/10"]), input),
        "lo" | "loopback" => when(special::is_loopback(ip), input),
        "multicast" => when(special::is_multicast(net), input),
        "net" => shown_if(!is_single && !has_host, net),
        "netmask" => shown(net.netmask()),
        "network" | "network_id" => shown(first),
        "network/prefix" | "subnet" => shown(net.without_host()),
        "network_netmask" => shown(format!("{first} {}", net.netmask())),
        "network_wildcard" => shown(format!("{first} {}", net.hostmask())),
        "prefix" => Value::Int(i64::from(net.prefix)),
        "private" => when(!special::is_global(ip), input),
        "public" => when(special::is_public(ip), input),
        "revdns" => shown(ip.reverse_dns()),
        "size" => Value::big(net.size()),
        "size_usable" => match net.host_bits() {
            0 => Value::Int(0),
            1 => Value::Int(2),
            _ => Value::big(net.size() - 2),
        },
        "type" => Value::from(if is_single || has_host { "address" } else { "network" }),
        "unicast" => when(!special::is_multicast(net), input),
        "version" => Value::Int(net.family.version()),
        "wrap" => match (net.family, input.has_prefix) {
            (Family::V4, _) => input.value.clone(),
            (Family::V6, true) => shown(format!("[{ip}]/{}", net.prefix)),
            (Family::V6, false) => shown(format!("[{ip}]")),
        },
        "first_usable" | "last_usable" | "next_usable" | "previous_usable" | "range_usable" | "peer" => {
            return Some(input.needs_prefix().and_then(|()| neighbour(query, net)));
        }
        _ => return None,
    }))
}

/// The queries that only a network with a prefix answers.
fn neighbour(query: &str, net: Network) -> Result<Value, Error> {
    if query == "peer" {
        return peer(net);
    }
    let Some((first, last)) = net.usable() else { return Ok(Value::None) };
    let step = |distance: i64| {
        let found = usable_at(net, &BigInt::from(distance))?;
        Ok(maybe_shown(found))
    };
    match query {
        "first_usable" => Ok(shown(Address::guess(first))),
        "last_usable" => Ok(shown(Address::guess(last))),
        "next_usable" => step(1),
        "previous_usable" => step(-1),
        _ => Ok(shown(format!("{}-{}", Address::guess(first), Address::guess(last)))),
    }
}

/// The address some steps from the network's own, where it is one for hosts; beyond all addresses it is
/// an error.
pub(super) fn usable_at(net: Network, distance: &BigInt) -> Result<Option<Address>, Error> {
    let Some((first, last)) = net.usable() else { return Ok(None) };
    let value = moved(net.value, distance).ok_or_else(|| Error::of_value("there is no such address"))?;
    Ok((first..=last).contains(&value).then(|| Address::guess(value)))
}

/// The other end of a link of two hosts.
fn peer(net: Network) -> Result<Value, Error> {
    match (net.host_bits(), net.value % 4) {
        (1, _) => Ok(shown(Address::guess(net.value ^ 1))),
        (2, 0) => Err(Error::of_value("the network address of a /30 has no peer")),
        (2, 3) => Err(Error::of_value("the broadcast address of a /30 has no peer")),
        (2, _) => Ok(shown(Address::guess(net.value ^ 3))),
        _ => Err(Error::of_value(format!("`{net}` is not a point-to-point network"))),
    }
}

/// The IPv4 network that an IPv6 one embeds.
fn to_ipv4(input: &Input) -> Value {
    let net = input.network;
    if net.family == Family::V4 {
        return input.value.clone();
    }
    let value = match net.value {
        value if value <= Family::V4.max() => Some(value),
        value => value.checked_sub(0xffff_0000_0000).filter(|value| *value <= Family::V4.max()),
    };
    match (value, net.prefix.checked_sub(96)) {
        (Some(value), Some(prefix)) => shown(Network { family: Family::V4, value, prefix }),
        _ => Value::Bool(false),
    }
}

/// The 6to4 network of an IPv4 address; an IPv6 address if it lies in one.
fn six_to_four(input: &Input) -> Value {
    let net = input.network;
    let ip = net.ip();
    let is_host = net.host_bits() == 0 || ip != net.network();
    match net.family {
        Family::V4 if is_host && (special::is_public(ip) || !special::is_global(ip)) => {
            let [a, b, c, d] = (ip.value as u32).to_be_bytes();
            shown(format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1/48"))
        }
        Family::V6
            if (!input.has_prefix || ip != net.network()) && special::address_within(ip, &["2002::/16"]) =>
        {
            input.value.clone()
        }
        _ => Value::Bool(false),
    }
}

/// A query that is a number: the address at that index, with the prefix.
fn at_index(query: &str, input: &Input) -> Result<Value, Error> {
    if parse_float(query).is_none() {
        return Err(Error::of_value(format!("unknown query `{query}` for an address")));
    }
    let net = input.network;
    if net.host_bits() == 0 {
        return Ok(if input.has_prefix { shown(net) } else { shown(net.ip()) });
    }
    let found = parse_int(query, 10).and_then(|index| net.at(&index.as_big()?));
    Ok(found.map_or(Value::Bool(false), |address| shown(format!("{address}/{}", net.prefix))))
}
