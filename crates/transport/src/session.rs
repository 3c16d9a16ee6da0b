//! One connection: a child process, a thread that reads from it and one that writes to it.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kubespray_resource::wire::{self, Hello, LONGEST_FRAME, PROTOCOL, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::NamedTempFile;

use crate::bootstrap::{Line, Ready, failure};
use crate::classify::{classify_ssh, classify_sudo, is_full, lines};
use crate::handshakes::{Handshakes, Permit};
use crate::helpers::{Helper, Helpers};
use crate::queue::Queue;
use crate::{
    Arrival, Connection, ConnectionEvent, Disconnect, HelperFrom, HostKey, OnEvent, Root, Target,
    checks_host_key,
};

/// Thousands of connections are thousands of threads; none of them nests deeply.
const STACK: usize = 256 << 10;
/// Banners and messages of the day are shorter.
const MOST_NOISE: usize = 256 << 10;
/// How much of stderr is kept as evidence.
const MOST_STDERR: usize = 64 << 10;
/// From the start of ssh to the first line of the script: handshake, login, sudo.
const LOGIN: Duration = Duration::from_mins(1);
/// For an upload over a slow line that many hosts share.
const UPLOAD: Duration = Duration::from_mins(10);
/// From the word to start to the helper's first line.
const HELLO: Duration = Duration::from_mins(1);
/// How long a helper may take to go after its input ended.
const LEAVE: Duration = Duration::from_secs(5);
/// How long the last words on stderr, and the exit status, are waited for after stdout has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// What `ssh` returns when it is itself the reason.
const SSH_FAILED: i32 = 255;

/// How the helper is started.
pub(crate) enum Start {
    /// The command runs `bootstrap.sh`.
    Bootstrap(Arc<Helpers>),
    /// The command is the helper.
    Direct,
}

/// What a connection is made of.
pub(crate) struct Recipe {
    /// The child.
    pub(crate) command: Command,
    /// Marks our lines and sudo's question.
    pub(crate) nonce: String,
    /// How the helper is started.
    pub(crate) start: Start,
    /// ssh's own limit for connecting, in seconds: for the message.
    pub(crate) connect_timeout_s: u64,
    /// The file with the login's password, for as long as the login takes.
    pub(crate) askpass: Option<NamedTempFile>,
}

struct Handle {
    queue: Arc<Queue>,
    wake: Option<PipeWriter>,
    fault: Arc<Mutex<Option<Disconnect>>>,
}

/// Begins a connection. The recipe is made in the connection's own thread, after a place among the handshakes
/// was got.
pub(crate) fn connect(
    target: Target,
    on_event: OnEvent,
    handshakes: Option<Handshakes>,
    recipe: impl FnOnce(&Target) -> Result<Recipe, Disconnect> + Send + 'static,
) -> Box<dyn Connection> {
    let queue = Arc::new(Queue::default());
    let fault = Arc::new(Mutex::new(None));
    // Shared with the thread for the one case in which there is none.
    let on_event = Arc::new(Mutex::new(on_event));
    let spawned = io::pipe().and_then(|(woken, wake)| {
        let (queue, fault, on_event) = (Arc::clone(&queue), Arc::clone(&fault), Arc::clone(&on_event));
        thread::Builder::new().name("connection".into()).stack_size(STACK).spawn(move || {
            let permit = handshakes.map(|handshakes| handshakes.enter());
            let up = |event| on_event.lock().unwrap_or_else(PoisonError::into_inner)(event);
            let mut ended = if queue.is_ending() {
                Disconnect::Ended
            } else {
                recipe(&target)
                    .and_then(|recipe| Session::start(recipe, target, woken, &queue))
                    .map_or_else(|refused| refused, |session| session.run(permit, &up))
            };
            queue.close();
            if let Some(fault) = fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
                ended = fault;
            }
            up(ConnectionEvent::Down(ended));
        })?;
        Ok(wake)
    });
    let wake = match spawned {
        Ok(wake) => Some(wake),
        Err(error) => {
            queue.close();
            on_event.lock().unwrap_or_else(PoisonError::into_inner)(ConnectionEvent::Down(here(&error)));
            None
        }
    };
    Box::new(Handle { queue, wake, fault })
}

