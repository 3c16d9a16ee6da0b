//! Programs: run to their end, in a process group of their own, with limits on time and output.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{HostError, Output, Spawn};

/// Only the end of an output is kept: failures are told there, and a chatty program must not fill memory.
const LONGEST_OUTPUT: usize = 256 << 10;

/// How long output is still read after a program ended, where a child of it keeps the pipe open.
const LINGER: Duration = Duration::from_millis(500);

/// How often a program that closed its output, or never writes, is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Finds a program below a root or in folders, and runs it.
pub(super) fn run(root: &Path, folders: &[PathBuf], spawn: &Spawn) -> Result<Output, HostError> {
    let name = spawn.argv.first().map_or("", String::as_str);
    let program = find(root, folders, name).ok_or_else(|| HostError::NoProgram(name.to_owned()))?;
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => HostError::NoProgram(name.to_owned()),
        _ => HostError::Refused { what: format!("start `{name}`"), why: error.to_string() },
    };
    let path = std::env::join_paths(folders).unwrap_or_default();
    let mut child = Command::new(program)
        .args(spawn.argv.iter().skip(1))
        .current_dir("/")
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .envs(&spawn.environment)
        .stdin(if spawn.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(refused)?;

    let (ended, ends) = mpsc::channel();
    let stdout = collect(child.stdout.take(), ended.clone());
    let stderr = collect(child.stderr.take(), ended);
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), spawn.stdin.clone()) {
        // A program that does not read its input must not hold us up; who ends early breaks the pipe.
        thread::spawn(move || {
            let _ = pipe.write_all(text.as_bytes());
        });
    }
    let deadline = Instant::now().checked_add(spawn.timeout);
    let status = wait(&mut child, deadline, &ends).map_err(refused)?;
    let Some(status) = status else {
        return Err(HostError::Timeout {
            what: format!("`{}`", spawn.argv.join(" ")),
            seconds: spawn.timeout.as_secs(),
        });
    };
    // Nothing is ever sent: the channel ends with the readers.
    let _ = ends.recv_timeout(LINGER);
    Ok(Output { status: status.code(), stdout: text(&stdout), stderr: text(&stderr) })
}

/// Waits for the end of a program; kills its group at the deadline and tells by `None`.
fn wait(
    child: &mut Child,
    deadline: Option<Instant>,
    ends: &mpsc::Receiver<()>,
) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        if matches!(ends.recv_timeout(pause), Err(RecvTimeoutError::Disconnected)) {
            thread::sleep(pause);
        }
        pause = (pause * 2).min(LOOK);
    }
}

type Kept = Arc<Mutex<VecDeque<u8>>>;

/// Reads a pipe to its end on a thread of its own and keeps the tail.
fn collect(pipe: Option<impl Read + Send + 'static>, ended: mpsc::Sender<()>) -> Kept {
    let kept = Kept::default();
    let Some(mut pipe) = pipe else { return kept };
    let tail = Arc::clone(&kept);
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(count) = pipe.read(&mut buffer) {
            let read = buffer.get(..count).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend(read);
            let surplus = tail.len().saturating_sub(LONGEST_OUTPUT);
            tail.drain(..surplus);
        }
        drop(ended);
    });
    kept
}

fn text(kept: &Kept) -> String {
    let bytes: Vec<u8> = kept.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn find(root: &Path, folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(root.join(name.trim_start_matches('/')));
    }
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}
