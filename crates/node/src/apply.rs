//! Making a host as wished: observe, compare, act, observe and compare again.

use kubespray_resource::{
    CompareError, Comparison, Failure, Gone, ImageState, KubeadmAction, Outcome, Resource, Secrets, State,
};

use crate::failure::{impossible, missing_secret};
use crate::kinds::{
    account, archive, authority, certificate, check, command, download, file, host as host_kinds, module,
    mount, packages, part, path, sysctl, unit,
};
use crate::kinds::{drain, kubeadm, node_state, object, prune};
use crate::kinds::{etcd, gone, image, key_copy, put_back, reboot, system_upgrade};
use crate::{Host, View, observe};

/// Makes a host as wished and proves it, but for what a wish can do without: that is told ([`Outcome::shortfall`]). `before_change` is called once with what is there, right before the first
/// effect, and not at all where nothing differs. A difference that stays is a failure that names it.
pub fn apply(
    host: &dyn Host,
    resource: &Resource,
    secrets: &Secrets,
    before_change: &mut dyn FnMut(&State) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let (state, comparison) = look(host, resource, secrets)?;
    if comparison.is_same() {
        return Ok(Outcome { output: state.output().map(str::to_owned), ..Outcome::unchanged() });
    }
    if let Some(missing) = resource.takes_for(&comparison).first() {
        return Err(impossible(format!("the output of `{missing}` is not there"))
            .hint("the step that gives it must be part of the run"));
    }
    before_change(&state)?;
    let kind = resource.outcome_kind(&state);
    let mut shortfall = None;
    let output = match resource {
        Resource::CertificateRequest(wish) => Some(certificate::request(host, wish)?),
        Resource::Signature(wish) => Some(authority::sign(host, wish)?),
        Resource::KeyOffer(wish) => Some(key_copy::offer(host, wish)?),
        Resource::KeySealing(wish) => Some(key_copy::seal(host, wish)?),
        Resource::Drain(wish) => {
            shortfall = drain::apply(host, wish)?;
            if shortfall.is_none() {
                verify(host, resource, secrets)?;
            }
            None
        }
        _ => {
            act(host, resource, &state, secrets)?;
            if is_proved(resource) {
                None
            } else {
                verify(host, resource, secrets)?.output().map(str::to_owned)
            }
        }
    };
    Ok(Outcome { kind, changes: comparison.changes, output, shortfall })
}

/// Whether having been done without an error is all the proof there is: a check that was waited for has been seen
/// to be true.
fn is_proved(resource: &Resource) -> bool {
    match resource {
        Resource::Check(_) | Resource::Command(_) | Resource::EtcdHealth(_) => true,
        // Pods that cannot be ended in order are left to their processes' end.
        Resource::Gone(Gone::Pods { .. }) => true,
        Resource::Kubeadm(wish) => matches!(wish.action, KubeadmAction::Phase { .. }),
        _ => false,
    }
}

/// Whether what was done outlasts a loss of power as soon as it is done: files are synced when they are written, and
/// objects are not on this host. What programs did is only on the disk when the end of its step is. A step whose end
/// was lost is looked at again and found as it should be.
pub(crate) fn lasts_at_once(resource: &Resource) -> bool {
    matches!(
        resource,
        Resource::File(_)
            | Resource::Directory(_)
            | Resource::Link(_)
            | Resource::Block(_)
            | Resource::Line(_)
            | Resource::Download(_)
            | Resource::Archive(_)
            | Resource::Object(_)
    )
}

fn look(host: &dyn Host, resource: &Resource, secrets: &Secrets) -> Result<(State, Comparison), Failure> {
    let view = View::new(host, [resource]);
    let state = observe(&view, resource)?;
    view.keep_digests();
    let comparison = resource.compare(&state, secrets).map_err(|error| match error {
        CompareError::Secret(error) => missing_secret(error),
        error @ CompareError::Kind => impossible(error.to_string()),
    })?;
    Ok((state, comparison))
}

