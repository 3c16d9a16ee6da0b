//! Packages of the distribution.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Comparison, Token};

/// Who installs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageManager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, Red Hat, Rocky, Alma, Oracle, Amazon.
    Dnf,
    /// openSUSE, SLES.
    Zypper,
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
        })
    }
}

/// What is wished of one package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageWish {
    /// Any version.
    Installed,
    /// This version, as the manager writes it.
    Version(String),
    /// Not installed.
    Absent,
}

/// A set of packages that is installed and removed in one go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Who installs them.
    pub manager: PackageManager,
    /// The packages by name.
    pub wishes: BTreeMap<String, PackageWish>,
    /// Packages that must not be upgraded or removed by others (`hold`, versionlock).
    #[serde(default)]
    pub held: Vec<String>,
    /// How long to wait for another program that holds the manager's lock, in seconds.
    pub lock_timeout_s: u64,
}

/// What is installed of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesState {
    /// Versions of installed packages; what is missing is not installed.
    pub installed: BTreeMap<String, String>,
    /// Which of `held` are held.
    pub held: Vec<String>,
    /// Whether lists of packages must be fetched first: sources changed since.
    pub lists_pending: bool,
}

impl Packages {
    /// What changed sources of packages ask for: that lists of packages are fetched anew.
    pub fn lists_token(&self) -> Token {
        Token(format!("lists:{}", self.manager))
    }

    /// How the installed packages differ. Lists that wait to be fetched are no difference by themselves.
    pub fn compare(&self, state: &PackagesState) -> Comparison {
        let mut out = Comparison::default();
        for (name, wish) in &self.wishes {
            let installed = state.installed.get(name);
            match wish {
                PackageWish::Installed if installed.is_none() => {
                    out.add(name, None, Some("installed".into()));
                }
                PackageWish::Version(version) if installed != Some(version) => {
                    out.add(name, installed.cloned(), Some(version.clone()));
                }
                PackageWish::Absent if installed.is_some() => out.add(name, installed.cloned(), None),
                _ => {}
            }
        }
        for name in self.held.iter().filter(|name| !state.held.contains(name)) {
            out.add(&format!("hold of {name}"), None, Some("held".into()));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes() {
        let packages = Packages {
            manager: PackageManager::Apt,
            wishes: BTreeMap::from([
                ("curl".into(), PackageWish::Installed),
                ("nftables".into(), PackageWish::Absent),
                ("runc".into(), PackageWish::Version("1.1".into())),
            ]),
            held: vec!["runc".into()],
            lock_timeout_s: 1,
        };
        let mut state = PackagesState {
            installed: BTreeMap::from([("curl".into(), "8".into()), ("runc".into(), "1.1".into())]),
            held: vec!["runc".into()],
            lists_pending: true,
        };
        assert!(packages.compare(&state).is_same());
        state.installed.insert("nftables".into(), "1".into());
        state.installed.insert("runc".into(), "1.2".into());
        state.installed.remove("curl");
        state.held.clear();
        let found: Vec<String> = packages.compare(&state).changes.into_iter().map(|c| c.what).collect();
        assert_eq!(found, ["curl", "nftables", "runc", "hold of runc"]);
    }
}
