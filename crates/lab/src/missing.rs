//! Whether this machine can have test hosts at all.

use std::fs;

use crate::command::{installed, run};

const PROGRAMS: [(&str, &str); 8] = [
    ("systemd-nspawn", "systemd-container"),
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("mount", "mount"),
    ("setsid", "util-linux"),
];

/// One sentence, lower case, on the first thing that is in the way.
pub(crate) fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") || !rustix::process::geteuid().is_root() {
        return Some("test hosts need root on Linux".to_owned());
    }
    if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| !installed(program)) {
        return Some(format!("`{program}` is not installed: apt-get install {package}"));
    }
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|known| known.contains("\toverlay\n")) {
        // A machine with modules loads it when it is asked for.
        if run("modprobe", &["overlay"]).is_err() {
            return Some("the kernel has no overlay file system".to_owned());
        }
    }
    // In a user namespace or a container without rights this fails like the real thing would.
    let probe = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/l /mnt/u /mnt/w /mnt/r && \
        mount -t overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/r && \
        ip link add kl-probe type veth peer name kl-probe2 && ip link add kl-probe3 type bridge";
    run("unshare", &["--mount", "--net", "sh", "-c", probe])
        .err()
        .map(|error| format!("mounts, network namespaces or bridges cannot be made here: {error}"))
}
