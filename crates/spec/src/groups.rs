//! Groups that Kubespray derives before it does anything (INV-005, INV-020 to INV-024).

use std::path::Path;

use kubespray_diagnostics::Diagnostic;
use kubespray_inventory::Inventory;

/// A group and the groups whose hosts belong to it, in the order in which Kubespray derives them. The
/// last one takes the derived members of those before it: Kubespray itself loses those of legacy names
/// (INV-022).
const DERIVED: &[(&str, &[&str])] = &[
    ("kube_control_plane", &["kube-master"]),
    ("kube_node", &["kube-node"]),
    ("calico_rr", &["calico-rr"]),
    ("no_floating", &["no-floating"]),
    ("k8s_cluster", &["kube_node", "kube_control_plane", "calico_rr"]),
];

/// Adds the derived members to an inventory, so that `group_vars` of these groups count.
///
/// # Errors
/// What is wrong with the `group_vars` of a group that did not exist before.
pub fn derive_groups(inventory: &mut Inventory) -> Result<(), Vec<Diagnostic>> {
    for (group, sources) in DERIVED {
        let known = inventory.hosts_of(group);
        let mut missing: Vec<String> = Vec::new();
        for source in *sources {
            for host in inventory.hosts_of(source) {
                if !known.contains(&host) && !missing.iter().any(|other| other == host) {
                    missing.push(host.to_owned());
                }
            }
        }
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
            inventory.add_members(group, &missing)?;
        }
    }
    Ok(())
}

/// Whether variables wait for a derived group: files of `group_vars` exist for it, and Ansible alone
/// would not read them.
pub fn has_vars_of_derived_groups(inventory: &Inventory) -> bool {
    let mut folders: Vec<&str> =
        inventory.hosts().into_iter().filter_map(|host| inventory.inventory_dir(host)).collect();
    folders.sort_unstable();
    folders.dedup();
    folders.iter().any(|folder| {
        DERIVED.iter().filter(|(group, _)| !inventory.has_group(group)).any(|(group, _)| {
            ["", ".yml", ".yaml", ".json"]
                .iter()
                .any(|ending| Path::new(folder).join("group_vars").join(format!("{group}{ending}")).exists())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kubespray_inventory::Options;

    fn derived(files: &[(&str, &str)]) -> Inventory {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = folder.path().join("hosts.yaml").to_string_lossy().into_owned();
        let mut inventory = Inventory::load(&[source], &Options::default()).unwrap();
        assert_eq!(has_vars_of_derived_groups(&inventory), files.len() > 1);
        derive_groups(&mut inventory).unwrap();
        inventory
    }

    #[test]
    fn legacy_names_give_the_whole_cluster() {
        let inventory = derived(&[(
            "hosts.yaml",
            "all: {children: {kube-master: {hosts: {a: }}, kube-node: {hosts: {b: , a: }}, calico-rr: {hosts: {c: }}}}",
        )]);
        assert_eq!(inventory.hosts_of("kube_control_plane"), ["a"]);
        assert_eq!(inventory.hosts_of("k8s_cluster"), ["b", "a", "c"]);
    }

    #[test]
    fn group_vars_of_the_cluster_count_without_the_group() {
        let inventory = derived(&[
            ("hosts.yaml", "all: {children: {kube_control_plane: {hosts: {a: }}}}"),
            ("group_vars/k8s_cluster/k8s-cluster.yml", "kube_network_plugin: flannel"),
        ]);
        let layers = inventory.layers("a");
        assert!(layers.iter().any(|layer| layer.vars.contains_key("kube_network_plugin")));
    }
}
