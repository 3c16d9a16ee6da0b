//! What controller and node helper tell each other.
//!
//! The helper first prints one line, [`Hello::line`], which the controller looks for behind whatever login
//! shells and sudo print. From then on both sides send frames: four bytes of length, most significant first,
//! and that many bytes of JSON. JSON keeps one format for the wire, stored plans and the journal.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    ApiServerStatus, CertificateEnd, Digest, Facts, Failure, Keep, KubernetesStatus, Outcome, PacketSize,
    PortState, Resource, RunId, Secrets, State, StepId, Token,
};

/// Both sides must speak the same version.
pub const PROTOCOL: u32 = 1;

/// A longer frame is noise or an attack; the longest honest one is a plan of a large cluster.
pub const LONGEST_FRAME: usize = 64 << 20;

/// How many bytes of a file one [`Ask::Bytes`] carries, but for its last ones.
pub const CHUNK: u64 = 1 << 20;

/// How many [`Answer::Want`]s of one file may wait for their bytes.
pub const CHUNKS_ON_THE_WAY: u64 = 4;

/// What the helper's first line begins with.
pub const MAGIC: &str = "KUBESPRAY-NODE ";

/// The first line of a helper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the helper.
    pub protocol: u32,
    /// The digest of its binary.
    pub build: String,
    /// The kernel's host name.
    pub hostname: String,
    /// The id of the boot: it tells a lost connection from a reboot.
    pub boot_id: String,
}

impl Hello {
    /// The line without its end.
    pub fn line(&self) -> String {
        format!("{MAGIC}{}", serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a line; nothing for noise.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, json) = line.split_once(MAGIC)?;
        serde_json::from_str(json.trim_end()).ok()
    }
}

/// A request of the controller. The answer carries the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The number.
    pub id: u64,
    /// What is asked.
    pub body: Ask,
}

/// What a controller asks. Requests are answered in their order, but for [`Ask::Ping`] and [`Ask::Cancel`],
/// which are answered at once, and [`Ask::Bytes`] and [`Ask::NoBytes`], which are answers themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Are you there?
    Ping,
    /// What are you?
    Facts,
    /// What do you have of these? Contents may be digests.
    Observe {
        /// The resources with their steps.
        items: Vec<(StepId, Resource)>,
    },
    /// The text of a file, to show how it will change.
    Read {
        /// Its path.
        path: String,
        /// Larger ones are not sent, in bytes.
        limit: u64,
    },
    /// Make it so. After a failure all later ones are refused until [`Ask::GoOn`].
    Apply(Box<Apply>),
    /// Forget the failure.
    GoOn,
    /// Run a command.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
        /// How long it may take, in seconds.
        timeout_s: u64,
    },
    /// Take the lock, for as long as the run lasts. The holder may take it again.
    Lock(Holder),
    /// Work here in place of helpers of older connections, which begin no other step.
    TakeOver,
    /// Give the lock back. Not an error when it is not held.
    Unlock {
        /// The run that holds it.
        run: RunId,
    },
    /// Who holds the lock?
    LockHolder,
    /// Take a lock away from whoever holds it.
    BreakLock,
    /// Keep the record of a run.
    StoreRun {
        /// The run.
        run: RunId,
        /// What is kept.
        record: String,
    },
    /// Give the record of a run; of the latest when none is named.
    LoadRun {
        /// The run.
        run: Option<RunId>,
    },
    /// What was begun and done of a run here?
    Journal {
        /// The run.
        run: RunId,
    },
    /// Can you connect to these addresses?
    Reach {
        /// `address:port` each.
        addresses: Vec<String>,
        /// How long one may take, in milliseconds.
        timeout_ms: u64,
    },
    /// Listen at these ports of all addresses, so that others can try them. Answered at once; the helper goes on
    /// listening while it answers other requests. The ports of an earlier request are let go.
    Listen {
        /// The ports; none to let go of those that are listened at.
        ports: Vec<u16>,
        /// For how long, in seconds; a minute at most.
        seconds: u64,
    },
    /// What is the largest packet that reaches these addresses in one piece?
    Packets {
        /// The addresses.
        addresses: Vec<IpAddr>,
        /// Larger ones are not tried, in bytes: what the interface takes.
        largest: u32,
    },
    /// What addresses do these names have, as the host resolves them?
    Resolve {
        /// The names.
        names: Vec<String>,
    },
    /// What time is it? Answered by a look at the clock alone: its time is known as well as half of the round trip.
    Clock,
    /// How long does a small synced write to this folder take?
    Fsync {
        /// The folder; made when it is missing, removed again.
        path: String,
        /// How many writes.
        count: u32,
    },
    /// Until when are these certificates valid?
    CertificateEnds {
        /// Certificates in PEM, or kubeconfigs that hold or name one. Those that are not there are left out.
        files: Vec<String>,
    },
    /// Is this API server ready, and which version is it?
    ApiServer {
        /// The kubeconfig on the host: who asks, and whom is believed.
        kubeconfig: String,
        /// `https://address:port`.
        server: String,
    },
    /// Which nodes and components does this API server know?
    Kubernetes {
        /// The kubeconfig on the host: who asks, and whom is believed.
        kubeconfig: String,
        /// `https://address:port`.
        server: String,
    },
    /// Bytes of a file that the controller keeps, for an [`Answer::Want`]. See there.
    Bytes {
        /// The digest of the whole file.
        digest: Digest,
        /// Where they begin; that of the [`Answer::Want`].
        offset: u64,
        /// The bytes in base64: [`CHUNK`] of them, fewer only where the file ends.
        bytes: String,
        /// Whether the file ends with them.
        last: bool,
    },
    /// The controller does not give a file, for an [`Answer::Want`]. See there.
    NoBytes {
        /// The digest of the whole file.
        digest: Digest,
        /// Why not.
        why: String,
    },
    /// Remove all that helpers left, this binary too.
    Clean,
    /// Stop what you are doing at the next safe moment; refuse what is queued.
    Cancel,
}

