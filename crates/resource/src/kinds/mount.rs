//! File systems.

use serde::{Deserialize, Serialize};

use super::shown;
use crate::Comparison;

/// A file system at a place, now and after the next boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted: a device, `UUID=…`, `tmpfs`.
    pub source: String,
    /// Where.
    pub path: String,
    /// The type of file system.
    pub fstype: String,
    /// Options as `/etc/fstab` writes them.
    pub options: String,
    /// Whether it is in `/etc/fstab`.
    pub kept: bool,
}

/// What is at the place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountState {
    /// The type of what is mounted there; nothing when nothing is.
    pub fstype: Option<String>,
    /// The first four fields of the line of `/etc/fstab`, one blank between.
    pub fstab: Option<String>,
}

impl Mount {
    /// The first four fields of the line of `/etc/fstab`.
    pub fn fstab(&self) -> String {
        format!("{} {} {} {}", self.source, self.path, self.fstype, self.options)
    }

    /// How the mount differs.
    pub fn compare(&self, state: &MountState) -> Comparison {
        let mut out = Comparison::default();
        if state.fstype.as_ref() != Some(&self.fstype) {
            out.add("mounted", shown(state.fstype.as_ref()), Some(self.fstype.clone()));
        }
        let should = self.kept.then(|| self.fstab());
        if state.fstab != should {
            out.add("fstab", state.fstab.clone(), should);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_fstab_goes_where_it_is_not_wished() {
        let mount = Mount {
            source: "bpffs".into(),
            path: "/sys/fs/bpf".into(),
            fstype: "bpf".into(),
            options: "defaults".into(),
            kept: false,
        };
        let state = MountState { fstype: Some("bpf".into()), fstab: None };
        assert!(mount.compare(&state).is_same());
        let kept = Mount { kept: true, ..mount };
        assert_eq!(kept.compare(&state).changes[0].to.as_deref(), Some("bpffs /sys/fs/bpf bpf defaults"));
    }
}
