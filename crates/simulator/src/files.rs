//! Files that forget at a power loss what was not synced.

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
}

impl Files {
    pub(crate) fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    pub(crate) fn put(&mut self, path: &str, entry: Option<Entry>) {
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
        if let Some(Entry { node: Node::File(old), .. }) = self.entries.get_mut(path) {
            Rc::make_mut(old).extend_from_slice(bytes);
        }
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
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let all = self.entries.range(prefix.clone()..).map(|(path, _)| path);
        all.take_while(|path| path.starts_with(&prefix)).cloned().collect()
    }
}
