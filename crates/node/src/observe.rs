//! What a host has.

use kubespray_resource::{Failure, OnDemandState, Resource, State, StepId};

use crate::kinds::{
    account, archive, authority, certificate, check, command, download, file, host as host_kinds, module,
    mount, packages, part, path, sysctl, unit,
};
use crate::kinds::{drain, kubeadm, node_state, nodes, object, prune};
use crate::kinds::{etcd, gone, image, key_copy, put_back, reboot, system_upgrade};
use crate::{Host, View};

/// What a host has of several resources, at the cost of one program for all units and one for all packages.
pub fn observe_all(host: &dyn Host, items: &[(StepId, Resource)]) -> Vec<(StepId, Result<State, Failure>)> {
    let view = View::new(host, items.iter().map(|(_, resource)| resource));
    let observed = items.iter().map(|(step, resource)| (step.clone(), observe(&view, resource))).collect();
    view.keep_digests();
    observed
}

/// What a host has of a resource.
pub fn observe(view: &View<'_>, resource: &Resource) -> Result<State, Failure> {
    Ok(match resource {
        Resource::File(wish) => State::File(file::observe(view, wish)?),
        Resource::Directory(wish) => State::Directory(path::observe_directory(view, wish)?),
        Resource::Link(wish) => State::Link(path::observe_link(view, wish)?),
        Resource::Absent(wish) => State::Absent(path::observe_absent(view, wish)?),
        Resource::Block(wish) => State::Block(part::observe(view, &wish.path)?),
        Resource::Line(wish) => State::Line(part::observe(view, &wish.path)?),
        Resource::Packages(wish) => State::Packages(packages::observe(view, wish)?),
        Resource::Unit(wish) => State::Unit(unit::observe(view, wish)?),
        Resource::Sysctl(wish) => State::Sysctl(sysctl::observe(view, wish)?),
        Resource::Module(wish) => State::Module(module::observe(view, wish)?),
        Resource::Group(wish) => State::Group(account::observe_group(view, wish)?),
        Resource::User(wish) => State::User(account::observe_user(view, wish)?),
        Resource::Hostname(_) => State::Hostname(host_kinds::observe_hostname(view)?),
        Resource::Swap(_) => State::Swap(host_kinds::observe_swap(view)?),
        Resource::Selinux(_) => State::Selinux(host_kinds::observe_selinux(view)?),
        Resource::Mount(wish) => State::Mount(mount::observe(view, wish)?),
        Resource::Download(wish) => State::Download(download::observe(view, wish)?),
        Resource::Archive(wish) => State::Archive(archive::observe(view, wish)?),
        Resource::Command(wish) => State::Command(command::observe(view, wish)?),
        Resource::EtcdMember(wish) => State::EtcdMember(etcd::observe_member(view, wish)?),
        Resource::EtcdHealth(wish) => State::EtcdHealth(etcd::observe_health(view, wish)?),
        Resource::EtcdSnapshot(wish) => State::EtcdSnapshot(etcd::observe_snapshot(view, wish)?),
        Resource::EtcdRestore(wish) => State::EtcdRestore(etcd::observe_restore(view, wish)?),
        Resource::Image(wish) => State::Image(image::observe(view, wish)?),
        Resource::Gone(wish) => State::Gone(gone::observe(view, wish)?),
        Resource::PutBack(wish) => State::PutBack(put_back::observe(view, wish)?),
        Resource::SystemUpgrade(wish) => State::SystemUpgrade(system_upgrade::observe(view, wish)?),
        Resource::Reboot(wish) => State::Reboot(reboot::observe(view, wish)?),
        Resource::Check(wish) => State::Check(check::observe(view, wish)?),
        Resource::Authority(wish) => State::Authority(authority::observe(view, wish)?),
        Resource::CertificateRequest(_) => State::CertificateRequest(OnDemandState),
        Resource::Signature(_) => State::Signature(OnDemandState),
        Resource::Certificate(wish) => State::Certificate(certificate::observe(view, wish)?),
        Resource::KeyOffer(_) => State::KeyOffer(OnDemandState),
        Resource::KeySealing(_) => State::KeySealing(OnDemandState),
        Resource::KeyCopy(wish) => State::KeyCopy(key_copy::observe(view, wish)?),
        Resource::Object(wish) => State::Object(object::observe(view, wish)?),
        Resource::ObjectAbsent(wish) => State::ObjectAbsent(object::observe_absent(view, wish)?),
        Resource::Prune(wish) => State::Prune(prune::observe(view, wish)?),
        Resource::NodeState(wish) => State::NodeState(node_state::observe(view, wish)?),
        Resource::Nodes(wish) => State::Nodes(nodes::observe(view, wish)?),
        Resource::Drain(wish) => State::Drain(drain::observe(view, wish)?),
        Resource::Kubeadm(wish) => State::Kubeadm(kubeadm::observe(view, wish)?),
    })
}
