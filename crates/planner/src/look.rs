//! Looking at hosts: what they have, what can only be told when the first answers are known, and texts that differ.

use std::collections::BTreeMap;

use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{ErrorClass, Failure, Resource, Secrets, State, StepId};

use crate::{Seen, Wishes, contents_as_digests, observe_again, texts_to_read};

/// Longer texts are not read to show how they change, in bytes: nobody looks at such a plan.
const LONGEST_TEXT: u64 = 256 << 10;

/// What some hosts are asked, in this order.
pub type Questions = BTreeMap<String, Vec<Ask>>;

/// What hosts answered, in the order of their questions; a failure for one that could not be asked.
pub type Answers = BTreeMap<String, Result<Vec<Answer>, Failure>>;

/// What the hosts of some wishes have, with the texts that will change.
///
/// `ask` puts questions to hosts, to all at once if it can, and gives their answers; its errors end the look. In a call
/// all questions are observations, or all are readings of texts, which a look can do without. Steps of hosts that give
/// no answer, or whose secrets are missing, are failures in what is seen.
pub fn look<E>(
    wishes: &Wishes,
    secrets: &Secrets,
    mut ask: impl FnMut(Questions) -> Result<Answers, E>,
) -> Result<Seen, E> {
    let mut seen = Seen::default();
    let mut items: BTreeMap<String, Vec<(StepId, Resource)>> = BTreeMap::new();
    for step in &wishes.steps {
        match contents_as_digests(&step.resource, secrets) {
            Ok(resource) => items.entry(step.host.clone()).or_default().push((step.id.clone(), resource)),
            Err(secret) => {
                let failure = Failure::new(ErrorClass::Wish, secret.to_string());
                seen.states.insert(step.id.clone(), Err(failure));
            }
        }
    }
    seen.states.extend(observe(items, &mut ask)?);
    let hosts: BTreeMap<&StepId, &str> =
        wishes.steps.iter().map(|step| (&step.id, step.host.as_str())).collect();
    let host_of = |step: &StepId| hosts.get(step).map_or_else(String::new, |host| (*host).to_owned());
    let mut again: BTreeMap<String, Vec<(StepId, Resource)>> = BTreeMap::new();
    for (step, resource) in observe_again(wishes, &seen) {
        again.entry(host_of(&step)).or_default().push((step, resource));
    }
    seen.states.extend(observe(again, &mut ask)?);
    let (mut readings, mut readers) = (Questions::new(), BTreeMap::<String, Vec<StepId>>::new());
    for (step, path) in texts_to_read(wishes, &seen, secrets) {
        let reading = Ask::Read { path: path.to_owned(), limit: LONGEST_TEXT };
        readings.entry(host_of(step)).or_default().push(reading);
        readers.entry(host_of(step)).or_default().push(step.clone());
    }
    if !readings.is_empty() {
        for (host, answers) in ask(readings)? {
            let readers = readers.remove(&host).into_iter().flatten();
            for (step, answer) in readers.zip(answers.into_iter().flatten()) {
                // A text is for people; without it the plan says what differs in other words.
                if let Answer::Text(Some(text)) = answer {
                    seen.texts.insert(step, text);
                }
            }
        }
    }
    Ok(seen)
}

