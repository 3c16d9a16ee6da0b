//! The Jinja language as Ansible 2.18 uses it.
//!
//! Lexer, parser and evaluator with Python's semantics: what a template means. What its names are
//! worth comes from a [`Scope`], what its filters do from a [`Library`]; this crate knows neither
//! inventories nor any filter.

mod access;
mod ast;
mod call;
mod calls;
mod evaluator;
mod floats;
mod format;
mod frames;
mod globals;
mod lenient;
mod lexer;
mod methods;
mod names;
mod operators;
mod output;
mod parser;
mod printf;
mod syntax;
mod template;

pub use call::{Args, Context, Filter, Function, Library, Scope, Test, World};
pub use printf::printf;
pub use syntax::{Syntax, SyntaxError, may_be_template};
pub use template::Template;
