//! File systems.

use kubespray_resource::{Failure, Mode, Mount, MountState, Owner};

use super::{rewrite, run, text_of};
use crate::{Host, View, paths};

const FSTAB: &str = "/etc/fstab";
const MOUNTS: &str = "/proc/self/mounts";

/// What is mounted at the path, and its line of `/etc/fstab`.
pub(crate) fn observe(view: &View<'_>, wish: &Mount) -> Result<MountState, Failure> {
    let mounts = text_of(view.host, MOUNTS)?.unwrap_or_default();
    let fstab = text_of(view.host, FSTAB)?.unwrap_or_default();
    Ok(MountState {
        // The last one hides those before it.
        fstype: mounts
            .lines()
            .filter(|line| is_at(line, &wish.path))
            .filter_map(|line| field(line, 2))
            .next_back(),
        fstab: fstab.lines().filter(|line| is_at(line, &wish.path)).map(first_four).next_back(),
    })
}

/// Mounts it and keeps it, or no longer keeps it.
pub(crate) fn apply(host: &dyn Host, wish: &Mount, state: &MountState) -> Result<(), Failure> {
    let wanted = wish.kept.then(|| wish.fstab());
    if state.fstab != wanted {
        let text = text_of(host, FSTAB)?.unwrap_or_default();
        let mut out: String =
            text.lines().filter(|line| !is_at(line, &wish.path)).flat_map(|line| [line, "\n"]).collect();
        if let Some(line) = wanted {
            out.extend([line.as_str(), " 0 0\n"]);
        }
        rewrite(host, FSTAB, &out, Mode::PUBLIC, &Owner::root())?;
    }
    if state.fstype.as_ref() == Some(&wish.fstype) {
        return Ok(());
    }
    if state.fstype.is_some() {
        run(host, &["umount", "--", &wish.path])?;
    }
    if host.metadata(&wish.path)?.is_none() {
        paths::make_parents(host, &wish.path)?;
        host.make_dir(&wish.path, Mode::EXECUTABLE, &Owner::root())?;
    }
    run(host, &["mount", "-t", &wish.fstype, "-o", &wish.options, "--", &wish.source, &wish.path]).map(drop)
}

fn is_at(line: &str, path: &str) -> bool {
    !line.trim_start().starts_with('#') && field(line, 1).as_deref() == Some(path)
}

/// A field, with blanks as fstab(5) writes them.
fn field(line: &str, at: usize) -> Option<String> {
    line.split_whitespace().nth(at).map(|text| text.replace("\\040", " ").replace("\\011", "\t"))
}

fn first_four(line: &str) -> String {
    line.split_whitespace().take(4).collect::<Vec<_>>().join(" ")
}
