//! What a cluster leaves in a running host beside files and units. A program that is not there left nothing.

mod filters;
mod network;
mod running;

use kubespray_resource::{Failure, Gone, GoneState, PathKind};

use super::{account, packages, run};
use crate::{Host, HostError, Output, Spawn, View};

/// What is still there.
pub(crate) fn observe(view: &View<'_>, wish: &Gone) -> Result<GoneState, Failure> {
    let host = view.host;
    let found = match wish {
        Gone::Pods { crictl, endpoint, .. } => running::pods(host, crictl, endpoint)?,
        Gone::Processes(groups) => running::processes(host, groups)?,
        Gone::Mounts { below, kept } => running::mounts(host, below, kept)?,
        Gone::Namespaces(prefix) => network::namespaces(host, prefix)?,
        Gone::Interfaces { names, prefixes, configurations } => {
            network::interfaces(host, names, prefixes, configurations)?
        }
        Gone::Routes { protocols, networks } => network::routes(host, protocols, networks)?,
        Gone::VirtualServers { interface, ports } => network::virtual_servers(host, interface, *ports)?,
        Gone::Filters { .. } => filters::found(host, wish)?,
        Gone::Tree { path, keep_root: true } => host.list(path)?,
        Gone::Tree { path, keep_root: false } => {
            host.metadata(path)?.map(|is| is.kind.to_string()).into_iter().collect()
        }
        Gone::Folder { path, but } => {
            let is_folder = host.metadata(path)?.is_some_and(|is| is.kind == PathKind::Directory);
            let is_left = is_folder && host.list(path)?.iter().all(|name| but.contains(name));
            is_left.then(|| path.clone()).into_iter().collect()
        }
        Gone::User(name) => account::has_user(view, name)?.then(|| name.clone()).into_iter().collect(),
        Gone::Group(name) => account::has_group(view, name)?.then(|| name.clone()).into_iter().collect(),
        Gone::Packages { manager, names } => packages::unneeded(host, *manager, names)?,
    };
    Ok(GoneState { found })
}

/// Takes it away.
pub(crate) fn apply(host: &dyn Host, wish: &Gone, state: &GoneState) -> Result<(), Failure> {
    match wish {
        Gone::Pods { crictl, endpoint, grace_s } => {
            running::end_pods(host, crictl, endpoint, *grace_s, &state.found)
        }
        Gone::Processes(groups) => running::kill(host, groups),
        Gone::Mounts { .. } => running::unmount(host, &state.found),
        Gone::Namespaces(_) => network::remove_namespaces(host, &state.found),
        Gone::Interfaces { .. } => state
            .found
            .iter()
            .try_for_each(|name| run(host, &["ip", "link", "delete", "dev", name]).map(drop)),
        Gone::Routes { .. } => network::remove_routes(host, &state.found),
        Gone::VirtualServers { .. } => network::remove_virtual_servers(host, &state.found),
        Gone::Filters { .. } => filters::remove(host, wish),
        Gone::Tree { path, keep_root } => {
            let paths = if *keep_root {
                state.found.iter().map(|name| format!("{path}/{name}")).collect()
            } else {
                vec![path.clone()]
            };
            paths.iter().try_for_each(|path| remove_tree(host, path))
        }
        Gone::Folder { path, .. } => Ok(host.remove(path, false)?),
        Gone::User(name) => run(host, &["userdel", "--", name]).map(drop),
        Gone::Group(name) => run(host, &["groupdel", "--", name]).map(drop),
        Gone::Packages { manager, .. } => packages::purge(host, *manager, &state.found),
    }
}

/// Files of volumes may have been made immutable.
fn remove_tree(host: &dyn Host, path: &str) -> Result<(), Failure> {
    match host.remove(path, true) {
        Err(HostError::Refused { .. }) => {
            if_there(host, &["chattr", "-R", "-f", "-i", "--", path])?;
            Ok(host.remove(path, true)?)
        }
        other => Ok(other?),
    }
}

/// Runs a program where the host has it.
fn if_there(host: &dyn Host, argv: &[&str]) -> Result<Option<Output>, Failure> {
    spawn_if_there(host, &Spawn::new(argv.iter().copied()))
}

fn spawn_if_there(host: &dyn Host, spawn: &Spawn) -> Result<Option<Output>, Failure> {
    match host.run(spawn) {
        Ok(output) => Ok(Some(output)),
        Err(HostError::NoProgram(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The lines that a program printed, where the host has it and it succeeded.
fn lines_of(host: &dyn Host, argv: &[&str]) -> Result<Vec<String>, Failure> {
    let output = if_there(host, argv)?.filter(Output::is_success);
    Ok(output.map(|output| output.stdout.lines().map(str::to_owned).collect()).unwrap_or_default())
}
