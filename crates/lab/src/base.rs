//! The root file system that all hosts share, made once per machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::command::{finish, run};
use crate::files::{at, read, write};
use crate::{LOCKED_PASSWORD, LabError};

/// Counts up when [`finish_root`] makes something else of the same packages.
const RECIPE: u32 = 2;

const SUITE: &str = "trixie";

/// HOST-001. No Python: hosts must not need it.
const PACKAGES: [&str; 26] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "iproute2",
    "iptables",
    "nftables",
    "procps",
    "kmod",
    "ca-certificates",
    "curl",
    "e2fsprogs",
    "conntrack",
    "socat",
    "ebtables",
    "ethtool",
    "iputils-ping",
    "rsync",
    "xz-utils",
    "unzip",
    // Kubespray's own list has these, too; where hosts have them nothing needs to be installed.
    "apparmor",
    "apt-transport-https",
    "bash-completion",
    "ipset",
    "libseccomp2",
];

/// Packages on that list that would bring Python: empty ones of these names stand for them.
const EMPTY_PACKAGES: [&str; 1] = ["xfsprogs"];

/// What runs before systemd in each host: nothing of the machine may be changed from the first process on (HOST-009),
/// the cgroups are made writable (HOST-006), mounts are shared as kubelet needs them (HOST-011).
const INIT: &str = r#"#!/bin/bash
mkdir -p /run/lab/sysctl
mount -t tmpfs -o mode=755 tmpfs /run/lab/sysctl
for name in kernel vm fs; do
    mkdir "/run/lab/sysctl/$name"
    cd "/proc/sys/$name" && find . -type d -exec mkdir -p "/run/lab/sysctl/$name/{}" \;
    find . -type f ! -path './binfmt_misc/*' | while read -r file; do
        cat "$file" > "/run/lab/sysctl/$name/$file"
    done 2>/dev/null
    cd / && mount --bind "/run/lab/sysctl/$name" "/proc/sys/$name"
done
while read -r _ folder _; do
    case "$folder" in /sys/fs/cgroup*) mount -o remount,bind,rw "$folder" ;; esac
done < /proc/mounts
mount --make-rshared /
exec /usr/lib/systemd/systemd "$@"
"#;

/// The base root, made with debootstrap when it is not in `folder` yet. `lock` is that of `folder`, held.
pub(crate) fn base_root(folder: &Path, lock: &File) -> Result<PathBuf, LabError> {
    let root = folder.join(format!("base-{}", key()));
    if root.is_dir() {
        return Ok(root);
    }
    let unfinished = folder.join("base-unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(at(&unfinished))?;
    }
    let mut debootstrap = Command::new("debootstrap");
    debootstrap
        .args(["--variant=minbase", &format!("--include={}", PACKAGES.join(","))])
        .arg(SUITE)
        .arg(&unfinished)
        .arg(mirror())
        // Were this process killed, debootstrap would go on: as long as it does, it holds the lock too.
        .stdin(lock.try_clone().map_err(at(folder))?);
    if let Some(proxy) = proxy() {
        debootstrap.env("http_proxy", &proxy).env("https_proxy", &proxy);
    }
    finish(&mut debootstrap)?;
    finish_root(&unfinished)?;
    fs::rename(&unfinished, &root).map_err(at(&root))?;
    Ok(root)
}

fn key() -> String {
    let digest = Sha256::digest(format!(
        "{RECIPE} {SUITE} {INIT} {} {}",
        PACKAGES.join(" "),
        EMPTY_PACKAGES.join(" ")
    ));
    digest.iter().take(6).fold(String::new(), |key, byte| format!("{key}{byte:02x}"))
}

