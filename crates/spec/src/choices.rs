//! Settings that are one of a few words.

use serde::{Deserialize, Serialize};

/// Values of `audit_webhook_mode`: audit webhook mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum AuditWebhookMode {
    /// `batch`.
    #[serde(rename = "batch")]
    Batch,
    /// `blocking`.
    #[serde(rename = "blocking")]
    Blocking,
    /// `blocking-strict`.
    #[serde(rename = "blocking-strict")]
    BlockingStrict,
}

/// Values of `calico_bpf_service_mode`: eBPF service mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoBpfServiceMode {
    /// `Tunnel`.
    #[serde(rename = "Tunnel")]
    Tunnel,
    /// `DSR`.
    #[serde(rename = "DSR")]
    DSR,
}

/// Values of `calico_datastore`: calico data store type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoDatastore {
    /// `kdd`.
    #[serde(rename = "kdd")]
    Kdd,
    /// `etcd`.
    #[serde(rename = "etcd")]
    Etcd,
}

/// Values of `calico_felix_chaininsertmode`: rule insertion mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoFelixChaininsertmode {
    /// `Insert`.
    #[serde(rename = "Insert")]
    Insert,
    /// `Append`.
    #[serde(rename = "Append")]
    Append,
}

/// Values of `calico_ipip_mode_ipv6`: iPv6 IP-in-IP mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoIpipModeIpv6 {
    /// `Never`.
    #[serde(rename = "Never")]
    Never,
}

/// Values of `calico_iptables_backend`: iptables backend of Calico.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoIptablesBackend {
    /// `Legacy`.
    #[serde(rename = "Legacy")]
    Legacy,
    /// `Auto`.
    #[serde(rename = "Auto")]
    Auto,
    /// `NFT`.
    #[serde(rename = "NFT")]
    NFT,
}

/// Values of `calico_loglevel`: calico node log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoLoglevel {
    /// `debug`.
    #[serde(rename = "debug")]
    Debug,
    /// `warning`.
    #[serde(rename = "warning")]
    Warning,
    /// `info`.
    #[serde(rename = "info")]
    Info,
    /// `fatal`.
    #[serde(rename = "fatal")]
    Fatal,
}

/// Values of `calico_network_backend`: calico backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CalicoNetworkBackend {
    /// `bird`.
    #[serde(rename = "bird")]
    Bird,
    /// `vxlan`.
    #[serde(rename = "vxlan")]
    Vxlan,
    /// `none`.
    #[serde(rename = "none")]
    None,
}

/// Values of `cert_management` and its like: generate certificates or expect them provided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CertManagement {
    /// `script`.
    #[serde(rename = "script")]
    Script,
    /// `none`.
    #[serde(rename = "none")]
    None,
}

/// Values of `crio_cgroup_manager` and its like: cRI-O cgroup manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CgroupDriver {
    /// `systemd`.
    #[serde(rename = "systemd")]
    Systemd,
    /// `cgroupfs`.
    #[serde(rename = "cgroupfs")]
    Cgroupfs,
}

/// Values of `cilium_encryption_type`: encryption method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CiliumEncryptionType {
    /// `ipsec`.
    #[serde(rename = "ipsec")]
    Ipsec,
    /// `wireguard`.
    #[serde(rename = "wireguard")]
    Wireguard,
}

/// Values of `cilium_identity_allocation_mode`: where Cilium stores identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CiliumIdentityAllocationMode {
    /// `crd`.
    #[serde(rename = "crd")]
    Crd,
    /// `kvstore`.
    #[serde(rename = "kvstore")]
    Kvstore,
}

/// Values of `cilium_loadbalancer_mode`: load balancing mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CiliumLoadbalancerMode {
    /// `snat`.
    #[serde(rename = "snat")]
    Snat,
    /// `dsr`.
    #[serde(rename = "dsr")]
    Dsr,
    /// `hybrid`.
    #[serde(rename = "hybrid")]
    Hybrid,
}

