//! Making a plan.

use std::collections::{BTreeMap, HashSet};

use kubespray_resource::{
    Check, CompareError, Comparison, Content, Disruption, Failure, File, Gate, MissingSecret, ObjectMust,
    ObjectRef, ObjectState, PLAN_SCHEMA_VERSION, Plan, PlannedStep, Policy, Probe, Resource, Secrets, State,
    Step, StepId, Token,
};

use crate::diff::unified;
use crate::outputs::{self, known_outputs};
use crate::{sources, windows};

/// What an operation wishes of all hosts, before anything was seen of them.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The operation, such as `cluster`.
    pub operation: String,
    /// The cluster's name.
    pub cluster: String,
    /// The hosts whose locks a run must hold.
    pub lock_hosts: Vec<String>,
    /// The steps; those of one host in their order.
    pub steps: Vec<Step>,
    /// Gates by name.
    pub gates: BTreeMap<String, Gate>,
    /// The rules.
    pub policy: Policy,
}

/// What was seen of the hosts.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What hosts have, by step.
    pub states: BTreeMap<StepId, Result<State, Failure>>,
    /// Texts of files that differ, to show how they change.
    pub texts: BTreeMap<StepId, String>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A step was not observed.
    #[error("`{0}` was not observed")]
    NotSeen(StepId),
    /// A step could not be observed.
    #[error("`{step}` could not be observed: {failure}")]
    Unobservable {
        /// The step.
        step: StepId,
        /// Why.
        failure: Failure,
    },
    /// What was observed does not fit the wish.
    #[error("`{step}`: {error}")]
    Compare {
        /// The step.
        step: StepId,
        /// Why.
        error: CompareError,
    },
}

/// A wish as it is sent for observation: contents of files become digests, so that nothing but what is needed
/// travels.
pub fn contents_as_digests(resource: &Resource, secrets: &Secrets) -> Result<Resource, MissingSecret> {
    Ok(match resource {
        Resource::File(file) => match file.content.digest(secrets)? {
            Some(digest) => Resource::File(File { content: Content::Digest(digest), ..file.clone() }),
            None => resource.clone(),
        },
        other => other.clone(),
    })
}

/// The files that differ and whose present text would show how: step and path.
pub fn texts_to_read<'a>(wishes: &'a Wishes, seen: &Seen, secrets: &Secrets) -> Vec<(&'a StepId, &'a str)> {
    wishes
        .steps
        .iter()
        .filter_map(|step| {
            let Resource::File(file) = &step.resource else { return None };
            let Some(Ok(State::File(Some(state)))) = seen.states.get(&step.id) else { return None };
            let shows = matches!(file.content, Content::Text(_)) && !file.keep_content;
            let differs =
                state.digest.is_some() && state.digest != file.content.digest(secrets).ok().flatten();
            (shows && differs).then_some((&step.id, file.path.as_str()))
        })
        .collect()
}

