//! What a host is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a host is, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kernel's host name.
    pub hostname: String,
    /// The full name, where the host knows it.
    pub fqdn: String,
    /// The operating system.
    pub os: OperatingSystem,
    /// The kernel's release, such as `6.8.0-45-generic`.
    pub kernel: String,
    /// The machine, such as `x86_64`.
    pub architecture: String,
    /// Processors.
    pub cpus: u32,
    /// Memory in MB.
    pub memory_mb: u64,
    /// Swap in MB.
    pub swap_mb: u64,
    /// Who runs services: `systemd` or another name of process 1.
    pub service_manager: String,
    /// Its version, such as `257`.
    pub systemd_version: Option<u32>,
    /// All interfaces.
    pub interfaces: Vec<Interface>,
    /// The address that reaches the default route of IPv4.
    pub default_ipv4: Option<Address>,
    /// The address that reaches the default route of IPv6.
    pub default_ipv6: Option<Address>,
    /// Mounted file systems that hold data.
    pub file_systems: Vec<FileSystem>,
    /// The type of what is mounted at `/sys/fs/cgroup`; nothing where that cannot be told.
    pub cgroup_fs: Option<String>,
    /// The text of `/etc/resolv.conf`.
    pub resolv_conf: Option<String>,
    /// The mode of SELinux: `enforcing`, `permissive`, `disabled`.
    pub selinux: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// Kind of virtualisation, such as `kvm`; `none` on hardware.
    pub virtualization: String,
    /// Milliseconds since 1970 by the host's clock.
    pub clock_ms: u64,
    /// Seconds since it booted.
    pub uptime_s: u64,
    /// The id of this boot.
    pub boot_id: String,
    /// Of [`WATCHED_UNITS`]: `ActiveState` of those that the host has.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
    /// Of [`WATCHED_PATHS`]: those that exist.
    #[serde(default)]
    pub paths: BTreeSet<String>,
}

/// Services whose presence decides how a host is prepared: whoever owns its resolvers, packages and containers.
pub const WATCHED_UNITS: [&str; 10] = [
    "NetworkManager.service",
    "containerd.service",
    "crio.service",
    "docker.service",
    "fapolicyd.service",
    "firewalld.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "ufw.service",
    "unattended-upgrades.service",
];

/// Files and folders whose presence decides how a host is prepared.
pub const WATCHED_PATHS: [&str; 9] = [
    "/etc/apt/apt.conf.d/50unattended-upgrades",
    "/etc/dhclient.conf",
    "/etc/dhcp/dhclient.conf",
    "/etc/fstab",
    "/etc/resolvconf/resolv.conf.d",
    "/etc/selinux/config",
    "/proc/sys/fs/may_detach_mounts",
    "/run/ostree-booted",
    "/usr/sbin/resolvconf",
];

/// The operating system, from `/etc/os-release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingSystem {
    /// `ID`.
    pub id: String,
    /// `ID_LIKE`, in words.
    pub like: Vec<String>,
    /// `NAME`.
    pub name: String,
    /// `VERSION_ID`.
    pub version: String,
    /// `VERSION_CODENAME`.
    pub codename: String,
    /// `VARIANT_ID`.
    pub variant: String,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: String,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<Address>,
}

/// An address of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The length of the network's prefix.
    pub prefix: u8,
    /// The interface that has it.
    pub interface: String,
    /// The gateway, for a default route.
    pub gateway: Option<IpAddr>,
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where.
    pub path: String,
    /// What is mounted.
    pub source: String,
    /// Its type.
    pub fstype: String,
    /// Its options.
    pub options: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that are free for all users.
    pub free: u64,
}

impl OperatingSystem {
    /// `ansible_distribution`.
    pub fn distribution(&self) -> &str {
        match self.id.as_str() {
            "debian" => "Debian",
            "ubuntu" => "Ubuntu",
            "rhel" => "RedHat",
            "centos" => "CentOS",
            "fedora" => "Fedora",
            "rocky" => "Rocky",
            "almalinux" => "AlmaLinux",
            "ol" => "OracleLinux",
            "amzn" => "Amazon",
            "opensuse-leap" => "openSUSE Leap",
            "opensuse-tumbleweed" => "openSUSE Tumbleweed",
            "sles" => "SLES",
            "flatcar" => "Flatcar",
            "openEuler" => "openEuler",
            "kylin" => "Kylin Linux Advanced Server",
            "uos" => "UnionTech",
            _ => &self.name,
        }
    }

