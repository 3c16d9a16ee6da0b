//! Addresses and networks as the Python package netaddr 1.3 sees them, which the collection builds on.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

use kubespray_value::parse_int;
use num_bigint::BigInt;

/// The family of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// Bits of an address.
    pub(super) fn width(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The number of the protocol: 4 or 6.
    pub(super) fn version(self) -> i64 {
        match self {
            Self::V4 => 4,
            Self::V6 => 6,
        }
    }

    /// The highest address as a number.
    pub(super) fn max(self) -> u128 {
        low_bits(self.width())
    }
}

/// A number whose lowest `count` bits are set, and no other.
pub(super) fn low_bits(count: u8) -> u128 {
    1_u128.checked_shl(u32::from(count)).map_or(u128::MAX, |power| power - 1)
}

/// One address. The value never exceeds [`Family::max`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) family: Family,
    pub(super) value: u128,
}

impl Address {
    /// Reads four decimal bytes or IPv6 groups, as `inet_pton` does: no leading zeros, blanks or zones.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::parse_as(Family::V4, text).or_else(|| Self::parse_as(Family::V6, text))
    }

    /// Like [`Address::parse`], for one family.
    pub(super) fn parse_as(family: Family, text: &str) -> Option<Self> {
        let value = match family {
            Family::V4 => u128::from(u32::from(text.parse::<Ipv4Addr>().ok()?)),
            Family::V6 => u128::from(text.parse::<Ipv6Addr>().ok()?),
        };
        Some(Self { family, value })
    }

    /// The address of a bare number: IPv4 if it fits, even where an IPv6 network was meant. netaddr
    /// guesses so, hence the first usable address of `::/64` is `0.0.0.1`.
    pub(super) fn guess(value: u128) -> Self {
        let family = if value <= Family::V4.max() { Family::V4 } else { Family::V6 };
        Self { family, value }
    }

    /// The address `distance` further up; `None` outside of the family.
    pub(super) fn plus(self, distance: &BigInt) -> Option<Self> {
        let value = moved(self.value, distance)?;
        (value <= self.family.max()).then_some(Self { family: self.family, value })
    }

    /// Its 16-bit groups, for IPv6.
    pub(super) fn groups(self) -> [u16; 8] {
        Ipv6Addr::from(self.value).segments()
    }

    /// Whether all set bits come first, or none or all are set.
    pub(super) fn is_netmask(self) -> bool {
        mask_zeros(self.family, self.value).is_some()
    }

    /// Whether all set bits come last, or none or all are set.
    pub(super) fn is_hostmask(self) -> bool {
        self.value.checked_add(1).is_none_or(u128::is_power_of_two)
    }

    /// The name under which reverse DNS looks it up, with the final dot.
    pub(super) fn reverse_dns(self) -> String {
        let mut out = String::new();
        match self.family {
            Family::V4 => {
                for byte in (self.value as u32).to_le_bytes() {
                    let _ = write!(out, "{byte}.");
                }
                out.push_str("in-addr.arpa.");
            }
            Family::V6 => {
                for nibble in 0..32_u32 {
                    let _ = write!(out, "{:x}.", (self.value >> (4 * nibble)) & 0xf);
                }
                out.push_str("ip6.arpa.");
            }
        }
        out
    }
}

/// A number moved by a distance; `None` where it leaves 128 bits.
pub(super) fn moved(value: u128, distance: &BigInt) -> Option<u128> {
    u128::try_from(BigInt::from(value) + distance).ok()
}

/// How many zeros end a netmask; `None` where it is none.
fn mask_zeros(family: Family, mask: u128) -> Option<u8> {
    let inverted = mask ^ family.max();
    let is_mask = inverted.checked_add(1).is_none_or(u128::is_power_of_two);
    is_mask.then_some(inverted.count_ones() as u8)
}

impl fmt::Display for Address {
    /// As glibc's `inet_ntop`: the longest run of zero groups is `::`, and addresses below `::ffff:0:0/95`
    /// that embed an IPv4 address show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            Family::V4 => Ipv4Addr::from(self.value as u32).fmt(f),
            Family::V6 => {
                let is_compatible = self.value >> 32 == 0 && self.value >> 16 != 0;
                if is_compatible {
                    write!(f, "::{}", Ipv4Addr::from(self.value as u32))
                } else {
                    Ipv6Addr::from(self.value).fmt(f)
                }
            }
        }
    }
}

/// An address with the length of its network's prefix; the address may have host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) family: Family,
    pub(super) value: u128,
    /// At most [`Family::width`].
    pub(super) prefix: u8,
}

impl Network {
    /// A network of one address.
    pub(super) fn single(address: Address) -> Self {
        Self { family: address.family, value: address.value, prefix: address.family.width() }
    }

    /// From numbers; `None` where they do not fit the family.
    pub(super) fn of(family: Family, value: u128, prefix: &BigInt) -> Option<Self> {
        let prefix = u8::try_from(prefix).ok()?;
        (value <= family.max() && prefix <= family.width()).then_some(Self { family, value, prefix })
    }

