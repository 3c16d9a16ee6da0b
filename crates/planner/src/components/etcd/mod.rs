//! etcd as a service of hosts (`etcd`, deployment type `host`; spec ETCD-001 to ETCD-145).
//!
//! Members of a cluster that answers restart one at a time, each only when the others are well, and new ones join one
//! at a time; where there is no cluster yet all start at once. A restart needs a reason: another version or other
//! settings of a member, not only other lines in its file (ETCD-099, ETCD-124).

mod cluster;
pub(crate) mod leave;
mod member;
mod pki;
mod settings;
mod version;

use kubespray_resource::Mode;
use kubespray_spec::choices::EtcdDeployment;

use super::bootstrap::user;
use super::{Chain, Host, Site, file, restarts};
use crate::components::downloads::{install, install_members};
use cluster::{Cluster, Kind, Member, hosts};
pub(crate) use member::{READY, ROLLOUT};
use pki::Pki;
pub(crate) use pki::trust_store;

/// Why nothing can be planned, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    message: String,
    hint: String,
}

/// All of etcd.
struct Whole<'a> {
    main: Cluster<'a>,
    events: Option<Cluster<'a>>,
    /// Nothing where others manage the certificates.
    pki: Option<Pki<'a>>,
}

impl<'a> Whole<'a> {
    fn of(site: &Site<'a>) -> Result<Self, Problem> {
        let refuse = |kind: &str| {
            let message = format!("`etcd_deployment_type: {kind}` cannot be done yet");
            Err(Problem { message, hint: "set `etcd_deployment_type: host`".into() })
        };
        match site.spec.settings.etcd.etcd_deployment_type {
            EtcdDeployment::Host => {}
            EtcdDeployment::Docker => return refuse("docker"),
            EtcdDeployment::Kubeadm => return refuse("kubeadm"),
        }
        let main = Cluster::of(site, Kind::Main)?;
        let events = site.spec.settings.etcd.etcd_events_cluster_enabled;
        let events = events.then(|| Cluster::of(site, Kind::Events)).transpose()?;
        for cluster in [Some(&main), events.as_ref()].into_iter().flatten() {
            all_that_have_data_are_listed(cluster)?;
            version::may_follow(cluster)?;
        }
        let pki = Pki::of(site, &main)?;
        Ok(Self { main, events, pki })
    }

    /// That of events first: the health of the other one stands for both.
    fn clusters(&self) -> impl Iterator<Item = &Cluster<'a>> {
        self.events.iter().chain([&self.main])
    }

    /// The clusters that a host is a member of.
    fn of_host(&self, host: &str) -> impl Iterator<Item = (&Cluster<'a>, &Member<'a>)> {
        self.clusters().filter_map(move |cluster| Some((cluster, cluster.member(host)?)))
    }
}

/// A host with data that the cluster does not list was removed, or moved to another address: its data must neither
/// be used nor be taken for those of a new member.
fn all_that_have_data_are_listed(cluster: &Cluster<'_>) -> Result<(), Problem> {
    if !matches!(cluster.stage, cluster::Stage::Answering(_)) {
        return Ok(());
    }
    let lost = |member: &&Member<'_>| member.has_data && cluster.seen(member).is_none();
    cluster.members.iter().find(lost).map_or(Ok(()), |member| {
        let (host, url) = (&member.host.name, member.peer_url);
        Err(Problem {
            message: format!("`{host}` has data of etcd, and the cluster has no member at `{url}`"),
            hint: "if it was removed, move its data away; if its address changed, set the one that it had"
                .into(),
        })
    })
}

/// Whether anything of etcd is put on a host (ETCD-002). Who has the authority's key signs, whatever else it is.
fn takes_part(host: &Host<'_>) -> bool {
    let roles = host.spec.roles;
    let has_key = host.site.live.etcd_authorities.contains(&host.spec.name);
    roles.etcd || roles.control_plane || pki::needs_client(host.spec) || has_key
}

/// etcd and what its clients need, behind the container engine.
pub(crate) fn wish(chain: &mut Chain<'_>) {
    chain.begin("etcd", "etcd");
    let host = chain.host;
    if !takes_part(&host) {
        return;
    }
    if let Err(problem) = try_wish(chain) {
        // Said once: it is about the whole cluster.
        let first = host.site.hosts().find(takes_part);
        if first.is_some_and(|first| first.spec.name == host.spec.name) {
            chain.begin("etcd", "etcd");
            chain.refuse(problem.message, problem.hint);
        }
    }
}

/// A snapshot now, by a member of a cluster that answers (PAIN-040).
pub(crate) fn snapshot(chain: &mut Chain<'_>) {
    chain.begin("etcd", "etcd");
    // What is wrong is told by the rest of etcd.
    let Ok(whole) = Whole::of(chain.host.site) else { return };
    if let Some(member) = whole.main.member(&chain.host.spec.name) {
        chain.add("snapshot-before-upgrade", member::snapshot(&whole.main, member, None));
    }
}

