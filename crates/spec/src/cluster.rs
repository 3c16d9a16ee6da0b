//! The cluster as a whole, and its hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kubespray_catalog::Version;
use kubespray_diagnostics::{Diagnostic, did_you_mean};
use kubespray_inventory::Inventory;
use kubespray_variables::Variables;
use serde::Serialize;

use crate::artefacts::{Artefacts, artefacts};
use crate::choices::ConnectionKind;
use crate::host::{ConnectionSettings, HostSettings};
use crate::no_proxy::no_proxy;
use crate::read::{Problems, read};
use crate::settings::{Settings, SettingsReader, SharedReader};
use crate::types::{Cidr, FromFacts, Secret, Taint, TaintEffect};

/// What a GPU node is tainted and labelled with (INV-079).
const GPU: &str = "nvidia.com/gpu";

/// Everything that a cluster is meant to be. No template is evaluated behind it.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterSpec {
    /// The name, which is its DNS domain by default.
    pub name: String,
    /// The Kubernetes version.
    pub kubernetes_version: Version,
    /// `major.minor` of it.
    pub kubernetes_minor: String,
    /// Its networks.
    pub networks: Networks,
    /// Who does what.
    pub groups: Groups,
    /// What bypasses the HTTP proxy, comma-joined; `None` without a proxy (INV-110, INV-111).
    pub no_proxy: Option<FromFacts<String>>,
    /// Settings of the cluster as its first control plane sees them.
    #[serde(skip)]
    pub settings: Arc<Settings>,
    /// The different settings that hosts have.
    pub classes: Vec<Arc<Settings>>,
    /// The different sets of files and images that hosts need.
    pub artefacts: Vec<Arc<Artefacts>>,
    /// The hosts of the cluster, in the order of the inventory.
    pub hosts: Vec<HostSpec>,
    /// Hosts of the inventory that are no part of the cluster, such as a bastion.
    pub outside: Vec<OutsideHost>,
    /// Settings that facts decide, with hosts where they are not known: their defaults stand in. A
    /// specification with such must be made again, with facts, before anything is planned from it.
    pub needs_facts: BTreeMap<String, BTreeSet<String>>,
}

/// The networks of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Networks {
    /// Whether it has IPv4.
    pub ipv4: bool,
    /// Whether it has IPv6.
    pub ipv6: bool,
    /// Networks of pods, IPv4 first.
    pub pods: Vec<Cidr>,
    /// Networks of services, IPv4 first.
    pub services: Vec<Cidr>,
    /// The DNS domain of the cluster.
    pub domain: String,
}

/// Hosts by what they do, in the order of the inventory's groups. A missing group is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Groups {
    /// Control planes.
    pub control_plane: Vec<String>,
    /// Workers; a control plane that is one, too, is schedulable.
    pub workers: Vec<String>,
    /// etcd members; those of the control plane where no group names any (INV-003).
    pub etcd: Vec<String>,
    /// Calico route reflectors.
    pub route_reflectors: Vec<String>,
    /// The first bastion (INV-006).
    pub bastion: Option<String>,
    /// Dead control planes that are to be cleaned up (INV-008).
    pub broken_control_plane: Vec<String>,
    /// Dead etcd members that are to be cleaned up.
    pub broken_etcd: Vec<String>,
}

/// One host of a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct HostSpec {
    /// The inventory name.
    pub name: String,
    /// What it does.
    pub roles: Roles,
    /// How it is reached.
    pub connection: Connection,
    /// The name of its node.
    pub node_name: String,
    /// Labels of its node.
    pub labels: BTreeMap<String, String>,
    /// Taints of its node.
    pub taints: Vec<Taint>,
    /// Its architecture in the words of Go, such as `amd64`.
    pub architecture: FromFacts<String>,
    /// Addresses and whatever else is its own.
    pub own: HostSettings,
    /// Which of the cluster's `classes` its settings are.
    pub class: usize,
    /// Its settings.
    #[serde(skip)]
    pub settings: Arc<Settings>,
    /// Which of the cluster's `artefacts` it needs.
    pub artefact_class: usize,
    /// The files and images that it needs.
    #[serde(skip)]
    pub artefacts: Arc<Artefacts>,
}

/// What a host does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// It runs the API server, the scheduler and the controller manager.
    pub control_plane: bool,
    /// It runs workloads.
    pub worker: bool,
    /// It is an etcd member.
    pub etcd: bool,
    /// It is a Calico route reflector.
    pub route_reflector: bool,
}

impl Roles {
    /// Whether it is part of the cluster at all.
    pub fn any(self) -> bool {
        self.control_plane || self.worker || self.etcd || self.route_reflector
    }
}

