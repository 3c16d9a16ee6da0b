//! Running a plan over real hosts.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use kubespray_controller::{Ending, Options, Record, Report, Run, Signal, drive};
use kubespray_diagnostics::Diagnostic;
use kubespray_interface::{duration, report_text};
use kubespray_resource::wire::{Answer, Ask, Holder};
use kubespray_resource::{Plan, RunId};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::secrets::keep;
use super::sinks::{Keeping, Sinks};
use super::{Planned, Reach, Standing, cache, questions, secrets_of, standing};
use crate::arguments::operations::Running;
use crate::failure::{FOUND_ERRORS, Failure};
use crate::fleet;
use crate::printer::Printer;

/// What a shell reports for a program that ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// How a run begins.
pub(crate) enum Start {
    /// Anew.
    New,
    /// Where this holder left it.
    Resume(Holder),
}

/// Runs a plan to its end and reports.
pub(crate) fn execute(
    planned: &Planned,
    start: Start,
    running: &Running,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    let Planned { plan, secrets, reach, .. } = planned;
    let mut plan = plan.clone();
    questions::refuse_unanswered(&plan, printer)?;
    plan.policy.forks = reach.forks;
    if let Some(budget) = running.failure_budget {
        plan.policy.failure_budget = budget;
    }
    let resume = matches!(&start, Start::Resume(_));
    if running.break_lock {
        break_locks(&plan, reach, printer)?;
    }
    let now_ms = now_ms();
    let holder = match start {
        Start::New => Holder {
            run: new_run(now_ms),
            owner: owner(),
            operation: plan.operation.clone(),
            since_ms: now_ms,
        },
        Start::Resume(holder) => Holder { owner: owner(), ..holder },
    };
    let files = cache::fill(&plan, printer)?;
    keep(secrets, &reach.variables())?;
    let sinks = Sinks::start(&plan, &reach.groups(), Keeping::History, printer)?;
    let options = Options { resume };
    let (mut run, first) = Run::new(plan, holder, secrets.clone(), options, now_ms)
        .map_err(|error| Diagnostic::error("plan", error.to_string()))?;
    let (to_run, signals) = signals()?;
    let mut asker = questions::Asker::new(to_run);
    let report = drive(&mut run, first, &reach.transport, &reach.targets, &files, signals, &mut |event| {
        asker.ask_for(&event);
        sinks.take(event);
    });
    let problems = sinks.finish();
    printer.warnings(&problems, false);
    let report = report.ok_or_else(|| Diagnostic::error("run", "the run ended without a report"))?;
    let go_on = report.go_on.as_deref().map(|command| reach.same_site(command));
    let undo = report.undo.as_ref().map(|undo| reach.same_site(&undo.command));
    tell(&report, go_on.as_deref(), undo.as_deref(), printer);
    match &report.ending {
        Ending::Done => Ok(ExitCode::SUCCESS),
        Ending::Failed | Ending::Stopped => Ok(ExitCode::from(FOUND_ERRORS)),
        Ending::Refused(held) => Err(refused(held)),
        Ending::NoLock(why) => Err(Failure {
            diagnostics: vec![
                Diagnostic::error("lock", why.clone())
                    .hint("nothing was changed; `kubespray ping` says which hosts answer"),
            ],
            code: FOUND_ERRORS,
        }),
    }
}

fn tell(report: &Report, go_on: Option<&str>, undo: Option<&str>, printer: &mut Printer) {
    if printer.is_json() {
        let mut value = serde_json::to_value(report).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert("event".to_owned(), "report".into());
        }
        printer.json_line(&value);
    } else {
        printer.line(report_text(report, go_on, undo).trim_end());
    }
}

