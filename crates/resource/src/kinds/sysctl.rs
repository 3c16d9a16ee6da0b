//! Kernel parameters.

use serde::{Deserialize, Serialize};

use super::shown;
use crate::Comparison;

/// A kernel parameter, now and after the next boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// The key, such as `net.ipv4.ip_forward`.
    pub key: String,
    /// The value. Blanks between several numbers do not count.
    pub value: String,
    /// The file that keeps it, one line for each key.
    pub file: String,
    /// Whether a kernel that lacks the key is as good.
    #[serde(default)]
    pub may_be_missing: bool,
    /// Whether a greater number is as good; the file then need not keep it.
    #[serde(default)]
    pub at_least: bool,
}

/// What the kernel and the file say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysctlState {
    /// The value in the kernel; nothing when it lacks the key.
    pub live: Option<String>,
    /// The value in the file.
    pub kept: Option<String>,
}

impl Sysctl {
    /// How the parameter differs.
    pub fn compare(&self, state: &SysctlState) -> Comparison {
        let mut out = Comparison::default();
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let same = |is: Option<&String>| is.is_some_and(|is| words(is) == words(&self.value));
        if state.live.is_none() && self.may_be_missing {
            return out;
        }
        let number = |text: &str| text.trim().parse::<i64>().ok();
        let is = state.live.as_deref().and_then(number);
        if self.at_least && is.zip(number(&self.value)).is_some_and(|(is, wanted)| is >= wanted) {
            return out;
        }
        if !same(state.live.as_ref()) {
            out.add("live", shown(state.live.as_ref()), Some(self.value.clone()));
        }
        if !same(state.kept.as_ref()) {
            out.add("kept", shown(state.kept.as_ref()), Some(self.value.clone()));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_count_and_blanks_do_not() {
        let sysctl = Sysctl {
            key: "net.ipv4.ip_local_reserved_ports".into(),
            value: "30000 32767".into(),
            file: "/etc/sysctl.d/99-sysctl.conf".into(),
            may_be_missing: true,
            at_least: false,
        };
        let state = |live: Option<&str>, kept: Option<&str>| SysctlState {
            live: live.map(str::to_owned),
            kept: kept.map(str::to_owned),
        };
        assert!(sysctl.compare(&state(Some("30000\t32767"), Some("30000 32767"))).is_same());
        assert_eq!(sysctl.compare(&state(Some("1"), None)).changes.len(), 2);
        assert!(sysctl.compare(&state(None, None)).is_same());
        assert!(!Sysctl { may_be_missing: false, ..sysctl }.compare(&state(None, None)).is_same());
    }
}