/// What hosts have of resources, by the steps that these belong to. `ask` is that of [`look`].
pub fn observe<E>(
    items: BTreeMap<String, Vec<(StepId, Resource)>>,
    ask: &mut impl FnMut(Questions) -> Result<Answers, E>,
) -> Result<BTreeMap<StepId, Result<State, Failure>>, E> {
    let mut states = BTreeMap::new();
    if items.is_empty() {
        return Ok(states);
    }
    let steps: BTreeMap<String, Vec<StepId>> = items
        .iter()
        .map(|(host, items)| (host.clone(), items.iter().map(|(step, _)| step.clone()).collect()))
        .collect();
    let questions = items.into_iter().map(|(host, items)| (host, vec![Ask::Observe { items }])).collect();
    let mut answers = ask(questions)?;
    for (host, steps) in steps {
        let answer = answers.remove(&host).map(|answers| answers.map(|answers| answers.into_iter().next()));
        let failure = match answer {
            Some(Ok(Some(Answer::Observed(found)))) => {
                states.extend(found);
                continue;
            }
            Some(Ok(Some(Answer::Failed(failure))) | Err(failure)) => failure,
            Some(Ok(_)) | None => Failure::of_host("the helper gave another answer than was asked for"),
        };
        states.extend(steps.into_iter().map(|step| (step, Err(failure.clone()))));
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use kubespray_resource::{
        Content, Digest, File, FileState, Mode, Owner, PathKind, Step, Swap, SwapState,
    };

    use super::*;

    fn file(host: &str, name: &str, content: Content) -> Step {
        let (mode, owner) = (Mode::PUBLIC, Owner::root());
        let file = File { path: format!("/{name}"), content, mode, owner, keep_content: false };
        Step::new(host, "c", "p", name, file)
    }

    fn answer(ask: &Ask) -> Answer {
        let Ask::Observe { items } = ask else { return Answer::Text(Some("old\n".into())) };
        let digest = Some(Digest::of(b"old\n"));
        let (kind, mode, owner) = (PathKind::File, Mode::PUBLIC, Owner::root());
        let file = State::File(Some(FileState { kind, digest, size: 4, mode, owner }));
        let swap = State::Swap(SwapState { active: Vec::new(), fstab: Vec::new(), units: Vec::new() });
        let states = items.iter().map(|(step, resource)| {
            let state = if matches!(resource, Resource::Swap(_)) { &swap } else { &file };
            (step.clone(), Ok(state.clone()))
        });
        Answer::Observed(states.collect())
    }

    #[test]
    fn hosts_are_asked_once_each_and_texts_are_read_where_they_differ() {
        let text = |text: &str| Content::Text(text.into());
        let steps = vec![
            file("a", "same", text("old\n")),
            file("a", "new", text("new\n")),
            file("b", "new", text("new\n")),
            Step::new("b", "c", "p", "swap", Swap {}),
            file("c", "new", text("new\n")),
            file("a", "secret", Content::Secret("{secret:none}".into())),
        ];
        let wishes = Wishes { steps, ..Wishes::default() };
        let mut rounds = Vec::new();
        let seen = look(&wishes, &Secrets::default(), |questions| {
            rounds.push(
                questions.iter().map(|(host, asks)| format!("{host}{}", asks.len())).collect::<Vec<_>>(),
            );
            let answer = |(host, asks): (String, Vec<Ask>)| {
                let away = host == "c";
                let answers = asks.iter().map(answer).collect();
                (host, if away { Err(Failure::of_host("away")) } else { Ok(answers) })
            };
            Ok::<_, Infallible>(questions.into_iter().map(answer).collect())
        });
        let seen = seen.unwrap_or_else(|never| match never {});
        assert_eq!(rounds, [vec!["a1", "b1", "c1"], vec!["a1", "b1"]]);
        let texts: Vec<(&str, &str)> =
            seen.texts.iter().map(|(step, text)| (step.as_str(), text.as_str())).collect();
        assert_eq!(texts, [("a/c/new", "old\n"), ("b/c/new", "old\n")]);
        let failed = |step: &str| seen.states[&StepId::from(step)].as_ref().unwrap_err().message.clone();
        assert_eq!(failed("c/c/new"), "away");
        assert_eq!(failed("a/c/secret"), "secret `none` is not known");
        assert_eq!(seen.states.len(), 6);
    }

    #[test]
    fn an_error_of_whoever_asks_ends_it() {
        let wishes = Wishes { steps: vec![Step::new("a", "c", "p", "s", Swap {})], ..Wishes::default() };
        let told = look(&wishes, &Secrets::default(), |_| Err("broken"));
        assert_eq!(told.unwrap_err(), "broken");
    }
}
