//! Copies of what a run replaces, so that it can be put back. They are made before the effect and never leave the host.
//!
//! Always copies, no hard links: kubeadm and others write files in place, and what is replaced by a rename takes its
//! room either way.

use std::collections::BTreeSet;

use kubespray_resource::wire::Apply;
use kubespray_resource::{
    ErrorClass, Failure, KEPT, KEPT_INDEX, Keep, Kept, KeptAs, KeptLine, Mode, Owner, PathKind, RunId,
};

use crate::kinds::text_of;
use crate::{Host, HostError, paths};

/// How many runs have copies. An upgrade that stopped and was begun anew is two runs, and only the copies of both lead
/// back to where the first began.
const RUNS_KEPT: usize = 2;

/// What is known of the index, so that it is read once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeper {
    index: Option<Vec<KeptLine>>,
}

impl Keeper {
    /// Keeps what a step is about to replace, as far as it is the first time in its run.
    pub(crate) fn keep(&mut self, host: &dyn Host, step: &Apply, wish: &Keep) -> Result<(), Failure> {
        let known: BTreeSet<&str> = self
            .index(host)?
            .iter()
            .filter_map(|line| match line {
                KeptLine::Was(kept) if kept.run == step.run => Some(kept.path.as_str()),
                _ => None,
            })
            .collect();
        let new: Vec<String> =
            wish.paths.iter().filter(|path| !known.contains(path.as_str())).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        let first = known.len();
        let folder = self.folder(host, &step.run)?;
        let mut lines = Vec::new();
        for (number, path) in new.into_iter().enumerate() {
            let copy = format!("{folder}/{}", first + number);
            let was = copied(host, &path, copy).map_err(|error| unkept(&path, error))?;
            lines.extend(was.map(|was| {
                let (run, step, notifies) = (step.run.clone(), step.step.clone(), step.notifies.clone());
                KeptLine::Was(Kept {
                    run,
                    step,
                    path,
                    was,
                    part: wish.part,
                    back: wish.back.clone(),
                    notifies,
                })
            }));
        }
        self.write(host, lines)
    }

    /// Keeps how files were left where there were none.
    pub(crate) fn keep_left(&mut self, host: &dyn Host, run: &RunId, wish: &Keep) -> Result<(), Failure> {
        let index = self.index(host)?;
        let mut lines = Vec::new();
        for path in &wish.paths {
            let was_nothing = index.iter().any(|line| {
                matches!(line, KeptLine::Was(kept)
                    if kept.run == *run && kept.path == *path && kept.was == KeptAs::Nothing)
            });
            let is_file = host.metadata(path)?.is_some_and(|is| is.kind == PathKind::File);
            if was_nothing
                && is_file
                && let Some(digest) = host.digest(path)?
            {
                let line = KeptLine::Left { run: run.clone(), path: path.clone(), digest };
                lines.extend((!index.contains(&line)).then_some(line));
            }
        }
        self.write(host, lines)
    }

    fn index(&mut self, host: &dyn Host) -> Result<&Vec<KeptLine>, Failure> {
        if self.index.is_none() {
            let text = text_of(host, KEPT_INDEX)?.unwrap_or_default();
            if !text.is_empty() && !text.ends_with('\n') {
                // A line that a crash tore spoils no later one.
                host.append(KEPT_INDEX, b"\n")?;
            }
            self.index = Some(KeptLine::read(&text));
        }
        Ok(self.index.get_or_insert_default())
    }

    /// The folder of a run. Where it is new to the host, older runs make room: first in the index, so that it never
    /// names what is not there.
    fn folder(&mut self, host: &dyn Host, run: &RunId) -> Result<String, Failure> {
        let folder = paths::of_run(KEPT, run, "d")?;
        if self.index(host)?.iter().any(|line| line.run() == run) {
            return Ok(folder);
        }
        paths::ensure(host, KEPT)?;
        let index = self.index.get_or_insert_default();
        let mut runs: Vec<RunId> = Vec::new();
        for line in index.iter().rev() {
            if !runs.contains(line.run()) {
                runs.push(line.run().clone());
            }
        }
        runs.truncate(RUNS_KEPT - 1);
        index.retain(|line| runs.contains(line.run()));
        let text = text(index)?;
        host.write(KEPT_INDEX, text.as_bytes(), Mode::PRIVATE, &Owner::root())?;
        let mut stay = vec![KEPT_INDEX.to_owned()];
        for run in &runs {
            stay.push(paths::of_run(KEPT, run, "d")?);
        }
        for name in host.list(KEPT)? {
            let path = format!("{KEPT}/{name}");
            if !stay.contains(&path) {
                host.remove(&path, true)?;
            }
        }
        host.make_dir(&folder, Mode(0o700), &Owner::root())?;
        Ok(folder)
    }

    fn write(&mut self, host: &dyn Host, new: Vec<KeptLine>) -> Result<(), Failure> {
        if new.is_empty() {
            return Ok(());
        }
        host.append(KEPT_INDEX, text(&new)?.as_bytes())?;
        self.index(host)?;
        self.index.get_or_insert_default().extend(new);
        Ok(())
    }
}

fn text(lines: &[KeptLine]) -> Result<String, Failure> {
    let mut out = String::new();
    for line in lines {
        out += &serde_json::to_string(line).map_err(|error| Failure::of_host(error.to_string()))?;
        out.push('\n');
    }
    Ok(out)
}

/// Copies what is at a path; nothing for what is neither file nor link.
fn copied(host: &dyn Host, path: &str, copy: String) -> Result<Option<KeptAs>, HostError> {
    let Some(is) = host.metadata(path)? else { return Ok(Some(KeptAs::Nothing)) };
    match is.kind {
        PathKind::Link => Ok(host.read_link(path)?.map(|target| KeptAs::Link { target })),
        PathKind::File => {
            let Some(mut from) = host.open(path)? else { return Ok(Some(KeptAs::Nothing)) };
            host.write_from(&copy, &mut from, is.mode, &is.owner)?;
            let digest = host.digest(&copy)?;
            Ok(digest.map(|digest| KeptAs::File { copy, digest, mode: is.mode, owner: is.owner }))
        }
        _ => Ok(None),
    }
}

fn unkept(path: &str, error: HostError) -> Failure {
    let is_of_host = matches!(error, HostError::Refused { .. });
    let mut failure = Failure::from(error);
    if is_of_host && failure.class == ErrorClass::Host {
        failure.message = format!(
            "`{path}` cannot be kept before it is replaced, so nothing was changed: {}",
            failure.message
        );
        failure.hints.push(format!("copies are kept below `{KEPT}`"));
    }
    failure
}
