//! Events as single lines, for terminals that are none and for logs.

use kubespray_resource::{Event, EventKind, OutcomeKind};

use crate::amount::{duration, plural};

/// What happened, in one line; nothing for what is not worth one.
pub fn line(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::RunStarted { operation, cluster, hosts, steps, resumed } => format!(
            "{} {operation} of {cluster}: {} on {} (run {})",
            if *resumed { "going on with" } else { "starting" },
            plural(*steps, "change"),
            plural(*hosts, "host"),
            event.run
        ),
        EventKind::HostDown { host, why } => format!("{host}: no connection: {why}"),
        EventKind::StepDone { host, step, outcome, took_ms } => {
            let word = match outcome.kind {
                OutcomeKind::Unchanged => return None,
                OutcomeKind::Created => "created",
                OutcomeKind::Updated => "changed",
                OutcomeKind::Removed => "removed",
            };
            let what = step.as_str().strip_prefix(&format!("{host}/")).unwrap_or(step.as_str());
            format!("{host}: {word} {what} ({})", duration(*took_ms))
        }
        EventKind::StepFailed { host, step, failure, retry_in_ms } => {
            let again = match retry_in_ms {
                Some(ms) => format!("; trying again in {}", duration(*ms)),
                None => String::new(),
            };
            format!("{host}: failed {step}: {failure}{again}")
        }
        EventKind::StepSkipped { host, step, why } => format!("{host}: left out {step}: {why}"),
        EventKind::GateOpened { gate } => format!("gate open: {gate}"),
        EventKind::Stopping => "stopping: what is under way is finished first".to_owned(),
        EventKind::HostUp { .. }
        | EventKind::LockTaken { .. }
        | EventKind::StepStarted { .. }
        | EventKind::RunFinished { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{ErrorClass, Failure, Outcome};

    use super::*;

    fn text(kind: EventKind) -> Option<String> {
        line(&Event { run: "r1".into(), at_ms: 0, kind })
    }

    #[test]
    fn lines() {
        let done = |kind| EventKind::StepDone {
            step: "a/engine/config".into(),
            host: "a".into(),
            outcome: Outcome { kind, changes: Vec::new(), output: None },
            took_ms: 1_500,
        };
        assert_eq!(text(done(OutcomeKind::Updated)).as_deref(), Some("a: changed engine/config (1.5 s)"));
        assert_eq!(text(done(OutcomeKind::Unchanged)), None);
        let failed = EventKind::StepFailed {
            step: "a/x/y".into(),
            host: "a".into(),
            failure: Failure::new(ErrorClass::Transient, "the lock of apt is held"),
            retry_in_ms: Some(2_000),
        };
        assert_eq!(
            text(failed).as_deref(),
            Some("a: failed a/x/y: the lock of apt is held; trying again in 2.0 s")
        );
    }
}
