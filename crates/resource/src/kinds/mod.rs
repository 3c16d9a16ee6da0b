//! The kinds of resources, one file each: what is wished, what a host can have instead, how both compare.

mod account;
mod archive;
mod assertion;
mod authority;
mod certificate;
mod check;
mod command;
mod download;
mod drain;
mod etcd;
mod file;
mod gone;
mod host;
mod identity;
mod image;
mod key_copy;
mod kubeadm;
mod manifest;
mod module;
mod mount;
mod node_state;
mod nodes;
mod object;
mod packages;
mod part;
mod path;
mod prune;
mod put_back;
mod reboot;
mod sysctl;
mod system_upgrade;
mod trial;
mod unit;

pub use account::{Group, GroupState, User, UserState};
pub use archive::{Archive, ArchiveState, Member};
pub use assertion::{Assertion, Namespaces, NodeMust, Program};
pub use authority::{Authority, AuthorityState, OnDemandState, Signature};
pub use certificate::{Certificate, CertificateFacts, CertificateRequest, CertificateState};
pub use check::{Check, CheckState, ObjectMust, Probe, condition_problem};
pub use command::{Command, CommandState, Guard};
pub use download::{Download, DownloadState};
pub use drain::{Drain, DrainFallback, DrainPod, DrainState};
pub use etcd::{
    EtcdChange, EtcdClient, EtcdExpected, EtcdHealth, EtcdHealthState, EtcdKeep, EtcdListed, EtcdMember,
    EtcdMemberState, EtcdQuorum, EtcdRestore, EtcdRestoreState, EtcdSeen, EtcdSnapshot, EtcdSnapshotState,
    EtcdSnapshotStatus, EtcdStatus,
};
pub use file::{File, FileState};
pub use gone::{Gone, GoneState};
pub use host::{Hostname, HostnameState, Selinux, SelinuxMode, SelinuxState, Swap, SwapState};
pub use identity::{AlternativeName, KeyAlgorithm, KeyFile, KeyState, Subject, Usage};
pub use image::{Image, ImageEngine, ImageSource, ImageState, whole_reference};
pub use key_copy::{KeyCopy, KeyCopyState, KeyOffer, KeySealing};
pub use kubeadm::{KUBEADM_BEGUN, Kubeadm, KubeadmAction, KubeadmProgress, KubeadmState};
pub use manifest::ManifestFlags;
pub use module::{Module, ModuleState};
pub use mount::{Mount, MountState};
pub use node_state::{
    CORDONED_BY_ANNOTATION, LABELS_ANNOTATION, NodeChange, NodePresent, NodeSeen, NodeState,
    TAINTS_ANNOTATION,
};
pub use nodes::{NodeListed, Nodes, NodesState};
pub use object::{
    COMPONENT_ANNOTATION, FIELD_MANAGER, MANAGED_BY_LABEL, Object, ObjectAbsent, ObjectAbsentState,
    ObjectRef, ObjectSeen, ObjectState,
};
pub use packages::{PackageManager, PackageWish, Packages, PackagesState};
pub use part::{Block, Line, PartState};
pub use path::{Absent, AbsentState, Directory, DirectoryState, Link, LinkState, PathKind};
pub use prune::{ObjectKind, Prune, PruneState};
pub use put_back::{PutBack, PutBackState};
pub use reboot::{Reboot, RebootState};
pub use sysctl::{Sysctl, SysctlState};
pub use system_upgrade::{PackageChange, SystemUpgrade, SystemUpgradeState};
pub use trial::{PodSeen, PodsSeen, ServiceSeen, Trial, TrialTarget};
pub use unit::{Running, Unit, UnitState};

/// A value in a difference: nothing where it is not there.
fn shown<T: ToString>(value: Option<&T>) -> Option<String> {
    value.map(ToString::to_string)
}
