//! What goes wrong on a host, as failures of steps.

use kubespray_resource::{ErrorClass, Failure, MissingSecret};

use crate::{HostError, Output};

/// Lines of output that a failure carries.
const EVIDENCE_LINES: usize = 20;

/// Words of package managers, downloaders and API clients for what passes by itself.
const TRANSIENT: [&str; 14] = [
    "could not get lock",
    "unable to lock",
    "unable to acquire the dpkg frontend lock",
    "waiting for process with pid",
    "system management is locked",
    "temporary failure",
    "could not resolve",
    "connection refused",
    "connection reset",
    "connection timed out",
    "timed out",
    "timeout",
    "hash sum mismatch",
    "service unavailable",
];

/// What the system says of a host where nothing is wrong with the wish: its words in lower case, what they mean, what
/// to do. The first that fits counts.
const OF_HOST: [(&str, &str, &str); 4] = [
    (
        "no space left on device",
        "a disk is full",
        "free some space on the host, or mount a larger disk: `df -h` tells where; then go on",
    ),
    ("disk quota exceeded", "a quota is used up", "raise the quota, or free some space; then go on"),
    (
        "read-only file system",
        "a file system is read-only",
        "look why it was mounted so (`dmesg`), repair it, then go on",
    ),
    (
        "address already in use",
        "another program has a port that it needs",
        "`ss -ltnp` on the host tells which program has the port: end it, then go on",
    ),
];

/// What is wrong with the host, and what to do about it, where somebody's words tell.
pub(crate) fn of_host(said: &str) -> Option<(&'static str, &'static str)> {
    let lower = said.to_lowercase();
    OF_HOST.iter().find(|(words, ..)| lower.contains(words)).map(|(_, what, hint)| (*what, *hint))
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let class = match error {
            HostError::Refused { .. } | HostError::NoProgram(_) => ErrorClass::Host,
            HostError::Timeout { .. } | HostError::Unreachable { .. } => ErrorClass::Transient,
            HostError::Cancelled | HostError::Gone => ErrorClass::Cancelled,
        };
        let failure = Self::new(class, error.to_string());
        match of_host(&failure.message) {
            Some((_, hint)) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Whether the helper is dead (simulated hosts only): nothing must be tried any more.
pub(crate) fn is_gone(failure: &Failure) -> bool {
    failure.class == ErrorClass::Cancelled && failure.message == HostError::Gone.to_string()
}

/// A secret that nobody gave.
pub(crate) fn missing_secret(error: MissingSecret) -> Failure {
    Failure::new(ErrorClass::Wish, error.to_string())
}

/// A wish that cannot come true anywhere.
pub(crate) fn impossible(message: impl Into<String>) -> Failure {
    Failure::new(ErrorClass::Wish, message)
}

/// A file that was fetched, and went before something was made of it.
pub(crate) fn gone_source(message: String) -> Failure {
    Failure::of_host(message).hint(
        "it was removed after it was fetched, as a reboot does with `/tmp`: `kubespray runs resume` fetches it again",
    )
}

/// A program that failed, with the end of what it said.
pub(crate) fn of_output(argv: &[String], output: &Output) -> Failure {
    let how = match output.status {
        Some(status) => format!("ended with status {status}"),
        None => "was ended by a signal".to_owned(),
    };
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let lower = said.to_lowercase();
    let class = if TRANSIENT.iter().any(|words| lower.contains(words)) {
        ErrorClass::Transient
    } else {
        ErrorClass::Host
    };
    let command = in_short(argv);
    let mut failure = match of_host(said) {
        Some((what, hint)) => Failure::new(class, format!("`{command}` {how}: {what}")).hint(hint),
        None => Failure::new(class, format!("`{command}` {how}")),
    };
    failure.evidence = last_lines(said);
    failure
}

/// A command as a message names it: of a script its beginning, without what it is given.
pub(crate) fn in_short(argv: &[String]) -> String {
    const LONGEST: usize = 100;
    let line = match argv {
        [shell, option, script, ..] if option == "-c" && shell.ends_with("sh") => {
            script.lines().next().unwrap_or_default().to_owned()
        }
        _ => argv.join(" "),
    };
    if line.chars().count() <= LONGEST {
        return line;
    }
    let start: String = line.chars().take(LONGEST).collect();
    format!("{}…", start.trim_end())
}

/// The end of a text, without empty lines.
pub(crate) fn last_lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let skipped = lines.len().saturating_sub(EVIDENCE_LINES);
    lines.into_iter().skip(skipped).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_host_is_told_with_advice() {
        let refused = HostError::Refused { what: "write `/x`".into(), why: "no space left on device".into() };
        let failure = Failure::from(refused);
        assert_eq!(failure.message, "write `/x`: no space left on device");
        assert!(failure.hints[0].contains("`df -h`"), "{failure:?}");
        let output = Output {
            status: Some(1),
            stdout: String::new(),
            stderr: "listen tcp 10.0.0.1:2379: bind: Address already in use".into(),
        };
        let failure = of_output(&["etcd".into()], &output);
        assert_eq!(failure.message, "`etcd` ended with status 1: another program has a port that it needs");
        assert!(failure.hints[0].contains("`ss -ltnp`"), "{failure:?}");
        assert!(Failure::from(HostError::NoProgram("x".into())).hints.is_empty());
    }

    #[test]
    fn scripts_are_named_by_their_beginning() {
        let argv = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(in_short(&argv(&["kubeadm", "init"])), "kubeadm init");
        assert_eq!(in_short(&argv(&["/bin/sh", "-c", "rm a\nrm b", "sh", "/x"])), "rm a");
        assert_eq!(in_short(&argv(&["echo", &"ä".repeat(200)])).chars().count(), 101);
    }
}
