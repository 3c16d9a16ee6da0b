//! `kubespray verify`: what must be true of a cluster, looked at until it is or time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::{duration, list};
use kubespray_planner::components::{ASSERTIONS, NamedAssertion, POD_ASSERTIONS, assertion_of};
use kubespray_planner::{ClockSample, Selection, Wishes, operations, select};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{Failure as HostFailure, Resource, State, Step, StepId};
use serde::Serialize;

use super::Reach;
use super::learn::{Answering, Learnt, learn, learn_from};
use super::refused::unplannable;
use super::verify_pods::assert_with_pods;
use crate::arguments::{Common, operations as arguments};
use crate::failure::Failure;
use crate::fleet;
use crate::printer::Printer;

/// What the controller itself finds out.
const OWN: [NamedAssertion; 3] = [
    NamedAssertion { name: "host-answers", ids: "CHK-062", what: "the host answers" },
    NamedAssertion { name: "clocks", ids: "CHK-075", what: "clocks of hosts agree" },
    NamedAssertion { name: "drift", ids: "CHK-077", what: "`kubespray cluster` would change nothing" },
];

/// Lines of evidence of drift, and names in a line.
const MOST_STEPS: usize = 20;
const MOST_NAMES: usize = 6;

/// Whether something is true on a host.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Verdict {
    /// The assertion.
    pub(crate) name: String,
    /// The ids of what it asserts.
    pub(crate) ids: &'static str,
    /// What must be true.
    pub(crate) what: String,
    /// Who found out; nobody where it is about all hosts.
    pub(crate) host: Option<String>,
    pub(crate) holds: bool,
    /// Why it is not true.
    pub(crate) problem: Option<String>,
    /// What was seen of it.
    pub(crate) evidence: Vec<String>,
    /// What helps, most likely.
    pub(crate) hints: Vec<String>,
    /// How long it was waited for, in milliseconds.
    pub(crate) waited_ms: u64,
}

impl Verdict {
    pub(super) fn new(named: &NamedAssertion, host: Option<&str>) -> Self {
        Self {
            name: named.name.to_owned(),
            ids: named.ids,
            what: named.what.to_owned(),
            host: host.map(str::to_owned),
            ..Self::default()
        }
    }

    fn of(step: &Step) -> Self {
        let named = assertion_of(step);
        let name = step.id.as_str().rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            name,
            ids: named.map_or("", |named| named.ids),
            what: named.map_or("", |named| named.what).to_owned(),
            host: Some(step.host.clone()),
            ..Self::default()
        }
    }

    fn holds(&mut self) {
        self.holds = true;
        (self.problem, self.evidence, self.hints) = (None, Vec::new(), Vec::new());
    }

    pub(super) fn fails(&mut self, problem: impl Into<String>, evidence: Vec<String>, hints: Vec<String>) {
        self.holds = false;
        self.problem = Some(problem.into());
        (self.evidence, self.hints) = (evidence, hints);
    }
}

/// Which assertions are asked for.
#[derive(Debug)]
pub(crate) struct Asked(Vec<String>);

impl Asked {
    /// All where none is named; a name or id that no assertion has is an error, and so is one of pods that are not made.
    pub(crate) fn new(words: &[String], with_pods: bool) -> Result<Self, Failure> {
        let asked = Self(words.to_vec());
        for word in words {
            let is_known = |named: &NamedAssertion| Self::is(word, named.name, named.ids);
            let of_pods = POD_ASSERTIONS.iter().any(is_known);
            if ASSERTIONS.iter().chain(&OWN).any(is_known) || with_pods && of_pods {
                continue;
            }
            if of_pods {
                let problem = Diagnostic::error("assertion", format!("`{word}` needs pods of its own"));
                return Err(problem.hint("add `--with-pods`: they are made, and removed again").into());
            }
            let names = || ASSERTIONS.iter().chain(&POD_ASSERTIONS).chain(&OWN).map(|named| named.name);
            let problem = Diagnostic::error("assertion", format!("there is no assertion `{word}`"));
            let problem = match kubespray_diagnostics::did_you_mean(word, names()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
            };
            return Err(problem.into());
        }
        Ok(asked)
    }

    fn is(word: &str, name: &str, ids: &str) -> bool {
        let begins = name.ends_with('-') && word.starts_with(name);
        word == name || begins || ids.split(", ").any(|id| id == word)
    }

    pub(super) fn has(&self, name: &str, ids: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|word| Self::is(word, name, ids))
    }
}

/// Asks for everything that must be true of the cluster of an inventory, and tells while something is waited for.
/// Nothing is changed, but where pods of ours are wished; hosts that do not answer are a finding like others.
pub(crate) fn verify(
    options: &arguments::Verify,
    asked: &Asked,
    printer: &mut Printer,
) -> Result<(Vec<Verdict>, Vec<Diagnostic>), Failure> {
    let mut learnt = learn(&options.common, &options.connection, Answering::Any)?;
    let mut of_pods = Vec::new();
    if options.with_pods {
        let wait = options.wait.map(Duration::from_secs);
        let limit = limited(&learnt, &options.common)?;
        (learnt, of_pods) = assert_with_pods(learnt, asked, limit.as_ref(), wait, printer)?;
    }
    let mut tell = |line: &str| printer.remark_now(line);
    let (mut verdicts, warnings) = assert_known(learnt, &options.common, options.wait, asked, &mut tell)?;
    verdicts.extend(of_pods);
    Ok((verdicts, warnings))
}

