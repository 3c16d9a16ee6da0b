//! Filters and tests for IP and hardware addresses: those of the collection `ansible.utils`, with the
//! results of its version in the package `ansible` 11, of netaddr 1.3 and of Python 3.11.
//!
//! Filters answer to `ansible.utils.NAME`. Those that once were in Ansible itself answer to their old
//! names as well, `NAME` and `ansible.netcommon.NAME`; Ansible 2.18 no longer resolves these for
//! `ip4_hex`, nor the short name of `macaddr`, but old inventories use them. The tests have only
//! the one name that Ansible knows.
//!
//! Known differences: digits outside of ASCII are no digits; `usable_range` refuses more than a million
//! addresses; lists nested more than a hundred deep are refused; `resolvable` is refused.

mod address;
mod arguments;
mod arithmetic;
mod hardware;
mod ipaddr;
mod merge;
mod special;
mod strict;
mod subnet;
#[cfg(test)]
mod tests;

use kubespray_jinja::{Filter, Library, Test};

macro_rules! all_names {
    ($library:expr, $($name:literal => $filter:path),* $(,)?) => {
        $(
            $library.filters.insert($name, $filter as Filter);
            $library.filters.insert(concat!("ansible.netcommon.", $name), $filter as Filter);
            $library.filters.insert(concat!("ansible.utils.", $name), $filter as Filter);
        )*
    };
}

macro_rules! tests {
    ($library:expr, $($name:ident),* $(,)?) => {
        $($library.tests.insert(concat!("ansible.utils.", stringify!($name)), strict::$name as Test);)*
    };
}

/// Adds all filters and tests of this family.
pub(crate) fn add(library: &mut Library) {
    all_names!(library,
        "cidr_merge" => merge::cidr_merge,
        "hwaddr" => hardware::hwaddr,
        "ip4_hex" => arithmetic::ip4_hex,
        "ipaddr" => ipaddr::ipaddr,
        "ipmath" => arithmetic::ipmath,
        "ipsubnet" => subnet::ipsubnet,
        "ipv4" => ipaddr::ipv4,
        "ipv6" => ipaddr::ipv6,
        "ipwrap" => ipaddr::ipwrap,
        "macaddr" => hardware::macaddr,
        "network_in_network" => subnet::network_in_network,
        "network_in_usable" => subnet::network_in_usable,
        "next_nth_usable" => subnet::next_nth_usable,
        "nthhost" => subnet::nthhost,
        "previous_nth_usable" => subnet::previous_nth_usable,
        "reduce_on_network" => subnet::reduce_on_network,
        "slaac" => hardware::slaac,
    );
    library.filters.insert("ansible.utils.ipcut", arithmetic::ipcut);
    library.filters.insert("ansible.utils.ipv6form", arithmetic::ipv6form);
    library.filters.insert("ansible.utils.usable_range", strict::usable_range);
    tests!(
        library,
        in_any_network,
        in_network,
        in_one_network,
        ip,
        ip_address,
        ipv4,
        ipv4_address,
        ipv4_hostmask,
        ipv4_netmask,
        ipv6,
        ipv6_address,
        ipv6_ipv4_mapped,
        ipv6_sixtofour,
        ipv6_teredo,
        loopback,
        mac,
        multicast,
        private,
        public,
        reserved,
        resolvable,
        subnet_of,
        supernet_of,
        unspecified,
    );
}
