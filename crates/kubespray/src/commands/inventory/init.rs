//! `kubespray inventory init`: a new inventory, with every setting of the catalogue as a comment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kubespray_diagnostics::Diagnostic;
use kubespray_value::{Value, json};
use kubespray_variables::{Catalogue, Default, Entry, Scope};

use crate::arguments::Init;
use crate::failure::Failure;
use crate::printer::Printer;

/// Which file of the tree holds the settings of a component; settings that are not here go to the
/// file of the cluster.
const FILES: &[(&str, &str, &[&str])] = &[
    (
        "group_vars/all/all.yml",
        "Settings of every host",
        &[
            "core",
            "preinstall",
            "bootstrap_os",
            "ntp",
            "api-lb",
            "adduser",
            "upgrade",
            "remove-node",
            "reset",
        ],
    ),
    ("group_vars/all/etcd.yml", "etcd", &["etcd"]),
    (
        "group_vars/all/containerd.yml",
        "containerd and runc",
        &["containerd", "runc", "youki", "kata", "container-engine"],
    ),
    ("group_vars/all/cri-o.yml", "CRI-O", &["cri-o"]),
    ("group_vars/all/docker.yml", "Docker", &["docker"]),
    (
        "group_vars/all/offline.yml",
        "Mirrors, downloads and image names: for sites without internet",
        &["download"],
    ),
    (
        "group_vars/all/cloud.yml",
        "Cloud controllers",
        &["openstack-ccm", "vsphere-ccm", "oci-ccm", "huaweicloud-ccm", "hcloud-ccm"],
    ),
    ("group_vars/k8s_cluster/k8s-net-calico.yml", "Network plugin calico", &["calico"]),
    ("group_vars/k8s_cluster/k8s-net-cilium.yml", "Network plugin cilium", &["cilium"]),
    ("group_vars/k8s_cluster/k8s-net-flannel.yml", "Network plugin flannel", &["flannel"]),
    ("group_vars/k8s_cluster/k8s-net-kube-ovn.yml", "Network plugin kube-ovn", &["kube-ovn"]),
    ("group_vars/k8s_cluster/k8s-net-kube-router.yml", "Network plugin kube-router", &["kube-router"]),
    (
        "group_vars/k8s_cluster/k8s-net-custom-cni.yml",
        "A network plugin of your own",
        &["custom-cni", "multus"],
    ),
    (
        "group_vars/k8s_cluster/addons.yml",
        "Add-ons and storage",
        &[
            "addons",
            "registry",
            "metrics-server",
            "cert-manager",
            "metallb",
            "kube-vip",
            "argocd",
            "alb-ingress",
            "local-path-provisioner",
            "local-volume-provisioner",
            "node-feature-discovery",
            "nvidia-gpu",
            "scheduler-plugins",
            "kubelet-csr-approver",
            "csi-snapshots",
            "aws-ebs-csi",
            "azure-csi",
            "cinder-csi",
            "gcp-pd-csi",
            "upcloud-csi",
            "vsphere-csi",
        ],
    ),
];

const CLUSTER_FILE: &str = "group_vars/k8s_cluster/k8s-cluster.yml";

struct Host {
    name: String,
    address: String,
}

