//! Fedora, Red Hat and their kin by dnf; openSUSE and SLES by zypper.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubespray_resource::{Failure, PackageChange, PackageManager, Packages};

use super::{INSTALL, Installed, Work};
use crate::failure::{impossible, of_output};
use crate::kinds::{must, run};
use crate::{Host, Spawn, tokens};

const FORMAT: &str = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n";

/// zypper's exit status for a package that no repository has.
const ZYPPER_UNKNOWN: i32 = 104;

/// zypper's exit statuses for an upgrade that was done, and wants a reboot, a restart of itself, or left a source out.
const ZYPPER_DONE: [i32; 3] = [102, 103, 106];

/// dnf's exit status where something is newer.
const DNF_NEWER: i32 = 100;

/// What rpm has of some packages. Its status is the number of those it lacks.
pub(super) fn installed(
    host: &dyn Host,
    manager: PackageManager,
    names: &BTreeSet<&str>,
    holds: bool,
) -> Result<Installed, Failure> {
    let mut out = Installed::default();
    if !names.is_empty() {
        let mut argv = vec!["rpm", "-q", "--queryformat", FORMAT];
        argv.extend(names);
        let spawn = Spawn::new(argv);
        let output = host.run(&spawn)?;
        if output.status.is_none() {
            return Err(of_output(&spawn.argv, &output));
        }
        for line in output.stdout.lines() {
            // Other lines are words about packages that are not there.
            if let Some((name, version)) = line.split_once('\t') {
                out.versions.entry(name.to_owned()).or_default().push(version.to_owned());
            }
        }
    }
    if holds && manager == PackageManager::Zypper {
        // A table: number, name, type, repository.
        let table = run(host, &["zypper", "--non-interactive", "--quiet", "locks"])?.stdout;
        let names = table.lines().filter_map(|line| line.split('|').nth(1));
        out.held = names.map(|name| name.trim().to_owned()).collect();
    } else if holds {
        // Lines such as `containerd.io-0:1.7.1-1.el9.*`; comments and `# Added lock on …` between.
        let list = run(host, &["dnf", "-q", "versionlock", "list"])?.stdout;
        for line in list.lines().filter(|line| !line.starts_with('#')) {
            let name = match line.strip_prefix("Package name:") {
                Some(name) => name.trim(),
                None => nevra_name(line.trim()),
            };
            out.held.insert(name.to_owned());
        }
    }
    Ok(out)
}

/// The names of all installed packages.
pub(super) fn all(host: &dyn Host) -> Result<Vec<String>, Failure> {
    let output = run(host, &["rpm", "-qa", "--queryformat", "%{NAME}\\n"])?;
    Ok(output.stdout.lines().map(str::to_owned).collect())
}

/// rpm removes all or none: what another package needs is left out until it would.
pub(super) fn unneeded(host: &dyn Host, mut names: Vec<String>) -> Result<Vec<String>, Failure> {
    while !names.is_empty() {
        let argv = ["rpm", "-e", "--test"].map(str::to_owned).into_iter().chain(names.iter().cloned());
        let output = host.run(&Spawn::new(argv))?;
        if output.is_success() {
            break;
        }
        let mut needed = BTreeSet::new();
        for line in output.stderr.lines() {
            let Some((capability, _)) = line.trim().split_once(" is needed by ") else { continue };
            let argv = ["rpm", "-q", "--queryformat", "%{NAME}\\n", "--whatprovides", capability];
            needed.extend(host.run(&Spawn::new(argv))?.stdout.lines().map(str::to_owned));
        }
        let before = names.len();
        names.retain(|name| !needed.contains(name));
        if names.len() == before {
            names.clear();
        }
    }
    Ok(names)
}

/// Removes packages.
pub(super) fn purge(host: &dyn Host, names: &[String]) -> Result<(), Failure> {
    let argv = ["rpm", "-e"].map(str::to_owned).into_iter().chain(names.iter().cloned());
    must(host, Spawn { timeout: INSTALL, ..Spawn::new(argv) }).map(drop)
}

/// The name in `name-epoch:version-release.arch`.
fn nevra_name(text: &str) -> &str {
    text.rsplitn(3, '-').nth(2).unwrap_or(text)
}

