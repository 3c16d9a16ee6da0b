//! What the host is, from its own files.

use std::collections::BTreeMap;
use std::time::Duration;

use kubespray_resource::{Facts, FileSystem, OperatingSystem, WATCHED_PATHS, WATCHED_UNITS};

use super::{LinuxHost, network};
use crate::kinds::unit;
use crate::{Host, HostError, Spawn};

/// File systems of the network: asking one whose server is gone would hang.
const REMOTE: [&str; 9] =
    ["nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.sshfs", "glusterfs", "fuse.glusterfs", "9p"];

/// Gathers all facts. What cannot be found out is empty.
pub(super) fn gather(host: &LinuxHost) -> Result<Facts, HostError> {
    let text = |path: &str| host.read_text(path).unwrap_or_default();
    let line = |path: &str| text(path).trim().to_owned();
    let hostname = line("/proc/sys/kernel/hostname");
    let memory = text("/proc/meminfo");
    let network = network::gather(host);
    let mounts = text("/proc/self/mounts");
    Ok(Facts {
        fqdn: fqdn(&text("/etc/hosts"), &hostname),
        hostname,
        os: operating_system(host),
        kernel: line("/proc/sys/kernel/osrelease"),
        architecture: std::env::consts::ARCH.to_owned(),
        cpus: cpus(&line("/sys/devices/system/cpu/online"), &text("/proc/cpuinfo")),
        memory_mb: kilobytes(&memory, "MemTotal:") / 1024,
        swap_mb: kilobytes(&memory, "SwapTotal:") / 1024,
        service_manager: line("/proc/1/comm"),
        systemd_version: systemd_version(host),
        interfaces: network.interfaces,
        default_ipv4: network.default_ipv4,
        default_ipv6: network.default_ipv6,
        file_systems: file_systems(host, &mounts),
        cgroup_fs: mounts
            .lines()
            .filter(|mount| mount.split(' ').nth(1) == Some("/sys/fs/cgroup"))
            .filter_map(|mount| mount.split(' ').nth(2))
            // As stat(1) names it, which is what Kubespray asks.
            .map(|kind| if kind == "cgroup2" { "cgroup2fs".to_owned() } else { kind.to_owned() })
            .next_back(),
        resolv_conf: host.read_text("/etc/resolv.conf"),
        selinux: match host.read_text("/sys/fs/selinux/enforce").as_deref().map(str::trim) {
            Some("1") => "enforcing",
            Some(_) => "permissive",
            None => "disabled",
        }
        .to_owned(),
        machine_id: line("/etc/machine-id"),
        virtualization: print(host, &["systemd-detect-virt"]).trim().to_owned(),
        clock_ms: host.now_ms(),
        uptime_s: text("/proc/uptime").split('.').next().and_then(|s| s.parse().ok()).unwrap_or_default(),
        boot_id: host.boot_id()?,
        units: units(host),
        paths: WATCHED_PATHS
            .iter()
            .filter(|path| matches!(host.metadata(path), Ok(Some(_))))
            .map(ToString::to_string)
            .collect(),
    })
}

fn units(host: &LinuxHost) -> BTreeMap<String, String> {
    let Ok(mut shown) = unit::show(host, &WATCHED_UNITS) else { return BTreeMap::new() };
    shown.retain(|_, shown| shown.get("LoadState").is_some_and(|load| load == "loaded"));
    let state = |shown: unit::Shown| shown.get("ActiveState").cloned().unwrap_or_default();
    shown.into_iter().map(|(name, shown)| (name, state(shown))).collect()
}

/// What a program prints, whatever its status; nothing where there is none.
pub(super) fn print(host: &LinuxHost, argv: &[&str]) -> String {
    let spawn = Spawn { timeout: Duration::from_secs(10), ..Spawn::new(argv.iter().copied()) };
    host.run(&spawn).map(|output| output.stdout).unwrap_or_default()
}

/// The first name with a dot of the line of `/etc/hosts` that names the host.
fn fqdn(hosts: &str, hostname: &str) -> String {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let names = lines.map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    names
        .filter(|names| names.contains(&hostname))
        .find_map(|names| names.into_iter().find(|name| name.contains('.')))
        .unwrap_or(hostname)
        .to_owned()
}

fn operating_system(host: &LinuxHost) -> OperatingSystem {
    let text = host
        .read_text("/etc/os-release")
        .or_else(|| host.read_text("/usr/lib/os-release"))
        .unwrap_or_default();
    let value = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    OperatingSystem {
        id: value("ID"),
        like: value("ID_LIKE").split_whitespace().map(str::to_owned).collect(),
        name: value("NAME"),
        version: value("VERSION_ID"),
        codename: value("VERSION_CODENAME"),
        variant: value("VARIANT_ID"),
    }
}

/// Processors in a list such as `0-3,8`; else those that cpuinfo names.
fn cpus(online: &str, cpuinfo: &str) -> u32 {
    let range = |part: &str| -> Option<u32> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1)
    };
    let counted: Option<u32> = online.split(',').map(range).sum();
    counted.unwrap_or_else(|| cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u32)
}

fn kilobytes(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// `systemd 257 (257.9-1~deb13u1)`.
fn systemd_version(host: &LinuxHost) -> Option<u32> {
    let text = print(host, &["systemctl", "--version"]);
    let word = text.lines().next()?.strip_prefix("systemd ")?.split_whitespace().next()?;
    word.split(['.', '~']).next()?.parse().ok()
}

/// What holds data: devices, file systems of the network, and whatever is at `/`.
fn file_systems(host: &LinuxHost, mounts: &str) -> Vec<FileSystem> {
    let mut out: Vec<FileSystem> = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [source, path, fstype, options, ..] = fields.as_slice() else { continue };
        let holds_data = source.starts_with('/')
            || source.contains(":/")
            || *path == "/"
            || ["zfs", "virtiofs"].contains(fstype);
        if !holds_data {
            continue;
        }
        let path = path.replace("\\040", " ");
        let is = if REMOTE.contains(fstype) { None } else { rustix::fs::statvfs(host.path(&path)).ok() };
        // A later mount hides an earlier one.
        out.retain(|other| other.path != path);
        out.push(FileSystem {
            source: (*source).to_owned(),
            fstype: (*fstype).to_owned(),
            options: (*options).to_owned(),
            size: is.as_ref().map_or(0, |is| is.f_blocks * is.f_frsize),
            free: is.as_ref().map_or(0, |is| is.f_bavail * is.f_frsize),
            path,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        assert_eq!(cpus("0-3,8", ""), 5);
        assert_eq!(cpus("0", ""), 1);
        assert_eq!(cpus("", "processor\t: 0\nprocessor\t: 1\n"), 2);
    }

    #[test]
    fn the_full_name_comes_from_the_hosts_file() {
        assert_eq!(
            fqdn("127.0.0.1 localhost\n10.0.0.1 n1.cluster.local n1 # us\n", "n1"),
            "n1.cluster.local"
        );
        assert_eq!(fqdn("127.0.0.1 localhost\n", "n1"), "n1");
    }
}
