//! A run over real connections.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubespray_resource::wire::{Answer, Reply, Request};
use kubespray_resource::{Event, StepId};
use kubespray_transport::{Connection, ConnectionEvent, Target, Transport};

use crate::words::{Input, Output, Report};
use crate::{Files, Run};

/// Without a timer the machine is asked once in a while, so that a clock that was set back cannot stall it.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// What the operator wants of a run under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End what is under way and stop.
    Stop,
    /// Yes to a step that waits for it.
    Confirm(StepId),
}

enum Came {
    Connection(u64, String, ConnectionEvent),
    Signal(Signal),
}

/// Drives a run to its end: `targets` says how its hosts are reached, `first` are the outputs of [`Run::new`],
/// `files` are those that hosts may ask for, `signals` what the operator wants, `tell` takes each event. A host without a target cannot be reached.
pub fn drive(
    run: &mut Run,
    first: Vec<Output>,
    transport: &dyn Transport,
    targets: &BTreeMap<String, Target>,
    files: &Files,
    signals: Receiver<Signal>,
    tell: &mut dyn FnMut(Event),
) -> Option<Report> {
    let (sender, inbox) = channel();
    forward_signals(signals, sender.clone());
    let clock = Clock::new();
    let mut driver =
        Driver { transport, targets, files, sender, connections: BTreeMap::new(), next: 0, wake: None };
    let mut pending = first;
    loop {
        let mut refused = Vec::new();
        for output in pending.drain(..) {
            match output {
                Output::Tell(event) => tell(event),
                Output::Finished(report) => return Some(*report),
                other => refused.extend(driver.perform(other)),
            }
        }
        let inputs = if refused.is_empty() { driver.wait(&inbox, &clock) } else { refused };
        for input in inputs {
            pending.extend(run.handle(clock.now_ms(), input));
        }
        if run.is_over() && !pending.iter().any(|output| matches!(output, Output::Finished(_))) {
            return None;
        }
    }
}

fn forward_signals(signals: Receiver<Signal>, to: Sender<Came>) {
    thread::spawn(move || {
        while let Ok(signal) = signals.recv() {
            if to.send(Came::Signal(signal)).is_err() {
                return;
            }
        }
    });
}

/// Wall-clock milliseconds that never go back.
struct Clock {
    began: Instant,
    began_ms: u64,
}

impl Clock {
    fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_ms: since.as_millis() as u64 }
    }

    fn now_ms(&self) -> u64 {
        self.began_ms + self.began.elapsed().as_millis() as u64
    }
}

struct Driver<'a> {
    transport: &'a dyn Transport,
    targets: &'a BTreeMap<String, Target>,
    files: &'a Files,
    sender: Sender<Came>,
    /// By host: the number of the connection, so that the last words of an older one are told apart.
    connections: BTreeMap<String, (u64, Box<dyn Connection>)>,
    next: u64,
    wake: Option<u64>,
}

impl Driver<'_> {
    /// Does what the run wants; what cannot be done comes back as an input.
    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Connect { host } => {
                let Some(target) = self.targets.get(&host) else {
                    let why = "nothing says how it is reached".to_owned();
                    return Some(Input::Down { host, transient: false, why });
                };
                self.next += 1;
                let number = self.next;
                let (to, name) = (self.sender.clone(), host.clone());
                let on_event =
                    Box::new(move |event| drop(to.send(Came::Connection(number, name.clone(), event))));
                let connection = self.transport.connect(target, on_event);
                self.connections.insert(host, (number, connection));
            }
            Output::Close { host } => {
                if let Some((_, mut connection)) = self.connections.remove(&host) {
                    connection.close();
                }
            }
            Output::Send { host, request } => {
                if let Some((_, connection)) = self.connections.get_mut(&host) {
                    connection.send(&request);
                }
            }
            Output::WakeAt { ms } => self.wake = Some(ms),
            Output::Tell(_) | Output::Finished(_) => {}
        }
        None
    }

    /// Waits for the next thing to happen.
    fn wait(&mut self, inbox: &Receiver<Came>, clock: &Clock) -> Vec<Input> {
        let left = self.wake.map(|ms| Duration::from_millis(ms.saturating_sub(clock.now_ms())));
        let input = match inbox.recv_timeout(left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)) {
            Ok(Came::Signal(Signal::Stop)) => Some(Input::Stop),
            Ok(Came::Signal(Signal::Confirm(step))) => Some(Input::Confirm { step }),
            Ok(Came::Connection(number, host, event)) => {
                let is_ours = self.connections.get(&host).is_some_and(|(ours, _)| *ours == number);
                if is_ours { self.input(host, event) } else { None }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.wake = self.wake.filter(|ms| *ms > clock.now_ms());
                Some(Input::Tick)
            }
        };
        input.into_iter().collect()
    }

    fn input(&mut self, host: String, event: ConnectionEvent) -> Option<Input> {
        Some(match event {
            // Whoever runs need not know: each answer depends on its question alone.
            ConnectionEvent::Reply(Reply { id, body: Answer::Want { digest, offset } }) => {
                if let Some((_, connection)) = self.connections.get_mut(&host) {
                    connection.send(&Request { id, body: self.files.give(&digest, offset) });
                }
                return None;
            }
            ConnectionEvent::Up(arrival) => Input::Up { host, hello: arrival.hello },
            ConnectionEvent::Reply(reply) => Input::Reply { host, reply },
            ConnectionEvent::Down(why) => {
                self.connections.remove(&host);
                let mut text = why.to_string();
                if let Some(hint) = why.hint() {
                    text.push_str("; ");
                    text.push_str(hint);
                }
                Input::Down { host, transient: why.is_transient(), why: text }
            }
        })
    }
}
