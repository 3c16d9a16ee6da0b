//! How many handshakes there are at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// sshd drops unfinished logins from the tenth on (`MaxStartups 10:30:100`), and a jump host sees all of them.
const AT_ONCE: usize = 8;

/// Limits how many connections are between start and login at the same time. Clones share the limit.
#[derive(Clone, Debug)]
pub struct Handshakes(Arc<Places>);

#[derive(Debug)]
struct Places {
    free: Mutex<usize>,
    changed: Condvar,
}

/// A place among them; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Places>);

impl Handshakes {
    /// At most this many at once, at least one.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Places { free: Mutex::new(at_once.max(1)), changed: Condvar::new() }))
    }

    /// Waits for a place.
    pub(crate) fn enter(&self) -> Permit {
        let free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.0.changed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Permit(Arc::clone(&self.0))
    }
}

impl Default for Handshakes {
    fn default() -> Self {
        Self::new(AT_ONCE)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_than_allowed_at_once() {
        let (handshakes, inside, most) = (Handshakes::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let _permit = handshakes.enter();
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }
}