pub(crate) fn run(options: &Init, printer: &mut Printer) -> Result<ExitCode, Failure> {
    let hosts = hosts(&options.hosts)?;
    let default = if hosts.len() < 3 { 1 } else { 3 };
    let control_planes = chosen("--control-plane", options.control_plane.as_deref(), &hosts, default)?;
    let members = chosen("--etcd", options.etcd.as_deref(), &hosts, default)?;
    if members.len().is_multiple_of(2) && !options.allow_even_etcd {
        return Err(Diagnostic::error(
            "even-etcd",
            format!("{} etcd members are an even number", members.len()),
        )
        .because(format!(
            "{} members survive the loss of {}, as {} do",
            members.len(),
            (members.len() - 1) / 2,
            members.len() - 1
        ))
        .hint(format!(
            "choose {} or {} members, or say --allow-even-etcd",
            members.len() - 1,
            members.len() + 1
        ))
        .into());
    }
    let mut files = vec![("hosts.yaml".to_owned(), hosts_file(&hosts, &control_planes, &members))];
    files.extend(group_vars());
    write(&options.dir, &files)?;
    let written: Vec<String> =
        files.iter().map(|(name, _)| options.dir.join(name).display().to_string()).collect();
    if printer.is_json() {
        printer.json(&serde_json::json!({ "written": written }));
    } else {
        for file in &written {
            printer.line(format!("wrote {file}"));
        }
        let inventory = options.dir.join("hosts.yaml");
        printer.line(format!("\nnext: kubespray validate -i {}", inventory.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn hosts(arguments: &[String]) -> Result<Vec<Host>, Failure> {
    let mut hosts: Vec<Host> = Vec::new();
    let mut problems = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let (name, address) = match argument.split_once('=') {
            Some((name, address)) => (name.to_owned(), address),
            None => (format!("node{}", index + 1), argument.as_str()),
        };
        if address.parse::<std::net::IpAddr>().is_err() {
            problems.push(
                Diagnostic::error("address", format!("`{address}` is not an IP address"))
                    .hint("give addresses such as 10.0.0.1, or NAME=ADDRESS"),
            );
        }
        if !is_host_name(&name) {
            problems.push(
                Diagnostic::error("VAL-050", format!("`{name}` is not a host name"))
                    .because("Kubernetes takes lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"),
            );
        }
        if hosts.iter().any(|host| host.name == name || host.address == address) {
            problems.push(Diagnostic::error("duplicate-host", format!("`{argument}` is given twice")));
        }
        hosts.push(Host { name, address: address.to_owned() });
    }
    if problems.is_empty() { Ok(hosts) } else { Err(problems.into()) }
}

fn is_host_name(name: &str) -> bool {
    name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    })
}

/// The hosts that an option names, by number or by name.
fn chosen(option: &str, value: Option<&str>, hosts: &[Host], default: usize) -> Result<Vec<String>, Failure> {
    let names = |count: usize| hosts.iter().take(count).map(|host| host.name.clone()).collect::<Vec<_>>();
    let Some(value) = value else { return Ok(names(default)) };
    if let Ok(count) = value.parse::<usize>() {
        if count == 0 || count > hosts.len() {
            let message = format!("{option} {count}: between 1 and {} hosts are possible", hosts.len());
            return Err(Diagnostic::error("host-count", message).into());
        }
        return Ok(names(count));
    }
    let mut found = Vec::new();
    for name in value.split(',').map(str::trim) {
        let Some(host) = hosts.iter().find(|host| host.name == name || host.address == name) else {
            let mut diagnostic =
                Diagnostic::error("host", format!("{option} names `{name}`, which is not among the hosts"));
            let known = hosts.iter().map(|host| host.name.as_str());
            if let Some(near) = kubespray_diagnostics::did_you_mean(name, known) {
                diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
            }
            return Err(diagnostic.into());
        };
        found.push(host.name.clone());
    }
    Ok(found)
}

fn hosts_file(hosts: &[Host], control_planes: &[String], members: &[String]) -> String {
    let mut out =
        String::from("# Hosts by name, and the groups that give them their work.\nall:\n  hosts:\n");
    for host in hosts {
        let Host { name, address } = host;
        let _ = writeln!(
            out,
            "    {name}:\n      ansible_host: {address}\n      ip: {address}\n      access_ip: {address}"
        );
    }
    out.push_str("  children:\n");
    let mut group = |name: &str, comment: &str, members: &[String]| {
        let _ = writeln!(out, "    # {comment}\n    {name}:\n      hosts:");
        for member in members {
            let _ = writeln!(out, "        {member}:");
        }
    };
    let all: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    group("kube_control_plane", "API server, scheduler and controller manager", control_planes);
    group("etcd", "The database of the cluster: an odd number of hosts", members);
    group("kube_node", "Workers; a control plane that is no worker runs no pods of users", &all);
    out.push_str("    k8s_cluster:\n      children:\n        kube_control_plane:\n        kube_node:\n");
    out
}

/// The commented settings, file by file.
fn group_vars() -> Vec<(String, String)> {
    let mut by_file: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in Catalogue::get().entries().filter(|entry| entry.scope == Scope::User && is_setting(entry)) {
        let file = FILES.iter().find(|(_, _, components)| components.contains(&entry.component.as_str()));
        by_file.entry(file.map_or(CLUSTER_FILE, |(name, _, _)| *name)).or_default().push(entry);
    }
    let title = |name: &str| {
        FILES
            .iter()
            .find(|(file, _, _)| *file == name)
            .map_or("Settings of the cluster", |(_, title, _)| *title)
    };
    by_file
        .into_iter()
        .map(|(name, entries)| {
            let mut out = format!(
                "---\n# {}.\n#\n# Every line shows a setting with its default; take the `#` away to change it.\n# `kubespray vars explain NAME` tells more.\n",
                title(name)
            );
            for entry in entries {
                out.push_str(&setting(entry));
            }
            (name.to_owned(), out)
        })
        .collect()
}

/// Connection variables belong to hosts, not into files of groups.
fn is_setting(entry: &Entry) -> bool {
    !entry.name.starts_with("ansible_")
        && !matches!(entry.component.as_str(), "inventory" | "implicit" | "host")
}

fn setting(entry: &Entry) -> String {
    let mut out = format!("\n# {}\n", entry.doc);
    if !entry.allowed.is_empty() {
        let allowed: Vec<String> = entry.allowed.iter().map(shown).collect();
        let _ = writeln!(out, "# One of: {}", allowed.join(", "));
    }
    let value = match &entry.default {
        Default::Value(value) => Some(value),
        Default::Unset | Default::Runtime(_) | Default::Catalog | Default::Generated(_) => {
            entry.example.as_ref()
        }
    };
    if let Default::Generated(what) = &entry.default {
        let _ = writeln!(out, "# Not set: {what}");
    } else if !matches!(entry.default, Default::Value(_)) {
        out.push_str("# Not set unless you set it");
        out.push_str(if entry.example.is_some() { "; for example:\n" } else { ".\n" });
    }
    let _ = writeln!(out, "# {}: {}", entry.name, value.map(shown).unwrap_or_default());
    out
}

/// A value on one line, as YAML reads it: JSON is YAML.
fn shown(value: &Value) -> String {
    match value {
        Value::Str(text) if is_plain(text) => text.as_str().to_owned(),
        Value::None => String::new(),
        other => {
            json::write(other, json::Layout { ascii: false, ..json::Layout::COMPACT }).unwrap_or_default()
        }
    }
}

/// Whether YAML reads the text back as the same text without quotes.
fn is_plain(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_alphabetic() || c == '/');
    let word = text.to_lowercase();
    starts_well
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'))
        && !matches!(word.as_str(), "yes" | "no" | "on" | "off" | "true" | "false" | "null")
}

/// Writes all files, or none: nothing that exists is touched.
fn write(dir: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    let existing: Vec<PathBuf> =
        files.iter().map(|(name, _)| dir.join(name)).filter(|path| path.exists()).collect();
    if let Some(first) = existing.first() {
        return Err(Diagnostic::error("exists", format!("`{}` exists already", first.display()))
            .because("nothing was written")
            .hint("choose another folder with --dir")
            .into());
    }
    let failed = |path: &Path, error: std::io::Error| {
        Failure::from(Diagnostic::error("write", format!("cannot write `{}`: {error}", path.display())))
    };
    for (name, text) in files {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        let mut file = std::fs::File::create_new(&path).map_err(|error| failed(&path, error))?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
