//! Packages of the distribution.

pub(super) mod apt;
pub(super) mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubespray_resource::{Failure, PackageManager, PackageWish, Packages, PackagesState};

use crate::{Host, View};

/// Installing may fetch hundreds of megabytes from a slow mirror.
const INSTALL: Duration = Duration::from_mins(30);

/// What is installed, of the packages that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Installed {
    versions: BTreeMap<String, Vec<String>>,
    held: BTreeSet<String>,
}

/// What is installed of a set; all sets of a look are asked for at once.
pub(crate) fn observe(view: &View<'_>, wish: &Packages) -> Result<PackagesState, Failure> {
    let mut known = view.packages.borrow_mut();
    let installed = known.entry(wish.manager.to_string()).or_insert_with(|| {
        let sets: Vec<&Packages> =
            view.package_sets.iter().copied().filter(|set| set.manager == wish.manager).collect();
        let sets = if sets.is_empty() { vec![wish] } else { sets };
        let names: BTreeSet<&str> =
            sets.iter().flat_map(|set| set.wishes.keys()).map(String::as_str).collect();
        let holds = sets.iter().any(|set| !set.held.is_empty());
        match wish.manager {
            PackageManager::Apt => apt::installed(view.host, &names, holds),
            PackageManager::Dnf | PackageManager::Zypper => {
                rpm::installed(view.host, wish.manager, &names, holds)
            }
        }
    });
    let installed = installed.as_ref().map_err(Clone::clone)?;
    let versions = wish.wishes.iter().filter_map(|(name, wanted)| {
        let versions = installed.versions.get(name)?;
        Some((name.clone(), shown(wish.manager, versions, wanted)?))
    });
    Ok(PackagesState {
        installed: versions.collect(),
        held: wish.held.iter().filter(|name| installed.held.contains(*name)).cloned().collect(),
        lists_pending: view.is_pending(&wish.lists_token())?,
    })
}

/// The version to compare. With rpm, a wish may leave out the epoch or the release, and several versions of
/// one package may be installed.
fn shown(manager: PackageManager, versions: &[String], wish: &PackageWish) -> Option<String> {
    if let PackageWish::Version(wanted) = wish {
        let same = versions.iter().any(|version| match manager {
            PackageManager::Apt => version == wanted,
            PackageManager::Dnf | PackageManager::Zypper => {
                let without_epoch = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
                [version.as_str(), without_epoch].iter().any(|version| {
                    *version == wanted
                        || version.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('-'))
                })
            }
        });
        if same {
            return Some(wanted.clone());
        }
    }
    versions.last().cloned()
}

/// Installs, removes and holds.
pub(crate) fn apply(host: &dyn Host, wish: &Packages, state: &PackagesState) -> Result<(), Failure> {
    let mut work = Work {
        install: Vec::new(),
        remove: Vec::new(),
        hold: wish.held.iter().filter(|name| !state.held.contains(name)).cloned().collect(),
        unhold: Vec::new(),
        lists_pending: state.lists_pending,
    };
    for (name, wanted) in &wish.wishes {
        let installed = state.installed.get(name);
        match wanted {
            PackageWish::Installed if installed.is_none() => work.install.push((name.clone(), None)),
            PackageWish::Version(version) if installed != Some(version) => {
                work.install.push((name.clone(), Some(version.clone())));
                if state.held.contains(name) {
                    work.unhold.push(name.clone());
                }
            }
            PackageWish::Absent if installed.is_some() => work.remove.push(name.clone()),
            _ => {}
        }
    }
    work.hold.extend(work.unhold.iter().cloned());
    match wish.manager {
        PackageManager::Apt => apt::apply(host, wish, &work),
        PackageManager::Dnf | PackageManager::Zypper => rpm::apply(host, wish, &work),
    }
}

/// The names of all installed packages.
pub(crate) fn all(host: &dyn Host, manager: PackageManager) -> Result<Vec<String>, Failure> {
    match manager {
        PackageManager::Apt => apt::all(host),
        PackageManager::Dnf | PackageManager::Zypper => rpm::all(host),
    }
}

/// Those of some installed packages that no other package needs.
pub(crate) fn unneeded(
    host: &dyn Host,
    manager: PackageManager,
    names: &[String],
) -> Result<Vec<String>, Failure> {
    let installed = all(host, manager)?;
    let there: Vec<String> = names.iter().filter(|name| installed.contains(name)).cloned().collect();
    if there.is_empty() {
        return Ok(there);
    }
    match manager {
        PackageManager::Apt => apt::unneeded(host, there),
        PackageManager::Dnf | PackageManager::Zypper => rpm::unneeded(host, there),
    }
}

/// Removes packages with their configuration, and no other ones.
pub(crate) fn purge(host: &dyn Host, manager: PackageManager, names: &[String]) -> Result<(), Failure> {
    match manager {
        PackageManager::Apt => apt::purge(host, names),
        PackageManager::Dnf | PackageManager::Zypper => rpm::purge(host, names),
    }
}

/// What has to be done.
#[derive(Debug)]
struct Work {
    install: Vec<(String, Option<String>)>,
    remove: Vec<String>,
    hold: Vec<String>,
    /// Held packages that get another version: they are held again afterwards.
    unhold: Vec<String>,
    lists_pending: bool,
}
