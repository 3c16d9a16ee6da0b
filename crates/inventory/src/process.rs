//! Programs that give an inventory or a password: run with a time limit and a bound on what they print.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a program printed.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) status: ExitStatus,
}

/// Why a program gave nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be started.
    Start(std::io::Error),
    /// It ran longer than allowed and was killed.
    Timeout(Duration),
    /// It printed more than allowed and was killed.
    TooMuch(usize),
}

/// How often a running program is looked after.
const POLL: Duration = Duration::from_millis(5);

/// How much of the error output is kept.
const LONGEST_STDERR: usize = 64 << 10;

/// Runs a program with no input in a process group of its own; on timeout or flood the whole group is
/// killed.
pub(crate) fn run(
    program: &Path,
    arguments: &[&OsStr],
    timeout: Duration,
    most_output: usize,
) -> Result<Output, Failure> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(Failure::Start)?;
    let deadline = Instant::now() + timeout;
    let stdout = collect(child.stdout.take(), most_output);
    let stderr = collect(child.stderr.take(), LONGEST_STDERR);
    let group = rustix::process::Pid::from_child(&child);
    let kill = || {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    };
    let mut printed: Option<Vec<u8>> = None;
    let mut status = None;
    loop {
        if printed.is_none() {
            match stdout.recv_timeout(POLL) {
                Ok(bytes) => printed = Some(bytes),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => printed = Some(Vec::new()),
            }
            if printed.as_ref().is_some_and(|bytes| bytes.len() > most_output) {
                kill();
                let _ = child.wait();
                return Err(Failure::TooMuch(most_output));
            }
        } else {
            std::thread::sleep(POLL);
        }
        if status.is_none() {
            status = child.try_wait().map_err(Failure::Start)?;
        }
        if let (Some(stdout), Some(status)) = (&mut printed, status) {
            // A child that went to the background may hold the error output open: do not wait for it.
            let error_output = stderr.recv_timeout(Duration::from_millis(200)).unwrap_or_default();
            return Ok(Output {
                stdout: std::mem::take(stdout),
                stderr: String::from_utf8_lossy(&error_output).trim().to_owned(),
                status,
            });
        }
        if Instant::now() >= deadline {
            kill();
            let _ = child.wait();
            return Err(Failure::Timeout(timeout));
        }
    }
}

/// Reads a pipe on a thread; one byte more than `most` tells that there was more.
fn collect(pipe: Option<impl Read + Send + 'static>, most: usize) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let Some(mut pipe) = pipe else { return };
        let _ = pipe.by_ref().take(most as u64 + 1).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
        // A full pipe would stop the program.
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: u64, most: usize) -> Result<Output, Failure> {
        let arguments = [OsStr::new("-c"), OsStr::new(script)];
        run(Path::new("/bin/sh"), &arguments, Duration::from_millis(timeout), most)
    }

    #[test]
    fn gives_both_outputs_and_the_status() {
        let output = shell("echo out; echo err >&2; exit 3", 5000, 100).unwrap();
        assert_eq!(output.stdout, b"out\n");
        assert_eq!(output.stderr, "err");
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn ends_what_hangs_with_its_children() {
        let start = Instant::now();
        assert!(matches!(shell("sleep 60 & sleep 60", 200, 100), Err(Failure::Timeout(_))));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_chatty_error_output_stops_nobody() {
        let output = shell("head -c 300000 /dev/zero >&2; echo done", 20_000, 100).unwrap();
        assert_eq!(output.stdout, b"done\n");
    }

    #[test]
    fn ends_what_floods() {
        assert!(matches!(shell("yes", 20_000, 1000), Err(Failure::TooMuch(1000))));
    }

    #[test]
    fn tells_what_cannot_start() {
        let failure = run(Path::new("/nonexistent"), &[], Duration::from_secs(1), 10);
        assert!(matches!(failure, Err(Failure::Start(_))));
    }
}
