//! What an upgrade keeps of what it replaces, and what it says of the rest before it begins.
//!
//! Kept is what may go back, and nothing else: programs, units, configuration and static pods of nodes; of control planes
//! what a patch changes. What an API server of a newer minor version wrote, an older one may not read; no version of
//! Kubernetes wants an older etcd; and what is in the cluster itself is no file of a host.

use kubespray_resource::{Content, EtcdSeen, KEPT, Keep, KeptPart, Part, Raise, Resource, Step};
use kubespray_spec::HostSpec;

use super::upgrade::is_raised;
use crate::components::{Chain, Site, control_plane, control_plane_order, etcd};
use crate::skew::numbers;

/// Marks the steps of a node from some number on.
pub(super) fn node(chain: &mut Chain<'_>, from: usize) {
    let host = chain.host;
    let running = host.site.live.node(host.spec).map(|node| plain(&node.kubelet)).filter(|is| !is.is_empty());
    for step in chain.steps().iter_mut().skip(from) {
        let paths = replaced(&step.resource);
        let is_kubelet = step.raises.as_ref().is_some_and(|raise| raise.part == Part::Kubelet);
        let back = running.clone().filter(|_| is_kubelet).map(|to| Raise { part: Part::Kubelet, to });
        mark(step, paths, KeptPart::Node, back);
    }
}

/// Marks the steps of a control plane from some number on, where its API server may go back.
pub(super) fn api_server(chain: &mut Chain<'_>, from: usize) {
    let host = chain.host;
    let Some(running) = api_server_of(host.site, host.spec) else { return };
    let wished = host.site.wished_version();
    if running == wished || !is_patch(&running, &wished) {
        return;
    }
    let config = format!("{}/{}", host.settings().kubernetes.kube_config_dir, control_plane::CONFIG);
    for step in chain.steps().iter_mut().skip(from) {
        let back = Raise { part: Part::ApiServer, to: running.clone() };
        let (paths, back) = match &step.resource {
            Resource::Kubeadm(wish) => (wish.replaces(), Some(back)),
            Resource::File(file) if file.path == config || is_program(&file.content) => {
                (vec![file.path.clone()], None)
            }
            _ => continue,
        };
        mark(step, paths, KeptPart::ApiServer, back);
    }
}

fn mark(step: &mut Step, paths: Vec<String>, part: KeptPart, back: Option<Raise>) {
    if !paths.is_empty() {
        step.keep = Some(Keep { paths, part, back });
    }
}

fn is_program(content: &Content) -> bool {
    matches!(content, Content::CopyOf { .. })
}

/// The files and links that applying a resource replaces as a whole. Files of others that are changed in part are none.
fn replaced(resource: &Resource) -> Vec<String> {
    match resource {
        Resource::File(wish) => vec![wish.path.clone()],
        Resource::Link(wish) => vec![wish.path.clone()],
        Resource::Absent(wish) if !wish.recursive => vec![wish.path.clone()],
        Resource::Archive(wish) => wish.members.iter().map(|member| member.path.clone()).collect(),
        _ => Vec::new(),
    }
}

/// The version of the API server that runs on a host, such as `1.35.2`.
pub(super) fn api_server_of(site: &Site<'_>, host: &HostSpec) -> Option<String> {
    site.live.manifests.get(&host.name)?.get("kube-apiserver").map(|version| plain(version))
}

/// Whether two versions differ by nothing but a patch.
pub(super) fn is_patch(one: &str, other: &str) -> bool {
    match (numbers(one), numbers(other)) {
        (Some(one), Some(other)) => (one.0, one.1) == (other.0, other.1),
        _ => false,
    }
}

fn plain(version: &str) -> String {
    version.trim_start_matches('v').to_owned()
}

/// What an upgrade cannot undo, and from which step on; the last line says what it can. Nothing where no version
/// changes.
pub fn no_way_back(site: &Site<'_>) -> Vec<String> {
    let mut out: Vec<String> = etcd_stays(site).into_iter().collect();
    if out.is_empty() && !is_raised(site) {
        return out;
    }
    let wished = site.wished_version();
    let order = control_plane_order(site);
    let servers = order.iter().filter_map(|name| {
        let host = site.spec.host(name)?;
        Some((*name, api_server_of(site, host)?)).filter(|(_, running)| *running != wished)
    });
    let servers: Vec<(&str, String)> = servers.collect();
    let mut kept = "programs, units, configuration and static pods of nodes";
    match servers.first() {
        Some((host, running)) if !is_patch(running, &wished) => out.push(format!(
            "API servers go from {running} to {wished} for good, from `{host}/control-plane/upgrade` on: an older one may \
             not read what a newer one writes"
        )),
        Some(_) => kept = "programs, units, configuration and static pods of nodes and control planes",
        None => {}
    }
    out.push("kube-proxy, the pod network, DNS and other applications stay as the run makes them".to_owned());
    out.push(format!(
        "{kept} are kept on each host, below `{KEPT}`, before they are replaced: `kubespray runs undo` puts them back"
    ));
    out
}

/// Another version of etcd.
fn etcd_stays(site: &Site<'_>) -> Option<String> {
    let answer: &[EtcdSeen] = site.live.etcd.answer.as_deref()?;
    let host = site.spec.host(etcd::turns(site).first()?)?;
    let wished = plain(host.settings.etcd.etcd_version.as_str());
    let mut running = answer.iter().filter_map(|seen| Some(plain(&seen.status.as_ref()?.version)));
    let running = running.find(|running| numbers(running) != numbers(&wished))?;
    Some(format!("etcd goes from {running} to {wished} for good, from `{}/etcd/running` on", host.name))
}
