//! How a cluster is (`status`): what hosts are asked, and what their answers amount to. Nothing is changed.

mod judge;

use std::collections::{BTreeMap, BTreeSet};

use kubespray_resource::wire::Holder;
use kubespray_resource::{
    ApiServerStatus, Assertion, CertificateEnd, ComponentStatus, KubernetesStatus, NodeStatus, Probe,
    Resource,
};
use kubespray_spec::Roles;
use kubespray_spec::choices::EtcdDeployment;
use serde::Serialize;

pub use judge::status;

use crate::components::{Host, Site, assertion_of, verify};

/// The form of [`Status`] as JSON.
pub const STATUS_SCHEMA_VERSION: u32 = 1;

/// Certificates that last fewer days are told.
pub const SOON_DAYS: u32 = 30;

/// What a host is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostQuestions {
    /// Certificates, and kubeconfigs with one, each with the days that it must last. Not all need be there.
    pub certificates: BTreeMap<String, u32>,
    /// The way to the API server of the host, where it is to have one.
    pub api_server: Option<ApiWay>,
}

/// The way to an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiWay {
    /// The kubeconfig on the host.
    pub kubeconfig: String,
    /// `https://address:port`.
    pub server: String,
}

/// What hosts answered.
#[derive(Clone, Debug, Default)]
pub struct StatusSeen {
    /// Why hosts do not answer.
    pub silent: BTreeMap<String, String>,
    /// Those that do.
    pub hosts: BTreeMap<String, HostAnswers>,
    /// What an API server knows; nothing where none is ready, or the reason why one that is did not tell.
    pub kubernetes: Option<Result<KubernetesStatus, String>>,
    /// What runs that hold a lock did, by run.
    pub runs: BTreeMap<String, JournalSeen>,
}

/// What a host answered.
#[derive(Clone, Debug, Default)]
pub struct HostAnswers {
    /// Its API server.
    pub api_server: Option<ApiServerStatus>,
    /// Its certificates that are there.
    pub certificates: BTreeMap<String, Result<CertificateEnd, String>>,
    /// The packages for which it must be booted anew; nothing where it need not be.
    pub reboot: Option<Vec<String>>,
    /// Who holds its lock.
    pub lock: Option<Holder>,
}

/// How far a run went, by the journals of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalSeen {
    /// Steps that ended well.
    pub done: usize,
    /// Steps that failed, each the last time that it was tried.
    pub failed: BTreeSet<String>,
    /// Steps that were begun and have not ended.
    pub doing: BTreeSet<String>,
    /// When something was written last, in milliseconds since 1970 by that host's clock.
    pub last_ms: Option<u64>,
}

/// How a cluster is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// [`STATUS_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The name of the cluster.
    pub cluster: String,
    /// Whether there is a cluster.
    pub existence: Existence,
    /// Whether there is one and nothing is wrong.
    pub healthy: bool,
    /// What is wrong.
    pub problems: Vec<Remark>,
    /// What is not wrong, but should be known.
    pub notes: Vec<Remark>,
    /// Versions.
    pub versions: Versions,
    /// All hosts, in the order of the inventory.
    pub hosts: Vec<HostStatus>,
    /// Nodes that no host of the inventory has.
    pub other_nodes: Vec<NodeStatus>,
    /// Members of etcd.
    pub etcd: Vec<MemberStatus>,
    /// Members of etcd's second cluster, for events.
    pub etcd_events: Vec<MemberStatus>,
    /// All certificates that were found; those that end first come first.
    pub certificates: Vec<CertificateStatus>,
    /// Who holds the lock; several only where runs got in each other's way.
    pub locks: Vec<LockStatus>,
}

/// Whether there is a cluster, as far as hosts answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Existence {
    /// No host has anything of one.
    None,
    /// Some hosts are not yet what they are to be.
    Part,
    /// All hosts that answer are what they are to be.
    Whole,
}

/// Something worth saying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// What it is about: `host`, `api`, `node`, `component`, `etcd`, `certificate`, `version`, `reboot`, `lock`.
    pub about: &'static str,
    /// The host; nothing where it is about all.
    pub host: Option<String>,
    /// What is so.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Versions; those that run are those that say so themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Kubernetes, as the inventory says.
    pub wanted: String,
    /// Of each component, with the hosts that have it: `kube-apiserver`, `kubelet`, `containerd`, `etcd` …
    pub running: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// How a host is.
#[derive(Clone, Debug, Serialize)]
pub struct HostStatus {
    /// Its name in the inventory.
    pub name: String,
    /// What it is to be.
    pub roles: Roles,
    /// Which of them it is.
    pub is: Roles,
    /// Why it does not answer; nothing where it does.
    pub silent: Option<String>,
    /// Its API server, where it is to have one.
    pub api_server: Option<ApiServerStatus>,
    /// Its node, where there is one.
    pub node: Option<NodeStatus>,
    /// The components of its control plane.
    pub components: Vec<ComponentStatus>,
    /// The packages for which it must be booted anew; nothing where it need not be.
    pub reboot: Option<Vec<String>>,
}

