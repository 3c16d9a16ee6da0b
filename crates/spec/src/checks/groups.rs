//! Who is in which group, and what must hold of groups and names of hosts.

use std::collections::HashSet;

use kubespray_diagnostics::{Diagnostic, did_you_mean};

use super::{Look, Report, Site};

/// Names longer than this are no DNS names (RFC 1123).
const LONGEST_NAME: usize = 253;

/// The hosts of the groups that matter, under their canonical names. A missing group is empty, members of
/// legacy groups count (INV-021), and `k8s_cluster` is whole, unlike in INV-022.
#[derive(Clone, Debug, Default)]
pub struct Members<'a> {
    /// Control planes; the first one leads.
    pub kube_control_plane: Vec<&'a str>,
    /// Workers.
    pub kube_node: Vec<&'a str>,
    /// What the group `etcd` holds.
    pub etcd: Vec<&'a str>,
    /// Route reflectors.
    pub calico_rr: Vec<&'a str>,
    /// All nodes.
    pub k8s_cluster: Vec<&'a str>,
    cluster: HashSet<&'a str>,
}

impl<'a> Site<'a> {
    /// The groups.
    pub fn groups(&self) -> Members<'a> {
        let union = |names: &[&str]| {
            let mut known = HashSet::new();
            let all = names.iter().flat_map(|name| self.inventory.hosts_of(name));
            all.filter(|host| known.insert(*host)).collect::<Vec<&str>>()
        };
        let k8s_cluster = union(&[
            "k8s_cluster",
            "kube_node",
            "kube-node",
            "kube_control_plane",
            "kube-master",
            "calico_rr",
            "calico-rr",
        ]);
        Members {
            kube_control_plane: union(&["kube_control_plane", "kube-master"]),
            kube_node: union(&["kube_node", "kube-node"]),
            etcd: union(&["etcd"]),
            calico_rr: union(&["calico_rr", "calico-rr"]),
            cluster: k8s_cluster.iter().copied().collect(),
            k8s_cluster,
        }
    }
}

impl<'a> Members<'a> {
    /// Whether a host is a node of the cluster.
    pub fn is_in_cluster(&self, host: &str) -> bool {
        self.cluster.contains(host)
    }

    /// Nodes and etcd members: all hosts that anything is installed on.
    pub fn installed(&self) -> Vec<&'a str> {
        let others = self.etcd.iter().filter(|host| !self.cluster.contains(*host));
        self.k8s_cluster.iter().chain(others).copied().collect()
    }
}

pub(super) fn check(look: &Look<'_>, report: &mut Report) {
    val_004_control_plane_has_hosts(look.site, look.members, report);
    val_007_etcd_has_hosts(look, report);
    val_006_etcd_members_are_odd(look, report);
    val_050_host_names_are_dns_names(look, report);
}

pub(super) fn val_004_control_plane_has_hosts(site: &Site<'_>, members: &Members<'_>, report: &mut Report) {
    if !members.kube_control_plane.is_empty() {
        return;
    }
    report.add(empty_group(
        site,
        "VAL-004",
        "kube_control_plane",
        "the group `kube_control_plane` has no hosts",
        "put at least one host into it",
    ));
}

fn val_007_etcd_has_hosts(look: &Look<'_>, report: &mut Report) {
    let Some(kind) = look.text("etcd_deployment_type") else { return };
    if look.members.etcd.is_empty() && kind != "kubeadm" {
        let problem = empty_group(
            look.site,
            "VAL-007",
            "etcd",
            "the group `etcd` has no hosts",
            "put an odd number of hosts into it, or set `etcd_deployment_type: kubeadm`",
        );
        report.add(problem.because(format!("`etcd_deployment_type` is `{kind}`")));
    }
}

/// Empty groups are reported by others.
fn val_006_etcd_members_are_odd(look: &Look<'_>, report: &mut Report) {
    let (group, members) = if look.members.etcd.is_empty() {
        ("kube_control_plane", &look.members.kube_control_plane)
    } else {
        ("etcd", &look.members.etcd)
    };
    if members.is_empty() || members.len() % 2 == 1 {
        return;
    }
    report.add(
        Diagnostic::error("VAL-006", format!("etcd has {} members, an even number", members.len()))
            .at_maybe(look.site.inventory.origin_of_group(group))
            .because(format!("they are the hosts of `{group}`: {}", first_few(members)))
            .because("an even number survives no more failures than one member less")
            .hint(format!("add a host to `{group}` or remove one from it")),
    );
}

