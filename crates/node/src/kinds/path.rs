//! Folders, links, and paths where nothing should be.

use kubespray_resource::{
    Absent, AbsentState, Directory, DirectoryState, Failure, Link, LinkState, PathKind,
};

use super::follow;
use crate::failure::impossible;
use crate::{Host, View, paths};

/// What is at the path of a folder; a link to a folder counts as that folder.
pub(crate) fn observe_directory(
    view: &View<'_>,
    wish: &Directory,
) -> Result<Option<DirectoryState>, Failure> {
    let Some(mut is) = view.host.metadata(&wish.path)? else { return Ok(None) };
    if is.kind == PathKind::Link
        && let Some(behind) = view.host.metadata(&follow(view.host, &wish.path)?)?
    {
        is = behind;
    }
    Ok(Some(DirectoryState { kind: is.kind, mode: is.mode, owner: is.owner }))
}

/// Makes the folder with those above it, or sets who may do what.
pub(crate) fn apply_directory(
    host: &dyn Host,
    wish: &Directory,
    state: Option<&DirectoryState>,
) -> Result<(), Failure> {
    match state {
        None => {
            paths::make_parents(host, &wish.path)?;
            host.make_dir(&wish.path, wish.mode, &wish.owner)?;
            Ok(host.set_attributes(&wish.path, wish.mode, &wish.owner)?)
        }
        Some(state) if state.kind != PathKind::Directory => {
            Err(impossible(format!("`{}` is a {}; a folder should be there", wish.path, state.kind)))
        }
        Some(_) => Ok(host.set_attributes(&follow(host, &wish.path)?, wish.mode, &wish.owner)?),
    }
}

/// What is at the path of a link.
pub(crate) fn observe_link(view: &View<'_>, wish: &Link) -> Result<Option<LinkState>, Failure> {
    let Some(is) = view.host.metadata(&wish.path)? else { return Ok(None) };
    let target = if is.kind == PathKind::Link { view.host.read_link(&wish.path)? } else { None };
    Ok(Some(LinkState { kind: is.kind, target }))
}

/// Makes the link in place of a file or link.
pub(crate) fn apply_link(host: &dyn Host, wish: &Link, state: Option<&LinkState>) -> Result<(), Failure> {
    if state.is_some_and(|state| state.kind == PathKind::Directory) {
        return Err(impossible(format!("`{}` is a folder; a link should be there", wish.path)));
    }
    paths::make_parents(host, &wish.path)?;
    Ok(host.make_link(&wish.path, &wish.target)?)
}

/// Whether anything is there.
pub(crate) fn observe_absent(view: &View<'_>, wish: &Absent) -> Result<AbsentState, Failure> {
    Ok(AbsentState { kind: view.host.metadata(&wish.path)?.map(|is| is.kind) })
}

/// Removes what is there.
pub(crate) fn apply_absent(host: &dyn Host, wish: &Absent) -> Result<(), Failure> {
    let is_plain = wish.path.starts_with('/') && !wish.path.split('/').any(|part| part == "..");
    if !is_plain || wish.path.trim_matches('/').is_empty() {
        return Err(impossible(format!("`{}` is not removed", wish.path)));
    }
    Ok(host.remove(&wish.path, wish.recursive)?)
}
