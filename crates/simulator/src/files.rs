//! Files that forget at a power loss what was not synced.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use kubespray_resource::{Mode, Owner, PathKind};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File(Rc<Vec<u8>>),
    Directory,
    Link(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    pub(crate) mode: Mode,
    pub(crate) owner: Owner,
    pub(crate) modified_ns: i128,
    /// The number of the effect that made its content.
    pub(crate) changed_at: u64,
}

impl Entry {
    pub(crate) fn kind(&self) -> PathKind {
        match self.node {
            Node::File(_) => PathKind::File,
            Node::Directory => PathKind::Directory,
            Node::Link(_) => PathKind::Link,
        }
    }
}

/// A tree of files. As with the journals of ext4 and XFS, a sync makes all changes of folders before it durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    entries: BTreeMap<String, Entry>,
    /// What was at paths at the last sync, where that differs.
    unsynced: BTreeMap<String, Option<Entry>>,
    /// How many links were ever made.
    links: usize,
}

/// A path that leads through more links leads nowhere.
const MOST_LINKS: usize = 16;

impl Files {
    /// What is at a path: links of folders on the way are followed, one at the path itself is not.
    pub(crate) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(self.place(path, false).as_ref())
    }

    /// What is at a path, all links followed.
    pub(crate) fn follow(&self, path: &str) -> Option<&Entry> {
        self.entries.get(self.place(path, true).as_ref())
    }

    /// Where a path really is.
    fn place<'p>(&self, path: &'p str, is_last_followed: bool) -> Cow<'p, str> {
        if self.links == 0 {
            return path.into();
        }
        let mut at = Cow::Borrowed(path);
        for _ in 0..MOST_LINKS {
            let ends = at.match_indices('/').map(|(end, _)| end).skip(1);
            let ends = ends.chain(is_last_followed.then_some(at.len()));
            let link = ends.into_iter().find_map(|end| {
                let (link, rest) = at.split_at(end);
                match &self.entries.get(link)?.node {
                    Node::Link(target) => Some((link.to_owned(), target, rest.to_owned())),
                    _ => None,
                }
            });
            let Some((link, target, rest)) = link else { break };
            let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
            at = if target.starts_with('/') {
                format!("{target}{rest}").into()
            } else {
                format!("{folder}/{target}{rest}").into()
            };
        }
        at
    }

    pub(crate) fn put(&mut self, path: &str, entry: Option<Entry>) {
        let path = &*self.place(path, false);
        self.links += usize::from(entry.as_ref().is_some_and(|entry| matches!(entry.node, Node::Link(_))));
        let before = match entry {
            Some(entry) => self.entries.insert(path.to_owned(), entry),
            None => self.entries.remove(path),
        };
        if !self.unsynced.contains_key(path) {
            self.unsynced.insert(path.to_owned(), before);
        }
    }

    /// Changes what is at a path; `false` where nothing is.
    pub(crate) fn edit(&mut self, path: &str, edit: impl FnOnce(&mut Entry)) -> bool {
        let path = &*self.place(path, false);
        let Some(entry) = self.entries.get_mut(path) else { return false };
        if !self.unsynced.contains_key(path) {
            self.unsynced.insert(path.to_owned(), Some(entry.clone()));
        }
        edit(entry);
        true
    }

    /// Adds to a file, synced.
    pub(crate) fn append(&mut self, path: &str, bytes: &[u8]) {
        self.sync();
        let path = self.place(path, false).into_owned();
        if let Some(Entry { node: Node::File(old), .. }) = self.entries.get_mut(&path) {
            Rc::make_mut(old).extend_from_slice(bytes);
        }
    }

    /// Adds to a file that is there, not synced.
    pub(crate) fn note(&mut self, path: &str, bytes: &[u8]) -> bool {
        self.edit(path, |entry| {
            if let Node::File(old) = &mut entry.node {
                Rc::make_mut(old).extend_from_slice(bytes);
            }
        })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    pub(crate) fn sync(&mut self) {
        self.unsynced.clear();
    }

    /// Power is lost.
    pub(crate) fn forget(&mut self) {
        for (path, entry) in std::mem::take(&mut self.unsynced) {
            match entry {
                Some(entry) => self.entries.insert(path, entry),
                None => self.entries.remove(&path),
            };
        }
    }

    /// Paths below a folder.
    pub(crate) fn below(&self, folder: &str) -> Vec<String> {
        let asked = folder.trim_end_matches('/');
        let folder = self.place(asked, true);
        let prefix = format!("{folder}/");
        let all = self.entries.range(prefix.clone()..).map(|(path, _)| path);
        let found = all.take_while(|path| path.starts_with(&prefix));
        found.filter_map(|path| Some(format!("{asked}/{}", path.strip_prefix(&prefix)?))).collect()
    }
}
