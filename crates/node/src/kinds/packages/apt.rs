//! Debian and Ubuntu.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kubespray_resource::{Failure, PackageChange, Packages};

use super::{INSTALL, Installed, Work};
use crate::failure::{impossible, of_output};
use crate::kinds::{must, run};
use crate::{Host, Output, Spawn, tokens};

const FORMAT: &str = "${Package}\\t${db:Status-Abbrev}\\t${Version}\\n";

/// What dpkg has of some packages. It fails where it knows none of them, and still tells of the others.
pub(super) fn installed(host: &dyn Host, names: &BTreeSet<&str>, holds: bool) -> Result<Installed, Failure> {
    let mut out = Installed::default();
    if !names.is_empty() {
        let mut argv = vec!["dpkg-query", "--show", "--showformat", FORMAT, "--"];
        argv.extend(names);
        let spawn = Spawn::new(argv);
        let output = host.run(&spawn)?;
        if !matches!(output.status, Some(0 | 1)) {
            return Err(of_output(&spawn.argv, &output));
        }
        for line in output.stdout.lines() {
            let mut fields = line.split('\t');
            let (name, status, version) = (fields.next(), fields.next(), fields.next());
            // The second letter is what is: `ii`, `hi` are installed, `rc` left only its configuration.
            if let (Some(name), Some(status), Some(version)) = (name, status, version)
                && status.chars().nth(1) == Some('i')
            {
                out.versions.entry(name.to_owned()).or_default().push(version.to_owned());
            }
        }
    }
    if holds {
        out.held = run(host, &["apt-mark", "showhold"])?.stdout.lines().map(str::to_owned).collect();
    }
    Ok(out)
}

/// The names of all installed packages.
pub(super) fn all(host: &dyn Host) -> Result<Vec<String>, Failure> {
    let output = run(host, &["dpkg-query", "--show", "--showformat", FORMAT])?;
    let lines = output.stdout.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let installed =
        lines.filter(|fields| fields.get(1).is_some_and(|status| status.chars().nth(1) == Some('i')));
    Ok(installed.filter_map(|fields| fields.first().map(ToString::to_string)).collect())
}

/// dpkg, unlike apt, takes nothing along: what others need it leaves, and says so.
pub(super) fn unneeded(host: &dyn Host, names: Vec<String>) -> Result<Vec<String>, Failure> {
    let argv = ["dpkg", "--no-act", "--purge"].map(str::to_owned).into_iter().chain(names.iter().cloned());
    let output = host.run(&Spawn::new(argv))?;
    let is_kept = |name: &String| {
        [
            format!("dependency problems prevent removal of {name}:"),
            format!("error processing package {name} (--purge)"),
        ]
        .iter()
        .any(|words| output.stderr.contains(words))
    };
    Ok(names.into_iter().filter(|name| !is_kept(name)).collect())
}

/// How often and how long another program's lock is waited for.
const LOCK_TRIES: usize = 60;
const LOCK_PAUSE: Duration = Duration::from_secs(5);

/// Removes packages with their configuration.
pub(super) fn purge(host: &dyn Host, names: &[String]) -> Result<(), Failure> {
    let argv = ["dpkg", "--purge"].map(str::to_owned).into_iter().chain(names.iter().cloned());
    let mut spawn = Spawn { timeout: INSTALL, ..Spawn::new(argv) };
    spawn.environment.insert("DEBIAN_FRONTEND".into(), "noninteractive".into());
    let mut output = host.run(&spawn)?;
    for _ in 1..LOCK_TRIES {
        if output.is_success() || !output.stderr.contains("lock") {
            break;
        }
        host.sleep(LOCK_PAUSE)?;
        output = host.run(&spawn)?;
    }
    if output.is_success() { Ok(()) } else { Err(of_output(&spawn.argv, &output)) }
}

pub(super) fn apply(host: &dyn Host, wish: &Packages, work: &Work) -> Result<(), Failure> {
    if work.lists_pending {
        update(host, wish)?;
    }
    mark(host, "unhold", &work.unhold)?;
    if !work.install.is_empty() {
        let packages: Vec<String> = work
            .install
            .iter()
            .map(|(name, version)| match version {
                Some(version) => format!("{name}={version}"),
                None => name.clone(),
            })
            .collect();
        let spawn = install(wish, &packages);
        let mut output = host.run(&spawn)?;
        if is_unknown(&output) && !work.lists_pending {
            update(host, wish)?;
            output = host.run(&spawn)?;
        }
        if !output.is_success() {
            let failure = of_output(&spawn.argv, &output);
            return Err(if is_unknown(&output) {
                let mut unknown = impossible(format!("apt does not know one of: {}", packages.join(", ")));
                unknown.evidence = failure.evidence;
                unknown.hint("look at the sources in /etc/apt with `apt-cache policy PACKAGE`")
            } else {
                explained(failure, &format!("`{}` cannot be installed", packages.join(" ")))
            });
        }
    }
    if !work.remove.is_empty() {
        must(host, get(wish, &["remove"], &work.remove))?;
    }
    mark(host, "hold", &work.hold)
}