/// Values of `cilium_monitor_aggregation`: monitor aggregation level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CiliumMonitorAggregation {
    /// `none`.
    #[serde(rename = "none")]
    None,
    /// `low`.
    #[serde(rename = "low")]
    Low,
    /// `medium`.
    #[serde(rename = "medium")]
    Medium,
    /// `maximum`.
    #[serde(rename = "maximum")]
    Maximum,
}

/// Values of `cilium_tunnel_mode`: overlay protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CiliumTunnelMode {
    /// `vxlan`.
    #[serde(rename = "vxlan")]
    Vxlan,
    /// `geneve`.
    #[serde(rename = "geneve")]
    Geneve,
    /// `disabled`.
    #[serde(rename = "disabled")]
    Disabled,
}

/// Values of `cinder_blockstorage_version`: cinder API version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CinderBlockstorageVersion {
    /// `v3`.
    #[serde(rename = "v3")]
    V3,
}

/// Values of `cloud_provider`: cloud provider mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CloudProvider {
    /// `external`.
    #[serde(rename = "external")]
    External,
}

/// Values of `ansible_connection`: how a host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ConnectionKind {
    /// `ssh`.
    #[serde(rename = "ssh")]
    Ssh,
    /// `smart`.
    #[serde(rename = "smart")]
    Smart,
    /// `local`.
    #[serde(rename = "local")]
    Local,
    /// `paramiko`.
    #[serde(rename = "paramiko")]
    Paramiko,
    /// `paramiko_ssh`.
    #[serde(rename = "paramiko_ssh")]
    ParamikoSsh,
    /// `ansible.builtin.ssh`.
    #[serde(rename = "ansible.builtin.ssh")]
    AnsibleBuiltinSsh,
    /// `ansible.builtin.local`.
    #[serde(rename = "ansible.builtin.local")]
    AnsibleBuiltinLocal,
    /// `docker`.
    #[serde(rename = "docker")]
    Docker,
    /// `community.docker.docker`.
    #[serde(rename = "community.docker.docker")]
    CommunityDockerDocker,
}

/// Values of `container_manager` and its like: container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ContainerManager {
    /// `containerd`.
    #[serde(rename = "containerd")]
    Containerd,
    /// `crio`.
    #[serde(rename = "crio")]
    Crio,
    /// `docker`.
    #[serde(rename = "docker")]
    Docker,
}

/// Values of `containerd_debug_format`: log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ContainerdDebugFormat {
    /// `text`.
    #[serde(rename = "text")]
    Text,
    /// `json`.
    #[serde(rename = "json")]
    Json,
}

/// Values of `containerd_debug_level`: log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ContainerdDebugLevel {
    /// `trace`.
    #[serde(rename = "trace")]
    Trace,
    /// `debug`.
    #[serde(rename = "debug")]
    Debug,
    /// `info`.
    #[serde(rename = "info")]
    Info,
    /// `warn`.
    #[serde(rename = "warn")]
    Warn,
    /// `error`.
    #[serde(rename = "error")]
    Error,
    /// `fatal`.
    #[serde(rename = "fatal")]
    Fatal,
    /// `panic`.
    #[serde(rename = "panic")]
    Panic,
}

/// Values of `containerd_tracing_protocol`: trace protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ContainerdTracingProtocol {
    /// `grpc`.
    #[serde(rename = "grpc")]
    Grpc,
    /// `http/protobuf`.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Values of `crio_log_level`: cRI-O log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum CrioLogLevel {
    /// `fatal`.
    #[serde(rename = "fatal")]
    Fatal,
    /// `panic`.
    #[serde(rename = "panic")]
    Panic,
    /// `error`.
    #[serde(rename = "error")]
    Error,
    /// `warn`.
    #[serde(rename = "warn")]
    Warn,
    /// `info`.
    #[serde(rename = "info")]
    Info,
    /// `debug`.
    #[serde(rename = "debug")]
    Debug,
    /// `trace`.
    #[serde(rename = "trace")]
    Trace,
}

