//! Blocks of addresses with a special meaning, as netaddr 1.3 lists them after the registries of IANA.

use super::address::{Address, Family, Network};

const NOT_GLOBAL_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
];
const GLOBAL_V4: &[&str] = &["192.0.0.9/32", "192.0.0.10/32"];
const NOT_GLOBAL_V6: &[&str] = &[
    "::/127",
    "::ffff:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
];
const GLOBAL_V6: &[&str] =
    &["2001:1::1/128", "2001:1::2/128", "2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28"];

/// Whether a network lies in one of some blocks.
pub(super) fn within(network: Network, blocks: &[&str]) -> bool {
    blocks.iter().filter_map(|block| Network::parse(block)).any(|block| block.contains(network))
}

/// Whether an address lies in one of some blocks.
pub(super) fn address_within(address: Address, blocks: &[&str]) -> bool {
    within(Network::single(address), blocks)
}

/// Whether the whole internet may reach it; multicast counts.
pub(super) fn is_global(address: Address) -> bool {
    let (closed, open) = match address.family {
        Family::V4 => (NOT_GLOBAL_V4, GLOBAL_V4),
        Family::V6 => (NOT_GLOBAL_V6, GLOBAL_V6),
    };
    !address_within(address, closed) || address_within(address, open)
}

/// Whether all of a network is multicast.
pub(super) fn is_multicast(network: Network) -> bool {
    within(network, &["224.0.0.0/4", "ff00::/8"])
}

/// Whether it is an address of the host itself.
pub(super) fn is_loopback(address: Address) -> bool {
    address_within(address, &["127.0.0.0/8", "::1/128"])
}

/// What the query `public` asks: global, for one receiver, and no mask.
pub(super) fn is_public(address: Address) -> bool {
    !is_multicast(Network::single(address))
        && is_global(address)
        && !is_loopback(address)
        && !address.is_netmask()
        && !address.is_hostmask()
}
