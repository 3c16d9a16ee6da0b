//! All packages of a system, upgraded.

use kubespray_resource::{Failure, Mode, Owner, PackageManager, SystemUpgrade, SystemUpgradeState};

use super::packages::{apt, rpm};
use crate::paths::{self, BASE};
use crate::{Host, View};

/// When the lists of packages were fetched last, in milliseconds since 1970.
const FETCHED: &str = "/var/lib/kubespray/lists-fetched";

/// Lists are taken as new for so long. A look, the upgrade and its proof should go by the same ones.
const FRESH_MS: u64 = 3_600_000;

/// What an upgrade would do, by lists that are new.
pub(crate) fn observe(view: &View<'_>, wish: &SystemUpgrade) -> Result<SystemUpgradeState, Failure> {
    let (host, set) = (view.host, wish.no_packages());
    if view.is_pending(&set.lists_token())? || !is_fresh(host)? {
        match wish.manager {
            PackageManager::Apt => apt::update(host, &set)?,
            PackageManager::Dnf | PackageManager::Zypper => rpm::refresh(host, &set)?,
        }
        paths::ensure(host, BASE)?;
        host.write(FETCHED, host.now_ms().to_string().as_bytes(), Mode::PRIVATE, &Owner::root())?;
    }
    let changes = match wish.manager {
        PackageManager::Apt => apt::upgrades(host, &set)?,
        PackageManager::Dnf | PackageManager::Zypper => rpm::upgrades(host, &set)?,
    };
    Ok(SystemUpgradeState { changes })
}

fn is_fresh(host: &dyn Host) -> Result<bool, Failure> {
    let text = super::text_of(host, FETCHED)?.unwrap_or_default();
    let fetched = text.trim().parse::<u64>().ok();
    Ok(fetched.and_then(|at| host.now_ms().checked_sub(at)).is_some_and(|age| age < FRESH_MS))
}

/// Upgrades them.
pub(crate) fn apply(host: &dyn Host, wish: &SystemUpgrade) -> Result<(), Failure> {
    let set = wish.no_packages();
    match wish.manager {
        PackageManager::Apt => apt::upgrade(host, &set, wish.autoclean),
        PackageManager::Dnf | PackageManager::Zypper => rpm::upgrade(host, &set, wish.autoclean),
    }
}
