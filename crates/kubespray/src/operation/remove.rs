//! `kubespray remove-node`: hosts that leave the cluster.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_planner::operations::{self, Leaving, Removal};
use kubespray_variables::UnknownFacts;

use super::chosen;
use super::intent::{Asking, Intent, Wished};
use super::learn::{Answering, HOSTS_NAMED, ask_facts, hosts as hosts_of, known, specification};
use super::refused::unplannable;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::site::Site;

/// Takes hosts out of a cluster.
pub(crate) struct RemoveNode {
    /// Names and patterns, as of `--limit`.
    pub(crate) names: Vec<String>,
    /// Whether hosts that do not answer are gone for good.
    pub(crate) dead: bool,
}

impl RemoveNode {
    /// The hosts that are meant.
    pub(crate) fn hosts(&self, site: &Site) -> Result<BTreeSet<String>, Failure> {
        let all: BTreeSet<String> = hosts_of(site).into_iter().collect();
        let named: BTreeSet<String> = site.hosts(Some(&self.names.join(",")))?.into_iter().collect();
        if let Some(other) = named.difference(&all).next() {
            let message = format!("`{other}` is no host of the cluster");
            let hint = "it is in none of the groups `kube_control_plane`, `etcd` and `k8s_cluster`";
            return Err(Diagnostic::error("host", message).hint(hint).into());
        }
        Ok(named)
    }
}

impl Intent for RemoveNode {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let leaving = self.hosts(site)?;
        let names: Vec<String> = leaving.iter().cloned().collect();
        // Those that leave; those that know the cluster; all that must forget a control plane.
        let (mut facts, mut dead, mut problems) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        for (host, found) in hosts.facts(&names) {
            match found {
                Ok((found, _)) => drop(facts.insert(host, found)),
                Err(_) if self.dead => drop(dead.insert(host)),
                Err(problem) => {
                    let hint =
                        format!("if it is gone for good, say so: `kubespray remove-node {host} --dead`");
                    problems.push(problem.hint(hint));
                }
            }
        }
        if !problems.is_empty() {
            return Err(Failure { diagnostics: problems, code: FOUND_ERRORS });
        }
        let group = |name: &str| -> BTreeSet<String> {
            site.inventory.hosts_of(name).into_iter().map(str::to_owned).collect()
        };
        let (planes, members) = (group("kube_control_plane"), group("etcd"));
        let concerns_all = !planes.is_disjoint(&leaving);
        let knows = |host: &String| concerns_all || planes.contains(host) || members.contains(host);
        let others: Vec<String> =
            hosts_of(site).into_iter().filter(|host| !leaving.contains(host) && knows(host)).collect();
        facts.extend(ask_facts(site, *hosts, &others, Some(&BTreeSet::new()))?);
        let known = known(site, *hosts, facts, Answering::Any)?;
        let smaller = site.without(&leaving);
        let variables = smaller.variables(UnknownFacts::Pending);
        if known.spec.groups.control_plane.iter().all(|host| leaving.contains(host)) {
            let all: Vec<&str> = planes.iter().map(String::as_str).collect();
            let message = format!("no control plane would be left: {} would go", list(&all, HOSTS_NAMED));
            let hint = "add another one first with `kubespray scale`; `kubespray reset` takes the whole cluster away";
            let problem = Diagnostic::error("last-control-plane", message).hint(hint);
            return Err(Failure { diagnostics: vec![problem], code: FOUND_ERRORS });
        }
        let after = specification(&variables, &known.facts)?;
        let whom = Leaving { hosts: &leaving, dead: &dead };
        let Removal { wishes, etcd } = operations::remove(&known.site(), &after, whom, &known.manifests)
            .map_err(|refusals| unplannable(&refusals, &known.variables))?;
        if let Some((members, spare)) = etcd {
            let message = format!("etcd keeps {members} members, of which {spare} may be lost");
            let warning = Diagnostic::warning("etcd", message);
            site.warnings.push(if spare == 0 || members % 2 == 0 {
                warning.hint("add a member soon with `kubespray scale`")
            } else {
                warning
            });
        }
        let wishes = chosen(wishes, site, options, None)?;
        Ok(Wished { known, wishes, about: Some(leaving) })
    }
}

/// What is to be taken out of the inventory: hosts with the groups that name them.
pub(crate) fn to_forget(site: &Site, hosts: &BTreeSet<String>) -> Vec<String> {
    let line = |host: &String| {
        let groups = site.inventory.groups_of(host);
        let derived = ["k8s_cluster", "ungrouped"];
        let named: Vec<String> = groups
            .iter()
            .filter(|group| !derived.contains(group))
            .map(|group| format!("`{group}`"))
            .collect();
        format!("take `{host}` out of the inventory now: it stands in {}", named.join(", "))
    };
    hosts.iter().map(line).collect()
}