fn val_050_host_names_are_dns_names(look: &Look<'_>, report: &mut Report) {
    for host in look.members.installed() {
        if is_dns_name(host) {
            continue;
        }
        let meant = host.to_lowercase().replace('_', "-");
        let problem = Diagnostic::error("VAL-050", format!("`{host}` is no name for a node"))
            .on_host(host)
            .at_maybe(look.site.inventory.origin_of_host(host))
            .because("names consist of `a` to `z`, digits, `-` and `.`, and each part starts and ends with a letter or digit");
        report.add(if is_dns_name(&meant) { problem.hint(format!("name it `{meant}`")) } else { problem });
    }
}

/// RFC 1123, in lower case.
pub(super) fn is_dns_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= LONGEST_NAME
        && name.split('.').all(|label| {
            !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
        })
}

fn empty_group(site: &Site<'_>, id: &str, group: &str, message: &str, hint: &str) -> Diagnostic {
    let problem = Diagnostic::error(id, message).at_maybe(site.inventory.origin_of_group(group));
    let filled = site.inventory.groups().filter(|other| !site.inventory.hosts_of(other).is_empty());
    match did_you_mean(group, filled) {
        Some(near) if !site.inventory.has_group(group) => {
            problem.hint(format!("is the group `{near}` meant?")).hint(hint)
        }
        _ => problem.hint(hint),
    }
}

/// Names for a message that stays short.
pub(super) fn first_few(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|name| format!("`{name}`")).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{SMALL, ids, outcome, outcome_of};

    #[test]
    fn names() {
        let long = "a".repeat(LONGEST_NAME + 1);
        for (name, expected) in [
            ("node1", true),
            ("node-1.rack-2.example", true),
            ("1", true),
            ("Node1", false),
            ("node_1", false),
            ("-node", false),
            ("node-", false),
            ("a..b", false),
            ("a.-b", false),
            ("", false),
            (&long, false),
        ] {
            assert_eq!(is_dns_name(name), expected, "{name}");
        }
    }

    #[test]
    fn missing_groups_are_empty_groups() {
        for text in [
            "all: {hosts: {a: }}",
            "all: {children: {kube_control_plane: {hosts: {}}, etcd: {hosts: {}}, kube_node: {hosts: {a: }}}}",
        ] {
            let found = ids(&outcome_of(text, ""));
            assert!(
                found.contains(&"VAL-004".to_owned()) && found.contains(&"VAL-007".to_owned()),
                "{found:?}"
            );
        }
        assert!(ids(&outcome("")).is_empty(), "{:?}", outcome("").diagnostics);
    }

    #[test]
    fn a_mistyped_group_is_pointed_out() {
        let outcome =
            outcome_of("all: {children: {kube_control_plan: {hosts: {a: }}, etcd: {hosts: {a: }}}}", "");
        let problem = outcome.diagnostics.iter().find(|d| d.id == "VAL-004").unwrap();
        assert!(problem.hints[0].contains("`kube_control_plan`"), "{problem:?}");
    }

    #[test]
    fn etcd_of_kubeadm_needs_no_group() {
        let text = "all: {children: {kube_control_plane: {hosts: {a: }}}}";
        assert_eq!(ids(&outcome_of(text, "")), ["VAL-007"]);
        assert!(ids(&outcome_of(text, "etcd_deployment_type: kubeadm")).is_empty());
        let two = "all: {children: {kube_control_plane: {hosts: {a: , b: }}}}";
        assert_eq!(ids(&outcome_of(two, "etcd_deployment_type: kubeadm")), ["VAL-006"]);
    }

    #[test]
    fn even_members_and_wrong_names() {
        let text = "all: {children: {kube_control_plane: {hosts: {a: }}, etcd: {hosts: {a: , B_1: }}}}";
        let outcome = outcome_of(text, "");
        assert_eq!(ids(&outcome), ["VAL-006", "VAL-050"]);
        assert_eq!(outcome.diagnostics[1].hints, ["name it `b-1`"]);
    }

    #[test]
    fn legacy_groups_make_the_whole_cluster() {
        let text =
            "all: {children: {kube-master: {hosts: {a: }}, kube-node: {hosts: {b: }}, etcd: {hosts: {a: }}}}";
        assert!(ids(&outcome_of(text, "")).is_empty());
        assert!(ids(&outcome_of(SMALL, "")).is_empty());
    }

    #[test]
    fn ignored_checks_are_named_once() {
        let text = "all: {children: {kube_control_plane: {hosts: {a: , B: }}, etcd: {hosts: {a: , B: }}}}";
        let outcome = outcome_of(text, "ignore_assert_errors: true\ndns_mode: bind\n");
        assert_eq!(outcome.bypassed, ["VAL-006", "VAL-050"]);
        assert_eq!(ids(&outcome), ["VAL-021", "ignored-checks"]);
    }
}
