//! Hardware addresses: `hwaddr`, `macaddr` and `slaac`.

use kubespray_jinja::{Args, Context};
use kubespray_value::{Error, Value, parse_int};

use super::address::{Address, Family};
use super::arguments::{Kind, Parameter, bind, text};
use super::ipaddr::{network_of, number};

/// A hardware address of 48 or 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hardware {
    value: u64,
    is_long: bool,
}

/// A way to write one: as how many groups, parted by what, each with how few and how many digits.
type Form = (usize, &'static str, usize, usize);

const SHORT_FORMS: &[Form] = &[
    (6, ":", 1, 2),
    (6, "-", 1, 2),
    (3, ":", 1, 4),
    (3, "-", 1, 4),
    (3, ".", 1, 4),
    (2, "-", 5, 6),
    (2, ":", 5, 6),
    (1, ":", 11, 12),
];
const LONG_FORMS: &[Form] =
    &[(8, ":", 1, 2), (8, "-", 1, 2), (4, ":", 1, 4), (4, "-", 1, 4), (4, ".", 1, 4), (1, ":", 16, 16)];
const SHORT_MAX: u64 = 0xffff_ffff_ffff;

impl Hardware {
    /// Reads any usual form; a text that is none of them may be a decimal number.
    fn parse(text: &str) -> Option<Self> {
        let number = parse_int(text, 10).and_then(|n| n.as_big()).and_then(|n| u64::try_from(n).ok());
        // netaddr's patterns let one line feed pass at the end.
        let written = text.strip_suffix('\n').unwrap_or(text);
        let short = read(written, SHORT_FORMS, 48).or_else(|| number.filter(|n| *n <= SHORT_MAX));
        match short {
            Some(value) => Some(Self { value, is_long: false }),
            None => read(written, LONG_FORMS, 64).or(number).map(|value| Self { value, is_long: true }),
        }
    }

    /// The last half of an IPv6 address: with `fffe` in the middle and the universal bit turned over.
    fn interface(self) -> u64 {
        let long = if self.is_long {
            self.value
        } else {
            ((self.value >> 24) << 40) | 0xff_fe00_0000 | (self.value & 0xff_ffff)
        };
        long ^ 0x0200_0000_0000_0000
    }
}

fn read(text: &str, forms: &[Form], width: usize) -> Option<u64> {
    forms.iter().find_map(|(count, separator, fewest, most)| {
        let groups: Vec<&str> = text.split(separator).collect();
        let fits = |group: &&str| {
            (*fewest..=*most).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if groups.len() != *count || !groups.iter().all(fits) {
            return None;
        }
        groups.iter().try_fold(0_u64, |value, group| {
            let group = u64::from_str_radix(group, 16).ok()?;
            Some(value.checked_shl((width / count) as u32).unwrap_or(0) | group)
        })
    })
}

/// The filter `hwaddr`.
pub(super) fn hwaddr(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [
        Parameter::required("value", Kind::Text),
        Parameter::text_or("query", ""),
        Parameter::text_or("alias", "hwaddr"),
    ];
    let [value, query, alias] = bind("hwaddr", parameters, 3, value, args)?;
    ask(value, text(&query), text(&alias))
}

/// The filter `macaddr`.
pub(super) fn macaddr(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::text_or("query", "")];
    let [value, query] = bind("macaddr", parameters, 2, value, args)?;
    ask(value, text(&query), "macaddr")
}

fn ask(value: Value, query: &str, alias: &str) -> Result<Value, Error> {
    let Some(found) = Hardware::parse(text(&value)) else {
        return match query {
            "" | "bool" => Ok(Value::None),
            _ => Err(Error::of_value(format!("{alias}: `{}` is not a hardware address", text(&value)))),
        };
    };
    let groups = |bits: u32, separator: &str, write: fn(u64) -> String| {
        if found.value > SHORT_MAX {
            return Err(Error::of_value(format!("{alias}: `{query}` holds only 48 bits")));
        }
        let mask = u64::MAX >> (64 - bits);
        let words = (0..48 / bits).rev().map(|index| write((found.value >> (index * bits)) & mask));
        Ok(Value::str(words.collect::<Vec<_>>().join(separator)))
    };
    match query {
        "" => Ok(value),
        "bool" => Ok(Value::Bool(true)),
        "int" => Ok(number(u128::from(found.value))),
        "bare" => groups(48, "", |word| format!("{word:012X}")),
        "cisco" => groups(16, ".", |word| format!("{word:04x}")),
        "eui48" | "win" => groups(8, "-", |word| format!("{word:02X}")),
        "linux" => groups(8, ":", |word| format!("{word:02x}")),
        "pgsql" | "postgresql" | "psql" => groups(24, ":", |word| format!("{word:06x}")),
        "unix" => groups(8, ":", |word| format!("{word:x}")),
        _ => Err(Error::of_value(format!("{alias}: unknown query `{query}` for a hardware address"))),
    }
}

/// The filter `slaac`: the address that a host with a hardware address gives itself in an IPv6 network.
pub(super) fn slaac(_: &Context<'_>, value: Value, args: &Args) -> Result<Value, Error> {
    let parameters = [Parameter::required("value", Kind::Text), Parameter::optional("query", Kind::Text)];
    let [value, query] = bind("slaac", parameters, 2, value, args)?;
    let Some(net) = network_of(text(&value)).filter(|net| net.family == Family::V6) else {
        return Ok(Value::Bool(false));
    };
    let Some(hardware) = Hardware::parse(text(&query)) else { return Ok(Value::Bool(false)) };
    match net.network().value.checked_add(u128::from(hardware.interface())) {
        Some(value) => Ok(Value::str(Address { family: Family::V6, value }.to_string())),
        None => Err(Error::of_value(format!("`{net}` has no room for an interface"))),
    }
}
