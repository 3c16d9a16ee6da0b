//! No switch of Kubespray and no choice is passed over in silence: each is read, refused, or known to have no effect.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::format_collect,
    clippy::format_push_string,
    unreachable_pub,
    reason = "tests"
)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kubespray_planner::components::{Live, Site};
use kubespray_planner::operations::cluster;
use kubespray_resource::Facts;
use kubespray_value::Value;
use kubespray_variables::{Catalogue, Default as Source, Entry, Kind, Scope};
use support::{debian, rocky, spec};

const HOSTS: &str = "
all:
  hosts: {a: {ip: 10.0.0.11}}
  children:
    kube_control_plane: {hosts: {a: }}
    etcd: {hosts: {a: }}
    kube_node: {hosts: {a: }}
";

/// Components of which nothing is built, and what switches them on: the rest of their variables means nothing without.
const UNBUILT: [(&str, &str); 29] = [
    ("alb-ingress", "ingress_alb_enabled: true"),
    ("argocd", "argocd_enabled: true"),
    ("aws-ebs-csi", "aws_ebs_csi_enabled: true"),
    ("azure-csi", "azure_csi_enabled: true"),
    ("cert-manager", "cert_manager_enabled: true"),
    ("cilium", "kube_network_plugin: cilium"),
    ("cinder-csi", "cinder_csi_enabled: true"),
    ("cri-o", "container_manager: crio"),
    ("csi", "csi_snapshot_controller_enabled: true"),
    ("docker", "container_manager: docker"),
    ("gcp-pd-csi", "gcp_pd_csi_enabled: true"),
    ("hcloud-ccm", "{cloud_provider: external, external_cloud_provider: hcloud}"),
    ("huaweicloud-ccm", "{cloud_provider: external, external_cloud_provider: huaweicloud}"),
    ("kata", "kata_containers_enabled: true"),
    ("kube-ovn", "kube_network_plugin: kube-ovn"),
    ("kube-router", "kube_network_plugin: kube-router"),
    ("local-path-provisioner", "local_path_provisioner_enabled: true"),
    ("local-volume-provisioner", "local_volume_provisioner_enabled: true"),
    ("macvlan", "kube_network_plugin: macvlan"),
    ("metallb", "metallb_enabled: true"),
    ("multus", "kube_network_plugin_multus: true"),
    ("node-feature-discovery", "node_feature_discovery_enabled: true"),
    ("nvidia-gpu", "nvidia_accelerator_enabled: true"),
    ("oci-ccm", "{cloud_provider: external, external_cloud_provider: oci}"),
    ("openstack-ccm", "{cloud_provider: external, external_cloud_provider: openstack}"),
    ("persistent-volumes", "persistent_volumes_enabled: true"),
    ("registry", "registry_enabled: true"),
    ("scheduler-plugins", "{scheduler_plugins_version: 0.33.5, scheduler_plugins_enabled: true}"),
    ("vsphere-csi", "vsphere_csi_enabled: true"),
];

/// Switches without an effect here, and why nobody misses it.
const WITHOUT_EFFECT: [(&str, &str); 28] = [
    ("allow_unsupported_distribution_setup", "read by the checks of hosts"),
    ("ansible_facts_parallel", HOW_ANSIBLE_WORKS),
    ("ansible_host_key_checking", "keys of hosts are always verified, by OpenSSH's own settings"),
    ("ansible_no_target_syslog", HOW_ANSIBLE_WORKS),
    ("ansible_pipelining", HOW_ANSIBLE_WORKS),
    ("ansible_sftp_batch_mode", HOW_ANSIBLE_WORKS),
    ("ansible_ssh_host_key_checking", "keys of hosts are always verified, by OpenSSH's own settings"),
    ("ansible_ssh_pipelining", HOW_ANSIBLE_WORKS),
    ("ansible_ssh_transfer_method", HOW_ANSIBLE_WORKS),
    ("ansible_ssh_use_tty", HOW_ANSIBLE_WORKS),
    ("container_manager_on_localhost", "images are never kept on the operator's machine"),
    ("download_always_pull", "an image is pulled when its reference is not there"),
    ("download_keep_remote_cache", "there are no archives of images on hosts"),
    ("flush_iptables", "a reset removes the rules of clusters only"),
    ("force_etcd_cert_refresh", "certificates are renewed for a reason"),
    ("ignore_assert_errors", "read by the checks of inventories"),
    ("image_command_tool", "images are pulled by what kubelet pulls them with"),
    ("image_command_tool_on_localhost", "images are never kept on the operator's machine"),
    ("kubeadm_config_validate_enabled", "the configuration is typed, and kubeadm refuses a wrong one"),
    ("kubeadm_refresh_token", "tokens are made when somebody joins"),
    ("kubeadm_scale_down_coredns_enabled", "kubeadm's own CoreDNS is never installed"),
    ("kubeadm_use_file_discovery", "hosts are always let in by a file with the authority"),
    ("leave_etc_backup_files", "what was there is kept in the record for a reset"),
    ("reset_confirmation", "`--yes --cluster-id` confirms a reset"),
    ("reset_restart_network", "a reset leaves the network alone"),
    ("rhel_enable_repos", "only hosts that register themselves need it, and none is registered by us"),
    ("unsafe_show_logs", "secrets are never shown"),
    ("use_oracle_public_repo", "it is unreachable in Kubespray, too (BOOT-032)"),
];

