//! What is refused before and while a text is read, so that no text exhausts time, memory or stack.

use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Source, Span};

/// Texts larger than this many bytes are refused: no file of an inventory is, and a mistaken one should
/// not exhaust the memory.
const LARGEST: usize = 64 << 20;

/// Containers nested deeper than this are refused, aliases written out. Inventories reach ten; code that
/// walks a value recurses once a level and must not exhaust its stack.
pub(crate) const DEEPEST: usize = 100;

/// Values a document may hold when all aliases are written out. A document of a few lines can otherwise
/// stand for more values than any memory holds.
pub(crate) const MOST_VALUES: u64 = 10_000_000;

/// Entries that all `<<` of a document may copy; other than aliases they take memory each.
pub(crate) const MOST_MERGED: usize = 1_000_000;

/// Characters of a number. Python converts no longer ones from decimal, for the time it takes.
pub(crate) const LONGEST_NUMBER: usize = 4300;

/// Refuses texts that are too large, and characters that YAML does not allow.
pub(crate) fn check_text(text: &str, source: &Arc<Source>) -> Result<(), Box<Diagnostic>> {
    if text.len() > LARGEST {
        let message = format!("larger than {} MiB", LARGEST >> 20);
        return Err(Box::new(Diagnostic::error("yaml-size", message).at(Span::whole(source.clone()))));
    }
    let Some(at) = first_forbidden(text.as_bytes()) else { return Ok(()) };
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let code = rest.chars().next().map_or(0, u32::from);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Err(Box::new(
        Diagnostic::error("yaml-character", format!("character U+{code:04X} is not allowed in YAML"))
            .at(Span::at(source.clone(), line, column))
            .hint(format!("remove it, or write it as an escape in double quotes: \"\\u{code:04X}\"")),
    ))
}

/// Where the first control character stands; tabs and line breaks are none.
fn first_forbidden(bytes: &[u8]) -> Option<usize> {
    let next = |at: usize| bytes.get(at).copied().unwrap_or(0);
    bytes.iter().enumerate().position(|(at, byte)| match byte {
        b'\t' | b'\n' | b'\r' => false,
        0..0x20 | 0x7f => true,
        // U+0080 to U+009F but for the line break U+0085.
        0xc2 => (0x80..0xa0).contains(&next(at + 1)) && next(at + 1) != 0x85,
        // U+FFFE and U+FFFF.
        0xef => next(at + 1) == 0xbf && next(at + 2) >= 0xbe,
        _ => false,
    })
}