fn finish_root(root: &Path) -> Result<(), LabError> {
    // Each host gets keys and an identity of its own.
    for name in ["rsa", "ecdsa", "ed25519"] {
        for end in ["", ".pub"] {
            let _ = fs::remove_file(root.join(format!("etc/ssh/ssh_host_{name}_key{end}")));
        }
    }
    write(&root.join("etc/machine-id"), "", 0o644)?;
    write(&root.join("lab-init"), INIT, 0o755)?;
    // Modules belong to the machine: whoever asks for one gets yes (HOST-010).
    let modprobe = root.join("usr/sbin/modprobe");
    let _ = fs::remove_file(&modprobe);
    write(&modprobe, "#!/bin/sh\nexit 0\n", 0o755)?;
    let chroot = |arguments: &[&str]| {
        let root = root.to_string_lossy();
        run("chroot", &[&[root.as_ref()], arguments].concat())
    };
    for user in ["lab", "locked"] {
        chroot(&["useradd", "--create-home", "--shell", "/bin/bash", user])?;
    }
    chroot(&["sh", "-c", &format!("echo locked:{LOCKED_PASSWORD} | chpasswd")])?;
    let rules = "lab ALL=(ALL:ALL) NOPASSWD: ALL\nlocked ALL=(ALL:ALL) ALL\n";
    write(&root.join("etc/sudoers.d/lab"), rules, 0o440)?;
    // A test's host changes by the test alone.
    for unit in ["apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer"] {
        let link = root.join("etc/systemd/system").join(unit);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("/dev/null", &link).map_err(at(&link))?;
    }
    for name in EMPTY_PACKAGES {
        let folder = root.join("tmp").join(name);
        let about = format!(
            "Package: {name}\nVersion: 99\nArchitecture: all\nMaintainer: lab <lab@localhost>\nDescription: empty\n"
        );
        write(&folder.join("DEBIAN/control"), &about, 0o644)?;
        let inside = format!("/tmp/{name}");
        chroot(&["dpkg-deb", "--build", "--root-owner-group", &inside])?;
        chroot(&["dpkg", "--install", &format!("{inside}.deb")])?;
        chroot(&["rm", "--recursive", &inside, &format!("{inside}.deb")])?;
    }
    chroot(&["apt-get", "clean"]).map(|_| ())
}

/// The first Debian mirror that apt uses on this machine, else Debian's own.
pub(crate) fn mirror() -> String {
    let mut texts = vec![read(Path::new("/etc/apt/sources.list")).unwrap_or_default()];
    let mut paths: Vec<PathBuf> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    texts.extend(paths.iter().filter_map(|path| read(path).ok()));
    mirror_in(&texts).unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
}

/// The first address of one-line (`deb URI suite …`) and deb822 (`URIs: …`) sources that is a mirror of Debian.
fn mirror_in(texts: &[String]) -> Option<String> {
    let is_debian = |uri: &str| {
        let path = uri.trim_end_matches('/');
        uri.starts_with("http") && path.ends_with("/debian")
    };
    texts.iter().flat_map(|text| text.lines()).map(str::trim).find_map(|line| {
        let uris = line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb "))?;
        uris.split_whitespace().find(|uri| is_debian(uri)).map(str::to_owned)
    })
}

/// The proxy that apt was told to use.
fn proxy() -> Option<String> {
    let settings = run("apt-config", &["dump", "Acquire::http::Proxy"]).ok()?;
    let value = settings.split('"').nth(1)?;
    (!value.is_empty() && value != "DIRECT").then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn mirrors_are_found_in_both_forms_of_sources() {
        let table: [(&str, Option<&str>); 5] = [
            ("Types: deb\n# http://old/debian\nURIs: http://a/debian\nSuites: x\n", Some("http://a/debian")),
            (
                "# deb http://no/debian x main\ndeb [arch=amd64] https://b/debian/ x main\n",
                Some("https://b/debian/"),
            ),
            ("deb https://b/debian-security x main\n", None),
            ("URIs: https://deb.example/node_20.x\n", None),
            ("", None),
        ];
        for (text, wanted) in table {
            assert_eq!(mirror_in(&[text.to_owned()]).as_deref(), wanted, "{text}");
        }
    }
}
