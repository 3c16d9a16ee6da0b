//! Where the events of a run go: the terminal or JSON lines, and the history.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubespray_diagnostics::Diagnostic;
use kubespray_history::History;
use kubespray_interface::{Lines, Progress};
use kubespray_resource::{Event, Plan};

use crate::failure::Failure;
use crate::printer::Printer;

/// How often a terminal is drawn at most, and at least while something is under way.
const FRAME: Duration = Duration::from_millis(100);
/// Runs beyond these are forgotten.
const RUNS_KEPT: usize = 1_000;

/// The listeners of a run, in a thread of their own: a slow disk or terminal slows no host.
pub(crate) struct Sinks {
    events: Sender<Event>,
    worker: JoinHandle<Vec<Diagnostic>>,
}

/// What becomes of events when they were shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// They go into the history.
    History,
    /// Nothing: what they tell did not happen.
    Nothing,
}

impl Sinks {
    /// For a plan, with what its hosts are; what is printed follows the printer's format.
    pub(crate) fn start(
        plan: &Plan,
        groups: &BTreeMap<String, &'static str>,
        keeping: Keeping,
        printer: &mut Printer,
    ) -> Result<Self, Failure> {
        printer.out().flush()?;
        let screen = if printer.is_json() {
            Screen::Json
        } else if io::stdout().is_terminal() {
            Screen::Terminal {
                progress: Box::new(Progress::new(plan, |host| {
                    groups.get(host).copied().unwrap_or("others").to_owned()
                })),
                drawn: 0,
                lines: Lines::default(),
            }
        } else {
            Screen::Lines(Lines::default())
        };
        let (events, incoming) = channel();
        let worker =
            thread::Builder::new().name("events".into()).spawn(move || work(screen, keeping, &incoming))?;
        Ok(Self { events, worker })
    }

    pub(crate) fn take(&self, event: Event) {
        drop(self.events.send(event));
    }

    /// Waits until all is written; gives what could not be.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        drop(self.events);
        self.worker.join().unwrap_or_default()
    }
}

enum Screen {
    Terminal {
        progress: Box<Progress>,
        /// How many lines of it stand on the screen.
        drawn: usize,
        lines: Lines,
    },
    Lines(Lines),
    Json,
}

fn work(mut screen: Screen, keeping: Keeping, incoming: &Receiver<Event>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let opened = if keeping == Keeping::History { open_history() } else { Ok(None) };
    let mut history = match opened {
        Ok(history) => history,
        Err(problem) => {
            problems.push(*problem);
            None
        }
    };
    loop {
        let mut events = Vec::new();
        let ended = match incoming.recv_timeout(FRAME) {
            Ok(event) => {
                events.push(event);
                events.extend(incoming.try_iter());
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        // A screen that is gone is no reason to stop a run.
        let _ = screen.show(&events, ended);
        if let Some(open) = history.as_mut().filter(|_| !events.is_empty())
            && let Err(error) = open.record(&events)
        {
            problems.push(unwritten(&error.to_string()));
            history = None;
        }
        if ended {
            if let Some(mut history) = history {
                let _ = history.keep(RUNS_KEPT);
            }
            return problems;
        }
        if matches!(screen, Screen::Terminal { .. }) && !events.is_empty() {
            thread::sleep(FRAME / 2);
        }
    }
}

impl Screen {
    fn show(&mut self, events: &[Event], ended: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Self::Json => {
                for event in events {
                    serde_json::to_writer(&mut out, event)?;
                    writeln!(out)?;
                }
            }
            Self::Lines(lines) => {
                for event in events {
                    if let Some(line) = lines.line(event) {
                        writeln!(out, "{line}")?;
                    }
                }
            }
            Self::Terminal { progress, drawn, lines } => {
                let mut text = String::new();
                if *drawn > 0 {
                    // To the first line that was drawn, and everything from there on goes.
                    let _ = write!(text, "\x1b[{drawn}F\x1b[J");
                }
                for event in events {
                    progress.take(event);
                    if let Some(line) = lines.line(event).filter(|_| Progress::is_worth_a_line(event)) {
                        text.push_str(&line);
                        text.push('\n');
                    }
                }
                let frame = if ended { Vec::new() } else { progress.frame(now_ms(), width()) };
                for line in &frame {
                    text.push_str(line);
                    text.push('\n');
                }
                *drawn = frame.len();
                out.write_all(text.as_bytes())?;
            }
        }
        out.flush()
    }
}

/// Some terminals do not know how wide they are.
fn width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => 80,
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Where the history of this user is.
pub(crate) fn history_path() -> Option<PathBuf> {
    History::default_path(|name| std::env::var(name).ok())
}

fn open_history() -> Result<Option<History>, Box<Diagnostic>> {
    let Some(path) = history_path() else { return Ok(None) };
    History::open(&path).map(Some).map_err(|error| Box::new(unwritten(&error.to_string())))
}

fn unwritten(why: &str) -> Diagnostic {
    Diagnostic::warning("history", format!("this run is not in the history of this machine: {why}"))
        .hint("the run itself and `runs resume` do not need it")
}
