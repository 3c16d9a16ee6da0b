//! What a host had before it was changed for a cluster, as its helper keeps it: one JSON line each in [`BEFORE`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Directory, Gone, Group, Hostname, Mode, Mount, Owner, PackageManager, PackageWish, Packages, PutBack,
    Resource, Running, Selinux, State, Swap, Sysctl, Unit, User,
};

/// The file on each host. Only root reads it.
pub const BEFORE: &str = "/var/lib/kubespray/before.jsonl";

/// One thing that a host had before. The first word on anything counts, and of texts the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// What puts it back.
    Wish(Box<Resource>),
    /// A text that was to be changed in part; nothing where there was no file.
    Text {
        /// Absolute path.
        path: String,
        /// The text.
        text: Option<String>,
        /// Its mode.
        mode: Mode,
        /// Its owner.
        owner: Owner,
    },
    /// That text as it was left; nothing where no file was left.
    Left {
        /// Absolute path.
        path: String,
        /// The text.
        text: Option<String>,
    },
    /// All packages that were installed before some were.
    Packages {
        /// Who installed them.
        manager: PackageManager,
        /// Names of all.
        installed: Vec<String>,
        /// Names of those that were to come.
        wanted: Vec<String>,
    },
    /// All packages that were installed after it.
    Installed {
        /// Names of all.
        installed: Vec<String>,
    },
    /// What could not be kept, and why.
    Lost {
        /// What it is.
        what: String,
        /// Why.
        why: String,
    },
}

/// What puts a host back, and what of it cannot be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PuttingBack {
    /// In the order in which it is to be done: the last change first.
    pub wishes: Vec<Resource>,
    /// What could not be kept, and why.
    pub lost: Vec<String>,
}

impl Before {
    /// The lines of [`BEFORE`]; torn ones are passed over.
    pub fn read(text: &str) -> Vec<Self> {
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What puts something back.
    pub fn wish(resource: impl Into<Resource>) -> Self {
        Self::Wish(Box::new(resource.into()))
    }

    /// What it is the first word on; nothing where later words count, too.
    pub fn subject(&self) -> Option<String> {
        Some(match self {
            Self::Wish(wish) => match (wish.replaces(), &**wish) {
                (Some(path), _) => format!("path {path}"),
                (
                    _,
                    Resource::Directory(Directory { path, .. }) | Resource::Gone(Gone::Folder { path, .. }),
                ) => {
                    format!("folder {path}")
                }
                (_, Resource::User(User { name, .. }) | Resource::Gone(Gone::User(name))) => {
                    format!("user {name}")
                }
                (_, Resource::Hostname(_) | Resource::Selinux(_)) => wish.kind().to_owned(),
                _ => wish.title(),
            },
            Self::Lost { what, .. } => what.clone(),
            Self::Text { .. } | Self::Left { .. } | Self::Packages { .. } | Self::Installed { .. } => {
                return None;
            }
        })
    }

    /// What puts back a text: what the last words on it say. Nothing where there is none.
    pub fn text_of(all: &[Self], of: &str) -> Option<PutBack> {
        let at = all.iter().rposition(|before| matches!(before, Self::Text { path, .. } if path == of))?;
        let Some(Self::Text { path, text, mode, owner }) = all.get(at) else { return None };
        let left = all.iter().skip(at).rev().find_map(|later| match later {
            Self::Left { path, text } if path == of => Some(text.clone().unwrap_or_default()),
            _ => None,
        });
        let (path, before, owner) = (path.clone(), text.clone(), owner.clone());
        Some(PutBack::Text { path, before, left, mode: *mode, owner })
    }

    /// What puts a host back.
    pub fn put_back(all: &[Self]) -> PuttingBack {
        let mut out = PuttingBack::default();
        let mut known = BTreeSet::new();
        for (at, before) in all.iter().enumerate() {
            if before.subject().is_some_and(|subject| !known.insert(subject)) {
                continue;
            }
            let later = all.iter().skip(at + 1);
            match before {
                Self::Wish(wish) => out.wishes.push((**wish).clone()),
                Self::Lost { what, why } => out.lost.push(format!("{what}: {why}")),
                Self::Text { path, .. } => {
                    if known.insert(format!("text {path}")) {
                        out.wishes.extend(Self::text_of(all, path).map(Resource::from));
                    }
                }
                Self::Packages { manager, installed, wanted } => {
                    let after = later
                        .take_while(|later| !matches!(later, Self::Packages { .. }))
                        .find_map(|later| match later {
                            Self::Installed { installed } => Some(installed),
                            _ => None,
                        })
                        .unwrap_or(wanted);
                    let new: Vec<String> =
                        after.iter().filter(|name| !installed.contains(name)).cloned().collect();
                    if !new.is_empty() {
                        out.wishes.push(Gone::Packages { manager: *manager, names: new }.into());
                    }
                    // Without a word on what came after, nothing says what went.
                    let gone = installed.iter().filter(|name| after != wanted && !after.contains(name));
                    let wishes: std::collections::BTreeMap<_, _> =
                        gone.map(|name| (name.clone(), PackageWish::Installed)).collect();
                    if !wishes.is_empty() {
                        let held = Vec::new();
                        out.wishes
                            .push(Packages { manager: *manager, wishes, held, lock_timeout_s: 300 }.into());
                    }
                }
                Self::Left { .. } | Self::Installed { .. } => {}
            }
        }
        out.wishes.reverse();
        out
    }
}

impl Resource {
    /// The files of others that applying it changes in part.
    pub fn parts_of(&self) -> Vec<&str> {
        match self {
            Self::Block(wish) => vec![&wish.path],
            Self::Line(wish) => vec![&wish.path],
            Self::Sysctl(wish) => vec![&wish.file],
            Self::Swap(_) | Self::Mount(Mount { kept: true, .. }) => vec!["/etc/fstab"],
            _ => Vec::new(),
        }
    }