    /// `ansible_os_family`.
    pub fn family(&self) -> &str {
        let is = |id: &str| self.id == id || self.like.iter().any(|like| like == id);
        if is("debian") || is("ubuntu") {
            "Debian"
        } else if is("rhel") || is("fedora") || is("centos") || is("openEuler") {
            "RedHat"
        } else if is("suse") || is("opensuse") || self.id.starts_with("opensuse") || self.id == "sles" {
            "Suse"
        } else {
            self.distribution()
        }
    }

    /// `ansible_distribution_major_version`.
    pub fn major_version(&self) -> &str {
        self.version.split('.').next().unwrap_or_default()
    }
}

impl Address {
    fn to_ansible(&self) -> Value {
        let mut out = json!({
            "address": self.address.to_string(),
            "prefix": self.prefix.to_string(),
            "interface": self.interface,
            "alias": self.interface,
        });
        if let (Value::Object(map), Some(gateway)) = (&mut out, self.gateway) {
            map.insert("gateway".into(), gateway.to_string().into());
        }
        out
    }
}

impl Facts {
    /// Whether a watched service runs.
    pub fn runs(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(|state| state == "active")
    }

    /// Whether a watched path exists.
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// All addresses but those of loopback.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.interfaces
            .iter()
            .flat_map(|interface| &interface.addresses)
            .filter(|address| !address.address.is_loopback())
    }

    /// The facts under Ansible's names, with their prefix.
    pub fn to_ansible(&self) -> Map<String, Value> {
        let of_family = |v6: bool| -> Vec<String> {
            self.addresses()
                .map(|address| address.address)
                .filter(|address| address.is_ipv6() == v6)
                .map(|address| address.to_string())
                .collect()
        };
        let default =
            |address: &Option<Address>| address.as_ref().map_or_else(|| json!({}), Address::to_ansible);
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let mounts: Vec<Value> = self
            .file_systems
            .iter()
            .map(|fs| {
                json!({
                    "mount": fs.path, "device": fs.source, "fstype": fs.fstype, "options": fs.options,
                    "size_total": fs.size, "size_available": fs.free,
                })
            })
            .collect();
        let selinux = match self.selinux.as_str() {
            "" | "disabled" => json!({"status": "disabled"}),
            mode => json!({"status": "enabled", "mode": mode}),
        };
        let facts = json!({
            "ansible_hostname": short(&self.hostname),
            "ansible_nodename": self.hostname,
            "ansible_fqdn": if self.fqdn.is_empty() { &self.hostname } else { &self.fqdn },
            "ansible_distribution": self.os.distribution(),
            "ansible_distribution_version": self.os.version,
            "ansible_distribution_major_version": self.os.major_version(),
            "ansible_distribution_release": self.os.codename,
            "ansible_os_family": self.os.family(),
            "ansible_kernel": self.kernel,
            "ansible_system": "Linux",
            "ansible_architecture": self.architecture,
            "ansible_machine": self.architecture,
            "ansible_processor_vcpus": self.cpus,
            "ansible_processor_nproc": self.cpus,
            "ansible_memtotal_mb": self.memory_mb,
            "ansible_swaptotal_mb": self.swap_mb,
            "ansible_memory_mb": {"real": {"total": self.memory_mb}, "swap": {"total": self.swap_mb}},
            "ansible_service_mgr": self.service_manager,
            "ansible_default_ipv4": default(&self.default_ipv4),
            "ansible_default_ipv6": default(&self.default_ipv6),
            "ansible_all_ipv4_addresses": of_family(false),
            "ansible_all_ipv6_addresses": of_family(true),
            "ansible_interfaces": self.interfaces.iter().map(|i| i.name.clone()).collect::<Vec<_>>(),
            "ansible_mounts": mounts,
            "ansible_selinux": selinux,
            "ansible_machine_id": self.machine_id,
            "ansible_virtualization_type": self.virtualization,
            // The helper is root's; what variables take from the environment is where root lives.
            "ansible_user_id": "root",
            "ansible_user_dir": "/root",
            "ansible_env": {"HOME": "/root", "USER": "root"},
        });
        match facts {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
