//! Looking at hosts: one question for each, and a second one for texts that differ.

use std::collections::BTreeMap;

use kubespray_planner::{Seen, Wishes, contents_as_digests, observe_again, texts_to_read};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Resource, Secrets, StepId};

use super::Reach;
use super::secrets::missing;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::fleet;

/// Longer texts are not read for their differences: nobody looks at such a plan.
const LONGEST_TEXT: u64 = 256 << 10;

/// What hosts are asked, by host.
pub(super) type Questions = BTreeMap<String, Vec<(StepId, Resource)>>;

/// What the hosts of some wishes have. A host that cannot be asked is an error, and all of them are named.
pub(crate) fn look(reach: &Reach, wishes: &Wishes, secrets: &Secrets) -> Result<Seen, Failure> {
    let mut asked = Questions::new();
    for step in &wishes.steps {
        let resource = contents_as_digests(&step.resource, secrets)
            .map_err(|secret| Failure::from(missing(&step.host, &secret)))?;
        asked.entry(step.host.clone()).or_default().push((step.id.clone(), resource));
    }
    let mut seen = Seen::default();
    observe(reach, &asked, &mut seen)?;
    look_again(reach, wishes, &mut seen)?;
    read_texts(reach, wishes, &mut seen, secrets)?;
    Ok(seen)
}

/// Asks hosts what they have; a host that cannot be asked is an error, and all of them are named.
pub(super) fn observe(reach: &Reach, asked: &Questions, seen: &mut Seen) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let ways = reach.ways(&asked.keys().map(String::as_str).collect::<Vec<_>>())?;
    let items = |host: &str| asked.get(host).cloned().unwrap_or_default();
    let answers = fleet::ask(&reach.transport, &ways, |host| vec![Ask::Observe { items: items(host) }]);
    for (host, result) in answers {
        match result {
            Err(why) => problems.push(fleet::problem(&host, &why)),
            Ok(answered) => {
                for (answer, ..) in answered.answers {
                    match answer {
                        Answer::Observed(states) => seen.states.extend(states),
                        other => problems.push(fleet::unexpected(&host, &other)),
                    }
                }
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure { diagnostics: problems, code: FOUND_ERRORS }) }
}

/// Certificates are compared with authorities that other hosts hold.
fn look_again(reach: &Reach, wishes: &Wishes, seen: &mut Seen) -> Result<(), Failure> {
    let hosts: BTreeMap<&StepId, &str> =
        wishes.steps.iter().map(|step| (&step.id, step.host.as_str())).collect();
    let mut asked = Questions::new();
    for (step, resource) in observe_again(wishes, seen) {
        let Some(host) = hosts.get(&step) else { continue };
        asked.entry((*host).to_owned()).or_default().push((step, resource));
    }
    observe(reach, &asked, seen)
}

fn read_texts(reach: &Reach, wishes: &Wishes, seen: &mut Seen, secrets: &Secrets) -> Result<(), Failure> {
    let hosts: BTreeMap<&StepId, &str> =
        wishes.steps.iter().map(|step| (&step.id, step.host.as_str())).collect();
    let mut by_host: BTreeMap<String, Vec<(StepId, String)>> = BTreeMap::new();
    for (step, path) in texts_to_read(wishes, seen, secrets) {
        let Some(host) = hosts.get(step) else { continue };
        by_host.entry((*host).to_owned()).or_default().push((step.clone(), path.to_owned()));
    }
    let ways = reach.ways(&by_host.keys().map(String::as_str).collect::<Vec<_>>())?;
    let reads = |host: &str| {
        let texts = by_host.get(host).into_iter().flatten();
        texts.map(|(_, path)| Ask::Read { path: path.clone(), limit: LONGEST_TEXT }).collect()
    };
    for (host, result) in fleet::ask(&reach.transport, &ways, reads) {
        // A text is for people; without it the plan says what differs in other words.
        let Ok(answered) = result else { continue };
        let steps = by_host.get(&host).into_iter().flatten();
        for ((step, _), (answer, ..)) in steps.zip(answered.answers) {
            if let Answer::Text(Some(text)) = answer {
                seen.texts.insert(step.clone(), text);
            }
        }
    }
    Ok(())
}
