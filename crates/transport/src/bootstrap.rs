//! What is run on a host before the helper, and what it says.
//!
//! The login shell runs a wrapper in `/bin/sh`, which becomes root and runs `bootstrap.sh` there:
//!
//! 1. where sudo asks for a password it prints `NONCE-password` to stderr, and the password is sent;
//! 2. the script prints one line `NONCE-ready KEY=VALUE ...` ([`Ready`]);
//! 3. the controller sends `start`, or `upload SIZE gzip|raw` and, after the line `NONCE-send`, so many bytes;
//! 4. the script becomes the helper, or prints `NONCE-failed REASON`.
//!
//! Whatever else comes is noise of login shells, banners and sudo.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::arguments::quote;
use crate::{Become, Disconnect};

const SCRIPT: &str = include_str!("bootstrap.sh");

/// Becomes root by `$1`: `no`, `ask` (a password is sent) or `free`. `$2` nonce, `$3` the script, then its
/// further arguments.
const WRAPPER: &str = "LC_ALL=C; export LC_ALL; how=$1; nonce=$2; script=$3; shift 3; \
    if [ \"$(id -u)\" = 0 ]; then exec /bin/sh -c \"$script\" kubespray \"$nonce\" \"$@\"; fi; \
    if [ $how = no ]; then echo \"$nonce-failed root $(id -u)\"; exit 1; fi; \
    if command -v sudo >/dev/null 2>&1; then :; else echo \"$nonce-failed sudo\"; exit 1; fi; \
    if [ $how = ask ]; then \
    exec sudo -S -p \"$nonce-password\" -- /bin/sh -c \"$script\" kubespray \"$nonce\" \"$@\"; fi; \
    exec sudo -n -- /bin/sh -c \"$script\" kubespray \"$nonce\" \"$@\"";

/// What marks our lines among the noise: different in each connection.
pub(crate) fn nonce() -> String {
    use std::hash::{BuildHasher, RandomState};
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    // Each `RandomState` has keys of its own.
    format!("kubespray-{:016x}", RandomState::new().hash_one(time))
}

/// The one word of shell that is run on the host.
pub(crate) fn command(nonce: &str, root: &Become, digests: &str, folders: &[String]) -> String {
    let how = match (root.enabled, &root.password) {
        (false, _) => "no",
        (true, Some(_)) => "ask",
        (true, None) => "free",
    };
    let folders = folders.join(" ").replace("NONCE", nonce);
    let script = one_line(SCRIPT);
    let words = ["kubespray", how, nonce, &script, digests, &folders].map(quote).join(" ");
    // `exec`: the login shell need not stay.
    format!("exec /bin/sh -c {} {words}", quote(WRAPPER))
}

/// The script without comments and line ends, which not every login shell takes in a quoted word.
fn one_line(script: &str) -> String {
    script.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ")
}

/// What the script found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    /// `uname -m`.
    pub(crate) arch: String,
    /// Whether sudo was needed.
    pub(crate) by_sudo: bool,
    /// How uploads are packed: whether there is gzip.
    pub(crate) gzip: bool,
    /// Whether the right helper is there.
    pub(crate) have: bool,
    /// Free KiB in the folder, where known.
    pub(crate) free_kib: Option<u64>,
    /// Whether a folder was found.
    pub(crate) folder: bool,
    /// The folders that are not used, as `folder:reason`.
    pub(crate) tried: Vec<String>,
}

/// A line of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The script waits for a word.
    Ready(Ready),
    /// The script waits for the helper.
    Send,
    /// The script gave up.
    Failed(String),
}

impl Line {
    /// Reads a line; nothing for noise. Noise without a line end may stand before ours.
    pub(crate) fn parse(line: &str, nonce: &str) -> Option<Self> {
        let (_, rest) = line.split_once(nonce)?;
        let rest = rest.trim_end();
        if let Some(fields) = rest.strip_prefix("-ready ") {
            return Some(Self::Ready(ready(fields)));
        }
        if rest == "-send" {
            return Some(Self::Send);
        }
        rest.strip_prefix("-failed ").map(|reason| Self::Failed(reason.to_owned()))
    }
}

fn ready(fields: &str) -> Ready {
    let (fields, tried) = fields.split_once("tried=").unwrap_or((fields, ""));
    let mut ready = Ready { tried: tried.split_whitespace().map(explain).collect(), ..Ready::default() };
    for (key, value) in fields.split_whitespace().filter_map(|field| field.split_once('=')) {
        match key {
            "arch" => value.clone_into(&mut ready.arch),
            "login" => ready.by_sudo = value != "root",
            "packed" => ready.gzip = value == "gzip",
            "have" => ready.have = value == "yes",
            "free" => ready.free_kib = value.parse().ok(),
            "folder" => ready.folder = value != "none",
            _ => {}
        }
    }
    ready
}

fn explain(tried: &str) -> String {
    let (folder, why) = tried.rsplit_once(':').unwrap_or((tried, ""));
    let why = match why {
        "link" => "is a symbolic link",
        "mkdir" => "cannot be made",
        "owner" => "is not root's alone",
        "write" => "cannot be written",
        "noexec" => "cannot execute programs",
        other => other,
    };
    format!("`{folder}` {why}")
}

/// What a `failed` line means.
pub(crate) fn failure(reason: &str, need_kib: u64, full: bool, evidence: Vec<String>) -> Disconnect {
    match reason.split_once(' ').unwrap_or((reason, "")) {
        ("root", uid) => Disconnect::NotRoot { uid: uid.to_owned() },
        ("sudo", _) => Disconnect::SudoMissing,
        ("write", _) if full => Disconnect::NoSpace { free_kib: None, need_kib },
        ("write", _) => Disconnect::UploadFailed { reason: "it could not be written".into(), evidence },
        ("digest", _) => {
            Disconnect::UploadFailed { reason: "other bytes arrived than were sent".into(), evidence }
        }
        (other, _) => Disconnect::UploadFailed { reason: other.to_owned(), evidence },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_survives_any_login_shell() {
        for text in [one_line(SCRIPT), WRAPPER.to_owned()] {
            assert!(!text.contains(['\'', '\\', '!', '\n']), "{text}");
        }
        assert_ne!(nonce(), nonce());
    }

    #[test]
    fn lines_are_found_behind_noise() {
        let line = "\u{1b}[1mhello kubespray-1-ready arch=x86_64 login=ada systemd=yes packed=gzip have=no free=120 \
                    folder=/opt/kubespray tried=/var/lib/kubespray/bin:noexec \r";
        let Some(Line::Ready(ready)) = Line::parse(line, "kubespray-1") else { panic!() };
        assert_eq!(
            (ready.arch.as_str(), ready.gzip, ready.have, ready.free_kib),
            ("x86_64", true, false, Some(120))
        );
        assert_eq!(ready.tried, ["`/var/lib/kubespray/bin` cannot execute programs"]);
        assert!(ready.folder);
        assert_eq!(Line::parse("kubespray-1-send", "kubespray-1"), Some(Line::Send));
        assert_eq!(Line::parse("kubespray-2-send", "kubespray-1"), None);
        assert_eq!(Line::parse("+ sudo -p kubespray-1-password --", "kubespray-1"), None);
    }
}
