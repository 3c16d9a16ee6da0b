//! All packages of a system, upgraded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Comparison, PackageManager, Packages};

/// A system whose packages are as new as its sources have them (spec OPS-026, OPS-027). What is held stays as it is.
///
/// To look at it fetches the lists of packages, at most once in an hour: without them nobody knows what is newer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemUpgrade {
    /// Who installs packages.
    pub manager: PackageManager,
    /// Whether fetched files of packages are removed when it is done.
    #[serde(default)]
    pub autoclean: bool,
    /// How long to wait for another program that holds the manager's lock, in seconds.
    pub lock_timeout_s: u64,
}

/// What becomes of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// The version that is installed; nothing where none is.
    pub from: Option<String>,
    /// The version that comes; nothing where the package goes because others do without it.
    pub to: Option<String>,
}

/// What an upgrade would do now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemUpgradeState {
    /// By the names of packages.
    pub changes: BTreeMap<String, PackageChange>,
}

impl SystemUpgrade {
    /// No package at all, of the same manager.
    pub fn no_packages(&self) -> Packages {
        Packages {
            manager: self.manager,
            wishes: BTreeMap::new(),
            held: Vec::new(),
            lock_timeout_s: self.lock_timeout_s,
        }
    }

    /// Every package that would become another.
    pub fn compare(&self, state: &SystemUpgradeState) -> Comparison {
        let mut out = Comparison::default();
        for (name, PackageChange { from, to }) in &state.changes {
            out.add(name, from.clone(), to.clone());
        }
        out
    }
}
