//! The typed specification of a cluster, and every check that needs no host.

mod groups;

pub use groups::{derive_groups, has_vars_of_derived_groups};
