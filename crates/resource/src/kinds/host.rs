//! What a host has once: its name, swap, SELinux.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::shown;
use crate::Comparison;

/// The name of the host, in the kernel and in `/etc/hostname`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hostname {
    /// The name.
    pub name: String,
}

/// The names that a host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostnameState {
    /// The kernel's.
    pub live: String,
    /// That of `/etc/hostname`.
    pub kept: Option<String>,
}

impl Hostname {
    /// How the name differs.
    pub fn compare(&self, state: &HostnameState) -> Comparison {
        let mut out = Comparison::default();
        out.field("live", &state.live, &self.name);
        if state.kept.as_ref() != Some(&self.name) {
            out.add("kept", shown(state.kept.as_ref()), Some(self.name.clone()));
        }
        out
    }
}

/// No swap, now and after the next boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {}

/// The swap that a host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapState {
    /// Devices and files in use, zram among them.
    pub active: Vec<String>,
    /// Lines of `/etc/fstab` that turn swap on.
    pub fstab: Vec<String>,
    /// Units of type `swap` that systemd would start: not those made of fstab.
    pub units: Vec<String>,
}

impl Swap {
    /// Which swap is left.
    pub fn compare(&self, state: &SwapState) -> Comparison {
        let mut out = Comparison::default();
        for (what, found) in [("active", &state.active), ("fstab", &state.fstab), ("unit", &state.units)] {
            for item in found {
                out.add(what, Some(item.clone()), None);
            }
        }
        out
    }
}

/// What SELinux does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelinuxMode {
    /// Refuses.
    Enforcing,
    /// Only tells.
    Permissive,
    /// Nothing.
    Disabled,
}

impl fmt::Display for SelinuxMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforcing => "enforcing",
            Self::Permissive => "permissive",
            Self::Disabled => "disabled",
        })
    }
}

/// The mode of SELinux, now and after the next boot. A host without SELinux is as wished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selinux {
    /// The mode.
    pub mode: SelinuxMode,
}

/// What a host has of SELinux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelinuxState {
    /// The mode of the kernel; nothing where it has no SELinux.
    pub live: Option<SelinuxMode>,
    /// The mode of `/etc/selinux/config`; nothing where there is none.
    pub kept: Option<SelinuxMode>,
}

impl Selinux {
    /// How the mode differs. `disabled` takes effect at the next boot only.
    pub fn compare(&self, state: &SelinuxState) -> Comparison {
        let mut out = Comparison::default();
        if let Some(kept) = state.kept {
            out.field("kept", &kept, &self.mode);
        }
        match state.live {
            Some(live) if self.mode != SelinuxMode::Disabled && live != SelinuxMode::Disabled => {
                out.field("live", &live, &self.mode);
            }
            _ => {}
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selinux_that_is_not_there_is_as_wished() {
        let wish = Selinux { mode: SelinuxMode::Permissive };
        assert!(wish.compare(&SelinuxState { live: None, kept: None }).is_same());
        let on = SelinuxState { live: Some(SelinuxMode::Enforcing), kept: Some(SelinuxMode::Enforcing) };
        assert_eq!(wish.compare(&on).changes.len(), 2);
        let off = SelinuxState { live: Some(SelinuxMode::Disabled), kept: Some(SelinuxMode::Permissive) };
        assert!(wish.compare(&off).is_same());
    }

    #[test]
    fn swap_may_come_from_three_places() {
        let state = SwapState {
            active: vec!["/dev/zram0".into()],
            fstab: vec!["/swap none swap sw 0 0".into()],
            units: vec!["dev-zram0.swap".into()],
        };
        assert_eq!(Swap {}.compare(&state).changes.len(), 3);
    }
}
