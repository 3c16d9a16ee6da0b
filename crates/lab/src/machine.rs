//! One host as processes of the machine: its disk, its boot, its end.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::LabError;
use crate::cgroup::{self, Layout, MACHINE, WATCH};
use crate::command::run;
use crate::files::{at, make_folder, read, write};
use crate::state::{HostState, State};

/// An overlay cannot be the upper layer of another, so what containerd and kubelet mount over is real (HOST-003).
const REAL_FOLDERS: [&str; 4] = ["var/lib/containerd", "var/lib/kubelet", "var/lib/etcd", "var/log/pods"];

/// HOST-010, for machines whose kernel does not list its built-in modules.
const BUILT_IN: [&str; 8] =
    ["overlay", "veth", "bridge", "br_netfilter", "vxlan", "nf_tables", "ip_set", "nf_conntrack"];

/// Exit code of systemd-nspawn when the host rebooted itself.
const REBOOTED: u8 = 133;

/// Moves itself into the host's cgroups, then boots the host as often as it reboots itself.
/// Arguments: how many cgroups, those of the watcher, those of the machine, the command.
const BOOT: &str = r#"
count=$1; shift
while [ "$count" -gt 0 ]; do echo $$ > "$1" || exit 1; shift; count=$((count - 1)); done
while :; do
    sh -c 'count=$1; shift
        while [ "$count" -gt 0 ]; do echo $$ > "$1" || exit 1; shift; count=$((count - 1)); done
        exec "$@"' sh "$@"
    [ $? -eq "$REBOOTED" ] || exit
done
"#;

fn folder(host: &HostState) -> &Path {
    host.root.parent().unwrap_or(&host.root)
}

/// Makes the host's disk: an overlay over the base, with an identity, keys and users of its own.
pub(crate) fn make_disk(state: &State, host: &HostState, key: &str) -> Result<(), LabError> {
    let folder = folder(host);
    for name in ["upper", "work", "root"] {
        make_folder(&folder.join(name), 0o755)?;
    }
    for name in REAL_FOLDERS {
        make_folder(&folder.join("real").join(name), 0o755)?;
    }
    mount(state, host)?;
    let root = &host.root;
    let host_key = root.join("etc/ssh/ssh_host_ed25519_key");
    make_key(&host_key, &host.name)?;
    let id = read(Path::new("/proc/sys/kernel/random/uuid"))?.replace('-', "");
    write(&root.join("etc/machine-id"), &id, 0o444)?;
    write(&root.join("etc/hostname"), &format!("{}\n", host.name), 0o644)?;
    let mut names = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for other in &state.hosts {
        names.extend([&other.address.to_string(), " ", &other.name, "\n"]);
    }
    write(&root.join("etc/hosts"), &names, 0o644)?;
    write(&root.join("etc/resolv.conf"), "", 0o644)?;
    let release = read(Path::new("/proc/sys/kernel/osrelease"))?;
    let release = release.trim();
    let listed = read(&Path::new("/lib/modules").join(release).join("modules.builtin"));
    let listed = listed.unwrap_or_else(|_| BUILT_IN.map(|name| ["kernel/", name, ".ko\n"].concat()).concat());
    write(&root.join("lib/modules").join(release).join("modules.builtin"), &listed, 0o644)?;
    for user in ["lab", "locked"] {
        let home = root.join("home").join(user);
        let owner = fs::metadata(&home).map_err(at(&home))?;
        let owner = std::os::unix::fs::MetadataExt::uid(&owner);
        let ssh = home.join(".ssh");
        make_folder(&ssh, 0o700)?;
        write(&ssh.join("authorized_keys"), key, 0o600)?;
        for path in [ssh.join("authorized_keys"), ssh] {
            chown(&path, Some(owner), Some(owner)).map_err(at(&path))?;
        }
    }
    Ok(())
}

/// Mounts the host's root.
fn mount(state: &State, host: &HostState) -> Result<(), LabError> {
    let folder = folder(host);
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        state.base.display(),
        folder.join("upper").display(),
        folder.join("work").display()
    );
    let root = host.root.to_string_lossy();
    run("mount", &["-t", "overlay", "-o", &layers, "overlay", root.as_ref()]).map(|_| ())
}

