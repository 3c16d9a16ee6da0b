//! systemd units. Their files and drop-ins are [`super::File`]s that ask for a restart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// Whether a unit should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// It runs, and was restarted since an input of it changed.
    Started,
    /// It runs, and was reloaded since an input of it changed.
    Reloaded,
    /// It does not run.
    Stopped,
}

/// The state of a unit. What is `None` is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The name with its type: `containerd.service`.
    pub name: String,
    /// Whether it starts with the host.
    pub enabled: Option<bool>,
    /// Whether it runs.
    pub running: Option<Running>,
    /// Whether nothing may start it.
    pub masked: Option<bool>,
    /// Whether a unit that systemd does not know is as good as a stopped and disabled one.
    #[serde(default)]
    pub may_be_missing: bool,
}

/// What systemd says of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// `LoadState`: `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `ActiveState`: `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// `UnitFileState`: `enabled`, `disabled`, `static` … or empty.
    pub file: String,
    /// `NeedDaemonReload`.
    pub needs_reload: bool,
    /// Whether an input changed and it was not restarted since.
    pub restart_pending: bool,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started | Self::Reloaded => "active",
            Self::Stopped => "inactive",
        })
    }
}

impl Unit {
    /// How the unit differs.
    pub fn compare(&self, state: &UnitState) -> Comparison {
        let mut out = Comparison::default();
        if state.load == "not-found" {
            let wants_it = self.enabled == Some(true)
                || matches!(self.running, Some(Running::Started | Running::Reloaded));
            if wants_it || !self.may_be_missing && self.masked.is_none() {
                out.add("unit", None, Some(self.name.clone()));
            }
            return out;
        }
        let masked = state.load == "masked" || state.file.starts_with("masked");
        if let Some(wanted) = self.masked {
            out.field("masked", &masked, &wanted);
        }
        // A unit without an [Install] section can be neither enabled nor disabled.
        let is_fixed =
            ["static", "generated", "transient", "indirect", "alias"].contains(&state.file.as_str());
        if let Some(wanted) = self.enabled.filter(|_| !is_fixed && !masked) {
            let enabled = state.file.starts_with("enabled");
            out.field("enabled", &enabled, &wanted);
        }
        let is_active = ["active", "reloading", "refreshing"].contains(&state.active.as_str());
        match self.running {
            Some(running @ (Running::Started | Running::Reloaded)) if !is_active => {
                out.add("running", Some(state.active.clone()), Some(running.to_string()));
            }
            Some(Running::Started) if state.restart_pending || state.needs_reload => {
                out.add("restart", Some("inputs changed".into()), Some("restarted".into()));
            }
            Some(Running::Reloaded) if state.restart_pending || state.needs_reload => {
                out.add("reload", Some("inputs changed".into()), Some("reloaded".into()));
            }
            Some(Running::Stopped) if !["inactive", "failed"].contains(&state.active.as_str()) => {
                out.add("running", Some(state.active.clone()), Some("inactive".into()));
            }
            _ => {}
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(load: &str, active: &str, file: &str) -> UnitState {
        UnitState {
            load: load.into(),
            active: active.into(),
            file: file.into(),
            needs_reload: false,
            restart_pending: false,
        }
    }

    fn differs(unit: &Unit, state: &UnitState) -> String {
        let changes = unit.compare(state).changes;
        changes.iter().map(|change| change.what.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn running_and_enabled() {
        let unit = Unit {
            name: "x.service".into(),
            enabled: Some(true),
            running: Some(Running::Started),
            masked: None,
            may_be_missing: false,
        };
        assert_eq!(differs(&unit, &state("loaded", "active", "enabled")), "");
        assert_eq!(differs(&unit, &state("loaded", "active", "static")), "");
        assert_eq!(differs(&unit, &state("loaded", "failed", "disabled")), "enabled running");
        assert_eq!(differs(&unit, &state("loaded", "activating", "enabled")), "running");
        assert_eq!(differs(&unit, &state("not-found", "inactive", "")), "unit");
        let changed = UnitState { restart_pending: true, ..state("loaded", "active", "enabled") };
        assert_eq!(differs(&unit, &changed), "restart");
        let stale = UnitState { needs_reload: true, ..state("loaded", "active", "enabled") };
        assert_eq!(differs(&unit, &stale), "restart");
    }

    #[test]
    fn stopped_and_missing() {
        let unit = Unit {
            name: "x.service".into(),
            enabled: Some(false),
            running: Some(Running::Stopped),
            masked: None,
            may_be_missing: true,
        };
        assert_eq!(differs(&unit, &state("not-found", "inactive", "")), "");
        assert_eq!(differs(&unit, &state("loaded", "active", "enabled-runtime")), "enabled running");
        assert_eq!(differs(&unit, &state("loaded", "failed", "disabled")), "");
        assert_eq!(
            differs(&Unit { may_be_missing: false, ..unit }, &state("not-found", "inactive", "")),
            "unit"
        );
    }

    #[test]
    fn masks() {
        let unit = Unit {
            name: "x.service".into(),
            enabled: None,
            running: Some(Running::Stopped),
            masked: Some(true),
            may_be_missing: false,
        };
        assert_eq!(differs(&unit, &state("masked", "inactive", "masked")), "");
        assert_eq!(differs(&unit, &state("loaded", "inactive", "enabled")), "masked");
    }
}
