//! What forbids an upgrade (spec OPS-002, OPS-005 to OPS-007, OPS-047, PAIN-031, PAIN-038).

use kubespray_resource::EtcdSeen;
use kubespray_spec::HostSpec;

use crate::components::{PlanningError, Site};
use crate::skew::{KUBELET_BEHIND, Numbers, numbers};

fn refusal(host: &str, message: String, hint: impl Into<String>) -> PlanningError {
    PlanningError { host: host.to_owned(), component: "upgrade".into(), message, hint: hint.into() }
}

/// Everything that forbids it.
pub(super) fn refusals(site: &Site<'_>) -> Vec<PlanningError> {
    let leader = site.leader().to_owned();
    if site.live.control_planes.is_empty() {
        let message = "there is no cluster yet that could be upgraded".to_owned();
        return vec![refusal(&leader, message, "`kubespray cluster` makes one of the wished version")];
    }
    let mut out = Vec::new();
    out.extend(site.spec.hosts.iter().filter_map(|host| not_there(site, host)));
    out.extend(site.spec.hosts.iter().filter_map(|host| unwell(site, host)));
    out.extend(members(site));
    out.extend(site.spec.hosts.iter().filter_map(|host| version(site, host)));
    out
}

/// Hosts that are no part of the cluster yet.
fn not_there(site: &Site<'_>, host: &HostSpec) -> Option<PlanningError> {
    if !site.facts.contains_key(&host.name) {
        return None;
    }
    let roles = host.roles;
    let what = if roles.control_plane && !site.live.control_planes.contains(&host.name) {
        "control plane"
    } else if (roles.worker || roles.route_reflector) && !site.live.nodes.contains(&host.name) {
        "node of the cluster"
    } else if roles.etcd && !is_member(site, host) {
        "member of etcd"
    } else {
        return None;
    };
    let message = format!("it is no {what} yet, and an upgrade adds none");
    let running = running(site).unwrap_or_else(|| "the version that runs".into());
    let hint = format!(
        "add it with `kubespray scale -e kube_version={running}` before, or take it out of the inventory until the upgrade is done"
    );
    Some(refusal(&host.name, message, hint))
}

/// Whether a host is a member of etcd: it has data, or the cluster lists it.
fn is_member(site: &Site<'_>, host: &HostSpec) -> bool {
    let url = host.own.etcd_peer_url.known();
    let mut listed = site.live.etcd.answer.iter().flatten();
    site.live.etcd.members.contains(&host.name)
        || listed.any(|seen| url.is_some_and(|url| seen.listed.peer_urls.contains(url)))
}

/// The version of an API server that runs.
fn running(site: &Site<'_>) -> Option<String> {
    let mut versions = site.live.manifests.values().filter_map(|versions| versions.get("kube-apiserver"));
    versions.next().map(|version| version.trim_start_matches('v').to_owned())
}

/// Control planes of which one more will be taken away.
fn unwell(site: &Site<'_>, host: &HostSpec) -> Option<PlanningError> {
    if !host.roles.control_plane {
        return None;
    }
    let why = if site.facts.contains_key(&host.name) {
        format!("its API server is not well: {}", site.live.unwell.get(&host.name)?)
    } else {
        "it is a control plane and does not answer".to_owned()
    };
    Some(refusal(
        &host.name,
        why,
        "an upgrade takes one control plane away at a time: repair this one first, or remove it with `kubespray remove-node`",
    ))
}

/// Members of etcd of which one more will be taken away.
fn members(site: &Site<'_>) -> Vec<PlanningError> {
    let Some(first) = site.spec.groups.etcd.first() else { return Vec::new() };
    let hint = "an upgrade takes one member away at a time: repair this one first, or remove it with `kubespray remove-node`";
    let Some(answer) = &site.live.etcd.answer else {
        return vec![refusal(first, "no member of etcd answers".into(), hint)];
    };
    let host_of = |seen: &EtcdSeen| {
        let is_its = |host: &&HostSpec| {
            host.own.etcd_peer_url.known().is_some_and(|url| seen.listed.peer_urls.contains(url))
        };
        site.spec.hosts.iter().find(is_its).map_or(first.as_str(), |host| host.name.as_str())
    };
    let ill = answer.iter().filter(|seen| !seen.is_healthy());
    ill.map(|seen| {
        let why = seen.problem.clone().unwrap_or_else(|| "it says nothing of itself".into());
        refusal(
            host_of(seen),
            format!("the member `{}` of etcd is not well: {why}", seen.listed.label()),
            hint,
        )
    })
    .collect()
}

