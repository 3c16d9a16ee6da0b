//! A session over a connection.

use std::io::{self, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kubespray_resource::wire::{Answer, Ask, FrameError, Reply, Request, encode, read_frame};
use kubespray_resource::{Failure, StepId};

use crate::supply::{Inbox, Supply};
use crate::{LinuxHost, Session, session};

/// How often the helper says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A controller that says nothing for so long is gone, whatever its connection says.
const SILENCE: Duration = Duration::from_mins(1);

/// Answers that wait for a controller that does not read. Work stops when it is full, until it reads again or
/// [`STUCK`] has passed.
const WAITING: usize = 64;

/// How long an answer waits for a controller that does not read.
const STUCK: Duration = Duration::from_mins(1);

/// How serving ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The controller closed the connection.
    Closed,
    /// Nothing came for a minute, or nothing could be sent for as long.
    Silent,
    /// What came was no message, or the connection broke.
    Broken(String),
}

/// Set once, when nothing more is to be done.
type Closed = Arc<OnceLock<Ended>>;

enum Input {
    Request(Box<Request>),
    /// Look why.
    End,
}

/// Serves one controller until its connection ends. The step under way is finished first; what is queued is
/// dropped. `build` is the digest of this binary.
pub fn serve(
    mut host: LinuxHost,
    build: &str,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
) -> Ended {
    let mut session = Session::new(build);
    let hello = match session.hello(&host) {
        Ok(hello) => hello,
        Err(error) => return Ended::Broken(error.to_string()),
    };
    let cancelled = host.cancelled();
    let closed: Closed = Arc::default();
    let doing: Arc<Mutex<Option<StepId>>> = Arc::default();
    let out = Sender::start(output, format!("{}\n", hello.line()), Arc::clone(&closed));
    let (queue, requests) = mpsc::channel();
    let answering: Arc<AtomicU64> = Arc::default();
    let (supply, inbox) = {
        let (out, id) = (out.clone(), Arc::clone(&answering));
        Supply::new(move |body| out.send(Reply { id: id.load(Ordering::SeqCst), body }))
    };
    host.supply_by(supply);
    let reader = Reader {
        queue,
        inbox,
        out: out.clone(),
        cancelled: Arc::clone(&cancelled),
        heard: Arc::new(Mutex::new(Instant::now())),
        closed: Arc::clone(&closed),
    };
    let heard = Arc::clone(&reader.heard);
    thread::spawn(move || reader.run(input));
    let beat = Heart { out: out.clone(), doing: Arc::clone(&doing), closed: Arc::clone(&closed) };
    thread::spawn(move || beat.run());

    let ended = work(&mut session, &host, &requests, &out, &doing, &answering, &cancelled, &heard);
    let ended = closed.get_or_init(|| ended).clone();
    out.finish();
    ended
}

fn work(
    session: &mut Session,
    host: &LinuxHost,
    requests: &Receiver<Input>,
    out: &Sender,
    doing: &Mutex<Option<StepId>>,
    answering: &AtomicU64,
    cancelled: &AtomicBool,
    heard: &Mutex<Instant>,
) -> Ended {
    loop {
        if let Some(ended) = out.closed.get() {
            return ended.clone();
        }
        let request = match requests.recv_timeout(HEARTBEAT) {
            Ok(Input::Request(request)) => *request,
            Ok(Input::End) => continue,
            Err(RecvTimeoutError::Disconnected) => return Ended::Closed,
            Err(RecvTimeoutError::Timeout) => {
                if lock(heard).elapsed() > SILENCE {
                    return Ended::Silent;
                }
                continue;
            }
        };
        if request.body == Ask::GoOn {
            cancelled.store(false, Ordering::SeqCst);
        }
        let id = request.id;
        answering.store(id, Ordering::SeqCst);
        let step = session::step_of(&request);
        lock(doing).clone_from(&step);
        // Held to the end of the step. Where it cannot be had, the step itself fails and says why.
        let _steps = step.as_ref().map(|_| session.take_over(host).map(|()| host.lock_steps()));
        let done = catch_unwind(AssertUnwindSafe(|| {
            session.answer(host, request, &mut |reply| out.send(reply));
        }));
        *lock(doing) = None;
        if let Err(panic) = done {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no words");
            session.stop("an earlier step failed");
            let failure = Failure::of_host(format!("a defect of the helper: {said}"));
            let body = match step {
                Some(step) => Answer::Applied(step, Err(failure)),
                None => Answer::Failed(failure),
            };
            out.send(Reply { id, body });
        }
    }
}