/// Values of `dns_mode`: cluster DNS deployment mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum DnsMode {
    /// `coredns`.
    #[serde(rename = "coredns")]
    Coredns,
    /// `coredns_dual`.
    #[serde(rename = "coredns_dual")]
    CorednsDual,
    /// `manual`.
    #[serde(rename = "manual")]
    Manual,
    /// `none`.
    #[serde(rename = "none")]
    None,
}

/// Values of `docker_mount_flags`: mount propagation of docker unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum DockerMountFlags {
    /// `shared`.
    #[serde(rename = "shared")]
    Shared,
    /// `slave`.
    #[serde(rename = "slave")]
    Slave,
    /// `private`.
    #[serde(rename = "private")]
    Private,
}

/// Values of `calico_ipip_mode` and its like: iP-in-IP mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum EncapsulationMode {
    /// `Always`.
    #[serde(rename = "Always")]
    Always,
    /// `CrossSubnet`.
    #[serde(rename = "CrossSubnet")]
    CrossSubnet,
    /// `Never`.
    #[serde(rename = "Never")]
    Never,
}

/// Values of `etcd_deployment_type` and its like: how etcd is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum EtcdDeployment {
    /// `host`.
    #[serde(rename = "host")]
    Host,
    /// `docker`.
    #[serde(rename = "docker")]
    Docker,
    /// `kubeadm`.
    #[serde(rename = "kubeadm")]
    Kubeadm,
}

/// Values of `etcd_log_level`: etcd log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum EtcdLogLevel {
    /// `debug`.
    #[serde(rename = "debug")]
    Debug,
    /// `info`.
    #[serde(rename = "info")]
    Info,
    /// `warn`.
    #[serde(rename = "warn")]
    Warn,
    /// `error`.
    #[serde(rename = "error")]
    Error,
    /// `panic`.
    #[serde(rename = "panic")]
    Panic,
    /// `fatal`.
    #[serde(rename = "fatal")]
    Fatal,
}

/// Values of `etcd_metrics`: etcd metrics detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum EtcdMetrics {
    /// `basic`.
    #[serde(rename = "basic")]
    Basic,
    /// `extensive`.
    #[serde(rename = "extensive")]
    Extensive,
}

/// Values of `external_cloud_provider`: external cloud controller to deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ExternalCloud {
    /// `hcloud`.
    #[serde(rename = "hcloud")]
    Hcloud,
    /// `huaweicloud`.
    #[serde(rename = "huaweicloud")]
    Huaweicloud,
    /// `oci`.
    #[serde(rename = "oci")]
    Oci,
    /// `openstack`.
    #[serde(rename = "openstack")]
    Openstack,
    /// `vsphere`.
    #[serde(rename = "vsphere")]
    Vsphere,
    /// `manual`.
    #[serde(rename = "manual")]
    Manual,
}

/// Values of `flannel_backend_type`: flannel backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum FlannelBackendType {
    /// `vxlan`.
    #[serde(rename = "vxlan")]
    Vxlan,
    /// `host-gw`.
    #[serde(rename = "host-gw")]
    HostGw,
    /// `wireguard`.
    #[serde(rename = "wireguard")]
    Wireguard,
}

/// Values of `gateway_api_channel`: gateway API CRD release channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum GatewayApiChannel {
    /// `standard`.
    #[serde(rename = "standard")]
    Standard,
    /// `experimental`.
    #[serde(rename = "experimental")]
    Experimental,
}

/// Values of `gcp_pd_csi_volume_type`: gCP disk type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum GcpPdCsiVolumeType {
    /// `pd-standard`.
    #[serde(rename = "pd-standard")]
    PdStandard,
    /// `pd-ssd`.
    #[serde(rename = "pd-ssd")]
    PdSsd,
}