impl Connection for Handle {
    fn send(&mut self, request: &Request) {
        match wire::encode(request) {
            Ok(bytes) if bytes.len() <= LONGEST_FRAME => self.queue.push(bytes),
            outcome => {
                let size = outcome.map(|bytes| bytes.len()).unwrap_or_default();
                let reason = format!("a request is too long to be sent ({size} bytes)");
                *self.fault.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Disconnect::Lost { reason, evidence: Vec::new() });
                self.close();
            }
        }
    }

    fn close(&mut self) {
        self.queue.finish();
        // The reader sees the other end of the pipe go.
        self.wake = None;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the reader has come upon.
enum Got {
    /// More of stdout or stderr.
    More,
    /// The end of stdout.
    End,
    /// The connection is being closed from here.
    Closed,
    /// The deadline.
    Late,
}

struct Session<'a> {
    queue: &'a Queue,
    target: Target,
    nonce: String,
    start: Option<Start>,
    connect_timeout_s: u64,
    askpass: Option<NamedTempFile>,
    began: Instant,
    child: Child,
    stdout: File,
    stderr: Option<File>,
    woken: Option<PipeReader>,
    chunk: Vec<u8>,
    out: Vec<u8>,
    err: Vec<u8>,
    noise: Vec<u8>,
    asked: usize,
    /// Whether the script has answered.
    ready: bool,
    /// Whether the child is the helper itself.
    direct: bool,
    helper: HelperFrom,
    by_sudo: bool,
}

