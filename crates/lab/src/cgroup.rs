//! Each host has a cgroup of its own in every hierarchy of the machine, or all would share one `/kubepods`
//! (HOST-006).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::files::{at, make_folder, read};
use crate::state::HostState;

/// The process that starts the host anew after a reboot from inside; what it starts is in [`MACHINE`].
/// Two, because a cgroup of version 2 that gives controllers to others holds no process itself.
pub(crate) const WATCH: &str = "watch";
pub(crate) const MACHINE: &str = "machine";

/// Where controllers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Layout {
    /// All in one hierarchy of version 2.
    Unified,
    /// In hierarchies of version 1, maybe with an empty one of version 2 beside them.
    Legacy,
}

/// The layout, and in each mounted hierarchy the cgroup below which hosts go.
pub(crate) fn hierarchies() -> Result<(Layout, Vec<PathBuf>), LabError> {
    let mounts = read(Path::new("/proc/self/mounts"))?;
    let own = read(Path::new("/proc/self/cgroup"))?;
    Ok(parse(&mounts, &own))
}

fn parse(mounts: &str, own: &str) -> (Layout, Vec<PathBuf>) {
    let mut layout = Layout::Unified;
    let mut folders = Vec::new();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, folder, kind, options, ..] = words.as_slice() else { continue };
        match *kind {
            // The processes of the root may stay there, so a host goes beside what is there already.
            "cgroup2" => folders.push(PathBuf::from(folder)),
            "cgroup" => {
                let options: Vec<&str> = options.split(',').collect();
                let below = own.lines().find_map(|line| {
                    let mut parts = line.splitn(3, ':').skip(1);
                    let (controllers, path) = (parts.next()?, parts.next()?);
                    let here = controllers.split(',').all(|one| options.contains(&one));
                    (here && !controllers.is_empty()).then_some(path)
                });
                let Some(below) = below else { continue };
                if !options.contains(&"name=systemd") {
                    layout = Layout::Legacy;
                }
                folders.push(Path::new(folder).join(below.trim_start_matches('/')));
            }
            _ => {}
        }
    }
    (layout, folders)
}

/// Makes the host's cgroups.
pub(crate) fn make(layout: Layout, host: &HostState) -> Result<(), LabError> {
    for folder in &host.cgroups {
        let parent = folder.parent().unwrap_or(folder);
        if layout == Layout::Unified {
            give_controllers(parent);
        }
        prepare(parent, folder)?;
        if layout == Layout::Unified {
            give_controllers(folder);
        }
        for child in [WATCH, MACHINE] {
            prepare(folder, &folder.join(child))?;
        }
    }
    Ok(())
}

/// Makes one cgroup; on version 1 no process may enter one without processors and memory nodes.
fn prepare(parent: &Path, folder: &Path) -> Result<(), LabError> {
    make_folder(folder, 0o755)?;
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (above, own) = (parent.join(name), folder.join(name));
        if own.exists() && above.exists() && parent.join("cpuset.memory_migrate").exists() {
            fs::write(&own, read(&above)?.trim()).map_err(at(&own))?;
        }
    }
    Ok(())
}

fn give_controllers(folder: &Path) {
    let available = read(&folder.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        // A controller that cannot be given is one that hosts do without.
        let _ = write_control(&folder.join("cgroup.subtree_control"), &format!("+{controller}"));
    }
}

fn write_control(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(at(path))
}

/// The ids of all processes of a host.
pub(crate) fn processes(host: &HostState) -> Vec<i32> {
    let mut found = Vec::new();
    for folder in &host.cgroups {
        for folder in below(folder) {
            let listed = read(&folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    found.sort_unstable();
    found.dedup();
    // Processes of a namespace that we do not see are shown as 0.
    found.retain(|id| *id > 1);
    found
}

/// Removes a host's cgroups; processes that are still ending are waited for a little.
pub(crate) fn remove(host: &HostState) {
    let until = Instant::now() + Duration::from_secs(5);
    for folder in &host.cgroups {
        while folder.exists() {
            for child in below(folder).iter().rev() {
                let _ = fs::remove_dir(child);
            }
            if Instant::now() > until {
                break;
            }
            sleep(Duration::from_millis(10));
        }
    }
}

/// `folder` and all folders below it, parents first. Without recursion: depth is the hosts' to choose.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut next = vec![folder.to_owned()];
    while let Some(folder) = next.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        next.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
        found.push(folder);
    }
    found.sort();
    found
}

/// The file that moves a process which writes its id there into `child` of a host's cgroup.
pub(crate) fn entry(folder: &Path, child: &str) -> PathBuf {
    folder.join(child).join("cgroup.procs")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Layout, parse};

    #[test]
    fn layouts_are_told_from_mounts() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
            cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n\
            cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
            cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let own = "3:name=systemd:/\n2:memory:/own/deep\n1:cpu:/\n0::/\n";
        let folders = ["cpu", "memory/own/deep", "systemd", "unified"];
        let folders: Vec<PathBuf> =
            folders.iter().map(|name| PathBuf::from("/sys/fs/cgroup").join(name)).collect();
        assert_eq!(parse(hybrid, own), (Layout::Legacy, folders));

        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let folders = vec![PathBuf::from("/sys/fs/cgroup")];
        assert_eq!(parse(unified, "0::/user.slice\n"), (Layout::Unified, folders));
    }
}
