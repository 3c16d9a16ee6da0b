//! What steps take from steps of other hosts.

use std::collections::{BTreeMap, HashMap};

use kubespray_resource::{
    Certificate, Comparison, Content, KeyCopy, Plan, Resource, Signature, State, Step, StepId,
};

use crate::{Seen, Wishes};

/// The outputs of what is there already.
pub(crate) fn known_outputs(wishes: &Wishes, seen: &Seen) -> BTreeMap<StepId, String> {
    let output = |step: &Step| match seen.states.get(&step.id) {
        Some(Ok(state)) => state.output().map(|text| (step.id.clone(), text.to_owned())),
        _ => None,
    };
    wishes.steps.iter().filter_map(output).collect()
}

/// What must be observed a second time, after all was observed once: certificates and copies of keys, whose hosts can
/// only tell who signed them and whose they are when they are told of the authority, which another host has. The new
/// states replace the old ones; a plan that is made without them renews these certificates and copies.
pub fn observe_again(wishes: &Wishes, seen: &Seen) -> Vec<(StepId, Resource)> {
    let known = known_outputs(wishes, seen);
    let needs_look = |step: &&Step| match seen.states.get(&step.id) {
        Some(Ok(State::Certificate(Some(state)))) => {
            state.facts.as_ref().is_some_and(|facts| facts.is_signed.is_none())
        }
        Some(Ok(State::KeyCopy(Some(state)))) => !state.is_checked,
        _ => false,
    };
    let looked_at = wishes.steps.iter().filter(needs_look).filter_map(|step| {
        let filled = step.resource.with_inputs(&known);
        (filled != step.resource).then(|| (step.id.clone(), filled))
    });
    looked_at.collect()
}

/// Puts known outputs into a step; it waits for the steps that have yet to give theirs.
pub(crate) fn settle(step: &mut Step, known: &BTreeMap<StepId, String>) {
    step.resource = step.resource.with_inputs(known);
    for giver in step.resource.takes_from() {
        if !step.after.contains(&giver) {
            step.after.push(giver);
        }
    }
}

/// Gives their difference to the steps on demand that others need, directly or through each other.
pub(crate) fn demand(steps: &mut [(Step, Comparison)]) {
    let index: HashMap<StepId, usize> =
        steps.iter().enumerate().map(|(at, (step, _))| (step.id.clone(), at)).collect();
    let mut open: Vec<StepId> = steps
        .iter()
        .filter(|(step, _)| !step.resource.is_on_demand())
        .flat_map(|(step, compared)| step.resource.takes_for(compared))
        .collect();
    while let Some(id) = open.pop() {
        let Some((step, compared)) = index.get(&id).and_then(|at| steps.get_mut(*at)) else { continue };
        if let Some(difference) = step.resource.demanded()
            && compared.is_same()
        {
            *compared = difference;
            open.extend(step.resource.takes_from());
        }
    }
}

/// Steps that take what nobody gives them in time, and how.
pub(crate) fn unkept(plan: &Plan) -> Vec<(StepId, String)> {
    let known: HashMap<&StepId, (usize, &Step)> =
        plan.steps.iter().enumerate().map(|(at, planned)| (&planned.step.id, (at, &planned.step))).collect();
    let mut out = Vec::new();
    for (at, planned) in plan.steps.iter().enumerate() {
        let step = &planned.step;
        for giver in step.resource.takes_from() {
            let why = match known.get(&giver) {
                None => "which does not exist",
                Some((_, other)) if !other.resource.gives_output() => "which gives none",
                Some((place, other)) if other.host == step.host && *place < at => continue,
                Some(_) if step.after.contains(&giver) => continue,
                Some(_) => "for which it does not wait",
            };
            out.push((step.id.clone(), format!("takes the output of `{giver}`, {why}")));
        }
        if let Resource::Certificate(wish) = &step.resource
            && let Content::Output(giver) = &wish.from
            && let Some(Resource::Signature(signature)) = known.get(giver).map(|(_, giver)| &giver.resource)
            && let Some(why) = misfit(wish, signature)
        {
            out.push((step.id.clone(), why));
        }
        if let Resource::KeyCopy(wish) = &step.resource
            && let Content::Output(giver) = &wish.from
            && !is_sealed_for(wish, step, giver, &known)
        {
            out.push((step.id.clone(), format!("cannot open what `{giver}` seals for another copy")));
        }
    }
    out
}

