//! Filters about subnets and their hosts: `ipsubnet`, `nthhost`, the neighbours of an address, and which
//! networks lie in others.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, Value, parse_int};
use num_bigint::BigInt;

use super::address::{Address, Network, low_bits, moved};
use super::arguments::{Kind, Parameter, bind, int, is_digits, text};
use super::ipaddr::{network_of, usable_at};

/// The filter `ipsubnet`: how many subnets of a size there are, one of them, a supernet of an address, or
/// the rank of a subnet in a network.
pub(super) fn ipsubnet(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [
        Parameter::required("value", Kind::Text),
        Parameter::text_or("query", ""),
        Parameter::optional("index", Kind::Int),
    ];
    let [value, query, index] = bind("ipsubnet", parameters, 3, value, args)?;
    let query = text(&query);
    let Some(net) = network_of(text(&value)).map(Network::without_host) else {
        return Ok(Value::Bool(false));
    };
    if query.is_empty() {
        return Ok(Value::str(net.to_string()));
    }
    if !is_digits(query) {
        return rank(net, query);
    }
    let prefix = match query.parse::<u8>() {
        Ok(prefix) if prefix <= net.family.width() => prefix,
        _ => return Ok(Value::Bool(false)),
    };
    match (int(&index), net.host_bits()) {
        (None, 0) => supernet(net, prefix, &BigInt::ZERO),
        (None, _) => match prefix.checked_sub(net.prefix) {
            Some(bits) => Ok(Value::str((BigInt::from(1) << bits).to_string())),
            None => Err(Error::of_value(format!("`{net}` has no subnets of size {prefix}"))),
        },
        (Some(index), 0) => {
            let width = BigInt::from(net.family.width());
            if &index * 2 > &width + 1 || index < BigInt::from(prefix) - width {
                return Ok(Value::Bool(false));
            }
            supernet(net, prefix, &index)
        }
        (Some(index), _) => nth_subnet(net, prefix, index),
    }
}

/// One of the networks around an address, the largest first; an index below zero counts from the smallest.
fn supernet(net: Network, largest: u8, index: &BigInt) -> Result<Value, Error> {
    let base = if *index < BigInt::ZERO { net.prefix } else { largest };
    let prefix = BigInt::from(base) + index;
    match Network::of(net.family, net.value, &prefix) {
        Some(found) if found.prefix >= largest && found.prefix < net.prefix => {
            Ok(Value::str(found.without_host().to_string()))
        }
        _ => Err(Error::of_value(format!("`{net}` has no such supernet"))),
    }
}

fn nth_subnet(net: Network, prefix: u8, index: BigInt) -> Result<Value, Error> {
    let index = match prefix.checked_sub(net.prefix) {
        Some(bits) => {
            let count = BigInt::from(1) << bits;
            let index = if index < BigInt::ZERO { index + &count } else { index };
            if index < BigInt::ZERO || index >= count {
                return Ok(Value::Bool(false));
            }
            index
        }
        // The collection lets the first one pass even if it is larger than the network.
        None if index == BigInt::ZERO => index,
        None => return Ok(Value::Bool(false)),
    };
    let shift = net.family.width().saturating_sub(prefix);
    // A low IPv6 network turns into IPv4 here, and its prefix may not fit then.
    let found = moved(net.value, &(index << shift))
        .and_then(|value| Network::parse(&format!("{}/{prefix}", Address::guess(value))));
    match found {
        Some(found) => Ok(Value::str(found.to_string())),
        None => Err(Error::of_value(format!("`{net}` has no such subnet"))),
    }
}

/// The place of a subnet among those of its size in a network, counted from one.
fn rank(net: Network, query: &str) -> Result<Value, Error> {
    let around = network_of(query).ok_or_else(|| Error::of_value(format!("`{query}` is not a network")))?;
    let outside = || Error::of_value(format!("`{net}` is not in `{around}`"));
    let shift = net.family.width().checked_sub(around.prefix).ok_or_else(outside)?;
    let above = |value: u128| value.checked_shr(u32::from(shift)).unwrap_or(0);
    if above(net.value) != above(around.value) {
        return Err(outside());
    }
    let bits = net.prefix.checked_sub(around.prefix).ok_or_else(outside)?;
    let place = net.value.checked_shr(u32::from(net.host_bits())).unwrap_or(0) & low_bits(bits);
    let place: BigInt = BigInt::from(place) + 1;
    Ok(Value::str(place.to_string()))
}