/// How a member of etcd is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    /// The host whose member it is; nothing where the inventory has no such host.
    pub host: Option<String>,
    /// Its name, or where it is.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it only learns.
    pub learner: bool,
    /// The size of its data in bytes.
    pub db_size: Option<u64>,
    /// Its alarms.
    pub alarms: Vec<String>,
    /// Why it is not well; nothing when it is.
    pub problem: Option<String>,
}

/// A certificate on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// The host.
    pub host: String,
    /// The file.
    pub path: String,
    /// Until when it is valid; nothing where that cannot be told.
    #[serde(flatten)]
    pub end: Option<CertificateEnd>,
    /// Why that cannot be told.
    pub problem: Option<String>,
    /// Whether it lasts fewer than [`SOON_DAYS`].
    pub soon: bool,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LockStatus {
    /// Who holds it.
    #[serde(flatten)]
    pub holder: Holder,
    /// The hosts whose lock it is.
    pub hosts: Vec<String>,
    /// How far its run went.
    pub progress: JournalSeen,
}

impl Status {
    /// Leaves out what is about other hosts than these. What is about none stays.
    pub fn keep(&mut self, hosts: &BTreeSet<String>) {
        let is_kept = |host: &Option<String>| host.as_ref().is_none_or(|host| hosts.contains(host));
        self.hosts.retain(|host| hosts.contains(&host.name));
        self.problems.retain(|remark| is_kept(&remark.host));
        self.notes.retain(|remark| is_kept(&remark.host));
        self.certificates.retain(|certificate| hosts.contains(&certificate.host));
        self.healthy = self.problems.is_empty();
    }
}

/// What each host is asked whose facts are known.
pub fn status_questions(site: &Site<'_>) -> BTreeMap<String, HostQuestions> {
    site.hosts().map(|host| (host.spec.name.clone(), questions(host))).collect()
}

/// What `verify` asserts of certificates and the API server of a host, and certificates beside those.
pub(super) fn questions(host: Host<'_>) -> HostQuestions {
    let mut questions = HostQuestions::default();
    for path in other_certificates(&host) {
        questions.certificates.insert(path, SOON_DAYS);
    }
    for step in verify::of_host(host).finish().0 {
        let Resource::Check(check) = &step.resource else { continue };
        match &check.probe {
            Probe::Cluster(Assertion::Certificates { files, days }) => {
                questions.certificates.extend(files.keys().map(|path| (path.clone(), *days)));
            }
            Probe::Cluster(Assertion::ApiServer { kubeconfig, server: Some(server), .. })
                if assertion_of(&step).is_some_and(|named| named.name == "api-answers") =>
            {
                let (kubeconfig, server) = (kubeconfig.clone(), server.clone());
                questions.api_server = Some(ApiWay { kubeconfig, server });
            }
            _ => {}
        }
    }
    questions
}

/// Authorities, and what nobody but their owner looks at.
fn other_certificates(host: &Host<'_>) -> Vec<String> {
    let settings = host.settings();
    let (kubernetes, etcd) = (&settings.kubernetes, &settings.etcd);
    let mut paths = Vec::new();
    if host.is_node() {
        let serving = if settings.kubelet.kubelet_rotate_server_certificates {
            "kubelet-server-current.pem"
        } else {
            "kubelet.crt"
        };
        paths.push(format!("/var/lib/kubelet/pki/{serving}"));
        paths.push(format!("{}/ca.crt", kubernetes.kube_cert_dir));
    }
    if host.spec.roles.control_plane {
        paths.push(format!("{}/super-admin.conf", kubernetes.kube_config_dir));
        paths.push(format!("{}/front-proxy-ca.crt", kubernetes.kube_cert_dir));
        // Clusters of Kubespray's show that of the control plane that was made first on all of them.
        let names = &host.site.spec.groups.control_plane;
        paths.extend(names.iter().map(|name| format!("{}/node-{name}.pem", etcd.etcd_cert_dir)));
        if etcd.etcd_deployment_type == EtcdDeployment::Kubeadm {
            paths.push(format!("{}/apiserver-etcd-client.crt", kubernetes.kube_cert_dir));
            let of_etcd = ["ca", "server", "peer", "healthcheck-client"];
            paths.extend(of_etcd.map(|name| format!("{}/etcd/{name}.crt", kubernetes.kube_cert_dir)));
        }
    }
    if host.spec.roles.etcd && etcd.etcd_deployment_type == EtcdDeployment::Host {
        paths.push(format!("{}/ca.pem", etcd.etcd_cert_dir));
    }
    paths
}