/// A host that is no part of the cluster.
#[derive(Clone, Debug, Serialize)]
pub struct OutsideHost {
    /// The inventory name.
    pub name: String,
    /// How it is reached.
    pub connection: Connection,
}

/// How a host is reached, and how root is had there.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// The kind; SSH where nothing else is set.
    pub kind: ConnectionKind,
    /// Name or address.
    pub address: String,
    /// The port, where one is set.
    pub port: Option<u16>,
    /// The user, where one is set.
    pub user: Option<String>,
    /// The private key, where one is set.
    pub private_key_file: Option<String>,
    /// The password, where one is set.
    pub password: Option<Secret>,
    /// More arguments of ssh.
    pub common_args: String,
    /// Whether root is had by becoming it; `None` where the inventory does not say.
    pub r#become: Option<bool>,
    /// The password for that.
    pub become_password: Option<Secret>,
    /// The other settings, shared between hosts.
    #[serde(skip)]
    pub settings: Arc<ConnectionSettings>,
}

/// Makes the specification of a cluster.
///
/// The inventory should hold the derived groups already ([`crate::derive_groups`]), because variables of
/// groups depend on them; roles are right without them, too.
///
/// # Errors
/// Everything that is wrong, at once: values of a wrong type, missing values, templates that fail, and an
/// inventory without a control plane.
pub fn build(variables: &Variables) -> Result<ClusterSpec, Vec<Diagnostic>> {
    let mut problems = Problems::default();
    match cluster(variables, &mut problems) {
        Some(cluster) if !problems.has_errors() => Ok(cluster),
        _ => Err(problems.into_diagnostics()),
    }
}

fn cluster(variables: &Variables, problems: &mut Problems) -> Option<ClusterSpec> {
    let inventory = variables.inventory();
    let groups = Groups::of(inventory);
    if groups.control_plane.is_empty() {
        let mut problem = Diagnostic::error("control-plane", "no host is in the group `kube_control_plane`");
        if let Some(near) = did_you_mean("kube_control_plane", inventory.groups()) {
            problem = problem.hint(format!("is the group `{near}` meant?"));
        }
        problems.add(problem);
    }
    let mut reader = SettingsReader::default();
    let mut connections: SharedReader<ConnectionSettings> = SharedReader::default();
    let mut classes: Vec<Arc<Settings>> = Vec::new();
    let mut downloads: SharedReader<Artefacts> = SharedReader::default();
    let mut artefact_classes: Vec<Arc<Artefacts>> = Vec::new();
    let mut hosts = Vec::new();
    let mut outside = Vec::new();
    let members = Members::of(&groups);
    for name in inventory.hosts() {
        let own: Option<HostSettings> = read(variables, name, problems);
        let settings = connections.read(variables, name, problems);
        let (Some(own), Some(settings)) = (own, settings) else { continue };
        let connection = Connection::new(name, &own, settings);
        let roles = members.roles(name);
        if !roles.any() {
            outside.push(OutsideHost { name: name.to_owned(), connection });
            continue;
        }
        let Some(settings) = reader.read(variables, name, problems) else { continue };
        let Some(needed) = downloads.make(variables, name, || artefacts(variables, name, problems)) else {
            continue;
        };
        let class = (class_of(&mut classes, &settings), class_of(&mut artefact_classes, &needed));
        hosts.push(HostSpec::new(name, roles, connection, own, class, settings, needed));
    }
    let first = groups.control_plane.first()?;
    let settings = hosts.iter().find(|host| host.name == *first)?.settings.clone();
    Some(ClusterSpec {
        name: settings.kubernetes.cluster_name.clone(),
        kubernetes_version: settings.kubernetes.kube_version.clone(),
        kubernetes_minor: settings.kubernetes.kube_version.minor_text(),
        networks: Networks {
            ipv4: settings.network.ipv4_stack,
            ipv6: settings.network.ipv6_stack,
            pods: settings.network.kube_pods_subnets.0.clone(),
            services: settings.network.kube_service_subnets.0.clone(),
            domain: settings.dns.dns_domain.clone(),
        },
        no_proxy: no_proxy(variables, &settings, &groups, &hosts),
        groups,
        settings,
        classes,
        artefacts: artefact_classes,
        hosts,
        outside,
        needs_facts: problems.needs_facts().clone(),
    })
}

/// The number of a shared value; a new one is added. The latest is the most likely one, because hosts of
/// a group stand together.
fn class_of<T>(classes: &mut Vec<Arc<T>>, value: &Arc<T>) -> usize {
    classes.iter().rposition(|known| Arc::ptr_eq(known, value)).unwrap_or_else(|| {
        classes.push(value.clone());
        classes.len() - 1
    })
}