impl<'a> Session<'a> {
    fn start(
        mut recipe: Recipe,
        target: Target,
        woken: PipeReader,
        queue: &'a Arc<Queue>,
    ) -> Result<Self, Disconnect> {
        let began = Instant::now();
        // A group of its own: Ctrl-C in the terminal is for the controller, which ends its work in order.
        recipe.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let program = recipe.command.get_program().to_string_lossy().into_owned();
        let mut child = recipe.command.spawn().map_err(|error| match recipe.start {
            Start::Bootstrap(_) => Disconnect::SshUnusable { reason: format!("`{program}`: {error}") },
            Start::Direct => here(&error),
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(here(&io::Error::other("a pipe is missing")));
        };
        let direct = matches!(recipe.start, Start::Direct);
        let session = Self {
            queue,
            target,
            nonce: recipe.nonce,
            start: Some(recipe.start),
            connect_timeout_s: recipe.connect_timeout_s,
            askpass: recipe.askpass,
            began,
            child,
            stdout: File::from(OwnedFd::from(stdout)),
            stderr: Some(File::from(OwnedFd::from(stderr))),
            woken: Some(woken),
            chunk: vec![0; 64 << 10],
            out: Vec::new(),
            err: Vec::new(),
            noise: Vec::new(),
            asked: 0,
            ready: false,
            direct,
            helper: HelperFrom::Here,
            by_sudo: false,
        };
        let waiting = Arc::clone(queue);
        let writer = thread::Builder::new().name("connection-writer".into()).stack_size(STACK);
        writer
            .spawn(move || {
                while let Some(bytes) = waiting.next() {
                    // The reader notices the end by itself.
                    if stdin.write_all(&bytes).and_then(|()| stdin.flush()).is_err() {
                        break;
                    }
                }
            })
            .map_err(|error| here(&error))?;
        Ok(session)
    }

    /// From the first byte to the last.
    fn run(mut self, permit: Option<Permit>, tell: &impl Fn(ConnectionEvent)) -> Disconnect {
        let ended = match self.login(permit) {
            Ok(hello) => {
                let arrival = Arrival {
                    hello,
                    took: self.began.elapsed(),
                    helper: self.helper,
                    root: self.root(),
                    host_key: self.host_key(),
                };
                tell(ConnectionEvent::Up(arrival));
                self.queue.open();
                self.replies(tell)
            }
            Err(ended) => ended,
        };
        self.kill();
        ended
    }

    fn root(&self) -> Root {
        match (self.by_sudo, self.asked) {
            (_, 1..) => Root::SudoPassword,
            (true, 0) => Root::Sudo,
            (false, 0) => Root::Login,
        }
    }

    fn host_key(&self) -> HostKey {
        let recorded = find(&self.err, b"Permanently added").is_some();
        match self.helper {
            HelperFrom::Here => HostKey::None,
            _ if !checks_host_key(&self.target) => HostKey::Unchecked,
            _ if recorded => HostKey::Recorded,
            _ => HostKey::Known,
        }
    }

    fn login(&mut self, permit: Option<Permit>) -> Result<Hello, Disconnect> {
        let wanted = match self.start.take() {
            Some(Start::Bootstrap(helpers)) => {
                let ready = match self.line("logging in", LOGIN)? {
                    Line::Ready(ready) => ready,
                    Line::Failed(reason) => return Err(self.failed(&reason, 0)),
                    Line::Send => return Err(self.lost("the host asked for the helper out of turn")),
                };
                drop(permit);
                self.askpass = None;
                self.ready = true;
                Some(self.bring(&ready, &helpers)?)
            }
            _ => None,
        };
        let hello = self.hello()?;
        let same = wanted.as_ref().is_none_or(|wanted| hello.build.trim_start_matches("sha256:") == wanted);
        if hello.protocol != PROTOCOL || !same {
            let build = wanted.map(|build| format!(" and build `{build}`")).unwrap_or_default();
            return Err(Disconnect::HelperIncompatible {
                protocol: hello.protocol,
                build: hello.build,
                wanted: format!("protocol {PROTOCOL}{build}"),
            });
        }
        Ok(hello)
    }

    /// Starts the helper on the host, uploads it before if it is not there. Returns its digest.
    fn bring(&mut self, ready: &Ready, helpers: &Helpers) -> Result<String, Disconnect> {
        let helpers = helpers.all()?;
        let Some(helper) = helpers.get(&ready.arch) else {
            let have = helpers.keys().cloned().collect();
            return Err(Disconnect::WrongArchitecture { host: ready.arch.clone(), have });
        };
        let need_kib = (helper.raw.len() as u64).div_ceil(1024);
        if !ready.folder {
            self.last_words();
            let full = is_full(&self.stderr_text());
            return Err(if full {
                Disconnect::NoSpace { free_kib: None, need_kib }
            } else {
                Disconnect::NoExecutableFolder { tried: ready.tried.clone() }
            });
        }
        self.by_sudo = ready.by_sudo;
        self.helper = if ready.have { HelperFrom::Host } else { HelperFrom::Upload };
        if ready.have {
            self.queue.say(b"start\n".as_slice());
        } else {
            if let Some(free) = ready.free_kib
                && free < need_kib
            {
                return Err(Disconnect::NoSpace { free_kib: Some(free), need_kib });
            }
            self.upload(helper, ready.gzip, need_kib)?;
        }
        Ok(helper.digest.as_str().to_owned())
    }

    fn upload(&mut self, helper: &Helper, gzip: bool, need_kib: u64) -> Result<(), Disconnect> {
        let packed = if gzip { helper.gzip() } else { None };
        let (bytes, packing) = packed.map_or((&helper.raw, "raw"), |packed| (packed, "gzip"));
        self.queue.say(format!("upload {} {packing}\n", bytes.len()).into_bytes());
        match self.line("beginning the upload", LOGIN)? {
            Line::Send => {}
            Line::Failed(reason) => return Err(self.failed(&reason, need_kib)),
            Line::Ready(_) => return Err(self.lost("the host began twice")),
        }
        self.queue.say(Arc::clone(bytes));
        // The next line is the helper's own, or the failure.
        let deadline = Instant::now() + UPLOAD;
        loop {
            if let Some(start) = find(&self.out, wire::MAGIC.as_bytes())
                && self.out.iter().skip(start).any(|byte| *byte == b'\n')
            {
                return Ok(());
            }
            if let Some(Line::Failed(reason)) = self.peek_lines() {
                // What went wrong is on stderr, which may come later.
                self.last_words();
                return Err(self.failed(&reason, need_kib));
            }
            if self.out.len() > MOST_NOISE {
                return Err(self.lost("the login prints without end"));
            }
            self.wait(deadline, "uploading the helper", UPLOAD)?;
        }
    }

    /// Our first line among those that are there; they stay.
    fn peek_lines(&self) -> Option<Line> {
        let text = String::from_utf8_lossy(&self.out);
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .find_map(|line| Line::parse(line, &self.nonce))
    }

    /// The next line of ours; others are noise.
    fn line(&mut self, doing: &'static str, limit: Duration) -> Result<Line, Disconnect> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(line) = self.take_line()? {
                if let Some(line) = Line::parse(&line, &self.nonce) {
                    return Ok(line);
                }
                self.noise.extend(line.as_bytes());
            }
            self.answer_sudo()?;
            self.wait(deadline, doing, limit)?;
        }
    }

    fn hello(&mut self) -> Result<Hello, Disconnect> {
        let deadline = Instant::now() + HELLO;
        loop {
            while let Some(line) = self.take_line()? {
                if let Some(hello) = Hello::parse(&line) {
                    return Ok(hello);
                }
                if let Some(Line::Failed(reason)) = Line::parse(&line, &self.nonce) {
                    return Err(self.failed(&reason, 0));
                }
                self.noise.extend(line.as_bytes());
            }
            self.answer_sudo()?;
            self.wait(deadline, "starting the helper", HELLO)?;
        }
    }

    /// A whole line of stdout.
    fn take_line(&mut self) -> Result<Option<String>, Disconnect> {
        if self.noise.len() > MOST_NOISE {
            return Err(self.lost("the login prints without end"));
        }
        let Some(end) = self.out.iter().position(|byte| *byte == b'\n') else {
            let endless = self.out.len() > MOST_NOISE;
            return if endless { Err(self.lost("the login prints without end")) } else { Ok(None) };
        };
        let line: Vec<u8> = self.out.drain(..=end).collect();
        Ok(Some(String::from_utf8_lossy(&line).into_owned()))
    }

    /// Answers sudo's question once; a second one means that the answer was wrong.
    fn answer_sudo(&mut self) -> Result<(), Disconnect> {
        let Some(password) = &self.target.r#become.password else { return Ok(()) };
        let asked = count(&self.err, format!("{}-password", self.nonce).as_bytes());
        if asked > 1 {
            return Err(Disconnect::SudoWrongPassword);
        }
        if asked > self.asked {
            self.asked = asked;
            self.queue.say(format!("{}\n", password.reveal()).into_bytes());
        }
        Ok(())
    }

    /// Waits for more before the helper is up.
    fn wait(&mut self, deadline: Instant, doing: &'static str, limit: Duration) -> Result<(), Disconnect> {
        match self.more(Some(deadline)) {
            Got::More => Ok(()),
            Got::Closed => Err(Disconnect::Ended),
            Got::Late => {
                let evidence = self.evidence();
                Err(Disconnect::TimedOut { doing, seconds: limit.as_secs(), evidence })
            }
            Got::End => Err(self.ended_early()),
        }
    }

    /// Reads until there is an end.
    fn replies(&mut self, tell: &impl Fn(ConnectionEvent)) -> Disconnect {
        let mut deadline = None;
        loop {
            if let Err(garbage) = self.take_frames(tell) {
                return self.lost(&garbage);
            }
            match self.more(deadline) {
                Got::More => {}
                Got::Closed => deadline = Some(Instant::now() + LEAVE),
                Got::Late => return Disconnect::Ended,
                Got::End if deadline.is_some() || self.queue.is_ending() => return Disconnect::Ended,
                Got::End => return self.ended_late(),
            }
        }
    }

    /// Tells all whole frames that are there.
    fn take_frames(&mut self, tell: &impl Fn(ConnectionEvent)) -> Result<(), String> {
        let mut used = 0;
        while let Some((head, rest)) = self.out.get(used..).and_then(|rest| rest.split_first_chunk::<4>()) {
            let length = u32::from_be_bytes(*head) as usize;
            if length > LONGEST_FRAME {
                return Err(format!("the host sent what is no message (a frame of {length} bytes)"));
            }
            if rest.len() < length {
                break;
            }
            let end = used + 4 + length;
            let mut frame = self.out.get(used..end).unwrap_or_default();
            let reply: Reply = wire::read_frame(&mut frame).map_err(|error| error.to_string())?;
            tell(ConnectionEvent::Reply(reply));
            used = end;
        }
        self.out.drain(..used);
        if self.out.is_empty() && self.out.capacity() > self.chunk.len() {
            self.out = Vec::new();
        }
        Ok(())
    }

    /// Waits for something to happen and takes in what came.
    fn more(&mut self, deadline: Option<Instant>) -> Got {
        loop {
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Got::Late,
                left => left,
            };
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let flags = PollFlags::IN;
            let mut fds = vec![PollFd::new(&self.stdout, flags)];
            fds.extend(self.stderr.iter().map(|stderr| PollFd::new(stderr, flags)));
            fds.extend(self.woken.iter().map(|woken| PollFd::new(woken, flags)));
            match poll(&mut fds, left.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return Got::End,
            }
            let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
            let out = ready.next() == Some(true);
            let err = self.stderr.is_some() && ready.next() == Some(true);
            let woken = self.woken.is_some() && ready.next() == Some(true);
            drop(ready);
            if woken {
                self.woken = None;
                return Got::Closed;
            }
            if err {
                self.read_stderr();
            }
            if out {
                match self.stdout.read(&mut self.chunk) {
                    Ok(0) => return Got::End,
                    Ok(count) => self.out.extend(self.chunk.iter().take(count)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Got::End,
                }
            }
            return Got::More;
        }
    }

    fn read_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        match stderr.read(&mut self.chunk) {
            Ok(count) if count > 0 => {
                self.err.extend(self.chunk.iter().take(count));
                let excess = self.err.len().saturating_sub(MOST_STDERR);
                self.err.drain(..excess);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => self.stderr = None,
        }
    }

    /// Reads what is left on stderr. It may stay open, when ssh leaves a master behind.
    fn last_words(&mut self) {
        let deadline = Instant::now() + LAST_WORDS;
        while let Some(stderr) = &self.stderr {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else { return };
            match poll(&mut [PollFd::new(stderr, PollFlags::IN)], Some(&left)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => return,
                Ok(_) => self.read_stderr(),
            }
        }
    }

    /// How the child ended, when it does so soon.
    fn status(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + LAST_WORDS;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }

    fn kill(&mut self) {
        // A child that was waited for is gone, and its number may be another's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            self.status();
        }
    }

    /// stdout ended before the helper was up.
    fn ended_early(&mut self) -> Disconnect {
        self.last_words();
        let code = self.status().and_then(|status| status.code());
        let text = format!("{}{}", self.noise_text(), self.stderr_text());
        let silent = exit("the host ended it before the helper said hello", code);
        if self.ready {
            return self.lost(&silent);
        }
        let sudo = || if self.asked > 0 { Some(Disconnect::SudoWrongPassword) } else { None };
        let found = match code {
            Some(SSH_FAILED) => classify_ssh(&text, self.connect_timeout_s).or_else(|| classify_sudo(&text)),
            _ => classify_sudo(&text).or_else(sudo),
        };
        match (found, code) {
            (Some(found), _) => self.clean(found),
            (None, _) if self.direct => self.lost(&silent),
            (None, Some(SSH_FAILED) | None) => self.lost("ssh ended before the host answered"),
            (None, Some(_)) => Disconnect::NoShell { evidence: self.evidence() },
        }
    }

    /// stdout ended after the helper was up.
    fn ended_late(&mut self) -> Disconnect {
        self.last_words();
        let code = self.status().and_then(|status| status.code());
        let text = self.stderr_text();
        let reason = if text.contains("not responding") {
            "the host stopped answering".to_owned()
        } else if code == Some(SSH_FAILED) {
            "the network or the host ended it".to_owned()
        } else {
            exit("the helper ended", code)
        };
        self.lost(&reason)
    }

    fn failed(&mut self, reason: &str, need_kib: u64) -> Disconnect {
        let full = is_full(&self.stderr_text());
        failure(reason, need_kib, full, self.evidence())
    }

    fn lost(&self, reason: &str) -> Disconnect {
        Disconnect::Lost { reason: reason.to_owned(), evidence: self.evidence() }
    }

    fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    fn noise_text(&self) -> String {
        let rest = if self.queue.is_up() { &[] } else { self.out.as_slice() };
        format!("{}{}\n", String::from_utf8_lossy(&self.noise), String::from_utf8_lossy(rest))
    }

    /// The last lines of what was printed, without passwords.
    fn evidence(&self) -> Vec<String> {
        lines(&self.target.blot(&format!("{}{}", self.noise_text(), self.stderr_text())))
    }

    /// A reason whose evidence came from texts that may hold a password.
    fn clean(&self, mut found: Disconnect) -> Disconnect {
        if let Disconnect::TimedOut { evidence, .. }
        | Disconnect::HungUp { evidence }
        | Disconnect::AuthenticationFailed { evidence }
        | Disconnect::Lost { evidence, .. } = &mut found
        {
            evidence.iter_mut().for_each(|line| *line = self.target.blot(line));
        }
        found
    }
}

fn here(error: &io::Error) -> Disconnect {
    Disconnect::Lost {
        reason: format!("it could not be begun on this machine: {error}"),
        evidence: Vec::new(),
    }
}

fn exit(what: &str, code: Option<i32>) -> String {
    match code {
        Some(code) => format!("{what} (exit status {code})"),
        None => format!("{what} (killed)"),
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}
