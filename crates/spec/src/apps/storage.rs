//! Settings: what CSI drivers share; Volume snapshots; the provisioner of local volumes; the
//! provisioner of local paths; Storage classes of clouds.

use indexmap::IndexMap;
use kubespray_catalog::Version;
use serde::{Deserialize, Serialize};

use crate::choices::LocalPathProvisionerReclaimPolicy;
use crate::types::{Json, JsonMap};

/// What CSI drivers share.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Csi {
    /// Deploy CSI snapshot controller.
    pub csi_snapshot_controller_enabled: bool,
    /// Image repository of CSI attacher.
    pub csi_attacher_image_repo: String,
    /// Image tag of CSI attacher.
    pub csi_attacher_image_tag: String,
    /// Image repository of CSI provisioner.
    pub csi_provisioner_image_repo: String,
    /// Image tag of CSI provisioner.
    pub csi_provisioner_image_tag: String,
    /// Image repository of CSI snapshotter.
    pub csi_snapshotter_image_repo: String,
    /// Image tag of CSI snapshotter.
    pub csi_snapshotter_image_tag: String,
    /// Image repository of CSI resizer.
    pub csi_resizer_image_repo: String,
    /// Image tag of CSI resizer.
    pub csi_resizer_image_tag: String,
    /// Image repository of CSI node driver registrar.
    pub csi_node_driver_registrar_image_repo: String,
    /// Image tag of CSI node driver registrar.
    pub csi_node_driver_registrar_image_tag: String,
    /// Image repository of CSI livenessprobe.
    pub csi_livenessprobe_image_repo: String,
    /// Image tag of CSI livenessprobe.
    pub csi_livenessprobe_image_tag: String,
    /// Image digest of CSI attacher (ineffective, see DL-054).
    pub csi_attacher_digest_checksum: Option<String>,
    /// Image digest of CSI livenessprobe (ineffective, see DL-054).
    pub csi_livenessprobe_digest_checksum: Option<String>,
    /// Image digest of CSI node driver registrar (ineffective, see DL-054).
    pub csi_node_driver_registrar_digest_checksum: Option<String>,
    /// Image digest of CSI provisioner (ineffective, see DL-054).
    pub csi_provisioner_digest_checksum: Option<String>,
    /// Image digest of CSI resizer (ineffective, see DL-054).
    pub csi_resizer_digest_checksum: Option<String>,
    /// Image digest of CSI snapshotter (ineffective, see DL-054).
    pub csi_snapshotter_digest_checksum: Option<String>,
}

/// Volume snapshots.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct CsiSnapshots {
    /// Snapshot controller tags per Kubernetes minor.
    pub snapshot_controller_supported_versions: IndexMap<String, String>,
    /// Image repository of snapshot controller.
    pub snapshot_controller_image_repo: String,
    /// Image tag of snapshot controller.
    pub snapshot_controller_image_tag: String,
    /// Volume snapshot classes to create.
    pub snapshot_classes: Vec<Json>,
    /// Replicas of snapshot controller.
    pub snapshot_controller_replicas: i64,
    /// Namespace of snapshot controller.
    pub snapshot_controller_namespace: String,
    /// Image digest of snapshot controller (ineffective, see DL-054).
    pub snapshot_controller_digest_checksum: Option<String>,
}

/// The provisioner of local volumes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LocalVolumeProvisioner {
    /// Deploy local volume static provisioner.
    pub local_volume_provisioner_enabled: bool,
    /// Mode of local volume discovery directories.
    pub local_volume_provisioner_directory_mode: String,
    /// Local volume classes with directories and modes.
    pub local_volume_provisioner_storage_classes: JsonMap,
    /// Version of local volume provisioner.
    pub local_volume_provisioner_version: Version,
    /// Image repository of local volume provisioner.
    pub local_volume_provisioner_image_repo: String,
    /// Image tag of local volume provisioner.
    pub local_volume_provisioner_image_tag: String,
    /// Namespace of local volume provisioner.
    pub local_volume_provisioner_namespace: String,
    /// Node labels copied to local volumes.
    pub local_volume_provisioner_nodelabels: Vec<String>,
    /// Tolerations of local volume provisioner.
    pub local_volume_provisioner_tolerations: Vec<Json>,
    /// Identify nodes by name only.
    pub local_volume_provisioner_use_node_name_only: bool,
    /// Verbosity of local volume provisioner.
    pub local_volume_provisioner_log_level: i64,
    /// Name of default local volume class.
    pub local_volume_provisioner_storage_class: Option<String>,
    /// Host directory of default local class.
    pub local_volume_provisioner_base_dir: Option<String>,
    /// Mount directory of default local class.
    pub local_volume_provisioner_mount_dir: Option<String>,
    /// Image digest of local volume provisioner (ineffective, see DL-054).
    pub local_volume_provisioner_digest_checksum: Option<String>,
}

/// The provisioner of local paths.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LocalPathProvisioner {
    /// Deploy local-path provisioner.
    pub local_path_provisioner_enabled: bool,
    /// Version of local path provisioner.
    pub local_path_provisioner_version: Version,
    /// Image repository of local path provisioner.
    pub local_path_provisioner_image_repo: String,
    /// Image tag of local path provisioner.
    pub local_path_provisioner_image_tag: String,
    /// Namespace of local path provisioner.
    pub local_path_provisioner_namespace: String,
    /// Storage class name of local-path.
    pub local_path_provisioner_storage_class: String,
    /// Reclaim policy of local-path.
    pub local_path_provisioner_reclaim_policy: LocalPathProvisionerReclaimPolicy,
    /// Host directory for local-path volumes.
    pub local_path_provisioner_claim_root: String,
    /// Make local-path the default class.
    pub local_path_provisioner_is_default_storageclass: bool,
    /// Verbose local-path provisioner.
    pub local_path_provisioner_debug: bool,
    /// Image repository of local path provisioner helper.
    pub local_path_provisioner_helper_image_repo: String,
    /// Image tag of local path provisioner helper.
    pub local_path_provisioner_helper_image_tag: String,
    /// Resource settings of local path provisioner.
    pub local_path_provisioner_resources: JsonMap,
    /// Image digest of local path provisioner (ineffective, see DL-054).
    pub local_path_provisioner_digest_checksum: Option<String>,
}

/// Storage classes of clouds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct PersistentVolumes {
    /// Create cloud storage classes.
    pub persistent_volumes_enabled: bool,
    /// Allow volume expansion in created storage classes.
    pub expand_persistent_volumes: bool,
}