/// The same behind a run, over the hosts that it reached.
pub(crate) fn verify_after(
    reach: Reach,
    common: &Common,
    asked: &Asked,
    printer: &mut Printer,
) -> Result<(Vec<Verdict>, Vec<Diagnostic>), Failure> {
    let learnt = learn_from(reach, common, Answering::Any)?;
    assert_known(learnt, common, None, asked, &mut |line| printer.remark_now(line))
}

/// The hosts that a command line limits itself to.
fn limited(learnt: &Learnt, common: &Common) -> Result<Option<BTreeSet<String>>, Failure> {
    let limit = common.limit.as_deref();
    limit.map(|limit| Ok(learnt.reach.site.hosts(Some(limit))?.into_iter().collect())).transpose()
}

fn assert_known(
    learnt: Learnt,
    common: &Common,
    wait: Option<u64>,
    asked: &Asked,
    tell: &mut dyn FnMut(&str),
) -> Result<(Vec<Verdict>, Vec<Diagnostic>), Failure> {
    let limit = limited(&learnt, common)?;
    let known = &learnt.known;
    let wishes = operations::verify(&known.site(), &known.manifests)
        .map_err(|refusals| unplannable(&refusals, &known.variables))?;
    let mut wishes = select(wishes, &Selection { hosts: limit.clone(), ..Selection::default() });
    wishes.steps.retain(|step| {
        let named = assertion_of(step);
        let name = step.id.as_str().rsplit('/').next().unwrap_or_default();
        named.is_some_and(|named| asked.has(named.name, named.ids) || asked.has(name, named.ids))
    });
    let is_meant = |host: &str| limit.as_ref().is_none_or(|hosts| hosts.contains(host));
    let mut verdicts = of_hosts(&learnt, asked, &is_meant);
    verdicts.extend(assert_all(&learnt.reach, &wishes, wait.map(Duration::from_secs), tell));
    let [.., drift] = &OWN;
    let warnings = learnt.reach.site.warnings.clone();
    if asked.has(drift.name, drift.ids) && limit.is_none() {
        verdicts.push(drifted(learnt, Verdict::new(drift, None)));
    }
    Ok((verdicts, warnings))
}

/// Who answers, and whether the clocks of those agree.
fn of_hosts(learnt: &Learnt, asked: &Asked, is_meant: &dyn Fn(&str) -> bool) -> Vec<Verdict> {
    let [answers, clocks, _] = &OWN;
    let mut verdicts = Vec::new();
    if !asked.has(answers.name, answers.ids) && !asked.has(clocks.name, clocks.ids) {
        return verdicts;
    }
    let ways: Vec<_> = learnt.reach.targets.values().filter(|way| is_meant(&way.host)).cloned().collect();
    // The first question waits for the helper to start; of the clock's the quickest tells most.
    let asks = |_: &str| vec![Ask::Ping, Ask::Clock, Ask::Clock, Ask::Clock];
    let mut samples: BTreeMap<String, ClockSample> = BTreeMap::new();
    for (host, result) in fleet::ask(&learnt.reach.transport, &ways, asks) {
        let mut verdict = Verdict::new(answers, Some(&host));
        match result {
            Err(why) => {
                let evidence = why.evidence().to_vec();
                verdict.fails(why.to_string(), evidence, why.hint().map(Into::into).into_iter().collect());
            }
            Ok(answered) => {
                verdict.holds();
                samples.extend(answered.clock().map(|clock| (host.clone(), clock)));
            }
        }
        if asked.has(answers.name, answers.ids) {
            verdicts.push(verdict);
        }
    }
    if asked.has(clocks.name, clocks.ids) {
        let mut verdict = Verdict::new(clocks, None);
        let samples = samples.iter().map(|(host, sample)| (host.as_str(), *sample)).collect();
        match operations::clocks_apart(&samples) {
            None => verdict.holds(),
            Some((ahead, behind, ms)) => verdict.fails(
                format!("the clock of `{ahead}` is at least {ms} ms ahead of that of `{behind}`"),
                Vec::new(),
                vec!["have all hosts ask the same time servers: `ntp_enabled: true`, or `chronyc tracking` on both".into()],
            ),
        }
        verdicts.push(verdict);
    }
    verdicts
}

