//! systemd units, through `systemctl`.

use std::collections::BTreeMap;
use std::time::Duration;

use kubespray_resource::{Failure, Running, Token, Unit, UnitState};

use super::{must, run};
use crate::failure::{last_lines, of_host, of_output};
use crate::{Host, HostError, Spawn, View, tokens};

/// What systemd says of a unit.
pub(crate) type Shown = BTreeMap<String, String>;

/// systemd gives up after `TimeoutStartSec`, 90 s by default; etcd and kubelet have longer ones.
const START: Duration = Duration::from_secs(330);

const PROPERTIES: &str = "--property=LoadState,ActiveState,UnitFileState,NeedDaemonReload";

/// The state of a unit; all units of a look are asked for at once.
pub(crate) fn observe(view: &View<'_>, wish: &Unit) -> Result<UnitState, Failure> {
    let units = view.units.get_or_init(|| show(view.host, &view.unit_names)).as_ref();
    let units = units.map_err(Clone::clone)?;
    let one;
    let shown = match units.get(&wish.name) {
        Some(shown) => shown,
        None => {
            one = show(view.host, &[wish.name.as_str()])?;
            one.get(&wish.name).ok_or_else(|| {
                Failure::of_host(format!("systemctl says nothing of the unit `{}`", wish.name))
            })?
        }
    };
    let property = |name: &str| shown.get(name).cloned().unwrap_or_default();
    Ok(UnitState {
        load: property("LoadState"),
        active: property("ActiveState"),
        file: property("UnitFileState"),
        needs_reload: property("NeedDaemonReload") == "yes",
        restart_pending: view.is_pending(&Token::restart_of(&wish.name))?,
    })
}

/// Properties of units, in one call. An empty line parts the answers, which come in the order of the names.
pub(crate) fn show(host: &dyn Host, names: &[&str]) -> Result<BTreeMap<String, Shown>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut argv = vec!["systemctl", "show", PROPERTIES, "--"];
    argv.extend(names);
    let output = run(host, &argv)?;
    let blocks: Vec<Shown> = output
        .stdout
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(|block| {
            let pairs = block.lines().filter_map(|line| line.split_once('='));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        })
        .collect();
    if blocks.len() != names.len() {
        return Err(Failure::of_host(format!(
            "systemctl was asked for {} units and answered for {}",
            names.len(),
            blocks.len()
        )));
    }
    Ok(names.iter().map(|name| (*name).to_owned()).zip(blocks).collect())
}

/// Brings the unit where it should be, then forgets that it was to be restarted.
pub(crate) fn apply(host: &dyn Host, wish: &Unit, state: &UnitState) -> Result<(), Failure> {
    let mut state = state.clone();
    if state.needs_reload || state.restart_pending || state.load == "not-found" {
        run(host, &["systemctl", "daemon-reload"])?;
        if state.load == "not-found" {
            let shown = show(host, &[wish.name.as_str()])?;
            let load = shown.get(&wish.name).and_then(|shown| shown.get("LoadState"));
            if load.is_none_or(|load| load == "not-found") && wish.masked != Some(true) {
                return Err(Failure::of_host(format!("there is no unit `{}`", wish.name))
                    .hint("the package or file that brings it is missing"));
            }
            state.active = "inactive".into();
            state.file = String::new();
        }
    }
    let is_masked = state.load == "masked" || state.file.starts_with("masked");
    if wish.masked == Some(false) && is_masked {
        run(host, &["systemctl", "unmask", "--", &wish.name])?;
    }
    let is_enabled = state.file.starts_with("enabled");
    match wish.enabled {
        Some(true) if !is_enabled => change(host, "enable", &wish.name)?,
        Some(false) if is_enabled => change(host, "disable", &wish.name)?,
        _ => {}
    }
    let is_active = ["active", "reloading", "refreshing"].contains(&state.active.as_str());
    let is_stale = state.restart_pending || state.needs_reload;
    match wish.running {
        Some(Running::Started) if is_active && is_stale => change(host, "restart", &wish.name)?,
        Some(Running::Reloaded) if is_active && is_stale => {
            change(host, "reload-or-restart", &wish.name)?;
        }
        Some(Running::Started | Running::Reloaded) if !is_active => {
            // A unit that failed too often is started again only when its failures are forgotten.
            if state.active == "failed" {
                let _ = host.run(&Spawn::new(["systemctl", "reset-failed", "--", &wish.name]))?;
            }
            // One that systemd is just starting over and over has old inputs: restart, not start.
            let verb = if state.active == "activating" { "restart" } else { "start" };
            change(host, verb, &wish.name)?;
        }
        Some(Running::Stopped) if !["inactive", "failed"].contains(&state.active.as_str()) => {
            change(host, "stop", &wish.name)?;
        }
        _ => {}
    }
    if wish.masked == Some(true) && !is_masked {
        run(host, &["systemctl", "mask", "--", &wish.name])?;
    }
    if wish.running.is_some() {
        tokens::clear(host, &Token::restart_of(&wish.name))?;
    }
    Ok(())
}

fn change(host: &dyn Host, verb: &str, unit: &str) -> Result<(), Failure> {
    let spawn = Spawn { timeout: START, ..Spawn::new(["systemctl", verb, "--", unit]) };
    let Err(failure) = must(host, spawn) else { return Ok(()) };
    let mut failure = with_evidence(host, unit, failure);
    if let Some((what, hint)) = of_host(&failure.evidence.join("\n")) {
        failure.message = format!("{}: {what}", failure.message);
        failure.hints.insert(0, hint.to_owned());
    }
    Err(failure)
}

/// Adds what the journal and systemd have to say of a unit that does not do as it should.
pub(crate) fn with_evidence(host: &dyn Host, unit: &str, mut failure: Failure) -> Failure {
    let asks: [&[&str]; 2] = [
        &["systemctl", "status", "--no-pager", "--lines=0", "--", unit],
        &["journalctl", "--no-pager", "--lines=20", "--output=cat", &format!("--unit={unit}")],
    ];
    for argv in asks {
        match host.run(&Spawn { timeout: Duration::from_secs(10), ..Spawn::new(argv.iter().copied()) }) {
            Ok(output) => failure.evidence.extend(telling_lines(&output.stdout)),
            Err(HostError::Gone) => return HostError::Gone.into(),
            Err(_) => {}
        }
    }
    failure.hint(format!("look at `journalctl -u {unit}` on the host"))
}

/// The end of what a unit said, without what programs that log in JSON say of every start.
fn telling_lines(text: &str) -> Vec<String> {
    let lines = last_lines(text).into_iter();
    lines.filter(|line| !(line.starts_with('{') && line.contains("\"level\":\"info\""))).collect()
}

/// Whether a unit is active, or what it is instead.
pub(crate) fn is_active(host: &dyn Host, unit: &str) -> Result<Option<String>, Failure> {
    let spawn = Spawn::new(["systemctl", "is-active", "--", unit]);
    let output = host.run(&spawn)?;
    let word = output.stdout.trim();
    match word {
        "active" | "reloading" => Ok(None),
        "" => Err(of_output(&spawn.argv, &output)),
        other => Ok(Some(format!("`{unit}` is {other}"))),
    }
}
