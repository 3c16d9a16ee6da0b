//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How many requests may wait to be written to one host. A helper reads all the time, so only a dead network
/// lets them pile up, and that is noticed within seconds.
pub const LONGEST_QUEUE: usize = 256;

/// Two lanes into one pipe: what the bootstrap says goes first, requests only once the helper is up.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bootstrap: VecDeque<Arc<[u8]>>,
    requests: VecDeque<Arc<[u8]>>,
    up: bool,
    finishing: bool,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds something that the bootstrap says.
    pub(crate) fn say(&self, bytes: impl Into<Arc<[u8]>>) {
        self.state().bootstrap.push_back(bytes.into());
        self.changed.notify_all();
    }

    /// Adds a request; waits for room. Dropped once the queue is finishing or closed.
    pub(crate) fn push(&self, bytes: Vec<u8>) {
        let state = self.state();
        let full =
            |state: &mut State| state.requests.len() >= LONGEST_QUEUE && !state.closed && !state.finishing;
        let mut state = self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        if !state.closed && !state.finishing {
            state.requests.push_back(bytes.into());
            self.changed.notify_all();
        }
    }

    /// The helper is up: requests may go.
    pub(crate) fn open(&self) {
        self.state().up = true;
        self.changed.notify_all();
    }

    /// Whether [`Self::open`] was called.
    pub(crate) fn is_up(&self) -> bool {
        self.state().up
    }

    /// Nothing more is added; what is there is still written.
    pub(crate) fn finish(&self) {
        self.state().finishing = true;
        self.changed.notify_all();
    }

    /// Everything is dropped.
    pub(crate) fn close(&self) {
        *self.state() = State { closed: true, ..State::default() };
        self.changed.notify_all();
    }

    /// Whether [`Self::finish`] or [`Self::close`] was called.
    pub(crate) fn is_ending(&self) -> bool {
        let state = self.state();
        state.finishing || state.closed
    }

    /// Waits for the next bytes; nothing when there will be none.
    pub(crate) fn next(&self) -> Option<Arc<[u8]>> {
        let mut state = self.state();
        loop {
            if let Some(bytes) = state.bootstrap.pop_front() {
                return Some(bytes);
            }
            if state.up
                && let Some(bytes) = state.requests.pop_front()
            {
                self.changed.notify_all();
                return Some(bytes);
            }
            if state.closed || state.finishing {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_wait_for_the_helper_and_for_room() {
        let queue = Queue::default();
        for _ in 0..LONGEST_QUEUE {
            queue.push(b"request".to_vec());
        }
        queue.say(b"start".as_slice());
        assert_eq!(queue.next().as_deref(), Some(b"start".as_slice()));
        std::thread::scope(|scope| {
            let pushing = scope.spawn(|| queue.push(b"last".to_vec()));
            std::thread::sleep(Duration::from_millis(30));
            assert!(!pushing.is_finished(), "a full queue must hold its caller");
            queue.open();
            for _ in 0..LONGEST_QUEUE {
                assert_eq!(queue.next().as_deref(), Some(b"request".as_slice()));
            }
            assert_eq!(queue.next().as_deref(), Some(b"last".as_slice()));
        });
        queue.finish();
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn closing_frees_a_waiting_caller() {
        let queue = Queue::default();
        for _ in 0..LONGEST_QUEUE {
            queue.push(Vec::new());
        }
        std::thread::scope(|scope| {
            scope.spawn(|| queue.push(Vec::new()));
            std::thread::sleep(Duration::from_millis(20));
            queue.close();
        });
        assert_eq!(queue.next(), None);
    }
}
