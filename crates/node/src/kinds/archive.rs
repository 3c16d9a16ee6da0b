//! Files out of archives, and what is remembered of them.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use kubespray_resource::{Archive, ArchiveState, Digest, Failure, Mode, Owner, PathKind};
use serde::{Deserialize, Serialize};

use crate::failure::impossible;
use crate::paths::{self, ARCHIVES};
use crate::{Host, HostError, View};

/// What was taken from an archive: the files by their paths.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record(BTreeMap<String, Taken>);

/// A file that was taken, as it was right afterwards.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Taken {
    member: String,
    size: u64,
    modified_ns: i128,
}

/// The largest member: a container image or a big Go binary stays far below.
const LARGEST: u64 = 2 << 30;

/// Which files are not as they were taken from this archive.
pub(crate) fn observe(view: &View<'_>, wish: &Archive) -> Result<ArchiveState, Failure> {
    let record = recall(view.host, &wish.digest)?;
    let mut stale = Vec::new();
    for member in &wish.members {
        let same = match (view.host.metadata(&member.path)?, record.0.get(&member.path)) {
            (Some(is), Some(taken)) => {
                is.kind == PathKind::File
                    && is.mode == member.mode
                    && is.owner == wish.owner
                    && is.size == taken.size
                    && is.modified_ns == taken.modified_ns
                    && taken.member == member.name
            }
            _ => false,
        };
        if !same {
            stale.push(member.path.clone());
        }
    }
    Ok(ArchiveState { stale })
}

/// Takes stale files from the archive and remembers them.
pub(crate) fn apply(host: &dyn Host, wish: &Archive, state: &ArchiveState) -> Result<(), Failure> {
    let bytes = host
        .read(&wish.path)?
        .ok_or_else(|| Failure::of_host(format!("the archive `{}` is not there", wish.path)))?;
    if Digest::of(&bytes) != wish.digest {
        return Err(Failure::of_host(format!("the archive `{}` is not what it should be", wish.path))
            .hint("remove it; the next run fetches it again"));
    }
    let mut record = recall(host, &wish.digest)?;
    let mut missing: Vec<_> =
        wish.members.iter().filter(|member| state.stale.contains(&member.path)).collect();
    let unreadable = |error: io::Error| impossible(format!("`{}` is no archive: {error}", wish.path));
    let plain: Box<dyn Read + '_> = if bytes.starts_with(&[0x1f, 0x8b]) {
        Box::new(MultiGzDecoder::new(bytes.as_slice()))
    } else {
        Box::new(bytes.as_slice())
    };
    let mut archive = tar::Archive::new(plain);
    for entry in archive.entries().map_err(unreadable)? {
        if missing.is_empty() {
            break;
        }
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
        let name = name.trim_start_matches("./").to_owned();
        if !entry.header().entry_type().is_file() || missing.iter().all(|member| member.name != name) {
            continue;
        }
        if entry.size() > LARGEST {
            return Err(impossible(format!("`{name}` in `{}` is too large", wish.path)));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(unreadable)?;
        for member in missing.extract_if(.., |member| member.name == name) {
            paths::make_parents(host, &member.path)?;
            host.write(&member.path, &content, member.mode, &wish.owner)?;
            let is = host.metadata(&member.path)?.ok_or_else(|| {
                Failure::of_host(format!("`{}` vanished right after it was written", member.path))
            })?;
            let taken = Taken { member: name.clone(), size: is.size, modified_ns: is.modified_ns };
            record.0.insert(member.path.clone(), taken);
        }
    }
    remember(host, &wish.digest, &record)?;
    match missing.first() {
        None => Ok(()),
        Some(member) => Err(impossible(format!("`{}` has no file `{}`", wish.path, member.name))),
    }
}

fn recall(host: &dyn Host, digest: &Digest) -> Result<Record, HostError> {
    let bytes = host.read(&path(digest))?.unwrap_or_default();
    // A record that cannot be read is none: the files are taken again.
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

fn remember(host: &dyn Host, digest: &Digest, record: &Record) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(record).map_err(|error| Failure::of_host(error.to_string()))?;
    paths::ensure(host, ARCHIVES)?;
    Ok(host.write(&path(digest), &bytes, Mode::PRIVATE, &Owner::root())?)
}

fn path(digest: &Digest) -> String {
    // A digest that came over the wire is not known to be digits alone.
    let digits: String = digest.as_str().chars().filter(char::is_ascii_hexdigit).collect();
    format!("{ARCHIVES}/{digits}.json")
}