pub(super) fn apply(host: &dyn Host, wish: &Packages, work: &Work) -> Result<(), Failure> {
    let is_zypper = wish.manager == PackageManager::Zypper;
    if work.lists_pending {
        let words: &[&str] = if is_zypper { &["refresh"] } else { &["makecache"] };
        must(host, spawn(wish, words, &[]))?;
        tokens::clear(host, &wish.lists_token())?;
    }
    let (lock, unlock): (&[&str], &[&str]) = if is_zypper {
        (&["addlock"], &["removelock"])
    } else {
        (&["versionlock", "add"], &["versionlock", "delete"])
    };
    if !work.unhold.is_empty() {
        must(host, spawn(wish, unlock, &work.unhold))?;
    }
    if !work.install.is_empty() {
        let packages: Vec<String> = work
            .install
            .iter()
            .map(|(name, version)| match version {
                Some(version) if is_zypper => format!("{name}={version}"),
                Some(version) => format!("{name}-{version}"),
                None => name.clone(),
            })
            .collect();
        let words: &[&str] = if is_zypper {
            &["install", "--no-recommends", "--auto-agree-with-licenses", "--oldpackage"]
        } else {
            &["install", "--setopt=install_weak_deps=False"]
        };
        let spawn = spawn(wish, words, &packages);
        let output = host.run(&spawn)?;
        if !output.is_success() {
            let said = format!("{}{}", output.stdout, output.stderr);
            let failure = of_output(&spawn.argv, &output);
            let is_unknown = output.status == Some(ZYPPER_UNKNOWN) && is_zypper
                || said.contains("Unable to find a match")
                || said.contains("No match for argument");
            if !is_unknown {
                return Err(failure);
            }
            let mut unknown =
                impossible(format!("{} does not know one of: {}", wish.manager, packages.join(", ")));
            unknown.evidence = failure.evidence;
            return Err(unknown.hint("look at the repositories of the host"));
        }
    }
    if !work.remove.is_empty() {
        must(host, spawn(wish, &["remove"], &work.remove))?;
    }
    if !work.hold.is_empty() {
        must(host, spawn(wish, lock, &work.hold))?;
    }
    Ok(())
}

/// Fetches the lists anew.
pub(in super::super) fn refresh(host: &dyn Host, wish: &Packages) -> Result<(), Failure> {
    let is_zypper = wish.manager == PackageManager::Zypper;
    let words: &[&str] = if is_zypper { &["refresh"] } else { &["makecache", "--refresh"] };
    must(host, spawn(wish, words, &[]))?;
    Ok(tokens::clear(host, &wish.lists_token())?)
}

/// What an upgrade of everything would do, by the lists that are there.
pub(in super::super) fn upgrades(
    host: &dyn Host,
    wish: &Packages,
) -> Result<BTreeMap<String, PackageChange>, Failure> {
    let newer: Vec<(String, String)> = if wish.manager == PackageManager::Zypper {
        let table = must(host, spawn(wish, &["list-updates"], &[]))?.stdout;
        table.lines().filter_map(zypper_newer).collect()
    } else {
        let spawn = spawn(wish, &["check-update"], &[]);
        let output = host.run(&spawn)?;
        if !output.is_success() && output.status != Some(DNF_NEWER) {
            return Err(of_output(&spawn.argv, &output));
        }
        let lines = output.stdout.lines().take_while(|line| !line.starts_with("Obsoleting"));
        lines.filter_map(dnf_newer).collect()
    };
    let names = newer.iter().map(|(name, _)| name.as_str()).collect();
    let there = installed(host, wish.manager, &names, false)?;
    let from = |name: &str| {
        let version = there.versions.get(name)?.last()?;
        Some(version.strip_prefix("0:").unwrap_or(version).to_owned())
    };
    Ok(newer
        .into_iter()
        .map(|(name, to)| {
            let change = PackageChange { from: from(&name), to: Some(to) };
            (name, change)
        })
        .collect())
}

/// `NAME.ARCH  VERSION  REPOSITORY`.
fn dnf_newer(line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [package, version, _] = words.as_slice() else { return None };
    let (name, _) = package.rsplit_once('.')?;
    Some((name.to_owned(), (*version).to_owned()))
}

/// `v | REPOSITORY | NAME | OLD | NEW | ARCH`.
fn zypper_newer(line: &str) -> Option<(String, String)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    match cells.as_slice() {
        ["v", _, name, _, new, _] => Some(((*name).to_owned(), (*new).to_owned())),
        _ => None,
    }
}

/// Upgrades everything.
pub(in super::super) fn upgrade(host: &dyn Host, wish: &Packages, autoclean: bool) -> Result<(), Failure> {
    let is_zypper = wish.manager == PackageManager::Zypper;
    let words: &[&str] = if is_zypper { &["update", "--auto-agree-with-licenses"] } else { &["upgrade"] };
    let upgrade = spawn(wish, words, &[]);
    let output = host.run(&upgrade)?;
    let is_done = is_zypper && output.status.is_some_and(|status| ZYPPER_DONE.contains(&status));
    if !output.is_success() && !is_done {
        return Err(of_output(&upgrade.argv, &output));
    }
    if autoclean {
        let words: &[&str] = if is_zypper { &["clean"] } else { &["clean", "packages"] };
        must(host, spawn(wish, words, &[]))?;
    }
    Ok(())
}

fn spawn(wish: &Packages, words: &[&str], packages: &[String]) -> Spawn {
    let mut argv = match wish.manager {
        PackageManager::Zypper => vec!["zypper", "--non-interactive"],
        // dnf waits for its lock by itself.
        _ => vec!["dnf", "-y", "-q"],
    };
    argv.extend(words);
    argv.extend(packages.iter().map(String::as_str));
    let mut spawn = Spawn::new(argv);
    spawn.timeout = INSTALL + Duration::from_secs(wish.lock_timeout_s);
    if wish.manager == PackageManager::Zypper {
        spawn.environment.insert("ZYPP_LOCK_TIMEOUT".into(), wish.lock_timeout_s.to_string());
    }
    spawn
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_found_in_locks() {
        assert_eq!(super::nevra_name("containerd.io-0:1.7.1-1.el9.*"), "containerd.io");
        assert_eq!(super::nevra_name("nfs-utils-1:2.5.4-3.el9.*"), "nfs-utils");
    }
}
