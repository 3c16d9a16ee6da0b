//! Small sites for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use kubespray_catalog::Catalog;
use kubespray_filters::SystemWorld;
use kubespray_inventory::{Inventory, Options};
use kubespray_variables::{UnknownFacts, Variables};

use super::{Outcome, Site, check};

/// Two nodes with one control plane.
pub(crate) const SMALL: &str = "
all:
  children:
    kube_control_plane: {hosts: {a: {ip: 192.168.0.1}}}
    kube_node: {hosts: {b: {ip: 192.168.0.2}}}
    etcd: {hosts: {a: }}
";

/// The checks of an inventory with `group_vars/all.yml`.
pub(crate) fn outcome_of(hosts: &str, vars: &str) -> Outcome {
    with_site(hosts, vars, check)
}

/// Runs a function on an inventory with `group_vars/all.yml`.
pub(crate) fn with_site<T>(hosts: &str, vars: &str, run: impl FnOnce(&Site<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts.yaml");
    std::fs::write(&file, hosts).unwrap();
    std::fs::create_dir(folder.path().join("group_vars")).unwrap();
    std::fs::write(folder.path().join("group_vars/all.yml"), vars).unwrap();
    let mut inventory = Inventory::load(&[file.to_string_lossy().into_owned()], &Options::default()).unwrap();
    crate::derive_groups(&mut inventory).unwrap();
    let inventory = Arc::new(inventory);
    let variables = Variables::new(
        inventory.clone(),
        kubespray_variables::Options {
            world: Arc::new(SystemWorld::new(Vec::new(), false)),
            facts: BTreeMap::new(),
            tables: Catalog::get().tables(),
            sources: Vec::new(),
            playbook_dir: String::new(),
            unknown_facts: UnknownFacts::Pending,
        },
    );
    run(&Site { variables: &variables, inventory: &inventory })
}

/// The checks of [`SMALL`].
pub(crate) fn outcome(vars: &str) -> Outcome {
    outcome_of(SMALL, vars)
}

/// The ids of what was found.
pub(crate) fn ids(outcome: &Outcome) -> Vec<String> {
    outcome.diagnostics.iter().map(|diagnostic| diagnostic.id.clone()).collect()
}

/// Checks that variables of [`SMALL`] give exactly some ids, in order; none for an empty text.
pub(crate) fn expect(cases: &[(&str, &str)]) {
    for (vars, expected) in cases {
        let outcome = outcome(vars);
        assert_eq!(ids(&outcome).join(" "), *expected, "{vars}\n{:#?}", outcome.diagnostics);
        for diagnostic in &outcome.diagnostics {
            assert!(!diagnostic.hints.is_empty(), "no remedy: {diagnostic:?}");
            assert!(diagnostic.message.contains('`'), "nothing named: {diagnostic:?}");
        }
    }
}
