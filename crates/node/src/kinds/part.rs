//! Blocks and lines of files that belong to others.

use kubespray_resource::{Block, Failure, Line, Mode, Owner, PartState};

use super::rewrite;
use crate::{Host, View};

/// The text of the file.
pub(crate) fn observe(view: &View<'_>, path: &str) -> Result<PartState, Failure> {
    let Some(bytes) = view.host.read(path)? else { return Ok(PartState { text: None }) };
    // What is no text would not come back as it was.
    String::from_utf8(bytes)
        .map(|text| PartState { text: Some(text) })
        .map_err(|_| Failure::of_host(format!("`{path}` is no text")))
}

/// Puts the block into the file.
pub(crate) fn apply_block(host: &dyn Host, wish: &Block, state: &PartState) -> Result<(), Failure> {
    let text = wish.edit(state.text.as_deref().unwrap_or_default());
    rewrite(host, &wish.path, &text, wish.mode, &wish.owner)
}

/// Puts the line into the file.
pub(crate) fn apply_line(host: &dyn Host, wish: &Line, state: &PartState) -> Result<(), Failure> {
    let text = wish.edit(state.text.as_deref().unwrap_or_default());
    rewrite(host, &wish.path, &text, Mode::PUBLIC, &Owner::root())
}
