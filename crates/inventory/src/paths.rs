//! Paths as users type them, and files read within bounds.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

/// An inventory of 5,000 hosts has a few megabytes; anything far beyond is a mistake (a disk image, a
/// log) and would only be slow to refuse.
pub(crate) const LARGEST_FILE: usize = 64 << 20;

/// Longer texts from elsewhere (error output of programs) are cut in messages.
const LONGEST_QUOTE: usize = 2_000;

/// A path with `~` at its start replaced by the home folder.
pub(crate) fn expand(path: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => match std::env::var_os("HOME") {
            Some(home) => Path::new(&home).join(rest),
            None => path.to_owned(),
        },
        Err(_) => path.to_owned(),
    }
}

/// An absolute path without `.` and `..`; symbolic links are not followed, as Ansible does for
/// `inventory_file` and `inventory_dir`.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut out = PathBuf::new();
    for component in full.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Why a file could not be read, in words.
pub(crate) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or folder".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::IsADirectory => "it is a folder".into(),
        ErrorKind::NotADirectory => "a part of the path is no folder".into(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            "its symbolic links lead in a circle".into()
        }
        _ => error.to_string().to_lowercase(),
    }
}

/// Reads a regular file (or `/dev/null`) of at most `most` bytes. Errors are lower case words that fit
/// behind a colon.
pub(crate) fn read_bounded(path: &Path, most: usize) -> Result<Vec<u8>, String> {
    let metadata = path.metadata().map_err(|error| reason(&error))?;
    let kind = metadata.file_type();
    if kind.is_char_device() && path == Path::new("/dev/null") {
        return Ok(Vec::new());
    }
    if kind.is_dir() {
        return Err("it is a folder".into());
    }
    // Reading a pipe or a device could wait for ever.
    if !kind.is_file() {
        return Err("it is no regular file".into());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(most));
    let file = File::open(path).map_err(|error| reason(&error))?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() > most {
        return Err(format!("it is larger than {} MiB", most >> 20));
    }
    Ok(bytes)
}

/// A text from elsewhere, short enough for a message.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

/// The end of a file name from its last dot on (Python's `splitext`): `.yml`, or empty.
pub(crate) fn ending(name: &str) -> &str {
    let bare = name.trim_start_matches('.');
    match bare.rfind('.') {
        Some(at) => bare.get(at..).unwrap_or(""),
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_pythons() {
        for (name, expected) in [
            ("a.yml", ".yml"),
            ("a.b.json", ".json"),
            ("a", ""),
            (".hidden", ""),
            ("..x.y", ".y"),
            ("a.", "."),
        ] {
            assert_eq!(ending(name), expected, "{name}");
        }
    }

    #[test]
    fn absolute_paths_have_no_dots() {
        assert_eq!(absolute(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(absolute(Path::new("/../a")), Path::new("/a"));
    }

    #[test]
    fn only_bounded_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read_bounded(&file, 5).as_deref(), Ok(&b"12345"[..]));
        assert!(read_bounded(&file, 4).is_err());
        assert_eq!(read_bounded(Path::new("/dev/null"), 4).as_deref(), Ok(&b""[..]));
        assert_eq!(read_bounded(Path::new("/dev/zero"), 4).unwrap_err(), "it is no regular file");
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(read_bounded(&circle, 4).unwrap_err(), "its symbolic links lead in a circle");
    }
}
