//! Removing folders with all in them, but nothing of another mount and nothing behind a link.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, StatxFlags, openat, statx, unlinkat};
use rustix::io::Errno;

/// Each level holds a file open; a process may have 1,024 of them.
const DEEPEST: usize = 400;

/// Which mount something is on. Bind mounts of one file system have one device but their own mount ids, which
/// kernels tell since 5.8.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Place {
    mount: u64,
    device: (u32, u32),
}

/// Removes what is at a path, with all in it. What is on another mount stays, with the folders above it, and
/// is told as an error after all else is gone.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    let folder = match openat(CWD, path, folder_flags(), Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return ignore_missing(std::fs::remove_file(path)),
        Err(error) => return Err(error.into()),
    };
    let place = place(&folder)?;
    if let Some(parent) = path.parent() {
        let above = openat(CWD, parent, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?;
        if self::place(&above)? != place {
            return Err(foreign(path));
        }
    }
    let mut left = None;
    empty(&folder, place, path, 0, &mut left)?;
    match left {
        Some(error) => Err(error),
        None => ignore_missing(std::fs::remove_dir(path)),
    }
}

fn empty(
    folder: &OwnedFd,
    place: Place,
    path: &Path,
    depth: usize,
    left: &mut Option<io::Error>,
) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("`{}` is more than {DEEPEST} folders deep", path.display())));
    }
    for (name, kind) in entries(folder)? {
        let here = path.join(String::from_utf8_lossy(name.as_bytes()).as_ref());
        if kind != FileType::Directory && kind != FileType::Unknown {
            unlink(folder, &name, AtFlags::empty(), &here, left)?;
            continue;
        }
        match openat(folder, &name, folder_flags(), Mode::empty()) {
            Ok(inner) if self::place(&inner)? != place => {
                left.get_or_insert_with(|| foreign(&here));
            }
            Ok(inner) => {
                let before = left.is_some();
                let mut below = None;
                empty(&inner, place, &here, depth + 1, &mut below)?;
                drop(inner);
                match below {
                    Some(error) if !before => *left = Some(error),
                    Some(_) => {}
                    None => unlink(folder, &name, AtFlags::REMOVEDIR, &here, left)?,
                }
            }
            Err(Errno::NOTDIR | Errno::LOOP) => unlink(folder, &name, AtFlags::empty(), &here, left)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn entries(folder: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut out = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() != b"." && name.to_bytes() != b".." {
            out.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(out)
}

fn unlink(
    folder: &OwnedFd,
    name: &CString,
    flags: AtFlags,
    path: &Path,
    left: &mut Option<io::Error>,
) -> io::Result<()> {
    match unlinkat(folder, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // A file may be a mount point too.
        Err(Errno::BUSY) => {
            left.get_or_insert_with(|| foreign(path));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn folder_flags() -> OFlags {
    OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY
}

fn place(file: &impl AsFd) -> io::Result<Place> {
    let is = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?;
    Ok(Place { mount: is.stx_mnt_id, device: (is.stx_dev_major, is.stx_dev_minor) })
}

fn foreign(path: &Path) -> io::Error {
    io::Error::other(format!("`{}` is mounted from elsewhere; it was left alone", path.display()))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
