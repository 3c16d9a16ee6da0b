//! Settings: the CSI driver of Azure; the CSI driver of OpenStack; the CSI driver of vSphere; the CSI
//! driver of Google; the CSI driver of UpCloud; the CSI driver of AWS.

use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::{CinderBlockstorageVersion, GcpPdCsiVolumeType, StorageAccountType};
use crate::types::{Json, JsonMap, Secret};

/// The CSI driver of Azure.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct AzureCsi {
    /// Deploy Azure disk CSI driver.
    pub azure_csi_enabled: bool,
    /// Image repository of azure CSI.
    pub azure_csi_image_repo: String,
    /// Image tag of azure CSI provisioner.
    pub azure_csi_provisioner_image_tag: String,
    /// Image tag of azure CSI attacher.
    pub azure_csi_attacher_image_tag: String,
    /// Image tag of azure CSI resizer.
    pub azure_csi_resizer_image_tag: String,
    /// Image tag of azure CSI livenessprobe.
    pub azure_csi_livenessprobe_image_tag: String,
    /// Image tag of azure CSI node registrar.
    pub azure_csi_node_registrar_image_tag: String,
    /// Image tag of azure CSI snapshotter.
    pub azure_csi_snapshotter_image_tag: String,
    /// Version of azure CSI plugin.
    pub azure_csi_plugin_version: Version,
    /// Image repository of azure CSI plugin.
    pub azure_csi_plugin_image_repo: String,
    /// Azure disk CSI driver tag (Kubespray's manifests take latest unless it is set).
    pub azure_csi_plugin_image_tag: String,
    /// Use Azure instance metadata service.
    pub azure_csi_use_instance_metadata: bool,
    /// Replicas of azure CSI controller.
    pub azure_csi_controller_replicas: i64,
    /// Affinity of azure CSI controller.
    pub azure_csi_controller_affinity: JsonMap,
    /// Affinity of azure CSI node.
    pub azure_csi_node_affinity: JsonMap,
    /// Azure disk SKU.
    pub storage_account_type: StorageAccountType,
    /// Azure CSI tenant id.
    pub azure_csi_tenant_id: Option<String>,
    /// Azure CSI subscription id.
    pub azure_csi_subscription_id: Option<String>,
    /// Azure CSI client id.
    pub azure_csi_aad_client_id: Option<String>,
    /// Azure CSI client secret.
    pub azure_csi_aad_client_secret: Option<Secret>,
    /// Azure CSI location.
    pub azure_csi_location: Option<String>,
    /// Azure CSI resource group.
    pub azure_csi_resource_group: Option<String>,
    /// Azure CSI virtual network.
    pub azure_csi_vnet_name: Option<String>,
    /// Azure CSI network resource group.
    pub azure_csi_vnet_resource_group: Option<String>,
    /// Azure CSI subnet.
    pub azure_csi_subnet_name: Option<String>,
    /// Azure CSI security group.
    pub azure_csi_security_group_name: Option<String>,
    /// Tags on Azure disks.
    pub azure_csi_tags: Option<String>,
}