/// The filter `nthhost`: the address at an index of a network.
pub(super) fn nthhost(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::optional("query", Kind::Text)];
    let [value, query] = bind("nthhost", parameters, 2, value, args)?;
    let Some(net) = network_of(text(&value)) else { return Ok(Value::Bool(false)) };
    let Some(index) = parse_int(text(&query), 10).and_then(|index| index.as_big()) else {
        return Ok(Value::Bool(false));
    };
    if index >= net.size() {
        return Ok(Value::Bool(false));
    }
    match net.at(&index) {
        Some(address) => Ok(Value::str(address.to_string())),
        None => Err(Error::of_value(format!("`{net}` has no address at {index}"))),
    }
}

/// The filter `next_nth_usable`.
pub(super) fn next_nth_usable(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    nth_usable("next_nth_usable", value, args, |offset| offset)
}

/// The filter `previous_nth_usable`.
pub(super) fn previous_nth_usable(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    nth_usable("previous_nth_usable", value, args, |offset| -offset)
}

fn nth_usable(
    filter: &str,
    value: Value,
    args: &Args,
    direction: fn(BigInt) -> BigInt,
) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::optional("offset", Kind::Int)];
    let [value, offset] = bind(filter, parameters, 2, value, args)?;
    let Some(net) = network_of(text(&value)) else { return Ok(Value::Bool(false)) };
    let offset = int(&offset).ok_or_else(|| Error::of_type(format!("`{filter}` needs an integer")))?;
    let found = usable_at(net, &direction(offset))?;
    Ok(found.map_or(Value::None, |address| Value::str(address.to_string())))
}

/// First and last address as numbers. Two addresses count as one, and what is no network as address
/// zero: the collection compares no families.
fn bounds(net: Option<Network>) -> (u128, u128) {
    net.map_or((0, 0), |net| {
        let first = net.network().value;
        (first, net.broadcast().map_or(first, |last| last.value))
    })
}

/// Like [`bounds`], without the addresses that are not for hosts.
fn usable_bounds(net: Option<Network>) -> (u128, u128) {
    net.map_or((0, 0), |net| net.usable().unwrap_or((net.value, net.value)))
}

fn holds(outer: (u128, u128), inner: (u128, u128)) -> bool {
    let within = |value: u128| outer.0 <= value && value <= outer.1;
    within(inner.0) && within(inner.1)
}

/// The filter `network_in_network`: whether the argument lies in the network before the bar.
pub(super) fn network_in_network(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (outer, inner) = two_networks("network_in_network", value, args)?;
    Ok(Value::Bool(holds(bounds(outer), bounds(inner))))
}

/// The filter `network_in_usable`: the same for the addresses of hosts.
pub(super) fn network_in_usable(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (outer, inner) = two_networks("network_in_usable", value, args)?;
    Ok(Value::Bool(holds(usable_bounds(outer), bounds(inner))))
}

fn two_networks(
    filter: &str,
    value: Value,
    args: &Args,
) -> Result<(Option<Network>, Option<Network>), Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::optional("test", Kind::Text)];
    let [value, test] = bind(filter, parameters, 2, value, args)?;
    Ok((network_of(text(&value)), network_of(text(&test))))
}

/// The filter `reduce_on_network`: those of a list that lie in a network.
pub(super) fn reduce_on_network(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Texts), Parameter::optional("network", Kind::Text)];
    let [value, network] = bind("reduce_on_network", parameters, 2, value, args)?;
    let outer = bounds(network_of(text(&network)));
    let items = value.as_sequence().unwrap_or_default().iter();
    Ok(Value::list(items.filter(|item| holds(outer, bounds(network_of(text(item))))).cloned().collect()))
}
