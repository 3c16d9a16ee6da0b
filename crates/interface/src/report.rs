//! How a run ended, as a text.

use std::fmt::Write as _;

use kubespray_controller::{Ending, HostFailure, Report};

use crate::amount::{WIDEST_COLUMN, duration, list, plural};
use crate::lines::name_on;

/// Slow steps that are named, and from which time on one is slow.
const SLOWEST: usize = 5;
const SLOW_MS: u64 = 1_000;
/// Hosts that are named where the same happened to all.
const HOSTS_NAMED: usize = 8;

/// A recap per host, the slowest steps, and for each failure its cause, evidence and hints. `go_on` is the whole
/// command that goes on, `undo` the one that puts back what hosts kept.
pub fn report_text(report: &Report, go_on: Option<&str>, undo: Option<&str>) -> String {
    let mut out = String::new();
    recap(report, &mut out);
    slowest(report, &mut out);
    for (word, failures) in [("gone on without", &report.shortfalls), ("failed", &report.failures)] {
        for same in alike(failures) {
            out.push('\n');
            failure_text(word, &same, &mut out);
        }
    }
    let changed = report.recap.iter().filter(|host| host.changed > 0).count();
    let word = match &report.ending {
        Ending::Done if changed == 0 => "done: nothing had to be changed".to_owned(),
        Ending::Done => format!("done: {} changed", plural(changed, "host")),
        Ending::Failed => format!("failed on {}", plural(report.failures.len().max(1), "host")),
        Ending::Stopped => "stopped".to_owned(),
        Ending::Refused(_) | Ending::NoLock(_) => "not begun: nothing was changed".to_owned(),
    };
    let _ = writeln!(out, "\n{word} (run {})", report.run);
    if !report.locked.is_empty() {
        let hosts: Vec<&str> = report.locked.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "the lock may still be held on {}: going on takes it over, `--break-lock` takes it away",
            list(&hosts, HOSTS_NAMED)
        );
    }
    if !report.cordoned.is_empty() {
        let hosts: Vec<&str> = report.cordoned.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "cordoned by us and not given back: {}; going on finishes them and lets them take pods again",
            hosts.join(", ")
        );
    }
    if let (Some(of), Some(command)) = (&report.undo, undo) {
        let hosts: Vec<&str> = of.hosts.iter().map(String::as_str).collect();
        let _ =
            writeln!(out, "to put back what this run replaced on {}: {command}", list(&hosts, HOSTS_NAMED));
    }
    match go_on {
        Some(command) => {
            let _ = writeln!(out, "to go on: {command}");
        }
        None if report.go_on.is_none() && matches!(report.ending, Ending::Failed | Ending::Stopped) => {
            out.push_str("nothing was changed: run the command again\n");
        }
        None => {}
    }
    out
}

fn recap(report: &Report, out: &mut String) {
    if report.recap.is_empty() {
        return;
    }
    let width = report.recap.iter().map(|host| host.host.chars().count()).max().unwrap_or(0);
    let width = width.clamp(4, WIDEST_COLUMN);
    let _ = writeln!(
        out,
        "{:width$}  {:>6}  {:>7}  {:>6}  {:>7}  time",
        "host", "ok", "changed", "failed", "skipped"
    );
    for host in &report.recap {
        let _ = writeln!(
            out,
            "{:width$}  {:>6}  {:>7}  {:>6}  {:>7}  {}",
            host.host,
            host.unchanged,
            host.changed,
            host.failed,
            host.skipped,
            duration(host.took_ms)
        );
    }
}

fn slowest(report: &Report, out: &mut String) {
    let slow: Vec<_> = report.slowest.iter().filter(|step| step.took_ms >= SLOW_MS).take(SLOWEST).collect();
    if slow.is_empty() {
        return;
    }
    out.push_str("\nslowest\n");
    for step in slow {
        let _ = writeln!(out, "  {:>11}  {}", duration(step.took_ms), step.step);
    }
}

/// Failures of the same step for the same reason, on whatever hosts, in the order of the first of each.
fn alike(failures: &[HostFailure]) -> Vec<Vec<&HostFailure>> {
    let mut groups: Vec<Vec<&HostFailure>> = Vec::new();
    for failure in failures {
        let is_same = |group: &&mut Vec<&HostFailure>| {
            group.first().is_some_and(|first| {
                failure.step.is_some()
                    && step_name(first) == step_name(failure)
                    && first.failure == failure.failure
            })
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(failure),
            None => groups.push(vec![failure]),
        }
    }
    groups
}