fn refused(held: &[(String, Holder)]) -> Failure {
    let now = now_ms();
    let diagnostics = held.iter().map(|(host, holder)| {
        let since = duration(now.saturating_sub(holder.since_ms));
        Diagnostic::error(
            "locked",
            format!("`{}` works on the cluster: {}, run `{}`, for {since}", holder.owner, holder.operation, holder.run),
        )
        .on_host(host)
        .hint(format!(
            "wait for it; if it was cut off, `kubespray runs resume {}` goes on with it, and `--break-lock` gives it up",
            holder.run
        ))
    });
    Failure { diagnostics: diagnostics.collect(), code: FOUND_ERRORS }
}

/// Takes the locks away from whoever holds them, and says whose they were.
fn break_locks(plan: &Plan, reach: &Reach, printer: &mut Printer) -> Result<(), Failure> {
    let hosts: Vec<&str> = plan.lock_hosts.iter().map(String::as_str).collect();
    let ways = reach.ways(&hosts)?;
    for (host, result) in fleet::ask(&reach.transport, &ways, |_| vec![Ask::LockHolder, Ask::BreakLock]) {
        // A host that does not answer keeps its lock; the run itself says whether enough are left.
        let Ok(answered) = result else { continue };
        if let Some((Answer::Held(Some(holder)), ..)) = answered.answers.first()
            && !printer.is_json()
        {
            printer.line(format!(
                "{host}: took the lock away from `{}`: {}, run `{}`",
                holder.owner, holder.operation, holder.run
            ));
        }
    }
    Ok(())
}

/// A run that was cut off: what the hosts keep of it.
pub(crate) fn resume(
    name: Option<&str>,
    reach: Reach,
    running: &Running,
    printer: &mut Printer,
) -> Result<ExitCode, Failure> {
    let record = find_record(name, &reach)?;
    reach.ways(&record.plan.hosts())?;
    let steps = || record.plan.steps.iter().map(|planned| &planned.step);
    let standing = standing(&reach, steps(), Standing::All)?;
    let secrets = secrets_of(steps(), &reach.variables(), &standing)?;
    execute(
        &Planned { plan: record.plan, secrets, reach, blocked: Vec::new() },
        Start::Resume(record.holder),
        running,
        printer,
    )
}

/// The record of a run; where none is named, of the one that holds a lock, else of the one that began last.
fn find_record(name: Option<&str>, reach: &Reach) -> Result<Record, Failure> {
    let all: Vec<_> = reach.targets.values().cloned().collect();
    let wanted = match name {
        Some(name) => Some(RunId::from(name)),
        None => {
            let held = fleet::ask(&reach.transport, &all, |_| vec![Ask::LockHolder]);
            held.into_values().flatten().flat_map(|answered| answered.answers).find_map(|(answer, ..)| {
                match answer {
                    Answer::Held(Some(holder)) => Some(holder.run),
                    _ => None,
                }
            })
        }
    };
    let asked = fleet::ask(&reach.transport, &all, |_| {
        let last = wanted.as_ref().map(|_| Ask::LoadRun { run: None });
        [Ask::LoadRun { run: wanted.clone() }].into_iter().chain(last).collect()
    });
    let mut problems = Vec::new();
    let mut found: Option<Record> = None;
    let mut kept: Vec<Vec<Holder>> = Vec::new();
    for (host, result) in asked {
        let answered = match result {
            Ok(answered) => answered,
            Err(why) => {
                problems.push(fleet::problem(&host, &why));
                continue;
            }
        };
        let mut of_host = Vec::new();
        for (answer, ..) in answered.answers {
            let text = match answer {
                Answer::Record(Some(text)) => text,
                Answer::Record(None) => continue,
                other => {
                    problems.push(fleet::unexpected(&host, &other));
                    continue;
                }
            };
            match Record::parse(&text) {
                Ok(record) => of_host.push(record),
                Err(why) => problems.push(Diagnostic::error("record", why).on_host(&host)),
            }
        }
        kept.push(of_host.iter().map(|record| record.holder.clone()).collect());
        for record in of_host {
            let is_wanted = wanted.as_ref().is_none_or(|run| *run == record.holder.run);
            if is_wanted && found.as_ref().is_none_or(|f| f.holder.since_ms < record.holder.since_ms) {
                found = Some(record);
            }
        }
    }
    if let Some(newer) =
        found.as_ref().filter(|_| wanted.is_some()).and_then(|found| newer(&found.holder, &kept))
    {
        let (run, operation) = (&newer.run, &newer.operation);
        let message = format!("another run has worked on these hosts since: {operation}, run `{run}`");
        let hint = "give the command of that run again: it does what is left as the hosts are now, and `kubespray plan` shows \
                    it first";
        return Err(Diagnostic::error("superseded", message).hint(hint).into());
    }
    found.ok_or_else(|| {
        let what = match name {
            Some(name) => format!("no host keeps a record of the run `{name}`"),
            None => "no host keeps a record of a run".to_owned(),
        };
        problems.push(
            Diagnostic::error("record", what).hint("`kubespray runs list` names the runs of this machine"),
        );
        Failure { diagnostics: problems, code: FOUND_ERRORS }
    })
}

