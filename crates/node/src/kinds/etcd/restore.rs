//! Data of a member made of a snapshot.
//!
//! All happens within the data folder, which may be a mount: the new data are made in [`STAGING`], the old ones
//! move to `.before-ID`, the new ones take their place. etcd passes over names that it does not know there.

use std::time::Duration;

use kubespray_resource::{EtcdRestore, EtcdRestoreState, Failure, Mode, PathKind};

use super::{backup, failed, run_utl};
use crate::failure::impossible;
use crate::{Host, View, paths};

/// Where the new data are made, in the data folder.
const STAGING: &str = ".kubespray-restore";

/// Holds the id of the restore; within the data, so that it comes and goes with them at once.
const MARK: &str = ".kubespray-restored";

/// What is in the data folder.
pub(crate) fn observe(view: &View<'_>, wish: &EtcdRestore) -> Result<EtcdRestoreState, Failure> {
    let member = format!("{}/member", folder(wish));
    let has_data = !view.host.list(&member)?.is_empty();
    let mark = view.host.read(&format!("{member}/{MARK}"))?;
    let restored = mark.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    Ok(EtcdRestoreState { has_data, restored })
}

fn folder(wish: &EtcdRestore) -> &str {
    wish.data_dir.trim_end_matches('/')
}

/// Makes the data, and moves those that were there aside.
pub(crate) fn apply(host: &dyn Host, wish: &EtcdRestore, state: &EtcdRestoreState) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if wish.id.is_empty() || !wish.id.chars().all(plain) {
        return Err(impossible(format!("`{}` is no name of a restore", wish.id)));
    }
    let folder = folder(wish);
    if !folder.starts_with('/') || folder.len() < 2 {
        return Err(impossible(format!("`{}` is no data folder", wish.data_dir)));
    }
    if state.has_data && !wish.replaces {
        let what = match &state.restored {
            Some(id) => format!("data that were restored as `{id}`"),
            None => "data of a member".to_owned(),
        };
        return Err(impossible(format!(
            "`{folder}` holds {what}, and nobody said that they may be replaced"
        ))
        .hint("check that this is the member to restore; its data are moved aside when that is wished"));
    }
    check_snapshot(host, wish)?;

    if host.metadata(folder)?.is_none() {
        paths::make_parents(host, folder)?;
        host.make_dir(folder, Mode(0o700), &wish.owner)?;
    }
    let staging = format!("{folder}/{STAGING}");
    host.remove(&staging, true)?;
    make(host, wish, &staging)?;
    let (member, new) = (format!("{folder}/member"), format!("{staging}/member"));
    if host.list(&new)?.is_empty() {
        return Err(Failure::of_host(format!("`etcdutl` succeeded, but `{new}` is empty")));
    }
    host.write(&format!("{new}/{MARK}"), wish.id.as_bytes(), Mode::PRIVATE, &wish.owner)?;
    own(host, wish, &staging, 0)?;
    if host.metadata(&member)?.is_some() {
        let aside = free_name(host, &format!("{folder}/.before-{}", wish.id))?;
        host.rename(&member, &aside)?;
    }
    host.rename(&new, &member)?;
    host.remove(&staging, true)?;
    Ok(host.set_attributes(folder, Mode(0o700), &wish.owner)?)
}

fn check_snapshot(host: &dyn Host, wish: &EtcdRestore) -> Result<(), Failure> {
    match host.metadata(&wish.snapshot)? {
        Some(is) if is.kind == PathKind::File => {}
        _ => return Err(Failure::of_host(format!("there is no snapshot at `{}`", wish.snapshot))),
    }
    if let Some(digest) = &wish.digest
        && host.digest(&wish.snapshot)?.as_ref() != Some(digest)
    {
        return Err(Failure::of_host(format!("the snapshot `{}` is not what it should be", wish.snapshot)));
    }
    backup::status(host, wish.bin_dir.as_deref(), &wish.snapshot).map(drop).map_err(|failure| {
        let mut damaged =
            Failure::new(failure.class, format!("`{}` is no whole snapshot of etcd", wish.snapshot));
        damaged.evidence = std::iter::once(failure.message).chain(failure.evidence).collect();
        damaged
    })
}

fn make(host: &dyn Host, wish: &EtcdRestore, staging: &str) -> Result<(), Failure> {
    let cluster: Vec<String> =
        wish.initial_cluster.iter().map(|(name, url)| format!("{name}={url}")).collect();
    let (cluster, urls) = (cluster.join(","), wish.peer_urls.join(","));
    let bump = wish.bump_revision.filter(|bump| *bump > 0).map(|bump| bump.to_string());
    let mut arguments = vec![
        "snapshot",
        "restore",
        &wish.snapshot,
        "--data-dir",
        staging,
        "--name",
        &wish.name,
        "--initial-cluster",
        &cluster,
        "--initial-cluster-token",
        &wish.token,
        "--initial-advertise-peer-urls",
        &urls,
    ];
    if let Some(bump) = &bump {
        arguments.extend(["--bump-revision", bump, "--mark-compacted"]);
    }
    if wish.is_copied_db {
        arguments.push("--skip-hash-check");
    }
    let timeout = Duration::from_secs(wish.timeout_s.max(1));
    let (argv, output) = run_utl(host, wish.bin_dir.as_deref(), &arguments, timeout)?;
    if output.is_success() {
        return Ok(());
    }
    host.remove(staging, true)?;
    Err(failed(&argv, &output))
}

/// Gives all that was made to its owner.
fn own(host: &dyn Host, wish: &EtcdRestore, path: &str, depth: usize) -> Result<(), Failure> {
    /// `member/wal/FILE` is the deepest.
    const DEEPEST: usize = 6;
    let Some(is) = host.metadata(path)? else { return Ok(()) };
    match is.kind {
        PathKind::Directory if depth < DEEPEST => {
            host.set_attributes(path, Mode(0o700), &wish.owner)?;
            for name in host.list(path)? {
                own(host, wish, &format!("{path}/{name}"), depth + 1)?;
            }
            Ok(())
        }
        PathKind::File => Ok(host.set_attributes(path, Mode::PRIVATE, &wish.owner)?),
        _ => Err(Failure::of_host(format!("`etcdutl` made `{path}`, which is unexpected"))),
    }
}

/// The path, or the first of `path-2`, `path-3` … where nothing is.
fn free_name(host: &dyn Host, path: &str) -> Result<String, Failure> {
    const MOST: u32 = 1_000;
    if host.metadata(path)?.is_none() {
        return Ok(path.to_owned());
    }
    for number in 2..MOST {
        let name = format!("{path}-{number}");
        if host.metadata(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(Failure::of_host(format!("too many data were moved aside to `{path}`"))
        .hint("remove those you do not need"))
}
