//! Asking many hosts the same at once.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubespray_diagnostics::Diagnostic;
use kubespray_interface::list;
use kubespray_planner::{ClockSample, best_clock};
use kubespray_resource::wire::{Answer, Ask, Request};
use kubespray_transport::{Arrival, Connection, ConnectionEvent, Disconnect, OnEvent, Target, Transport};

/// Hosts that are named in a message; a count stands for the rest.
const HOSTS_NAMED: usize = 8;

/// A host that answered everything.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) arrival: Arrival,
    /// The answers in the order of the questions, each with the time since the one before and when it came.
    pub(crate) answers: Vec<(Answer, Duration, SystemTime)>,
}

impl Answered {
    /// The look at the host's clock that tells most, of those that were asked for.
    pub(crate) fn clock(&self) -> Option<ClockSample> {
        let samples: Vec<ClockSample> = self
            .answers
            .iter()
            .filter_map(|(answer, took, at)| match answer {
                Answer::Clock(host_ms) => {
                    let answered_ms =
                        at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
                    let asked_ms = answered_ms.saturating_sub(took.as_millis() as u64);
                    Some(ClockSample { asked_ms, answered_ms, host_ms: *host_ms })
                }
                _ => None,
            })
            .collect();
        best_clock(&samples)
    }
}

struct Pending {
    connection: Box<dyn Connection>,
    questions: Vec<Ask>,
    arrival: Option<Arrival>,
    answers: Vec<(Answer, Duration, SystemTime)>,
    /// When the last question was asked, or the helper was there to hear the first.
    asked: Instant,
}

impl Pending {
    /// Asks one question after the other, so that the time of each is its own; `false` when all are answered.
    fn ask_next(&mut self) -> bool {
        let number = self.answers.len();
        let Some(body) = self.questions.get(number) else { return false };
        self.connection.send(&Request { id: number as u64 + 1, body: body.clone() });
        self.asked = Instant::now();
        true
    }
}

/// Asks every host, and gives what each answered, or why it did not.
///
/// All connections are made at once; the transport limits how many log in at the same time, and those that
/// wait for their turn are not silent.
pub(crate) fn ask(
    transport: &dyn Transport,
    targets: &[Target],
    asks: impl Fn(&str) -> Vec<Ask>,
) -> BTreeMap<String, Result<Answered, Disconnect>> {
    let (sender, events) = channel();
    let mut results = BTreeMap::new();
    let mut pending: BTreeMap<String, Pending> = BTreeMap::new();
    for target in targets {
        let mut waiting = Pending {
            connection: transport.connect(target, tell(&sender, &target.host)),
            questions: asks(&target.host),
            arrival: None,
            answers: Vec::new(),
            asked: Instant::now(),
        };
        waiting.ask_next();
        pending.insert(target.host.clone(), waiting);
    }
    drop(sender);
    while !pending.is_empty() {
        let Ok((host, event)) = events.recv() else { break };
        let Some(waiting) = pending.get_mut(&host) else { continue };
        match event {
            ConnectionEvent::Up(arrival) => {
                waiting.arrival = Some(arrival);
                waiting.asked = Instant::now();
            }
            ConnectionEvent::Reply(reply) => {
                let took = waiting.asked.elapsed();
                if !reply.body.ends_request() {
                    continue;
                }
                waiting.answers.push((reply.body, took, SystemTime::now()));
                if !waiting.ask_next()
                    && let Some(Pending { mut connection, arrival: Some(arrival), answers, .. }) =
                        pending.remove(&host)
                {
                    connection.close();
                    results.insert(host, Ok(Answered { arrival, answers }));
                }
            }
            ConnectionEvent::Down(why) => {
                pending.remove(&host);
                results.insert(host, Err(why));
            }
        }
    }
    results
}

fn tell(to: &Sender<(String, ConnectionEvent)>, host: &str) -> OnEvent {
    let (to, host) = (to.clone(), host.to_owned());
    Box::new(move |event| drop(to.send((host.clone(), event))))
}

/// A host that could not be asked.
pub(crate) fn problem(host: &str, why: &Disconnect) -> Diagnostic {
    let mut problem = Diagnostic::error("connection", why.to_string()).on_host(host);
    for line in why.evidence() {
        problem = problem.because(line.clone());
    }
    match why.hint() {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

/// The same problem is told once, with the hosts that have it too.
pub(crate) fn told_once(problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut told: Vec<(Diagnostic, Vec<String>)> = Vec::new();
    for problem in problems {
        let host = problem.host.clone().unwrap_or_default();
        let known = told
            .iter_mut()
            .find(|(first, _)| Diagnostic { host: first.host.clone(), ..problem.clone() } == *first);
        match known {
            Some((_, others)) => others.push(host),
            None => told.push((problem, Vec::new())),
        }
    }
    let with_others = told.into_iter().map(|(problem, others)| {
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        if others.is_empty() {
            problem
        } else {
            problem.because(format!("the same on {}", list(&others, HOSTS_NAMED)))
        }
    });
    with_others.collect()
}

/// An answer that is none to the question.
pub(crate) fn unexpected(host: &str, answer: &Answer) -> Diagnostic {
    match answer {
        Answer::Failed(failure) => {
            let mut problem = Diagnostic::error("host", failure.message.clone()).on_host(host);
            for line in &failure.evidence {
                problem = problem.because(line.clone());
            }
            failure.hints.iter().fold(problem, |problem, hint| problem.hint(hint.clone()))
        }
        _ => Diagnostic::error("host", "the helper gave another answer than was asked for").on_host(host),
    }
}
