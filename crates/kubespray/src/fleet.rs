//! Asking many hosts the same at once.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use kubespray_diagnostics::Diagnostic;
use kubespray_resource::wire::{Answer, Ask, Request};
use kubespray_transport::{Arrival, Connection, ConnectionEvent, Disconnect, OnEvent, Target, Transport};

/// A host that answered everything.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) arrival: Arrival,
    /// The answers in the order of the questions, each with the time since the one before and when it came.
    pub(crate) answers: Vec<(Answer, Duration, SystemTime)>,
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
