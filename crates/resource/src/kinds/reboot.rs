//! Hosts that are booted anew.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// A host that was booted since something asked for it: the token [`crate::Token::reboot`], which keeps the boot in which
/// it was left, or the system itself. Another boot, whoever caused it, answers both, so that no kill at any moment makes
/// a host boot twice.
///
/// The connection is cut by it; the run goes on when the host is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reboot {
    /// Only where the system itself asks for it (`/run/reboot-required` of Debian and its kin), whatever was changed.
    #[serde(default)]
    pub only_if_required: bool,
    /// Why pods stay on the node while it boots; nothing where they move away before.
    #[serde(default)]
    pub undrained: Option<String>,
    /// How long the host may take to go down, in seconds.
    pub timeout_s: u64,
}

/// Who asks for a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootState {
    /// A step did, since the host was booted last.
    pub is_asked: bool,
    /// The system does.
    pub is_required: bool,
}

impl Reboot {
    /// Whether it has to be booted.
    pub fn compare(&self, state: &RebootState) -> Comparison {
        let mut out = Comparison::default();
        let why = match state {
            RebootState { is_required: true, .. } => "before the system asked for another",
            RebootState { is_asked: true, .. } if !self.only_if_required => "before what was changed",
            _ => return out,
        };
        out.add("boot", Some(why.into()), Some("behind it".into()));
        out
    }
}

impl fmt::Display for Reboot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reboot")?;
        if self.only_if_required {
            f.write_str(" if the system asks for it")?;
        }
        match &self.undrained {
            Some(why) => write!(f, ", with the pods of the node: {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_asked_for_by_steps_and_by_the_system() {
        for (only_if_required, is_asked, is_required, expected) in [
            (false, false, false, 0),
            (false, true, false, 1),
            (false, false, true, 1),
            (true, true, false, 0),
            (true, true, true, 1),
        ] {
            let wish = Reboot { only_if_required, undrained: None, timeout_s: 1 };
            let found = wish.compare(&RebootState { is_asked, is_required }).changes.len();
            assert_eq!(found, expected, "{only_if_required} {is_asked} {is_required}");
        }
        let wish = Reboot { only_if_required: true, undrained: Some("it is not ready".into()), timeout_s: 1 };
        assert_eq!(
            wish.to_string(),
            "reboot if the system asks for it, with the pods of the node: it is not ready"
        );
    }
}