/// There is no Python on hosts, and files travel through the one connection.
const HOW_ANSIBLE_WORKS: &str = "it changes how Ansible works, not what it does";

/// Variables that are read with another one.
const READ_WITH_ANOTHER: [&str; 1] = ["external_cloud_provider"];

/// Variables of the user that are on or off, or one of a few words.
fn switches() -> Vec<&'static Entry> {
    let all = Catalogue::get().entries();
    all.filter(|entry| entry.scope == Scope::User && matches!(entry.kind, Kind::Bool | Kind::Enum)).collect()
}

/// What a cluster of one host amounts to: its steps, or why it is refused.
fn planned(vars: &str, facts: Facts) -> String {
    let facts = BTreeMap::from([("a".to_owned(), facts)]);
    let spec = spec(HOSTS, vars, &facts);
    match cluster(&Site { spec: &spec, facts: &facts, live: &Live::default() }, &BTreeMap::new()) {
        Ok(wishes) => serde_json::to_string(&wishes.steps).unwrap(),
        Err(refusals) => {
            refusals.iter().map(|refusal| format!("{}; {}\n", refusal.message, refusal.hint)).collect()
        }
    }
}

/// Systems that switches are for.
fn systems() -> Vec<Facts> {
    let mut systems = vec![debian("10.0.0.11"), rocky("10.0.0.11")];
    for id in ["centos", "openEuler"] {
        let mut facts = rocky("10.0.0.11");
        facts.os.id = id.into();
        systems.push(facts);
    }
    let mut flatcar = debian("10.0.0.11");
    flatcar.os.id = "flatcar".into();
    systems.push(flatcar);
    systems
}

/// The words of the code that decides what is done: not of what only declares, checks, counts or refuses settings.
fn words() -> BTreeSet<String> {
    fn read(path: &Path, words: &mut BTreeSet<String>) {
        const OTHERS: [&str; 6] = [
            "planner/src/preflight.rs",
            "unbuilt.rs",
            "spec/src/settings.rs",
            "artefacts.rs",
            "checks",
            "choices.rs",
        ];
        if OTHERS.iter().any(|other| path.ends_with(other)) {
            return;
        }
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                read(&entry.unwrap().path(), words);
            }
            return;
        }
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code.lines().map(str::trim) {
            let is_declaration = line.starts_with("pub ") && line.ends_with(',') && !line.contains('(');
            if !is_declaration && !line.starts_with("//") {
                let parts = line.split(|char: char| !char.is_alphanumeric() && char != '_');
                words.extend(parts.map(str::to_owned));
            }
        }
    }
    let mut words = BTreeSet::new();
    for package in ["planner", "spec", "kubespray", "bundle"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src"), &mut words);
    }
    words
}

/// The variables that code reads, and those that their defaults are made of.
fn read_by_code() -> BTreeSet<String> {
    let words = words();
    let mut read = BTreeSet::new();
    let mut next: Vec<&Entry> =
        Catalogue::get().entries().filter(|entry| words.contains(&*entry.name)).collect();
    while let Some(entry) = next.pop() {
        if read.insert(entry.name.to_string())
            && let Source::Value(value) = &entry.default
        {
            let text = value.to_text();
            let names = text.split(|char: char| !char.is_alphanumeric() && char != '_');
            next.extend(names.filter_map(|name| Catalogue::get().entry(name)));
        }
    }
    read
}

#[test]
fn no_switch_is_passed_over_in_silence() {
    let read = read_by_code();
    let plain: Vec<String> = systems().into_iter().map(|facts| planned("", facts)).collect();
    let (mut silent, mut needless) = (Vec::new(), Vec::new());
    for entry in switches() {
        let name = &*entry.name;
        let explained = WITHOUT_EFFECT.iter().any(|(known, _)| *known == name);
        let is_known = READ_WITH_ANOTHER.contains(&name)
            || read.contains(name)
            || UNBUILT.iter().any(|(component, _)| entry.component == *component);
        let has_effect = || {
            let other = !matches!(&entry.default, Source::Value(Value::Bool(true)));
            let vars = format!("{name}: {other}");
            let mut systems = systems().into_iter().zip(&plain);
            entry.kind == Kind::Bool && systems.any(|(facts, plain)| planned(&vars, facts) != *plain)
        };
        if explained && is_known {
            needless.push(name);
        } else if !explained && !is_known && !has_effect() {
            silent.push(name);
        }
    }
    assert!(silent.is_empty(), "these do nothing, and nobody says so: {silent:#?}");
    assert!(needless.is_empty(), "these have an effect: {needless:#?}");
}

#[test]
fn what_is_not_built_is_refused_with_its_name_and_what_to_do() {
    for (component, vars) in UNBUILT {
        assert!(switches().iter().any(|entry| entry.component == component) || component.ends_with("ccm"));
        let refusal = planned(vars, debian("10.0.0.11"));
        let name = vars.trim_matches(['{', '}']).rsplit(", ").next().unwrap().split(':').next().unwrap();
        assert!(
            refusal.contains(&format!("`{name}")) && refusal.contains(" yet; "),
            "{component}: {refusal}"
        );
    }
    assert!(
        planned("{cloud_provider: external, external_cloud_provider: manual}", debian("10.0.0.11"))
            .starts_with('[')
    );
    // Where it is for other systems, it is no matter.
    assert!(planned("epel_enabled: true", debian("10.0.0.11")).starts_with('['));
    assert!(planned("epel_enabled: true", rocky("10.0.0.11")).contains("`epel_enabled: false`"));
}
