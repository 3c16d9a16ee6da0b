//! What was there before us.

use kubespray_resource::{Failure, PathKind, PutBack, PutBackState};

use super::{rewrite, run, sysctl, text_of};
use crate::{Host, View};

/// What is there of it.
pub(crate) fn observe(view: &View<'_>, wish: &PutBack) -> Result<PutBackState, Failure> {
    let host = view.host;
    let is = match wish {
        PutBack::Text { path, .. } => text_of(host, path)?.into_iter().collect(),
        PutBack::Sysctl { key, .. } => {
            text_of(host, &sysctl::proc_path(key)?)?.map(|text| text.trim().to_owned()).into_iter().collect()
        }
        PutBack::Swap { active, units } => swap(host, active, units)?,
        PutBack::Nothing { path, .. } => match host.metadata(path)?.filter(|is| is.kind == PathKind::File) {
            Some(_) => view.digest(path)?.map(|digest| digest.as_str().to_owned()).into_iter().collect(),
            None => Vec::new(),
        },
    };
    Ok(PutBackState { is })
}

/// Of some swap, what is in use or cannot be any more.
fn swap(host: &dyn Host, active: &[String], units: &[String]) -> Result<Vec<String>, Failure> {
    let swaps = text_of(host, "/proc/swaps")?.unwrap_or_default();
    let used: Vec<&str> = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let mut out = Vec::new();
    for path in active {
        let is_zram = path.starts_with("/dev/zram");
        if used.contains(&path.as_str()) || !is_zram && host.metadata(path)?.is_none() {
            out.push(path.clone());
        }
    }
    for unit in units {
        let path = masked(unit);
        let is_masked = host.metadata(&path)?.is_some_and(|is| is.kind == PathKind::Link)
            && host.read_link(&path)?.as_deref() == Some("/dev/null");
        if !is_masked {
            out.push(unit.clone());
        }
    }
    Ok(out)
}

fn masked(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}")
}

/// Puts it back.
pub(crate) fn apply(host: &dyn Host, wish: &PutBack, state: &PutBackState) -> Result<(), Failure> {
    match wish {
        PutBack::Text { path, mode, owner, .. } => match wish.text(state.is.first().map(String::as_str)) {
            Some(text) => rewrite(host, path, &text, *mode, owner),
            None => Ok(host.remove(path, false)?),
        },
        PutBack::Sysctl { key, value } => {
            Ok(host.write_in_place(&sysctl::proc_path(key)?, format!("{value}\n").as_bytes())?)
        }
        PutBack::Nothing { path, .. } => Ok(host.remove(path, false)?),
        PutBack::Swap { active, units } => {
            let missing = |all: &[String]| -> Vec<String> {
                all.iter().filter(|item| !state.is.contains(item)).cloned().collect()
            };
            let units = missing(units);
            if !units.is_empty() {
                systemctl(host, "unmask", &units)?;
            }
            // Units that systemd makes of lines of fstab are known again.
            run(host, &["systemctl", "daemon-reload"])?;
            if !units.is_empty() {
                systemctl(host, "start", &units)?;
            }
            for path in missing(active) {
                if !swap(host, std::slice::from_ref(&path), &[])?.contains(&path) {
                    run(host, &["swapon", "--", &path])?;
                }
            }
            Ok(())
        }
    }
}

fn systemctl(host: &dyn Host, verb: &str, units: &[String]) -> Result<(), Failure> {
    let mut argv = vec!["systemctl", verb, "--"];
    argv.extend(units.iter().map(String::as_str));
    run(host, &argv).map(drop)
}
