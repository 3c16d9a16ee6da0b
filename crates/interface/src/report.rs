//! How a run ended, as a text.

use std::fmt::Write as _;

use kubespray_controller::{Ending, HostFailure, Report};

use crate::amount::{WIDEST_COLUMN, duration, list, plural};

/// Slow steps that are named, and from which time on one is slow.
const SLOWEST: usize = 5;
const SLOW_MS: u64 = 1_000;

/// A recap per host, the slowest steps, and for each failure its cause, evidence and hints. `go_on` is the whole
/// command that goes on.
pub fn report_text(report: &Report, go_on: Option<&str>) -> String {
    let mut out = String::new();
    recap(report, &mut out);
    slowest(report, &mut out);
    for failure in &report.failures {
        out.push('\n');
        failure_text(failure, &mut out);
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
        let _ = writeln!(out, "the lock may still be held on {}, which did not answer", list(&hosts, 8));
    }
    if !report.cordoned.is_empty() {
        let hosts: Vec<&str> = report.cordoned.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "cordoned by us and not given back: {}; going on finishes them and lets them take pods again",
            hosts.join(", ")
        );
    }
    if let Some(command) = go_on {
        let _ = writeln!(out, "to go on: {command}");
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

fn failure_text(failure: &HostFailure, out: &mut String) {
    let what = match &failure.step {
        Some(step) => step.as_str(),
        None => failure.host.as_str(),
    };
    let _ = writeln!(out, "failed: {what}\n  {}", failure.failure.message);
    for line in &failure.failure.evidence {
        let _ = writeln!(out, "  | {line}");
    }
    for hint in &failure.failure.hints {
        let _ = writeln!(out, "  -> {hint}");
    }
}

#[cfg(test)]
mod tests {
    use kubespray_controller::SlowStep;
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
            locked: vec!["b".into()],
            cordoned: vec!["b".into()],
            go_on: None,
        };
        insta::assert_snapshot!(report_text(&report, Some("kubespray runs resume r1 -i hosts.yaml")));
    }
}
