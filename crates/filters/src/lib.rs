//! The filters, tests, lookups and functions that templates call, as Jinja 3.1, Ansible 2.18 and the
//! collection `ansible.utils` define them.
//!
//! [`library`] gives all of them by name; [`SystemWorld`] is the machine they may look at. One file
//! holds one topic and registers its calls in a table. Undefined inputs are refused at registration
//! unless the table is a lenient one.

mod checks;
mod choice;
mod date;
mod encode;
mod glob;
mod hash;
mod ip;
mod json;
mod lists;
mod lookups;
mod maps;
mod markup;
mod mersenne;
mod numbers;
mod password;
mod path;
mod pattern;
mod pep440;
mod random;
mod regex;
mod sets;
mod support;
mod text;
mod url;
mod version;
mod world;
mod yaml;

use kubespray_jinja::Library;

pub use world::SystemWorld;

/// All filters, tests and functions. Those of Ansible are there under their full names as well
/// (`ansible.builtin.combine`).
pub fn library() -> Library {
    let mut library = Library::default();
    for add in [
        checks::add,
        choice::add,
        date::add,
        encode::add,
        hash::add,
        ip::add,
        json::add,
        lists::add,
        lookups::add,
        maps::add,
        markup::add,
        numbers::add,
        password::add,
        path::add,
        random::add,
        regex::add,
        sets::add,
        text::add,
        url::add,
        version::add,
        yaml::add,
    ] {
        add(&mut library);
    }
    library
}