impl Ask {
    /// Whether it is answered: chunks of files are themselves answers.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::Bytes { .. } | Self::NoBytes { .. })
    }
}

/// A step to apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The wish.
    pub resource: Resource,
    /// What must happen later if this changes anything.
    pub notifies: Vec<Token>,
    /// The secrets that it names.
    pub secrets: Secrets,
    /// The outputs that it takes, by the steps that gave them.
    #[serde(default)]
    pub inputs: BTreeMap<StepId, String>,
    /// Whether what was there before is kept ([`crate::Before`]).
    #[serde(default)]
    pub remember: bool,
    /// Whether others wait for it, or take turns with it: that it is done must not be forgotten.
    pub awaited: bool,
    /// What is kept of what it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// `user@machine` of the operator.
    pub owner: String,
    /// The operation.
    pub operation: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// An answer of the helper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The number of the request; 0 for what nobody asked for.
    pub id: u64,
    /// The answer.
    pub body: Answer,
}

/// What a helper answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done, or here.
    Ok,
    /// What the host is.
    Facts(Box<Facts>),
    /// What the host has, in the order of the question.
    Observed(Vec<(StepId, Result<State, Failure>)>),
    /// A text; nothing where there is none, or none that can be shown.
    Text(Option<String>),
    /// A step has begun.
    Started(StepId),
    /// A step needs bytes of a file that the controller keeps (`Download::from_controller`): [`CHUNK`] of them,
    /// from this offset on.
    ///
    /// It carries the number of the step's [`Ask::Apply`], between [`Answer::Started`] and [`Answer::Applied`].
    /// The controller answers each with exactly one request of the same number, in their order: [`Ask::Bytes`]
    /// with this digest and offset, with no bytes and `last` where the file ends before or at the offset; or
    /// [`Ask::NoBytes`]. These two requests are answered by nothing. The controller remembers nothing between two
    /// of them. The helper asks once, and when the file goes on it keeps [`CHUNKS_ON_THE_WAY`] of them on the way;
    /// some of them may lie behind the end. After a lost connection it asks on from what it has; where the digest
    /// of the whole is wrong in the end, once more from the beginning. An offset need not be a multiple of
    /// [`CHUNK`].
    Want {
        /// The digest of the whole file.
        digest: Digest,
        /// The first byte.
        offset: u64,
    },
    /// A step has ended.
    Applied(StepId, Result<Outcome, Failure>),
    /// A command has ended.
    Exit {
        /// Its exit status; nothing when it was killed.
        status: Option<i32>,
        /// What it printed.
        stdout: String,
        /// What it complained about.
        stderr: String,
    },
    /// Who holds the lock; to [`Ask::Lock`], who holds it instead.
    Held(Option<Holder>),
    /// The record of a run.
    Record(Option<String>),
    /// The journal of a run.
    Journal(Vec<JournalEntry>),
    /// What could be reached: milliseconds, or why not.
    Reached(BTreeMap<String, Result<u64, String>>),
    /// What became of ports to listen at.
    Listening(BTreeMap<u16, PortState>),
    /// The largest packets, by address.
    Packets(BTreeMap<IpAddr, PacketSize>),
    /// Addresses of names, ordered; or why there are none.
    Resolved(BTreeMap<String, Result<Vec<IpAddr>, String>>),
    /// Milliseconds since 1970, by the host's clock.
    Clock(u64),
    /// Times of synced writes in microseconds, ordered.
    Synced(Vec<u64>),
    /// Until when certificates are valid, by file; or why that cannot be told.
    CertificateEnds(BTreeMap<String, Result<CertificateEnd, String>>),
    /// How an API server is.
    ApiServer(ApiServerStatus),
    /// What an API server knows.
    Kubernetes(Box<KubernetesStatus>),
    /// Nothing happens, but the helper lives.
    Heartbeat {
        /// The step under way.
        doing: Option<StepId>,
    },
    /// What was asked cannot be done.
    Failed(Failure),
}

