//! Events as single lines, for terminals that are none and for logs.

use std::collections::BTreeSet;

use kubespray_resource::{Event, EventKind, Hold, OutcomeKind, StepId};

use crate::amount::{duration, plural};

/// Writes lines for the events of a run.
#[derive(Debug, Default)]
pub struct Lines {
    /// Hosts and why steps of them were left out: told once.
    left_out: BTreeSet<(String, String)>,
}

impl Lines {
    /// What happened, in one line; nothing for what is not worth one.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        match &event.kind {
            EventKind::StepSkipped { host, why, .. }
                if !self.left_out.insert((host.clone(), why.clone())) =>
            {
                None
            }
            _ => line(event),
        }
    }
}

/// A step's name without its host.
pub(crate) fn name_on<'a>(step: &'a StepId, host: &str) -> &'a str {
    step.as_str().strip_prefix(host).and_then(|rest| rest.strip_prefix('/')).unwrap_or(step.as_str())
}

fn line(event: &Event) -> Option<String> {
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
            let without = match &outcome.shortfall {
                Some(failure) => format!("; going on although {failure}"),
                None => String::new(),
            };
            format!("{host}: {word} {} ({}){without}", name_on(step, host), duration(*took_ms))
        }
        EventKind::StepFailed { host, step, failure, retry_in_ms } => {
            let again = match retry_in_ms {
                Some(ms) => format!("; trying again in {}", duration(*ms)),
                None => String::new(),
            };
            format!("{host}: failed {}: {failure}{again}", name_on(step, host))
        }
        EventKind::StepSkipped { host, step, why } => {
            format!("{host}: left out {} and what follows: {why}", name_on(step, host))
        }
        EventKind::Held { host, hold, .. } => match hold {
            Hold::Pause(seconds) => {
                format!("{host}: waiting for {}", duration(seconds.saturating_mul(1_000)))
            }
            Hold::Confirm(question) => format!("{host}: {question}? Enter goes on, `no` stops the run"),
        },
        EventKind::GateOpened { gate } => format!("gate open: {gate}"),
        EventKind::Settling { host, for_ms } => {
            format!("{host}: waiting until nothing goes on there by itself ({} at most)", duration(*for_ms))
        }
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
            outcome: Outcome { kind, changes: Vec::new(), output: None, shortfall: None },
            took_ms: 1_500,
        };
        assert_eq!(text(done(OutcomeKind::Updated)).as_deref(), Some("a: changed engine/config (1.5 s)"));
        assert_eq!(text(done(OutcomeKind::Unchanged)), None);
        let settling = EventKind::Settling { host: "a".into(), for_ms: 42_000 };
        assert_eq!(
            text(settling).as_deref(),
            Some("a: waiting until nothing goes on there by itself (42.0 s at most)")
        );
        let failed = EventKind::StepFailed {
            step: "a/x/y".into(),
            host: "a".into(),
            failure: Failure::new(ErrorClass::Transient, "the lock of apt is held"),
            retry_in_ms: Some(2_000),
        };
        assert_eq!(
            text(failed).as_deref(),
            Some("a: failed x/y: the lock of apt is held; trying again in 2.0 s")
        );
    }

    #[test]
    fn what_is_left_out_is_told_once_for_each_host_and_reason() {
        let skipped = |host: &str, step: &str| {
            let (step, host, why) = (step.into(), host.into(), "the run was stopped".into());
            Event { run: "r1".into(), at_ms: 0, kind: EventKind::StepSkipped { step, host, why } }
        };
        let mut lines = Lines::default();
        let first = lines.line(&skipped("a", "a/x")).unwrap();
        assert_eq!(first, "a: left out x and what follows: the run was stopped");
        assert_eq!(lines.line(&skipped("a", "a/y")), None);
        assert!(lines.line(&skipped("b", "b/x")).is_some());
    }
}
