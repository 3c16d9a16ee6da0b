//! Snapshots.

use std::time::Duration;

use kubespray_resource::{
    ErrorClass, EtcdKeep, EtcdSnapshot, EtcdSnapshotState, EtcdSnapshotStatus, Failure, Mode, Owner, PathKind,
};
use serde::Deserialize;

use super::{Ctl, failed, health, parse, run_utl};
use crate::{Host, HostError, View, paths};

/// How long reading a snapshot may take: all of it is read and hashed.
pub(super) const READ: Duration = Duration::from_mins(10);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    hash: u32,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    total_key: u64,
    #[serde(default)]
    total_size: u64,
}

/// What is at the path, and which older ones are too many.
pub(crate) fn observe(view: &View<'_>, wish: &EtcdSnapshot) -> Result<EtcdSnapshotState, Failure> {
    if let Some(token) = &wish.when
        && !view.is_pending(token)?
    {
        return Ok(EtcdSnapshotState { wanted: false, status: None, problem: None, surplus: Vec::new() });
    }
    let surplus = match &wish.keep {
        Some(keep) => surplus(view.host, wish, keep)?,
        None => Vec::new(),
    };
    let state = |status, problem| EtcdSnapshotState { wanted: true, status, problem, surplus };
    match view.host.metadata(&wish.path)? {
        None => return Ok(state(None, None)),
        Some(is) if is.kind != PathKind::File => {
            return Ok(state(None, Some("no file".to_owned())));
        }
        Some(_) => {}
    }
    Ok(match status(view.host, wish.client.bin_dir.as_deref(), &wish.path) {
        Ok(status) => state(Some(status), None),
        Err(failure) if failure.class == ErrorClass::Cancelled => return Err(failure),
        Err(failure) => state(None, Some(failure.message)),
    })
}

/// What a snapshot holds; an error where it is none, or damaged.
pub(super) fn status(
    host: &dyn Host,
    folder: Option<&str>,
    path: &str,
) -> Result<EtcdSnapshotStatus, Failure> {
    let (argv, output) = run_utl(host, folder, &["snapshot", "status", path, "-w", "json"], READ)?;
    if !output.is_success() {
        return Err(failed(&argv, &output));
    }
    let status: Status = parse(&argv, &output)?;
    Ok(EtcdSnapshotStatus {
        hash: status.hash,
        revision: status.revision,
        keys: status.total_key,
        size: status.total_size,
    })
}

/// Makes the snapshot beside its path, verifies it, puts it there, and removes what is too much.
pub(crate) fn apply(host: &dyn Host, wish: &EtcdSnapshot, state: &EtcdSnapshotState) -> Result<(), Failure> {
    if state.status.is_none() {
        save(host, wish)?;
    }
    // What is too much is so only beside the new one.
    if let Some(keep) = &wish.keep {
        for path in surplus(host, wish, keep)? {
            host.remove(&path, true)?;
        }
    }
    Ok(())
}

fn save(host: &dyn Host, wish: &EtcdSnapshot) -> Result<(), Failure> {
    let folder = paths::parent(&wish.path);
    if host.metadata(folder)?.is_none() {
        paths::make_parents(host, folder)?;
        // It holds every secret of the cluster.
        host.make_dir(folder, Mode(0o700), &Owner::root())?;
    }
    let fresh = format!("{}.new", wish.path);
    host.remove(&fresh, false)?;
    let ctl = Ctl { host, client: &wish.client };
    // A member that is dead would be waited for until time is up: each is asked first how it is.
    let (answer, silent) = health::statuses(ctl, &wish.client.endpoints)?;
    let mut failure = Failure::new(ErrorClass::Transient, "no member of etcd gave a snapshot");
    for endpoint in &wish.client.endpoints {
        if host.is_cancelled() {
            return Err(HostError::Cancelled.into());
        }
        if !answer.contains_key(endpoint) {
            let why = silent.get(endpoint).map_or("does not answer", String::as_str);
            failure.evidence.push(format!("{endpoint}: {why}"));
            continue;
        }
        let problem = match save_from(ctl, wish, endpoint, &fresh) {
            Ok(()) => return Ok(host.rename(&fresh, &wish.path)?),
            Err(problem) if problem.class == ErrorClass::Cancelled => return Err(problem),
            Err(problem) => problem,
        };
        failure.class = failure.class.max(problem.class);
        failure.evidence.push(format!("{endpoint}: {}", problem.message));
        failure.evidence.extend(problem.evidence);
    }
    host.remove(&fresh, false)?;
    Err(failure.hint("look at `journalctl -u etcd` on the hosts named"))
}

/// Makes and verifies the snapshot of one member: it takes exactly one endpoint.
fn save_from(ctl: Ctl<'_>, wish: &EtcdSnapshot, endpoint: &str, to: &str) -> Result<(), Failure> {
    let arguments = ["snapshot", "save", to];
    let timeout = Duration::from_secs(wish.timeout_s.max(1));
    let output = ctl.run_at(&[endpoint.to_owned()], &arguments, Some(timeout))?;
    if !output.is_success() {
        return Err(failed(&ctl.spawn(&[], &arguments, None).argv, &output));
    }
    status(ctl.host, wish.client.bin_dir.as_deref(), to)?;
    Ok(ctl.host.set_attributes(to, Mode::PRIVATE, &Owner::root())?)
}

/// Older snapshots beyond the number that is kept, oldest last. Only what looks like one of ours counts.
fn surplus(host: &dyn Host, wish: &EtcdSnapshot, keep: &EtcdKeep) -> Result<Vec<String>, Failure> {
    let file = wish.path.rsplit('/').next().unwrap_or_default();
    let mut found = Vec::new();
    for name in host.list(&keep.folder)? {
        if keep.prefix.is_empty() || !name.starts_with(&keep.prefix) {
            continue;
        }
        let path = format!("{}/{name}", keep.folder.trim_end_matches('/'));
        let Some(is) = host.metadata(&path)? else { continue };
        let is_wished = wish.path == path || wish.path.starts_with(&format!("{path}/"));
        let is_ours = match is.kind {
            PathKind::Directory => host.metadata(&format!("{path}/{file}"))?.is_some(),
            PathKind::File => ![".new", ".part"].iter().any(|unfinished| name.ends_with(unfinished)),
            _ => false,
        };
        if is_ours && !is_wished {
            found.push((is.modified_ns, path));
        }
    }
    found.sort_unstable();
    found.reverse();
    let others = (keep.count.max(1) - 1) as usize;
    Ok(found.into_iter().skip(others).map(|(_, path)| path).collect())
}
