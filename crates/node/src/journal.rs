//! What was begun and done on this host, one JSON line each; the intent stands there before its effect.

use kubespray_resource::wire::JournalEntry;
use kubespray_resource::{Failure, RunId};

use crate::Host;
use crate::paths::{self, JOURNAL};

/// How long an entry lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// It is on the disk, and with it all that was done before.
    Synced,
    /// It is on the disk with the next synced entry; a loss of power before that takes it away.
    Noted,
}

/// Adds an entry. `fresh` says whether nothing of this run was written by this helper before: the entry is then synced
/// whatever is asked for, and a line that a crash tore is ended, so that it spoils no later one.
pub(crate) fn append(
    host: &dyn Host,
    run: &RunId,
    entry: &JournalEntry,
    fresh: bool,
    lasting: Lasting,
) -> Result<(), Failure> {
    let path = paths::of_run(JOURNAL, run, "jsonl")?;
    let mut line = String::new();
    if fresh {
        paths::ensure(host, JOURNAL)?;
        if host.read(&path)?.is_some_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n')) {
            line.push('\n');
        }
    }
    line.push_str(&serde_json::to_string(entry).map_err(|error| Failure::of_host(error.to_string()))?);
    line.push('\n');
    match lasting {
        Lasting::Noted if !fresh => Ok(host.note(&path, line.as_bytes())?),
        _ => Ok(host.append(&path, line.as_bytes())?),
    }
}

/// All whole entries of a run, in their order; torn lines are passed over.
pub(crate) fn read(host: &dyn Host, run: &RunId) -> Result<Vec<JournalEntry>, Failure> {
    let bytes = host.read(&paths::of_run(JOURNAL, run, "jsonl")?)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
