//! Work that goes on while the helper answers requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One work of a kind: until its time is up, it is stopped, or the helper ends.
#[derive(Debug, Default)]
pub(super) struct Background {
    stop: Option<Arc<AtomicBool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Background {
    /// Stops what is under way, and waits for its end: what it held is free then.
    pub(super) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.store(true, Ordering::SeqCst);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Does something again and again, with a pause each time, in place of what is under way.
    pub(super) fn repeat(
        &mut self,
        pause: Duration,
        time: Duration,
        mut work: impl FnMut() + Send + 'static,
    ) {
        self.stop();
        let stop = Arc::new(AtomicBool::new(false));
        self.stop = Some(Arc::clone(&stop));
        self.thread = Some(thread::spawn(move || {
            let end = Instant::now() + time;
            while Instant::now() < end && !stop.load(Ordering::SeqCst) {
                work();
                thread::sleep(pause);
            }
        }));
    }
}
