//! One thing that a host should have.

use serde::{Deserialize, Serialize};

use crate::{
    Absent, AbsentState, Archive, ArchiveState, Authority, AuthorityState, Block, Certificate,
    CertificateRequest, CertificateState, Check, CheckState, Command, CommandState, Comparison, Directory,
    DirectoryState, Download, DownloadState, File, FileState, Group, GroupState, Hostname, HostnameState,
    Line, Link, LinkState, MissingSecret, Module, ModuleState, Mount, MountState, OnDemandState, OutcomeKind,
    Packages, PackagesState, PartState, Secrets, Selinux, SelinuxState, Signature, Swap, SwapState, Sysctl,
    SysctlState, Unit, UnitState, User, UserState,
};
use crate::{
    Drain, DrainState, Kubeadm, KubeadmState, NodeSeen, NodeState, Nodes, NodesState, Object, ObjectAbsent,
    ObjectAbsentState, ObjectState, Prune, PruneState,
};
use crate::{
    EtcdHealth, EtcdHealthState, EtcdMember, EtcdMemberState, EtcdRestore, EtcdRestoreState, EtcdSnapshot,
    EtcdSnapshotState, Image, ImageState,
};
use crate::{Gone, GoneState, PutBack, PutBackState};
use crate::{KeyCopy, KeyCopyState, KeyOffer, KeySealing};
use crate::{Reboot, RebootState, SystemUpgrade, SystemUpgradeState};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $state:ty,)*) => {
        /// One thing that a host should have.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Resource {
            $($(#[$doc])* $kind($kind),)*
        }

        /// What a host has instead, of the kind with the same name. `None` within is nothing at all.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum State {
            $($(#[$doc])* $kind($state),)*
        }

        $(impl From<$kind> for Resource {
            fn from(wish: $kind) -> Self {
                Self::$kind(wish)
            }
        })*
    };
}

kinds! {
    /// A file of ours.
    File => Option<FileState>,
    /// A folder.
    Directory => Option<DirectoryState>,
    /// A symbolic link.
    Link => Option<LinkState>,
    /// A path where nothing is.
    Absent => AbsentState,
    /// A block of a file of others.
    Block => PartState,
    /// A line of a file of others.
    Line => PartState,
    /// Packages.
    Packages => PackagesState,
    /// A systemd unit.
    Unit => UnitState,
    /// A kernel parameter.
    Sysctl => SysctlState,
    /// A kernel module.
    Module => ModuleState,
    /// A group.
    Group => Option<GroupState>,
    /// A user.
    User => Option<UserState>,
    /// The host's name.
    Hostname => HostnameState,
    /// No swap.
    Swap => SwapState,
    /// A file system.
    Mount => MountState,
    /// The mode of SELinux.
    Selinux => SelinuxState,
    /// A file from elsewhere.
    Download => DownloadState,
    /// Files out of an archive.
    Archive => ArchiveState,
    /// A command.
    Command => CommandState,
    /// A health check.
    Check => CheckState,
    /// A certificate authority.
    Authority => Option<AuthorityState>,
    /// A request for a certificate.
    CertificateRequest => OnDemandState,
    /// What an authority signs.
    Signature => OnDemandState,
    /// A certificate of the host.
    Certificate => Option<CertificateState>,
    /// An offer to take a copy of a key.
    KeyOffer => OnDemandState,
    /// A key, sealed for one host.
    KeySealing => OnDemandState,
    /// A copy of an authority's key.
    KeyCopy => Option<KeyCopyState>,
    /// A Kubernetes object.
    Object => ObjectState,
    /// No Kubernetes object.
    ObjectAbsent => ObjectAbsentState,
    /// No Kubernetes objects but the wished ones.
    Prune => PruneState,
    /// A Kubernetes node.
    NodeState => NodeSeen,
    /// The nodes of a cluster.
    Nodes => NodesState,
    /// A Kubernetes node without pods.
    Drain => DrainState,
    /// A run of kubeadm.
    Kubeadm => KubeadmState,
    /// A member of an etcd cluster.
    EtcdMember => EtcdMemberState,
    /// An etcd cluster that is well.
    EtcdHealth => EtcdHealthState,
    /// A snapshot of an etcd cluster.
    EtcdSnapshot => EtcdSnapshotState,
    /// Data of an etcd member made of a snapshot.
    EtcdRestore => EtcdRestoreState,
    /// A container image.
    Image => ImageState,
    /// What a cluster leaves beside files and units, and is gone.
    Gone => GoneState,
    /// What was there before.
    PutBack => PutBackState,
    /// All packages of the system, upgraded.
    SystemUpgrade => SystemUpgradeState,
    /// A boot.
    Reboot => RebootState,
}

/// Why a resource and a state cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A secret is missing.
    #[error(transparent)]
    Secret(#[from] MissingSecret),
    /// The state is of another kind.
    #[error("what was observed is of another kind than what is wished")]
    Kind,
}

impl Resource {
    /// How the host differs from the wish.
    pub fn compare(&self, state: &State, secrets: &Secrets) -> Result<Comparison, CompareError> {
        Ok(match (self, state) {
            (Self::File(wish), State::File(state)) => wish.compare(state.as_ref(), secrets)?,
            (Self::Directory(wish), State::Directory(state)) => wish.compare(state.as_ref()),
            (Self::Link(wish), State::Link(state)) => wish.compare(state.as_ref()),
            (Self::Absent(wish), State::Absent(state)) => wish.compare(state),
            (Self::Block(wish), State::Block(state)) => wish.compare(state),
            (Self::Line(wish), State::Line(state)) => wish.compare(state),
            (Self::Packages(wish), State::Packages(state)) => wish.compare(state),
            (Self::Unit(wish), State::Unit(state)) => wish.compare(state),
            (Self::Sysctl(wish), State::Sysctl(state)) => wish.compare(state),
            (Self::Module(wish), State::Module(state)) => wish.compare(state),
            (Self::Group(wish), State::Group(state)) => wish.compare(state.as_ref()),
            (Self::User(wish), State::User(state)) => wish.compare(state.as_ref()),
            (Self::Hostname(wish), State::Hostname(state)) => wish.compare(state),
            (Self::Swap(wish), State::Swap(state)) => wish.compare(state),
            (Self::Mount(wish), State::Mount(state)) => wish.compare(state),
            (Self::Selinux(wish), State::Selinux(state)) => wish.compare(state),
            (Self::Download(wish), State::Download(state)) => wish.compare(state),
            (Self::Archive(wish), State::Archive(state)) => wish.compare(state),
            (Self::Command(wish), State::Command(state)) => wish.compare(state),
            (Self::Check(wish), State::Check(state)) => wish.compare(state),
            (Self::Authority(wish), State::Authority(state)) => wish.compare(state.as_ref()),
            (Self::CertificateRequest(wish), State::CertificateRequest(state)) => wish.compare(state),
            (Self::Signature(wish), State::Signature(state)) => wish.compare(state),
            (Self::Certificate(wish), State::Certificate(state)) => wish.compare(state.as_ref()),
            (Self::KeyOffer(wish), State::KeyOffer(state)) => wish.compare(state),
            (Self::KeySealing(wish), State::KeySealing(state)) => wish.compare(state),
            (Self::KeyCopy(wish), State::KeyCopy(state)) => wish.compare(state.as_ref()),
            (Self::Object(wish), State::Object(state)) => wish.compare(state, secrets)?,
            (Self::ObjectAbsent(wish), State::ObjectAbsent(state)) => wish.compare(state),
            (Self::Prune(wish), State::Prune(state)) => wish.compare(state),
            (Self::NodeState(wish), State::NodeState(state)) => wish.compare(state),
            (Self::Nodes(wish), State::Nodes(state)) => wish.compare(state),
            (Self::Drain(wish), State::Drain(state)) => wish.compare(state),
            (Self::Kubeadm(wish), State::Kubeadm(state)) => wish.compare(state),
            (Self::EtcdMember(wish), State::EtcdMember(state)) => wish.compare(state),
            (Self::EtcdHealth(wish), State::EtcdHealth(state)) => wish.compare(state),
            (Self::EtcdSnapshot(wish), State::EtcdSnapshot(state)) => wish.compare(state),
            (Self::EtcdRestore(wish), State::EtcdRestore(state)) => wish.compare(state),
            (Self::Image(wish), State::Image(state)) => wish.compare(state),
            (Self::Gone(wish), State::Gone(state)) => wish.compare(state),
            (Self::PutBack(wish), State::PutBack(state)) => wish.compare(state),
            (Self::SystemUpgrade(wish), State::SystemUpgrade(state)) => wish.compare(state),
            (Self::Reboot(wish), State::Reboot(state)) => wish.compare(state),
            _ => return Err(CompareError::Kind),
        })
    }

    /// What removing the differences amounts to.
    pub fn outcome_kind(&self, state: &State) -> OutcomeKind {
        match (self, state) {
            (
                Self::Absent(_)
                | Self::ObjectAbsent(_)
                | Self::Prune(_)
                | Self::Gone(_)
                | Self::PutBack(PutBack::Nothing { .. }),
                _,
            ) => OutcomeKind::Removed,
            (_, State::Object(ObjectState::Absent)) => OutcomeKind::Created,
            (Self::EtcdMember(EtcdMember { present: false, .. }), _) => OutcomeKind::Removed,
            (Self::EtcdMember(wish), State::EtcdMember(state)) if wish.find(&state.members).is_none() => {
                OutcomeKind::Created
            }
            (_, State::EtcdSnapshot(EtcdSnapshotState { status: None, .. })) => OutcomeKind::Created,
            (_, State::EtcdRestore(EtcdRestoreState { has_data: false, .. })) => OutcomeKind::Created,
            (_, State::Image(_)) => OutcomeKind::Created,
            (
                _,
                State::File(None)
                | State::Directory(None)
                | State::Link(None)
                | State::Group(None)
                | State::User(None)
                | State::Download(DownloadState { digest: None, .. })
                | State::Authority(None)
                | State::Certificate(None)
                | State::CertificateRequest(_)
                | State::Signature(_)
                | State::KeyOffer(_)
                | State::KeySealing(_)
                | State::KeyCopy(None),
            ) => OutcomeKind::Created,
            (Self::Block(Block { text: None, .. }) | Self::Line(Line { line: None, .. }), _) => {
                OutcomeKind::Removed
            }
            _ => OutcomeKind::Updated,
        }
    }

    /// A short name of the kind, as serialised.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Directory(_) => "directory",
            Self::Link(_) => "link",
            Self::Absent(_) => "absent",
            Self::Block(_) => "block",
            Self::Line(_) => "line",
            Self::Packages(_) => "packages",
            Self::Unit(_) => "unit",
            Self::Sysctl(_) => "sysctl",
            Self::Module(_) => "module",
            Self::Group(_) => "group",
            Self::User(_) => "user",
            Self::Hostname(_) => "hostname",
            Self::Swap(_) => "swap",
            Self::Mount(_) => "mount",
            Self::Selinux(_) => "selinux",
            Self::Download(_) => "download",
            Self::Archive(_) => "archive",
            Self::Command(_) => "command",
            Self::Check(_) => "check",
            Self::Authority(_) => "authority",
            Self::CertificateRequest(_) => "certificate_request",
            Self::Signature(_) => "signature",
            Self::Certificate(_) => "certificate",
            Self::KeyOffer(_) => "key_offer",
            Self::KeySealing(_) => "key_sealing",
            Self::KeyCopy(_) => "key_copy",
            Self::Object(_) => "object",
            Self::ObjectAbsent(_) => "object_absent",
            Self::Prune(_) => "prune",
            Self::NodeState(_) => "node_state",
            Self::Nodes(_) => "nodes",
            Self::Drain(_) => "drain",
            Self::Kubeadm(_) => "kubeadm",
            Self::EtcdMember(_) => "etcd_member",
            Self::EtcdHealth(_) => "etcd_health",
            Self::EtcdSnapshot(_) => "etcd_snapshot",
            Self::EtcdRestore(_) => "etcd_restore",
            Self::Image(_) => "image",
            Self::Gone(_) => "gone",
            Self::PutBack(_) => "put_back",
            Self::SystemUpgrade(_) => "system_upgrade",
            Self::Reboot(_) => "reboot",
        }
    }

    /// What it is about, for people: `file /etc/hosts`.
    pub fn title(&self) -> String {
        let about = match self {
            Self::File(File { path, .. })
            | Self::Directory(Directory { path, .. })
            | Self::Link(Link { path, .. })
            | Self::Absent(Absent { path, .. })
            | Self::Block(Block { path, .. })
            | Self::Line(Line { path, .. })
            | Self::Mount(Mount { path, .. })
            | Self::Download(Download { path, .. })
            | Self::Archive(Archive { path, .. })
            | Self::Authority(Authority { certificate_path: path, .. })
            | Self::Certificate(Certificate { path, .. })
            | Self::KeyOffer(KeyOffer { path })
            | Self::KeySealing(KeySealing { key_path: path, .. })
            | Self::KeyCopy(KeyCopy { path, .. }) => path.clone(),
            Self::CertificateRequest(CertificateRequest { subject, .. })
            | Self::Signature(Signature { subject, .. }) => subject.to_string(),
            Self::Packages(packages) => packages.wishes.keys().cloned().collect::<Vec<_>>().join(" "),
            Self::Unit(Unit { name, .. })
            | Self::Module(Module { name, .. })
            | Self::Group(Group { name, .. })
            | Self::User(User { name, .. })
            | Self::Hostname(Hostname { name })
            | Self::Check(Check { name, .. }) => name.clone(),
            Self::Sysctl(sysctl) => sysctl.key.clone(),
            Self::Swap(_) => "off".to_owned(),
            Self::Selinux(selinux) => selinux.mode.to_string(),
            Self::Command(command) => command.title(),
            Self::Object(object) => {
                object.reference().map_or_else(|error| error, |object| object.to_string())
            }
            Self::ObjectAbsent(absent) => absent.object.to_string(),
            Self::Prune(prune) => prune.component.clone(),
            Self::NodeState(NodeState { name, .. }) | Self::Drain(Drain { node: name, .. }) => name.clone(),
            Self::Nodes(nodes) => nodes.kubeconfig.clone(),
            Self::Kubeadm(kubeadm) => kubeadm.command(),
            Self::EtcdMember(member) => member.name.clone(),
            Self::EtcdHealth(health) => health.client.endpoints.join(","),
            Self::EtcdSnapshot(snapshot) => snapshot.path.clone(),
            Self::EtcdRestore(restore) => restore.data_dir.clone(),
            Self::Image(image) => image.reference.clone(),
            Self::Gone(gone) => return gone.to_string(),
            Self::PutBack(put_back) => return put_back.to_string(),
            Self::SystemUpgrade(_) => return "packages of the system".to_owned(),
            Self::Reboot(reboot) => return reboot.to_string(),
        };
        let kind = match self {
            Self::Absent(_) => "path",
            Self::CertificateRequest(_) => "certificate request",
            Self::KeyOffer(_) => "offer for the key",
            Self::KeySealing(_) => "sealed key",
            Self::KeyCopy(_) => "copy of the key",
            Self::ObjectAbsent(_) => "object",
            Self::NodeState(_) => "node",
            other => other.kind(),
        };
        format!("{kind} {about}")
    }

    /// The names of secrets that applying it needs.
    pub fn secret_names(&self) -> Vec<String> {
        match self {
            Self::File(file) => file.content.secret_names().into_iter().map(str::to_owned).collect(),
            Self::Command(command) => {
                let stdin = crate::Content::Secret(command.stdin.clone().unwrap_or_default());
                stdin.secret_names().into_iter().map(str::to_owned).collect()
            }
            Self::Object(object) => object.secret_names(),
            Self::Image(image) => image.auth.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// The file of the host that it is made of.
    pub fn made_of(&self) -> Option<&str> {
        match self {
            Self::Archive(wish) => Some(&wish.path),
            Self::File(wish) => match &wish.content {
                crate::Content::CopyOf { path, .. } => Some(path),
                _ => None,
            },
            _ => None,
        }
    }

    /// What it waits for: inputs whose change makes it do something although it looks as it should.
    pub fn awaits(&self) -> Option<crate::Token> {
        match self {
            Self::Unit(unit) => Some(crate::Token::restart_of(&unit.name)),
            Self::Packages(packages) => Some(packages.lists_token()),
            Self::Reboot(_) => Some(crate::Token::reboot()),
            Self::Command(crate::Command { guards, .. })
            | Self::Kubeadm(Kubeadm { action: crate::KubeadmAction::Phase { guards, .. }, .. }) => {
                guards.iter().find_map(|guard| match guard {
                    crate::Guard::Pending(token) => Some(token.clone()),
                    _ => None,
                })
            }
            Self::EtcdSnapshot(snapshot) => snapshot.when.clone(),
            Self::EtcdHealth(health) => health.when.clone(),
            Self::Gone(gone) => gone.is_made_by_clusters().then(Gone::runs_on),
            _ => None,
        }
    }
}
