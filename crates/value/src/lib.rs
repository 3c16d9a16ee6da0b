//! Python values as Ansible sees them.
//!
//! Inventories are written for a Python program: `1 == True`, `str(1.0)` is `1.0`, a map prints with
//! single quotes, and a rendered template that looks like a Python literal becomes that value again.
//! This crate holds those rules once: the [`Value`] type with Python's equality, order and truth, its
//! text forms ([`Value::to_text`], [`Value::repr`]), Python literals ([`literal`]) and JSON as Python
//! writes it ([`json`]). It knows nothing of YAML, Jinja or files.

mod compare;
mod error;
pub mod json;
pub mod literal;
mod number;
mod object;
mod text;
mod value;

pub use compare::sort;
pub use error::{Error, ErrorKind};
pub use number::{float_text, parse_float, parse_int};
pub use object::Object;
pub use value::{Bytes, DateTime, Map, Str, Undefined, Value, View};