impl Answer {
    /// Whether it is the last one to its request.
    pub fn ends_request(&self) -> bool {
        !matches!(self, Self::Started(_) | Self::Want { .. } | Self::Heartbeat { .. })
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// The step.
    pub step: StepId,
    /// Milliseconds since 1970, by the host's clock.
    pub at_ms: u64,
    /// What happened; nothing when the step was begun.
    pub ended: Option<Result<Outcome, Failure>>,
}

/// Why a frame could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone.
    #[error("the connection ended")]
    End,
    /// Reading failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
    /// What came is no frame of ours.
    #[error("what came is no message: {0}")]
    Garbage(String),
}

/// Writes a frame.
pub fn write_frame<T: Serialize>(out: &mut impl Write, message: &T) -> io::Result<()> {
    let bytes = encode(message)?;
    out.write_all(&bytes)?;
    out.flush()
}

/// A frame as bytes.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(|_| io::Error::other("message is too long"))?;
    if let Some(head) = bytes.first_chunk_mut::<4>() {
        *head = length.to_be_bytes();
    }
    Ok(bytes)
}

/// Reads a frame.
pub fn read_frame<T: DeserializeOwned>(input: &mut impl Read) -> Result<T, FrameError> {
    let mut head = [0; 4];
    match input.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(FrameError::End),
        Err(error) => return Err(error.into()),
    }
    let length = u32::from_be_bytes(head) as usize;
    if length > LONGEST_FRAME {
        return Err(FrameError::Garbage(format!("a frame of {length} bytes")));
    }
    let mut bytes = Vec::new();
    let read = input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
    if read < length {
        return Err(FrameError::End);
    }
    serde_json::from_slice(&bytes).map_err(|error| FrameError::Garbage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back() {
        let request = Request { id: 7, body: Ask::Read { path: "/etc/hosts".into(), limit: 10 } };
        let bytes = encode(&request).unwrap();
        assert_eq!(read_frame::<Request>(&mut bytes.as_slice()).unwrap(), request);
        let cut = &bytes[..bytes.len() - 1];
        assert!(matches!(read_frame::<Request>(&mut &*cut), Err(FrameError::End)));
        let long = [255, 255, 255, 255, 0];
        assert!(matches!(read_frame::<Request>(&mut long.as_slice()), Err(FrameError::Garbage(_))));
    }

    #[test]
    fn answers_with_keys_that_are_no_texts_come_back() {
        let address: IpAddr = "fd00::1".parse().unwrap();
        let used = PortState::Used { address, by: None };
        for body in [
            Answer::Listening([(22, used), (6443, PortState::Listening)].into()),
            Answer::Packets([(address, PacketSize::Bytes(1450))].into()),
            Answer::Resolved(
                [("a".to_owned(), Ok(vec![address])), ("b".to_owned(), Err("no".into()))].into(),
            ),
            Answer::Want { digest: Digest::of(b""), offset: u64::MAX },
        ] {
            assert_eq!(body.ends_request(), !matches!(body, Answer::Want { .. }));
            let reply = Reply { id: 1, body };
            let bytes = encode(&reply).unwrap();
            assert_eq!(read_frame::<Reply>(&mut bytes.as_slice()).unwrap(), reply);
        }
    }

    #[test]
    fn the_first_line_is_found_behind_noise() {
        let hello = Hello { protocol: 1, build: "b".into(), hostname: "h".into(), boot_id: "i".into() };
        assert_eq!(Hello::parse(&format!("\u{1b}[0mwelcome {}\r\n", hello.line())), Some(hello));
        assert_eq!(Hello::parse("KUBESPRAY-NODE {"), None);
        assert_eq!(Hello::parse("Last login: today"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn noise_is_no_frame_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_frame::<Reply>(&mut bytes.as_slice());
        }
    }
}
