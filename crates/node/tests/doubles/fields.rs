//! Owners of fields, as the doubles of Kubernetes keep them.

pub use kubespray_doubles::{Fields, apply};
use serde_json::Value;

/// The object after a merge patch: its author owns what changed, and nobody else does.
pub fn merge(live: &Value, patch: &Value, manager: &str) -> Value {
    let mut next = live.clone();
    kubespray_doubles::merge_into(&mut next, patch, false);
    kubespray_doubles::note_update(Some(live), &mut next, manager);
    next
}
