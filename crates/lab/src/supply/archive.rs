//! Archives and digests.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::LabError;
use crate::command::run;
use crate::files::at;

/// Packs members of `folder` into a tar, the same bytes every time, for root.
pub(crate) fn pack(folder: &Path, members: &[&str], archive: &Path, gzip: bool) -> Result<(), LabError> {
    let (folder, archive) = (folder.to_string_lossy(), archive.to_string_lossy());
    let mut words =
        vec!["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
    if gzip {
        // Compressing well would take longer than serving.
        words.push("--use-compress-program=gzip -1 -n");
    }
    words.extend(["--file", archive.as_ref(), "--directory", folder.as_ref()]);
    words.extend(members);
    run("tar", &words).map(|_| ())
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn digest_of(path: &Path) -> Result<String, LabError> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(at(path))?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        digest.update(read);
    }
    Ok(hexadecimal(&digest.finalize()))
}

/// Two digits for each byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
