//! Keeping what a host had before it was changed for a cluster. It is written before the effect, so that a crash loses
//! none of it.

use std::collections::BTreeSet;

use kubespray_resource::{
    Absent, BEFORE, Before, Content, Failure, File, Link, Mode, Owner, PackageWish, PathKind, PutBack,
    Resource, State,
};

use crate::Host;
use crate::kinds::{follow, packages, text_of};
use crate::paths::{self, BASE};

/// Larger texts are nothing that people wrote.
const LARGEST_TEXT: u64 = 256 * 1024;
/// Who may be neither owner nor of the group, and reads: a file that such may not read may hold a secret.
const READ_BY_ALL: u32 = 0o004;

/// What is known of the file, so that it is read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    all: Option<Vec<Before>>,
}

impl Memory {
    /// Keeps what a resource is about to change, as far as it is the first time.
    pub(crate) fn keep(
        &mut self,
        host: &dyn Host,
        resource: &Resource,
        state: &State,
    ) -> Result<(), Failure> {
        let all = self.all(host)?;
        let known: BTreeSet<String> = all.iter().filter_map(Before::subject).collect();
        let mut new: Vec<Before> = Vec::new();
        if let Some(path) = resource.replaces().filter(|path| !known.contains(&format!("path {path}"))) {
            new.extend(what_is_at(host, path)?);
        }
        for path in resource.parts_of() {
            new.extend(part_before(host, all, &follow(host, path)?)?);
        }
        if let Resource::Packages(wish) = resource {
            let installed = packages::all(host, wish.manager)?;
            if matches!(last_of_packages(all), Some(Before::Packages { .. })) {
                // A crash came in between.
                new.push(Before::Installed { installed: installed.clone() });
            }
            let wanted = wish.wishes.iter().filter(|(_, wish)| **wish != PackageWish::Absent);
            let wanted = wanted.map(|(name, _)| name.clone()).collect();
            new.push(Before::Packages { manager: wish.manager, installed, wanted });
        }
        if let Resource::Directory(wish) = resource {
            for folder in missing_above(host, &wish.path)? {
                new.push(Before::wish(kubespray_resource::Gone::Folder { path: folder, but: Vec::new() }));
            }
        }
        new.extend(resource.back_to(state).into_iter().map(Before::wish));
        new.retain(|before| before.subject().is_none_or(|subject| !known.contains(&subject)));
        self.write(host, new)
    }

    /// Keeps how it was left.
    pub(crate) fn keep_left(&mut self, host: &dyn Host, resource: &Resource) -> Result<(), Failure> {
        let mut new = Vec::new();
        for path in resource.parts_of() {
            let path = follow(host, path)?;
            let text = text_of(host, &path)?;
            new.push(Before::Left { path, text });
        }
        if let Resource::Packages(wish) = resource {
            new.push(Before::Installed { installed: packages::all(host, wish.manager)? });
        }
        self.write(host, new)
    }

    fn all(&mut self, host: &dyn Host) -> Result<&Vec<Before>, Failure> {
        if self.all.is_none() {
            let text = text_of(host, BEFORE)?.unwrap_or_default();
            if !text.is_empty() && !text.ends_with('\n') {
                // A line that a crash tore spoils no later one.
                host.append(BEFORE, b"\n")?;
            }
            self.all = Some(Before::read(&text));
        }
        Ok(self.all.get_or_insert_default())
    }

    fn write(&mut self, host: &dyn Host, new: Vec<Before>) -> Result<(), Failure> {
        if new.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for before in &new {
            lines += &serde_json::to_string(before).map_err(|error| Failure::of_host(error.to_string()))?;
            lines.push('\n');
        }
        paths::ensure(host, BASE)?;
        host.append(BEFORE, lines.as_bytes())?;
        self.all(host)?;
        self.all.get_or_insert_default().extend(new);
        Ok(())
    }
}

fn last_of_packages(all: &[Before]) -> Option<&Before> {
    all.iter().rev().find(|before| matches!(before, Before::Packages { .. } | Before::Installed { .. }))
}

/// What puts back a file or link that is replaced, or what keeps it from being kept.
fn what_is_at(host: &dyn Host, path: &str) -> Result<Option<Before>, Failure> {
    let lost = |why: &str| Some(Before::Lost { what: format!("path {path}"), why: why.to_owned() });
    let Some(is) = host.metadata(path)? else {
        return Ok(Some(Before::wish(Absent { path: path.to_owned(), recursive: false })));
    };
    Ok(match is.kind {
        PathKind::Link => host.read_link(path)?.map(|target| {
            let path = path.to_owned();
            Before::wish(Link { path, target })
        }),
        PathKind::File if is.mode.0 & READ_BY_ALL == 0 => lost("not all may read it, so it may be a secret"),
        PathKind::File if is.size > LARGEST_TEXT => lost("it is too large"),
        PathKind::File => match String::from_utf8(host.read(path)?.unwrap_or_default()) {
            Err(_) => lost("it is no text"),
            Ok(text) => {
                let content = Content::Text(text);
                let path = path.to_owned();
                let file = File { path, content, mode: is.mode, owner: is.owner, keep_content: false };
                Some(Before::wish(file))
            }
        },
        _ => None,
    })
}

/// A text before it is changed in part: the first time what is there, later what others made of what was there.
fn part_before(host: &dyn Host, all: &[Before], path: &str) -> Result<Option<Before>, Failure> {
    let what = format!("path {path}");
    let metadata = host.metadata(path)?;
    let (mode, owner) = match &metadata {
        Some(is) => (is.mode, is.owner.clone()),
        None => (Mode::PUBLIC, Owner::root()),
    };
    let lost = |why: &str| Some(Before::Lost { what: what.clone(), why: why.to_owned() });
    if let Some(is) = metadata {
        if is.mode.0 & READ_BY_ALL == 0 {
            return Ok(lost("not all may read it, so it may be a secret"));
        }
        if is.size > LARGEST_TEXT {
            return Ok(lost("it is too large"));
        }
    }
    let text = text_of(host, path)?;
    let known = Before::text_of(all, path);
    let text = match &known {
        None => text,
        Some(PutBack::Text { left, .. }) if left.as_deref() == Some(text.as_deref().unwrap_or_default()) => {
            return Ok(None);
        }
        // Cut off before it was told how it was left: the next word on that counts.
        Some(PutBack::Text { left: None, .. }) => return Ok(None),
        Some(known) => known.text(text.as_deref()),
    };
    Ok(Some(Before::Text { path: path.to_owned(), text, mode, owner }))
}

/// The folders above a path that are not there, the uppermost first: they are made with it.
fn missing_above(host: &dyn Host, path: &str) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    let mut at = paths::parent(path);
    while at != "/" && host.metadata(at)?.is_none() {
        out.push(at.to_owned());
        at = paths::parent(at);
    }
    out.reverse();
    Ok(out)
}