/// Reads requests; answers at once what must not wait.
struct Reader {
    queue: mpsc::Sender<Input>,
    inbox: Inbox,
    out: Sender,
    cancelled: Arc<AtomicBool>,
    heard: Arc<Mutex<Instant>>,
    closed: Closed,
}

impl Reader {
    fn run(self, input: impl Read) {
        let mut input = BufReader::new(Heard { input, at: Arc::clone(&self.heard) });
        let ended = loop {
            let request: Request = match read_frame(&mut input) {
                Ok(request) => request,
                Err(FrameError::End) => break Ended::Closed,
                Err(error) => break Ended::Broken(error.to_string()),
            };
            if matches!(request.body, Ask::Bytes { .. } | Ask::NoBytes { .. }) {
                self.inbox.put(request.body);
                continue;
            }
            let at_once = match request.body {
                Ask::Ping => true,
                Ask::Cancel => {
                    self.cancelled.store(true, Ordering::SeqCst);
                    true
                }
                _ => false,
            };
            if at_once {
                self.out.send(Reply { id: request.id, body: Answer::Ok });
            } else if self.queue.send(Input::Request(Box::new(request))).is_err() {
                break Ended::Closed;
            }
        };
        // Nobody is there any more to wait for what is queued: only the step under way is finished.
        self.cancelled.store(true, Ordering::SeqCst);
        let _ = self.closed.set(ended);
        let _ = self.queue.send(Input::End);
    }
}

/// Remembers when something was heard, also in the middle of a long frame.
struct Heard<R> {
    input: R,
    at: Arc<Mutex<Instant>>,
}

impl<R: Read> Read for Heard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        *lock(&self.at) = Instant::now();
        Ok(count)
    }
}

/// Says every two seconds that the helper lives.
struct Heart {
    out: Sender,
    doing: Arc<Mutex<Option<StepId>>>,
    closed: Closed,
}

impl Heart {
    fn run(self) {
        while self.closed.get().is_none() {
            thread::sleep(HEARTBEAT);
            let doing = lock(&self.doing).clone();
            // A full queue says as much.
            self.out.try_send(Reply { id: 0, body: Answer::Heartbeat { doing } });
        }
    }
}

/// Sends answers on a thread of its own, so that a full pipe holds up nobody for ever.
#[derive(Clone)]
struct Sender {
    queue: SyncSender<Option<Vec<u8>>>,
    closed: Closed,
    written: Arc<AtomicBool>,
}

impl Sender {
    fn start(mut output: impl Write + Send + 'static, first: String, closed: Closed) -> Self {
        let (queue, waiting) = mpsc::sync_channel::<Option<Vec<u8>>>(WAITING);
        let written = Arc::new(AtomicBool::new(false));
        let sender = Self { queue, closed: Arc::clone(&closed), written: Arc::clone(&written) };
        thread::spawn(move || {
            let mut alive = output.write_all(first.as_bytes()).and_then(|()| output.flush()).is_ok();
            while alive {
                match waiting.recv() {
                    Ok(Some(bytes)) => {
                        alive = output.write_all(&bytes).and_then(|()| output.flush()).is_ok();
                    }
                    Ok(None) | Err(_) => break,
                }
            }
            if !alive {
                let _ = closed.set(Ended::Closed);
            }
            written.store(true, Ordering::SeqCst);
        });
        sender
    }

    /// Sends, waiting for a controller that reads slowly.
    fn send(&self, reply: Reply) {
        let Ok(bytes) = encode(&reply) else { return };
        let mut waiting = Some(bytes);
        let last = Instant::now() + STUCK;
        loop {
            match self.queue.try_send(waiting.take()) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => waiting = back,
            }
            if self.closed.get().is_some() || Instant::now() > last {
                let _ = self.closed.set(Ended::Silent);
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn try_send(&self, reply: Reply) {
        if let Ok(bytes) = encode(&reply) {
            let _ = self.queue.try_send(Some(bytes));
        }
    }

    /// Gives the last answers a moment to leave.
    fn finish(&self) {
        let last = Instant::now() + Duration::from_secs(2);
        let _ = self.queue.try_send(None);
        while !self.written.load(Ordering::SeqCst) && Instant::now() < last {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
