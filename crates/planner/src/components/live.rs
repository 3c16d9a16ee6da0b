//! What is there of a cluster before an operation begins.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::{
    Absent, Assertion, BEFORE, Before, Check, Digest, EtcdClient, EtcdExpected, EtcdHealth, EtcdSeen,
    Failure, KEPT_INDEX, KUBEADM_BEGUN, KeptLine, Kubeadm, KubeadmAction, Line, NodeListed, Nodes,
    NodesState, Probe, Program, Resource, State, StepId,
};
use kubespray_spec::choices::EtcdDeployment;
use kubespray_spec::{ClusterSpec, HostSpec};

use super::{Site, control_plane};

/// The hosts that already are something, by what files say. Half-made ones count as nothing here, though most files
/// of a control plane are there early: the resources that make them take them up or explain themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Control planes: `admin.conf` is there.
    pub control_planes: BTreeSet<String>,
    /// Control planes that `kubeadm init` made: `super-admin.conf` is there.
    pub super_admins: BTreeSet<String>,
    /// Nodes: `kubelet.conf` is there.
    pub nodes: BTreeSet<String>,
    /// The nodes that an API server lists, by their names in the cluster; nothing where none answers.
    pub listed: Option<BTreeMap<String, NodeListed>>,
    /// The cluster of etcd.
    pub etcd: LiveEtcd,
    /// Its cluster for events.
    pub etcd_events: LiveEtcd,
    /// Holders of the key of etcd's certificate authority.
    pub etcd_authorities: BTreeSet<String>,
    /// Holders of the key of the cluster's certificate authority.
    pub authorities: BTreeSet<String>,
    /// Versions in the manifests of live control planes, by host and component.
    pub manifests: BTreeMap<String, BTreeMap<String, String>>,
    /// Live nodes whose kubelet is not of the wished version, with what it says.
    pub other_kubelets: BTreeMap<String, String>,
    /// Live control planes whose API server is not well, and why; of [`running_probes`].
    pub unwell: BTreeMap<String, String>,
    /// Fingerprints of the cluster's certificate authority, by host: SHA-256 in hexadecimal digits.
    pub cluster_ids: BTreeMap<String, String>,
    /// Those of etcd's.
    pub etcd_ids: BTreeMap<String, String>,
    /// What hosts had before they were changed for a cluster, of those that kept it.
    pub before: BTreeMap<String, Vec<Before>>,
    /// What runs kept on hosts; of [`kept_probes`].
    pub kept: BTreeMap<String, Vec<KeptLine>>,
}

/// What is there of a cluster of etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveEtcd {
    /// Hosts that have data of a member: its log is there, by which etcd itself tells a first start.
    pub members: BTreeSet<String>,
    /// The text of the file with the settings of a host's member.
    pub settings: BTreeMap<String, String>,
    /// The members as the cluster itself tells them; nothing where no host gets an answer of it.
    pub answer: Option<Vec<EtcdSeen>>,
}

const CONTROL_PLANE: &str = "live/control-plane";
const SUPER_ADMIN: &str = "live/super-admin";
const NODE: &str = "live/node";
const LISTED: &str = "live/listed";
/// A node whose making was begun by us and not finished.
const BEGUN: &str = "live/begun";
const ETCD: [&str; 3] = ["live/etcd-member", "live/etcd-settings", "live/etcd-health"];
const ETCD_EVENTS: [&str; 3] =
    ["live/etcd-events-member", "live/etcd-events-settings", "live/etcd-events-health"];
const MANIFESTS: &str = "live/manifests";
const KUBELET: &str = "live/kubelet";
const API_SERVER: &str = "live/api-server";
const ETCD_AUTHORITY: &str = "live/etcd-authority";
const AUTHORITY: &str = "live/authority";
const KEEPS: &str = "live/kept";
const WAS: &str = "live/before";
const IDS: [&str; 2] = ["live/cluster-id", "live/etcd-id"];

/// What a host is asked, to know what it already is.
pub fn probes(host: &HostSpec) -> Vec<(StepId, Resource)> {
    let (kubernetes, etcd) = (&host.settings.kubernetes, &host.settings.etcd);
    let mut probes = of_etcd(host);
    let paths = [
        (CONTROL_PLANE, format!("{}/admin.conf", kubernetes.kube_config_dir)),
        (SUPER_ADMIN, format!("{}/super-admin.conf", kubernetes.kube_config_dir)),
        (NODE, format!("{}/kubelet.conf", kubernetes.kube_config_dir)),
        (BEGUN, KUBEADM_BEGUN.to_owned()),
        (ETCD_AUTHORITY, format!("{}/ca-key.pem", etcd.etcd_cert_dir)),
        (AUTHORITY, format!("{}/ca.key", kubernetes.kube_cert_dir)),
    ];
    probes.extend(paths.into_iter().map(|(name, path)| probe(host, name, Absent { path, recursive: false })));
    probes.extend(of_versions(host));
    if host.roles.control_plane {
        let kubeconfig = format!("{}/admin.conf", kubernetes.kube_config_dir);
        probes.push(probe(host, LISTED, Nodes { kubeconfig }));
    }
    let text = |path: String| Line { path, starts_with: "-".into(), line: None };
    probes.push(probe(host, WAS, text(BEFORE.into())));
    probes.push(probe(host, IDS[0], text(format!("{}/ca.crt", kubernetes.kube_cert_dir))));
    probes.push(probe(host, IDS[1], text(format!("{}/ca.pem", etcd.etcd_cert_dir))));
    probes
}