    /// Reads an address, or an address, a slash, and a prefix length, netmask or hostmask.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::parse_as(Family::V4, text).or_else(|| Self::parse_as(Family::V6, text))
    }

    fn parse_as(family: Family, text: &str) -> Option<Self> {
        let Some((address, mask)) = text.split_once('/') else {
            return Address::parse_as(family, text).map(Self::single);
        };
        let value = Address::parse_as(family, address)?.value;
        if let Some(prefix) = parse_int(mask, 10).and_then(|prefix| prefix.as_big()) {
            return Self::of(family, value, &prefix);
        }
        let mask = Address::parse_as(family, mask)?;
        let zeros = match mask_zeros(family, mask.value) {
            Some(zeros) => zeros,
            None if mask.is_hostmask() => mask.value.count_ones() as u8,
            None => return None,
        };
        Some(Self { family, value, prefix: family.width().saturating_sub(zeros) })
    }

    /// The address with its host bits.
    pub(super) fn ip(self) -> Address {
        Address { family: self.family, value: self.value }
    }

    /// How many bits number the hosts.
    pub(super) fn host_bits(self) -> u8 {
        self.family.width().saturating_sub(self.prefix)
    }

    /// How many addresses it holds.
    pub(super) fn size(self) -> BigInt {
        BigInt::from(1) << self.host_bits()
    }

    /// The hostmask.
    pub(super) fn hostmask(self) -> Address {
        Address { family: self.family, value: low_bits(self.host_bits()) }
    }

    /// The netmask.
    pub(super) fn netmask(self) -> Address {
        Address { family: self.family, value: self.family.max() ^ low_bits(self.host_bits()) }
    }

    /// The first address.
    pub(super) fn network(self) -> Address {
        Address { family: self.family, value: self.value & self.netmask().value }
    }

    /// The last address as a number.
    pub(super) fn last(self) -> u128 {
        self.value | self.hostmask().value
    }

    /// The last address, where the network has more than two; in IPv6 as well.
    pub(super) fn broadcast(self) -> Option<Address> {
        (self.host_bits() > 1).then(|| Address { family: self.family, value: self.last() })
    }

    /// The same network without host bits.
    pub(super) fn without_host(self) -> Self {
        Self { value: self.network().value, ..self }
    }

    /// Lowest and highest address for hosts, as numbers: all of two, else without the first and the
    /// last; `None` for a single address.
    pub(super) fn usable(self) -> Option<(u128, u128)> {
        let (first, last) = (self.network().value, self.last());
        match self.host_bits() {
            0 => None,
            1 => Some((first, last)),
            _ => Some((first.saturating_add(1), last.saturating_sub(1))),
        }
    }

    /// The address at an index, counted from the end if negative.
    pub(super) fn at(self, index: &BigInt) -> Option<Address> {
        let size = self.size();
        let value = if *index >= BigInt::ZERO {
            if *index >= size {
                return None;
            }
            moved(self.network().value, index)?
        } else {
            if *index < -size {
                return None;
            }
            moved(self.last(), &(index + 1))?
        };
        Some(Address { family: self.family, value })
    }

    /// Whether another network lies in this one.
    pub(super) fn contains(self, other: Self) -> bool {
        self.family == other.family
            && self.prefix <= other.prefix
            && self.network().value == (other.value & self.netmask().value)
    }

    /// netaddr's order: family, first address, prefix, host bits.
    pub(super) fn order(self, other: Self) -> Ordering {
        let key = |network: Self| (network.family, network.network().value, network.prefix, network.value);
        key(self).cmp(&key(other))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_prefixes_are_read() {
        for (text, shown) in [
            ("10.0.0.5", Some("10.0.0.5/32")),
            ("10.0.0.5/255.255.255.0", Some("10.0.0.5/24")),
            ("10.0.0.5/0.0.0.255", Some("10.0.0.5/24")),
            ("10.0.0.5/0.0.0.0", Some("10.0.0.5/0")),
            ("10.0.0.5/255.255.255.255", Some("10.0.0.5/32")),
            ("fe80::/ffc0::", Some("fe80::/10")),
            ("fe80::/3f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("fe80::/10")),
            ("::/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("::/128")),
            ("10.0.0.5/255.0.255.0", None),
            ("10.0.0.5/33", None),
            ("10.0.0.5/-1", None),
            ("10.0.0.5/", None),
            ("10.0.0.05", None),
            ("10.0.0.5/8/8", None),
        ] {
            assert_eq!(Network::parse(text).map(|n| n.to_string()).as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn ipv6_is_shown_as_glibc_shows_it() {
        for (text, shown) in [
            ("::1", "::1"),
            ("::1:2", "::0.1.0.2"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("::ffff", "::ffff"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), Some(shown), "{text}");
        }
    }
}