/// Unmounts the host's root, if it is mounted.
pub(crate) fn unmount(host: &HostState) {
    let root = host.root.to_string_lossy().into_owned();
    while read(Path::new("/proc/self/mounts"))
        .is_ok_and(|mounts| mounts.lines().any(|line| line.split(' ').nth(1) == Some(root.as_str())))
    {
        if run("umount", &["--recursive", &root]).is_err() && run("umount", &["--lazy", &root]).is_err() {
            return;
        }
    }
}

/// Makes an ed25519 key pair at `path`, without a passphrase.
pub(crate) fn make_key(path: &Path, comment: &str) -> Result<(), LabError> {
    let path = path.to_string_lossy();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path.as_ref()]).map(|_| ())
}

/// Starts the host (HOST-005, HOST-006); it is not ready yet when this returns.
pub(crate) fn start(layout: Layout, host: &HostState) -> Result<(), LabError> {
    let folder = folder(host);
    cgroup::make(layout, host)?;
    let console = folder.join("console.log");
    let console = fs::File::options().append(true).create(true).open(&console).map_err(at(&console))?;
    let errors = console.try_clone().map_err(at(folder))?;
    let mut command = Command::new("setsid");
    command
        .args(["sh", "-c", BOOT, "boot"])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("REBOOTED", REBOOTED.to_string())
        .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes")
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors);
    for child in [WATCH, MACHINE] {
        command.arg(host.cgroups.len().to_string());
        command.args(host.cgroups.iter().map(|cgroup| cgroup::entry(cgroup, child)));
    }
    command
        .arg("systemd-nspawn")
        .args(["--quiet", "--register=no", "--keep-unit", "--settings=no", "--link-journal=no"])
        .args(["--resolv-conf=off", "--timezone=off", "--console=read-only", "--capability=all"])
        .arg("--system-call-filter=@keyring @module @privileged bpf perf_event_open add_key keyctl request_key")
        .arg("--kill-signal=SIGRTMIN+3")
        .arg("--bind=/dev/kmsg")
        .args([format!("--machine={}", host.name), format!("--hostname={}", host.name)])
        .arg(format!("--network-namespace-path=/run/netns/{}", host.namespace))
        .arg("--directory")
        .arg(&host.root);
    for name in REAL_FOLDERS {
        command.arg(format!("--bind={}:/{name}", folder.join("real").join(name).display()));
    }
    command.arg("/lab-init");
    if layout == Layout::Legacy {
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "0");
        // systemd 257 refuses version 1 unless it is told twice.
        command.args(["systemd.unified_cgroup_hierarchy=0", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]);
    }
    let mut watcher = command.spawn().map_err(at(Path::new("setsid")))?;
    // Not before it is in the host's cgroups may anyone ask whether it runs.
    while !is_running(host) && watcher.try_wait().is_ok_and(|ended| ended.is_none()) {
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

pub(crate) fn is_running(host: &HostState) -> bool {
    !live(host).is_empty()
}

/// Shuts the host down, and kills what is left after 30 s.
pub(crate) fn shut_down(host: &HostState) -> Result<(), LabError> {
    for id in live(host) {
        let name = read(&PathBuf::from(format!("/proc/{id}/comm"))).unwrap_or_default();
        if name.trim() == "systemd-nspawn" {
            send(id, Signal::TERM);
        }
    }
    if wait_for_end(host, Duration::from_secs(30)) { Ok(()) } else { kill(host) }
}

/// Power loss: everything of the host ends at once.
pub(crate) fn kill(host: &HostState) -> Result<(), LabError> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        for id in live(host) {
            send(id, Signal::KILL);
        }
        if wait_for_end(host, Duration::from_millis(200)) {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(LabError::DoesNotEnd { host: host.name.clone(), processes: live(host) });
        }
    }
}

fn wait_for_end(host: &HostState, time: Duration) -> bool {
    let until = Instant::now() + time;
    loop {
        if live(host).is_empty() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
}

/// The host's processes; those of ours that ended are collected.
fn live(host: &HostState) -> Vec<i32> {
    let mut ids = cgroup::processes(host);
    ids.retain(|id| {
        let Some(pid) = Pid::from_raw(*id) else { return false };
        // Someone else's child gives an error, which leaves it alone.
        !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_)))
    });
    ids
}

fn send(id: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(id) {
        // Ended meanwhile: what was wanted.
        let _ = kill_process(pid, signal);
    }
}
