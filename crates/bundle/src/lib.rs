//! Everything a site needs from elsewhere, in one folder.
//!
//! [`Needs`] says what that is, [`fill()`] fetches it into a [`Store`], [`verify()`] looks whether the store is whole, and
//! [`serve()`] gives it to hosts: files below the names of their servers, images as a registry.

mod archive;
mod client;
mod contents;
mod fill;
mod index;
mod needs;
mod oci;
mod problem;
mod reference;
mod serve;
mod store;
mod transfer;
mod verify;

pub use fill::{Event, fill};
pub use index::{File, Image, Index};
pub use needs::{FileNeed, ImageNeed, Needs, SiteMirror};
pub use problem::Problem;
pub use reference::{Reference, Version};
pub use serve::{Identity, Options, Served, Server, serve};
pub use store::{FileEntry, Store};
pub use transfer::{Mirror, Transfer};
pub use verify::{Verified, verify};