/// The step as it is called on every host.
fn step_name(failure: &HostFailure) -> Option<&str> {
    failure.step.as_ref().map(|step| name_on(step, &failure.host))
}

fn failure_text(word: &str, same: &[&HostFailure], out: &mut String) {
    let Some(failure) = same.first() else { return };
    let what = match &failure.step {
        Some(_) if same.len() > 1 => {
            let hosts: Vec<&str> = same.iter().map(|failure| failure.host.as_str()).collect();
            format!("{} on {}", step_name(failure).unwrap_or_default(), list(&hosts, HOSTS_NAMED))
        }
        Some(step) => step.to_string(),
        None => failure.host.clone(),
    };
    let _ = writeln!(out, "{word}: {what}\n  {}", failure.failure.message);
    for line in &failure.failure.evidence {
        let _ = writeln!(out, "  | {line}");
    }
    for hint in &failure.failure.hints {
        let _ = writeln!(out, "  -> {hint}");
    }
}

#[cfg(test)]
mod tests {
    use kubespray_controller::{SlowStep, Undo};
    use kubespray_resource::{ErrorClass, Failure, HostRecap};

    use super::*;

    #[test]
    fn everything_that_matters_is_in_it() {
        let host = |host: &str, changed, failed| HostRecap {
            host: host.into(),
            unchanged: 3,
            changed,
            failed,
            skipped: 1,
            took_ms: 1_500,
        };
        let failure = Failure::new(ErrorClass::Host, "the unit does not start")
            .evidence("x.service: exit 1")
            .hint("look at its configuration");
        let report = Report {
            run: "r1".into(),
            ending: Ending::Failed,
            recap: vec![host("a", 2, 0), host("node-with-name", 0, 1)],
            slowest: vec![SlowStep { step: "a/x".into(), host: "a".into(), took_ms: 61_000 }],
            failures: vec![HostFailure { host: "b".into(), step: Some("b/x/unit".into()), failure }],
            shortfalls: Vec::new(),
            locked: vec!["b".into()],
            cordoned: vec!["b".into()],
            undo: Some(Undo { hosts: vec!["b".into()], command: "kubespray runs undo r1 --limit b".into() }),
            go_on: None,
        };
        let go_on = Some("kubespray runs resume r1 -i hosts.yaml");
        let undo = Some("kubespray runs undo r1 --limit b -i hosts.yaml");
        insta::assert_snapshot!(report_text(&report, go_on, undo));
    }

    #[test]
    fn the_same_failure_of_several_hosts_is_told_once_and_what_did_not_begin_is_not_gone_on_with() {
        let failed = |host: &str, step: Option<&str>| HostFailure {
            host: host.into(),
            step: step.map(|step| format!("{host}/{step}").into()),
            failure: Failure::new(ErrorClass::Wish, "no such file").hint("look"),
        };
        let report = Report {
            run: "r1".into(),
            ending: Ending::Failed,
            recap: Vec::new(),
            slowest: Vec::new(),
            failures: vec![failed("a", Some("x/y")), failed("b", None), failed("c", Some("x/y"))],
            shortfalls: Vec::new(),
            locked: Vec::new(),
            cordoned: Vec::new(),
            undo: None,
            go_on: None,
        };
        let text = report_text(&report, None, None);
        let expected = "\nfailed: x/y on a and c\n  no such file\n  -> look\n\nfailed: b\n  no such file\n  -> look\n\n\
                        failed on 3 hosts (run r1)\nnothing was changed: run the command again\n";
        assert_eq!(text, expected);
        // What was gone on without is told of a run that is done, too.
        let shortfalls = report.failures.into_iter().take(1).collect();
        let done = Report { ending: Ending::Done, failures: Vec::new(), shortfalls, ..report };
        let expected = "\ngone on without: a/x/y\n  no such file\n  -> look\n\ndone: nothing had to be changed (run r1)\n";
        assert_eq!(report_text(&done, None, None), expected);
    }
}
