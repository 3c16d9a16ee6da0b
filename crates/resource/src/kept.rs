//! What a run replaces on a host and may have to put back: copies in a folder of the run below [`KEPT`], and one JSON
//! line for each in [`KEPT_INDEX`].

use serde::{Deserialize, Serialize};

use crate::{Digest, Mode, Owner, Raise, RunId, StepId, Token};

/// The folder on each host. Only root reads it.
pub const KEPT: &str = "/var/lib/kubespray/kept";

/// What is in it, in the order in which it was kept.
pub const KEPT_INDEX: &str = "/var/lib/kubespray/kept/index.jsonl";

/// Which part of a host goes back as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptPart {
    /// Its node: container engine, kubelet, local proxy, network programs.
    Node,
    /// Its API server, and what runs beside it.
    ApiServer,
}

/// What a step replaces, and is kept before it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Files and links, absolute. They need not be there.
    pub paths: Vec<String>,
    /// What they belong to.
    pub part: KeptPart,
    /// Which part of Kubernetes is of which version when they are back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Raise>,
}

/// What was at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptAs {
    /// Nothing.
    Nothing,
    /// A link.
    Link {
        /// Where it led.
        target: String,
    },
    /// A file.
    File {
        /// Its copy, with its mode and owner.
        copy: String,
        /// The digest of both.
        digest: Digest,
        /// Its mode.
        mode: Mode,
        /// Its owner.
        owner: Owner,
    },
}

/// A path as a run found it. The first word of a run on a path counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The run.
    pub run: RunId,
    /// The step that replaced it.
    pub step: StepId,
    /// The path.
    pub path: String,
    /// What was there.
    pub was: KeptAs,
    /// What it belongs to.
    pub part: KeptPart,
    /// Which part of Kubernetes is of which version when it is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Raise>,
    /// What the step notified: it must happen again when the path is put back.
    #[serde(default)]
    pub notifies: Vec<Token>,
}

/// A line of [`KEPT_INDEX`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptLine {
    /// What a path was.
    Was(Kept),
    /// How a file was left where nothing was before.
    Left {
        /// The run.
        run: RunId,
        /// The path.
        path: String,
        /// The digest of the file.
        digest: Digest,
    },
}

impl KeptLine {
    /// The lines of [`KEPT_INDEX`]; torn ones are passed over.
    pub fn read(text: &str) -> Vec<Self> {
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        match self {
            Self::Was(kept) => &kept.run,
            Self::Left { run, .. } => run,
        }
    }
}
