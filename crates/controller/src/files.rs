//! Files that the controller keeps for hosts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::Digest;
use kubespray_resource::wire::{Ask, CHUNK};

/// A folder of files that are named by their digests.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// Files in a folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Where a file is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.as_str())
    }

    /// What a helper is told that wants bytes from an offset on.
    pub fn give(&self, digest: &Digest, offset: u64) -> Ask {
        match chunk(&self.path(digest), offset) {
            Ok((bytes, last)) => {
                Ask::Bytes { digest: digest.clone(), offset, bytes: STANDARD.encode(bytes), last }
            }
            Err(error) => {
                let why = format!("the controller does not have it: {error}");
                Ask::NoBytes { digest: digest.clone(), why }
            }
        }
    }
}

/// The bytes, and whether the file ends with them.
fn chunk(path: &Path, offset: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset.min(size)))?;
    let mut bytes = Vec::new();
    file.take(CHUNK).read_to_end(&mut bytes)?;
    let last = offset.saturating_add(bytes.len() as u64) >= size;
    Ok((bytes, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_given_in_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        let whole: Vec<u8> = (0..CHUNK + 10).map(|at| at as u8).collect();
        let digest = Digest::of(&whole);
        std::fs::write(files.path(&digest), &whole).unwrap();
        let given = |offset| match files.give(&digest, offset) {
            Ask::Bytes { bytes, last, .. } => (STANDARD.decode(bytes).unwrap(), last),
            other => panic!("{other:?}"),
        };
        assert_eq!(given(0), (whole[..CHUNK as usize].to_vec(), false));
        assert_eq!(given(CHUNK), (whole[CHUNK as usize..].to_vec(), true));
        assert_eq!(given(CHUNK + 10), (Vec::new(), true));
        assert_eq!(given(u64::MAX), (Vec::new(), true));
        assert!(matches!(files.give(&Digest::of(b"other"), 0), Ask::NoBytes { .. }));
    }
}
