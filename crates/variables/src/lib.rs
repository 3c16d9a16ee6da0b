//! What a variable is worth on a host, where it was set, and which variables exist at all.
//!
//! [`Variables`] joins the inventory's layers with the defaults of the [`Catalogue`] and evaluates
//! templates when a value is asked for, as Ansible 2.18 does. [`check`] finds names that nobody
//! knows and values of a wrong type. Nothing is asked of any host; facts come in from outside.

pub mod catalogue;
pub mod check;
mod coerce;
mod facts;
mod hostvars;
mod magic;
mod reads;
mod scope;
mod site;

pub use catalogue::{Catalogue, Default, Entry, Kind, Removed, Scope};
pub use coerce::{Coerced, Mismatch, coerce};
pub use facts::is_fact_name;
pub use reads::{Fingerprint, Reads};
pub use site::{Found, Options, Setting, UnknownFacts, Variables};