/// Makes the plan; all steps that cannot be placed are named.
///
/// A step changes something when its host differs from the wish, or when a step before it on the same host
/// changes something that it waits for (a restart). Whether pods are there is looked at again behind a change of what
/// makes them. A check of a rollout is made again behind what disturbs its host,
/// however well all was before: the next host must not begin sooner. A step on demand changes something exactly when a
/// step that takes from it does. Outputs that are known already take their places in the plan.
pub fn plan(wishes: Wishes, seen: &Seen, secrets: &Secrets) -> Result<Plan, Vec<PlanError>> {
    let known = known_outputs(&wishes, seen);
    let mut errors = Vec::new();
    let mut compared_steps = Vec::with_capacity(wishes.steps.len());
    for mut step in wishes.steps {
        outputs::settle(&mut step, &known);
        let seen_of_it = match seen.states.get(&step.id) {
            // There is nothing to be seen of them.
            _ if step.resource.is_on_demand() => Ok(Comparison::default()),
            None => Err(PlanError::NotSeen(step.id.clone())),
            Some(Err(failure)) => {
                Err(PlanError::Unobservable { step: step.id.clone(), failure: failure.clone() })
            }
            Some(Ok(state)) => step
                .resource
                .compare(state, secrets)
                .map_err(|error| PlanError::Compare { step: step.id.clone(), error }),
        };
        match seen_of_it {
            Ok(compared) => compared_steps.push((step, compared)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    outputs::demand(&mut compared_steps);
    windows::spare(&mut compared_steps);
    sources::spare(&mut compared_steps);
    let mut steps = Vec::with_capacity(compared_steps.len());
    let mut notified: HashSet<(String, Token)> = HashSet::new();
    let mut loading: HashSet<String> = HashSet::new();
    let mut disturbed: HashSet<(String, String)> = HashSet::new();
    let mut changed_objects: HashSet<ObjectRef> = HashSet::new();
    for (step, compared) in compared_steps {
        let awaited = step.resource.awaits().is_some_and(|token| {
            // Lists of packages are fetched when packages are installed, not by themselves.
            !matches!(step.resource, Resource::Packages(_)) && notified.contains(&(step.host.clone(), token))
        });
        // A module may bring parameters that the kernel lacked when it was looked at: whether it does is seen behind it.
        let is_lacked =
            matches!(seen.states.get(&step.id), Some(Ok(State::Sysctl(state))) if state.live.is_none());
        let turn = step.rollout.clone().map(|rollout| (step.host.clone(), rollout));
        let is_asked_again = (is_check(&step.resource) || windows::gives_back(&step.resource))
            && turn.as_ref().is_some_and(|turn| disturbed.contains(turn));
        let is_rolling = matches!(
            &step.resource,
            Resource::Check(Check { probe: Probe::Object { object, must: ObjectMust::RolledOut { .. }, .. }, .. })
                if changed_objects.contains(object)
        );
        let changes = !compared.is_same()
            || awaited
            || is_asked_again
            || is_rolling
            || (is_lacked && loading.contains(&step.host));
        if let (true, Resource::Object(object)) = (changes, &step.resource) {
            changed_objects.extend(object.reference());
        }
        if changes && step.disruption != Disruption::None {
            disturbed.extend(turn);
        }
        if changes && matches!(step.resource, Resource::Module(_)) {
            loading.insert(step.host.clone());
        }
        if changes {
            notified.extend(step.notifies.iter().map(|token| (step.host.clone(), token.clone())));
        }
        let diff = diff_of(&step, seen, changes);
        steps.push(PlannedStep { seen: compared, changes, diff, step });
    }
    windows::hold_what_changes(&mut steps);
    Ok(Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        operation: wishes.operation,
        cluster: wishes.cluster,
        lock_hosts: wishes.lock_hosts,
        steps,
        gates: wishes.gates,
        policy: wishes.policy,
    })
}

/// Whether it only says how something is.
fn is_check(resource: &Resource) -> bool {
    match resource {
        Resource::Check(_) => true,
        Resource::EtcdHealth(health) => health.when.is_none(),
        _ => false,
    }
}

fn diff_of(step: &Step, seen: &Seen, changes: bool) -> Option<String> {
    if !changes {
        return None;
    }
    match (&step.resource, seen.states.get(&step.id)?) {
        (Resource::File(File { content: Content::Text(text), path, .. }), Ok(State::File(state))) => {
            let old = match state {
                None => "",
                Some(_) => seen.texts.get(&step.id)?,
            };
            unified(path, old, text)
        }
        (Resource::Block(block), Ok(State::Block(state))) => {
            let old = state.text.as_deref().unwrap_or("");
            unified(&block.path, old, &block.edit(old))
        }
        (Resource::Line(line), Ok(State::Line(state))) => {
            let old = state.text.as_deref().unwrap_or("");
            unified(&line.path, old, &line.edit(old))
        }
        (Resource::Drain(_), Ok(State::Drain(state))) => state.forecast(),
        (Resource::Object(object), Ok(State::Object(state))) => {
            let title = object.reference().map_or_else(|error| error, |object| object.to_string());
            match state {
                ObjectState::Present(seen) => unified(&title, &seen.before, &seen.after),
                ObjectState::Absent | ObjectState::Unknown(_) => unified(&title, "", &object.text()),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::{Digest, FileState, Mode, Owner, PathKind, Running, Unit, UnitState};

    use super::*;

    fn step(id: &str, resource: impl Into<Resource>) -> Step {
        Step { id: id.into(), ..Step::new(id.split('/').next().unwrap(), "test", "test", "x", resource) }
    }

    fn file(text: &str) -> File {
        File {
            path: "/etc/x.conf".into(),
            content: Content::Text(text.into()),
            mode: Mode::PUBLIC,
            owner: Owner::root(),
            keep_content: false,
        }
    }

    fn wishes() -> Wishes {
        let unit = Unit {
            name: "x.service".into(),
            enabled: Some(true),
            running: Some(Running::Started),
            masked: None,
            may_be_missing: false,
        };
        let mut config = step("a/x/config", file("new\n"));
        config.notifies = vec![Token::restart_of("x.service")];
        Wishes { steps: vec![config, step("a/x/unit", unit)], ..Wishes::default() }
    }

    fn seen(text: &str) -> Seen {
        let file = FileState {
            kind: PathKind::File,
            digest: Some(Digest::of(text.as_bytes())),
            size: 4,
            mode: Mode::PUBLIC,
            owner: Owner::root(),
        };
        let unit = UnitState {
            load: "loaded".into(),
            active: "active".into(),
            file: "enabled".into(),
            needs_reload: false,
            restart_pending: false,
        };
        Seen {
            states: BTreeMap::from([
                ("a/x/config".into(), Ok(State::File(Some(file)))),
                ("a/x/unit".into(), Ok(State::Unit(unit))),
            ]),
            texts: BTreeMap::from([("a/x/config".into(), text.to_owned())]),
        }
    }

    #[test]
    fn a_changed_input_restarts_its_unit() {
        let secrets = Secrets::default();
        let plan = plan(wishes(), &seen("old\n"), &secrets).unwrap();
        assert!(plan.steps.iter().all(|step| step.changes));
        let diff = plan.steps[0].diff.as_deref().unwrap();
        assert!(diff.contains("-old\n+new\n"), "{diff}");
        assert!(plan.steps[1].seen.is_same(), "the unit itself is as wished");
    }

    #[test]
    fn nothing_differs_nothing_happens() {
        let secrets = Secrets::default();
        let wishes = wishes();
        assert!(texts_to_read(&wishes, &seen("new\n"), &secrets).is_empty());
        assert_eq!(texts_to_read(&wishes, &seen("old\n"), &secrets).len(), 1);
        assert!(plan(wishes, &seen("new\n"), &secrets).unwrap().is_empty());
    }

    #[test]
    fn a_check_is_made_again_behind_what_disturbs_its_host() {
        let check = kubespray_resource::Check {
            name: "x".into(),
            probe: kubespray_resource::Probe::Unit("x.service".into()),
            timeout_s: 1,
            interval_ms: 1,
        };
        let of_turn = |step: Step| Step { rollout: Some("r".into()), ..step };
        let mut wishes = wishes();
        wishes.steps[1].disruption = Disruption::Restart;
        wishes.steps[1].rollout = Some("r".into());
        wishes.steps.insert(0, of_turn(step("a/x/before", check.clone())));
        wishes.steps.push(of_turn(step("a/x/behind", check.clone())));
        wishes.steps.push(step("a/x/of-no-turn", check.clone()));
        wishes.steps.push(of_turn(step("b/x/other", check)));
        for (text, expected) in [("new\n", &[][..]), ("old\n", &["a/x/config", "a/x/unit", "a/x/behind"])] {
            let mut seen = seen(text);
            for step in &wishes.steps {
                let well = || Ok(State::Check(kubespray_resource::CheckState::default()));
                seen.states.entry(step.id.clone()).or_insert_with(well);
            }
            let plan = plan(wishes.clone(), &seen, &Secrets::default()).unwrap();
            let changed: Vec<&str> = plan.changes().map(|planned| planned.step.id.as_str()).collect();
            assert_eq!(changed, expected);
        }
    }

    #[test]
    fn a_parameter_may_come_with_a_module() {
        let module = kubespray_resource::Module { name: "m".into(), file: None, may_be_missing: true };
        let sysctl = kubespray_resource::Sysctl {
            key: "a.b".into(),
            value: "1".into(),
            file: "/etc/sysctl.conf".into(),
            may_be_missing: true,
            at_least: false,
        };
        let steps = vec![
            step("a/x/before", sysctl.clone()),
            step("a/x/module", module),
            step("a/x/behind", sysctl.clone()),
            step("b/x/other", sysctl),
        ];
        let wishes = Wishes { steps, ..Wishes::default() };
        for (loaded, expected) in [(true, &[][..]), (false, &["a/x/module", "a/x/behind"])] {
            let state = |step: &Step| match &step.resource {
                Resource::Module(_) => {
                    State::Module(kubespray_resource::ModuleState { loaded, available: true, kept: false })
                }
                _ => State::Sysctl(kubespray_resource::SysctlState { live: None, kept: None }),
            };
            let states = wishes.steps.iter().map(|step| (step.id.clone(), Ok(state(step)))).collect();
            let seen = Seen { states, ..Seen::default() };
            let plan = plan(wishes.clone(), &seen, &Secrets::default()).unwrap();
            let changed: Vec<&str> = plan.changes().map(|planned| planned.step.id.as_str()).collect();
            assert_eq!(changed, expected);
        }
    }

    #[test]
    fn objects_show_how_they_change_and_drains_what_they_move() {
        let object = kubespray_resource::Object {
            kubeconfig: "/k".into(),
            component: "dns".into(),
            manifest: serde_json::json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"},
            }),
            force: false,
        };
        let drain = kubespray_resource::Drain {
            kubeconfig: "/k".into(),
            node: "n".into(),
            mark: None,
            grace_s: None,
            timeout_s: 1,
            ignore_daemonsets: true,
            delete_empty_dir: true,
            force: true,
            pod_selector: None,
            fallback: None,
            uncordon_on_failure: true,
            may_fail: false,
        };
        let pod = kubespray_resource::DrainPod {
            namespace: "default".into(),
            name: "web".into(),
            owner: None,
            ending: false,
            obstacle: None,
        };
        let changed = kubespray_resource::ObjectSeen {
            changes: vec![kubespray_resource::Change { what: ".a".into(), from: None, to: None }],
            before: "a: 1\n".into(),
            after: "a: 2\n".into(),
            ..Default::default()
        };
        let wishes = Wishes {
            steps: vec![step("a/o/new", object.clone()), step("a/o/old", object), step("a/o/drain", drain)],
            ..Wishes::default()
        };
        let drained = kubespray_resource::DrainState::Node { unschedulable: true, pods: vec![pod] };
        let seen = Seen {
            states: BTreeMap::from([
                ("a/o/new".into(), Ok(State::Object(ObjectState::Absent))),
                ("a/o/old".into(), Ok(State::Object(ObjectState::Present(Box::new(changed))))),
                ("a/o/drain".into(), Ok(State::Drain(drained))),
            ]),
            texts: BTreeMap::new(),
        };
        let plan = plan(wishes, &seen, &Secrets::default()).unwrap();
        let diff = |at: usize| plan.steps[at].diff.clone().unwrap();
        assert!(diff(0).starts_with("--- /dev/null\n+++ Namespace n\n"), "{}", diff(0));
        assert!(diff(0).contains("+  name: n\n"), "{}", diff(0));
        assert!(diff(1).ends_with("-a: 1\n+a: 2\n"), "{}", diff(1));
        assert_eq!(diff(2), "-default/web of nobody\n");
    }

    #[test]
    fn what_was_not_seen_is_not_planned() {
        let mut seen = seen("new\n");
        seen.states.remove(&StepId::from("a/x/unit"));
        let failure = Failure::of_host("permission denied");
        seen.states.insert("a/x/config".into(), Err(failure.clone()));
        let errors = plan(wishes(), &seen, &Secrets::default()).unwrap_err();
        assert_eq!(
            errors,
            [
                PlanError::Unobservable { step: "a/x/config".into(), failure },
                PlanError::NotSeen("a/x/unit".into())
            ]
        );
    }

    #[test]
    fn contents_do_not_travel_for_observation() {
        let Resource::File(sent) = contents_as_digests(&file("new\n").into(), &Secrets::default()).unwrap()
        else {
            panic!("a file stays a file")
        };
        assert_eq!(sent.content, Content::Digest(Digest::of(b"new\n")));
    }

    #[test]
    fn plans_are_stored_and_read_again() {
        let plan = plan(wishes(), &seen("old\n"), &Secrets::default()).unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
