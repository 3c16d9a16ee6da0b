//! Limits that must be checked before the parser sees a text.

use std::sync::Arc;

use kubespray_diagnostics::{Diagnostic, Source, Span};

use crate::build::DEEPEST;

/// Refuses a text whose lines open more containers than may be nested: the parser itself keeps one
/// state for each, and a line of a million brackets would cost it dearly before the builder says no.
pub(crate) fn check_nesting(text: &str, source: &Arc<Source>) -> Result<(), Box<Diagnostic>> {
    for (number, line) in text.lines().enumerate() {
        let opening = line
            .bytes()
            .take_while(|b| matches!(b, b'[' | b'{' | b'-' | b'?' | b' ' | b',' | b':'))
            .filter(|b| *b != b' ')
            .count();
        let dashes_only = line.bytes().all(|b| b == b'-');
        if opening > DEEPEST && !dashes_only {
            return Err(Box::new(
                Diagnostic::error("yaml-depth", format!("nested deeper than {DEEPEST} levels")).at(Span::at(
                    source.clone(),
                    number + 1,
                    1,
                )),
            ));
        }
    }
    Ok(())
}
