//! What is there of a cluster before an operation begins.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::{Absent, Failure, Resource, State, StepId};
use kubespray_spec::{ClusterSpec, HostSpec};

/// The hosts that already are something, by what files say. Half-made ones count as nothing here: the resources
/// that make them explain themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Control planes: `admin.conf` is there.
    pub control_planes: BTreeSet<String>,
    /// Control planes that `kubeadm init` made: `super-admin.conf` is there.
    pub super_admins: BTreeSet<String>,
    /// Nodes: `kubelet.conf` is there.
    pub nodes: BTreeSet<String>,
    /// Members of etcd: its data is there.
    pub etcd_members: BTreeSet<String>,
    /// Holders of the key of etcd's certificate authority.
    pub etcd_authorities: BTreeSet<String>,
    /// Holders of the key of the cluster's certificate authority.
    pub authorities: BTreeSet<String>,
}

const CONTROL_PLANE: &str = "live/control-plane";
const SUPER_ADMIN: &str = "live/super-admin";
const NODE: &str = "live/node";
const ETCD_MEMBER: &str = "live/etcd-member";
const ETCD_AUTHORITY: &str = "live/etcd-authority";
const AUTHORITY: &str = "live/authority";

/// What a host is asked, to know what it already is.
pub fn probes(host: &HostSpec) -> Vec<(StepId, Resource)> {
    let (kubernetes, etcd) = (&host.settings.kubernetes, &host.settings.etcd);
    [
        (CONTROL_PLANE, format!("{}/admin.conf", kubernetes.kube_config_dir)),
        (SUPER_ADMIN, format!("{}/super-admin.conf", kubernetes.kube_config_dir)),
        (NODE, format!("{}/kubelet.conf", kubernetes.kube_config_dir)),
        (ETCD_MEMBER, format!("{}/member", etcd.etcd_data_dir)),
        (ETCD_AUTHORITY, format!("{}/ca-key.pem", etcd.etcd_cert_dir)),
        (AUTHORITY, format!("{}/ca.key", kubernetes.kube_cert_dir)),
    ]
    .into_iter()
    .map(|(name, path)| {
        let id = StepId(format!("{}/{name}", host.name));
        (id, Absent { path, recursive: false }.into())
    })
    .collect()
}

impl Live {
    /// From the answers to [`probes`]; what could not be observed counts as not there.
    pub fn of(spec: &ClusterSpec, seen: &BTreeMap<StepId, Result<State, Failure>>) -> Self {
        let with = |name: &str| -> BTreeSet<String> {
            let is_there = |host: &&HostSpec| {
                let id = StepId(format!("{}/{name}", host.name));
                matches!(seen.get(&id), Some(Ok(State::Absent(state))) if state.kind.is_some())
            };
            spec.hosts.iter().filter(is_there).map(|host| host.name.clone()).collect()
        };
        Self {
            control_planes: with(CONTROL_PLANE),
            super_admins: with(SUPER_ADMIN),
            nodes: with(NODE),
            etcd_members: with(ETCD_MEMBER),
            etcd_authorities: with(ETCD_AUTHORITY),
            authorities: with(AUTHORITY),
        }
    }
}