/// What of Kubernetes runs on a host, as its files say it.
fn of_versions(host: &HostSpec) -> Vec<(StepId, Resource)> {
    let kubernetes = &host.settings.kubernetes;
    let version = kubernetes.kube_version.as_str().trim_start_matches('v').to_owned();
    let mut probes = Vec::new();
    if host.roles.control_plane {
        let manifests = Kubeadm {
            program: format!("{}/kubeadm", kubernetes.bin_dir),
            action: KubeadmAction::UpgradeNode { version: version.clone() },
            config: None,
            certificates: None,
            ignore_preflight_errors: Vec::new(),
            skip_phases: Vec::new(),
            environment: BTreeMap::new(),
            timeout_s: 0,
        };
        probes.push(probe(host, MANIFESTS, manifests));
    }
    if host.roles.control_plane || host.roles.worker || host.roles.route_reflector {
        let argv = vec![format!("{}/kubelet", kubernetes.bin_dir), "--version".to_owned()];
        let check = Check {
            name: "the kubelet is of the wished version".into(),
            probe: Probe::Cluster(Assertion::Programs(vec![Program { argv, version }])),
            timeout_s: 0,
            interval_ms: 0,
        };
        probes.push(probe(host, KUBELET, check));
    }
    probes
}

/// What a cluster that runs is asked, by host: whether each API server is well.
/// The answers are [learnt](Live::learn).
pub fn running_probes(site: &Site<'_>) -> BTreeMap<String, Vec<(StepId, Resource)>> {
    let mut out: BTreeMap<String, Vec<(StepId, Resource)>> = BTreeMap::new();
    let live = &site.live.control_planes;
    for host in site.hosts().filter(|host| live.contains(&host.spec.name)) {
        let well = probe(host.spec, API_SERVER, control_plane::api_server_is_well(&host));
        out.insert(host.spec.name.clone(), vec![well]);
    }
    out
}

/// What hosts are asked for what runs kept there. The answers are [learnt](Live::learn).
pub fn kept_probes(site: &Site<'_>) -> BTreeMap<String, Vec<(StepId, Resource)>> {
    let of = |host: super::Host<'_>| {
        let index = Line { path: KEPT_INDEX.into(), starts_with: "-".into(), line: None };
        (host.spec.name.clone(), vec![probe(host.spec, KEEPS, index)])
    };
    site.hosts().map(of).collect()
}

fn probe(host: &HostSpec, name: &str, resource: impl Into<Resource>) -> (StepId, Resource) {
    (StepId(format!("{}/{name}", host.name)), resource.into())
}

/// What an etcd member is asked: its data, its settings, and through it its cluster.
fn of_etcd(host: &HostSpec) -> Vec<(StepId, Resource)> {
    let etcd = &host.settings.etcd;
    let mut probes = Vec::new();
    let clusters = [
        (ETCD, &etcd.etcd_data_dir, "/etc/etcd.env", 2379, true),
        (
            ETCD_EVENTS,
            &etcd.etcd_events_data_dir,
            "/etc/etcd-events.env",
            2383,
            etcd.etcd_events_cluster_enabled,
        ),
    ];
    let is_wanted = host.roles.etcd && etcd.etcd_deployment_type == EtcdDeployment::Host;
    for ([data, settings, health], folder, path, port, _) in
        clusters.into_iter().filter(|(.., enabled)| is_wanted && *enabled)
    {
        let member = Absent { path: format!("{folder}/member/wal"), recursive: false };
        probes.push(probe(host, data, member));
        let line = Line { path: path.into(), starts_with: "ETCD_NAME=".into(), line: None };
        probes.push(probe(host, settings, line));
        let admin = format!("{}/admin-{}", etcd.etcd_cert_dir, host.name);
        let client = EtcdClient {
            endpoints: vec![format!("https://127.0.0.1:{port}")],
            ca: format!("{}/ca.pem", etcd.etcd_cert_dir),
            certificate: format!("{admin}.pem"),
            key: format!("{admin}-key.pem"),
            bin_dir: Some(host.settings.kubernetes.bin_dir.clone()),
        };
        let (expected, lag) = (EtcdExpected::Names(Vec::new()), EtcdHealth::LAG);
        let look = EtcdHealth { client, expected, when: None, lag, timeout_s: 0, interval_ms: 1_000 };
        probes.push(probe(host, health, look));
    }
    probes
}

impl Live {
    /// The node of a host, as the API server lists it.
    pub(crate) fn node(&self, host: &HostSpec) -> Option<&NodeListed> {
        self.listed.as_ref()?.get(&host.node_name)
    }

