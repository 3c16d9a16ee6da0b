//! Hosts that have nothing.

use kubespray_resource as r;
use kubespray_resource::{Resource, State};

/// What a host says of a wish when it has nothing of it.
pub fn absent(resource: &Resource) -> State {
    match resource {
        Resource::File(_) => State::File(None),
        Resource::Directory(_) => State::Directory(None),
        Resource::Link(_) => State::Link(None),
        Resource::Absent(_) => State::Absent(r::AbsentState { kind: None }),
        Resource::Block(_) => State::Block(r::PartState { text: None }),
        Resource::Line(_) => State::Line(r::PartState { text: None }),
        Resource::Packages(_) => State::Packages(r::PackagesState {
            installed: std::collections::BTreeMap::new(),
            held: Vec::new(),
            lists_pending: false,
        }),
        Resource::Unit(_) => State::Unit(r::UnitState {
            load: "not-found".into(),
            active: "inactive".into(),
            file: String::new(),
            needs_reload: false,
            restart_pending: false,
        }),
        Resource::Sysctl(_) => State::Sysctl(r::SysctlState { live: None, kept: None }),
        Resource::Module(_) => State::Module(r::ModuleState { loaded: false, available: true, kept: false }),
        Resource::Group(_) => State::Group(None),
        Resource::User(_) => State::User(None),
        Resource::Hostname(_) => State::Hostname(r::HostnameState { live: String::new(), kept: None }),
        Resource::Swap(_) => {
            State::Swap(r::SwapState { active: Vec::new(), fstab: Vec::new(), units: Vec::new() })
        }
        Resource::Download(_) => State::Download(r::DownloadState { digest: None, mode: None, owner: None }),
        Resource::Archive(wish) => State::Archive(r::ArchiveState {
            stale: wish.members.iter().map(|member| member.path.clone()).collect(),
        }),
        Resource::Command(_) => State::Command(r::CommandState { done: false, differs: Vec::new() }),
        Resource::Check(_) => {
            State::Check(r::CheckState { problem: Some("not there".into()), ..r::CheckState::default() })
        }
        Resource::Authority(_) => State::Authority(None),
        Resource::Certificate(_) => State::Certificate(None),
        Resource::CertificateRequest(_) => State::CertificateRequest(r::OnDemandState),
        Resource::Signature(_) => State::Signature(r::OnDemandState),
        Resource::KeyOffer(_) => State::KeyOffer(r::OnDemandState),
        Resource::KeySealing(_) => State::KeySealing(r::OnDemandState),
        Resource::KeyCopy(_) => State::KeyCopy(None),
        Resource::EtcdMember(_) => {
            State::EtcdMember(r::EtcdMemberState { members: Vec::new(), problem: Some("not there".into()) })
        }
        Resource::EtcdHealth(_) => State::EtcdHealth(r::EtcdHealthState {
            wanted: true,
            members: Vec::new(),
            problem: Some("not there".into()),
        }),
        Resource::EtcdSnapshot(_) => State::EtcdSnapshot(r::EtcdSnapshotState {
            wanted: false,
            status: None,
            problem: None,
            surplus: Vec::new(),
        }),
        Resource::Kubeadm(wish) => State::Kubeadm(r::KubeadmState {
            there: wish.witnesses().into_iter().map(|path| (path, false)).collect(),
            ..r::KubeadmState::default()
        }),
        Resource::Object(_) => State::Object(r::ObjectState::Unknown("there is no cluster".into())),
        Resource::NodeState(_) => State::NodeState(r::NodeSeen::Unknown("there is no cluster".into())),
        Resource::Selinux(_) => State::Selinux(r::SelinuxState { live: None, kept: None }),
        Resource::Image(_) => {
            State::Image(r::ImageState { id: None, problem: Some("no engine answers".into()) })
        }
        Resource::ObjectAbsent(_) => State::ObjectAbsent(r::ObjectAbsentState::Unknown("no cluster".into())),
        Resource::Prune(_) => State::Prune(r::PruneState::Unknown("no cluster".into())),
        Resource::Nodes(_) => State::Nodes(r::NodesState::Unknown("there is no cluster".into())),
        Resource::Drain(_) => State::Drain(r::DrainState::Unknown("no cluster".into())),
        other => panic!("what is `{}` when it is not there?", other.title()),
    }
}