fn mark(host: &dyn Host, verb: &str, packages: &[String]) -> Result<(), Failure> {
    if packages.is_empty() {
        return Ok(());
    }
    let mut argv = vec!["apt-mark", verb];
    argv.extend(packages.iter().map(String::as_str));
    run(host, &argv).map(drop)
}

/// Fetches the lists anew; a source that does not answer is an error, not an old list.
pub(in super::super) fn update(host: &dyn Host, wish: &Packages) -> Result<(), Failure> {
    must(host, get(wish, &["update", "-o", "APT::Update::Error-Mode=any"], &[]))
        .map_err(|failure| explained(failure, "lists of packages cannot be fetched"))?;
    Ok(tokens::clear(host, &wish.lists_token())?)
}

/// What an upgrade of everything would do, by the lists that are there. Nothing is locked: others may be at work.
pub(in super::super) fn upgrades(
    host: &dyn Host,
    wish: &Packages,
) -> Result<BTreeMap<String, PackageChange>, Failure> {
    let words = ["dist-upgrade", "--simulate", "-o", "Debug::NoLocking=1"];
    let output = must(host, get(wish, &words, &[]))
        .map_err(|failure| explained(failure, "what is to be upgraded cannot be found out"))?;
    Ok(output.stdout.lines().filter_map(upgrade_of).collect())
}

/// `Inst NAME [OLD] (NEW SOURCE …)`, without `[OLD]` for what is new, and `Remv NAME [OLD]`.
fn upgrade_of(line: &str) -> Option<(String, PackageChange)> {
    let mut words = line.split_whitespace().peekable();
    let verb = words.next().filter(|verb| ["Inst", "Remv"].contains(verb))?;
    let name = words.next()?.to_owned();
    let from = words.next_if(|word| word.starts_with('['));
    let from = from.map(|word| word.trim_matches(['[', ']']).to_owned());
    let to = words.next().filter(|word| verb == "Inst" && word.starts_with('('));
    let to = to.map(|word| word.trim_matches(['(', ')']).to_owned());
    Some((name, PackageChange { from, to }))
}

/// Upgrades everything, as files of others that were changed here stay; what nothing needs any more goes.
pub(in super::super) fn upgrade(host: &dyn Host, wish: &Packages, autoclean: bool) -> Result<(), Failure> {
    let words = [&["dist-upgrade", "--auto-remove"][..], &KEEP_CONFIGURATION].concat();
    let spawn = get(wish, &words, &[]);
    let mut output = host.run(&spawn)?;
    // Somebody was cut off in the middle, most likely we.
    if output.stderr.contains("dpkg was interrupted") {
        let argv = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"];
        must(host, Spawn { argv: argv.map(str::to_owned).to_vec(), ..spawn.clone() })?;
        output = host.run(&spawn)?;
    }
    if !output.is_success() {
        let failure = of_output(&spawn.argv, &output);
        return Err(explained(failure, "the packages of the system cannot be upgraded"));
    }
    if autoclean {
        must(host, get(wish, &["autoclean"], &[]))?;
    }
    Ok(())
}

/// What apt says, in lower case, what it means, and what to do. The first that fits counts.
const KNOWN: [(&[&str], &str, &str); 4] = [
    (
        &["could not get lock", "unable to lock", "unable to acquire the dpkg frontend lock"],
        "another program holds the lock of apt",
        "wait until it is done (`ps -C apt-get,dpkg,unattended-upgrade`), then go on",
    ),
    (
        &["dpkg was interrupted"],
        "dpkg was cut off before",
        "run `dpkg --configure -a` on the host, then go on",
    ),
    (
        &["unmet dependencies", "held broken packages", "unable to correct problems"],
        "what they need cannot be installed",
        "look at `apt-get install --simulate` and `apt-mark showhold` on the host",
    ),
    (
        &[
            "temporary failure resolving",
            "could not resolve",
            "could not connect",
            "cannot initiate the connection",
            "connection failed",
            "connection timed out",
            "failed to fetch",
            "release file",
        ],
        "the source of packages cannot be reached, or does not have them",
        "check the sources in /etc/apt, name resolution and the proxy of the host; `debian_repo` and `ubuntu_repo` name mirrors",
    ),
];

