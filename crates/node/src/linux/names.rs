//! Users and groups by name, from the files alone: a static binary must not load the host's name services.

use std::path::Path;

/// Names and numbers of users and groups.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: Vec<(String, u32)>,
    groups: Vec<(String, u32)>,
}

impl Names {
    /// Reads `etc/passwd` and `etc/group` below a root. What cannot be read has no names.
    pub(super) fn read(root: &Path) -> Self {
        let pairs = |file: &str| {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            text.lines()
                .filter_map(|line| {
                    let mut fields = line.split(':');
                    let name = fields.next()?;
                    let number = fields.nth(1)?.parse().ok()?;
                    Some((name.to_owned(), number))
                })
                .collect()
        };
        Self { users: pairs("etc/passwd"), groups: pairs("etc/group") }
    }

    /// The name of a user, or its number as text.
    pub(super) fn user(&self, uid: u32) -> String {
        name_of(&self.users, uid)
    }

    /// The name of a group, or its number as text.
    pub(super) fn group(&self, gid: u32) -> String {
        name_of(&self.groups, gid)
    }

    /// The number of a user given by name or number.
    pub(super) fn uid(&self, user: &str) -> Option<u32> {
        number_of(&self.users, user)
    }

    /// The number of a group given by name or number.
    pub(super) fn gid(&self, group: &str) -> Option<u32> {
        number_of(&self.groups, group)
    }
}

fn name_of(pairs: &[(String, u32)], wanted: u32) -> String {
    pairs
        .iter()
        .find(|(_, number)| *number == wanted)
        .map_or_else(|| wanted.to_string(), |(name, _)| name.clone())
}

fn number_of(pairs: &[(String, u32)], wanted: &str) -> Option<u32> {
    pairs.iter().find(|(name, _)| name == wanted).map(|(_, number)| *number).or_else(|| wanted.parse().ok())
}
