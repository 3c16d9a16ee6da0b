//! What an inventory amounts to: the groups that Kubespray derives from those that are written.

mod groups;

pub use groups::{derive_groups, has_vars_of_derived_groups};
