//! Folders, links, and what must not be there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::shown;
use crate::{Comparison, Mode, Owner};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// A file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link, whether it leads anywhere or not.
    Link,
    /// A socket, a device, a pipe.
    Other,
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Other => "special file",
        })
    }
}

/// A folder. Missing parents are made, with mode 0755 and owner root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Who may do what.
    pub mode: Mode,
    /// Who owns it.
    pub owner: Owner,
}

/// What is at the path of a folder. A link that leads to a folder counts as that folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryState {
    /// What it is; a file there is an error, not replaced.
    pub kind: PathKind,
    /// Its mode.
    pub mode: Mode,
    /// Its owner.
    pub owner: Owner,
}

impl Directory {
    /// How the folder differs; `None` is a missing one.
    pub fn compare(&self, state: Option<&DirectoryState>) -> Comparison {
        let mut out = Comparison::default();
        match state {
            None => out.add("directory", None, Some(format!("{} {}", self.mode, self.owner))),
            Some(state) => {
                out.field("kind", &state.kind, &PathKind::Directory);
                out.field("mode", &state.mode, &self.mode);
                out.field("owner", &state.owner, &self.owner);
            }
        }
        out
    }
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Absolute path of the link.
    pub path: String,
    /// What it leads to, as it is written.
    pub target: String,
}

/// What is at the path of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// What it is; a file is replaced, a folder is an error.
    pub kind: PathKind,
    /// Where it leads, if it is a link.
    pub target: Option<String>,
}

impl Link {
    /// How the link differs; `None` is a missing one.
    pub fn compare(&self, state: Option<&LinkState>) -> Comparison {
        let mut out = Comparison::default();
        match state {
            None => out.add("link", None, Some(self.target.clone())),
            Some(state) => {
                out.field("kind", &state.kind, &PathKind::Link);
                if state.kind == PathKind::Link && state.target.as_ref() != Some(&self.target) {
                    out.add("target", shown(state.target.as_ref()), Some(self.target.clone()));
                }
            }
        }
        out
    }
}

/// A path that must not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Absolute path.
    pub path: String,
    /// Whether a folder goes with all that is in it; otherwise only an empty one goes. Nothing below another
    /// file system is ever removed.
    #[serde(default)]
    pub recursive: bool,
}

/// What is there instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentState {
    /// What it is; nothing when it is gone.
    pub kind: Option<PathKind>,
}

impl Absent {
    /// Whether anything is there.
    pub fn compare(&self, state: &AbsentState) -> Comparison {
        let mut out = Comparison::default();
        if let Some(kind) = &state.kind {
            out.add("path", Some(kind.to_string()), None);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_elsewhere_and_files_in_the_way_differ() {
        let link = Link { path: "/a".into(), target: "/b".into() };
        let state = |kind, target: Option<&str>| LinkState { kind, target: target.map(str::to_owned) };
        assert!(link.compare(Some(&state(PathKind::Link, Some("/b")))).is_same());
        assert_eq!(link.compare(Some(&state(PathKind::Link, Some("/c")))).changes[0].what, "target");
        assert_eq!(link.compare(Some(&state(PathKind::File, None))).changes[0].what, "kind");
        assert_eq!(link.compare(None).changes[0].what, "link");
    }

    #[test]
    fn absent_means_nothing_at_all() {
        let absent = Absent { path: "/a".into(), recursive: false };
        assert!(absent.compare(&AbsentState { kind: None }).is_same());
        assert!(!absent.compare(&AbsentState { kind: Some(PathKind::Link) }).is_same());
    }
}
