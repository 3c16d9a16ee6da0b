//! Ranges of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range such as `10.0.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    base: IpAddr,
    prefix: u8,
}

fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.trim().split_once('/')?;
        let (base, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
        (prefix <= number(base).1).then_some(Self { base, prefix })
    }

    /// All of a list with commas.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        parts.map(|part| Self::parse(part).ok_or_else(|| format!("invalid CIDR address: {part}"))).collect()
    }

    pub(crate) fn is_v4(&self) -> bool {
        self.base.is_ipv4()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let ((base, bits), (other, other_bits)) = (number(self.base), number(address));
        let shift = u32::from(bits - self.prefix);
        bits == other_bits && base.checked_shr(shift) == other.checked_shr(shift)
    }

    /// The address at a place, from 0.
    pub(crate) fn address(&self, at: u128) -> Option<IpAddr> {
        let (base, bits) = number(self.base);
        let shift = u32::from(bits - self.prefix);
        let first = base.checked_shr(shift).and_then(|top| top.checked_shl(shift)).unwrap_or_default();
        let found = first.checked_add(at)?;
        let address = if bits == 32 {
            IpAddr::from(Ipv4Addr::from(u32::try_from(found).ok()?))
        } else {
            IpAddr::from(Ipv6Addr::from(found))
        };
        self.contains(address).then_some(address)
    }

    /// The part of it at a place, when it is cut into ranges with a longer prefix.
    pub(crate) fn part(&self, prefix: u8, at: u128) -> Option<Self> {
        let bits = number(self.base).1;
        let shift = u32::from(bits.checked_sub(prefix)?);
        let base = self.address(at.checked_mul(1u128.checked_shl(shift)?)?)?;
        (prefix >= self.prefix).then_some(Self { base, prefix })
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_into_parts() {
        let range = Cidr::parse("10.233.64.0/18").unwrap();
        assert_eq!(range.part(24, 1).unwrap().to_string(), "10.233.65.0/24");
        assert_eq!(range.part(24, 64), None);
        assert_eq!(range.address(10).unwrap().to_string(), "10.233.64.10");
        assert!(range.contains("10.233.127.255".parse().unwrap()));
        assert!(!range.contains("10.233.128.0".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        assert_eq!(Cidr::parse("10.0.0.0/33"), None);
        assert_eq!(Cidr::parse("fd00::/112").unwrap().address(10).unwrap().to_string(), "fd00::a");
    }
}
