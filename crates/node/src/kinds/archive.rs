//! Files out of archives, and what is remembered of them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use kubespray_resource::{Archive, ArchiveState, Digest, Failure, Member, Mode, Owner, PathKind};
use serde::{Deserialize, Serialize};

use crate::failure::{gone_source, impossible};
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

/// How much is read at once.
const BUFFER: usize = 128 << 10;

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
    let gone = || gone_source(format!("the archive `{}` is not there", wish.path));
    if View::new(host, []).digest(&wish.path)?.ok_or_else(gone)? != wish.digest {
        return Err(Failure::of_host(format!("the archive `{}` is not what it should be", wish.path))
            .hint("remove it; the next run fetches it again"));
    }
    let mut record = recall(host, &wish.digest)?;
    let mut missing: Vec<_> =
        wish.members.iter().filter(|member| state.stale.contains(&member.path)).collect();
    let unreadable = |error: io::Error| impossible(format!("`{}` is no archive: {error}", wish.path));
    let mut bytes = BufReader::with_capacity(BUFFER, host.open(&wish.path)?.ok_or_else(gone)?);
    let is_compressed = bytes.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
    let plain: Box<dyn Read + '_> =
        if is_compressed { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
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
        // A member is read once; where it goes to several places, the others are copies of the first.
        let mut first: Option<String> = None;
        for member in missing.extract_if(.., |member| member.name == name) {
            paths::make_parents(host, &member.path)?;
            match &first {
                None => write(host, &mut entry, wish, member, &unreadable)?,
                Some(path) => {
                    let mut copy = host.open(path)?.ok_or_else(|| {
                        Failure::of_host(format!("`{path}` vanished right after it was written"))
                    })?;
                    host.write_from(&member.path, &mut copy, member.mode, &wish.owner)?;
                }
            }
            first.get_or_insert_with(|| member.path.clone());
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

/// Writes a member piece by piece; tells errors of the archive from those of the host.
fn write(
    host: &dyn Host,
    from: &mut impl Read,
    wish: &Archive,
    member: &Member,
    unreadable: &dyn Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut from = Noted { from, error: None };
    let result = host.write_from(&member.path, &mut from, member.mode, &wish.owner);
    match from.error {
        Some(error) => Err(unreadable(error)),
        None => Ok(result?),
    }
}

/// Keeps an error of a reader, which a writer would tell as its own.
struct Noted<R> {
    from: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Noted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.from.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let told = io::Error::new(error.kind(), error.to_string());
                self.error = Some(error);
                Err(told)
            }
            other => other,
        }
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