/// Values of `k8s_image_pull_policy`: imagePullPolicy of deployed workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ImagePullPolicy {
    /// `IfNotPresent`.
    #[serde(rename = "IfNotPresent")]
    IfNotPresent,
    /// `Always`.
    #[serde(rename = "Always")]
    Always,
    /// `Never`.
    #[serde(rename = "Never")]
    Never,
}

/// Values of `image_command_tool` and its like: image tool on nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ImageTool {
    /// `nerdctl`.
    #[serde(rename = "nerdctl")]
    Nerdctl,
    /// `crictl`.
    #[serde(rename = "crictl")]
    Crictl,
    /// `docker`.
    #[serde(rename = "docker")]
    Docker,
}

/// Values of `kata_containers_virtio_fs_cache`: virtio-fs cache mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KataContainersVirtioFsCache {
    /// `never`.
    #[serde(rename = "never")]
    Never,
    /// `auto`.
    #[serde(rename = "auto")]
    Auto,
    /// `always`.
    #[serde(rename = "always")]
    Always,
}

/// Values of `kube_asymmetric_encryption_algorithm`: key algorithm of cluster certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeAsymmetricEncryptionAlgorithm {
    /// `RSA-2048`.
    #[serde(rename = "RSA-2048")]
    RSA2048,
    /// `RSA-3072`.
    #[serde(rename = "RSA-3072")]
    RSA3072,
    /// `RSA-4096`.
    #[serde(rename = "RSA-4096")]
    RSA4096,
    /// `ECDSA-P256`.
    #[serde(rename = "ECDSA-P256")]
    ECDSAP256,
}

/// Values of `kube_encryption_algorithm`: encryption provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeEncryptionAlgorithm {
    /// `aescbc`.
    #[serde(rename = "aescbc")]
    Aescbc,
    /// `secretbox`.
    #[serde(rename = "secretbox")]
    Secretbox,
    /// `aesgcm`.
    #[serde(rename = "aesgcm")]
    Aesgcm,
}

/// Values of `kube_ovn_network_type`: network type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeOvnNetworkType {
    /// `geneve`.
    #[serde(rename = "geneve")]
    Geneve,
    /// `vlan`.
    #[serde(rename = "vlan")]
    Vlan,
}

/// Values of `kube_ovn_pod_nic_type`: pod interface type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeOvnPodNicType {
    /// `veth_pair`.
    #[serde(rename = "veth_pair")]
    VethPair,
    /// `internal-port`.
    #[serde(rename = "internal-port")]
    InternalPort,
}

/// Values of `kube_ovn_tunnel_type`: tunnel type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeOvnTunnelType {
    /// `geneve`.
    #[serde(rename = "geneve")]
    Geneve,
    /// `vxlan`.
    #[serde(rename = "vxlan")]
    Vxlan,
    /// `stt`.
    #[serde(rename = "stt")]
    Stt,
}

/// Values of `kube_proxy_scheduler`: iPVS scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeProxyScheduler {
    /// `rr`.
    #[serde(rename = "rr")]
    Rr,
    /// `lc`.
    #[serde(rename = "lc")]
    Lc,
    /// `dh`.
    #[serde(rename = "dh")]
    Dh,
    /// `sh`.
    #[serde(rename = "sh")]
    Sh,
    /// `sed`.
    #[serde(rename = "sed")]
    Sed,
    /// `nq`.
    #[serde(rename = "nq")]
    Nq,
}

/// Values of `kube_vip_dns_mode`: how kube-vip uses DNS answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeVipDnsMode {
    /// `first`.
    #[serde(rename = "first")]
    First,
    /// `dual`.
    #[serde(rename = "dual")]
    Dual,
}

/// Values of `kube_vip_lb_fwdmethod`: kube-vip IPVS forwarding method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeVipLbFwdmethod {
    /// `local`.
    #[serde(rename = "local")]
    Local,
    /// `masquerade`.
    #[serde(rename = "masquerade")]
    Masquerade,
}

