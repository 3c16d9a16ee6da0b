//! Whether a plan still fits its hosts.

use kubespray_resource::{Change, CompareError, Plan, Secrets, StepId};

use crate::Seen;

/// A step whose host is no longer as the plan saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The step.
    pub step: StepId,
    /// How.
    pub how: String,
}

/// What became different on hosts since a plan was made.
pub fn changed_since(plan: &Plan, seen: &Seen, secrets: &Secrets) -> Vec<Moved> {
    let mut moved = Vec::new();
    for planned in &plan.steps {
        let step = &planned.step;
        let now = match seen.states.get(&step.id) {
            None => Err("it was not observed".to_owned()),
            Some(Err(failure)) => Err(format!("it could not be observed: {failure}")),
            Some(Ok(state)) => {
                step.resource.compare(state, secrets).map_err(|error: CompareError| error.to_string())
            }
        };
        let how = match now {
            Ok(now) if now == planned.seen => continue,
            Ok(now) if now.is_same() => "it is as wished by now".to_owned(),
            Ok(now) => {
                let is_new = |change: &&Change| !planned.seen.changes.contains(change);
                let what: Vec<&str> =
                    now.changes.iter().filter(is_new).map(|change| change.what.as_str()).collect();
                match what.as_slice() {
                    [] => "it differs in less by now".to_owned(),
                    what => format!("it differs in another way by now: {}", what.join(", ")),
                }
            }
            Err(how) => how,
        };
        moved.push(Moved { step: step.id.clone(), how });
    }
    moved
}
