//! `kubespray status`: one look at everything, without waiting.

use std::collections::{BTreeMap, BTreeSet};

use kubespray_diagnostics::Diagnostic;
use kubespray_planner::operations::{
    HostAnswers, HostQuestions, JournalSeen, Status, StatusSeen, status as judged, status_questions,
};
use kubespray_resource::wire::{Answer, Ask, JournalEntry};
use kubespray_resource::{RunId, StepId};

use super::Reach;
use super::heard::hear;
use super::learn::reach;
use crate::arguments::operations as arguments;
use crate::failure::Failure;
use crate::fleet;

/// Made by packages that are not in use before the next boot, and their names (Debian and its like).
const REBOOT: &str = "/run/reboot-required";
const REBOOT_PACKAGES: &str = "/run/reboot-required.pkgs";

/// Longer files hold something else, in bytes.
const LONGEST: u64 = 64 << 10;

/// How the cluster of an inventory is, and what was noticed beside it. With a limit, of these hosts alone.
pub(crate) fn status(options: &arguments::Status) -> Result<(Status, Vec<Diagnostic>), Failure> {
    let heard = hear(reach(&options.common, &options.connection)?)?;
    let site = heard.known.site();
    let questions = status_questions(&site);
    let mut warnings = heard.reach.site.warnings.clone();
    let silent = heard.silent.iter().map(|(host, why)| (host.clone(), why.message.clone())).collect();
    let mut seen = StatusSeen { silent, ..StatusSeen::default() };
    let is_live = |host: &str| heard.known.live.control_planes.contains(host);
    ask_hosts(&heard.reach, &questions, &is_live, &mut seen, &mut warnings)?;
    ask_kubernetes(&heard.reach, &questions, &mut seen)?;
    ask_journals(&heard.reach, &mut seen)?;
    let mut status = judged(&site, &questions, &seen);
    if let Some(limit) = &options.common.limit {
        status.keep(&heard.reach.site.hosts(Some(limit))?.into_iter().collect());
    }
    Ok((status, warnings))
}

