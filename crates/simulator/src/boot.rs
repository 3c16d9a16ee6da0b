//! What the kernel and systemd do at boot.

use kubespray_resource::Mode;

use crate::files::Node;
use crate::host::{Inner, file, put, text};

/// Kernel parameters that a host has, all 0 at first.
const PARAMETERS: [&str; 13] = [
    "fs/inotify/max_user_instances",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic_on_oops",
    "net/ipv4/ip_local_reserved_ports",
    "net/ipv6/conf/all/forwarding",
    "vm/panic_on_oom",
    "net/ipv4/ip_forward",
    "net/ipv4/tcp_keepalive_time",
    "net/core/somaxconn",
    "vm/overcommit_memory",
    "vm/swappiness",
    "kernel/panic",
];

/// What lives in memory, as Debian has it.
const IN_MEMORY: [&str; 2] = ["/run", "/tmp"];

/// Those that a module brings.
const OF_MODULES: [(&str, &str); 3] = [
    ("br_netfilter", "net/bridge/bridge-nf-call-iptables"),
    ("br_netfilter", "net/bridge/bridge-nf-call-arptables"),
    ("br_netfilter", "net/bridge/bridge-nf-call-ip6tables"),
];

/// A module was loaded.
pub(crate) fn loaded(inner: &mut Inner, module: &str) {
    for (_, key) in OF_MODULES.iter().filter(|(name, _)| *name == module) {
        file(inner, &format!("/proc/sys/{key}"), "1\n");
    }
}

/// Makes what lives in memory from what is on the disk.
pub(crate) fn boot(inner: &mut Inner) {
    for folder in IN_MEMORY {
        for path in inner.files.below(folder) {
            inner.files.put(&path, None);
        }
    }
    let name = text(inner, "/etc/hostname").unwrap_or_default();
    file(inner, "/proc/sys/kernel/hostname", &name);
    file(inner, "/proc/sys/kernel/osrelease", "6.12.0\n");
    for key in PARAMETERS {
        file(inner, &format!("/proc/sys/{key}"), "0\n");
    }
    let modules = texts_below(inner, "/etc/modules-load.d").concat();
    modules.lines().for_each(|name| loaded(inner, name));
    let kept: Vec<String> = texts_below(inner, "/etc/sysctl.d");
    for line in kept.iter().flat_map(|text| text.lines()) {
        if let Some((key, value)) = line.split_once('=') {
            file(inner, &format!("/proc/sys/{}", key.replace('.', "/")), &format!("{value}\n"));
        }
    }
    let modules: String = modules.lines().flat_map(|name| [name, " 1 0 - Live 0x0\n"]).collect();
    file(inner, "/proc/modules", &modules);
    let mut swaps = "Filename Type Size Used Priority\n".to_owned();
    let mut mounts = "/dev/vda1 / ext4 rw 0 0\n".to_owned();
    for line in text(inner, "/etc/fstab").unwrap_or_default().lines() {
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [device, _, "swap", ..] => swaps.extend([*device, " file 1 0 -2\n"]),
            [_, "/", ..] => {}
            [_, path, ..] => {
                mounts.extend([line, "\n"]);
                // systemd makes the folders that it mounts on.
                if inner.files.get(path).is_none() {
                    put(inner, path, Node::Directory, Mode::EXECUTABLE);
                }
            }
            [..] => {}
        }
    }
    file(inner, "/proc/swaps", &swaps);
    file(inner, "/proc/self/mounts", &mounts);
    inner.files.sync();
    inner.effects += 1;
    let (now, names) = (inner.effects, inner.enabled.clone());
    inner.units.clear();
    for name in names.into_iter().filter(|name| !inner.masked.contains(name)) {
        let loaded = crate::programs::unit_text(inner, &name);
        let unit = inner.units.entry(name).or_default();
        unit.active = loaded.is_some();
        unit.loaded = loaded;
        unit.started_at = now;
    }
    crate::models::kubelet_begins(inner);
}

fn texts_below(inner: &Inner, folder: &str) -> Vec<String> {
    inner.files.below(folder).iter().filter_map(|path| text(inner, path)).collect()
}
