//! Looking at hosts over their connections.

use std::collections::BTreeMap;

use kubespray_planner::{Answers, Questions as Asks, Seen, Wishes, look as look_by, observe as observe_by};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Failure as HostFailure, Resource, Secrets, StepId};

use super::Reach;
use super::asked::Connected;
use super::secrets::missing;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::fleet;

/// What hosts are asked, by host.
pub(crate) type Questions = BTreeMap<String, Vec<(StepId, Resource)>>;

/// What the hosts of some wishes have. A host that cannot be asked is an error, and all of them are named.
pub(crate) fn look(reach: &Reach, wishes: &Wishes, secrets: &Secrets) -> Result<Seen, Failure> {
    for step in &wishes.steps {
        for name in step.resource.secret_names() {
            secrets.get(&name).map_err(|secret| missing(&step.host, &secret))?;
        }
    }
    let hosts = reach.connected();
    look_by(wishes, secrets, |asks| ask(&hosts, asks))
}

/// Asks hosts what they have; a host that cannot be asked is an error, and all of them are named.
pub(super) fn observe(hosts: &Connected<'_>, asked: &Questions, seen: &mut Seen) -> Result<(), Failure> {
    seen.states.extend(observe_by(asked.clone(), &mut |asks| ask(hosts, asks))?);
    Ok(())
}

/// Asks hosts, all at once.
fn ask(hosts: &Connected<'_>, mut asks: Asks) -> Result<Answers, Failure> {
    let ways = hosts.ways(&asks.keys().map(String::as_str).collect::<Vec<_>>())?;
    let of_host = |host: &str| asks.get(host).cloned().unwrap_or_default();
    let results = fleet::ask(hosts.transport, &ways, of_host);
    let (mut answers, mut problems) = (Answers::new(), Vec::new());
    for (host, result) in results {
        // Without a text a plan says what differs in other words; without an observation there is none.
        let is_needed = asks.remove(&host).into_iter().flatten().any(|ask| !matches!(ask, Ask::Read { .. }));
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