fn verify(host: &dyn Host, resource: &Resource, secrets: &Secrets) -> Result<State, Failure> {
    let (state, comparison) = look(host, resource, secrets)?;
    let Some(change) = comparison.changes.first() else { return Ok(state) };
    let nothing = || "nothing".to_owned();
    let shown = match (&change.from, &change.to) {
        (None, None) => format!("`{}` still differs", change.what),
        (from, to) => format!(
            "`{}` is still {} in place of {}",
            change.what,
            from.clone().unwrap_or_else(nothing),
            to.clone().unwrap_or_else(nothing)
        ),
    };
    let failure = Failure::of_host(format!("{} was changed, but {shown}", resource.title()));
    // What cannot even be looked at says so itself, and nobody changed it back.
    if let State::Image(ImageState { problem: Some(problem), .. }) = &state {
        return Err(Failure::of_host(format!("{}: {problem}", resource.title())));
    }
    Err(match resource {
        Resource::Unit(unit) => unit::with_evidence(host, &unit.name, failure),
        Resource::SystemUpgrade(wish) => failure.hint(format!(
            "`{}` leaves it out: its own upgrade on the host tells why; hold the package, or repair its source",
            wish.manager
        )),
        _ => failure.hint("something else on the host may be changing it back"),
    })
}

fn act(host: &dyn Host, resource: &Resource, state: &State, secrets: &Secrets) -> Result<(), Failure> {
    match (resource, state) {
        (Resource::File(wish), State::File(state)) => file::apply(host, wish, state.as_ref(), secrets),
        (Resource::Directory(wish), State::Directory(state)) => {
            path::apply_directory(host, wish, state.as_ref())
        }
        (Resource::Link(wish), State::Link(state)) => path::apply_link(host, wish, state.as_ref()),
        (Resource::Absent(wish), _) => path::apply_absent(host, wish),
        (Resource::Block(wish), State::Block(state)) => part::apply_block(host, wish, state),
        (Resource::Line(wish), State::Line(state)) => part::apply_line(host, wish, state),
        (Resource::Packages(wish), State::Packages(state)) => packages::apply(host, wish, state),
        (Resource::Unit(wish), State::Unit(state)) => unit::apply(host, wish, state),
        (Resource::Sysctl(wish), State::Sysctl(state)) => sysctl::apply(host, wish, state),
        (Resource::Module(wish), State::Module(state)) => module::apply(host, wish, state),
        (Resource::Group(wish), State::Group(state)) => account::apply_group(host, wish, state.as_ref()),
        (Resource::User(wish), State::User(state)) => account::apply_user(host, wish, state.as_ref()),
        (Resource::Hostname(wish), State::Hostname(_)) => host_kinds::apply_hostname(host, wish),
        (Resource::Swap(_), State::Swap(state)) => host_kinds::apply_swap(host, state),
        (Resource::Selinux(wish), State::Selinux(state)) => host_kinds::apply_selinux(host, wish, state),
        (Resource::Mount(wish), State::Mount(state)) => mount::apply(host, wish, state),
        (Resource::Download(wish), State::Download(state)) => download::apply(host, wish, state),
        (Resource::Archive(wish), State::Archive(state)) => archive::apply(host, wish, state),
        (Resource::Command(wish), _) => command::apply(host, wish, secrets),
        (Resource::Check(wish), _) => check::apply(host, wish),
        (Resource::Authority(wish), State::Authority(state)) => authority::apply(host, wish, state.as_ref()),
        (Resource::Certificate(wish), State::Certificate(state)) => {
            certificate::apply(host, wish, state.as_ref())
        }
        (Resource::KeyCopy(wish), State::KeyCopy(state)) => key_copy::apply(host, wish, state.as_ref()),
        (Resource::Object(wish), State::Object(state)) => object::apply(host, wish, state, secrets),
        (Resource::ObjectAbsent(wish), _) => object::apply_absent(host, wish),
        (Resource::Prune(wish), _) => prune::apply(host, wish),
        (Resource::NodeState(wish), _) => node_state::apply(host, wish),
        // There is nothing to make true.
        (Resource::Nodes(_), _) => Ok(()),
        (Resource::Kubeadm(wish), State::Kubeadm(state)) => kubeadm::apply(host, wish, state),
        (Resource::EtcdMember(wish), _) => etcd::apply_member(host, wish),
        (Resource::EtcdHealth(wish), _) => etcd::apply_health(host, wish),
        (Resource::EtcdSnapshot(wish), State::EtcdSnapshot(state)) => etcd::apply_snapshot(host, wish, state),
        (Resource::EtcdRestore(wish), State::EtcdRestore(state)) => etcd::apply_restore(host, wish, state),
        (Resource::Image(wish), _) => image::apply(host, wish, secrets),
        (Resource::Gone(wish), State::Gone(state)) => gone::apply(host, wish, state),
        (Resource::PutBack(wish), State::PutBack(state)) => put_back::apply(host, wish, state),
        (Resource::SystemUpgrade(wish), _) => system_upgrade::apply(host, wish),
        (Resource::Reboot(wish), _) => reboot::apply(host, wish),
        _ => Err(impossible(CompareError::Kind.to_string())),
    }
}
