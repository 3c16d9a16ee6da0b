//! Steps that wait until somebody says yes.

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use kubespray_controller::Signal;
use kubespray_diagnostics::Diagnostic;
use kubespray_resource::{Event, EventKind, Hold, Plan, StepId};

use crate::failure::Failure;
use crate::printer::Printer;

/// Refuses a plan that asks somebody where nobody can answer.
pub(super) fn refuse_unanswered(plan: &Plan, printer: &Printer) -> Result<(), Failure> {
    let mut asking = plan.changes().filter(|planned| matches!(planned.step.hold, Some(Hold::Confirm(_))));
    let Some(first) = asking.next() else { return Ok(()) };
    if io::stdin().is_terminal() && !printer.is_json() {
        return Ok(());
    }
    let message =
        format!("`{}` waits for somebody to say yes, and there is no terminal to ask on", first.step.id);
    let problem = Diagnostic::error("confirm", message)
        .because("`upgrade_node_confirm` or `upgrade_node_post_upgrade_confirm` is set")
        .hint("run it in a terminal, or wait some time in place of asking: `upgrade_node_pause_seconds`");
    Err(problem.into())
}

/// Reads answers, in a thread of its own, only when something was asked.
pub(super) struct Asker {
    to_run: Sender<Signal>,
    questions: Option<Sender<StepId>>,
}

impl Asker {
    pub(super) fn new(to_run: Sender<Signal>) -> Self {
        Self { to_run, questions: None }
    }

    /// Waits for the answer to a question that the event asks; what is asked is shown by who shows events.
    pub(super) fn ask_for(&mut self, event: &Event) {
        let EventKind::Held { step, hold: Hold::Confirm(_), .. } = &event.kind else { return };
        let to_run = &self.to_run;
        let questions = self.questions.get_or_insert_with(|| {
            let (sender, receiver) = channel::<StepId>();
            let to_run = to_run.clone();
            thread::spawn(move || {
                for step in receiver {
                    let mut line = String::new();
                    let is_read = io::stdin().read_line(&mut line).is_ok_and(|length| length > 0);
                    let is_yes = is_read && ["", "y", "yes"].contains(&line.trim().to_lowercase().as_str());
                    let signal = if is_yes { Signal::Confirm(step) } else { Signal::Stop };
                    if to_run.send(signal).is_err() {
                        return;
                    }
                }
            });
            sender
        });
        // The thread lives as long as the run.
        let _ = questions.send(step.clone());
    }
}
