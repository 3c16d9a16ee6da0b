//! Digests of large files, remembered as long as the files do not change: a second run does not read gigabytes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use kubespray_resource::{Digest, Mode, Owner};
use serde::{Deserialize, Serialize};

use crate::paths::{self, BASE, DIGESTS};
use crate::{Host, HostError, Stamp};

/// Smaller files are read faster than they are looked up.
const SMALLEST: u64 = 1 << 20;

/// More are not kept; the oldest go.
const MOST: usize = 500;

/// A file that changed so shortly before it was read may change again with the same time: the kernel's clock for
/// files goes on in steps of up to 10 ms.
const UNSURE_NS: i128 = 20_000_000;

/// Digests by paths; read when the first is asked for.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: RefCell<Option<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    stamp: Stamp,
    digest: Digest,
    /// When it was computed, in milliseconds since 1970.
    at_ms: u64,
}

impl Digests {
    /// The digest of a file, links followed; nothing where there is none.
    pub(crate) fn of(&self, host: &dyn Host, path: &str) -> Result<Option<Digest>, HostError> {
        // A link has no stamp: it may lead to another file without any change of its own.
        let Some(stamp) = host.stamp(path)?.filter(|stamp| stamp.size >= SMALLEST) else {
            return host.digest(path);
        };
        let mut known = self.known.borrow_mut();
        let known = match &mut *known {
            Some(known) => known,
            none => none.insert(Known { entries: recall(host)?, changed: false }),
        };
        if let Some(entry) = known.entries.get(path).filter(|entry| entry.stamp == stamp) {
            return Ok(Some(entry.digest.clone()));
        }
        let digest = host.digest(path)?;
        known.changed |= known.entries.remove(path).is_some();
        let at_ms = host.now_ms();
        let is_sure = host.stamp(path)? == Some(stamp)
            && i128::from(at_ms) * 1_000_000 > stamp.changed_ns.max(stamp.modified_ns) + UNSURE_NS;
        if let Some(digest) = digest.clone().filter(|_| is_sure) {
            known.entries.insert(path.to_owned(), Entry { stamp, digest, at_ms });
            known.changed = true;
        }
        Ok(digest)
    }

    /// Writes down what was learnt, if anything was.
    pub(crate) fn keep(&self, host: &dyn Host) {
        let mut known = self.known.borrow_mut();
        let Some(known) = known.as_mut().filter(|known| known.changed) else { return };
        while known.entries.len() > MOST {
            let oldest = known.entries.iter().min_by_key(|(_, entry)| entry.at_ms);
            let Some(path) = oldest.map(|(path, _)| path.clone()) else { break };
            known.entries.remove(&path);
        }
        known.changed = false;
        if let Ok(bytes) = serde_json::to_vec(&known.entries)
            && paths::ensure(host, BASE).is_ok()
        {
            // What cannot be kept is computed again.
            let _ = host.write(DIGESTS, &bytes, Mode::PRIVATE, &Owner::root());
        }
    }
}

fn recall(host: &dyn Host) -> Result<BTreeMap<String, Entry>, HostError> {
    let bytes = host.read(DIGESTS)?.unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}
