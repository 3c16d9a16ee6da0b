//! Inventories as Ansible 2.18 reads them under Kubespray's settings.
//!
//! [`Inventory::load`] reads sources (files, folders, executables, host lists) and the `group_vars` and
//! `host_vars` next to them into groups, hosts and [`Layer`]s of variables. Nothing is evaluated here.
//! Where Ansible warns and loses data, this crate refuses: a source is read whole or not at all.

mod address;
mod definition;
mod document;
mod extra_vars;
mod glob;
mod graph;
mod graph_text;
mod ini;
mod inventory;
mod json_text;
mod key_values;
mod layers;
mod list;
mod paths;
mod pattern;
mod process;
mod ranges;
mod script;
mod shell_words;
mod source;
mod vars_files;
mod vault;
mod yaml_source;

pub use address::short_name;
pub use definition::{Definition, Vars};
pub use inventory::{Inventory, Options};
pub use layers::{Layer, Level, SharedLayers};
pub use script::DEFAULT_TIMEOUT as SCRIPT_TIMEOUT;
pub use vault::{Ask, Secret, Vault, VaultError, VaultOptions};
