//! `kubespray verify --with-pods`: pods of ours on every node, and what their network leads to.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::Wishes;
use kubespray_planner::components::{POD_ASSERTIONS, assertion_of};
use kubespray_planner::operations::{self, PodProbes};
use kubespray_resource::wire::{Answer, Ask};
use kubespray_resource::{PodsSeen, Secrets, Step};

use super::learn::{Known, Learnt};
use super::refused::unplannable;
use super::verify::{Asked, Verdict, assert_all};
use super::{Reach, Wanted, run};
use crate::arguments::operations::Running;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::fleet;
use crate::printer::Printer;

/// How long helpers listen within pods, in seconds: longer than anything is waited for.
const LISTEN_S: u64 = 240;

/// Makes pods and services, tries what they lead to, and removes them again, whatever was found. They are made on all
/// nodes; `meant` are the hosts that try, all where nothing is said.
pub(super) fn assert_with_pods(
    learnt: Learnt,
    asked: &Asked,
    meant: Option<&BTreeSet<String>>,
    wait: Option<Duration>,
    printer: &mut Printer,
) -> Result<(Learnt, Vec<Verdict>), Failure> {
    if !POD_ASSERTIONS.iter().any(|named| asked.has(named.name, named.ids)) {
        return Ok((learnt, Vec::new()));
    }
    let Learnt { reach, known } = learnt;
    let refused = |refusal| unplannable(&[refusal], &known.variables);
    let probes = operations::pod_probes(&known.site()).map_err(refused)?;
    let running = Running { break_lock: false, failure_budget: None };
    let made = apply(reach, probes.setup.clone(), &running, printer)?;
    let found = if made.code == ExitCode::SUCCESS {
        let is_asked = |step: &Step| {
            let named = assertion_of(step);
            named.is_some_and(|named| asked.has(named.name, named.ids))
                && meant.is_none_or(|hosts| hosts.contains(&step.host))
        };
        Some(find(&made.reach, &known, &probes, &is_asked, wait, printer))
    } else {
        None
    };
    let gone = apply(made.reach, probes.teardown, &running, printer)?;
    let verdicts = match found {
        Some(found) => found?,
        None => return Err(not_made("the pods could not be made", probes.namespace)),
    };
    if gone.code != ExitCode::SUCCESS {
        return Err(not_made("the pods could not be removed", probes.namespace));
    }
    Ok((Learnt { reach: gone.reach, known }, verdicts))
}

fn apply(
    reach: Reach,
    wishes: Wishes,
    running: &Running,
    printer: &mut Printer,
) -> Result<super::Ran, Failure> {
    run(Wanted { reach, wishes, secrets: Secrets::default(), about: None }, running, printer)
}

fn not_made(message: &str, namespace: &str) -> Failure {
    let problem = Diagnostic::error("with-pods", message).because("the report above says why").hint(format!(
        "`kubespray verify --with-pods` tries it again and removes the namespace `{namespace}` then"
    ));
    Failure { diagnostics: vec![problem], code: FOUND_ERRORS }
}

/// First that the pods run; then, of those that do, what they lead to.
fn find(
    reach: &Reach,
    known: &Known,
    probes: &PodProbes,
    is_asked: &dyn Fn(&Step) -> bool,
    wait: Option<Duration>,
    printer: &mut Printer,
) -> Result<Vec<Verdict>, Failure> {
    let mut tell = |line: &str| printer.remark_now(line);
    // They were made a moment ago: whoever looks only once waits for them all the same.
    let mut verdicts = assert_all(reach, &probes.running, None, &mut tell);
    // Others are only tried by pods that run.
    let is_told = probes.running.steps.iter().any(is_asked);
    verdicts.retain(|verdict| !verdict.holds || is_told);
    let seen = pods(reach, probes)?;
    let site = known.site();
    let mut wishes = operations::pod_network(&site, &seen);
    wishes.steps.retain(is_asked);
    let uids = known.spec.hosts.iter().filter_map(|host| {
        let pod = seen.pods.get(&host.node_name)?;
        Some((host.name.as_str(), pod.uid.clone()))
    });
    let uids: BTreeMap<&str, String> = uids.collect();
    let listen = |seconds| {
        let ways: Vec<_> = uids.keys().filter_map(|host| reach.targets.get(*host).cloned()).collect();
        fleet::ask(&reach.transport, &ways, |host| {
            let pod = uids.get(host).cloned().unwrap_or_default();
            vec![Ask::ListenInPod { pod, port: probes.port, seconds }]
        })
    };
    let [pods_run, ..] = &POD_ASSERTIONS;
    for (host, result) in listen(LISTEN_S) {
        let why = match result.map(|answered| answered.answers.into_iter().next()) {
            Ok(Some((Answer::Failed(failure), ..))) => failure.message,
            Ok(_) => continue,
            Err(why) => why.to_string(),
        };
        let mut verdict = Verdict::new(pods_run, Some(&host));
        verdict.fails(format!("nobody listens in its pod: {why}"), Vec::new(), Vec::new());
        verdicts.push(verdict);
    }
    verdicts.extend(assert_all(reach, &wishes, wait, &mut tell));
    listen(0);
    Ok(verdicts)
}

/// What became of the pods and services.
fn pods(reach: &Reach, probes: &PodProbes) -> Result<PodsSeen, Failure> {
    let (host, kubeconfig) = &probes.asks;
    let ways = reach.ways(&[host])?;
    let ask = || Ask::Pods { kubeconfig: kubeconfig.clone(), namespace: probes.namespace.to_owned() };
    match fleet::ask(&reach.transport, &ways, |_| vec![ask()]).remove(host) {
        Some(Ok(answered)) => match answered.answers.into_iter().next() {
            Some((Answer::Pods(seen), ..)) => Ok(*seen),
            Some((other, ..)) => Err(fleet::unexpected(host, &other).into()),
            None => Ok(PodsSeen::default()),
        },
        Some(Err(why)) => Err(fleet::problem(host, &why).into()),
        None => Ok(PodsSeen::default()),
    }
}
