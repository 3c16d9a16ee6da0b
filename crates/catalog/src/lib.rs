//! Which versions of which components exist, with checksums, downloads and images.
//!
//! The data files in `data/` are facts of upstream projects; this crate gives them types. Conditions and
//! names in them may be Jinja expressions over the variables: whoever knows the variables evaluates them.

mod data;
mod downloads;
mod version;

pub use data::{Catalog, Component, Minor};
pub use downloads::Downloads;
pub use version::{NotAVersion, Version};
