//! `cidr_merge`: the fewest networks that hold the same addresses, or the one that spans them.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, Value};

use super::address::{Family, Network, low_bits};
use super::arguments::{Kind, Parameter, bind, text};

/// The filter `cidr_merge`.
pub(super) fn cidr_merge(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Texts), Parameter::text_or("action", "merge")];
    let [value, action] = bind("cidr_merge", parameters, 2, value, args)?;
    let action = text(&action);
    if !matches!(action, "merge" | "span") {
        return Err(Error::of_value(format!("`cidr_merge` knows no action `{action}`")));
    }
    let mut networks = Vec::new();
    for item in value.as_sequence().unwrap_or_default() {
        let network = Network::parse(text(item))
            .ok_or_else(|| Error::of_value(format!("`{}` is not a network", text(item))))?;
        networks.push(network);
    }
    if action == "span" {
        return Ok(span(&networks)?.map_or(Value::None, |network| Value::str(network.to_string())));
    }
    Ok(Value::list(merge(&networks).iter().map(|network| Value::str(network.to_string())).collect()))
}

/// Addresses of a family from a first to a last one, and the network it came from if it still is one.
struct Range {
    family: Family,
    first: u128,
    last: u128,
    network: Option<Network>,
}

fn merge(networks: &[Network]) -> Vec<Network> {
    let mut ranges: Vec<Range> = networks
        .iter()
        .map(|network| Range {
            family: network.family,
            first: network.network().value,
            last: network.last(),
            network: Some(*network),
        })
        .collect();
    ranges.sort_by_key(|range| (range.family, range.last, range.first));
    // From the end: a range may swallow several that end before it.
    let mut merged: Vec<Range> = Vec::new();
    for range in ranges.into_iter().rev() {
        match merged.last_mut() {
            Some(above) if above.family == range.family && above.first.saturating_sub(1) <= range.last => {
                above.first = above.first.min(range.first);
                above.network = None;
            }
            _ => merged.push(range),
        }
    }
    merged.iter().rev().flat_map(|range| range.network.map_or_else(|| split(range), |it| vec![it])).collect()
}

/// The fewest networks that make up a range.
fn split(range: &Range) -> Vec<Network> {
    let mut out = Vec::new();
    let mut first = range.first;
    loop {
        let aligned = first.trailing_zeros().min(u32::from(range.family.width())) as u8;
        let left = range.last.saturating_sub(first);
        let fitting = left.checked_add(1).map_or(128, u128::ilog2) as u8;
        let bits = aligned.min(fitting);
        out.push(Network {
            family: range.family,
            value: first,
            prefix: range.family.width().saturating_sub(bits),
        });
        let last = first | low_bits(bits);
        match last.checked_add(1) {
            Some(next) if last < range.last => first = next,
            _ => return out,
        }
    }
}

/// The smallest network around all; a single one stays as written.
fn span(networks: &[Network]) -> Result<Option<Network>, Error> {
    let lowest = networks.iter().copied().min_by(|a, b| a.order(*b));
    let highest = networks.iter().copied().max_by(|a, b| a.order(*b));
    let (Some(lowest), Some(highest)) = (lowest, highest) else { return Ok(None) };
    if networks.len() == 1 {
        return Ok(Some(lowest));
    }
    if lowest.family != highest.family {
        return Err(Error::of_type("`cidr_merge` cannot span IPv4 and IPv6"));
    }
    let first = lowest.network().value;
    let mut out = Network { value: highest.last(), ..highest };
    while out.prefix > 0 && out.value > first {
        out.prefix -= 1;
        out = out.without_host();
    }
    Ok(Some(out))
}