/// Who worked after a run, as told by all that each host keeps of that run and of the one it knows last: what was done for
/// the older one may be gone by now, or be done over. Hosts know the order of what they keep; where one missed the older
/// run, clocks of controllers have to do.
fn newer<'k>(found: &Holder, kept: &'k [Vec<Holder>]) -> Option<&'k Holder> {
    kept.iter().find_map(|of_host| {
        let last = of_host.iter().find(|holder| holder.run != found.run)?;
        let has_both = of_host.iter().any(|holder| holder.run == found.run);
        (has_both || last.since_ms > found.since_ms).then_some(last)
    })
}

/// Ctrl-C and the like: the first stops the run in good order, a second one leaves at once.
fn signals() -> Result<(Sender<Signal>, Receiver<Signal>), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (own, receiver) = channel();
    let sender = own.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut stopping = false;
        for _ in &mut signals {
            if std::mem::replace(&mut stopping, true) {
                // Helpers finish the step that they are at and leave; the journal knows.
                #[expect(clippy::exit, reason = "the operator asked twice")]
                std::process::exit(INTERRUPTED);
            }
            let _ = sender.send(Signal::Stop);
        }
    })?;
    Ok((own, receiver))
}

/// A name that sorts by time: `20261121-091233-4f1c`.
fn new_run(now_ms: u64) -> RunId {
    let mut random = [0; 2];
    // Where there is no randomness, time alone must do: two operators in the same second are told apart by locks.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    let at = jiff::Timestamp::from_millisecond(now_ms as i64).unwrap_or_default();
    let time = at.strftime("%Y%m%d-%H%M%S");
    RunId(format!("{time}-{:02x}{:02x}", random[0], random[1]))
}

/// Who works: `user@machine`.
fn owner() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}@{}", user.unwrap_or_else(|| "somebody".into()), machine.trim())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(run: &str, since_ms: u64) -> Holder {
        Holder { run: run.into(), owner: "o@m".into(), operation: "cluster".into(), since_ms }
    }

    #[test]
    fn a_run_is_old_when_a_host_knows_another_one_since() {
        let found = record("old", 5);
        let newer = |kept: &[Vec<Holder>]| newer(&found, kept).map(|holder| holder.run.to_string());
        let old = || record("old", 5);
        assert_eq!(newer(&[vec![old(), old()], vec![]]), None);
        // A clock of another controller may be behind: the host knows the order.
        assert_eq!(newer(&[vec![old(), old()], vec![old(), record("new", 3)]]).as_deref(), Some("new"));
        assert_eq!(newer(&[vec![old(), old()], vec![record("new", 9)]]).as_deref(), Some("new"));
        assert_eq!(newer(&[vec![old(), old()], vec![record("before", 1)]]), None, "it missed the old one");
    }
}