/// A failure of apt in words that say what cannot be done and why; its own words are the evidence.
fn explained(mut failure: Failure, what: &str) -> Failure {
    let said = failure.evidence.join("\n").to_lowercase();
    if failure.hints.is_empty()
        && let Some((_, why, hint)) =
            KNOWN.iter().find(|(words, ..)| words.iter().any(|words| said.contains(words)))
    {
        failure.message = format!("{what}: {why}");
        failure = failure.hint(*hint);
    } else {
        failure.message = format!("{what}: {}", failure.message);
    }
    failure
}

/// Configuration files that were written or changed here stay as they are.
const KEEP_CONFIGURATION: [&str; 4] =
    ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"];

fn install(wish: &Packages, packages: &[String]) -> Spawn {
    let options =
        [&["install"][..], &KEEP_CONFIGURATION, &["--no-install-recommends", "--allow-downgrades"]].concat();
    get(wish, &options, packages)
}

fn get(wish: &Packages, words: &[&str], packages: &[String]) -> Spawn {
    let lock = format!("DPkg::Lock::Timeout={}", wish.lock_timeout_s);
    let mut argv = vec!["apt-get", "-y", "-q", "-o", &lock];
    argv.extend(words);
    if !packages.is_empty() {
        argv.push("--");
    }
    argv.extend(packages.iter().map(String::as_str));
    let mut spawn = Spawn::new(argv);
    spawn.timeout = INSTALL + Duration::from_secs(wish.lock_timeout_s);
    for (name, value) in
        [("DEBIAN_FRONTEND", "noninteractive"), ("NEEDRESTART_MODE", "l"), ("NEEDRESTART_SUSPEND", "1")]
    {
        spawn.environment.insert(name.into(), value.into());
    }
    spawn
}

fn is_unknown(output: &Output) -> bool {
    !output.is_success()
        && ["Unable to locate package", "has no installation candidate", "was not found", "404  Not Found"]
            .iter()
            .any(|words| output.stderr.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_upgraded_is_read() {
        let change = |from: Option<&str>, to: Option<&str>| PackageChange {
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        for (line, expected) in [
            (
                "Inst libc6 [2.36-9] (2.36-9+deb12u1 Debian:12.5/stable [amd64]) []",
                Some(("libc6", change(Some("2.36-9"), Some("2.36-9+deb12u1")))),
            ),
            (
                "Inst linux-image-6.1.0-20-amd64 (6.1.85-1 Debian-Security:12/stable-security [amd64])",
                Some(("linux-image-6.1.0-20-amd64", change(None, Some("6.1.85-1")))),
            ),
            ("Remv old [1.0]", Some(("old", change(Some("1.0"), None)))),
            ("Conf libc6 (2.36-9+deb12u1 Debian:12.5/stable [amd64])", None),
            ("0 upgraded, 0 newly installed, 0 to remove and 1 not upgraded.", None),
            ("", None),
        ] {
            let expected = expected.map(|(name, change)| (name.to_owned(), change));
            assert_eq!(upgrade_of(line), expected, "{line}");
        }
    }

    #[test]
    fn what_apt_says_is_told_in_words_with_advice() {
        for (said, why, advice) in [
            (
                "E: Failed to fetch http://deb.debian.org/socat.deb  Temporary failure resolving 'deb.debian.org'",
                "cannot be reached",
                "/etc/apt",
            ),
            (
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1",
                "the lock",
                "wait",
            ),
            (
                "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'",
                "cut off",
                "dpkg --configure -a",
            ),
            (
                " x : Depends: y but it is not installable\nE: Unable to correct problems, you have held broken packages.",
                "what they need",
                "showhold",
            ),
            ("dpkg: error: /var: No space left on device", "a disk is full", "`df -h`"),
        ] {
            let output = Output { status: Some(100), stdout: String::new(), stderr: said.into() };
            let failure = of_output(&["apt-get".to_owned(), "install".to_owned()], &output);
            let failure = explained(failure, "`socat` cannot be installed");
            assert!(failure.message.starts_with("`socat` cannot be installed: "), "{failure:?}");
            assert!(failure.message.contains(why), "{failure:?}");
            assert!(matches!(&failure.hints[..], [hint] if hint.contains(advice)), "{failure:?}");
            assert_eq!(failure.evidence.join("\n"), said);
        }
    }
}