    /// The file or link that applying it replaces as a whole.
    pub fn replaces(&self) -> Option<&str> {
        match self {
            Self::File(wish) => Some(&wish.path),
            Self::Link(wish) => Some(&wish.path),
            Self::Absent(wish) => Some(&wish.path),
            Self::Module(wish) => wish.file.as_deref(),
            _ => None,
        }
    }

    /// What puts back the state that was there, where the state itself tells it. What files held is not in states.
    pub fn back_to(&self, state: &State) -> Vec<Self> {
        match (self, state) {
            (Self::Directory(wish), State::Directory(None)) => {
                vec![Gone::Folder { path: wish.path.clone(), but: Vec::new() }.into()]
            }
            (Self::Directory(wish), State::Directory(Some(was))) => {
                vec![Directory { path: wish.path.clone(), mode: was.mode, owner: was.owner.clone() }.into()]
            }
            (Self::Group(Group { name, .. }), State::Group(None)) => vec![Gone::Group(name.clone()).into()],
            (Self::User(User { name, .. }), State::User(None)) => vec![Gone::User(name.clone()).into()],
            (Self::User(wish), State::User(Some(was))) => vec![
                User {
                    uid: Some(was.uid),
                    group: Some(was.group.clone()),
                    groups: was.groups.clone(),
                    home: Some(was.home.clone()),
                    shell: Some(was.shell.clone()),
                    comment: Some(was.comment.clone()),
                    ..wish.clone()
                }
                .into(),
            ],
            (Self::Hostname(_), State::Hostname(was)) => {
                let name = was.kept.as_ref().filter(|name| !name.is_empty()).unwrap_or(&was.live);
                vec![Hostname { name: name.clone() }.into()]
            }
            (Self::Selinux(_), State::Selinux(was)) => {
                was.kept.or(was.live).map(|mode| Selinux { mode }.into()).into_iter().collect()
            }
            (Self::Swap(Swap {}), State::Swap(was)) => {
                let (active, units) = (was.active.clone(), was.units.clone());
                vec![PutBack::Swap { active, units }.into()]
            }
            (Self::Sysctl(Sysctl { key, .. }), State::Sysctl(was)) => {
                let put_back =
                    was.live.clone().map(|value| PutBack::Sysctl { key: key.clone(), value }.into());
                put_back.into_iter().collect()
            }
            (Self::Unit(wish), State::Unit(was)) if was.load != "not-found" => {
                let is_masked = was.load == "masked" || was.file.starts_with("masked");
                let is_active = ["active", "reloading", "refreshing"].contains(&was.active.as_str());
                let running = if is_active { Running::Started } else { Running::Stopped };
                vec![
                    Unit {
                        name: wish.name.clone(),
                        enabled: (!is_masked).then(|| was.file.starts_with("enabled")),
                        running: Some(running),
                        masked: Some(is_masked),
                        may_be_missing: true,
                    }
                    .into(),
                ]
            }
            _ => Vec::new(),
        }
    }
}
