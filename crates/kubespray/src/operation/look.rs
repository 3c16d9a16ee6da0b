//! Looking at hosts over their connections.

use kubespray_planner::{Answers, Questions, Seen, Wishes, look as look_by};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Failure as HostFailure, Secrets};

use super::{Reach, missing};
use crate::failure::{FOUND_ERRORS, Failure};
use crate::fleet;

/// What the hosts of some wishes have. A host that cannot be asked is an error, and all of them are named.
pub(crate) fn look(reach: &Reach, wishes: &Wishes, secrets: &Secrets) -> Result<Seen, Failure> {
    for step in &wishes.steps {
        for name in step.resource.secret_names() {
            secrets.get(&name).map_err(|secret| missing(&step.host, &secret))?;
        }
    }
    look_by(wishes, secrets, |questions| ask(reach, questions))
}

/// Asks hosts, all at once.
pub(crate) fn ask(reach: &Reach, mut questions: Questions) -> Result<Answers, Failure> {
    let ways = reach.ways(&questions.keys().map(String::as_str).collect::<Vec<_>>())?;
    let asked = |host: &str| questions.get(host).cloned().unwrap_or_default();
    let results = fleet::ask(&reach.transport, &ways, asked);
    let (mut answers, mut problems) = (Answers::new(), Vec::new());
    for (host, result) in results {
        // Without a text a plan says what differs in other words; without an observation there is none.
        let is_needed =
            questions.remove(&host).into_iter().flatten().any(|ask| !matches!(ask, Ask::Read { .. }));
        let given = match result {
            Err(why) => {
                problems.extend(is_needed.then(|| fleet::problem(&host, &why)));
                Err(HostFailure::of_host(why.to_string()))
            }
            Ok(answered) => {
                let given: Vec<Answer> = answered.answers.into_iter().map(|(answer, ..)| answer).collect();
                let unasked =
                    given.iter().filter(|answer| is_needed && !matches!(answer, Answer::Observed(_)));
                problems.extend(unasked.map(|answer| fleet::unexpected(&host, answer)));
                Ok(given)
            }
        };
        answers.insert(host, given);
    }
    if problems.is_empty() { Ok(answers) } else { Err(Failure { diagnostics: problems, code: FOUND_ERRORS }) }
}
