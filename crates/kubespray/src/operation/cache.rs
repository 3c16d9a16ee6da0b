//! Files that hosts get from this machine: fetched once, checked, kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use kubespray_controller::Files;
use kubespray_diagnostics::Diagnostic;
use kubespray_node::{Host as _, LinuxHost};
use kubespray_resource::{Digest, Download, Mode, Owner, Plan, Resource};

use crate::failure::{FOUND_ERRORS, Failure};
use crate::printer::Printer;

/// So many downloads at once: more do not make a line faster.
const AT_ONCE: usize = 4;

/// The cache of this user: `$XDG_CACHE_HOME/kubespray`, else `~/.cache/kubespray`.
pub(crate) fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("kubespray")
}

/// Fetches what hosts will ask for, and gives the files.
pub(crate) fn fill(plan: &Plan, printer: &mut Printer) -> Result<Files, Failure> {
    let folder = folder().join("files");
    let files = Files::new(&folder);
    let mut wanted: BTreeMap<&Digest, &Download> = BTreeMap::new();
    for planned in plan.changes() {
        if let Resource::Download(download) = &planned.step.resource
            && download.from_controller
        {
            wanted.insert(&download.digest, download);
        }
    }
    if wanted.is_empty() {
        return Ok(files);
    }
    if !printer.is_json() {
        printer.line(format!("fetching {} for hosts", kubespray_interface::plural(wanted.len(), "file")));
    }
    std::fs::create_dir_all(&folder).map_err(|error| {
        Diagnostic::error("cache", format!("cannot make `{}`: {error}", folder.display()))
    })?;
    let queue = Mutex::new(wanted.into_values());
    let problems: Mutex<Vec<Diagnostic>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || queue.lock().ok().and_then(|mut queue| queue.next());
                while let Some(download) = next() {
                    let Err(problem) = fetch(&files, download) else { continue };
                    if let Ok(mut problems) = problems.lock() {
                        problems.push(*problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap_or_default();
    if problems.is_empty() { Ok(files) } else { Err(Failure { diagnostics: problems, code: FOUND_ERRORS }) }
}

/// As helpers fetch, into the cache.
fn fetch(files: &Files, download: &Download) -> Result<(), Box<Diagnostic>> {
    fetch_to(&files.path(&download.digest), Mode::PRIVATE, download).map(drop)
}

/// Fetches a program for this machine's user to a place of its own; `false` where it is there.
pub(crate) fn copy(download: &Download, path: &Path) -> Result<bool, Failure> {
    fetch_to(path, Mode::EXECUTABLE, download).map_err(|problem| (*problem).into())
}

fn fetch_to(path: &Path, mode: Mode, download: &Download) -> Result<bool, Box<Diagnostic>> {
    let host = LinuxHost::new();
    let there = host.digest(&path.display().to_string()).ok().flatten();
    if there.as_ref() == Some(&download.digest) {
        return Ok(false);
    }
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let own = Download {
        path: path.display().to_string(),
        from_controller: false,
        mode,
        owner: Owner { user: user.as_raw().to_string(), group: group.as_raw().to_string() },
        ..download.clone()
    };
    let name = download.urls.first().map_or("a file", String::as_str);
    kubespray_node::fetch(&host, &own).map(|()| true).map_err(|failure| {
        let problem =
            Diagnostic::error("fetch", format!("`{name}` could not be fetched: {}", failure.message));
        let problem = failure.evidence.iter().fold(problem, |p, line| p.because(line.clone()));
        Box::new(failure.hints.iter().fold(problem, |p, hint| p.hint(hint.clone())))
    })
}