/// What each host says of itself.
fn ask_hosts(
    reach: &Reach,
    questions: &BTreeMap<String, HostQuestions>,
    is_live: &dyn Fn(&str) -> bool,
    seen: &mut StatusSeen,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(), Failure> {
    let ways = reach.ways(&questions.keys().map(String::as_str).collect::<Vec<_>>())?;
    let asks = |host: &str| {
        let asked = questions.get(host);
        let files = asked.map(|asked| asked.certificates.keys().cloned().collect()).unwrap_or_default();
        let read = |path: &str| Ask::Read { path: path.to_owned(), limit: LONGEST };
        let mut asks =
            vec![Ask::CertificateEnds { files }, read(REBOOT), read(REBOOT_PACKAGES), Ask::LockHolder];
        let api = asked.and_then(|asked| asked.api_server.as_ref()).filter(|_| is_live(host));
        asks.extend(
            api.map(|api| Ask::ApiServer { kubeconfig: api.kubeconfig.clone(), server: api.server.clone() }),
        );
        asks
    };
    for (host, result) in fleet::ask(&reach.transport, &ways, asks) {
        let answered = match result {
            Ok(answered) => answered,
            Err(why) => {
                seen.silent.insert(host, why.to_string());
                continue;
            }
        };
        let mut answers = HostAnswers::default();
        let mut texts = Vec::new();
        for (answer, ..) in answered.answers {
            match answer {
                Answer::CertificateEnds(ends) => answers.certificates = ends,
                Answer::Text(text) => texts.push(text),
                Answer::Held(holder) => answers.lock = holder,
                Answer::ApiServer(api) => answers.api_server = Some(api),
                other => warnings.push(fleet::unexpected(&host, &other)),
            }
        }
        if let [Some(_), packages] = texts.as_slice() {
            let packages = packages.as_deref().unwrap_or_default().lines();
            let mut packages: Vec<String> = packages.map(str::to_owned).collect();
            packages.sort();
            packages.dedup();
            answers.reboot = Some(packages);
        }
        seen.hosts.insert(host, answers);
    }
    Ok(())
}

/// What the first API server that is ready knows, or the next one where it does not tell.
fn ask_kubernetes(
    reach: &Reach,
    questions: &BTreeMap<String, HostQuestions>,
    seen: &mut StatusSeen,
) -> Result<(), Failure> {
    for (host, asked) in questions {
        let status = seen.hosts.get(host).and_then(|answers| answers.api_server.as_ref());
        let (Some(api), true) = (&asked.api_server, status.is_some_and(|status| status.problem.is_none()))
        else {
            continue;
        };
        let ask = || {
            let (kubeconfig, server) = (api.kubeconfig.clone(), api.server.clone());
            vec![Ask::Kubernetes { kubeconfig, server }]
        };
        for (_, result) in fleet::ask(&reach.transport, &reach.ways(&[host])?, |_| ask()) {
            let answer = match result {
                Ok(answered) => answered.answers.into_iter().next(),
                Err(why) => {
                    seen.kubernetes = Some(Err(why.to_string()));
                    continue;
                }
            };
            match answer {
                Some((Answer::Kubernetes(known), ..)) => seen.kubernetes = Some(Ok(*known)),
                Some((Answer::Failed(failure), ..)) => seen.kubernetes = Some(Err(failure.message)),
                _ => {}
            }
        }
        if matches!(seen.kubernetes, Some(Ok(_))) {
            break;
        }
    }
    Ok(())
}

/// How far runs went that hold a lock.
fn ask_journals(reach: &Reach, seen: &mut StatusSeen) -> Result<(), Failure> {
    let holders = seen.hosts.values().filter_map(|answers| answers.lock.as_ref());
    let runs: BTreeSet<RunId> = holders.map(|holder| holder.run.clone()).collect();
    if runs.is_empty() {
        return Ok(());
    }
    let ways = reach.ways(&seen.hosts.keys().map(String::as_str).collect::<Vec<_>>())?;
    let asks = |_: &str| runs.iter().map(|run| Ask::Journal { run: run.clone() }).collect();
    for (_, result) in fleet::ask(&reach.transport, &ways, asks) {
        // Who is silent now was not a moment ago; the others' journals tell enough.
        let Ok(answered) = result else { continue };
        for (run, (answer, ..)) in runs.iter().zip(answered.answers) {
            if let Answer::Journal(entries) = answer {
                add(seen.runs.entry(run.as_str().to_owned()).or_default(), entries);
            }
        }
    }
    Ok(())
}

/// What a host wrote down of a run: the last word of each step counts.
fn add(to: &mut JournalSeen, entries: Vec<JournalEntry>) {
    let mut last: BTreeMap<StepId, JournalEntry> = BTreeMap::new();
    for entry in entries {
        to.last_ms = to.last_ms.max(Some(entry.at_ms));
        last.insert(entry.step.clone(), entry);
    }
    for (step, entry) in last {
        match entry.ended {
            Some(Ok(_)) => to.done += 1,
            Some(Err(_)) => _ = to.failed.insert(step.0),
            None => _ = to.doing.insert(step.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use kubespray_resource::Failure as HostFailure;

    use super::*;

    #[test]
    fn the_last_word_of_each_step_counts() {
        let entry = |step: &str, at_ms, ended| JournalEntry { step: StepId(step.into()), at_ms, ended };
        let failed = || Some(Err(HostFailure::of_host("no")));
        let mut seen = JournalSeen::default();
        add(
            &mut seen,
            vec![
                entry("a/x/one", 1, None),
                entry("a/x/one", 2, failed()),
                entry("a/x/two", 3, failed()),
                entry("a/x/one", 4, None),
            ],
        );
        add(&mut seen, vec![entry("b/x/one", 2, None)]);
        assert_eq!((seen.done, seen.last_ms), (0, Some(4)));
        assert_eq!(seen.failed.into_iter().collect::<Vec<_>>(), ["a/x/two"]);
        assert_eq!(seen.doing.into_iter().collect::<Vec<_>>(), ["a/x/one", "b/x/one"]);
    }
}
