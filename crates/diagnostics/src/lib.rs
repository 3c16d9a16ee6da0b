//! What went wrong, where, why, and what to do next.
//!
//! Every crate that reads a user's files reports through [`Diagnostic`]: one type, rendered once at
//! the top (terminal text or JSON). A [`Source`] is a text that was read, a [`Span`] a place in it.
//! This crate knows nothing of YAML, inventories or Kubernetes.

mod diagnostic;
mod render;
mod source;
mod suggest;

pub use diagnostic::{Diagnostic, Label, Severity};
pub use render::{Style, render};
pub use source::{Source, Span};
pub use suggest::{did_you_mean, quoted_list};
