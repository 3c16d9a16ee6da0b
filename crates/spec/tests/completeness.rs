//! Every variable that counts is a field of exactly one struct, and every default fits its field.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_spec::host::{ConnectionSettings, HostSettings};
use kubespray_spec::{fields_of, variables_of_settings};
use kubespray_variables::{Catalogue, Default, Scope};

/// Variables that are no fields, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("downloads", "made by the program from the component catalog"),
    ("download_defaults", "made by the program from the component catalog"),
    ("adduser", "the entry of `addusers` in hand"),
    ("containerd_base_runtime_specs", "printed by the containerd that is installed"),
    ("dns_early", "known only while a run goes on"),
];

#[test]
fn every_variable_is_one_field() {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (field, of) in variables_of_settings() {
        fields.entry(field).or_default().push(of);
    }
    for field in fields_of::<HostSettings>() {
        fields.entry(field).or_default().push("HostSettings");
    }
    for field in fields_of::<ConnectionSettings>() {
        fields.entry(field).or_default().push("ConnectionSettings");
    }
    let twice: Vec<_> = fields.iter().filter(|(_, of)| of.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let mut wanted: BTreeSet<&str> = Catalogue::get()
        .entries()
        .filter(|entry| matches!(entry.scope, Scope::User | Scope::Derived))
        // Tables of checksums are read through the checksums of single files.
        .filter(|entry| !matches!(entry.default, Default::Catalog))
        .map(|entry| &*entry.name)
        .collect();
    for (name, _) in EXCEPTIONS {
        assert!(wanted.remove(name), "{name} is no variable that counts");
    }
    let fields: BTreeSet<&str> = fields.into_keys().collect();
    assert_eq!(
        wanted.difference(&fields).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "variables without field"
    );
    assert_eq!(
        fields.difference(&wanted).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "fields without variable"
    );
}
