//! Files that the controller keeps, asked for through its connection. [`Answer::Want`] tells how.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubespray_resource::Digest;
use kubespray_resource::wire::{Answer, Ask, CHUNK, CHUNKS_ON_THE_WAY};

use crate::{Chunk, HostError};

/// Twice what may be on the way: what was asked for before a file was begun anew may still come.
const WAITING: usize = 2 * CHUNKS_ON_THE_WAY as usize;

/// How soon a wish to stop is heard.
const NAP: Duration = Duration::from_millis(100);

/// Where the reader of a connection leaves what the controller sent.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(SyncSender<Ask>);

impl Inbox {
    /// Leaves bytes there, or that there are none. More than was asked for is dropped: the reader waits for nobody.
    pub(crate) fn put(&self, sent: Ask) {
        let _ = self.0.try_send(sent);
    }
}

/// Asks the controller for files, piece by piece.
pub(crate) struct Supply {
    sent: Receiver<Ask>,
    ask: Box<dyn FnMut(Answer) + Send>,
    under_way: Option<UnderWay>,
    /// Answers that are still to come.
    waiting: u64,
    /// How many of them belong to what is no longer wanted; they come first.
    stale: u64,
}

/// A file of which pieces were asked for.
#[derive(Debug)]
struct UnderWay {
    digest: Digest,
    /// The first byte that was not handed out yet.
    next: u64,
    /// The first byte that was not asked for yet.
    asked: u64,
}

impl std::fmt::Debug for Supply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supply").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Supply {
    /// A supply that asks by `ask`, and where what is sent goes.
    pub(crate) fn new(ask: impl FnMut(Answer) + Send + 'static) -> (Self, Inbox) {
        let (inbox, sent) = mpsc::sync_channel(WAITING);
        (Self { sent, ask: Box::new(ask), under_way: None, waiting: 0, stale: 0 }, Inbox(inbox))
    }

    /// The bytes of a file from an offset on. Asks ahead once it is known that the file goes on.
    pub(crate) fn chunk(
        &mut self,
        digest: &Digest,
        offset: u64,
        timeout: Duration,
        cancelled: &AtomicBool,
    ) -> Result<Chunk, HostError> {
        let goes_on = self.under_way.as_ref().is_some_and(|way| way.digest == *digest && way.next == offset);
        let mut way = match self.under_way.take() {
            Some(way) if goes_on => way,
            _ => UnderWay { digest: digest.clone(), next: offset, asked: offset },
        };
        if !goes_on {
            self.stale = self.waiting;
        }
        let ahead = if goes_on { CHUNKS_ON_THE_WAY } else { 1 };
        while way.asked < offset.saturating_add(ahead.saturating_mul(CHUNK)) {
            self.waiting += 1;
            (self.ask)(Answer::Want { digest: digest.clone(), offset: way.asked });
            way.asked = way.asked.saturating_add(CHUNK);
        }
        let chunk = self.wait(digest, offset, timeout, cancelled)?;
        if !chunk.last {
            way.next = offset.saturating_add(CHUNK);
            self.under_way = Some(way);
        }
        Ok(chunk)
    }

    fn wait(
        &mut self,
        digest: &Digest,
        offset: u64,
        timeout: Duration,
        cancelled: &AtomicBool,
    ) -> Result<Chunk, HostError> {
        let what = || format!("ask the controller for `{digest}`");
        let refused = |why: &str| HostError::Refused { what: what(), why: why.to_owned() };
        let began = Instant::now();
        loop {
            if cancelled.load(Ordering::SeqCst) {
                return Err(HostError::Cancelled);
            }
            let sent = self.sent.recv_timeout(NAP);
            let is_stale = self.stale > 0;
            if sent.is_ok() {
                self.waiting = self.waiting.saturating_sub(1);
                self.stale = self.stale.saturating_sub(1);
            }
            match sent {
                Ok(Ask::NoBytes { digest: of, why }) if of == *digest && !is_stale => {
                    return Err(refused(&why));
                }
                Ok(Ask::Bytes { digest: of, offset: at, bytes, last }) if of == *digest && at == offset => {
                    let bytes = STANDARD.decode(bytes).map_err(|_| refused("what it sent is no base64"))?;
                    let is_whole = bytes.len() as u64 == CHUNK;
                    if bytes.len() as u64 > CHUNK || !last && !is_whole {
                        return Err(refused(&format!("it sent {} bytes in place of {CHUNK}", bytes.len())));
                    }
                    return Ok(Chunk { bytes, last });
                }
                // Of a file, or a part of one, that is no longer wanted.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if began.elapsed() < timeout => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(HostError::Timeout { what: what(), seconds: timeout.as_secs() });
                }
                // The reader is gone, and with it the connection.
                Err(RecvTimeoutError::Disconnected) => return Err(HostError::Cancelled),
            }
        }
    }
}
