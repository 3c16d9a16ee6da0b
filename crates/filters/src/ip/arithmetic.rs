//! Filters on single addresses: `ipmath`, `ipcut`, `ip4_hex` and `ipv6form`.

use std::fmt::Write;

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, Value};
use num_bigint::BigInt;

use super::address::{Address, Family, Network, low_bits};
use super::arguments::{Kind, Parameter, bind, int, text};
use super::strict;

fn not_an_address(text: &str) -> Error {
    Error::of_value(format!("`{text}` is not an IP address"))
}

/// The value and the integer that `ipmath` and `ipcut` take.
fn with_amount(filter: &str, value: Value, args: &Args) -> Result<(Value, BigInt), Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::optional("amount", Kind::Int)];
    let [value, amount] = bind(filter, parameters, 2, value, args)?;
    let amount = int(&amount).ok_or_else(|| Error::of_type(format!("`{filter}` needs an integer")))?;
    Ok((value, amount))
}

/// The filter `ipmath`: the address some steps away.
pub(super) fn ipmath(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (value, amount) = with_amount("ipmath", value, args)?;
    let given = text(&value);
    let address = Network::parse(given).ok_or_else(|| not_an_address(given))?.ip();
    match address.plus(&amount) {
        Some(found) => Ok(Value::str(found.to_string())),
        None => Err(Error::of_value(format!("`{address}` plus {amount} is not an address"))),
    }
}

/// The filter `ipcut`: the first bits of an address, or the last ones for a negative amount, in groups.
pub(super) fn ipcut(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let (value, amount) = with_amount("ipcut", value, args)?;
    let address = Address::parse(text(&value)).ok_or_else(|| not_an_address(text(&value)))?;
    let width = address.family.width();
    let count = u8::try_from(amount.magnitude()).unwrap_or(width).min(width);
    let is_tail = amount < BigInt::ZERO;
    let skipped = if is_tail { 0 } else { width - count };
    let bits = address.value.checked_shr(u32::from(skipped)).unwrap_or(0) & low_bits(count);
    let group = if address.family == Family::V6 { 16 } else { 8 };
    let mut out = String::new();
    let mut left = count;
    // Groups are counted from the front; the last one may be shorter.
    while left > 0 {
        let taken = left.min(group);
        left -= taken;
        let part = (bits >> left) & low_bits(taken);
        if !out.is_empty() {
            out.push(if address.family == Family::V6 { ':' } else { '.' });
        }
        let _ = match address.family {
            Family::V6 => write!(out, "{part:x}"),
            Family::V4 => write!(out, "{part}"),
        };
    }
    Ok(Value::str(out))
}

/// The filter `ip4_hex`: the four bytes in hexadecimal.
pub(super) fn ip4_hex(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("arg", Kind::Text), Parameter::text_or("delimiter", "")];
    let [value, delimiter] = bind("ip4_hex", parameters, 2, value, args)?;
    let address = Address::parse_as(Family::V4, text(&value)).ok_or_else(|| not_an_address(text(&value)))?;
    let bytes = (address.value as u32).to_be_bytes().map(|byte| format!("{byte:02x}"));
    Ok(Value::str(bytes.join(text(&delimiter))))
}

/// The filter `ipv6form`: an address with all zeros, with none, or as X.509 certificates hold it.
pub(super) fn ipv6form(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::optional("format", Kind::Text)];
    let [value, format] = bind("ipv6form", parameters, 2, value, args)?;
    let given = text(&value);
    let found = match text(&format) {
        "compress" => strict::Host::parse(given).map(|host| host.compressed()),
        "expand" => strict::Host::parse(given).and_then(|host| host.exploded()),
        "x509" => Address::parse_as(Family::V6, given)
            .map(|address| address.groups().map(|group| format!("{group:x}")).join(":")),
        other => return Err(Error::of_value(format!("`ipv6form` knows no format `{other}`"))),
    };
    found.map(Value::from).ok_or_else(|| not_an_address(given))
}