impl ClusterSpec {
    /// A host of the cluster.
    pub fn host(&self, name: &str) -> Option<&HostSpec> {
        self.hosts.iter().find(|host| host.name == name)
    }
}

impl Groups {
    /// The groups of an inventory, legacy names included (INV-020 to INV-024).
    pub fn of(inventory: &Inventory) -> Self {
        let union = |names: &[&str]| {
            let mut hosts: Vec<String> = Vec::new();
            let mut known = BTreeSet::new();
            for host in names.iter().flat_map(|name| inventory.hosts_of(name)) {
                if known.insert(host) {
                    hosts.push(host.to_owned());
                }
            }
            hosts
        };
        let control_plane = union(&["kube_control_plane", "kube-master"]);
        let mut etcd = union(&["etcd"]);
        if etcd.is_empty() {
            etcd.clone_from(&control_plane);
        }
        Self {
            workers: union(&["kube_node", "kube-node"]),
            route_reflectors: union(&["calico_rr", "calico-rr"]),
            bastion: union(&["bastion"]).into_iter().next(),
            broken_control_plane: union(&["broken_kube_control_plane"]),
            broken_etcd: union(&["broken_etcd"]),
            control_plane,
            etcd,
        }
    }
}

/// The groups, for quick answers.
struct Members<'a> {
    control_plane: BTreeSet<&'a str>,
    workers: BTreeSet<&'a str>,
    etcd: BTreeSet<&'a str>,
    route_reflectors: BTreeSet<&'a str>,
}

impl<'a> Members<'a> {
    fn of(groups: &'a Groups) -> Self {
        let set = |hosts: &'a [String]| hosts.iter().map(String::as_str).collect();
        Self {
            control_plane: set(&groups.control_plane),
            workers: set(&groups.workers),
            etcd: set(&groups.etcd),
            route_reflectors: set(&groups.route_reflectors),
        }
    }

    fn roles(&self, host: &str) -> Roles {
        Roles {
            control_plane: self.control_plane.contains(host),
            worker: self.workers.contains(host),
            etcd: self.etcd.contains(host),
            route_reflector: self.route_reflectors.contains(host),
        }
    }
}

impl HostSpec {
    fn new(
        name: &str,
        roles: Roles,
        connection: Connection,
        own: HostSettings,
        class: (usize, usize),
        settings: Arc<Settings>,
        artefacts: Arc<Artefacts>,
    ) -> Self {
        let mut labels: BTreeMap<String, String> =
            own.node_labels.clone().unwrap_or_default().into_iter().collect();
        let mut taints = own.node_taints.clone().unwrap_or_default();
        if settings
            .nvidia_gpu
            .as_ref()
            .is_some_and(|gpu| gpu.nvidia_gpu_nodes.iter().any(|node| node == name))
        {
            labels.insert(GPU.to_owned(), "true".to_owned());
            taints.push(Taint { key: GPU.to_owned(), value: String::new(), effect: TaintEffect::NoSchedule });
        }
        let overridden = Some(own.kube_override_hostname.clone()).filter(|name| !name.is_empty());
        Self {
            name: name.to_owned(),
            roles,
            connection,
            node_name: overridden.unwrap_or_else(|| name.to_owned()),
            labels,
            taints,
            architecture: settings.kubernetes.host_architecture.clone(),
            own,
            class: class.0,
            settings,
            artefact_class: class.1,
            artefacts,
        }
    }

    /// The address that other hosts use.
    pub fn access_address(&self) -> Option<&IpAddr> {
        self.own.main_access_ip.known()
    }
}

impl Connection {
    fn new(name: &str, own: &HostSettings, settings: Arc<ConnectionSettings>) -> Self {
        let s = &*settings;
        let first = |values: &[&Option<Secret>]| values.iter().find_map(|value| (*value).clone());
        Self {
            kind: s.ansible_connection.unwrap_or(ConnectionKind::Ssh),
            address: own
                .ansible_host
                .clone()
                .or_else(|| own.ansible_ssh_host.clone())
                .unwrap_or_else(|| name.to_owned()),
            port: own.ansible_port.or(own.ansible_ssh_port),
            user: s.ansible_user.clone().or_else(|| s.ansible_ssh_user.clone()),
            private_key_file: s
                .ansible_ssh_private_key_file
                .clone()
                .or_else(|| s.ansible_private_key_file.clone()),
            password: first(&[&s.ansible_password, &s.ansible_ssh_pass, &s.ansible_ssh_password]),
            common_args: s.ansible_ssh_common_args.clone(),
            r#become: s.ansible_become,
            become_password: first(&[
                &s.ansible_become_password,
                &s.ansible_become_pass,
                &s.ansible_sudo_pass,
            ]),
            settings,
        }
    }
}
