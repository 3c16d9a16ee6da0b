//! Ports: who listens where, and listening for a moment.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use kubespray_resource::{PortState, PortUser};

use super::background::Background;

/// More ports at once are not asked for by any cluster.
const MOST: usize = 256;

/// How often those who try ports are let in and out again.
const LOOK: Duration = Duration::from_millis(20);

/// Listens at the ports that are free, and tells who has the others.
pub(super) fn listen(
    background: &mut Background,
    root: &Path,
    ports: &[u16],
    time: Duration,
) -> BTreeMap<u16, PortState> {
    background.stop();
    let mut out = BTreeMap::new();
    let mut held = Vec::new();
    let used = used(root);
    for port in ports.iter().copied() {
        if out.contains_key(&port) {
            continue;
        }
        if held.len() >= MOST {
            out.insert(port, PortState::Refused("too many ports at once".into()));
            continue;
        }
        let state = match used.get(&port) {
            // One that others listen at elsewhere is tried there, and is no port of ours.
            Some(socket) => PortState::Used { address: socket.address, by: user(root, socket.inode) },
            None => match bind(port) {
                Ok(listeners) => {
                    held.extend(listeners);
                    PortState::Listening
                }
                Err(error) => PortState::Refused(super::words(&error)),
            },
        };
        out.insert(port, state);
    }
    if !held.is_empty() && !time.is_zero() {
        background.repeat(LOOK, time, move || {
            for listener in &held {
                while listener.accept().is_ok() {}
            }
        });
    }
    out
}

/// All addresses of both families where the host has both: one socket for both, or where the host keeps them apart
/// one for each.
fn bind(port: u16) -> io::Result<Vec<TcpListener>> {
    let v6 = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port));
    let v4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    let found = match (v6, v4) {
        (Ok(v6), Ok(v4)) => vec![v6, v4],
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => vec![one],
        (Err(_), Err(error)) => return Err(error),
    };
    for listener in &found {
        listener.set_nonblocking(true)?;
    }
    Ok(found)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    inode: u64,
}

/// Sockets that listen, by port. Of several at one port that of all addresses counts, else the first.
fn used(root: &Path) -> BTreeMap<u16, Socket> {
    let mut out: BTreeMap<u16, Socket> = BTreeMap::new();
    for file in ["proc/net/tcp", "proc/net/tcp6"] {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        for (port, socket) in text.lines().skip(1).filter_map(listening) {
            let known = out.entry(port).or_insert(socket);
            if socket.address.is_unspecified() && !known.address.is_unspecified() {
                *known = socket;
            }
        }
    }
    out
}

/// The port and socket of a line of `/proc/net/tcp`, where it listens.
fn listening(line: &str) -> Option<(u16, Socket)> {
    /// `TCP_LISTEN`.
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let (address, port) = fields.nth(1)?.rsplit_once(':')?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((port, Socket { address: address_of(address)?, inode }))
}

/// An address as the kernel prints it: words of 32 bits, each in the order of the machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (place, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                place.copy_from_slice(&word(at)?);
            }
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

/// The process that holds a socket: all processes' open files are looked at.
fn user(root: &Path, inode: u64) -> Option<PortUser> {
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir(root.join("proc")).ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let folder = process.path();
        let Ok(files) = fs::read_dir(folder.join("fd")) else { continue };
        let holds = files
            .flatten()
            .any(|file| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()));
        if !holds {
            continue;
        }
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        return Some(PortUser { pid, process: text("comm").trim().to_owned(), unit: unit(&text("cgroup")) });
    }
    None
}

/// The last systemd unit in the groups of a process.
fn unit(groups: &str) -> Option<String> {
    let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let ends = |name: &&str| [".service", ".scope"].iter().any(|ending| name.ends_with(ending));
    paths.filter_map(|path| path.rsplit('/').find(ends)).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_as_the_kernel_prints_them() {
        let v4 = "   0: 0100007F:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1606 1 0 100";
        let v6 = "   1: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 77 1";
        let mapped = "   2: 0000000000000000FFFF00000100000A:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 78 1";
        let open = "   3: 0101D50A:DC98 0D01D50A:0016 01 00000000:00000000 03:00000D4D 00000000     0        0 9 3 0";
        let socket = |address: &str, inode| Socket { address: address.parse().unwrap(), inode };
        assert_eq!(listening(v4), Some((2375, socket("127.0.0.1", 1606))));
        assert_eq!(listening(v6), Some((6443, socket("::", 77))));
        assert_eq!(listening(mapped), Some((22, socket("10.0.0.1", 78))));
        assert_eq!(listening(open), None);
        for noise in ["", "a b c", "0: x:y z 0A", "0: 0100007F:0947", "0: 01é0007F:0947 0 0A 0 0 0 0 0 1"] {
            assert_eq!(listening(noise), None, "{noise}");
        }
    }

    #[test]
    fn units_are_found_in_groups_of_both_versions() {
        assert_eq!(unit("0::/system.slice/etcd.service\n").as_deref(), Some("etcd.service"));
        assert_eq!(
            unit("9:name=systemd:/\n1:cpu:/system.slice/kubelet.service/x\n").as_deref(),
            Some("kubelet.service")
        );
        assert_eq!(
            unit("0::/kubepods.slice/pod1.slice/cri-containerd-ab.scope\n").as_deref(),
            Some("cri-containerd-ab.scope")
        );
        assert_eq!(unit("0::/\n"), None);
    }
}
