//! Users and groups of a host.

use serde::{Deserialize, Serialize};

use crate::Comparison;

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its number, where it matters.
    pub gid: Option<u32>,
    /// Whether a new one gets a number of those for services.
    #[serde(default)]
    pub system: bool,
}

/// A group that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    /// Its number.
    pub gid: u32,
}

impl Group {
    /// How the group differs; `None` is a missing one.
    pub fn compare(&self, state: Option<&GroupState>) -> Comparison {
        let mut out = Comparison::default();
        match (state, self.gid) {
            (None, _) => out.add("group", None, Some(self.name.clone())),
            (Some(state), Some(gid)) => out.field("gid", &state.gid, &gid),
            _ => {}
        }
        out
    }
}

/// A user. What is `None` is the system's choice for a new one and left alone for an old one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: Option<u32>,
    /// The primary group, which must exist.
    pub group: Option<String>,
    /// Other groups it must be in; it may be in more.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The home folder as the user database has it.
    pub home: Option<String>,
    /// Whether the home folder of a new one is made.
    #[serde(default)]
    pub create_home: bool,
    /// The shell.
    pub shell: Option<String>,
    /// The comment.
    pub comment: Option<String>,
    /// Whether a new one gets a number of those for services.
    #[serde(default)]
    pub system: bool,
}

/// A user that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserState {
    /// The number.
    pub uid: u32,
    /// The primary group.
    pub group: String,
    /// Other groups.
    pub groups: Vec<String>,
    /// The home folder.
    pub home: String,
    /// The shell.
    pub shell: String,
    /// The comment.
    pub comment: String,
}

impl User {
    /// How the user differs; `None` is a missing one.
    pub fn compare(&self, state: Option<&UserState>) -> Comparison {
        let mut out = Comparison::default();
        let Some(state) = state else {
            out.add("user", None, Some(self.name.clone()));
            return out;
        };
        if let Some(uid) = self.uid {
            out.field("uid", &state.uid, &uid);
        }
        for (what, is, should) in [
            ("group", &state.group, &self.group),
            ("home", &state.home, &self.home),
            ("shell", &state.shell, &self.shell),
            ("comment", &state.comment, &self.comment),
        ] {
            if let Some(should) = should {
                out.field(what, is, should);
            }
        }
        for group in self.groups.iter().filter(|group| !state.groups.contains(group)) {
            out.add("member of", None, Some(group.clone()));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wished_counts() {
        let wish = User {
            name: "etcd".into(),
            uid: None,
            group: None,
            groups: vec!["tls".into()],
            home: None,
            create_home: false,
            shell: Some("/sbin/nologin".into()),
            comment: None,
            system: true,
        };
        let state = UserState {
            uid: 999,
            group: "etcd".into(),
            groups: vec!["tls".into(), "more".into()],
            home: "/home/etcd".into(),
            shell: "/sbin/nologin".into(),
            comment: "anything".into(),
        };
        assert!(wish.compare(Some(&state)).is_same());
        assert_eq!(wish.compare(None).changes[0].what, "user");
        let other = UserState { shell: "/bin/sh".into(), groups: Vec::new(), ..state };
        assert_eq!(wish.compare(Some(&other)).changes.len(), 2);
    }
}
