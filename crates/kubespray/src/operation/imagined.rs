//! Hosts as they are right after the installation of a system: an amd64 virtual machine with one interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kubespray_resource::{Address, Digest, Facts, FileSystem, Interface, OperatingSystem};

use crate::arguments::operations::Os;

/// What differs between systems.
struct System {
    id: &'static str,
    like: &'static [&'static str],
    name: &'static str,
    version: &'static str,
    codename: &'static str,
    kernel: &'static str,
    systemd: u32,
    units: &'static [&'static str],
    paths: &'static [&'static str],
}

const DEBIAN_UNITS: &[&str] = &["systemd-timesyncd.service"];
const DEBIAN_PATHS: &[&str] = &["/etc/fstab"];
const UBUNTU_UNITS: &[&str] =
    &["systemd-resolved.service", "systemd-timesyncd.service", "ufw.service", "unattended-upgrades.service"];
const UBUNTU_PATHS: &[&str] = &["/etc/apt/apt.conf.d/50unattended-upgrades", "/etc/fstab"];

fn system(os: Os) -> System {
    let debian = |version, codename, kernel, systemd| System {
        id: "debian",
        like: &[],
        name: "Debian GNU/Linux",
        version,
        codename,
        kernel,
        systemd,
        units: DEBIAN_UNITS,
        paths: DEBIAN_PATHS,
    };
    let ubuntu = |version, codename, kernel, systemd| System {
        id: "ubuntu",
        like: &["debian"],
        name: "Ubuntu",
        version,
        codename,
        kernel,
        systemd,
        units: UBUNTU_UNITS,
        paths: UBUNTU_PATHS,
    };
    match os {
        Os::Debian12 => debian("12", "bookworm", "6.1.0-40-amd64", 252),
        Os::Debian13 => debian("13", "trixie", "6.12.48+deb13-amd64", 257),
        Os::Ubuntu2204 => ubuntu("22.04", "jammy", "5.15.0-157-generic", 249),
        Os::Ubuntu2404 => ubuntu("24.04", "noble", "6.8.0-85-generic", 255),
    }
}

/// A host with this name and address.
pub(super) fn facts(os: Os, name: &str, address: IpAddr) -> Facts {
    let system = system(os);
    let interface = "eth0".to_owned();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let (prefix, gateway) = match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            (24, IpAddr::from(Ipv4Addr::new(a, b, c, 1)))
        }
        IpAddr::V6(address) => {
            let mut parts = address.segments();
            parts[4..].copy_from_slice(&[0, 0, 0, 1]);
            (64, IpAddr::from(Ipv6Addr::from(parts)))
        }
    };
    let own = Address { address, prefix, interface: interface.clone(), gateway: Some(gateway) };
    let digest = Digest::of(name.as_bytes());
    let id = |length: usize| digest.as_str().get(..length).unwrap_or_default().to_owned();
    Facts {
        hostname: name.to_owned(),
        fqdn: name.to_owned(),
        os: OperatingSystem {
            id: system.id.into(),
            like: system.like.iter().map(ToString::to_string).collect(),
            name: system.name.into(),
            version: system.version.into(),
            codename: system.codename.into(),
            variant: String::new(),
        },
        kernel: system.kernel.into(),
        architecture: "x86_64".into(),
        cpus: 4,
        memory_mb: 8_192,
        swap_mb: 0,
        service_manager: "systemd".into(),
        systemd_version: Some(system.systemd),
        interfaces: vec![Interface {
            name: interface,
            mac: "52:54:00:00:00:01".into(),
            mtu: 1_500,
            up: true,
            addresses: vec![Address { gateway: None, ..own.clone() }],
        }],
        default_ipv4: address.is_ipv4().then(|| own.clone()),
        default_ipv6: address.is_ipv6().then_some(own),
        file_systems: vec![FileSystem {
            path: "/".into(),
            source: "/dev/vda1".into(),
            fstype: "ext4".into(),
            options: "rw,relatime".into(),
            size: 50 << 30,
            free: 45 << 30,
        }],
        cgroup_fs: Some("cgroup2fs".into()),
        resolv_conf: Some(format!("nameserver {gateway}\n")),
        selinux: "disabled".into(),
        machine_id: id(32),
        virtualization: "kvm".into(),
        clock_ms: 0,
        uptime_s: 3_600,
        boot_id: id(36),
        units: system
            .units
            .iter()
            .map(|unit| ((*unit).to_owned(), "active".to_owned()))
            .collect::<BTreeMap<_, _>>(),
        paths: words(system.paths),
    }
}
