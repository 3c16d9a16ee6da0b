//! One bridge per lab, one network namespace and one cable per host (HOST-004).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value as Json;

use crate::LabError;
use crate::command::run;
use crate::state::{HostState, State};

/// Before the tables of the machine (32766), after its local addresses (0).
const RULE_PRIORITY: &str = "4213";

/// The first range of 256 addresses that neither the machine nor another lab uses. `taken` are those of labs.
pub(crate) fn free_range(taken: &[Ipv4Net]) -> Result<Ipv4Net, LabError> {
    let mut used = taken.to_vec();
    let listed = run("ip", &["-j", "-4", "route", "show", "table", "all"])?;
    let routes: Json = serde_json::from_str(&listed).unwrap_or_default();
    for route in routes.as_array().into_iter().flatten() {
        let to = route.get("dst").and_then(Json::as_str).unwrap_or_default();
        let network = to.parse::<Ipv4Net>().ok().or_else(|| to.parse::<Ipv4Addr>().ok().map(Ipv4Net::from));
        used.extend(network);
    }
    choose(&used)
}

fn choose(used: &[Ipv4Net]) -> Result<Ipv4Net, LabError> {
    let thirds = || 0..=255u8;
    // Kubespray's own defaults are in 10.233; nothing of a cluster may fall into the hosts' range.
    let candidates = thirds()
        .map(|third| Ipv4Addr::new(10, 213, third, 0))
        .chain(thirds().map(|third| Ipv4Addr::new(172, 29, third, 0)))
        .chain(thirds().map(|third| Ipv4Addr::new(192, 168, third, 0)));
    let mut candidates = candidates.filter_map(|address| Ipv4Net::new(address, 24).ok());
    let overlaps =
        |one: &Ipv4Net, other: &Ipv4Net| one.contains(&other.network()) || other.contains(&one.network());
    candidates
        .find(|candidate| !used.iter().any(|used| overlaps(used, candidate)))
        .ok_or(LabError::NoFreeRange)
}

pub(crate) fn make(state: &State) -> Result<(), LabError> {
    let bridge = state.bridge.as_str();
    run("ip", &["link", "add", bridge, "type", "bridge"])?;
    run("ip", &["addr", "add", &format!("{}/24", state.gateway), "dev", bridge])?;
    run("ip", &["link", "set", bridge, "up"])?;
    // Hosts reach the machine and each other, nothing else (HOST-013), even where the machine forwards.
    run("ip", &["rule", "add", "iif", bridge, "priority", RULE_PRIORITY, "prohibit"])?;
    for host in &state.hosts {
        let (namespace, cable) = (host.namespace.as_str(), host.cable.as_str());
        run("ip", &["netns", "add", namespace])?;
        let cable_made = ["link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace];
        run("ip", &cable_made)?;
        run("ip", &["link", "set", cable, "master", bridge, "up"])?;
        let address = format!("{}/24", host.address);
        run("ip", &["-n", namespace, "addr", "add", &address, "dev", "eth0"])?;
        run("ip", &["-n", namespace, "link", "set", "lo", "up"])?;
        run("ip", &["-n", namespace, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", namespace, "route", "add", "default", "via", &state.gateway.to_string()])?;
    }
    Ok(())
}

/// Removes what [`make`] made, as far as it is there.
pub(crate) fn remove(state: &State) {
    for host in &state.hosts {
        let _ = run("ip", &["link", "delete", &host.cable]);
        let _ = run("ip", &["netns", "delete", &host.namespace]);
    }
    let _ = run("ip", &["rule", "delete", "iif", &state.bridge, "priority", RULE_PRIORITY]);
    let _ = run("ip", &["link", "delete", &state.bridge]);
}

pub(crate) fn plug(host: &HostState, plugged: bool) -> Result<(), LabError> {
    run("ip", &["link", "set", &host.cable, if plugged { "up" } else { "down" }]).map(|_| ())
}

/// Slows what the host receives; nothing of both takes the slowness away.
pub(crate) fn delay(host: &HostState, milliseconds: u32, loss_percent: u8) -> Result<(), LabError> {
    if milliseconds == 0 && loss_percent == 0 {
        // Fails where nothing was slowed, which is what was asked for.
        let _ = run("tc", &["qdisc", "delete", "dev", &host.cable, "root"]);
        return Ok(());
    }
    let (delay, loss) = (format!("{milliseconds}ms"), format!("{loss_percent}%"));
    let words = ["qdisc", "replace", "dev", &host.cable, "root", "netem", "delay", &delay, "loss", &loss];
    run("tc", &words).map(|_| ()).map_err(|error| LabError::NoNetem { problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::choose;

    #[test]
    fn a_range_avoids_everything_in_use() {
        let table: [(&[&str], &str); 4] = [
            (&[], "10.213.0.0/24"),
            (&["10.213.0.0/24", "10.213.1.7/32"], "10.213.2.0/24"),
            (&["10.0.0.0/8"], "172.29.0.0/24"),
            (&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/17"], "192.168.128.0/24"),
        ];
        for (used, wanted) in table {
            let used: Vec<_> = used.iter().map(|range| range.parse().unwrap()).collect();
            assert_eq!(choose(&used).unwrap().to_string(), wanted);
        }
        assert!(choose(&["0.0.0.0/0".parse().unwrap()]).is_err());
    }
}
