//! The basic CNI plugins (`network_plugin/cni`; spec NET-005, DL-101).
//!
//! Calico's own pods put some of them there, in versions of theirs, whenever they start: these are left to Calico, or
//! each would replace what the other wrote.

use kubespray_resource::{Directory, Mode, Owner};
use kubespray_spec::choices::NetworkPlugin;

use super::{Chain, downloads};

const FOLDER: &str = "/opt/cni/bin";

/// All of the archive, the same in every version from 1.4 on.
const PLUGINS: [&str; 18] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
];

/// What the image `calico/cni` brings.
const OF_CALICO: [&str; 5] = ["bandwidth", "host-local", "loopback", "portmap", "tuning"];

/// The plugins of a node, whatever network it will have.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    let host = chain.host;
    let network = &host.settings().network;
    if !host.is_node() || network.kube_network_plugin == NetworkPlugin::None {
        return;
    }
    chain.begin("network", "cni");
    let owner = Owner { user: network.cni_bin_owner.clone(), group: "root".into() };
    let folder = Directory { path: FOLDER.into(), mode: Mode::EXECUTABLE, owner: owner.clone() };
    chain.add("folder", folder);
    let is_calico = network.kube_network_plugin == NetworkPlugin::Calico;
    let names = PLUGINS.into_iter().filter(|name| !(is_calico && OF_CALICO.contains(name)));
    let pairs: Vec<(&str, String)> = names.map(|name| (name, format!("{FOLDER}/{name}"))).collect();
    let members: Vec<(&str, &str)> = pairs.iter().map(|(name, path)| (*name, path.as_str())).collect();
    downloads::install_members(chain, "cni_plugins", &members, Mode::EXECUTABLE, &owner);
}