/// The CSI driver of OpenStack.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct CinderCsi {
    /// Deploy Cinder CSI driver.
    pub cinder_csi_enabled: bool,
    /// Cinder CSI ignores volume availability zone.
    pub cinder_csi_ignore_volume_az: bool,
    /// Version of cinder CSI plugin.
    pub cinder_csi_plugin_version: Version,
    /// Image repository of cinder CSI plugin.
    pub cinder_csi_plugin_image_repo: String,
    /// Image tag of cinder CSI plugin.
    pub cinder_csi_plugin_image_tag: String,
    /// Image tag of cinder CSI attacher.
    pub cinder_csi_attacher_image_tag: String,
    /// Image tag of cinder CSI provisioner.
    pub cinder_csi_provisioner_image_tag: String,
    /// Image tag of cinder CSI snapshotter.
    pub cinder_csi_snapshotter_image_tag: String,
    /// Image tag of cinder CSI resizer.
    pub cinder_csi_resizer_image_tag: String,
    /// Image tag of cinder CSI livenessprobe.
    pub cinder_csi_livenessprobe_image_tag: String,
    /// OpenStack identity URL for Cinder.
    pub cinder_auth_url: String,
    /// OpenStack user for Cinder.
    pub cinder_username: Option<String>,
    /// OpenStack password for Cinder.
    pub cinder_password: Option<Secret>,
    /// Application credential id for Cinder.
    pub cinder_application_credential_id: Option<String>,
    /// Application credential name for Cinder.
    pub cinder_application_credential_name: Option<String>,
    /// Application credential secret for Cinder.
    pub cinder_application_credential_secret: Option<Secret>,
    /// OpenStack region for Cinder.
    pub cinder_region: Option<String>,
    /// OpenStack project id for Cinder.
    pub cinder_tenant_id: Option<String>,
    /// OpenStack project name for Cinder.
    pub cinder_tenant_name: Option<String>,
    /// OpenStack user domain name for Cinder.
    pub cinder_domain_name: Option<String>,
    /// OpenStack user domain id for Cinder.
    pub cinder_domain_id: Option<String>,
    /// CA bundle for Cinder endpoints.
    pub cinder_cacert: String,
    /// Cinder API version.
    pub cinder_blockstorage_version: CinderBlockstorageVersion,
    /// Replicas of cinder CSI controller.
    pub cinder_csi_controller_replicas: i64,
    /// Tolerations of cinder.
    pub cinder_tolerations: Vec<Json>,
    /// Extra arguments of cinder CSI attacher.
    pub cinder_csi_attacher_extra_args: JsonMap,
    /// Extra arguments of cinder CSI provisioner.
    pub cinder_csi_provisioner_extra_args: JsonMap,
    /// Extra arguments of cinder CSI snapshotter.
    pub cinder_csi_snapshotter_extra_args: JsonMap,
    /// Extra arguments of cinder CSI resizer.
    pub cinder_csi_resizer_extra_args: JsonMap,
    /// Extra arguments of cinder CSI plugin.
    pub cinder_csi_plugin_extra_args: JsonMap,
    /// Extra arguments of cinder liveness probe.
    pub cinder_liveness_probe_extra_args: JsonMap,
    /// Storage classes made for the cloud CSI driver; with UpCloud the default is two classes, standard
    /// (maxiops) and hdd.
    pub storage_classes: Vec<Json>,
    /// Let volumes attach across zones.
    pub volume_cross_zone_attachment: Option<bool>,
    /// Maximum Cinder volumes per node.
    pub node_volume_attach_limit: Option<i64>,
    /// Cinder CSI topology awareness.
    pub cinder_topology: Option<bool>,
    /// Availability zones for Cinder topology.
    pub cinder_topology_zones: Option<Vec<String>>,
    /// Rescan device before filesystem expansion.
    pub cinder_csi_rescan_on_resize: Option<bool>,
    /// Image digest of cinder CSI plugin (ineffective, see DL-054).
    pub cinder_csi_plugin_digest_checksum: Option<String>,
}

/// The CSI driver of vSphere.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct VsphereCsi {
    /// Deploy vSphere CSI driver.
    pub vsphere_csi_enabled: bool,
    /// VCenter port.
    pub external_vsphere_vcenter_port: String,
    /// Skip vCenter TLS verification (string boolean).
    pub external_vsphere_insecure: bool,
    /// Cluster identifier in vSphere.
    pub external_vsphere_kubernetes_cluster_id: String,
    /// VSphere version.
    pub external_vsphere_version: String,
    /// Image tag of vSphere syncer.
    pub vsphere_syncer_image_tag: String,
    /// Image tag of vSphere CSI attacher.
    pub vsphere_csi_attacher_image_tag: String,
    /// VSphere CSI controller image tag.
    pub vsphere_csi_controller: String,
    /// Image tag of vSphere CSI liveness probe.
    pub vsphere_csi_liveness_probe_image_tag: String,
    /// Image tag of vSphere CSI provisioner.
    pub vsphere_csi_provisioner_image_tag: String,
    /// Image tag of vSphere CSI snapshotter.
    pub vsphere_csi_snapshotter_image_tag: String,
    /// Image tag of vSphere CSI node driver registrar.
    pub vsphere_csi_node_driver_registrar_image_tag: String,
    /// Image tag of vSphere CSI driver.
    pub vsphere_csi_driver_image_tag: String,
    /// VSphere CSI resizer image tag.
    pub vsphere_csi_resizer_tag: String,
    /// Namespace of vSphere CSI.
    pub vsphere_csi_namespace: String,
    /// Replicas of vSphere CSI controller.
    pub vsphere_csi_controller_replicas: i64,
    /// CSI socket directory for vSphere version.
    pub csi_endpoint: String,
    /// Evict vSphere CSI pods quickly on node failure.
    pub vsphere_csi_aggressive_node_drain: bool,
    /// Toleration seconds for unreachable nodes.
    pub vsphere_csi_aggressive_node_unreachable_timeout: i64,
    /// Toleration seconds for not-ready nodes.
    pub vsphere_csi_aggressive_node_not_ready_timeout: i64,
    /// Affinity of vSphere CSI node.
    pub vsphere_csi_node_affinity: JsonMap,
    /// VCenter user.
    pub external_vsphere_user: Option<String>,
    /// VCenter password.
    pub external_vsphere_password: Option<Secret>,
    /// Resource settings of vSphere CSI provisioner.
    pub vsphere_csi_provisioner_resources: JsonMap,
    /// Resource settings of vSphere syncer.
    pub vsphere_syncer_resources: JsonMap,
    /// Resource settings of vSphere CSI liveness probe controller.
    pub vsphere_csi_liveness_probe_controller_resources: JsonMap,
    /// Resource settings of vSphere CSI.
    pub vsphere_csi_resources: JsonMap,
    /// Resource settings of vSphere CSI resizer.
    pub vsphere_csi_resizer_resources: JsonMap,
    /// Resource settings of vSphere CSI attacher.
    pub vsphere_csi_attacher_resources: JsonMap,
    /// Resource settings of vSphere CSI node driver registrar.
    pub vsphere_csi_node_driver_registrar_resources: JsonMap,
    /// Resource settings of vSphere CSI driver.
    pub vsphere_csi_driver_resources: JsonMap,
    /// Resource settings of vSphere CSI liveness probe ds.
    pub vsphere_csi_liveness_probe_ds_resources: JsonMap,
}

