//! Kernel modules.

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// A kernel module, now and after the next boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name; `-` and `_` are the same.
    pub name: String,
    /// A file of `modules-load.d` that keeps it, holding its name alone; nothing loads it now only.
    pub file: Option<String>,
    /// Whether a kernel that lacks it is as good.
    #[serde(default)]
    pub may_be_missing: bool,
}

/// What the kernel has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleState {
    /// Whether it is loaded or built in.
    pub loaded: bool,
    /// Whether it could be loaded.
    pub available: bool,
    /// Whether the file names it.
    pub kept: bool,
}

impl Module {
    /// How the module differs.
    pub fn compare(&self, state: &ModuleState) -> Comparison {
        let mut out = Comparison::default();
        if !state.loaded && !state.available && self.may_be_missing {
            return out;
        }
        out.field("loaded", &state.loaded, &true);
        if self.file.is_some() {
            out.field("kept", &state.kept, &true);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_may_lack_it() {
        let module = Module { name: "nf_conntrack".into(), file: Some("/x".into()), may_be_missing: true };
        let state = |loaded, available, kept| ModuleState { loaded, available, kept };
        assert!(module.compare(&state(true, true, true)).is_same());
        assert!(module.compare(&state(false, false, false)).is_same());
        assert_eq!(module.compare(&state(false, true, false)).changes.len(), 2);
        let needed = Module { may_be_missing: false, ..module };
        assert!(!needed.compare(&state(false, false, true)).is_same());
    }
}
