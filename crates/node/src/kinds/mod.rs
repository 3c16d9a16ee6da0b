//! How a host does what each kind of resource asks for; one file each, named as in the crate `resource`.

pub(crate) mod account;
pub(crate) mod archive;
pub(crate) mod assertion;
pub(crate) mod authority;
pub(crate) mod certificate;
pub(crate) mod check;
pub(crate) mod command;
pub(crate) mod download;
pub(crate) mod drain;
pub(crate) mod etcd;
pub(crate) mod file;
pub(crate) mod gone;
pub(crate) mod host;
pub(crate) mod image;
pub(crate) mod key_copy;
pub(crate) mod kubeadm;
mod kubeadm_torn;
pub(crate) mod module;
pub(crate) mod mount;
pub(crate) mod node_state;
pub(crate) mod nodes;
pub(crate) mod object;
pub(crate) mod packages;
pub(crate) mod part;
pub(crate) mod path;
pub(crate) mod prune;
pub(crate) mod put_back;
pub(crate) mod reboot;
pub(crate) mod sysctl;
pub(crate) mod system_upgrade;
pub(crate) mod unit;

use kubespray_resource::Failure;

use crate::failure::of_output;
use crate::{Host, Output, Spawn};

/// Runs a program that must succeed, and gives what it printed.
pub(crate) fn run(host: &dyn Host, argv: &[&str]) -> Result<Output, Failure> {
    must(host, Spawn::new(argv.iter().copied()))
}

/// Runs a program that must succeed.
pub(crate) fn must(host: &dyn Host, spawn: Spawn) -> Result<Output, Failure> {
    let output = host.run(&spawn)?;
    if output.is_success() { Ok(output) } else { Err(of_output(&spawn.argv, &output)) }
}

/// The text of a file; nothing where there is none.
pub(crate) fn text_of(host: &dyn Host, path: &str) -> Result<Option<String>, Failure> {
    Ok(host.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes a file of others anew with its mode and owner, or makes it.
pub(crate) fn rewrite(
    host: &dyn Host,
    path: &str,
    text: &str,
    mode: kubespray_resource::Mode,
    owner: &kubespray_resource::Owner,
) -> Result<(), Failure> {
    let target = follow(host, path)?;
    match host.metadata(&target)? {
        Some(is) => host.write(&target, text.as_bytes(), is.mode, &is.owner)?,
        None => {
            crate::paths::make_parents(host, &target)?;
            host.write(&target, text.as_bytes(), mode, owner)?;
        }
    }
    Ok(())
}

/// Where a chain of links ends: a file of others, or a folder, that is a link stays one.
pub(crate) fn follow(host: &dyn Host, path: &str) -> Result<String, Failure> {
    /// As many as the kernel follows.
    const LINKS: usize = 40;
    let mut at = path.to_owned();
    for _ in 0..LINKS {
        let Some(target) = (match host.metadata(&at)? {
            Some(is) if is.kind == kubespray_resource::PathKind::Link => host.read_link(&at)?,
            _ => None,
        }) else {
            return Ok(at);
        };
        at = if target.starts_with('/') {
            target
        } else {
            format!("{}/{target}", crate::paths::parent(&at).trim_end_matches('/'))
        };
    }
    Err(Failure::of_host(format!("`{path}` leads through too many links")))
}