/// The CSI driver of Google.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct GcpCsi {
    /// Deploy GCP persistent disk CSI driver.
    pub gcp_pd_csi_enabled: bool,
    /// Version of GCP PD CSI plugin.
    pub gcp_pd_csi_plugin_version: Version,
    /// Image repository of GCP PD CSI plugin.
    pub gcp_pd_csi_plugin_image_repo: String,
    /// Image tag of GCP PD CSI plugin.
    pub gcp_pd_csi_plugin_image_tag: String,
    /// Replicas of GCP PD CSI controller.
    pub gcp_pd_csi_controller_replicas: i64,
    /// GCP disk type.
    pub gcp_pd_csi_volume_type: GcpPdCsiVolumeType,
    /// Replicate GCP disks regionally.
    pub gcp_pd_regional_replication_enabled: bool,
    /// Restrict replication zones.
    pub gcp_pd_restrict_zone_replication: bool,
    /// Allowed replication zones.
    pub gcp_pd_restricted_zones: Vec<String>,
    /// GCP service account key file.
    pub gcp_pd_csi_sa_cred_file: Option<String>,
}

/// The CSI driver of UpCloud.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct UpcloudCsi {
    /// Deploy UpCloud CSI driver.
    pub upcloud_csi_enabled: bool,
    /// Replicas of UpCloud CSI controller.
    pub upcloud_csi_controller_replicas: i64,
    /// Image tag of UpCloud CSI provisioner.
    pub upcloud_csi_provisioner_image_tag: String,
    /// Image tag of UpCloud CSI attacher.
    pub upcloud_csi_attacher_image_tag: String,
    /// Image tag of UpCloud CSI resizer.
    pub upcloud_csi_resizer_image_tag: String,
    /// Image tag of UpCloud CSI plugin.
    pub upcloud_csi_plugin_image_tag: String,
    /// Image tag of UpCloud CSI node.
    pub upcloud_csi_node_image_tag: String,
    /// UpCloud API user.
    pub upcloud_username: Option<String>,
    /// UpCloud API password.
    pub upcloud_password: Option<Secret>,
    /// Tolerations of UpCloud.
    pub upcloud_tolerations: Vec<Json>,
    /// Image tag of UpCloud CSI snapshotter.
    pub upcloud_csi_snapshotter_image_tag: String,
}

/// The CSI driver of AWS.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct AwsCsi {
    /// Deploy AWS EBS CSI driver.
    pub aws_ebs_csi_enabled: bool,
    /// Version of AWS EBS CSI plugin.
    pub aws_ebs_csi_plugin_version: Version,
    /// Image repository of AWS EBS CSI plugin.
    pub aws_ebs_csi_plugin_image_repo: String,
    /// AWS EBS CSI driver tag (Kubespray's manifests take latest unless it is set).
    pub aws_ebs_csi_plugin_image_tag: String,
    /// Topology-aware EBS scheduling.
    pub aws_ebs_csi_enable_volume_scheduling: bool,
    /// EBS snapshot support.
    pub aws_ebs_csi_enable_volume_snapshot: bool,
    /// EBS resize support.
    pub aws_ebs_csi_enable_volume_resizing: bool,
    /// Replicas of AWS EBS CSI controller.
    pub aws_ebs_csi_controller_replicas: i64,
    /// Restrict EBS class to availability zones.
    pub restrict_az_provisioning: bool,
    /// Allowed EBS availability zones.
    pub aws_ebs_availability_zones: Vec<String>,
    /// Extra tags on EBS volumes.
    pub aws_ebs_csi_extra_volume_tags: Option<String>,
    /// Annotations on EBS controller.
    pub aws_ebs_csi_annotations: Option<Vec<Json>>,
    /// Image digest of AWS EBS CSI plugin (ineffective, see DL-054).
    pub aws_ebs_csi_plugin_digest_checksum: Option<String>,
}