    /// From the answers to [`probes`]; what could not be observed counts as not there.
    pub fn of(spec: &ClusterSpec, seen: &BTreeMap<StepId, Result<State, Failure>>) -> Self {
        let with = |name: &str| -> BTreeSet<String> {
            let is_there = |host: &&HostSpec| {
                let id = StepId(format!("{}/{name}", host.name));
                matches!(seen.get(&id), Some(Ok(State::Absent(state))) if state.kind.is_some())
            };
            spec.hosts.iter().filter(is_there).map(|host| host.name.clone()).collect()
        };
        let state = |host: &str, name: &str| match seen.get(&StepId(format!("{host}/{name}"))) {
            Some(Ok(state)) => Some(state),
            _ => None,
        };
        let etcd = |[data, settings, health]: [&str; 3]| LiveEtcd {
            members: with(data),
            settings: spec
                .hosts
                .iter()
                .filter_map(|host| match state(&host.name, settings)? {
                    State::Line(part) => Some((host.name.clone(), part.text.clone()?)),
                    _ => None,
                })
                .collect(),
            answer: spec.groups.etcd.iter().find_map(|host| match state(host, health)? {
                State::EtcdHealth(seen) if !seen.members.is_empty() => Some(seen.members.clone()),
                _ => None,
            }),
        };
        let ids = |name: &str| -> BTreeMap<String, String> {
            let of = |host: &HostSpec| match state(&host.name, name)? {
                State::Line(part) => Some((host.name.clone(), fingerprint(part.text.as_deref()?)?)),
                _ => None,
            };
            spec.hosts.iter().filter_map(of).collect()
        };
        let begun = with(BEGUN);
        let made = |name: &str| with(name).difference(&begun).cloned().collect::<BTreeSet<_>>();
        Self {
            control_planes: made(CONTROL_PLANE),
            super_admins: made(SUPER_ADMIN),
            nodes: made(NODE),
            listed: spec.groups.control_plane.iter().find_map(|host| match state(host, LISTED)? {
                State::Nodes(NodesState::Listed(nodes)) => Some(nodes.clone()),
                _ => None,
            }),
            etcd: etcd(ETCD),
            etcd_events: etcd(ETCD_EVENTS),
            etcd_authorities: with(ETCD_AUTHORITY),
            authorities: with(AUTHORITY),
            manifests: made(CONTROL_PLANE)
                .into_iter()
                .filter_map(|host| match state(&host, MANIFESTS)? {
                    State::Kubeadm(found) => Some((host, found.versions.clone())),
                    _ => None,
                })
                .collect(),
            other_kubelets: made(NODE)
                .into_iter()
                .filter_map(|host| match state(&host, KUBELET)? {
                    State::Check(found) => Some((host, found.problem.clone()?)),
                    _ => None,
                })
                .collect(),
            unwell: BTreeMap::new(),
            kept: BTreeMap::new(),
            cluster_ids: ids(IDS[0]),
            etcd_ids: ids(IDS[1]),
            before: spec
                .hosts
                .iter()
                .filter_map(|host| match state(&host.name, WAS)? {
                    State::Line(part) => Some((host.name.clone(), Before::read(part.text.as_deref()?))),
                    _ => None,
                })
                .collect(),
        }
    }

    /// Takes in the answers to [`running_probes`] and [`kept_probes`]. A control plane that could not be asked is not well.
    pub fn learn(&mut self, seen: &BTreeMap<StepId, Result<State, Failure>>) {
        for (id, found) in seen {
            let Some((host, what)) = id.as_str().split_once('/') else { continue };
            if what == KEEPS
                && let Ok(State::Line(part)) = found
            {
                let lines = KeptLine::read(part.text.as_deref().unwrap_or_default());
                self.kept.insert(host.to_owned(), lines);
            }
            if what == API_SERVER {
                let why = match found {
                    Ok(State::Check(state)) => state.problem.clone(),
                    Ok(_) => None,
                    Err(failure) => Some(failure.message.clone()),
                };
                self.unwell.extend(why.map(|why| (host.to_owned(), why)));
            }
        }
    }

    /// Whether a host is a node or a member of etcd already.
    pub(crate) fn is_anything(&self, host: &str) -> bool {
        [&self.nodes, &self.control_planes, &self.etcd.members, &self.etcd_events.members]
            .iter()
            .any(|hosts| hosts.contains(host))
    }
}

/// The SHA-256 fingerprint of the first certificate of a PEM text, as openssl prints it but for colons and case.
fn fingerprint(pem: &str) -> Option<String> {
    let body = pem.split_once("-----BEGIN CERTIFICATE-----")?.1.split_once("-----END CERTIFICATE-----")?.0;
    let body: String = body.split_whitespace().collect();
    Some(Digest::of(&STANDARD.decode(body).ok()?).as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_of_the_bytes_within() {
        let pem = "-----BEGIN CERTIFICATE-----\naGVs\nbG8=\n-----END CERTIFICATE-----\n";
        assert_eq!(fingerprint(pem).as_deref(), Some(Digest::of(b"hello").as_str()));
        assert_eq!(fingerprint("no certificate"), None);
    }
}
