//! Whole files.

use kubespray_resource::{Content, Failure, File, FileState, KEPT, PathKind, Secrets};

use crate::failure::{gone_source, impossible, missing_secret};
use crate::{Host, View};

/// What is at the path.
pub(crate) fn observe(view: &View<'_>, wish: &File) -> Result<Option<FileState>, Failure> {
    let Some(is) = view.host.metadata(&wish.path)? else { return Ok(None) };
    let digest = match is.kind {
        PathKind::File if !wish.keep_content => view.digest(&wish.path)?,
        _ => None,
    };
    Ok(Some(FileState { kind: is.kind, digest, size: is.size, mode: is.mode, owner: is.owner }))
}

/// Writes the file, or only sets who may do what.
pub(crate) fn apply(
    host: &dyn Host,
    wish: &File,
    state: Option<&FileState>,
    secrets: &Secrets,
) -> Result<(), Failure> {
    if state.is_some_and(|state| state.kind == PathKind::Directory) {
        return Err(impossible(format!("`{}` is a folder; a file should be there", wish.path)));
    }
    let digest = wish.content.digest(secrets).map_err(missing_secret)?;
    let same_bytes = state.is_some_and(|state| {
        state.kind == PathKind::File && (wish.keep_content || digest.is_some() && state.digest == digest)
    });
    if same_bytes {
        return Ok(host.set_attributes(&wish.path, wish.mode, &wish.owner)?);
    }
    let bytes = match &wish.content {
        Content::CopyOf { path, digest } => {
            let gone = || {
                let message = format!("`{path}`, to be copied, is not there");
                if path.starts_with(KEPT) { Failure::of_host(message) } else { gone_source(message) }
            };
            if View::new(host, []).digest(path)?.ok_or_else(gone)? != *digest {
                return Err(Failure::of_host(format!("`{path}`, to be copied, is not what it should be")));
            }
            let mut from = host.open(path)?.ok_or_else(gone)?;
            return Ok(host.write_from(&wish.path, &mut from, wish.mode, &wish.owner)?);
        }
        content => content.bytes(secrets).map_err(missing_secret)?.ok_or_else(|| {
            impossible(format!("only the digest of `{}` is known, not its bytes", wish.path))
        })?,
    };
    Ok(host.write(&wish.path, &bytes, wish.mode, &wish.owner)?)
}