/// Values of `kubelet_cpu_manager_policy`: cPU manager policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeletCpuManagerPolicy {
    /// `none`.
    #[serde(rename = "none")]
    None,
    /// `static`.
    #[serde(rename = "static")]
    Static,
}

/// Values of `kubelet_swap_behavior`: how pods may use swap when allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeletSwapBehavior {
    /// `LimitedSwap`.
    #[serde(rename = "LimitedSwap")]
    LimitedSwap,
    /// `NoSwap`.
    #[serde(rename = "NoSwap")]
    NoSwap,
}

/// Values of `kubelet_topology_manager_policy`: topology manager policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeletTopologyManagerPolicy {
    /// `none`.
    #[serde(rename = "none")]
    None,
    /// `best-effort`.
    #[serde(rename = "best-effort")]
    BestEffort,
    /// `restricted`.
    #[serde(rename = "restricted")]
    Restricted,
    /// `single-numa-node`.
    #[serde(rename = "single-numa-node")]
    SingleNumaNode,
}

/// Values of `kubelet_topology_manager_scope`: topology manager scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum KubeletTopologyManagerScope {
    /// `container`.
    #[serde(rename = "container")]
    Container,
    /// `pod`.
    #[serde(rename = "pod")]
    Pod,
}

/// Values of `loadbalancer_apiserver_type` and its like: local API proxy implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum LoadBalancerType {
    /// `nginx`.
    #[serde(rename = "nginx")]
    Nginx,
    /// `haproxy`.
    #[serde(rename = "haproxy")]
    Haproxy,
}

/// Values of `local_path_provisioner_reclaim_policy`: reclaim policy of local-path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum LocalPathProvisionerReclaimPolicy {
    /// `Delete`.
    #[serde(rename = "Delete")]
    Delete,
    /// `Retain`.
    #[serde(rename = "Retain")]
    Retain,
}

/// Values of `kube_network_plugin`: pod network plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum NetworkPlugin {
    /// `calico`.
    #[serde(rename = "calico")]
    Calico,
    /// `flannel`.
    #[serde(rename = "flannel")]
    Flannel,
    /// `cloud`.
    #[serde(rename = "cloud")]
    Cloud,
    /// `cilium`.
    #[serde(rename = "cilium")]
    Cilium,
    /// `cni`.
    #[serde(rename = "cni")]
    Cni,
    /// `kube-ovn`.
    #[serde(rename = "kube-ovn")]
    KubeOvn,
    /// `kube-router`.
    #[serde(rename = "kube-router")]
    KubeRouter,
    /// `macvlan`.
    #[serde(rename = "macvlan")]
    Macvlan,
    /// `custom_cni`.
    #[serde(rename = "custom_cni")]
    CustomCni,
    /// `none`.
    #[serde(rename = "none")]
    None,
}

/// Values of `ntp_package`: nTP implementation package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum NtpPackage {
    /// `ntp`.
    #[serde(rename = "ntp")]
    Ntp,
    /// `ntpsec`.
    #[serde(rename = "ntpsec")]
    Ntpsec,
    /// `chrony`.
    #[serde(rename = "chrony")]
    Chrony,
}

/// Values of `nvidia_gpu_flavor`: gPU driver family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum NvidiaGpuFlavor {
    /// `tesla`.
    #[serde(rename = "tesla")]
    Tesla,
    /// `gtx`.
    #[serde(rename = "gtx")]
    Gtx,
}

/// Values of `external_oracle_load_balancer_security_list_management_mode`: which security lists controller manages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum OracleSecurityListMode {
    /// `All`.
    #[serde(rename = "All")]
    All,
    /// `Frontend`.
    #[serde(rename = "Frontend")]
    Frontend,
    /// `None`.
    #[serde(rename = "None")]
    None,
}