/// What runs on a host, against what is wished.
fn version(site: &Site<'_>, host: &HostSpec) -> Option<PlanningError> {
    let wished = site.wished_version();
    let to = numbers(&wished)?;
    for (component, found) in site.live.manifests.get(&host.name).into_iter().flatten() {
        let found = found.trim_start_matches('v');
        let refuse = |message: String, hint: String| Some(refusal(&host.name, message, hint));
        let Some(from) = numbers(found) else {
            return refuse(
                format!("`{component}` has the version `{found}`, which is none"),
                "name an image with a version in the manifest".into(),
            );
        };
        if to < from {
            return refuse(
                format!("`{component}` is {found}, and {wished} is wished: Kubernetes cannot go back"),
                format!("set `kube_version` to {found} or newer"),
            );
        }
        if to.0 != from.0 || to.1 > from.1 + 1 {
            return refuse(
                format!("`{component}` is {found}, and {wished} is wished: no minor version may be left out"),
                format!("go {}, with one `kubespray upgrade-cluster -e kube_version=…` each", path(from, to)),
            );
        }
    }
    let node = site.live.node(host)?;
    let found = node.kubelet.trim_start_matches('v');
    let from = numbers(found)?;
    if to < from {
        return Some(refusal(
            &host.name,
            format!("its kubelet is {found}, and {wished} is wished: Kubernetes cannot go back"),
            format!("set `kube_version` to {found} or newer"),
        ));
    }
    (to.1 > from.1 + KUBELET_BEHIND).then(|| {
        refusal(
            &host.name,
            format!("its kubelet is {found}, too old for API servers of {wished}: {KUBELET_BEHIND} minor versions at most"),
            format!("upgrade it to the version that runs first: `kubespray upgrade-cluster --limit {}`", host.name),
        )
    })
}

/// The minor versions on the way: `1.34 -> 1.35 -> 1.36`.
fn path(from: Numbers, to: Numbers) -> String {
    let minors: Vec<String> = (from.1..=to.1).map(|minor| format!("{}.{minor}", to.0)).collect();
    minors.join(" -> ")
}

/// Why `cluster`, and whatever else brings hosts to one state without emptying them, must not be used: something runs
/// that is of another version (OPS-006, OPS-007).
pub fn refuse_other_version(site: &Site<'_>) -> Vec<PlanningError> {
    let wished = site.wished_version();
    let of = |host: &HostSpec| {
        let other = |(component, found): (&String, &String)| {
            let found = found.trim_start_matches('v');
            (numbers(found) != numbers(&wished)).then(|| format!("`{component}` is {found}"))
        };
        let manifests = site.live.manifests.get(&host.name);
        let manifests = manifests.into_iter().flatten().find_map(other);
        manifests.or_else(|| site.live.other_kubelets.get(&host.name).cloned())
    };
    let found: Vec<(&HostSpec, String)> =
        site.spec.hosts.iter().filter_map(|host| Some((host, of(host)?))).collect();
    let Some((first, what)) = found.first() else { return Vec::new() };
    let message = format!(
        "{what}, and {wished} is wished{}: other versions are not put under running pods",
        match found.len() {
            1 => String::new(),
            many => format!(" (the same with {} more hosts)", many - 1),
        }
    );
    let hint = "`kubespray upgrade-cluster` goes from one version to another; to keep the one that runs, set `kube_version` to it";
    vec![refusal(&first.name, message, hint)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_over_minors_are_told() {
        assert_eq!(path((1, 34, 3), (1, 36, 0)), "1.34 -> 1.35 -> 1.36");
        assert_eq!(numbers("v1.36.0-rc.1"), Some((1, 36, 0)));
        assert_eq!(numbers("newest"), None);
    }
}