/// Whether what is sealed can be opened where it goes. What gives nothing at all is told elsewhere.
fn is_sealed_for(
    wish: &KeyCopy,
    step: &Step,
    giver: &StepId,
    known: &HashMap<&StepId, (usize, &Step)>,
) -> bool {
    let Some(Resource::KeySealing(sealing)) = known.get(giver).map(|(_, giver)| &giver.resource) else {
        return true;
    };
    let offer = match &sealing.offer {
        Content::Output(offer) => known.get(offer).map(|(_, offer)| offer),
        _ => None,
    };
    let is_of_it = |offer: &&Step| {
        offer.host == step.host
            && matches!(&offer.resource, Resource::KeyOffer(offer) if offer.path == wish.path)
    };
    sealing.copy_path == wish.path && offer.is_none_or(is_of_it)
}

/// Why what is signed would not be the certificate that is wished.
fn misfit(wish: &Certificate, signature: &Signature) -> Option<String> {
    if signature.days <= wish.renew_before_days {
        let (days, before) = (signature.days, wish.renew_before_days);
        return Some(format!("is renewed when it lasts fewer than {before} days, and new ones last {days}"));
    }
    let same = (&wish.subject, &wish.names, &wish.usages)
        == (&signature.subject, &signature.names, &signature.usages);
    (!same).then(|| "wishes another subject, other names or usages than are signed".to_owned())
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{
        AlternativeName, Authority, AuthorityState, CertificateFacts, CertificateRequest, CertificateState,
        Digest, File, FileState, KeyAlgorithm, KeyCopyState, KeyFile, KeyOffer, KeySealing, KeyState, Mode,
        Owner, PathKind, Secrets, Subject, Usage,
    };

    use super::*;
    use crate::{Rule, contents_as_digests, lint, plan};

    fn step(id: &str, resource: impl Into<Resource>) -> Step {
        Step { id: id.into(), ..Step::new(id.split('/').next().unwrap(), "etcd", "etcd", "x", resource) }
    }

    fn key(path: &str) -> KeyFile {
        let (mode, owner) = (Mode::PRIVATE, Owner::root());
        KeyFile { path: path.into(), algorithm: KeyAlgorithm::Rsa2048, mode, owner }
    }

    fn copy() -> File {
        File {
            path: "/etc/ca.pem".into(),
            content: Content::Output("a/etcd/ca".into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }
    }

    /// The authority on `a`, a certificate and a copy of the authority's on `b`.
    fn wishes() -> Wishes {
        let subject = Subject::named("b");
        let names: std::collections::BTreeSet<_> = [AlternativeName::Dns("b".into())].into();
        let usages: std::collections::BTreeSet<_> = [Usage::Server].into();
        let authority = Authority {
            certificate_path: "/etc/ca.pem".into(),
            certificate_mode: Mode::PUBLIC,
            certificate_owner: Owner::root(),
            key: key("/etc/ca-key.pem"),
            subject: Subject::named("ca"),
            days: 10,
        };
        let request =
            CertificateRequest { key: key("/etc/b-key.pem"), subject: subject.clone(), names: names.clone() };
        let signature = Signature {
            ca_certificate_path: "/etc/ca.pem".into(),
            ca_key_path: "/etc/ca-key.pem".into(),
            request: Content::Output("b/etcd/request".into()),
            subject: subject.clone(),
            names: names.clone(),
            usages: usages.clone(),
            days: 10,
        };
        let certificate = Certificate {
            path: "/etc/b.pem".into(),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            key: key("/etc/b-key.pem"),
            from: Content::Output("a/etcd/signature".into()),
            authority: Content::Output("a/etcd/ca".into()),
            subject,
            names,
            usages,
            renew_before_days: 3,
        };
        let steps = vec![
            step("a/etcd/ca", authority),
            step("a/etcd/signature", signature),
            step("b/etcd/request", request),
            step("b/etcd/certificate", certificate),
            step("b/etcd/copy", copy()),
        ];
        Wishes { steps, ..Wishes::default() }
    }

    /// All is as wished.
    fn seen() -> Seen {
        let key = KeyState { fits: true, mode: Mode::PRIVATE, owner: Owner::root() };
        let authority = AuthorityState {
            certificate: "the authority".into(),
            subject: "CN=ca".into(),
            algorithm: "RSA 2048".into(),
            not_before: 0,
            not_after: 1,
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            key: Some(key.clone()),
        };
        let facts = CertificateFacts {
            subject: "CN=b".into(),
            names: ["DNS:b".into()].into(),
            usages: ["server".into()].into(),
            algorithm: "RSA 2048".into(),
            not_after: 1,
            expires_in_days: 9,
            is_signed: Some(true),
        };
        let (mode, owner) = (Mode::PUBLIC, Owner::root());
        let certificate = CertificateState { facts: Some(facts), mode, owner: owner.clone(), key: Some(key) };
        let digest = Some(Digest::of(b"the authority"));
        let copy = FileState { kind: PathKind::File, digest, size: 1, mode, owner };
        Seen {
            states: BTreeMap::from([
                ("a/etcd/ca".into(), Ok(State::Authority(Some(authority)))),
                ("b/etcd/certificate".into(), Ok(State::Certificate(Some(certificate)))),
                ("b/etcd/copy".into(), Ok(State::File(Some(copy)))),
            ]),
            texts: BTreeMap::new(),
        }
    }

    fn certificate(seen: &mut Seen) -> &mut CertificateState {
        match seen.states.get_mut(&StepId::from("b/etcd/certificate")) {
            Some(Ok(State::Certificate(Some(state)))) => state,
            other => panic!("{other:?}"),
        }
    }

    fn changing(seen: &Seen) -> String {
        let plan = plan(wishes(), seen, &Secrets::default()).unwrap();
        assert_eq!(lint(&plan, &Secrets::default()), []);
        let names = plan.changes().map(|planned| planned.step.id.as_str().rsplit('/').next().unwrap());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_there_gives_its_output_to_the_plan() {
        assert_eq!(changing(&seen()), "");
        let plan = plan(wishes(), &seen(), &Secrets::default()).unwrap();
        let Resource::File(file) = &plan.steps[4].step.resource else { panic!("a file stays a file") };
        assert_eq!(file.content, Content::Text("the authority".into()));
        assert!(plan.steps[4].step.after.is_empty(), "it waits for nobody");
        assert_eq!(plan.steps[3].step.after, ["a/etcd/signature".into()]);
        // The authority's certificate stays the same when only its mode is set.
        let mut other = seen();
        match other.states.get_mut(&StepId::from("a/etcd/ca")) {
            Some(Ok(State::Authority(Some(state)))) => state.mode = Mode::PRIVATE,
            state => panic!("{state:?}"),
        }
        assert_eq!(changing(&other), "ca");
    }

    #[test]
    fn steps_on_demand_happen_when_somebody_needs_them() {
        let mut old = seen();
        certificate(&mut old).facts.iter_mut().for_each(|facts| facts.expires_in_days = 2);
        assert_eq!(changing(&old), "signature request certificate");
        let mut readable = seen();
        certificate(&mut readable).mode = Mode::PRIVATE;
        assert_eq!(changing(&readable), "certificate", "who may read it needs no new one");
        let mut stale = seen();
        match stale.states.get_mut(&StepId::from("b/etcd/copy")) {
            Some(Ok(State::File(Some(state)))) => state.digest = None,
            state => panic!("{state:?}"),
        }
        assert_eq!(changing(&stale), "copy");
        let mut first = seen();
        first.states.insert("a/etcd/ca".into(), Ok(State::Authority(None)));
        assert_eq!(changing(&first), "ca signature request certificate copy");
        let plan = plan(wishes(), &first, &Secrets::default()).unwrap();
        let after = [StepId::from("a/etcd/signature"), "a/etcd/ca".into()];
        assert_eq!(plan.steps[3].step.after, after);
    }

    #[test]
    fn certificates_are_looked_at_again_when_the_authority_is_known() {
        let mut seen = seen();
        assert!(observe_again(&wishes(), &seen).is_empty());
        certificate(&mut seen).facts.iter_mut().for_each(|facts| facts.is_signed = None);
        let again = observe_again(&wishes(), &seen);
        let [(id, Resource::Certificate(wish))] = again.as_slice() else { panic!("{again:?}") };
        assert_eq!(id.as_str(), "b/etcd/certificate");
        assert_eq!(wish.authority, Content::Text("the authority".into()));
        assert_eq!(changing(&seen), "signature request certificate", "who does not look renews");
        seen.states.insert("a/etcd/ca".into(), Ok(State::Authority(None)));
        assert!(observe_again(&wishes(), &seen).is_empty(), "there is nothing to tell");
    }

    #[test]
    fn contents_that_are_not_known_travel_as_they_are() {
        let wish = Resource::from(copy());
        assert_eq!(contents_as_digests(&wish, &Secrets::default()).unwrap(), wish);
    }

    fn broken(wishes: Wishes) -> Vec<Rule> {
        let plan = plan(wishes, &Seen { states: seen().states, ..Seen::default() }, &Secrets::default());
        let problems = lint(&plan.unwrap(), &Secrets::default());
        problems.into_iter().map(|problem| problem.rule).collect()
    }

    #[test]
    fn outputs_that_nobody_gives_are_found() {
        let mut missing = wishes();
        missing.steps.remove(1);
        assert_eq!(broken(missing), [Rule::Names, Rule::Outputs]);
        let mut silent = wishes();
        silent.steps[4].resource =
            File { content: Content::Output("b/etcd/certificate".into()), ..copy() }.into();
        assert_eq!(broken(silent), [Rule::Outputs]);
        // A plan that was made by hand.
        let mut loose = plan(wishes(), &seen(), &Secrets::default()).unwrap();
        loose.steps[3].step.after.clear();
        let problems = lint(&loose, &Secrets::default());
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].to_string(),
            "outputs: `b/etcd/certificate`: takes the output of `a/etcd/signature`, for which it does not wait"
        );
    }

    #[test]
    fn certificates_that_would_never_be_as_wished_are_found() {
        let signature = |change: fn(&mut Signature)| {
            let mut wishes = wishes();
            match &mut wishes.steps[1].resource {
                Resource::Signature(wish) => change(wish),
                other => panic!("{other:?}"),
            }
            broken(wishes)
        };
        assert_eq!(signature(|_| {}), []);
        assert_eq!(signature(|wish| wish.days = 3), [Rule::Outputs]);
        assert_eq!(signature(|wish| wish.subject = Subject::named("c")), [Rule::Outputs]);
        assert_eq!(signature(|wish| wish.names.clear()), [Rule::Outputs]);
        assert_eq!(signature(|wish| _ = wish.usages.insert(Usage::Client)), [Rule::Outputs]);
    }

    /// The same, and `b` has a copy of the authority's key.
    fn wishes_of_copy() -> Wishes {
        let mut wishes = wishes();
        let path = "/etc/ca-key.pem".to_owned();
        let sealing = KeySealing {
            key_path: path.clone(),
            offer: Content::Output("b/etcd/offer".into()),
            copy_path: path.clone(),
        };
        let copy = KeyCopy {
            path: path.clone(),
            mode: Mode::PRIVATE,
            owner: Owner::root(),
            from: Content::Output("a/etcd/sealing".into()),
            authority: Content::Output("a/etcd/ca".into()),
        };
        wishes.steps.extend([
            step("a/etcd/sealing", sealing),
            step("b/etcd/offer", KeyOffer { path }),
            step("b/etcd/key-copy", copy),
        ]);
        wishes
    }

    fn seen_with_copy(state: Option<KeyCopyState>) -> Seen {
        let mut seen = seen();
        seen.states.insert("b/etcd/key-copy".into(), Ok(State::KeyCopy(state)));
        seen
    }

    #[test]
    fn the_holder_is_asked_for_its_key_only_where_there_is_none() {
        let state =
            KeyCopyState { is_checked: true, mode: Mode::PRIVATE, owner: Owner::root(), has_offer: false };
        for (state, expected) in [
            (Some(state.clone()), ""),
            (Some(KeyCopyState { has_offer: true, ..state.clone() }), "key-copy"),
            (Some(KeyCopyState { mode: Mode::PUBLIC, ..state.clone() }), "key-copy"),
            (None, "sealing offer key-copy"),
        ] {
            let plan = plan(wishes_of_copy(), &seen_with_copy(state), &Secrets::default()).unwrap();
            assert_eq!(lint(&plan, &Secrets::default()), []);
            let names = plan.changes().map(|planned| planned.step.id.as_str().rsplit('/').next().unwrap());
            assert_eq!(names.collect::<Vec<_>>().join(" "), expected);
        }
        // Whose it is can only be told when the authority is known.
        let unchecked = seen_with_copy(Some(KeyCopyState { is_checked: false, ..state }));
        let again = observe_again(&wishes_of_copy(), &unchecked);
        let [(id, Resource::KeyCopy(wish))] = again.as_slice() else { panic!("{again:?}") };
        assert_eq!(id.as_str(), "b/etcd/key-copy");
        assert_eq!(wish.authority, Content::Text("the authority".into()));
    }

    #[test]
    fn keys_that_are_sealed_for_others_are_found() {
        fn at<'w>(wishes: &'w mut Wishes, id: &str) -> &'w mut Step {
            wishes.steps.iter_mut().find(|step| step.id.as_str() == id).unwrap()
        }
        let broken = |change: fn(&mut Wishes)| {
            let mut wishes = wishes_of_copy();
            change(&mut wishes);
            let plan = plan(wishes, &seen_with_copy(None), &Secrets::default()).unwrap();
            let problems = lint(&plan, &Secrets::default());
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(broken(|_| {}), Vec::<String>::new());
        let expected =
            ["outputs: `b/etcd/key-copy`: cannot open what `a/etcd/sealing` seals for another copy"];
        let elsewhere = |wishes: &mut Wishes| match &mut at(wishes, "a/etcd/sealing").resource {
            Resource::KeySealing(wish) => wish.copy_path = "/etc/key.pem".into(),
            other => panic!("{other:?}"),
        };
        assert_eq!(broken(elsewhere), expected);
        assert_eq!(
            broken(|wishes| at(wishes, "b/etcd/offer").resource = KeyOffer { path: "/etc/x".into() }.into()),
            expected
        );
        let of_another_host = broken(|wishes| {
            let mut foreign = at(wishes, "b/etcd/offer").clone();
            (foreign.id, foreign.host) = ("c/etcd/offer".into(), "c".into());
            wishes.steps.push(foreign);
            match &mut at(wishes, "a/etcd/sealing").resource {
                Resource::KeySealing(wish) => wish.offer = Content::Output("c/etcd/offer".into()),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(of_another_host, expected);
    }

    #[test]
    fn circles_through_outputs_are_found() {
        let mut circle = wishes();
        circle.steps[2].after.push("b/etcd/certificate".into());
        assert_eq!(broken(circle), [Rule::Cycle]);
        let mut reversed = wishes();
        reversed.steps.swap(2, 3);
        assert_eq!(broken(reversed), [Rule::Cycle], "the request comes behind its certificate on one host");
        let mut loose = plan(wishes(), &seen(), &Secrets::default()).unwrap();
        loose.steps.swap(2, 3);
        loose.steps.iter_mut().for_each(|planned| planned.step.after.clear());
        assert!(lint(&loose, &Secrets::default()).iter().any(|problem| problem.rule == Rule::Cycle));
    }

    #[test]
    fn keys_are_files_that_must_not_be_anywhere() {
        let mut wrong = wishes();
        match &mut wrong.steps[2].resource {
            Resource::CertificateRequest(wish) => wish.key.path = "/etc/../key".into(),
            other => panic!("{other:?}"),
        }
        assert_eq!(broken(wrong), [Rule::Path]);
    }
}
