//! All settings of a host, component by component, shared between hosts that agree in them.

use std::collections::HashMap;
use std::sync::Arc;

use kubespray_diagnostics::Diagnostic;
use kubespray_value::{ErrorKind, Value};
use kubespray_variables::{Fingerprint, Reads, Variables};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

use crate::from_value::FromValue;
use crate::read::{Problems, fields_of, read};
use crate::{apps, clouds, control_plane, dns, downloads, engine, etcd, kube_proxy, kubeadm, kubelet};
use crate::{kubernetes, load_balancer, network, operations, proxy, scheduler, system};

/// How many different settings of hosts are compared with before a host gets its own.
const LONGEST_SEARCH: usize = 32;

/// Declares the components: those that every cluster has, and those that a condition switches on.
macro_rules! components {
    (
        always { $($(#[doc = $doc:literal])* $name:ident: $type:ty,)* }
        when { $($(#[doc = $odoc:literal])* $oname:ident: $otype:ty = $condition:literal,)* }
    ) => {
        /// The settings of a host. Components that are switched off are `None`: their variables are not
        /// evaluated, as Ansible never evaluates them.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct Settings {
            $($(#[doc = $doc])* pub $name: Arc<$type>,)*
            $(
                $(#[doc = $odoc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $oname: Option<Arc<$otype>>,
            )*
        }

        #[derive(Default)]
        struct Components {
            $($name: Shared<$type>,)*
            $($oname: Shared<$otype>,)*
        }

        impl Components {
            fn read(&mut self, variables: &Variables, host: &str, reads: &mut Reads, problems: &mut Problems) -> Option<Settings> {
                $(let $name = self.$name.get(variables, host, None, reads, problems);)*
                $(let $oname = self.$oname.get(variables, host, Some($condition), reads, problems);)*
                Some(Settings { $($name: $name.ok()??,)* $($oname: $oname.ok()?,)* })
            }
        }

        /// The variables that settings are read from, with the struct that holds each.
        pub fn variables_of_settings() -> Vec<(&'static str, &'static str)> {
            let mut all = Vec::new();
            $(all.extend(fields_of::<$type>().iter().map(|field| (*field, stringify!($type))));)*
            $(all.extend(fields_of::<$otype>().iter().map(|field| (*field, stringify!($otype))));)*
            all
        }
    };
}

components! {
    always {
        /// Version, networks, folders, users.
        kubernetes: kubernetes::Kubernetes,
        /// What is the same for all container engines.
        engine: engine::Engine,
        /// runc.
        runc: engine::Runc,
        /// The kubelet.
        kubelet: kubelet::Kubelet,
        /// The API server.
        apiserver: control_plane::ApiServer,
        /// The controller manager.
        controller_manager: control_plane::ControllerManager,
        /// The scheduler.
        scheduler: scheduler::Scheduler,
        /// Audit.
        audit: control_plane::Audit,
        /// Encryption at rest.
        encryption: control_plane::Encryption,
        /// Who may call the API server.
        authentication: control_plane::Authentication,
        /// Admission.
        admission: control_plane::Admission,
        /// Certificates.
        certificates: control_plane::Certificates,
        /// kubeadm.
        kubeadm: kubeadm::Kubeadm,
        /// kube-proxy.
        kube_proxy: kube_proxy::KubeProxy,
        /// How the API servers are reached.
        load_balancer: load_balancer::LoadBalancer,
        /// etcd.
        etcd: etcd::Etcd,
        /// What is the same for all network plugins.
        network: network::Network,
        /// DNS.
        dns: dns::Dns,
        /// HTTP proxies.
        proxy: proxy::Proxy,
        /// How files and images come to hosts.
        downloads: downloads::Downloads,
        /// URLs and checksums of files.
        file_sources: downloads::FileSources,
        /// What CSI drivers share.
        csi: apps::Csi,
        /// Packages and repositories of hosts.
        bootstrap: system::Bootstrap,
        /// Names, resolvers, kernel settings, time, users.
        system: system::System,
        /// Upgrades.
        upgrade: operations::Upgrade,
        /// Removal of nodes.
        remove_node: operations::RemoveNode,
        /// Reset.
        reset: operations::Reset,
        /// Runs in general.
        operations: operations::Operations,
    }
    when {
        /// containerd.
        containerd: engine::Containerd = "container_manager == 'containerd'",
        /// CRI-O.
        crio: engine::Crio = "container_manager == 'crio'",
        /// Docker.
        docker: engine::Docker = "container_manager == 'docker' or etcd_deployment_type == 'docker'",
        /// The CRI of Docker.
        cri_dockerd: engine::CriDockerd = "container_manager == 'docker'",
        /// crun.
        crun: engine::Crun = "crun_enabled",
        /// youki.
        youki: engine::Youki = "youki_enabled",
        /// gVisor.
        gvisor: engine::Gvisor = "gvisor_enabled",
        /// Kata Containers.
        kata: engine::Kata = "kata_containers_enabled",
        /// kube-vip.
        kube_vip: load_balancer::KubeVip = "kube_vip_enabled",
        /// Scheduler plugins.
        scheduler_plugins: scheduler::SchedulerPlugins = "scheduler_plugins_enabled",
        /// Calico.
        calico: network::Calico = "kube_network_plugin == 'calico'",
        /// Cilium.
        cilium: network::Cilium = "kube_network_plugin == 'cilium' or cilium_deploy_additionally | bool",
        /// Flannel.
        flannel: network::Flannel = "kube_network_plugin == 'flannel'",
        /// Kube-OVN.
        kube_ovn: network::KubeOvn = "kube_network_plugin == 'kube-ovn'",
        /// kube-router.
        kube_router: network::KubeRouter = "kube_network_plugin == 'kube-router'",
        /// Macvlan.
        macvlan: network::Macvlan = "kube_network_plugin == 'macvlan'",
        /// A network plugin that users bring.
        custom_cni: network::CustomCni = "kube_network_plugin == 'custom_cni'",
        /// Multus.
        multus: network::Multus = "kube_network_plugin_multus",
        /// Helm.
        helm: apps::Helm = "helm_enabled",
        /// The registry inside of the cluster.
        registry: apps::Registry = "registry_enabled",
        /// metrics-server.
        metrics_server: apps::MetricsServer = "metrics_server_enabled",
        /// cert-manager.
        cert_manager: apps::CertManager = "cert_manager_enabled",
        /// Node feature discovery.
        node_feature_discovery: apps::NodeFeatureDiscovery = "node_feature_discovery_enabled",
        /// GPUs.
        nvidia_gpu: apps::NvidiaGpu = "nvidia_accelerator_enabled",
        /// Argo CD.
        argocd: apps::ArgoCd = "argocd_enabled",
        /// The ingress controller of AWS.
        alb_ingress: apps::AlbIngress = "ingress_alb_enabled",
        /// The approver of kubelet certificates.
        kubelet_csr_approver: apps::KubeletCsrApprover = "kubelet_csr_approver_enabled",
        /// Gateway API.
        gateway_api: apps::GatewayApi = "gateway_api_enabled",
        /// The kinds of the Prometheus operator.
        prometheus_operator_crds: apps::PrometheusOperatorCrds = "prometheus_operator_crds_enabled",
        /// MetalLB.
        metallb: apps::Metallb = "metallb_enabled",
        /// Volume snapshots.
        csi_snapshots: apps::CsiSnapshots = "csi_snapshot_controller_enabled",
        /// Local volumes.
        local_volume_provisioner: apps::LocalVolumeProvisioner = "local_volume_provisioner_enabled",
        /// Local paths.
        local_path_provisioner: apps::LocalPathProvisioner = "local_path_provisioner_enabled",
        /// Storage classes of clouds.
        persistent_volumes: apps::PersistentVolumes = "persistent_volumes_enabled",
        /// The cloud controller of OpenStack.
        openstack: clouds::OpenStack = "cloud_provider == 'external' and external_cloud_provider == 'openstack'",
        /// The cloud controller of Oracle.
        oracle: clouds::Oracle = "cloud_provider == 'external' and external_cloud_provider == 'oci'",
        /// The cloud controller of Huawei.
        huawei: clouds::Huawei = "cloud_provider == 'external' and external_cloud_provider == 'huaweicloud'",
        /// The cloud controller of Hetzner.
        hetzner: clouds::Hetzner = "cloud_provider == 'external' and external_cloud_provider == 'hcloud'",
        /// The cloud controller of vSphere.
        vsphere: clouds::Vsphere = "cloud_provider == 'external' and external_cloud_provider == 'vsphere'",
        /// The CSI driver of Azure.
        azure_csi: clouds::AzureCsi = "azure_csi_enabled",
        /// The CSI driver of OpenStack.
        cinder_csi: clouds::CinderCsi = "cinder_csi_enabled",
        /// The CSI driver of vSphere.
        vsphere_csi: clouds::VsphereCsi = "vsphere_csi_enabled",
        /// The CSI driver of Google.
        gcp_csi: clouds::GcpCsi = "gcp_pd_csi_enabled",
        /// The CSI driver of UpCloud.
        upcloud_csi: clouds::UpcloudCsi = "upcloud_csi_enabled",
        /// The CSI driver of AWS.
        aws_csi: clouds::AwsCsi = "aws_ebs_csi_enabled",
    }
}

/// Reads settings of hosts and shares them between hosts that agree in everything they are made from.
#[derive(Default)]
pub(crate) struct SettingsReader {
    components: Components,
    known: Known<Settings>,
}

impl SettingsReader {
    /// The settings of a host; `None` where something is wrong, which `problems` then tells.
    pub(crate) fn read(
        &mut self,
        variables: &Variables,
        host: &str,
        problems: &mut Problems,
    ) -> Option<Arc<Settings>> {
        if let Some(known) = self.known.find(variables, host) {
            return known;
        }
        let mut reads = Reads::default();
        let settings = self.components.read(variables, host, &mut reads, problems).map(Arc::new);
        self.known.add(variables, host, reads, settings)
    }
}

/// Reads one struct of hosts and shares it as [`SettingsReader`] shares settings.
pub(crate) struct SharedReader<T> {
    read: Shared<T>,
    made: Known<T>,
}

impl<T> Default for SharedReader<T> {
    fn default() -> Self {
        Self { read: Shared::default(), made: Known::default() }
    }
}

impl<T: PartialEq> SharedReader<T> {
    /// What `make` makes for a host, or made for one that agrees with it.
    pub(crate) fn make(
        &mut self,
        variables: &Variables,
        host: &str,
        make: impl FnOnce() -> Option<T>,
    ) -> Option<Arc<T>> {
        if let Some(known) = self.made.find(variables, host) {
            return known;
        }
        let (value, reads) = variables.record(&[], make);
        self.made.add(variables, host, reads, value.map(Arc::new))
    }
}

impl<T: DeserializeOwned + PartialEq> SharedReader<T> {
    /// The struct of a host; `None` where something is wrong, which `problems` then tells.
    pub(crate) fn read(
        &mut self,
        variables: &Variables,
        host: &str,
        problems: &mut Problems,
    ) -> Option<Arc<T>> {
        self.read.get(variables, host, None, &mut Reads::default(), problems).ok().flatten()
    }
}

/// Values of hosts with what they were made from.
struct Known<T> {
    /// One entry for each set of variables that was read, the latest last.
    by_reads: Vec<(Reads, HashMap<Fingerprint, Option<Arc<T>>>)>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { by_reads: Vec::new() }
    }
}

impl<T: PartialEq> Known<T> {
    /// The value of a host that agrees with one whose value is known.
    fn find(&self, variables: &Variables, host: &str) -> Option<Option<Arc<T>>> {
        self.by_reads
            .iter()
            .rev()
            .take(LONGEST_SEARCH)
            .find_map(|(reads, known)| known.get(&variables.fingerprint(host, reads)?).cloned())
    }

    /// Keeps the value of a host; gives an equal one that is known already instead.
    fn add(
        &mut self,
        variables: &Variables,
        host: &str,
        reads: Reads,
        value: Option<Arc<T>>,
    ) -> Option<Arc<T>> {
        let equal = value.as_ref().and_then(|value| {
            let known = self.by_reads.iter().rev().flat_map(|(_, known)| known.values());
            known.take(LONGEST_SEARCH).flatten().find(|known| **known == *value).cloned()
        });
        let value = equal.or(value);
        if let Some(fingerprint) = variables.fingerprint(host, &reads) {
            match self.by_reads.iter_mut().rev().take(LONGEST_SEARCH).find(|(known, _)| *known == reads) {
                Some((_, known)) => {
                    known.insert(fingerprint, value.clone());
                }
                None => self.by_reads.push((reads, HashMap::from([(fingerprint, value.clone())]))),
            }
        }
        value
    }
}

/// Something is wrong with a component, and the problems tell what.
struct Wrong;

/// One component's settings of all hosts.
struct Shared<T> {
    known: Known<Outcome<T>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { known: Known::default() }
    }
}

/// The settings, or nothing where the component is off.
#[derive(PartialEq)]
struct Outcome<T> {
    value: Option<Arc<T>>,
    reads: Reads,
}

impl<T: DeserializeOwned + PartialEq> Shared<T> {
    fn get(
        &mut self,
        variables: &Variables,
        host: &str,
        condition: Option<&str>,
        reads: &mut Reads,
        problems: &mut Problems,
    ) -> Result<Option<Arc<T>>, Wrong> {
        let outcome = match self.known.find(variables, host) {
            Some(known) => known,
            None => {
                let mut own = Reads::default();
                let value = self.read(variables, host, condition, &mut own, problems);
                let outcome = value.ok().map(|value| Arc::new(Outcome { value, reads: own.clone() }));
                reads.extend(&own);
                self.known.add(variables, host, own, outcome)
            }
        };
        let outcome = outcome.ok_or(Wrong)?;
        reads.extend(&outcome.reads);
        Ok(outcome.value.clone())
    }

    fn read(
        &self,
        variables: &Variables,
        host: &str,
        condition: Option<&str>,
        reads: &mut Reads,
        problems: &mut Problems,
    ) -> Result<Option<Arc<T>>, Wrong> {
        if let Some(condition) = condition {
            let (is_on, read) = variables.record(&[], || is_on(variables, host, condition, problems));
            reads.extend(&read);
            if !is_on? {
                return Ok(None);
            }
        }
        let (value, read) = variables.record(fields_of::<T>(), || read::<T>(variables, host, problems));
        reads.extend(&read);
        let value = Arc::new(value.ok_or(Wrong)?);
        let equal = self.known.by_reads.iter().rev().flat_map(|(_, known)| known.values()).flatten();
        let equal = equal.take(LONGEST_SEARCH).filter_map(|outcome| outcome.value.as_ref());
        Ok(Some(equal.into_iter().find(|known| ***known == *value).cloned().unwrap_or(value)))
    }
}

/// Whether a condition on variables holds for a host.
fn is_on(variables: &Variables, host: &str, condition: &str, problems: &mut Problems) -> Result<bool, Wrong> {
    let value = match variables.template(host, &Value::from(format!("{{{{ {condition} }}}}"))) {
        Ok(value) => value,
        // Nothing is switched on by what does not exist.
        Err(error) if error.kind == ErrorKind::Undefined => return Ok(false),
        Err(error) => {
            let message = format!("whether `{condition}` holds cannot be told: {}", error.message);
            problems.add(Diagnostic::error("variable-value", message).on_host(host));
            return Err(Wrong);
        }
    };
    Option::<bool>::deserialize(FromValue::new(&value)).map(Option::unwrap_or_default).map_err(|error| {
        let origin = variables.raw(host, condition).and_then(|definition| definition.origin);
        let message = format!("`{condition}` {}", error.of(&value).describe(false));
        problems.add(Diagnostic::error("variable-type", message).at_maybe(origin.as_ref()).on_host(host));
        Wrong
    })
}