/// Values of `kube_pod_security_default_enforce` and its like: enforced Pod Security level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum PodSecurityLevel {
    /// `privileged`.
    #[serde(rename = "privileged")]
    Privileged,
    /// `baseline`.
    #[serde(rename = "baseline")]
    Baseline,
    /// `restricted`.
    #[serde(rename = "restricted")]
    Restricted,
}

/// Values of `kube_proxy_mode` and its like: kube-proxy backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ProxyMode {
    /// `ipvs`.
    #[serde(rename = "ipvs")]
    Ipvs,
    /// `iptables`.
    #[serde(rename = "iptables")]
    Iptables,
    /// `nftables`.
    #[serde(rename = "nftables")]
    Nftables,
}

/// Values of `registry_service_type`: registry service type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum RegistryServiceType {
    /// `ClusterIP`.
    #[serde(rename = "ClusterIP")]
    ClusterIP,
    /// `LoadBalancer`.
    #[serde(rename = "LoadBalancer")]
    LoadBalancer,
    /// `NodePort`.
    #[serde(rename = "NodePort")]
    NodePort,
}

/// Values of `resolvconf_mode`: how host DNS is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ResolvconfMode {
    /// `host_resolvconf`.
    #[serde(rename = "host_resolvconf")]
    HostResolvconf,
    /// `docker_dns`.
    #[serde(rename = "docker_dns")]
    DockerDns,
    /// `none`.
    #[serde(rename = "none")]
    None,
}

/// Values of `preinstall_selinux_state`: sELinux mode enforced on RedHat-family hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum SelinuxState {
    /// `enforcing`.
    #[serde(rename = "enforcing")]
    Enforcing,
    /// `permissive`.
    #[serde(rename = "permissive")]
    Permissive,
    /// `disabled`.
    #[serde(rename = "disabled")]
    Disabled,
}

/// Values of `storage_account_type`: azure disk SKU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum StorageAccountType {
    /// `Standard_LRS`.
    #[serde(rename = "Standard_LRS")]
    StandardLRS,
    /// `Premium_LRS`.
    #[serde(rename = "Premium_LRS")]
    PremiumLRS,
    /// `StandardSSD_LRS`.
    #[serde(rename = "StandardSSD_LRS")]
    StandardSSDLRS,
    /// `UltraSSD_LRS`.
    #[serde(rename = "UltraSSD_LRS")]
    UltraSSDLRS,
}

/// Values of `system_upgrade_reboot`: reboot policy after OS upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum SystemUpgradeReboot {
    /// `on-upgrade`.
    #[serde(rename = "on-upgrade")]
    OnUpgrade,
    /// `always`.
    #[serde(rename = "always")]
    Always,
    /// `never`.
    #[serde(rename = "never")]
    Never,
}

/// Values of `tls_min_version`: minimum TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum TlsVersion {
    /// `VersionTLS10`.
    #[serde(rename = "VersionTLS10")]
    VersionTLS10,
    /// `VersionTLS11`.
    #[serde(rename = "VersionTLS11")]
    VersionTLS11,
    /// `VersionTLS12`.
    #[serde(rename = "VersionTLS12")]
    VersionTLS12,
    /// `VersionTLS13`.
    #[serde(rename = "VersionTLS13")]
    VersionTLS13,
}

/// Values of `calico_felix_floating_ips` and its like: calico floating IPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum Toggle {
    /// `Disabled`.
    #[serde(rename = "Disabled")]
    Disabled,
    /// `Enabled`.
    #[serde(rename = "Enabled")]
    Enabled,
}

/// Values of `ansible_ssh_transfer_method`: how files are copied over SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum TransferMethod {
    /// `sftp`.
    #[serde(rename = "sftp")]
    Sftp,
    /// `scp`.
    #[serde(rename = "scp")]
    Scp,
    /// `piped`.
    #[serde(rename = "piped")]
    Piped,
    /// `smart`.
    #[serde(rename = "smart")]
    Smart,
}
