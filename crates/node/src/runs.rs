//! Records of runs, so that any controller can take up what another began.

use kubespray_resource::{Failure, Mode, Owner, RunId};

use crate::Host;
use crate::paths::{self, RUNS};

/// Keeps the record of a run.
pub(crate) fn store(host: &dyn Host, run: &RunId, record: &str) -> Result<(), Failure> {
    let path = paths::of_run(RUNS, run, "json")?;
    paths::ensure(host, RUNS)?;
    Ok(host.write(&path, record.as_bytes(), Mode::PRIVATE, &Owner::root())?)
}

/// The record of a run; of the one stored last when none is named.
pub(crate) fn load(host: &dyn Host, run: Option<&RunId>) -> Result<Option<String>, Failure> {
    let path = match run {
        Some(run) => Some(paths::of_run(RUNS, run, "json")?),
        None => latest(host)?,
    };
    let Some(path) = path else { return Ok(None) };
    let text = host.read(&path)?.map(String::from_utf8).transpose();
    text.map_err(|_| Failure::of_host(format!("the record `{path}` is no text")))
}

fn latest(host: &dyn Host) -> Result<Option<String>, Failure> {
    let mut latest = None;
    for name in host.list(RUNS)? {
        if name.starts_with('.') || name.strip_suffix(".json").is_none() {
            continue;
        }
        let path = format!("{RUNS}/{name}");
        if let Some(metadata) = host.metadata(&path)? {
            latest = latest.max(Some((metadata.modified_ns, path)));
        }
    }
    Ok(latest.map(|(_, path)| path))
}
