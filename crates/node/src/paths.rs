//! Where the helper keeps things on a host.

use kubespray_resource::{Failure, Mode, Owner, RunId};

use crate::{Host, HostError};

/// All that helpers leave on a host.
pub(crate) const BASE: &str = "/var/lib/kubespray";
/// Tokens that wait.
pub(crate) const PENDING: &str = "/var/lib/kubespray/pending";
/// Journals of runs.
pub(crate) const JOURNAL: &str = "/var/lib/kubespray/journal";
/// Records of runs.
pub(crate) const RUNS: &str = "/var/lib/kubespray/runs";
/// What was taken from archives.
pub(crate) const ARCHIVES: &str = "/var/lib/kubespray/archives";
/// Digests of large files.
pub(crate) const DIGESTS: &str = "/var/lib/kubespray/digests.json";
/// Which helper applies steps here.
pub(crate) const HELPER: &str = "/var/lib/kubespray/helper";
/// Locked while a step is applied.
pub(crate) const STEPS: &str = "/var/lib/kubespray/steps";
/// Who works on the cluster.
pub(crate) const LOCK: &str = "/var/lib/kubespray/lock";

/// Makes one of these folders, only for root.
pub(crate) fn ensure(host: &dyn Host, folder: &str) -> Result<(), HostError> {
    if host.metadata(folder)?.is_some() {
        return Ok(());
    }
    if host.metadata(BASE)?.is_none() {
        make_parents(host, BASE)?;
        host.make_dir(BASE, Mode(0o700), &Owner::root())?;
    }
    if folder == BASE { Ok(()) } else { host.make_dir(folder, Mode(0o700), &Owner::root()) }
}

/// Makes the missing folders above a path, mode 0755 and owner root.
pub(crate) fn make_parents(host: &dyn Host, path: &str) -> Result<(), HostError> {
    let mut missing = Vec::new();
    let mut at = parent(path);
    while at != "/" && host.metadata(at)?.is_none() {
        missing.push(at);
        at = parent(at);
    }
    for folder in missing.into_iter().rev() {
        host.make_dir(folder, Mode::EXECUTABLE, &Owner::root())?;
    }
    Ok(())
}

/// The folder above a path.
pub(crate) fn parent(path: &str) -> &str {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The file of a run in a folder; refused where the name of the run would lead elsewhere.
pub(crate) fn of_run(folder: &str, run: &RunId, ending: &str) -> Result<String, Failure> {
    let name = run.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || name.len() > 128 || !name.chars().all(plain) {
        return Err(Failure::new(
            kubespray_resource::ErrorClass::Wish,
            format!("`{name}` is no name of a run"),
        ));
    }
    Ok(format!("{folder}/{name}.{ending}"))
}
