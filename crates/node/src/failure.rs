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

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let class = match error {
            HostError::Refused { .. } | HostError::NoProgram(_) => ErrorClass::Host,
            HostError::Timeout { .. } | HostError::Unreachable { .. } => ErrorClass::Transient,
            HostError::Cancelled | HostError::Gone => ErrorClass::Cancelled,
        };
        Self::new(class, error.to_string())
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
    let mut failure = Failure::new(class, format!("`{}` {how}", in_short(argv)));
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
    fn scripts_are_named_by_their_beginning() {
        let argv = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(in_short(&argv(&["kubeadm", "init"])), "kubeadm init");
        assert_eq!(in_short(&argv(&["/bin/sh", "-c", "rm a\nrm b", "sh", "/x"])), "rm a");
        assert_eq!(in_short(&argv(&["echo", &"ä".repeat(200)])).chars().count(), 101);
    }
}
