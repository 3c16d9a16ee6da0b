//! Files and folders.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::{Path, PathBuf};

use kubespray_resource::{Digest, Mode, Owner, PathKind};
use rustix::process::{getegid, geteuid};
use sha2::{Digest as _, Sha256};

use super::names::Names;
use super::sync_folder;
use crate::{Metadata, Stamp};

/// How much is read at once, in bytes.
const PIECE: usize = 256 << 10;

pub(super) fn metadata(root: &Path, path: &Path) -> io::Result<Metadata> {
    let is = fs::symlink_metadata(path)?;
    let kind = match is.file_type() {
        kind if kind.is_file() => PathKind::File,
        kind if kind.is_dir() => PathKind::Directory,
        kind if kind.is_symlink() => PathKind::Link,
        _ => PathKind::Other,
    };
    // The most frequent owner needs no look into the user database.
    let owner = if is.uid() == 0 && is.gid() == 0 && root == Path::new("/") {
        Owner::root()
    } else {
        let names = Names::read(root);
        Owner { user: names.user(is.uid()), group: names.group(is.gid()) }
    };
    Ok(Metadata {
        kind,
        mode: Mode(is.mode() & 0o7777),
        owner,
        size: is.size(),
        modified_ns: i128::from(is.mtime()) * 1_000_000_000 + i128::from(is.mtime_nsec()),
    })
}

pub(super) fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    let is = fs::symlink_metadata(path)?;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Ok(is.is_file().then(|| Stamp {
        size: is.size(),
        modified_ns: nanoseconds(is.mtime(), is.mtime_nsec()),
        changed_ns: nanoseconds(is.ctime(), is.ctime_nsec()),
        device: is.dev(),
        inode: is.ino(),
    }))
}

/// Opens a file to write from an offset on; what is behind it goes. A link is not followed: the folder may belong
/// to others.
pub(super) fn open_part(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    file.set_len(offset)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}

pub(super) fn write_part(path: &Path, offset: u64, bytes: &[u8], last: bool) -> io::Result<()> {
    let mut file = open_part(path, offset)?;
    file.write_all(bytes)?;
    if last {
        file.sync_all()?;
        sync_folder(path)?;
    }
    Ok(())
}

pub(super) fn digest(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 {
            return Ok(Digest::from_hash(&hash.finalize()));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
    }
}

pub(super) fn list(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other?,
    };
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The name beside a path under which its successor is made. It is always the same, so that what a crash
/// leaves is found and replaced.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.kubespray-new"))
}

pub(super) fn write(path: &Path, mut from: impl Read, mode: Mode, uid: u32, gid: u32) -> io::Result<()> {
    let temporary = beside(path);
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&temporary)?;
            open()?
        }
        other => other?,
    };
    let result = fill(&mut file, path, &mut from, mode, uid, gid).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result?;
    sync_folder(path)
}

fn fill(
    file: &mut File,
    path: &Path,
    from: &mut impl Read,
    mode: Mode,
    uid: u32,
    gid: u32,
) -> io::Result<()> {
    pour(from, file)?;
    own(file, mode, uid, gid)?;
    keep_label(file, path);
    file.sync_all()
}

/// Copies all that comes; large pieces, as programs of a hundred megabytes are copied.
fn pour(from: &mut impl Read, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 {
            return Ok(());
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

/// Owner first: changing it takes away set-user-id bits. Says whether anything was changed.
fn own(file: &File, mode: Mode, uid: u32, gid: u32) -> io::Result<bool> {
    let is = file.metadata()?;
    let is_theirs = (is.uid(), is.gid()) == (uid, gid);
    if !is_theirs {
        fchown(file, Some(uid), Some(gid))?;
    }
    if is_theirs && is.mode() & 0o7777 == mode.0 {
        return Ok(false);
    }
    file.set_permissions(Permissions::from_mode(mode.0))?;
    Ok(true)
}

/// As [`own`], and synced.
fn own_synced(file: &File, mode: Mode, uid: u32, gid: u32) -> io::Result<()> {
    if own(file, mode, uid, gid)? { file.sync_all() } else { Ok(()) }
}

/// The label that SELinux gave to the file that is replaced stays.
fn keep_label(file: &File, path: &Path) {
    const LABEL: &str = "security.selinux";
    let mut label = [0; 256];
    if let Ok(length) = rustix::fs::lgetxattr(path, LABEL, &mut label[..]) {
        let label = label.get(..length).unwrap_or_default();
        // Without SELinux nothing sets it and nothing needs it.
        let _ = rustix::fs::fsetxattr(file, LABEL, label, rustix::fs::XattrFlags::empty());
    }
}

pub(super) fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(bytes)
}

pub(super) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let made = fs::symlink_metadata(path).is_err();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if made { sync_folder(path) } else { Ok(()) }
}

/// Adds to a file without syncing it.
pub(super) fn note(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(bytes)
}

pub(super) fn create_new(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    // Linked into place when it is whole: nobody sees half a file, and only one can win.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let result =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match result {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn make_dir(path: &Path, mode: Mode, uid: u32, gid: u32) -> io::Result<()> {
    // Until it is theirs nobody else may do anything in it.
    let is_ours = (uid, gid) == (geteuid().as_raw(), getegid().as_raw());
    match DirBuilder::new().mode(if is_ours { mode.0 } else { 0o700 }).create(path) {
        Ok(()) => {
            own_synced(&File::open(path)?, mode, uid, gid)?;
            sync_folder(path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn make_link(path: &Path, target: &str) -> io::Result<()> {
    let temporary = beside(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, &temporary)?;
    if let Err(error) = fs::rename(&temporary, path) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_folder(path)
}

pub(super) fn set_attributes(path: &Path, mode: Mode, uid: u32, gid: u32) -> io::Result<()> {
    // A link is never followed: whoever owns its folder could lead us to any file.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(
            rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
                | rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
        )
        .open(path)?;
    own_synced(&file, mode, uid, gid)
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

pub(super) fn remove_one(path: &Path) -> io::Result<()> {
    let is = match fs::symlink_metadata(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        other => other?,
    };
    if is.is_dir() {
        fs::remove_dir(path)?;
    } else {
        fs::remove_file(path)?;
    }
    sync_folder(path)
}
