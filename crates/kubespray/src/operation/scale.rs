//! `kubespray scale`: hosts that the cluster does not have yet.

use std::collections::BTreeSet;

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_planner::components::Site as PlannedSite;
use kubespray_planner::operations::{self, Newcomers};
use kubespray_variables::UnknownFacts;

use super::chosen;
use super::intent::{Asking, Intent, Wished};
use super::learn::{
    Answering, HOSTS_NAMED, Known, ask_facts, check_hosts, hosts as hosts_of, known, specification,
};
use super::refused::unplannable;
use crate::failure::Failure;

/// Adds hosts to a cluster: those that `--limit` names, else all that it does not have.
pub(crate) struct Scale;

impl Intent for Scale {
    fn wish(&self, asking: &mut Asking<'_>) -> Result<Wished, Failure> {
        let Asking { site, hosts, options } = asking;
        let limit = match &options.common.limit {
            Some(limit) => Some(site.hosts(Some(limit))?.into_iter().collect::<BTreeSet<_>>()),
            None => None,
        };
        // Who is new is asked of those that know the cluster; no other host need answer.
        let mut asked: BTreeSet<String> = ["kube_control_plane", "etcd"]
            .iter()
            .flat_map(|group| site.inventory.hosts_of(group))
            .map(str::to_owned)
            .collect();
        let meant = limit.clone().unwrap_or_default();
        asked.extend(meant.iter().filter(|host| hosts_of(site).contains(host)).cloned());
        let names: Vec<String> = asked.iter().cloned().collect();
        let mut facts = ask_facts(site, *hosts, &names, Some(&meant))?;
        let first = known(site, *hosts, facts.clone(), Answering::Any)?;
        refuse_without_cluster(&first)?;
        let mut new = Newcomers::of(&first.spec, &first.live);
        if let Some(limit) = &limit {
            new = new.only(limit);
        }
        let all = new.all();
        let rest: Vec<String> = if new.concern_all() {
            hosts_of(site).into_iter().filter(|host| !asked.contains(host)).collect()
        } else {
            all.difference(&asked).cloned().collect()
        };
        facts.extend(ask_facts(site, *hosts, &rest, Some(&all))?);
        let (site, hosts) = (&mut **site, &mut **hosts);
        let after = known(site, hosts, facts, Answering::Any)?;
        let is_new = |host: &str| all.contains(host);
        let of_new = after.facts.iter().filter(|(host, _)| is_new(host));
        let of_new = of_new.map(|(host, facts)| (host.clone(), facts.clone())).collect();
        check_hosts(site, &site.variables(UnknownFacts::Pending), &of_new)?;
        if all.is_empty() {
            let wishes = operations::scale(&after.site(), &after.site(), &new, &after.manifests)
                .map_err(|refusals| unplannable(&refusals, &after.variables))?;
            return Ok(Wished { known: after, wishes, about: Some(all) });
        }
        let smaller = site.without(&all);
        let variables = smaller.variables(UnknownFacts::Pending);
        let spec = specification(&variables, &after.facts)?;
        let before = PlannedSite { spec: &spec, facts: &after.facts, live: &after.live };
        let wishes = operations::scale(&after.site(), &before, &new, &after.manifests)
            .map_err(|refusals| unplannable(&refusals, &after.variables))?;
        let wishes = chosen(wishes, site, options, None)?;
        Ok(Wished { known: after, wishes, about: Some(all) })
    }
}

/// There must be something that hosts can join.
fn refuse_without_cluster(known: &Known) -> Result<(), Failure> {
    let planes: Vec<&str> = known.spec.groups.control_plane.iter().map(String::as_str).collect();
    if !known.live.control_planes.is_empty() {
        return Ok(());
    }
    let silent: Vec<&str> = planes.iter().copied().filter(|host| !known.facts.contains_key(*host)).collect();
    let problem = if silent.is_empty() {
        Diagnostic::error("no-cluster", "there is no cluster yet that hosts could join")
            .because(format!("no control plane is one yet: {}", list(&planes, HOSTS_NAMED)))
            .hint("`kubespray cluster` makes it, with all hosts of the inventory")
    } else {
        Diagnostic::error("no-cluster", "no control plane of the cluster answers")
            .because(format!("these do not answer: {}", list(&silent, HOSTS_NAMED)))
            .hint("bring one of them up; it lets the new hosts in")
    };
    Err(problem.into())
}

#[cfg(test)]
#[path = "scale_tests.rs"]
mod tests;