/// Looks at assertions until all are true or the time of each is up; `wait` is the longest time for any of them. One
/// round asks all hosts at once.
pub(crate) fn assert_all(
    reach: &Reach,
    wishes: &Wishes,
    wait: Option<Duration>,
    tell: &mut dyn FnMut(&str),
) -> Vec<Verdict> {
    let began = Instant::now();
    let mut verdicts: Vec<Verdict> = wishes.steps.iter().map(Verdict::of).collect();
    let mut open: Vec<usize> = (0..wishes.steps.len()).collect();
    let mut is_told = false;
    while !open.is_empty() {
        let states = look(reach, open.iter().filter_map(|at| wishes.steps.get(*at)));
        let passed = began.elapsed();
        let mut pause = None;
        open.retain(|at| {
            let (Some(step), Some(verdict)) = (wishes.steps.get(*at), verdicts.get_mut(*at)) else {
                return false;
            };
            let Resource::Check(check) = &step.resource else { return false };
            judge(verdict, states.get(&step.id));
            verdict.waited_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            let timeout = Duration::from_secs(check.timeout_s);
            let left = wait.map_or(timeout, |wait| wait.min(timeout)).saturating_sub(passed);
            if verdict.holds || left.is_zero() {
                return false;
            }
            let next = Duration::from_millis(check.interval_ms).min(left);
            pause = Some(pause.map_or(next, |pause: Duration| pause.min(next)));
            true
        });
        let Some(pause) = pause else { break };
        if !is_told {
            let of = |at: &usize| verdicts.get(*at).map(|verdict| verdict.name.as_str());
            let names: BTreeSet<&str> = open.iter().filter_map(of).collect();
            let names: Vec<&str> = names.into_iter().collect();
            tell(&format!("waiting for what is not true yet: {}", list(&names, MOST_NAMES)));
            is_told = true;
        }
        thread::sleep(pause);
    }
    if is_told {
        let waited = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tell(&format!("waited {}", duration(waited)));
    }
    verdicts
}

/// What was seen of each step, or why it was not.
fn look<'s>(
    reach: &Reach,
    steps: impl Iterator<Item = &'s Step>,
) -> BTreeMap<StepId, Result<State, HostFailure>> {
    let mut items: BTreeMap<&str, Vec<(StepId, Resource)>> = BTreeMap::new();
    for step in steps {
        items.entry(&step.host).or_default().push((step.id.clone(), step.resource.clone()));
    }
    let ways: Vec<_> = items.keys().filter_map(|host| reach.targets.get(*host).cloned()).collect();
    let asks = |host: &str| vec![Ask::Observe { items: items.get(host).cloned().unwrap_or_default() }];
    let mut states = BTreeMap::new();
    for (host, result) in fleet::ask(&reach.transport, &ways, asks) {
        let failure = match result {
            Ok(answered) => match answered.answers.into_iter().next() {
                Some((Answer::Observed(found), ..)) => {
                    states.extend(found);
                    continue;
                }
                Some((Answer::Failed(failure), ..)) => failure,
                _ => HostFailure::of_host("the helper gave another answer than was asked for"),
            },
            Err(why) => HostFailure::of_host(format!("the host does not answer: {why}")),
        };
        let of_host = items.get(host.as_str()).into_iter().flatten();
        states.extend(of_host.map(|(step, _)| (step.clone(), Err(failure.clone()))));
    }
    states
}

fn judge(verdict: &mut Verdict, state: Option<&Result<State, HostFailure>>) {
    match state {
        Some(Ok(State::Check(state))) => match &state.problem {
            None => verdict.holds(),
            Some(problem) => verdict.fails(problem, state.evidence.clone(), state.hints.clone()),
        },
        Some(Err(failure)) => {
            verdict.fails(&failure.message, failure.evidence.clone(), failure.hints.clone());
        }
        _ => verdict.fails("nothing was seen of it", Vec::new(), Vec::new()),
    }
}

/// Whether anything would change. Checks among the steps say nothing: they are asked by themselves.
fn drifted(learnt: Learnt, mut verdict: Verdict) -> Verdict {
    let planned =
        learnt.known.wishes().and_then(|wishes| learnt.wanted(wishes)).and_then(super::Wanted::plan);
    match planned {
        Err(failure) => {
            let mut problems = failure.diagnostics.iter().map(|problem| match &problem.host {
                Some(host) => format!("`{host}`: {}", problem.message),
                None => problem.message.clone(),
            });
            let first = problems.next().unwrap_or_default();
            let rest = problems.take(MOST_STEPS).collect();
            verdict.fails(format!("it cannot be planned: {first}"), rest, Vec::new());
        }
        Ok(planned) => {
            let steps = planned.plan.steps.iter();
            let changed: Vec<String> = steps
                .filter(|planned| planned.changes && !matches!(planned.step.resource, Resource::Check(_)))
                .map(|planned| format!("`{}`: {}", planned.step.id, planned.step.resource.title()))
                .collect();
            match changed.len() {
                0 => verdict.holds(),
                count => verdict.fails(
                    format!("`kubespray cluster` would do {count} steps"),
                    changed.into_iter().take(MOST_STEPS).collect(),
                    vec!["`kubespray plan cluster` shows every difference".into()],
                ),
            }
        }
    }
    verdict
}
