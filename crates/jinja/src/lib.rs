//! The Jinja language as Ansible 2.18 uses it.
//!
//! Lexer, parser and evaluator with Python's semantics: what a template means. What its names are
//! worth comes from a [`Scope`], what its filters do from a [`Library`]; this crate knows neither
//! inventories nor any filter.

mod call;

pub use call::{Args, Context, Filter, Function, Library, Scope, Test, World};