fn try_wish(chain: &mut Chain<'_>) -> Result<(), Problem> {
    let host = chain.host;
    let whole = Whole::of(host.site)?;
    if let Some(etcd) = host.settings().system.addusers.get("etcd").filter(|_| !has_own_users(&host)) {
        user(chain, etcd);
    }
    if let Some(pki) = &whole.pki {
        pki::wish(chain, pki, &whole.main);
    }
    if whole.main.member(&host.spec.name).is_some() {
        chain.begin("etcd", "etcdctl");
        tools(chain);
        chain.begin("etcd", "etcd");
        for (cluster, member) in whole.of_host(&host.spec.name) {
            version::prepare(chain, cluster, member);
        }
        let step = install(chain, "etcd", Some(&in_archive(&host, "etcd")), &program(&host, "etcd"), MODE);
        for cluster in whole.clusters().filter(|cluster| version::differs(cluster, &host.spec.name)) {
            restarts(step, cluster.kind.unit());
        }
        for (cluster, member) in whole.of_host(&host.spec.name) {
            member::prepare(chain, cluster, member)?;
        }
        for (cluster, member) in whole.of_host(&host.spec.name) {
            member::start(chain, cluster, member);
        }
    }
    if let Some(pki) = &whole.pki {
        pki::finish(chain, pki, &whole.main);
    }
    Ok(())
}

/// Whether what was away as a member is well again; nothing on hosts that are none. What cannot be planned was told by
/// [`wish`].
pub(crate) fn is_back(chain: &mut Chain<'_>) {
    let host = chain.host;
    let Ok(whole) = Whole::of(host.site) else { return };
    for (cluster, member) in whole.of_host(&host.spec.name) {
        chain.add(cluster.kind.step("healthy"), member::health(cluster, member));
    }
}

/// What nothing waits for: to be done where a host would wait otherwise. What cannot be planned was told by [`wish`].
pub(crate) fn trust(chain: &mut Chain<'_>) {
    if takes_part(&chain.host)
        && let Ok(Whole { pki: Some(pki), .. }) = Whole::of(chain.host.site)
    {
        pki::trust(chain, &pki);
    }
}

/// What nothing else waits for: the last steps of a host. What cannot be planned was told by [`wish`].
pub(crate) fn finish(chain: &mut Chain<'_>) {
    if takes_part(&chain.host)
        && let Ok(Whole { pki: Some(pki), .. }) = Whole::of(chain.host.site)
    {
        pki::copy(chain, &pki);
    }
}

/// ETCD-006: systems whose images bring the users.
fn has_own_users(host: &Host<'_>) -> bool {
    host.is_image_based() || host.is_os("clear-linux-os")
}

const MODE: Mode = Mode::EXECUTABLE;

fn program(host: &Host<'_>, name: &str) -> String {
    format!("{}/{name}", host.settings().kubernetes.bin_dir)
}

/// The place of a program in the archive of a release.
fn in_archive(host: &Host<'_>, name: &str) -> String {
    let version = host.spec.artefacts.files.get("etcd").map_or("", |file| file.version.as_str());
    let architecture = host.spec.architecture.known().map_or("", String::as_str);
    format!("etcd-v{version}-linux-{architecture}/{name}")
}

/// ETCD-112, ETCD-113.
fn tools(chain: &mut Chain<'_>) {
    let host = chain.host;
    let (etcdctl, etcdutl) = (program(&host, "etcdctl"), program(&host, "etcdutl"));
    let members = [(&*in_archive(&host, "etcdctl"), &*etcdctl), (&*in_archive(&host, "etcdutl"), &*etcdutl)];
    install_members(chain, "etcd", &members, MODE, &kubespray_resource::Owner::root());
    let folder = &host.settings().etcd.etcd_cert_dir;
    let admin = format!("{folder}/admin-{}", host.spec.name);
    let text = format!(
        "#!/bin/sh\n\
         # etcdctl with the certificates of this host, such as: etcdctl.sh endpoint health\n\
         exec {etcdctl} --cacert {folder}/ca.pem --cert {admin}.pem --key {admin}-key.pem \"$@\"\n"
    );
    let path = program(&host, "etcdctl.sh");
    chain.add("etcdctl.sh", kubespray_resource::File { mode: MODE, ..file(path, text) });
}

/// The hosts in the order in which their members restart: who leads goes last, so that the others need not agree on
/// a new leader more often than once.
pub(crate) fn turns(site: &Site<'_>) -> Vec<String> {
    let leads = |name: &String| {
        let url = site.spec.host(name).and_then(|host| host.own.etcd_peer_url.known());
        let answer = site.live.etcd.answer.iter().flatten();
        let seen = answer.into_iter().find(|seen| url.is_some_and(|url| seen.listed.peer_urls.contains(url)));
        seen.is_some_and(|seen| {
            let leader = seen.status.as_ref().and_then(|status| status.leader.as_ref());
            leader == Some(&seen.listed.id)
        })
    };
    let mut turns: Vec<String> = hosts(site).map(|host| host.name.clone()).collect();
    turns.sort_by_key(leads);
    turns
}
